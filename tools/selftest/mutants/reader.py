"""How the engines read a stream: octets go in; lines, texts and the values of fields come out.

Each connection of a server has a reader, and a client has one. Mutants replace one step of it. Knows no verb and no
type by name, and shares no code with what it is compared with.
"""

from __future__ import annotations

import re

from pychat.spec.forms import Form
from pychat.spec.model import Spec


class TooLongError(Exception):
    """A line is longer than the spec allows."""


class Reader:
    """One stream that is read."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.octets = bytearray()

    def feed(self, octets: bytes) -> None:
        """One segment has come; an empty one is the end of the stream."""
        self.octets += octets

    def cut(self) -> bytes | None:
        """The next whole line without its ending. Raises TooLongError."""
        end = self.octets.find(b"\n", 0, self.spec.framing.max_octets)
        if end < 0:
            if len(self.octets) >= self.spec.framing.max_octets:
                raise TooLongError
            return None
        line = bytes(self.octets[:end])
        del self.octets[: end + 1]
        return self.strip(line)

    def strip(self, line: bytes) -> bytes:
        """A line that ended in LF, without the CR if that belongs to the ending."""
        return line.removesuffix(b"\r") if b"\r\n" in self.spec.framing.accepts else line

    def text(self, line: bytes) -> str:
        """Raises UnicodeDecodeError."""
        return line.decode()

    def values(self, form: Form, text: str) -> dict[str, str] | None:
        """The value of each field, None if the text does not have this form."""
        head, fields = form.key.split(" "), form.fields
        most = len(head) + len(fields) - 1 if fields and self.spec.types[fields[-1].type].rest_of_line else -1
        words = text.split(" ", most)
        values = words[len(head) :]
        if words[: len(head)] != head or len(values) != len(fields):
            return None
        if not all(self.accepts(field.type, value) for field, value in zip(fields, values, strict=True)):
            return None
        return {field.name: value for field, value in zip(fields, values, strict=True)}

    def accepts(self, name: str, value: str) -> bool:
        """Whether a value is of the type of this name."""
        kind = self.spec.types[name]
        size = len(value.encode("utf-8", "surrogatepass"))
        return kind.octets[0] <= size <= kind.octets[1] and re.fullmatch(kind.pattern, value) is not None
