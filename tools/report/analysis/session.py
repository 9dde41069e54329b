"""The session frame by frame: what became of the requests, the states over time, the violations. Knows no TCP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from pychat.spec import Spec
from tools.report.evidence import Evidence
from tools.report.packets import Line

from .connections import Connection
from .transport import Spread

ANSWERS = frozenset({"answer", "refusal"})


@dataclass(slots=True)
class Requests:
    """What became of one kind of request."""

    verb: str
    sent: int
    granted: int
    refused: int
    delay: Spread | None
    sent_evidence: Evidence
    answer_evidence: Evidence


@dataclass(slots=True)
class Period:
    """A connection in one state. `frame` is the one that brought it there."""

    state: str
    begun: Decimal
    ended: Decimal
    frame: int


@dataclass(slots=True)
class Violation:
    """A frame that breaks the spec."""

    frame: int
    time: Decimal
    who: str
    by: str
    violation: str
    rule: str
    words: str
    state: str


def requests(lines: Sequence[Line], spec: Spec, protocol: str) -> list[Requests]:
    """What became of the requests, in the order of the spec; at the end, with no verb, of lines that are none."""
    found = []
    for verb in [*spec.requests, ""]:
        others = [line for line in lines if (line.request if line.request in spec.requests else "") == verb]
        sent = [line for line in others if line.kind == "request"]
        answers = [line for line in others if line.delay is not None and line.kind in ANSWERS]
        if not sent and not (answers and not verb):
            continue
        refused = [line for line in answers if line.kind == "refusal"]
        found.append(
            Requests(
                verb=verb,
                sent=len(sent),
                granted=len(answers) - len(refused),
                refused=len(refused),
                delay=Spread.of([line.delay for line in answers if line.delay is not None]),
                sent_evidence=_sent(sent, verb, protocol),
                answer_evidence=Evidence.frames_alone(line.number for line in answers),
            )
        )
    return found


def _sent(sent: Sequence[Line], verb: str, protocol: str) -> Evidence:
    if not verb:
        return Evidence.frames_alone(line.number for line in sent)
    return Evidence.showing(f'{protocol}.kind == "request" && {protocol}.request == "{verb}"', sent)


def periods(connection: Connection) -> list[Period]:
    """The states of a connection over time, as its lines show them; the last one lasts to its last packet."""
    found: list[Period] = []
    for line in connection.lines:
        if not found:
            found.append(Period(line.state, connection.first, line.time, connection.packets[0].number))
        if line.state_after != found[-1].state:
            found[-1].ended = line.time
            found.append(Period(line.state_after, line.time, line.time, line.number))
    if found:
        found[-1].ended = connection.last
    return found


def violations(connections: Sequence[Connection]) -> list[Violation]:
    """The frames that break the spec, in the order of the capture."""
    found = [
        Violation(
            line.number, line.time, connection.who, line.violation_by, line.violation, line.rule, line.whole, line.state
        )
        for connection in connections
        for line in connection.lines
        if line.violation
    ]
    return sorted(found, key=lambda violation: violation.frame)
