"""TCP's flow control: when a receiver's window was full or zero, and how large it was. Knows no line of the chat.

The right edge of a window is the acknowledgement number plus the window: no octet from there on may be sent. What is
inferred holds at the capture point, which has seen an edge at least as early as the sender.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from tools.report.packets import ACK, RST, SYN, Packet

from .connections import Connection


@dataclass(slots=True)
class Stop:
    """A time in which a sender had no room: from the segment that reached the right edge to the one that moved it.

    `ended` is None where no packet of the capture moves it.
    """

    begun: Packet
    ended: Packet | None


@dataclass(slots=True)
class Closed:
    """A time in which one end offered a window of zero: from the frame that says so to the one that opens it again.

    `unmoved`: the first packet with the right edge at which the window closed. `probes`: what the other end sent to
    ask, `answers`: the other packets of this end with a zero window. `opened` is None where the capture shows none.
    """

    connection: Connection
    of_client: bool
    first: Packet
    unmoved: Packet
    opened: Packet | None = None
    probes: list[Packet] = field(default_factory=list)
    answers: list[Packet] = field(default_factory=list)

    @property
    def edge(self) -> int:
        """The relative sequence number of the right edge."""
        return self.first.acknowledged


def offers(connection: Connection, *, of_client: bool) -> list[Packet]:
    """The packets with which one end offers a window, but its SYN, whose window is never scaled."""
    return [
        packet
        for packet in connection.packets
        if packet.from_client == of_client and packet.has(ACK) and not packet.has(SYN) and not packet.has(RST)
    ]


def closed(connection: Connection) -> list[Closed]:
    """The times in which a window was zero, of both ends, in the order of the capture."""
    found = [one for side in (True, False) for one in _closed(connection, of_client=side)]
    return sorted(found, key=lambda one: one.first.number)


def _closed(connection: Connection, *, of_client: bool) -> list[Closed]:
    found: list[Closed] = []
    edge: tuple[int, Packet] | None = None
    now: Closed | None = None
    for packet in offers(connection, of_client=of_client):
        if edge is None or packet.acknowledged + packet.window != edge[0]:
            edge = (packet.acknowledged + packet.window, packet)
        if packet.window:
            if now is not None:
                now.opened, now = packet, None
        elif now is None:
            now = Closed(connection, of_client, packet, edge[1])
            found.append(now)
        else:
            now.answers.append(packet)
    for event in connection.events:
        if event.kind == "window probe" and event.packet.from_client != of_client:
            for one in found:
                if one.first.number < event.packet.number and (
                    one.opened is None or event.packet.number < one.opened.number
                ):
                    one.probes.append(event.packet)
    return found


def stops(connection: Connection, *, from_client: bool) -> list[Stop]:
    """When the sender of one direction had filled the receiver's window; nothing where its factor is unknown."""
    if connection.handshake is None:
        return []
    found: list[Stop] = []
    edge: int | None = None
    for packet in connection.packets:
        if packet.from_client == from_client:
            full = packet.payload and edge is not None and packet.first + packet.payload >= edge
            if full and (not found or found[-1].ended is not None):
                found.append(Stop(packet, None))
        elif packet.has(ACK) and not packet.has(RST):
            new = packet.acknowledged + packet.window
            if edge is not None and new > edge and found and found[-1].ended is None:
                found[-1].ended = packet
            edge = new if edge is None else max(edge, new)
    return found


def waited(stopped: Sequence[Stop], since: Decimal, until: Decimal) -> Decimal:
    """For how many seconds between two times a sender had no room."""
    spans = [
        (max(stop.begun.time, since), until if stop.ended is None else min(stop.ended.time, until)) for stop in stopped
    ]
    return sum((end - begin for begin, end in spans if end > begin), Decimal(0))
