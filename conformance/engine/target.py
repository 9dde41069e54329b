"""The implementation under test: a program that is started, watched and ended with all that it started, or an address.

A command holds placeholders such as `{port}`, which the suite fills in. The output of a program is kept, bounded.
Nothing here knows a frame; that a server listens is shown by a connection that is accepted.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import select
import shlex
import signal
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import IO

from conformance.oracle.frames import visible_lines
from pychat.spec import Spec

from . import programs
from .conditions import LATE
from .ports import free_port
from .shell import needs_shell, not_executed

KEPT = 64 * 1024  # octets of its output
ANNOUNCED = re.compile(rb"listening on (?:\[(?P<v6>[^\s\[\]]+)\]|(?P<host>[^\s\[\]]+)):(?P<port>[0-9]+)\b")
REACHED = {  # where a server is reached that listens on every address, the likeliest first
    "0.0.0.0": ("127.0.0.1",),  # noqa: S104  # compared, not bound
    "::": ("::1", "127.0.0.1"),
    "*": ("127.0.0.1", "::1"),
}
ELSEWHERE = 0.5  # seconds in which a server that listens on two addresses opens the other one
OTHER_LOOPBACK = {"127.0.0.1": "::1", "::1": "127.0.0.1"}
START_SECONDS = 10.0
BUSY_STARTS = 4  # times as long on a busy machine
MOMENT = 0.01  # seconds after which it is looked at again whether it listens
STOP_SECONDS = 1.0
LAST_SIGN = 0.05  # seconds between the last sign of a process, such as a connection that breaks, and its end
ATTEMPTS = 3  # a free port may be taken by another program before the server takes it
PLACEHOLDER = re.compile(r"\{([a-z_-]+)\}")
FOR_SERVERS = {  # the placeholders of a command, besides the spec's timers
    "port": "the port to listen on", "host": "the address to listen on",
    "spec": "the file of the spec to serve, in YAML of another layout than the shipped one; times are like 2500 ms",
    "max": "the most connections that it admits",
}  # fmt: skip
FOR_CLIENTS = {"host": "the server's address", "port": "the server's port", "spec": "the file of the spec to follow"}


# Programs that start at once: more of them than there are cores make each other late. For all forks of this process.
_starting = multiprocessing.BoundedSemaphore(max(2, os.cpu_count() or 1))


class CommandError(Exception):
    """A command that needs a shell, has a placeholder that there is not, or lacks one that it needs; says so."""


def placeholders_of(spec: Spec, of: str) -> dict[str, str]:
    """The placeholders that the command of a server or a client may hold, and what each stands for."""
    if of == "client":
        return FOR_CLIENTS
    timers = {timer.name: f"seconds of the {timer.name} timer" for timer in spec.timers.values()}
    return FOR_SERVERS | {name: words for name, words in timers.items() if name not in FOR_SERVERS}


def check_command(command: str, spec: Spec, of: str) -> None:
    """Raises CommandError for what needs a shell, a placeholder that there is not, or a client's without the port.

    A server without it takes a free port and says which: `listening on HOST:PORT`.
    """
    problem = needs_shell(command)
    if problem:
        raise CommandError(problem)
    known, found = placeholders_of(spec, of), PLACEHOLDER.findall(command)
    wrong = next((name for name in found if name not in known), None)
    if wrong is not None or (of == "client" and "port" not in found):
        problem = f"there is no {{{wrong}}}" if wrong else "it must take its {port}"
        raise CommandError(f"{command!r}: {problem}; there are {', '.join(f'{{{name}}}' for name in known)}")


def command_values(spec: Spec, spec_file: str) -> dict[str, str]:
    """The values of the placeholders in a server's command, besides `port` and `host`."""
    return {timer.name: f"{timer.after:g}" for timer in spec.timers.values()} | {"spec": spec_file, "max": "1000"}


class StartError(Exception):
    """The implementation would not start, or does not listen; the message says why, with its last words."""


@dataclass(slots=True)
class Running:
    """An implementation that listens at `address`; `shared`: others use it too, and `stop` leaves it alone."""

    address: tuple[str, int]
    process: Process | None = None
    shared: bool = False

    @property
    def alive(self) -> bool:
        return self.process is None or self.process.popen.poll() is None

    def death(self) -> str:
        """How it died, with its last words; nothing when it lives."""
        return f"it {self.process.ending()}" if self.process is not None and not self.alive else ""

    @property
    def said(self) -> int:
        """How many octets of standard error it has written, as far as they were read."""
        return self.process.said if self.process else 0

    def stderr(self, since: int = 0) -> str:
        """What it has written to its standard error after so many octets."""
        return excerpt(self.process.stderr(since), 16, 16) if self.process else ""

    def stop(self, grace: float = STOP_SECONDS) -> None:
        """Ends it, after so many seconds of grace."""
        if self.process is not None and not self.shared:
            self.process.kill(grace)


