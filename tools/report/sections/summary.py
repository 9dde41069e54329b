"""What a reader should know after a minute."""

from __future__ import annotations

from collections import Counter

from tools.report.analysis.counts import Count
from tools.report.analysis.transport import Spread
from tools.report.document import Facts, Paragraph, Section, bracketed, listed, plural, quoted, seconds, span
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.sections.calls import summed
from tools.report.sections.notes import lacking, warning
from tools.report.sections.problems import violated
from tools.report.sections.repairs import told
from tools.report.sections.routing import hop_field

_NAMES_SHOWN = 8


def sections(findings: Findings) -> list[Section]:
    """The report in a minute."""
    counts = findings.counts
    breaks, break_ = "that violates", "that violate"
    if not counts.violations.exact:
        breaks = break_ = "known to violate"
    return [
        Section(
            "Summary",
            [
                *warning(findings),
                Facts(
                    (
                        _counted(counts.people, *_names(findings)),
                        _counted(
                            counts.chats,
                            "private chat (a call that was answered)",
                            "private chats (calls that were answered)",
                        ),
                        _counted(counts.text, "line of chat text", "lines of chat text", _doubtful(findings)),
                        _counted(counts.connections, "TCP connection", "TCP connections", _refused(findings)),
                        _counted(
                            Count(len(findings.packets)),
                            "packet of the chat in the capture",
                            "packets of the chat in the capture",
                        ),
                        _counted(
                            counts.lines,
                            "line of the protocol, in both directions",
                            "lines of the protocol, in both directions",
                        ),
                        (seconds(findings.duration), "from the first packet to the last"),
                        _counted(
                            Count(counts.violations.value),
                            f"line {breaks} the specification",
                            f"lines {break_} the specification",
                        ),
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


def _counted(count: Count, one: str, many: str, more: str = "") -> tuple[str, str]:
    """A number, and what it counts."""
    return str(count), (one if count.value == 1 else many) + more


def _names(findings: Findings) -> tuple[str, str, str]:
    """For one user, for several, and what is said of their names."""
    unknown = sum(not findings.by_stream[stream].user for stream in findings.partial)
    inferred = len({one.user for one in findings.connections if one.inferred})
    more = f" with a name{f', {inferred} of them inferred' if inferred else ''}"
    if unknown:
        more += f"; {plural(unknown, 'other connection')} may have one"
    return "user", "users", more


def _doubtful(findings: Findings) -> str:
    """What clients have sent besides, and what may have been refused."""
    more = len(findings.said) + len(findings.unplaced) - findings.counts.text.value
    return f"; {more:,} more may have been refused" if more else ""


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
    inferred = {one.user for one in findings.connections if one.inferred}
    if inferred and names:
        over += f" (inferred names: {len(inferred)} of {len(names)})"
    return Paragraph(
        f"{who} the chat server at {servers}, {over}. {_chatted(findings)}",
        Evidence.showing(findings.protocol, findings.lines),
    )


def _chatted(findings: Findings) -> str:
    said, chats = findings.counts.text, findings.counts.chats
    held = findings.counts.lines
    lines = f"{held.words} line{'' if held.value == 1 else 's'} of the protocol"
    if not said.value and findings.unplaced:
        count = len(findings.unplaced)
        return (
            f"Clients sent {plural(count, 'line')} of text. To whom, and whether any was refused, cannot be known. The "
            f"capture holds {lines}."
        )
    if not said.value and findings.partial:
        return f"The capture shows no line of text; it holds {lines}."
    if not said.value:
        return f"Nobody chatted; the capture holds {lines}."
    where = "to partners that had not answered"
    if chats.value:
        where = f"in {chats.words} private chat{'' if chats.value == 1 else 's'}"
    one = said.value == 1
    return (
        f"The users sent {said.words} line{'' if one else 's'} of text {where}. With requests, answers and pushes, the "
        f"capture holds {lines}."
    )


def _began(findings: Findings) -> Paragraph:
    whole = [one for one in findings.connections if one.handshake is not None]
    trips = Spread.of([one.handshake.rtt for one in whole if one.handshake and one.handshake.rtt is not None])
    words = "The capture holds no complete three-way handshake."
    if whole:
        words = f"The capture holds the complete three-way handshake of {_of(len(whole), len(findings.established))}."
    refused = len(findings.refused)
    if trips is not None:
        words += f" The initial round-trip time is {span(trips.least, trips.most)}"
        words += "." if trips.count == 1 else f" (median {seconds(trips.median)})."
    if refused:
        words += f" A RST refused {plural(refused, 'connection attempt')}."
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
        f"Of the lines, {spanning:,} {'spans' if spanning == 1 else 'span'} more than one segment"
        if spanning
        else "No line spans two segments"
    )
    with_others = (
        f"{shared:,} {'shares' if shared == 1 else 'share'} a segment with others" if shared else "no two share one"
    )
    lesson = " Segment boundaries are not line boundaries: a receiver must split the stream at the line ends."
    return Paragraph(
        f"TCP carried these lines in {plural(len(carriers), 'segment')} with payload, of at most {largest:,} octets. "
        f"{over}, and {with_others}.{lesson if spanning or shared else ''}",
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
    refused = len(findings.refused)
    if refused:
        text += f" A RST refused {plural(refused, 'connection attempt')}."
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
        f"Of the lines of the protocol, {count:,} {'violates' if count == 1 else 'violate'} the specification. The "
        f"first one is in frame {findings.violations[0].frame}: {violated(findings.violations[0])}.",
        findings.violating,
    )
