"""What a reader should know after a minute."""

from __future__ import annotations

from collections import Counter

from tools.report.analysis.connections import bracketed
from tools.report.analysis.transport import Spread
from tools.report.document import Facts, Paragraph, Section, plural, quoted, seconds
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.packets import RETRANSMISSIONS
from tools.report.sections.calls import summed
from tools.report.sections.routing import hop_field

_NAMES_SHOWN = 8


def sections(findings: Findings) -> list[Section]:
    """The report in a minute."""
    return [
        Section(
            "Summary",
            [
                Facts(
                    (
                        (f"{len(findings.people):,}", "users with a name"),
                        (f"{len(findings.chats):,}", "private chats (calls that were answered)"),
                        (f"{len(findings.said):,}", "lines of chat text"),
                        (f"{len(findings.connections):,}", "TCP connections"),
                        (f"{len(findings.packets):,}", "packets of the chat"),
                        (f"{len(findings.lines):,}", "frames of the protocol"),
                        (seconds(findings.duration), "from the first packet to the last"),
                        (str(len(findings.violations)), "frames that break the protocol"),
                    )
                ),
                _who(findings),
                *([summed(findings)] if findings.calls else []),
                _began(findings),
                _cut(findings),
                _repairs(findings),
                _route(findings),
                _closed(findings),
                _legal(findings),
            ],
        )
    ]


def _who(findings: Findings) -> Paragraph:
    names = findings.people
    shown = ", ".join(quoted(name) for name in names[:_NAMES_SHOWN])
    rest = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    servers = " and ".join(quoted(bracketed(end)) for end in findings.capture.servers[:3])
    people = f"{shown}{rest} used" if names else "Clients without a name used"
    return Paragraph(
        f"{people} the chat server at {servers}, each over its own TCP connection. In "
        f"{plural(len(findings.chats), 'private chat')} they said "
        f"{plural(sum(len(chat.said) for chat in findings.chats), 'line')}; the protocol needed "
        f"{plural(len(findings.lines), 'line')} of text for that, in both directions.",
        Evidence.showing(findings.protocol, findings.lines),
    )


def _began(findings: Findings) -> Paragraph:
    whole = [one for one in findings.connections if one.handshake is not None]
    trips = Spread.of([one.handshake.rtt for one in whole if one.handshake and one.handshake.rtt is not None])
    words = (
        f"{plural(len(whole), 'connection')} of {len(findings.connections)} began with a complete three-way handshake"
    )
    if trips is not None:
        words += f"; the initial round-trip time was {seconds(trips.least)} to {seconds(trips.most)}"
        words += f", median {seconds(trips.median)}"
    return Paragraph(words + ".", findings.syns)


def _cut(findings: Findings) -> Paragraph:
    spanning = sum(len(one.spanning) for one in findings.directions)
    shared = sum(one.sharing for one in findings.directions)
    carriers = [packet for packet in findings.packets if packet.payload]
    largest = max((packet.payload for packet in carriers), default=0)
    return Paragraph(
        f"TCP carried these lines in {plural(len(carriers), 'segment')} with payload, the largest of {largest:,} "
        f"octets. {plural(spanning, 'line')} spanned more than one segment, and {plural(shared, 'line')} shared "
        "a segment with others: segment boundaries are not line boundaries, so a receiver must split the stream at "
        "the line ends itself.",
        findings.select("tcp.len > 0", carriers),
    )


def _repairs(findings: Findings) -> Paragraph:
    marked = [packet for packet in findings.packets if packet.analysis & RETRANSMISSIONS]
    evidence = findings.select("tcp.analysis.retransmission", marked)
    if not marked:
        return Paragraph("TCP retransmitted nothing: Wireshark's TCP analysis finds no retransmission.", evidence)
    names = ", ".join(f"{len(sign.evidence.frames)} × {sign.words}" for sign in findings.signs)
    return Paragraph(
        f"TCP retransmitted {plural(len(marked), 'segment')}. In all, Wireshark's TCP analysis finds {names}.",
        evidence,
    )


def _route(findings: Findings) -> Paragraph:
    clients = {one.client[0] for one in findings.connections}
    packets = [packet for packet in findings.packets if packet.from_client]
    version = packets[0].version if packets else findings.packets[0].version
    name, field = hop_field(version)
    packets = [packet for packet in packets if packet.version == version]
    away = {sender.hops for sender in findings.senders if sender.address in clients and sender.version == version}
    if away == {0}:
        words = (
            f"Every packet of a client has its initial {name}: no router is between the clients and the capture point."
        )
    else:
        near, far = min(away, default=0), max(away, default=0)
        hops = plural(near, "router") if near == far else f"{near} to {far} routers"
        words = f"By their {name}, the clients' packets passed {hops} before the capture point."
    if not packets:
        return Paragraph("No packet of a client is in this capture.", findings.select(field, []))
    least = min(packet.ttl for packet in packets)
    servers = " || ".join(f"tcp.dstport == {port}" for port in sorted({end[1] for end in findings.capture.servers}))
    chosen = [packet for packet in packets if packet.ttl == least]
    return Paragraph(words, findings.select(f"{field} == {least} && ({servers})", chosen))


def _closed(findings: Findings) -> Paragraph:
    counts = Counter(one.close.words for one in findings.connections)
    words = "; ".join(f"{count} × {text}" for text, count in counts.items())
    return Paragraph(f"How the connections ended: {words}.", findings.ends)


def _legal(findings: Findings) -> Paragraph:
    if not findings.violations:
        return Paragraph("Every frame of the protocol is legal in its state.", findings.violating)
    first = findings.violations[0]
    return Paragraph(
        f"{plural(len(findings.violations), 'frame')} of the protocol broke the specification. The first one is in "
        f"frame {first.frame}: {quoted(first.words, 60)} from the {first.by} ({first.who}), {quoted(first.violation)}.",
        findings.violating,
    )
