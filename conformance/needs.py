"""What a play needs of an implementation, and whether it is offered. Knows how it is started, and no case."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pychat.spec.model import Timer

from .play import Play
from .target import Command

if TYPE_CHECKING:
    from .stagehand import Stagehand

OFFERS = {"max": "its limit of connections: give the command {max}, the most connections that it admits"}


class NotTestedError(Exception):
    """The implementation offers no way to test this; the message says what it takes."""


def require(hand: Stagehand, play: Play) -> None:
    """Raises NotTestedError where a play asks for what is not offered."""
    for step in play.steps:
        if step.kind == "clock":
            _timer(hand, hand.spec.timers[step.timer])
    for name, _ in play.server:
        if not hand.has(name):
            raise NotTestedError(OFFERS.get(name, f"its {name}: give the command {{{name}}}"))
    if play.has("signal") and not isinstance(hand.target, Command):
        raise NotTestedError("its shutdown: only a server that was started with --cmd is stopped")


def _timer(hand: Stagehand, timer: Timer) -> None:
    """Both sides have it short enough."""
    if hand.offers(timer) if hand.is_quick else timer.after <= hand.max_wait:
        return
    raise NotTestedError(
        f"its {timer.name} timer of {hand.judged.timers[timer.name].after:g} s: give the command {{spec}} or "
        f"{{{timer.name}}}, --spec with shorter timers to both sides, or --max-wait {timer.after + 1:g}"
    )
