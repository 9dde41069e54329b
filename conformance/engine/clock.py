"""Whether a timer runs out neither too early nor too late. Knows no verb, and no timer by name.

Only the server sees when a clock begins, so two moments are taken, of which one is certainly before it and one
certainly not: a deadline looks early only against the first, and late only against the second. Lateness is forgiven
the spec's tolerance, and a little for a busy machine.
"""

from __future__ import annotations

import math
import time

from pychat.spec.model import Timer

from .actions import Await, Clock, shown
from .backlog import Backlog
from .failures import MismatchError, OvertakenError
from .inbox import Inbox
from .stage import Stage

BUSY = 0.6  # seconds of lateness that are forgiven a busy machine
CLOCKS = 0.05  # seconds by which two clocks may differ
SHORT = 0.05  # the part of a linger that may be missing: nobody waits for its exact end
LOOK = 0.3  # seconds between two looks at whether a server takes more of what it did not read
ASKED = 0.1  # seconds between two octets that test whether the other side still reads


def watch(stage: Stage, action: Clock, backlog: Backlog | None) -> None:
    """Lets a timer's time pass, or a part of it. `backlog`: the lines that filled a queue. Raises MismatchError."""
    timer = stage.spec.timers[action.timer]
    inbox = stage.inbox(action.watched)
    stage.begin_silence()
    inbox.passive = timer.since == "accept"  # a silence may be asked about while its end is late, with short timers
    first, last = _beginning(stage, action.who, timer, backlog)
    latest = last + timer.after + stage.spec.limits.tolerance + BUSY + stage.conditions.lag
    if timer.since == "goodbye" and action.part < 1:
        while time.monotonic() < first + action.part * timer.after:
            stage.pump(first + action.part * timer.after)
    elif timer.since == "goodbye":
        _expect_reset(inbox, timer, first, latest)
    elif action.due is None:
        until = last + action.part * timer.after
        if action.part > 1:
            _expect_standstill(stage, inbox, until, first + action.part * timer.after, backlog)
        elif action.part == 1:
            _expect_nothing(stage, inbox, latest)
        else:
            _expect_nothing(stage, inbox, until, first + timer.after)
    else:
        wanted = f"{shown(action.watched, action.due)} after {timer.after:g} s"
        if timer.since == "full" and backlog is not None:
            _wait_full(stage, inbox, backlog, stage.inbox(action.who), timer, latest - last)
        else:
            _wait(stage, inbox, latest)
        elapsed = time.monotonic() - first
        if not inbox.units and not inbox.ended:
            raise MismatchError(wanted, f"nothing for {elapsed:.2f} s")
        if elapsed < timer.after - CLOCKS:
            raise MismatchError(wanted, f"{inbox.seen} after {elapsed:.2f} s")


def require_time(stage: Stage, action: Clock, now: float) -> None:
    """A timer that is looked at later has not run out yet. Raises OvertakenError: too much time went by before."""
    timer = stage.spec.timers[action.timer]
    begun = {"accept": stage.opened, "call": stage.linked}.get(timer.since, {}).get(action.who)
    if begun is not None and now + stage.conditions.slack > begun[0] + timer.after:
        raise OvertakenError(
            f"what happens before {timer.name} runs out: the answers took longer than {timer.after:g} s"
        )


def require_no_timer(stage: Stage, now: float) -> None:
    """No timer has run out in a case that is about none. Raises OvertakenError: the answers were too slow for it."""
    for timer in stage.spec.timers.values():
        if timer.since in ("accept", "call") and now - stage.born + stage.conditions.slack > timer.after:
            raise OvertakenError(
                f"what takes longer than {timer.name}, {timer.after:g} s, at the pace of these answers"
            )


def await_end(stage: Stage, action: Await) -> None:
    """Waits for the moment at which a timer runs out, unless it is late."""
    timer = stage.spec.timers[action.timer]
    _, last = _beginning(stage, action.who, timer, None)
    while time.monotonic() < last + timer.after:
        stage.pump(last + timer.after)


