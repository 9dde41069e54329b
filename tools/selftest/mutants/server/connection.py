"""A connection as the mutable server sees it, and a frame that is refused. Knows no verb and no state by name."""

from __future__ import annotations

from pychat.spec.forms import ANY_VERB, FrameFault
from pychat.spec.model import FaultRule
from tools.selftest.mutants.reader import Reader


class Connection:
    """One connection, as the server sees it. Times are seconds of the caller's clock."""

    def __init__(self, reader: Reader, state: str, address: str, now: float) -> None:
        self.reader = reader
        self.state = state
        self.address = address
        self.outbox = bytearray()
        self.name: str | None = None
        self.partner: Connection | None = None
        self.answered = self.accepted = False  # its own end of the link
        self.faults = 0
        self.finished = False  # the client has ended its sending half
        self.over = False  # the server's last frame is in the outbox
        self.opened_at = self.heard_at = self.sent_at = now
        self.called_at: float | None = None  # when it became the called end of its link
        self.full_since: float | None = None
        self.own_octets = 0  # at the end of the outbox: sending them is no sign of life
        self.done: set[str] = set()  # the timers that have run out in this silence, and in this call


class FaultyFrameError(Exception):
    """A frame with one of the general faults; `verb` is what the refusal names."""

    def __init__(self, fault: FrameFault, verb: str = ANY_VERB) -> None:
        super().__init__(fault)
        self.fault, self.verb = fault, verb

    def answered_by(self, rule: FaultRule, state: str) -> bool:
        return self.fault == rule.fault and rule.covers(state, self.verb)
