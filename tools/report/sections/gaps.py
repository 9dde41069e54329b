"""What the capture lacks, how that is known, and what follows for the figures of this report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tools.capture.pcapng import dropped
from tools.report.analysis.connections import Connection
from tools.report.analysis.gaps import Gaps
from tools.report.analysis.holes import Hole
from tools.report.analysis.proofs import Proof
from tools.report.analysis.resets import reset
from tools.report.analysis.unseen import Unseen
from tools.report.document import Block, Column, Paragraph, Section, Table, first_of, listed, plural, quoted
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.packets import FIN, Line, Packet
from tools.report.sections.notes import TITLE, lacking, streams_of

_SHOWN = 200
_HOW = {
    "sequence": "inferred: the sequence numbers go on behind them",
    "acknowledged": "inferred: they are acknowledged, and no packet has them",
    "arrived": "inferred: the sequence numbers go on behind them, and they are acknowledged",
    "cut": "seen: the packet is longer than what was recorded of it",
}
# Which rule shows that a packet without octets of its own is missing.
_RULES = {
    "identification": (
        "The identification goes up by one with each packet of these connections: a number left out is a packet."
    ),
    "echo": "An end echoes only timestamps that it has got, so an echo of one that no packet has shows a packet.",
}


def sections(findings: Findings) -> list[Section]:
    """Always there: that nothing is missing is a finding too."""
    blocks: list[Block] = [
        Paragraph(_summed(findings), None if lacking(findings) else findings.select("tcp", findings.packets)),
        *_holes(findings),
        *_proofs(findings),
        *_packets(findings),
        *_without_reset(findings),
        *_rest(findings),
        *_names(findings),
        *_recorder(findings),
    ]
    if findings.unplaced:
        blocks.append(_unplaced(findings))
    return [Section(TITLE, blocks, 2)]


def _unplaced(findings: Findings) -> Paragraph:
    count = len(findings.unplaced)
    return Paragraph(
        f"The clients sent {plural(count, 'line')} of text of which no frame shows the chat, and which the capture "
        "does not show at a partner. To whom they went, and whether they were refused, cannot be known. The sections "
        "on chats leave them out.",
        Evidence.frames_alone(line.number for line in findings.unplaced),
    )


def _summed(findings: Findings) -> str:
    if not lacking(findings):
        return (
            "Of the chat's connections no octet is missing: each begins with its SYN, both directions are in the "
            "capture, and each octet that was sent or acknowledged is in one of the frames, by the sequence numbers."
        )
    return (
        "This capture is not complete. A statement of this report is seen (packets show it), inferred (it says from "
        "what), or it says that something cannot be known. Where octets are missing, what comes after them is judged "
        "only as far as the rest shows it: nobody is said to have broken the specification because a packet is "
        "missing. Connections of which no packet is in the capture cannot be known."
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
            f"{hole.after or 'the beginning'} – {hole.shown_by}",
            _HOW["arrived" if hole.how == "sequence" and hole.acknowledged else hole.how] + _confirmed(hole, findings),
        )
        for hole in shown
    ]
    return [
        Table(
            f"Octets that were sent and are not in the capture{first_of(shown, found)}: relative sequence numbers, and "
            "the frames between which they passed; the second one shows that they were sent. No retransmission in the "
            "capture fills these holes. A FIN counts as one octet",
            (
                Column("Direction", share=1),
                Column("Sequence numbers", "right"),
                Column("Between frames", "right"),
                Column("How it is known", share=1.2),
            ),
            rows,
            Evidence.frames_alone(hole.shown_by for hole in shown),
            small=True,
        ),
        *_consequences(found, findings),
    ]


def _confirmed(hole: Hole, findings: Findings) -> str:
    """What the identification says of it."""
    gap = next(gap for gap in findings.gaps if gap.connection.stream == hole.stream)
    same = next((each for each in _in_hole(hole, gap) if each.how == "identification"), None)
    if same is None:
        return ""
    return (
        f"; confirmed by the identification (ip.id), which leaves out {plural(same.packets, 'number')} between frames "
        f"{same.after} and {same.before}"
    )


def _in_hole(hole: Hole, gap: Gaps) -> list[Unseen]:
    """Packets that are known by other fields to be missing in that place."""
    return [
        each
        for each in gap.unseen
        if each.from_client == hole.from_client and each.before > (hole.after or 0) and each.after < hole.shown_by
    ]


def _proofs(findings: Findings) -> list[Block]:
    """What must have been in the holes."""
    if not findings.proofs:
        return []
    shown = findings.proofs[:_SHOWN]
    rows = [
        (
            findings.by_stream[proof.holes[0].stream].direction(from_client=proof.holes[0].from_client),
            listed([_place(hole) for hole in proof.holes[:3]]) + (" …" if len(proof.holes) > 3 else ""),
            _held(proof),
            _since(proof),
        )
        for proof in shown
    ]
    cited = {frame for proof in shown for frame in (proof.about, proof.proven_by)}
    return [
        Table(
            f"What must have been in the holes{first_of(shown, findings.proofs)}, inferred from later frames. Where "
            "several holes are named, it was in one of them",
            (
                Column("Direction", share=0.8),
                Column("Sequence numbers", "right"),
                Column("Must have been there", share=1),
                Column("Inferred from", share=1.5),
            ),
            rows,
            Evidence.frames_alone(cited),
            small=True,
        )
    ]


def _place(hole: Hole) -> str:
    return f"{hole.start}–{hole.start + hole.octets - 1}"


def _held(proof: Proof) -> str:
    if proof.kind == "answer":
        return f"the answer to {quoted(proof.words)} (frame {proof.about})"
    if proof.kind == "request":
        return f"a request {quoted(proof.words)}"
    if proof.kind == "push":
        return f"the push {quoted(proof.words)}"
    return f"the line {quoted(proof.words, 40)}"


def _since(proof: Proof) -> str:
    frame = proof.proven_by
    if proof.kind == "answer":
        return f"frame {frame} answers a later request, and answers keep the order of the requests"
    if proof.kind == "request":
        return f"frame {frame} answers it"
    if proof.kind == "said":
        return f"frame {frame} brings it to the partner"
    if proof.kind == "relayed":
        return f"it was sent in frame {proof.about}, and frame {frame} brings a later line of the same sender"
    return f"frame {frame} shows this step of the call at the other end"


def _packets(findings: Findings) -> list[Block]:
    """Packets of which no octet is missing: acknowledgements, and segments whose octets came again."""
    in_holes = {each for gap in findings.established_gaps for hole in gap.holes for each in _in_hole(hole, gap)}
    found = [each for gap in findings.established_gaps for each in gap.unseen if each not in in_holes]
    if not found:
        return []
    shown = found[:_SHOWN]
    hows = {each.how for each in shown}
    rows = [
        (
            findings.by_stream[each.stream].direction(from_client=each.from_client) + f" (stream {each.stream})",
            str(each.packets),
            f"{each.after} – {each.before}",
            _packet_shown(each),
        )
        for each in shown
    ]
    return [
        Table(
            f"Packets that were sent and are not in the capture{first_of(shown, found)}, though all octets are: "
            "acknowledgements, or segments whose octets came again. Round-trip times and the order of segments and "
            f"acknowledgements cannot be known exactly there. {' '.join(_RULES[how] for how in _RULES if how in hows)}",
            (
                Column("Direction", share=1),
                Column("Packets", "right"),
                Column("Between frames", "right"),
                Column("Inferred from", share=1),
            ),
            rows,
            Evidence.frames_alone(frame for each in shown for frame in (each.after, each.before)),
            small=True,
        )
    ]


def _packet_shown(each: Unseen) -> str:
    if each.how == "identification":
        return f"{plural(each.packets, 'number')} left out (ip.id)"
    return f"the echo in frame {each.shown_by} (tcp.options.timestamp.tsecr)"


def _without_reset(findings: Findings) -> list[Paragraph]:
    """Connections that one end no longer had, and whose end from its side is not in the capture."""
    found = ((one, reset(one.packets)) for one in findings.connections)
    return [
        _vanished(one, broken.packet, broken.answers)
        for one, broken in found
        if broken is not None and broken.answers is not None and broken.kind == "gone"
        if not any(each.has(FIN) and each.sender == broken.packet.sender for each in one.packets)
    ]


def _vanished(one: Connection, packet: Packet, answered: Packet) -> Paragraph:
    words = (
        f"The end of stream {one.stream} ({one.who}): with the RST in frame {packet.number} a host answers frame "
        f"{answered.number}, a segment of a connection that it does not have (RFC 9293, 3.10.7.1). The {packet.sender} "
        "had ended the connection before, but no FIN or RST of that is in the capture: it was lost before the capture "
        "point, or was not sent (inferred)."
    )
    return Paragraph(words, Evidence.frames_alone((answered.number, packet.number)))


def _names(findings: Findings) -> list[Block]:
    """The names that no answer of the capture gives to their connection."""
    named = [one for one in findings.connections if one.inferred]
    if not named:
        return []
    firsts = [_naming(one, findings) for one in named]
    rows = [
        (str(one.stream), quoted(one.user), f"inferred from frame {line.number}: {quoted(line.whole, 50)}")
        for one, line in zip(named[:_SHOWN], firsts, strict=False)
    ]
    return [
        Table(
            f"Names that are inferred{first_of(rows, named)}: the capture lacks the answer that gave them, and all "
            "that is said of these users rests on that",
            (Column("Stream", "right"), Column("User"), Column("How it is known", share=1)),
            rows,
            Evidence.frames_alone(line.number for line in firsts[:_SHOWN]),
        )
    ]


def _naming(one: Connection, findings: Findings) -> Line:
    """The last line of the server that names a user before the name is known to be the connection's."""
    known = next(line for line in one.lines if line.user)
    same = findings.spec.name_type.same
    naming = None
    for line in findings.lines:
        if line.number > known.number:
            break
        if not line.from_client and any(same(value, one.user) for value in line.values.values()):
            naming = line
    return naming or known


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
            f"{streams_of(by_server).capitalize()}: what the server said in a hole cannot be known. After it, the "
            "state of the connection is unknown until later lines of the server tell it (inferred from them)."
        )
    if by_client:
        yield Paragraph(
            f"{streams_of(by_client).capitalize()}: what the client asked for in a hole cannot be known. Which "
            "requests the later answers are for is inferred from their order and words, and so are response times."
            + ("" if by_server else " The state is still seen, since the server's lines tell it.")
        )
    if not findings.tshark.waits:
        yield Paragraph(
            "Wireshark would wait for these octets to the end of the capture. So this report was made with "
            "`tcp.reassemble_out_of_order` off (see the command above): segments that arrived out of order are "
            "not put back in their order either, and what comes after them is treated as after a hole."
        )


