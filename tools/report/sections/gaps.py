"""What the capture lacks, how that is known, and what follows for the figures of this report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tools.capture.pcapng import dropped
from tools.report.analysis.gaps import Gaps
from tools.report.analysis.holes import Hole
from tools.report.document import Block, Column, Paragraph, Section, Table, first_of, listed, plural
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.packets import Packet

_SHOWN = 200
_STREAMS_SHOWN = 8
_HOW = {
    "sequence": "inferred: the sequence numbers go on behind them",
    "acknowledged": "inferred: they are acknowledged, and no packet has them",
    "cut": "seen: the packet is longer than what was recorded of it",
}


def sections(findings: Findings) -> list[Section]:
    """Always there: that nothing is missing is a finding too."""
    blocks: list[Block] = [Paragraph(_summed(findings)), *_holes(findings), *_rest(findings), *_recorder(findings)]
    if findings.unplaced:
        blocks.append(_unplaced(findings))
    return [Section("What the capture lacks", blocks, 2)]


def _unplaced(findings: Findings) -> Paragraph:
    count = len(findings.unplaced)
    return Paragraph(
        f"{plural(count, 'line')} of text {'was' if count == 1 else 'were'} sent to partners that the capture lacks: "
        "no frame tells the chat, and no connection of the capture got the line. The sections on chats leave them out.",
        Evidence.frames_alone(line.number for line in findings.unplaced),
    )


def lacking(findings: Findings) -> bool:
    """Whether anything of the chat's connections is missing before the capture's end."""
    return bool(findings.partial)


def _summed(findings: Findings) -> str:
    if not lacking(findings):
        return (
            "Nothing of the chat's connections is missing: each begins with its SYN, both directions are in the "
            "capture, and neither the sequence numbers nor the acknowledgements show a missing octet."
        )
    return (
        "This capture is not complete. A statement of this report is seen (packets show it), inferred (it says from "
        "what), or it says that something cannot be known. Where octets are missing, what comes after them is judged "
        "only as far as the rest shows it: nobody is said to have broken the specification because a packet is "
        "missing. All counts are of what the capture holds; there may have been more."
    )


def _holes(findings: Findings) -> list[Block]:
    found = [hole for gap in findings.gaps for hole in gap.holes]
    if not found:
        return []
    shown = found[:_SHOWN]
    rows = [
        (
            findings.by_stream[hole.stream].direction(from_client=hole.from_client) + f" (stream {hole.stream})",
            _range(hole),
            str(hole.shown_by),
            _HOW[hole.how],
        )
        for hole in shown
    ]
    return [
        Table(
            f"Octets that were sent and are not in the capture{first_of(shown, found)}: relative sequence numbers, and "
            "the frame that shows that they were sent. Each is a hole that no retransmission in the capture fills",
            (
                Column("Direction", share=1),
                Column("Sequence numbers", "right"),
                Column("Shown by frame", "right"),
                Column("How it is known", share=1.2),
            ),
            rows,
            Evidence.frames_alone(hole.shown_by for hole in shown),
            small=True,
        ),
        *_consequences(found, findings),
    ]


def _range(hole: Hole) -> str:
    if hole.octets == 1:
        return f"{hole.start} (an octet, or a FIN)"
    return f"{hole.start}–{hole.start + hole.octets - 1} ({hole.octets:,} octets)"


def _consequences(found: Sequence[Hole], findings: Findings) -> Iterator[Paragraph]:
    """What cannot be said any more, by the side whose octets are missing."""
    by_server = sorted({hole.stream for hole in found if not hole.from_client})
    by_client = sorted({hole.stream for hole in found if hole.from_client})
    if by_server:
        yield Paragraph(
            f"{_streams(by_server)}: what the server said in a hole cannot be known. After it, the state of the "
            "connection is unknown until later lines of the server tell it (inferred from them)."
        )
    if by_client:
        yield Paragraph(
            f"{_streams(by_client)}: what the client asked for in a hole cannot be known. Which requests the later "
            "answers are for is inferred from their order and their words, and so are response times. The state is "
            "still seen, since the server's lines tell it."
        )
    if not findings.tshark.waits:
        yield Paragraph(
            "Wireshark would wait for these octets to the end of the capture. So this report was made with "
            "`tcp.reassemble_out_of_order` off (see the command above): segments that arrived out of order are "
            "not put back in their order either, and what comes after them is treated as after a hole."
        )


def _streams(numbers: Sequence[int]) -> str:
    shown = [str(number) for number in numbers[:_STREAMS_SHOWN]]
    if len(numbers) > _STREAMS_SHOWN:
        shown.append(f"{len(numbers) - _STREAMS_SHOWN} more")
    return f"Stream{'s' if len(numbers) > 1 else ''} {listed(shown)}"


def _rest(findings: Findings) -> list[Block]:
    """Beginnings, ends, directions and cut packets."""
    rows: list[tuple[str, str, str]] = []
    established = findings.established_gaps
    late = [gap for gap in established if not gap.begun]
    one_way = [gap for gap in established if gap.one_way]
    cut = [gap for gap in established if gap.cut]
    open_ = [gap for gap in established if not gap.ended]
    if late:
        rows.append(
            (
                "The beginning",
                _of(late),
                (
                    "Seen: no SYN. Names, states and chats from before are inferred, as far as later lines tell them: "
                    "pushes that name the partner, and lines that come out at one other connection alone. The rest "
                    "cannot be known. Durations count from the first packet in the capture."
                ),
            )
        )
    for side, other in (("client", "server"), ("server", "client")):
        there = [gap for gap in one_way if gap.one_way == side]
        if there:
            rows.append(
                (
                    f"Every packet of the {other}",
                    _of(there),
                    f"Seen: only packets of the {side} are there. What the {other} said cannot be known"
                    + (", nor any state." if other == "server" else "; states are seen, requests are not."),
                )
            )
    if cut:
        packets = [packet for gap in cut for packet in gap.cut]
        rows.append(
            (
                f"The ends of {plural(len(packets), 'packet')}",
                _of(cut),
                "Seen: less was recorded than was sent (snap length). Lines in the missing part cannot be known.",
            )
        )
    if open_:
        rows.append(
            (
                "The end",
                _of(open_),
                "Seen: no FIN of both sides and no RST. Whether and how these connections ended later cannot be known.",
            )
        )
    if not rows:
        return []
    marks = [*_firsts(late), *_firsts(one_way), *(packet for gap in cut for packet in gap.cut)]
    return [
        Table(
            "What else is missing of the chat's connections. The frames are the first ones of connections without a "
            "beginning or a direction, and the packets that were cut",
            (
                Column("Missing", share=0.7),
                Column("Of", share=0.7),
                Column("How it is known, and what follows", share=2),
            ),
            rows,
            Evidence.frames_alone(packet.number for packet in marks) if marks else None,
        )
    ]


def _firsts(found: Sequence[Gaps]) -> list[Packet]:
    return [gap.connection.packets[0] for gap in found]


def _of(found: Sequence[Gaps]) -> str:
    return _streams([gap.connection.stream for gap in found]).replace("Stream", "stream", 1)


def _recorder(findings: Findings) -> list[Block]:
    """What the recorder itself has counted."""
    count = dropped(findings.tshark.capture)
    if count is None:
        words = (
            "The file does not say how many packets the recorder lost. Whether packets without payload are missing "
            "cannot be known."
        )
    elif count == 0:
        words = "By the file's own counters, the recorder lost no packet."
    else:
        words = (
            f"By the file's own counters, the recorder lost {plural(count, 'packet')}. Which ones they were cannot be "
            "known; those of the chat with payload show as holes above."
        )
    return [Paragraph(words)]
