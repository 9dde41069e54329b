"""Relations: the tables that connections and users share. No socket, no clock, no queue; nothing is sent here.

A tuple is found by its folded key, and shows each value as it was first written. An index is made for the columns that
an entry fixes when it is first asked for, so that no lookup with a fixed column goes through a whole table. All orders
are those in which tuples were added: the same calls give the same results.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pychat.spec.forms import Request
from pychat.spec.model import Outcome, Spec
from pychat.spec.terms import Argument, Entry, Relation

from .connection import Connection

Value = str | Connection
"""What a column holds: a connection in a column of the type `user`, and otherwise a text."""
Tuple = tuple[Value, ...]
COUNT = "count"


@dataclass(frozen=True, slots=True)
class Change:
    """A tuple that was added or dropped; the same is the record for the disk.

    `old` is the tuple with the same key that an added one replaces, `cause` the reason that the others are told (None:
    they are told nothing), `serial` the number of the tuple in the order in which this table got its tuples.
    """

    relation: str
    values: Tuple
    added: bool
    cause: str | None = ""
    old: Tuple | None = None
    serial: int = 0


class Relations:
    """All tables of a spec. `find` gives the user of a name, `stamp` the text of a time in seconds.

    `changed` is called for each user of a tuple that comes or goes, in the relations that a list of users shows.
    """

    def __init__(
        self,
        spec: Spec,
        find: Callable[[str], Connection | None],
        changed: Callable[[Connection], None] = lambda user: None,
        stamp: Callable[[float], str] | None = None,
    ) -> None:
        self._find_user = find
        self._changed = changed
        self._shown = {relation for kind in spec.types.values() for _, relation in kind.holds}
        self._fold = {name: kind.fold for name, kind in spec.types.items() if kind.fold_case}
        self._tables = {name: Table(relation, self._folded) for name, relation in spec.relations.items()}
        self._dependent = {
            name: [other.name for other in spec.relations.values() if other.lives_while == name]
            for name in spec.relations
        }
        self._entries = {id(row): entries for row in _rows(spec) if (entries := tuple(_entries(row)))}
        self.stamp = stamp or utc

    # Questions

    def find(self, entry: Entry, me: Connection, fields: Mapping[str, str]) -> Collection[Tuple]:
        """The tuples of an entry, in the order in which they were added. No change may come while they are read."""
        values = self.pattern(entry, me, fields)
        return () if values is None else self._tables[entry.relation].find(values)

    def full(self, entry: Entry, me: Connection, fields: Mapping[str, str]) -> bool:
        """Whether a column that the entry fixes has as many tuples with this value as there may be."""
        values = self.pattern(entry, me, fields)
        if values is None:
            return False
        table = self._tables[entry.relation]
        return any(
            column.most is not None and value is not None and len(table.having(place, value)) >= column.most
            for place, (column, value) in enumerate(zip(table.relation.columns, values, strict=True))
        )

    def of_user(self, relation: str, user: Connection) -> bool:
        """Whether a relation of users has a tuple with a user."""
        table = self._tables[relation]
        place = table.relation.user_column
        assert place is not None, "the loader checks it"
        return bool(table.having(place, user))

    def beside(self, change: Change) -> Collection[Tuple]:
        """The tuples with the same value in the first column as the one that has changed."""
        table = self._tables[change.relation]
        return table.having(0, table.folded(0, change.values[0]))

    def all(self, relation: str) -> Collection[Tuple]:
        """All tuples of a relation."""
        return self._tables[relation].tuples.values()

    def items(self, entry: Entry, me: Connection, fields: Mapping[str, str], request: Request) -> list[str]:
        """The tuples of an entry as the items of a request, whose fields are columns.

        With the field `count`, which is no column, tuples with the same items are one, with their number.
        """
        assert request.item is not None, "the loader checks it"
        form, columns = request.item, {column.name for column in self._tables[entry.relation].relation.columns}
        texts = [self.texts(entry.relation, values) for values in self.find(entry, me, fields)]
        if COUNT in columns or form.type_of(COUNT) is None:
            return [form.write(values) for values in texts]
        counts = Counter(form.write({**values, COUNT: "\0"}) for values in texts)  # in the order of the first ones
        return [line.replace("\0", str(number)) for line, number in counts.items()]

    def texts(self, relation: str, values: Tuple) -> dict[str, str]:
        """A tuple as variables of a push, by the names of the columns; a user is told by its name."""
        columns = self._tables[relation].relation.columns
        return {
            column.name: value if isinstance(value, str) else value.name
            for column, value in zip(columns, values, strict=True)
        }

    def given(self, changes: Iterable[Change]) -> dict[str, str]:
        """The values that the server has given in these changes, by the names of the columns."""
        return {
            column.name: str(value)
            for change in changes
            if change.added
            for column, value in zip(self._tables[change.relation].relation.columns, change.values, strict=True)
            if column.type in ("next", "now")
        }

    def spelled(self, row: Outcome, me: Connection, fields: Mapping[str, str]) -> Mapping[str, str]:
        """Fields as they are shown: those in the entries of a row as first written, and a user by its own spelling."""
        entries = self._entries.get(id(row))
        if entries is None:
            return fields
        found: dict[str, str] = {}
        for entry in entries:
            table = self._tables[entry.relation]
            for place, argument in enumerate(entry.arguments):
                name = argument.field
                if name is not None and name not in found:
                    found[name] = self._spelled(table, place, entry, me, fields) or fields[name]
        return {**fields, **found}

    def overfull(self) -> list[str]:
        """The values that have more tuples than there may be, as sentences."""
        return [
            f"{name} has {len(tuples)} tuples for {column.name} {values[place]}, not at most {column.most}"
            for name, table in self._tables.items()
            for place, column in enumerate(table.relation.columns)
            for values in table.tuples.values()
            if column.most is not None
            and len(tuples := table.having(place, table.folded(place, values[place]))) > column.most
        ]

    # Changes

    def add(self, entry: Entry, me: Connection, fields: Mapping[str, str], now: float) -> list[Change]:
        """Adds a tuple; one with the same key is replaced. No change where nothing is new."""
        table = self._tables[entry.relation]
        values: list[Value] = []
        for place, (column, argument) in enumerate(zip(table.relation.columns, entry.arguments, strict=True)):
            value: Value | None
            if argument.kind == "any":
                value = self.stamp(now) if column.type == "now" else ""
            else:
                value = self._value(column.type, argument, me, fields)
            assert value is not None, "the loader checks that this user is there"
            values.append(value if place else self._first(table, value) or value)
        for place, column in enumerate(table.relation.columns):
            if column.type == "next":
                values[place] = table.next_number(values[0])
        return self._added(table, tuple(values))

    def _added(self, table: Table, values: Tuple) -> list[Change]:
        old = table.tuples.get(table.key(values))
        if old is not None:
            values = (*old[: table.keys], *values[table.keys :])
            if table.same(old, values):
                return []
        change = table.put(values, old)
        self._show(change)
        changes = [change]
        for place, column in enumerate(table.relation.columns):
            if column.keep is not None:
                having = table.having(place, table.folded(place, values[place]))
                while len(having) > column.keep:
                    changes += self._dropped(table, next(iter(having)), None)
        return changes

    def drop(self, entry: Entry, me: Connection, fields: Mapping[str, str], cause: str | None) -> list[Change]:
        """Drops the tuples of an entry, and what lives no longer than they do."""
        table = self._tables[entry.relation]
        return [
            change for values in tuple(self.find(entry, me, fields)) for change in self._dropped(table, values, cause)
        ]

    def drop_tuple(self, relation: str, values: Tuple, cause: str | None) -> list[Change]:
        """Drops one tuple, and what lives no longer than it does; no change where it has gone already."""
        table = self._tables[relation]
        return self._dropped(table, values, cause) if table.has(values) else []

    def drop_user(self, user: Connection, cause: str | None) -> list[Change]:
        """Drops each tuple that has a user in its key, and what lives no longer than they do."""
        changes: list[Change] = []
        for table in self._tables.values():
            for place, column in enumerate(table.relation.keys):
                if column.type == "user":
                    for values in tuple(table.having(place, user)):
                        changes += self._dropped(table, values, cause)
                    if place == 0:
                        table.numbers.pop(user, None)
        return changes

    def _dropped(self, table: Table, values: Tuple, cause: str | None) -> list[Change]:
        change = table.remove(values, cause)
        self._show(change)
        return [change, *self._drop_orphans(table, values, cause)]

    def _drop_orphans(self, table: Table, values: Tuple, cause: str | None) -> list[Change]:
        """Drops what lives while a table has a tuple with this value in the first column, if it has none any more."""
        first, changes = table.folded(0, values[0]), list[Change]()
        if not self._dependent[table.relation.name] or table.having(0, first):
            return changes
        for name in self._dependent[table.relation.name]:
            dependent = self._tables[name]
            for each in tuple(dependent.having(0, first)):
                changes += self._dropped(dependent, each, cause)
        return changes

    def undo(self, changes: Iterable[Change]) -> None:
        """Takes changes back, the last one first, as far as nothing else has happened to their tuples since.

        What lives no longer than a tuple that was added goes with it; a tuple of a user who has gone stays away.
        """
        for change in reversed(tuple(changes)):
            table = self._tables[change.relation]
            if change.added and table.has(change.values):
                if change.old is not None:
                    table.put(change.old, change.values)
                else:
                    table.remove(change.values, None)
                    self._drop_orphans(table, change.values, None)
            elif not change.added and self._is_alive(table, change.values):
                table.put_back(change)
            self._show(change)

    def _is_alive(self, table: Table, values: Tuple) -> bool:
        """Whether the users in the key of a tuple are still there."""
        return all(isinstance(value, str) or self._find_user(value.name) is value for value in values[: table.keys])

    def _show(self, change: Change) -> None:
        if change.relation in self._shown:
            for value in change.values:
                if not isinstance(value, str):
                    self._changed(value)

    # Values

    def _folded(self, type_name: str, value: Value) -> Value:
        fold = self._fold.get(type_name)
        return value if fold is None or not isinstance(value, str) else fold(value)

    def _value(self, type_name: str, argument: Argument, me: Connection, fields: Mapping[str, str]) -> Value | None:
        """What an argument stands for in a column of this type; None for a user that is not there."""
        if argument.kind == "me":
            return me if type_name == "user" else me.name
        text = fields[str(argument.field)]
        return self._find_user(text) if type_name == "user" else text

    def pattern(self, entry: Entry, me: Connection, fields: Mapping[str, str]) -> list[Value | None] | None:
        """The folded values that an entry fixes, with None for any; None where it names a user that is not there."""
        pattern: list[Value | None] = []
        for column, argument in zip(self._tables[entry.relation].relation.columns, entry.arguments, strict=True):
            if argument.kind == "any":
                pattern.append(None)
                continue
            value = self._value(column.type, argument, me, fields)
            if value is None:
                return None
            pattern.append(self._folded(column.type, value))
        return pattern

    def _spelled(self, table: Table, place: int, entry: Entry, me: Connection, fields: Mapping[str, str]) -> str | None:
        """How the value at a place of an entry was first written; None where no tuple has it."""
        column = table.relation.columns[place]
        value = self._value(column.type, entry.arguments[place], me, fields)
        if value is None or not isinstance(value, str):
            return None if value is None else value.name
        if column.type not in self._fold:
            return None
        if place == 0:
            return self._first(table, value)
        pattern = self.pattern(entry, me, fields)
        known = () if pattern is None else table.find(pattern)
        return next((str(values[place]) for values in known), None)

    def _first(self, table: Table, value: Value) -> str | None:
        """How a value of the first column was first written, in this table or in the one with which it lives."""
        if not isinstance(value, str):
            return None
        if table.relation.lives_while is not None:
            found = self._first(self._tables[table.relation.lives_while], value)
            if found is not None:
                return found
        known = next(iter(table.having(0, table.folded(0, value))), None)
        return None if known is None else str(known[0])


class Table:
    """The tuples of one relation, by their folded keys."""

    def __init__(self, relation: Relation, fold: Callable[[str, Value], Value]) -> None:
        self.relation = relation
        self.keys = len(relation.keys)  # of the first columns
        self.tuples: dict[Tuple, Tuple] = {}
        self.numbers: dict[Value, int] = {}  # the last number that was given, by the folded value of the first column
        self._fold = fold
        self._indexes: dict[tuple[int, ...], dict[Tuple, dict[Tuple, Tuple]]] = {}
        self._serials: dict[Tuple, int] = {}
        self._serial = 0

    def folded(self, place: int, value: Value) -> Value:
        """The value under which one of this column is known."""
        return self._fold(self.relation.columns[place].type, value)

    def key(self, values: Tuple) -> Tuple:
        """The folded key of a tuple."""
        return tuple(self.folded(place, values[place]) for place in range(self.keys))

    def has(self, values: Tuple) -> bool:
        """Whether this very tuple is in the table."""
        return self.tuples.get(self.key(values)) is values

    def same(self, one: Tuple, other: Tuple) -> bool:
        """Whether two tuples say the same, whenever they were added. A secret is never the same."""
        columns = self.relation.columns
        return all(
            column.type == "now" or (column.type != "secret" and first == second)
            for column, first, second in zip(columns, one, other, strict=True)
        )

    def next_number(self, first: Value) -> str:
        """The next number for a value of the first column; it is never given again."""
        folded = self.folded(0, first)
        self.numbers[folded] = self.numbers.get(folded, 0) + 1
        return str(self.numbers[folded])

    def having(self, place: int, value: Value) -> Collection[Tuple]:
        """The tuples with this folded value in a column."""
        return self._index((place,)).get((value,), {}).values()

    def find(self, pattern: list[Value | None]) -> Collection[Tuple]:
        """The tuples with these folded values, where None stands for any."""
        fixed = tuple(place for place, value in enumerate(pattern) if value is not None)
        if fixed[: self.keys] == tuple(range(self.keys)):
            found = self.tuples.get(tuple(pattern[: self.keys]))  # type: ignore[arg-type]  # none of them is None
            if found is None or any(pattern[place] != self.folded(place, found[place]) for place in fixed):
                return ()
            return (found,)
        if not fixed:
            return self.tuples.values()
        return self._index(fixed).get(tuple(pattern[place] for place in fixed), {}).values()  # type: ignore[misc]

    def put(self, values: Tuple, old: Tuple | None) -> Change:
        """Adds a tuple, in the place of an old one with the same key if there is one."""
        key = self.key(values)
        if old is None:
            self._serial += 1
            self._serials[key] = self._serial
        for columns, index in self._indexes.items():
            at = self._at(columns, values)
            if old is not None and self._at(columns, old) != at:
                self._unlist(columns, index, key, old)
            index.setdefault(at, {})[key] = values
        self.tuples[key] = values
        return Change(self.relation.name, values, True, "", old, self._serials[key])

    def put_back(self, change: Change) -> None:
        """Puts a tuple that was dropped where it was in the order, unless another one has its key now."""
        key = self.key(change.values)
        if key in self.tuples:
            return
        self._serials[key] = change.serial
        self.tuples[key] = change.values
        for columns, index in self._indexes.items():
            at = self._at(columns, change.values)
            index[at] = self._in_order({**index.get(at, {}), key: change.values})

    def remove(self, values: Tuple, cause: str | None) -> Change:
        """Removes a tuple that is in the table."""
        key = self.key(values)
        del self.tuples[key]
        for columns, index in self._indexes.items():
            self._unlist(columns, index, key, values)
        return Change(self.relation.name, values, False, cause, None, self._serials.pop(key))

    def _index(self, columns: tuple[int, ...]) -> dict[Tuple, dict[Tuple, Tuple]]:
        """The tuples by the values of these columns; made when it is first asked for."""
        index = self._indexes.get(columns)
        if index is None:
            index = self._indexes[columns] = {}
            for key, values in self._in_order(self.tuples).items():
                index.setdefault(self._at(columns, values), {})[key] = values
        return index

    def _unlist(
        self, columns: tuple[int, ...], index: dict[Tuple, dict[Tuple, Tuple]], key: Tuple, values: Tuple
    ) -> None:
        at = self._at(columns, values)
        del index[at][key]
        if not index[at]:
            del index[at]

    def _at(self, columns: tuple[int, ...], values: Tuple) -> Tuple:
        return tuple(self.folded(place, values[place]) for place in columns)

    def _in_order(self, tuples: Mapping[Tuple, Tuple]) -> dict[Tuple, Tuple]:
        return dict(sorted(tuples.items(), key=lambda item: self._serials[item[0]]))


def _rows(spec: Spec) -> Iterator[Outcome]:
    yield from (row for _, row in spec.outcomes())
    yield from (timer.row for timer in spec.timers.values() if timer.row is not None)


def _entries(row: Outcome) -> Iterator[Entry]:
    """The entries of a row: of what it changes, tells and asks, in this order."""
    for terms in (row.effects, row.tells, row.conditions):
        for term in terms:
            if term.entry is not None:
                yield term.entry


def utc(now: float) -> str:
    """A time in seconds since 1970, as RFC 3339 writes it."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
