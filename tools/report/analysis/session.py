"""The session frame by frame: what became of the requests, the states over time, the violations. Knows no TCP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from pychat.spec import Spec
from tools.report.evidence import Evidence
from tools.report.packets import Line

from .connections import Connection
from .holes import Hole
from .transport import Spread

UNKNOWN = "unknown"  # the dissector's word for a state that the capture does not tell
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


def periods(connection: Connection, holes: Sequence[Hole] = ()) -> list[Period]:
    """The states of a connection over time, as its lines show them; the last one lasts to its last packet.

    From a hole in what the server says on, the state is unknown until a later line of the server tells it; `frame` is
    then the one that shows the hole.
    """
    waiting = sorted((hole for hole in holes if not hole.from_client), key=lambda hole: hole.shown_by)
    found: list[Period] = []
    for line in connection.lines:
        if not found:
            found.append(Period(line.state, connection.first, line.time, connection.packets[0].number))
        while (
            waiting
            and (waiting[0].after or 0) < line.number
            and (not line.from_client or waiting[0].shown_by <= line.number)
        ):
            _lose(found, waiting.pop(0))
        if line.state_after != found[-1].state:
            found[-1].ended = line.time
            found.append(Period(line.state_after, line.time, line.time, line.number))
    for hole in waiting if found else ():
        _lose(found, hole)
    if found:
        found[-1].ended = connection.last
    return found


def _lose(found: list[Period], hole: Hole) -> None:
    """The state is unknown from this hole on, if the connection was not closed before it."""
    begun = max(found[-1].begun, hole.since)
    if found[-1].state != UNKNOWN and hole.octets > 1:
        found[-1].ended = begun
        found.append(Period(UNKNOWN, begun, begun, hole.shown_by))


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
