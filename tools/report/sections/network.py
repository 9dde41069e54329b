"""The network layer: an IP header field by field, all senders, the route by TTL, neighbours."""

from __future__ import annotations

from tools.report.analysis.network import Sender
from tools.report.document import Block, Column, Figure, Paragraph, Section, Table, first_of, numbers, plural, quoted
from tools.report.drawing import ACCENT, FAINT, INK, Drawing
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.packets import Packet

_SHOWN = 30
# The fields of a header, with what they say. `{}` is tshark's value.
_IPV4 = (
    ("ip.version", "Version", "IP version 4"),
    ("ip.hdr_len", "Header length", "octets; 20 are a header without options"),
    ("ip.dsfield", "Differentiated services", "0x00: default forwarding"),
    ("ip.len", "Total length", "octets of header and payload"),
    ("ip.id", "Identification", "identifies the fragments of one packet"),
    ("ip.flags.df", "Don't fragment", "1: a router may not fragment the packet, it must report that it is too long"),
    ("ip.flags.mf", "More fragments", "0: this is no fragment, or the last one"),
    ("ip.frag_offset", "Fragment offset", "0: this is no fragment, or the first one"),
    ("ip.ttl", "Time to live", "each router decrements it; at zero the packet is dropped"),
    ("ip.proto", "Protocol", "6 is TCP"),
    ("ip.checksum", "Header checksum", "over the header only; each router recomputes it, since the TTL changes"),
    ("ip.src", "Source", ""),
    ("ip.dst", "Destination", ""),
)
_IPV6 = (
    ("ipv6.version", "Version", "IP version 6"),
    ("ipv6.tclass", "Traffic class", "0x00: default forwarding"),
    ("ipv6.flow", "Flow label", "the same for the packets of one connection"),
    ("ipv6.plen", "Payload length", "octets after the header of 40"),
    ("ipv6.nxt", "Next header", "6 is TCP"),
    ("ipv6.hlim", "Hop limit", "each router decrements it; the header has no checksum to recompute"),
    ("ipv6.src", "Source", ""),
    ("ipv6.dst", "Destination", ""),
)


def sections(findings: Findings) -> list[Section]:
    """IP headers and routing."""
    example = next((packet for packet in findings.packets if packet.lines and packet.from_client), findings.packets[0])
    blocks: list[Block] = [
        Paragraph(
            f"Frame {example.number} carries {quoted(example.lines[0].whole, 50) if example.lines else 'a segment'} "
            f"from {example.src} to {example.dst}. Its IP header, field by field:"
        ),
        _header(findings, example),
        _table(findings),
        *_fragments(findings),
    ]
    return [
        Section("IP headers and routing", blocks),
        Section("The route, estimated from the TTL", _route(findings), 2),
        *_neighbours(findings),
    ]


def _header(findings: Findings, packet: Packet) -> Table:
    fields = _IPV6 if packet.version == 6 else _IPV4
    names = [name for name, _, _ in fields]
    row = findings.tshark.few(names, [packet.number])[packet.number]
    rows = [(title, name, value or "–", words) for (name, title, words), value in zip(fields, row, strict=True)]
    return Table(
        f"The IP header of frame {packet.number}",
        (Column("Field"), Column("In Wireshark", code=True), Column("Value", code=True), Column("Meaning", share=1)),
        rows,
        Evidence.frames_alone([packet.number]),
    )


def _table(findings: Findings) -> Table:
    shown = findings.senders[:_SHOWN]
    rows = [
        (
            sender.address,
            f"{sender.packets:,}",
            ", ".join(str(ttl) for ttl in sender.ttls),
            sender.ids,
            f"{sender.df:,}",
            str(sender.fragments),
            _checksums(sender),
            ", ".join(sender.hardware) or "–",
        )
        for sender in shown
    ]
    return Table(
        f"The senders{first_of(shown, findings.senders)}: what their IP headers have in common, at the capture point",
        (
            Column("Source", code=True),
            *numbers("Packets", "TTL"),
            Column("Identification", share=1),
            *numbers("DF set", "Fragments"),
            Column("Header checksums"),
            Column("Source MAC", code=True),
        ),
        rows,
        findings.select("tcp", findings.packets),
        small=True,
    )


def _checksums(sender: Sender) -> str:
    if sender.version == 6:
        return "none in IPv6"
    if sender.checksums_bad:
        return f"{sender.checksums_good:,} good, {sender.checksums_bad:,} bad"
    return f"all {sender.checksums_good:,} good" if sender.checksums_good == sender.packets else "not verified"


def _fragments(findings: Findings) -> list[Block]:
    pieces = [packet for packet in findings.packets if packet.fragment]
    largest = max((packet.ip_length + (40 if packet.version == 6 else 0) for packet in findings.packets), default=0)
    words = "No packet is a fragment: TCP keeps its segments below the MTU, so IP does not fragment them."
    if pieces:
        words = f"{plural(len(pieces), 'packet')} came in fragments."
    return [
        Paragraph(
            f"{words} The longest IP packet has {largest:,} octets.",
            findings.select("(ip.flags.mf == 1 || ip.frag_offset > 0)", pieces),
        )
    ]


