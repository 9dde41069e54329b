"""The network layer: an IP header field by field, all senders, fragments, and VLAN tags."""

from __future__ import annotations

from collections import Counter

from tools.report.analysis.network import Sender, labels
from tools.report.document import Block, Column, Paragraph, Section, Table, first_of, listed, numbers, plural, quoted
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.packets import SYN, Packet

_SHOWN = 200
_EXPLAINED = 4  # directions whose flow labels are told one by one
# The fields of a header, and their meaning.
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
    ("ip.src", "Source", "the same on the whole path"),
    ("ip.dst", "Destination", "the same on the whole path; routers choose the next hop by it"),
)
_IPV6 = (
    ("ipv6.version", "Version", "IP version 6"),
    ("ipv6.tclass", "Traffic class", "0x00: default forwarding"),
    ("ipv6.flow", "Flow label", "chosen by the sender, the same for all packets of one flow (RFC 6437)"),
    ("ipv6.plen", "Payload length", "octets after the header, which always has 40"),
    ("ipv6.nxt", "Next header", "6 is TCP"),
    ("ipv6.hlim", "Hop limit", "each router decrements it; the header has no checksum to recompute"),
    ("ipv6.src", "Source", "the same on the whole path"),
    ("ipv6.dst", "Destination", "the same on the whole path; routers choose the next hop by it"),
)
_VLAN = (
    ("vlan.id", "VLAN identifier", "802.1Q: the virtual LAN that the frame belongs to"),
    ("vlan.priority", "Priority", "802.1p: 0 (best effort) to 7"),
)


def sections(findings: Findings) -> list[Section]:
    """IP headers, as the capture has them."""
    example = next((packet for packet in findings.packets if packet.lines and packet.from_client), findings.packets[0])
    tagged = " and the VLAN tag before it" if example.vlan is not None else ""
    blocks: list[Block] = [
        Paragraph(
            f"Frame {example.number} carries {quoted(example.lines[0].whole, 50) if example.lines else 'a segment'} "
            f"from {example.src} to {example.dst}. Its IP header{tagged}, field by field:"
        ),
        _header(findings, example),
        *(_senders(findings, version) for version in sorted({sender.version for sender in findings.senders})),
        *_labels(findings),
        *_fragments(findings),
        *_vlans(findings),
    ]
    return [Section("IP headers", blocks)]


def _header(findings: Findings, packet: Packet) -> Table:
    fields = (*(_VLAN if packet.vlan is not None else ()), *(_IPV6 if packet.version == 6 else _IPV4))
    names = [name for name, _, _ in fields]
    row = findings.tshark.few(names, [packet.number])[packet.number]
    rows = [(title, name, _value(name, value), words) for (name, title, words), value in zip(fields, row, strict=True)]
    return Table(
        f"The IP header of frame {packet.number}",
        (Column("Field"), Column("In Wireshark", code=True), Column("Value", code=True), Column("Meaning", share=1)),
        rows,
        Evidence.frames_alone([packet.number]),
    )


def _value(name: str, value: str) -> str:
    """tshark's value; the traffic class with its 8 bits, which tshark prints as 32."""
    return f"0x{int(value, 0):02x}" if name == "ipv6.tclass" and value else value or "–"


def _senders(findings: Findings, version: int) -> Table:
    """The senders of one version of IP, by the fields that its header has."""
    found = [sender for sender in findings.senders if sender.version == version]
    shown = found[:_SHOWN]
    columns: tuple[Column, ...]
    rows: list[tuple[str, ...]]
    if version == 6:
        columns = (*numbers("Packets", "Hop limit", "Flow labels", "Fragments"), Column("Source MAC", code=True))
        rows = [
            (
                sender.address,
                f"{sender.packets:,}",
                ", ".join(map(str, sender.ttls)),
                f"{sender.flow_labels:,}",
                str(sender.fragments),
                ", ".join(sender.hardware) or "–",
            )
            for sender in shown
        ]
    else:
        columns = (
            *numbers("Packets", "TTL"),
            Column("Identification", share=1),
            *numbers("DF set", "Fragments"),
            Column("Header checksums"),
            Column("Source MAC", code=True),
        )
        rows = [
            (
                sender.address,
                f"{sender.packets:,}",
                ", ".join(map(str, sender.ttls)),
                sender.ids,
                f"{sender.df:,}",
                str(sender.fragments),
                _checksums(sender),
                ", ".join(sender.hardware) or "–",
            )
            for sender in shown
        ]
    family = "ipv6" if version == 6 else "ip"
    return Table(
        f"The IPv{version} senders{first_of(shown, found)}: fields of their headers, at the capture point",
        (Column("Source", code=True, share=0 if version == 4 else 1), *columns),
        rows,
        findings.select(family, [packet for packet in findings.packets if packet.version == version]),
        small=True,
    )


