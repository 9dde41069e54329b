"""A scene with dice: lines that cross in bursts, cut anywhere. A play cuts its octets in three ways, not at random."""

from __future__ import annotations

import random
from collections.abc import Iterator

from pychat.spec import Spec

from .frames import write_form
from .scenes import Scene, expect, lead, linked_state, next_unit
from .stagehand import BrokenError, Stagehand

LINES = 400
SIZES = (1, 2, 40, 300, 1999)  # octets of a text
CUTS = (1, 3, 50, 4000, 20000)  # octets of a segment


def scenes(spec: Spec) -> Iterator[Scene]:
    """The scene, where the spec has lines for a partner."""
    relay = spec.verb_that("relay")
    if relay is not None:
        title = "Lines cross in bursts, cut anywhere"
        yield Scene(f"{linked_state(spec)}/{relay}/bursts-both-ways", title, ("R-MSG-5", "R-FRAME-6"), _bursts)


def _line(spec: Spec, number: int, size: int) -> str:
    """A line for the partner: its number, then as much as it takes to be `size` octets long."""
    form = spec.requests[spec.verb_that("relay") or ""].form
    return write_form(form, {form.fields[-1].name: f"{number} ".ljust(size, "x")})


def _accept(hand: Stagehand, caller: str) -> None:
    """b accepts the chat, so that both ends are heard."""
    spec, stage = hand.spec, hand.stage
    assert stage is not None
    row = next(row for _, row in spec.outcomes() if row.does("accept"))
    form = spec.requests[row.verb].form
    frame = write_form(form, {form.fields[0].name: caller}).encode() + spec.framing.writes
    stage.inbox("b").wire.send(frame, stage.deadline())
    if next_unit(stage.inbox("b"), stage.deadline()) is None:
        raise BrokenError("an answer to the acceptance", "nothing")


def _bursts(hand: Stagehand) -> None:
    """Both ends send at once, their octets cut at random; each line arrives once and in order."""
    spec, stage = hand.spec, hand.stage
    assert stage is not None
    _accept(hand, lead(hand, linked_state(spec))["a"])
    dice = random.Random(hand.number)
    sizes = [dice.choice(SIZES) for _ in range(LINES)]
    lines = [_line(spec, number, max(size, len(f"{number} "))) for number, size in enumerate(sizes)]
    octets = b"".join(line.encode() + dice.choice(spec.framing.accepts) for line in lines)
    place = {"a": 0, "b": 0}
    while any(place[who] < len(octets) for who in place):
        for who in [who for who in place if place[who] < len(octets)]:
            size = dice.choice(CUTS)
            stage.inbox(who).wire.send(octets[place[who] : place[who] + size], stage.deadline())
            place[who] += size
            stage.inbox(who).drain()
    for who in ("b", "a"):
        for line in lines:
            expect(hand, who, line)
