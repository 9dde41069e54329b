"""Recorded captures, damaged on purpose: packets left out, cut or moved, and many such variants in one file.

A variant is a world of its own: its addresses occur in no other one, so whoever reads the file sees captures side by
side. Knows Ethernet, IP, and what `editcap` writes; knows no line of the chat.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from .conftest import output

LINKS = {"ethernet": 1, "cooked": 113, "cooked2": 276, "raw": 101, "null": 0, "loop": 108}  # LINKTYPE_ of pcap
_NANOSECONDS = 0xA1B23C4D
_ETHERNET, _HEADER = LINKS["ethernet"], 14
_OTHER = bytes.maketrans(b"aeiouAEIOU", b"eioauEIOAU")
_IPV4, _IPV6 = b"\x08\x00", b"\x86\xdd"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A packet: its number in the original, its time in nanoseconds, the captured octets and the real length."""

    number: int
    time: int
    octets: bytes
    length: int

    @property
    def ends(self) -> tuple[bytes, bytes] | None:
        """Source and destination, each an address with its port; None for what is not TCP."""
        spans = _addresses(self.octets)
        if spans is None or self.octets[spans[2]] != 6:
            return None
        ports = _transport(self.octets)
        source, destination = (self.octets[at : at + spans[3]] for at in spans[:2])
        return source + self.octets[ports : ports + 2], destination + self.octets[ports + 2 : ports + 4]

    @property
    def payload(self) -> int:
        """Where TCP's payload begins in `octets`; behind them when there is none."""
        start = _transport(self.octets)
        return start + (self.octets[start + 12] >> 4) * 4

    @property
    def flags(self) -> int:
        """TCP's flags."""
        return self.octets[_transport(self.octets) + 13]

    def snapped(self, most: int) -> Recorded:
        return replace(self, octets=self.octets[:most])

    def at_ports(self, moved: Mapping[int, int]) -> Recorded:
        """With other ports, and TCP's checksum adjusted (RFC 1624)."""
        if self.ends is None:
            return self
        start, octets = _transport(self.octets), bytearray(self.octets)
        ports = struct.unpack_from(">HH", octets, start)
        struct.pack_into(">HH", octets, start, *(moved.get(port, port) for port in ports))
        (checksum,) = struct.unpack_from(">H", octets, start + 16)
        difference = sum(moved.get(port, port) - port for port in ports)
        struct.pack_into(">H", octets, start + 16, (checksum - difference) % 0xFFFF)
        return replace(self, octets=bytes(octets))

    def changed(self) -> Recorded:
        """With other letters in its payload."""
        start = self.payload
        return replace(self, octets=self.octets[:start] + self.octets[start:].translate(_OTHER))


def _addresses(octets: bytes) -> tuple[int, int, int, int] | None:
    """Where the two addresses and the protocol's number are in an Ethernet frame, and an address's length."""
    kind = octets[12:14]
    if kind == _IPV4 and len(octets) >= _HEADER + 24:
        return _HEADER + 12, _HEADER + 16, _HEADER + 9, 4
    if kind == _IPV6 and len(octets) >= _HEADER + 44:
        return _HEADER + 8, _HEADER + 24, _HEADER + 6, 16
    return None


def _transport(octets: bytes) -> int:
    """Where TCP's header begins."""
    return _HEADER + (40 if octets[12:14] == _IPV6 else (octets[_HEADER] & 0xF) * 4)


@cache
def recorded(path: Path) -> tuple[Recorded, ...]:
    """The packets of a capture of Ethernet."""
    with TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.pcap"
        output("editcap", "-F", "nsecpcap", path, plain)
        octets = plain.read_bytes()
    magic, _, _, _, _, _, link = struct.unpack_from("<IHHiIII", octets)
    assert (magic, link) == (_NANOSECONDS, _ETHERNET), path
    found: list[Recorded] = []
    at = 24
    while at < len(octets):
        seconds, nanoseconds, captured, length = struct.unpack_from("<IIII", octets, at)
        at += 16
        found.append(Recorded(len(found) + 1, seconds * 10**9 + nanoseconds, octets[at : at + captured], length))
        at += captured
    return tuple(found)


