"""The keeper: a process between a tool and the programs that it starts, so that none of them outlives the tool.

    tool ── keeper ─┬─ guard ── program ── whatever it starts
                    └─ guard ── program ── …

A guard is a fork of the keeper for one program. It is the program's parent and a child subreaper (prctl(2)): a
descendant whose own parent has ended becomes the guard's child, whatever session it is in. So the descendants of one
program are never confused with those of another, and when wait(2) says ECHILD, nothing is left of it. A guard signals
only its own children that it has not reaped, and their process groups: no process id can belong to another process
by then. pidfd_open(2) would ensure the same for one process, but not for a group.

A guard ends its program when it is told so, when the tool's end of their socket is closed, and when the keeper has
gone. The keeper ends when the tool's end of its own socket is closed; it waits for its guards, and then undoes what
the tool has announced. Each of these also happens after a SIGKILL of the tool.

Where there is no subreaper (all systems but Linux), a program is ended with its process group.

Started as a program by `programs`, so it imports little. Knows no tool and no program.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import marshal
import os
import select
import signal
import socket
import struct
import sys
import time
from typing import Any

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 1.0  # seconds after SIGTERM for programs whose tool has gone
KILL_SECONDS = 10.0  # until processes are given up that SIGKILL does not end, or that multiply faster
LENGTH = struct.Struct("!I")  # before each request to the keeper; descriptors come with it
STARTED = struct.Struct("!ii")  # from a guard: the process id, or 0 and the error's number
ENDED = struct.Struct("!i")  # from a guard: how the program has ended, as `Popen.returncode`
ORDER = struct.Struct("!id")  # to a guard: a signal for the group; 0: end it, with so many seconds of grace
_PR_SET_CHILD_SUBREAPER = 36
_prctl: Any = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None


def main() -> None:
    """Serves the tool at the other end of the socket whose descriptor is the first argument."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as tool:
        tool.set_inheritable(False)
        sys.exit(Keeper(tool, subreaper=len(sys.argv) == 2).serve())


class Keeper:
    """Forks a guard for each program, and keeps the list of what must be undone at the end."""

    def __init__(self, tool: socket.socket, *, subreaper: bool) -> None:
        self._tool = tool
        self._subreaper = subreaper and become_subreaper()
        self._guards: set[int] = set()
        self._undo: dict[int, list[bytes]] = {}
        self._life, self._lifeline = os.pipe()  # the guards see its end when this process has ended

    def serve(self) -> int:
        """Returns when the tool has gone: 0 if nothing is left behind."""
        while (request := self._request()) is not None:
            words, descriptors = request
            match words:
                case "start", *program:
                    self._start(program, descriptors)
                case "undo", key, command:
                    self._undo[key] = command
                case "undone", key:
                    self._undo.pop(key, None)
            for descriptor in descriptors:
                os.close(descriptor)
            self._reap()
        os.close(self._lifeline)
        left = self._end()
        for command in reversed(self._undo.values()):
            left |= _run(command)
        return int(left)

    def _request(self) -> tuple[Any, list[int]] | None:
        """None when the tool has gone, also in the middle of a request."""
        head, descriptors, _, _ = socket.recv_fds(self._tool, LENGTH.size, 4, socket.MSG_WAITALL)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        if len(head) == LENGTH.size:
            length = LENGTH.unpack(head)[0]
            octets = bytearray()
            while len(octets) < length and (more := self._tool.recv(length - len(octets))):
                octets += more
            if len(octets) == length:
                return marshal.loads(octets), descriptors  # noqa: S302  # from the tool, by a socket of its own
        for descriptor in descriptors:
            os.close(descriptor)
        return None

    def _start(self, program: list[Any], descriptors: list[int]) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            with socket.socket(fileno=os.dup(descriptors[0])) as control:
                _tell(control, STARTED.pack(0, error.errno))
            return
        if pid:
            self._guards.add(pid)
            return
        try:
            self._tool.close()
            os.close(self._lifeline)
            control = socket.socket(fileno=descriptors[0])
            guard = Guard(control, self._life, subreaper=self._subreaper and become_subreaper())
            guard.run(descriptors[1:], *program)
        finally:
            os._exit(0)

    def _reap(self) -> bool:
        """Takes in what has ended; whether anything is left."""
        with contextlib.suppress(ChildProcessError):
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                self._guards.discard(pid)
            return True
        return False

    def _end(self) -> bool:
        """Waits for the guards, and kills what is left of a guard that was killed; whether anything is left."""
        deadline = time.monotonic() + GRACE + KILL_SECONDS
        while self._reap():
            if time.monotonic() > deadline:
                return True
            for pid in children() if self._subreaper else ():
                if pid not in self._guards:
                    _kill(pid)
            time.sleep(0.002)
        return False


