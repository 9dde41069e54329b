"""Server mutants that mix up users and chats: lists, names, calls, acceptances. Knows no verb and no state by name."""

from __future__ import annotations

from collections.abc import Mapping

from pychat.spec.model import Outcome, PartnerEffect
from tools.selftest.mutants.mutant import Table

from .connection import Connection
from .engine import Server
from .users import Users

table: Table[Server] = Table(Server)

# fmt: off
table.row("self-not-listed", "Leaves the asking user out of the list.", Server.listed,
          lambda self, conn: [user for user in Server.listed(self, conn) if user is not conn])
table.row("linked-not-listed", "Lists only users that can be called, and the asking user.", Server.listed,
          lambda self, conn:
          [user for user in Server.listed(self, conn) if user is conn or not self.is_linked(user)])
table.row("listed-twice", "Lists the asking user twice.", Server.listed,
          lambda self, conn: [*Server.listed(self, conn), conn])
table.row("counts-one-more", "Counts one user too many.", Server.count,
          lambda self: Server.count(self) + 1)
table.row("counts-connections", "Counts connections instead of users.", Server.count,
          lambda self: sum(not conn.over for conn in self.connections))
table.row("availability-swapped", "Lists free users as busy, and busy ones as free.", Server.is_busy,
          lambda self, user: not self.is_linked(user))
table.row("alone-listed-free", "Lists a user as free whose partner is gone.", Server.is_busy,
          lambda self, user: self.is_linked(user) and user.partner is not None)
table.row("alone-is-free", "Takes a user for free whose partner is gone.", Server.is_linked,
          lambda self, conn: Server.is_linked(self, conn) and conn.partner is not None)
table.row("names-folded-for-show", "Shows names as it compares them, not as their owners wrote them.", Server.bind,
          lambda self, conn, name: Server.bind(self, conn, self.fold(name)))
# fmt: on


@table.engine("name-freed-late")
class NameFreedLate(Server):
    """A name is free only when the connection is closed."""

    def release(self, conn: Connection) -> None:
        pass

    def closed(self, conn: Connection) -> None:
        super().closed(conn)
        super().release(conn)


@table.step(Server.do)
def old_name_released(self: Server, conn: Connection, outcome: Outcome, values: Mapping[str, str]) -> None:
    """Frees the name that was asked for by a connection that was refused it."""
    Server.do(self, conn, outcome, values)
    for condition in outcome.conditions if outcome.error is not None else ():
        if condition.kind == "taken":
            self.users.pop(self.fold(values[condition.field or ""]), None)


# --- chats ------------------------------------------------------------------------------------------------------------


@table.step(Users.link)
def call_accepts(self: Users, conn: Connection, other: Connection) -> None:
    """The lines of a called user are delivered at once."""
    Users.link(self, conn, other)
    self.accept(other)


@table.engine("caller-must-accept")
class CallerMustAccept(Server):
    """The caller's lines are not delivered before the other end has accepted."""

    def link(self, conn: Connection, other: Connection) -> None:
        super().link(conn, other)
        conn.accepted = False

    def accept(self, conn: Connection) -> None:
        super().accept(conn)
        if conn.partner is not None:
            conn.partner.accepted = True


@table.step(Users.retract)
def both_ends_retract(self: Users, conn: Connection) -> None:
    """The end of one acceptance is the end of the other one too."""
    Users.retract(self, conn)
    if conn.partner is not None:
        conn.partner.accepted = False


@table.engine("partner-comes-back")
class PartnerComesBack(Server):
    """A user with the name of a lost partner becomes the partner."""

    def unlink(self, conn: Connection) -> None:
        other = conn.partner
        super().unlink(conn)
        if other is not None:
            self.memory[self.fold(conn.name or "")] = other

    def bind(self, conn: Connection, name: str) -> None:
        super().bind(conn, name)
        other = self.memory.pop(self.fold(name), None)
        if other is not None and other.partner is None and self.is_linked(other):
            other.partner = conn


@table.engine("leaver-told")
class LeaverTold(Server):
    """A user that leaves after the partner has gone makes the server tell that partner."""

    def unlink(self, conn: Connection) -> None:
        other = conn.partner
        super().unlink(conn)
        if other is not None:
            self.memory[other] = conn

    def do(self, conn: Connection, outcome: Outcome, values: Mapping[str, str]) -> None:
        former = self.memory.pop(conn, None)
        alone = conn.partner is None and outcome.does("unlink")
        words = self.variables(conn, former, values)
        super().do(conn, outcome, values)
        if alone and former is not None and outcome.partner is not None:
            self.push(former, outcome.partner.push, words)


@table.engine("one-sided-call")
class OneSidedCall(Server):
    """A call moves the caller first, and the called one only with the caller's next frame."""

    late: tuple[Connection, PartnerEffect, Mapping[str, str]] | None = None

    def tell_partner(self, other: Connection, effect: PartnerEffect, words: Mapping[str, str]) -> None:
        if effect.to is not None and self.late is None:
            self.late = (other, effect, dict(words))
        else:
            super().tell_partner(other, effect, words)

    def take(self, conn: Connection, line: bytes) -> None:
        if self.late is not None and self.late[2]["me"] == conn.name:
            late, self.late = self.late, None
            super().tell_partner(*late)
        super().take(conn, line)
