"""A document as JSON, and as the files that the PDF's layout reads. Knows no layout."""

from __future__ import annotations

import re
from dataclasses import asdict, fields
from decimal import Decimal
from typing import Any

from .document import Block, Document, Figure, Section, Table
from .evidence import Evidence, ranges

_LONGEST_FILTER = 350  # characters that stand below a statement on paper; an appendix has longer ones
_LONGEST_WORD = 24
_UNIT = re.compile(r"(?<=\d) (?=(?:[mµ]?s|%|[KM]iB)(?!\w))")


def plain(document: Document, *, drawn: bool = False) -> dict[str, Any]:
    """The document as JSON has it: every block with all the frames of its evidence. `drawn`: and with the drawings."""
    return {
        "title": document.title,
        "subtitle": document.subtitle,
        "facts": document.facts,
        "sections": [_section(section, drawn) for section in document.sections],
        "data": _numbers(document.data),
    }


def printed(document: Document, short: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The document as the PDF's layout reads it, and the drawings by the names of their files."""
    drawings: dict[str, str] = {}
    filters: list[str] = []
    result = plain(document, drawn=True)
    result["short"] = short
    del result["data"]
    for section in result["sections"]:
        for block in section["blocks"]:
            _print(block, drawings, filters)
    if filters:
        blocks = [{"kind": "filter", "name": _name(index), "filter": one} for index, one in enumerate(filters)]
        result["sections"].append({"title": "Appendix: long display filters", "level": 1, "blocks": blocks})
    return result, drawings


def _numbers(value: Any) -> Any:
    """The same with the numbers that JSON knows; a Decimal becomes the nearest float."""
    if isinstance(value, dict):
        return {key: _numbers(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_numbers(one) for one in value]
    return float(value) if isinstance(value, Decimal) else value


def _name(index: int) -> str:
    return f"Filter {index + 1}"


def _section(section: Section, drawn: bool) -> dict[str, Any]:
    blocks = [_block(block, drawn) for block in section.blocks]
    return {"title": section.title, "level": section.level, "blocks": blocks}


def _block(block: Block, drawn: bool) -> dict[str, Any]:
    result = {field.name: getattr(block, field.name) for field in fields(block)}
    if isinstance(block, Table):
        result["columns"] = [asdict(column) for column in block.columns]
    elif isinstance(block, Figure):
        del result["draw"]
        if drawn:
            result["drawings"] = block.drawings
    return result | {"kind": type(block).__name__.lower(), "evidence": _evidence(block.evidence)}


def _evidence(evidence: Evidence | None) -> dict[str, Any] | None:
    if evidence is None:
        return None
    return {"words": evidence.words, "filter": evidence.display_filter, "frames": ranges(evidence.frames)}


def _print(block: dict[str, Any], drawings: dict[str, str], filters: list[str]) -> None:
    """Makes one block fit for paper: drawings become files, long filters are collected, every word can be broken."""
    evidence = block["evidence"]
    if evidence is not None:
        del evidence["frames"]
        if len(evidence["filter"]) > _LONGEST_FILTER:
            if evidence["filter"] not in filters:
                filters.append(evidence["filter"])
            evidence["words"] += f" — {_name(filters.index(evidence['filter']))} in the appendix"
            evidence["filter"] = ""
    if block["kind"] == "figure":
        svgs = block.pop("drawings")
        block["files"] = [f"drawing{len(drawings) + index}.svg" for index in range(len(svgs))]
        drawings.update(zip(block["files"], svgs, strict=True))
    elif block["kind"] == "table":
        code = [column["code"] for column in block["columns"]]
        block["rows"] = [
            [_breakable(cell if same else bound(cell)) for cell, same in zip(row, code, strict=True)]
            for row in block["rows"]
        ]
    for name in ("text", "caption"):
        if name in block:
            block[name] = bound(block[name])


def bound(text: str) -> str:
    """The text with spaces that do not break between numbers and their units; code is left as it is."""
    parts = text.split("`")
    return "`".join(part if index % 2 else _UNIT.sub("\u00a0", part) for index, part in enumerate(parts))


def _breakable(text: str) -> str:
    """The text with places to break in words that no line can hold."""
    return re.sub(rf"\S{{{_LONGEST_WORD}}}(?=\S)", lambda found: found[0] + "\u200b", text)
