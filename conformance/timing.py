"""Scenes about time: each timer of the spec, not too early and not too late. Runs beside the other cases.

A deadline is judged from before the octet that starts its clock is sent to after the frame that ends it has come, so
that it never looks early; lateness is forgiven the spec's tolerance and one second for a busy machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from pychat.spec import Spec
from pychat.spec.model import Timer

from .inbox import Inbox
from .scenes import (
    Scene,
    answered,
    described,
    expect,
    expect_end,
    is_reply,
    lead,
    linked_state,
    named_state,
    next_unit,
)
from .stagehand import BrokenError, NotTestedError, Stagehand

BUSY = 1.0  # seconds of lateness that are forgiven a busy machine
CLOCKS = 0.05  # seconds by which two clocks may differ


def scenes(spec: Spec) -> Iterator[Scene]:
    """The scenes of the timers that the spec has."""
    named, linked = named_state(spec), linked_state(spec)
    for timer in spec.timers.values():
        if timer.since == "accept" and timer.goodbye is not None:
            yield from _registration(spec, timer)
        elif timer.since == "silence" and timer.push is not None:
            yield from _probe(timer, named)
        elif timer.since == "silence" and timer.goodbye is not None:
            yield from _silence(spec, timer, named, linked)
        elif timer.since == "goodbye":
            yield _linger(timer)


def require(hand: Stagehand, *names: str) -> list[Timer]:
    """The timers, if both sides have them short enough. Raises NotTestedError."""
    timers = [hand.spec.timers[name] for name in names]
    for timer in timers:
        if hand.offers(timer) if hand.is_quick else timer.after <= hand.max_wait:
            continue
        raise NotTestedError(
            f"its {timer.name} timer of {hand.judged.timers[timer.name].after:g} s: give the command {{spec}} or "
            f"{{{timer.name}}}, --spec with shorter timers to both sides, or --max-wait {timer.after + 1:g}"
        )
    return timers


def latest(hand: Stagehand, timer: Timer) -> float:
    """The latest time after the start of the clock, in seconds."""
    return timer.after + hand.spec.limits.tolerance + BUSY


def due(hand: Stagehand, inbox: Inbox, started: float, timer: Timer, key: str, code: str | None = None) -> None:
    """The timer's frame is next, and in time. Raises BrokenError."""
    wanted = f"{inbox.wire.who} < {key} {code or ''}".rstrip() + f" after {timer.after:g} s"
    unit = next_unit(inbox, started + latest(hand, timer))
    elapsed = time.monotonic() - started
    if unit is None:
        raise BrokenError(wanted, f"{described(inbox.wire.who, inbox, unit)} for {elapsed:.2f} s")
    if not is_reply(hand.spec, unit.text, key) or (code and f" {code} " not in unit.text):
        raise BrokenError(wanted, f"{inbox.wire.who} < {unit} after {elapsed:.2f} s")
    if elapsed < timer.after - CLOCKS:
        raise BrokenError(wanted, f"it after {elapsed:.2f} s")


# No name in time


def _registration(spec: Spec, timer: Timer) -> Iterator[Scene]:
    state = next(iter(timer.states or {spec.initial}))
    rules = (timer.rule, "R-CLOSE-3")

    def silent(hand: Stagehand) -> None:
        (timer_,) = require(hand, timer.name)
        assert hand.stage is not None
        started = time.monotonic()
        inbox = hand.stage.inbox("a")
        due(hand, inbox, started, timer_, hand.spec.goodbye.key, timer_.goodbye)
        expect_end(hand, "a")

    def talking(hand: Stagehand) -> None:
        (timer_,) = require(hand, timer.name)
        assert hand.stage is not None
        started = time.monotonic()
        inbox = hand.stage.inbox("a")
        while not inbox.units and time.monotonic() < started + timer_.after - 0.4:
            if not answered(hand, "a"):
                break
            inbox.pump(time.monotonic() + 0.2)
        due(hand, inbox, started, timer_, hand.spec.goodbye.key, timer_.goodbye)
        expect_end(hand, "a")

    def in_time(hand: Stagehand) -> None:
        (timer_,) = require(hand, timer.name)
        assert hand.stage is not None
        started = time.monotonic()
        lead(hand, named_state(hand.spec))
        inbox = hand.stage.inbox("a")
        while time.monotonic() < started + latest(hand, timer_):
            if inbox.units or not answered(hand, "a"):
                raise BrokenError("a connection that lives: it has a name", described("a", inbox, next_unit(inbox, 0)))
            inbox.pump(time.monotonic() + 0.2)

    yield Scene(f"{state}/TIME/{timer.name}", "No name, and not an octet", rules, silent, "quick")
    title = "No name, whatever else is sent"
    mistakes = ("Starting the clock again with each octet.",)
    yield Scene(f"{state}/TIME/{timer.name}-while-talking", title, rules, talking, "quick", mistakes=mistakes)
    title = "A name in time stops the clock"
    yield Scene(f"{named_state(spec)}/TIME/{timer.name}-is-over", title, rules[:1], in_time, "quick")


