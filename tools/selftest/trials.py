"""Judges one side: the correct implementations must pass, and each mutant must fail.

A mutant is judged until the first case that fails (`killer`) and fails again when it runs again, so that no accident
counts as a kill. Nor does a crash: a mutant must fail because of what is broken in it. Cases near to that run first. A
mutant that passes everything has survived: either the suite lacks a case, or nothing can show the change, and then
`EQUIVALENT` says why. Knows no verb and no state.
"""

from __future__ import annotations

import fnmatch
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from conformance.cases.case import Case
from conformance.engine import programs
from conformance.engine.conditions import wait_until_calm
from conformance.engine.target import Command, StartError
from conformance.engine.verdict import Result, Verdict
from conformance.oracle.probe import barrier_verb
from conformance.run import Options, run_suite
from conformance.suite import client_cases, server_cases
from pychat.spec import Spec

from .mutants.mutant import Mutant
from .subjects import Side, command, subjects

PATIENCE = 2.0  # seconds; a mutant that answers nothing costs them once
CALM_SECONDS = 10.0  # that a failure waits for a machine that is not late, before it is confirmed
OFTEN = 3  # cases that fail once each, and not again: a mistake that depends on chance
BLOCKED_ENOUGH = 4  # cases that could not be asked, after which the others of their kind are not asked
EQUIVALENT = {  # the mutants whose change nothing can show, each with the reason
    "codes-compared": "no server may send a code that is not in the spec's tables, so no rule says what comes of it",
}


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a mutant: the first result that failed, or what is known of why none did."""

    mutant: Mutant[Any]
    killer: Result | None
    asked: int
    seconds: float
    note: str = ""

    @property
    def equivalent(self) -> str:
        """Why nothing can show the change, if that is so."""
        return "" if self.killer else EQUIVALENT.get(self.mutant.name, "")


@dataclass(slots=True)
class Outcome:
    """Everything that a self-test has found about one side."""

    side: Side
    subjects: dict[str, list[Result]]
    trials: list[Trial]
    seconds: float

    @property
    def survivors(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.killer is None and not trial.equivalent]

    @property
    def good(self) -> bool:
        return not self.survivors and not any(wrong(results) for results in self.subjects.values())


def wrong(results: Iterable[Result]) -> list[Result]:
    """What no correct implementation may get; what was not tested is not green, but it is counted apart."""
    untested = (Verdict.NOT_TESTED, Verdict.NOT_APPLICABLE)
    return [result for result in results if not result.verdict.good and result.verdict not in untested]


def batches(cases: Sequence[Case], mutant: Mutant[Any], first: str = "") -> list[list[Case]]:
    """The cases in the order in which they are likely to kill: near to the change, the plays, the rest, the slow ones.

    Where nothing is known of the change they are mixed, and those that wait for timers come later. `first` is a
    pattern; one case of it comes before all: that of the barrier, without which nothing can be asked.
    """
    if not mutant.near:
        mixed = Random(mutant.name).sample(cases, len(cases))  # those that look at one thing lie together
        ordered = sorted(mixed, key=lambda case: (not fnmatch.fnmatchcase(case.id, first), case.segment != "whole"))
        split = [[case for case in ordered if (case.lane == "quick") == timed] for timed in (False, True)]
        return [batch for batch in split if batch]
    near = {case.key for case in cases if mutant.near and fnmatch.fnmatchcase(case.id, mutant.near)}
    quickly = {case.key for case in cases if case.key in near and not case.slow} or near
    begin = next((case.key for case in cases if first and fnmatch.fnmatchcase(case.id, first)), "")
    found: list[list[Case]] = [[], [], [], [], []]
    for case in sorted(cases, key=lambda case: case.key != begin):
        if case.key == begin:
            place = 0 if quickly else 1
        elif case.key in quickly and case.segment == "whole":
            place = 0
        elif case.slow:
            place = 4 if case.lane == "quick" else 3
        else:
            place = 1 if case.kind == "play" and case.segment == "whole" else 2
        found[place].append(case)
    return [batch for batch in found if batch]


def try_mutant(
    side: Side,
    mutant: Mutant[Any],
    cases: Sequence[Case],
    spec: Spec,
    spec_file: Path | None = None,
    target: Command | None = None,
) -> Trial:
    """Judges a mutant until a case fails twice. A case that could not be asked kills no mutant.

    `target` is how it is started, if it is none of the mutable programs: then a crash is what its mistake has led to.
    """
    ours = target is None
    started = time.monotonic()
    target = target or Command(command(side, mutant.name, changed=spec_file is not None))
    options = Options(jobs=1, fail_fast=True, patience=PATIENCE, spec_file=spec_file)
    asked = blocked = 0
    once: list[str] = []
    untested: list[str] = []

    def ends(killer: Result | None = None, note: str = "") -> Trial:
        return Trial(mutant, killer, asked, time.monotonic() - started, note)

    first = f"{spec.initial}/{barrier_verb(spec)}/*" if side == "server" else ""
    for batch in batches(cases, mutant, first):
        waiting = {case.key: case for case in batch}
        for _ in range(BLOCKED_ENOUGH):
            try:
                results = run_suite(target, list(waiting.values()), options, spec=spec)
                asked += len(results)
                failed = [result for result in results if result.verdict.bad]
                for killer in failed:  # a failure that is not there again was none of the mutant
                    once.append(killer.key)
                    again = killer.confirmed or _fails_again(target, waiting[killer.key], options, spec)
                    if again or len(once) >= OFTEN:
                        crashed = ours and "Traceback (most recent call last)" in killer.stderr
                        return ends(note=f"it crashed: {killer.stderr.strip()}") if crashed else ends(killer)
            except StartError as error:
                return ends(note=f"it would not start: {error}")
            bug = next((result for result in results if result.verdict is Verdict.ERROR), None)
            if bug is not None:
                return ends(note=f"the suite failed: {bug.key}: {bug.note}")
            for result in results:
                if not result.excused:
                    del waiting[result.key]
            if not waiting:
                break
            if any(result.excused for result in results):
                wait_until_calm(CALM_SECONDS)
            else:
                blocked += not failed
        untested += waiting
    notes = [f"{blocked} times the way to a case failed, and no case did"] if blocked else []
    notes += [f"not tested on this machine: {', '.join(untested)}"] if untested else []
    return ends(note="; ".join([*notes, *(f"{key} failed once, and not again" for key in once)]))


def _fails_again(target: Command, case: Case, options: Options, spec: Spec) -> bool:
    """Whether a case fails once more, on a machine that is calm if it becomes so."""
    wait_until_calm(CALM_SECONDS)
    return any(again.verdict.bad for again in run_suite(target, [case], options, spec=spec))


def selftest(
    side: Side,
    spec: Spec,
    spec_file: Path | None,
    mutants: Sequence[Mutant[Any]],
    *,
    jobs: int = 2,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> Outcome:
    """Judges the correct implementations of one side, and these mutants."""
    started = time.monotonic()
    cases = server_cases(spec) if side == "server" else client_cases(spec)
    options = Options(jobs=jobs, spec_file=spec_file)
    judged = {
        name: run_suite(Command(words), cases, options, spec=spec)
        for name, words in subjects(side, changed=spec_file is not None).items()
    }
    lock = threading.Lock()  # guards what `on_trial` touches

    def work(mutant: Mutant[Any]) -> Trial:
        trial = try_mutant(side, mutant, cases, spec, spec_file)
        with lock:
            if not programs.stopping.is_set():
                on_trial(trial)
        return trial

    with ThreadPoolExecutor(jobs) as pool:
        trials = list(pool.map(work, mutants))
    return Outcome(side, judged, trials, time.monotonic() - started)