@dataclass(frozen=True, slots=True)
class Address:
    """A server that runs already; it is shared with others and never restarted."""

    host: str
    port: int
    restartable: bool = False
    placeholders: frozenset[str] = frozenset()

    def start(self, **values: str) -> Running:
        try:
            socket.create_connection((self.host, self.port), START_SECONDS).close()
        except OSError as error:
            raise StartError(
                f"{shown_address(self.host, self.port)} takes no connection: {error.strerror or error}"
            ) from None
        return Running((self.host, self.port))


@dataclass(frozen=True, slots=True)
class Command:
    """A program; The placeholders in its words are filled in. Without `{port}` it must say where it listens."""

    text: str
    env: dict[str, str] = field(default_factory=dict, hash=False)
    restartable: bool = True

    def words(self, **values: str) -> list[str]:
        """Its words. Raises StartError for a quote that is not closed or a placeholder that there is not."""
        try:
            words = shlex.split(self.text)
        except ValueError as error:
            raise StartError(f"{self.text!r} is no command: {error}") from None
        if not words:
            raise StartError("the command is empty")
        return [PLACEHOLDER.sub(lambda m: values.get(m[1], m[0]), word) for word in words]

    @property
    def placeholders(self) -> frozenset[str]:
        return frozenset(PLACEHOLDER.findall(self.text))

    def start(self, **values: str) -> Running:
        problem = ""
        for _ in range(ATTEMPTS):
            with _starting, free_port() as port:
                process, problem = self._try({"host": "127.0.0.1", "port": str(port), **values})
            if process is not None:
                return process
            if "address already in use" not in problem.lower():
                break
        raise StartError(problem)

    def _try(self, values: dict[str, str]) -> tuple[Running | None, str]:
        host, port = values["host"], int(values["port"]) if "port" in self.placeholders else 0
        process = Process(spawn(self, self.words(**values)))
        elsewhere = 0.0  # when it was first seen at the other loopback address
        started = time.monotonic()
        late = 0.0  # by how much a short wait of the judge ended late, at most: the machine is busy
        while time.monotonic() < started + START_SECONDS * (BUSY_STARTS if late >= LATE else 1):
            if process.popen.poll() is not None:
                process.join()
                problem = f"`{self.text}` {process.ending()} before it listened{_words(process)}"
                process.kill()
                return None, problem
            announced = process.announced
            if announced is not None:
                host, port = announced
            reached = _reached(host, port) if port else None
            if reached is not None:
                return Running((reached, port), process), ""
            other = OTHER_LOOPBACK.get(host, "")
            if port and other and announced is None and _reached(other, port):
                elsewhere = elsewhere or time.monotonic()
                if time.monotonic() - elsewhere > ELSEWHERE:
                    return self._at_other_loopback(process, (host, port), other)
            looked = time.monotonic()
            process.spoke.wait(MOMENT)
            late = max(late, time.monotonic() - looked - MOMENT)
        problem = f"`{self.text}` does not listen"
        problem += (
            f" on port {port} after {time.monotonic() - started:.0f} s"
            if port
            else ", or does not say where: let it print `listening on HOST:PORT`, or give it {port}"
        )
        problem += _words(process)
        process.kill()
        return None, problem

    def _at_other_loopback(self, process: Process, told: tuple[str, int], other: str) -> tuple[Running | None, str]:
        """What becomes of a server that listens on ::1 alone where 127.0.0.1 is meant, or the other way round."""
        if "host" not in self.placeholders:
            return Running((other, told[1]), process), ""
        process.kill()
        here, there = shown_address(*told), shown_address(other, told[1])
        return None, f"`{self.text}` does not listen on {here}, as it is told: it listens on {there}"


class Shared:
    """A server that several workers use at once. It is started when it is first needed, and again when it has died.

    As a context manager it is ended.
    """

    restartable = False

    def __init__(self, target: Target, values: Mapping[str, str]) -> None:
        self.placeholders: frozenset[str] = target.placeholders
        self._target, self._values = target, values
        self._lock = threading.Lock()  # guards what runs, and is held while it is started
        self._running: Running | None = None

    def start(self) -> Running:
        """What runs. Raises StartError as its target does."""
        with self._lock:
            if self._running is None or not self._running.alive:
                self._end()
                self._running = self._target.start(**self._values)
            return replace(self._running, shared=True)

    def _end(self) -> None:
        if self._running is not None:
            self._running.stop()
            self._running = None

    def __enter__(self) -> Shared:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._end()


Target = Address | Command | Shared
"""What is judged. `start` may be called by several threads."""


def spawn(
    command: Command, words: list[str], stdin: int = programs.DEVNULL, stdout: int = programs.PIPE
) -> programs.Program:
    """Starts a program under test. Raises StartError for what cannot be executed."""
    env = {**os.environ, **command.env}
    try:
        return programs.start(words, stdin=stdin, stdout=stdout, stderr=programs.PIPE, env=env)
    except OSError as error:
        raise StartError(not_executed(words[0], error)) from None


