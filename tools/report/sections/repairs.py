"""What TCP repaired: segments sent again, late or asked for again, judged by the capture and not by a label."""

from __future__ import annotations

from collections import Counter

from tools.report.analysis.repairs import LABELS, Event, Kind, contradictions
from tools.report.analysis.transport import Sign
from tools.report.document import Block, Column, Paragraph, Section, Table, first_of, listed, numbers, plural, seconds
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.packets import ANALYSIS, Packet

_ROWS = 200
_LISTED = 6  # frames of an event

# For one, for several, and what it means.
KINDS: dict[Kind, tuple[str, str, str]] = {
    "retransmission": ("retransmission", "retransmissions", "octets that were sent before are sent again"),
    "out of order": (
        "segment out of order",
        "segments out of order",
        "sent before a segment that was captured earlier",
    ),
    "late": (
        "late segment",
        "late segments",
        "fills a gap; whether it was overtaken or sent again cannot be determined",
    ),
    "copy": ("packet captured twice", "packets captured twice", "the same packet, recorded once more"),
    "gap": ("segment after a gap", "segments after a gap", "the octets before it were not captured before it"),
    "duplicate ACK": (
        "duplicate ACK",
        "duplicate ACKs",
        "the receiver repeats its acknowledgement: octets are missing there (RFC 5681, RFC 6675)",
    ),
    "window update": ("window update", "window updates", "the receiver has room again"),
    "window probe": ("window probe", "window probes", "asks whether a zero window is open again"),
    "keep-alive": ("keep-alive", "keep-alives", "asks whether the other end still exists"),
}
_QUOTED = [name for name in ANALYSIS if name not in LABELS]  # what Wireshark says, and this report takes over
_NO_DUPLICATE = "a duplicate ACK repeats number and window while octets are outstanding (RFC 5681), not so here"
_WRONG = {"tcp.analysis.duplicate_ack": _NO_DUPLICATE}


def sections(findings: Findings) -> list[Section]:
    """The events, the retransmissions, and where Wireshark says something else."""
    blocks: list[Block] = [_table(findings)] if findings.events or findings.signs else [_nothing(findings)]
    repeated = [event for event in findings.events if event.kind == "retransmission"]
    if repeated:
        blocks += [_triggers(), _retransmissions(findings, repeated)]
    blocks += _contradictions(findings)
    return [Section("Retransmissions and window events", blocks, 2)]


def told(findings: Findings) -> Paragraph:
    """The same in a sentence or two, for the summary."""
    repeated = [event for event in findings.events if event.kind == "retransmission"]
    if not repeated:
        return _nothing(findings)
    causes = Counter(_cause(event) for event in repeated)
    words = f"{plural(len(repeated), 'segment')} {'was' if len(repeated) == 1 else 'were'} sent again: "
    words += listed([f"{count:,} {cause}" for cause, count in causes.most_common()])
    kinds = Counter(str(event.kind) for event in findings.events)
    named = [(kind, words) for kind, words in KINDS.items() if kind != "retransmission" and kinds[kind]]
    others = [plural(kinds[kind], one, several) for kind, (one, several, _) in named]
    others += [plural(len(sign.evidence.frames), sign.words, sign.several) for sign in _signs(findings)]
    return Paragraph(f"{words}{f'. The capture also holds {listed(others)}' if others else ''}.", _frames(repeated))


def _cause(event: Event) -> str:
    if event.trigger.startswith("cannot"):
        return "for a reason that cannot be determined"
    return "by the timer" if event.trigger == "timer" else f"because of {event.trigger}"


def _nothing(findings: Findings) -> Paragraph:
    marked = [packet for packet in findings.packets if packet.analysis]
    evidence = findings.select("tcp.analysis.flags", marked) if not marked else None
    return Paragraph("No segment of this capture was sent again.", evidence)


def _signs(findings: Findings) -> list[Sign]:
    """What is taken over from Wireshark: its labels for what it alone can tell, or needs no proof."""
    return [sign for sign in findings.signs if sign.name in _QUOTED]


def _frames(found: list[Event]) -> Evidence:
    return Evidence.frames_alone(event.packet.number for event in found)


