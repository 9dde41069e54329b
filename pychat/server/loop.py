"""One I/O thread: it alone reads, writes and closes its share of the sockets. It knows no frame.

The hub decides, under the server's one lock; this file moves octets, outside the lock. A connection changes its thread
only when a chat links it with a connection of another thread, so that a relay crosses no thread; its old thread
unregisters it before it hands it over.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TypeAlias, cast

from pychat.core.connection import Connection
from pychat.core.hub import Hub
from pychat.core.lifecycle import Log
from pychat.net import close, reason, unacknowledged

READ, WRITE = select.POLLIN, select.POLLOUT
TROUBLE = select.POLLERR | select.POLLHUP
CHUNK = 65536  # octets of one read: a run of lines long enough that its system calls cost little
PAUSE = 0.05  # seconds of rest after a poll that failed
STALE = 1024  # outdated timers that may be kept, beside one for each connection
BATCH = 16  # connections that are read before anything is decided and sent,
BULK = 8192  # … unless one has brought so many octets
VECTOR = 1024  # chunks that one call may send: IOV_MAX of Linux, macOS and the BSDs
REST = 0.25  # seconds that a thread waits at most: so much can a wake-up that the system refused delay a connection
FOREVER = float("inf")

Chunks: TypeAlias = list[bytes | memoryview]


class Channel(Connection):
    """A connection with its socket. `loop` is its owner; only the owner touches the socket, and changes `loop`."""

    __slots__ = (
        "admitted",
        "due",
        "fd",
        "interest",
        "loop",
        "measured",
        "moving_to",
        "pending",
        "planned",
        "shut",
        "sock",
    )

    partner: Channel | None  # in a Loop every partner is a Channel

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self.sock = sock
        self.fd = sock.fileno()
        self.loop: Loop
        self.moving_to: Loop | None = None
        self.pending: Chunks | None = None  # taken from the outbox, not yet by the network
        self.interest = 0
        self.due = FOREVER  # when the next look is planned,
        self.planned: tuple[str, float | None] = "", None  # … and its state, and when it was called, as of then
        self.admitted = True
        self.shut = False  # the sending half is ended
        self.measured: tuple[float | None, int] = (None, 0)  # since when its queue is full, and what was unacknowledged


class Loop:
    """A selector, its thread, and a mailbox for the connections that other threads hand to it.

    Started by `start`, woken by `post` and `stop`, joined by `join`. `lock` is the server's: it guards the hub and the
    attributes of a connection, and is never held during I/O. Attributes that only the owner thread changes (`active`,
    `fired`, `turn_over`, `held`) need no lock there.
    """

    def __init__(self, hub: Hub, lock: threading.Lock, name: str, log: Log) -> None:
        self._hub = hub
        self._queues = hub.queues
        self._lock = lock
        self._log = log
        self._channels: dict[int, Channel] = {}
        self._mailbox: deque[Channel] = deque()
        self._waiting: dict[Channel, None] = {}  # in the order in which they have their next turns
        self._timers: list[tuple[float, int, Channel]] = []
        self._order = itertools.count()
        self._deadline: float | None = None  # set when it must stop
        self._awake = False  # a wake-up is on its way already
        self._blind = False  # the last poll failed
        self._waker, self._wakee = socket.socketpair()
        self._waker.setblocking(False)
        self._wakee.setblocking(False)
        self._poll, self._wait = _make_poll()
        self._poll.register(self._wakee.fileno(), READ)
        self._thread = threading.Thread(target=self._run, name=name)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def post(self, channel: Channel) -> None:
        """From any thread: a connection of this loop wants attention, or belongs to this loop from now on."""
        self._mailbox.append(channel)
        self._wake()

    def stop(self, deadline: float) -> None:
        """From any thread: end when every connection is closed, and close what is left at the deadline."""
        self._deadline = deadline
        self._wake()

    def join(self) -> None:
        """Waits for the thread's end, if it was started, and closes the connections that came too late for it."""
        if self._thread.ident is not None:
            self._thread.join()
        for channel in (*self._channels.values(), *self._mailbox):
            close(channel.sock)
        close(self._waker)
        close(self._wakee)
        if hasattr(self._poll, "close"):
            with contextlib.suppress(OSError):
                self._poll.close()

    def _wake(self) -> None:
        if not self._awake:
            self._awake = True
            try:
                self._waker.send(b"\0")
            except BlockingIOError:  # the pipe is full of wake-ups
                pass
            except OSError:  # such as ENOBUFS: the next one tries again, and REST is its deadline
                self._awake = False

    # The thread

    def _run(self) -> None:
        while self._deadline is None or self._channels or self._mailbox:
            events = self._look()
            now = time.monotonic()
            mail = self._serve(events, now)
            # Last, or a new connection could get the event of a descriptor that was closed just now.
            if mail or self._mailbox:
                self._read_mail(now)
            if self._waiting:
                self._give_turns(now)
            if self._timers and self._timers[0][0] <= now:
                self._run_timers(now)
            if self._deadline is not None and now >= self._deadline:
                for channel in tuple(self._channels.values()):
                    self._close(channel)

    def _look(self) -> list[tuple[int, int]]:
        """Waits for events; none when the poll fails (ENOMEM)."""
        try:
            events = self._wait(self._next_timeout())
        except OSError as error:
            if not self._blind:
                self._log("poll-failed", level="error", error=reason(error))
            self._blind = True
            time.sleep(PAUSE)  # so that it does not spin
            return []
        self._blind = False
        return events

    def _serve(self, events: list[tuple[int, int]], now: float) -> bool:
        """Handles a round of events; whether there is mail.

        First all is read, then all is decided, then all is sent: so the code and the data of each phase stay in the
        processor's cache.
        """
        mail = False
        channels = self._channels
        arrived: list[tuple[Channel, bytes]] = []
        for fd, mask in events:
            channel = channels.get(fd)
            if channel is None:
                if fd == self._wakee.fileno():
                    mail = True
                else:
                    self._unwatch(fd)
            elif mask == READ or self._handle(channel, mask, now):
                try:
                    octets = channel.sock.recv(CHUNK)
                except BlockingIOError:
                    continue
                except OSError:
                    self._lose(channel, now)
                    continue
                arrived.append((channel, octets))
                if len(octets) > BULK:  # more of this size would not stay in the cache
                    self._take(arrived, now)
                    arrived = []
        if arrived:
            self._take(arrived, now)
        return mail

    def _next_timeout(self) -> float:
        if self._waiting:
            return 0.0
        due = min(self._timers[0][0] if self._timers else FOREVER, self._deadline or FOREVER)
        return min(REST, max(0.0, due - time.monotonic()))

    def _handle(self, channel: Channel, mask: int, now: float) -> bool:
        """Handles every event but octets that have come; whether there is something to be read."""
        try:
            if mask & WRITE:
                self._settle([channel], now)
            if mask & READ and channel.interest & READ:
                return True
            if mask & TROUBLE:
                self._lose(channel, now)
        except Exception as error:
            self._give_up(channel, error)
        return False

    def _take(self, arrived: list[tuple[Channel, bytes]], now: float) -> None:
        """Lets the hub decide about all that has come, under one lock; then sends.

        A run of lines for a partner on this thread with an empty queue goes straight to the network. Where each read
        brings a single line, calls are the main cost beside the system calls; so this is one method.
        """
        hub, queues = self._hub, self._queues
        straight: list[tuple[Channel, bytes]] = []
        failed: list[tuple[Channel, Exception]] = []
        with self._lock:
            for channel, octets in arrived:
                try:
                    partner = channel.partner
                    if not octets:
                        hub.finish(channel, now)
                    elif partner is not None and partner.loop is self:
                        hub.receive(channel, octets, now, straight)
                    else:
                        hub.receive(channel, octets, now)
                except Exception as error:
                    failed.append((channel, error))
            touched = queues.take_touched() if queues.touched else []
        if straight:
            self._forward(straight, touched, now)
        for channel, trouble in failed:
            self._give_up(channel, trouble)
        if touched:
            self._settle(touched, now)

    def _forward(self, straight: list[tuple[Channel, bytes]], work: list[Connection], now: float) -> None:
        """Sends runs to partners on this thread with empty queues, past their outboxes."""
        lost: list[Channel] = []
        for partner, run in straight:
            try:
                taken = partner.sock.send(run)
            except BlockingIOError:
                taken = 0
            except OSError:
                lost.append(partner)
                continue
            if taken:
                partner.active = now  # what `note_activity` does, without a call for each line
                if partner.fired:
                    self._hub.deadlines.note_activity(partner, now)
            if taken < len(run):
                with self._lock:  # a server that stops may have queued a goodbye meanwhile
                    self._queues.put_back(partner, run[taken:], now)
                    work += self._queues.take_touched()
        for partner in lost:  # after its own last lines have been sent: they come before its GONE (R-MSG-4)
            self._lose(partner, now)

    def _give_up(self, channel: Channel, error: Exception) -> None:
        """Closes one connection after a bug, or when the system lacks something; the others must live on."""
        trouble = reason(error) if isinstance(error, OSError) else None
        self._log("failed" if trouble else "bug", level="error", id=channel.id, error=trouble or repr(error))
        if self._channels.get(channel.fd) is channel:
            self._close(channel)

    def _lose(self, channel: Channel, now: float) -> None:
        try:
            with self._lock:
                self._hub.lose(channel, now)
                touched = self._queues.take_touched()
        except Exception as error:
            self._give_up(channel, error)
        else:
            self._settle(touched, now)

    def _settle(self, work: list[Connection], now: float) -> None:
        """Handles each connection that wants attention: it has something to send, or is to be resumed or closed."""
        while work:
            channel = work.pop()
            assert isinstance(channel, Channel)
            if channel.loop is not self:
                channel.loop.post(channel)
            elif self._channels.get(channel.fd) is not channel:
                continue  # it is closed, and another connection may have its descriptor
            elif channel.moving_to is not None and channel.ended is None:
                self._hand_over(channel)
            else:
                try:
                    self._look_after(channel, work, now)
                except Exception as error:
                    self._give_up(channel, error)

    def _look_after(self, channel: Channel, work: list[Connection], now: float) -> None:
        if (channel.outbox or channel.pending is not None) and not channel.broken:
            self._flush(channel, work, now)
        if channel.broken:
            self._close(channel)
            return
        if channel.ended is not None:
            if channel.pending is None and not channel.outbox and not self._end_sending(channel):
                self._close(channel)
                return
        elif channel.turn_over:
            self._waiting[channel] = None
        elif channel.paused and not self._hub.is_blocked(channel):
            with self._lock:
                self._hub.resume(channel, now)
                work += self._queues.take_touched()
            self._plan(channel, work, now)  # its clock goes on
        planned = channel.state, channel.called
        if channel.ended is not None or channel.full_since is not None or planned != channel.planned:
            self._plan(channel, work, now)
        interest = (0 if channel.paused or channel.finished else READ) | (WRITE if channel.pending is not None else 0)
        if interest != channel.interest:
            channel.interest = interest
            self._poll.modify(channel.fd, interest)

    def _flush(self, channel: Channel, work: list[Connection], now: float) -> None:
        """Sends what the network takes. Never blocks, never reorders, keeps the rest."""
        while True:
            chunks = channel.pending
            if chunks is None:
                with self._lock:
                    chunks, channel.outbox = cast(Chunks, channel.outbox), []
                if not chunks:
                    return
            try:
                taken = channel.sock.send(chunks[0]) if len(chunks) == 1 else channel.sock.sendmsg(chunks[:VECTOR])
            except BlockingIOError:
                channel.pending = chunks
                return
            except OSError:
                channel.pending = None
                with self._lock:
                    self._hub.lose(channel, now)
                    work += self._queues.take_touched()
                return
            channel.pending = _rest(chunks, taken)
            with self._lock:
                self._queues.sent(channel, taken, now)
                if self._queues.touched:
                    work += self._queues.take_touched()
            if channel.pending is not None or not channel.outbox:
                return

    def _end_sending(self, channel: Channel) -> bool:
        """Ends the sending half after the last frame (R-CLOSE-1); False when there is nothing left to wait for."""
        if channel.finished:
            return False
        if not channel.shut:
            channel.shut = True
            try:
                channel.sock.shutdown(socket.SHUT_WR)
            except OSError:
                return False
        return True

    def _hand_over(self, channel: Channel) -> None:
        target, channel.moving_to = channel.moving_to, None
        assert target is not None
        self._let_go(channel)
        channel.loop = target
        target.post(channel)

    def _let_go(self, channel: Channel) -> None:
        del self._channels[channel.fd]
        self._unwatch(channel.fd)
        channel.interest = 0
        channel.due = FOREVER

    def _unwatch(self, fd: int) -> None:
        """Unregisters a descriptor. If the system refuses, its next event leads here again."""
        with contextlib.suppress(OSError, KeyError):  # it may never have been registered
            self._poll.unregister(fd)

    def _close(self, channel: Channel) -> None:
        self._let_go(channel)
        close(channel.sock)
        channel.pending = None
        with self._lock:
            channel.outbox = []  # a timer may keep the channel for a while
            self._hub.lose(channel, time.monotonic())
            self._hub.forget(channel)
            touched = self._queues.take_touched()
        for other in touched:
            if other is not channel and isinstance(other, Channel):
                other.loop.post(other)

    # Turns, mail and timers

    def _give_turns(self, now: float) -> None:
        """Gives the next turns to connections that wait. Between two rounds of turns, new octets are read."""
        turns = list(itertools.islice(self._waiting, BATCH))
        for channel in turns:
            del self._waiting[channel]
            channel.turn_over = False
        self._settle([*turns], now)

    def _read_mail(self, now: float) -> None:
        with contextlib.suppress(OSError):  # what is not read now wakes the thread once more
            self._wakee.recv(64)
        self._awake = False  # before the mailbox is read: a post after this wakes it again
        work: list[Connection] = []
        while self._mailbox:
            channel = self._mailbox.popleft()
            try:
                if channel.loop is self and channel.fd not in self._channels and channel.sock.fileno() >= 0:
                    self._adopt(channel, work, now)
            except Exception as error:
                self._give_up(channel, error)
            else:
                work.append(channel)
        self._settle(work, now)

    def _adopt(self, channel: Channel, work: list[Connection], now: float) -> None:
        self._channels[channel.fd] = channel
        channel.interest = READ
        self._poll.register(channel.fd, READ)
        channel.held = False
        self._plan(channel, work, now)

    def _plan(self, channel: Channel, work: list[Connection], now: float) -> None:
        """Plans the next look at a connection, if it is sooner than what is planned."""
        with self._lock:
            if channel.full_since is not None:
                self._measure(channel, now)
                work += self._queues.take_touched()
            due = self._hub.deadlines.next(channel, now)
            channel.planned = channel.state, channel.called
        if due < channel.due:
            channel.due = due
            heapq.heappush(self._timers, (due, next(self._order), channel))
            if len(self._timers) > 2 * len(self._channels) + STALE:
                self._timers = [timer for timer in self._timers if self._is_planned(timer)]
                heapq.heapify(self._timers)

    def _measure(self, channel: Channel, now: float) -> None:
        """Tells a slow reader from a stalled one, by what it acknowledges of the megabytes that the system holds."""
        since, before = channel.measured
        left = unacknowledged(channel.sock)
        if since != channel.full_since or self._hub.deadlines.note_progress(channel, before - left, now):
            channel.measured = channel.full_since, left

    def _is_planned(self, timer: tuple[float, int, Channel]) -> bool:
        """Whether it is the next look at a connection of this thread, and not an outdated one."""
        due, _, channel = timer
        return due == channel.due and self._channels.get(channel.fd) is channel

    def _run_timers(self, now: float) -> None:
        """Does what is due. What has come and what can be sent is handled first: it may end a silence.

        So no connection is lost for a time in which this process was stopped.
        """
        while self._timers and self._timers[0][0] <= now:
            due: list[Channel] = []
            while len(due) < BATCH and self._timers and self._timers[0][0] <= now:
                timer = heapq.heappop(self._timers)
                if self._is_planned(timer):
                    timer[2].due = FOREVER
                    due.append(timer[2])
            self._serve([(channel.fd, channel.interest) for channel in due], now)
            work: list[Connection] = []
            for channel in due:
                if self._channels.get(channel.fd) is channel:
                    try:
                        self._tick(channel, work, now)
                    except Exception as error:
                        self._give_up(channel, error)
            self._settle(work, now)

    def _tick(self, channel: Channel, work: list[Connection], now: float) -> None:
        with self._lock:
            if channel.full_since is not None:
                self._measure(channel, now)
            self._hub.tick(channel, now)
            work += self._queues.take_touched()
        self._plan(channel, work, now)


def _rest(chunks: Chunks, taken: int) -> Chunks | None:
    """The chunks that are left when the network has taken so many octets."""
    for number, chunk in enumerate(chunks):
        if taken < len(chunk):
            return [memoryview(chunk)[taken:], *chunks[number + 1 :]]
        taken -= len(chunk)
    return None


def _make_poll() -> tuple[select.epoll | select.poll, Callable[[float], list[tuple[int, int]]]]:
    """The system's best selector for many sockets, and a function that waits for so many seconds."""
    if hasattr(select, "epoll"):
        epoll = select.epoll()
        return epoll, lambda timeout: epoll.poll(timeout, BATCH)
    poll = select.poll()
    return poll, lambda timeout: poll.poll(timeout * 1000)