def _checksums(sender: Sender) -> str:
    if sender.checksums_bad:
        return f"{sender.checksums_good:,} good, {sender.checksums_bad:,} bad"
    return f"all {sender.checksums_good:,} good" if sender.checksums_good == sender.packets else "not verified"


def _labels(findings: Findings) -> list[Block]:
    """Why a sender has more flow labels than connections."""
    changed = [
        (one, side, found)
        for one in findings.connections
        for side in (True, False)
        if len(found := labels([packet for packet in one.packets if packet.from_client == side])) > 1
    ]
    if not changed:
        return []
    words = ""
    for one, side, found in changed[:_EXPLAINED]:
        named = listed([f"{quoted(packet.flow_label)} from frame {packet.number} on" for packet in found])
        who = one.client[0] if side else one.server[0]
        words += f"{who} uses {len(found)} flow labels in stream {one.stream}: {named}. "
    if len(changed) > _EXPLAINED:
        words += f"The label changes in {plural(len(changed) - _EXPLAINED, 'more direction')} of connections. "
    if all(packet.has(SYN) for _, _, found in changed for packet in found):
        words += (
            "Each repeated SYN or SYN-ACK has a new one, and the segments after it keep the last. The label is that of "
            "one attempt to connect: routers that choose one of several paths by the label may choose another one then "
            "(inferred; Linux does so)."
        )
    else:
        words += "Why it changes cannot be determined; Linux chooses a new label when a timer expires."
    return [
        Paragraph(words, Evidence.frames_alone(one.number for _, _, found in changed[:_EXPLAINED] for one in found))
    ]


def _fragments(findings: Findings) -> list[Block]:
    """Whether IP has fragmented packets, and who might have: a router only in IPv4."""
    made: list[Block] = []
    for version in sorted({packet.version for packet in findings.packets}):
        packets = [packet for packet in findings.packets if packet.version == version]
        pieces = [packet for packet in packets if packet.fragment]
        largest = max(packet.ip_length + (40 if version == 6 else 0) for packet in packets)
        if version == 6:
            how = (
                "An IPv6 router never fragments: it drops a packet that is too long and reports it (“Packet Too Big”). "
                "Only the source can fragment, with an extension header (RFC 8200, section 4.5). "
            )
            kept = "TCP avoids that with segments that fit the MTU. "
        else:
            how = ""
            kept = "TCP keeps its segments below the MTU"
            kept += ", and DF forbids routers to fragment them. " if all(packet.df for packet in packets) else ". "
        words = f"No packet is a fragment. {how}{kept}"
        if pieces:
            words = (
                f"{plural(len(pieces), 'packet was', 'packets were')} sent in fragments; the frames are those of the "
                f"last fragments, in which Wireshark shows the whole. {how}"
            )
        shown = "ipv6.fraghdr" if version == 6 else "(ip.flags.mf == 1 || ip.frag_offset > 0)"
        made.append(
            Paragraph(
                f"{words}The longest IP{'v6' if version == 6 else ''} packet has {largest:,} octets.",
                findings.select(shown, pieces),
            )
        )
    return made


def _vlans(findings: Findings) -> list[Block]:
    """The VLANs, where frames have a tag of 802.1Q."""
    tagged = [packet for packet in findings.packets if packet.vlan is not None]
    if not tagged:
        return []
    counts = sorted(Counter(packet.vlan for packet in tagged if packet.vlan is not None).items())
    names = ", ".join(f"VLAN {number} ({plural(count, 'packet')})" for number, count in counts)
    rest = len(findings.packets) - len(tagged)
    return [
        Paragraph(
            f"The Ethernet frames carry 802.1Q tags: {names}"
            + (f"; {plural(rest, 'packet')} {'has' if rest == 1 else 'have'} no tag" if rest else "")
            + ". A tag of 4 octets stands between the Ethernet addresses and the type of the payload. Switches keep "
            "the VLANs apart: only a router carries packets from one to another.",
            findings.select("vlan", tagged),
        )
    ]
