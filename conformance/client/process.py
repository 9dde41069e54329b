"""A client under test: a program whose stdin and stdout the suite holds, and whose server the suite is.

Frames and printed lines are taken in as they come, bounded. Knows nothing of what they say.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import IO

from conformance.cases.play import CLIENT, USER
from conformance.engine import programs
from conformance.engine.failures import ExcessError
from conformance.engine.target import (
    KEPT,
    LAST_SIGN,
    START_SECONDS,
    STOP_SECONDS,
    Command,
    StartError,
    ended,
    excerpt,
    readable,
    spawn,
)
from conformance.engine.wire import Transcript, Wire

MOST = 5000  # frames or lines that wait; no play is owed so many


class ClientProcess:
    """One run of the client. `frames` come from its socket, `lines` from its standard output."""

    def __init__(self, command: Command, transcript: Transcript, *, terminal: bool = False, spec: str = "") -> None:
        self.transcript = transcript
        self.frames: deque[bytes] = deque()
        self.lines: deque[str] = deque()
        self.printed = bytearray()  # everything, as it came
        self._half_frame = self._half_line = b""
        self._errors = bytearray()
        self._done_printing = False
        with socket.create_server(("127.0.0.1", 0)) as listener:
            host, port = listener.getsockname()[:2]
            words = command.words(host=host, port=str(port), spec=spec)
            self._spawn(words, command, terminal)
            try:
                self.wire = self._accept(listener, command)
            except BaseException:
                self.kill()
                raise

    def _spawn(self, words: list[str], command: Command, terminal: bool) -> None:
        """Raises StartError for what cannot be executed."""
        theirs: int = programs.PIPE
        if terminal:
            ours, theirs = pty.openpty()
        try:
            self.popen = spawn(command, words, stdin=programs.PIPE, stdout=theirs)
        except StartError:
            if terminal:
                os.close(ours)
            raise
        finally:
            if terminal:
                os.close(theirs)
        assert self.popen.stderr is not None
        self._out: IO[bytes] | None = None if terminal else self.popen.stdout
        self._out_fd = ours if terminal else self._out.fileno() if self._out else -1
        os.set_blocking(self._out_fd, False)
        self._reader = threading.Thread(target=self._read_errors, args=(self.popen.stderr,), daemon=True)
        self._reader.start()  # joined in `kill`; it ends with the program's standard error

    def _read_errors(self, stream: IO[bytes]) -> None:
        while octets := os.read(stream.fileno(), 65536):
            self._errors += octets
            del self._errors[:-KEPT]

    def _accept(self, listener: socket.socket, command: Command) -> Wire:
        deadline = time.monotonic() + START_SECONDS
        listener.settimeout(0.05)
        while time.monotonic() < deadline:
            try:
                stream, _ = listener.accept()
            except TimeoutError:
                if self.popen.poll() is not None:
                    self._reader.join(STOP_SECONDS)
                    said = f"; it said:\n{self.stderr()}" if self._errors else ""
                    how = ended(self.popen.poll())
                    raise StartError(f"`{command.text}` {how} before it connected{said}") from None
            else:
                return Wire(CLIENT, stream, self.transcript, theirs=True)
        raise StartError(f"`{command.text}` did not connect to {{host}}:{{port}} in {START_SECONDS:g} s")

    def type(self, line: str) -> None:
        """The user types a line; it is lost where the program has ended."""
        self.write(line.encode("utf-8", "surrogateescape") + b"\n")

    def write(self, octets: bytes) -> None:
        """Octets for the program's input, as they are; they are lost where it has ended."""
        self.transcript.note(USER, ">", octets)
        assert self.popen.stdin is not None
        with contextlib.suppress(OSError):
            self.popen.stdin.write(octets)
            self.popen.stdin.flush()

    def offer(self, octets: bytes, seconds: float) -> int:
        """How many octets the program's input takes at once, if it has room within so many seconds."""
        assert self.popen.stdin is not None
        descriptor = self.popen.stdin.fileno()
        os.set_blocking(descriptor, False)
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        if not poll.poll(seconds * 1000):
            return 0
        try:
            return os.write(descriptor, octets)
        except OSError:
            return 0

    def end_typing(self) -> None:
        """The end of standard input."""
        self.transcript.note(USER, ">|")
        assert self.popen.stdin is not None
        with contextlib.suppress(OSError):
            self.popen.stdin.close()

    def wait(self, done: Callable[[], bool], deadline: float) -> bool:
        """Takes in what comes until it is `done`; False at the deadline, or when nothing more can come."""
        while not done():
            if not self.pump(deadline) and (time.monotonic() >= deadline or self.popen.poll() is not None):
                return done()
        return True

    def pump(self, deadline: float) -> bool:
        """Takes in what comes next from either side; False when nothing came before the deadline."""
        poll = select.poll()
        if self.wire.end is None and not self.wire.pause:
            poll.register(self.wire.stream, select.POLLIN)
        if not self._done_printing:
            poll.register(self._out_fd, select.POLLIN)
        seconds = max(0.0, deadline - time.monotonic())
        if self.wire.end is not None and self._done_printing:  # only its end is still to come
            self.popen.wait(seconds)
            return False
        ready = poll.poll(seconds * 1000)
        descriptors = [descriptor for descriptor, _ in ready]
        if self._out_fd in descriptors:
            self._take_printed()
        if self.wire.end is None and self.wire.stream.fileno() in descriptors:
            self._take_frames()
        if len(self.frames) > MOST or len(self.lines) > MOST:
            raise ExcessError(f"{len(self.frames)} frames and {len(self.lines)} lines came that no play is owed")
        return bool(ready)

    def _take_frames(self) -> None:
        octets = self.wire.read(time.monotonic())
        *lines, self._half_frame = (self._half_frame + octets).split(b"\n")
        self.frames.extend(line.removesuffix(b"\r") for line in lines)
        if len(self._half_frame) > 1 << 20:
            raise ExcessError("a mebibyte without the end of a line")

    def _take_printed(self) -> None:
        try:
            octets = os.read(self._out_fd, 65536)
        except BlockingIOError:
            return
        except OSError:  # a terminal whose program has ended says so by an error
            octets = b""
        if not octets:
            self._done_printing = True
            return
        self.transcript.note(USER, "<", octets)
        self.printed += octets
        *lines, self._half_line = (self._half_line + octets).split(b"\n")
        self.lines.extend(line.removesuffix(b"\r").decode("utf-8", "surrogateescape") for line in lines)
        if len(self.printed) > 1 << 22:
            raise ExcessError("four mebibytes printed")

    def exit_code(self, seconds: float) -> int | None:
        """How the program ends within so many seconds; None if it runs on."""
        deadline = time.monotonic() + seconds
        while self.popen.poll() is None and time.monotonic() < deadline:
            self.pump(min(deadline, time.monotonic() + 0.02))
        return self.popen.poll()

    def ending(self) -> str:
        """How it ended; nothing while it runs. A connection that broke a moment ago may be its last sign."""
        if self.wire.end is not None:
            self.popen.wait(LAST_SIGN)
        code = self.popen.poll()
        if code is None:
            return ""
        self._reader.join(STOP_SECONDS)
        return f"it {ended(code)}"

    def stderr(self) -> str:
        return excerpt(readable(bytes(self._errors)), 16, 16)

    def kill(self) -> None:
        """Ends the program with all that it has started, and closes everything that was held open for it."""
        self.popen.end()
        self._reader.join(STOP_SECONDS)
        wire: Wire | None = getattr(self, "wire", None)
        if wire is not None:
            if wire.end is None:  # no port stays behind in TIME_WAIT
                with contextlib.suppress(OSError):
                    wire.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.close()
        self.popen.close()
        if self._out is None:
            os.close(self._out_fd)
