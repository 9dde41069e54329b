"""Whether verdicts flake: the same run again and again, while other programs keep the machine busy."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from conformance.cases.case import Case
from conformance.engine import programs
from conformance.engine.target import Target
from conformance.run import Options, run_suite
from pychat.spec import Spec


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
    on_run: Callable[[int, float, int], None],
) -> dict[str, list[str]]:
    """The cases whose verdict was not the same in every run, with all their verdicts.

    `on_run` is told of each run: its number, its seconds, and how many verdicts were not those of the first one.
    """
    seen: dict[str, list[str]] = {case.key: [] for case in cases}
    with busy(processes):
        for number in range(1, runs + 1):
            started = time.monotonic()
            for result in run_suite(target, cases, options, spec=spec):
                seen[result.key].append(result.verdict.value)
            changed = sum(verdicts[-1] != verdicts[0] for verdicts in seen.values())
            on_run(number, time.monotonic() - started, changed)
    return {key: verdicts for key, verdicts in seen.items() if len(set(verdicts)) > 1}
