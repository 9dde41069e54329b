"""Segmentation and reassembly, shown on real octets: which frames of which segments make which lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from pychat.visible import hexdump
from tools.report.analysis.counts import Count
from tools.report.analysis.segments import Direction, Placed
from tools.report.document import Block, Column, Figure, Listing, Paragraph, Section, Table, numbers, plural, quoted
from tools.report.drawing import RED
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.packets import Packet
from tools.report.plots import COLOURS, plot
from tools.report.sections.notes import note

_SHOWN = 200
_MOST_DRAWN = 14


def sections(findings: Findings) -> list[Section]:
    """Lines against segments: figures for all, then the plainest examples."""
    blocks: list[Block] = [
        Paragraph(
            "TCP carries a stream of octets without message boundaries. The sender's TCP divides the stream into "
            "segments at any octet; the receiver must reassemble the stream and split it at the line ends. The "
            "position of each line in the stream follows from the sequence numbers of the segments and the lengths of "
            "the lines before it."
        ),
        _table(findings),
    ]
    sections = [Section("Segmentation and reassembly", blocks)]
    spanning = _best(findings, lambda one: len(one.spanning))
    if spanning is not None and spanning.spanning:
        sections.append(Section("Lines that span segments", _spanning(findings, spanning), 2))
    shared = _best(findings, lambda one: one.most_in_one)
    if shared is not None and shared.most_in_one > 1:
        sections.append(Section("Several lines in one segment", _shared(findings, shared), 2))
    crumbs = max(
        (placed for one in findings.directions for placed in one.spanning),
        key=lambda placed: len(placed.frames),
        default=None,
    )
    if crumbs is not None and len(crumbs.frames) > 4:
        sections.append(Section("The line with the most segments", _crumbs(crumbs), 2))
    return sections


def _best(findings: Findings, measure: Callable[[Direction], int]) -> Direction | None:
    """The direction with most of something, of those where every line's place is certain."""
    candidates = [one for one in findings.directions if one.certain]
    return max(candidates, key=measure, default=None)


def _table(findings: Findings) -> Table:
    rows = []
    for one in findings.directions[:_SHOWN]:
        sizes = [packet.payload for packet in one.segments]
        rows.append(
            (
                str(one.connection.stream),
                one.name,
                str(Count(len(one.segments), _whole(findings, one))),
                f"{max(sizes, default=0):,}",
                str(Count(len(one.lines), _whole(findings, one))),
                f"{max((placed.line.length for placed in one.lines), default=0):,}",
                str(len(one.spanning)),
                str(one.sharing),
            )
        )
    carriers = [packet for packet in findings.packets if packet.payload]
    return Table(
        "Segments with payload and the lines in them, for each direction; retransmitted segments count once"
        + note(findings),
        (
            Column("Stream", "right"),
            Column("Direction"),
            *numbers("Segments", "Largest", "Lines", "Longest", "In several segments", "Sharing a segment"),
        ),
        rows,
        findings.select("tcp.len > 0", carriers),
        small=True,
    )


def _whole(findings: Findings, one: Direction) -> bool:
    return findings.whole(one.connection.stream, from_client=one.from_client)


def _window(direction: Direction, around: Placed) -> tuple[list[Packet], list[Placed]]:
    """A few segments from the one in which a line begins, and the lines that lie in them."""
    first = next(index for index, packet in enumerate(direction.segments) if packet.seq + packet.payload > around.start)
    segments = direction.segments[first : first + 5]
    low, high = segments[0].seq, segments[-1].seq + segments[-1].payload
    lines = [placed for placed in direction.lines if placed.end > low and placed.start < high][:_MOST_DRAWN]
    return segments, lines


def _spanning(findings: Findings, direction: Direction) -> list[Block]:
    cut = Counter(frame for placed in direction.spanning for frame in placed.frames)
    example = max(direction.spanning, key=lambda placed: (max(cut[frame] for frame in placed.frames), -placed.start))
    segments, lines = _window(direction, example)
    stream = direction.connection.stream
    frames = [packet.number for packet in segments]
    blocks: list[Block] = [
        Figure(
            f"Lines and segments in the stream of {direction.connection.who} (stream {stream}), by relative sequence "
            "number. Below: segments with frame numbers and lengths; above: lines with lengths in octets",
            lambda: [plot(lambda axes: _draw(axes, segments, lines), height=1.75)],
            "Two rows of boxes along the octets of the stream: lines above, segments below; their edges do not meet",
            Evidence.frames_alone(frames),
        ),
        _layout(direction, lines),
    ]
    return blocks + _octets(findings, direction, example)


