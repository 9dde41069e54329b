"""One TCP connection to the implementation under test, and the transcript of its octets. Knows no frame.

The ends of a connection are distinguished: FIN, reset, and none yet. A reset is never taken for silence.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Literal

from .conditions import ready

EndKind = Literal["FIN", "RST"]
CHUNK = 1 << 16
KEPT_ENTRIES = 400  # of a transcript; a flood must not fill the report
KEPT_OCTETS = 4096  # of one entry
EDGE = 100  # octets at either end of what is sent octet by octet …
MIDDLE = 7  # … between which so many go at a time: each one of a long line would take long
SENT = 1 << 17  # SO_SNDBUF in octets of a connection that offers more than is taken


@dataclass(frozen=True, slots=True)
class Entry:
    """One event: `mark` is `>` sent, `<` got, `>|` FIN sent, `<|` FIN got, `>!` and `<!` resets, `#` a remark."""

    ms: float
    who: str
    mark: str
    octets: bytes = b""
    text: str = ""


@dataclass(slots=True)
class Transcript:
    """What passed in a case, in order, bounded: octets that are left out are counted."""

    started: float = field(default_factory=time.monotonic)
    entries: list[Entry] = field(default_factory=list)
    left_out: int = 0
    got: int = 0  # lines that came
    quiet: bool = False  # what passes is only counted, as in a flood
    late: float = 0.0  # seconds by which a short wait of the judge ended late, at most: the machine was busy

    def note(self, who: str, mark: str, octets: bytes = b"", text: str = "") -> None:
        self.got += octets.count(b"\n") if mark == "<" else 0
        if self.quiet or len(self.entries) >= KEPT_ENTRIES:
            self.left_out += max(len(octets), 1)
            return
        self.left_out += max(0, len(octets) - KEPT_OCTETS)
        ms = round((time.monotonic() - self.started) * 1000, 3)
        self.entries.append(Entry(ms, who, mark, octets[:KEPT_OCTETS], text))


class Wire:
    """A TCP connection. Nothing here waits longer than its deadline, in seconds of the monotonic clock."""

    def __init__(self, who: str, stream: socket.socket, transcript: Transcript, *, theirs: bool = False) -> None:
        """`theirs`: the transcript is written from the other end's view: the suite is the server of a client."""
        self.sent, self.got = ("<", ">") if theirs else (">", "<")
        self.who = who
        self.stream = stream
        self.transcript = transcript
        self.end: EndKind | None = None
        self.finished = False
        self.left = False  # this end has reset it: when the other end sees that is not known
        self.pause = False  # what comes is not read
        stream.setblocking(False)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, octets: bytes, deadline: float, step: int = 0) -> int:
        """How many octets the system took before the deadline, `step` at a time (0: as many as it takes).

        In the middle of a long line some more go at a time. After the other end has closed, the rest counts as taken;
        reading shows how it closed.
        """
        self.transcript.note(self.who, self.sent, octets, "octet by octet" if step == 1 else "")
        view, sent = memoryview(octets), 0
        while sent < len(octets):
            try:
                some = step * MIDDLE if EDGE <= sent < len(octets) - EDGE else step
                sent += self.stream.send(view[sent : sent + some] if step else view[sent:])
            except BlockingIOError:
                if not self._wait(write=True, deadline=deadline):
                    self.transcript.note(self.who, "#", text=f"only {sent} of {len(octets)} octets were taken")
                    return sent
            except OSError:
                return len(octets)
        return sent

    def offer(self, octets: bytes) -> int:
        """How many octets the system takes at once; not written down."""
        try:
            return self.stream.send(octets)
        except BlockingIOError:
            return 0
        except OSError:
            self.end = self.end or "RST"
            return 0

    def has_room(self, seconds: float) -> bool:
        """Whether the system takes more octets within so many seconds."""
        return self._wait(write=True, deadline=time.monotonic() + seconds)

    def send_little(self) -> None:
        """The system holds little of what is sent, so that a receiver which reads slowly makes room soon.

        With a buffer of megabytes the system says that there is room only when a third of it is free (tcp(7)): at a
        few megabytes a second that takes as long as the wait after which a receiver counts as one that does not read.
        """
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENT)

    def stop_reading(self) -> None:
        """What comes is not read from now on.

        The system's buffer stays as it is: Linux sends nothing into a window that is smaller than the next segment,
        64 KiB on loopback, but once in some seconds.
        """
        self.transcript.note(self.who, "#", text="reads no more")
        self.pause = True

    def read_on(self) -> None:
        """What comes is read again."""
        self.pause = False

    def finish(self) -> None:
        """Ends the sending half."""
        self.transcript.note(self.who, f"{self.sent}|")
        self.finished = True
        try:
            self.stream.shutdown(socket.SHUT_WR)
        except OSError:
            self.end = self.end or "RST"

    def reset(self) -> None:
        """Closes with a reset."""
        self.transcript.note(self.who, f"{self.sent}!")
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.stream.close()
        self.end = "RST"
        self.finished = self.left = True

    def read(self, deadline: float) -> bytes:
        """The next octets; none when the deadline has passed or the stream has ended (`end` tells)."""
        while self.end is None and not self.pause:
            try:
                octets = self.stream.recv(CHUNK)
            except BlockingIOError:
                if not self._wait(write=False, deadline=deadline):
                    return b""
            except OSError:
                self._ended("RST")
            else:
                if octets:
                    self.transcript.note(self.who, self.got, octets)
                    return octets
                self._ended("FIN")
        return b""

    def acknowledged(self, deadline: float) -> bool:
        """Whether the other end's TCP took all that was sent, and no reset came."""
        while True:
            if self.stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0:
                self.transcript.note(self.who, f"{self.got}!")
                self.end = "RST"
                return False
            state, unacknowledged = _tcp_info(self.stream)
            if state == _TCP_CLOSE:
                return False
            if unacknowledged == 0:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.001)  # the kernel has no event for an acknowledgement

    def is_cut(self, seconds: float) -> bool:
        """Sends an octet, whatever has ended; whether it was answered by a reset within so many seconds."""
        poll = select.poll()
        poll.register(self.stream, 0)  # only errors, and the end of both halves, are waited for
        try:
            self.stream.send(b"x")
            if not poll.poll(seconds * 1000):
                return False
        except BlockingIOError:
            return False
        except OSError:
            pass  # the reset has come before
        self._ended("RST")
        return True

    def close(self) -> None:
        self.stream.close()

    def _ended(self, kind: EndKind) -> None:
        self.end = kind
        self.transcript.note(self.who, f"{self.got}{'|' if kind == 'FIN' else '!'}")

    def _wait(self, *, write: bool, deadline: float) -> bool:
        poll = select.poll()
        poll.register(self.stream, select.POLLOUT if write else select.POLLIN)
        found, late = ready(poll, deadline)
        self.transcript.late = max(self.transcript.late, late)
        return bool(found)


_TCP_CLOSE = 7


def _tcp_info(stream: socket.socket) -> tuple[int, int]:
    """The state of a TCP connection, and its segments that were not acknowledged (Linux: struct tcp_info)."""
    info = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return info[0], struct.unpack_from("I", info, 24)[0]


def connect(who: str, address: tuple[str, int], transcript: Transcript, timeout: float) -> Wire:
    """A new connection. Raises OSError when the address does not accept one in time."""
    return Wire(who, socket.create_connection(address, timeout), transcript)
