"""A scene of random segments: lines cross in bursts, cut anywhere. A play cuts its octets in three ways only."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial

from conformance.cases.case import Case
from conformance.engine.failures import MismatchError
from conformance.engine.stage import Stage
from conformance.engine.worker import Worker
from conformance.oracle.frames import write_form
from conformance.oracle.paths import paths_of
from pychat.spec import Spec
from pychat.spec.forms import Form

from .common import expect, lead, scene

LINES = 400
SIZES = (1, 2, 40, 300, 1999)  # octets of a text
CUTS = (1, 3, 50, 4000, 20000)  # octets of a segment
RULES = ("R-MSG-5", "R-FRAME-6")


def scenes(spec: Spec) -> Iterator[Case]:
    """The scene, where the spec has its rules, and lines that a partner gets as they are, numbers and all."""
    if not set(RULES) <= set(spec.rules):
        return
    for state, row in spec.outcomes():
        form = spec.requests[row.verb].form
        verbatim = row.partner is not None and str(row.partner.push) == str(form) and len(form.fields) == 1
        if not row.does("relay") or not verbatim or state not in paths_of(spec).configurations:
            continue
        if all(spec.types[form.fields[0].type].accepts(_text(spec, form, LINES, size)) for size in SIZES):
            title = "Lines cross in bursts, cut anywhere"
            run = partial(_bursts, state=state, form=form)
            yield scene(spec, f"{state}/{row.verb}/bursts-both-ways", title, RULES, run)
            return


def _text(spec: Spec, form: Form, number: int, size: int) -> str:
    """A text for the partner: its number, then as much as it takes to be `size` octets long, where that may be."""
    most = spec.types[form.fields[0].type].octets[1]
    return f"{number} ".ljust(min(size, most), "x")


def _accept(stage: Stage, caller: str) -> None:
    """b accepts the chat, so that the lines of both ends are passed on; there may be nothing to accept."""
    spec = stage.spec
    row = next((row for _, row in spec.outcomes() if row.does("accept")), None)
    if row is None:
        return
    form = spec.requests[row.verb].form
    values = paths_of(spec).values(spec.requests[row.verb], caller)
    frame = write_form(form, values).encode() + spec.framing.writes
    stage.inbox("b").wire.send(frame, stage.deadline())
    if stage.inbox("b").next(stage.deadline()) is None:
        raise MismatchError("an answer to the acceptance", "nothing")


def _bursts(worker: Worker, stage: Stage, state: str, form: Form) -> None:
    """Both ends send at once, their octets cut at random; each line arrives once and in order."""
    spec = stage.spec
    _accept(stage, lead(worker, stage, state)["a"])
    sizes = [random.choice(SIZES) for _ in range(LINES)]
    texts = [_text(spec, form, number, size) for number, size in enumerate(sizes)]
    lines = [write_form(form, {form.fields[0].name: text}) for text in texts]
    octets = b"".join(line.encode() + random.choice(spec.framing.accepts) for line in lines)
    place = {"a": 0, "b": 0}
    while any(place[who] < len(octets) for who in place):
        for who in [who for who in place if place[who] < len(octets)]:
            size = random.choice(CUTS)
            stage.inbox(who).wire.send(octets[place[who] : place[who] + size], stage.deadline())
            place[who] += size
            stage.inbox(who).drain()
    for who in ("b", "a"):
        for line in lines:
            expect(stage, who, line)
