"""Adds one tuple after the other to a relation, which is too far for a search of all worlds. Knows no verb by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pychat.spec import Spec
from pychat.spec.forms import Request
from pychat.spec.terms import Condition, Relation

from .frames import Parsed, write_form
from .knowledge import BrokenInvariantError
from .lines import CAST, SUBJECT, Lines, Move, Path
from .model import World
from .names import names_of
from .probe import letters

MANY = 8  # tuples of one value: a relation that may have more is not filled


class Filling(Lines):
    """`base` is the path of the subject to where it stands; others go the same way."""

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
                found = self.fill(relation, place, value, column.most, crowd)
                if len(found) == column.most:
                    yield found[-1]

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
        yield self.line(request, plain)
        for field in request.form.fields:
            others = self.samples(field.type, count)[1:] if field.type != self.spec.names else []
            yield from (self.line(request, {**plain, field.name: value}) for value in others)

    def about(self, values: Mapping[str, str]) -> Iterator[bytes]:
        """Each request with these values, by type, and ordinary ones in the other fields."""
        for request in self.spec.requests.values():
            own = {field.name: values[field.type] for field in request.form.fields if field.type in values}
            yield self.line(request, {**self.values(request), **own})

    def after(self, world: World, move: Move) -> World | None:
        """The world after a move; None where it breaks an invariant, or ends the connection."""
        other = world.copy()
        try:
            other.feed(*move)
        except BrokenInvariantError:
            return None
        return other if other.is_open(move.who) else None

    def line(self, request: Request, values: Mapping[str, str]) -> bytes:
        return write_form(request.form, values).encode() + self.spec.framing.writes

    def _others(self, count: int) -> list[str]:
        """So many others than the subject, with names; none where they cannot go its way."""
        if any(move.who != SUBJECT for move in self.base):
            return []
        more = names_of(self.spec, len(CAST) + 1 + count)[len(CAST) + 1 :]
        self.names |= {chr(ord(CAST[-1]) + number): name for number, name in enumerate(more, 1)}
        return list(self.names)[1 : count + 1]

    def way(self, who: str) -> Path:
        """The way of the subject, for another one."""
        return tuple(Move(who, self._renamed(move.octets, self.names[who])) for move in self.base)

    def _renamed(self, octets: bytes, name: str) -> bytes:
        said = self.read(octets)
        assert isinstance(said, Parsed), "a path has requests"
        request = self.spec.requests[said.verb]
        return self.line(request, {**said.values, **dict.fromkeys(request.form.fields_of(self.spec.names), name)})

    def fill(
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
                way = self.way(who) if who not in world.connections else ()
                for line in (line for verb in adding for line in self.asking(verb, count)):
                    if not allowed:
                        yield (*way, Move(who, line))
                    else:
                        said = self.read(line)
                        assert isinstance(said, Parsed)
                        fields = self.spec.requests[said.verb].form.fields
                        values = {field.type: said.values[field.name] for field in fields}
                        yield from ((*way, Move(who, first), Move(who, line)) for first in self.about(values))
