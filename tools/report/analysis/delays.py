"""Segments and acknowledgements that wait: Nagle's algorithm (RFC 896) and delayed acknowledgements (RFC 1122)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from tools.report.packets import ACK, FIN, RST, SYN, Packet

from .gaps import Gaps
from .segments import Direction

# Seconds of a delayed acknowledgement: Linux waits 40 ms, RFC 1122 allows less than 500 ms.
LEAST, MOST = Decimal("0.035"), Decimal("0.5")
_PROMPT = Decimal("0.010")  # seconds within which the others came, so that the path is not what takes long
_HELD = Decimal("0.020")  # seconds without a segment from which one can be said to have been held back
# Share of that silence within which the segment must follow the acknowledgement, besides two round trips.
_AT_ONCE = Decimal("0.25")


@dataclass(slots=True)
class Held:
    """A segment that waited: a small one before it, the acknowledgement that released it, and its lines."""

    before: Packet
    released: Packet
    packet: Packet
    lines: int

    @property
    def waited(self) -> Decimal:
        """The seconds from the segment before it until it was sent."""
        return self.packet.time - self.before.time


@dataclass(slots=True)
class Acks:
    """The acknowledgements of payload in the capture, each in one of these lists.

    Those that travel alone (no payload, no FIN): `delayed`; `prompt`, of the endpoints that have delayed ones; `other`,
    of endpoints without, or between the two; `repaired` and `far`, late ones of which something else may be the cause:
    octets that were sent again or missing meanwhile, or a path that may take as long. `carried`: those with payload.
    """

    delayed: list[Packet] = field(default_factory=list)
    prompt: list[Packet] = field(default_factory=list)
    other: list[Packet] = field(default_factory=list)
    repaired: list[Packet] = field(default_factory=list)
    far: list[Packet] = field(default_factory=list)
    carried: list[Packet] = field(default_factory=list)

    @property
    def alone(self) -> int:
        """How many travel alone."""
        return sum(map(len, (self.delayed, self.prompt, self.other, self.repaired, self.far)))


def small_early(direction: Direction, gap: Gaps) -> list[int]:
    """The frames of small segments that were sent while a small one before them was unacknowledged.

    Nagle's algorithm forbids that, so it is off. The capture point does not matter: an acknowledgement that has not
    passed it yet has not reached the sender either, or was not sent. Where the capture may lack it, nothing is
    inferred.
    """
    full = direction.connection.full_segment
    found = []
    before: Packet | None = None
    for packet in sorted(direction.segments, key=lambda packet: packet.number):
        waiting = packet.in_flight is not None and packet.in_flight > packet.payload
        if (
            waiting
            and before is not None
            and before.payload < full
            and packet.payload < full
            and not gap.may_lack(before.number, packet.number, from_client=not direction.from_client)
        ):
            found.append(packet.number)
        before = packet
    return found


def held(direction: Direction, gap: Gaps) -> list[Held]:
    """The segments that Nagle's algorithm can be inferred to have held back.

    After a small segment its sender is silent until an acknowledgement without payload, which tells its program
    nothing; at once after that comes a segment in which several lines end.
    """
    connection = direction.connection
    full = connection.full_segment
    lines, resent = direction.ends, connection.resent
    trip = (connection.handshake and connection.handshake.rtt) or Decimal(0)
    found = []
    before: Packet | None = None  # the last segment with payload,
    released: Packet | None = None  # and what acknowledges it
    for packet in connection.packets:
        if packet.from_client != direction.from_client:
            if packet.payload:
                before = None  # the program may have reacted to that
            elif before is not None and released is None and packet.ack >= before.seq + before.payload:
                released = packet
            continue
        if not packet.payload:
            continue
        if (
            before is not None
            and released is not None
            and before.payload < full
            and packet.number not in resent
            and released.time - before.time >= _HELD
            and packet.time - released.time <= _AT_ONCE * (released.time - before.time) + 2 * trip
            and lines[packet.number] > 1
            and not any(gap.may_lack(before.number, packet.number, from_client=side) for side in (True, False))
        ):
            found.append(Held(before, released, packet, lines[packet.number]))
        before, released = packet, None
    return found


def acknowledgements(gaps: Sequence[Gaps]) -> Acks:
    """Which acknowledgements of payload were delayed, and what became of the others."""
    found = Acks()
    for gap in gaps:
        one = gap.connection
        for by_client in (True, False):
            own = [packet for packet in one.packets if packet.from_client == by_client and packet.rtt is not None]
            ends = {p.after for p in one.packets if p.from_client != by_client and p.flags & (SYN | FIN)}
            told = [packet for packet in own if packet.acknowledged not in ends and not packet.flags & (SYN | RST)]
            _sort(found, gap, own, told)
    return found


def _sort(found: Acks, gap: Gaps, own: Sequence[Packet], told: Sequence[Packet]) -> None:
    """Sorts the acknowledgements of payload (`told`) of one endpoint; `own` has all of its acknowledgements."""
    near = any(packet.rtt is not None and packet.rtt <= _PROMPT for packet in own)
    delayed: list[Packet] = []
    rest: list[Packet] = []
    for packet in told:
        if packet.payload:
            found.carried.append(packet)
        elif packet.flags == ACK and packet.rtt is not None:
            if not LEAST <= packet.rtt < MOST:
                rest.append(packet)
            elif _troubled(gap, packet):
                found.repaired.append(packet)
            else:
                (delayed if near else found.far).append(packet)
    found.delayed += delayed
    for packet in rest:
        prompt = delayed and packet.rtt is not None and packet.rtt <= _PROMPT
        (found.prompt if prompt else found.other).append(packet)


def _troubled(gap: Gaps, packet: Packet) -> bool:
    """Whether something was lost, sent again, probed or not recorded between a segment and its acknowledgement."""
    assert packet.rtt is not None
    return bool(gap.holes or gap.unseen) or any(
        packet.time - packet.rtt <= event.packet.time <= packet.time
        for event in gap.connection.events
        if event.kind != "window update"
    )
