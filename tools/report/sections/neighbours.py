"""Address resolution: each packet of ARP or Neighbour Discovery, and what it is for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from tools.report.analysis.neighbours import EVERYBODY, NOBODY, Purpose, neighbours, purpose, resolutions
from tools.report.analysis.routing import Decision
from tools.report.document import Block, Column, Paragraph, Section, Table, first_of, listed, quoted, seconds
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.packets import ASKS, TELLS, Packet

_SHOWN = 200
_LISTED = 6  # frames of one purpose in a sentence
_SOLICITED = "ff02::1:ff00:0/104"  # the solicited-node groups of all addresses (RFC 4291, section 2.7.1)

# What a packet is for: in ARP, and in Neighbour Discovery.
_PURPOSES: dict[Purpose, tuple[str, str]] = {
    "resolution": ("resolution", "resolution"),
    "verification": ("verification of a known address", "unreachability detection"),
    "duplicate": ("probe for a duplicate (RFC 5227)", "duplicate address detection"),
    "announcement": ("announcement (RFC 5227)", "not solicited"),
    "answer": ("answer", "answer"),
}


def sections(findings: Findings, decided: Sequence[Decision]) -> list[Section]:
    """Who asks for whose hardware address, why, and for which packet; a section for ARP and one for its successor."""
    made = []
    for arp in (True, False):
        found = resolutions(findings.capture.packets, arp=arp)
        if found:
            blocks: list[Block] = [_explained(arp=arp), _table(findings, found, decided, arp=arp)]
            blocks[1:1] = [] if arp else _kinds(findings, found)
            made.append(Section(f"Address resolution ({'ARP' if arp else 'Neighbour Discovery'})", blocks, 2))
    return made


def resolving(findings: Findings, *, arp: bool) -> Evidence:
    """The packets of ARP, or of Neighbour Discovery."""
    found = resolutions(findings.capture.packets, arp=arp)
    return Evidence.showing("arp" if arp else "icmpv6.type in {135, 136}", found)


def _explained(*, arp: bool) -> Paragraph:
    if arp:
        how = (
            "ARP (RFC 826) resolves it: a broadcast request, and a reply to the host that asked. The request carries "
            "both addresses of its sender, so the host that answers need not ask in its turn. A request to a single "
            "host verifies an address that the sender knows already."
        )
    else:
        how = (
            "Neighbour Discovery (RFC 4861), IPv6's replacement for ARP, resolves it: a solicitation to the address's "
            "solicited-node group, and an advertisement to the host that asked. That group is ff02::1:ffXX:XXXX, with "
            "the last 24 bits of the address, and its Ethernet address is 33:33:ff:XX:XX:XX: few hosts but the owner "
            "receive the question, while each host receives a broadcast."
        )
    return Paragraph(
        "An Ethernet frame needs the hardware (MAC) address of the next hop, which may be unknown. "
        f"{how} Only neighbours on the same link are resolved: the destination itself if it is on-link, else the "
        "router."
    )


def _kinds(findings: Findings, found: Sequence[Packet]) -> list[Block]:
    """What else Neighbour Discovery is used for, and who is a router, where it occurs."""
    made: list[Block] = []
    own = [packet for packet in found if purpose(packet) == "duplicate"]
    if own:
        made.append(
            Paragraph(
                f"Duplicate address detection (RFC 4862): in {_frames(own)} the source is the unspecified address ::. "
                f"Before a host uses an address, it asks whether another host has it already. {_claims(own, found)}",
                Evidence.showing("icmpv6.type == 135 && ipv6.src == ::", own),
            )
        )
    own = [packet for packet in found if purpose(packet) == "verification"]
    if own:
        made.append(
            Paragraph(
                f"Neighbour unreachability detection (RFC 4861, section 7.3): {_frames(own)} {_goes(own)} to one host, "
                "whose hardware address the sender has. It verifies that this neighbour still answers; no packet waits "
                f"for it.{_since(findings, own[0])}",
                Evidence.showing(
                    f"icmpv6.type == 135 && !(ipv6.dst == {_SOLICITED}) && !(ipv6.src == ::)",
                    own,
                ),
            )
        )
    own = [packet for packet in found if packet.router]
    if own:
        hosts = list(dict.fromkeys(packet.about for packet in own))
        made.append(
            Paragraph(
                f"The R flag ({quoted('icmpv6.nd.na.flag.r')}) is set in {_frames(own)}: {listed(hosts)} "
                f"{'is an address' if len(hosts) == 1 else 'are addresses'} of a router.",
                Evidence.showing("icmpv6.nd.na.flag.r == 1", own),
            )
        )
    return made


def _goes(own: Sequence[Packet]) -> str:
    return "goes" if len(own) == 1 else "go"


def _frames(own: Sequence[Packet]) -> str:
    """`frame 5`, `frames 1, 2 and 7 more`."""
    shown = [str(packet.number) for packet in own[:_LISTED]]
    shown += [f"{len(own) - _LISTED} more"] if len(own) > _LISTED else []
    return f"frame{'s' if len(own) > 1 else ''} {listed(shown)}"


def _claims(own: Sequence[Packet], found: Sequence[Packet]) -> str:
    """Whether a host has said that it has an address which another one wants to use."""
    for packet in found:
        if packet.neighbour in TELLS and any(
            one.about == packet.about and one.eth_src != packet.eth_src for one in own
        ):
            return f"In frame {packet.number} another host says that it has {packet.about}."
    return "In this capture no other host says that it has such an address."


def _since(findings: Findings, packet: Packet) -> str:
    """How long after the sender's last packet to that neighbour it comes; RFC 4861 has a delay of 5 s before it."""
    before = [
        one
        for one in findings.capture.packets
        if one.number < packet.number and one.eth_src == packet.eth_src and one.dst == packet.about
    ]
    if not before:
        return ""
    took = seconds(packet.time - before[-1].time)
    return (
        f" Frame {packet.number} comes {took} after its sender's last packet to {packet.about}, frame "
        f"{before[-1].number}; the RFC has a host wait for 5 s (DELAY_FIRST_PROBE_TIME)."
    )


