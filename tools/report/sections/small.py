"""Small segments and late acknowledgements: Nagle's algorithm, and delayed acknowledgements."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import takewhile
from typing import Any

from tools.report.analysis.delays import LEAST, Acks, Held, acknowledgements, held, small_early
from tools.report.analysis.segments import Direction
from tools.report.analysis.transport import Spread
from tools.report.document import (
    Block,
    Column,
    Figure,
    Paragraph,
    Section,
    Table,
    first_of,
    listed,
    numbers,
    plural,
    seconds,
)
from tools.report.drawing import ACCENT, GREEN, RULE
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.packets import ACK, Packet
from tools.report.plots import plot, titled

_SHOWN = 200
_BEFORE, _AFTER = Decimal("0.01"), Decimal("0.03")  # seconds around what a plot is about
_SHORT = Decimal("0.002")  # seconds: what is shorter is drawn in microseconds


def sections(findings: Findings) -> list[Section]:
    """Nagle's algorithm where a direction shows it or shows that it is off, and delayed acknowledgements."""
    gaps = {gap.connection.stream: gap for gap in findings.gaps}
    early = {id(one): small_early(one, gaps[one.connection.stream]) for one in findings.directions}
    waits = {id(one): [] if early[id(one)] else held(one, gaps[one.connection.stream]) for one in findings.directions}
    found = [one for one in findings.directions if early[id(one)] or waits[id(one)] or one.most_in_one > 1]
    acks = acknowledgements(findings.gaps)
    if not found and not acks.delayed:
        return []
    blocks: list[Block] = [
        Paragraph(
            "Nagle's algorithm (RFC 896) holds a small segment back while earlier data is unacknowledged, and collects "
            "later writes in it. The option TCP_NODELAY turns it off: each write is sent at once. A receiver may delay "
            "an acknowledgement (RFC 1122: by less than 500 ms) to send it together with data. The two can wait for "
            "each other: the sender for the acknowledgement, the receiver for data to send it with."
        )
    ]
    slow = max(found, key=lambda one: max((wait.waited for wait in waits[id(one)]), default=0), default=None)
    quick = max(found, key=lambda one: _lines(one, early[id(one)]), default=None)
    if slow is not None and waits[id(slow)]:
        blocks.append(_told(slow, max(waits[id(slow)], key=lambda wait: wait.waited)))
    if quick is not None and early[id(quick)]:
        blocks.append(_off(quick, early[id(quick)]))
    if slow is not None and waits[id(slow)]:
        wait = max(waits[id(slow)], key=lambda wait: wait.waited)
        panels = [_held_panel(slow, wait)]
        if quick is not None and early[id(quick)]:
            panels.append(burst_panel(quick, early[id(quick)]))
        blocks.append(_figure(panels))
    if acks.delayed:
        blocks.append(_late(findings, acks))
    if found:
        blocks.append(_table(findings, found, early, waits))
    return [Section("Nagle's algorithm and delayed acknowledgements", blocks, 2)]


def _lines(direction: Direction, frames: list[int]) -> tuple[int, int]:
    """How many lines end in these frames, and how many frames there are: the most telling burst has many."""
    return sum(direction.ends[frame] for frame in frames), len(frames)


def _told(direction: Direction, wait: Held) -> Paragraph:
    acked = wait.released.time - wait.before.time
    return Paragraph(
        f"Nagle's algorithm is on in stream {direction.connection.stream} ({direction.name}), as inferred from three "
        f"frames. Frame {wait.before.number} carries {wait.before.payload:,} octets. Then the sender is silent for "
        f"{seconds(acked)}, until frame {wait.released.number} acknowledges them without payload: a delayed "
        f"acknowledgement. Only {seconds(wait.packet.time - wait.released.time)} later, frame {wait.packet.number} "
        f"carries {plural(wait.lines, 'line')} in one segment of {wait.packet.payload:,} octets: the writes that the "
        f"algorithm had held back and collected, for up to {seconds(wait.waited)}.",
        Evidence.frames_alone([wait.before.number, wait.released.number, wait.packet.number]),
    )


def _off(direction: Direction, frames: list[int]) -> Paragraph:
    return Paragraph(
        f"Nagle's algorithm is off in stream {direction.connection.stream} ({direction.name}): "
        f"{plural(len(frames), 'small segment')} {'was' if len(frames) == 1 else 'were'} sent while an earlier small "
        "one was unacknowledged, which the algorithm forbids.",
        Evidence.frames_alone(frames),
    )


