"""Every system call of the server is made to fail, one after the other, from outside (strace(1), `inject`).

A call that fails costs at most the connection that it was made for. Everybody else talks on, newcomers are answered,
and SIGTERM ends the server with its goodbyes and exit code 0 within 5 s. `--rounds 3` tries all that is listed here.
With `--seed 9` it printed: 147 cases, 198 failing calls, 80 connections lost, nobody else; 55 ends, the longest 2.5 s;
32 starts with a call that failed, of which 20 began to serve nevertheless.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from .conftest import Peer, need
from .test_server_process import process

# What the manual pages name for each call, without the errors that only a mistake of the program can bring.
ERRORS = {
    "accept4": "EMFILE ENFILE ENOBUFS ENOMEM ECONNABORTED EPROTO EPERM EHOSTUNREACH EAGAIN EINTR EIO",
    "recvfrom": "ECONNRESET ENOMEM ENOBUFS ETIMEDOUT EHOSTUNREACH EAGAIN EINTR",
    "sendto": "EPIPE ECONNRESET ENOBUFS ENOMEM EHOSTUNREACH EAGAIN EINTR",
    "epoll_wait": "ENOMEM EINVAL EINTR",
    "epoll_ctl": "ENOMEM ENOSPC",
    "poll": "ENOMEM EINTR",
    "setsockopt": "ENOBUFS ENOMEM EINVAL",
    "getsockname": "ENOBUFS",
    "ioctl": "EIO ENOMEM",
    "shutdown": "ENOTCONN ENOBUFS",
    "close": "EIO ENOSPC EINTR",
    "write": "EIO ENOSPC EPIPE EAGAIN",
    "openat": "EMFILE ENOMEM",
}
EXHAUSTED = ["-e", "inject=accept4:error=EMFILE:when=1"]  # then openat is called, for the spare descriptor
CASES = [(call, error) for call, errors in ERRORS.items() for error in errors.split()]
NEWCOMERS = {"accept4", "getsockname", "setsockopt", "ioctl", "openat"}  # only for these
ONCE = [(call, error, "1") for call, error in CASES if call not in NEWCOMERS]
FROM_NOW_ON = [(call, error, "1+") for call, error, _ in ONCE if error != "EINTR"]  # which Python tries again, for ever
# Calls of the interpreter and of the C library, behind which no decision of the server stands.
INTERPRETER = "brk mmap munmap mprotect madvise mremap futex gettid getpid sched_yield clock_nanosleep restart_syscall"
INTERPRETER += " rt_sigaction rt_sigprocmask rt_sigreturn exit exit_group getrandom rseq set_robust_list"
BEFORE = "socket:EMFILE bind:EADDRINUSE listen:EADDRINUSE getsockname:ENOBUFS socketpair:EMFILE epoll_create1:EMFILE"
BEFORE += " epoll_ctl:ENOSPC prlimit64:EPERM"

# Where only a parent may trace a process (Yama), the server lets everybody: PR_SET_PTRACER, prctl(2).
TRACEABLE = """
import ctypes
ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)
from pychat import cli
cli.main()
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="strace is a program of Linux")


