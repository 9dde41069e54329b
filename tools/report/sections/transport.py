"""TCP over time: the stream's progress, throughput, round trips, windows, and repairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tools.report.analysis.connections import Connection
from tools.report.analysis.transport import Spread, data, round_trips
from tools.report.document import Block, Column, Figure, Paragraph, Section, Table, seconds
from tools.report.drawing import ACCENT, GREEN, ORANGE, RED
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.packets import Packet
from tools.report.plots import plot, thinned

_DRAWN = 2
_BINS = 40
_ROWS = 30
_BULK = 8000  # octets from which a direction is a transfer rather than a talk
_REPAIRS = frozenset(
    {"tcp.analysis.retransmission", "tcp.analysis.fast_retransmission", "tcp.analysis.spurious_retransmission"}
)


def transport(findings: Findings) -> list[Section]:
    """How TCP carried the chat."""
    plots: list[Block] = [
        Paragraph(
            "The following plots show the connection with the most octets in one direction, and others where there "
            "was trouble. "
            "In the time–sequence graph (after Stevens) each dot is a segment with payload at its sequence number, "
            "and the line is what the "
            "receiver has acknowledged; the distance between them is what is on its way."
        )
    ]
    for connection, from_client in _interesting(findings):
        plots += _four_plots(findings, connection, from_client=from_client)
    return [
        Section("TCP over time", _round_trips(findings)),
        Section("Repairs and windows", _signs(findings), 2),
        Section("Time–sequence, throughput, round trips and window", plots, 2),
    ]


def _interesting(findings: Findings) -> list[tuple[Connection, bool]]:
    """The directions that are worth a plot, the one with the most octets first."""
    ways = [(one, side) for one in findings.connections for side in (True, False)]
    ways = [(one, side) for one, side in ways if len(data(one.packets, from_client=side)) >= 2]
    trouble = _REPAIRS | {"tcp.analysis.zero_window"}

    def weight(way: tuple[Connection, bool]) -> tuple[int, int]:
        one, side = way
        signs = sum(bool(packet.analysis & trouble) for packet in one.packets)
        return (min(signs, 1), one.octets_up if side else one.octets_down)

    ways.sort(key=weight, reverse=True)
    return ways[:_DRAWN]


def _four_plots(findings: Findings, one: Connection, *, from_client: bool) -> list[Block]:
    who = f"{one.who} → server" if from_client else f"server → {one.who}"
    sent = data(one.packets, from_client=from_client)
    acks = [packet for packet in one.packets if packet.from_client != from_client]
    start = one.first
    low, high = _busy(sent, start)

    def draw(panels: Any) -> None:
        _sequence(panels[0], sent, acks, start)
        _throughput(panels[1], sent, start, low, high)
        _rtt(panels[2], acks, start)
        _window(panels[3], acks, sent, start)
        for panel in panels:
            panel.set_xlim(low, high)

    return [
        Figure(
            f"{who} (stream {one.stream}): time–sequence graph, throughput, round-trip times of acknowledgements, "
            "and window. "
            f"Time since the connection's first packet; shown is when most octets moved, {seconds(high - low)} of "
            f"{seconds(one.last - one.first)}",
            plot(draw, rows=2, columns=2, height=3.5),
            f"Four plots of the octets from {who} over time",
            one.evidence,
        )
    ]


def _busy(sent: Sequence[Packet], start: float) -> tuple[float, float]:
    """The time in which all but a twentieth of the octets moved, with a margin; a talk is shown whole."""
    total = sum(packet.payload for packet in sent)
    low, high, gone = sent[0].time, sent[-1].time, 0
    if total > _BULK:
        for packet in sent:
            if gone <= total * 0.025:
                low = packet.time
            if gone <= total * 0.975:
                high = packet.time
            gone += packet.payload
    margin = max((high - low) * 0.06, 1e-4)
    return low - start - margin, high - start + margin


def _sequence(axes: Any, sent: Sequence[Packet], acks: Sequence[Packet], start: float) -> None:
    first = [packet for packet in sent if not packet.analysis & _REPAIRS]
    again = [packet for packet in sent if packet.analysis & _REPAIRS]
    line = thinned([packet for packet in acks if packet.ack])
    axes.step(
        [packet.time - start for packet in line],
        [packet.ack for packet in line],
        where="post",
        color=GREEN,
        label="acknowledged",
    )
    points = thinned(first)
    axes.plot(
        [packet.time - start for packet in points],
        [packet.seq for packet in points],
        ".",
        color=ACCENT,
        markersize=3.5,
        label="segment",
    )
    if again:
        axes.plot(
            [packet.time - start for packet in again],
            [packet.seq for packet in again],
            "x",
            color=RED,
            markersize=5,
            label="sent again",
        )
    axes.set_title("Time–sequence")
    axes.set_ylabel("relative sequence number")
    axes.set_xlabel("seconds")
    axes.legend(loc="best")


def _throughput(axes: Any, sent: Sequence[Packet], start: float, low: float, high: float) -> None:
    """Bits per second in bins, as many as make the plot readable."""
    width = (high - low) / _BINS
    counts = [0] * _BINS
    for packet in sent:
        index = int((packet.time - start - low) / width)
        if 0 <= index < _BINS:
            counts[index] += packet.payload
    edges = [low + index * width for index in range(_BINS)]
    axes.bar(edges, [count * 8 / width / 1e6 for count in counts], width=width, align="edge", color=ACCENT)
    axes.set_title(f"Throughput (bins of {seconds(width)})")
    axes.set_ylabel("Mbit/s of payload")
    axes.set_xlabel("seconds")


def _rtt(axes: Any, acks: Sequence[Packet], start: float) -> None:
    measured = thinned([packet for packet in acks if packet.rtt is not None])
    axes.plot(
        [packet.time - start for packet in measured],
        [1000 * (packet.rtt or 0) for packet in measured],
        ".",
        color=ORANGE,
        markersize=3.5,
    )
    axes.set_title("Round-trip time")
    axes.set_ylabel("ms until the ACK")
    axes.set_xlabel("seconds")
    if measured:
        axes.set_yscale("log")


def _window(axes: Any, acks: Sequence[Packet], sent: Sequence[Packet], start: float) -> None:
    offered = thinned([packet for packet in acks if not packet.flags & 0x02 and not packet.flags & 0x04])
    axes.step(
        [packet.time - start for packet in offered],
        [packet.window for packet in offered],
        where="post",
        color=GREEN,
        label="receiver's window",
    )
    flying = thinned([packet for packet in sent if packet.in_flight is not None])
    axes.plot(
        [packet.time - start for packet in flying],
        [packet.in_flight for packet in flying],
        ".",
        color=ACCENT,
        markersize=3.5,
        label="on its way",
    )
    axes.set_title("Window")
    axes.set_ylabel("octets")
    axes.set_xlabel("seconds")
    axes.legend(loc="best")


def _round_trips(findings: Findings) -> list[Block]:
    rows = []
    for one in findings.connections[:_ROWS]:
        trips = round_trips(one)
        if trips.by_client is None and trips.by_server is None:
            continue
        rows.append((str(one.stream), one.who, *_cells(trips.by_client), *_cells(trips.by_server)))
    measured = [packet for packet in findings.packets if packet.rtt is not None]
    if not rows:
        return [Paragraph("No acknowledgement in this capture belongs to a segment in it.")]
    return [
        Paragraph(
            "The time from a segment to its acknowledgement, where the capture was made. What the client "
            "acknowledges has been on the way to it and back; "
            "what the server acknowledges shows the other side. An acknowledgement may be delayed by its system (40 "
            "ms and more) to travel with data."
        ),
        Table(
            "Round-trip times of acknowledgements by connection: how many, the median and the longest",
            (
                Column("Stream", "right"),
                Column("Who"),
                Column("By the client", "right"),
                Column("Median", "right"),
                Column("Most", "right"),
                Column("By the server", "right"),
                Column("Median", "right"),
                Column("Most", "right"),
            ),
            rows,
            findings.select("tcp.analysis.ack_rtt", measured),
            small=True,
        ),
    ]


def _cells(spread: Spread | None) -> tuple[str, str, str]:
    return ("0", "–", "–") if spread is None else (str(spread.count), seconds(spread.median), seconds(spread.most))


_MEANING = {
    "tcp.analysis.retransmission": "octets that were sent before, again",
    "tcp.analysis.fast_retransmission": "sent again after duplicate ACKs, before the timer ran out",
    "tcp.analysis.spurious_retransmission": "sent again though it had been acknowledged",
    "tcp.analysis.out_of_order": "came after a segment that follows it",
    "tcp.analysis.lost_segment": "a segment before this one has not been seen here",
    "tcp.analysis.ack_lost_segment": "acknowledges what has not been seen here",
    "tcp.analysis.duplicate_ack": "the receiver repeats what it waits for: something is missing",
    "tcp.analysis.zero_window": "the receiver takes nothing for now: its buffer is full",
    "tcp.analysis.window_full": "the sender has used the whole window",
    "tcp.analysis.zero_window_probe": "asks whether the window is open again",
    "tcp.analysis.window_update": "the receiver takes octets again",
    "tcp.analysis.keep_alive": "asks whether the other end is there (or whether its window is open)",
    "tcp.analysis.keep_alive_ack": "the answer to it",
    "tcp.analysis.reused_ports": "a connection with the same four numbers as an earlier one",
}


def _signs(findings: Findings) -> list[Block]:
    if not findings.signs:
        words = "Wireshark's TCP analysis finds nothing to remark: no retransmission, no duplicate ACK, no zero window."
        return [Paragraph(words, findings.select("tcp.analysis.flags", [p for p in findings.packets if p.analysis]))]
    rows = [
        (
            sign.words,
            str(len(sign.evidence.frames)),
            ", ".join(str(number) for number in sign.evidence.frames[:6])
            + (" …" if len(sign.evidence.frames) > 6 else ""),
            _MEANING[sign.name],
        )
        for sign in findings.signs
    ]
    marked = [packet for packet in findings.packets if packet.analysis]
    blocks: list[Block] = [
        Table(
            "What Wireshark's TCP analysis remarks",
            (Column("Sign"), Column("Frames", "right"), Column("Which", share=0.8), Column("Meaning", share=1)),
            rows,
            findings.select(" || ".join(sign.name for sign in findings.signs).join("()"), marked),
        )
    ]
    repaired = [(packet, one) for one in findings.connections for packet in one.packets if packet.analysis & _REPAIRS]
    if repaired:
        blocks.append(_repaired(findings, repaired))
    return blocks


def _repaired(findings: Findings, repaired: list[tuple[Packet, Connection]]) -> Table:
    repaired = sorted(repaired, key=lambda pair: pair[0].number)
    rows = []
    for packet, one in repaired[:_ROWS]:
        same = next(
            (
                other
                for other in one.packets
                if other.number < packet.number
                and other.from_client == packet.from_client
                and other.seq <= packet.seq < other.seq + other.payload
            ),
            None,
        )
        rows.append(
            (
                str(packet.number),
                findings.since(packet.time),
                f"{one.who} → server" if packet.from_client else f"server → {one.who}",
                str(packet.seq),
                f"{packet.payload:,}",
                str(same.number) if same else "lost before the capture",
                seconds(packet.time - same.time) if same else "–",
                "duplicate ACKs" if "tcp.analysis.fast_retransmission" in packet.analysis else "timer",
            )
        )
    more = f" (the first {len(rows)} of {len(repaired)})" if len(repaired) > len(rows) else ""
    frames = [packet.number for packet, _ in repaired]
    return Table(
        f"Segments that were sent again{more}, and the frame in which the same octets were seen first",
        (
            Column("Frame", "right"),
            Column("Time", "right"),
            Column("Direction", share=1),
            Column("Sequence", "right"),
            Column("Octets", "right"),
            Column("First seen in", "right"),
            Column("After", "right"),
            Column("Because of"),
        ),
        rows,
        Evidence.of(f"tcp.analysis.retransmission && {findings.scope}", frames),
        small=True,
    )