def _beginning(stage: Stage, who: str, timer: Timer, backlog: Backlog | None) -> tuple[float, float]:
    """The moments between which the clock has begun."""
    inbox = stage.inbox(who)
    if timer.since == "accept":
        return stage.opened[who]
    if timer.since == "call":
        return stage.linked[who]
    if timer.since == "full" and backlog is not None:
        return backlog.began, backlog.stuck
    sent = inbox.sent_at or stage.opened[who][0]
    if timer.since == "silence":
        causes = (other.sent_at for other in stage.inboxes.values() if sent < other.sent_at <= inbox.moved_at)
        return max(causes, default=sent), max(sent, inbox.moved_at)
    return sent, time.monotonic()


def _wait(stage: Stage, inbox: Inbox, until: float) -> None:
    """Waits for anything on this connection. The others are read too, so that they answer what the server asks.

    What is there already is read although the time may be over: it took long to come to this step.
    """
    while not inbox.units and not inbox.ended:
        if not stage.pump(until) and time.monotonic() >= until:
            break


def _wait_full(
    stage: Stage, inbox: Inbox, backlog: Backlog, reader: Inbox, timer: Timer, seconds: float
) -> None:  # fmt: skip
    """Waits until the queue has been full for so long; where the server takes more meanwhile, it was not full yet."""
    _require_silence(stage, reader, backlog.stuck + timer.after)
    while not inbox.units and not inbox.ended and time.monotonic() < backlog.stuck + seconds:
        _wait(stage, inbox, min(time.monotonic() + LOOK, backlog.stuck + seconds))
        if not inbox.units and not inbox.ended:
            backlog.top_up()
            _require_silence(stage, reader, backlog.stuck + timer.after)


def _require_silence(stage: Stage, reader: Inbox, until: float) -> None:
    """The reader of a full queue is not ended for its silence before that. Raises OvertakenError."""
    ends = [timer.after for timer in stage.spec.timers.values() if timer.since == "silence" and timer.row is None]
    if ends and until + stage.spec.limits.tolerance > max(reader.sent_at, reader.moved_at) + min(ends):
        raise OvertakenError("a full queue: it took so long to fill it that its reader's silence ends before")


def _expect_nothing(stage: Stage, inbox: Inbox, until: float, over: float = math.inf) -> None:
    """Nothing comes until then, unless the time may be `over` already, since the clock began earlier than was seen."""
    began = time.monotonic()
    _wait(stage, inbox, min(until, over))
    if inbox.units or inbox.ended:
        if time.monotonic() >= over:
            raise OvertakenError("what comes before the end of a timer: the machine was too slow to look in time")
        raise MismatchError(f"nothing to {inbox.wire.who} for {until - began:.2f} s", inbox.seen)


def _expect_standstill(stage: Stage, inbox: Inbox, until: float, over: float, backlog: Backlog | None) -> None:
    """Nothing comes until then, as the server does not read: its queue stays full, and its own time is not over."""
    ends = [timer.after for timer in stage.spec.timers.values() if timer.since == "full"]
    if backlog is not None and ends and backlog.began + min(ends) < until:
        raise OvertakenError("a clock that stands still: it took too long to fill the queue on this machine")
    try:
        _expect_nothing(stage, inbox, until, over)
    except MismatchError:
        if backlog is None or not backlog.sender.wire.has_room(0):
            raise
        raise OvertakenError("a clock that stands still: the server has read on meanwhile, so it ran") from None


def _expect_reset(inbox: Inbox, timer: Timer, first: float, latest: float) -> None:
    """Only one more octet that is taken shows that the other side still reads."""
    while time.monotonic() < latest:
        if inbox.wire.is_cut(ASKED):
            elapsed = time.monotonic() - first
            if elapsed < (1 - SHORT) * timer.after - CLOCKS:
                raise MismatchError(f"input that is dropped for {timer.after:g} s", f"a reset after {elapsed:.2f} s")
            return
    raise MismatchError(f"a closed connection after {timer.after:g} s", "one that still takes octets")
