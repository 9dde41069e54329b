"""Segments and acknowledgements that wait: Nagle's algorithm (RFC 896) and delayed acknowledgements (RFC 1122)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from tools.report.evidence import Evidence, among
from tools.report.packets import ACK, FIN, RETRANSMISSIONS, RST, SYN, Packet

from .connections import Connection
from .gaps import Gaps
from .segments import Direction
from .transport import Spread

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
class DelayedAcks:
    """The acknowledgements without payload that were delayed, and how long the prompt ones of the same ends took."""

    packets: list[Packet]
    spread: Spread
    prompt: Spread
    evidence: Evidence


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
    nothing; at once after that comes a segment that completes several lines.
    """
    connection = direction.connection
    full = direction.connection.full_segment
    lines = direction.complete_in()
    trip = connection.handshake.rtt if connection.handshake else Decimal(0)
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
            and not packet.analysis & RETRANSMISSIONS
            and released.time - before.time >= _HELD
            and packet.time - released.time <= _AT_ONCE * (released.time - before.time) + 2 * trip
            and lines[packet.number] > 1
            and not any(gap.may_lack(before.number, packet.number, from_client=side) for side in (True, False))
        ):
            found.append(Held(before, released, packet, lines[packet.number]))
        before, released = packet, None
    return found


def delayed_acks(gaps: Sequence[Gaps]) -> DelayedAcks | None:
    """The acknowledgements that were delayed, of ends whose other ones came promptly; None when there are none."""
    packets: list[Packet] = []
    prompt: list[Decimal] = []
    parts = []
    for by_client in (True, False):
        streams = []
        for gap in gaps:
            one = gap.connection
            own = [packet for packet in one.packets if packet.from_client == by_client and packet.rtt is not None]
            late = [packet for packet in own if _delayed(packet)]
            if (
                not late
                or gap.holes
                or gap.unseen
                or _repaired(one)
                or min(packet.rtt or 0 for packet in own) > _PROMPT
            ):
                continue
            streams.append(one.stream)
            packets += late
            prompt += [packet.rtt for packet in own if packet.rtt is not None and packet.rtt <= _PROMPT]
        if streams:
            ports = sorted({gap.connection.server[1] for gap in gaps if gap.connection.stream in streams})
            side = "tcp.dstport" if by_client else "tcp.srcport"
            parts.append(f"({among('tcp.stream', streams)} && {among(side, ports)})")
    spread = Spread.of([packet.rtt for packet in packets if packet.rtt is not None])
    others = Spread.of(prompt)
    if spread is None or others is None:
        return None
    shown = (
        f"tcp.flags == 0x010 && tcp.len == 0 && tcp.analysis.ack_rtt >= {LEAST} && tcp.analysis.ack_rtt < {MOST} && "
        f"({' || '.join(parts)})"
    )
    return DelayedAcks(packets, spread, others, Evidence.showing(shown, packets))


def _delayed(packet: Packet) -> bool:
    alone = packet.flags == ACK and not packet.payload
    return alone and packet.rtt is not None and LEAST <= packet.rtt < MOST


def _repaired(connection: Connection) -> bool:
    """Whether something was lost or sent again, which makes acknowledgements late for another reason."""
    return any(
        packet.analysis & (RETRANSMISSIONS | {"tcp.analysis.lost_segment", "tcp.analysis.zero_window"})
        for packet in connection.packets
    )


def piggybacked(connections: Sequence[Connection]) -> int:
    """How many acknowledgements came with payload."""
    return sum(
        packet.rtt is not None and packet.payload > 0 and not packet.has(SYN) and not packet.has(FIN | RST)
        for one in connections
        for packet in one.packets
    )
