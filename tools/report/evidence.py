"""The evidence for a statement: frame numbers, and the display filter that shows exactly these frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

_SHOWN = 6  # ranges that a reader is shown before the rest is counted


class Numbered(Protocol):
    """A packet, or a line in one: what has a frame number."""

    number: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """`display_filter`, typed into Wireshark, shows the frames `frames` and no others."""

    display_filter: str
    frames: tuple[int, ...]

    @classmethod
    def of(cls, display_filter: str, frames: Iterable[int]) -> Evidence:
        return cls(display_filter, tuple(sorted(set(frames))))

    @classmethod
    def showing(cls, display_filter: str, found: Iterable[Numbered]) -> Evidence:
        """The same for packets or lines."""
        return cls.of(display_filter, (each.number for each in found))

    @classmethod
    def frames_alone(cls, frames: Iterable[int]) -> Evidence:
        """Frames that have nothing in common but that they are listed: the filter names their numbers."""
        numbers = sorted(set(frames))
        return cls(among("frame.number", numbers), tuple(numbers))

    @classmethod
    def nearly(cls, display_filter: str, shown: Iterable[int], frames: Iterable[int]) -> Evidence:
        """For frames that a filter shows but for a few: these are added to it, or left out of it.

        `shown` are the frames that the filter shows. So the filter says what the frames have in common, and names
        only the exceptions.
        """
        wanted, found = set(frames), set(shown)
        added, wrong = sorted(wanted - found), sorted(found - wanted)
        if wanted and (not wanted & found or len(added) + len(wrong) > len(wanted)):
            return cls.frames_alone(wanted)
        if wrong:
            display_filter = f"({display_filter}) && !({among('frame.number', wrong)})"
        if added:
            display_filter = f"({display_filter}) || {among('frame.number', added)}"
        return cls.of(display_filter, wanted)

    @property
    def words(self) -> str:
        """`frame 5`, `frames 3–5, 9 and 12 more`, `no frame`."""
        if not self.frames:
            return "no frame"
        spans = ranges(self.frames)
        shown = ", ".join(_span(span) for span in spans[:_SHOWN])
        rest = sum(last - first + 1 for first, last in spans[_SHOWN:])
        more = f" and {rest} more" if rest else ""
        return f"frame{'s' if len(self.frames) > 1 else ''} {shown}{more}"


def ranges(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Sorted numbers as first and last of each unbroken run."""
    if not numbers:
        return []
    breaks = [index for index, (one, other) in enumerate(pairwise(numbers), 1) if other != one + 1]
    edges = [0, *breaks, len(numbers)]
    return [(numbers[first], numbers[last - 1]) for first, last in pairwise(edges)]


def among(field: str, numbers: Sequence[int]) -> str:
    """A filter for packets whose field has one of these values, which are sorted."""
    if len(numbers) == 1:
        return f"{field} == {numbers[0]}"
    parts = [str(first) if first == last else f"{first} .. {last}" for first, last in ranges(numbers)]
    return f"{field} in {{{', '.join(parts)}}}"


def _span(span: tuple[int, int]) -> str:
    first, last = span
    if first == last:
        return str(first)
    return f"{first}, {last}" if last == first + 1 else f"{first}–{last}"
