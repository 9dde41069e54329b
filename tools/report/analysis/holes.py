"""Octets that were sent and that no packet of a capture has, by TCP's sequence numbers. Knows no line of the chat.

An octet was sent when a later one of its direction was, or when the other end has acknowledged it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from tools.report.packets import ACK, FIN, RST, SYN, Packet

from .coverage import Coverage

_BEGINNING = 8  # packets among which a handshake is


@dataclass(frozen=True, slots=True)
class Hole:
    """Octets of one direction that no packet has: relative sequence number and count, and the frame that shows it.

    `after`: the last frame of that direction before it, by the sequence number; None where there is none. What was in
    the hole passed between these two frames, and not before the time `since` (seconds since the epoch): the other end
    had not got it a round trip later.
    """

    stream: int
    from_client: bool
    start: int
    octets: int
    shown_by: int
    how: Literal["sequence", "acknowledged", "cut"]
    after: int | None = None
    since: Decimal = Decimal(0)
    acknowledged: bool = False  # all of it, by the other end


def missing_octets(packet: Packet) -> int:
    """How many octets of a packet's payload were not recorded."""
    return min(packet.payload, packet.length - packet.captured)


def holes(packets: Sequence[Packet], *, from_client: bool) -> list[Hole]:
    """The octets of one direction of a connection that were sent and are not in the capture."""
    seen = Coverage()
    fin: int | None = None
    end = start = None  # of what was sent, as far as these packets show
    sent: list[tuple[int, int]] = []  # how far the direction had come, and the place of the packet that shows it
    cut = False
    for place, packet in enumerate(packets):
        if packet.from_client == from_client:
            first = packet.first + packet.has(SYN)
            recorded = packet.payload - missing_octets(packet)
            cut = cut or recorded < packet.payload
            seen.add(first, first + recorded)
            if packet.has(SYN) or start is None or (first < start and packet.payload):
                start = first
            if packet.has(FIN):
                fin = first + packet.payload
            reached = first + packet.payload if packet.payload else first
        elif packet.ack and not packet.has(RST):
            reached = packet.acknowledged
        else:
            continue
        if end is None or reached > end:
            end = reached
            sent.append((reached, place))
    if start is None and end is not None:  # one direction alone: what it acknowledges
        start = min(each.acknowledged for each in packets if each.from_client != from_client and each.has(ACK))
    if start is None or end is None:
        return []
    acks = (each.acknowledged for each in packets if each.from_client != from_client and each.has(ACK))
    reached_by_acks = max(acks, default=None)
    stream = packets[0].stream
    trip = _round_trip(packets) or Decimal(0)  # without the handshake, `since` is right to within a round trip
    found = []
    for first, last in seen.missing(start, end if fin is None else min(end, fin)):
        shown_at = sent[bisect_right(sent, (first, len(packets)))][1]
        packet = packets[shown_at]
        own = packet.from_client == from_client
        how: Literal["sequence", "acknowledged", "cut"] = "sequence" if own else "acknowledged"
        if own and missing_octets(packet) and packet.first <= first < packet.first + packet.payload:
            how = "cut"
        arrived = reached_by_acks is not None and reached_by_acks >= last
        after, since = _before(first, packets, shown_at, trip, from_client=from_client)
        found.append(Hole(stream, from_client, first, last - first, packet.number, how, after, since, arrived))
    return found


def _before(
    start: int, packets: Sequence[Packet], shown_at: int, trip: Decimal, *, from_client: bool
) -> tuple[int | None, Decimal]:
    """The last frame of a direction before a hole, and the time before which what was in the hole did not pass."""
    since = None
    for place in range(shown_at - 1, -1, -1):
        packet = packets[place]
        if packet.from_client == from_client:
            if packet.first + packet.payload <= start:
                return packet.number, packet.time if since is None else max(since, packet.time)
        elif since is None and packet.ack and packet.acknowledged <= start:
            since = packet.time - trip
    return None, packets[0].time if since is None else since


def _round_trip(packets: Sequence[Packet]) -> Decimal | None:
    """The seconds from the SYN to the third segment of the handshake, if all three are there."""
    places = [packet for packet in packets[:_BEGINNING] if packet.from_client or packet.has(SYN)]
    for syn, answer, third in zip(places, places[1:], places[2:], strict=False):
        if syn.has(SYN) and syn.from_client and answer.has(SYN) and not answer.from_client and third.from_client:
            return third.time - syn.time
    return None
