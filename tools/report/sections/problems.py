"""What did not go as its sender wanted: refusals, goodbyes, and lines that violate the specification."""

from __future__ import annotations

from collections.abc import Callable

from pychat.spec.forms import ANY_VERB
from tools.report.analysis.session import Violation
from tools.report.document import Block, Column, Paragraph, Section, Table, first_of, listed, numbers, quoted
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.packets import Line
from tools.report.sections.notes import lacking

_SHOWN = 200
_NAMED = 6  # frames in a caption


def sections(findings: Findings) -> list[Section]:
    """Refusals and violations."""
    return [
        Section("Refusals, goodbyes and violations", _refusals(findings)),
        Section("Violations of the specification", _violations(findings), 2),
    ]


def _refusals(findings: Findings) -> list[Block]:
    blocks: list[Block] = []
    refusals, evidence = findings.of_kind("refusal")
    if refusals:
        asked = _asked(findings)
        rows = [
            (
                str(line.number),
                findings.since(line.time),
                _who(findings, line),
                asked(line),
                quoted(line.values.get("code", "")),
            )
            for line in refusals[:_SHOWN]
        ]
        blocks.append(
            Table(
                f"Requests that were refused{first_of(rows, refusals)}. A refusal changes no state, and the "
                f"connection stays open{_unless(findings, refusals)}",
                (*numbers("Frame", "Time"), Column("Who"), Column("Request", share=1), Column("Code", share=0.5)),
                rows,
                evidence,
                small=True,
            )
        )
        blocks += _codes(findings, refusals, evidence)
    else:
        words = "No request was refused."
        if lacking(findings):
            words = "The capture shows no refusal; where packets are missing, requests may have been refused."
        blocks.append(Paragraph(words, evidence))
    goodbyes, evidence = findings.of_kind("goodbye")
    if goodbyes:
        ended = [
            (str(line.number), findings.since(line.time), _who(findings, line), quoted(line.whole, 70))
            for line in goodbyes[:_SHOWN]
        ]
        blocks.append(
            Table(
                "Connections that the server closed with a goodbye, and its words",
                (*numbers("Frame", "Time"), Column("Client"), Column("Goodbye", share=1)),
                ended,
                evidence,
            )
        )
    return blocks


def _unless(findings: Findings, refusals: list[Line]) -> str:
    """The refusals after which the server says goodbye at once, as the end of a sentence."""
    following: dict[int, Line] = {}  # what the server says next, by the place of its line before
    last: dict[int, Line] = {}
    for line in findings.lines:
        if not line.from_client:
            if line.stream in last:
                following[id(last[line.stream])] = line
            last[line.stream] = line
    ended = [line for line in refusals if id(line) in following and following[id(line)].kind == "goodbye"]
    frames = sorted({line.number for line in ended})
    if not frames:
        return ""
    shown = listed([str(frame) for frame in frames[:_NAMED]]) + (" and others" if len(frames) > _NAMED else "")
    return f", unless a goodbye follows it, as that of frame{'s' if len(frames) > 1 else ''} {shown}"


def _codes(findings: Findings, refusals: list[Line], evidence: Evidence) -> list[Table]:
    """What the codes of refusals mean, each once."""
    codes = dict.fromkeys(line.values.get("code", "") for line in refusals)
    rows = [(quoted(code), findings.spec.errors[code].doc) for code in codes if code in findings.spec.errors]
    if not rows:
        return []
    return [
        Table(
            "What these codes mean",
            (Column("Code"), Column("Meaning", share=1)),
            rows,
            evidence,
            small=True,
        )
    ]


def _asked(findings: Findings) -> Callable[[Line], str]:
    """Finds what a refusal answers; of several requests in one frame, the first that was not asked for yet."""
    waiting: dict[tuple[int, int | None], list[Line]] = {}
    for line in findings.lines:
        if line.from_client:
            waiting.setdefault((line.stream, line.number), []).append(line)

    def asked(answer: Line) -> str:
        same = waiting.get((answer.stream, answer.request_in), [])
        found = next((line for line in same if answer.request in (line.request, ANY_VERB)), None)
        if found is None:
            return "–"
        same.remove(found)
        return quoted(found.whole, 30) or "(an empty line)"

    return asked


def _who(findings: Findings, line: Line) -> str:
    return line.user or findings.by_stream[line.stream].who


def violated(violation: Violation) -> str:
    """`the client alice sent …, a violation of the kind unknown-verb (see rule R-ERR-3)`."""
    what = quoted(violation.words, 60) if violation.words else "an empty line"
    sent = f"the client {violation.who} sent {what}" if violation.by == "client" else ""
    sent = sent or f"the server sent {what} to {violation.who}"
    rule = f" (see rule {violation.rule})" if violation.rule else ""
    return f"{sent}, a violation of the kind {quoted(violation.violation)}{rule}"


def _violations(findings: Findings) -> list[Block]:
    if not findings.violations:
        words = "No line of the protocol violates the specification, from either side."
        if lacking(findings):
            words = (
                "No line of the protocol in this capture is known to violate the specification. Where packets are "
                "missing, not every line could be checked."
            )
        return [Paragraph(words, findings.violating)]
    first = findings.violations[0]
    rows = [
        (
            str(violation.frame),
            findings.since(violation.time),
            violation.who,
            violation.by,
            violation.state,
            quoted(violation.words, 40) if violation.words else "(an empty line)",
            quoted(violation.violation),
            violation.rule or "–",
        )
        for violation in findings.violations[:_SHOWN]
    ]
    return [
        Paragraph(
            f"The first violation is in frame {first.frame}: {violated(first)}. The connection was in the state "
            f"{quoted(first.state)}.",
            Evidence.frames_alone([first.frame]),
        ),
        Table(
            f"Lines of the protocol that violate the specification{first_of(rows, findings.violations)}",
            (
                *numbers("Frame", "Time"),
                Column("Who", share=0.9),
                Column("By"),
                Column("State"),
                Column("Line", share=1.3),
                Column("Violation", share=0.8),
                Column("Rule"),
            ),
            rows,
            findings.violating,
            small=True,
        ),
    ]
