"""TCP over time: the stream's progress, throughput, round trips and windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from tools.report.analysis.connections import Connection
from tools.report.analysis.transport import Spread, data, round_trips
from tools.report.analysis.windows import offers
from tools.report.document import Block, Column, Figure, Paragraph, Section, Table, numbers, seconds
from tools.report.drawing import ACCENT, GREEN, ORANGE, RED
from tools.report.findings import Findings
from tools.report.packets import RST, SYN, Packet
from tools.report.plots import dots, keyed, plot, steps, thinned, titled
from tools.report.sections.notes import streams_of
from tools.report.sections.windows import curve

_DRAWN = 2
_LEAST = 500  # octets from which a direction is drawn beside another one
_BINS = 40
_ROWS = 200
_BULK = 8000  # octets from which a direction is a transfer rather than a talk


def sections(findings: Findings) -> list[Section]:
    """How TCP carried the chat."""
    plots: list[Block] = [
        Paragraph(
            "The plots show directions whose receiver has offered a zero window first, then those with "
            "retransmissions, then those with the most octets. "
            "In the time–sequence graph (Stevens) each dot is a segment with payload at its sequence number, and the "
            "line is the highest acknowledgement; the vertical distance between them is the data in flight."
        )
    ]
    for connection, from_client in _interesting(findings):
        plots += _four_plots(connection, from_client=from_client)
        plots += curve(connection, from_client=from_client)
    return [
        Section("TCP over time", _round_trips(findings)),
        Section("Time–sequence, throughput, round trips and window", plots, 2),
    ]


def _interesting(findings: Findings) -> list[tuple[Connection, bool]]:
    """The directions that are worth a plot, in the order that the text promises; of few octets only one."""
    directions = [
        (one, side)
        for one in findings.connections
        for side in (True, False)
        if len(data(one.packets, from_client=side)) >= 2
    ]

    def weight(direction: tuple[Connection, bool]) -> tuple[bool, bool, int]:
        one, side = direction
        stopped = any(not packet.window for packet in offers(one, of_client=not side))
        return stopped, any(packet.from_client == side for packet in _resent(one)), octets(direction)

    def octets(direction: tuple[Connection, bool]) -> int:
        one, side = direction
        return one.octets_up if side else one.octets_down

    found = sorted(directions, key=weight, reverse=True)
    return found[:1] + [each for each in found[1:_DRAWN] if octets(each) >= _LEAST]


def _resent(one: Connection) -> list[Packet]:
    return [packet for packet in one.packets if packet.number in one.resent]


def _four_plots(one: Connection, *, from_client: bool) -> list[Figure]:
    """Two figures of two plots each, of the same time."""
    who = one.direction(from_client=from_client)
    sent = data(one.packets, from_client=from_client)
    acks = [packet for packet in one.packets if packet.from_client != from_client]
    start = one.first
    low, high = _busy(sent, start)
    whole = float(one.last - start)

    def progress(panels: Any) -> None:
        _sequence(panels[0], one, sent, acks)
        _throughput(panels[1], sent, start, low, high)
        for panel in panels:
            panel.set_xlim(low, high)

    def answers(panels: Any) -> None:
        _rtt(panels[0], acks, start)
        _window(panels[1], acks, sent, start)
        for panel in panels:
            panel.set_xlim(low, high)

    return [
        Figure(
            f"{words} of {who} (stream {one.stream}). Time since the connection's first packet; "
            f"{_part(high - low, whole)}",
            partial(_pair, draw),
            f"Two plots of the octets from {who} over time",
            one.evidence,
        )
        for draw, words in (
            (progress, "Time–sequence graph and throughput"),
            (answers, "Round-trip times of acknowledgements, and window,"),
        )
    ]


def _pair(draw: Callable[[Any], None]) -> list[str]:
    return [plot(draw, columns=2, height=1.95)]


def _part(shown: float, whole: float) -> str:
    """Which part of a connection's time a plot shows, both in seconds; the margin is no part of it."""
    if shown >= whole * 0.9:
        return f"the whole connection is shown, {seconds(whole)}"
    return f"shown are the {seconds(shown)} of {seconds(whole)} in which most octets were sent"


def _busy(sent: Sequence[Packet], start: Decimal) -> tuple[float, float]:
    """The time in which all but a twentieth of the octets moved, with a margin; a talk is shown whole."""
    total = sum(packet.payload for packet in sent)
    low, high, gone = _after(sent[0], start), _after(sent[-1], start), 0
    if total > _BULK:
        for packet in sent:
            if gone <= total * 0.025:
                low = _after(packet, start)
            if gone <= total * 0.975:
                high = _after(packet, start)
            gone += packet.payload
    margin = max((high - low) * 0.06, 1e-4)
    return low - margin, high + margin


