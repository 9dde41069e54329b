"""The tuples of a spec's relations, in lists that are searched each time. Knows no connection and no frame.

A user is a value like any other one. It does what tuples of users need: neither disks, clocks, hashes nor counters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pychat.spec.model import Spec
from pychat.spec.terms import Column, Relation

Row = tuple[Any, ...]


class Tuples:
    """All tuples, the oldest first. Raises ValueError for a relation that needs more than is done here."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.rows: dict[str, list[Row]] = {name: [] for name in spec.relations}
        for relation in spec.relations.values():
            if not _simple(relation):
                raise ValueError(f"{spec.source}: this server has no relation like {relation.name}")

    def found(self, relation: str, asked: Sequence[Any]) -> list[Row]:
        """The tuples that have these values; None stands for any value."""
        columns = self.spec.relations[relation].columns
        return [row for row in self.rows[relation] if all(map(self.same, columns, asked, row))]

    def same(self, column: Column, asked: Any, value: Any) -> bool:
        kind = self.spec.types.get(column.type)
        return asked is None or (asked == value if kind is None else kind.same(asked, value))

    def add(self, relation: str, row: Row) -> None:
        """Adds a tuple if it is not there, and forgets the oldest ones that are too many."""
        columns, rows = self.spec.relations[relation].columns, self.rows[relation]
        if self.found(relation, row):
            return
        rows.append(row)
        for place, column in enumerate(columns):
            if column.keep is not None:
                alike = [value if other == place else None for other, value in enumerate(row)]
                for oldest in self.found(relation, alike)[: -column.keep]:
                    rows.remove(oldest)

    def drop(self, relation: str, asked: Sequence[Any]) -> None:
        """Drops the tuples that have these values."""
        for row in self.found(relation, asked):
            self.rows[relation].remove(row)

    def forget(self, user: Any) -> None:
        """A user goes, and with it the tuples that have it."""
        for rows in self.rows.values():
            rows[:] = [row for row in rows if user not in row]


def _simple(relation: Relation) -> bool:
    """Whether its tuples are added and dropped by rows alone, and nobody is told."""
    told = relation.added or relation.dropped or relation.overflow
    given = any(not column.key or column.most or column.type == "next" for column in relation.columns)
    return not (told or given or relation.durable or relation.lives_while)
