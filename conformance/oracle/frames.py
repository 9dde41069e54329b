"""Lines of octets and what they say: the judge's own wire code. Knows no socket, no state, and no verb by name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from pychat.spec import Spec
from pychat.spec.forms import ANY_VERB, Form, FrameFault, Reply

ANY_WORDS = "…"  # in a wanted frame: as its last word any words, but not none; before it any one word


@dataclass(frozen=True, slots=True)
class Parsed:
    """A request: its verb and the values of its fields."""

    verb: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Faulty:
    """A line that is no request; `verb` is what its refusal names."""

    fault: FrameFault
    verb: str


@dataclass(frozen=True, slots=True)
class Received:
    """A frame of a server: which reply it is, and the values of its fields."""

    reply: Reply
    values: Mapping[str, str]


class Cutter:
    """Cuts a stream into lines, their endings removed; at most one frame's worth of octets is kept."""

    def __init__(self, spec: Spec) -> None:
        self._accepts = sorted(spec.framing.accepts, key=len, reverse=True)
        self._max = spec.framing.max_octets
        self.rest = b""  # the octets after the last ending

    def feed(self, octets: bytes) -> list[bytes | None]:
        """The lines that are whole now; None for one that is too long, whole or not."""
        *lines, self.rest = (self.rest + octets).split(b"\n")
        found = [self._without_ending(line + b"\n") if len(line) < self._max else None for line in lines]
        return [*found, None] if len(self.rest) >= self._max else found

    def _without_ending(self, line: bytes) -> bytes:
        return line.removesuffix(next(ending for ending in self._accepts if line.endswith(ending)))


def parse_request(spec: Spec, line: bytes) -> Parsed | Faulty:
    """What a line of a client says, or the fault that it has by itself. In which state it comes is not looked at."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return Faulty("encoding", ANY_VERB)
    word, space, rest = text.partition(" ")
    if spec.framing.any_case and word.isascii():  # outside ASCII, other letters may have these capitals
        word = word.upper()
    if re.fullmatch(spec.framing.verb, word) is None:
        return Faulty("syntax", ANY_VERB)
    request = spec.requests.get(word)
    if request is None:
        return Faulty("verb", ANY_VERB)
    values = read_form(spec, request.form, word + space + rest)
    return Faulty("syntax", word) if values is None else Parsed(word, values)


def parse_reply(spec: Spec, text: str) -> Received | None:
    """What a line of a server says, None if it is no frame of a server."""
    reply = spec.reply_of(text)
    values = read_form(spec, reply.form, text) if reply is not None else None
    return None if reply is None or values is None else Received(reply, values)


def read_form(spec: Spec, form: Form, text: str) -> dict[str, str] | None:
    """The values of a form's fields in `text`, None if it is not of this form."""
    parts = text.split(" ", len(form.parts) - 1)
    if len(parts) != len(form.parts):
        return None
    values = {}
    for shape, part in zip(form.parts, parts, strict=True):
        if isinstance(shape, str):
            if part != shape:
                return None
        elif not spec.types[shape.type].accepts(part):
            return None
        else:
            values[shape.name] = part
    return values


def write_form(form: Form, values: Mapping[str, str]) -> str:
    """The frame of this form, without its ending."""
    return " ".join(part if isinstance(part, str) else values[part.name] for part in form.parts)


def matches(wanted: str, got: str) -> bool:
    """Whether a frame is the wanted one. `…` stands for any words where it is the last one, else for one word."""
    if f" {ANY_WORDS}" not in wanted:
        return wanted == got
    return re.fullmatch(_pattern(wanted), got, re.DOTALL) is not None


@lru_cache(1024)  # a hundred refusals that are alike are due one after the other
def _pattern(wanted: str) -> str:
    parts = [re.escape(part) for part in wanted.removesuffix(f" {ANY_WORDS}").split(f" {ANY_WORDS} ")]
    return " [^ ]+ ".join(parts) + (" .+" if wanted.endswith(f" {ANY_WORDS}") else "")


def quote(octets: bytes, limit: int = 200) -> str:
    """Octets in readable form: UTF-8 text stays, the rest is written \\x07; long ones are cut in the middle."""
    text = octets.decode("utf-8", "surrogateescape").replace("\\", "\\\\").replace('"', '\\"')
    return shortened(visible(text), limit, f"({len(octets)} octets)")


def visible(text: str) -> str:
    """The same text with what is invisible, controls a terminal or looks like another character written \\x1b."""
    shown = "".join(map(_visible, text))
    kept = shown.rstrip(" ")
    return kept + "\\x20" * (len(shown) - len(kept))


def visible_lines(text: str) -> str:
    """The same for each line of a text; its lines stay."""
    return "\n".join(map(visible, text.split("\n")))


def shortened(text: str, limit: int, more: str = "") -> str:
    """A long text, cut in the middle."""
    return text if len(text) <= limit else f"{text[: limit // 2]} …{more and f'{more}…'} {text[-(limit // 4) :]}"


_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _is_deceptive(char: str) -> bool:
    """Whether it looks like an ASCII letter, as the Kelvin sign does, or like octets that were not UTF-8."""
    letter = not char.isascii() and char.isalnum()
    return char == "\ufffd" or (letter and unicodedata.normalize("NFKC", char).isascii())


def _visible(char: str) -> str:
    if char in _NAMED:
        return _NAMED[char]
    point = ord(char)
    if 0xDC80 <= point <= 0xDCFF:  # an octet that is no UTF-8
        return f"\\x{point - 0xDC00:02x}"
    if char.isprintable() and not _is_deceptive(char):
        return char
    return "".join(f"\\x{octet:02x}" for octet in char.encode())
