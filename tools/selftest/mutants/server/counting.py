"""Server mutants that are wrong about the count of faults: what sets it back, what does not, and whose it is.

Knows no verb and no state by name.
"""

from __future__ import annotations

from collections.abc import Mapping

from pychat.spec.forms import ANY_VERB, Template
from pychat.spec.model import Outcome, PartnerEffect, Timer
from tools.selftest.mutants.mutant import Table

from .connection import Connection, FaultyFrameError
from .engine import Server
from .users import Users

table: Table[Server] = Table(Server, near="*/*/*count*")


def _begins_anew(conn: Connection) -> None:
    conn.faults = 0


# fmt: off
table.row("good-frame-takes-one-fault-back", "A good frame takes one fault back, and ends no row.", Server.end_row,
          lambda self, conn: setattr(conn, "faults", max(0, conn.faults - 1)), near="*/*/*ends-a-row")
table.row("any-good-frame-ends-a-count", "A good frame ends the count of a connection without a name too.",
          Server.end_row, lambda self, conn: _begins_anew(conn), near="*/*/*the-count")
table.row("refusal-leaves-a-row", "A request that is refused does not end a row.", Server.taken,
          lambda self, conn, outcome: None if outcome.error else Server.taken(self, conn, outcome),
          near="*/*/*ends-a-row")
table.row("refusal-counts", "A request that is refused counts as a fault.", Server.taken,
          lambda self, conn, outcome:
          self.count_fault(conn) if outcome.error else Server.taken(self, conn, outcome), near="*/*/*ends-a-row")
table.row("unanswered-leaves-a-row", "A request that gets no answer does not end a row.", Server.taken,
          lambda self, conn, outcome:
          Server.taken(self, conn, outcome) if outcome.answer or outcome.error else None, near="*/*/*ends-a-row")
table.row("unchanging-leaves-a-row", "Only a request that changes something ends a row.", Server.taken,
          lambda self, conn, outcome:
          Server.taken(self, conn, outcome) if outcome.effects or outcome.to else None, near="*/*/*ends-a-row")
table.row("move-leaves-a-row", "A request that moves the connection does not end its row.", Server.taken,
          lambda self, conn, outcome:
          Server.taken(self, conn, outcome) if not outcome.to else None, near="*/*/*ends-a-row")
# fmt: on


@table.step(Server.refuse_fault)
def known_verb_ends_a_row(self: Server, conn: Connection, faulty: FaultyFrameError) -> None:
    """Ends a row when it has read the verb, before it looks at the rest: a fault behind it is the first one again."""
    if faulty.verb != ANY_VERB:
        self.end_row(conn)
    Server.refuse_fault(self, conn, faulty)


@table.step(Server.refuse_fault, near="*/*/*ends-a-row")
def uncounted_leaves_a_row(self: Server, conn: Connection, faulty: FaultyFrameError) -> None:
    """A fault that does not count does not end a row either."""
    rule = next(rule for rule in self.spec.faults if faulty.answered_by(rule, conn.state))
    if faulty.verb in rule.uncounted:
        self.write(conn, self.refusal(conn, faulty.verb, rule.error))
    else:
        Server.refuse_fault(self, conn, faulty)


@table.step(Server.refuse_fault)
def uncounted_verb_has_no_faults(self: Server, conn: Connection, faulty: FaultyFrameError) -> None:
    """No fault counts of a verb for which one kind of fault does not."""
    before = conn.faults
    Server.refuse_fault(self, conn, faulty)
    if not conn.over and any(faulty.verb in rule.uncounted for rule in self.spec.faults):
        conn.faults = before


@table.engine("each-kind-has-its-count")
class EachKindHasItsCount(Server):
    """Each kind of fault has a count of its own."""

    def refuse_fault(self, conn: Connection, faulty: FaultyFrameError) -> None:
        conn.faults = self.memory.get((conn, faulty.fault), 0)
        super().refuse_fault(conn, faulty)
        self.memory[(conn, faulty.fault)] = conn.faults

    def end_row(self, conn: Connection) -> None:
        super().end_row(conn)
        for key in [key for key in self.memory if key[0] is conn and conn.faults == 0]:
            del self.memory[key]


@table.engine("each-state-has-its-count", near="*/*/*of-another-leaves-the-count")
class EachStateHasItsCount(Server):
    """Each state has a count of its own, also those that share a budget."""

    def move(self, conn: Connection, state: str) -> None:
        self.memory[(conn, conn.state)] = conn.faults
        super().move(conn, state)
        conn.faults = self.memory.get((conn, state), 0)


