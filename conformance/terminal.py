"""What a person sees while the suite runs, and after: progress, failures first, last the figures."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from typing import TextIO

from pychat.spec import Spec

from .frames import quote
from .record import counts, figures, rules_covered
from .verdict import Result, Verdict
from .wire import Entry

FULL = 12  # failures that are shown whole; of the others one line
SHOWN = 16  # entries of a transcript
COLOURS = {"good": "32", "bad": "31", "open": "33", "dim": "2", "bold": "1"}
KIND = {"cell": "cells", "play": "plays", "scene": "scenes", "walk": "walks"}


class Terminal:
    """Writes to `out`; progress goes to `err` and only if it is a terminal."""

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None, *, colour: bool | None = None) -> None:
        self.out, self.err = out or sys.stdout, err or sys.stderr
        self.colour = self.out.isatty() if colour is None else colour
        self._live = self.err.isatty()
        self._done = self._bad = 0
        self._shown = 0.0

    def paint(self, kind: str, text: str) -> str:
        return f"\x1b[{COLOURS[kind]}m{text}\x1b[0m" if self.colour else text

    def say(self, text: str = "") -> None:
        self.out.write(text + "\n")

    def progress(self, result: Result, planned: int) -> None:
        self._done += 1
        self._bad += result.verdict.bad
        now = time.monotonic()
        if self._live and (now - self._shown > 0.1 or self._done == planned):
            self._shown = now
            failed = f", {self._bad} failed" if self._bad else ""
            self.err.write(f"\r\x1b[K{self._done}/{planned} {result.key[:60]}{failed}")
            self.err.flush()

    def close_progress(self) -> None:
        if self._live:
            self.err.write("\r\x1b[K")
            self.err.flush()

    def summary(self, spec: Spec, results: Sequence[Result], *, of: str, seconds: float, stale: Sequence[str]) -> None:
        """Failures first, then what was not asked, last the figures."""
        failed = [r for r in results if r.verdict in (Verdict.FAIL, Verdict.XPASS, Verdict.ERROR)]
        by_id: dict[str, list[Result]] = {}
        for result in failed:
            by_id.setdefault(result.id, []).append(result)
        for index, some in enumerate(by_id.values()):
            if index < FULL:
                self._failure(spec, some)
            else:
                verdict = self.paint("bad", some[0].verdict.value.upper())
                self.say(f"{verdict} {' '.join(r.key for r in some)}  {some[0].words[:100]}")
        if len(by_id) > FULL:
            self.say()
        for verdict in (Verdict.BLOCKED, Verdict.NOT_TESTED, Verdict.XFAIL, Verdict.NONSTRICT):
            self._short(verdict, [r for r in results if r.verdict is verdict])
        for key in stale:
            self.say(
                f"{self.paint('bad', 'STALE')} {key}: the list of known failures has it, but there is no such case"
            )
        self._figures(spec, results, of, seconds)

    def _failure(self, spec: Spec, some: Sequence[Result]) -> None:
        """A case that failed, in the first of the ways in which its octets were cut."""
        result = some[0]
        self.say(
            f"{self.paint('bad', result.verdict.value.upper())} {self.paint('bold', result.key)}  {result.title[:100]}"
        )
        rule = spec.rules[result.rule]
        self.say(f"    {rule.id} {rule.level}  {rule.text}")
        for entry in result.entries[-SHOWN:]:
            self.say(self.paint("dim", "      " + line(entry)))
        if result.step:
            self.say(f"    step    {result.step[:200]}")
        if result.wanted or result.got:
            self.say(f"    wanted  {self.paint('good', quote(result.wanted.encode()))}")
            self.say(f"    got     {self.paint('bad', quote(result.got.encode()))}")
        if result.note:
            self.say(f"    note    {result.note}")
        for text in result.stderr.splitlines()[-5:]:
            self.say(self.paint("dim", f"    stderr  {text[:160]}"))
        if len(some) > 1:
            self.say(f"    also    {', '.join(other.key for other in some[1:])}")
        if result.replay:
            self.say(f"    replay  {result.replay}")
        self.say()

    def transcript(self, result: Result) -> None:
        """What passed in a case."""
        self.say(f"{self.paint('good', result.verdict.value.upper())} {result.key}  {result.title[:100]}")
        for entry in result.entries:
            self.say(self.paint("dim", "      " + line(entry)))
        self.say()

    def _short(self, verdict: Verdict, results: Sequence[Result]) -> None:
        """One line for each reason, with an example, so that a hundred alike do not hide the rest."""
        by_note: dict[str, list[Result]] = {}
        for result in results:
            words = result.words or result.note
            by_note.setdefault(re.sub("[0-9]+", "0", words), []).append(result)  # unique names are no reasons
        for some in list(by_note.values())[:10]:
            words = some[0].words or some[0].note
            more = f" and {len(some) - 1} more" if len(some) > 1 else ""
            self.say(f"{self.paint('open', verdict.value)} {some[0].key}{more}: {words[:160]}")
        if len(by_note) > 10:
            self.say(f"{self.paint('open', verdict.value)} … {len(by_note) - 10} more reasons")

    def _figures(self, spec: Spec, results: Sequence[Result], of: str, seconds: float) -> None:
        parts = []
        for kind, numbers in figures(results).items():
            all_, exercised, passed = numbers["all"], numbers["exercised"], numbers["passed"]
            parts.append(f"{KIND[kind]} {exercised}/{all_} exercised, {passed} passed")
        covered, open_ = rules_covered(spec, results, of)
        parts.append(f"rules {len(covered)}/{len(covered) + len(open_)}")
        self.say(" | ".join(parts) + f" | {seconds:.1f} s")
        if open_ and len(covered) > len(open_):
            self.say(f"rules not exercised: {', '.join(open_)}")
        total = ", ".join(f"{number} {verdict}" for verdict, number in counts(results).items())
        good = all(result.verdict.good or not result.verdict.ran for result in results)
        self.say(self.paint("good" if good else "bad", total or "nothing ran"))


def line(entry: Entry) -> str:
    """A line of a transcript: `a > CHAT bob`."""
    shown = quote(entry.octets, 120) if entry.octets else entry.text
    if entry.octets and entry.text:
        shown += f"  ({entry.text})"
    marks = {">|": "> (end of stream)", "<|": "< (end of stream)", ">!": "> (reset)", "<!": "< (reset)", "#": "#"}
    return f"{entry.ms:9.1f} ms  {entry.who} {marks.get(entry.mark, entry.mark)} {shown}".rstrip()
