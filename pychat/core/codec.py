"""Octets to frames and back. No sockets, no clock, no states, and no verb but those of the spec."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from pychat.spec.forms import ANY_VERB, Form, FrameFault, Framing, Type
from pychat.spec.model import Spec
from pychat.spec.pattern import width


class LineTooLong(Exception):  # noqa: N818  # the name says what happened
    """So many octets came without an LF that they are no frame (R-FRAME-5)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame: `key` is a request's verb or the words that a reply begins with; `fields` in the order of the wire."""

    key: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BadFrame:
    """A line that is no frame: what is wrong with it, and the verb that a refusal may name (R-ERR-2 to R-ERR-4)."""

    fault: FrameFault
    verb: str


class Splitter:
    """Cuts a stream into lines, however it was cut into segments (R-FRAME-6).

    `buffer` is empty when all that was fed is taken; a line without its end is at most one frame long.
    """

    __slots__ = ("_carriage", "_limit", "_start", "buffer")

    def __init__(self, framing: Framing) -> None:
        self.buffer = b""
        self._start = 0
        self._limit = framing.max_octets
        self._carriage = b"\r" if b"\r\n" in framing.accepts else b""

    def feed(self, octets: bytes) -> None:
        """Adds what has come."""
        self.buffer = self.buffer[self._start :] + octets if len(self.buffer) > self._start else octets
        self._start = 0

    def take(self) -> bytes | None:
        """The next line without its ending, None when there is no whole one.

        Raises:
            LineTooLong: there can be no frame; nothing more can be taken.
        """
        end = self.buffer.find(b"\n", self._start)
        if (end if end >= 0 else len(self.buffer)) - self._start >= self._limit:
            raise LineTooLong
        if end < 0:
            return None
        line = self.buffer[self._start : end].removesuffix(self._carriage)
        self._start = end + 1
        if self._start == len(self.buffer):
            self.buffer, self._start = b"", 0
        return line

    def rest(self) -> bytes:
        """What was fed and not taken yet."""
        return self.buffer[self._start :]

    def replace(self, octets: bytes) -> None:
        """Replaces what was fed and not taken yet."""
        self.buffer, self._start = octets, 0

    def __bool__(self) -> bool:
        """Whether it holds anything."""
        return bool(self.buffer)


class _Pattern:
    """A form as one regular expression. Octets are counted where the expression does not bound them."""

    __slots__ = ("counted", "fullmatch", "open")

    def __init__(self, form: Form, types: Mapping[str, Type]) -> None:
        parts = [
            re.escape(part) if isinstance(part, str) else f"(?P<{part.name}>{types[part.type].pattern})"
            for part in form.parts
        ]
        self.fullmatch = re.compile(" ".join(parts)).fullmatch
        kinds = [(field.name, types[field.type]) for field in form.fields]
        self.counted = [(name, *kind.octets) for name, kind in kinds]
        self.open = [(name, *kind.octets) for name, kind in kinds if not _bounds(kind)]

    def match(self, line: str) -> dict[str, str] | None:
        found = self.fullmatch(line)
        if found is None:
            return None
        fields: dict[str, str] = found.groupdict()
        for name, low, high in self.open if line.isascii() else self.counted:
            if not low <= len(fields[name].encode()) <= high:
                return None
        return fields


def _bounds(kind: Type) -> bool:
    """Whether a value of ASCII characters that the pattern matches has as many octets as the type allows."""
    (least, most), (low, high) = width(kind.pattern), kind.octets
    return low <= least and most <= high


class Codec:
    """The frames of one spec. Immutable, so one serves every thread."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._verb = re.compile(spec.framing.verb).fullmatch
        self._requests = {verb: _Pattern(request.form, spec.types) for verb, request in spec.requests.items()}
        self._replies = {key: _Pattern(reply.form, spec.types) for key, reply in spec.replies.items()}
        self._reply_verbs = {reply.form.verb for reply in spec.replies.values()}
        self._any_case = spec.framing.any_case

    def decode_request(self, line: bytes) -> Frame | BadFrame:
        """The request in a line without its ending, or the first fault that it has, in the order of R-ERR-6."""
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            return BadFrame("encoding", ANY_VERB)
        verb = text.partition(" ")[0]
        if self._any_case and verb.isascii():  # outside ASCII, other letters may have these capitals
            verb = verb.upper()
            text = verb + text[len(verb) :]
        pattern = self._requests.get(verb)
        if pattern is None:
            return BadFrame("verb" if self._verb(verb) else "syntax", ANY_VERB)
        fields = pattern.match(text)
        return BadFrame("syntax", verb) if fields is None else Frame(verb, fields)

    def decode_reply(self, line: bytes) -> Frame | BadFrame:
        """The reply in a line without its ending, or what is wrong with it.

        The fault is `verb` where the first word has the form of a verb and begins no reply: a client ignores that line.
        """
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            return BadFrame("encoding", ANY_VERB)
        reply = self.spec.reply_of(text)
        if reply is None:
            verb = text.partition(" ")[0]
            if verb in self._reply_verbs:
                return BadFrame("syntax", verb)
            return BadFrame("verb" if self._verb(verb) else "syntax", ANY_VERB)
        fields = self._replies[reply.key].match(text)
        return BadFrame("syntax", reply.form.verb) if fields is None else Frame(reply.key, fields)

    def encode_request(self, verb: str, fields: Mapping[str, str]) -> bytes:
        """A request with its ending.

        Raises:
            ValueError: there is no such request, a field is missing or too many, or breaks its type.
        """
        request = self.spec.requests.get(verb)
        if request is None:
            raise ValueError(f"there is no request {verb}")
        form = request.form
        for name in fields.keys() - {field.name for field in form.fields}:
            raise ValueError(f"{verb} has no field {name}")
        for field in form.fields:
            if field.name not in fields:
                raise ValueError(f"{verb} needs the field {field.name}")
            kind = self.spec.types[field.type]
            if not kind.accepts(fields[field.name]):
                _refuse(verb, field.name, kind, fields[field.name])
        return self.encode(form.fill(*(fields[field.name] for field in form.fields)))

    def encode(self, line: str) -> bytes:
        """A line with the ending that is written (R-FRAME-3)."""
        return line.encode() + self.spec.framing.writes


def _refuse(verb: str, name: str, kind: Type, value: str) -> NoReturn:
    low, high = kind.octets
    octets = len(value.encode(errors="replace"))
    reason = f"has {octets} octets, not {low} to {high}" if not low <= octets <= high else "is not of its form"
    raise ValueError(f"the {name} of {verb} {reason}: {kind.doc}")
