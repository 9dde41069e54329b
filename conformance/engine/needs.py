"""What the suite may use of an implementation, as small values, and what a play needs of it. Knows no target."""

from __future__ import annotations

from dataclasses import dataclass

from conformance.cases.play import Play
from pychat.spec import Spec
from pychat.spec.model import Timer

LIMIT = "its limit of connections: give the command {max}, the most connections that it admits"


@dataclass(frozen=True, slots=True)
class Offer:
    """What the suite may do with an implementation.

    `placeholders` are those of its command: the values that it can be given. `program`: the suite has started it,
    and may end it. `max_wait` in seconds is the longest timer that is waited for. `quick_of` is the judged spec where
    both sides follow a copy of it with short timers.
    """

    placeholders: frozenset[str] = frozenset()
    program: bool = False
    max_wait: float = 10.0
    quick_of: Spec | None = None

    def tells(self, timer: str) -> bool:
        """Whether it is told how long this timer is."""
        return "spec" in self.placeholders or timer in self.placeholders


@dataclass(frozen=True, slots=True)
class Findings:
    """What of the suite's own means works with a server: the barrier, the listing, the probe of each configuration."""

    barrier: bool = True
    listing: bool = True
    distrusted: frozenset[str] = frozenset()  # the configurations whose probe is answered wrongly
    answer: float = 0.0  # seconds of the slowest answer
    opening: float = 0.0  # seconds for each of many connections that are opened at once

    def __str__(self) -> str:
        """What does not work, for a person; nothing if all does."""
        if not self.barrier:
            return "the request that proves everything else is not answered as it must be: mend that first"
        parts = ["the list of users"] * (not self.listing)
        parts += [f"the answer that shows whether a connection is {name}" for name in sorted(self.distrusted)]
        words = "some answers are wrong at the first try, so they are not used as a proof in cases about others"
        return f"{words}: {', '.join(parts)}" if parts else ""


NO_OFFER, EVERYTHING_WORKS = Offer(), Findings()


def lacking(play: Play, spec: Spec, offer: Offer) -> str:
    """What a play needs that is not offered, and how to offer it; nothing if all is. `spec`: what both sides follow."""
    clocks = (spec.timers[step.timer] for step in play.clocks)
    too_long = [
        timer for timer in clocks if not (offer.tells(timer.name) if offer.quick_of else timer.after <= offer.max_wait)
    ]
    if too_long:
        return _advice(too_long, offer)
    for name, _ in play.server:
        if name not in offer.placeholders:
            return LIMIT if name == "max" else f"its {name}: give the command {{{name}}}"
    if play.written and not offer.program:
        return "names that stay as they are: only on a server that was started with --cmd nobody else has them"
    if play.has("signal") and not offer.program:
        return "its shutdown: only a server that was started with --cmd is stopped"
    return ""


def _advice(timers: list[Timer], offer: Offer) -> str:
    """What it takes. An implementation that is told some timers is asked about these, and no other is waited for."""
    real = [(offer.quick_of.timers[timer.name] if offer.quick_of else timer).after for timer in timers]
    name = timers[0].name
    words = f"its {name} timer of {real[0]:g} s: give the command "
    if offer.quick_of:
        return f"{words}{{{name}}} too, or {{spec}}"
    return f"{words}{{spec}} or {{{name}}}, --spec with shorter timers to both sides, or --max-wait {max(real) + 1:g}"
