"""Scenes of many octets, which no play names: lines that cross in bursts, cut anywhere; what comes after the end."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from functools import partial

from conformance.cases.case import Case
from conformance.cases.draft import Draft
from conformance.engine.backlog import STUCK, waits_for_a_reader
from conformance.engine.failures import MismatchError, OvertakenError
from conformance.engine.kernel import peer_of
from conformance.engine.player import Player
from conformance.engine.stage import Stage
from conformance.engine.worker import Worker
from conformance.oracle.frames import write_form
from conformance.oracle.lines import SUBJECT
from conformance.oracle.paths import paths_of
from pychat.spec import Spec
from pychat.spec.forms import Form

from .common import expect, lead, scene

LINES = 400
SIZES = (1, 2, 40, 300, 1999)  # octets of a text
CUTS = (1, 3, 50, 4000, 20000)  # octets of a segment
RULES = ("R-MSG-5", "R-FRAME-6")
LATE = 1 << 24  # octets after the last frame, more than the system holds for both ends
HELD_RULES = ("R-FLOW-3", "R-FLOW-2")
HELD = 8000  # lines that are offered one by one to a partner that does not read, at most …
HELD_SECONDS = 5.0  # … and how long that may take
PART = 0.7  # of the time in which they are dropped, until when all of them must be taken
LATE_RULE = "R-CLOSE-1"


def scenes(spec: Spec) -> Iterator[Case]:
    """The scenes whose rules the spec has; bursts, where a partner gets lines as they are, numbers and all."""
    paths = paths_of(spec)
    way = paths.to_configuration(paths.named) if paths.named is not None else ()
    last = Draft(spec, way).last_request(SUBJECT, paths.lines(SUBJECT))
    lingers = any(timer.since == "goodbye" for timer in spec.timers.values())
    if LATE_RULE in spec.rules and paths.named is not None and last is not None and lingers:
        run = partial(_late, named=paths.named, last=last)
        title = "All that comes after the last frame is dropped, however much"
        yield scene(spec, f"{spec.final}/LINE/dropped-however-much", title, (LATE_RULE,), run)
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
            if set(HELD_RULES) <= set(spec.rules):
                title = "A request behind a full queue is handled when there is room, though nothing more is sent"
                run = partial(_held, state=state, form=form)
                yield scene(spec, f"{state}/{row.verb}/held-until-there-is-room", title, HELD_RULES, run)
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


def _held(worker: Worker, stage: Stage, state: str, form: Form) -> None:
    """Each line is followed by a request of the judge, until that is not answered: then nothing more is sent."""
    spec, patience = stage.spec, STUCK + stage.conditions.slack
    _accept(stage, lead(worker, stage, state)["a"])
    (sender, reader), count, began = (stage.inbox(who) for who in ("a", "b")), 0, time.monotonic()
    Player(stage).barrier(sender, reader)
    reader.wire.stop_reading()
    stage.transcript.quiet = True
    while not sender.tokens:
        if count == HELD or time.monotonic() > began + HELD_SECONDS:
            raise OvertakenError(f"a full queue: {count} lines were taken one by one, and it was not full")
        line = write_form(form, {form.fields[0].name: _text(spec, form, count, max(SIZES))}).encode()
        sender.tokens.append(stage.barrier.token())
        together = line + spec.framing.writes + stage.barrier.request(sender.tokens[-1])
        sender.send(together, stage.deadline())  # in one segment, so that nothing is left to come
        count += 1
        if not sender.wait(lambda: not sender.tokens, time.monotonic() + patience):
            if sender.units:
                raise MismatchError("a line that is passed on, or waits", sender.seen)
            if not Player(stage).barrier(stage.inbox("judge")):
                raise waits_for_a_reader(stage.patience)
            sender.drain()
    stage.transcript.quiet = False
    stage.transcript.note("a", "#", text=f"{count} lines were sent, the last of them is not handled: b reads on")
    reader.wire.read_on()
    for number in range(count):
        expect(stage, "b", write_form(form, {form.fields[0].name: _text(spec, form, number, max(SIZES))}))
    if not sender.wait(lambda: not sender.tokens, stage.deadline()):
        raise MismatchError(f"an answer to the {stage.barrier.verb} that waited behind them", "nothing", HELD_RULES[0])


def _late(worker: Worker, stage: Stage, named: str, last: bytes) -> None:
    """The server has said its last frame and reads on: what is sent is taken, until the time for it is over."""
    lead(worker, stage, named)
    inbox = stage.inbox(SUBJECT)
    inbox.send(last, stage.deadline())
    inbox.wait(lambda: False, stage.deadline())
    seconds = min(timer.after for timer in stage.spec.timers.values() if timer.since == "goodbye")
    inbox.wire.end, taken = None, 0
    stage.transcript.note(SUBJECT, "#", text=f"sends {LATE} octets after the end")
    inbox.wire.send_little()
    until, unread = time.monotonic() + PART * seconds, -1
    while taken < LATE and inbox.wire.end is None and time.monotonic() < until:
        taken += inbox.wire.offer(b"x" * min(LATE - taken, 1 << 18))
        if not inbox.wire.has_room(STUCK):
            theirs = peer_of(inbox.wire.stream)
            if theirs is None or theirs.unread == unread > 0:
                break
            unread = theirs.unread
    if taken < LATE and not inbox.wire.end and unread >= 0 and time.monotonic() >= until:
        raise OvertakenError(f"octets that are dropped: the server reads {taken} of them in {PART * seconds:g} s")
    if taken < LATE:
        got = "a reset" if inbox.wire.end else "no more"
        wanted, got = f"that {LATE} octets are read and dropped", f"{taken} of them were taken, then {got}"
        raise MismatchError(wanted, got, timed_out=True)
