"""The server: it listens, accepts, and shares its connections out among I/O threads. It knows no frame.

Threads: one acceptor, `io_threads` loops and, where rows wait for slow work, one that does it. They are born in
`start`, woken by a socket pair or a queue, and joined in `stop`. One lock guards the hub and its connections; nothing
is sent, received or logged to a device while it is held.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import select
import socket
import threading
import time

from pychat.core.addresses import is_loopback, plain
from pychat.core.admission import Reminders
from pychat.core.connection import Connection
from pychat.core.hub import Hub, no_log
from pychat.core.lifecycle import Log
from pychat.core.relations import utc
from pychat.net import close, prepare, reason
from pychat.spec import Spec

from .loop import READ, REST, Channel, Loop
from .slow import Do, SlowWorker

BACKLOG = 4096
SENDING = 0.8  # of the time for a shutdown, for the last frames; connections that are left then are closed
PAUSE = 0.1  # seconds before the next try, when no connection can be accepted
TURNED_AWAY = 256  # refused connections that may still be open; the next ones are closed at once
EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
PASSING = {errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ENETDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH}


class Server:
    """A chat server on one address.

    Args:
        spec: the protocol.
        host: a name or an address to listen on.
        port: 0 for any free one; `address` says which.
        io_threads: how many threads share the connections.
        max_connections: how many are admitted.
        per_address: how many of them one address other than loopback may hold; None for the spec's share.
        log: takes an event and its fields; it must not block.
        do: does the slow work of rows (hashes, the disk), on a thread of its own.

    Raises:
        OSError: from the constructor, when it cannot listen there, or the host is no name.
        ValueError: the spec has rows that wait for slow work, and there is no `do`.
    """

    def __init__(
        self,
        spec: Spec,
        host: str = "127.0.0.1",
        port: int | None = None,
        *,
        io_threads: int = 1,
        max_connections: int = 10_000,
        per_address: int | None = None,
        log: Log = no_log,
        do: Do | None = None,
    ) -> None:
        slow = next((row.verb for _, row in spec.outcomes() if row.slow), None)
        if slow is not None and do is None:
            raise ValueError(f"{slow} waits for a hash or a disk, and this server has neither")
        self.spec = spec
        self.log = log
        self._listener = _listen(host, spec.transport.port if port is None else port)
        name = self._listener.getsockname()
        self.address: tuple[str, int] = str(name[0]), int(name[1])  # on which it listens
        # A spare descriptor: closed when there are no more, so that a connection can be accepted and refused.
        self._spare: int | None = os.open(os.devnull, os.O_RDONLY)
        self._lock = threading.Lock()  # guards the hub and its connections; no other lock is ever taken with it
        self._hub = Hub(spec, max_connections, log, per_address=per_address)
        self._hub.users.relations.stamp = _date
        self._hub.on_link = self._bring_together
        self._loops = [Loop(self._hub, self._lock, f"io-{number}", log) for number in range(io_threads)]
        self._slow = SlowWorker(self._hub, self._lock, do, log) if do is not None else None
        self._next_loop = itertools.cycle(self._loops)
        self._leaving: list[Channel] = []
        self._waker, self._wakee = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept_all, name="acceptor")
        self._stopping = False
        self._reminders = Reminders()

    def start(self) -> None:
        """Starts the threads.

        Raises:
            RuntimeError: the system has no room for a thread.
        """
        try:
            for loop in self._loops:
                loop.start()
            if self._slow is not None:
                self._slow.start()
            self._acceptor.start()
        except RuntimeError:
            self.stop()
            raise

    def stop(self) -> None:
        """Stops accepting, says goodbye to every connection, and joins every thread, in time (R-CLOSE-4).

        What was given to the disk before is written, and answered, whatever time that takes.
        """
        self._stopping = True
        with contextlib.suppress(OSError):  # without this wake-up the acceptor sees it within REST
            self._waker.send(b"\0")
        if self._acceptor.ident is not None:
            self._acceptor.join()
        close(self._listener)
        with self._lock:
            self._hub.shutdown(time.monotonic())
            touched = self._hub.queues.take_touched()
        for channel in touched:
            assert isinstance(channel, Channel)
            channel.loop.post(channel)
        if self._slow is not None:
            self._slow.stop()  # what is being written is answered before its goodbye
        deadline = time.monotonic() + SENDING * self._hub.spec.limits.shutdown
        for loop in self._loops:
            loop.stop(deadline)
        for loop in self._loops:
            loop.join()
        close(self._waker)
        close(self._wakee)
        self._release_spare()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _bring_together(self, caller: Connection, called: Connection) -> None:
        """Moves the caller to the thread of the called end. Called with the lock held, on the caller's thread."""
        assert isinstance(caller, Channel)
        assert isinstance(called, Channel)
        target = called.moving_to or called.loop
        if caller.loop is not target:
            caller.held = True
            caller.moving_to = target

    # The acceptor's thread

    def _accept_all(self) -> None:
        poll = select.poll()
        poll.register(self._listener, READ)
        poll.register(self._wakee, READ)
        while not self._stopping:
            try:
                poll.poll(REST * 1000)
            except OSError as error:  # ENOMEM
                self._cannot("poll-failed", error)
                continue
            self._leaving = [channel for channel in self._leaving if channel.sock.fileno() >= 0]
            for _ in range(64):
                if self._stopping or not self._accept():
                    break

    def _accept(self) -> bool:
        """Accepts one connection; False when there is none, or the system cannot."""
        try:
            sock, peer = self._listener.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in EXHAUSTED:
                return self._turn_away(error)
            if error.errno in PASSING:
                return True
            self._cannot("accept-failed", error)
            return False
        try:
            sock.setblocking(False)
            prepare(sock, self.spec.transport.keepalive)
            self._admit(Channel(sock), plain(str(peer[0])), int(peer[1]))
        except OSError:  # the peer has gone already
            close(sock)
        except Exception as error:
            self.log("bug", level="error", error=repr(error))
            close(sock)
        return True

    def _admit(self, channel: Channel, host: str, port: int) -> None:
        channel.loop = next(self._next_loop)
        loopback = is_loopback(host)
        with self._lock:
            channel.admitted = self._hub.open(channel, host, time.monotonic(), loopback)
            self._hub.queues.take_touched()
        if channel.admitted:
            self.log("connected", level="debug", id=channel.id, address=host, port=port)
        elif len(self._leaving) < TURNED_AWAY:
            self._leaving.append(channel)
        else:
            close(channel.sock)
            return
        channel.loop.post(channel)

    def _turn_away(self, error: OSError) -> bool:
        """There is no descriptor left: closes the spare one to accept and refuse a connection, and waits a little.

        Otherwise the listener would stay readable and the acceptor would spin.
        """
        if self._spare is not None:
            self._release_spare()
            with contextlib.suppress(OSError):
                sock, _ = self._listener.accept()
                with sock, contextlib.suppress(OSError):
                    sock.setblocking(False)
                    full = Channel(sock)
                    with self._lock:
                        self._hub.refuse(full, time.monotonic())
                        self._hub.queues.take_touched()
                    sock.send(b"".join(full.outbox))
        with contextlib.suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY)
        self._cannot("exhausted", error)
        return False

    def _release_spare(self) -> None:
        if self._spare is not None:
            with contextlib.suppress(OSError):  # the descriptor is free also after an error
                os.close(self._spare)
            self._spare = None

    def _cannot(self, event: str, error: OSError) -> None:
        """Logs that the system cannot do what the acceptor needs, and waits a little, so that it does not spin."""
        times = self._reminders.due(event, time.monotonic())
        if times:
            self.log(event, level="error", error=reason(error), times=times)
        time.sleep(PAUSE)


def _date(now: float) -> str:
    """A time of the monotonic clock as a date, by the system's clock."""
    return utc(time.time() - (time.monotonic() - now))


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except UnicodeError:  # an empty label, or one that is too long
        raise OSError("it is no name of a host") from None
    address = plain(str(found[0][4][0]))
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    dual = address == "::" and socket.has_dualstack_ipv6()
    listener = socket.create_server((address, port), family=family, backlog=BACKLOG, dualstack_ipv6=dual)
    listener.setblocking(False)
    return listener