def _rest(findings: Findings) -> list[Block]:
    """Beginnings, ends, directions and cut packets."""
    rows: list[tuple[str, str, str]] = []
    established = findings.established_gaps
    late = [gap for gap in established if not gap.begun]
    one_way = [gap for gap in established if gap.one_way]
    cut = [gap for gap in established if gap.cut]
    open_ = [gap for gap in established if not gap.ended]
    silent = [gap for gap in findings.gaps if gap.connection.close.how == "unanswered"]
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
    if silent:
        rows.append(
            (
                "The answer to a SYN",
                _of(silent),
                "Seen: SYNs and nothing else. Whether these connections were established cannot be known.",
            )
        )
    if not rows:
        return []
    marks = [*_firsts(silent), *_firsts(late), *_firsts(one_way), *(packet for gap in cut for packet in gap.cut)]
    return [
        Table(
            "What else is missing of the chat's connections. The frames are the first ones of connections without an "
            "answer, a beginning or a direction, and the packets that were cut",
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
    return streams_of([gap.connection.stream for gap in found])


def _recorder(findings: Findings) -> list[Block]:
    """What the recorder itself has counted."""
    count = dropped(findings.capture.original)
    if count is None:
        words = (
            "The file does not say how many packets the recorder lost. Packets without payload may be missing where no "
            "other field tells of them."
        )
    elif count == 0:
        words = "By the file's own counters, the recorder lost no packet."
    else:
        words = (
            f"By the file's own counters, the recorder lost {plural(count, 'packet')}. Which ones they were cannot be "
            "known; those of the chat with payload show as holes above."
        )
    return [Paragraph(words)]
