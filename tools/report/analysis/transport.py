"""Wireshark's labels and round-trip times over all connections, and how quantities are spread."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from tools.report.evidence import Evidence
from tools.report.packets import ANALYSIS, Packet

from .connections import Connection


@dataclass(slots=True)
class Sign:
    """One kind of event in Wireshark's TCP analysis, over all connections of the chat."""

    name: str
    words: str
    several: str
    meaning: str
    evidence: Evidence


@dataclass(slots=True)
class Spread:
    """How a quantity is spread; seconds unless said otherwise."""

    count: int
    least: Decimal
    median: Decimal
    most: Decimal
    p95: Decimal

    @classmethod
    def of(cls, values: Sequence[Decimal]) -> Spread | None:
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


def signs(connections: Sequence[Connection]) -> list[Sign]:
    """The kinds of events that occur, in the order of ANALYSIS."""
    scope = streams_filter(connections)
    found = []
    for name, (words, several, meaning) in ANALYSIS.items():
        packets = [packet for one in connections for packet in one.packets if name in packet.analysis]
        if packets:
            found.append(Sign(name, words, several, meaning, Evidence.showing(f"{name} && {scope}", packets)))
    return found


def round_trips(connection: Connection, *, by_client: bool) -> Spread | None:
    """The round-trip times of the ACKs that one end sends, from tcp.analysis.ack_rtt."""
    acks = [packet for packet in connection.packets if packet.from_client == by_client]
    return Spread.of([packet.rtt for packet in acks if packet.rtt is not None])


def streams_filter(connections: Sequence[Connection]) -> str:
    """A filter for all packets of these connections."""
    parts = [
        f"{'ipv6' if ':' in address else 'ip'}.addr == {address} && tcp.port == {port}"
        for address, port in sorted({connection.server for connection in connections})
    ]
    return parts[0] if len(parts) == 1 else "(" + " || ".join(f"({part})" for part in parts) + ")"


def data(packets: Sequence[Packet], *, from_client: bool) -> list[Packet]:
    """The segments with payload in one direction."""
    return [packet for packet in packets if packet.payload and packet.from_client == from_client]
