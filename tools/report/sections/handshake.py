"""The three-way handshake of each connection, with its numbers and options."""

from __future__ import annotations

from tools.report.analysis.connections import Connection, Handshake, Options
from tools.report.document import Block, Column, Paragraph, Section, Table, first_of, numbers, plural, seconds
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.packets import ACK

_SHOWN = 40
_LISTED = 15  # connections whose frames a filter can name one by one


def sections(findings: Findings) -> list[Section]:
    """How the connections began."""
    whole = [(one, one.handshake) for one in findings.connections if one.handshake is not None]
    blocks: list[Block] = [
        Paragraph(
            "Before the first line of the chat, both endpoints exchange three segments. The client's SYN carries its "
            "initial sequence number (ISN); the server's SYN-ACK acknowledges the ISN plus one and carries the "
            "server's ISN; the client's ACK acknowledges that plus one. A SYN consumes one sequence number though it "
            "carries no payload, so the first octet has the relative sequence number 1."
        )
    ]
    if not whole:
        blocks.append(Paragraph("This capture holds no handshake: it begins after the connections were opened."))
        return [Section("The three-way handshake", blocks)]
    blocks += [
        _detail(*whole[0]),
        _arithmetic(whole[0][1]),
        _table(findings, whole),
        _options(findings, whole),
        *_payload(whole),
        *_missing(findings),
    ]
    return [Section("The three-way handshake", blocks)]


def _detail(one: Connection, shake: Handshake) -> Table:
    three = [packet for packet in one.packets if packet.number in (shake.syn, shake.syn_ack, shake.ack)]
    rows = [
        (
            str(packet.number),
            f"{packet.time - one.first:.6f}",
            packet.direction,
            packet.flag_words,
            str(packet.seq_raw),
            str(packet.ack_raw) if packet.has(ACK) else "–",
            f"{packet.seq} / {packet.ack if packet.has(ACK) else '–'}",
            f"{packet.window_raw:,}",
        )
        for packet in three
    ]
    return Table(
        f"The handshake of {one.who} (stream {one.stream}), segment by segment. Time in seconds since the SYN; window "
        "as written in the header",
        (
            *numbers("Frame", "Time"),
            Column("Direction"),
            Column("Flags"),
            *numbers("Sequence number", "Acknowledgement", "Relative", "Window"),
        ),
        rows,
        shake.evidence,
    )


def _arithmetic(shake: Handshake) -> Paragraph:
    return Paragraph(
        f"Frame {shake.syn_ack} acknowledges {shake.syn_ack_acks} = {shake.client_isn} + 1, and frame {shake.ack} "
        f"acknowledges {shake.ack_acks} = {shake.server_isn} + 1. The initial round-trip time, from the SYN to the "
        f"third segment, is {seconds(shake.rtt)}: {seconds(shake.server_took)} from the SYN to its answer and "
        f"{seconds(shake.client_took)} from there to the ACK, measured at the capture point. The longer part belongs "
        "to the endpoint that is farther away.",
        shake.evidence,
    )


def _table(findings: Findings, whole: list[tuple[Connection, Handshake]]) -> Table:
    shown = whole[:_SHOWN]
    rows = [
        (
            str(one.stream),
            one.who,
            f"{shake.syn}, {shake.syn_ack}, {shake.ack}",
            str(shake.client_isn),
            str(shake.server_isn),
            "yes" if shake.acknowledged else "NO",
            seconds(shake.rtt),
            str(shake.repeated),
        )
        for one, shake in shown
    ]
    return Table(
        f"The handshakes{first_of(shown, whole)}: frames of SYN, SYN-ACK and ACK, the initial sequence numbers, "
        "whether each is acknowledged plus one, and retransmitted SYNs",
        (
            Column("Stream", "right"),
            Column("Who"),
            *numbers("Frames", "Client's ISN", "Server's ISN"),
            Column("+ 1", "center"),
            *numbers("Initial RTT", "Repeated"),
        ),
        rows,
        _evidence(findings, whole),
        small=True,
    )


def _evidence(findings: Findings, whole: list[tuple[Connection, Handshake]]) -> Evidence:
    """The frames of the handshakes; of many, the SYNs, which one filter finds."""
    if len(whole) <= _LISTED:
        return Evidence.frames_alone(frame for _, shake in whole for frame in shake.evidence.frames)
    return findings.syns


def _options(findings: Findings, whole: list[tuple[Connection, Handshake]]) -> Table:
    """The options, one row for each combination that occurs."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for one, shake in whole:
        for side, options in (("client", shake.client), ("server", shake.server)):
            groups.setdefault((side, *_words(options)), []).append(one.stream)
    rows = [(*key, plural(len(streams), "connection")) for key, streams in groups.items()]
    return Table(
        "TCP options in the SYNs: maximum segment size (MSS), window scale, selective acknowledgement (SACK) and "
        "timestamps",
        (
            Column("From"),
            *numbers("MSS", "Window scale"),
            Column("SACK"),
            Column("Timestamps"),
            Column("Window", "right"),
            Column("In", share=1),
        ),
        rows,
        findings.syns,
    )


def _words(options: Options) -> tuple[str, ...]:
    return (
        f"{options.mss:,}" if options.mss is not None else "–",
        f"2^{options.shift} = × {2**options.shift:,}" if options.shift is not None else "–",
        "permitted" if options.sack else "no",
        "yes" if options.timestamps else "no",
        f"{options.window:,}",
    )


def _payload(whole: list[tuple[Connection, Handshake]]) -> list[Block]:
    sizes = [shake.client.mss for _, shake in whole if shake.client.mss is not None]
    if not sizes or not any(shake.client.timestamps and shake.server.timestamps for _, shake in whole):
        return []
    mss = min(sizes)
    return [
        Paragraph(
            f"The MSS of {mss:,} octets is the MTU minus the IP and TCP headers. Both endpoints use timestamps, an "
            f"option of 12 octets (with padding) in every later segment, so a segment carries at most {mss - 12:,} "
            "octets of payload."
        )
    ]


def _missing(findings: Findings) -> list[Block]:
    lost = [one for one in findings.connections if one.handshake is None]
    if not lost:
        return []
    names = ", ".join(
        f"stream {one.stream} "
        f"({one.close.how if one.close.how == 'refused' else 'begun before the capture, or not completed'})"
        for one in lost[:6]
    )
    return [
        Paragraph(
            f"Without a complete handshake in this capture: {names}{' and more' if len(lost) > 6 else ''}.",
            lost[0].evidence if len(lost) == 1 else None,
        )
    ]
