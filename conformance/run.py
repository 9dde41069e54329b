"""Runs cases by several workers, and hands each result on as it comes. Knows nothing of what a case is about."""

from __future__ import annotations

import collections
import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from pychat.spec import Spec, shipped, shipped_file

from .cases.case import Case
from .cases.play import Lane
from .client.worker import ClientWorker
from .engine import programs
from .engine.apart import workers_apart
from .engine.needs import Offer
from .engine.preflight import preflight
from .engine.quick import quicken
from .engine.target import Command, Shared, Target, command_values
from .engine.verdict import Result, Verdict
from .engine.worker import Worker

HOPELESS = 0.5  # seconds of patience with a server that answers no barrier
TIMED = 64  # workers for the cases that mostly wait
CONNECTIONS = 3  # of a case
AT_ONCE = 0.005  # seconds for each of many connections that are opened at once, at most, where nothing is slow
MOST = 32  # workers, each with a server, where answers are slow …
PACE = 0.004  # … against so many seconds
TRIPS = 17  # answers that a case waits for, one after the other
WORTH_SAYING = 20.0  # seconds that a run takes, from which on it is said before
GIVE_UP = 10  # cases in a row that could not be asked, after which the rest is not asked

Queue = collections.deque[Case]  # its methods may be called by several threads
AnyWorker = Worker | ClientWorker
Assignment = tuple[AnyWorker, tuple[Queue, ...]]  # a worker, and the queues that it empties in this order


@dataclass(slots=True)
class Options:
    """How to run. `patience` in seconds is how long a sign of life may take, `max_wait` the longest timer.

    `on_result` gets each result, by one thread at a time, and may change it before it is counted.
    """

    jobs: int = 1
    patience: float = 5.0
    max_wait: float = 10.0
    profiles: tuple[str, ...] = ("core",)
    fail_fast: bool = False
    spec_file: Path | None = None
    on_note: Callable[[str], None] = lambda note: None
    on_result: Callable[[Result], None] = lambda result: None


