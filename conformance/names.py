"""Unique names for the users of a play, so that plays can share a server. Knows the forms of frames, and no verb."""

from __future__ import annotations

from io import BytesIO

from pychat.spec import Spec

from .frames import Parsed, parse_reply, parse_request, write_form


class Names:
    """A suffix for each name of a play, so that plays can share a server. Spelling and case stay."""

    def __init__(self, spec: Spec, number: int, *, exact: bool = False) -> None:
        self.spec = spec
        self.key = spec.link.key
        self.type = spec.types[self.key]
        self.number = number
        self.exact = exact
        self._exact: dict[str, str] = {}

    def unique(self, name: str) -> str:
        if self.exact:
            return self._same_length(name)
        for suffix in (f"-{self.number}", str(self.number), _letters(self.number)):
            for stem in (name, name[: max(1, self.type.octets[1] - len(suffix))]):
                if self.type.accepts(stem + suffix):
                    return stem + suffix
        return name

    def _same_length(self, name: str) -> str:
        suffix = _letters(self.number)[-max(1, len(name) - 1) :]
        stem = name[: len(name) - len(suffix)]
        return stem + suffix if self.type.accepts(stem + suffix) else name

    def in_request(self, octets: bytes) -> bytes:
        """Octets of a client with each name made unique; lines, which LF alone ends, stay if they are no request."""
        return b"".join(self._request_line(line) for line in BytesIO(octets))

    def _request_line(self, line: bytes) -> bytes:
        ending = next((e for e in sorted(self.spec.framing.accepts, key=len, reverse=True) if line.endswith(e)), None)
        if ending is None:
            return line
        said = parse_request(self.spec, line.removesuffix(ending))
        if not isinstance(said, Parsed):
            return line
        form = self.spec.requests[said.verb].form
        values = {f.name: self._value(f.type, said.values[f.name]) for f in form.fields}
        return write_form(form, values).encode() + ending

    def in_reply(self, text: str) -> str:
        got = parse_reply(self.spec, text)
        if got is None:
            return text
        form = got.reply.form
        return write_form(form, {f.name: self._value(f.type, got.values[f.name]) for f in form.fields})

    def _value(self, type_name: str, value: str) -> str:
        return self.unique(value) if type_name == self.key else value


def _letters(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 26)
        digits = chr(ord("a") + digit) + digits
    return digits or "a"
