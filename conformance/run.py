"""Runs cases by several workers, and hands each result on as it comes. Knows nothing of what a case is about."""

from __future__ import annotations

import collections
import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path

from pychat.spec import Spec, shipped

from .client.worker import ClientWorker
from .engine import programs
from .engine.preflight import Preflight
from .engine.quick import quicken
from .engine.target import Address, Command, Target
from .engine.verdict import Result, Verdict
from .engine.worker import Worker, values_of
from .results.known import Known
from .suite import Case

AnyWorker = Worker | ClientWorker
HOPELESS = 0.5  # seconds of patience with a server that answers no barrier
TIMED = 24  # workers for the cases that mostly wait
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
    spec_file: Path | None = None
    on_note: Callable[[str], None] = lambda note: None
    on_result: Callable[[Result], None] = lambda result: None


class Work:
    """Cases that wait, shared by workers, and their results. `lock` guards everything here, for moments only.

    A part of the work (`whole`) has its own queue, and shares everything else with the whole.
    """

    def __init__(self, cases: Sequence[Case], options: Options, whole: Work | None = None) -> None:
        self.waiting = collections.deque(sorted(cases, key=lambda case: not case.slow))  # the longest first
        self.options = options
        self.lock = threading.Lock()
        self.results: list[Result] = []
        self.stopped = False
        self.unasked = 0
        self.whole = self if whole is None else whole

    def __len__(self) -> int:
        return len(self.waiting)

    def take(self) -> Case | None:
        try:
            return None if self.whole.stopped or programs.stopping.is_set() else self.waiting.popleft()
        except IndexError:
            return None

    def report(self, case: Case, result: Result) -> None:
        whole = self.whole
        with whole.lock:
            if programs.stopping.is_set() or (whole.stopped and self.options.fail_fast):
                return
            result = self.options.known.judge(result)
            if self.options.replay:
                result.replay = f"{self.options.replay} --select {case.id} --segment {case.segment}"
            whole.unasked = whole.unasked + 1 if result.unreached else 0
            whole.results.append(result)
            self.options.on_result(result)
            if self.options.fail_fast and (result.verdict.bad or result.verdict is Verdict.BLOCKED):
                whole.stopped = True

    @property
    def hopeless(self) -> bool:
        return self.whole.unasked >= GIVE_UP


def run_suite(
    target: Target, cases: Sequence[Case], options: Options | None = None, *, spec: Spec | None = None
) -> list[Result]:
    """The verdict of each case, in the order of the cases.

    Raises:
        StartError: the implementation would not start at all.
    """
    options, spec = options or Options(), spec or shipped()
    file = str(options.spec_file or shipped_file())
    command = target if isinstance(target, Command) else None
    if cases and cases[0].of == "client":
        assert command is not None, "a client under test is a command"
        return _run_clients(command, cases, options, spec, file)

    def worker() -> Worker:
        profiles = " ".join(options.profiles)
        values = values_of(spec, file)
        return Worker(target, spec, options.patience, profiles, values, options.max_wait, command=command)

    asked = [case for case in cases if case.profile in options.profiles]
    work = Work([case for case in asked if case.lane != "quick"], options)
    timed = Work([case for case in asked if case.lane == "quick"], options, work)
    for case in cases:
        if case.profile not in options.profiles:
            work.report(case, _unasked(case, Verdict.NOT_APPLICABLE, f"the profile {case.profile} was not declared"))
    workers = [worker() for _ in range(options.jobs)]
    assignments = [(worker, work) for worker in workers]
    quick = None
    try:
        workers[0].address()
        preflight = Preflight.of(workers[0])
        if preflight.words():
            options.on_note(preflight.words())
        for each in workers:
            each.preflight = preflight
            each.patience = options.patience if preflight.barrier else min(options.patience, HOPELESS)
        if len(timed) and command is not None and any(command.has(name) for name in ("spec", *spec.timers)):
            quick = _Quick(command, spec, Path(file))
            assignments += [(quick.worker(options, preflight), timed) for _ in range(min(len(timed), TIMED))]
        else:
            assignments += [(workers[-1], timed)]
        _run_workers(assignments, work)
    finally:
        for each, _ in assignments:
            each.stop()
        if quick is not None:
            quick.stop()
    order = {case.key: number for number, case in enumerate(cases)}
    return sorted(work.results, key=lambda result: order[result.key])


