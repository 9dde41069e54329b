"""Captures that were never sent: TCP connections written segment by segment into a file. Knows nothing above TCP."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Side = Literal["client", "server"]

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
_ETHERNET = bytes(12) + b"\x08\x00"
_STEP = 1000  # microseconds between packets


@dataclass
class Flow:
    """One TCP connection. Sequence numbers go on as the sides send; nothing is checked."""

    capture: Capture
    client_port: int
    server_port: int
    server_address: bytes
    next: dict[Side, int] = field(default_factory=lambda: {"client": 1000, "server": 0xFFFFFF00})  # wraps soon

    def open(self) -> Flow:
        """The three segments with which TCP begins."""
        self._segment("client", SYN)
        self._segment("server", SYN | ACK)
        self._segment("client", ACK)
        return self

    def send(self, side: Side, *segments: bytes) -> None:
        """Sends each in a segment of its own."""
        for octets in segments:
            self._segment(side, PSH | ACK, octets)

    def client(self, *lines: str) -> None:
        """Sends each line in a segment of its own, ended by LF."""
        self.send("client", *(line.encode() + b"\n" for line in lines))

    def server(self, *lines: str) -> None:
        self.send("server", *(line.encode() + b"\n" for line in lines))

    def again(self, side: Side, octets: bytes, back: int) -> None:
        """Sends octets `back` octets before what is due: a retransmission, or what was skipped."""
        due = self.next[side]
        self.next[side] = due - back
        self._segment(side, PSH | ACK, octets)
        self.next[side] = due

    def skip(self, side: Side, octets: int) -> None:
        """Octets that the capture does not have."""
        self.next[side] += octets

    def finish(self, side: Side, octets: bytes = b"") -> None:
        self._segment(side, FIN | ACK, octets)

    def _segment(self, side: Side, flags: int, octets: bytes = b"") -> None:
        other: Side = "server" if side == "client" else "client"
        ends = [(b"\x0a\x52\x01\x02", self.client_port), (self.server_address, self.server_port)]
        (source, source_port), (target, target_port) = ends if side == "client" else ends[::-1]
        acknowledged = self.next[other] if flags & ACK else 0
        begin = struct.pack(">HHII", source_port, target_port, self.next[side] % 2**32, acknowledged % 2**32)
        tcp = begin + struct.pack(">BBHHH", 5 << 4, flags, 65535, 0, 0)  # 20 octets, a window, no checksum
        length = 20 + len(tcp) + len(octets)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, length, 0, 0, 64, 6, 0, source, target)
        self.capture.packets.append(_ETHERNET + ip + tcp + octets)
        self.next[side] += len(octets) + bool(flags & SYN) + bool(flags & FIN)


@dataclass
class Capture:
    """Packets in the order in which they were recorded, a millisecond apart."""

    packets: list[bytes] = field(default_factory=list)
    _ports: int = 40000

    def flow(self, server_port: int, *, server: int = 1) -> Flow:
        """A new connection to the server number `server` (an address of its own)."""
        self._ports += 1
        return Flow(self, self._ports, server_port, b"\x0a\x52" + server.to_bytes(2))

    def write(self, path: Path, *, snapped: int = 262144) -> Path:
        """The pcap file, with at most `snapped` octets of each packet."""
        octets = bytearray(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for number, packet in enumerate(self.packets):
            seconds, microseconds = divmod(number * _STEP, 1_000_000)
            kept = packet[:snapped]
            octets += struct.pack("<IIII", 1_700_000_000 + seconds, microseconds, len(kept), len(packet)) + kept
        path.write_bytes(octets)
        return path
