"""The conversations: who talked with whom and when, how much, and the think times. Knows no TCP."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from pychat.spec import Spec
from tools.report.evidence import Evidence
from tools.report.packets import Line
from tools.vocabulary import Vocabulary

from .connections import Connection
from .transport import Spread

ANSWERS = frozenset({"answer", "refusal"})


@dataclass(slots=True)
class Said:
    """A line from one person to the other. `delivered` is None when it did not arrive within the capture."""

    frame: int
    time: float
    speaker: str
    words: str
    octets: int
    delivered: int | None = None
    took: float | None = None


@dataclass(slots=True)
class Chat:
    """A conversation of two, as the server's dissector numbers it. Times in seconds since the epoch."""

    number: int
    caller: str
    called: str
    streams: list[int]
    begun: float
    ended: float
    call: int
    accepted: int | None
    end: str
    end_frame: int | None
    said: list[Said]
    evidence: Evidence
    thinking: dict[str, Spread] = field(default_factory=dict)

    def by(self, speaker: str) -> list[Said]:
        return [line for line in self.said if line.speaker == speaker]


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
    begun: float
    ended: float
    frame: int


@dataclass(slots=True)
class Violation:
    """A frame that breaks the spec."""

    frame: int
    time: float
    who: str
    by: str
    violation: str
    rule: str
    words: str
    state: str


def chats(lines: Sequence[Line], words: Vocabulary, protocol: str) -> list[Chat]:
    """The conversations in the order of their calls."""
    by_number: dict[int, list[Line]] = {}
    for line in lines:
        if line.chat is not None:
            by_number.setdefault(line.chat, []).append(line)
    return [_chat(number, own, words, protocol) for number, own in sorted(by_number.items())]


def _chat(number: int, lines: list[Line], words: Vocabulary, protocol: str) -> Chat:
    first = lines[0]
    called_line = next((line for line in lines if line.verb == words.called), None)
    if called_line is not None:
        caller, called = called_line.partner, called_line.user
    else:
        caller, called = first.user, first.partner
    said = _said(lines, words)
    acceptance = [
        line for line in lines if line.kind == "answer" and line.request == words.call and line.user == called
    ]
    ends = [line for line in lines if line.verb == words.gone or line.request == words.leave]
    return Chat(
        number=number,
        caller=caller,
        called=called,
        streams=sorted({line.stream for line in lines}),
        begun=first.time,
        ended=lines[-1].time,
        call=first.number,
        accepted=acceptance[0].number if acceptance else None,
        end=_end(ends, words),
        end_frame=ends[0].number if ends else None,
        said=said,
        evidence=Evidence.showing(f"{protocol}.chat == {number}", lines),
        thinking={
            who: spread
            for who in dict.fromkeys(line.speaker for line in said)
            if (spread := Spread.of([gap for speaker, gap in think_times(said) if speaker == who])) is not None
        },
    )


def _said(lines: Sequence[Line], words: Vocabulary) -> list[Said]:
    """The lines that were said and not refused, each with where it came out."""
    refused = Counter(line.request_in for line in lines if line.kind == "refusal" and line.request == words.say)
    said: list[Said] = []
    waiting: dict[int, list[Said]] = {}
    for line in lines:
        if line.verb == words.say and line.from_client and not line.violation:
            if refused[line.number]:
                refused[line.number] -= 1
                continue
            text = line.whole.partition(" ")[2]
            one = Said(line.number, line.time, line.user, text, line.length)
            said.append(one)
            waiting.setdefault(line.number, []).append(one)
        elif line.verb == words.heard and not line.from_client and line.relayed_from is not None:
            same = waiting.get(line.relayed_from)
            if same:
                one = same.pop(0)
                one.delivered, one.took = line.number, line.relay_time
    return said


def _end(ends: Sequence[Line], words: Vocabulary) -> str:
    gone = next((line for line in ends if line.verb == words.gone), None)
    if gone is not None:
        return f"{gone.values.get('name', '?')} {gone.values.get('reason', '')}".strip()
    return "both left" if ends else "goes on"


def think_times(said: Sequence[Said]) -> Iterator[tuple[str, float]]:
    """Who answered the other one's line, and after how many seconds."""
    for before, after in pairwise(said):
        if before.speaker != after.speaker:
            yield after.speaker, after.time - before.time


def requests(lines: Sequence[Line], spec: Spec, protocol: str) -> list[Requests]:
    """What became of the requests, in the order of the spec."""
    found = []
    for verb in spec.requests:
        sent = [line for line in lines if line.kind == "request" and line.request == verb]
        if not sent:
            continue
        answers = [line for line in lines if line.request == verb and line.delay is not None and line.kind in ANSWERS]
        refused = [line for line in answers if line.kind == "refusal"]
        found.append(
            Requests(
                verb=verb,
                sent=len(sent),
                granted=len(answers) - len(refused),
                refused=len(refused),
                delay=Spread.of([line.delay for line in answers if line.delay is not None]),
                sent_evidence=Evidence.showing(f'{protocol}.kind == "request" && {protocol}.request == "{verb}"', sent),
                answer_evidence=Evidence.frames_alone(line.number for line in answers),
            )
        )
    return found


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
