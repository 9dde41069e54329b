"""The three-way handshake of each connection, with its numbers and options."""

from __future__ import annotations

from decimal import Decimal
from itertools import combinations

from tools.report.analysis.connections import Connection
from tools.report.analysis.handshakes import Handshake, Options, options_of
from tools.report.analysis.tcp_states import states
from tools.report.document import (
    Block,
    Column,
    Paragraph,
    Section,
    Table,
    exact,
    first_of,
    listed,
    numbers,
    quoted,
    seconds,
)
from tools.report.evidence import Evidence, among
from tools.report.findings import Findings
from tools.report.packets import ACK, SYN
from tools.report.sections.windows import scaling

_SHOWN = 200
_FEW = 2  # frames of one combination of options
_SEGMENTS = 12  # of the example
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
        *scaling(findings, whole),
        *_payload(whole),
        *_missing(findings),
    ]
    return [Section("The three-way handshake", blocks)]


def _detail(one: Connection, shake: Handshake) -> Table:
    """All segments up to the third one of the handshake, those that were sent again among them."""
    segments = [packet for packet in one.packets if packet.number <= shake.ack]
    known = states(one.packets)
    syns = [packet for packet in segments if packet.has(SYN)]
    again = {packet.number for one, packet in combinations(syns, 2) if one.flags == packet.flags}
    rows = [
        (
            str(packet.number),
            f"{packet.time - segments[0].time:f}",
            packet.direction,
            packet.flag_words + (" (again)" if packet.number in again else ""),
            str(packet.seq_raw),
            str(packet.ack_raw) if packet.has(ACK) else "–",
            f"{packet.seq} / {packet.ack if packet.has(ACK) else '–'}",
            f"{packet.window_raw:,}",
            *known[packet.number],
        )
        for packet in segments[:_SEGMENTS]
    ]
    return Table(
        f"The handshake of {one.who} (stream {one.stream}), segment by segment{first_of(rows, segments)}. Time in "
        "seconds since the first of them; window as written in the header; client and server: TCP's state once the "
        "segment was sent and has arrived, inferred. Before the SYN the client is CLOSED and the server in LISTEN",
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
    if one.client[0] == one.server[0] or shake.server_took is None or shake.client_took is None:
        return ""
    near, far = ("server", "client") if shake.server_took < shake.client_took else ("client", "server")
    ratio = max(shake.server_took, shake.client_took) / max(min(shake.server_took, shake.client_took), Decimal("1e-9"))
    return f": the capture point is nearer to the {near} than to the {far}" if ratio >= 4 else ""


def _arithmetic(one: Connection, shake: Handshake) -> Paragraph:
    words = (
        f"Frame {shake.syn_ack} acknowledges {shake.syn_ack_acks} = {shake.client_isn} + 1, and frame {shake.ack} "
        f"acknowledges {shake.ack_acks} = {shake.server_isn} + 1. "
    )
    if shake.rtt is None or shake.server_took is None or shake.client_took is None:
        words += (
            "A segment of the handshake was sent again, and no timestamp tells which of them was answered, so the "
            "initial round-trip time cannot be known."
        )
        return Paragraph(words, shake.evidence)
    words += (
        f"The initial round-trip time, from the SYN in frame {shake.syn} to the third segment, is {exact(shake.rtt)}: "
        f"{exact(shake.server_took)} from the SYN to the SYN-ACK and {exact(shake.client_took)} from the SYN-ACK to "
        f"the ACK, measured at the capture point{_farther(one, shake)}."
    )
    return Paragraph(words + _which(one, shake), shake.evidence)


def _which(one: Connection, shake: Handshake) -> str:
    """Which of several SYNs was answered, and what Wireshark counts from."""
    if shake.echoes is None:
        return ""
    syns = sorted([shake.syn, *shake.repeated])
    words = (
        f" The SYN was sent {len(syns)} times (frames {listed([str(frame) for frame in syns])}). Frame {shake.syn_ack} "
        f"answers the one in frame {shake.syn}, since it echoes the timestamp of that one, {shake.echoes} "
        f"({quoted('tcp.options.timestamp.tsecr')})."
    )
    if shake.syn != syns[-1]:
        third = next(packet for packet in one.packets if packet.number == shake.ack)
        last = next(packet for packet in one.packets if packet.number == syns[-1])
        words += (
            f" Wireshark's {quoted('tcp.analysis.initial_rtt')} counts from the last SYN instead "
            f"({exact(third.time - last.time)})."
        )
    return words


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
            str(len(shake.repeated)),
        )
        for one, shake in shown
    ]
    return Table(
        f"The handshakes{first_of(shown, whole)}: frames of SYN, SYN-ACK and ACK, the initial sequence numbers, "
        "whether each is acknowledged plus one, and how many other SYNs came before the SYN-ACK",
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
    found: dict[tuple[str, ...], list[int]] = {}
    for packet in findings.packets:
        if packet.has(SYN):
            found.setdefault((packet.sender, *_words(options_of(packet))), []).append(packet.number)
    rows = [(*key, _few(frames), f"{len(frames):,}") for key, frames in found.items()]
    return Table(
        "TCP options in the SYNs: maximum segment size (MSS), window scale, selective acknowledgement (SACK) and "
        "timestamps. Each frame with SYN counts, also one of a refused attempt and one that was sent again",
        (
            Column("From"),
            *numbers("MSS", "Window scale"),
            Column("SACK"),
            Column("Timestamps"),
            *numbers("Window", "Which", "Frames"),
        ),
        rows,
        findings.syns,
    )


def _few(frames: list[int]) -> str:
    """`3, 6 …`."""
    return ", ".join(map(str, frames[:_FEW])) + (" …" if len(frames) > _FEW else "")


def _words(options: Options) -> tuple[str, ...]:
    return (
        f"{options.mss:,}" if options.mss is not None else "–",
        f"{options.shift} (× {2**options.shift:,})" if options.shift is not None else "–",
        "permitted" if options.sack else "no",
        "yes" if options.timestamps else "no",
        f"{options.window:,}",
    )


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