def _table(findings: Findings) -> Table:
    rows = []
    for kind, (one, _, meaning) in KINDS.items():
        frames = [event.packet.number for event in findings.events if event.kind == kind]
        if frames:
            rows.append((one, f"{len(frames):,}", _some(frames), meaning))
    for sign in _signs(findings):
        frames = list(sign.evidence.frames)
        rows.append((sign.words, f"{len(frames):,}", _some(frames), f"{sign.meaning} (Wireshark's label)"))
    frames = [event.packet.number for event in findings.events]
    frames += [frame for sign in _signs(findings) for frame in sign.evidence.frames]
    return Table(
        "Events of TCP, judged by sequence numbers, acknowledgements, SACK blocks, timestamps and IP identifications",
        (Column("Event"), Column("Frames", "right"), Column("Which", share=0.8), Column("Meaning", share=1)),
        rows,
        Evidence.frames_alone(frames),
    )


def _some(frames: list[int]) -> str:
    return ", ".join(str(frame) for frame in frames[:_LISTED]) + (" …" if len(frames) > _LISTED else "")


def _triggers() -> Paragraph:
    return Paragraph(
        "Why a segment was sent again is told where the capture shows it. Three duplicate ACKs start a fast "
        "retransmission (RFC 5681). A SACK block shows the sender that octets behind a gap have arrived (RFC 6675, "
        "RFC 8985). Only acknowledgements count that had reached the sender: the segment echoes their timestamp, or a "
        "later one. The timer is named where nothing reported a loss, and 200 ms or more have passed (the least on "
        "Linux; RFC 6298 recommends a second). A D-SACK block (RFC 2883) in a later acknowledgement says that the "
        "octets had arrived the first time."
    )


def _retransmissions(findings: Findings, repeated: list[Event]) -> Table:
    rows = []
    for event in repeated[:_ROWS]:
        packet, first = event.packet, event.first
        rows.append(
            (
                str(packet.number),
                findings.since(packet.time),
                findings.by_stream[packet.stream].direction(from_client=packet.from_client),
                str(packet.seq),
                f"{packet.payload:,}",
                str(first.number) if first else "not captured",
                seconds(packet.time - first.time) if first else "–",
                _trigger(event),
            )
        )
    shown = repeated[:_ROWS]
    cited = [frame for event in shown for frame in (event.packet, *event.reports)]
    cited += [packet for event in shown for packet in (event.first, event.needless) if packet is not None]
    return Table(
        f"Retransmitted segments{first_of(rows, repeated)}, and the frame in which the same octets were seen first; in "
        "brackets the acknowledgements that show the trigger",
        (
            *numbers("Frame", "Time"),
            Column("Direction", share=0.9),
            *numbers("Sequence", "Octets", "First seen in", "After"),
            Column("Triggered by", share=1),
        ),
        rows,
        Evidence.frames_alone(packet.number for packet in cited),
        small=True,
    )


def _trigger(event: Event) -> str:
    words = event.trigger
    if event.reports:
        words += f" ({_some([report.number for report in event.reports])})"
    return words + (f"; needless: D-SACK in frame {event.needless.number}" if event.needless is not None else "")


def _contradictions(findings: Findings) -> list[Block]:
    """Where Wireshark's label and the evidence differ."""
    found = [row for one in findings.connections for row in contradictions(one.packets, one.events)]
    if not found:
        return []
    found.sort(key=lambda row: row[0].number)
    rows = []
    cited: list[Packet] = []
    for packet, labels, own in found[:_ROWS]:
        said = listed([ANALYSIS[name][0] for name in labels]) or "no retransmission"
        proof = "; ".join(event.proof for event in own) or "; ".join(_WRONG.get(name, "") for name in labels)
        here = listed([KINDS[event.kind][0] for event in own]) or "none of these"
        rows.append((str(packet.number), said, here, proof or "nothing in the capture shows it"))
        cited.append(packet)
    return [
        Table(
            f"Labels of Wireshark's TCP analysis that the capture contradicts{first_of(rows, found)}",
            (
                Column("Frame", "right"),
                Column("Wireshark", share=0.5),
                Column("Here", share=0.5),
                Column("Since", share=1.6),
            ),
            rows,
            Evidence.frames_alone(packet.number for packet in cited),
            small=True,
        )
    ]
