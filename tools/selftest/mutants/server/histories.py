"""Server mutants that remember too much or too little: what is left of a link, a call or a name when it is over.

Each is right in the first chat of a connection. Knows no verb and no state by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pychat.spec.model import Outcome
from pychat.spec.terms import Condition
from tools.selftest.mutants.mutant import Table

from .connection import Connection
from .engine import Server
from .users import Users

Words = Mapping[str, str]

table: Table[Server] = Table(Server, near="*/*/*whatever-came-before*")


def _pair(self: Users, conn: Connection, other: Connection) -> frozenset[str]:
    """The key of a map by names."""
    return frozenset(self.fold(end.name or "") for end in (conn, other))


# --- flags ------------------------------------------------------------------------------------------------------------


@table.engine("flags-cleared-with-a-partner-alone")
class FlagsClearedWithAPartnerAlone(Server):
    """A user whose partner has gone keeps what it has said, also after it leaves."""

    def end(self, conn: Connection, reason: str, last_frame: str | None = None) -> None:
        other = conn.partner
        kept = (other.answered, other.accepted) if other is not None else (False, False)
        super().end(conn, reason, last_frame)
        if other is not None:
            self.memory[other] = kept

    def link(self, conn: Connection, other: Connection) -> None:
        super().link(conn, other)
        answered, accepted = self.memory.pop(other, (False, False))
        other.answered |= answered
        other.accepted |= accepted


@table.engine("retraction-outlives-its-chat")
class RetractionOutlivesItsChat(Server):
    """An end that took its acceptance back is not heard as the caller of the next chat either."""

    def retract(self, conn: Connection) -> None:
        super().retract(conn)
        self.memory[conn] = True

    def accept(self, conn: Connection) -> None:
        super().accept(conn)
        self.memory.pop(conn, None)

    def link(self, conn: Connection, other: Connection) -> None:
        super().link(conn, other)
        conn.accepted = conn not in self.memory


@table.engine("answered-once-for-a-pair")
class AnsweredOnceForAPair(Server):
    """Two users that had a chat need no answer in the next one: what they said is kept by their names."""

    def accept(self, conn: Connection) -> None:
        super().accept(conn)
        if conn.partner is not None:
            self.memory[_pair(self, conn, conn.partner)] = True

    def link(self, conn: Connection, other: Connection) -> None:
        super().link(conn, other)
        if _pair(self, conn, other) in self.memory:
            other.answered = other.accepted = True


@table.engine("answer-told-once-for-a-pair")
class AnswerToldOnceForAPair(Server):
    """An answer is told only in the first chat of two users."""

    def holds(self, conn: Connection, condition: Condition, values: Words) -> bool:
        told = conn.partner is not None and _pair(self, conn, conn.partner) in self.memory
        if condition.kind == "not answered" and told and len(values) > 0:
            return False
        return super().holds(conn, condition, values)

    def accept(self, conn: Connection) -> None:
        super().accept(conn)
        if conn.partner is not None:
            self.memory[_pair(self, conn, conn.partner)] = True


@table.engine("once-called-always-called")
class OnceCalledAlwaysCalled(Server):
    """A user that left a call unanswered is taken for a called one when it calls somebody itself."""

    def unlink(self, conn: Connection) -> None:
        if conn.partner is not None and not conn.answered:
            self.memory[conn] = True
        super().unlink(conn)

    def link(self, conn: Connection, other: Connection) -> None:
        super().link(conn, other)
        conn.answered = not self.memory.pop(conn, False)


@table.engine("repeated-call-is-an-answer")
class CallerAnswersWithTheCalled(Server):
    """A caller that repeats its call before there is an answer tells the called user that it has answered."""

    def link(self, conn: Connection, other: Connection) -> None:
        super().link(conn, other)
        self.memory[conn] = True

    def holds(self, conn: Connection, condition: Condition, values: Words) -> bool:
        if condition.kind == "not answered" and values and conn.partner is not None and not conn.partner.answered:
            return self.memory.pop(conn, False) or super().holds(conn, condition, values)
        return super().holds(conn, condition, values)


# --- partners ---------------------------------------------------------------------------------------------------------


class _Former(Server):
    """Knows of each connection whom it was linked with last."""

    def unlink(self, conn: Connection) -> None:
        other = conn.partner
        super().unlink(conn)
        if other is not None:
            self.memory[other] = conn

    def link(self, conn: Connection, other: Connection) -> None:
        super().link(conn, other)
        self.memory.pop(conn, None)
        self.memory.pop(other, None)


@table.engine("leave-cuts-the-former-partners-chat", near="*/*/long-after-the-partner")
class LeaveCutsTheFormerPartnersChat(_Former):
    """A user that leaves after its partner takes the partner from that one again, though it has another by now."""

    def unlink(self, conn: Connection) -> None:
        former = self.memory.pop(conn, None) if conn.partner is None else None
        super().unlink(conn)
        if former is not None and former.partner is not None:
            former.partner = None


@table.engine("end-cuts-the-former-partners-chat", near="*/*/long-after-the-partner")
class EndCutsTheFormerPartnersChat(_Former):
    """The same when the connection ends instead."""

    def end(self, conn: Connection, reason: str, last_frame: str | None = None) -> None:
        former = self.memory.get(conn) if conn.partner is None else None
        super().end(conn, reason, last_frame)
        if former is not None and former.partner is not None:
            former.partner = None


@table.engine("end-told-to-the-former-partner")
class EndToldToTheFormerPartner(_Former):
    """A connection that ends after its partner has left tells that one of its end all the same."""

    def end(self, conn: Connection, reason: str, last_frame: str | None = None) -> None:
        former = self.memory.get(conn) if conn.partner is None else None
        words = {**self.variables(conn, former, {}), "reason": reason}
        super().end(conn, reason, last_frame)
        if former is not None and not former.over and self.spec.ending.partner is not None:
            self.push(former, self.spec.ending.partner.push, words)


@table.engine("line-to-the-former-partner")
class LineToTheFormerPartner(_Former):
    """A line of a user whose partner has left reaches that one, if it is in another chat by now."""

    def do(self, conn: Connection, outcome: Outcome, values: Words) -> None:
        former = self.memory.get(conn)
        if outcome.verb == self.spec.verb_that("relay") and former is not None and former.partner is not None:
            rows = self.spec.states[conn.state].recv[outcome.verb]
            relay = next(row for row in rows if row.does("relay"))
            if relay.partner is not None:
                self.push(former, relay.partner.push, values)
        super().do(conn, outcome, values)


@table.engine("partner-by-name")
class PartnerByName(Server):
    """Keeps the name of the partner, and not the connection: whoever has it now gets the lines."""

    def link(self, conn: Connection, other: Connection) -> None:
        super().link(conn, other)
        self.memory[conn], self.memory[other] = other.name, conn.name

    def holds(self, conn: Connection, condition: Condition, values: Words) -> bool:
        if condition.kind == "no partner" and conn.partner is None and self.is_linked(conn):
            found = self.user(self.memory.get(conn) or "")
            return found is None or found is conn
        return super().holds(conn, condition, values)


@table.engine("first-caller-stays")
class FirstCallerStays(Server):
    """A user's caller is kept until it answers, so that of two calls, one after the other, the first one counts."""

    def link(self, conn: Connection, other: Connection) -> None:
        super().link(conn, other)
        self.memory.setdefault(other, conn)

    def accept(self, conn: Connection) -> None:
        super().accept(conn)
        self.memory.pop(conn, None)

    def holds(self, conn: Connection, condition: Condition, values: Words) -> bool:
        found = super().holds(conn, condition, values)
        if condition.kind == "the partner" and conn.partner is not None and not conn.answered:
            return found and self.memory.get(conn, conn.partner) is conn.partner
        return found


