"""A connection as the server sees it, with its end of the link. Knows no rule of the protocol."""

from __future__ import annotations

from dataclasses import dataclass

from .frames import Cutter

ALONE = "alone"  # the end of a link whose partner is gone
LINK_ENDS = {  # the ends of a link: what is true of each (answered, accepted, the partner has answered); None: of both
    "": (True, True, True),
    "calling": (True, True, False),
    "called": (False, False, True),
    "retracted": (True, False, None),
}


@dataclass(slots=True)
class Connection:
    """A connection as the server sees it."""

    id: str
    state: str
    name: str | None = None
    partner: str | None = None  # the other's id
    answered: bool = False  # it has named this partner
    accepted: bool = False  # … and is heard
    called: bool = False  # the timers of a call run for it
    faults: int = 0  # so far, under the budget of its state
    finished: bool = False  # the client has ended its sending half
    cutter: Cutter | None = None  # once octets have come

    def key(self) -> tuple[object, ...]:
        """What distinguishes two states of a connection, without the counts of faults."""
        return self.id, self.state, self.name, self.partner, self.answered, self.accepted

    def copy(self) -> Connection:
        """The same connection, without the half line that has come."""
        return Connection(
            self.id, self.state, self.name, self.partner, self.answered, self.accepted, self.called, self.faults,
            self.finished,
        )  # fmt: skip

    def tie(self, partner: str | None, *, caller: bool = False) -> None:
        """A new partner, or none any more. The caller has answered, and is accepted."""
        self.partner = partner
        self.answered = self.accepted = caller
        self.called = partner is not None and not caller
