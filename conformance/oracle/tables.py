"""The relations of a spec, as lists of tuples that are searched from one end to the other. Knows no connection.

In a column of users stands the id of a connection. The caller says which tuples it means by one value for each column,
None for any value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pychat.spec import Spec
from pychat.spec.forms import Template
from pychat.spec.terms import Column, Relation

Tuple = tuple[str, ...]
Wanted = Sequence[str | None]
NOBODY = ""  # the value for a user that there is not: no tuple has it
ANY_TIME = "…"  # what stands in a column of times: only the server knows them


@dataclass(frozen=True, slots=True)
class Change:
    """A tuple that came or went: its values as they are shown, and the push by which others are told, if any are."""

    relation: Relation
    found: Tuple
    values: Mapping[str, str]
    push: Template | None

    @property
    def given(self) -> Iterator[Column]:
        """The columns whose values the server gives."""
        return (column for column in self.relation.columns if column.type in ("next", "now"))


class Tables:
    """The tuples of each relation, in the order in which they came."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._tuples: dict[str, list[Tuple]] = {name: [] for name in spec.relations}
        self._last: dict[tuple[str, str], int] = {}  # number that was given, by relation and value of its first column
        self._telling = [
            [place for place, column in enumerate(relation.columns) if column.type != "next"]
            for relation in spec.relations.values()
        ]

    def copy(self) -> Tables:
        other = Tables.__new__(Tables)
        other.spec, other._telling = self.spec, self._telling
        other._tuples = {name: list(tuples) for name, tuples in self._tuples.items()}
        other._last = dict(self._last)
        return other

    def key(self) -> tuple[object, ...]:
        """What distinguishes two states of the relations: not which numbers were given, only their order."""
        return tuple(
            tuple(tuple(found[place] for place in places) for found in tuples)
            for tuples, places in zip(self._tuples.values(), self._telling, strict=True)
        )

    def find(self, name: str, wanted: Wanted) -> list[Tuple]:
        """The tuples that have these values."""
        columns = self.spec.relations[name].columns
        return [
            found
            for found in self._tuples[name]
            if all(
                value is None or self._same(column, value, own)
                for column, value, own in zip(columns, wanted, found, strict=True)
            )
        ]

    def is_full(self, name: str, wanted: Wanted) -> bool:
        """Whether one of the values has as many tuples as it may have."""
        return any(
            column.most is not None and value is not None and len(self._with(name, place, value)) >= column.most
            for place, (column, value) in enumerate(zip(self.spec.relations[name].columns, wanted, strict=True))
        )

    def add(self, name: str, values: Wanted) -> Tuple | None:
        """Adds a tuple. None if its key was there: it keeps its spelling, and the other values change."""
        relation, tuples = self.spec.relations[name], self._tuples[name]
        values = [self.spelled(name, values[0] or NOBODY), *values[1:]]
        added = tuple(
            self._given(relation, column, values) if value is None else value
            for column, value in zip(relation.columns, values, strict=True)
        )
        keys = [value if column.key else None for column, value in zip(relation.columns, added, strict=True)]
        old = self.find(name, keys)
        if old:
            tuples[tuples.index(old[0])] = old[0][: len(relation.keys)] + added[len(relation.keys) :]
            return None
        tuples.append(added)
        for place, column in enumerate(relation.columns):
            if column.keep is not None:
                for forgotten in self._with(name, place, added[place])[: -column.keep]:
                    list(self.drop(name, forgotten))  # nobody is told
        return added

    def put(self, name: str, found: Tuple) -> None:
        """Puts in a tuple as it is, which a server that is wrong would still have."""
        self._tuples[name].append(found)

    def drop(self, name: str, wanted: Wanted) -> Iterator[tuple[str, Tuple]]:
        """Drops the tuples that have these values, and those that lived while one of them did, with their relations."""
        for dropped in self.find(name, wanted):
            self._tuples[name].remove(dropped)
            yield name, dropped
            if not self._with(name, 0, dropped[0]):
                for other in self.spec.relations.values():
                    if other.lives_while == name:
                        yield from self.drop(other.name, (dropped[0], *(None for _ in other.columns[1:])))

    def drop_user(self, user: str) -> Iterator[tuple[str, Tuple]]:
        """Drops the tuples that have a user in their key."""
        for name, relation in self.spec.relations.items():
            for place, column in enumerate(relation.columns):
                if column.key and column.type == "user":
                    yield from self.drop(name, [user if i == place else None for i in range(len(relation.columns))])

    def all(self, name: str) -> Sequence[Tuple]:
        return self._tuples[name]

    def _with(self, name: str, place: int, value: str) -> list[Tuple]:
        """The tuples with this value at a place."""
        return self.find(name, [value if i == place else None for i in range(len(self.spec.relations[name].columns))])

    def spelled(self, name: str, value: str) -> str:
        """A value of the first column as it was first written, here or in the relation with which this one lives."""
        parent = self.spec.relations[name].lives_while
        above = self.spelled(parent, value) if parent is not None else value
        same = self._with(name, 0, value) if above == value else []
        return same[0][0] if same else above

    def _same(self, column: Column, one: str, other: str) -> bool:
        kind = self.spec.types.get(column.type)
        return kind.same(one, other) if kind is not None else one == other

    def _given(self, relation: Relation, column: Column, values: Wanted) -> str:
        """The value that the server gives: the next number, or the time."""
        if column.type != "next":
            return ANY_TIME
        first, kind = values[0] or "", self.spec.types.get(relation.columns[0].type)
        key = relation.name, kind.fold(first) if kind is not None else first
        self._last[key] = self._last.get(key, 0) + 1
        return str(self._last[key])