@table.engine("former-partner-may-be-named")
class FormerPartnerMayBeNamed(_Former):
    """A user in a chat may name the partner of its chat before."""

    def link(self, conn: Connection, other: Connection) -> None:
        kept = {end: self.memory.get(end) for end in (conn, other)}
        super().link(conn, other)
        self.memory.update(kept)

    def holds(self, conn: Connection, condition: Condition, values: Words) -> bool:
        if condition.kind == "the partner" and conn.partner is not None:
            named = self.user(values.get(condition.field or "", ""))
            if named is not None and named is self.memory.get(conn):
                return True
        return super().holds(conn, condition, values)


# --- calls in vain ----------------------------------------------------------------------------------------------------


@table.step(Server.do)
def refused_call_keeps_its_aim(self: Server, conn: Connection, outcome: Outcome, values: Words) -> None:
    """A caller that was refused as the other is busy has that one for its partner all the same."""
    Server.do(self, conn, outcome, values)
    if outcome.error is not None and any(condition.kind == "linked" for condition in outcome.conditions):
        conn.partner = next((self.user(value) for value in values.values()), None)


@table.step(Server.do)
def refused_call_turns_the_lines(self: Server, conn: Connection, outcome: Outcome, values: Words) -> None:
    """A user in a chat that calls another one, and is refused, sends its next lines to that one once it is heard."""
    Server.do(self, conn, outcome, values)
    if outcome.does("retract") and conn.partner is not None:
        self.memory[conn] = next((self.user(value) for value in values.values()), None)
    elif outcome.does("relay"):
        other = self.memory.pop(conn, None)
        if other is not None and other is not conn and other is not conn.partner and outcome.partner is not None:
            self.push(other, outcome.partner.push, values)


