"""The I/O threads over real sockets: that each connection is looked after in time, wherever it lives."""

from __future__ import annotations

import errno
import select
import socket
import sys
import threading
from collections.abc import Callable

import pytest

from pychat.core.connection import Connection
from pychat.core.hub import Hub, no_log
from pychat.server.loop import BATCH, READ, STALE, Channel, Loop
from pychat.spec import Spec

from .conftest import Peer, Stage, changed

Start = Callable[..., Stage]


def test_each_silence_has_its_ping(start: Start) -> None:
    """R-TIME-2: the look at a connection that has answered its PING is not the one at the end of a long silence."""
    peer = start(changed("after: {timers.probe.after}", "after: 100 ms")).user("alice")
    for _ in range(3):
        assert peer.line().startswith("PING ")
        peer.send("PONG here")


def test_who_was_moved_to_another_thread_is_not_forgotten(start: Start) -> None:
    """A caller is held while he moves; the clock of his silence goes on afterwards."""
    stage = start(changed("after: {timers.probe.after}", "after: 100 ms"), io_threads=2)
    alice, bob = stage.user("alice"), stage.user("bob")
    alice.send("CHAT bob")
    for peer, line in ((alice, "OK CHAT bob"), (bob, "CALL alice")):
        while peer.line() != line:
            pass
        assert peer.line().startswith("PING ")


def test_who_was_held_back_is_not_forgotten(start: Start) -> None:
    """A sender who was looked at while his partner was slow, and who is silent afterwards."""
    stage = start(changed("after: {timers.probe.after}", "after: 200 ms"))
    alice, bob = stage.user("alice"), stage.user("bob", receive_buffer=4096)
    assert alice.ask("CHAT bob") == "OK CHAT bob"
    lines = 4000
    flood = threading.Thread(target=alice.send_octets, args=((b"MSG " + b"x" * 1995 + b"\n") * lines,))
    flood.start()
    assert stage.user("carol").line().startswith("PING ")  # so alice, who came before, was looked at
    heard = 0
    while heard < lines:
        heard += bob.line().startswith("MSG ")
    flood.join()
    assert alice.line().startswith("PING ")


def test_each_call_rings_for_its_time(start: Start) -> None:
    """R-CALL-3: also where an earlier look was planned, and the end and the next call came in one go."""
    stage = start(changed("after: {timers.ring.after}", "after: 200 ms"))
    alice, bob = stage.user("alice"), stage.user("bob")
    for _ in range(3):
        alice.send("CHAT bob")
        assert bob.lines(2) == ["CALL alice", "GONE alice unanswered"]
        assert alice.lines(2) == ["OK CHAT bob", "GONE bob unanswered"]
        bob.send("LEAVE")
        assert bob.line() == "OK LEAVE"
        alice.send("LEAVE")
        assert alice.line() == "OK LEAVE"


