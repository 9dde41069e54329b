"""Reads a capture into packets and lines, in one pass of tshark over it and one over the packets that hold lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .packets import ACK, ANALYSIS, SYN, Line, Packet, sources
from .tshark import ReportError, Tshark

Endpoint = tuple[str, int]

# The dissector's own fields, the attributes of a line for them, and how they are read. What else it has are the fields
# of the protocol's messages.
_OWN = {name: (attribute, parse) for attribute, (name,), parse, _ in sources(Line)}


@dataclass(slots=True)
class Capture:
    """Everything that the analyses look at. `packets` are those of IP and ARP, in the order of the file."""

    tshark: Tshark
    packets: list[Packet]
    lines: list[Line]
    total: int
    servers: list[Endpoint]


def read(tshark: Tshark, protocol: str, say: Callable[[str], None]) -> Capture:
    """The capture. Raises ReportError when it cannot be read or holds nothing of the protocol."""
    packets: list[Packet] = []
    total = 0
    for row in tshark.rows(_FIELDS, lambda count: say(f"{count:,} packets read")):
        total += 1
        packet = _packet(row)
        if packet is not None:
            packets.append(packet)
    say(f"{total:,} packets; reading what of them is {protocol}")
    numbered = {packet.number: packet for packet in packets}
    lines = _lines(tshark, protocol, numbered)
    ports = _mistaken(packets)
    if ports:
        say(f"once more: the server is at port {', '.join(str(port) for port in sorted(ports))}")
        tshark = replace(tshark, ports=tuple(sorted(ports)))
        for packet in packets:
            packet.lines = []
        lines = _lines(tshark, protocol, numbered)
    if not lines:
        raise ReportError(_why_nothing(tshark, total, packets, protocol))
    say(f"{len(lines):,} frames of {protocol}")
    servers = _servers(packets)
    _turn(packets, servers)
    return Capture(tshark, packets, lines, total, servers)


_FIELDS = list(dict.fromkeys([*(name for _, fields, _, _ in sources(Packet) for name in fields), *ANALYSIS]))
# For each attribute of a packet the columns that may hold it, how it is read, and its value when all are empty.
_COLUMNS = [
    (attribute, [_FIELDS.index(name) for name in names], parse, default)
    for attribute, names, parse, default in sources(Packet)
]
_SIGNS = [(name, _FIELDS.index(name)) for name in ANALYSIS]


def _packet(row: list[str]) -> Packet | None:
    """A packet of IP or ARP, None for any other."""
    values: dict[str, Any] = {}
    for attribute, columns, parse, default in _COLUMNS:
        text = next((row[column] for column in columns if row[column]), "")
        values[attribute] = parse(text) if text else default
    if not values["src"]:
        return None
    if "icmp" in values["protocols"]:  # the packet that it is about is quoted in it
        values["stream"] = -1
    return Packet(**values, analysis=frozenset(name for name, column in _SIGNS if row[column]))


def _servers(packets: list[Packet]) -> list[Endpoint]:
    """The ends that speak as a server, in the order of their appearance."""
    found: dict[Endpoint, None] = {}
    for packet in packets:
        if packet.lines:
            one, other = (packet.dst, packet.dport), (packet.src, packet.sport)
            found.setdefault(one if packet.lines[0].from_client else other)
    return list(found)


def _mistaken(packets: list[Packet]) -> set[int]:
    """The ports of all servers, when the dissector has taken the opener of a connection for one; else none.

    Some lines can come from either side. Who sends the SYN is the client.
    """
    opened: dict[int, tuple[str, int]] = {}
    for packet in packets:
        if packet.has(SYN) and not packet.has(ACK) and packet.stream >= 0:
            opened.setdefault(packet.stream, (packet.src, packet.sport))
    ports: set[int] = set()
    wrong = False
    for packet in packets:
        if packet.lines and packet.stream in opened:
            by_client = (packet.src, packet.sport) == opened[packet.stream]
            ports.add(packet.dport if by_client else packet.sport)
            wrong = wrong or packet.lines[0].from_client != by_client
    return ports if wrong else set()


def _turn(packets: list[Packet], servers: list[Endpoint]) -> None:
    """Says of each packet whether it comes from a client."""
    known = set(servers)
    for packet in packets:
        packet.from_client = (packet.src, packet.sport) not in known


def _why_nothing(tshark: Tshark, total: int, packets: list[Packet], protocol: str) -> str:
    if not total:
        return f"{tshark.capture} holds no packets"
    if not packets:
        return f"{tshark.capture} is not a capture, or one without IP: give a .pcapng or .pcap file of Wireshark"
    if any("tls" in packet.protocols.split(":") for packet in packets):
        return (
            f"{tshark.capture} holds TLS, which cannot be read, and nothing of {protocol} in the clear. Record the "
            "server's plain port, or give tshark the keys (Wireshark: Preferences, Protocols, TLS)"
        )
    if any(packet.captured < packet.length for packet in packets):
        return f"{tshark.capture} holds no {protocol}; its packets are cut off. Record it with a larger snap length"
    return f"{tshark.capture} holds no {protocol} in its {total} packets. Record it with `python -m tools.capture`"


def _lines(tshark: Tshark, protocol: str, packets: Mapping[int, Packet]) -> list[Line]:
    """The lines of the capture, each added to its packet; tshark's JSON keeps every value with its line."""
    lines: list[Line] = []
    words = [*tshark.command, "-T", "ek", "-J", f"frame {protocol}", "-Y", protocol]
    for text in tshark.lines(words):
        if text.startswith('{"timestamp"'):
            layers = json.loads(text)["layers"]
            packet = packets[int(layers["frame"]["frame_frame_number"])]
            found = layers.get(protocol, [])
            trees = found if isinstance(found, list) else [found]
            packet.lines = [_line(packet, tree, protocol) for tree in trees]
            lines += packet.lines
    return lines


def _line(packet: Packet, tree: dict[str, Any], protocol: str) -> Line:
    prefix = f"{protocol}_{protocol}_"
    line = Line(number=packet.number, time=packet.time, stream=packet.stream)
    for name, value in tree.items():
        if not name.startswith(prefix):
            continue
        first = value[0] if isinstance(value, list) else value
        field = name.removeprefix(prefix)
        if field in _OWN:
            attribute, parse = _OWN[field]
            setattr(line, attribute, parse(first))
        else:
            line.values[field] = str(first)
    return line
