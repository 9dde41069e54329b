"""Runs cases by several workers, and hands each result on as it comes. Knows nothing of what a case is about."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pychat.spec import Spec, shipped

from .known import Known
from .stagehand import Stagehand
from .suite import Case
from .target import StartError, Target
from .verdict import Result, Verdict

GIVE_UP = 10  # cases in a row that could not be asked, after which the rest is not asked


@dataclass(slots=True)
class Options:
    """How to run. `patience` in seconds is how long a sign of life may take, `max_wait` the longest timer."""

    jobs: int = 1
    patience: float = 5.0
    max_wait: float = 10.0
    profiles: tuple[str, ...] = ("core",)
    fail_fast: bool = False
    known: Known = field(default_factory=Known)
    replay: str = ""
    on_result: Callable[[Result], None] = lambda result: None


class _Work:
    """The cases that wait, shared by the workers. `lock` guards everything here; it is held for moments only."""

    def __init__(self, cases: Sequence[Case], options: Options) -> None:
        self.waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
        for case in cases:
            self.waiting.put(case)
        self.options = options
        self.lock = threading.Lock()
        self.results: list[Result] = []
        self.stopped = False
        self.unasked = 0

    def take(self) -> Case | None:
        if self.stopped:
            return None
        try:
            return self.waiting.get_nowait()
        except queue.Empty:
            return None

    def report(self, case: Case, result: Result) -> None:
        with self.lock:
            if self.stopped and self.options.fail_fast:
                return
            result = self.options.known.judge(result)
            if self.options.replay:
                result.replay = f"{self.options.replay} --select '{case.id}' --segment {case.segment}"
            self.unasked = self.unasked + 1 if result.verdict is Verdict.BLOCKED else 0
            self.results.append(result)
            self.options.on_result(result)
            if self.options.fail_fast and (result.verdict.bad or result.verdict is Verdict.BLOCKED):
                self.stopped = True

    @property
    def hopeless(self) -> bool:
        return self.unasked >= GIVE_UP


def run_suite(
    target: Target, cases: Sequence[Case], options: Options | None = None, *, spec: Spec | None = None
) -> list[Result]:
    """The verdict of each case, in the order of the cases.

    Raises:
        StartError: the implementation would not start at all.
    """
    options, spec = options or Options(), spec or shipped()
    work = _Work([case for case in cases if case.profile in options.profiles], options)
    for case in cases:
        if case.profile not in options.profiles:
            work.report(case, _unasked(case, Verdict.NOT_APPLICABLE, f"the profile {case.profile} was not declared"))
    hands = [
        Stagehand(target, spec, options.patience, " ".join(options.profiles), max_wait=options.max_wait)
        for _ in range(options.jobs)
    ]
    try:
        hands[0].address()
        threads = [
            threading.Thread(target=_labour, args=(work, hand), name=f"judge-{n}") for n, hand in enumerate(hands)
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            work.stopped = True
            for thread in threads:
                thread.join()
            raise
    finally:
        for hand in hands:
            hand.stop()
    order = {case.key: number for number, case in enumerate(cases)}
    return sorted(work.results, key=lambda result: order[result.key])


def _labour(work: _Work, hand: Stagehand) -> None:
    """A worker: born and joined in `run_suite`, ended by an empty queue or `stopped`."""
    while (case := work.take()) is not None:
        if work.hopeless:
            work.report(
                case, _unasked(case, Verdict.BLOCKED, f"not asked: {GIVE_UP} cases before it could not be asked")
            )
        else:
            work.report(case, hand.verdict(case))
    try:
        hand.stop()
    except (OSError, StartError):  # pragma: no cover  # nothing is left to be done about it
        return


def _unasked(case: Case, verdict: Verdict, note: str) -> Result:
    return Result(
        case.id, case.segment, case.rules, case.level, verdict, note=note, kind=case.kind, title=case.title
    )  # fmt: skip
