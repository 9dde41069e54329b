"""The output at a terminal: progress while the suite runs, then the failures, then the figures."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from typing import TextIO

from conformance.cases.play import LEGEND
from conformance.engine.target import excerpt
from conformance.engine.verdict import Result, Verdict
from conformance.engine.wire import Entry
from conformance.oracle.frames import quote, shortened, visible
from pychat.spec import Spec
from pychat.startup import called

from .causes import Cause, facts_of_result, grouped
from .record import NOT_JUDGED, counts, figures, judgement, rules_covered

FULL = 12  # causes that are shown whole; of the others one line …
BRIEF = 30  # … but not of more than these
NAMED = 6  # other cases of a cause that are named
CUTS = {  # how the octets of a case are cut, for a person
    "octet": "one octet at a time", "coalesced": "in one segment with the lines before and after it",
    "random": "at random places",
}  # fmt: skip
LONG = 10  # seconds of waiting that are worth a hint
TELL = 30.0  # seconds between two lines about the progress, where there is no terminal
SHOWN = 16  # entries of a transcript
COLOURS = {"good": "32", "bad": "31", "open": "33", "dim": "2", "bold": "1"}
KIND = {"cell": "cells", "play": "plays", "scene": "scenes", "walk": "walks"}


class Terminal:
    """Writes to `out`; progress goes to `err`: at once if it is a terminal, else a line now and then."""

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None, *, colour: bool | None = None) -> None:
        self.out, self.err = out or sys.stdout, err or sys.stderr
        self.colour = self.out.isatty() if colour is None else colour
        self._live = self.err.isatty()
        self._done = self._bad = 0
        self._shown, self._told = 0.0, time.monotonic()

    def paint(self, kind: str, text: str) -> str:
        return f"\x1b[{COLOURS[kind]}m{text}\x1b[0m" if self.colour else text

    def say(self, text: str = "") -> None:
        self.close_progress()
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
        elif not self._live and now - self._told > TELL:
            self._told = now
            self.err.write(f"{self._done} of {planned} cases, {self._bad} failed\n")
            self.err.flush()

    def close_progress(self) -> None:
        if self._shown:
            self._shown = 0.0
            self.err.write("\r\x1b[K")
            self.err.flush()

    def summary(
        self, spec: Spec, results: Sequence[Result], *, of: str, seconds: float, stale: Sequence[str], code: int,
        patience: float = 0.0,
    ) -> None:  # fmt: skip
        """Failures first, then what was not tested and why, then the figures; the conclusion is the last line."""
        failed = [r for r in results if r.verdict in (Verdict.FAIL, Verdict.XPASS, Verdict.ERROR)]
        causes = grouped(failed, lambda result: facts_of_result(spec, result))
        for number, cause in enumerate(causes[:FULL], 1):
            self._cause(spec, cause, f"{number} of {len(causes)}" if len(causes) > 1 else "")
        self._brief(causes[FULL:])
        if failed:
            self.say(self.paint("dim", f"{LEGEND[of]}\n"))
        for verdict in (
            Verdict.BLOCKED, Verdict.NOT_TESTED, Verdict.NOT_APPLICABLE, Verdict.XFAIL, Verdict.NONSTRICT,
        ):  # fmt: skip
            self._short(verdict, [r for r in results if r.verdict is verdict])
        for key in stale:
            words = "the list of known failures has it, but there is no such case"
            self.say(f"{self.paint('bad', 'STALE')} {visible(key)}: {words}")
        if patience and sum(r.ms for r in failed if r.ms >= patience * 1000) > max(LONG, seconds / 2) * 1000:
            self.say("most of the time was waiting for signs of life: --patience 1 waits less, --fail-fast stops early")
        self._figures(spec, results, of, seconds)
        says = conclusion(spec, results, of=of, code=code, stale=len(stale))
        self.say(self.paint("bold", self.paint("good" if code == 0 else "bad", says)))

    def _cause(self, spec: Spec, cause: Cause[Result], number: str) -> None:
        """A cause: its simplest case whole, the others by their ids."""
        result, others = cause.example, cause.cases[1:]
        head = (
            f"{self.paint('bad', result.verdict.value.upper())} {self.paint('bold', result.key)}  {result.title[:100]}"
        )
        self.say(head + (self.paint("dim", f"  [cause {number}]") if number else ""))
        rule = spec.rules[result.rule]
        self.say(f"    rule    {rule.id} {rule.level}  {visible(rule.text)}")
        if result.segment in CUTS:
            self.say(
                f"    cut     {result.segment}: what is judged is sent {CUTS[result.segment]}; sent whole, it passes"
            )
        for entry in result.entries[-SHOWN:]:
            self.say(self.paint("dim", "      " + line(entry)))
        for name, kind in (("step", ""), ("wanted", "good"), ("got", "bad"), ("note", "")):
            text = shortened(getattr(result, name), 600)
            if text:
                self.say(f"    {name:6}  {self.paint(kind, text) if kind else text}")
        for text in excerpt(result.stderr, 7, 4).split("\n") if result.stderr else ():
            self.say(self.paint("dim", f"    stderr  {text[:160]}"))
        if others:
            ids = ", ".join(other.id for other in others[:NAMED])
            more = f", and {len(others) - NAMED} more" if len(others) > NAMED else ""
            self.say(f"    same cause: {len(others) + 1} cases, also {ids}{more}")
        if result.replay:
            self.say(f"    replay  {result.replay}")
        self.say(f"    learn   {program()} explain {result.id}")
        self.say()

    def _brief(self, rest: Sequence[Cause[Result]]) -> None:
        """A line for each of the other causes, but not for hundreds."""
        for cause in rest[:BRIEF]:
            result, number = cause.example, len(cause.cases)
            verdict = self.paint("bad", result.verdict.value.upper())
            more = f" and {number - 1} more" if number > 1 else ""
            self.say(f"{verdict} {result.key}{more} {result.rule}  {shortened(result.words, 100)}")
        if len(rest) > BRIEF:
            self.say(f"… and {len(rest) - BRIEF} more causes: --report html=report.html shows each case")
        if rest:
            self.say()

    def transcript(self, result: Result) -> None:
        """What passed in a case."""
        self.say(f"{self.paint('good', result.verdict.value.upper())} {result.key}  {result.title[:100]}")
        for entry in result.entries:
            self.say(self.paint("dim", "      " + line(entry)))
        self.say()

    def _short(self, verdict: Verdict, results: Sequence[Result]) -> None:
        """One line for each reason, with an example, so that many of one reason do not hide the others."""
        by_note: dict[str, list[Result]] = {}
        for result in results:
            reason = result.cause or re.sub("[0-9]+", "0", result.words)  # the numbers in unique names are no reason
            by_note.setdefault(reason, []).append(result)
        for some in list(by_note.values())[:10]:
            words = some[0].words.replace("\n", " / ")
            more = f" and {len(some) - 1} more" if len(some) > 1 else ""
            self.say(f"{self.paint('open', verdict.value)} {some[0].key}{more}: {shortened(words, 160)}")
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
        for rule in NOT_JUDGED.keys() & {rule.id for rule in spec.rules.values() if rule.of in (of, "both")}:
            self.say(f"not judged: {rule}, which {NOT_JUDGED[rule]}")
        ids = len({result.id for result in results if result.verdict is Verdict.FAIL})
        totals = [
            f"{number} {verdict}" + (f" (of {ids} cases)" if verdict == Verdict.FAIL and ids < number else "")
            for verdict, number in counts(results).items()
        ]
        total = ", ".join(totals)
        self.say(total or "nothing ran")


def program() -> str:
    """How this program was called, so that a command can be pasted."""
    return called("pychat-conformance", "conformance")


def conclusion(spec: Spec, results: Sequence[Result], *, of: str, code: int, stale: int) -> str:
    """The verdict in one line: what the exit code says, what it leaves out, and what was not looked at."""
    failed = [result for result in results if result.verdict is Verdict.FAIL]
    counted = [(level, len({r.id for r in failed if r.level == level})) for level in ("MUST", "SHOULD", "MAY")]
    parts = [f"{number} {level} failed" for level, number in counted if number]
    parts += [f"{number} known failures {how}" for number, how in (
        (sum(r.verdict is Verdict.XPASS for r in results), "passed"), (stale, "have no case"),
    ) if number]  # fmt: skip
    blocked = sum(result.verdict is Verdict.BLOCKED for result in results)
    parts += [f"{blocked} blocked"] if blocked else []
    busy = sum(result.excused for result in results)
    parts += [f"{busy} not tested, since the machine was too slow: run it again"] if busy else []
    open_ = len(rules_covered(spec, results, of)[1])
    parts += [f"{open_} rules not exercised"] if open_ else []
    joint = ", but " if code == 0 else ": "
    return judgement(code) + (joint + ", ".join(parts) if parts else "")


def line(entry: Entry) -> str:
    """A line of a transcript: `a > CHAT bob`."""
    shown = quote(entry.octets, 120) if entry.octets else entry.text
    if entry.octets and entry.text:
        shown += f"  ({entry.text})"
    marks = {">|": "> (end of stream)", "<|": "< (end of stream)", ">!": "> (reset)", "<!": "< (reset)", "#": "#"}
    return f"{entry.ms:9.1f} ms  {entry.who} {marks.get(entry.mark, entry.mark)} {shown}".rstrip()
