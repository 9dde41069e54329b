"""The shortest paths through the model: breadth first over the worlds of a few connections. Knows no verb by name.

A path is plain data: who sends which octets, one line after the other. The plays are made from it elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pychat.spec import Spec
from pychat.spec.forms import Field, Request
from pychat.spec.model import Outcome
from pychat.spec.terms import Condition, Relation

from .frames import Faulty, Parsed, parse_request, write_form
from .knowledge import BrokenInvariantError
from .model import World
from .names import names_of
from .probe import UnjudgeableError, configurations, letters

CAST = ("a", "b", "c")
SUBJECT = CAST[0]
DEPTH = 6  # requests; every row of the table is nearer …
WORLDS = 2500  # … and found among so many worlds, or where a relation is full
MANY = 8  # tuples of one value: a relation that may have more is not filled


class Move(NamedTuple):
    """A line that one of the cast sends, with its ending."""

    who: str
    octets: bytes


Path = tuple[Move, ...]


class Lines:
    """What each of the cast may send."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        *names, self.nobody = names_of(spec, len(CAST) + 1)
        self.names = dict(zip(CAST, names, strict=True))

    def values(self, request: Request, name: str | None = None) -> dict[str, str]:
        """Ordinary values of its fields; `name` where a field names a user."""
        return {field.name: self._value(field, name) for field in request.form.fields}

    def _value(self, field: Field, name: str | None) -> str:
        if field.type == self.spec.names:
            return name or self.names[SUBJECT]
        return self.spec.types[field.type].good[0]

    def read(self, line: bytes) -> Parsed | Faulty:
        """What a line says, its ending the one that is written."""
        return parse_request(self.spec, line.removesuffix(self.spec.framing.writes))

    def lines(self, who: str) -> Iterator[bytes]:
        """What `who` may send: each request, its users one of the cast or nobody, words as the conditions name them."""
        users = [self.names[who], *(name for id_, name in self.names.items() if id_ != who), self.nobody]
        for request in self.spec.requests.values():
            for values in self._choices(request, users):
                yield write_form(request.form, values).encode() + self.spec.framing.writes

    def _choices(self, request: Request, users: list[str]) -> Iterator[dict[str, str]]:
        plain, words = self.values(request), self._words(request)
        keys = request.form.fields_of(self.spec.names)
        for user in users if keys else [""]:
            yield {**plain, **dict.fromkeys(keys[:1], user)}
            for name in words:
                yield from ({**plain, **dict.fromkeys(keys[:1], user), name: word} for word in words[name])
        for field in request.form.fields if not keys else ():
            for sample in self.spec.types[field.type].good[1:]:
                if not self.spec.types[field.type].rest_of_line and sample not in words.get(field.name, ()):
                    yield {**plain, field.name: sample}

    def _words(self, request: Request) -> dict[str, list[str]]:
        """By field, the words that the conditions of the request's rows compare it with."""
        found: dict[str, list[str]] = {}
        for condition in (c for _, row in self.spec.outcomes() if row.verb == request.verb for c in row.conditions):
            if condition.field is not None and condition.value is not None:
                found.setdefault(condition.field, []).append(condition.value)
        return {name: list(dict.fromkeys(words)) for name, words in found.items()}


