"""Server mutants that are wrong about calls: who has answered, who is told so, what rings, who has called in vain.

Knows no verb and no state by name. A call is answered by a row that accepts; a row that asks `not answered` and unlinks
declines it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pychat.spec.model import Outcome, PartnerEffect, Spec
from pychat.spec.terms import Condition, Entry, Tell
from tools.selftest.mutants.mutant import Table

from .connection import Connection, FaultyFrameError
from .engine import Server
from .places import cleared
from .users import Users

Words = Mapping[str, str]

table: Table[Server] = Table(Server, near="*/{link}/*")

# fmt: off
table.row("missed-to-the-caller", "Tells the caller of the missed call, not the user that has missed it.", Server.told,
          lambda self, conn, tell, words: [conn for _ in Server.told(self, conn, tell, words)])
table.row("missed-to-the-partner-too", "Tells the partner of a busy user of its missed calls as well.", Server.told,
          lambda self, conn, tell, words:
          [user for told in Server.told(self, conn, tell, words) for user in (told, told.partner) if user])
table.row("missed-only-with-a-partner", "Tells no user of missed calls whose partner has gone.", Server.told,
          lambda self, conn, tell, words:
          [user for user in Server.told(self, conn, tell, words) if user.partner is not None])
table.row("missed-only-when-answered", "Tells no user of missed calls that has not answered its own call.", Server.told,
          lambda self, conn, tell, words: [user for user in Server.told(self, conn, tell, words) if user.answered])
table.row("missed-never-cleared", "Remembers missed calls as long as both users live.", Users.change,
          lambda self, kind, relation, asked: Users.change(self, kind, relation, asked) if kind == "add" else None)
# fmt: on


# --- answers ----------------------------------------------------------------------------------------------------------


@table.step(Users.link)
def caller_has_to_answer(self: Users, conn: Connection, other: Connection) -> None:
    """Takes the caller for an end that has not answered: its next CHAT is told, and its LEAVE declines."""
    Users.link(self, conn, other)
    conn.answered = False


@table.engine("answer-kept")
class AnswerKept(Server):
    """An answer outlives its chat: in the next one, the end is taken for one that has answered."""

    def unlink(self, conn: Connection) -> None:
        kept = [(end, end.answered) for end in (conn, conn.partner) if end is not None]
        super().unlink(conn)
        for end, answered in kept:
            end.answered = answered

    def link(self, conn: Connection, other: Connection) -> None:
        kept = other.answered
        super().link(conn, other)
        other.answered |= kept


@table.step(Users.retract)
def retracting_takes_the_answer_back(self: Users, conn: Connection) -> None:
    """Takes an end that takes its acceptance back for one that has not answered."""
    Users.retract(self, conn)
    conn.answered = False


@table.step(Server.refuse_fault)
def fault_answers(self: Server, conn: Connection, faulty: FaultyFrameError) -> None:
    """Takes a faulty frame for an answer to the call."""
    conn.answered = True
    Server.refuse_fault(self, conn, faulty)


@table.step(Server.tell_partner)
def acceptor_told(self: Server, other: Connection, effect: PartnerEffect, words: Words) -> None:
    """Tells the end that answers of its own answer, and not the caller."""
    accepting = self.at[1] is not None and self.at[1].does("accept")
    told = self.user(words["me"]) if accepting else other
    Server.tell_partner(self, told or other, effect, words)


@table.engine("answer-told-late")
class AnswerToldLate(Server):
    """The caller learns of the answer after the next frame of the end that has answered."""

    late: tuple[Connection, PartnerEffect, Words] | None = None

    def tell_partner(self, other: Connection, effect: PartnerEffect, words: Words) -> None:
        if self.at[1] is not None and self.at[1].does("accept"):
            self.late = (other, effect, dict(words))
        else:
            super().tell_partner(other, effect, words)

    def take(self, conn: Connection, line: bytes) -> None:
        late = self.late if self.late is not None and self.late[2]["me"] == conn.name else None
        super().take(conn, line)
        if late is not None:
            self.late = None
            super().tell_partner(*late)


@table.engine("answer-told-as-typed")
class AnswerToldAsTyped(Server):
    """The caller learns of the answer by the name that it has typed, not by the user's own spelling."""

    def do(self, conn: Connection, outcome: Outcome, values: Words) -> None:
        field = outcome.field_for("link")
        if field is not None:
            self.memory[self.user(values[field])] = values[field]
        super().do(conn, outcome, values)

    def tell_partner(self, other: Connection, effect: PartnerEffect, words: Words) -> None:
        if self.at[1] is not None and self.at[1].does("accept"):
            words = {**words, "me": self.memory.get(self.user(words["me"]), words["me"])}
        super().tell_partner(other, effect, words)


@table.engine("gone-partner-accepted")
class GonePartnerAccepted(Server):
    """An end whose partner has gone may still name it, as if it were there."""

    def unlink(self, conn: Connection) -> None:
        if conn.partner is not None:
            self.memory[conn.partner] = conn
        super().unlink(conn)

    def holds(self, conn: Connection, condition: Condition, values: Words) -> bool:
        gone = self.memory.get(conn) if conn.partner is None else None
        named = self.user(values.get(condition.field or "", ""))
        return super().holds(conn, condition, values) or (
            condition.kind == "the partner" and named is not None and named is gone
        )

    def variables(self, conn: Connection, other: Connection | None, values: Words) -> dict[str, str]:
        return super().variables(conn, other or self.memory.get(conn), values)


