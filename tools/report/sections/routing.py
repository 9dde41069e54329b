"""Routing: the path by the TTL, the next hop and the way back by Ethernet addresses."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from tools.report.analysis.network import Sender
from tools.report.analysis.routing import Decision, decisions
from tools.report.document import Block, Figure, Paragraph, Section, first_of, listed, plural, quoted, shortened
from tools.report.drawing import ACCENT, FAINT, INK, Drawing
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.sections import neighbours

_DRAWN = 6
_SMALL = 10.2  # size of letters; on paper 6.9 points
_TOLD = 8  # decisions that are told one by one


def sections(findings: Findings) -> list[Section]:
    """The path, then each decision on it that the capture shows, then the neighbours' addresses."""
    if _local(findings):
        return [Section("Routing", [_loopback(findings)])]
    made = [Section("Routing", _path(findings))]
    found = decisions(findings.senders, findings.packets, findings.capture.packets)
    made.append(Section("The routing decision and the way back", _decided(findings, found), 2))
    return made + neighbours.sections(findings, found)


def _local(findings: Findings) -> bool:
    """Whether each packet goes from an address to itself."""
    return all(packet.src == packet.dst for packet in findings.packets)


def _loopback(findings: Findings) -> Paragraph:
    return Paragraph(
        "Client and server have the same address. The host's local routing table delivers such packets through the "
        "loopback interface: no router, no link and no address resolution is involved.",
        findings.select("tcp", findings.packets),
    )


def hop_field(version: int) -> tuple[str, str]:
    """The field that each router decrements: its name in IP, and in Wireshark."""
    return ("hop limit", "ipv6.hlim") if version == 6 else ("TTL", "ip.ttl")


def _path(findings: Findings) -> list[Block]:
    servers = {end[0] for end in findings.capture.servers}
    clients = [sender for sender in findings.senders if sender.address not in servers]
    hosts = [sender for sender in findings.senders if sender.address in servers]
    version = findings.senders[0].version
    name, _ = hop_field(version)
    long = "hop limit" if version == 6 else "time to live (TTL)"
    shown = clients[:_DRAWN]
    blocks: list[Block] = [
        Paragraph(
            f"Each router decrements the {long} by one. A sender starts at 64 (Unix), 128 (Windows) or 255, so: "
            f"routers passed = the likely initial value minus the {name} seen at the capture point."
        )
    ]
    if hosts and clients:
        blocks.append(
            Figure(
                f"The path of the packets, inferred from the {name} at the capture point{first_of(shown, clients)}",
                lambda: [_path_drawing(shown, hosts[0], name)],
                "Clients on the left, the routers that their packets have passed, and the server on the right",
                _path_evidence(findings, clients),
            )
        )
    return blocks


def _path_evidence(findings: Findings, clients: list[Sender]) -> Evidence:
    addresses = {sender.address for sender in clients}
    ports = ", ".join(str(port) for port in sorted({end[1] for end in findings.capture.servers}))
    packets = [packet for packet in findings.packets if packet.src in addresses]
    return findings.select(f"tcp.dstport in {{{ports}}}", packets)


def _path_drawing(clients: list[Sender], server: Sender, name: str) -> str:
    sheet = Drawing(700)
    step = 34
    middle = 20 + step * len(clients) / 2
    hops = sorted({sender.hops for sender in clients})
    routed = hops[-1]
    for index, sender in enumerate(clients):
        y = 14 + index * step
        sheet.box(4, y, 250, 26)
        sheet.text(12, y + 17, shortened(sender.address, 26), _SMALL)
        sheet.text(246, y + 17, f"{name} {sender.start}", _SMALL, FAINT, "end")
        sheet.line(254, y + 13, 318 if routed else 500, middle, ACCENT, 1)
    if routed:
        passed = str(routed) if len(hops) == 1 else f"{hops[0]}–{routed}"
        sheet.box(318, middle - 22, 92, 44, "#ffffff", ACCENT)
        sheet.text(364, middle - 3, f"{passed} router{'s' if routed > 1 else ''}", 11, ACCENT, "middle", bold=True)
        sheet.text(364, middle + 12, f"{name} − {passed}", _SMALL, FAINT, "middle")
        sheet.line(410, middle, 500, middle, ACCENT, 1)
        ttls = sorted({ttl for sender in clients for ttl in sender.ttls})
        sheet.text(455, middle - 6, f"{name} {', '.join(map(str, ttls))}", _SMALL, FAINT, "middle")
    sheet.box(500, middle - 28, 196, 56)
    sheet.text(598, middle - 11, shortened(server.address, 30), _SMALL, INK, "middle")
    sheet.text(598, middle + 4, f"server, {name} {server.ttls[-1]}", _SMALL, FAINT, "middle")
    away = "at the capture point" if not server.hops else f"{plural(server.hops, 'router')} away"
    sheet.text(598, middle + 19, away, _SMALL, FAINT, "middle")
    sheet.height = max(sheet.height, middle + 28) + 4
    return sheet.svg()


