"""The tuples of a spec's relations, in lists that are searched each time. Knows no connection and no frame.

A user is a value like any other one. What needs a clock, a disk or a hash is not here: nothing is durable, no column is
`now` or `secret`, and no queue is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pychat.spec.model import Spec
from pychat.spec.terms import Column, Relation

Row = tuple[Any, ...]
Change = tuple[Relation, Row, bool]  # the tuple was added (True) or dropped


class Tuples:
    """All tuples, the oldest first. `changes` are those that nobody has been told of yet.

    Raises ValueError for a spec that needs what is not here.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.rows: dict[str, list[Row]] = {name: [] for name in spec.relations}
        self.numbers: dict[tuple[str, Any], int] = {}  # of a column `next`, for each value of the first column
        self.changes: list[Change] = []
        for relation in spec.relations.values():
            for column in relation.columns:
                if column.type in ("now", "secret"):
                    raise ValueError(f"{spec.source}: this server has no column {column.type} ({relation.name})")

    def found(self, relation: str, asked: Sequence[Any]) -> list[Row]:
        """The tuples that have these values; None stands for any value."""
        columns = self.spec.relations[relation].columns
        return [row for row in self.rows[relation] if all(map(self.same, columns, asked, row))]

    def same(self, column: Column, asked: Any, value: Any) -> bool:
        kind = self.spec.types.get(column.type)
        return asked is None or (asked == value if kind is None else kind.same(asked, value))

    def full(self, relation: str, asked: Sequence[Any]) -> bool:
        """Whether there are as many tuples as there may be with one of these values."""
        return any(
            column.most is not None
            and value is not None
            and len(self.with_value(relation, place, value)) >= column.most
            for place, (column, value) in enumerate(zip(self.spec.relations[relation].columns, asked, strict=True))
        )

    def with_value(self, relation: str, place: int, value: Any) -> list[Row]:
        """The tuples with this value in one column."""
        width = len(self.spec.relations[relation].columns)
        return self.found(relation, [value if column == place else None for column in range(width)])

    def add(self, relation: str, row: Row) -> None:
        """Adds a tuple. One with the same key keeps its key as it is, and gets the other values."""
        declared, rows = self.spec.relations[relation], self.rows[relation]
        row = tuple(map(self.given, declared.columns, row, [(relation, row[0])] * len(row)))
        keys = len(declared.keys)
        old = next(iter(self.found(relation, [*row[:keys], *[None] * (len(row) - keys)])), None)
        if old is not None:
            rows[rows.index(old)] = (*old[:keys], *row[keys:])
            return
        rows.append(row)
        self.changes.append((declared, row, True))
        for place, column in enumerate(declared.columns):
            if column.keep is not None:
                for oldest in self.with_value(relation, place, row[place])[: -column.keep]:
                    rows.remove(oldest)

    def given(self, column: Column, value: Any, counter: tuple[str, Any]) -> Any:
        """The value of a column in a new tuple."""
        if column.type != "next" or value is not None:
            return value
        self.numbers[counter] = self.numbers.get(counter, 0) + 1
        return str(self.numbers[counter])

    def drop(self, relation: str, asked: Sequence[Any]) -> None:
        """Drops the tuples that have these values, and those that live only with them."""
        declared = self.spec.relations[relation]
        for row in self.found(relation, asked):
            self.rows[relation].remove(row)
            self.changes.append((declared, row, False))
            for other in self.spec.relations.values():
                if other.lives_while == relation and not self.with_value(relation, 0, row[0]):
                    self.drop(other.name, [row[0], *[None] * (len(other.columns) - 1)])

    def forget(self, user: Any) -> None:
        """A user goes, and with it the tuples that have it in their key."""
        for relation in self.spec.relations.values():
            for place, column in enumerate(relation.keys):
                if column.type == "user":
                    for row in self.with_value(relation.name, place, user):
                        self.drop(relation.name, row)
