"""The hosts on one link and their hardware addresses, by ARP and Neighbour Discovery. Knows no TCP and no route.

Both are protocols of questions and answers about an address. What a question is for follows from its source and from
where it is sent: RFC 826 and RFC 5227 for ARP, RFC 4861 and RFC 4862 for Neighbour Discovery.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from tools.report.packets import ASKS, TELLS, Packet

EVERYBODY = "ff:ff:ff:ff:ff:ff"
NOBODY = ("", "0.0.0.0", "::")  # noqa: S104  the sources of a host that has no address yet

Purpose = Literal["resolution", "verification", "duplicate", "announcement", "answer"]


@dataclass(slots=True)
class Neighbour:
    """An address that a neighbour has told to be its own: the frame that says so, and its hardware address.

    `asking`: it has told it in a question of its own.
    """

    address: str
    hardware: str
    frame: int
    asking: bool = False


def is_arp(packet: Packet) -> bool:
    """Whether it is a packet of ARP, also in a tunnel or behind a VLAN tag."""
    return "arp" in packet.protocols.split(":")


def resolutions(packets: Iterable[Packet], *, arp: bool) -> list[Packet]:
    """The packets of ARP, or those of Neighbour Discovery."""
    return [packet for packet in packets if packet.neighbour in ASKS | TELLS and is_arp(packet) == arp]


def purpose(packet: Packet) -> Purpose:
    """What a packet of ARP or Neighbour Discovery is for.

    `resolution`: it asks all hosts, or the group in which the owner of the address is. `verification`: it asks one host
    of which the sender knows the hardware address already. `duplicate`: it asks, without an address of its own, whether
    anybody has the one that it wants to use. `announcement`: it tells its own address and was not asked.
    """
    arp = is_arp(packet)
    if packet.neighbour in TELLS:
        told = packet.about == packet.src if arp else not packet.solicited
        return "announcement" if told else "answer"
    if packet.src in NOBODY:
        return "duplicate"
    if arp and packet.src == packet.about:
        return "announcement"
    if arp:
        return "verification" if packet.eth_dst not in ("", EVERYBODY) else "resolution"
    return "resolution" if packet.dst.startswith("ff") else "verification"


def neighbours(packets: Iterable[Packet]) -> list[Neighbour]:
    """Who has which hardware address, by what the hosts have said themselves, in the order of the capture."""
    found: dict[tuple[str, str], Neighbour] = {}
    for packet in packets:
        address, asks = "", packet.neighbour in ASKS
        if asks or packet.neighbour in TELLS:
            address = packet.src if is_arp(packet) or asks else packet.about
        if packet.hardware and address not in NOBODY:
            found.setdefault((address, packet.hardware), Neighbour(address, packet.hardware, packet.number, asks))
    return list(found.values())


def asked(packets: Iterable[Packet], hardware: Sequence[str]) -> dict[str, int]:
    """The addresses for which the host with these hardware addresses has asked its link, each with the first frame."""
    found: dict[str, int] = {}
    for packet in packets:
        if packet.neighbour in ASKS and packet.about and packet.eth_src in hardware and purpose(packet) != "duplicate":
            found.setdefault(packet.about, packet.number)
    return found
