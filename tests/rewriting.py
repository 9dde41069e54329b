"""Recorded captures made into others whose truth is known: other ports, another order. Knows Ethernet, IP and TCP."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from .conftest import output

_TCP = 6
_HEADER = struct.Struct("<IHHiIII")
_RECORD = struct.Struct("<IIII")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A packet: when it was recorded, in nanoseconds, its length on the wire, and its octets."""

    time: int
    length: int
    octets: bytes

    @property
    def tcp(self) -> int | None:
        """Where the TCP header begins, if there is one."""
        kind = self.octets[12:14]
        if kind == b"\x08\x00" and self.octets[23] == _TCP:
            return 14 + 4 * (self.octets[14] & 15)
        return 54 if kind == b"\x86\xdd" and self.octets[20] == _TCP else None

    @property
    def ports(self) -> tuple[int, int] | None:
        start = self.tcp
        return None if start is None else struct.unpack_from(">HH", self.octets, start)

    @property
    def payload(self) -> bytes:
        """The octets of the stream in it."""
        start = self.tcp
        if start is None:
            return b""
        last = (
            14 + int.from_bytes(self.octets[16:18])
            if self.octets[12:14] == b"\x08\x00"
            else 54 + int.from_bytes(self.octets[18:20])
        )
        return self.octets[start + 4 * (self.octets[start + 12] >> 4) : last]

    def at_ports(self, moved: Mapping[int, int]) -> Recorded:
        """The same packet with other ports, its checksum adjusted (RFC 1624)."""
        start, ports = self.tcp, self.ports
        if start is None or ports is None:
            return self
        octets = bytearray(self.octets)
        new = [moved.get(port, port) for port in ports]
        struct.pack_into(">HH", octets, start, *new)
        (checksum,) = struct.unpack_from(">H", octets, start + 16)
        total = (~checksum & 0xFFFF) + sum(~port & 0xFFFF for port in ports) + sum(new)
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        struct.pack_into(">H", octets, start + 16, ~total & 0xFFFF)
        return replace(self, octets=bytes(octets))


def packets(capture: Path, folder: Path) -> list[Recorded]:
    """The packets of a capture of any format."""
    plain = folder / f"{capture.stem}.plain"
    output("editcap", "-F", "nsecpcap", capture, plain)
    octets, found, at = plain.read_bytes(), [], _HEADER.size
    while at < len(octets):
        seconds, nanoseconds, kept, length = _RECORD.unpack_from(octets, at)
        at += _RECORD.size
        found.append(Recorded(seconds * 10**9 + nanoseconds, length, octets[at : at + kept]))
        at += kept
    return found


def write(recorded: Iterable[Recorded], path: Path) -> Path:
    """The capture of these packets, in this order."""
    parts = [_HEADER.pack(0xA1B23C4D, 2, 4, 0, 0, 262144, 1)]
    for packet in recorded:
        parts += [_RECORD.pack(*divmod(packet.time, 10**9), len(packet.octets), packet.length), packet.octets]
    path.write_bytes(b"".join(parts))
    return path
