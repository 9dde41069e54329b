"""Packets that were sent and that a capture lacks, also those without payload. Knows no line of the chat.

Two fields tell of them. The identification of IPv4: Linux counts it up by one for each packet of a socket, so a number
that is left out is a packet. TCP's timestamps (RFC 7323): an end echoes a timestamp that it has got, so
an echo of one that no packet has is a packet that has arrived.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from tools.report.packets import ACK, FIN, RST, Packet

_SPACE = 2**16
_STEADY = 0.75  # the share of steps by one from which the identification is a counter of this direction alone
_STEPS = 4  # and how many of them there must be
_MOST = 64  # numbers left out; after more of them the counter has begun anew


@dataclass(frozen=True, slots=True)
class Unseen:
    """At least `packets` of one direction passed between the frames `after` and `before`, and are not there.

    `how`: the identification leaves numbers out, or an echoed timestamp is one that no packet has. `shown_by` is the
    frame that shows it. A packet whose timestamp was echoed has arrived; of the others that is not known.
    """

    stream: int
    from_client: bool
    after: int
    before: int
    packets: int
    shown_by: int
    how: Literal["identification", "echo"]


def unseen(packets: Sequence[Packet], *, from_client: bool, full: int) -> list[Unseen]:
    """What one direction of a connection lacks. `full`: the payload of a full segment in octets, 0 if unknown."""
    own = [packet for packet in packets if packet.from_client == from_client]
    others = [packet for packet in packets if packet.from_client != from_client]
    counted = _left_out(own, full)
    spans = [(each.after, each.before) for each in counted]
    echoed = [
        each
        for each in _echoed(own, others)
        if not any(each.after < last and first < each.before for first, last in spans)
    ]
    return sorted([*counted, *echoed], key=lambda each: each.after)


def _left_out(own: Sequence[Packet], full: int) -> list[Unseen]:
    """The numbers that the identification leaves out, where it is a counter."""
    counters: list[tuple[int, Packet]] = []
    for packet in own:
        number = int(packet.ip_id or "0", 0)
        if not number or packet.version != 4:
            continue  # a segment that no socket counts, such as the SYN-ACK
        if counters:
            number += (counters[-1][0] - number + _SPACE // 2) // _SPACE * _SPACE  # the nearest one
        counters.append((number, packet))
    ordered = sorted(dict(reversed(counters)).items())
    steps = [
        (first, other, later - number - _parts(first, full)) for (number, first), (later, other) in pairwise(ordered)
    ]
    steady = sum(skipped == 0 for _, _, skipped in steps)
    if steady < _STEPS or steady < _STEADY * len(steps):
        return []
    return [
        Unseen(
            first.stream,
            first.from_client,
            min(first.number, other.number),
            max(first.number, other.number),
            skipped,
            max(first.number, other.number),
            "identification",
        )
        for first, other, skipped in steps
        if 0 < skipped <= _MOST and _parts(first, full)
    ]


def _parts(packet: Packet, full: int) -> int:
    """How many packets of the wire this one is: a network card cuts long ones, and may join short ones.

    0 where it is not known.
    """
    if packet.payload <= (full or 536):
        return 1
    return -(-packet.payload // full) if full else 0


def _echoed(own: Sequence[Packet], others: Sequence[Packet]) -> list[Unseen]:
    """The timestamps that the other end echoes and no packet has."""
    last_with = {packet.tsval: packet for packet in own if packet.tsval}
    stamps = sorted(last_with)
    found: dict[int, Unseen] = {}
    for packet in others:
        echo = packet.tsecr
        if not echo or echo in last_with or echo in found or packet.has(RST):
            continue
        place = bisect_left(stamps, echo)
        earlier = last_with[stamps[place - 1]] if place else None  # else it is from before the capture
        if earlier is not None and earlier.number < packet.number:
            found[echo] = Unseen(
                packet.stream, earlier.from_client, earlier.number, packet.number, 1, packet.number, "echo"
            )
    return list(found.values())


def reset_without_connection(packets: Sequence[Packet]) -> tuple[Packet, Packet] | None:
    """A RST of an end that no longer has the connection and has sent no FIN or RST before; and what it answers, first.

    RFC 9293, 3.10.7.1: such a RST has no ACK, and its sequence number is the acknowledgement number of the segment
    that it answers. An end that aborts a connection which it has sends a RST with ACK.
    """
    closed: set[str] = set()
    last: dict[str, Packet] = {}
    for packet in packets:
        if packet.has(RST) and not packet.has(ACK) and packet.sender not in closed:
            asked = last.get("server" if packet.from_client else "client")
            if asked is not None and asked.has(ACK) and asked.acknowledged == packet.first:
                return asked, packet
        if packet.flags & (FIN | RST):
            closed.add(packet.sender)
        last[packet.sender] = packet
    return None
