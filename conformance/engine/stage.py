"""Where a case is played: a server's address, the connections to it, and what has passed. Knows no script."""

from __future__ import annotations

import contextlib
import select
import time
from dataclasses import dataclass, field

from conformance.cases.play import Play
from conformance.oracle.probe import TOKENS, Barrier
from pychat.spec import Spec

from .failures import ExcessError, UnreachableError
from .inbox import Inbox
from .target import Process
from .wire import Transcript, connect


@dataclass(slots=True)
class Stage:
    """A place for one case. `patience` in seconds is how long a sign of life may take."""

    spec: Spec
    address: tuple[str, int]
    patience: float = 5.0
    transcript: Transcript = field(default_factory=Transcript)
    process: Process | None = None  # the server, if the suite has started it
    inboxes: dict[str, Inbox] = field(default_factory=dict)
    opened: dict[str, tuple[float, float]] = field(default_factory=dict)  # between which two moments each was accepted
    linked: dict[str, tuple[float, float]] = field(default_factory=dict)  # the same of the beginning of each call
    notes: list[str] = field(default_factory=list)
    barrier: Barrier = field(init=False)
    timed: bool = False
    silent: frozenset[str] = frozenset()  # connections whose silence is looked at

    def __post_init__(self) -> None:
        self.barrier = Barrier(self.spec, first=TOKENS // 3)  # a script has the tokens before these

    def cast(self, play: Play) -> None:
        """Makes ready for the connections of a play."""
        self.timed = bool(play.clocks)
        self.silent = frozenset(step.who for step in play.clocks if self.spec.timers[step.timer].since == "silence")

    def begin_silence(self) -> None:
        """A clock of silence is looked at: whoever it is about answers nothing, but what has come before."""
        for who in self.silent & self.inboxes.keys():
            self.inboxes[who].drain()
            self.inboxes[who].answers = False

    def end_silence(self) -> None:
        """From now on each connection answers what it is asked."""
        self.silent = frozenset()
        for inbox in self.inboxes.values():
            inbox.answers = True

    def inbox(self, who: str) -> Inbox:
        """The connection `who`, opened now if it is new. Raises UnreachableError."""
        if who not in self.inboxes:
            began = time.monotonic()
            try:
                wire = connect(who, self.address, self.transcript, self.patience)
            except OSError as error:
                raise UnreachableError(f"{self.address[0]}:{self.address[1]} takes no connection: {error}") from None
            self.opened[who] = began, time.monotonic()
            self.inboxes[who] = inbox = Inbox(self.spec, wire, self.barrier)
            inbox.surprised = not self.timed
        return self.inboxes[who]

    def pump(self, deadline: float) -> bool:
        """Takes in what comes next on any connection; False when nothing came before the deadline."""
        reading = {i.wire.stream.fileno(): i for i in self.inboxes.values() if not i.ended and not i.wire.pause}
        poll = select.poll()
        for descriptor in reading:
            poll.register(descriptor, select.POLLIN)
        ready = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        for descriptor, _ in ready:
            reading[descriptor].pump(time.monotonic())
        return bool(ready)

    def deadline(self, times: float = 1) -> float:
        """When patience ends, or so many times of it, if it begins now."""
        return time.monotonic() + times * self.patience

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
