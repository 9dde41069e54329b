"""Users: names and links, which the conditions of rows ask about and their effects change.

Knows no time, no queue and no frame: nothing is sent here.
"""

from __future__ import annotations

from collections.abc import Mapping

from pychat.spec.model import Condition, Effect, Spec

from .connection import Connection
from .roster import Roster


class Users:
    """The connections that have a name, by that name; `roster` is the list of them. `fold` makes a name its key."""

    def __init__(self, spec: Spec) -> None:
        self.by_name: dict[str, Connection] = {}
        self.roster = Roster(spec)
        self._fold = spec.name_type.fold
        self._linked_states = spec.link.held_in

    def find(self, name: str) -> Connection | None:
        """The user of a name, however it is written."""
        return self.by_name.get(self._fold(name))

    def holds(self, condition: Condition | None, connection: Connection, fields: Mapping[str, str]) -> bool:
        """Whether a condition holds for a request with these fields; None always holds."""
        if condition is None:
            return True
        kind = condition.kind
        if kind == "no partner":
            return connection.partner is None
        if kind == "not accepted":
            return not connection.accepted
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
        self, effect: Effect, connection: Connection, other: Connection | None, fields: Mapping[str, str]
    ) -> None:
        """Carries out one effect. `other` is the partner, or the user to be linked with."""
        match effect.kind:
            case "bind":
                connection.name = fields[str(effect.field)]
                self.by_name[self._fold(connection.name)] = connection
                self.roster.add(connection)
            case "link" if other is not None:
                connection.partner, other.partner = other, connection
                connection.accepted, other.accepted = True, False
            case "accept":
                connection.accepted = True
            case "retract":
                connection.accepted = False
            case "unlink":
                connection.partner, connection.accepted = None, False
                if other is not None:
                    other.partner, other.accepted = None, False
            case "release" if connection.name and self.find(connection.name) is connection:
                del self.by_name[self._fold(connection.name)]
                self.roster.remove(connection)
            case _:  # relay and list change nothing
                pass
