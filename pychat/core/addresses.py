"""Addresses as text: how they are written, parsed and grouped. Opens no socket."""

from __future__ import annotations

import ipaddress
import re


def plain(host: str) -> str:
    """An address in its usual form: a socket for both families shows an IPv4 address as ::ffff:192.0.2.1."""
    address, zone = _parse(host)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped) if mapped is not None else f"{address}{zone}"


def group(host: str) -> str:
    """What counts as one address: of an IPv6 address the first 64 bits, which are one network (RFC 4291, 2.5.1).

    A host with one address of such a network can use all of them.
    """
    if ":" not in host:
        return host
    address, zone = _parse(plain(host))
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return f"{ipaddress.IPv6Network((int(address) >> 64 << 64, 64))}{zone}"


def is_loopback(host: str) -> bool:
    """Whether an address is a loopback address of this machine."""
    return _parse(plain(host))[0].is_loopback


def endpoint(host: str, port: int) -> str:
    """An address and a port in one text: an IPv6 address stands in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_host(text: str) -> str:
    """A host's name or address; an IPv6 address may stand in brackets, and have a zone (RFC 4007, 11).

    Raises:
        ValueError: it cannot be one.
    """
    bracketed = len(text) > 2 and text.startswith("[") and text.endswith("]")
    host = text[1:-1] if bracketed else text
    if bracketed or ":" in host:
        address, percent, zone = host.partition("%")
        try:
            ipaddress.IPv6Address(address)
        except ValueError:
            kind = "IPv6 address" if bracketed else "address of a host; IPv6 with a port is written so: [::1]:8255"
            raise ValueError(f"{text!r:.60} is no {kind}") from None
        if percent and not re.fullmatch(r"[A-Za-z0-9_.-]+", zone):
            raise ValueError(f"{text!r:.60} has no zone after the %")
        return host
    try:
        encoded = host.encode("idna").decode()
    except UnicodeError:  # an empty label, one that is too long, a character that no name has
        encoded = ""
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,254}", encoded):
        raise ValueError(f"{text!r:.60} is no name or address of a host")
    return host


def parse_endpoint(text: str, default_port: int) -> tuple[str, int]:
    """HOST, HOST:PORT, [IPv6], [IPv6]:PORT or a bare IPv6 address; without a host, 127.0.0.1.

    Raises:
        ValueError: it is none of them.
    """
    host, colon, port = text, "", ""
    if text.startswith("["):
        host, bracket, rest = text.partition("]")
        host += bracket
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r:.60}: IPv6 with a port is written so: [::1]:{default_port}")
        colon, port = rest[:1], rest[1:]
    elif text.count(":") == 1:
        host, colon, port = text.partition(":")
    if colon and not (re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) <= 65535):
        raise ValueError(f"{port!r:.60} is no port: a port is a number from 1 to 65535")
    return parse_host(host or ("127.0.0.1" if colon else "")), int(port) if colon else default_port


def _parse(host: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, str]:
    """An address without its zone, and the zone with its `%`: two links may have the same local addresses."""
    address, percent, zone = host.partition("%")
    return ipaddress.ip_address(address), percent + zone
