"""What TCP did to carry the chat: repairs, round-trip times, windows. Wireshark's analysis is the authority."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tools.report.evidence import Evidence
from tools.report.packets import ANALYSIS, Packet

from .connections import Connection


@dataclass(slots=True)
class Sign:
    """One kind of sign in Wireshark's analysis, over all connections of the chat."""

    name: str
    words: str
    evidence: Evidence
    streams: list[int]


@dataclass(slots=True)
class Spread:
    """How a quantity is spread; seconds unless said otherwise."""

    count: int
    least: float
    median: float
    most: float
    p95: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        if not values:
            return None
        ordered = sorted(values)
        return cls(
            count=len(ordered),
            least=ordered[0],
            median=statistics.median(ordered),
            most=ordered[-1],
            p95=ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))],
        )


@dataclass(slots=True)
class RoundTrips:
    """The times from a segment to the ACK for it, seen where the capture was made, by who acknowledges."""

    stream: int
    by_client: Spread | None
    by_server: Spread | None
    evidence: Evidence


def signs(connections: Sequence[Connection]) -> list[Sign]:
    """The signs of trouble that there are, in the order of the table of fields."""
    scope = streams_filter(connections)
    found = []
    for name, words in ANALYSIS.items():
        packets = [
            (connection.stream, packet)
            for connection in connections
            for packet in connection.packets
            if name in packet.analysis
        ]
        if packets:
            evidence = Evidence.of(f"{name} && {scope}", (packet.number for _, packet in packets))
            found.append(Sign(name, words, evidence, sorted({stream for stream, _ in packets})))
    return found


def round_trips(connection: Connection) -> RoundTrips:
    """A connection's round trips, from tcp.analysis.ack_rtt."""
    measured = [packet for packet in connection.packets if packet.rtt is not None]
    return RoundTrips(
        connection.stream,
        Spread.of([packet.rtt for packet in measured if packet.rtt is not None and packet.from_client]),
        Spread.of([packet.rtt for packet in measured if packet.rtt is not None and not packet.from_client]),
        Evidence.of(
            f"tcp.stream eq {connection.stream} && tcp.analysis.ack_rtt", (packet.number for packet in measured)
        ),
    )


def streams_filter(connections: Sequence[Connection]) -> str:
    """A filter for all packets of these connections."""
    ends = {connection.server for connection in connections}
    parts = [server_filter(*end) for end in sorted(ends)]
    return parts[0] if len(parts) == 1 else "(" + " || ".join(f"({part})" for part in parts) + ")"


def server_filter(address: str, port: int) -> str:
    """A filter for the packets of a server's end, whichever way they go."""
    family = "ipv6" if ":" in address else "ip"
    return f"{family}.addr == {address} && tcp.port == {port}"


def data(packets: Sequence[Packet], *, from_client: bool) -> list[Packet]:
    """The segments with payload in one direction."""
    return [packet for packet in packets if packet.payload and packet.from_client == from_client]


def largest(connection: Connection, measure: Callable[[Packet], int]) -> int:
    """The largest value of a measure over a connection's packets."""
    return max((measure(packet) for packet in connection.packets), default=0)
