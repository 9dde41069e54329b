"""The calls: who called whom, how long it rang, how it ended, and what was said. Knows no TCP.

A chat is a call that was answered; it begins with the answer. Everything here is what the capture shows: where frames
are missing, a call has no answer and no end, and nobody is said to have done anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from pychat.spec import Spec
from pychat.spec.view import Move, moves
from tools.report.evidence import Evidence, among
from tools.report.packets import Line
from tools.vocabulary import Vocabulary

Outcome = Literal["answered", "declined", "unanswered", "hung up", "lost", "open", "unknown"]


@dataclass(frozen=True, slots=True)
class Moment:
    """The frame that shows something, and its time in seconds since the epoch."""

    frame: int
    time: Decimal

    @classmethod
    def of(cls, line: Line | None) -> Moment | None:
        return None if line is None else cls(line.number, line.time)


@dataclass(slots=True)
class Said:
    """A line from one person to the other.

    `delivered`: the frame in which the server passed it on, at the time `arrived`, in seconds since the epoch; None
    when it did not within the capture.
    """

    frame: int
    time: Decimal
    speaker: str
    words: str
    octets: int
    stream: int
    delivered: int | None = None
    arrived: Decimal | None = None
    took: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Going:
    """The user whose end has gone, and why: the reason that its partner was told, else the request or the goodbye.

    `how`: by the request that ends a chat, by the timer of a call that is not answered, or with the connection.
    `unanswered`: it can only be so if the call was not answered.
    """

    who: str
    why: str
    how: Literal["left", "timer", "lost"]
    unanswered: bool = False

    def __str__(self) -> str:
        return f"{self.who} {self.why}".strip()


@dataclass(slots=True)
class Call:
    """A call and the chat that came of it, with the dissector's number for both.

    `shown`: the capture shows which of the two has called. `rang`: the called user is told. `answered`: the frame that
    shows an answer. `over`: the first one that shows that an end has gone (`going`). `outcome` is how the call
    ended: `hung up` by the caller, `lost` when a connection ended while it rang, `open` when the capture shows neither
    an answer nor an end, `unknown` when it shows an end, and its answer may be missing. `last` is the time of the last
    line, in seconds since the epoch.
    """

    number: int
    caller: str
    called: str
    shown: bool
    streams: list[int]
    rang: Moment | None
    answered: Moment | None
    over: Moment | None
    going: Going | None
    outcome: Outcome
    last: Decimal
    said: list[Said]
    evidence: Evidence
    named: list[str] = field(default_factory=list)  # the names of its ends that the capture tells
    perhaps: int | None = (
        None  # an earlier call that this one may be, since the capture shows neither end nor beginning
    )

    @property
    def label(self) -> str:
        """`3`, or `3 (or 1)`."""
        return str(self.number) if self.perhaps is None else f"{self.number} (or {self.perhaps})"

    @property
    def decided(self) -> Moment | None:
        """When it was answered, or else when it was over."""
        return self.answered or self.over

    @property
    def ringing(self) -> Decimal | None:
        """For how many seconds it rang; None where the capture does not show when it began or ended."""
        if self.rang is None or self.decided is None or self.outcome == "unknown":
            return None
        return self.decided.time - self.rang.time

    @property
    def lasted(self) -> Decimal:
        """The seconds from the answer until one end had gone, or to its last line; 0 without an answer."""
        if self.answered is None:
            return Decimal(0)
        return (self.last if self.over is None else self.over.time) - self.answered.time

    def by(self, speaker: str) -> list[Said]:
        return [line for line in self.said if line.speaker == speaker]


@dataclass(slots=True)
class Missed:
    """A user was told of a call that was refused. `refused` is the frame in which the caller was."""

    frame: int
    time: Decimal
    user: str
    caller: str
    refused: int | None


def calls(lines: Sequence[Line], spec: Spec, words: Vocabulary, partial: Collection[int] = ()) -> list[Call]:
    """The calls in the order in which the capture shows them. `partial`: the streams of which it lacks something."""
    by_number: dict[int, list[Line]] = {}
    for line in lines:
        if line.talk is not None:
            by_number.setdefault(line.talk, []).append(line)
    goings = [move for move in moves(spec) if move.key == words.gone and move.by == "partner"]
    found: list[Call] = []
    for number, own in sorted(by_number.items()):
        call = _call(number, own, goings, spec, words, partial)
        begun = call.rang is not None or (call.shown and _rung(own, call, words))
        same = None
        if not begun or len(call.streams) == 1:
            same = next((each for each in reversed(found) if _may_be(each, call, begun=begun)), None)
        call.perhaps = None if same is None else same.perhaps or same.number
        found.append(call)
    return found


def _rung(lines: Sequence[Line], call: Call, words: Vocabulary) -> bool:
    """Whether the caller's request is answered, with which a call begins."""
    return any(line.kind == "answer" and line.request == words.call and line.who == call.caller for line in lines)