class Unwilling:
    """The system's selector, which takes no third descriptor: epoll_ctl(2) can fail so (ENOSPC)."""

    def __init__(self, poll: select.epoll) -> None:
        self._poll = poll
        self._registered = 0

    def register(self, descriptor: int, mask: int) -> None:
        self._registered += 1
        if self._registered == 3:
            raise OSError(errno.ENOSPC, "no more watches")
        self._poll.register(descriptor, mask)

    def __getattr__(self, name: str) -> object:
        return getattr(self._poll, name)


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="no epoll on this system")
def test_who_cannot_be_watched_costs_nobody_else_his_connection(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The I/O thread lives on, for those who were there and for those who come."""
    epoll = select.epoll
    monkeypatch.setattr(select, "epoll", lambda: Unwilling(epoll()))
    stage = start()
    first, unlucky = stage.user("first"), stage.peer()
    assert unlucky.line() == "<end>"
    assert first.ask("PING x") == "PONG x"
    assert stage.peer().ask("PING y") == "PONG y"


class Tenacious:
    """The system's selector, which lets go of a descriptor at the second try only."""

    def __init__(self, poll: select.epoll) -> None:
        self._poll = poll
        self._asked = False

    def unregister(self, descriptor: int) -> None:
        if not self._asked:
            self._asked = True
            raise OSError(errno.ENOMEM, "no memory")
        self._poll.unregister(descriptor)

    def __getattr__(self, name: str) -> object:
        return getattr(self._poll, name)


def test_a_connection_that_was_let_go_does_not_keep_its_old_thread_busy(spec: Spec) -> None:
    """Its events would come for ever, and nobody would read them."""
    loop = Loop(Hub(spec), threading.Lock(), "io", no_log)
    loop._poll = Tenacious(loop._poll)  # type: ignore[assignment, arg-type]
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    channel.loop = loop
    loop._hub.open(channel, "127.0.0.1", 0.0, loopback=True)
    loop._adopt(channel, [], 0.0)
    loop._let_go(channel)
    theirs.send(b"x")
    events = loop._wait(10.0)
    assert [descriptor for descriptor, _ in events] == [channel.fd]
    loop._serve(events, 0.0)
    assert not loop._wait(0.0)
    loop.start()
    loop.stop(0.0)
    loop.join()
    ours.close()
    theirs.close()


class Unclosable(socket.socket):
    """A socket whose close reports an error, though its descriptor is free afterwards (close(2))."""

    def close(self) -> None:
        super().close()
        raise OSError(errno.EIO, "input or output")


def test_a_close_that_fails_gives_the_place_back(spec: Spec) -> None:
    """Whatever the system says of it, the connection is gone, and the thread lives on."""
    hub = Hub(spec, max_connections=1)
    loop = Loop(hub, threading.Lock(), "io", no_log)
    ours, theirs = socket.socketpair()
    channel = Channel(Unclosable(fileno=ours.detach()))
    channel.loop = loop
    assert hub.open(channel, "127.0.0.1", 0.0, loopback=True)
    loop._adopt(channel, [], 0.0)
    loop._close(channel)
    assert theirs.recv(1) == b""
    theirs.close()
    assert hub.open(Connection(), "127.0.0.1", 0.0, loopback=True)
    loop.start()
    loop.stop(0.0)
    loop.join()


def test_a_goodbye_never_stands_in_the_middle_of_a_line(spec: Spec) -> None:
    """R-CLOSE-3: the server stops while a thread gives a run to a partner whose network takes only a part of it."""
    hub, lock = Hub(spec), threading.Lock()
    loop = Loop(hub, lock, "io", no_log)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        bob = Channel(ours)
        bob.loop = loop
        hub.open(bob, "127.0.0.1", 0.0, loopback=True)
        hub.shutdown(0.0)
        run = b"MSG the whole line\n" * 10_000
        loop._forward([(bob, run)], [], 0.0)  # the moment is too short to be met from outside
        got, rest = theirs.recv(len(run)), b"".join(bob.outbox)
        while len(got) + len(rest) < len(run):
            got += theirs.recv(len(run))
        assert (got + rest).startswith(run)
        assert (got + rest)[len(run) :].startswith(b"BYE ")
    loop.start()
    loop.stop(0.0)
    loop.join()


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell what is unacknowledged")
def test_a_slow_reader_is_told_from_one_who_never_reads() -> None:
    """R-FLOW-4: what he takes of the system's buffers counts, though these take no more of the queue yet."""
    served = changed("queue_mark: {octets: {limits.queue_mark.octets}", "queue_mark: {octets: 16384")
    stalled = next(timer.after for timer in served.timers.values() if timer.since == "full")
    hub = Hub(served)
    loop = Loop(hub, threading.Lock(), "io", no_log)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        alice = Channel(ours)
        alice.loop = loop
        hub.open(alice, "127.0.0.1", 0.0, loopback=True)
        hub.receive(alice, b"NAME alice\n", 0.0)
        loop._adopt(alice, [], 0.0)
        hub.queues.put(alice, b"x" * (8 << 20), 0.0)
        loop._settle([alice], 0.0)
        assert alice.pending is not None  # the system has taken what it can
        assert alice.due <= served.limits.tolerance  # what is read counts from when it is seen, so it is seen soon
        assert len(theirs.recv(1 << 16, socket.MSG_WAITALL)) == 1 << 16
        loop._tick(alice, [], stalled - 1)
        loop._tick(alice, [], stalled + 1)
        assert not alice.broken
        loop._tick(alice, [], 2 * stalled)
        assert alice.broken
    loop.start()
    loop.stop(0.0)
    loop.join()


def test_who_comes_and_goes_leaves_nothing_behind(start: Start) -> None:
    """The look that was planned at a connection does not keep its memory until it is due."""
    stage = start()
    for _ in range(STALE + 500):
        peer = Peer(stage.server.address)
        peer.finish()
        assert peer.line() == "<end>"
        peer.close()
    (loop,) = stage.server._loops
    assert len(loop._timers) <= STALE + 2 * len(loop._channels) + 1


def test_what_waits_in_the_socket_ends_a_silence(spec: Spec) -> None:
    """R-TIME-1, R-TIME-3, R-FLOW-4: after a stop of the process, those who have spoken or read meanwhile stay."""
    hub, lock = Hub(spec), threading.Lock()
    loop = Loop(hub, lock, "io", no_log)
    channels, peers = [], []
    for number in range(3 * BATCH):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        channel = Channel(ours)
        channel.loop = loop
        hub.open(channel, "127.0.0.1", 0.0, loopback=True)
        loop._adopt(channel, [], 0.0)
        if number % 3:
            hub.receive(channel, f"NAME user{number}\n".encode(), 0.0)
        if number % 3 == 2:
            hub.queues.put(channel, b"x" * (1 << 20), 0.0)
        loop._settle(hub.queues.take_touched(), 0.0)
        channels.append(channel)
        peers.append(theirs)
    for number, (channel, peer) in enumerate(zip(channels, peers, strict=True)):
        while channel.pending and peer.recv(1 << 20):  # the system's buffer is empty, and takes the rest
            if number % 3 == 2 and channel.queued <= spec.limits.queue_mark:
                break
            loop._settle([channel], 0.0)
        peer.sendall(b"PING here\n" if number % 3 else b"NAME late%d\n" % number)
    loop._run_timers(10_000.0)
    assert [channel.state for channel in channels] == ["NAMED"] * len(channels)
    loop.start()
    loop.stop(0.0)
    loop.join()
    for peer in peers:
        peer.close()


class Broken:
    """A socket whose peer has reset it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(self, octets: bytes) -> int:
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    def __getattr__(self, name: str) -> object:
        return getattr(self._sock, name)


def test_the_last_lines_of_a_lost_partner_come_before_its_gone(spec: Spec) -> None:
    """R-MSG-4: also where the loss is found while lines of both are forwarded."""
    hub, lock = Hub(spec), threading.Lock()
    loop = Loop(hub, lock, "io", no_log)
    ends = [socket.socketpair() for _ in range(2)]
    channels = []
    for name, (ours, _) in zip("ab", ends, strict=True):
        ours.setblocking(False)
        channel = Channel(ours)
        channel.loop = loop
        hub.open(channel, "127.0.0.1", 0.0, loopback=True)
        loop._adopt(channel, [], 0.0)
        hub.receive(channel, f"NAME {name}\n".encode(), 0.0)
        channels.append(channel)
    alice, bob = channels
    hub.receive(alice, b"CHAT b\n", 0.0)
    hub.receive(bob, b"CHAT a\n", 0.0)
    loop._settle(hub.queues.take_touched(), 0.0)
    bob.sock = Broken(bob.sock)  # type: ignore[assignment]
    loop._take([(alice, b"MSG to bob\n"), (bob, b"MSG from bob\n")], 0.0)
    assert ends[0][1].recv(1000) == b"OK NAME a\nOK CHAT b\nACCEPTED b\nMSG from bob\nGONE b lost\n"
    loop.start()
    loop.stop(0.0)
    loop.join()
    for _, theirs in ends:
        theirs.close()


def test_what_is_queued_goes_with_its_connection(start: Start) -> None:
    """Though a planned look keeps the channel until its time."""
    stage = start()
    (loop,) = stage.server._loops
    peer = stage.user("a", receive_buffer=4096)
    peer.send_octets(b"PING x\n" * 60_000)
    while not any(channel.paused for channel in tuple(loop._channels.values())):
        stage.peer().close()
    peer.reset()
    while stage.server._hub.users.by_name:
        stage.peer().close()
    assert [channel.outbox for _, _, channel in tuple(loop._timers) if channel.name == "a"] in ([], [[]], [[], []])


def test_a_timer_of_one_state_runs_from_its_beginning(start: Start) -> None:
    """A look is planned where a change of state makes it due sooner."""
    served = changed(
        "silence: {since: silence, after: {timers.silence.after}",
        "silence: {since: silence, in: [NAMED, PAIRED], after: 100 ms",
        "probe: {since: silence, after: {timers.probe.after}",
        "probe: {since: silence, in: [CONNECTED], after: {timers.probe.after}",
    )
    assert start(served).user("alice").line().startswith("BYE timeout ")


def test_a_flood_of_requests_holds_nobody_up(spec: Spec) -> None:
    """Between the turns of those who flood, everybody else has his."""
    hub, lock = Hub(spec), threading.Lock()
    loop = Loop(hub, lock, "io", no_log)
    ends = []
    for octets in (b"PONG x\n" * 5000, b"PING x\n"):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        channel = Channel(ours)
        channel.loop = loop
        hub.open(channel, "127.0.0.1", 0.0, loopback=True)
        loop._adopt(channel, [], 0.0)
        theirs.sendall(octets)
        ends.append((channel, theirs))
    (flooder, _), (_, honest) = ends
    loop._serve([(channel.fd, READ) for channel, _ in ends], 0.0)
    assert honest.recv(100) == b"PONG x\n"
    assert flooder.splitter
    while loop._waiting:
        loop._give_turns(0.0)
    assert not flooder.splitter
    loop.start()
    loop.stop(0.0)
    loop.join()
    for _, theirs in ends:
        theirs.close()
