"""The list of known failures. A case on it may fail with these words only; one that passes must be taken off it.

A line is `ID words of the failure`; lines that begin with `#` and empty lines are skipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from conformance.engine.verdict import Result, Verdict
from conformance.oracle.frames import visible


class KnownError(Exception):
    """A file that is not a list of known failures; says file, line and reason."""


@dataclass
class Known:
    """Words by the key of the case that fails with them."""

    entries: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Known:
        """Raises OSError when it cannot be read, KnownError when a line is not of the form."""
        entries: dict[str, str] = {}
        for number, line in enumerate(path.read_bytes().decode("utf-8").split("\n"), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            key, _, words = line.strip().partition(" ")
            if not words.strip():
                raise KnownError(f"{path}:{number}: {key} needs the words of its failure after it")
            if key in entries:
                raise KnownError(f"{path}:{number}: {key} stands twice")
            entries[key] = visible(words.strip())  # as the failure's own words are
        return cls(entries)

    def judge(self, result: Result) -> Result:
        """The result as the list changes it."""
        words = self.entries.get(result.key)
        if words is None:
            return result
        if result.verdict is Verdict.FAIL and words in result.words:
            result.verdict = Verdict.XFAIL
        elif result.verdict is Verdict.FAIL:
            result.note = f"known to fail, but with the words: {words}"
        elif result.verdict.good:
            result.verdict = Verdict.XPASS
            result.note = f"known to fail with `{words}`, but it passes: take it off the list"
        return result

    def stale(self, planned: Iterable[str]) -> list[str]:
        """The entries for which there is no case at all."""
        return sorted(set(self.entries) - set(planned))
