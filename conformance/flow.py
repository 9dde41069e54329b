"""Scenes about amounts: slow readers, bursts, and lines in flight. Every amount is bounded.

That a server does not read is seen by octets that it no longer takes, while it answers others. The system's own
buffers lie between, so more than they can hold is offered, and a server that takes all of it has kept it in memory.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator

from pychat.spec import Spec
from pychat.spec.model import Outcome

from .frames import quote, write_form
from .scenes import Scene, answered, described, expect, lead, linked_state, named_state, next_unit
from .stagehand import BrokenError, Stagehand
from .timing import BUSY, require
from .wire import Wire

OFFERED = 40 << 20  # octets; the system holds some megabytes for each of the two connections
STUCK = 0.4  # seconds in which nothing was taken, while the server answered somebody else
CHECKED = 40_000  # answers that are read and compared, of those that somebody asked for without reading
SMALL = 16 << 10  # octets of a receive buffer


def scenes(spec: Spec) -> Iterator[Scene]:
    """The scenes about amounts."""
    named, linked = named_state(spec), linked_state(spec)
    relay, leave = spec.verb_that("relay"), spec.verb_that("unlink")
    rules = spec.limits.rules
    mark, stop = rules.get("queue_mark"), rules.get("queue_stop")
    if relay is None or leave is None or mark is None or stop is None:
        return
    burst = "Lines cross in bursts, cut anywhere"
    yield Scene(f"{linked}/{relay}/bursts-both-ways", burst, ("R-MSG-5", "R-FRAME-6"), _bursts)
    title = "The partner does not read: the sender is not read either, and no line is lost"
    yield Scene(f"{linked}/{relay}/slow-partner", title, (mark, "R-FLOW-3", "R-MSG-5"), _slow_partner)
    title = "The partner vanishes while the sender waits: the sender is read again"
    yield Scene(f"{linked}/{relay}/slow-partner-vanishes", title, (mark, "R-FLOW-3", "R-GONE-1"), _vanishing)
    title = "Who does not read is heard still"
    yield Scene(f"{linked}/{leave}/of-a-slow-reader", title, (stop, mark, "R-FLOW-3"), _leaving)
    title = "Who does not read his own answers is not read"
    yield Scene(f"{named}/LINE/slow-reader", title, (stop,), _own_answers)
    for timer in spec.timers.values():
        if timer.since == "full":
            title = "Who does not read for too long is lost"
            yield Scene(f"{linked}/TIME/{timer.name}", title, (timer.rule, "R-GONE-1"), _stalled, "quick")


def _row(spec: Spec, kind: str) -> Outcome:
    return next(
        row
        for _, row in spec.outcomes()
        if row.error is None and row.to != spec.final and any(e.kind == kind for e in row.effects)
    )


def _line(spec: Spec, number: int, size: int) -> str:
    """A line for the partner: its number, then as much as it takes to be `size` octets long."""
    form = spec.requests[spec.verb_that("relay") or ""].form
    return write_form(form, {form.fields[-1].name: f"{number} ".ljust(size, "x")})


def _pair(hand: Stagehand, *, small: bool) -> dict[str, str]:
    """a and b, linked, a has accepted; with `small`, b's end of the connection holds little."""
    assert hand.stage is not None
    if small:
        stream = socket.socket()
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        stream.settimeout(hand.patience)
        hand.stage.adopt("b", stream)
    return lead(hand, linked_state(hand.spec))


