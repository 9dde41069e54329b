"""What a reader should know after a minute."""

from __future__ import annotations

from collections import Counter

from tools.report.analysis.transport import Spread
from tools.report.document import Facts, Paragraph, Section, bracketed, listed, plural, quoted, seconds
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.sections.calls import summed
from tools.report.sections.gaps import lacking
from tools.report.sections.repairs import told
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
                        (f"{len(findings.chats):,}", "private chats (calls that were answered)"),
                        (f"{len(findings.said) + len(findings.unplaced):,}", "lines of chat text"),
                        (f"{len(findings.established):,}", "TCP connections" + _refused(findings)),
                        (f"{len(findings.packets):,}", "packets of the chat"),
                        (f"{len(findings.lines):,}", "lines of the protocol, in both directions"),
                        (seconds(findings.duration), "from the first packet to the last"),
                        (str(len(findings.violations)), "lines that break the specification"),
                    )
                ),
                _who(findings),
                *([summed(findings)] if findings.calls else []),
                _began(findings),
                _cut(findings),
                told(findings),
                _route(findings),
                _closed(findings),
                _legal(findings),
            ],
        )
    ]


def _names(findings: Findings) -> str:
    unknown = sum(not findings.by_stream[stream].user for stream in findings.partial)
    if not unknown:
        return "users with a name"
    return f"users whose name is known; {plural(unknown, 'connection')} more may have one"


def _refused(findings: Findings) -> str:
    refused = len(findings.refused)
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
            f"{plural(count, 'line')} of text {'was' if count == 1 else 'were'} sent, in which chats cannot be known; "
            f"the capture holds {lines}."
        )
    if not said and findings.partial:
        return f"The capture shows no line of text; it holds {lines}."
    if not said:
        return f"Nobody chatted; the capture holds {lines}."
    where = f"in {plural(chats, 'private chat')}" if chats else "to partners that had not answered"
    return (
        f"{plural(said, 'line')} of text {'was' if said == 1 else 'were'} sent {where}; with requests, answers and "
        f"pushes, that took {lines} in both directions."
    )


def _began(findings: Findings) -> Paragraph:
    whole = [one for one in findings.connections if one.handshake is not None]
    trips = Spread.of([one.handshake.rtt for one in whole if one.handshake])
    words = f"The capture holds the whole three-way handshake of {_of(len(whole), len(findings.established))}"
    refused = len(findings.refused)
    if trips is not None:
        words += "; the initial round-trip time was "
        words += (
            seconds(trips.least)
            if trips.count == 1
            else (f"{seconds(trips.least)} to {seconds(trips.most)} (median {seconds(trips.median)})")
        )
    if refused:
        words += f". {plural(refused, 'attempt')} to connect {'was' if refused == 1 else 'were'} refused"
    return Paragraph(words + ".", findings.syns)


def _of(count: int, whole: int) -> str:
    """`all 5 connections`, `2 of the 5 connections`, `none of the 5 connections`, `the only connection`."""
    if whole == 1:
        return "the only connection" if count else "no connection"
    if count == whole:
        return "both connections" if whole == 2 else f"all {whole:,} connections"
    return f"{f'{count:,}' if count else 'none'} of the {whole:,} connections"


def _cut(findings: Findings) -> Paragraph:
    spanning = sum(len(one.spanning) for one in findings.directions)
    shared = sum(one.sharing for one in findings.directions)
    carriers = [packet for packet in findings.packets if packet.payload]
    largest = max((packet.payload for packet in carriers), default=0)
    over = f"{plural(spanning, 'line')} spanned more than one segment" if spanning else "No line spanned two segments"
    with_others = f"{plural(shared, 'line')} shared a segment with others" if shared else "no line shared a segment"
    lesson = " Segment boundaries are not line boundaries: a receiver must split the stream at the line ends."
    return Paragraph(
        f"TCP carried these lines in {plural(len(carriers), 'segment')} with payload, the largest of {largest:,} "
        f"octets. {over}, and {with_others}.{lesson if spanning or shared else ''}",
        findings.select("tcp.len > 0", carriers),
    )


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
            f"Every packet of a client has its initial {name}: no router is between the clients and the capture point."
        )
    else:
        near, far = min(away, default=0), max(away, default=0)
        hops = plural(near, "router") if near == far else f"{near} to {far} routers"
        words = f"By their {name}, the clients' packets passed {hops} before the capture point."
    if not packets:
        return Paragraph("No packet of a client is in this capture, so how far away they are cannot be known.")
    least = min(packet.ttl for packet in packets)
    servers = " || ".join(f"tcp.dstport == {port}" for port in sorted({end[1] for end in findings.capture.servers}))
    chosen = [packet for packet in packets if packet.ttl == least]
    return Paragraph(words, findings.select(f"{field} == {least} && ({servers})", chosen))


def _closed(findings: Findings) -> Paragraph:
    counts = Counter((one.close.how, one.close.words) for one in findings.connections)
    parts = [_ended(how, words, count) for (how, words), count in counts.most_common()]
    return Paragraph(f"The ends of the connections: {'; '.join(parts)}.", findings.ends)


def _ended(how: str, words: str, count: int) -> str:
    """`4 were closed with FIN, by the server first`, `1 was refused`."""
    was = f"{count:,} {'was' if count == 1 else 'were'}"
    if how == "fin":
        return f"{was} closed with {words.replace(', ', ', by the ')}"
    if how == "half-closed":
        return f"{was} half-closed ({words})"
    return f"{count:,} ended with {words}" if words.startswith("FIN") else f"{was} {words}"


def _legal(findings: Findings) -> Paragraph:
    if not findings.violations and lacking(findings):
        words = (
            "No line of the protocol is known to break the specification; where packets are missing, not every line "
            "could be checked (see “What the capture lacks”)."
        )
        return Paragraph(words, findings.violating)
    if not findings.violations:
        return Paragraph("Every line of the protocol is legal in its state.", findings.violating)
    first = findings.violations[0]
    return Paragraph(
        f"{plural(len(findings.violations), 'frame')} of the protocol broke the specification. The first one is in "
        f"frame {first.frame}: {quoted(first.words, 60)} from the {first.by} ({first.who}), {quoted(first.violation)}.",
        findings.violating,
    )
