"""Reads a capture into packets and lines, in one pass of tshark over it and one over the packets that hold lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .analysis.holes import holes
from .analysis.inference import complete
from .document import bracketed
from .packets import ACK, ANALYSIS, SYN, Line, Packet, every, sources
from .preparing import Preparation, alike, in_order, once
from .tshark import ReportError, Tshark

Endpoint = tuple[str, int]
_PORTS_SHOWN = 10  # in a message
_SHORT_PASSES = 3  # that end where a server has to be named; the next one names all that are left

# The dissector's own fields, the attributes of a line for them, and how they are read. What else it has are the fields
# of the protocol's messages.
_OWN = {name: (attribute, parse) for attribute, (name,), parse, _ in sources(Line)}


@dataclass(slots=True)
class Capture:
    """Everything that the analyses look at. `packets` are those of IP and ARP, in the order of the file.

    `prepared`: how that file was made of the `original` one, where this could not be read as it is.
    """

    tshark: Tshark
    packets: list[Packet]
    lines: list[Line]
    total: int
    servers: list[Endpoint]
    original: Path
    prepared: list[Preparation]


def read(tshark: Tshark, protocol: str, say: Callable[[str], None]) -> Capture:
    """The capture. Raises ReportError when it cannot be read or holds nothing of the protocol."""
    original = tshark.capture
    packets, total = _packets(tshark, say)
    prepared: list[Preparation] = []
    for prepare in (in_order, alike, once):
        step = prepare(tshark.capture, tshark.dissector.parent, packets)
        if step is not None:
            say(step.what)
            step.run()
            prepared.append(step)
            tshark = replace(tshark, capture=step.made)
            packets, total = _packets(tshark, say)
    say(f"{total:,} packets; reading what of them is {protocol}")
    numbered = {packet.number: packet for packet in packets}
    tshark, lines = _recognised(tshark, protocol, numbered, say)
    _give(lines, numbered)
    if not lines:
        raise ReportError(_why_nothing(tshark, total, packets, protocol))
    servers = _servers(packets)
    _turn(packets, servers)
    if _has_holes(packets, servers):
        say("octets are missing: once more, without a wait for them")
        other = replace(tshark, waits=False)
        others = list(_lines(other, protocol, numbered))
        if _readable(others) > _readable(lines):
            tshark, lines = other, others
        _give(lines, numbered)
    say(f"{len(lines):,} frames of {protocol}")
    begun = {packet.stream for packet in packets if packet.has(SYN)}
    complete(lines, begun, {line.stream: _client(numbered[line.number], by_client=line.from_client) for line in lines})
    return Capture(tshark, packets, lines, total, servers, original, prepared)


def _packets(tshark: Tshark, say: Callable[[str], None]) -> tuple[list[Packet], int]:
    """The packets of IP and ARP, and how many packets there are in all."""
    everything = list(packets_of(tshark, say))
    return [packet for packet in everything if packet.src], len(everything)


def packets_of(tshark: Tshark, say: Callable[[str], None]) -> Iterator[Packet]:
    """The packets of a capture; those that are not of IP or ARP have no `src`."""
    for row in tshark.rows(_FIELDS, _WHOLE, lambda count: say(f"{count:,} packets read")):
        yield _packet(row)


_FIELDS = list(dict.fromkeys([*(name for _, fields, _, _ in sources(Packet) for name in fields), *ANALYSIS]))
_WHOLE = frozenset(name for _, fields, parse, _ in sources(Packet) if parse is every for name in fields)
_DEFAULTS = {attribute: default for attribute, _, _, default in sources(Packet)}
# Column, attribute and parser; where several columns hold an attribute, the first one that has a value comes last.
_COLUMNS = [
    (_FIELDS.index(name), attribute, parse)
    for attribute, names, parse, _ in sources(Packet)
    for name in reversed(names)
]
_SIGNS = list(enumerate(ANALYSIS, len(_FIELDS) - len(ANALYSIS)))
_NONE: frozenset[str] = frozenset()


def _packet(row: list[str]) -> Packet:
    values: dict[str, Any] = _DEFAULTS.copy()
    for column, attribute, parse in _COLUMNS:
        text = row[column]
        if text:
            values[attribute] = parse(text)
    if "icmp" in values["protocols"]:  # the packet that it is about is quoted in it
        values["stream"] = -1
    marked = any(row[_SIGNS[0][0] :])
    return Packet(**values, analysis=frozenset(name for at, name in _SIGNS if row[at]) if marked else _NONE)


def _servers(packets: list[Packet]) -> list[Endpoint]:
    """The ends that speak as a server, in the order of their appearance."""
    found: dict[Endpoint, None] = {}
    for packet in packets:
        if packet.lines:
            one, other = (packet.dst, packet.dport), (packet.src, packet.sport)
            found.setdefault(one if packet.lines[0].from_client else other)
    return list(found)


def _client(packet: Packet, *, by_client: bool) -> str:
    """The client's end of a packet, as `10.0.0.1:40001`."""
    return bracketed((packet.src, packet.sport) if by_client else (packet.dst, packet.dport))


