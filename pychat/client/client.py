"""A client's connection, for any program. No terminal, and no verb but those that it is asked to send.

    with Client.connect("127.0.0.1", 8255) as client:
        client.send("NAME", "alice")
        for event in client:            # what the server says, then Ended
            print(event)

One thread of its own (born in `connect`, woken by a socket pair, joined in `close`) owns the socket: it alone reads,
writes and closes it, and it goes on reading while there is something to write (R-CLIENT-6). Everything else stands
under one lock: the session, what is to be written, what has come. No I/O happens under it.

What has come is kept until the program takes it. When the program takes nothing, reading stops at a mark, and the
server's writes to it stall; while the program waits in `send`, reading goes on to four times the mark, so that two
clients that only write do not block each other at once.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

from pychat.core.addresses import endpoint
from pychat.core.protocol import Encoded, Protocol, shipped_protocol
from pychat.core.session import Event, LocalProtocolError, RemoteProtocolError, Session, View
from pychat.net import prepare, reason, unacknowledged

from .connecting import ConnectError, connect

SEND_MARK = 256 * 1024  # octets to be written above which `send` waits
TAKE_MARK = 1024 * 1024  # octets that have come and were not taken, above which reading stops
STOP = 4  # times a mark: what is never exceeded
OVERHEAD = 256  # octets that an event costs beside its line, so that empty lines are bounded too
CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Wire:
    """Octets as the socket took or gave them; told while `Client.wire` is set."""

    direction: Literal["sent", "received"]
    octets: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """The end, the last thing that comes: after `quit`, by the server's `goodbye`, by `close`, or it was `lost`."""

    how: Literal["quit", "goodbye", "closed", "lost"]
    words: str


@dataclass(frozen=True, slots=True)
class Note:
    """Words of the program itself, put among what comes by `Client.post`."""

    words: str


Happening: TypeAlias = Event | Wire | Note | Ended


