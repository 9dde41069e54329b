"""A page as Markdown for GitHub. Knows no spec."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .content import (
    Block,
    Conversation,
    Diagram,
    Facts,
    Grammar,
    Listing,
    Page,
    Paragraph,
    Program,
    Rules,
    Section,
    Span,
    Spans,
    Table,
    Wire,
    plain,
)

MOST_CASES = 5  # ids of a rule; the HTML page has all of them
_SPECIAL = str.maketrans({char: f"\\{char}" for char in "\\*_<>[]`|#"})


def render(page: Page) -> str:
    """The whole page, with a table of contents."""
    lines = [
        f"<!-- Made from {page.source} by `python -m tools.docs`. Do not edit. -->",
        "",
        f"# {page.title}",
        "",
        spans(page.lead),
        "",
        *_facts(page.facts),
        "",
        "## Contents",
        "",
        *(f"{'  ' * depth}- [{plain(section.title)}](#{section.anchor})" for depth, section in _contents(page)),
        "",
    ]
    for section in page.sections:
        lines += _section(section, 2)
    return "\n".join(lines).rstrip() + "\n"


def _contents(page: Page) -> Iterator[tuple[int, Section]]:
    for section in page.sections:
        yield 0, section
        for inner in section.sections:
            yield 1, inner


def _section(section: Section, depth: int) -> list[str]:
    lines = [f'<a id="{section.anchor}"></a>', "", f"{'#' * depth} {spans(section.title)}", ""]
    for block in section.blocks:
        lines += [*_block(block), ""]
    for inner in section.sections:
        lines += _section(inner, depth + 1)
    return lines


def _block(block: Block) -> list[str]:
    match block:
        case Paragraph():
            return [spans(block.spans)]
        case Listing():
            return [f"- {spans(item)}" for item in block.items]
        case Facts():
            return _facts(block)
        case Table():
            return _table(block)
        case Grammar():
            return ["```abnf", block.text, "```"]
        case Program():
            return ["```text", *(plain(line) for line in block.lines), "```"]
        case Wire():
            return _wire(block)
        case Rules():
            return _rules(block)
        case Conversation():
            return _conversation(block)
        case Diagram():
            drawn = ["```text", *block.text, "```"] if block.text else []
            return drawn + [line for inner in block.fallback for line in _block(inner)]


def _facts(facts: Facts) -> list[str]:
    return [f"- {name}: {spans(value)}" for name, value in facts.rows]


def _table(table: Table) -> list[str]:
    lines = [_row(list(table.head)), _row(["---"] * len(table.head))]
    for row in table.rows:
        cells = [_in_a_cell(spans(cell)) for cell in row.cells]
        if row.anchor:
            cells[0] = f'<a id="{row.anchor}"></a>{cells[0]}'
        lines.append(_row(cells))
    return lines


def _in_a_cell(words: str) -> str:
    """Words as a table may hold them: a bar would end their cell."""
    return re.sub(r"(?<!\\)\|", r"\|", words)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def _wire(wire: Wire) -> list[str]:
    """The frame in words, then its octets."""
    mark, words = ">" if wire.sender == "client" else "<", wire.octets.decode("utf-8", "backslashreplace").rstrip()
    return ["```text", f"{mark} {words}", *(f"  {octets:<47}  |{text}|" for octets, text in wire.rows()), "```"]


def _rules(rules: Rules) -> list[str]:
    lines = []
    for rule in rules.rules:
        anchor = f'<a id="{rule.id}"></a>' if rules.home else ""
        name = f"**{rule.id}**" if rules.home else f"[{rule.id}](#{rule.id})"
        lines.append(f"- {anchor}{name} ({rule.of}) {spans(rule.spans)}")
        if rules.home and rule.shown:
            lines.append(f"  {spans(rule.shown)}")
        if rules.home and rule.cases:
            lines.append(f"  Judged by {_cases([id_ for id_, _ in rule.cases])}.")
    return lines


def _cases(ids: list[str]) -> str:
    shown = [f"`{id_}`" for id_ in dict.fromkeys(ids)]
    more = len(shown) - MOST_CASES
    return ", ".join(shown[:MOST_CASES]) + (f" and {more} more" if more > 0 else "")


def _conversation(conversation: Conversation) -> list[str]:
    width = max(len(name) for name in conversation.people)
    marks = max(len(line.mark) for line in conversation.lines)
    lines = [f"{line.who:<{width}} {line.mark:<{marks}} {plain(line.frame)}".rstrip() for line in conversation.lines]
    return ["```text", *lines, "```"]


def spans(words: Spans) -> str:
    """Words with their styles and links; neighbours of one style become one."""
    return "".join(_span(span) for span in _merged(words))


def _merged(words: Spans) -> list[Span]:
    found: list[Span] = []
    for span in words:
        last = found[-1] if found else None
        if last is not None and (last.style, last.target) == (span.style, span.target) and span.target is None:
            found[-1] = Span(last.text + span.text, span.style)
        else:
            found.append(span)
    return found


def _span(span: Span) -> str:
    if not span.text.strip() and span.style != "code":
        return span.text
    shown = span.text.translate(_SPECIAL) if span.style != "code" else _code(span.text)
    if span.style == "strong":
        shown = f"**{shown}**"
    return f"[{shown}](#{span.target})" if span.target else shown


def _code(words: str) -> str:
    """Code; what stands in it is what is read, a backslash too."""
    if not words.strip():
        return words
    fence = "``" if "`" in words else "`"
    pad = " " if words.startswith((" ", "`")) and words.endswith((" ", "`")) else ""
    return f"{fence}{pad}{words}{pad}{fence}"
