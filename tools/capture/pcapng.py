"""Comments, names, cuts and counts of lost packets in a pcapng file. Knows blocks, and nothing of what a packet holds.

The blocks are those of draft-ietf-opsawg-pcapng; a block is type (32 bits), length (32), body, length (32).
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

SECTION, INTERFACE, NAMES, STATISTICS, PACKET = 0x0A0D0D0A, 1, 4, 5, 6
_LITTLE = 0x1A2B3C4D
# Options that count packets which are not in the file: two of an interface's statistics, and one of a packet.
_DROPPED_BY_INTERFACE, _DROPPED_BY_SYSTEM, _DROPPED_BEFORE = 5, 7, 4
_COMMENT, _HARDWARE, _SYSTEM = 1, 2, 3
_IPV4_NAME, _IPV6_NAME = 1, 2


class PcapngError(Exception):
    """The octets are no pcapng file that dumpcap would write here."""


def rewrite(source: Path, target: Path, comments: Mapping[int, str], names: Mapping[str, str], *, until: bytes) -> int:
    """Copies `source` up to the first packet that holds `until`, with comments by frame number and names by address.

    Returns the number of packets. What the file says of the machine's hardware and system is left out.
    Raises PcapngError.
    """
    written = bytearray()
    number = 0
    named = False
    for kind, body in _blocks(source.read_bytes()):
        if kind == PACKET:
            if not named:
                written += _block(NAMES, _names(names))
                named = True
            if until in body:
                break
            number += 1
            if number in comments:
                body = _commented(body, comments[number])
        elif kind == SECTION:
            body = body[:16] + _without(body[16:], {_HARDWARE, _SYSTEM})
        elif kind != INTERFACE:
            continue  # statistics count the marker too
        written += _block(kind, body)
    target.write_bytes(written)
    return number


def dropped(path: Path) -> int | None:
    """How many packets the recorder has lost, by its own count; None where the file has no count (a pcap never has)."""
    octets = path.read_bytes()
    if len(octets) < 28 or struct.unpack_from("<I", octets)[0] != SECTION:
        return None
    found: dict[tuple[int, int], int] = {}  # by interface and option
    order, at = "<", 0
    while at + 12 <= len(octets):
        (kind,) = struct.unpack_from(f"{order}I", octets, at)
        if kind == SECTION:
            order = "<" if struct.unpack_from("<I", octets, at + 8)[0] == _LITTLE else ">"
        (length,) = struct.unpack_from(f"{order}I", octets, at + 4)
        if length < 12 or at + length > len(octets):
            break
        body = octets[at + 8 : at + length - 4]
        if kind == STATISTICS and len(body) >= 12:
            (interface,) = struct.unpack_from(f"{order}I", body)
            for code, value in _counts(body[12:], order):
                if code in (_DROPPED_BY_INTERFACE, _DROPPED_BY_SYSTEM):
                    found[interface, code] = value
        elif kind == PACKET and len(body) >= 20:
            interface, _, _, captured = struct.unpack_from(f"{order}4I", body)
            for code, value in _counts(body[20 + captured + (-captured % 4) :], order):
                if code == _DROPPED_BEFORE:
                    found[interface, 0] = found.get((interface, 0), 0) + value
        at += length
    return sum(found.values()) if found else None


def _counts(options: bytes, order: str) -> Iterator[tuple[int, int]]:
    """The options that hold a number of 64 bits."""
    at = 0
    while at + 4 <= len(options):
        code, length = struct.unpack_from(f"{order}HH", options, at)
        if code == 0:
            return
        if length == 8 and at + 12 <= len(options):
            yield code, struct.unpack_from(f"{order}Q", options, at + 4)[0]
        at += 4 + length + (-length % 4)


def _blocks(octets: bytes) -> Iterator[tuple[int, bytes]]:
    if len(octets) < 28 or struct.unpack_from("<I", octets, 8)[0] != _LITTLE:
        raise PcapngError("not a little-endian pcapng file")
    at = 0
    while at + 12 <= len(octets):
        kind, length = struct.unpack_from("<II", octets, at)
        if length < 12 or at + length > len(octets):
            return  # dumpcap was still writing
        yield kind, octets[at + 8 : at + length - 4]
        at += length


def _block(kind: int, body: bytes) -> bytes:
    length = len(body) + 12
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def _commented(packet: bytes, comment: str) -> bytes:
    """An enhanced packet block's body with a comment as its first option, right behind the padded data."""
    captured: int = struct.unpack_from("<I", packet, 12)[0]
    end = 20 + captured + (-captured % 4)
    return packet[:end] + _option(_COMMENT, comment.encode()) + (packet[end:] or _option(0, b""))


def _without(options: bytes, codes: set[int]) -> bytes:
    kept = bytearray()
    at = 0
    while at + 4 <= len(options):
        code, length = struct.unpack_from("<HH", options, at)
        end = at + 4 + length + (-length % 4)
        if code not in codes:
            kept += options[at:end]
        at = end
    return bytes(kept)


def _names(names: Mapping[str, str]) -> bytes:
    """The body of a name resolution block."""
    records = bytearray()
    for address, name in names.items():
        packed = ipaddress.ip_address(address).packed
        kind = _IPV4_NAME if len(packed) == 4 else _IPV6_NAME
        records += _option(kind, packed + name.encode() + b"\0")
    return bytes(records) + _option(0, b"")
