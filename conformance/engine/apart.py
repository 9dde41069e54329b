"""A worker in a process of its own, so that a run uses several cores: the interpreter runs one thread at a time.

The process is a fork, so it has the cases already. It is told which one is next over a pipe, and gives back what came
of it. It ends when the pipe does, also in the middle of a case; its programs then end with it, by their keeper.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from conformance.cases.case import Case
from conformance.oracle.names import share_numbers

from . import programs
from .conditions import Conditions
from .keeper import STOPS
from .verdict import Result, Verdict
from .worker import Worker

_pipes: list[Connection] = []  # this process's ends; a later fork closes its copies, or nobody would see an end


@dataclass
class WorkerApart(Worker):
    """Tries each case in its process. Second tries, and what all workers know of the server, stay in this one."""

    conditions: Conditions = field(default_factory=Conditions)
    pipe: Connection | None = field(default=None, init=False)
    process: int = field(default=0, init=False)

    def begin(self, cases: Mapping[str, Case], part: int, parts: int) -> None:
        """Forks the process, which may be asked for these cases; it makes one `part` of the `parts` of all names."""
        ours, theirs = Pipe()
        with warnings.catch_warnings():  # other threads of this process hold no lock that the fork needs
            warnings.simplefilter("ignore", DeprecationWarning)
            self.process = os.fork()
        if self.process:
            theirs.close()
            self.pipe = ours
            _pipes.append(ours)
            programs.forks.add(self.process)
            return
        try:
            for pipe in (ours, *_pipes):
                pipe.close()
            share_numbers(part, parts)
            _serve(theirs, super()._once, cases, self.conditions)
        finally:
            os._exit(0)

    def _once(self, case: Case) -> Result:
        assert self.pipe is not None
        try:
            self.pipe.send(case.key)
            result, answers = self.pipe.recv()
        except (EOFError, OSError):
            return Result.of(case, Verdict.ERROR, "a process of the judge has ended")
        for seconds in answers:
            self.conditions.saw(seconds)
        assert isinstance(result, Result)
        return result

    def stop(self, grace: float = 0.0) -> None:
        """Ends the process, and with it its server."""
        if self.pipe is not None:
            _pipes.remove(self.pipe)
            self.pipe.close()
            self.pipe = None
            os.waitpid(self.process, 0)
            programs.forks.discard(self.process)


@contextlib.contextmanager
def workers_apart(first: Worker, cases: Iterable[Case], count: int) -> Iterator[list[WorkerApart]]:
    """So many workers like the first one, which may be asked for these cases, each in a process of its own."""
    by_key = {case.key: case for case in cases}
    values = {each.name: getattr(first, each.name) for each in fields(first) if each.init}
    with contextlib.ExitStack() as stack:
        workers = []
        for part in range(1, count + 1):
            worker = WorkerApart(**values)
            worker.begin(by_key, part, count + 1)
            stack.callback(worker.stop)
            workers.append(worker)
        share_numbers(0, count + 1)
        yield workers


def _serve(pipe: Connection, once: Callable[[Case], Result], cases: Mapping[str, Case], conditions: Conditions) -> None:
    """Tries the cases that are asked for, until the pipe ends."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # the end of the pipe says when to end
    asked: queue.SimpleQueue[str] = queue.SimpleQueue()

    def answer() -> None:
        while True:
            result = once(cases[asked.get()])
            pipe.send((result, conditions.news()))

    threading.Thread(target=answer, name="judge", daemon=True).start()
    try:
        while True:
            asked.put(pipe.recv())
    except (EOFError, OSError):
        pass
