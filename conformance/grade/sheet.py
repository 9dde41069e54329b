"""The CSV of a course (RFC 4180): one line for each submission, with a pair of columns for each group of rules."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from conformance.oracle.frames import visible

from .marks import Mark

FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def make(marks: Sequence[Mark]) -> str:
    """The sheet as text."""
    groups = list(dict.fromkeys(name for mark in marks for name in mark.groups))
    head = ["submission", "verdict", "points", "passed", "failed", "cases"]
    head += [f"{group} {word}" for group in groups for word in ("passed", "failed")]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow([*head, "seconds", "note"])
    for mark in marks:
        numbers = [number for group in groups for number in mark.groups.get(group, ("", ""))]
        row = [mark.submission, mark.verdict, mark.points, mark.passed, mark.failed, mark.planned, *numbers]
        rows.writerow([cell(value) for value in (*row, mark.seconds, mark.note)])
    return text.getvalue()


def cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula: it begins with an apostrophe where it would be one."""
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if text.startswith(FORMULAS) else text