@dataclass(slots=True)
class Panel:
    """A wait, or a burst without one; times in seconds from `first` on."""

    direction: Direction
    first: Packet
    wait: Held | None
    sent: list[Packet]
    acks: list[Packet]
    low: Decimal
    high: Decimal
    note: str = ""

    @property
    def scale(self) -> int:
        """How many units of the axis a second has: milliseconds, or microseconds for a short one."""
        return 1000 if self.high - self.low > _SHORT else 1_000_000

    def at(self, packet: Packet) -> float:
        return float((packet.time - self.first.time) * self.scale)


def _held_panel(direction: Direction, wait: Held) -> Panel:
    return _panel(direction, wait.before, wait, -_BEFORE, wait.waited + _AFTER)


def burst_panel(direction: Direction, early: list[int]) -> Panel:
    """Early segments one after the other, the one that they did not wait for, and its acknowledgement."""
    ordered = sorted(direction.segments, key=lambda packet: packet.number)
    start = max(0, next(at for at, packet in enumerate(ordered) if packet.number == early[0]) - 1)
    run = [ordered[start], *takewhile(lambda packet: packet.number in early, ordered[start + 1 :])]
    first, took = run[0], max(run[-1].time - run[0].time, Decimal("0.00001"))
    end = run[0].first + run[0].payload
    acks = (
        packet.time - first.time
        for packet in direction.connection.packets
        if packet.from_client != direction.from_client and packet.number > first.number and packet.acknowledged >= end
    )
    last = next((ack for ack in acks if took < ack < 3 * took), took)
    panel = _panel(direction, first, None, -took / 5, last + took / 10)
    panel.note = f" ({plural(len(run), 'segment')} in {seconds(run[-1].time - first.time)})"
    return panel


def _panel(direction: Direction, first: Packet, wait: Held | None, low: Decimal, high: Decimal) -> Panel:
    near = [packet for packet in direction.connection.packets if low <= packet.time - first.time <= high]
    sent = [packet for packet in near if packet.from_client == direction.from_client and packet.payload]
    acks = [packet for packet in near if packet.from_client != direction.from_client and not packet.payload]
    return Panel(direction, first, wait, sent, acks, low, high)


def _figure(panels: list[Panel]) -> Figure:
    """For each direction the segments and acknowledgements around a wait, and around a burst, on axes of their own."""

    def draw(axes: Any) -> None:
        for one, panel in zip(axes if len(panels) > 1 else [axes], panels, strict=True):
            _draw(one, panel)

    return Figure(
        "Segments and acknowledgements with Nagle's "
        f"algorithm{' (left) and without it (right; another scale)' if len(panels) > 1 else ''}. Blue: segments with "
        "payload, as high as the number of lines that end in them; green: acknowledgements without payload from the "
        "other end",
        lambda: [plot(draw, columns=len(panels), height=2.0)],
        "Bars along the time: with Nagle's algorithm one line, a pause and many lines; without it one line at a time",
        Evidence.frames_alone(packet.number for panel in panels for packet in (*panel.sent, *panel.acks)),
    )


def _draw(axes: Any, panel: Panel) -> None:
    ends, wait, sent = panel.direction.ends, panel.wait, panel.sent
    top = max((ends[packet.number] for packet in sent), default=1)
    if wait is not None:
        end = float(wait.waited * panel.scale)
        axes.axvspan(0, end, color=RULE, alpha=0.35, linewidth=0)
        axes.text(end / 2, top * 0.55, f"{seconds(wait.waited)}\nheld back", ha="center", fontsize=8)
    for packet in panel.acks:
        axes.axvline(panel.at(packet), color=GREEN, linewidth=0.9, linestyle=":")
    axes.vlines([panel.at(packet) for packet in sent], 0, [ends[packet.number] for packet in sent], ACCENT, linewidth=2)
    axes.set_xlim(float(panel.low * panel.scale), float(panel.high * panel.scale))
    axes.set_ylim(0, top * 1.1)
    axes.yaxis.get_major_locator().set_params(integer=True)
    title = f"{panel.direction.name}: {'on (inferred)' if wait is not None else 'off'}"
    titled(axes, title, f"{'ms' if panel.scale == 1000 else 'µs'}{panel.note}", "line ends")


