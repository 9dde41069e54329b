"""What the mutable server knows of its users: their names, links and tuples. Knows no frame and no state by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pychat.spec.forms import Field, Form
from pychat.spec.model import Spec
from pychat.spec.terms import Condition, ConditionKind, Entry

from .connection import Connection
from .tuples import Tuples


class Users:
    """All connections and users. Conditions ask about them, and effects change them."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.connections: list[Connection] = []
        self.users: dict[str, Connection] = {}
        self.tuples = Tuples(spec)
        self.now = 0.0
        self.memory: dict[Any, Any] = {}  # for mutants, which have to remember more

    def user(self, name: str) -> Connection | None:
        return self.users.get(self.fold(name))

    def fold(self, name: str) -> str:
        """The key under which a name is unique."""
        return self.spec.name_type.fold(name)

    def is_linked(self, conn: Connection) -> bool:
        return conn.state in self.spec.link.held_in

    # --- conditions ---------------------------------------------------------------------------------------------------

    def holds(self, conn: Connection, condition: Condition, values: Mapping[str, str]) -> bool:
        if condition.entry is not None:
            relation, asked = condition.entry.relation, self.asked(conn, condition.entry, values)
            return bool(self.tuples.found(relation, asked)) == (condition.kind == "present")
        value = values.get(condition.field or "", "")
        user = self.user(value)
        found: dict[ConditionKind, bool] = {
            "taken": user is not None,
            "unknown": user is None,
            "oneself": user is conn,
            "linked": user is not None and self.is_linked(user),
            "the partner": user is not None and user is conn.partner,
            "equals": value == condition.value,
            "differs": value != condition.value,
            "no partner": conn.partner is None,
            "a partner": conn.partner is not None,
            "not accepted": not conn.accepted,
            "not answered": not conn.answered,
        }
        return found[condition.kind]

    def asked(self, conn: Connection, entry: Entry, values: Mapping[str, str]) -> list[Any]:
        """The values that an entry stands for: of a user its connection, None for any value."""
        found: list[Any] = []
        for argument, column in zip(entry.arguments, self.spec.relations[entry.relation].columns, strict=True):
            value = values.get(argument.field or "")
            user = self.user(value) if value is not None and column.type == "user" else None
            found.append(conn if argument.kind == "me" else user or value)
        return found

    # --- effects ------------------------------------------------------------------------------------------------------

    def bind(self, conn: Connection, name: str) -> None:
        conn.name = name
        self.users[self.fold(name)] = conn

    def link(self, conn: Connection, other: Connection) -> None:
        conn.partner, other.partner = other, conn
        for end, calls in ((other, False), (conn, True)):
            end.answered = end.accepted = calls
        other.called_at = self.now
        other.done -= {timer.name for timer in self.spec.timers.values() if timer.since == "call"}

    def accept(self, conn: Connection) -> None:
        conn.answered = conn.accepted = True

    def retract(self, conn: Connection) -> None:
        conn.accepted = False

    def unlink(self, conn: Connection) -> None:
        other = conn.partner if conn.partner is not None and conn.partner.partner is conn else None
        for end in (conn, other):
            if end is not None:
                end.partner, end.answered, end.accepted = None, False, False

    def release(self, conn: Connection) -> None:
        if conn.name is not None and self.user(conn.name) is conn:
            del self.users[self.fold(conn.name)]
        self.forget(conn)

    def forget(self, conn: Connection) -> None:
        """A user goes out of the relations."""
        self.tuples.forget(conn)

    def change(self, kind: str, relation: str, asked: list[Any]) -> None:
        """A tuple is added, or tuples are dropped."""
        if kind == "add":
            self.tuples.add(relation, tuple(asked))
        else:
            self.tuples.drop(relation, asked)

    # --- lists --------------------------------------------------------------------------------------------------------

    def items(self, conn: Connection, form: Form) -> list[Mapping[str, str]]:
        """What the fields of each item hold, one for each user."""
        return [{field.name: self.said_of(user, field) for field in form.fields} for user in self.listed(conn)]

    def said_of(self, user: Connection, field: Field) -> str:
        """The name of a user, or the word of a type that holds of it."""
        kind = self.spec.types[field.type]
        for word, what in kind.holds:
            if self.is_busy(user) if what == "linked" else any(user in row for row in self.tuples.rows[what]):
                return word
        said = dict(kind.holds)
        return next((word for word in kind.one_of if word not in said), user.name or "")

    def is_busy(self, user: Connection) -> bool:
        """What a list says of a user."""
        return self.is_linked(user)

    def listed(self, conn: Connection) -> list[Connection]:
        return list(self.users.values())

    def count(self) -> int:
        return len(self.users)