# Silence


def _probe(timer: Timer, state: str) -> Iterator[Scene]:
    def probed(hand: Stagehand) -> None:
        (timer_,) = require(hand, timer.name)
        assert hand.stage is not None
        inbox = hand.stage.inbox("a")
        inbox.answers = False
        lead(hand, state)
        for _ in range(2):  # the second time after the answer to the first
            started = time.monotonic()
            answered(hand, "a")
            due(hand, inbox, started, timer_, timer_.push or "")

    def broken(hand: Stagehand) -> None:
        (timer_,) = require(hand, timer.name)
        assert hand.stage is not None
        inbox = hand.stage.inbox("a")
        inbox.answers = False
        lead(hand, state)
        pause = time.monotonic() + timer_.after * 0.6
        while not inbox.units and time.monotonic() < pause:
            inbox.pump(pause)
        started = time.monotonic()
        inbox.wire.send(b"x", hand.stage.deadline())  # the rest of its line never comes
        due(hand, inbox, started, timer_, timer_.push or "")

    yield Scene(
        f"{state}/TIME/{timer.name}", "Silence is probed, once for each silence", (timer.rule,), probed, "quick"
    )
    title = "An octet ends the silence"
    yield Scene(f"{state}/TIME/{timer.name}-after-an-octet", title, (timer.rule,), broken, "quick")


def _silence(spec: Spec, timer: Timer, named: str, linked: str) -> Iterator[Scene]:
    probes = [other.name for other in spec.timers.values() if other.since == "silence" and other.push]

    def silent(hand: Stagehand) -> None:
        timer_, *others = require(hand, timer.name, *probes)
        assert hand.stage is not None
        inbox = hand.stage.inbox("a")
        inbox.answers = False
        lead(hand, named)
        started = time.monotonic()
        answered(hand, "a")
        for other in others:
            due(hand, inbox, started, other, other.push or "")
        due(hand, inbox, started, timer_, hand.spec.goodbye.key, timer_.goodbye)
        expect_end(hand, "a")

    def told(hand: Stagehand) -> None:
        (timer_,) = require(hand, timer.name)
        assert hand.stage is not None
        inbox = hand.stage.inbox("a")
        inbox.answers = False
        names = lead(hand, linked)
        started = time.monotonic()
        answered(hand, "a")
        other = hand.stage.inbox("b")
        while not other.units and time.monotonic() < started + latest(hand, timer_):
            answered(hand, "b")
            other.pump(time.monotonic() + 0.2)
        reason = hand.spec.goodbyes[timer_.goodbye or ""].gone or ""
        push = hand.spec.ending.partner.push.fill({"me": names["a"], "reason": reason})
        expect(hand, "b", push, 1.0)
        if time.monotonic() - started < timer_.after - CLOCKS:
            raise BrokenError(f"b < {push} after {timer_.after:g} s", f"it after {time.monotonic() - started:.2f} s")

    rules = (timer.rule, "R-CLOSE-3")
    yield Scene(f"{named}/TIME/{timer.name}", "Silence, one probe, and the goodbye", rules, silent, "quick")
    rules = (timer.rule, spec.ending.rule)
    title = "Whose partner is silent for too long learns the reason"
    yield Scene(f"{linked}/TIME/{timer.name}-is-told", title, rules, told, "quick")


# After the goodbye


def _linger(timer: Timer) -> Scene:
    def lingers(hand: Stagehand) -> None:
        (timer_,) = require(hand, timer.name)
        assert hand.stage is not None
        inbox = hand.stage.inbox("a")
        answered(hand, "a")
        verb = hand.spec.quit_verb
        assert verb is not None
        started = time.monotonic()
        inbox.wire.send(verb.encode() + hand.spec.framing.writes, hand.stage.deadline())
        next_unit(inbox, hand.stage.deadline())
        expect_end(hand, "a")
        wire = inbox.wire
        if wire.end == "RST":
            raise BrokenError("a < the end of the stream", "a reset")
        while time.monotonic() < started + latest(hand, timer_) + BUSY:
            wire.send(b"x", hand.stage.deadline())
            if not wire.acknowledged(hand.stage.deadline()):
                elapsed = time.monotonic() - started
                if elapsed < timer_.after - CLOCKS:
                    raise BrokenError(f"input that is dropped for {timer_.after:g} s", f"a reset after {elapsed:.2f} s")
                return
            time.sleep(0.1)  # nothing tells that the other side still reads but another octet
        raise BrokenError(f"a closed connection after {timer_.after:g} s", "one that still takes octets")

    title = "A connection that the other side does not close is closed after a while"
    return Scene(f"CLOSED/TIME/{timer.name}", title, (timer.rule,), lingers, "quick")
