"""The calls: who called whom, when it rang and for how long, how it ended, and which calls were missed."""

from __future__ import annotations

from collections import Counter

from tools.report.analysis.calls import Call, Outcome
from tools.report.analysis.transport import Spread
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
    span,
)
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.sections.notes import lacking, late

_SHOWN = 200
# How calls ended, for one of them and for several.
_SUMMED: dict[Outcome, tuple[str, str]] = {
    "answered": ("was answered", "were answered"),
    "declined": ("was declined by the called user", "were declined by the called users"),
    "unanswered": ("was not answered in time", "were not answered in time"),
    "hung up": ("was cancelled by its caller while it rang", "were cancelled by their callers while they rang"),
    "lost": (
        "ended because the connection of one user ended while it rang",
        "ended because the connection of one user ended while they rang",
    ),
    "unknown": (
        "ended, and whether it was answered cannot be known",
        "ended, and whether they were answered cannot be known",
    ),
    "open": ("is neither answered nor over", "are neither answered nor over"),
}


def sections(findings: Findings) -> list[Section]:
    """Nothing where nobody called and nobody missed a call."""
    blocks = [*_calls(findings), *_missed(findings)]
    return [Section("Calls", blocks, 2)] if blocks else []


def _calls(findings: Findings) -> list[Block]:
    calls = findings.calls
    if not calls:
        return []
    shown = calls[:_SHOWN]
    rows = [
        (
            call.label,
            f"{call.caller} {'→' if call.shown else '–'} {call.called}",
            findings.since(call.rang.time) if call.rang else "–",
            str(call.rang.frame) if call.rang else "–",
            seconds(call.ringing),
            _ended(call),
            str(call.decided.frame) if call.decided else "–",
        )
        for call in shown
    ]
    return [
        summed(findings),
        *_waits(findings),
        Table(
            f"The calls{first_of(shown, calls)}. A call rings from the frame that tells the called user of it until "
            "the frame that shows its answer or its end"
            + (". A dash: this frame is not in the capture" if any("–" in row for row in rows) else "")
            + late(findings),
            (
                Column("Call", "right"),
                Column("Caller → called", share=1),
                *numbers("Rings at", "Frame", "Rings for"),
                Column("How it ended", share=1.4),
                Column("Frame", "right"),
            ),
            rows,
            Evidence.frames_alone(moment.frame for call in shown for moment in (call.rang, call.decided) if moment),
            small=True,
        ),
    ]


def summed(findings: Findings) -> Paragraph:
    """How many calls there were, and what became of them."""
    shown = [call for call in findings.calls if call.shown]
    counts = Counter(call.outcome for call in shown)
    if len(counts) == 1 and len(shown) > 1:
        words = f"{'Both' if len(shown) == 2 else f'All {len(shown):,}'} calls {_SUMMED[shown[0].outcome][1]}."
    elif len(shown) == 1:
        words = f"The only call {_SUMMED[shown[0].outcome][0]}."
    else:
        ends = [f"{count} {_SUMMED[how][count > 1]}" for how, count in counts.most_common()]
        words = f"Of {plural(len(shown), 'call')}, {listed(ends)}." if shown else ""
    rest = len(findings.calls) - len(shown)
    if rest:
        words += (
            f" The capture holds {plural(rest, 'more call' if shown else 'call')} of which it does not show the caller."
        )
    if lacking(findings):
        which = "whose caller the capture shows" if rest else "that the capture shows"
        words = words.replace("calls ", f"calls {which} ", 1).replace("The only call ", f"The only call {which} ", 1)
        words += " There may have been more."
    lines = [line for line in findings.lines if line.chat is not None]
    return Paragraph(words.strip(), Evidence.showing(f"{findings.protocol}.chat", lines))


def _waits(findings: Findings) -> list[Paragraph]:
    """How long callers waited for an answer, by the frames that told them of it."""
    evidence = findings.pushed(findings.words.accepted)
    told = set(evidence.frames)
    waits = [call.ringing for call in findings.calls if call.answered and call.answered.frame in told]
    spread = Spread.of([wait for wait in waits if wait is not None])
    if spread is None:
        return []
    if spread.count == 1:
        words = f"The caller waited {seconds(spread.least)} for the answer."
    else:
        words = (
            f"The callers waited {span(spread.least, spread.most)} for the answer ({spread.count:,} calls, median "
            f"{seconds(spread.median)})."
        )
    return [Paragraph(words, evidence)]


def _ended(call: Call) -> str:
    if call.outcome == "unknown":
        return f"{call.going} (whether it was answered cannot be known)"
    if call.outcome == "answered" and not call.shown:
        return "answered (both have heard the other)"
    if call.outcome in ("answered", "declined"):
        return f"{call.outcome} by {call.called}"
    if call.outcome == "hung up":
        return f"cancelled by {call.caller}"
    if call.outcome == "unanswered":
        return "not answered in time"
    if call.going is None:
        return "neither answered nor over in this capture"
    return f"the connection of {call.going.who} ended ({quoted(call.going.why)})"


def _missed(findings: Findings) -> list[Block]:
    missed = findings.missed
    if not missed:
        return []
    shown = missed[:_SHOWN]
    rows = [
        (
            str(one.frame),
            findings.since(one.time),
            one.user or "–",
            one.caller,
            str(one.refused) if one.refused is not None else "–",
        )
        for one in shown
    ]
    return [
        Table(
            f"Missed calls{first_of(shown, missed)}: the push that tells a user in a chat of a refused call. The last "
            "column is the frame of the refusal",
            (
                *numbers("Frame", "Time"),
                Column("Missed by", share=1),
                Column("Caller", share=1),
                *numbers("Refused in"),
            ),
            rows,
            findings.pushed(findings.words.missed),
        )
    ]