def _may_be(earlier: Call, call: Call, *, begun: bool) -> bool:
    """Whether nothing shows that two calls are not one: two parts of it, or what its two ends show."""
    known = {end for each in (earlier, call) for end in each.named}
    if len(known) > 2:
        return False
    if set(earlier.streams) & set(call.streams):
        return earlier.over is None and not begun
    return len(earlier.streams) == len(call.streams) == 1


def _call(
    number: int, lines: list[Line], goings: Sequence[Move], spec: Spec, words: Vocabulary, partial: Collection[int]
) -> Call:
    caller, called, shown = _ends(lines, spec, words)
    answer = _answer(lines, caller, called, words) if shown else _talk(lines, words)
    end = _end(lines, words)
    going = None if end is None else _going(end, goings, spec, words)
    said = _said(lines, words)
    return Call(
        number=number,
        caller=caller,
        called=called,
        shown=shown,
        streams=sorted({line.stream for line in lines}),
        rang=Moment.of(next((line for line in lines if line.verb == words.called and not line.from_client), None)),
        answered=Moment.of(answer),
        over=Moment.of(end),
        going=going,
        outcome=_outcome(going, answer, caller, sure=shown and not any(line.stream in partial for line in lines)),
        last=lines[-1].time,
        said=said,
        evidence=_evidence(lines, spec.protocol),
        named=sorted({name for line in lines for name in (line.user, line.partner) if name}),
    )


def _evidence(lines: Sequence[Line], protocol: str) -> Evidence:
    """The lines that the dissector shows as this chat, and those that belong to it since they came out in it."""
    numbers = sorted({line.chat for line in lines if line.chat is not None})
    others = sorted({line.number for line in lines if line.chat is None})
    parts = [among(f"{protocol}.chat", numbers)] + ([among("frame.number", others)] if others else [])
    return Evidence.showing(" || ".join(parts), lines)


def _ends(lines: Sequence[Line], spec: Spec, words: Vocabulary) -> tuple[str, str, bool]:
    """The caller and the called user, and whether the capture tells which is which."""
    for line in lines:
        if not line.from_client and line.verb == words.called:
            return line.other, line.who, True
        if not line.from_client and line.verb == words.accepted:
            return line.who, line.other, True
    first = lines[0]
    if first.kind != "answer" or first.request != words.call or first.state not in spec.states:
        return first.who, first.other, False
    if first.state == first.state_after:
        return first.other, first.who, True  # an answer to a call that the capture does not have
    return first.who, first.other, True


def _answer(lines: Sequence[Line], caller: str, called: str, words: Vocabulary) -> Line | None:
    """The frame that shows an answer: the push to the caller, what the called user gets for it, or a line of it."""
    to_caller = [line for line in lines if line.kind == "push" and line.who == caller]
    own = [line for line in lines if line.kind == "answer" and line.request == words.call and line.who == called]
    told = [line for line in to_caller if line.verb == words.accepted]
    heard = [line for line in to_caller if line.verb == words.heard]
    return next(iter([*told, *own, *heard]), None)


