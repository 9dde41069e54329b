"""What TCP repaired: segments sent again, late or asked for again, judged by the capture and not by a label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from tools.report.analysis.network import INITIAL_TTLS
from tools.report.analysis.repairs import ANSWERS_SYN, LABELS, Event, Kind, contradictions, queued_before
from tools.report.analysis.transport import Sign
from tools.report.document import (
    Block,
    Column,
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
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.packets import ANALYSIS, ASKS, TELLS, Packet

_ROWS = 200
_LISTED = 6  # frames of an event
_HELD = 8  # copies of a segment that a sentence names
_JUST_BEFORE = Decimal("0.1")  # seconds between an address that was told and the segments that had waited for it

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
    "gap": ("segment after a gap", "segments after a gap", "the octets before it come later, or not at all"),
    "duplicate ACK": (
        "duplicate ACK",
        "duplicate ACKs",
        "the receiver repeats its acknowledgement: octets are missing there (RFC 5681, RFC 6675)",
    ),
    "window update": ("window update", "window updates", "the receiver has room again"),
    "window probe": ("window probe", "window probes", "asks whether a zero window is open again"),
    "keep-alive": ("keep-alive", "keep-alives", "asks whether the other end still exists"),
}
# What starts a retransmission: the words for the table and for the summary. Those of the first two are loss recovery.
FAST = ("duplicate ACKs", "SACK")
_CAUSES = {
    "duplicate ACKs": ("fast retransmission: duplicate ACKs", "by a fast retransmission after three duplicate ACKs"),
    "SACK": ("fast retransmission: SACK", "by a fast retransmission after SACK blocks had reported a gap"),
    "timer": ("retransmission timer", "when the retransmission timer had expired"),
    ANSWERS_SYN: ("answer to a repeated SYN (inferred)", "as the answer to a repeated SYN (inferred)"),
}
_QUOTED = [name for name in ANALYSIS if name not in LABELS]  # what Wireshark says, and this report takes over
_NO_DUPLICATE = (
    "a duplicate ACK repeats number and window while octets are outstanding (RFC 5681); here one of these is not so"
)


def sections(findings: Findings) -> list[Section]:
    """The events, the retransmissions, and where Wireshark says something else."""
    blocks: list[Block] = [_table(findings)] if findings.events or findings.signs else [_nothing(findings)]
    repeated = [event for event in findings.events if event.kind == "retransmission"]
    if repeated:
        blocks += [
            _triggers(),
            *_congestion(repeated),
            _retransmissions(findings, repeated),
            *_held(findings, repeated),
            *_queued(findings, repeated),
        ]
    blocks += _contradictions(findings)
    return [Section("Retransmissions and window events", blocks, 2)]


def told(findings: Findings) -> Paragraph:
    """The same in a sentence or two, for the summary."""
    repeated = [event for event in findings.events if event.kind == "retransmission"]
    if not repeated:
        return _nothing(findings)
    causes = Counter(_cause(event) for event in repeated)
    words = f"TCP sent {plural(len(repeated), 'segment')} again"
    if len(causes) == 1:
        words += f", {'' if len(repeated) == 1 else 'each '}{next(iter(causes))}"
    else:
        words += ": " + listed([f"{count:,} {cause}" for cause, count in causes.most_common()])
    kinds = Counter(str(event.kind) for event in findings.events)
    named = [(kind, words) for kind, words in KINDS.items() if kind != "retransmission" and kinds[kind]]
    others = [plural(kinds[kind], one, several) for kind, (one, several, _) in named]
    others += [plural(len(sign.evidence.frames), sign.words, sign.several) for sign in _signs(findings)]
    rest = f". The capture also holds {listed(others)}" if others else ""
    return Paragraph(f"{words}{rest}.", _labelled(findings, repeated))


def _cause(event: Event) -> str:
    if event.trigger.startswith("cannot"):
        why = event.trigger.partition(": ")[2]
        return f"for a reason that cannot be determined{f' ({why})' if why else ''}"
    return _CAUSES[event.trigger][1]


def _nothing(findings: Findings) -> Paragraph:
    marked = [packet for packet in findings.packets if packet.analysis]
    evidence = findings.select("tcp.analysis.flags", marked) if not marked else None
    return Paragraph("TCP sent no segment of this capture again.", evidence)


def _signs(findings: Findings) -> list[Sign]:
    """What is taken over from Wireshark: its labels for what it alone can tell, or needs no proof."""
    return [sign for sign in findings.signs if sign.name in _QUOTED]


def _labelled(findings: Findings, repeated: list[Event]) -> Evidence:
    """The retransmissions by Wireshark's label, corrected where the capture contradicts it."""
    label = "tcp.analysis.retransmission"
    shown = {packet.number for packet in findings.packets if label in packet.analysis}
    return Evidence.nearly(f"{label} && {findings.scope}", shown, (event.packet.number for event in repeated))


