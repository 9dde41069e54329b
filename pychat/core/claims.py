"""Which requests must not overtake each other: one asks about a tuple that another one may change on the disk.

Until a change is on disk it may still be taken back, so nobody may be answered by it. A claim names the tuples by the
values of their columns; requests whose claims do not meet never wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pychat.spec.model import Outcome, Spec
from pychat.spec.terms import Argument, Effect, Entry

from .connection import Connection
from .relations import Relations, Value

ANY = Argument("any")


@dataclass(frozen=True, slots=True)
class Claim:
    """The tuples of a relation that have these folded values (None: any), which are asked, or may be changed."""

    relation: str
    values: tuple[Value | None, ...]
    changes: bool

    def meets(self, other: Claim) -> bool:
        """Whether one of both may change what the other one is about."""
        return (
            (self.changes or other.changes)
            and self.relation == other.relation
            and all(
                one is None or another is None or one == another
                for one, another in zip(self.values, other.values, strict=True)
            )
        )


def meet(some: tuple[Claim, ...], others: tuple[Claim, ...]) -> bool:
    """Whether any of some claims meets one of the others."""
    return any(one.meets(other) for one in some for other in others)


class Claims:
    """What each row claims: what it and the rows that are tried before it ask, and what it lists, tells and changes.

    Only relations count that a row which waits for the disk may change.
    """

    def __init__(self, spec: Spec, relations: Relations) -> None:
        self._spec = spec
        self._relations = relations
        written = {
            effect.entry.relation
            for _, row in spec.outcomes()
            if row.fails is not None
            for effect in row.effects
            if effect.entry is not None and effect.kind != "list"
        }
        self._counted = {name for first in written for name in (first, *self._dependents(first))}
        self._of: dict[int, tuple[tuple[Entry, bool], ...]] = {}
        for state in spec.states.values():
            for rows in state.recv.values():
                asked: list[tuple[Entry, bool]] = []
                for row in rows:
                    asked += [(condition.entry, False) for condition in row.conditions if condition.entry is not None]
                    found = [pair for pair in (*asked, *self._done_by(row)) if pair[0].relation in self._counted]
                    if found:
                        self._of[id(row)] = tuple(dict.fromkeys(found))

    def of(self, row: Outcome, connection: Connection, fields: Mapping[str, str]) -> tuple[Claim, ...]:
        """The claims of a request that takes this row."""
        found = []
        for entry, changes in self._of.get(id(row), ()):
            values = self._relations.pattern(entry, connection, fields)
            if values is not None:  # otherwise it names a user that is not there, so it is about no tuple
                found.append(Claim(entry.relation, tuple(values), changes))
        return tuple(found)

    def _done_by(self, row: Outcome) -> Iterator[tuple[Entry, bool]]:
        """The entries of what a row tells, lists and changes; those that it changes on the disk are marked."""
        yield from ((tell.entry, False) for tell in row.tells if tell.entry is not None)
        for effect in row.effects:
            if effect.kind == "list" and effect.entry is None:  # of all users, with words about them
                for kind in self._spec.types.values():
                    yield from (
                        (self._entry(relation, {}), False) for _, relation in kind.holds if relation != "linked"
                    )
            for entry in self._changed_by(effect):
                yield entry, row.fails is not None and effect.kind != "list"

    def _changed_by(self, effect: Effect) -> Iterator[Entry]:
        """The entries of an effect: an added one replaces what has its key, and what is kept no longer goes."""
        if effect.entry is None:
            return
        relation, found = self._spec.relations[effect.entry.relation], [effect.entry]
        if effect.kind == "add":
            given = dict(enumerate(effect.entry.arguments))
            found = [self._entry(relation.name, {place: given[place] for place in range(len(relation.keys))})]
            kept = [place for place, column in enumerate(relation.columns) if column.keep is not None]
            found += [self._entry(relation.name, {place: given[place]}) for place in kept]
        yield from found
        if effect.kind != "list":
            for entry in found:
                yield from (self._entry(name, {0: entry.arguments[0]}) for name in self._dependents(relation.name))

    def _entry(self, relation: str, fixed: Mapping[int, Argument]) -> Entry:
        """The entry of a relation with these arguments, and any value in all other places."""
        columns = self._spec.relations[relation].columns
        return Entry(relation, tuple(fixed.get(place, ANY) for place in range(len(columns))))

    def _dependents(self, name: str) -> Iterator[str]:
        """The relations that live no longer than one, and those that live no longer than they do."""
        for other in self._spec.relations.values():
            if other.lives_while == name:
                yield other.name
                yield from self._dependents(other.name)
