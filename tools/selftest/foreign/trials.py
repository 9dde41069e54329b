"""Judges a set of mutants by other hands: its correct program must pass, each mutant must fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from conformance.engine import programs
from conformance.run import Options, run_suite
from conformance.suite import client_cases, server_cases
from pychat.spec import Spec
from tools.selftest.trials import Outcome, Trial, try_mutant

from . import Change, Foreign


def judge_set(
    found: Foreign, changes: Sequence[Change], spec: Spec, *, jobs: int, on_trial: Callable[[Trial], None]
) -> Outcome:
    """What becomes of the correct program and of these mutants. Raises SetError or StartError."""
    started = time.monotonic()
    cases = server_cases(spec) if found.side == "server" else client_cases(spec)
    with found.started_with(None) as correct:
        judged = {f"{found.name}, correct": run_suite(correct, cases, Options(jobs=jobs), spec=spec)}
    lock = threading.Lock()  # guards what `on_trial` touches

    def work(change: Change) -> Trial:
        with found.started_with(change) as target:
            trial = try_mutant(found.side, change.mutant, cases, spec, target=target)
        with lock:
            if not programs.stopping.is_set():
                on_trial(trial)
        return trial

    with ThreadPoolExecutor(jobs) as pool:
        trials = list(pool.map(work, changes))
    return Outcome(found.side, judged, trials, time.monotonic() - started)