def _route(findings: Findings) -> list[Block]:
    servers = {end[0] for end in findings.capture.servers}
    clients = [sender for sender in findings.senders if sender.address not in servers]
    hosts = [sender for sender in findings.senders if sender.address in servers]
    blocks: list[Block] = [
        Paragraph(
            "The initial time to live (TTL) is 64 (Unix), 128 (Windows) or 255, and each router decrements it by one. "
            "The hop count is estimated as the next of these values minus the TTL at the capture point."
        )
    ]
    if hosts and clients:
        blocks.append(
            Figure(
                "The path of the packets, estimated from the TTL at the capture point",
                _path_drawing(clients[:8], hosts[0]),
                "Clients on the left, the routers that their packets have passed, and the server on the right",
                _route_evidence(findings, clients),
            )
        )
    behind = {mac for sender in clients for mac in sender.hardware}
    routed = [sender for sender in clients if sender.hops]
    if len(behind) == 1 and len(routed) > 1:
        frames = [packet for packet in findings.packets if packet.from_client]
        blocks.append(
            Paragraph(
                f"All packets of the {plural(len(clients), 'client address', 'client addresses')} come from one "
                f"Ethernet address, {quoted(next(iter(behind)))}. It is the router's: each hop replaces the Ethernet "
                "header, while the IP addresses stay.",
                findings.select(f"eth.src == {next(iter(behind))}", frames),
            )
        )
    return blocks


def _route_evidence(findings: Findings, clients: list[Sender]) -> Evidence:
    addresses = {sender.address for sender in clients}
    ports = ", ".join(str(port) for port in sorted({end[1] for end in findings.capture.servers}))
    packets = [packet for packet in findings.packets if packet.src in addresses]
    return findings.select(f"tcp.dstport in {{{ports}}}", packets)


def _path_drawing(clients: list[Sender], server: Sender) -> str:
    sheet = Drawing(800)
    step = 34
    middle = 20 + step * len(clients) / 2
    routed = max(sender.hops for sender in clients)
    for index, sender in enumerate(clients):
        y = 14 + index * step
        sheet.box(4, y, 212, 26)
        sheet.text(12, y + 17, sender.address, 10)
        sheet.text(208, y + 17, f"TTL {sender.start}", 9, FAINT, "end")
        sheet.line(216, y + 13, 345 if routed else 584, middle, ACCENT, 1)
    if routed:
        sheet.box(345, middle - 20, 130, 40, "#ffffff", ACCENT)
        sheet.text(410, middle - 3, plural(routed, "router"), 11, ACCENT, "middle", bold=True)
        sheet.text(410, middle + 12, f"TTL − {routed}", 9, FAINT, "middle")
        sheet.line(475, middle, 584, middle, ACCENT, 1)
        ttls = sorted({ttl for sender in clients for ttl in sender.ttls})
        sheet.text(530, middle - 6, f"TTL {', '.join(map(str, ttls))}", 9, FAINT, "middle")
    sheet.box(584, middle - 20, 212, 40)
    sheet.text(690, middle - 3, server.address, 10, INK, "middle")
    away = "the capture point" if not server.hops else f"{plural(server.hops, 'router')} away"
    sheet.text(690, middle + 12, f"server: TTL {server.ttls[-1]}, {away}", 8, FAINT, "middle")
    sheet.height = max(sheet.height, middle + 24)
    return sheet.svg()


def _neighbours(findings: Findings) -> list[Section]:
    """ARP: who asks for whose hardware address."""
    asked = [packet for packet in findings.capture.packets if "arp" in packet.protocols.split(":")]
    if not asked:
        return []
    shown = asked[:8]
    opcodes = findings.tshark.few(("arp.opcode", "arp.src.hw_mac"), [packet.number for packet in shown])
    told = []
    for packet in shown:
        opcode, hardware = opcodes[packet.number]
        says = "who has" if opcode == "1" else "is at"
        told.append((str(packet.number), says, packet.src, hardware or "–", packet.dst))
    return [
        Section(
            "Address resolution (ARP)",
            [
                Paragraph(
                    "An Ethernet frame needs the hardware (MAC) address of the next hop. Each host resolves only that "
                    "one: of a host on its own subnet, or of the router when the destination is on another subnet."
                ),
                Table(
                    f"ARP requests and replies{first_of(told, asked)}",
                    (
                        Column("Frame", "right"),
                        Column("Says"),
                        Column("Sender", code=True),
                        Column("Its MAC", code=True),
                        Column("About or to", code=True, share=1),
                    ),
                    told,
                    Evidence.showing("arp", asked),
                ),
            ],
            2,
        )
    ]
