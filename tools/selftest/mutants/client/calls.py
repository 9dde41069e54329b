"""Client mutants that misunderstand a call: whether it was answered, missed, or came to nothing.

Knows no verb, no state and no command by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pychat.spec.forms import Reply
from pychat.spec.view import Move
from tools.selftest.mutants.mutant import Table

from .engine import BrokenError, Client, Wish
from .requests_and_ending import volunteer

table: Table[Client] = Table(Client)


def believe(self: Client, **view: Any) -> None:
    """Changes what the client knows."""
    vars(self).update(view)


# fmt: off
table.row("caller-unheard", "Believes that a user who calls has not answered.", Client.link,
          lambda self, name, own: believe(self, partner=name, answered=own, here=False))
table.row("called-user-heard", "Believes that a user whom it calls has answered already.", Client.link,
          lambda self, name, own: believe(self, partner=name, answered=own, here=True))
table.row("call-is-no-answer", "Does not count its own call as an answer.", Client.link,
          lambda self, name, own: believe(self, partner=name, answered=False, here=not own), near="*/GONE/*")
table.row("called-has-answered", "Counts the call of another user as an answer of its own.", Client.link,
          lambda self, name, own: believe(self, partner=name, answered=True, here=not own))
table.row("answer-forgets-partner", "Believes that the partner has to answer again when it answers itself.",
          Client.accept, lambda self, own: believe(self, answered=self.answered or own, here=not own))
table.row("answer-not-remembered", "Forgets that it has answered.", Client.accept,
          lambda self, own: believe(self, here=self.here or not own))
table.row("answer-is-both", "Believes that both ends have answered when one of them has.", Client.accept,
          lambda self, own: believe(self, answered=True, here=True))
# fmt: on


@table.engine("partner-answer-kept")
class PartnerAnswerKept(Client):
    """Keeps from one chat to the next that the partner has answered."""

    def link(self, name: str | None, own: bool) -> None:
        kept = self.here
        super().link(name, own)
        self.here = self.here or kept

    def unlink(self) -> None:
        kept = self.here
        super().unlink()
        self.here = kept


@table.engine("own-answer-kept")
class OwnAnswerKept(Client):
    """Keeps from one chat to the next that it has answered."""

    def link(self, name: str | None, own: bool) -> None:
        kept = self.answered
        super().link(name, own)
        self.answered = self.answered or kept

    def unlink(self) -> None:
        kept = self.answered
        super().unlink()
        self.answered = kept


@table.step(Client.pushed, near="*/*/*call*")
def leaves_unanswered_calls(self: Client, reply: Reply, values: Mapping[str, str]) -> None:
    """Leaves by itself when a call has come to nothing, as a client for people does."""
    open_call = self.partner is not None and not (self.answered and self.here)
    Client.pushed(self, reply, values)
    if open_call and self.partner is None:
        volunteer(self, "unlink")


@table.step(Client.pushed, near="*/*/*call*")
def unanswered_calls_are_over(self: Client, reply: Reply, values: Mapping[str, str]) -> None:
    """Sees itself free again when a call has come to nothing."""
    open_call = self.partner is not None and not (self.answered and self.here)
    Client.pushed(self, reply, values)
    if open_call and self.partner is None:
        self.move(next(s.name for s in self.spec.states.values() if not (s.initial or s.final or s.linked)))


@table.step(Client.apply, near="*/GONE/*")
def answer_is_a_new_chat(self: Client, move: Move, name: str | None) -> None:
    """Takes the answer of the partner for a call of its own."""
    if "accept" in move.effects and move.mirrored:
        self.link(name, False)
    else:
        Client.apply(self, move, name)


@table.step(Client.apply)
def missed_is_partner(self: Client, move: Move, name: str | None) -> None:
    """Takes the user of a missed call for the partner."""
    Client.apply(self, move, name)
    if move.by == "other":
        self.partner = name


@table.step(Client.can_come)
def missed_only_with_partner(self: Client, move: Move, reply: Reply, values: Mapping[str, str]) -> bool:
    """Takes a missed call only while it has a partner."""
    return Client.can_come(self, move, reply, values) and (move.by != "other" or self.partner is not None)


@table.step(Client.can_come)
def missed_only_while_answered(self: Client, move: Move, reply: Reply, values: Mapping[str, str]) -> bool:
    """Takes a missed call only when both ends have answered."""
    return Client.can_come(self, move, reply, values) and (move.by != "other" or (self.answered and self.here))


@table.step(Client.pushed)
def missed_once(self: Client, reply: Reply, values: Mapping[str, str]) -> None:
    """Closes when it is told twice of a missed call of the same user."""
    told = self.memory.setdefault("told", set())
    if any(move.by == "other" and move.key == reply.key for move in self.table):
        if tuple(values.values()) in told:
            raise BrokenError("that was said already")
        told.add(tuple(values.values()))
    Client.pushed(self, reply, values)


@table.step(Client.pushed)
def impossible_pushes_ignored(self: Client, reply: Reply, values: Mapping[str, str]) -> None:
    """Ignores a push that cannot come, and goes on."""
    try:
        Client.pushed(self, reply, values)
    except BrokenError:
        self.memory["ignored"] = True


@table.engine("late-answer-becomes-call", near="PAIRED/CHAT/answer-*")
class LateAnswerBecomesCall(Client):
    """Sends an answer that came too late again when it is free, and so calls."""

    late: Wish | None = None

    def refused(self, values: Mapping[str, str]) -> None:
        wish = self.unanswered[0] if self.unanswered else None
        super().refused(values)
        if wish is not None and self.does(wish.verb, "accept") and self.partner is None:
            self.late = wish

    def apply(self, move: Move, name: str | None) -> None:
        super().apply(move, name)
        if self.late is not None and self.may_send(self.late):
            wish, self.late = self.late, None
            self.send(wish)
