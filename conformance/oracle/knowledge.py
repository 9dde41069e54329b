"""What a server knows: its connections and its relations, and what the conditions of rows ask about them.

Nothing changes here. Knows no frame, no verb and no state by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pychat.spec import Spec
from pychat.spec.model import Outcome
from pychat.spec.terms import OF_A_RELATION, OWN_END, Condition, Effect, Entry, Relation, Tell

from .connection import ALONE, LINK_ENDS, Connection
from .tables import NOBODY, Tables, Tuple


class BrokenInvariantError(Exception):
    """A spec's own rows break one of its invariants; says which one, by which tuple."""


def accepts(spec: Spec) -> bool:
    """Whether a called end can accept the call: in other specs both ends are heard at once."""
    return spec.verb_that("accept") is not None


_OF_OWN_END: dict[str, Callable[[Connection], bool]] = {
    "no partner": lambda connection: connection.partner is None,
    "a partner": lambda connection: connection.partner is not None,
    "not accepted": lambda connection: not connection.accepted,
    "not answered": lambda connection: not connection.answered,
}


class Knowledge:
    """All connections, by their ids, and the tuples of all relations."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.connections: dict[str, Connection] = {}
        self.tables = Tables(spec)

    def key(self) -> tuple[object, ...]:
        connections = tuple(connection.key() for _, connection in sorted(self.connections.items()))
        return connections, self.tables.key()

    def configuration(self, who: str) -> str:
        """The state, and for a linked one which of the ends: `PAIRED` (both have answered), `PAIRED+called`, …"""
        connection = self.connections[who]
        if connection.state not in self.spec.link.held_in:
            return connection.state
        if connection.partner is None:
            return f"{connection.state}+{ALONE}"
        here = self.connections[connection.partner].answered
        own = connection.answered, connection.accepted
        end = next(end for end, (*ours, other) in LINK_ENDS.items() if own == tuple(ours) and other in (None, here))
        if end == "calling" and not accepts(self.spec):
            end = ""
        return f"{connection.state}+{end}".rstrip("+")

    def check_invariants(self) -> None:
        """Raises BrokenInvariantError where a tuple breaks one."""
        for invariant in self.spec.invariants:
            relation = self.spec.relations[invariant.relation]
            for found in self.tables.all(relation.name):
                values = self.shown(relation, found)
                for condition in invariant.conditions:
                    if not self._holds(condition, None, values):
                        raise BrokenInvariantError(f"{relation.name}({', '.join(values.values())}): not {condition}")

    def allows(self, row: Outcome, connection: Connection, values: Mapping[str, str]) -> bool:
        """Whether all conditions of a row hold, for a request with these fields."""
        return all(self._holds(condition, connection, values) for condition in row.conditions)

    def user_named(self, name: str) -> Connection | None:
        """The user of a name, in whatever case."""
        same = self.spec.name_type.same
        for connection in self.connections.values():
            if connection.name is not None and (connection.name == name or same(connection.name, name)):
                return connection
        return None

    def _holds(self, condition: Condition, connection: Connection | None, values: Mapping[str, str]) -> bool:
        """Whether a condition holds; `connection` is the own one, None in an invariant."""
        value = values.get(condition.field or "", "")
        if condition.kind in ("equals", "differs"):
            return (value == condition.value) == (condition.kind == "equals")
        if condition.kind in OF_A_RELATION:
            return self._holds_in_tables(condition, connection, values)
        if condition.kind in OWN_END:
            assert connection is not None
            return _OF_OWN_END[condition.kind](connection)
        user = self.user_named(value)
        if user is None:
            return condition.kind == "unknown"
        if condition.kind == "linked":
            return user.state in self.spec.link.held_in
        if condition.kind == "the partner":
            return connection is not None and user.id == connection.partner
        return {"taken": user is not connection, "oneself": user is connection, "unknown": False}[condition.kind]

    def _holds_in_tables(self, condition: Condition, connection: Connection | None, values: Mapping[str, str]) -> bool:
        assert condition.entry is not None
        name, wanted = condition.entry.relation, self.wanted(condition.entry, connection, values)
        if condition.kind == "full":
            return self.tables.is_full(name, wanted)
        found = self.tables.find(name, wanted)
        if condition.kind == "closed":
            columns = self.spec.relations[name].columns
            secrets = [place for place, column in enumerate(columns) if column.type == "secret"]
            return not any(tuple_[place] == values[condition.field or ""] for tuple_ in found for place in secrets)
        return bool(found) == (condition.kind == "present")

    def wanted(self, entry: Entry, connection: Connection | None, values: Mapping[str, str]) -> tuple[str | None, ...]:
        """What an entry wants of each column, None for any value; for a user that there is not a value of no tuple."""
        wanted: list[str | None] = []
        for argument, column in zip(entry.arguments, self.spec.relations[entry.relation].columns, strict=True):
            if argument.kind == "any":
                wanted.append(None)
            elif column.type == "user":
                user = connection if argument.kind == "me" else self.user_named(values.get(argument.field or "", ""))
                wanted.append(user.id if user is not None else NOBODY)
            elif argument.kind == "me":
                wanted.append((connection.name if connection is not None else None) or NOBODY)
            else:
                wanted.append(values[argument.field or ""])
        return tuple(wanted)

    def spelled(self, row: Outcome, connection: Connection, values: Mapping[str, str]) -> dict[str, str]:
        """How the fields that a row uses in entries are shown: as they were first written, a user by its own name."""
        found: dict[str, str] = {}
        terms: list[Effect | Tell | Condition] = [*row.effects, *row.tells, *row.conditions]
        for entry in (term.entry for term in terms if term.entry is not None):
            for place, argument in enumerate(entry.arguments):
                if argument.field is not None:
                    shown = self._spelled(entry, place, connection, values)
                    found.setdefault(argument.field, shown or values[argument.field])
        return found

    def _spelled(self, entry: Entry, place: int, connection: Connection, values: Mapping[str, str]) -> str | None:
        """The same of the value at one place of an entry, None where nothing is known of it."""
        relation, value = self.spec.relations[entry.relation], values[entry.arguments[place].field or ""]
        if relation.columns[place].type == "user":
            user = self.user_named(value)
            return user.name if user is not None else None
        if place == 0:
            return self.tables.spelled(relation.name, value)
        kind = self.spec.types.get(relation.columns[place].type)
        known = self.tables.find(relation.name, self.wanted(entry, connection, values))
        return known[0][place] if known and kind is not None and kind.fold_case else None

    def shown(self, relation: Relation, found: Tuple) -> dict[str, str]:
        """The values of a tuple by column, with names for the users."""
        return {
            column.name: (self.connections[value].name or "") if column.type == "user" else value
            for column, value in zip(relation.columns, found, strict=True)
        }
