"""Routing, as far as a capture on one link shows it: to which neighbour each host hands its packets. Knows no TCP.

Seen are Ethernet addresses, and what ARP or Neighbour Discovery say of them. Inferred are the next hop and the bounds
of the on-link prefix: no packet carries a prefix or a route.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from tools.report.packets import Packet

from .neighbours import Neighbour, asked, neighbours
from .network import Sender


@dataclass(slots=True)
class Decision:
    """Where a host on this link sends its packets for some addresses.

    `next_hop` is None where no ARP or Neighbour Discovery of this capture names the owner of `hardware`. `asked`: the
    frame in which the host has asked for it before its first packet; None where it has not. `on_link`: the packets go
    to the destination itself (True) or to a router (False); None where the capture does not show it. `says_router`:
    the frames in which the next hop says that it is a router. `back`: the hardware addresses from which the packets of
    these destinations arrive. `near`: addresses on the host's link. `prefix`: the least and the greatest length that
    the host's on-link prefix can have if no more specific route exists, None where nothing bounds it.
    """

    host: str
    hardware: str
    destinations: list[str]
    next_hop: Neighbour | None
    asked: int | None
    on_link: bool | None
    says_router: list[int]
    back: list[str]
    near: list[str]
    prefix: tuple[int, int] | None
    packets: list[Packet]


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
    asks = asked(everything, senders[host].hardware)
    before = {address: frame for address, frame in asks.items() if frame < sent[0].number}
    # Several addresses may be of this neighbour: that which the host resolved for its first packet is the next hop's.
    told = sorted(known.get(hardware, ()), key=lambda one: (one.address not in before, one.address not in asks))
    next_hop = next(iter(told), None)
    on_link: bool | None = None
    if next_hop is not None and next_hop.address in destinations:
        on_link = True
    elif any(other.hops for other in others):
        on_link = False  # a router has decremented what comes back
    elif others and all(other.hardware == [hardware] for other in others):
        on_link = True
    elif next_hop is not None and next_hop.address in before:
        on_link = False  # it has asked for another host than the destination
    near = [address for address in asks if _comparable(address, host)]
    if next_hop is not None and _comparable(next_hop.address, host):
        near.append(next_hop.address)
    return Decision(
        host=host,
        hardware=hardware,
        destinations=destinations,
        next_hop=next_hop,
        asked=None if next_hop is None else before.get(next_hop.address),
        on_link=on_link,
        says_router=[packet.number for packet in everything if packet.router and packet.eth_src == hardware],
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
