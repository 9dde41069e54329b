"""Programs that a tool starts. They and their descendants end with the tool, whatever signal ends it.

They are started by a keeper (see keeper.py), which is itself started before the first of them. After a signal the tool
only has to end its keeper. A SIGKILL of the tool has the same effect, except that the tool does not wait for it.
Knows nothing of what the programs do.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import itertools
import marshal
import multiprocessing
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, Any

from .keeper import ENDED, KILL_SECONDS, LENGTH, ORDER, STARTED, STOPS

PIPE, DEVNULL = subprocess.PIPE, subprocess.DEVNULL
HAVE_SUBREAPER = sys.platform == "linux"
NO_SUBREAPER = (
    "this system has no subreaper: a program that leaves its process group (setsid, double fork) is not ended with it"
)
stopping = threading.Event()  # a signal has come: what a program does from now on may be an effect of it
forks: set[int] = set()  # the process ids of this tool's own forks, which end with it
_LAST_WORDS = 3.0  # seconds for what is said before the end
_CLEANING_SECONDS = 30.0  # for the keeper, when it has ended all programs, to undo what was announced
_parked = threading.Event()  # the main thread does nothing any more
_first: list[Callable[[], object]] = []  # what the first signal calls, at most one
_last: list[Callable[[], object]] = []  # what a signal lets the tool say before its end
_numbers, _starts = itertools.count(), itertools.count()


class Program:
    """A program in a session of its own. `end` leaves nothing of it; call it also when it has ended by itself.

    `poll` and `wait` may be called by several threads.
    """

    def __init__(self, pid: int, control: socket.socket, streams: Sequence[IO[Any] | None]) -> None:
        self.pid = pid
        self.stdin, self.stdout, self.stderr = streams
        self.killed = False  # by this tool
        self._control = control
        self._code: int | None = None
        self._lock = threading.Lock()  # guards reading from `_control`

    def poll(self) -> int | None:
        """How it has ended, as `Popen.returncode`; None while it runs."""
        return self.wait(0)

    def wait(self, seconds: float | None = None) -> int | None:
        """The same, after waiting for its end, at most so many seconds if they are given."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while self._code is None:
            if not _readable(self._control, deadline):
                return None
            with self._lock:
                if self._code is None:
                    self._code = _ending(self._control)
        return self._code

    def signal(self, number: int) -> None:
        """Sends a signal to its process group, if it has not ended."""
        self.killed |= number == signal.SIGKILL
        self._order(number, 0)

    def end(self, grace: float = 0.0) -> None:
        """Ends it, with SIGTERM and so many seconds of grace first, and kills all that it has started.

        Its output can be read to its end before and after.
        """
        self.killed = True
        self._order(0, grace)
        with self._lock:
            if self._code is None:
                self._code = _ending(self._control)
            if self._control.fileno() >= 0:
                while _readable(self._control, time.monotonic() + KILL_SECONDS) and _receive(self._control, 1):
                    pass
                self._control.close()

    def close(self) -> None:
        """Closes this end of its input and of its outputs."""
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):  # what it has not taken of its input is lost
                    stream.close()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self.close()

    def _order(self, number: int, grace: float) -> None:
        with contextlib.suppress(OSError):  # nothing is left of it
            self._control.sendall(ORDER.pack(number, grace))


