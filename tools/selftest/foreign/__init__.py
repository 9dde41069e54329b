"""Mutants by other hands: programs written from the page alone, in other languages, each broken in many ways.

Each folder here is a set: a correct program, and `mutants.yaml`, which says how it is started and what each mutant
changes in its source. Its makers had seen neither the cases nor the results; `first_run` has what the judge found
before its authors saw the set.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from conformance.engine import programs
from conformance.engine.target import Command
from tools.selftest.mutants.mutant import Mutant
from tools.selftest.subjects import Side

HERE = Path(__file__).parent
DATA = "mutants.yaml"


class SetError(Exception):
    """A set that cannot be used; says which, and why."""


@dataclass(frozen=True)
class Change:
    """What a mutant changes: texts that stand once in the source, each with what stands there instead.

    `rule` is what it breaks; `unseen` says why no client and no server can see it, if that is so.
    """

    name: str
    breaks: str
    rule: str
    edits: tuple[tuple[str, str], ...]
    unseen: str = ""

    @property
    def mutant(self) -> Mutant[Any]:
        return Mutant(self.name, f"{self.breaks} ({self.rule})")


@dataclass(frozen=True)
class Foreign:
    """A set. `command` has `{program}` for the file, which `build` may make of the source; `needs` are commands."""

    name: str
    side: Side
    language: str
    source: Path
    command: str
    build: str
    needs: tuple[str, ...]
    first_run: str
    changes: tuple[Change, ...] = field(repr=False)

    @contextmanager
    def started_with(self, change: Change | None) -> Iterator[Command]:
        """The correct program, or a mutant, ready to be started. Raises SetError."""
        text = self.source.read_text(encoding="utf-8")
        for old, new in change.edits if change else ():
            if text.count(old) != 1:
                raise SetError(f"{self.name}: {change and change.name}: {text.count(old)} places have {old[:60]!r}")
            text = text.replace(old, new)
        missing = [name for name in self.needs if shutil.which(name) is None]
        if missing:
            raise SetError(f"{self.name} needs {', '.join(missing)}, which this machine does not have")
        with programs.folder("pychat-foreign-") as folder:
            program = folder / self.source.name
            program.write_text(text, encoding="utf-8")
            words = {"{program}": str(program), "{folder}": str(folder)}
            if self.build and programs.run([_filled(word, words) for word in shlex.split(self.build)]).returncode:
                raise SetError(f"{self.name}: {change.name if change else 'the correct program'} cannot be built")
            yield Command(" ".join(shlex.quote(_filled(word, words)) for word in shlex.split(self.command)))


def sets() -> dict[str, Foreign]:
    """All sets, by their names."""
    return {path.parent.name: _read(path) for path in sorted(HERE.glob(f"*/{DATA}"))}


def _read(path: Path) -> Foreign:
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    changes = tuple(
        Change(
            entry["id"],
            entry["doc"],
            entry["rule"],
            tuple((edit["find"], edit["replace"]) for edit in entry["edits"]),
            entry.get("unseen", ""),
        )
        for entry in data["mutants"]
    )
    return Foreign(
        path.parent.name,
        data["side"],
        data["language"],
        path.parent / data["source"],
        data["command"],
        data.get("build", ""),
        tuple(data["needs"]),
        data.get("first_run", "not judged yet"),
        changes,
    )


def _filled(word: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        word = word.replace(name, value)
    return word
