"""A server as a process of its own: started, measured from outside, and ended. Knows no protocol."""

from __future__ import annotations

import os
import resource
import socket
import time
from contextlib import ExitStack
from pathlib import Path

from conformance.engine import programs
from conformance.engine.ports import free_port

from .contenders import Contender

ROOT = Path(__file__).parents[2]
READY = 15.0  # seconds until a server must listen
GRACE = 5.0  # seconds for a server to end when it is told so
READY_WORDS = "listening on "


class NotStartedError(Exception):
    """A server did not come up; the message holds its last words."""


def raise_limits() -> None:
    """Lets this process and the servers that it starts open as many files as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def cores() -> tuple[set[int], set[int]]:
    """The cores of the servers and the one of the load, which shares it with no server where there are two."""
    allowed = sorted(os.sched_getaffinity(0))
    return set(allowed[:-1] or allowed), {allowed[-1]}


class Server:
    """A running server, in a directory of its own. As a context manager it is ended with all that it has started."""

    def __init__(self, contender: Contender, on: set[int] | None = None) -> None:
        self.contender = contender
        with ExitStack() as stack:
            directory = stack.enter_context(programs.folder("pychat-bench-"))
            self._log = directory / "log"
            self._start(directory, on or set(), stack)
            self._stack = stack.pop_all()

    def _start(self, directory: Path, on: set[int], stack: ExitStack) -> None:
        contender = self.contender
        places = {"config": str(directory / "config"), "program": str(directory / "program")}
        port = stack.enter_context(free_port()) if contender.config else 0
        if contender.source:
            source = str(Path(__file__).with_name(contender.source))
            done = programs.run(["gcc", "-O2", "-o", places["program"], source])
            if done.returncode != 0:
                raise NotStartedError(f"{contender.name} cannot be compiled: {done.stderr.strip()}")
        if contender.config:
            Path(places["config"]).write_text(contender.config.format(port=port), encoding="utf-8")
        began = time.monotonic()
        with self._log.open("wb") as log:
            self._process = programs.start(
                [word.format(**places) for word in contender.command],
                cwd=ROOT,
                stdout=log.fileno() if contender.config else programs.PIPE,
                stderr=log.fileno(),
                cores=on,
            )
        stack.callback(self._process.close)
        stack.callback(self._process.end, GRACE)
        self.address = ("127.0.0.1", port or self._announced())
        if port:
            self._await_listener()
        self.ready = time.monotonic() - began

    def _announced(self) -> int:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode(errors="replace").strip()
        if not line.startswith(READY_WORDS):
            raise NotStartedError(f"{self.contender.name} did not start: {line} {self.last_words()}")
        return int(line.rpartition(":")[2])

    def _await_listener(self) -> None:
        deadline = time.monotonic() + READY
        while True:
            try:
                socket.create_connection(self.address, 1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise NotStartedError(f"{self.contender.name} did not start: {self.last_words()}") from None
                time.sleep(0.002)
            else:
                return

    def last_words(self) -> str:
        """The end of what the server has logged."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-400:].strip()

    def cpu(self) -> int:
        """The CPU time of all threads of the server so far, those that have ended too, in nanoseconds.

        The process's own CPU clock: clock_getcpuclockid(3) makes its id of the pid so.
        """
        return time.clock_gettime_ns((~self._process.pid << 3) | 2)

    def memory(self, what: str = "VmRSS") -> int:
        """Resident octets now, or the most that they ever were (`VmHWM`)."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        return int(next(line for line in status.split("\n") if line.startswith(what)).split()[1]) * 1024

    def descriptors(self) -> int:
        """How many it has open now."""
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