def write(packets: Iterable[Recorded], path: Path, link: int = _ETHERNET) -> Path:
    """The packets as a pcap file, in this order."""
    octets = bytearray(struct.pack("<IHHiIII", _NANOSECONDS, 2, 4, 0, 0, 262144, link))
    for packet in packets:
        seconds, nanoseconds = divmod(packet.time, 10**9)
        octets += struct.pack("<IIII", seconds, nanoseconds, len(packet.octets), packet.length) + packet.octets
    path.write_bytes(octets)
    return path


def worlds(variants: Sequence[Sequence[Recorded]]) -> tuple[list[Recorded], list[tuple[int, int]]]:
    """Many variants one after another; for each packet also the number of its variant and its own original number."""
    packets: list[Recorded] = []
    origins: list[tuple[int, int]] = []
    names: dict[bytes, int] = {}
    for world, variant in enumerate(variants):
        for packet in variant:
            spans = _addresses(packet.octets)
            if spans is None:
                continue
            octets = bytearray(packet.octets)
            size = spans[3]
            for at in spans[:2]:
                own = names.setdefault(bytes(octets[at : at + size]), len(names) + 1)
                head = b"\x0a" if size == 4 else b"\xfd" + bytes(12)
                octets[at : at + size] = head + world.to_bytes(2, "big") + own.to_bytes(1, "big")
            packets.append(replace(packet, octets=bytes(octets), time=packet.time + world * 10**12))
            origins.append((world, packet.number))
    return packets, origins


def relinked(packets: Sequence[Recorded], link: str) -> list[Recorded]:
    """The same packets as another link layer would have recorded them. IP packets only."""
    found = []
    for packet in packets:
        kind, body = packet.octets[12:14], packet.octets[_HEADER:]
        family = 2 if kind == _IPV4 else 24  # AF_INET, and AF_INET6 of NetBSD and OpenBSD
        head = {
            "cooked": struct.pack(">HHH8s", 0, 1, 6, packet.octets[6:12] + bytes(2)) + kind,
            "cooked2": kind + struct.pack(">HIHBB8s", 0, 1, 1, 0, 6, packet.octets[6:12] + bytes(2)),
            "raw": b"",
            "null": struct.pack("<I", family),
            "loop": struct.pack(">I", family),
        }[link]
        found.append(replace(packet, octets=head + body, length=packet.length - _HEADER + len(head)))
    return found


def beyond_a_router(packets: Sequence[Recorded], server: bytes, delay: int, skew: int = 0) -> list[Recorded]:
    """The same packets as a place between the clients and a router would have recorded them.

    `server`: the address of the end that the original place is near. Its packets pass the other place later, by `delay`
    nanoseconds, with a TTL less by one; the clients' packets earlier, with a greater one. `skew`: of the other clock.
    """
    found = []
    for packet in packets:
        spans = _addresses(packet.octets)
        if spans is None:
            continue
        octets = bytearray(packet.octets)
        step = -1 if octets[spans[0] : spans[0] + spans[3]] == server else 1
        ttl = _HEADER + (8 if spans[3] == 4 else 7)
        octets[ttl] += step
        if spans[3] == 4:
            checksum = int.from_bytes(octets[_HEADER + 10 : _HEADER + 12]) - step * 256
            octets[_HEADER + 10 : _HEADER + 12] = (checksum % 0xFFFF).to_bytes(2)
        octets[:12] = bytes.fromhex("02000a520101 02000a520102")
        found.append(replace(packet, octets=bytes(octets), time=packet.time - step * delay + skew))
    return sorted(found, key=lambda packet: packet.time)
