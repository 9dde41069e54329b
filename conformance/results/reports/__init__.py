"""Reports of a run, each made from its record. `json` is the record itself, written line by line."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import click

from conformance.results.record import Record

Maker = Callable[[Record], str]
KINDS = ("json", "junit", "md", "badge", "gradescope", "html")


def maker(kind: str) -> Maker:
    """The function that makes this kind of report."""
    import importlib

    made: Maker = importlib.import_module(f".{kind}", __name__).make
    return made


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
                if kind == "json":
                    reports.record = path.open("w", encoding="utf-8")
                else:
                    new = not path.exists()
                    path.open("a", encoding="utf-8").close()
                    if new:
                        path.unlink()
            except OSError as error:
                raise click.UsageError(f"the report {path} cannot be written: {error.strerror}") from None
        reports._write_line(header)
        reports._grade()
        return reports

    def add(self, line: dict[str, Any]) -> None:
        self.lines.append(line)
        self._write_line(line)
        self._grade()

    def finish(self, footer: dict[str, Any]) -> None:
        """The run is whole: every report is written."""
        self._write_line(footer)
        self.abandon()
        record = Record(self.header, self.lines, footer)
        for kind, path in self.files:
            if kind != "json":
                replace(path, maker(kind)(record))

    def abandon(self) -> None:
        """The run was cut short: the record stays without its footer."""
        if self.record is not None:
            self.record.close()
            self.record = None

    def _write_line(self, line: dict[str, Any]) -> None:
        if self.record is not None:
            import json

            self.record.write(json.dumps(line, ensure_ascii=False) + "\n")
            self.record.flush()

    def _grade(self) -> None:
        """Points so far, after every case: a crash or a time-out of the grader leaves the earned ones."""
        for kind, path in self.files:
            if kind == "gradescope":
                replace(path, maker(kind)(Record(self.header, self.lines)))


def replace(path: Path, text: str) -> None:
    """Writes a file in one step: who reads it sees the old one or the new one."""
    beside = path.with_name(f".{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
