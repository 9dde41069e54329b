"""Segmentation and reassembly, shown on real octets: which frames of which segments make which lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pychat.visible import hexdump
from tools.report.analysis.counts import Count
from tools.report.analysis.segments import Direction, Filler, Piece, Placed
from tools.report.document import (
    Block,
    Column,
    Figure,
    Listing,
    Paragraph,
    Section,
    Table,
    first_of,
    listed,
    numbers,
    plural,
    quoted,
    seconds,
)
from tools.report.drawing import RED
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.plots import COLOURS, plot
from tools.report.sections.notes import note

_SHOWN = 200
_MOST_DRAWN = 14
_AROUND = 48  # octets that are shown on each side of a segment's edge
_DUMPED = 112  # octets of a segment that are shown


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
    split = list(_split_characters(findings))
    if split:
        sections.append(Section("Characters that span segments", _characters(findings, split), 2))
    shared = _best(findings, lambda one: one.most_in_one)
    if shared is not None and shared.most_in_one > 1:
        sections.append(Section("Several lines in one segment", _shared(findings, shared), 2))
    fillers = [filler for one in findings.directions for filler in one.fillers]
    if fillers:
        sections.append(Section("Lines that waited for missing octets", _waited(findings, fillers), 2))
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
                str(Count(len(one.spanning), one.certain and _whole(findings, one))),
                str(Count(one.sharing, _whole(findings, one))),
            )
        )
    carriers = [packet for packet in findings.packets if packet.payload]
    return Table(
        "Segments with payload and the lines in them, for each direction; retransmitted segments count once. A line "
        "shares a segment when another line ends in the same one" + note(findings),
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


def _window(direction: Direction, around: Placed) -> tuple[list[Piece], list[Placed]]:
    """A few segments from the one in which a line begins, and the lines that lie in them."""
    first = next(index for index, piece in enumerate(direction.pieces) if piece.end > around.start)
    pieces = direction.pieces[first : first + 5]
    low, high = pieces[0].start, pieces[-1].end
    lines = [placed for placed in direction.lines if placed.end > low and placed.start < high][:_MOST_DRAWN]
    return pieces, lines


def _spanning(findings: Findings, direction: Direction) -> list[Block]:
    cut = Counter(frame for placed in direction.spanning for frame in placed.frames)
    example = max(direction.spanning, key=lambda placed: (max(cut[frame] for frame in placed.frames), -placed.start))
    pieces, lines = _window(direction, example)
    stream = direction.connection.stream
    one, other = example.parts[:2]
    return [
        Figure(
            f"Lines and segments in the stream of {direction.connection.who} (stream {stream}), by relative sequence "
            "number. Below: segments with frame numbers and lengths; above: lines with lengths in octets",
            lambda: [plot(lambda axes: _draw(axes, pieces, lines), height=1.75)],
            "Two rows of boxes along the octets of the stream: lines above, segments below; their edges do not meet",
            Evidence.frames_alone(piece.packet.number for piece in pieces),
        ),
        _layout(lines),
        *_edge(
            findings,
            one,
            other,
            f"A line that spans two segments: frame {one.packet.number} ends with sequence number {one.end - 1}, frame "
            f"{other.packet.number} continues with {other.start}",
        ),
    ]


def _draw(axes: Any, pieces: Sequence[Piece], lines: Sequence[Placed]) -> None:
    low, high = pieces[0].start, pieces[-1].end
    for index, piece in enumerate(pieces):
        colour = ("#9db8cc", "#c7d7e3")[index % 2]
        axes.barh(0, piece.octets, left=piece.start, height=0.62, color=colour, edgecolor="white")
        axes.text(
            piece.start + piece.octets / 2,
            0,
            f"frame {piece.packet.number}\n{piece.octets}",
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


def _layout(lines: Sequence[Placed]) -> Table:
    rows = [
        (
            quoted(placed.line.whole, 46),
            str(placed.line.length),
            f"{placed.start}–{placed.end - 1}",
            ", ".join(f"{part.packet.number}: {part.octets}" for part in placed.parts),
            str(placed.line.number),
        )
        for placed in lines
    ]
    return Table(
        "Which frames make which line: octets of the line in each frame. Wireshark shows a line in the frame with "
        "which it is complete",
        (
            Column("Line", share=1.4),
            *numbers("Octets", "Sequence numbers"),
            Column("Frame: octets", share=1),
            Column("Complete in", "right"),
        ),
        rows,
        Evidence.frames_alone(frame for placed in lines for frame in placed.frames),
        small=True,
    )


def _edge(findings: Findings, one: Piece, other: Piece, caption: str) -> list[Block]:
    """The real octets on both sides of the edge of two segments."""
    frames = [one.packet.number, other.packet.number]
    payloads = _payloads(findings, frames)
    if len(payloads) < 2:
        return []
    before = payloads[frames[0]][: one.end - one.packet.first]
    start = other.start - other.packet.first
    after = payloads[frames[1]][start:]
    tail, head = before[-_AROUND:], after[:_AROUND]
    return [
        Listing(
            caption,
            [
                f"frame {frames[0]}, {_part('last', tail, before)}:",
                *(f"  {row}" for row in hexdump(tail, len(before) - len(tail))),
                "",
                f"frame {frames[1]}, {_part('first', head, after)}:",
                *(f"  {row}" for row in hexdump(head, start)),
            ],
            Evidence.frames_alone(frames),
        )
    ]


def _part(which: str, shown: bytes, octets: bytes) -> str:
    """`the last 48 of 1448 octets of payload`, `its only octet of payload`."""
    if len(octets) == 1:
        return "its only octet of payload"
    if len(shown) == len(octets):
        return f"all {len(octets)} octets of payload"
    return f"the {which} {len(shown)} of {len(octets)} octets of payload"


def _split_characters(findings: Findings) -> Iterator[tuple[str, Piece, Piece, int]]:
    """The characters with octets in two segments: the character, both segments, and its octets in the first one."""
    for direction in findings.directions:
        for placed in direction.spanning:
            text = placed.line.whole
            octets = text.encode("utf-8", "surrogateescape")
            if text.isascii() or not 0 <= placed.line.length - len(octets) <= 2:
                continue  # with LF or CR LF; other lengths: what is shown is not what was sent
            for one, other in zip(placed.parts, placed.parts[1:], strict=False):
                edge = other.start - placed.start
                before = len(octets[:edge].decode("utf-8", "ignore"))  # characters that are whole
                begun = edge - len(text[:before].encode())
                if begun > 0 and edge < len(octets):
                    yield text[before], one, other, begun


def _characters(findings: Findings, split: Sequence[tuple[str, Piece, Piece, int]]) -> list[Block]:
    """The first character that is cut, with its octets."""
    char, one, other, begun = split[0]
    octets = char.encode()
    frames = [one.packet.number, other.packet.number]
    first, rest = (quoted(part.hex(" ")) for part in (octets[:begun], octets[begun:]))
    others = len(split) - 1
    words = (
        f"{quoted(char)} is one character of {len(octets)} octets in UTF-8: {quoted(octets.hex(' '))}. Frame "
        f"{frames[0]} ends with {first}, and frame {frames[1]} begins with {rest}. A receiver that decodes each "
        "segment on its own reads no character there, so it must decode whole lines."
    )
    if others:
        words += f" {plural(others, 'other character')} of this capture {'is' if others == 1 else 'are'} cut as well."
    caption = (
        f"A character that spans two segments: {quoted(char)}, cut between frame {frames[0]} and frame {frames[1]}"
    )
    return [Paragraph(words, Evidence.frames_alone(frames)), *_edge(findings, one, other, caption)]


def _payloads(findings: Findings, frames: Sequence[int]) -> dict[int, bytes]:
    """The payload of some frames, asked of tshark."""
    rows = findings.tshark.few(("tcp.payload",), frames)
    return {number: bytes.fromhex(row[0]) for number, row in rows.items() if row[0]}


def _shared(findings: Findings, direction: Direction) -> list[Block]:
    number, count = direction.ends.most_common(1)[0]
    lines = [placed for placed in direction.lines if placed.ends_in == number]
    pieces = [piece for piece in direction.pieces if piece.packet.number == number]
    packet, new = pieces[0].packet, sum(piece.octets for piece in pieces)
    rows = [
        (str(index + 1), quoted(placed.line.whole, 60), str(placed.line.length), f"{placed.start}–{placed.end - 1}")
        for index, placed in enumerate(lines[:12])
    ]
    more = f"; the first {len(rows)} are shown" if count > len(rows) else ""
    which = "" if new == packet.payload else f" ({new:,} of them new)"
    evidence = Evidence.frames_alone([number])
    return [
        Paragraph(
            f"Frame {number} carries {packet.payload:,} octets of payload{which}, and {count} lines end in it. A "
            f"receiver that takes each segment for one line would find one line there instead of {count}.",
            evidence,
        ),
        Table(
            f"The lines that end in frame {number}{more}",
            (
                Column("", "right"),
                Column("Line", share=1),
                *numbers("Octets", "Sequence numbers"),
            ),
            rows,
            evidence,
            small=True,
        ),
        *_line_ends(number, _payloads(findings, [number]).get(number, b""), packet.line_ends),
    ]


def _line_ends(number: int, payload: bytes, ends: Sequence[int]) -> list[Block]:
    """The octets around the first line end of a frame, and around as many more as fit."""
    if not ends:
        return []
    last = max(end for end in ends if end - ends[0] <= _DUMPED - 32)
    start = max(0, (ends[0] + last - _DUMPED) // 2) // 16 * 16
    shown = payload[start : start + _DUMPED]
    places = listed([quoted(f"{end:04x}") for end in ends if start <= end < start + len(shown)])
    return [
        Listing(
            f"Octets of frame {number} around the end of a line: `0a` (LF) ends a line, here at {places}",
            hexdump(shown, start),
            Evidence.frames_alone([number]),
        )
    ]


def _waited(findings: Findings, fillers: Sequence[Filler]) -> list[Block]:
    """The segments that filled a gap, and which lines could be read only then."""
    most = max(fillers, key=lambda filler: len(filler.waiting))
    number, count, own = most.packet.number, len(most.waiting), len(most.own)
    first = min(placed.ends_in for placed in most.waiting)
    kinds = {event.packet.number: event.kind for event in findings.events}
    times = {packet.number: packet.time for packet in findings.packets}
    rows = [
        (
            str(filler.packet.number),
            filler.direction.name,
            kinds.get(filler.packet.number, "–"),
            f"{filler.packet.payload:,}",
            str(filler.direction.ends[filler.packet.number]),
            str(len(filler.waiting)),
            _ends_of(filler),
            seconds(filler.packet.time - times[min(placed.ends_in for placed in filler.waiting)]),
        )
        for filler in fillers[:_SHOWN]
    ]
    shown = fillers[:_SHOWN]
    cited = [filler.packet.number for filler in shown]
    cited += [placed.ends_in for filler in shown for placed in filler.waiting]
    ended = "no line ends" if not own else f"{plural(own, 'line')} {'ends' if own == 1 else 'end'}"
    return [
        Paragraph(
            "TCP delivers the octets of a stream in their order. Lines behind missing octets have to wait until these "
            "come, and Wireshark shows them in the frame that brings these, not in the frames that carry them. In "
            f"frame {number} ({most.direction.name}) {ended}; with it, {plural(count, 'line')} that had passed in "
            f"frames from {first} on could be read, so Wireshark shows {plural(own + count, 'line')} there.",
            Evidence.frames_alone([number, *(placed.ends_in for placed in most.waiting)]),
        ),
        Table(
            f"Segments that brought missing octets{first_of(rows, fillers)}: the lines that end in them, the lines "
            "from earlier frames that waited for them, and how long the first of these had waited at the capture point",
            (
                Column("Frame", "right"),
                Column("Direction"),
                Column("Segment"),
                *numbers("Octets", "Lines ending in it", "Lines waiting"),
                Column("Ends of these in frames", share=1),
                Column("Waited", "right"),
            ),
            rows,
            Evidence.frames_alone(cited),
            small=True,
        ),
    ]


def _ends_of(filler: Filler) -> str:
    frames = sorted({placed.ends_in for placed in filler.waiting})
    return ", ".join(map(str, frames[:12])) + (" …" if len(frames) > 12 else "")


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