@table.step(Users.unlink)
def declined_caller_is_free(self: Users, conn: Connection) -> None:
    """Takes the caller of a declined call out of its chat at once."""
    other = conn.partner
    declined = other is not None and not conn.answered
    Users.unlink(self, conn)
    if declined and other is not None:
        other.state = next(n for n, s in self.spec.states.items() if not (s.initial or s.final or s.linked))


@table.engine("callers-kept-when-alone", near="*/*/alone-forgets-the-callers")
class CallersKeptWhenAlone(Server):
    """A user whose partner has gone does not forget its callers when it leaves."""

    def unlink(self, conn: Connection) -> None:
        self.memory[conn] = conn.partner is None
        super().unlink(conn)

    def change(self, kind: str, relation: str, asked: list[Any]) -> None:
        if kind == "add" or not self.memory.get(asked[0]):
            super().change(kind, relation, asked)


@table.engine("last-call-counts", near="*/*/*-keeps-*")
class LastCallCounts(Server):
    """Forgets the caller whose last call is the oldest, not the one whose first call is."""

    def holds(self, conn: Connection, condition: Condition, values: Words) -> bool:
        if condition.kind == "absent" and condition.entry is not None:
            rows = self.tuples.rows[condition.entry.relation]
            for row in self.tuples.found(condition.entry.relation, self.asked(conn, condition.entry, values)):
                rows.remove(row)
                rows.append(row)
        return super().holds(conn, condition, values)


@table.step(Users.change, near="*/*/*-keeps-*")
def all_callers_forgotten_when_full(self: Users, kind: str, relation: str, asked: list[Any]) -> None:
    """Forgets all callers of a user when there is no room for one more."""
    keep = next((column.keep for column in self.spec.relations[relation].columns if column.keep), None)
    if kind == "add" and keep is not None and len(self.tuples.found(relation, [asked[0], None])) >= keep:
        self.tuples.drop(relation, [asked[0], None])
    Users.change(self, kind, relation, asked)


@table.engine("gone-callers-take-room", near="*/*/*-keeps-*")
class GoneCallersTakeRoom(Server):
    """A caller that has gone is forgotten, but what it took of the room is not free again."""

    def forget(self, conn: Connection) -> None:
        for name, rows in self.tuples.rows.items():
            place = next((p for p, c in enumerate(self.spec.relations[name].columns) if c.keep is None), 0)
            rows[:] = [(*row[:place], object(), *row[place + 1 :]) if row[place] is conn else row for row in rows]
        super().forget(conn)


# --- names ------------------------------------------------------------------------------------------------------------


@table.engine("alone-keeps-its-name")
class AloneKeepsItsName(Server):
    """The end of a linked connection frees its name only where there is a partner to be told."""

    def release(self, conn: Connection) -> None:
        if not self.is_linked(conn) or conn in self.memory:
            super().release(conn)

    def unlink(self, conn: Connection) -> None:
        if conn.partner is not None:
            self.memory[conn] = True
        super().unlink(conn)

    def link(self, conn: Connection, other: Connection) -> None:
        super().link(conn, other)
        self.memory.pop(conn, None)
        self.memory.pop(other, None)


@table.engine("name-freed-twice", near="*/*/kept-when-the-former-socket-closes")
class NameFreedTwice(Server):
    """The name of a connection is freed again when its socket is closed, whoever has it by then."""

    def release(self, conn: Connection) -> None:
        self.memory[conn] = conn.name
        super().release(conn)

    def closed(self, conn: Connection) -> None:
        super().closed(conn)
        name = self.memory.pop(conn, None)
        if name is not None:
            self.users.pop(self.fold(name), None)


@table.engine("third-chat-is-the-first")
class ThirdChatIsTheFirst(Server):
    """Keeps two chats for a connection: in its third one, the lines of the caller are not heard."""

    def link(self, conn: Connection, other: Connection) -> None:
        super().link(conn, other)
        self.memory[conn] = self.memory.get(conn, 0) + 1
        if self.memory[conn] >= 3:
            conn.accepted = False


@table.step(Server.do)
def leaving_after_the_partner_declines(self: Server, conn: Connection, outcome: Outcome, values: Words) -> None:
    """A user that was called and left by its caller is taken for called in its next chat, until it leaves that."""
    if outcome.does("unlink") and conn in self.memory and conn.partner is not None:
        rows = self.spec.states[conn.state].recv.get(outcome.verb, ())
        outcome = replace(outcome, partner=rows[0].partner) if rows else outcome
        del self.memory[conn]
    elif outcome.does("unlink") and conn.partner is not None and not conn.partner.answered:
        self.memory[conn.partner] = True
    Server.do(self, conn, outcome, values)
