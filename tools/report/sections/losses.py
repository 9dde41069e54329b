"""Where segments were lost: before the capture point, behind it, or only in the recording."""

from __future__ import annotations

from tools.report.analysis.losses import Loss, Place
from tools.report.document import Block, Column, Paragraph, Section, Table, first_of, numbers, plural
from tools.report.evidence import Evidence
from tools.report.findings import Findings

_SHOWN = 200
_PLACES: dict[Place, str] = {
    "before": "before the capture point",
    "behind": "behind the capture point",
    "unacknowledged": "cannot be known: no acknowledgement shows it",
    "needless": "nowhere: the earlier copy had arrived",
    "late": "nowhere: overtaken by the later segment",
    "unknown": "cannot be known: lost before the capture point, or overtaken",
}
_MEANINGS: dict[Place, str] = {
    "before": "Before the capture point: no earlier copy passed it (or the recorder has missed it)",
    "behind": "Behind it: a copy had passed, and the receiver asked for it with duplicate ACKs",
}
_FROM = {
    "identification": "the order of the identification (ip.id)",
    "timestamps": "the order of the timestamps (tcp.options.timestamp.tsval)",
    "sequence": "sequence and acknowledgement numbers",
    "D-SACK": "the receiver's D-SACK block (RFC 2883)",
}


def sections(findings: Findings) -> list[Section]:
    """Nothing where no segment came again or late, and none is missing."""
    blocks = [*_again(findings), *_unrecorded(findings)]
    return [Section("Where segments were lost", blocks, 2)] if blocks else []


def _again(findings: Findings) -> list[Block]:
    found = findings.losses
    if not found:
        return []
    shown = found[:_SHOWN]
    rows = [
        (
            str(loss.packet.number),
            findings.by_stream[loss.packet.stream].direction(from_client=loss.packet.from_client),
            "–" if loss.fills else str(loss.other.number),
            str(loss.other.number) if loss.fills else "–",
            _PLACES[loss.place],
            _FROM[loss.inferred_from],
        )
        for loss in shown
    ]
    return [
        Table(
            f"Segments that came again or late{first_of(shown, found)}: the frame of the earlier copy, or where none "
            "passed, of a later segment that passed before; and where the first copy was lost. "
            + ". ".join(words for place, words in _MEANINGS.items() if any(loss.place == place for loss in shown)),
            (
                *numbers("Frame"),
                Column("Direction", share=0.9),
                *numbers("Earlier copy", "Later segment"),
                Column("Lost", share=1.4),
                Column("Inferred from", share=1.4),
            ),
            rows,
            Evidence.frames_alone(frame for loss in shown for frame in _frames(loss)),
            small=True,
        )
    ]


def _frames(loss: Loss) -> tuple[int, int]:
    return loss.packet.number, loss.other.number


def _unrecorded(findings: Findings) -> list[Block]:
    """What arrived without having been recorded."""
    arrived = [hole for gap in findings.established_gaps if not gap.one_way for hole in gap.holes if hole.acknowledged]
    if not arrived:
        return []
    count = sum(hole.octets for hole in arrived)
    return [
        Paragraph(
            f"Lost only in the recording: {plural(count, 'octet')} in {plural(len(arrived), 'hole')}. They are "
            "acknowledged, so they had arrived, by the capture point's path or another one.",
            Evidence.frames_alone(hole.shown_by for hole in arrived),
        )
    ]