def _bursts(hand: Stagehand) -> None:
    """Both ends send at once, their octets cut at random; each line arrives once and in order."""
    names = _pair(hand, small=False)
    spec, stage = hand.spec, hand.stage
    assert stage is not None
    accept = next(row for _, row in spec.outcomes() if row.does("accept"))
    form = spec.requests[accept.verb].form
    stage.inbox("b").wire.send(
        write_form(form, {form.fields[0].name: names["a"]}).encode() + spec.framing.writes, stage.deadline()
    )
    if next_unit(stage.inbox("b"), stage.deadline()) is None:
        raise BrokenError("an answer to the acceptance", "nothing")
    dice, count = random.Random(hand.number), 400
    sizes = [dice.choice((1, 2, 40, 300, 1999)) for _ in range(count)]
    lines = [_line(spec, number, max(size, len(f"{number} "))) for number, size in enumerate(sizes)]
    octets = b"".join(line.encode() + dice.choice(spec.framing.accepts) for line in lines)
    for who in ("a", "b"):
        stage.inbox(who)
    place = {"a": 0, "b": 0}
    while any(place[who] < len(octets) for who in place):
        for who in place:
            size = dice.choice((1, 3, 50, 4000, 20000))
            stage.inbox(who).wire.send(octets[place[who] : place[who] + size], stage.deadline())
            place[who] += size
            stage.inbox(who).drain()
    for who in ("b", "a"):
        for line in lines:
            expect(hand, who, line)


def _fill(hand: Stagehand, wire: Wire, lines: Iterator[bytes]) -> tuple[int, bytes]:
    """Offers lines until no more are taken: how many octets were, and the rest of a line that was taken in part.

    Raises BrokenError if there is no end to it.
    """
    assert hand.stage is not None
    taken, rest, stuck = 0, b"", time.monotonic()
    while taken < OFFERED:
        while len(rest) < 1 << 18:
            rest += next(lines)
        sent = wire.offer(rest)
        taken, rest = taken + sent, rest[sent:]
        if wire.end is not None:
            raise BrokenError("a sender that waits", "a connection that was closed")
        if sent:
            stuck = time.monotonic()
        elif time.monotonic() - stuck > STUCK and _serves(hand):
            hand.stage.transcript.note(wire.who, "#", text=f"{taken} octets were taken, then no more")
            return taken, rest[: rest.index(b"\n") + 1]
        else:
            time.sleep(0.01)  # the peer decides when it reads again; there is no event for "not yet"
    raise BrokenError("a server that stops reading", f"one that took {taken >> 20} MiB for somebody who reads nothing")


def _serves(hand: Stagehand) -> bool:
    """Whether a third connection is answered, so that the server is not merely slow."""
    return answered(hand, "c")


def _numbered(spec: Spec) -> Iterator[bytes]:
    number = 0
    while True:
        yield _line(spec, number, 1900).encode() + spec.framing.writes
        number += 1


def _slow_partner(hand: Stagehand) -> None:
    _pair(hand, small=True)
    spec, stage = hand.spec, hand.stage
    assert stage is not None
    sender, reader = stage.inbox("a"), stage.inbox("b")
    taken, rest = _fill(hand, sender.wire, _numbered(spec))
    whole = (taken + len(rest)) // len(_line(spec, 0, 1900).encode() + spec.framing.writes)
    stage.transcript.quiet = True
    deadline = time.monotonic() + 4 * hand.patience
    for number in range(whole):
        rest = rest[sender.wire.offer(rest) :] if rest else rest
        wanted = _line(spec, number, 1900)
        unit = next_unit(reader, deadline)
        if unit is None or unit.text != wanted:
            stage.transcript.quiet = False
            got = "nothing" if unit is None else unit.text[:40]
            raise BrokenError(f"b < line {number} of {whole}", got)
    stage.transcript.quiet = False
    if rest:
        sender.wire.send(rest, stage.deadline())
    if not answered(hand, "a"):
        raise BrokenError("a sender who is read again", "no answer")


def _vanishing(hand: Stagehand) -> None:
    names = _pair(hand, small=True)
    assert hand.stage is not None
    sender = hand.stage.inbox("a")
    _, rest = _fill(hand, sender.wire, _numbered(hand.spec))
    hand.stage.inbox("b").wire.reset()
    ending = hand.spec.ending
    push = ending.partner.push.fill({"me": names["b"], "reason": ending.gone})
    expect(hand, "a", push)
    _drained(hand, rest)


