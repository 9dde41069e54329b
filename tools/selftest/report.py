"""What a self-test prints: its progress, and at the end its figures."""

from __future__ import annotations

import sys

from conformance.engine.verdict import Verdict
from conformance.results.record import figures, rules_covered
from pychat.command import say
from pychat.spec import Spec

from .trials import Outcome, Trial, wrong


def report(spec: Spec, outcome: Outcome) -> list[str]:
    """The figures, a line each: failures and survivors first."""
    lines = []
    for name, results in outcome.subjects.items():
        lines += [f"{r.verdict.value.upper()} {name}: {r.key}: {r.words}" for r in wrong(results)]
        lines += [f"not tested {name}: {r.key}: {r.note}" for r in results if r.verdict is Verdict.NOT_TESTED]
    for trial in outcome.survivors:
        lines.append(f"SURVIVED {trial.mutant.name}: {trial.mutant.breaks}{trial.note and f' ({trial.note})'}")
    equivalent = [trial for trial in outcome.trials if trial.equivalent]
    lines += [f"equivalent {trial.mutant.name}: {trial.equivalent}" for trial in equivalent]
    for name, results in outcome.subjects.items():
        covered, missing = rules_covered(spec, results, outcome.side)
        parts = [f"{kind}s {f['passed']}/{f['exercised']}/{f['all']}" for kind, f in figures(results).items()]
        without = f" (not {', '.join(missing)})" if missing else ""
        rules = f"{len(covered)}/{len(covered) + len(missing)}{without}"
        lines.append(f"{name}: {', '.join(parts)} passed/exercised/all, rules {rules}")
    blamed = [trial for trial in outcome.trials if trial.killer is not None and trial.mutant.rule]
    right = [trial for trial in blamed if trial.killer is not None and trial.killer.rule == trial.mutant.rule]
    for trial in blamed:
        if trial.killer is not None and trial not in right:
            words = f"{trial.mutant.rule} is broken, {trial.killer.key} blames {trial.killer.rule}"
            lines.append(f"blamed {trial.mutant.name}: {words}")
    if blamed:
        lines.append(
            f"{outcome.side} mutants of one rule: the first failure blames it in {len(right)} of {len(blamed)}"
        )
    killed = sum(trial.killer is not None for trial in outcome.trials)
    more = f", {len(equivalent)} equivalent" if equivalent else ""
    more += f", {len(outcome.survivors)} survived" if outcome.survivors else ""
    lines.append(f"{outcome.side} mutants: killed {killed} of {len(outcome.trials)}{more}, in {outcome.seconds:.0f} s")
    return lines


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
            say(f"{trial.mutant.name} ({trial.asked} cases, {trial.seconds:.1f} s) {fate}")
        elif self.live:
            sys.stderr.write(f"\r\x1b[K{self.done}/{self.planned} {trial.mutant.name[:60]}, {self.alive} alive")
            sys.stderr.flush()

    def clear(self) -> None:
        if self.live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
