"""Whether verdicts flake: the same run again and again, while other programs keep the machine busy."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from conformance.cases.case import Case
from conformance.engine import programs
from conformance.engine.target import Target
from conformance.run import Options, run_suite
from pychat.spec import Spec


@dataclass(frozen=True, slots=True)
class Run:
    """A run: how many verdicts were not those of the first one, and how many cases the machine left without one."""

    number: int
    seconds: float
    changed: int
    withheld: int


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """Processes that do nothing but compute; they end with the block."""
    with contextlib.ExitStack() as stack:
        for _ in range(processes):
            stack.enter_context(programs.start([sys.executable, "-c", "while True: pass"]))
        yield


def run_again(
    target: Target,
    cases: Sequence[Case],
    spec: Spec,
    options: Options,
    *,
    runs: int,
    processes: int,
    on_run: Callable[[Run], None],
) -> dict[str, list[str]]:
    """The cases whose verdict was not the same in every run, with all their verdicts.

    Where the judge says that the machine was too busy for a case, it gives no verdict. `on_run` is told of each run.
    """
    seen: dict[str, list[str]] = {case.key: [] for case in cases}
    with busy(processes):
        for number in range(1, runs + 1):
            started = time.monotonic()
            results = run_suite(target, cases, options, spec=spec)
            given = [result for result in results if not result.excused]
            for result in given:
                seen[result.key].append(result.verdict.value)
            changed = sum(seen[result.key][-1] != seen[result.key][0] for result in given)
            on_run(Run(number, time.monotonic() - started, changed, len(results) - len(given)))
    return {key: verdicts for key, verdicts in seen.items() if len(set(verdicts)) > 1}
