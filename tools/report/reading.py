"""Reads a capture into packets and lines, in one pass of tshark over it and one over the packets that hold lines."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .packets import ANALYSIS_NAMES, PACKET_FIELDS, Line, Packet
from .tshark import ReportError, Row, Tshark

Endpoint = tuple[str, int]

# How an attribute of a line is called in the dissector, where it is not called the same.
_RENAMED = {"from": "sender", "time": "delay", "line": "words"}
_NUMBERS = frozenset({"length", "partner_stream", "chat", "request_in", "relayed_from"})
_SECONDS = frozenset({"delay", "relay_time"})
_KNOWN = frozenset(field.name for field in dataclasses.fields(Line))


@dataclass(slots=True)
class Capture:
    """Everything that the analyses look at. `packets` are those of IP and ARP, in the order of the file."""

    path: Path
    packets: list[Packet]
    lines: list[Line]
    total: int
    other: int
    servers: list[Endpoint]

    def stream(self, number: int) -> list[Packet]:
        return self._streams().get(number, [])

    def _streams(self) -> dict[int, list[Packet]]:
        streams: dict[int, list[Packet]] = {}
        for packet in self.packets:
            if packet.stream >= 0:
                streams.setdefault(packet.stream, []).append(packet)
        return streams


def read(tshark: Tshark, protocol: str, say: Callable[[str], None]) -> Capture:
    """The capture. Raises ReportError when it cannot be read or holds nothing of the protocol."""
    names = [name for _, fields, _, _ in PACKET_FIELDS for name in fields]
    wanted = [*names, *ANALYSIS_NAMES, "tcp.segment", f"{protocol}.length"]
    packets: list[Packet] = []
    holders: list[Packet] = []
    total = 0
    for row in tshark.rows(wanted, progress=lambda count: say(f"{count} packets read")):
        total += 1
        packet = _packet(row)
        if packet is None:
            continue
        packets.append(packet)
        holders += [packet] * len(row[-1])
    if not holders:
        raise ReportError(_why_nothing(tshark, total, packets, protocol))
    lines = _lines(tshark, protocol, holders, say)
    say(f"{total} packets, {len(lines)} frames of {protocol}")
    servers = _servers(packets)
    _turn(packets, servers)
    return Capture(tshark.capture, packets, lines, total, total - len(packets), servers)


def _packet(row: Row) -> Packet | None:
    values: dict[str, Any] = {}
    column = 0
    for attribute, fields, parse, default in PACKET_FIELDS:
        found = next((row[column + index][0] for index in range(len(fields)) if row[column + index]), None)
        values[attribute] = default if found is None else parse(found)
        column += len(fields)
    analysis = frozenset(name for index, name in enumerate(ANALYSIS_NAMES) if row[column + index])
    column += len(ANALYSIS_NAMES)
    segments = tuple(int(number) for number in row[column])
    if "icmp" in values["protocols"]:  # the packet that it is about is quoted in it
        values["stream"] = -1
    if not values["src"]:
        return None
    return Packet(**values, analysis=analysis, segments=segments)


def _servers(packets: list[Packet]) -> list[Endpoint]:
    """The ends that speak as a server, in the order of their appearance."""
    found: dict[Endpoint, None] = {}
    for packet in packets:
        if packet.lines:
            one, other = (packet.dst, packet.dport), (packet.src, packet.sport)
            found.setdefault(one if packet.lines[0].from_client else other)
    return list(found)


def _turn(packets: list[Packet], servers: list[Endpoint]) -> None:
    """Says of each packet whether it comes from a client."""
    known = set(servers)
    for packet in packets:
        packet.from_client = (packet.src, packet.sport) not in known


def _why_nothing(tshark: Tshark, total: int, packets: list[Packet], protocol: str) -> str:
    if not total:
        return f"{tshark.capture} holds no packets"
    if any("tls" in packet.protocols.split(":") for packet in packets):
        return (
            f"{tshark.capture} holds TLS, which cannot be read, and nothing of {protocol} in the clear. "
            "Record the server's plain port, or give tshark the keys (Wireshark: Preferences, Protocols, TLS)"
        )
    if any(packet.captured < packet.length for packet in packets):
        return f"{tshark.capture} holds no {protocol}; its packets are cut off. Record it with a larger snap length"
    return f"{tshark.capture} holds no {protocol} in its {total} packets. Record it with `python -m tools.capture`"


def _lines(tshark: Tshark, protocol: str, holders: list[Packet], say: Callable[[str], None]) -> list[Line]:
    """The lines of these packets, each added to its own; tshark's JSON keeps every value with its line."""
    say(f"reading {len(holders)} frames of {protocol}")
    lines: list[Line] = []
    for tree in _trees(tshark, protocol):
        if len(lines) == len(holders):
            break
        packet = holders[len(lines)]
        line = _line(packet, tree, protocol)
        packet.lines.append(line)
        lines.append(line)
    if len(lines) != len(holders):
        raise ReportError(f"tshark's two passes do not agree: {len(holders)} and {len(lines)} frames of {protocol}")
    return lines


def _trees(tshark: Tshark, protocol: str) -> Iterator[dict[str, Any]]:
    """The protocol's layers, in the order of the capture."""
    words = [*tshark.command, "-T", "ek", "-J", protocol, "-Y", protocol]
    for text in tshark.lines(words):
        if text.startswith('{"timestamp"'):
            layer = json.loads(text)["layers"].get(protocol, [])
            yield from layer if isinstance(layer, list) else [layer]


def _line(packet: Packet, tree: dict[str, Any], protocol: str) -> Line:
    prefix = f"{protocol}_{protocol}_"
    line = Line(number=packet.number, time=packet.time, stream=packet.stream)
    for name, value in tree.items():
        if not name.startswith(prefix):
            continue
        first = value[0] if isinstance(value, list) else value
        attribute = name.removeprefix(prefix)
        attribute = _RENAMED.get(attribute, attribute)
        if attribute not in _KNOWN:
            line.values[attribute] = str(first)
        elif attribute in _NUMBERS:
            setattr(line, attribute, int(first))
        elif attribute in _SECONDS:
            setattr(line, attribute, float(first))
        else:
            setattr(line, attribute, str(first))
    return line