class Filling(Lines):
    """Adds one tuple after the other to a relation, which is too far for a search of all worlds.

    `base` is the path of the subject to where it stands; others go the same way.
    """

    def __init__(self, spec: Spec, base: Path) -> None:
        super().__init__(spec)
        self.base = base
        self.start = World(spec)
        for move in base:
            self.start.feed(*move)

    def to_full(self, condition: Condition) -> Iterator[tuple[World, Path]]:
        """Where a condition `full` may hold for the subject: filled by itself, or by others."""
        assert condition.entry is not None
        relation = self.spec.relations[condition.entry.relation]
        for place, (argument, column) in enumerate(zip(condition.entry.arguments, relation.columns, strict=True)):
            if argument.kind == "any" or column.most is None or column.most > MANY:
                continue
            value = SUBJECT if argument.kind == "me" else self.samples(column.type, 1)[0]
            for crowd in ([SUBJECT], self._others(column.most)):
                found = self._fill(relation, place, value, column.most, crowd)
                if len(found) == column.most:
                    yield found[-1]

    def to_forgotten(self, relation: Relation, place: int) -> list[tuple[World, Path]]:
        """The worlds on the way to where the subject has one more tuple than is kept of it; none if it cannot."""
        most = relation.columns[place].keep or 0
        found = self._fill(relation, place, SUBJECT, most + 1, [SUBJECT]) if 0 < most <= MANY else []
        return found if len(found) > most else []

    def samples(self, type_name: str, count: int) -> list[str]:
        """So many different values of a type, its own samples first; fewer where it has no more."""
        kind = self.spec.types[type_name]
        made = (stem + end for number in range(count) for stem in kind.good for end in (letters(number), str(number)))
        found = {kind.fold(value): value for value in (*made, *kind.good[::-1]) if kind.accepts(value)}
        first = [*dict.fromkeys((*map(kind.fold, kind.good), *found))]
        return [found[key] for key in first][:count]

    def asking(self, verb: str, count: int = 1) -> Iterator[bytes]:
        """The request with ordinary values, then with others in one field after the other."""
        request = self.spec.requests[verb]
        plain = self.values(request)
        yield self._line(request, plain)
        for field in request.form.fields:
            others = self.samples(field.type, count)[1:] if field.type != self.spec.names else []
            yield from (self._line(request, {**plain, field.name: value}) for value in others)

    def about(self, values: Mapping[str, str]) -> Iterator[bytes]:
        """Each request with these values, by type, and ordinary ones in the other fields."""
        for request in self.spec.requests.values():
            own = {field.name: values[field.type] for field in request.form.fields if field.type in values}
            yield self._line(request, {**self.values(request), **own})

    def after(self, world: World, move: Move) -> World | None:
        """The world after a move; None where it breaks an invariant, or ends the connection."""
        other = world.copy()
        try:
            other.feed(*move)
        except BrokenInvariantError:
            return None
        return other if other.is_open(move.who) else None

    def _line(self, request: Request, values: Mapping[str, str]) -> bytes:
        return write_form(request.form, values).encode() + self.spec.framing.writes

    def _others(self, count: int) -> list[str]:
        """So many others than the subject, with names; none where they cannot go its way."""
        if any(move.who != SUBJECT for move in self.base):
            return []
        more = names_of(self.spec, len(CAST) + 1 + count)[len(CAST) + 1 :]
        self.names |= {chr(ord(CAST[-1]) + number): name for number, name in enumerate(more, 1)}
        return list(self.names)[1 : count + 1]

    def _way(self, who: str) -> Path:
        """The way of the subject, for another one."""
        return tuple(Move(who, self._renamed(move.octets, self.names[who])) for move in self.base)

    def _renamed(self, octets: bytes, name: str) -> bytes:
        said = self.read(octets)
        assert isinstance(said, Parsed), "a path has requests"
        request = self.spec.requests[said.verb]
        return self._line(request, {**said.values, **dict.fromkeys(request.form.fields_of(self.spec.names), name)})

    def _fill(
        self, relation: Relation, place: int, value: str, count: int, crowd: list[str]
    ) -> list[tuple[World, Path]]:
        """The worlds after each of `count` tuples with this value at this place; fewer if the crowd finds no more."""
        wanted = [value if number == place else None for number in range(len(relation.columns))]
        found: list[tuple[World, Path]] = []
        world, path = self.start, self.base
        for _ in range(count):
            had = {one[: len(relation.keys)] for one in world.tables.find(relation.name, wanted)}
            for steps in self._steps(world, relation, count, crowd):
                other: World | None = world
                for move in steps:
                    other = self.after(other, move) if other is not None else None
                has = other.tables.find(relation.name, wanted) if other is not None else []
                if other is not None and any(one[: len(relation.keys)] not in had for one in has):
                    world, path = other, (*path, *steps)
                    found.append((world, path))
                    break
            else:
                break
        return found

    def _steps(self, world: World, relation: Relation, count: int, crowd: list[str]) -> Iterator[Path]:
        """What may add a tuple: one line of one of the crowd, or two: the first allows it."""
        adding = list(dict.fromkeys(row.verb for _, row in self.spec.outcomes() if row.adds_to(relation.name)))
        for allowed in (False, True):
            for who in crowd:
                way = self._way(who) if who not in world.connections else ()
                for line in (line for verb in adding for line in self.asking(verb, count)):
                    if not allowed:
                        yield (*way, Move(who, line))
                    else:
                        said = self.read(line)
                        assert isinstance(said, Parsed)
                        fields = self.spec.requests[said.verb].form.fields
                        values = {field.type: said.values[field.name] for field in fields}
                        yield from ((*way, Move(who, first), Move(who, line)) for first in self.about(values))


