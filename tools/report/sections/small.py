"""Small segments and late acknowledgements: Nagle's algorithm, and delayed acknowledgements."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tools.report.analysis.delays import Acks, Held, acknowledgements, held, small_early
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
from tools.report.packets import Packet
from tools.report.plots import plot, titled

_SHOWN = 200
_BEFORE, _AFTER = Decimal("0.01"), Decimal("0.03")  # seconds around what a plot is about


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
        pair: list[tuple[Direction, Packet, Held | None]] = [(slow, wait.before, wait)]
        if quick is not None and early[id(quick)]:
            first = next(packet for packet in quick.segments if packet.number == early[id(quick)][0])
            pair.append((quick, first, None))
        blocks.append(_figure(pair))
    if acks.delayed:
        blocks.append(_late(acks))
    if found:
        blocks.append(_table(findings, found, early, waits))
    return [Section("Nagle's algorithm and delayed acknowledgements", blocks, 2)]


def _lines(direction: Direction, frames: list[int]) -> tuple[int, int]:
    """How many lines are complete in these frames, and how many frames there are: the most telling burst has many."""
    complete = direction.complete_in()
    return sum(complete[frame] for frame in frames), len(frames)


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


def _figure(shown: list[tuple[Direction, Packet, Held | None]]) -> Figure:
    """For each direction the segments and acknowledgements around a wait, and around a burst."""
    span = max(wait.waited for _, _, wait in shown if wait is not None)
    frames: list[int] = []
    drawn = []
    for direction, first, wait in shown:
        low, high = first.time - _BEFORE, first.time + span + _AFTER
        near = [packet for packet in direction.connection.packets if low <= packet.time <= high]
        lines = direction.complete_in()
        sent = [packet for packet in near if packet.from_client == direction.from_client and packet.payload]
        acks = [packet for packet in near if packet.from_client != direction.from_client and not packet.payload]
        frames += [packet.number for packet in (*sent, *acks)]
        drawn.append((direction, first, wait, sent, acks, lines))

    def draw(panels: Any) -> None:
        listed = panels if len(drawn) > 1 else [panels]
        top = max(lines[packet.number] for _, _, _, sent, _, lines in drawn for packet in sent)
        for axes, (direction, first, wait, sent, acks, lines) in zip(listed, drawn, strict=True):
            if wait is not None:
                axes.axvspan(0, 1000 * wait.waited, color=RULE, alpha=0.35, linewidth=0)
                axes.text(500 * wait.waited, top * 0.55, f"{seconds(wait.waited)}\nheld back", ha="center", fontsize=8)
            elif sent:
                took = sent[-1].time - sent[0].time
                words = f"{plural(len(sent), 'segment')}\nin {seconds(took)}"
                axes.text(
                    1000 * (sent[-1].time - first.time) + 4, top * 0.55, words, fontsize=8, backgroundcolor="white"
                )
            for packet in acks:
                axes.axvline(1000 * (packet.time - first.time), color=GREEN, linewidth=0.9, linestyle=":")
            axes.vlines(
                [1000 * (packet.time - first.time) for packet in sent],
                0,
                [lines[packet.number] for packet in sent],
                color=ACCENT,
                linewidth=2,
            )
            axes.set_xlim(-1000 * _BEFORE, 1000 * (span + _AFTER))
            axes.set_ylim(0, top * 1.1)
            state = "on (inferred)" if wait is not None else "off"
            titled(axes, f"{direction.name}: {state}", "ms", "lines in the segment")

    return Figure(
        "Segments and acknowledgements with Nagle's "
        f"algorithm{' (left) and without it (right)' if len(shown) > 1 else ''}. Blue: segments with payload, as high "
        "as the number of lines in them; green: acknowledgements without payload from the other end",
        lambda: [plot(draw, columns=len(drawn), height=2.0)],
        "Bars along the time: with Nagle's algorithm one line, a pause and many lines; without it one line at a time",
        Evidence.frames_alone(frames),
    )


def _late(acks: Acks) -> Paragraph:
    """Which acknowledgements were delayed, and why others do not count."""
    spread = Spread.of([packet.rtt for packet in acks.delayed if packet.rtt is not None])
    assert spread is not None
    one = spread.count == 1
    times = seconds(spread.least) if one else f"{seconds(spread.least)} to {seconds(spread.most)}"
    words = (
        f"{plural(spread.count, 'acknowledgement')} without payload {'was' if one else 'were'} delayed: "
        f"{'it' if one else 'they'} came {times} after the segment, in {_streams(acks.delayed)}. The receiver waited "
        "for data to send the acknowledgement with, and none came. "
    )
    quick = Spread.of([packet.rtt for packet in acks.prompt if packet.rtt is not None])
    if quick is not None:
        words += (
            f"The path does not take that long: {plural(quick.count, 'other acknowledgement')} without payload of the "
            f"same endpoints came within 10 ms (median {seconds(quick.median)}). "
        )
    words += (
        f"This counts what acknowledges payload for the first time and travels alone, {acks.alone:,} in all. It does "
        "not count acknowledgements of a SYN or a FIN"
    )
    if acks.carried:
        words += f", and the {len(acks.carried):,} that travel with payload"
    words += "."
    for packets, why in (
        (acks.repaired, "octets were missing, sent again or probed for meanwhile"),
        (acks.far, "no acknowledgement of that endpoint came within 10 ms, so the path itself may take that long"),
    ):
        if packets:
            late = plural(len(packets), "late acknowledgement")
            words += f" {late} in {_streams(packets)} {'is' if len(packets) == 1 else 'are'} left out, since {why}."
    return Paragraph(words, Evidence.frames_alone(packet.number for packet in acks.delayed))


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
        number, most = one.complete_in().most_common(1)[0]
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