@contextmanager
def traced(pid: int, report: Path, *options: str) -> Iterator[None]:
    """strace at all threads of a process; its report is whole at the end."""
    command = [need("strace"), "-f", "-o", str(report), *options, "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        line = tracer.stderr.readline()
        try:
            assert "attached" in line, line + tracer.stderr.read()
            yield
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.communicate()


def failing(call: str, error: str, when: int | str = 1) -> list[str]:
    """The options of strace that let this call fail: the n-th one of each thread, or all from the n-th one (`n+`)."""
    others = EXHAUSTED if call == "openat" else []
    return ["-e", f"trace={call},accept4", *others, "-e", f"inject={call}:error={error}:when={when}"]


class LostError(Exception):
    """The server has ended a connection, or its partner's."""


class Town:
    """People at a server: a chat that lasts, and newcomers. `lost` counts the connections that the server has ended."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._serial = itertools.count()
        self.lost = 0
        self.pair = self._couple()

    def live(self) -> None:
        """The lasting chat goes on, and two newcomers come, talk and go, each in a way of its own."""
        if not self._try(self.pair, lambda: _talk(*self.pair)):
            self.pair = self._couple()
        caller, called = self._couple()
        caller.reset()
        with suppress(OSError):  # it may be lost just now
            called.send("QUIT")
        end(called)
        called.close()

    def stop(self) -> None:
        """Reads everybody's goodbye."""
        for peer in self.pair:
            line = end(peer)
            self.lost += not line.startswith("BYE shutting-down ")
            peer.close()

    def _couple(self) -> tuple[Peer, Peer]:
        """Two newcomers in a chat, after as many tries as it takes."""
        while True:
            number = next(self._serial)
            pair = Peer(self._address), Peer(self._address)

            def meet(number: int = number, pair: tuple[Peer, Peer] = pair) -> None:
                caller, called = pair
                ask(caller, f"NAME a{number}", f"OK NAME a{number}")
                ask(called, f"NAME b{number}", f"OK NAME b{number}")
                ask(caller, f"CHAT b{number}", f"OK CHAT b{number}")
                ask(called, f"CHAT a{number}", f"OK CHAT a{number}")
                _talk(*pair)

            if self._try(pair, meet):
                return pair

    def _try(self, pair: tuple[Peer, Peer], step: Callable[[], None]) -> bool:
        """Whether a step succeeds. If not, one of the two was lost, and it is counted; the other one is answered."""
        try:
            step()
        except LostError as error:
            missed = str(error)
        else:
            return True
        living = [peer for peer in pair if is_answered(peer)]
        assert len(living) < len(pair), f"nobody was lost, and yet nobody got {missed}"
        self.lost += len(pair) - len(living)
        for peer in pair:
            peer.close()
        return False


def ask(peer: Peer, line: str, wanted: str) -> None:
    """Sends a line, and reads up to another one."""
    try:
        peer.send(line)
    except OSError:
        raise LostError(wanted) from None
    hear(peer, wanted)


def hear(peer: Peer, wanted: str) -> None:
    """Reads up to a line; what must not come instead of it is the end."""
    while (line := peer.line()) != wanted:
        if line in ("<end>", "<reset>") or line.startswith(("GONE ", "ERR ")):
            raise LostError(wanted)


def _talk(one: Peer, other: Peer) -> None:
    for text in ("MSG hi", "MSG " + "x" * 1500):
        one_way(one, other, text)
        one_way(other, one, text)


def one_way(one: Peer, other: Peer, line: str) -> None:
    """A line from one to the other."""
    try:
        one.send(line)
    except OSError:
        raise LostError(line) from None
    hear(other, line)


def is_answered(peer: Peer) -> bool:
    """Whether a connection lives; frames that came before the answer are skipped."""
    try:
        peer.send("PING still-here")
        while (line := peer.line()) != "PONG still-here":
            if line in ("<end>", "<reset>"):
                return False
    except ConnectionError:
        return False
    return True


def end(peer: Peer) -> str:
    """The last line before the end of the stream."""
    last = ""
    while (line := peer.line()) not in ("<end>", "<reset>"):
        last = line
    return last


def injected(report: Path) -> int:
    return report.read_text().count("(INJECTED)")


@pytest.fixture(scope="module", autouse=True)
def _strace() -> None:
    need("strace")


def test_the_list_of_calls_is_whole(tmp_path: Path) -> None:
    """What the server calls while it serves, and at its end, stands in the table above, or is none of its own."""
    with process("--io-threads", "2", program=TRACEABLE) as (running, address):
        town = Town(address)
        with traced(running.pid, tmp_path / "trace", *EXHAUSTED):
            town.live()
            running.terminate()
            town.stop()
            assert running.wait(5) == 0
    called = set(re.findall(r"^\d+ +(?:<\.\.\. )?(\w+)[( ]", (tmp_path / "trace").read_text(), re.MULTILINE))
    assert called - set(INTERPRETER.split()) == set(ERRORS), "calls of the server, and calls of the table"


def test_a_call_that_fails_costs_at_most_its_own_connection(tmp_path: Path, rounds: int, seed: int) -> None:
    """While the server serves: each error of each call, one after the other; at last SIGTERM keeps its promise."""
    cases = [(call, error, when) for when in range(1, 1 + rounds) for call, error in CASES]
    random.Random(seed).shuffle(cases)
    cases.sort(key=lambda case: case[2] if case[:2] == ("write", "EPIPE") else 0)  # after it there is no log any more
    total = lost = 0
    with process("--io-threads", "2", program=TRACEABLE) as (running, address):
        assert running.stderr is not None
        reader = threading.Thread(target=running.stderr.read)  # a full pipe would stop the log
        reader.start()
        town = Town(address)
        for number, case in enumerate(cases):
            report, before = tmp_path / str(number), town.lost
            with traced(running.pid, report, *failing(*case)):
                town.live()
                for _ in range(20):  # the log is written a little later than what it tells
                    if injected(report) or case[2] > 1:
                        break
                    town.live()
            assert town.lost - before <= injected(report), f"{case}: {town.lost - before} connections were lost"
            assert injected(report) or case[2] > 1, f"{case}: the call was not made"
            total += injected(report)
        lost, town.lost = town.lost, 0
        town.live()
        assert town.lost == 0
        running.terminate()
        town.stop()
        assert running.wait(5) == 0
        reader.join()
    print(f"{len(cases)} cases, {total} failing calls: {lost} connections lost, nobody else")
    assert town.lost == 0


def test_a_call_that_fails_does_not_keep_the_server_from_ending(tmp_path: Path, rounds: int, seed: int) -> None:
    """Each error of each call that is made after SIGTERM, once or from now on: the last frames of all others come."""
    cases = ONCE + FROM_NOW_ON
    cases = random.Random(seed).sample(cases, min(len(cases), 5 * rounds**3))
    longest = 0.0
    for number, case in enumerate(cases):
        report = tmp_path / str(number)
        with process("--io-threads", "2", program=TRACEABLE) as (running, address):
            town = Town(address)
            with traced(running.pid, report, *failing(*case)):
                began = time.monotonic()
                running.terminate()
                town.stop()
                assert running.wait(5) == 0, case
                longest = max(longest, time.monotonic() - began)
        assert town.lost <= injected(report), case
    print(f"{len(cases)} cases: the longest took {longest:.1f} s to end")


def test_a_server_that_cannot_start_says_why(tmp_path: Path, rounds: int, seed: int) -> None:
    """One line and exit code 1, or it serves all the same; at once in both cases."""
    failures = [case.partition(":") for case in BEFORE.split()]
    cases = [(call, error, when) for when in range(1, 2 + rounds) for call, _, error in failures]
    cases = random.Random(seed).sample(cases, min(len(cases), 4 * rounds**3))
    served = [started(tmp_path / "trace", *case) for case in cases]
    print(f"{len(cases)} cases: {sum(served)} servers started nevertheless")


@pytest.mark.parametrize("when", [1, 2, 4], ids=["log", "first-loop", "acceptor"])
def test_a_server_without_room_for_a_thread_says_so(tmp_path: Path, when: int) -> None:
    """Those threads that have begun already do not keep it from ending."""
    assert not started(tmp_path / "trace", "clone3", "EAGAIN", when)


def started(report: Path, call: str, error: str, when: int) -> bool:
    """Whether a server starts though a call fails, and then ends at a SIGTERM; if not, it says why in one line."""
    command = [need("strace"), "-f", "-o", str(report), *failing(call, error, when)]
    program = "import signal; signal.alarm(30); from pychat import cli; cli.main()"  # it ends also if all else fails
    command += [sys.executable, "-c", program, "server", "--port", "0", "--io-threads", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        if running.stdout.readline():
            (child,) = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
            os.kill(int(child), signal.SIGTERM)
            assert running.wait(5) == 0
            return True
        _, said = running.communicate()
    assert running.returncode == 1, said
    assert "Traceback" not in said
    assert len([line for line in said.splitlines() if line.startswith("pychat: ")]) == 1, said
    return False