class Paths(Lines):
    """The shortest path into each configuration of the subject, and to each row of the table that it can take."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self._rows: dict[tuple[str, Outcome], tuple[Path, bytes]] = {}
        self.worlds = self._explore()  # that the cast can come to, each with its path, the nearest first
        reached = {world.configuration(SUBJECT) for world, _ in self.worlds}
        self.configurations = [name for name in configurations(spec) if name in reached]
        self._find_full()
        self.missing = [
            (state, row)
            for state, row in spec.outcomes()
            if not any((name, row) in self._rows for name in self.configurations if name.partition("+")[0] == state)
        ]  # rows to which the subject does not come

    def _explore(self) -> list[tuple[World, Path]]:
        start = World(self.spec)
        for who in CAST:
            start.open(who)
        found: list[tuple[World, Path]] = [(start, ())]
        seen = {start.key()}
        taken: set[tuple[str, int]] = set()
        lines = {who: [(line, self.read(line)) for line in self.lines(who)] for who in CAST}
        for world, path in found:  # grows while it is walked
            whole = len(path) >= DEPTH or len(found) >= WORLDS
            configuration = world.configuration(SUBJECT)
            for who in CAST if not whole else (SUBJECT,):
                for line, said in lines[who]:
                    row = world.row_of(who, said)
                    if who == SUBJECT and row is not None and (configuration, id(row)) not in taken:
                        taken.add((configuration, id(row)))  # a row's own hash is slow
                        self._rows.setdefault((configuration, row), (path, line))
                    if whole:
                        continue  # it is only looked at
                    if row is None or (row.to is None and row.partner is None and not row.effects):
                        continue  # it changes nothing
                    other = self._after(world, (*path, Move(who, line)))
                    if other.key() not in seen and all(
                        peer.state != self.spec.final for peer in other.connections.values()
                    ):
                        seen.add(other.key())
                        found.append((other, (*path, Move(who, line))))
        return found

    def _after(self, world: World, path: Path) -> World:
        """The world after the last move of a path. Raises UnjudgeableError where the spec contradicts itself."""
        other = world.copy()
        try:
            other.feed(*path[-1])
        except BrokenInvariantError as error:
            moves = "; ".join(f"{move.who}> {move.octets.decode().strip()}" for move in path)
            raise UnjudgeableError(f"{self.spec.source}: it cannot be judged: {error}, after {moves}") from None
        return other

    def _find_full(self) -> None:
        """Finds the rows that ask whether a relation is full, where the search of all worlds has not come to it."""
        for configuration in self.configurations:
            for row in (
                row for rows in self.spec.states[configuration.partition("+")[0]].recv.values() for row in rows
            ):
                full = [condition for condition in row.conditions if condition.kind == "full"]
                if full and (configuration, row) not in self._rows:
                    filling = Filling(self.spec, self.to_configuration(configuration))
                    for world, path in (found for condition in full for found in filling.to_full(condition)):
                        for line in filling.asking(row.verb, MANY + 1):
                            if world.row_of(SUBJECT, self.read(line)) == row:
                                self._rows.setdefault((world.configuration(SUBJECT), row), (path, line))

    def to_forgotten(self) -> Iterator[tuple[Path, bytes, Outcome, str]]:
        """Where a relation keeps the last tuples of the subject only: the path, and a line that shows the difference.

        With the row that the line takes, and whether it is about a tuple that is `forgotten` or one that is `kept`.
        """
        columns = [
            (relation, place)
            for relation in self.spec.relations.values()
            for place, column in enumerate(relation.columns)
            if column.keep is not None and column.type == "user"
        ]
        for relation, place in columns if self.named is not None else ():
            filling = Filling(self.spec, self.to_configuration(self.named or ""))
            ways = filling.to_forgotten(relation, place)
            if not ways:
                continue
            (before, _), (after, path) = ways[-2:]
            own = [SUBJECT if number == place else None for number in range(len(relation.columns))]
            oldest, other = before.tables.find(relation.name, own)[0], after.tables.find(relation.name, own)[0]
            about = (
                filling.about({column.type: value for column, value in zip(relation.keys, found, strict=False)})
                for found in (oldest, other)
            )
            for first, second in zip(*about, strict=True):
                row, kept = (world.row_of(SUBJECT, self.read(first)) for world in (after, before))
                if row is not None and kept is not None and row != kept:
                    yield path, first, row, "forgotten"
                    if after.row_of(SUBJECT, self.read(second)) == kept:
                        yield path, second, kept, "kept"

    def to_row(self, configuration: str, row: Outcome) -> tuple[Path, bytes] | None:
        """The path to where the subject takes this row in this configuration, and its line."""
        return self._rows.get((configuration, row))

    @property
    def named(self) -> str | None:
        """The first configuration in which the subject has a name."""
        found = (world for world, _ in self.worlds if world.connections[SUBJECT].name is not None)
        return next((world.configuration(SUBJECT) for world in found), None)

    def to_configuration(self, configuration: str) -> Path:
        """The path into a configuration, which must be one of `configurations`."""
        return next(path for world, path in self.worlds if world.configuration(SUBJECT) == configuration)

    def to_success(self, configuration: str, verb: str) -> Path | None:
        """The path to where this request succeeds when it names the subject's ordinary values."""
        request = self.spec.requests[verb]
        said = Parsed(verb, self.values(request))
        for world, path in self.worlds:
            if world.configuration(SUBJECT) == configuration:
                row = world.row_of(SUBJECT, said)
                if row is not None and row.error is None:
                    return path
        return None


_found: dict[str, Paths] = {}


def paths_of(spec: Spec) -> Paths:
    """The paths through a spec's model, found once, which takes a second."""
    if spec.sha256 not in _found:
        _found[spec.sha256] = Paths(spec)  # by two threads at once: both find the same
    return _found[spec.sha256]


def label_of(row: Outcome, rows: tuple[Outcome, ...]) -> str:
    """A row's name in an id: its label, with the conditions that not all rows of the request with this label have."""
    others = [other.conditions for other in rows if other.label == row.label]
    own = [condition for condition in row.conditions if not all(condition in other for other in others)]
    return "-".join([row.label, *re.findall("[a-z0-9]+", " ".join(map(str, own)))])
