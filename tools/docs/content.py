"""The parts of a page: sections, blocks, and words with links. Knows no spec, no Markdown and no HTML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Style = Literal["text", "code", "strong"]


@dataclass(frozen=True, slots=True)
class Span:
    """Words in one style; `target` is the anchor of their link."""

    text: str
    style: Style = "text"
    target: str | None = None


Spans: TypeAlias = tuple[Span, ...]


def text(words: str) -> Spans:
    """Words without a style."""
    return (Span(words),)


def code(words: str, target: str | None = None) -> Spans:
    """Words of the protocol or of the spec."""
    return (Span(words, "code", target),)


def link(words: str, target: str) -> Spans:
    """Words with a link to an anchor."""
    return (Span(words, "text", target),)


def sentence(words: str, *parts: Spans) -> Spans:
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


def both(parts: Sequence[Spans]) -> Spans:
    """The parts together: `a, b and c`."""
    return join([join(parts[:-1]), parts[-1]], " and ") if len(parts) > 1 else join(parts)


def plain(spans: Spans) -> str:
    """The words without styles and links."""
    return "".join(span.text for span in spans)


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Prose."""

    spans: Spans


@dataclass(frozen=True, slots=True)
class Listing:
    """A list with bullets."""

    items: tuple[Spans, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """A list of definitions: pairs of a term and its text."""

    rows: tuple[tuple[str, Spans], ...]


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of a table. `kind` is for its style: refusals are grey."""

    cells: tuple[Spans, ...]
    anchor: str | None = None
    kind: Literal["", "refusal", "illegal"] = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under their heads. `matrix`: the first cell of a row is a head too.

    Cells whose links are all of the anchors in `faint` are grey.
    """

    head: tuple[str, ...]
    rows: tuple[TableRow, ...]
    matrix: bool = False
    faint: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Grammar:
    """Rules of a grammar: the name of each, the anchor of its subject, and its lines."""

    rules: tuple[tuple[str, str, str], ...]

    @property
    def text(self) -> str:
        return "\n".join(line for _, _, line in self.rules)


@dataclass(frozen=True, slots=True)
class Program:
    """Pseudo-code, a line each; leading spaces say how deep."""

    lines: tuple[Spans, ...]


@dataclass(frozen=True, slots=True)
class Wire:
    """A frame on the wire: its sender and its octets."""

    sender: Literal["client", "server"]
    octets: bytes

    def rows(self, dot: str = ".") -> list[tuple[str, str]]:
        """Sixteen octets a row: in hexadecimal, and in ASCII with a dot for everything else."""
        parts = [self.octets[start : start + 16] for start in range(0, len(self.octets), 16)]
        return [
            (part.hex(" "), "".join(chr(octet) if 0x20 <= octet < 0x7F else dot for octet in part)) for part in parts
        ]


@dataclass(frozen=True, slots=True)
class RuleText:
    """One numbered rule, where it is shown on the page, and the ids and anchors of its conformance cases."""

    id: str
    level: str
    of: str
    spans: Spans
    shown: Spans = ()
    cases: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """Numbered rules in full. `home`: their anchors are here."""

    rules: tuple[RuleText, ...]
    home: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a conversation: `who > frame`."""

    who: str
    mark: str
    frame: Spans


@dataclass(frozen=True, slots=True)
class Conversation:
    """An example: its people in order, and its lines. `typed`: the reader types it, in one terminal for each person."""

    example: str
    people: tuple[str, ...]
    lines: tuple[Line, ...]
    typed: bool = False


@dataclass(frozen=True, slots=True)
class Diagram:
    """A drawing of the HTML page, by its name.

    On a page without pictures, `fallback` or `text` stands in its place: blocks, or the lines of a drawing.
    """

    name: str
    caption: str
    fallback: tuple[Block, ...] = ()
    text: tuple[str, ...] = ()


Block: TypeAlias = Paragraph | Listing | Facts | Table | Grammar | Program | Wire | Rules | Conversation | Diagram


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page; `summary` is one line for the index of the search."""

    anchor: str
    title: Spans
    blocks: tuple[Block, ...] = ()
    summary: str = ""
    sections: tuple[Section, ...] = ()

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
    source: str

    def walk(self) -> Iterator[Section]:
        for section in self.sections:
            yield from section.walk()