def _decided(findings: Findings, found: list[Decision]) -> list[Block]:
    blocks: list[Block] = [
        Paragraph(
            "A host compares the destination with the prefixes of its routes, and the longest one that matches wins. "
            "If it is the prefix of its own link (on-link), the next hop is the destination itself; else it is the "
            "router that the route names. The IP packet keeps its addresses; the Ethernet frame is addressed to the "
            "next hop. So the Ethernet destination shows each host's decision."
        )
    ]
    if not found:
        words = "This capture does not show a next hop: it has no Ethernet addresses of two hosts on one link"
        if findings.packets[0].eth_src and not any(packet.eth_dst for packet in findings.packets):
            words = "This capture does not show the next hop: its link layer has only the sender's hardware address"
        return [*blocks, Paragraph(f"{words}, so neither the route nor the way back can be determined.")]
    for one in found[:_TOLD]:
        blocks += _decision(findings, one)
    if len(found) > _TOLD:
        blocks.append(Paragraph(f"The capture shows {plural(len(found) - _TOLD, 'more decision')} of this kind."))
    return blocks


def _decision(findings: Findings, one: Decision) -> list[Block]:
    family = "ipv6" if ":" in one.host else "ip"
    count = len(one.destinations)
    where = one.destinations[0] if count == 1 else f"{count} addresses ({', '.join(one.destinations[:5])}"
    where += "" if count == 1 else " …)" if count > 5 else ")"
    words = f"{one.host} sends {plural(len(one.packets), 'packet')} for {where} to the Ethernet address "
    words += f"{quoted(one.hardware)}. "
    if one.on_link:
        words += "That is the destination's own: it is on the same link (an on-link route matches)."
    elif one.on_link is False and one.next_hop is None:
        words += (
            "It is a router's, since the packets that come back have passed a router. No frame of this capture names "
            "the router's IP address."
        )
    elif one.on_link is None:
        words += "Whether that is the destination's or a router's cannot be determined."
    blocks: list[Block] = [
        Paragraph(
            words.strip(), findings.select(f"{family}.src == {one.host} && eth.dst == {one.hardware}", one.packets)
        )
    ]
    if one.on_link is False and one.next_hop is not None:
        blocks.append(_next_hop(findings, one))
    if one.prefix is not None:
        blocks.append(_prefix(findings, one, one.prefix))
    blocks.append(_way_back(findings, one, family))
    return blocks


def _next_hop(findings: Findings, one: Decision) -> Paragraph:
    """Whose address the Ethernet frames have, how the host has learned it, and why it is a router's."""
    assert one.next_hop is not None
    hop, frames = one.next_hop, [one.next_hop.frame]
    words = f"Frame {hop.frame} shows that {quoted(one.hardware)} is the address of {hop.address}: the next hop"
    if one.asked is not None:
        frames.append(one.asked)
        words = f"{one.host} has asked for {hop.address} in frame {one.asked}. {words}"
    words += " is a router, not the destination (inferred)"
    if one.says_router:
        frames += one.says_router
        told = listed([str(frame) for frame in one.says_router[:3]])
        words += f". The R flag in its advertisements says so too (frame{'s' * (len(one.says_router) > 1)} {told})"
    elif any(sender.hops for sender in findings.senders if sender.address in one.destinations):
        name, _ = hop_field(4 if "." in one.host else 6)
        words += f", since the {name} of the packets from those destinations has been decremented"
    if one.asked is None and hop.asking:
        law = "RFC 4861, section 7.2.3" if ":" in one.host else "RFC 826"
        words += (
            f". {one.host} has not asked for it: it has learned the address from the request in frame {hop.frame}, "
            f"which carries both addresses of its sender ({law}; inferred)"
        )
    return Paragraph(f"{words}.", Evidence.frames_alone(frames))


def _prefix(findings: Findings, one: Decision, bounds: tuple[int, int]) -> Paragraph:
    """What follows for the on-link prefix, and what does not."""
    least, greatest = bounds
    widest, narrowest, wider = (
        ip_network(f"{one.host}/{length}", strict=False) for length in (least, greatest, least - 1)
    )
    inside = next(address for address in one.destinations if ip_address(address) in wider)
    arp = ":" not in one.host
    near = listed(one.near)
    return Paragraph(
        f"No packet carries a route, so the prefix of the link can only be inferred. "
        f"{'ARP' if arp else 'Neighbour Discovery'} shows {near} on the link of {one.host}: an on-link prefix with "
        f"{near} is {narrowest} or shorter. The destinations are reached through the router: an on-link prefix without "
        f"them is {widest} or longer. The second bound holds only if no more specific route exists: the on-link prefix "
        f"{wider} and a route to {inside} through the router would give the same packets. Which route matched, such as "
        f"the default route {'0.0.0.0/0' if arp else '::/0'}, cannot be determined.",
        neighbours.resolving(findings, arp=arp),
    )


def _way_back(findings: Findings, one: Decision, family: str) -> Paragraph:
    back = [
        packet
        for packet in findings.packets
        if packet.dst == one.host and packet.src in one.destinations and packet.eth_src
    ]
    words = "The way back: this capture holds no packet in the other direction."
    if one.back == [one.hardware]:
        words = "The way back: the packets in the other direction come from the same Ethernet address"
        if one.on_link is False:
            words += ", so they pass the same router. The rest of the path cannot be determined"
        words += "."
    elif one.back:
        words = (
            "The way back is another one: the packets in the other direction come from "
            f"{listed([quoted(address) for address in one.back])}. Routing is asymmetric here."
        )
    sources = ", ".join(one.destinations)
    return Paragraph(words, findings.select(f"{family}.dst == {one.host} && {family}.src in {{{sources}}}", back))
