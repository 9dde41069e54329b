"""The judge's own measure: correct implementations must pass, and each one that is broken on purpose must fail.

A mutant is judged until the first case that fails (`killed by`) and fails again when it is asked again, so that no
accident is taken for a kill; cases that are near to what is broken come first. A mutant that passes everything has
survived: either the suite lacks a case, or the change can be seen by nobody, and then `mutants.EQUIVALENT` says why.
Knows no verb and no state.
"""

from __future__ import annotations

import difflib
import fnmatch
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from conformance.cases.case import Case
from conformance.engine import programs
from conformance.engine.target import Command, StartError
from conformance.engine.verdict import Result, Verdict
from conformance.oracle.probe import barrier_verb
from conformance.results.record import figures, rules_covered
from conformance.run import Options, run_suite
from conformance.suite import client_cases, server_cases
from pychat.spec import Spec

from .mutants import Mutant, client_mutants, equivalent, server_mutants

Side = Literal["server", "client"]
PATIENCE = 2.0  # seconds; a mute mutant costs them once
BLOCKED_ENOUGH = 4  # cases that could not be asked, after which the others of their kind are not asked
STUDENT = Path(__file__).parents[2] / "tests" / "student"
FIELDS = {
    "server": "--host {host} --port {port} --spec {spec} --max-connections {max}",
    "client": "{host} {port}",
}
STUDENT_FIELDS = {
    "server": "--host {host} --port {port} --max-connections {max} --registration {registration} --probe {probe}"
    " --silence {silence} --stalled {stalled} --linger {linger}",
    "client": "{host} {port}",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """A correct implementation, and how it is started."""

    name: str
    command: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a mutant: the first result that failed, or why it lives."""

    mutant: Mutant[Any]
    killer: Result | None
    asked: int
    seconds: float
    note: str = ""

    @property
    def excuse(self) -> str:
        return "" if self.killer else equivalent(self.mutant.name)


@dataclass(slots=True)
class Outcome:
    """Everything that a self-test has found about one side."""

    side: Side
    subjects: dict[str, list[Result]]
    trials: list[Trial]
    seconds: float

    @property
    def survivors(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.killer is None and not trial.excuse]

    @property
    def good(self) -> bool:
        return not self.survivors and not any(wrong(results) for results in self.subjects.values())


def wrong(results: Iterable[Result]) -> list[Result]:
    """What no correct implementation may get; what was not tested is not green, but it is counted apart."""
    calm = (Verdict.NOT_TESTED, Verdict.NOT_APPLICABLE)
    return [result for result in results if not result.verdict.good and result.verdict not in calm]


def subjects(side: Side, *, changed: bool = False) -> list[Subject]:
    """The correct implementations: the shipped one, the one the mutants are made of, and the independent one.

    Of a spec that is not the shipped one (`changed`) the independent one, which reads none, knows nothing.
    """
    python = shlex.quote(sys.executable)
    fields = FIELDS["server"] if side == "server" else "{host}:{port} --plain" + " --spec {spec}" * changed
    found = [
        Subject(f"shipped {side}", f"{python} -m pychat {side} {fields}"),
        Subject(f"mutable {side}", command(side, "none", changed=changed)),
    ]
    student = STUDENT / f"{side}.py"
    if student.exists() and not changed:  # an installed package has no tests
        found.append(Subject(f"student {side}", f"{python} {shlex.quote(str(student))} {STUDENT_FIELDS[side]}"))
    return found


def command(side: Side, mutant: str, *, changed: bool = False) -> str:
    """How a mutant is started. A client has no timers, so it reads a spec file only of a changed spec."""
    program = f"{shlex.quote(sys.executable)} -m tools.selftest.mutants.{side} --mutant {shlex.quote(mutant)}"
    return f"{program}{' --spec {spec}' * (changed and side == 'client')} {FIELDS[side]}"


def stages(cases: Sequence[Case], mutant: Mutant[Any], first: str = "") -> list[list[Case]]:
    """The cases in the order in which they are likely to kill: near to the change, the plays, the rest, the slow ones.

    `first` is a pattern; one case of it comes before all: that of the barrier, without which nothing can be asked.
    """
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
    return [stage for stage in found if stage]


def try_mutant(
    side: Side, mutant: Mutant[Any], cases: Sequence[Case], spec: Spec, spec_file: Path | None = None
) -> Trial:
    """Judges a mutant until a case fails twice. A case that could not be asked kills nobody."""
    started = time.monotonic()
    target = Command(command(side, mutant.name, changed=spec_file is not None))
    options = Options(jobs=1, fail_fast=True, patience=PATIENCE, spec_file=spec_file)
    asked = blocked = 0
    once: list[str] = []

    def ends(killer: Result | None = None, note: str = "") -> Trial:
        return Trial(mutant, killer, asked, time.monotonic() - started, note)

    first = f"{spec.initial}/{barrier_verb(spec)}/*" if side == "server" else ""
    for stage in stages(cases, mutant, first):
        waiting = {case.key: case for case in stage}
        for _ in range(BLOCKED_ENOUGH):
            try:
                results = run_suite(target, list(waiting.values()), options, spec=spec)
                asked += len(results)
                failed = [result for result in results if result.verdict.bad]
                for killer in failed:  # a failure that is not there again was none of the mutant
                    if any(again.verdict.bad for again in run_suite(target, [waiting[killer.key]], options, spec=spec)):
                        return ends(killer)
                    once.append(killer.key)
            except StartError as error:
                return ends(note=f"it would not start: {error}")
            bug = next((result for result in results if result.verdict is Verdict.ERROR), None)
            if bug is not None:
                return ends(note=f"the suite failed: {bug.key}: {bug.note}")
            for result in results:
                del waiting[result.key]
            if not waiting:
                break
            blocked += not failed
    notes = [f"{blocked} times the way to a case failed, and no case did"] if blocked else []
    return ends(note="; ".join([*notes, *(f"{key} failed once, and not again" for key in once)]))


def mutants_of(side: Side, spec: Spec) -> list[Mutant[Any]]:
    """Every mutant of one side."""
    return [*(server_mutants(spec) if side == "server" else client_mutants(spec))]


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
        subject.name: run_suite(Command(subject.command), cases, options, spec=spec)
        for subject in subjects(side, changed=spec_file is not None)
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


def report(spec: Spec, outcome: Outcome) -> list[str]:
    """The figures, a line each: failures and survivors first."""
    lines = []
    for name, results in outcome.subjects.items():
        lines += [f"{r.verdict.value.upper()} {name}: {r.key}: {r.words}" for r in wrong(results)]
        lines += [f"not tested {name}: {r.key}: {r.note}" for r in results if r.verdict is Verdict.NOT_TESTED]
    for trial in outcome.survivors:
        lines.append(
            f"SURVIVED {trial.mutant.name}: {trial.mutant.breaks}" + (f" ({trial.note})" if trial.note else "")
        )
    excused = [trial for trial in outcome.trials if trial.excuse]
    lines += [f"equivalent {trial.mutant.name}: {trial.excuse}" for trial in excused]
    for name, results in outcome.subjects.items():
        covered, missing = rules_covered(spec, results, outcome.side)
        parts = [f"{kind}s {f['passed']}/{f['exercised']}/{f['all']}" for kind, f in figures(results).items()]
        rules = f"rules {len(covered)}/{len(covered) + len(missing)}" + (
            f" (not {', '.join(missing)})" if missing else ""
        )
        lines.append(f"{name}: {', '.join(parts)} passed/exercised/all, {rules}")
    killed = sum(trial.killer is not None for trial in outcome.trials)
    more = f", {len(excused)} equivalent" if excused else ""
    more += f", {len(outcome.survivors)} survived" if outcome.survivors else ""
    lines.append(f"{outcome.side} mutants: killed {killed} of {len(outcome.trials)}{more}, in {outcome.seconds:.0f} s")
    return lines


def run(
    side: str, spec: Spec, spec_file: Path | None, *, patterns: Sequence[str] = (), jobs: int = 2, verbose: bool = False
) -> int:
    """The command: judges, prints the figures, and gives the exit code: 0, 1 if the judge is wrong, 2 for no mutant."""
    sides: list[Side] = ["server", "client"] if side == "all" else ["server" if side == "server" else "client"]

    def wanted(mutant: Mutant[Any]) -> bool:
        return not patterns or any(fnmatch.fnmatchcase(mutant.name, pattern) for pattern in patterns)

    chosen = {each: [mutant for mutant in mutants_of(each, spec) if wanted(mutant)] for each in sides}
    if not any(chosen.values()):
        names = [mutant.name for each in sides for mutant in mutants_of(each, spec)]
        near = difflib.get_close_matches(patterns[0], names, n=3, cutoff=0.3)
        print(f"no mutant is selected{'; the nearest are ' + ', '.join(near) if near else ''}", file=sys.stderr)
        return 2
    progress = Progress(sum(map(len, chosen.values())), verbose)
    outcomes = []
    for each in sides:
        if chosen[each]:
            outcome = selftest(each, spec, spec_file, chosen[each], jobs=jobs, on_trial=progress.trial)
            progress.clear()
            print("\n".join(report(spec, outcome)), flush=True)
            outcomes.append(outcome)
    return 0 if all(outcome.good for outcome in outcomes) else 1


class Progress:
    """What is seen while it runs: how many mutants are done, or a line for each."""

    def __init__(self, planned: int, verbose: bool) -> None:
        self.planned, self.verbose = planned, verbose
        self.done = self.alive = 0
        self.live = sys.stderr.isatty() and not verbose

    def trial(self, trial: Trial) -> None:
        self.done += 1
        self.alive += trial.killer is None
        if self.verbose:
            fate = f"killed by {trial.killer.key}: {trial.killer.words}" if trial.killer else f"alive {trial.note}"
            print(f"{trial.mutant.name} ({trial.asked} cases, {trial.seconds:.1f} s) {fate}", flush=True)
        elif self.live:
            sys.stderr.write(f"\r\x1b[K{self.done}/{self.planned} {trial.mutant.name[:60]}, {self.alive} alive")
            sys.stderr.flush()

    def clear(self) -> None:
        if self.live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
