"""Mutants of servers and of clients: how a stream is read, and what becomes of a text. Knows no verb and no state."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from .mutant import E, Mutant, Table, variant
from .reader import Reader

reading: Table[Reader] = Table(Reader)

# fmt: off
reading.row("one-frame-a-segment", "Takes the first frame of a segment and drops the rest.", Reader.feed,
            lambda self, octets: Reader.feed(self, octets[: octets.find(b"\n") + 1] or octets))
reading.row("segment-is-frame", "Takes the end of a segment for the end of a line.", Reader.feed,
            lambda self, octets: Reader.feed(self, octets.removesuffix(b"\n") + b"\n" if octets else b""))
reading.row("partial-line-dropped", "Forgets what stands after the last LF of a segment that has one.", Reader.feed,
            lambda self, octets: Reader.feed(self, octets[: octets.rfind(b"\n") + 1] or octets))
reading.row("last-line-taken", "Takes what has no LF when the other end has finished sending.", Reader.feed,
            lambda self, octets: Reader.feed(self, octets or b"\n"[: len(self.octets)]))
reading.row("encoding-replaced", "Puts U+FFFD in the place of what is not valid UTF-8, and goes on.", Reader.text,
            lambda self, line: line.decode("utf-8", "replace"))
# fmt: on


@reading.step(Reader.feed)
def segments_decoded(self: Reader, octets: bytes) -> None:
    """Decodes each segment by itself, so that a character cut in two is broken."""
    try:
        octets.decode()
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            octets = octets[: error.start] + "\ufffd".encode()
    Reader.feed(self, octets)


def with_readers(base: type[E], mutants: Sequence[Mutant[Reader]], near: str = "") -> list[Mutant[E]]:
    """Mutants of an engine whose reader is broken in these ways."""
    return [
        Mutant(mutant.name, mutant.breaks, variant(base, reader=mutant.engine), near=mutant.near or near)
        for mutant in mutants
    ]


# What becomes of a text that is passed on or printed: the mutant's name, what is broken, the change.
TEXTS: tuple[tuple[str, str, Callable[[str], str]], ...] = (
    ("text-stripped", "Strips spaces from both ends of a text.", lambda text: text.strip(" ") or text),
    ("text-spaces-collapsed", "Makes one space of several in a text.", lambda text: re.sub(" +", " ", text)),
    (
        "text-in-ascii",
        "Makes question marks of what is not ASCII.",
        lambda text: text.encode("ascii", "replace").decode(),
    ),
    ("text-cut", "Cuts a text after 512 octets.", lambda text: text.encode()[:512].decode("utf-8", "ignore")),
)