def _after(packet: Packet, start: Decimal) -> float:
    """The seconds from a time to a packet, as plots want them."""
    return float(packet.time - start)


def _sequence(axes: Any, one: Connection, sent: Sequence[Packet], acks: Sequence[Packet]) -> None:
    start, resent = one.first, one.resent
    again = [packet for packet in sent if packet.number in resent]
    first = thinned([packet for packet in sent if packet.number not in resent])
    acknowledged = thinned([packet for packet in acks if packet.ack])
    steps(axes, [(_after(packet, start), packet.ack) for packet in acknowledged], GREEN, "acknowledged")
    dots(axes, [(_after(packet, start), packet.seq) for packet in first], ACCENT, "segment")
    if again:
        dots(axes, [(_after(packet, start), packet.seq) for packet in again], RED, "retransmission", "x")
    titled(axes, "Time–sequence", "seconds", "sequence number")
    keyed(axes)


def _throughput(axes: Any, sent: Sequence[Packet], start: Decimal, low: float, high: float) -> None:
    """Bits per second in bins, as many as make the plot readable."""
    width = (high - low) / _BINS
    counts = [0] * _BINS
    for packet in sent:
        index = int((_after(packet, start) - low) / width)
        if 0 <= index < _BINS:
            counts[index] += packet.payload
    edges = [low + index * width for index in range(_BINS)]
    axes.bar(edges, [count * 8 / width / 1e6 for count in counts], width=width, align="edge", color=ACCENT)
    titled(axes, f"Throughput (bins of {seconds(width)})", "seconds", "payload, Mbit/s")


def _rtt(axes: Any, acks: Sequence[Packet], start: Decimal) -> None:
    measured = thinned([packet for packet in acks if packet.rtt is not None])
    dots(axes, [(_after(packet, start), 1000 * float(packet.rtt or 0)) for packet in measured], ORANGE)
    titled(axes, "Round-trip time", "seconds", "ms until the ACK")
    if measured:
        axes.set_yscale("log")


def _window(axes: Any, acks: Sequence[Packet], sent: Sequence[Packet], start: Decimal) -> None:
    offered = thinned([packet for packet in acks if not packet.has(SYN) and not packet.has(RST)])
    flying = thinned([packet for packet in sent if packet.in_flight is not None])
    steps(axes, [(_after(packet, start), packet.window) for packet in offered], GREEN, "receiver's window")
    dots(axes, [(_after(packet, start), packet.in_flight or 0) for packet in flying], ACCENT, "in flight")
    titled(axes, "Window", "seconds", "octets")
    keyed(axes)


def _round_trips(findings: Findings) -> list[Block]:
    rows = []
    for one in findings.connections[:_ROWS]:
        trips = [round_trips(one, by_client=side) for side in (True, False)]
        if any(trips):
            rows.append((str(one.stream), one.who, *(cell for spread in trips for cell in _cells(spread))))
    measured = [packet for packet in findings.packets if packet.rtt is not None]
    if not rows:
        return [Paragraph("No segment of this capture is acknowledged in it.")]
    return [
        Paragraph(
            "The round-trip time is the time from a segment to its acknowledgement, measured at the capture point. "
            "ACKs of the client measure the path to the client and back, ACKs of the server the path to the server. A "
            "delayed acknowledgement adds its delay, 40 ms and more on Linux."
        ),
        Table(
            "Round-trip times of acknowledgements by connection: how many, the median and the longest"
            + _upper(findings),
            (
                Column("Stream", "right"),
                Column("Who"),
                *numbers("By the client", "Median", "Most", "By the server", "Median", "Most"),
            ),
            rows,
            findings.select("tcp.analysis.ack_rtt", measured),
            small=True,
        ),
    ]


def _upper(findings: Findings) -> str:
    """What missing packets do to round-trip times."""
    streams = sorted({gap.connection.stream for gap in findings.established_gaps if gap.holes or gap.unseen})
    if not streams:
        return ""
    return f". In {streams_of(streams)}, acknowledgements may be missing, and then a later one is measured"


def _cells(spread: Spread | None) -> tuple[str, str, str]:
    return ("0", "–", "–") if spread is None else (str(spread.count), seconds(spread.median), seconds(spread.most))
