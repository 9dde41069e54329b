"""Scenes about the whole server: its shutdown, its limits, its keep-alive. Each has a server of its own."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from pychat.spec import Spec

from .scenes import Scene, answered, expect, expect_end, goodbye, lead, linked_state, named_state
from .stagehand import BrokenError, NotTestedError, Stagehand
from .target import Command

FEW = 4  # connections, where a limit is wanted
MANY = 30


def scenes(spec: Spec) -> Iterator[Scene]:
    """The scenes about the whole server."""
    stop, full = spec.goodbye_when("stop").code, spec.goodbye_when("full").code
    title = "A server that is stopped (SIGTERM) says goodbye to everybody"
    mistakes = ("Telling the partner that one is lost, although everybody goes.", "Closing without the last frame.")
    yield Scene(
        f"{linked_state(spec)}/STOP/{stop}", title, ("R-CLOSE-4", "R-CLOSE-3"), _stopped, "alone", mistakes=mistakes
    )
    yield Scene(f"{spec.initial}/OPEN/{full}", "One connection above the limit", ("R-OPEN-1",), _full, "alone")
    title = "An address other than loopback holds at most its share"
    share = spec.limits.rules.get("address_share", "R-OPEN-2")
    yield Scene(f"{spec.initial}/OPEN/share-of-one-address", title, (share,), _share, "alone")
    yield Scene(f"{named_state(spec)}/OPEN/keepalive", "TCP keep-alive is on", ("R-TIME-4",), _keepalive)


def _stopped(hand: Stagehand) -> None:
    if not isinstance(hand.target, Command):
        raise NotTestedError("its shutdown: only a server that was started with --cmd is stopped")
    assert hand.stage is not None
    lead(hand, linked_state(hand.spec))
    hand.stage.inbox("d")
    if not answered(hand, "d"):
        raise BrokenError("an answer", "none")
    assert hand.running is not None
    assert hand.running.process is not None
    hand.stage.transcript.note("#", "#", text="SIGTERM to the server")
    hand.running.process.signal(signal.SIGTERM)
    last = goodbye(hand.spec, hand.spec.goodbye_when("stop").code)
    for who in hand.stage.inboxes:
        expect(hand, who, last)
    for who, inbox in hand.stage.inboxes.items():
        expect_end(hand, who)
        inbox.wire.finish()
    deadline = time.monotonic() + hand.patience
    while hand.running.alive and time.monotonic() < deadline:
        time.sleep(0.01)  # a process that ends has no event for who did not wait for it from the start
    if hand.running.alive:
        raise BrokenError("a server that ends after SIGTERM", "one that runs")
    hand.stop()


def _restart(hand: Stagehand, **values: str) -> None:
    hand.stop()
    hand.values = {**hand.values, **values}
    assert hand.stage is not None
    hand.stage.address = hand.address()


def _full(hand: Stagehand) -> None:
    if not hand.has("max"):
        raise NotTestedError("its limit of connections: give the command {max}, the most connections that it admits")
    _restart(hand, max=str(FEW))
    assert hand.stage is not None
    last = goodbye(hand.spec, hand.spec.goodbye_when("full").code)
    for number in range(FEW):
        if not admitted(hand, f"a{number}"):
            raise BrokenError(f"room for connection {number + 1} of {FEW}", "no answer")
    hand.stage.inbox("x")
    expect(hand, "x", last)
    expect_end(hand, "x")
    for number in range(FEW):
        if not answered(hand, f"a{number}"):
            raise BrokenError(f"connection {number + 1} of {FEW} lives on", "no answer")
    first = hand.stage.inbox("a0")
    first.wire.finish()
    expect_end(hand, "a0")
    if not admitted(hand, "y"):
        raise BrokenError("room again, once a connection has ended", last)


def admitted(hand: Stagehand, who: str) -> bool:
    """Whether a new connection is admitted, as soon as the server has seen the end of those that were closed."""
    assert hand.stage is not None
    deadline = time.monotonic() + hand.patience
    while time.monotonic() < deadline:
        inbox = hand.stage.inbox(who)
        if answered(hand, who):
            return True
        inbox.wire.close()
        del hand.stage.inboxes[who]
    return False


def _share(hand: Stagehand) -> None:
    if not hand.has("max") or not hand.has("host"):
        raise NotTestedError("its share of one address: give the command {host} and {max}")
    address = own_address()
    if address is None:
        raise NotTestedError("its share of one address: this machine has no address but loopback")
    _restart(hand, max=str(MANY), host="0.0.0.0")  # noqa: S104  # the scene needs an address other than loopback
    assert hand.stage is not None
    port = hand.stage.address[1]
    share = MANY // hand.spec.limits.address_share
    hand.stage.address = (address, port)
    for number in range(share):
        if not admitted(hand, f"a{number}"):
            raise BrokenError(f"room for connection {number + 1} of {share} from {address}", "no answer")
    hand.stage.inbox("x")
    last = goodbye(hand.spec, hand.spec.goodbye_when("full").code)
    expect(hand, "x", last)
    expect_end(hand, "x")
    hand.stage.address = ("127.0.0.1", port)
    for number in range(share + 1):
        if not answered(hand, f"b{number}"):
            raise BrokenError(f"room for connection {number + 1} from loopback", "no answer")


def own_address() -> str | None:
    """An IPv4 address of this machine other than loopback; no packet is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address: str = probe.getsockname()[0]
    return None if address.startswith("127.") or address == "0.0.0.0" else address  # noqa: S104  # compared


def _keepalive(hand: Stagehand) -> None:
    """Linux shows the timer of each of its sockets; the server must be on this machine."""
    lead(hand, named_state(hand.spec))
    assert hand.stage is not None
    stream = hand.stage.inbox("a").wire.stream
    ours, theirs = stream.getsockname()[1], stream.getpeername()[1]
    idle = hand.spec.transport.keepalive[0]
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        found = timer_of(theirs, ours)
        if found is None:
            raise NotTestedError("its keep-alive: the server's sockets are not seen on this machine")
        kind, seconds = found
        if kind == KEEPALIVE and seconds <= idle + 1:
            return
        time.sleep(0.02)  # an acknowledgement's own timer hides that of the keep-alive for a moment
    raise BrokenError(f"a keep-alive timer of {idle:g} s", "none" if kind != KEEPALIVE else f"one of {seconds:g} s")


KEEPALIVE = 2
TICKS = 100  # of the times in /proc/net/tcp, in a second


def timer_of(local: int, remote: int) -> tuple[int, float] | None:
    """The kind and the seconds of the timer of the socket between these ports, None where it is not seen."""
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        path = Path(name)
        if not path.exists():
            continue
        for row in path.read_text().splitlines()[1:]:
            words = row.split()
            ports = [int(word.rpartition(":")[2], 16) for word in words[1:3]]
            if ports == [local, remote]:
                kind, ticks = words[5].split(":")
                return int(kind, 16), int(ticks, 16) / TICKS
    return None
