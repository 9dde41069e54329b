"""Routing, as far as a capture on one link shows it: to which neighbour each host hands its packets. Knows no TCP.

Seen are Ethernet addresses, and what ARP or Neighbour Discovery say of them. Inferred are the next hop and the bounds
of the on-link prefix: no packet carries a prefix or a route.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from tools.report.packets import ASKS, TELLS, Packet

from .network import Sender


@dataclass(slots=True)
class Neighbour:
    """An address that a neighbour has told to be its own: the frame that says so, and its hardware address."""

    address: str
    hardware: str
    frame: int


@dataclass(slots=True)
class Decision:
    """Where a host on this link sends its packets for some addresses.

    `next_hop` is None where no ARP or Neighbour Discovery of this capture names the owner of `hardware`. `on_link`:
    the packets go to the destination itself (True) or to a router (False); None where the capture does not show it.
    `back`: the hardware addresses from which the packets of these destinations arrive. `near`: addresses on the
    host's link. `prefix`: the least and the greatest length that the host's on-link prefix can have, None where
    nothing bounds it.
    """

    host: str
    hardware: str
    destinations: list[str]
    next_hop: Neighbour | None
    on_link: bool | None
    back: list[str]
    near: list[str]
    prefix: tuple[int, int] | None
    packets: list[Packet]


def neighbours(packets: Iterable[Packet]) -> list[Neighbour]:
    """Who has which hardware address, by what the hosts have said themselves, in the order of the capture."""
    found: dict[tuple[str, str], Neighbour] = {}
    for packet in packets:
        address = ""
        if packet.neighbour in ASKS | TELLS:
            arp = "arp" in packet.protocols.split(":")
            address = packet.src if arp or packet.neighbour in ASKS else packet.about
        if packet.hardware and address not in ("", "0.0.0.0", "::"):  # noqa: S104  a host that has no address yet
            found.setdefault((address, packet.hardware), Neighbour(address, packet.hardware, packet.number))
    return list(found.values())


def resolved(packets: Iterable[Packet], hardware: Sequence[str]) -> list[str]:
    """The addresses for which the host with these hardware addresses has asked its link."""
    asked = [
        packet.about for packet in packets if packet.neighbour in ASKS and packet.about and packet.eth_src in hardware
    ]
    return list(dict.fromkeys(asked))


def decisions(senders: Sequence[Sender], packets: Sequence[Packet], everything: Sequence[Packet]) -> list[Decision]:
    """The decisions of the hosts that are on this link themselves: their TTL is the initial one.

    `packets` are those of the chat, `everything` also has ARP and Neighbour Discovery. Empty without Ethernet, and on
    the loopback interface, where a host talks to itself.
    """
    known: dict[str, list[Neighbour]] = {}
    for one in neighbours(everything):
        known.setdefault(one.hardware, []).append(one)
    by_address = {sender.address: sender for sender in senders}
    groups: dict[tuple[str, str], list[Packet]] = {}
    for packet in packets:
        sender = by_address[packet.src]
        if sender.hops == 0 and packet.eth_dst and packet.eth_dst != packet.eth_src:
            groups.setdefault((packet.src, packet.eth_dst), []).append(packet)
    return [_decision(host, hardware, sent, by_address, known, everything) for (host, hardware), sent in groups.items()]


def _decision(
    host: str,
    hardware: str,
    sent: list[Packet],
    senders: dict[str, Sender],
    known: dict[str, list[Neighbour]],
    everything: Sequence[Packet],
) -> Decision:
    destinations = list(dict.fromkeys(packet.dst for packet in sent))
    others = [senders[address] for address in destinations if address in senders]
    asked = resolved(everything, senders[host].hardware)
    told = sorted(known.get(hardware, ()), key=lambda one: one.address not in asked)  # one that it has asked for first
    next_hop = next(iter(told), None)
    on_link: bool | None = None
    if next_hop is not None and next_hop.address in destinations:
        on_link = True
    elif len(destinations) > 1 or any(other.hops for other in others):
        on_link = False  # one hardware address for several hosts, or one that a router has put there
    elif others and others[0].hardware == [hardware]:
        on_link = True
    near = [address for address in asked if _comparable(address, host)]
    if next_hop is not None and _comparable(next_hop.address, host):
        near.append(next_hop.address)
    return Decision(
        host=host,
        hardware=hardware,
        destinations=destinations,
        next_hop=next_hop,
        on_link=on_link,
        back=sorted({address for other in others for address in other.hardware}),
        near=list(dict.fromkeys(near)),
        prefix=_bounds(host, near, destinations) if on_link is False else None,
        packets=sent,
    )


def _comparable(address: str, host: str) -> bool:
    """Whether both are of one family, and no link-local address, whose prefix is the same on every link."""
    one, other = ip_address(address), ip_address(host)
    return one.version == other.version and one.is_link_local == other.is_link_local


def _bounds(host: str, near: Sequence[str], far: Sequence[str]) -> tuple[int, int] | None:
    """The lengths of a prefix of `host` that holds all of `near` and none of `far`."""
    if not near or not far:
        return None
    least = max(_common(host, address) for address in far) + 1
    greatest = min(_common(host, address) for address in near)
    return (least, greatest) if least <= greatest else None


def _common(one: str, other: str) -> int:
    """How many leading bits two addresses have in common."""
    first, second = ip_address(one), ip_address(other)
    return first.max_prefixlen - (int(first) ^ int(second)).bit_length()
