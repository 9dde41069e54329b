"""A page as one HTML file that loads nothing. Without scripts it can be read, but not searched."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from .cases import CaseText
from .content import Block, Grammar, Page, Rules, Section, Span, Spans, Table, TableRow, plain

HERE = Path(__file__).parent
_HYPHENED = re.compile(r"[\w*/]*(?:-+[\w*/]+)+")
_UPPER_HYPHENED = re.compile(r"\b[A-Z]+(?:-[A-Z0-9]+)+\b")
_ABNF = re.compile(
    r'(?P<string>%s"[^"]*"|"[^"]*")|(?P<comment>;[^\n]*)|(?P<octets>%x[0-9A-F.-]+)|(?P<name>[A-Za-z][A-Za-z0-9-]*)'
)


def render(page: Page, drawings: Mapping[str, str], cases: Sequence[CaseText], played: int) -> str:
    """The whole page. `drawings` has an SVG element for each diagram's name; `played` is the number of examples."""
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            page=page,
            drawings={name: Markup(svg) for name, svg in drawings.items()},  # noqa: S704  # our own drawings
            judged=bool(cases),
            played=played,
            style=_file("page.css"),
            script=_file("page.js"),
            index=Markup(_json(list(_index(page)))),  # noqa: S704  # escaped there
        )
    )


def render_cases(page: Page, cases: Sequence[CaseText]) -> str:
    """A second page, for the conformance cases; the rules have links to it."""
    return _environment().get_template("cases.html.j2").render(page=page, cases=cases, style=_file("page.css"))


def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    found.filters |= {"spans": spans, "plain": plain, "grammar": grammar, "program": program, "faint": faint}
    found.tests["block"] = lambda block, name: type(block).__name__ == name
    return found


def _file(name: str) -> Markup:
    return Markup((HERE / name).read_text(encoding="utf-8"))  # noqa: S704  # our own files


def _json(data: object) -> str:
    """JSON that may stand inside a script element."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def spans(words: Spans) -> Markup:
    """Words with their styles and links; neighbouring code becomes one element, with its links inside."""
    parts = []
    for style, group in groupby(words, key=lambda span: span.style):
        shown = "".join(_linked_span(span) for span in group)
        parts.append({"code": f"<code>{shown}</code>", "strong": f"<strong>{shown}</strong>", "text": shown}[style])
    return Markup("".join(parts))  # noqa: S704  # escaped above


def program(line: Spans) -> Markup:
    """A line of pseudo-code, whose words are one element; a comment is grey, and what is folded keeps its depth."""
    shown = "".join(map(_linked_span, line))
    before, mark, comment = shown.rpartition("  # ")
    shown = f'{before}  <span class="comment"># {comment}</span>' if mark else shown
    words = plain(line)
    return Markup(f'<span style="--deep: {len(words) - len(words.lstrip())}">{shown}</span>')  # noqa: S704  # escaped above


def _linked_span(span: Span) -> str:
    shown = escape(span.text)
    broken = _HYPHENED if span.style == "code" else _UPPER_HYPHENED  # neither is broken at its hyphens
    shown = broken.sub(r'<span class="word">\g<0></span>', shown)
    return f'<a href="#{escape(span.target)}">{shown}</a>' if span.target else shown


def faint(cell: Spans, targets: frozenset[str]) -> bool:
    """Whether a cell is grey: it has links to the targets only, or it is empty."""
    return (bool(cell) and {span.target for span in cell} <= targets) or plain(cell) == "–"


def grammar(found: Grammar) -> Markup:
    """The grammar with a link from each use of a rule to the rule."""
    known = {name for name, _, _ in found.rules}
    lines = []
    for name, _, text in found.rules:
        head, equals, body = text.partition("=")
        lines.append(
            f'<span id="abnf-{escape(name.lower())}"><b>{escape(head)}</b>{equals}{_linked(body, known)}</span>'
        )
    return Markup("\n".join(lines))  # noqa: S704  # escaped above


def _linked(body: str, known: set[str]) -> str:
    parts, last = [], 0
    for token in _ABNF.finditer(body):
        parts.append(escape(body[last : token.start()]))
        last = token.end()
        shown = escape(token[0])
        if token["name"] in known:
            parts.append(f'<a href="#abnf-{escape(token[0].lower())}">{shown}</a>')
        else:
            kind = token.lastgroup or ""
            parts.append(f'<span class="{kind}">{shown}</span>')
    return "".join([*parts, escape(body[last:])])


def _index(page: Page) -> Iterator[tuple[str, str, str]]:
    """The index of the search: title, text and anchor."""
    for section in page.walk():
        yield plain(section.title), section.summary, section.anchor
        for block in section.blocks:
            yield from _found_in(section, block)


def _found_in(section: Section, block: Block) -> Iterator[tuple[str, str, str]]:
    if isinstance(block, Table):
        for row in block.rows:
            if row.anchor:
                yield (
                    _row_title(row),
                    f"{plain(section.title)}: {' · '.join(plain(cell) for cell in row.cells[1:])}",
                    row.anchor,
                )
    elif isinstance(block, Rules) and block.home:
        for rule in block.rules:
            yield rule.id, plain(rule.spans), rule.id
    elif isinstance(block, Grammar):
        for name, _, text in block.rules:
            yield name, " ".join(text.split()), f"abnf-{name.lower()}"


def _row_title(row: TableRow) -> str:
    """The name of a row: its first cell, or the last one in the table of a verb."""
    if (row.anchor or "").startswith("row-"):
        return next((span.text for span in row.cells[-1] if span.style == "code"), "")
    return plain(row.cells[0])
