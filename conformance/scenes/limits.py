"""Scenes about what a script cannot show: a connection from another address than loopback, and TCP's keep-alive.

The first needs an address of this machine, the second looks at a timer of the kernel: keep-alive is no octet.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from functools import partial

from conformance.cases.case import Case
from conformance.engine.failures import MismatchError, NotTestedError, UnreachableError
from conformance.engine.kernel import peer_of
from conformance.engine.player import Player
from conformance.engine.stage import Stage
from conformance.engine.worker import Worker
from conformance.oracle.frames import ANY_WORDS
from conformance.oracle.lines import SUBJECT
from conformance.oracle.paths import paths_of
from pychat.spec import Spec

from .common import expect, lead, scene


def scenes(spec: Spec) -> Iterator[Case]:
    """The scenes about addresses and keep-alive whose rules the spec has."""
    title = "An address other than loopback holds at most its share"
    rule = spec.limits.rules.get("address_share", "R-OPEN-2")
    if rule in spec.rules and spec.goodbye_when("share") is not None:
        yield scene(spec, f"{spec.initial}/OPEN/share-of-one-address", title, (rule,), _share, "alone")
    named, title, rule = paths_of(spec).named, "TCP keep-alive is on, with its first time", "R-TIME-4"
    if named is not None and rule in spec.rules:
        yield scene(spec, f"{named}/OPEN/keepalive", title, (rule,), partial(_keepalive, named=named))


def _answered(stage: Stage, who: str) -> bool:
    """Whether this connection's barrier is answered."""
    return Player(stage).barrier(stage.inbox(who)) and not stage.inbox(who).ended


def _is_admitted(stage: Stage, who: str) -> bool:
    """Whether a new connection is admitted, as soon as the server has seen the end of those that were closed."""
    deadline = stage.deadline()
    while time.monotonic() < deadline:
        inbox = stage.inbox(who)
        if _answered(stage, who):
            return True
        inbox.wire.close()
        del stage.inboxes[who]
    return False


def _share(worker: Worker, stage: Stage) -> None:
    """A server that listens everywhere is filled up from this machine's own address, and then from loopback."""
    if not {"max", "host"} <= worker.offer.placeholders:
        raise NotTestedError("its share of one address: give the command {host} and {max}")
    address = own_address()
    if address is None:
        raise NotTestedError("its share of one address: this machine has no address but loopback")
    share_of = worker.spec.limits.address_share
    most = 2 * share_of.at_least + 1  # room for a share, and for more than a share
    share = share_of.of(most)
    if share == most:
        raise NotTestedError("its share of one address: it may hold all connections")
    _, port = worker.restart(max=str(most), host="0.0.0.0")  # noqa: S104  # an address other than loopback is needed
    stage.address = (address, port)
    try:
        stage.inbox("a0")
    except UnreachableError:
        raise NotTestedError(f"its share of one address: told to listen on 0.0.0.0, it is not at {address}") from None
    for number in range(share):
        if not _is_admitted(stage, f"a{number}"):
            raise MismatchError(f"room for connection {number + 1} of {share} from {address}", "no answer")
    goodbye = stage.spec.goodbye_when("share")
    assert goodbye is not None
    expect(stage, "x", stage.spec.goodbye_line(goodbye.code, ANY_WORDS))
    unit = stage.inbox("x").next(stage.deadline())
    if unit is not None or not stage.inbox("x").ended:
        raise MismatchError("x < the end of the stream", f"x < {unit}" if unit else "nothing")
    stage.inbox("a0").wire.finish()
    if not _is_admitted(stage, "y"):
        raise MismatchError(f"room for one more from {address}, where one has gone", "no answer")
    stage.address = ("127.0.0.1", port)
    for number in range(most - share):
        if not _answered(stage, f"b{number}"):
            raise MismatchError(f"room for connection {number + 1} from loopback", "no answer")


def own_address() -> str | None:
    """An IPv4 address of this machine other than loopback; no packet is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address: str = probe.getsockname()[0]
    return None if address.startswith("127.") or address == "0.0.0.0" else address  # noqa: S104  # compared


def _keepalive(worker: Worker, stage: Stage, named: str) -> None:
    """Judged is that it is on, and its first time: Linux shows the timers of the sockets of a server on this machine.

    How often it probes after that time, and how many times, cannot be seen before a host is dead: that is not judged.
    """
    lead(worker, stage, named)
    stream = stage.inbox(SUBJECT).wire.stream
    idle = worker.spec.transport.keepalive[0]
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        found = peer_of(stream)
        if found is None:
            raise NotTestedError("its keep-alive: the server's sockets are not seen on this machine")
        if found.timer == KEEPALIVE and found.seconds <= idle + 1:
            return
        time.sleep(0.02)  # an acknowledgement's own timer hides that of the keep-alive for a moment
    got = f"one of {found.seconds:g} s" if found is not None and found.timer == KEEPALIVE else "none"
    raise MismatchError(f"a keep-alive timer of {idle:g} s", got)


KEEPALIVE = 2