# --- ends of calls ----------------------------------------------------------------------------------------------------


def _declining(spec: Spec) -> PartnerEffect | None:
    """What a row that declines a call tells the partner."""
    rows = (row for _, row in spec.outcomes() if row.does("unlink"))
    return next((row.partner for row in rows if Condition("not answered") in row.conditions), None)


@table.step(Server.do)
def callers_leave_is_a_decline(self: Server, conn: Connection, outcome: Outcome, values: Words) -> None:
    """Tells that a call was declined when its caller leaves before there was an answer."""
    ringing = conn.partner is not None and not conn.partner.answered
    if ringing and outcome.verb and outcome.does("unlink") and outcome.to != self.spec.final:
        outcome = replace(outcome, partner=_declining(self.spec))
    Server.do(self, conn, outcome, values)


@table.step(Server.do)
def quit_is_a_decline(self: Server, conn: Connection, outcome: Outcome, values: Words) -> None:
    """Tells that a call was declined when the called user quits instead of an answer."""
    if outcome.to == self.spec.final and conn.partner is not None and not conn.answered:
        outcome = replace(outcome, partner=_declining(self.spec))
    Server.do(self, conn, outcome, values)


@table.step(Server.end)
def loss_is_a_decline(self: Server, conn: Connection, reason: str, last_frame: str | None = None) -> None:
    """Tells that a call was declined when the called user is lost instead of an answer."""
    spec = self.spec
    if conn.partner is not None and not conn.answered:
        self.spec = replace(spec, ending=replace(spec.ending, partner=_declining(spec)))
    Server.end(self, conn, reason, last_frame)
    self.spec = spec


# --- ringing ----------------------------------------------------------------------------------------------------------


@table.step(Server.take, near="*/TIME/*")
def frames_set_the_ring_back(self: Server, conn: Connection, line: bytes) -> None:
    """Each frame of the called end begins the time for its answer anew."""
    if conn.called_at is not None:
        conn.called_at = self.now
    Server.take(self, conn, line)


@table.step(Server.push, near="*/TIME/*")
def lines_set_the_ring_back(self: Server, other: Connection, push: Any, words: Words) -> None:
    """Each line of the caller begins the time for the answer anew."""
    if self.relaying and other.called_at is not None:
        other.called_at = self.now
    Server.push(self, other, push, words)


@table.step(Users.link, near="*/TIME/*")
def ring_counts_from_the_first_call(self: Users, conn: Connection, other: Connection) -> None:
    """The time of an earlier call counts for the next one."""
    first = other.called_at
    Users.link(self, conn, other)
    other.called_at = self.now if first is None else first


@table.step(Users.link, near="*/TIME/*")
def rings_out_once(self: Users, conn: Connection, other: Connection) -> None:
    """The time for an answer runs out only once for a connection."""
    done = set(other.done)
    Users.link(self, conn, other)
    other.done = done


@table.engine("ring-ends-one-side", near="*/TIME/*")
class RingEndsOneSide(Server):
    """When the time for the answer is over, both ends are told so, but the caller keeps its partner."""

    def unlink(self, conn: Connection) -> None:
        other = conn.partner
        super().unlink(conn)
        if self.at[1] is not None and not self.at[1].verb and other is not None:
            other.partner, other.answered, other.accepted = conn, True, True


# --- missed calls -----------------------------------------------------------------------------------------------------


@table.engine("missed-told-late")
class MissedToldLate(Server):
    """A user learns of a missed call after the next frame of its caller."""

    late: tuple[Connection, Tell, Words] | None = None

    def tell(self, conn: Connection, tell: Tell, words: Words) -> None:
        self.late = (conn, tell, dict(words))

    def take(self, conn: Connection, line: bytes) -> None:
        late = self.late if self.late is not None and self.late[0] is conn else None
        super().take(conn, line)
        if late is not None:
            self.late = None
            super().tell(*late)


@table.step(Users.unlink)
def missed_cleared_with_the_partner(self: Users, conn: Connection) -> None:
    """Forgets the missed calls of an end when its partner goes, not when it leaves."""
    other = conn.partner
    Users.unlink(self, conn)
    if other is not None:
        for entry in cleared(self.spec):
            self.tuples.drop(entry.relation, self.asked(other, entry, {}))


@table.step(Users.holds)
def missed_by_spelling(self: Users, conn: Connection, condition: Condition, values: Words) -> bool:
    """Takes a call by another spelling of the name for the first one."""
    if condition.kind != "absent":
        return Users.holds(self, conn, condition, values)
    spelled = ("absent", conn, *values.values())
    fresh = spelled not in self.memory
    self.memory[spelled] = True
    return Users.holds(self, conn, condition, values) or fresh


@table.step(Users.asked)
def missed_for_a_name(self: Users, conn: Connection, entry: Entry, values: Words) -> list[Any]:
    """Remembers names instead of users, so that a new user of the same name is taken for the first one."""
    found = Users.asked(self, conn, entry, values)
    return [self.fold(one.name or "") if isinstance(one, Connection) else one for one in found]
