"""The three-way handshake of each connection, with its numbers and options."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from tools.report.analysis.connections import Connection, Handshake, Options, options_of
from tools.report.analysis.tcp_states import steps
from tools.report.document import (
    Block,
    Column,
    Paragraph,
    Section,
    Table,
    exact,
    first_of,
    numbers,
    quoted,
    seconds,
)
from tools.report.evidence import Evidence, among
from tools.report.findings import Findings
from tools.report.packets import ACK, RST, SYN, Packet

_SHOWN = 200
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
        words = "This capture holds no handshake: it begins after the connections were opened."
        if findings.syns.frames:
            words = "This capture holds no complete handshake, but some segments of it. The others are missing."
        blocks.append(Paragraph(words, findings.syns))
        return [Section("The three-way handshake", blocks)]
    blocks += [
        _detail(*whole[0]),
        _arithmetic(*whole[0]),
        _table(findings, whole),
        _options(findings),
        *_scaling(findings, whole),
        *_payload(whole),
        *_missing(findings),
    ]
    return [Section("The three-way handshake", blocks)]


def _detail(one: Connection, shake: Handshake) -> Table:
    three = [packet for packet in one.packets if packet.number in (shake.syn, shake.syn_ack, shake.ack)]
    states = {step.packet.number: step for step in steps(one.packets)}
    rows = [
        (
            str(packet.number),
            f"{packet.time - one.first:f}",
            packet.direction,
            packet.flag_words,
            str(packet.seq_raw),
            str(packet.ack_raw) if packet.has(ACK) else "–",
            f"{packet.seq} / {packet.ack if packet.has(ACK) else '–'}",
            f"{packet.window_raw:,}",
            states[packet.number].client if packet.number in states else "=",
            states[packet.number].server if packet.number in states else "=",
        )
        for packet in three
    ]
    return Table(
        f"The handshake of {one.who} (stream {one.stream}), segment by segment. Time in seconds since the SYN; window "
        "as written in the header; client and server: TCP's state once the segment was sent and has arrived, inferred. "
        "Before the SYN the client is CLOSED and the server in LISTEN",
        (
            *numbers("Frame", "Time"),
            Column("Direction"),
            Column("Flags"),
            *numbers("Seq (raw)", "Ack (raw)", "Relative", "Window"),
            Column("Client"),
            Column("Server"),
        ),
        rows,
        shake.evidence,
        small=True,
    )


def _farther(one: Connection, shake: Handshake) -> str:
    """What the two parts of the round trip say of the capture point; nothing on the loopback interface."""
    if one.client[0] == one.server[0]:
        return ""
    near, far = ("server", "client") if shake.server_took < shake.client_took else ("client", "server")
    ratio = max(shake.server_took, shake.client_took) / max(min(shake.server_took, shake.client_took), Decimal("1e-9"))
    return f": the capture point is nearer to the {near} than to the {far}" if ratio >= 4 else ""


def _arithmetic(one: Connection, shake: Handshake) -> Paragraph:
    return Paragraph(
        f"Frame {shake.syn_ack} acknowledges {shake.syn_ack_acks} = {shake.client_isn} + 1, and frame {shake.ack} "
        f"acknowledges {shake.ack_acks} = {shake.server_isn} + 1. The initial round-trip time, from the SYN to the "
        f"third segment, is {exact(shake.rtt)}: {exact(shake.server_took)} from the SYN to the SYN-ACK and "
        f"{exact(shake.client_took)} from the SYN-ACK to the ACK, measured at the capture "
        f"point{_farther(one, shake)}.",
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
    """The frames of the handshakes; of many, their SYNs, which one filter finds."""
    if len(whole) <= _LISTED:
        return Evidence.frames_alone(frame for _, shake in whole for frame in shake.evidence.frames)
    streams = among("tcp.stream", sorted(one.stream for one, _ in whole))
    syns = [packet for one, _ in whole for packet in one.packets if packet.has(SYN)]
    return Evidence.showing(f"tcp.flags.syn == 1 && {streams}", syns)


def _options(findings: Findings) -> Table:
    """The options, one row for each combination that occurs."""
    counts = Counter((packet.sender, *_words(options_of(packet))) for packet in findings.packets if packet.has(SYN))
    rows = [(*key, f"{count:,}") for key, count in counts.items()]
    return Table(
        "TCP options in the SYNs: maximum segment size (MSS), window scale, selective acknowledgement (SACK) and "
        "timestamps. Each frame with SYN counts, also one of a refused attempt and one that was sent again",
        (
            Column("From"),
            *numbers("MSS", "Window scale"),
            Column("SACK"),
            Column("Timestamps"),
            *numbers("Window", "Frames"),
        ),
        rows,
        findings.syns,
    )


def _power(shift: int) -> str:
    """`2¹⁰`."""
    return "2" + str(shift).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _words(options: Options) -> tuple[str, ...]:
    return (
        f"{options.mss:,}" if options.mss is not None else "–",
        f"{options.shift} (× {2**options.shift:,})" if options.shift is not None else "–",
        "permitted" if options.sack else "no",
        "yes" if options.timestamps else "no",
        f"{options.window:,}",
    )


def _scaling(findings: Findings, whole: list[tuple[Connection, Handshake]]) -> list[Block]:
    """What window scale does, on the numbers of one connection."""
    both = next((pair for pair in whole if None not in (pair[1].client.shift, pair[1].server.shift)), None)
    why = (
        "The header's window field has 16 bits, so on its own a receiver can offer at most 65,535 octets. The option "
        "window scale (RFC 7323) lets it count in larger units."
    )
    if both is None:
        return [
            Paragraph(
                f"{why} No connection of this capture has the option in both SYNs, so no window is scaled.",
                findings.select("tcp.options.wscale.shift && tcp.flags.syn == 1", _with_shift(findings)),
            )
        ]
    one, shake = both
    third = next(packet for packet in one.packets if packet.number == shake.ack)
    assert shake.client.shift is not None
    assert shake.server.shift is not None
    later = next((p for p in one.packets if not p.from_client and not p.has(SYN) and not p.has(RST)), None)
    words = (
        f"{why} Both SYNs of stream {one.stream} carry it, so it is in force, for each direction with its sender's "
        f"shift: the client multiplies by {_power(shake.client.shift)} = {2**shake.client.shift:,}, the server by "
        f"{_power(shake.server.shift)} = {2**shake.server.shift:,}. The windows in the SYNs themselves are never "
        f"scaled. The client's field of {third.window_raw:,} in frame {third.number} means {third.window_raw:,} × "
        f"{2**shake.client.shift:,} = {third.window:,} octets"
    )
    frames = [shake.syn, shake.syn_ack, shake.ack]
    if later is not None:
        words += (
            f", the server's {later.window_raw:,} in frame {later.number} means {later.window_raw:,} × "
            f"{2**shake.server.shift:,} = {later.window:,} octets"
        )
        frames.append(later.number)
    return [
        Paragraph(
            f"{words}. In Wireshark: {quoted('tcp.window_size_value')} is the field, {quoted('tcp.window_size')} the "
            "product. Without the SYNs in the capture, the factor is unknown.",
            Evidence.frames_alone(frames),
        )
    ]


def _with_shift(findings: Findings) -> list[Packet]:
    return [packet for packet in findings.packets if packet.has(SYN) and packet.shift is not None]


def _payload(whole: list[tuple[Connection, Handshake]]) -> list[Block]:
    one, shake = whole[0]
    sizes = [options.mss for options in (shake.client, shake.server) if options.mss is not None]
    if not sizes:
        return []
    mss = min(sizes)
    header = 40 if ":" in one.client[0] else 20
    words = (
        f"The MSS of {mss:,} octets in stream {one.stream} is what is left of a packet of {mss + header + 20:,} octets "
        f"(the MTU) after the IPv{6 if header == 40 else 4} header of {header} and the TCP header of 20."
    )
    if shake.client.timestamps and shake.server.timestamps:
        words += (
            " Both endpoints use timestamps, an option of 12 octets (with padding) in every later segment, so a "
            f"segment carries at most {mss - 12:,} octets of payload."
        )
    return [Paragraph(words, Evidence.frames_alone([shake.syn, shake.syn_ack]))]


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
