"""Where on the path segments were lost, by what passed the capture point. Knows no line of the chat.

A segment that passed twice was lost behind the capture point, or its acknowledgement before it. One that fills a gap
in the sequence numbers was late, or its first copy has not passed: the order in which they were sent tells which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tools.report.packets import Packet

from .connections import Connection
from .coverage import Coverage

Place = Literal["before", "behind", "unacknowledged", "needless", "late", "unknown"]
_SPACE = 2**16


@dataclass(frozen=True, slots=True)
class Loss:
    """A segment that came again or late. `other` is the copy before it, or the segment that it should precede.

    `place`: its first copy was lost before the capture point, or behind it, since the receiver asked for it with
    duplicate acknowledgements; or it was `unacknowledged` for another reason, such as a lost acknowledgement or
    a receiver that was stopped; or it was acknowledged before it came again (`needless`); or it is no loss, but
    overtaken by others (`late`); or it cannot be known which of these.
    """

    packet: Packet
    other: Packet
    place: Place
    inferred_from: Literal["identification", "timestamps", "sequence"]

    @property
    def fills(self) -> bool:
        """Whether it fills a gap in the sequence numbers."""
        return self.place in ("before", "late", "unknown")


def losses(connection: Connection) -> list[Loss]:
    """The segments of both directions that came again or late, in the order of the capture."""
    found = [loss for side in (True, False) for loss in _losses(connection.packets, from_client=side)]
    return sorted(found, key=lambda loss: loss.packet.number)


def _losses(packets: Sequence[Packet], *, from_client: bool) -> list[Loss]:
    seen = Coverage()
    carriers: list[Packet] = []
    asked: set[int] = set()  # sequence numbers in duplicate acknowledgements
    end, acknowledged = None, None
    found = []
    for packet in packets:
        if packet.from_client != from_client:
            acknowledged = packet.acknowledged if acknowledged is None else max(acknowledged, packet.acknowledged)
            if "tcp.analysis.duplicate_ack" in packet.analysis:
                asked.add(packet.acknowledged)
        elif packet.payload:
            last = packet.first + packet.payload
            new = seen.add(packet.first, last)
            if not new and packet.payload > 1:  # one octet again may be a keep-alive
                place: Place = "behind" if packet.first in asked else "unacknowledged"
                if acknowledged is not None and acknowledged >= last:
                    place = "needless"
                copies = (
                    one for one in reversed(carriers) if one.first < last and packet.first < one.first + one.payload
                )
                found.append(Loss(packet, next(copies), place, "sequence"))
            elif end is not None and packet.first < end and new:
                overtaker = next((each for each in reversed(carriers) if each.first >= last), None)
                if overtaker is not None:
                    found.append(_of_order(packet, overtaker))
            end = last if end is None else max(end, last)
            carriers.append(packet)
    return found


def _of_order(packet: Packet, overtaker: Packet) -> Loss:
    """Whether a segment that fills a gap was sent before the one behind the gap, or after it."""
    ids = [int(each.ip_id or "0", 0) for each in (packet, overtaker)]
    if all(ids):
        later = (ids[0] - ids[1]) % _SPACE < _SPACE // 2
        return Loss(packet, overtaker, "before" if later else "late", "identification")
    if packet.tsval and overtaker.tsval and packet.tsval != overtaker.tsval:
        later = (packet.tsval - overtaker.tsval) % 2**32 < 2**31
        return Loss(packet, overtaker, "before" if later else "late", "timestamps")
    return Loss(packet, overtaker, "unknown", "sequence")