def _all(findings: Findings, frames: Sequence[int]) -> Evidence:
    """All events by Wireshark's labels, corrected where the capture contradicts them."""
    wanted = set(frames)
    names = [
        name for name in ANALYSIS if any(name in one.analysis and one.number in wanted for one in findings.packets)
    ]
    shown = [packet.number for packet in findings.packets if packet.analysis & set(names)]
    return Evidence.nearly(f"({' || '.join(names)}) && {findings.scope}", shown, wanted)


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
        _all(findings, frames),
    )


def _some(frames: list[int]) -> str:
    return ", ".join(str(frame) for frame in frames[:_LISTED]) + (" …" if len(frames) > _LISTED else "")


def _triggers() -> Paragraph:
    return Paragraph(
        "The cause of a retransmission is named where the capture shows it. Three duplicate ACKs start a fast "
        "retransmission (RFC 5681). A SACK block shows the sender that octets behind a gap have arrived, which starts "
        "one too (RFC 6675, RFC 8985). An acknowledgement counts only if it had reached the sender: the retransmission "
        "echoes its timestamp, or a later one. The retransmission timer is named where nothing reported a loss and at "
        "least 200 ms have passed: Linux waits for no less, RFC 6298 for a second. A D-SACK block (RFC 2883) in a "
        "later acknowledgement reports that the octets had arrived the first time."
    )


def _congestion(repeated: list[Event]) -> list[Paragraph]:
    """What a retransmission means for the congestion window."""
    fast = [event for event in repeated if event.trigger in FAST]
    timed = [event for event in repeated if event.trigger == "timer" and event.packet.payload]
    words = []
    if fast:
        words.append(
            "A fast retransmission does not wait for the timer. Its sender takes the loss for congestion and reduces "
            "its congestion window: to half of the octets in flight (RFC 5681), or to 70% with CUBIC (RFC 9438), "
            "Linux's default. Then it goes on in fast recovery"
        )
    if timed:
        words.append("After a timeout the congestion window is one segment, and slow start begins again (RFC 5681)")
    if not words:
        return []
    text = ". ".join(words) + ". No header has a field for the congestion window, so its size cannot be known."
    return [Paragraph(text, Evidence.frames_alone(event.packet.number for event in [*fast, *timed]))]


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
                _after(event),
                _trigger(event),
            )
        )
    shown = repeated[:_ROWS]
    cited = [frame for event in shown for frame in (event.packet, *event.reports)]
    cited += [packet for event in shown for packet in (event.first, event.needless) if packet is not None]
    return Table(
        f"Retransmitted segments{first_of(rows, repeated)}, the frame in which the same octets were seen first, and "
        "the time from that one; in brackets the frames that show the cause",
        (
            *numbers("Frame", "Time"),
            Column("Direction", share=0.9),
            *numbers("Sequence", "Octets", "First seen in"),
            Column("After", "right", share=0.5),
            Column("Caused by", share=1),
        ),
        rows,
        Evidence.frames_alone(packet.number for packet in cited),
        small=True,
    )


def _after(event: Event) -> str:
    """The time since the first copy; where they passed together, that by the sender's timestamps."""
    if event.first is None:
        return "–"
    passed = seconds(event.packet.time - event.first.time)
    return f"{event.apart:.3f} s by its timestamp ({passed} at the capture point)" if event.held else passed


def _trigger(event: Event) -> str:
    words = _CAUSES[event.trigger][0] if event.trigger in _CAUSES else event.trigger
    if event.reports:
        words += f" ({_some([report.number for report in event.reports])})"
    return words + (f"; needless: D-SACK in frame {event.needless.number}" if event.needless is not None else "")


def _held(findings: Findings, repeated: list[Event]) -> list[Paragraph]:
    """Copies that were sent one after the other and passed the capture point together."""
    copies: dict[int, list[Event]] = {}
    for event in repeated:
        if event.held and event.first is not None:
            copies.setdefault(event.first.number, []).append(event)
    return [_waited(findings, events) for events in list(copies.values())[:_HELD]]