def _drained(hand: Stagehand, rest: bytes) -> None:
    """The sender is read again: what he has sent since is refused, line by line, and his barrier is answered."""
    assert hand.stage is not None
    sender = hand.stage.inbox("a")
    hand.stage.transcript.quiet = True
    deadline = time.monotonic() + 4 * hand.patience
    while rest and time.monotonic() < deadline:
        rest = rest[sender.wire.offer(rest) :]
        sender.pump(time.monotonic() + 0.01)
        sender.units.clear()
    token = hand.stage.barrier.token()
    sender.tokens.append(token)
    sender.wire.send(hand.stage.barrier.request(token), deadline)
    while sender.tokens and not sender.ended and time.monotonic() < deadline:
        sender.pump(deadline)
        sender.units.clear()
    hand.stage.transcript.quiet = False
    if sender.tokens:
        raise BrokenError("a sender who is read again", described("a", sender, None))


def _leaving(hand: Stagehand) -> None:
    """b, whose queue is above its mark, says that he leaves: it is heard at once."""
    names = _pair(hand, small=True)
    assert hand.stage is not None
    _, rest = _fill(hand, hand.stage.inbox("a").wire, _numbered(hand.spec))
    row = _row(hand.spec, "unlink")
    hand.stage.inbox("b").wire.send(row.verb.encode() + hand.spec.framing.writes, hand.stage.deadline())
    assert row.partner is not None
    expect(hand, "a", row.partner.push.fill({"me": names["b"]}))
    _drained(hand, rest)


def _own_answers(hand: Stagehand) -> None:
    """a asks and asks, and reads nothing; then he reads, and every answer is there, in order."""
    assert hand.stage is not None
    stream = socket.socket()
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    stream.settimeout(hand.patience)
    hand.stage.adopt("a", stream)
    lead(hand, named_state(hand.spec))
    barrier, inbox = hand.stage.barrier, hand.stage.inbox("a")
    width = hand.spec.types[barrier.field.type].octets[1]

    def token(number: int) -> str:
        return f"{number}-".ljust(width, "x")

    def asking() -> Iterator[bytes]:
        number = 0
        while True:
            yield barrier.request(token(number))
            number += 1

    taken, _ = _fill(hand, inbox.wire, asking())
    count = min(taken // len(barrier.request(token(0))), CHECKED)
    ending = hand.spec.framing.writes
    answers = b"".join(barrier.answer(token(number)).encode() + ending for number in range(count))
    hand.stage.transcript.quiet = True
    deadline, got = time.monotonic() + 4 * hand.patience, 0
    while got < len(answers):
        octets = inbox.wire.read(deadline)
        rest = answers[got : got + len(octets)]
        if not octets or octets[: len(rest)] != rest:
            hand.stage.transcript.quiet = False
            number = got // (len(answers) // count)
            raise BrokenError(f"a < {barrier.answer(token(number))[:20]}…", f"{quote(octets, 60) or 'nothing'}")
        got += len(octets)
    inbox.wire.reset()
    hand.stage.transcript.quiet = False


def _stalled(hand: Stagehand) -> None:
    """b does not read; after the timer it is closed, and a learns that it is lost."""
    full = next(timer.name for timer in hand.spec.timers.values() if timer.since == "full")
    (timer,) = require(hand, full)
    assert hand.stage is not None
    names = _pair(hand, small=True)
    started = time.monotonic()
    sender = hand.stage.inbox("a")
    _fill(hand, sender.wire, _numbered(hand.spec))
    stuck = time.monotonic()
    push = hand.spec.ending.partner.push.fill({"me": names["b"], "reason": timer.gone or ""})
    latest = stuck + timer.after + hand.spec.limits.tolerance + BUSY
    unit = next_unit(sender, latest)
    elapsed = time.monotonic() - started
    if unit is None or unit.text != push:
        raise BrokenError(f"a < {push} after {timer.after:g} s", described("a", sender, unit))
    if elapsed < timer.after:
        raise BrokenError(f"a < {push} after {timer.after:g} s", f"it after {elapsed:.2f} s")