def _talk(lines: Sequence[Line], words: Vocabulary) -> Line | None:
    """The first frame after which both ends have heard each other: so both had answered, whoever called."""
    hearers: set[str] = set()
    for line in lines:
        if line.kind == "push" and line.verb == words.heard:
            hearers.add(line.who)
            if len(hearers) == 2:
                return line
    return None


def _end(lines: Sequence[Line], words: Vocabulary) -> Line | None:
    """The first frame that shows the end: the push to the partner, which tells who and why, or else any other one."""
    of_server = [line for line in lines if not line.from_client]
    told = next((line for line in of_server if line.verb == words.gone), None)
    return told or next(
        (
            line
            for line in of_server
            if line.kind == "goodbye" or (line.kind == "answer" and line.request in (words.leave, words.quit))
        ),
        None,
    )


def _going(end: Line, goings: Sequence[Move], spec: Spec, words: Vocabulary) -> Going:
    """What the frame that shows the end says of it."""
    if end.verb != words.gone:  # its own request, or the server's last frame
        return Going(end.who, end.request or end.value("code"), "left" if end.request == words.leave else "lost")
    who = end.value(spec.pushes[words.gone].form.field_of(spec.names) or "")
    for move in goings:
        if all(end.value(name) in values for name, values in move.words):
            why = " ".join(end.value(name) for name, _ in move.words)
            how: Literal["left", "timer", "lost"] = "lost"
            if move.verb == words.leave:
                how = "left"
            elif _of_timer(move):
                how = "timer"
            return Going(who, why, how, _rings(move))
    return Going(who, "", "lost")


def _of_timer(move: Move) -> bool:
    """Whether a timer ends a call that is not answered: no request does it, and it depends on the answer."""
    return move.verb is None and _rings(move)


def _rings(move: Move) -> bool:
    """Whether a move is possible only while the call is not answered."""
    return move.here is False or ("not answered", True) in move.known


def _outcome(going: Going | None, answer: Line | None, caller: str, *, sure: bool) -> Outcome:
    """`sure`: the capture has all that was said, and shows the caller; else a call may have been answered unseen."""
    if answer is not None:
        return "answered"
    if going is None:
        return "open"
    if not sure and not going.unanswered:
        return "unknown"
    if going.how == "left":
        return "hung up" if going.who == caller else "declined"
    return "unanswered" if going.how == "timer" else "lost"


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
            one = Said(line.number, line.time, line.who, text, line.length, line.stream)
            said.append(one)
            waiting.setdefault(line.number, []).append(one)
        elif line.verb == words.heard and not line.from_client and line.relayed_from is not None:
            same = waiting.get(line.relayed_from)
            if same:
                one = same.pop(0)
                one.delivered, one.arrived, one.took = line.number, line.time, line.relay_time
    return said


def missed(lines: Sequence[Line], spec: Spec, words: Vocabulary) -> list[Missed]:
    """The calls that users were told to have missed, in the order of the capture."""
    field_name = spec.pushes[words.missed].form.field_of(spec.names) or ""
    same = spec.name_type.same
    tells = [line for line in lines if line.verb == words.missed and not line.from_client]
    refusals = list(_refused_calls(lines, spec, words)) if tells else []
    found = []
    for line in tells:
        caller = line.value(field_name)
        own = [refusal for refusal, user in refusals if same(refusal.who, caller) and same(user, line.who)]
        nearest = min(own, key=lambda refusal: abs(refusal.time - line.time), default=None)
        found.append(Missed(line.number, line.time, line.who, caller, nearest.number if nearest else None))
    return found


def _refused_calls(lines: Sequence[Line], spec: Spec, words: Vocabulary) -> Iterator[tuple[Line, str]]:
    """Each refusal of a call, and the user that the call has named."""
    field_name = spec.requests[words.call].form.field_of(spec.names) or ""
    asked: dict[tuple[int, int | None], list[Line]] = {}
    for line in lines:
        if line.request == words.call and line.from_client:
            asked.setdefault((line.stream, line.number), []).append(line)
        elif line.request == words.call and line.kind == "refusal":
            waiting = asked.get((line.stream, line.request_in))
            if waiting:
                yield line, waiting.pop(0).value(field_name)
