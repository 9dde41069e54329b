"""What a page is made of: sections, blocks and words with links. Knows no spec, no Markdown and no HTML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Style = Literal["text", "code", "strong"]


@dataclass(frozen=True, slots=True)
class Span:
    """A few words in one style; `target` is the anchor that they lead to."""

    text: str
    style: Style = "text"
    target: str | None = None


Spans: TypeAlias = tuple[Span, ...]


def text(words: str) -> Spans:
    """Words as they stand."""
    return (Span(words),)


def code(words: str, target: str | None = None) -> Spans:
    """Words of the wire or of the spec."""
    return (Span(words, "code", target),)


def link(words: str, target: str) -> Spans:
    """Words that lead to an anchor."""
    return (Span(words, "text", target),)


def say(words: str, *parts: Spans) -> Spans:
    """A sentence with a part in the place of each `{}`."""
    pieces = words.split("{}")
    assert len(pieces) == len(parts) + 1, words
    spans: list[Span] = []
    for piece, part in zip(pieces, (*parts, ()), strict=True):
        spans += ([Span(piece)] if piece else []) + list(part)
    return tuple(spans)


def join(parts: Iterable[Spans], separator: str = ", ") -> Spans:
    """The parts in one, with the separator between them."""
    spans: list[Span] = []
    for part in parts:
        if spans:
            spans.append(Span(separator))
        spans += part
    return tuple(spans)


def one_of(parts: Sequence[Spans]) -> Spans:
    """The parts as a choice: `a, b or c`."""
    return join([join(parts[:-1]), parts[-1]], " or ") if len(parts) > 1 else join(parts)


def plain(spans: Spans) -> str:
    """The words without styles and links."""
    return "".join(span.text for span in spans)


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Prose."""

    spans: Spans


@dataclass(frozen=True, slots=True)
class Listing:
    """Points."""

    items: tuple[Spans, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one thing: pairs of a word and what it says."""

    rows: tuple[tuple[str, Spans], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table. `kind` tells a renderer how to show it: refusals stand back."""

    cells: tuple[Spans, ...]
    anchor: str | None = None
    kind: Literal["", "refusal", "illegal"] = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under their heads; `matrix` when the first cell of a row is a head too, and the cells are looked up.

    Cells that say nothing but what is at the anchor `faint` stand back.
    """

    head: tuple[str, ...]
    rows: tuple[Row, ...]
    matrix: bool = False
    faint: str = ""


@dataclass(frozen=True, slots=True)
class Grammar:
    """Rules of a grammar: the name of each, the anchor of what it is about, and its lines."""

    rules: tuple[tuple[str, str, str], ...]

    @property
    def text(self) -> str:
        return "\n".join(line for _, _, line in self.rules)


@dataclass(frozen=True, slots=True)
class Wire:
    """A frame as it travels: its direction and its octets."""

    sender: Literal["client", "server"]
    octets: bytes


@dataclass(frozen=True, slots=True)
class RuleText:
    """One numbered rule, the conversations that show it, and the ids and anchors of the conformance cases that do."""

    id: str
    level: str
    of: str
    spans: Spans
    shown: Spans = ()
    cases: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """Numbered rules in full. `home` when this is the place that their anchors stand for."""

    rules: tuple[RuleText, ...]
    home: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A step of a conversation, in the words that a reader sees: `who > frame`."""

    who: str
    mark: str
    frame: Spans


@dataclass(frozen=True, slots=True)
class Conversation:
    """An example: its people in order and its lines. `hands` when it is to be typed by hand by the reader."""

    example: str
    people: tuple[str, ...]
    lines: tuple[Line, ...]
    hands: bool = False


@dataclass(frozen=True, slots=True)
class Diagram:
    """A drawing that the HTML page shows; `name` tells which one, `instead` is what a page without drawings has."""

    name: str
    caption: str
    instead: tuple[Block, ...] = ()


Block: TypeAlias = Paragraph | Listing | Facts | Table | Grammar | Wire | Rules | Conversation | Diagram


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page. `summary` is one line for the search."""

    anchor: str
    title: Spans
    blocks: tuple[Block, ...] = ()
    sections: tuple[Section, ...] = field(default=())
    summary: str = ""

    def walk(self) -> Iterator[Section]:
        yield self
        for section in self.sections:
            yield from section.walk()


@dataclass(frozen=True, slots=True)
class Page:
    """The whole page."""

    title: str
    lead: Spans
    facts: Facts
    sections: tuple[Section, ...]
    digest: str

    def walk(self) -> Iterator[Section]:
        for section in self.sections:
            yield from section.walk()
