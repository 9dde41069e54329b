"""Users: names, links and relations, which the conditions of rows ask about and their effects change.

Knows no queue and no frame: nothing is sent here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pychat.spec.model import Spec
from pychat.spec.terms import Condition, Effect

from .connection import Connection
from .relations import Change, Relations
from .roster import Roster

UNCHANGED: tuple[Change, ...] = ()
NOBODY = Connection()  # an invariant is about no connection


class Users:
    """The connections that have a name, by that name; `roster` is the list of them. `fold` makes a name its key."""

    def __init__(self, spec: Spec) -> None:
        self.by_name: dict[str, Connection] = {}
        self._invariants = spec.invariants
        self._fold = spec.name_type.fold
        self._linked_states = spec.link.held_in
        self.roster = Roster(spec, self._is)
        self.relations = Relations(spec, self.find, self.roster.changed)

    def find(self, name: str) -> Connection | None:
        """The user of a name, however it is written."""
        return self.by_name.get(self._fold(name))

    def hold(self, conditions: tuple[Condition, ...], connection: Connection, fields: Mapping[str, str]) -> bool:
        """Whether all conditions hold for a request with these fields."""
        for condition in conditions:  # noqa: SIM110  # most rows have one; a generator would cost more than it
            if not self.holds(condition, connection, fields):
                return False
        return True

    def holds(self, condition: Condition, connection: Connection, fields: Mapping[str, str]) -> bool:
        """Whether a condition holds for a request with these fields."""
        kind = condition.kind
        if kind == "no partner":
            return connection.partner is None
        if kind == "a partner":
            return connection.partner is not None
        if kind == "not accepted":
            return not connection.accepted
        if kind == "not answered":
            return not connection.answered
        if condition.entry is not None:
            if kind == "full":
                return self.relations.full(condition.entry, connection, fields)
            return bool(self.relations.find(condition.entry, connection, fields)) == (kind == "present")
        value = fields[str(condition.field)]
        if kind == "equals" or kind == "differs":
            return (value == condition.value) == (kind == "equals")
        user = self.find(value)
        if kind == "unknown":
            return user is None
        if kind == "oneself":
            return user is connection
        if kind == "the partner":
            return user is not None and user is connection.partner
        if kind == "linked":
            return user is not None and user.state in self._linked_states
        return user is not None and user is not connection  # taken

    def apply(
        self,
        effect: Effect,
        connection: Connection,
        other: Connection | None,
        fields: Mapping[str, str],
        cause: str | None,
        now: float,
    ) -> Sequence[Change]:
        """Carries out one effect, and returns what has changed in relations.

        `other` is the partner, or the user to be linked with; `cause` is that of tuples that are dropped.
        """
        match effect.kind:
            case "bind":
                connection.name = fields[str(effect.field)]
                self.by_name[self._fold(connection.name)] = connection
                self.roster.add(connection)
            case "link" if other is not None:
                connection.partner, other.partner = other, connection
                connection.answered = connection.accepted = True
                other.answered = other.accepted = False
            case "accept":
                connection.answered = connection.accepted = True
            case "retract":
                connection.accepted = False
            case "unlink":
                connection.partner, connection.answered, connection.accepted = None, False, False
                if other is not None:
                    other.partner, other.answered, other.accepted = None, False, False
            case "release" if connection.name and self.find(connection.name) is connection:
                del self.by_name[self._fold(connection.name)]
                self.roster.remove(connection)
                return self.relations.drop_user(connection, cause)
            case "add" if effect.entry is not None:
                return self.relations.add(effect.entry, connection, fields, now)
            case "drop" if effect.entry is not None:
                return self.relations.drop(effect.entry, connection, fields, cause)
            case _:  # relay and list change nothing
                pass
        return UNCHANGED

    def broken(self) -> list[str]:
        """What the spec says of the tuples of relations and does not hold now, as sentences."""
        found = self.relations.overfull()
        for invariant in self._invariants:
            for values in self.relations.all(invariant.relation):
                texts = self.relations.texts(invariant.relation, values)
                if not self.hold(invariant.conditions, NOBODY, texts):
                    found.append(f"{invariant.relation}{tuple(texts.values())}: {invariant.doc}")
        return found

    def _is(self, word: str, user: Connection) -> bool:
        """Whether a user is linked, or a relation of this name has a tuple with it."""
        return user.state in self._linked_states if word == "linked" else self.relations.of_user(word, user)
