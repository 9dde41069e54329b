"""What a capture lacks of each connection: octets, the beginning, the end, a direction. Knows no line of the chat."""

from __future__ import annotations

from dataclasses import dataclass

from tools.report.packets import SYN, Packet

from .connections import Connection
from .holes import Hole, holes, missing_octets
from .unseen import Unseen, unseen


@dataclass(slots=True)
class Gaps:
    """What a connection lacks. `begun`: its first packet is its SYN. `one_way`: the only side that is there, or ""."""

    connection: Connection
    begun: bool
    ended: bool
    one_way: str
    holes: list[Hole]
    cut: list[Packet]
    unseen: list[Unseen]

    @property
    def whole(self) -> bool:
        """Whether everything that was said on it from its beginning on is there."""
        return self.begun and not self.holes and not self.one_way

    def may_lack(self, first: int, last: int, *, from_client: bool) -> bool:
        """Whether a packet of one direction may be missing between two frames."""
        return any(
            lost.from_client == from_client and (lost.after or 0) < last and end > first
            for lost, end in [(hole, hole.shown_by) for hole in self.holes] + [(one, one.before) for one in self.unseen]
        )


def gaps(connection: Connection) -> Gaps:
    """What this connection lacks in the capture."""
    packets = connection.packets
    sides = {packet.sender for packet in packets}
    refused = connection.close.how == "refused"
    return Gaps(
        connection=connection,
        begun=any(packet.has(SYN) for packet in packets),
        ended=connection.close.how not in ("open", "half-closed", "unknown"),
        one_way="" if len(sides) == 2 else sides.pop(),
        holes=[] if refused else [hole for side in (True, False) for hole in holes(packets, from_client=side)],
        cut=[packet for packet in packets if missing_octets(packet)],
        unseen=[
            each for side in (True, False) for each in unseen(packets, from_client=side, full=connection.full_segment)
        ],
    )
