"""What a reader should know after a minute."""

from __future__ import annotations

from tools.report.analysis.connections import bracketed
from tools.report.analysis.transport import Spread
from tools.report.document import Block, Facts, Paragraph, Section, plural, quoted, seconds
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.packets import SYN

_NAMES_SHOWN = 8


def summary(findings: Findings) -> list[Section]:
    """The report in a minute."""
    said = [line for chat in findings.chats for line in chat.said]
    blocks: list[Block] = [
        Facts(
            (
                (f"{len(findings.people):,}", "people with a name"),
                (f"{len(findings.chats):,}", "private chats"),
                (f"{len(said):,}", "lines said"),
                (f"{len(findings.connections):,}", "TCP connections"),
                (f"{len(findings.packets):,}", "packets of the chat"),
                (f"{len(findings.lines):,}", "frames of the protocol"),
                (seconds(findings.duration), "from the first packet to the last"),
                (str(len(findings.faults)), "frames that break the protocol"),
            )
        ),
        _who(findings),
        _began(findings),
        _cut(findings),
        _repairs(findings),
        _route(findings),
        _closed(findings),
        _legal(findings),
    ]
    return [Section("Summary", blocks)]


def _who(findings: Findings) -> Paragraph:
    names = findings.people
    shown = ", ".join(quoted(name) for name in names[:_NAMES_SHOWN])
    rest = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    servers = " and ".join(quoted(bracketed(end)) for end in findings.capture.servers[:3])
    people = f"{shown}{rest} used" if names else "Clients without a name used"
    return Paragraph(
        f"{people} the chat server at {servers}, each over a TCP connection of his own. "
        f"In {plural(len(findings.chats), 'private chat')} they said "
        f"{plural(sum(len(c.said) for c in findings.chats), 'line')}; "
        f"the protocol needed {plural(len(findings.lines), 'line')} of text for that, in both directions.",
        Evidence.of(findings.protocol, (line.number for line in findings.lines)),
    )


def _began(findings: Findings) -> Paragraph:
    whole = [one for one in findings.connections if one.handshake is not None]
    trips = Spread.of([one.handshake.rtt for one in whole if one.handshake and one.handshake.rtt is not None])
    words = (
        f"{plural(len(whole), 'connection')} of {len(findings.connections)} began with a complete three-way handshake"
    )
    if trips is not None:
        words += f"; the initial round trip took {seconds(trips.least)} to {seconds(trips.most)}"
        words += f", {seconds(trips.median)} in the middle"
    syns = [packet for packet in findings.packets if packet.has(SYN)]
    return Paragraph(words + ".", findings.select("tcp.flags.syn == 1", syns))


def _cut(findings: Findings) -> Paragraph:
    lines = [placed for direction in findings.directions for placed in direction.lines]
    spanning = [placed for placed in lines if len(placed.frames) > 1]
    shared = sum(count for one in findings.directions for count in one.complete_in().values() if count > 1)
    carriers = [packet for packet in findings.packets if packet.payload]
    largest = max((packet.payload for packet in carriers), default=0)
    return Paragraph(
        f"TCP carried these lines in {plural(len(carriers), 'segment')} with payload, the largest of {largest:,} "
        "octets. "
        f"{plural(len(spanning), 'line')} came in more than one segment, and {plural(shared, 'line')} shared a "
        "segment with others: "
        "a segment is not a line, and a receiver must cut the stream at the line ends itself.",
        findings.select("tcp.len > 0", carriers),
    )


def _repairs(findings: Findings) -> Paragraph:
    repairs = [sign for sign in findings.signs if "retransmission" in sign.words]
    frames = {frame for sign in repairs for frame in sign.evidence.frames}
    marked = [packet for packet in findings.packets if packet.number in frames]
    evidence = findings.select("tcp.analysis.retransmission", marked) if marked else None
    if not marked:
        return Paragraph(
            "TCP had nothing to repair: Wireshark's analysis finds no retransmission.",
            findings.select("tcp.analysis.retransmission", []),
        )
    names = ", ".join(f"{len(sign.evidence.frames)} × {sign.words}" for sign in findings.signs)
    return Paragraph(
        f"TCP had to repair the stream: {plural(len(marked), 'segment')} were sent again. In all, Wireshark finds "
        f"{names}.",
        evidence,
    )


def _route(findings: Findings) -> Paragraph:
    client_ends = {one.client[0] for one in findings.connections}
    away = {source.hops for source in findings.sources if source.address in client_ends}
    if away == {0}:
        words = "Every packet came with the TTL that its sender gave it: no router is between client and capture."
    else:
        near, far = min(away, default=0), max(away, default=0)
        hops = plural(near, "router") if near == far else f"{near} to {far} routers"
        words = f"By their TTL, the clients' packets have passed {hops} before they were captured."
    packets = [packet for packet in findings.packets if packet.from_client]
    version = "ip.ttl" if packets and packets[0].version == 4 else "ipv6.hlim"
    ttls = sorted({packet.ttl for packet in packets if packet.version == packets[0].version}) if packets else []
    chosen = (
        [packet for packet in packets if packet.ttl == ttls[0] and packet.version == packets[0].version] if ttls else []
    )
    servers = " || ".join(f"tcp.dstport == {port}" for port in sorted({end[1] for end in findings.capture.servers}))
    filter_words = f"{version} == {ttls[0]} && ({servers})" if ttls else version
    return Paragraph(words, findings.select(filter_words, chosen))


def _closed(findings: Findings) -> Paragraph:
    counts: dict[str, int] = {}
    for one in findings.connections:
        counts[one.close.words] = counts.get(one.close.words, 0) + 1
    words = "; ".join(f"{count} × {text}" for text, count in counts.items())
    marks = [frame for one in findings.connections for frame in one.close.evidence.frames]
    return Paragraph(
        f"How the connections ended: {words}.",
        Evidence.of(f"(tcp.flags.fin == 1 || tcp.flags.reset == 1) && {findings.scope}", marks),
    )


def _legal(findings: Findings) -> Paragraph:
    broken = f"{findings.protocol}.violation"
    if not findings.faults:
        return Paragraph(
            "Every frame of the protocol is one that the specification allows where it stands.", Evidence(broken, ())
        )
    first = findings.faults[0]
    return Paragraph(
        f"{plural(len(findings.faults), 'frame')} of the protocol broke the specification. The first one is in frame "
        f"{first.frame}: "
        f"{quoted(first.words, 60)} from the {first.by} ({first.who}), {quoted(first.violation)}.",
        Evidence.of(broken, (fault.frame for fault in findings.faults)),
    )
