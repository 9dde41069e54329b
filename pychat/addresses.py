"""IP addresses as text: how people write them, and which count as one. No socket."""

from __future__ import annotations

import ipaddress


def plain(host: str) -> str:
    """An address as people write it: an IPv4 address that a socket for both families shows as ::ffff:192.0.2.1."""
    address, zone = _parse(host)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped) if mapped is not None else f"{address}{zone}"


def group(host: str) -> str:
    """What counts as one address: of an IPv6 address the first 64 bits, which are one network (RFC 4291, 2.5.1).

    Whoever has one address of such a network can have every other one too.
    """
    if ":" not in host:
        return host
    address, zone = _parse(plain(host))
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return f"{ipaddress.IPv6Network((int(address) >> 64 << 64, 64))}{zone}"


def is_loopback(host: str) -> bool:
    """Whether a peer's address is this machine's own."""
    return _parse(plain(host))[0].is_loopback


def _parse(host: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, str]:
    """An address without its zone, and the zone with its `%`: two links may have the same local addresses."""
    address, percent, zone = host.partition("%")
    return ipaddress.ip_address(address), percent + zone