def _late(findings: Findings, acks: Acks) -> Paragraph:
    """Which acknowledgements were delayed, why others do not count, and which filter shows that none is left out."""
    spread = Spread.of([packet.rtt for packet in acks.delayed if packet.rtt is not None])
    assert spread is not None
    one = spread.count == 1
    times = seconds(spread.least) if one else f"{seconds(spread.least)} to {seconds(spread.most)}"
    words = (
        f"In {_streams(acks.delayed)}, {plural(spread.count, 'acknowledgement')} without payload "
        f"{'was' if one else 'were'} delayed: {'it' if one else 'they'} came {times} after the segment. "
    )
    quick = Spread.of([packet.rtt for packet in acks.prompt if packet.rtt is not None])
    if quick is not None:
        words += (
            f"The path does not take that long: {plural(quick.count, 'other acknowledgement')} without payload of the "
            f"same endpoints came within 10 ms (median {seconds(quick.median)}). A receiver acknowledges at once when "
            "two full segments have come or one is out of order (RFC 5681); Linux also does so while a connection is "
            "new and after a long silence (quick-ACK mode), and else waits 40 ms or longer for data to send the "
            "acknowledgement with. Which of these holds for one acknowledgement is not in the capture. "
        )
    words += _sum(acks)
    for packets, why in (
        (acks.repaired, "octets were missing, sent again or probed for in between"),
        (acks.far, "no acknowledgement of that endpoint came within 10 ms, so the path itself may take that long"),
    ):
        if packets:
            words += f" Late for another reason: {len(packets):,} in {_streams(packets)}, since {why}."
    shown = [
        packet
        for packet in findings.packets
        if packet.flags == ACK and not packet.payload and packet.rtt is not None and packet.rtt >= LEAST
    ]
    more = len(shown) - spread.count
    counted = f", and {more:,} that {'does' if more == 1 else 'do'} not count" if more else ""
    words += (
        f" The filter shows all acknowledgements without payload that came {seconds(LEAST)} after their segment or "
        f"later: {'this one' if one else 'these'}{counted}."
    )
    return Paragraph(
        words, findings.select(f"tcp.len == 0 && tcp.flags == 0x010 && tcp.analysis.ack_rtt >= {LEAST}", shown)
    )


def _sum(acks: Acks) -> str:
    """All acknowledgements without payload, and what became of them."""
    parts = [
        (acks.delayed, "delayed"),
        (acks.prompt, "within 10 ms of the same endpoints"),
        ([*acks.repaired, *acks.far], "late for another reason"),
        (acks.other, "of endpoints that delayed none, or between 10 ms and 35 ms"),
    ]
    told = [f"{len(packets):,} {what}" for packets, what in parts if packets]
    words = f"Of acknowledgements without payload, {acks.alone:,} are the first for their octets: {listed(told)}"
    carried = f", and the {len(acks.carried):,} that travel with payload" if acks.carried else ""
    return f"{words}. Those of a SYN or a FIN are not among them{carried}."


def _streams(packets: list[Packet]) -> str:
    """`stream 3`, `streams 3, 4 and 9`."""
    numbers = sorted({packet.stream for packet in packets})
    return f"stream{'s' if len(numbers) > 1 else ''} {listed([str(number) for number in numbers])}"


def _table(
    findings: Findings, directions: list[Direction], early: dict[int, list[int]], waits: dict[int, list[Held]]
) -> Table:
    shown = sorted(directions, key=lambda one: -max(len(early[id(one)]), one.most_in_one))[:_SHOWN]
    rows = []
    fullest: list[int] = []
    for one in shown:
        number, most = one.ends.most_common(1)[0]
        fullest.append(number)
        frames, kept = early[id(one)], waits[id(one)]
        rows.append(
            (
                str(one.connection.stream),
                one.name,
                str(len(one.lines)),
                str(len(one.segments)),
                str(len(frames)),
                str(len(kept)),
                f"{most} (frame {number})",
                "off" if frames else "on (inferred)" if kept else "cannot be determined",
            )
        )
    cited = [frame for one in shown for frame in early[id(one)]]
    cited += [wait.packet.number for one in shown for wait in waits[id(one)]]
    return Table(
        f"Small segments{first_of(shown, directions)}: those sent before the previous one was acknowledged, those held "
        f"back until it was, and the most lines in one segment. {_left_out(findings, directions)}The frames listed are "
        + ("the early and the held ones" if cited else "those with the most lines"),
        (
            Column("Stream", "right"),
            Column("Direction"),
            *numbers("Lines", "Segments", "Early", "Held back", "Most lines in one"),
            Column("Nagle's algorithm"),
        ),
        rows,
        Evidence.frames_alone(cited or fullest),
        small=True,
    )


def _left_out(findings: Findings, shown: list[Direction]) -> str:
    """How many directions the table leaves out, and why."""
    rest = len(findings.directions) - len(shown)
    if not rest:
        return "All directions with lines are shown. "
    others = f"{rest} other direction{'s have' if rest > 1 else ' has'}"
    return f"The {others} none of the three, so nothing can be said of the algorithm there. "