class Client:
    """One connection to a server. Thread-safe; one thread takes what comes, any may send."""

    def __init__(self, sock: socket.socket, protocol: Protocol | None = None, wire: bool = False) -> None:
        """Takes over a connected socket. `wire`: octets are told too; it may be changed at any time."""
        self.protocol = protocol or shipped_protocol()
        self.wire = wire
        self.address: tuple[str, int] = sock.getpeername()[:2]
        self.local_address: tuple[str, int] = sock.getsockname()[:2]
        prepare(sock, self.protocol.spec.transport.keepalive, acknowledged=True)
        self._socket = sock
        self._selector: selectors.BaseSelector = selectors.DefaultSelector()  # here, for it may find no descriptor left
        self._waker, self._woken = socket.socketpair()
        for each in (sock, self._waker, self._woken):
            each.setblocking(False)
        self._changed = threading.Condition()  # the one lock; it guards everything below
        self._session = Session(self.protocol)
        self._out = bytearray()
        self._inbox: deque[Happening] = deque()
        self._inbox_octets = 0  # of what has come, in octets
        self._senders = 0  # threads that wait in send
        self._deadline: float | None = None  # of the close, on the monotonic clock
        self._ended: Ended | None = None
        self._thread = threading.Thread(target=self._run, name=f"pychat-client-{self.local_address[1]}", daemon=True)
        self._thread.start()

    @classmethod
    def connect(
        cls,
        host: str = "127.0.0.1",
        port: int | None = None,
        *,
        protocol: Protocol | None = None,
        timeout: float = 10.0,
        wire: bool = False,
    ) -> Self:
        """Connects to a server; without a port, to that of the protocol. `timeout` in seconds, in all.

        Raises:
            ConnectError: no server answers, or there is no such host or port.
        """
        protocol = protocol or shipped_protocol()
        port = port or protocol.spec.transport.port
        sock = connect(host, port, timeout)
        try:
            return cls(sock, protocol, wire)
        except OSError as error:  # it was reset at once, or there is no descriptor left
            sock.close()
            raise ConnectError(f"cannot connect to {endpoint(host, port)}", reason(error)) from None

    @property
    def view(self) -> View:
        """What the client knows about itself now; each event has the view of its own moment."""
        with self._changed:
            return self._session.view

    @property
    def unanswered(self) -> tuple[str, ...]:
        """The requests whose answers are still to come, oldest first."""
        with self._changed:
            return self._session.unanswered

    @property
    def undelivered(self) -> int:
        """Octets of requests that the server's system has not acknowledged yet."""
        with self._changed:
            return 0 if self._ended is not None else len(self._out) + unacknowledged(self._socket)

    def send(
        self, verb: str | Encoded, *values: str, hold: bool = False, timeout: float = 10.0, **fields: str
    ) -> bytes:
        """Sends a request, its fields in the order of the wire or by their names, and returns its octets.

        It returns when the octets are queued. `hold`: a request that the rules forbid now waits, while answers are to
        come that may allow it. `timeout` in seconds, in all.

        Raises:
            LocalProtocolError: the rules for clients forbid it now. Nothing was sent.
            TimeoutError: the server takes nothing, or does not answer. Nothing was sent.
            ConnectionError: the connection is over.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                if self._ended is not None:
                    raise ConnectionError(f"the connection is over: {self._ended.words}")
                if len(self._out) >= SEND_MARK:
                    self._wait_to_send(deadline, "the server takes nothing")
                    continue
                try:
                    octets = self._session.request(verb, *values, **fields)
                except LocalProtocolError as error:
                    if not (hold and error.waiting):
                        raise
                    self._wait_to_send(deadline, str(error))
                    continue
                idle = not self._out
                self._out += octets
                break
        if idle:  # else the thread knows that there is something to write
            self._wake()
        return octets

    def post(self, words: str) -> None:
        """Puts a note among what comes: the order stays, if a program sends in one thread and shows in another.

        It waits while what has come is above the mark; after the end, the note is dropped.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._inbox_octets < TAKE_MARK or self._ended is not None)
            if self._ended is None:
                self._keep(Note(words), len(words))
                self._changed.notify_all()

    def take(self, timeout: float | None = None) -> list[Happening]:
        """All that has come, at least one thing; nothing after `timeout` seconds, or when the end was taken before."""
        with self._changed:
            self._changed.wait_for(lambda: self._inbox or self._ended is not None, timeout)
            stopped = self._inbox_octets >= TAKE_MARK
            come, self._inbox, self._inbox_octets = list(self._inbox), deque(), 0
            self._changed.notify_all()
        if stopped:
            self._wake()
        return come

    def __iter__(self) -> Iterator[Happening]:
        """What comes, until the end, which is told last."""
        while come := self.take():
            yield from come

    def close(self, timeout: float = 5.0) -> None:
        """Says that this is the end, waits for the answer, and closes; after `timeout` seconds in all in any case.

        What comes meanwhile can still be taken. May be called again, and after the end.
        """
        with self._changed:
            self._deadline = time.monotonic() + timeout
            if self._ended is None and self.protocol.quit is not None and timeout > 0:
                with suppress(LocalProtocolError):  # it was said before
                    self._out += self._session.request(self.protocol.quit)
        self._wake()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait_to_send(self, deadline: float, why: str) -> None:
        """Waits for a change; the lock is held."""
        self._senders += 1
        self._wake()  # the mark of reading is higher now
        try:
            if not self._changed.wait(deadline - time.monotonic()):
                raise TimeoutError(why)
        finally:
            self._senders -= 1

    def _wake(self) -> None:
        with suppress(OSError):  # full: it will wake anyway; closed: it has ended
            self._waker.send(b"!")

    # The thread. Only it calls what follows.

    def _run(self) -> None:
        ended = Ended("lost", "the client failed")
        try:
            with self._selector as selector:
                selector.register(self._woken, selectors.EVENT_READ)
                ended = self._work(selector)
        finally:
            with self._changed:
                self._socket.close()  # under the lock, for `undelivered` asks it
                self._ended = ended
                self._inbox.append(ended)
                self._changed.notify_all()
            self._waker.close()
            self._woken.close()

    def _work(self, selector: selectors.BaseSelector) -> Ended:
        watched = 0
        while True:
            with self._changed:
                wanted, deadline = self._wanted(), self._deadline
            if wanted != watched:
                _watch(selector, self._socket, watched, wanted)
                watched = wanted
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return Ended("closed", "closed without an answer")
            for key, ready in selector.select(left):
                if key.fileobj is self._woken:
                    self._drain()
                elif (ended := self._read_and_write(ready)) is not None:
                    return ended

    def _wanted(self) -> int:
        """What the socket is watched for; the lock is held."""
        limit = TAKE_MARK * STOP if self._senders else TAKE_MARK
        read = self._inbox_octets < limit or self._deadline is not None
        return (selectors.EVENT_READ if read else 0) | (selectors.EVENT_WRITE if self._out else 0)

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            while len(self._woken.recv(CHUNK)) == CHUNK:
                pass

    def _read_and_write(self, ready: int) -> Ended | None:
        """Reads first, so that what the server said before a reset is not lost behind a failing write."""
        try:
            if ready & selectors.EVENT_READ:
                ended = self._read()
                if ended is not None:
                    return ended
            if ready & selectors.EVENT_WRITE:
                self._write()
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            return Ended("lost", reason(error))
        return None

    def _read(self) -> Ended | None:
        octets = self._socket.recv(CHUNK)
        if not octets:
            return Ended("lost", "the server closed the connection")
        with self._changed:
            self._report(Wire("received", octets))
            try:
                for event in self._session.receive(octets):
                    self._out += event.reply
                    self._report(event)
                    if self._session.closed:
                        how: Literal["goodbye", "quit"] = "goodbye" if event.kind == "goodbye" else "quit"
                        return Ended(how, event.text or event.key)
            except RemoteProtocolError as error:
                return Ended("lost", str(error))
            finally:
                self._changed.notify_all()
            if len(self._out) > SEND_MARK * STOP:
                return Ended("lost", "the server asks, and takes no answers")
        return None

    def _report(self, happening: Event | Wire) -> None:
        """Keeps what has come; the lock is held. While closing, what is above the mark is dropped."""
        if self._deadline is not None and self._inbox_octets >= TAKE_MARK:
            return
        if isinstance(happening, Event):
            self._keep(happening, len(happening.line))
        elif self.wire:
            self._keep(happening, len(happening.octets))

    def _keep(self, happening: Happening, octets: int) -> None:
        self._inbox.append(happening)
        self._inbox_octets += octets + OVERHEAD

    def _write(self) -> None:
        with self._changed:
            octets = bytes(self._out[:CHUNK])
        count = self._socket.send(octets)  # only this thread takes from the front
        with self._changed:
            del self._out[:count]
            self._report(Wire("sent", octets[:count]))
            self._changed.notify_all()


def _watch(selector: selectors.BaseSelector, sock: socket.socket, before: int, now: int) -> None:
    """Changes what a socket is watched for; a selector cannot watch for nothing."""
    if not before:
        selector.register(sock, now)
    elif not now:
        selector.unregister(sock)
    else:
        selector.modify(sock, now)