class Run:
    """The results of a run, and whether it goes on. `lock` guards everything here; `on_result` is called under it."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.lock = threading.Lock()
        self.results: list[Result] = []
        self.stopped = False
        self.unreached = 0  # cases in a row that could not be asked

    @property
    def over(self) -> bool:
        """Whether no more case is to be begun."""
        return self.stopped or programs.stopping.is_set()

    def take(self, queue: Queue) -> Case | None:
        """The next case of a queue; None when it is empty or the run was stopped."""
        try:
            return None if self.over else queue.popleft()
        except IndexError:
            return None

    def report(self, result: Result) -> None:
        with self.lock:
            if programs.stopping.is_set() or (self.stopped and self.options.fail_fast):
                return
            self.unreached = self.unreached + 1 if result.unreached else 0
            self.results.append(result)
            self.options.on_result(result)
            if self.options.fail_fast and result.verdict.bad:
                self.stopped = True

    def judge(self, worker: AnyWorker, case: Case) -> Result:
        """The verdict of a worker, unless too many cases in a row reached no server."""
        if self.unreached < GIVE_UP:
            return worker.verdict(case)
        note = f"not asked: {GIVE_UP} cases before it could not be asked"
        result = Result.of(case, Verdict.BLOCKED, note)
        result.unreached = True
        return result


def run_suite(
    target: Target, cases: Sequence[Case], options: Options | None = None, *, spec: Spec | None = None
) -> list[Result]:
    """The verdict of each case, in the order of the cases, which are all for servers or all for clients.

    Raises:
        StartError: the implementation would not start at all.
    """
    options, spec = options or Options(), spec or shipped()
    run = Run(options)
    asked = []
    for case in cases:
        undeclared = f"the profile {case.profile} was not declared" if case.profile not in options.profiles else ""
        if undeclared or case.reason:
            run.report(Result.of(case, Verdict.NOT_APPLICABLE, undeclared or case.reason))
        else:
            asked.append(case)
    asked.sort(key=lambda case: not case.slow)  # the longest first
    with contextlib.ExitStack() as stack:
        if asked and asked[0].of == "client":
            _run_workers(_client_workers(target, spec, options, asked), run)
        elif asked:
            _run_workers(_server_workers(target, spec, options, asked, stack), run)
    order = {case.key: number for number, case in enumerate(cases)}
    return sorted(run.results, key=lambda result: order[result.key])


@contextlib.contextmanager
def one_worker(target: Target, spec: Spec, options: Options) -> Iterator[Worker]:
    """One worker at an ordinary server, which it starts when it first needs it."""
    offer = Offer(target.placeholders, program=target.restartable, max_wait=options.max_wait)
    values = command_values(spec, str(options.spec_file or shipped_file()))
    worker = Worker(target, spec, options.patience, " ".join(options.profiles), values, offer)
    try:
        yield worker
    finally:
        worker.stop()


def client_worker(target: Target, spec: Spec, options: Options) -> ClientWorker:
    """A worker that judges a client."""
    assert isinstance(target, Command), "a client under test is a command"
    return ClientWorker(target, spec, options.patience, str(options.spec_file or shipped_file()))


def _client_workers(target: Target, spec: Spec, options: Options, cases: Sequence[Case]) -> list[Assignment]:
    """Every case has a client of its own."""
    queue = Queue(cases)
    workers = [client_worker(target, spec, options) for _ in range(options.jobs)]
    workers[0].check_start()
    return [(worker, (queue,)) for worker in workers]


def _server_workers(
    target: Target, spec: Spec, options: Options, cases: Sequence[Case], stack: contextlib.ExitStack
) -> Iterator[Assignment]:
    """A server for each worker, and if it can be told its timers one with short timers for the cases of time."""
    lanes = {lane: Queue(case for case in cases if case.lane == lane) for lane in get_args(Lane)}
    shared, timed = lanes["shared"], lanes["quick"]
    first = stack.enter_context(one_worker(target, spec, options))
    first.address()
    first.findings = findings = preflight(first)
    first.patience = options.patience if findings.barrier else min(options.patience, HOPELESS)
    if str(findings):
        options.on_note(str(findings))
    pace = first.conditions.fastest
    count = workers_for(pace, options.jobs, len(shared))
    others = stack.enter_context(workers_apart(first, shared, count - 1))
    seconds = len(shared) * TRIPS * pace / count
    if seconds > WORTH_SAYING:
        options.on_note(
            f"an answer takes {1000 * pace:.0f} ms, so with {count} workers this takes about {_rounded(seconds)}"
        )
    has_quick = bool(timed) and any(map(first.offer.tells, spec.timers))
    yield first, (shared,) if has_quick else (shared, timed)
    yield from ((worker, (shared,)) for worker in others)
    yield replace(first), (lanes["alone"],)
    if has_quick:
        quick = _quick_worker(target, spec, options, stack, findings.answer)
        quick = replace(quick, findings=findings, conditions=first.conditions)
        timed = Queue(sorted(timed, key=lambda case: -case.waits(quick.spec)))  # the longest first
        at_once = int(options.patience / 2 / CONNECTIONS / max(findings.opening, AT_ONCE))
        yield from ((replace(quick), (timed,)) for _ in range(min(len(timed), TIMED, max(at_once, 2))))


def workers_for(pace: float, jobs: int, cases: int) -> int:
    """How many workers there are for a server that answers in `pace` seconds.

    A worker at a server that answers slowly mostly waits, so that there can be more of them.
    """
    return max(jobs, min(MOST, round(jobs * pace / PACE), cases))


def _rounded(seconds: float) -> str:
    """A time that is only an estimate."""
    return f"{max(1, round(seconds / 60))} min" if seconds > 100 else f"{round(seconds, -1):.0f} s"


def _quick_worker(target: Target, spec: Spec, options: Options, stack: contextlib.ExitStack, answer: float) -> Worker:
    """A worker at a server with short timers, which others may use too; an `answer` takes so many seconds."""
    folder = stack.enter_context(programs.folder("pychat-conformance-"))
    quick = quicken(options.spec_file or shipped_file(), folder, answer)
    shared = stack.enter_context(Shared(target, command_values(quick, quick.source)))
    shared.start()
    offer = Offer(target.placeholders, max_wait=options.max_wait, quick_of=spec)
    return Worker(shared, quick, options.patience, " ".join(options.profiles), offer=offer)


def _run_workers(assignments: Iterable[Assignment], run: Run) -> None:
    """A thread for each worker, born and joined here; it ends with its empty queues, or when the run is stopped."""
    threads = []
    try:
        for number, assignment in enumerate(assignments):  # some begin while others are still made ready
            threads.append(threading.Thread(target=_work, args=(*assignment, run), name=f"judge-{number}"))
            threads[-1].start()
        for thread in threads:
            thread.join()
    except BaseException:
        run.stopped = True
        for thread in threads:
            thread.join()
        raise


def _work(worker: AnyWorker, queues: Sequence[Queue], run: Run) -> None:
    for queue in queues:
        while (case := run.take(queue)) is not None:
            run.report(run.judge(worker, case))