def _waited(findings: Findings, events: Sequence[Event]) -> Paragraph:
    """Where they waited, as far as the capture shows it."""
    first = events[0].first
    assert first is not None
    shown = events[:_HELD]
    packets = [first, *(event.packet for event in shown)]
    frames = listed([str(packet.number) for packet in packets])
    later = listed([f"{event.apart:.3f} s" for event in shown])
    direction = findings.by_stream[first.stream].direction(from_client=first.from_client)
    one = len(shown) == 1
    words = (
        f"In stream {first.stream} ({direction}), frames {frames} passed the capture point within "
        f"{seconds(packets[-1].time - first.time)}. But by {'its timestamp' if one else 'their timestamps'} "
        f"(`tcp.options.timestamp.tsval`) the {'second was' if one else 'later ones were'} sent {later} after the "
        "first. So they waited together before the capture point (inferred)."
    )
    resolved = _resolved(findings, first)
    if resolved is not None:
        asked, told_in = resolved
        where = "host" if first.ttl in INITIAL_TTLS else "router"
        words += (
            f" Just before, frame {asked.number} asks for the hardware address of {quoted(first.dst)}, and frame "
            f"{told_in.number} answers. The {where} that asked, {asked.eth_src}, is the one from which these frames "
            f"come: they waited there until the address was known (inferred)."
        )
        packets += resolved
    return Paragraph(words, Evidence.frames_alone(packet.number for packet in packets))


def _resolved(findings: Findings, first: Packet) -> tuple[Packet, Packet] | None:
    """The request for the hardware address that a segment is sent to, and the answer, just before that segment."""
    asked = None
    for packet in findings.capture.packets if first.eth_src else ():
        if packet.number >= first.number:
            break
        if packet.neighbour in ASKS and packet.about == first.dst and packet.eth_src == first.eth_src:
            asked = packet
        elif (
            asked is not None
            and packet.neighbour in TELLS
            and first.dst in (packet.src, packet.about)
            and packet.eth_dst == first.eth_src
            and first.time - packet.time < _JUST_BEFORE
        ):
            return asked, packet
    return None


def _queued(findings: Findings, repeated: list[Event]) -> list[Paragraph]:
    """Retransmissions that passed some time after the report, behind segments that had been sent before it came."""
    away = {sender.address: sender.hops for sender in findings.senders}
    found = [
        (event, before)
        for event in repeated
        if event.trigger in FAST and away.get(event.packet.src)  # of one that is here, only the capture may be late
        if (before := queued_before(event, findings.by_stream[event.packet.stream].packets))
    ]
    if not found:
        return []
    event, before = max(found, key=lambda row: row[0].packet.time - row[0].reports[-1].time)
    report = event.reports[-1]
    one = len(before) == 1
    words = (
        f"Frame {event.packet.number} passed {seconds(event.packet.time - report.time)} after frame {report.number}, "
        f"the last report that had reached its sender. In between passed {plural(len(before), 'segment')} of new data "
        f"with an earlier echo (`tcp.options.timestamp.tsecr`), so {'it was' if one else 'they were'} sent before that "
        "report arrived, and the retransmission waited behind "
        f"{'it' if one else 'them'} in a queue before the capture point (inferred)."
    )
    others = [
        f"{one.packet.number} ({seconds(one.packet.time - one.reports[-1].time)} after frame {one.reports[-1].number}, "
        f"{plural(len(passed), 'segment')})"
        for one, passed in found
        if one is not event
    ]
    if others:
        words += f" The same is true of frame{'s' if len(others) > 1 else ''} {listed(others)}."
    cited = [frame for one, passed in found for frame in (one.packet, one.reports[-1], *passed)]
    return [Paragraph(words, Evidence.frames_alone(packet.number for packet in cited))]


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
        here = listed([KINDS[event.kind][0] for event in own])
        proof = "; ".join(event.proof for event in own)
        if not own and "tcp.analysis.duplicate_ack" in labels:
            again = _answered(findings, packet)
            here = "acknowledgement of a repeated segment" if again else "not a duplicate ACK"
            proof = f"it answers frame {again.number}, which came again (inferred)" if again else _NO_DUPLICATE
            cited += [again] if again else []
        rows.append((str(packet.number), said, here or "not shown", proof or "nothing in the capture shows it"))
        cited.append(packet)
    return [
        Table(
            f"Labels of Wireshark's TCP analysis that the capture contradicts{first_of(rows, found)}",
            (
                Column("Frame", "right"),
                Column("Wireshark says", share=0.5),
                Column("It is", share=0.5),
                Column("What shows it", share=1.6),
            ),
            rows,
            Evidence.frames_alone(packet.number for packet in cited),
            small=True,
        )
    ]


def _answered(findings: Findings, packet: Packet) -> Packet | None:
    """The repeated segment that an acknowledgement without payload answers (RFC 9293, 3.10.7.4)."""
    repeated = [
        event.packet
        for event in findings.by_stream[packet.stream].events
        if event.kind == "retransmission"
        and event.packet.sender != packet.sender
        and event.packet.number < packet.number
        and event.packet.after <= packet.acknowledged
        and packet.time - event.packet.time < _JUST_BEFORE
    ]
    return repeated[-1] if repeated and not packet.payload else None