class _Keeper:
    """The tool's end of its keeper, one for the process. Requests of several threads follow one another."""

    def __init__(self, *, subreaper: bool = HAVE_SUBREAPER) -> None:
        self.socket, theirs = socket.socketpair()
        self._lock = multiprocessing.Lock()  # guards sending, by forks of this process too
        file = str(Path(__file__).with_name("keeper.py"))
        words = [sys.executable, "-I", "-S", file, str(theirs.fileno()), *([] if subreaper else ["group"])]
        with theirs:
            self._process = subprocess.Popen(
                words, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, cwd="/",
                pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip

    def ask(self, *words: Any, descriptors: Sequence[int] = ()) -> None:
        """Raises OSError when the keeper has gone."""
        octets = marshal.dumps(words)
        with self._lock:
            head = LENGTH.pack(len(octets))
            socket.send_fds(self.socket, [head], descriptors) if descriptors else self.socket.sendall(head)
            self.socket.sendall(octets)

    def close(self) -> bool:
        """Ends all programs and undoes what was announced; there can be no others. Whether nothing is left."""
        with contextlib.suppress(OSError):  # a second time
            self.socket.shutdown(socket.SHUT_WR)
            _readable(self.socket, time.monotonic() + KILL_SECONDS + _CLEANING_SECONDS)  # its end is the keeper's
        self.socket.close()
        try:
            return self._process.wait(KILL_SECONDS) == 0
        except subprocess.TimeoutExpired:
            return False


class _Shared:
    """The keeper of this process, started when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the start
        self._keeper: _Keeper | None = None

    def get(self) -> _Keeper:
        with self._lock:
            if self._keeper is None:
                self._keeper = _Keeper()
            return self._keeper

    def close(self) -> bool:
        """Of the keeper, if there is one. Takes no lock: the main thread may hold it, and does nothing any more."""
        return self._keeper is None or self._keeper.close()


_shared = _Shared()
atexit.register(_shared.close)


def start(
    words: Sequence[str],
    *,
    stdin: int = DEVNULL,
    stdout: int = DEVNULL,
    stderr: int = DEVNULL,
    text: bool = False,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    cores: Iterable[int] = (),
    keeper: _Keeper | None = None,
) -> Program:
    """Starts a program; each stream is DEVNULL, PIPE or a descriptor. Raises OSError for what cannot be executed.

    `text`: UTF-8 text, a line at a time, and LF alone ends one. `cores`: where it may run, anywhere without one.
    """
    if not HAVE_SUBREAPER and next(_starts) == 0:
        print(NO_SUBREAPER, file=sys.stderr)
    ours: list[IO[Any] | None] = []
    control, theirs = socket.socketpair()
    with contextlib.ExitStack() as passed, contextlib.ExitStack() as failed:
        passed.enter_context(theirs)
        failed.enter_context(control)
        descriptors = [theirs.fileno()]
        for number, stream in enumerate((stdin, stdout, stderr)):
            descriptor, end = _stream(number, stream, passed, text=text)
            descriptors.append(descriptor)
            ours.append(failed.enter_context(end) if end else None)
        (keeper or _shared.get()).ask(
            "start",
            [os.fsencode(word) for word in words],
            {os.fsencode(name): os.fsencode(value) for name, value in (os.environ if env is None else env).items()},
            os.fsencode(cwd or os.getcwd()),
            list(cores),
            descriptors=descriptors,
        )
        passed.close()
        answer = _receive(control, STARTED.size)
        if len(answer) < STARTED.size:
            raise OSError("the keeper of this tool's programs has ended")
        pid, number = STARTED.unpack(answer)
        if number:
            raise OSError(number, os.strerror(number), words[0])
        failed.pop_all()
    return Program(pid, control, ours)


def run(words: Sequence[str], env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end, and gives its code and output. Raises OSError for what cannot be executed."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with start(words, stdout=out.fileno(), stderr=err.fileno(), env=env) as program:
            code = program.wait()
        assert code is not None
        out.seek(0)
        err.seek(0)
        said, complaint = out.read().decode("utf-8", "replace"), err.read().decode("utf-8", "replace")
        return subprocess.CompletedProcess(words, code, said, complaint)


@contextlib.contextmanager
def undoing(words: Sequence[str]) -> Iterator[None]:
    """Runs a command at the end of the block, whatever ends it, after the programs; before that nothing was made yet.

    Raises OSError when the keeper has gone.
    """
    key, keeper = next(_numbers), _shared.get()
    keeper.ask("undo", key, [os.fsencode(word) for word in words])
    try:
        yield
    finally:
        run(words)
        keeper.ask("undone", key)


@contextlib.contextmanager
def folder(prefix: str) -> Iterator[Path]:
    """A temporary folder that goes with the block or the tool."""
    path = Path(tempfile.gettempdir()) / f"{prefix}{secrets.token_hex(8)}"
    with undoing(["rm", "-rf", "--", str(path)]):
        path.mkdir(mode=0o700)
        yield path


def end_on_signals(name: str) -> None:
    """From now on SIGINT, SIGTERM and SIGHUP end this tool, with a line and the exit code 128 + the signal's number.

    A SIGHUP that is ignored (nohup) stays so; SIGINT does not, for a shell lets its background jobs ignore it.
    """
    _shared.get()
    stops = {number for number in STOPS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    signal.signal(signal.SIGUSR1, _park)
    threading.Thread(target=_await_signals, args=(name, stops), name="signals", daemon=True).start()


@contextlib.contextmanager
def first_signal(then: Callable[[], object]) -> Iterator[None]:
    """In this block the first signal calls `then`, in a thread of its own; the next one ends the tool as usual."""
    _first.append(then)
    try:
        yield
    finally:
        _first.clear()


@contextlib.contextmanager
def last_words(say: Callable[[], object]) -> Iterator[None]:
    """In this block a signal that ends the tool calls `say` before, in a thread of its own, for a few seconds."""
    _last.append(say)
    try:
        yield
    finally:
        _last.clear()


def _await_signals(name: str, stops: set[signal.Signals]) -> None:
    """A thread that ends with the process.

    Not a handler: that would wait for the main thread, which may just have gone into a call that does not return.
    """
    while True:
        number = signal.sigwait(stops)
        try:
            _first.pop()()
        except IndexError:
            break
    stopping.set()
    for say in _last:
        thread = threading.Thread(target=say, name="last words", daemon=True)  # it may wait for a reader of a pipe
        thread.start()
        thread.join(_LAST_WORDS)
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGUSR1)  # it would complain of programs that end
    _parked.wait(0.1)
    for fork in forks:
        with contextlib.suppress(OSError):  # it has ended
            os.kill(fork, signal.SIGKILL)
            os.waitpid(fork, 0)
    left = "nothing is left behind" if _shared.close() else "something of what it has started could not be ended"
    clear = "\r\x1b[K" if os.isatty(2) else ""
    with contextlib.suppress(OSError):
        os.write(2, f"{clear}{name}: stopped; {left}\n".encode())
    os._exit(128 + number)


def _park(_number: int, _frame: FrameType | None) -> None:
    _parked.set()
    while True:
        signal.pause()


def _stream(number: int, stream: int, passed: contextlib.ExitStack, *, text: bool) -> tuple[int, IO[Any] | None]:
    """The descriptor that the program gets, closed with `passed` unless it was given, and this end of a pipe."""
    if stream == DEVNULL:
        return passed.enter_context(open(os.devnull, "r+b", buffering=0)).fileno(), None
    if stream != PIPE:
        return stream, None
    read, write = os.pipe()
    theirs, ours = (read, write) if number == 0 else (write, read)
    passed.callback(os.close, theirs)
    end: IO[Any] = os.fdopen(ours, "wb" if number == 0 else "rb")
    if text:
        end = io.TextIOWrapper(end, encoding="utf-8", errors="backslashreplace", newline="\n", line_buffering=True)
    return theirs, end


def _readable(control: socket.socket, deadline: float | None) -> bool:
    """Whether something can be read, or the end, before the deadline."""
    poll = select.poll()
    try:
        poll.register(control, select.POLLIN)
    except ValueError:  # another thread has just closed it
        return True
    return bool(poll.poll(None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000))


def _receive(control: socket.socket, size: int) -> bytes:
    """So many octets, or fewer at the end."""
    octets = b""
    with contextlib.suppress(OSError):
        while len(octets) < size and (more := control.recv(size - len(octets))):
            octets += more
    return octets


def _ending(control: socket.socket) -> int:
    """How the program has ended. A guard that was killed cannot say it; its program is killed with the keeper."""
    octets = _receive(control, ENDED.size)
    return int(ENDED.unpack(octets)[0]) if len(octets) == ENDED.size else -signal.SIGKILL