def _run_clients(command: Command, cases: Sequence[Case], options: Options, spec: Spec, file: str) -> list[Result]:
    """The same for clients: every case has a client of its own."""
    work = Work([case for case in cases if case.profile in options.profiles], options)
    for case in cases:
        if case.profile not in options.profiles:
            work.report(case, _unasked(case, Verdict.NOT_APPLICABLE, f"the profile {case.profile} was not declared"))
    workers = [ClientWorker(command, spec, options.patience, file) for _ in range(options.jobs)]
    workers[0].check_start()
    _run_workers([(worker, work) for worker in workers], work)
    order = {case.key: number for number, case in enumerate(cases)}
    return sorted(work.results, key=lambda result: order[result.key])


@contextlib.contextmanager
def one_worker(target: Target, spec: Spec, options: Options) -> Iterator[Worker]:
    """One worker at an ordinary server, for what is not a list of cases."""
    file = str(options.spec_file or shipped_file())
    command = target if isinstance(target, Command) else None
    profiles = " ".join(options.profiles)
    worker = Worker(target, spec, options.patience, profiles, values_of(spec, file), options.max_wait, command=command)
    try:
        yield worker
    finally:
        worker.stop()


class _Quick:
    """One server with short timers, for all the cases that wait for them."""

    def __init__(self, command: Command, spec: Spec, file: Path) -> None:
        with contextlib.ExitStack() as stack:
            self.quick = quicken(file, stack.enter_context(programs.folder("pychat-conformance-")))
            self.running = command.start(**values_of(self.quick.spec, str(self.quick.path)))
            stack.callback(self.running.stop)
            self._stack = stack.pop_all()
        self.command, self.judged = command, spec

    def worker(self, options: Options, preflight: Preflight) -> Worker:
        """A place at this server."""
        return Worker(
            Address(*self.running.address), self.quick.spec, options.patience, " ".join(options.profiles),
            max_wait=options.max_wait, quick_of=self.judged, command=self.command, preflight=preflight,
            shared=self.running.process,
        )  # fmt: skip

    def stop(self) -> None:
        self._stack.close()


def _run_workers(assignments: Sequence[tuple[AnyWorker, Work]], work: Work) -> None:
    """A thread for each worker, born and joined here; each ends with its empty queue, or when `work` is stopped."""
    by_hand: dict[int, list[tuple[AnyWorker, Work]]] = {}
    for worker, queue_ in assignments:
        by_hand.setdefault(id(worker), []).append((worker, queue_))
    threads = [
        threading.Thread(target=_work_off, args=(assignment,), name=f"judge-{number}")
        for number, assignment in enumerate(by_hand.values())
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


def _work_off(assignment: Sequence[tuple[AnyWorker, Work]]) -> None:
    for worker, work in assignment:
        while (case := work.take()) is not None:
            if work.hopeless:
                note = f"not asked: {GIVE_UP} cases before it could not be asked"
                work.report(case, replace(_unasked(case, Verdict.BLOCKED, note), unreached=True))
            elif case.lane == "alone" and isinstance(worker, Worker) and worker.target.restartable:
                alone = replace(worker, running=None)
                try:
                    work.report(case, alone.verdict(case))
                finally:
                    alone.stop()
            else:
                work.report(case, worker.verdict(case))
        worker.stop()


def _unasked(case: Case, verdict: Verdict, note: str) -> Result:
    return Result(
        case.id, case.segment, case.rules, case.level, verdict, note=note, kind=case.kind, title=case.title
    )  # fmt: skip


def shipped_file() -> Path:
    """Where the shipped spec lies, for commands that want a file."""
    installed = Path(str(resources.files("pychat"))) / "data" / "pychat.yaml"
    return installed if installed.exists() else Path(__file__).parents[1] / "spec" / "pychat.yaml"
