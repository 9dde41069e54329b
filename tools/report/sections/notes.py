"""What every section says where the capture lacks something: before the first figure, and below its tables."""

from __future__ import annotations

from collections.abc import Sequence

from tools.report.analysis.unseen import Unseen
from tools.report.document import Block, Paragraph, listed, plural
from tools.report.evidence import Evidence
from tools.report.findings import Findings

TITLE = "What the capture lacks"  # of the section that has the details
_FEW = 3  # holes that a sentence can name one by one
_STREAMS_SHOWN = 8
_SHOWN_BY = {
    "identification": "numbers that the identification (`ip.id`) leaves out",
    "echo": "echoed timestamps (`tcp.options.timestamp.tsecr`) that no packet of the capture has",
}


def lacking(findings: Findings) -> bool:
    """Whether anything of the chat's connections is missing before the capture's end."""
    return bool(findings.partial)


def warning(findings: Findings) -> list[Block]:
    """What stands before the first figure of a report, where the capture lacks something."""
    lacks, words = findings.lacks, []
    made: list[Block] = [
        Paragraph(f"{step.why} All frame numbers of this report are of the file that the command in Table 1 makes.")
        for step in findings.capture.prepared
    ]
    late = [gap.connection.stream for gap in findings.established_gaps if not gap.begun]
    one_way = [gap.connection.stream for gap in findings.established_gaps if gap.one_way]
    holed = sorted({hole.stream for gap in findings.established_gaps for hole in gap.holes if not gap.one_way})
    unseen = sorted({each.stream for gap in findings.established_gaps for each in gap.unseen})
    if holed:
        words.append(f"octets are missing in {streams_of(holed)}{_where(findings)}")
    if late:
        words.append(f"{streams_of(late)} {'begins' if len(late) == 1 else 'begin'} before it")
    if one_way:
        words.append(f"it has one direction alone of {streams_of(one_way)}")
    if words:
        text = (
            f"This capture is not complete: {listed(words)}. A count with “≥” is a lower bound, since what is missing "
            f"can make it larger; the others are exact for the time of the capture. “{TITLE}” says what is seen, what "
            "is inferred, and what cannot be known."
        )
        marks = [hole.shown_by for gap in findings.established_gaps for hole in gap.holes[:1]]
        marks += [gap.connection.packets[0].number for gap in findings.established_gaps if not gap.begun]
        return [*made, Paragraph(text, Evidence.frames_alone(marks) if marks else None)]
    if unseen:
        found = [each for gap in findings.established_gaps for each in gap.unseen]
        how = [words for kind, words in _SHOWN_BY.items() if any(each.how == kind for each in found)]
        text = (
            f"The capture has every octet of the chat, but lacks at least {plural(_count(found), 'packet')} of "
            f"{streams_of(unseen)}, as inferred from {listed(how)} (see “{TITLE}”)."
        )
        return [*made, Paragraph(text, Evidence.frames_alone(n for each in found for n in (each.after, each.before)))]
    if lacks.open:
        count = len(lacks.open)
        text = (
            f"When the capture ends, {plural(count, 'connection')} {'is' if count == 1 else 'are'} open. All counts "
            "are of what happened until then; a count with “≥” may have become larger."
        )
        last = [findings.by_stream[stream].packets[-1].number for stream in lacks.open]
        return [*made, Paragraph(text, Evidence.frames_alone(last))]
    return made


def _count(found: Sequence[Unseen]) -> int:
    return sum(each.packets for each in found)


def _where(findings: Findings) -> str:
    """` (85 of the server, between frames 41 and 44)`, where there are few holes."""
    found = [hole for gap in findings.established_gaps for hole in gap.holes if not gap.one_way]
    if len(found) > _FEW:
        return ""
    places = [
        f"{hole.octets:,} of the {'client' if hole.from_client else 'server'}, "
        + (f"between frames {hole.after} and {hole.shown_by}" if hole.after else f"before frame {hole.shown_by}")
        for hole in found
    ]
    return f" ({'; '.join(places)})"


def note(findings: Findings) -> str:
    """For a caption with counts: ` (≥: a lower bound, since packets are missing)`; empty where nothing is."""
    if lacking(findings):
        return f". ≥: a lower bound, since something of {streams_of(sorted(findings.lacks.said))} is missing"
    return ". ≥: until the end of the capture" if findings.lacks.open else ""


def late(findings: Findings) -> str:
    """For a caption with frames that show something: it may have happened before."""
    if not lacking(findings):
        return ""
    same = next((call for call in findings.calls if call.perhaps is not None), None)
    again = f". {same.label}: nothing shows that this is another call than call {same.perhaps}" if same else ""
    return again + (
        f". Where packets of {streams_of(sorted(findings.lacks.said))} are missing, it may have happened before "
        "the frame that shows it"
    )


def streams_of(numbers: Sequence[int]) -> str:
    """`stream 4`, `streams 0, 1 and 2`."""
    shown = [str(number) for number in numbers[:_STREAMS_SHOWN]]
    if len(numbers) > _STREAMS_SHOWN:
        shown.append(f"{len(numbers) - _STREAMS_SHOWN} more")
    return f"stream{'s' if len(numbers) > 1 else ''} {listed(shown)}"