def _draw(axes: Any, segments: Sequence[Packet], lines: Sequence[Placed]) -> None:
    low, high = segments[0].seq, segments[-1].seq + segments[-1].payload
    for index, packet in enumerate(segments):
        colour = ("#9db8cc", "#c7d7e3")[index % 2]
        axes.barh(0, packet.payload, left=packet.seq, height=0.62, color=colour, edgecolor="white")
        axes.text(
            packet.seq + packet.payload / 2,
            0,
            f"frame {packet.number}\n{packet.payload}",
            ha="center",
            va="center",
            fontsize=7,
            bbox=_behind(colour),
        )
    for index, placed in enumerate(lines):
        start, end = max(low, placed.start), min(high, placed.end)
        axes.barh(1, end - start, left=start, height=0.62, color=COLOURS[index % 4], edgecolor="white", alpha=0.75)
        if (end - start) > (high - low) * 0.06:
            axes.text(
                (start + end) / 2,
                1,
                f"{placed.line.length}",
                ha="center",
                va="center",
                fontsize=7,
                color="white",
                fontweight="bold",
            )
        if placed.end < high:
            axes.plot([placed.end, placed.end], [-0.35, 1.35], color=RED, linewidth=0.7, linestyle=":")
    axes.set_yticks([0, 1], ["segments", "lines"])
    axes.set_xlim(low, high)
    axes.set_xlabel("relative sequence number (octets)")
    axes.grid(visible=False)
    axes.ticklabel_format(axis="x", style="plain", useOffset=False)


def _behind(colour: str) -> dict[str, Any]:
    """A background for a label, so that no line is drawn through its letters."""
    return {"facecolor": colour, "edgecolor": "none", "pad": 1}


def _layout(direction: Direction, lines: Sequence[Placed]) -> Table:
    by_number = {packet.number: packet for packet in direction.segments}
    rows = []
    for placed in lines:
        parts = []
        for number in placed.frames:
            packet = by_number[number]
            first, last = max(placed.start, packet.seq), min(placed.end, packet.seq + packet.payload)
            parts.append(f"{number}: {last - first}")
        rows.append(
            (
                quoted(placed.line.whole, 46),
                str(placed.line.length),
                f"{placed.start}–{placed.end - 1}",
                ", ".join(parts),
                str(placed.line.number),
            )
        )
    return Table(
        "Which frames make which line: octets of the line in each frame. Wireshark shows a line in the frame that "
        "completes it",
        (
            Column("Line", share=1.4),
            *numbers("Octets", "Sequence numbers"),
            Column("Frame: octets", share=1),
            Column("Complete in", "right"),
        ),
        rows,
        Evidence.frames_alone(number for placed in lines for number in placed.frames),
        small=True,
    )


def _octets(findings: Findings, direction: Direction, placed: Placed) -> list[Block]:
    """The real octets around the edge of two segments."""
    if len(placed.frames) < 2:
        return []
    one, other = placed.frames[0], placed.frames[1]
    payloads = _payloads(findings, [one, other])
    if len(payloads) < 2:
        return []
    by_number = {packet.number: packet for packet in direction.segments}
    tail = payloads[one][-48:]
    head = payloads[other][:48]
    start = len(payloads[one]) - len(tail)
    lines = [f"frame {one}, the last {len(tail)} of {len(payloads[one])} octets of payload:"]
    lines += [f"  {row}" for row in hexdump(tail, start)]
    lines += ["", f"frame {other}, the first {len(head)} of {len(payloads[other])} octets of payload:"]
    lines += [f"  {row}" for row in hexdump(head)]
    first, second = by_number[one], by_number[other]
    return [
        Listing(
            f"A line that spans two segments: frame {one} ends with sequence number {first.seq + first.payload - 1}, "
            f"frame {other} continues with {second.seq}",
            lines,
            Evidence.frames_alone([one, other]),
        )
    ]


def _payloads(findings: Findings, frames: Sequence[int]) -> dict[int, bytes]:
    """The payload of some frames, asked of tshark."""
    rows = findings.tshark.few(("tcp.payload",), frames)
    return {number: bytes.fromhex(row[0]) for number, row in rows.items() if row[0]}


def _shared(findings: Findings, direction: Direction) -> list[Block]:
    counts: Counter[int] = direction.complete_in()
    number, count = counts.most_common(1)[0]
    lines = [placed for placed in direction.lines if placed.line.number == number]
    packet = next(packet for packet in direction.segments if packet.number == number)
    rows = [
        (str(index + 1), quoted(placed.line.whole, 60), str(placed.line.length), f"{placed.start}–{placed.end - 1}")
        for index, placed in enumerate(lines[:12])
    ]
    payload = _payloads(findings, [number]).get(number, b"")[:96]
    more = f"; the first {len(rows)} are shown" if count > len(rows) else ""
    return [
        Paragraph(
            f"Frame {number} carries {packet.payload:,} octets of payload and completes {plural(count, 'line')}. A "
            "receiver that treats each segment as one line would read them as one.",
            Evidence.frames_alone([number]),
        ),
        Table(
            f"The lines that frame {number} completes{more}",
            (
                Column("", "right"),
                Column("Line", share=1),
                *numbers("Octets", "Sequence numbers"),
            ),
            rows,
            Evidence.frames_alone([number]),
            small=True,
        ),
        Listing(
            f"The first octets of frame {number}: `0a` (LF) ends each line",
            hexdump(payload),
            Evidence.frames_alone([number]),
        ),
    ]


def _crumbs(placed: Placed) -> list[Block]:
    frames = list(placed.frames)
    shown = ", ".join(str(number) for number in frames[:24]) + (" …" if len(frames) > 24 else "")
    return [
        Paragraph(
            f"{quoted(placed.line.whole, 60)} has {placed.line.length:,} octets and spans "
            f"{plural(len(frames), 'segment')} (frames {shown}). It is complete in frame {placed.line.number}; before "
            "that, the receiver must wait for the rest.",
            Evidence.frames_alone(frames),
        )
    ]
