"""What a reader should know after a minute."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tools.report.analysis.transport import Spread
from tools.report.document import Facts, Paragraph, Section, bracketed, listed, plural, quoted, seconds, span
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.packets import RETRANSMISSIONS
from tools.report.sections.calls import summed
from tools.report.sections.gaps import lacking
from tools.report.sections.problems import violated
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
                        (f"{len(findings.people):,}", _names(findings)),
                        _counted(
                            findings.chats,
                            "private chat (a call that was answered)",
                            "private chats (calls that were answered)",
                        ),
                        _counted([*findings.said, *findings.unplaced], "line of chat text", "lines of chat text"),
                        _counted(findings.established, "TCP connection", "TCP connections", _refused(findings)),
                        _counted(findings.packets, "packet of the chat", "packets of the chat"),
                        _counted(
                            findings.lines,
                            "line of the protocol, in both directions",
                            "lines of the protocol, in both directions",
                        ),
                        (seconds(findings.duration), "from the first packet to the last"),
                        _counted(
                            findings.violations,
                            "line that violates the specification",
                            "lines that violate the specification",
                        ),
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


def _counted(found: Sequence[object], one: str, many: str, more: str = "") -> tuple[str, str]:
    """A number, and what it counts."""
    return f"{len(found):,}", (one if len(found) == 1 else many) + more


def _names(findings: Findings) -> str:
    users = "user" if len(findings.people) == 1 else "users"
    unknown = sum(not findings.by_stream[stream].user for stream in findings.partial)
    if not unknown:
        return f"{users} with a name"
    return f"{users} whose name is known; {plural(unknown, 'other connection')} may have one"


def _refused(findings: Findings) -> str:
    refused = len(findings.connections) - len(findings.established)
    return f" (and {plural(refused, 'refused attempt')})" if refused else ""


def _who(findings: Findings) -> Paragraph:
    names = findings.people
    shown = [quoted(name) for name in names[:_NAMES_SHOWN]]
    if len(names) > _NAMES_SHOWN:
        shown.append(f"{len(names) - _NAMES_SHOWN} more")
    servers = listed([quoted(bracketed(end)) for end in findings.capture.servers[:3]])
    unknown = "Clients whose names cannot be known used" if findings.partial else "Clients without a name used"
    who = f"{listed(shown)} used" if names else unknown
    count = len(findings.established)
    over = "over one TCP connection"
    if count != 1:
        over = "each over its own TCP connection" if count == len(names) else f"over {count:,} TCP connections"
    return Paragraph(
        f"{who} the chat server at {servers}, {over}. {_chatted(findings)}",
        Evidence.showing(findings.protocol, findings.lines),
    )


def _chatted(findings: Findings) -> str:
    said, chats = len(findings.said), len(findings.chats)
    lines = f"{plural(len(findings.lines), 'line')} of the protocol"
    if not said and findings.unplaced:
        count = len(findings.unplaced)
        return (
            f"{plural(count, 'line')} of text {'was' if count == 1 else 'were'} sent. To whom cannot be known. The "
            f"capture holds {lines}."
        )
    if not said and findings.partial:
        return f"The capture shows no line of text; it holds {lines}."
    if not said:
        return f"Nobody chatted; the capture holds {lines}."
    where = f"in {plural(chats, 'private chat')}" if chats else "to partners that had not answered"
    return (
        f"{plural(said, 'line')} of text {'was' if said == 1 else 'were'} sent {where}. With requests, answers and "
        f"pushes, the capture holds {lines}."
    )


def _began(findings: Findings) -> Paragraph:
    whole = [one for one in findings.connections if one.handshake is not None]
    trips = Spread.of([one.handshake.rtt for one in whole if one.handshake and one.handshake.rtt is not None])
    words = "The capture holds no complete three-way handshake."
    if whole:
        words = f"The capture holds the complete three-way handshake of {_of(len(whole), len(findings.established))}."
    refused = len(findings.connections) - len(findings.established)
    if trips is not None:
        words += f" The initial round-trip time is {span(trips.least, trips.most)}"
        words += "." if trips.count == 1 else f" (median {seconds(trips.median)})."
    if refused:
        words += f" {plural(refused, 'connection attempt')} {'was' if refused == 1 else 'were'} refused."
    return Paragraph(words, findings.syns)


def _of(count: int, whole: int) -> str:
    """`all 5 connections`, `2 of the 5 connections`, `the only connection`."""
    if whole == 1:
        return "the only connection"
    if count == whole:
        return "both connections" if whole == 2 else f"all {whole:,} connections"
    return f"{count:,} of the {whole:,} connections"


def _cut(findings: Findings) -> Paragraph:
    spanning = sum(len(one.spanning) for one in findings.directions)
    shared = sum(one.sharing for one in findings.directions)
    carriers = [packet for packet in findings.packets if packet.payload]
    largest = max((packet.payload for packet in carriers), default=0)
    over = (
        f"{plural(spanning, 'line spans', 'lines span')} more than one segment"
        if spanning
        else "No line spans two segments"
    )
    with_others = (
        f"{plural(shared, 'line shares', 'lines share')} a segment with others" if shared else "no two lines share one"
    )
    lesson = " Segment boundaries are not line boundaries: a receiver must split the stream at the line ends."
    return Paragraph(
        f"TCP carried these lines in {plural(len(carriers), 'segment')} with payload, of at most {largest:,} octets. "
        f"{over}, and {with_others}.{lesson if spanning or shared else ''}",
        findings.select("tcp.len > 0", carriers),
    )


def _repairs(findings: Findings) -> Paragraph:
    marked = [packet for packet in findings.packets if packet.analysis & RETRANSMISSIONS]
    evidence = findings.select("tcp.analysis.retransmission", marked)
    if not marked:
        return Paragraph("Wireshark marks no retransmission.", evidence)
    fast = sum("tcp.analysis.fast_retransmission" in packet.analysis for packet in marked)
    words = f"Wireshark marks {plural(len(marked), 'retransmission')}"
    if fast == len(marked):
        words += " (a fast one)" if fast == 1 else " (all of them fast)"
    elif fast:
        words += f" ({fast} of them fast)"
    others = [
        plural(len(sign.evidence.frames), sign.words, sign.several)
        for sign in findings.signs
        if sign.name not in RETRANSMISSIONS
    ]
    return Paragraph(f"{words}.{f' It also marks {listed(others)}.' if others else ''}", evidence)


def _route(findings: Findings) -> Paragraph:
    clients = {one.client[0] for one in findings.connections}
    packets = [packet for packet in findings.packets if packet.from_client]
    version = packets[0].version if packets else findings.packets[0].version
    name, field = hop_field(version)
    packets = [packet for packet in packets if packet.version == version]
    away = {sender.hops for sender in findings.senders if sender.address in clients and sender.version == version}
    if all(packet.src == packet.dst for packet in findings.packets):
        words = "Client and server have the same address: the packets never left their host (loopback interface)."
    elif away == {0}:
        words = (
            f"Every packet of a client has a usual initial {name}: no router is between the clients and the capture "
            "point (inferred)."
        )
    else:
        near, far = min(away, default=0), max(away, default=0)
        hops = plural(near, "router") if near == far else f"{near} to {far} routers"
        words = f"The clients' packets passed {hops} before the capture point, as inferred from their {name}."
    if not packets:
        return Paragraph("No packet of a client is in this capture, so how far away they are cannot be known.")
    least = min(packet.ttl for packet in packets)
    servers = " || ".join(f"tcp.dstport == {port}" for port in sorted({end[1] for end in findings.capture.servers}))
    chosen = [packet for packet in packets if packet.ttl == least]
    return Paragraph(words, findings.select(f"{field} == {least} && ({servers})", chosen))


def _closed(findings: Findings) -> Paragraph:
    counts = Counter((one.close.how, one.close.words) for one in findings.established)
    parts = [_ended(how, words, count) for (how, words), count in counts.most_common()]
    what = "connections" if len(findings.established) > 1 else "connection"
    text = f"Of the {len(findings.established):,} {what}, {listed(parts)}." if len(parts) > 1 else ""
    if len(parts) == 1:
        text = f"{_all(len(findings.established))} {parts[0].partition(' ')[2]}."
    refused = len(findings.connections) - len(findings.established)
    if refused:
        text += f" {plural(refused, 'connection attempt')} {'was' if refused == 1 else 'were'} refused with a RST."
    return Paragraph(text.strip(), findings.ends)


def _all(count: int) -> str:
    """`The only connection`, `Both connections`, `All 5 connections`."""
    return "The only connection" if count == 1 else "Both connections" if count == 2 else f"All {count:,} connections"


def _ended(how: str, words: str, count: int) -> str:
    """`4 were closed with FIN (server first)`, `1 was reset by the client`."""
    was = f"{count:,} {'was' if count == 1 else 'were'}"
    if how == "fin":
        return f"{was} closed with {words.replace(', ', ' (', 1)})"
    if how == "half-closed":
        return f"{was} half-closed ({words})"
    return f"{count:,} ended with {words}" if words.startswith("FIN") else f"{was} {words}"


def _legal(findings: Findings) -> Paragraph:
    if not findings.violations and lacking(findings):
        words = (
            "No line of the protocol is known to violate the specification. Where packets are missing, not every line "
            "could be checked (see “What the capture lacks”)."
        )
        return Paragraph(words, findings.violating)
    if not findings.violations:
        return Paragraph("No line of the protocol violates the specification.", findings.violating)
    count = len(findings.violations)
    return Paragraph(
        f"{plural(count, 'line')} of the protocol {'violates' if count == 1 else 'violate'} the specification. The "
        f"first one is in frame {findings.violations[0].frame}: {violated(findings.violations[0])}.",
        findings.violating,
    )