class Guard:
    """The parent of one program and, with a subreaper, of all its descendants that have no other."""

    def __init__(self, control: socket.socket, life: int, *, subreaper: bool) -> None:
        self._control, self._life, self._subreaper = control, life, subreaper
        self._program = 0  # its process id, until it is reaped
        self._woken, waker = os.pipe()
        for descriptor in (self._woken, waker):
            os.set_blocking(descriptor, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)

    def run(
        self, streams: list[int], words: list[bytes], env: dict[bytes, bytes], cwd: bytes, cores: list[int]
    ) -> None:
        """Starts the program, and returns when nothing of it is left."""
        try:
            self._program = spawn(words, env, streams, cwd, cores)
        except (OSError, ValueError) as error:  # such as an empty word, or a NUL in one
            _tell(self._control, STARTED.pack(0, getattr(error, "errno", None) or errno.EINVAL))
            return
        finally:
            for stream in streams:
                os.close(stream)
        _tell(self._control, STARTED.pack(self._program, 0))
        self._watch()
        self._kill()

    def _watch(self) -> None:
        """Returns when nothing is left, or all must be killed: the program was told to end, and its time is over."""
        poll = select.poll()
        for descriptor in (self._control.fileno(), self._life, self._woken):
            poll.register(descriptor, select.POLLIN)
        deadline = None
        while deadline is None or (self._program and time.monotonic() < deadline):
            left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
            ready = {descriptor for descriptor, _ in poll.poll(left)}
            if not self._reap():
                return
            if self._life in ready:
                poll.unregister(self._life)
                deadline = self._ask_to_end(GRACE)
            if self._control.fileno() in ready:
                number, grace = self._order()
                if number:
                    self._signal(number)
                elif deadline is None or grace == 0:
                    deadline = self._ask_to_end(grace)
                if number == 0 and deadline is not None:
                    poll.unregister(self._control.fileno())

    def _order(self) -> tuple[int, float]:
        with contextlib.suppress(OSError):
            octets = self._control.recv(ORDER.size, socket.MSG_WAITALL)
            if len(octets) == ORDER.size:
                number, grace = ORDER.unpack(octets)
                return number, grace
        return 0, GRACE

    def _ask_to_end(self, grace: float) -> float:
        """SIGTERM to the program; returns the moment when its time is over."""
        if grace:
            self._signal(signal.SIGTERM)
        return time.monotonic() + grace

    def _signal(self, number: int) -> None:
        """Signals the program's process group, which cannot be another one until the program is reaped."""
        if self._program:
            with contextlib.suppress(OSError):
                os.killpg(self._program, number)

    def _reap(self) -> bool:
        """Takes in what has ended; whether anything is left."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._program:
                if not self._subreaper:  # the last moment at which the number is known to be that of its group
                    self._signal(signal.SIGKILL)
                self._program = 0
                _tell(self._control, ENDED.pack(os.waitstatus_to_exitcode(status)))

    def _kill(self) -> None:
        """Kills all that is left. A killed process leaves its children to this one, for the next round."""
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        deadline = time.monotonic() + KILL_SECONDS
        quiet = False
        while self._reap() and time.monotonic() < deadline:
            self._signal(signal.SIGKILL)
            if quiet or not self._program:
                for pid in children():
                    _kill(pid)
            quiet = not poll.poll(10)


def become_subreaper() -> bool:
    """Whether this process is from now on the parent of its descendants whose parents have ended."""
    return _prctl is not None and _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def spawn(words: list[bytes], env: dict[bytes, bytes], streams: list[int], cwd: bytes, cores: list[int]) -> int:
    """Starts a program in a session of its own, on these cores (any without one). Raises OSError."""
    os.environb[b"PATH"] = env.get(b"PATH", os.fsencode(os.defpath))  # where posix_spawnp looks for the program
    os.chdir(cwd)
    if cores:
        os.sched_setaffinity(0, cores)
    return os.posix_spawnp(
        words[0],
        words,
        env,
        file_actions=[(os.POSIX_SPAWN_DUP2, stream, number) for number, stream in enumerate(streams)],
        setsid=True,
        setsigmask=[],
        setsigdef=[*STOPS, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ],  # Python ignores the last two
    )


def children() -> list[int]:
    """The processes whose parent this one is. (Not every kernel has /proc/PID/task/TID/children.)"""
    if not os.path.exists("/proc/self") or os.readlink("/proc/self") != str(os.getpid()):
        return []  # no /proc, or that of another pid namespace
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            if int(file.read().rpartition(b")")[2].split()[1]) == os.getpid():
                found.append(int(name))
    return found


def _kill(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)


def _tell(control: socket.socket, octets: bytes) -> None:
    with contextlib.suppress(OSError):  # the tool has gone
        control.sendall(octets)


def _run(command: list[bytes]) -> bool:
    """Whether a command failed."""
    with open(os.devnull, "r+b") as null, contextlib.suppress(OSError):
        pid = spawn(command, dict(os.environb), [null.fileno()] * 3, b"/", [])
        return os.waitpid(pid, 0)[1] != 0
    return True


if __name__ == "__main__":
    main()
