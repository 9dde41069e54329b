"""Frames, near frames and other octets, drawn at random. Knows no verb and no state.

A fault is one of the spec's grammar (a field that is too long by one) or a usual one of text on a wire (a BOM, an
overlong form, half a character, the commands of telnet).
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from pychat.spec import Spec
from pychat.spec.forms import ANY_VERB, Form, Type

from .frames import Parsed, parse_reply, parse_request, write_form

ODD = (
    b"\0", b"\t", b"\a", b"\r", b"\x1b[2J", b"\x7f", b" ", b"  ", ANY_VERB.encode(),
    b"\xc2\x85", b"\xc2\xa0", b"\xe2\x80\xa8", b"\xe2\x80\xae", b"\xef\xbb\xbf", "é".encode(), "🙂".encode(),
    b"\xff", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x98", b"\xf0\x9f\x99",
    b"\xff\xfb\x1f", b"\xff\xf4\xff\xfd\x06",
)  # fmt: skip
"""Controls; separators, bidirectional and invisible characters; what is no UTF-8; telnet's IAC WILL, IP and DO."""

TEXT = "abc XYZ09.,-\t~éß世界🙂\u202e\u00a0"


class Noise:
    """Draws octets for one spec from a generator of random numbers; the same seed gives the same octets."""

    def __init__(self, spec: Spec, rng: random.Random) -> None:
        self.spec = spec
        self.rng = rng

    def ending(self) -> bytes:
        """An ending that a receiver accepts, mostly the one that is written."""
        framing = self.spec.framing
        return framing.writes if self.rng.random() < 0.7 else self.rng.choice(sorted(framing.accepts))

    def another(self, line: bytes) -> bytes:
        """The same frame with other texts in it; what has no text stays as it is."""
        form, values = self._read(line)
        if form is None:
            return line
        types = {field.name: self.spec.types[field.type] for field in form.fields}
        texts = {name: self._text(type_) for name, type_ in types.items() if type_.rest_of_line and not type_.match}
        return write_form(form, {**values, **texts}).encode()

    def _read(self, line: bytes) -> tuple[Form | None, Mapping[str, str]]:
        """The form of a line and its fields; no form if it is no frame of either side."""
        said = parse_request(self.spec, line)
        if isinstance(said, Parsed):
            return self.spec.requests[said.verb].form, said.values
        got = parse_reply(self.spec, line.decode(errors="replace"))
        return (got.reply.form, got.values) if got else (None, {})

    def _text(self, type_: Type) -> str:
        low, high = type_.octets
        size = self.rng.choice((low, 20, 20, 20, 200, high))
        allowed = [char for char in TEXT if type_.accepts(char)] or ["x"]
        text = "".join(self.rng.choices(allowed, k=size)).encode()[:size].decode(errors="ignore")
        return text if type_.accepts(text) else self._longest(type_, "x")

    def nearly(self, line: bytes) -> bytes:
        """A line without its ending, mostly with one fault, sometimes with two or none."""
        for _ in range(self.rng.choice((1, 1, 1, 2))):
            line = self.rng.choice((self._odd, self._odd, self._resized, self._spaced, self._cased, self._octet))(line)
        return line

    def octets(self) -> bytes:
        """Octets of any kind; some are whole lines, and some are longer than any frame."""
        longest = self.spec.framing.max_octets
        if self.rng.random() < 0.1:
            return b"x" * self.rng.choice((longest - 2, longest - 1, longest, longest + 1))
        size = self.rng.randrange(40)
        return self.rng.choice((self.rng.randbytes(size), bytes(self.rng.choices(b"AaZz *\r\n\xff", k=size))))

    def _odd(self, line: bytes) -> bytes:
        """Something strange at any place, mostly at one where fields begin and end."""
        places = [0, len(line), *(place for place, octet in enumerate(line) if octet == 0x20)]
        place = self.rng.choice([*places, self.rng.randint(0, len(line))])
        return line[:place] + self.rng.choice(ODD) + line[place:]

    def _resized(self, line: bytes) -> bytes:
        """A field as long as it may be, longer by one, missing, or one that its type gives as bad; or one too many."""
        form, values = self._read(line)
        if form is None or not values:
            return line + b" x"
        field = self.rng.choice(form.fields)
        type_ = self.spec.types[field.type]
        longest = self._longest(type_, values[field.name])
        value = self.rng.choice((longest, longest + "x", "", *type_.bad))
        return write_form(form, {**values, field.name: value}).encode()

    def _longest(self, type_: Type, value: str) -> str:
        return value + "x" * (type_.octets[1] - len(value.encode()))

    def _spaced(self, line: bytes) -> bytes:
        """A space more or less: before, after, between."""
        between = [line.replace(b" ", other, 1) for other in (b"  ", b"", b"\t")]
        return self.rng.choice((line + b" ", b" " + line, *between))

    def _cased(self, line: bytes) -> bytes:
        """Another case: of the verb, of all of it, of the rest."""
        verb, space, rest = line.partition(b" ")
        return self.rng.choice((verb.swapcase() + space + rest, line.swapcase(), verb + space + rest.swapcase()))

    def _octet(self, line: bytes) -> bytes:
        """An octet that is missing, stands twice, or is another one."""
        place = self.rng.randrange(len(line) or 1)
        octet = self.rng.choice((b"", line[place : place + 1] * 2, self.rng.randbytes(1)))
        return line[:place] + octet + line[place + 1 :]
