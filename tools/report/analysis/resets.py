"""What a RST is: an end aborts its connection, or a host has no connection for a segment (RFC 9293, section 3.5.2).

An end that aborts has the connection's numbers: its RST continues its own sequence numbers. A host that has no such
connection takes the number from the segment that it answers, and knows nothing of the options that were agreed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tools.report.packets import ACK, RST, SYN, Packet


@dataclass(frozen=True, slots=True)
class Reset:
    """The first RST of a connection.

    `kind`: `abort`; `gone` when its host has no connection for the segment `answers`; `refusal` when it answers a SYN;
    `unknown` when it may be either. `signs`: what it has that shows that. `open` has the payload octets in both
    directions that had passed and were not acknowledged: those of the RST's sender, and those of the other end.
    """

    packet: Packet
    kind: Literal["abort", "gone", "refusal", "unknown"]
    answers: Packet | None
    signs: tuple[str, ...]
    open: tuple[int, int]


def reset(packets: Sequence[Packet]) -> Reset | None:
    """The first RST of a connection; None without one."""
    place = next((place for place, packet in enumerate(packets) if packet.has(RST)), None)
    if place is None:
        return None
    packet, before = packets[place], packets[:place]
    own = [each for each in before if each.sender == packet.sender]
    others = [each for each in before if each.sender != packet.sender]
    open_octets = (_unacknowledged(own, others), _unacknowledged(others, [*own, packet]))
    if not own and ((others and all(each.has(SYN) for each in others)) or (packet.has(ACK) and not packet.seq_raw)):
        return Reset(packet, "refusal", others[-1] if others else None, (), open_octets)
    if packet.has(ACK):
        return Reset(packet, "abort", None, ("the ACK flag",), open_octets)
    answered = next((each for each in reversed(others) if each.has(ACK) and each.acknowledged == packet.first), None)
    signs = _foreign(packet, own)
    if answered is not None and signs:
        return Reset(packet, "gone", answered, signs, open_octets)
    if packet.tsval is not None:
        return Reset(packet, "abort", None, ("the connection's timestamps",), open_octets)
    return Reset(packet, "unknown", None, (), open_octets)


def _foreign(packet: Packet, own: Sequence[Packet]) -> tuple[str, ...]:
    """What a RST has, unlike the segments of its end after the handshake: it is of none of its host's connections."""
    signs = []
    if packet.tsval is None and any(each.tsval is not None for each in own):
        signs.append("no timestamps")
    later = [each for each in own if not each.has(SYN) and each.ip_id]
    if packet.ip_id and not int(packet.ip_id, 16) and later and all(int(each.ip_id, 16) for each in later):
        signs.append("the IP identification 0")
    return tuple(signs)


def _unacknowledged(sent: Sequence[Packet], told: Sequence[Packet]) -> int:
    """How many octets of payload one end had sent that the other one had not acknowledged."""
    reached = max((packet.first + packet.payload for packet in sent if packet.payload), default=None)
    if reached is None:
        return 0
    acknowledged = max((packet.acknowledged for packet in told if packet.has(ACK)), default=None)
    least = min(packet.first for packet in sent if packet.payload)
    return max(0, reached - max(least, acknowledged if acknowledged is not None else least))
