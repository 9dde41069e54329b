"""The output at a terminal: progress while the suite runs, then the failures, then the figures."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Sequence
from typing import TextIO

from conformance.cases.play import LEGEND
from conformance.engine.target import excerpt
from conformance.engine.verdict import Result, Verdict
from conformance.engine.wire import Entry
from conformance.oracle.frames import quote, shortened, visible
from pychat.spec import Spec
from pychat.startup import called

from .record import NOT_JUDGED, counts, figures, judgement, messages_of, place, rules_covered

FULL = 12  # failures that are shown whole; of the others one line …
BRIEF = 30  # … but not of more than these
LONG = 10  # seconds of waiting that are worth a hint
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
        by_id: dict[str, list[Result]] = {}
        for result in sorted(failed, key=lambda result: _order(spec, result)):
            by_id.setdefault(result.id, []).append(result)
        whole = examples([some[0] for some in by_id.values()])
        for example in whole:
            self._failure(spec, by_id.pop(example.id))
        self._brief(list(by_id.values()))
        if failed:
            self.say(self.paint("dim", f"{LEGEND[of]}\n`{program()} explain ID` says what is right, and why.\n"))
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

    def _failure(self, spec: Spec, some: Sequence[Result]) -> None:
        """A case that failed, with the transcript of the first of the ways in which its octets were cut."""
        result = some[0]
        self.say(
            f"{self.paint('bad', result.verdict.value.upper())} {self.paint('bold', result.key)}  {result.title[:100]}"
        )
        rule = spec.rules[result.rule]
        self.say(f"    {rule.id} {rule.level}  {visible(rule.text)}")
        for entry in result.entries[-SHOWN:]:
            self.say(self.paint("dim", "      " + line(entry)))
        for name, kind in (("step", ""), ("wanted", "good"), ("got", "bad"), ("note", "")):
            text = shortened(getattr(result, name), 600)
            if text:
                self.say(f"    {name:6}  {self.paint(kind, text) if kind else text}")
        for text in excerpt(result.stderr, 7, 4).split("\n") if result.stderr else ():
            self.say(self.paint("dim", f"    stderr  {text[:160]}"))
        if len(some) > 1:
            self.say(f"    also    {_segments(some[1:])}")
        if result.replay:
            self.say(f"    replay  {result.replay}")
        self.say()

    def _brief(self, rest: Sequence[Sequence[Result]]) -> None:
        """A line for each of the other cases that failed, but not for hundreds."""
        for some in rest[:BRIEF]:
            result, segments = some[0], _segments(some)
            cut = "" if segments == "whole" else f" [{segments}]"
            verdict = self.paint("bad", result.verdict.value.upper())
            self.say(f"{verdict} {result.id}{cut} {result.rule}  {shortened(result.words, 100)}")
        if len(rest) > BRIEF:
            self.say(f"… and {len(rest) - BRIEF} more cases: --report html=report.html shows each")
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
            reason = re.sub("[0-9]+", "0", result.words)  # the numbers in unique names are no reason
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
        total = ", ".join(f"{number} {verdict}" for verdict, number in counts(results).items())
        self.say(total or "nothing ran")


def program() -> str:
    """How this program was called, so that a command can be pasted."""
    return called("pychat-conformance", "conformance")


def _order(spec: Spec, result: Result) -> tuple[bool, tuple[int, int]]:
    """The barrier's cases come first, since it proves everything else; then state by state."""
    messages = messages_of(spec)
    return result.id.split("/")[1] != messages[0], place(result.id, [*spec.live_states, spec.final], messages)


def examples(failures: Sequence[Result]) -> list[Result]:
    """The most useful failures, at most FULL: one for each rule that a step broke, each rule, each cause."""
    chosen: list[Result] = []
    plain = [failure for failure in failures if failure.broken]
    alike: Sequence[tuple[Sequence[Result], Callable[[Result], object]]] = (
        (plain, lambda r: r.rule), (failures, lambda r: r.rule), (failures, lambda r: re.sub("[0-9]+", "0", r.got)),
        (failures, id),
    )  # fmt: skip
    for some, likeness in alike:
        for failure in some:
            if len(chosen) < FULL and likeness(failure) not in map(likeness, chosen):
                chosen.append(failure)
    return [failure for failure in failures if any(failure is other for other in chosen)]


def _segments(some: Sequence[Result]) -> str:
    """The ways in which their octets were cut."""
    return ", ".join(result.segment for result in some)


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