def _table(findings: Findings, found: Sequence[Packet], decided: Sequence[Decision], *, arp: bool) -> Table:
    shown = found[:_SHOWN]
    following = _following(findings, shown, decided)
    rows = [
        (
            str(packet.number),
            _message(packet, arp=arp),
            _PURPOSES[purpose(packet)][not arp],
            packet.src if packet.src not in NOBODY else "no address yet",
            _receiver(packet, arp=arp),
            f"frame {following[packet.number]}" if packet.number in following else "–",
        )
        for packet in shown
    ]
    what = "ARP requests and replies" if arp else "Neighbour solicitations and advertisements"
    return Table(
        f"{what}{first_of(shown, found)}. Next packet: after a resolution, the sender's next packet of the chat to "
        "that neighbour",
        (
            Column("Frame", "right"),
            Column("Message", share=1.6),
            Column("Purpose", share=1),
            Column("Sender", share=1.1),
            Column("Sent to", share=1),
            Column("Next packet"),
        ),
        rows,
        resolving(findings, arp=arp),
        small=True,
    )


def _message(packet: Packet, *, arp: bool) -> str:
    if packet.neighbour in ASKS:
        return f"who has {packet.about}?"
    owner = packet.src if arp else packet.about
    if packet.hardware:
        return f"{owner} is at {packet.hardware}"
    return f"{owner} is here, at the sender's hardware address"


def _receiver(packet: Packet, *, arp: bool) -> str:
    """The group of an IPv6 packet, and else the Ethernet address."""
    if not arp and packet.dst.startswith("ff"):
        return f"group {packet.dst}"
    return "all hosts (broadcast)" if packet.eth_dst == EVERYBODY else packet.eth_dst or "–"


def _following(findings: Findings, found: Sequence[Packet], decided: Sequence[Decision]) -> dict[int, int]:
    """For each resolution, the next frame of the chat that the host which asks sends to the neighbour in question.

    That is one to the address itself, or one for which this address is the next hop.
    """
    owners: dict[str, set[str]] = {}
    for one in neighbours(findings.capture.packets):
        owners.setdefault(one.address, set()).add(one.hardware)
    through = {(one.host, one.hardware): one.next_hop.address for one in decided if one.next_hop is not None}
    sent: dict[tuple[str, str], list[int]] = {}
    for packet in findings.packets:
        hops = {packet.dst, through.get((packet.src, packet.eth_dst), "")}
        for address in hops:
            if packet.eth_dst in owners.get(address, ()):
                sent.setdefault((packet.eth_src, address), []).append(packet.number)
    following = {}
    for asked in found:
        if purpose(asked) == "resolution":
            frames = sent.get((asked.eth_src, asked.about), [])
            at = bisect_right(frames, asked.number)
            if at < len(frames):
                following[asked.number] = frames[at]
    return following
