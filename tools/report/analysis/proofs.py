"""What must have been in a hole, and the frame that proves it: each later frame that is certain is used. Knows no text.

Answers come in the order of the requests, a line comes out at the partner as it was sent, and the two ends of a call
are told of each step of it. So a frame that was recorded can prove one that was not.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pychat.spec import Spec
from tools.report.packets import Line
from tools.vocabulary import Vocabulary

from .calls import Call
from .gaps import Gaps
from .holes import Hole
from .session import ANSWERS

Kind = Literal["answer", "request", "said", "relayed", "push"]


@dataclass(frozen=True, slots=True)
class Proof:
    """In the hole, or in one of several, there must have been this, since `proven_by` is there.

    `kind`: the answer to the request in the frame `about`, the request that the frame `about` answers, a line that its
    sender had `said` and that the frame `about` relayed, the other way round, or a push that tells of the step of
    a call that the frame `about` shows. `words`: the verb, the line, or the key of the push.
    """

    holes: tuple[Hole, ...]
    kind: Kind
    words: str
    about: int
    proven_by: int


def proofs(
    gaps: Sequence[Gaps], lines: Sequence[Line], calls: Sequence[Call], spec: Spec, words: Vocabulary
) -> list[Proof]:
    """What must have been in the holes, in the order of the frames that prove it."""
    holes = {gap.connection.stream: gap.holes for gap in gaps}
    begun = {gap.connection.stream for gap in gaps if gap.begun}
    streams: dict[int, list[Line]] = {}
    for line in lines:
        streams.setdefault(line.stream, []).append(line)
    found: list[Proof] = []
    for stream, own in streams.items():
        if holes.get(stream):
            found += _answers(own, holes[stream], spec)
            if stream in begun:
                found += _requests(own, holes[stream])
    for call in calls:
        found += _relayed(call, streams, holes, begun, words)
        found += _told(call, streams, holes, words)
    return sorted(found, key=lambda proof: proof.proven_by)


def _between(holes: Sequence[Hole], after: int, before: int, *, from_client: bool, octets: int = 2) -> tuple[Hole, ...]:
    """The holes of one direction in which something may have been that passed between two frames."""
    return tuple(
        hole
        for hole in holes
        if hole.from_client == from_client
        and hole.octets >= octets
        and hole.shown_by > after
        and (hole.after or 0) < before
    )


def matched(lines: Sequence[Line]) -> dict[int, Line]:
    """The answers of one connection's lines: by the place of the request among the lines."""
    places: dict[int, list[int]] = {}
    found: dict[int, Line] = {}
    for place, line in enumerate(lines):
        if line.from_client:
            places.setdefault(line.number, []).append(place)
        elif line.kind in ANSWERS and line.request_in is not None:
            same = next(
                (
                    at
                    for at in places.get(line.request_in, ())
                    if lines[at].request in (line.request, "") and at not in found
                ),
                None,
            )
            if same is not None:
                found[same] = line
    return found


def _answers(lines: Sequence[Line], holes: Sequence[Hole], spec: Spec) -> Iterator[Proof]:
    """A later request is answered, so this one was."""
    answered = matched(lines)
    places = sorted(answered)
    for place, line in enumerate(lines):
        request = spec.requests.get(line.request)
        if not line.from_client or line.kind != "request" or request is None or place in answered:
            continue
        if request.answer is None or line.violation:
            continue
        after = bisect_right(places, place)
        if after < len(places):
            later = answered[places[after]]
            within = _between(holes, line.number, later.number, from_client=False)
            if within:
                yield Proof(within, "answer", line.request, line.number, later.number)


def _requests(lines: Sequence[Line], holes: Sequence[Hole]) -> Iterator[Proof]:
    """An answer to a request that no frame has."""
    answered = matched(lines)
    waiting: set[str] = set()  # the verbs of which a request has no answer that is known to be its own
    for place, line in enumerate(lines):
        if line.from_client and place not in answered:
            waiting.add(line.request)
        if line.kind not in ANSWERS or line.request_in is not None or not line.request:
            continue
        within = () if line.request in waiting else _between(holes, 0, line.number, from_client=True)
        if within:
            yield Proof(within, "request", line.request, line.number, line.number)


def _relayed(
    call: Call,
    streams: Mapping[int, Sequence[Line]],
    holes: Mapping[int, Sequence[Hole]],
    begun: set[int],
    words: Vocabulary,
) -> Iterator[Proof]:
    """Lines of a chat of which only one of the two messages is there."""
    if len(call.streams) != 2:
        return
    for stream, other in (call.streams, call.streams[::-1]):
        waiting = {line.words for line in call.said if line.stream == other and line.delivered is None}
        for line in streams[stream]:
            if (
                line.talk == call.number
                and line.verb == words.heard
                and not line.from_client
                and line.relayed_from is None
            ):
                within = _between(holes.get(other, ()), 0, line.number, from_client=True, octets=line.length)
                if within and other in begun and line.whole.partition(" ")[2] not in waiting:
                    yield Proof(within, "said", line.whole, line.number, line.number)
        later: int | None = None
        for said in reversed(call.said):
            if said.stream != other:
                continue
            if said.delivered is not None:
                later = said.delivered
            elif later is not None:
                within = _between(holes.get(stream, ()), said.frame, later, from_client=False, octets=said.octets)
                if within:
                    yield Proof(within, "relayed", said.words, said.frame, later)


def _told(
    call: Call, streams: Mapping[int, Sequence[Line]], holes: Mapping[int, Sequence[Hole]], words: Vocabulary
) -> Iterator[Proof]:
    """A step of a call that one end shows, and of which the other end must have been told."""
    if len(call.streams) != 2 or not call.shown:
        return
    own = {stream: [line for line in streams[stream] if line.talk == call.number] for stream in call.streams}
    for stream, other in (call.streams, call.streams[::-1]):
        told = {line.verb for line in own[other] if not line.from_client and line.kind == "push"}
        for line in own[stream]:
            if line.from_client or line.kind != "answer":
                continue
            push = ""
            if line.request == words.call:
                push = words.called if line.who == call.caller else words.accepted
            elif line.request == words.leave:
                push = words.gone
            gone = any(each.verb == words.gone for each in own[stream] if not each.from_client)
            if not push or push in told or (push == words.gone and gone):
                continue
            before = max((each.number for each in own[other] if each.number < line.number), default=0)
            later = next(
                (each.number for each in own[other] if not each.from_client and each.number > line.number), None
            )
            within = _between(holes.get(other, ()), before, later or 2**62, from_client=False)
            if within:
                told.add(push)
                yield Proof(within, "push", push, line.number, line.number)
