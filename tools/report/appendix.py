"""Moves long tables out of the text: it keeps their first rows, an appendix has all of them. Knows no packet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .document import Block, Section, Table

_LONGEST = 16  # rows of a table that stays in the text
_KEPT = 10  # rows that the text keeps of a longer one


def with_appendix(sections: Sequence[Section]) -> list[Section]:
    """The sections with short tables, and an appendix with the whole ones where there were any."""
    tables = sum(isinstance(block, Table) for section in sections for block in section.blocks)
    moved: list[Block] = []
    number = 0
    kept = []
    for section in sections:
        blocks: list[Block] = []
        for block in section.blocks:
            if isinstance(block, Table):
                number += 1
                if len(block.rows) > _LONGEST:
                    moved.append(replace(block, caption=f"All rows of Table {number}: {block.caption}"))
                    block = _shortened(block, tables + len(moved))
            blocks.append(block)
        kept.append(replace(section, blocks=blocks))
    if moved:
        kept.append(Section("Appendix: complete tables", moved))
    return kept


def _shortened(table: Table, whole: int) -> Table:
    """The first rows of a table, and where the others are."""
    words = f"{table.caption}. The first {_KEPT} of {len(table.rows)} rows; Table {whole} (appendix) has all of them"
    return replace(table, caption=words, rows=table.rows[:_KEPT])
