"""When segments were sent, by their sender's timestamps (RFC 7323). Knows no line of the chat.

The capture point sees when a segment passes it. A segment that waited on the way, in a queue or for an address, passes
later than its timestamp says.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tools.report.packets import SYN, Packet

_RATES = (1000, 250, 100)  # ticks in a second of the systems in use
_NEAR = Decimal("0.03")  # how far a measured rate may be from one of these, as a part of it
_SHORTEST = Decimal("0.5")  # seconds over which a rate is measured


def tick(packets: Sequence[Packet]) -> Decimal | None:
    """The seconds of a tick of the timestamps of one sender's packets in a connection; None where it is not shown.

    It is measured up to the last packet, from the first one or from the middle one: the first ones may have waited.
    SYNs are left out for the same reason.
    """
    stamped = [packet for packet in packets if packet.tsval is not None and not packet.has(SYN)]
    if not stamped:
        return None
    last = stamped[-1]
    for first in (stamped[0], stamped[len(stamped) // 2]):
        passed = last.time - first.time
        if passed >= _SHORTEST:
            rate = Decimal(((last.tsval or 0) - (first.tsval or 0)) % 2**32) / passed
            known = next((each for each in _RATES if abs(rate - each) < _NEAR * each), None)
            if known is not None:
                return Decimal(1) / known
    return None


def between(first: Packet, last: Packet, one_tick: Decimal | None) -> Decimal | None:
    """The seconds between the sending of two segments of one sender, by their timestamps; negative for an earlier one.

    None where they do not tell it.
    """
    if one_tick is None or first.tsval is None or last.tsval is None:
        return None
    ticks = (last.tsval - first.tsval + 2**31) % 2**32 - 2**31
    return ticks * one_tick
