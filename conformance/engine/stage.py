"""Where a case is played: a server's address, the connections to it, and what has passed. Knows no script."""

from __future__ import annotations

import contextlib
import math
import select
import time
from dataclasses import dataclass, field

from conformance.cases.play import Play
from conformance.oracle.probe import Barrier
from pychat.spec import Spec

from .conditions import Conditions, ready
from .failures import ExcessError, OverlongError, UnreachableError
from .inbox import Inbox
from .target import Process, shown_address
from .wire import Transcript, connect


@dataclass(slots=True)
class Stage:
    """A place for one case. `usual` in seconds is how long a sign of life may take, if answers come at once."""

    spec: Spec
    address: tuple[str, int]
    usual: float = 5.0
    transcript: Transcript = field(default_factory=Transcript)
    process: Process | None = None  # the server, if the suite has started it
    inboxes: dict[str, Inbox] = field(default_factory=dict)
    opened: dict[str, tuple[float, float]] = field(default_factory=dict)  # between which two moments each was accepted
    linked: dict[str, tuple[float, float]] = field(default_factory=dict)  # the same of the beginning of each call
    notes: list[str] = field(default_factory=list)
    barrier: Barrier = field(init=False)
    conditions: Conditions = field(default_factory=Conditions)
    born: float = field(default_factory=time.monotonic)
    timers: float = 0.0  # seconds that the case's timers take, and a shutdown if it has one
    stopped: float = math.inf  # when the server was told to end
    timed: bool = False
    watched: bool = False  # a clock is still to be looked at: nothing is sent that no step says
    silent: frozenset[str] = frozenset()  # connections whose silence is looked at

    def __post_init__(self) -> None:
        self.barrier = Barrier(self.spec, first=2)

    def cast(self, play: Play) -> None:
        """Makes ready for the connections of a play."""
        self.timed = self.watched = bool(play.clocks)
        self.timers = play.rounds * sum(self.spec.timers[step.timer].after for step in play.clocks)
        self.timers += self.shutdown if play.has("signal") else 0.0
        self.silent = frozenset(step.who for step in play.clocks if self.spec.timers[step.timer].since == "silence")

    def begin_silence(self) -> None:
        """A clock of silence is looked at: whoever it is about answers nothing, but what has come before."""
        for who in self.silent & self.inboxes.keys():
            self.inboxes[who].drain()
            self.inboxes[who].answers = False

    @property
    def patience(self) -> float:
        """How long a sign of life may take, in seconds."""
        return self.conditions.patience(self.usual)

    @property
    def shutdown(self) -> float:
        """How long a shutdown may take, in seconds, as it is seen from outside."""
        return self.spec.limits.shutdown + self.spec.limits.tolerance + self.conditions.slack

    def end_silence(self) -> None:
        """From now on each connection answers what it is asked, and may be asked."""
        self.silent, self.watched = frozenset(), False
        for inbox in self.inboxes.values():
            inbox.answers, inbox.passive = True, False

    def inbox(self, who: str) -> Inbox:
        """The connection `who`, opened now if it is new. Raises UnreachableError."""
        if who not in self.inboxes:
            began = time.monotonic()
            try:
                wire = connect(who, self.address, self.transcript, self.patience)
            except OSError as error:
                raise UnreachableError(f"{shown_address(*self.address)} takes no connection: {error}") from None
            self.opened[who] = began, time.monotonic()
            self.inboxes[who] = inbox = Inbox(self.spec, wire, self.barrier)
            inbox.surprised = not self.timed
            inbox.conditions = self.conditions
        return self.inboxes[who]

    def pump(self, deadline: float) -> bool:
        """Takes in what comes next on any connection; False when nothing came before the deadline."""
        reading = {i.wire.stream.fileno(): i for i in self.inboxes.values() if not i.ended and not i.wire.pause}
        poll = select.poll()
        for descriptor in reading:
            poll.register(descriptor, select.POLLIN)
        found, late = ready(poll, deadline)
        self.transcript.late = max(self.transcript.late, late)
        for descriptor, _ in found:
            reading[descriptor].pump(time.monotonic())
        return bool(found)

    def deadline(self) -> float:
        """When patience ends, if it begins now. Raises OverlongError when the case has taken too long."""
        now = time.monotonic()
        longest = self.timers + self.conditions.longest
        if now - self.born > longest:
            raise OverlongError(f"the case has taken more than {longest:.0f} s: nothing is said of it")
        return max(now + self.patience, self.stopped + self.shutdown if self.stopped <= now else 0.0)

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self, wait: float = 0.0) -> bool:
        """Ends all connections; True when the server closed its ends within `wait` seconds too."""
        tidy = True
        deadline = time.monotonic() + wait
        for inbox in self.inboxes.values():
            if not inbox.wire.finished and not inbox.ended:
                inbox.wire.finish()
        for inbox in self.inboxes.values():
            if wait and not inbox.wire.pause:
                with contextlib.suppress(ExcessError):
                    inbox.wait(lambda: False, deadline)
            tidy = tidy and (inbox.ended or inbox.wire.pause)
            self.notes += inbox.notes
            inbox.wire.close()
        return tidy