class Process:
    """A program whose output is read by two threads until its end; `kill` joins them."""

    def __init__(self, program: programs.Program) -> None:
        self.popen = program
        self.spoke = threading.Event()  # it has written to its standard output
        self.announced: tuple[str, int] | None = None
        self._said = 0  # octets of its standard error that were read
        self._lock = threading.Lock()  # guards what was read; held for reads that do not block
        self._stdout, self._stderr = bytearray(), bytearray()
        self._readers = [
            threading.Thread(target=self._read, args=(stream, kept), daemon=True)
            for stream, kept in ((program.stdout, self._stdout), (program.stderr, self._stderr))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: IO[bytes] | None, kept: bytearray) -> None:
        assert stream is not None
        while _readable(stream, None) and self._take(stream, kept):
            if kept is self._stdout and self.announced is None:
                self.announced = announced_in(bytes(kept))
                if self.announced is not None:
                    self.spoke.set()

    def _take(self, stream: IO[bytes], kept: bytearray) -> bool:
        """Takes in what is in a pipe now; False at its end."""
        with self._lock:
            if not _readable(stream, 0):  # another thread has taken it
                return True
            octets = os.read(stream.fileno(), 65536)
            kept += octets
            del kept[:-KEPT]
            self._said += len(octets) if kept is self._stderr else 0
            return bool(octets)

    @property
    def said(self) -> int:
        """How many octets of standard error it has written so far."""
        stream = self.popen.stderr
        while stream is not None and not stream.closed and _readable(stream, 0) and self._take(stream, self._stderr):
            pass
        return self._said

    def join(self) -> None:
        """Waits for the readers, which end when the program and its children have closed their outputs."""
        for reader in self._readers:
            reader.join(STOP_SECONDS)

    def stderr(self, since: int = 0) -> str:
        """Its standard error after so many octets, as far as it is kept."""
        with self._lock:
            kept, said = bytes(self._stderr), self._said
        return readable(kept[max(0, len(kept) - (said - since)) :])

    def ending(self) -> str:
        return ended(self.popen.poll())

    def kill(self, grace: float = STOP_SECONDS) -> None:
        """Ends it and all that it has started, first politely. It may have ended already, they may not."""
        self.popen.end(grace)
        self.join()
        if not any(reader.is_alive() for reader in self._readers):
            self.popen.close()


def _readable(stream: IO[bytes], milliseconds: int | None) -> bool:
    """Whether something is in a pipe, or its end, within so many milliseconds; None waits for it."""
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLIN)
    return bool(poll.poll(milliseconds))


def announced_in(octets: bytes) -> tuple[str, int] | None:
    """The address that a server says it listens on, None where it says none: `listening on [::1]:8255`."""
    found = ANNOUNCED.search(octets)
    return ((found["v6"] or found["host"]).decode("utf-8", "replace"), int(found["port"])) if found else None


def shown_address(host: str, port: int) -> str:
    """An address as it is written: an IPv6 address stands in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reached(host: str, port: int) -> str | None:
    """The host at which a server that listens on `host` takes a connection; None if it does not."""
    for reachable in REACHED.get(host, (host,)):
        try:
            with socket.create_connection((reachable, port), 1) as stream:
                if stream.getsockname() != stream.getpeername():  # else TCP connected the socket with itself
                    return reachable
        except (OSError, UnicodeError):  # such as a name with a label that is too long
            pass
    return None


def _words(process: Process) -> str:
    said = excerpt(process.stderr(), 6, 4)
    return f"; it said:\n{said}" if said else ""


def ended(code: int | None) -> str:
    """How a program has ended, for after its name."""
    return (
        f"was ended by signal {signal.Signals(-code).name}"
        if code is not None and code < 0
        else f"ended with code {code}"
    )


def killed_from_outside(program: programs.Program) -> str:
    """That a SIGKILL which the suite has not sent has ended a program; nothing when it was otherwise.

    A shell around the program says so by an exit code: 128 + the signal's number.
    """
    if program.killed or program.poll() not in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return ""
    return (
        f"it {ended(program.poll())}, which the suite did not send and which breaks no rule: "
        "is it the system's, because memory ran out?"
    )


def readable(octets: bytes) -> str:
    """A program's output as lines that can be shown."""
    return visible_lines(octets.decode("utf-8", "replace").replace("\r\n", "\n").rstrip("\n"))


def excerpt(text: str, first: int, last: int) -> str:
    """The first and the last lines: some languages say at the head of a trace what has happened, some at its end."""
    lines = text.split("\n")
    left_out = len(lines) - first - last
    return "\n".join([*lines[:first], f"… {left_out} lines …", *lines[-last:]]) if left_out > 1 else text
