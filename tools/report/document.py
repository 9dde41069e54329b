"""A report as data: sections of blocks, which HTML, PDF and JSON are made from. Knows no packet and no layout.

In texts, what stands between backticks is code. Everything else is shown as it is: nothing in a capture can be markup.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal

from .evidence import Evidence

Align = Literal["left", "right", "center"]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A few sentences, and what shows that they are true."""

    text: str
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """`share` is the column's part of the free width; 0 means as wide as its content. `code`: shown in monospace."""

    title: str
    align: Align = "left"
    share: float = 0
    code: bool = False


def numbers(*titles: str) -> tuple[Column, ...]:
    """Columns of numbers: aligned at the right, as wide as their content."""
    return tuple(Column(title, "right") for title in titles)


@dataclass(frozen=True, slots=True)
class Table:
    """A numbered table. `small`: set in small type, since it has many columns."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    evidence: Evidence | None = None
    small: bool = False


@dataclass(frozen=True)
class Figure:
    """A numbered figure; `alt` describes it for readers who cannot see it. `draw` makes its drawings."""

    caption: str
    draw: Callable[[], Sequence[str]]
    alt: str
    evidence: Evidence | None = None

    @cached_property
    def drawings(self) -> Sequence[str]:
        """SVG, one below the other without a gap. Where a page breaks between them, the first one is repeated.

        Drawing takes most of the time of a short report, so it waits until a page asks for it.
        """
        return self.draw()


@dataclass(frozen=True, slots=True)
class Listing:
    """A numbered figure of lines in monospace, such as octets."""

    caption: str
    lines: Sequence[str]
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """The main figures: each a number and what it counts."""

    items: Sequence[tuple[str, str]]
    evidence: Evidence | None = None


Block = Paragraph | Table | Figure | Listing | Facts


@dataclass(frozen=True, slots=True)
class Section:
    """A section, or with `level` 2 a part of the one before it."""

    title: str
    blocks: Sequence[Block]
    level: int = 1


@dataclass(frozen=True, slots=True)
class Document:
    """The whole report. `facts` are shown on the title page; `data` is for programs only."""

    title: str
    subtitle: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    data: dict[str, Any] = field(default_factory=dict)


def bracketed(end: tuple[str, int]) -> str:
    """An end as people write it: `10.0.0.1:8255`, `[::1]:8255`."""
    address, port = end
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def quoted(text: str, most: int = 0) -> str:
    """Text of a capture as code within a text; cut after `most` characters."""
    text = shortened(text, most) if most else text
    return f"`{text.replace('`', 'ˋ')}`" if text else ""


def shortened(text: str, most: int) -> str:
    """The text, cut with an ellipsis when it has more characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def plural(count: int, one: str, many: str = "") -> str:
    """`1 frame`, `2 frames`, `1,024 frames`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def first_of(shown: Sequence[object], found: Sequence[object]) -> str:
    """The note in the caption of a table that is cut: ` (the first 30 of 45)`; empty when all are shown."""
    return f" (the first {len(shown)} of {len(found)})" if len(found) > len(shown) else ""


def seconds(duration: Decimal | float | None) -> str:
    """A duration in the unit that fits, to three digits: `14 µs`, `2.31 ms`, `1.5 s`."""
    if duration is None:
        return "–"
    value = float(duration)
    if abs(value) < 0.0009995:
        return f"{value * 1e6:.3g} µs" if abs(value) < 99.95e-6 else f"{value * 1e6:.0f} µs"
    if abs(value) < 0.9995:
        return f"{value * 1e3:.3g} ms"
    return f"{value:.3g} s" if value < 99.95 else f"{value:,.0f} s"


def exact(duration: Decimal) -> str:
    """A duration of which no digit is rounded, so that parts add up to their sum: `21.299 µs`, `1.5 s`."""
    unit, scale = next(
        ((unit, scale) for unit, scale in (("s", 0), ("ms", 3)) if abs(duration) >= Decimal(1).scaleb(-scale)),
        ("µs", 6),
    )
    return f"{duration.scaleb(scale):,f} {unit}"


def span(least: Decimal | float, most: Decimal | float) -> str:
    """Two durations as `1.2 ms to 3 ms`, or as one where they read the same."""
    first, last = seconds(least), seconds(most)
    return first if first == last else f"{first} to {last}"


def octets(count: float) -> str:
    """A number of octets with its thousands apart."""
    return f"{count:,.0f}"
