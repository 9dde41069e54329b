"""Whether a timer runs out neither too early nor too late. Knows no verb, and no timer by name.

Nobody but the server sees when a clock begins, so two moments are taken, of which one is certainly before it and one
certainly not: a deadline looks early only against the first, and late only against the second. Lateness is forgiven
the spec's tolerance, and one second for a busy machine.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pychat.spec.model import Timer

from .actions import Clock, shown
from .inbox import Inbox

if TYPE_CHECKING:
    from .player import Player

BUSY = 1.0  # seconds of lateness that are forgiven a busy machine
CLOCKS = 0.05  # seconds by which two clocks may differ
ASKED = 0.1  # seconds between two octets that ask whether the other side still reads


def run(player: Player, action: Clock) -> None:
    """Lets a timer's time pass, or a part of it. Raises MismatchError."""
    timer = player.spec.timers[action.timer]
    inbox = player.stage.inbox(action.watched)
    first, last = _beginning(player, action.who, timer)
    if timer.since == "goodbye":
        _lingers(player, inbox, timer, first, last)
    elif action.due is None:
        _nothing(player, inbox, last + (action.part * timer.after if action.part < 1 else _latest(player, timer)))
    else:
        _due(player, action, timer, first, last)


def _beginning(player: Player, who: str, timer: Timer) -> tuple[float, float]:
    """The moments between which the clock has begun."""
    inbox = player.stage.inbox(who)
    if timer.since == "accept":
        return player.stage.opened[who]
    if timer.since == "full" and player.flood is not None:
        return player.flood.began, player.flood.stuck
    sent = player.sent.get(who, player.stage.opened[who][0])
    return sent, time.monotonic() if timer.since == "goodbye" else max(sent, inbox.moved_at)


def _latest(player: Player, timer: Timer) -> float:
    """The latest time after the start of the clock, in seconds."""
    return timer.after + player.spec.limits.tolerance + BUSY


def _wait(player: Player, inbox: Inbox, until: float) -> None:
    """Waits for anything on this connection. Whoever else is probed for silence meanwhile, answers."""
    while not inbox.units and not inbox.ended and time.monotonic() < until:
        player.stage.pump(until)


def _nothing(player: Player, inbox: Inbox, until: float) -> None:
    began = time.monotonic()
    _wait(player, inbox, until)
    if inbox.units or inbox.ended:
        raise player.fail(f"nothing to {inbox.wire.who} for {until - began:.2f} s", inbox.seen)


def _due(player: Player, action: Clock, timer: Timer, first: float, last: float) -> None:
    inbox = player.stage.inbox(action.watched)
    _wait(player, inbox, last + _latest(player, timer))
    elapsed = time.monotonic() - first
    assert action.due is not None
    wanted = f"{shown(action.watched, action.due)} after {timer.after:g} s"
    if not inbox.units and not inbox.ended:
        raise player.fail(wanted, f"nothing for {elapsed:.2f} s", timeout=True)
    if elapsed < timer.after - CLOCKS:
        raise player.fail(wanted, f"{inbox.seen} after {elapsed:.2f} s")


def _lingers(player: Player, inbox: Inbox, timer: Timer, first: float, last: float) -> None:
    """Nothing tells that the other side still reads but one more octet that is taken."""
    while time.monotonic() < last + _latest(player, timer):
        if inbox.wire.is_cut(ASKED):
            elapsed = time.monotonic() - first
            if elapsed < timer.after - CLOCKS:
                raise player.fail(f"input that is dropped for {timer.after:g} s", f"a reset after {elapsed:.2f} s")
            return
    raise player.fail(f"a closed connection after {timer.after:g} s", "one that still takes octets", timeout=True)