@table.engine("one-count-for-an-address", near="*/*/each-has-its-own-count")
class OneCountForAnAddress(Server):
    """All connections of an address share one count of faults."""

    def refuse_fault(self, conn: Connection, faulty: FaultyFrameError) -> None:
        conn.faults = self.memory.get(conn.address, 0)
        super().refuse_fault(conn, faulty)
        self.memory[conn.address] = conn.faults

    def end_row(self, conn: Connection) -> None:
        super().end_row(conn)
        self.memory[conn.address] = 0

    def open(self, address: str, now: float) -> Connection:
        conn = super().open(address, now)
        if len(self.connections) == 1:
            self.memory[address] = 0
        return conn


@table.step(Server.end_row, near="*/*/each-has-its-own-count")
def good_frame_ends_all_rows(self: Server, conn: Connection) -> None:
    """A good frame of one connection ends the rows of all."""
    for other in self.connections:
        Server.end_row(self, other)


@table.step(Server.taken, near="*/*/the-next-one-begins-at-zero")
def name_keeps_its_count(self: Server, conn: Connection, outcome: Outcome) -> None:
    """A user that comes back under a name has the faults of the one before."""
    Server.taken(self, conn, outcome)
    if outcome.does("bind"):
        before = self.memory.get(conn.name)
        conn.faults = before.faults if before is not None else 0
        self.memory[conn.name] = conn


@table.engine("count-goes-on-with-the-name", near="*/*/*begins-a-count")
class CountGoesOnWithTheName(Server):
    """The faults before the name count on behind it."""

    def move(self, conn: Connection, state: str) -> None:
        before = conn.faults
        super().move(conn, state)
        conn.faults = before

    def taken(self, conn: Connection, outcome: Outcome) -> None:
        if not outcome.does("bind"):
            super().taken(conn, outcome)


@table.step(Server.push, near="*/*/*of-another-leaves-the-count")
def push_ends_a_row(self: Server, other: Connection, push: Template, words: Mapping[str, str]) -> None:
    """A frame that the server sends by itself ends the row of its receiver."""
    self.end_row(other)
    Server.push(self, other, push, words)


@table.step(Server.push, near="*/*/*of-another-leaves-the-count")
def line_heard_ends_a_row(self: Server, other: Connection, push: Template, words: Mapping[str, str]) -> None:
    """A line of the partner ends the row of its receiver."""
    if self.relaying:
        self.end_row(other)
    Server.push(self, other, push, words)


@table.step(Server.tell_partner, near="*/*/*of-another-leaves-the-count")
def being_called_ends_a_row(self: Server, other: Connection, effect: PartnerEffect, words: Mapping[str, str]) -> None:
    """A row ends for a connection that another one moves."""
    if effect.to is not None:
        self.end_row(other)
    Server.tell_partner(self, other, effect, words)


@table.step(Users.unlink, near="*/*/*of-another-leaves-the-count")
def end_of_a_link_ends_both_rows(self: Users, conn: Connection) -> None:
    """The end of a link ends the rows of both its ends."""
    if conn.partner is not None:
        conn.partner.faults = 0
    Users.unlink(self, conn)


@table.step(Server.run_out, near="*/TIME/*")
def timer_ends_a_row(self: Server, conn: Connection, timer: Timer) -> None:
    """A timer that runs out ends a row."""
    self.end_row(conn)
    Server.run_out(self, conn, timer)


@table.step(Server.receive, near="*/*/*the-count")
def segment_ends_a_row(self: Server, conn: Connection, octets: bytes, now: float) -> None:
    """Counts the faults of one segment only."""
    self.end_row(conn)
    Server.receive(self, conn, octets, now)


@table.engine("one-fault-for-a-segment", near="*/LINE/too-many-errors")
class OneFaultForASegment(Server):
    """Counts one fault at most for each segment."""

    def receive(self, conn: Connection, octets: bytes, now: float) -> None:
        self.memory[conn] = True
        super().receive(conn, octets, now)

    def count_fault(self, conn: Connection) -> None:
        if self.memory.pop(conn, False):
            super().count_fault(conn)


@table.engine("partners-share-a-count")
class PartnersShareACount(Server):
    """A fault of one end of a link counts for the other one too."""

    def count_fault(self, conn: Connection) -> None:
        other = conn.partner
        super().count_fault(conn)
        if other is not None and not other.over:
            super().count_fault(other)


@table.step(Server.count_fault, near="*/LINE/too-many-errors*")
def too_many_faults_of_a_linked_one_are_quiet(self: Server, conn: Connection) -> None:
    """Ends a linked connection for its faults, and tells its partner nothing."""
    budget = self.spec.budget(conn.state)
    if budget is not None and conn.faults + 1 >= budget.faults and conn.partner is not None:
        conn.partner.partner = None
        conn.partner = None
    Server.count_fault(self, conn)