def _recognised(
    tshark: Tshark, protocol: str, packets: Mapping[int, Packet], say: Callable[[str], None]
) -> tuple[Tshark, list[Line]]:
    """The lines of the capture, and how it is read so that the dissector knows all servers.

    At another port than the protocol's, it recognises a server by a frame that may come late in a connection. And some
    lines can come from either side: it may have taken the opener of a connection for the server, but the sender of the
    SYN is the client. A server that it has to be told of is mostly seen at the first line, and ends the pass there.
    """
    opened: dict[int, Endpoint] = {}
    for packet in packets.values():
        if packet.has(SYN) and not packet.has(ACK) and packet.stream >= 0:
            opened.setdefault(packet.stream, (packet.src, packet.sport))
    passes = 0
    while True:
        passes += 1
        lines: list[Line] = []
        servers: dict[Endpoint, None] = {}
        missing = False
        for line in _lines(tshark, protocol, packets):
            lines.append(line)
            server, mistaken = _server(packets[line.number], opened, by_client=line.from_client)
            servers[server] = None
            missing = missing or ((mistaken or server[1] != tshark.port) and server not in tshark.servers)
            if missing and passes <= _SHORT_PASSES:
                break
        if not missing:
            return tshark, lines
        named = tuple(dict.fromkeys([*tshark.servers, *servers]))
        say(f"once more: the server is at {', '.join(f'{address} port {port}' for address, port in named)}")
        tshark = replace(tshark, servers=named)


def _server(packet: Packet, opened: Mapping[int, Endpoint], *, by_client: bool) -> tuple[Endpoint, bool]:
    """The server's end of a packet with a line, and whether the dissector took the other one for it."""
    source, target = (packet.src, packet.sport), (packet.dst, packet.dport)
    mistaken = packet.stream in opened and by_client != (source == opened[packet.stream])
    return target if by_client != mistaken else source, mistaken


def _turn(packets: list[Packet], servers: list[Endpoint]) -> None:
    """Says of each packet whether it comes from a client."""
    known = set(servers)
    for packet in packets:
        packet.from_client = (packet.src, packet.sport) not in known


def _has_holes(packets: list[Packet], servers: list[Endpoint]) -> bool:
    """Whether octets are missing that never come: Wireshark would wait for them to the end of the capture."""
    known, streams = set(servers), dict[int, list[Packet]]()
    for packet in packets:
        if packet.stream >= 0 and known & {(packet.src, packet.sport), (packet.dst, packet.dport)}:
            streams.setdefault(packet.stream, []).append(packet)
    return any(holes(own, from_client=side) for own in streams.values() for side in (True, False))


def _readable(lines: list[Line]) -> int:
    """How many lines are whole, or begin in the capture."""
    return sum(line.kind != "fragment" for line in lines)


def _why_nothing(tshark: Tshark, total: int, packets: list[Packet], protocol: str) -> str:
    if not total:
        return f"{tshark.capture} holds no packets"
    if not packets:
        return f"{tshark.capture} is not a capture, or one without IP: give a .pcapng or .pcap file of Wireshark"
    if any("tls" in packet.protocols.split(":") for packet in packets):
        return (
            f"{tshark.capture} holds TLS, which cannot be read, and nothing of {protocol} in the clear. Record the "
            "connections before they are encrypted, at the server's plain port"
        )
    if any(packet.captured < packet.length for packet in packets):
        return f"{tshark.capture} holds no {protocol}; its packets are cut off. Record it with a larger snap length"
    ports = sorted({min(packet.sport, packet.dport) for packet in packets if packet.payload})
    if not ports:
        return (
            f"{tshark.capture} holds no {protocol} in its {total} packets, and no octets of TCP at all. Record it with "
            "`python -m tools.capture`"
        )
    listed = ", ".join(map(str, ports[:_PORTS_SHOWN])) + (" …" if len(ports) > _PORTS_SHOWN else "")
    name = str(ports[0]) if len(ports) == 1 else "PORT"
    return (
        f"{tshark.capture} has no connection with a frame that only {protocol} has, in {total} packets (TCP ports: "
        f"{listed}). If a server of {protocol} is among them, name its port: --decode-as tcp.port=={name},{protocol}; "
        "else record one with `python -m tools.capture`"
    )


def _lines(tshark: Tshark, protocol: str, packets: Mapping[int, Packet]) -> Iterator[Line]:
    """The lines of the capture; tshark's JSON keeps every value with its line."""
    words = [*tshark.command, "-T", "ek", "-J", f"frame {protocol}", "-Y", protocol]
    for text in tshark.lines(words):
        if text.startswith('{"timestamp"'):
            layers = json.loads(text)["layers"]
            packet = packets[int(layers["frame"]["frame_frame_number"])]
            found = layers.get(protocol, [])
            trees = found if isinstance(found, list) else [found]
            for tree in trees:
                yield _line(packet, tree, protocol)


def _give(lines: list[Line], packets: Mapping[int, Packet]) -> None:
    """Gives each line to its packet, and to no other one."""
    for packet in packets.values():
        packet.lines = []
    for line in lines:
        packets[line.number].lines.append(line)


def _line(packet: Packet, tree: dict[str, Any], protocol: str) -> Line:
    line = Line(number=packet.number, time=packet.time, stream=packet.stream)
    prefix = f"{protocol}_{protocol}_"
    begin = len(prefix)
    for name, value in tree.items():
        if name.startswith(prefix):
            first = value[0] if isinstance(value, list) else value
            own = _OWN.get(name[begin:])
            if own is None:
                line.values[name[begin:]] = str(first)
            else:
                setattr(line, own[0], own[1](first))
    return line
