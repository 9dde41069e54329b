"""Reports of a run, each made from its record. Each file in this folder is a format: its name, and `make`.

A new format is one new file with `make(record) -> str`. With `SO_FAR = True` in it, it is also written after every
case. The format `json` is the record itself, written line by line.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import IO, Any

import click

from conformance.results.record import Record, written

Maker = Callable[[Record], str]
RECORD = "json"
KINDS = (RECORD, *sorted(module.name for module in pkgutil.iter_modules(__path__)))


def maker(kind: str) -> Maker:
    """The function that makes this kind of report."""
    made: Maker = attrgetter("text") if kind == RECORD else _format(kind).make
    return made


def _format(kind: str) -> Any:
    return importlib.import_module(f".{kind}", __name__)


def wanted(options: Sequence[str]) -> list[tuple[str, Path]]:
    """`KIND=FILE` as pairs. Raises click.UsageError (exit code 2) for what is not of this form."""
    pairs = []
    for option in options:
        kind, equals, name = option.partition("=")
        if not equals or not name or kind not in KINDS:
            raise click.UsageError(f"--report {option}: it is KIND=FILE, and there are {', '.join(KINDS)}")
        pairs.append((kind, Path(name)))
    return pairs


@dataclass
class Reports:
    """The reports of a run that goes on. What cannot be written is said before it begins."""

    header: dict[str, Any]
    files: list[tuple[str, Path]]
    lines: list[dict[str, Any]] = field(default_factory=list)
    record: IO[str] | None = None

    @classmethod
    def open(cls, options: Sequence[str], header: dict[str, Any]) -> Reports:
        """Raises click.UsageError when a report cannot be written."""
        reports = cls(header, wanted(options))
        for kind, path in reports.files:
            try:
                if kind == RECORD:
                    reports.record = path.open("w", encoding="utf-8")
                else:
                    new = not path.exists()
                    path.open("a", encoding="utf-8").close()
                    if new:
                        path.unlink()
            except OSError as error:
                raise click.UsageError(f"the report {path} cannot be written: {error.strerror}") from None
        reports._write_line(header)
        reports._write_so_far()
        return reports

    def add(self, line: dict[str, Any]) -> None:
        self.lines.append(line)
        self._write_line(line)
        self._write_so_far()

    def finish(self, footer: dict[str, Any]) -> None:
        """The run is whole: every report is written."""
        self._write_line(footer)
        self.abandon()
        record = Record(self.header, self.lines, footer)
        for kind, path in self.files:
            if kind != RECORD:
                replace(path, maker(kind)(record))

    def abandon(self) -> None:
        """The run was cut short: the record stays without its footer."""
        if self.record is not None:
            self.record.close()
            self.record = None

    def _write_line(self, line: dict[str, Any]) -> None:
        if self.record is not None:
            self.record.write(written(line))
            self.record.flush()

    def _write_so_far(self) -> None:
        for kind, path in self.files:
            if kind != RECORD and getattr(_format(kind), "SO_FAR", False):
                replace(path, maker(kind)(Record(self.header, self.lines)))


def replace(path: Path, text: str) -> None:
    """Writes a file in one step: a reader sees the old one or the new one."""
    beside = path.with_name(f".{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
