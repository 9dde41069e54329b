"""A document as JSON, and as the files that the layouts read. Knows no layout."""

from __future__ import annotations

import re
from typing import Any

from .document import Block, Document, Facts, Figure, Listing, Paragraph, Table
from .evidence import Evidence, ranges

_LONGEST_FILTER = 230  # characters on paper; the JSON has all of it
_LONGEST_WORD = 24


def plain(document: Document) -> dict[str, Any]:
    """The document as JSON has it: every block with all the frames of its evidence."""
    return {
        "title": document.title,
        "subtitle": document.subtitle,
        "facts": [list(fact) for fact in document.facts],
        "sections": [
            {"title": section.title, "level": section.level, "blocks": [_plain(block) for block in section.blocks]}
            for section in document.sections
        ],
        "data": document.data,
    }


def printed(document: Document, short: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The document as the PDF's layout reads it, and the drawings by the names of their files."""
    drawings: dict[str, str] = {}
    result = plain(document)
    result["short"] = short
    del result["data"]
    for section in result["sections"]:
        for block in section["blocks"]:
            _print(block, drawings)
    return result, drawings


def _plain(block: Block) -> dict[str, Any]:
    match block:
        case Paragraph():
            return {"kind": "paragraph", "text": block.text, "evidence": _evidence(block.evidence)}
        case Table():
            columns = [
                {"title": column.title, "align": column.align, "share": column.share, "code": column.code}
                for column in block.columns
            ]
            return {
                "kind": "table",
                "caption": block.caption,
                "columns": columns,
                "rows": [list(row) for row in block.rows],
                "small": block.small,
                "evidence": _evidence(block.evidence),
            }
        case Figure():
            return {
                "kind": "figure",
                "caption": block.caption,
                "svg": block.svg,
                "alt": block.alt,
                "width": block.width,
                "evidence": _evidence(block.evidence),
            }
        case Listing():
            return {
                "kind": "listing",
                "caption": block.caption,
                "lines": list(block.lines),
                "evidence": _evidence(block.evidence),
            }
        case Facts():
            return {"kind": "facts", "items": [list(item) for item in block.items], "evidence": None}


def _evidence(evidence: Evidence | None) -> dict[str, Any] | None:
    if evidence is None:
        return None
    return {
        "words": evidence.words,
        "filter": evidence.display_filter,
        "frames": [list(span) for span in ranges(evidence.frames)],
    }


def _print(block: dict[str, Any], drawings: dict[str, str]) -> None:
    """Makes one block fit for paper: drawings become files, and nothing is too long to be broken."""
    evidence = block["evidence"]
    if evidence is not None:
        del evidence["frames"]
        if len(evidence["filter"]) > _LONGEST_FILTER:
            evidence["filter"] = evidence["filter"][:_LONGEST_FILTER].rsplit(" ", 1)[0] + " … (whole in the JSON)"
    if block["kind"] == "figure":
        block["file"] = f"figure{len(drawings) + 1}.svg"
        drawings[block["file"]] = block.pop("svg")
    elif block["kind"] == "table":
        block["rows"] = [[breakable(cell) for cell in row] for row in block["rows"]]


def breakable(text: str) -> str:
    """The text with places to break in words that no line can hold."""
    return re.sub(rf"\S{{{_LONGEST_WORD}}}(?=\S)", lambda found: found[0] + "\u200b", text)
