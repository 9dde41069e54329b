"""The shortest paths through the model: breadth first over the worlds of a few connections. Knows no verb by name.

A path is plain data: who sends which octets, one line after the other. The plays are made from it elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pychat.spec import Spec
from pychat.spec.forms import Field, Request
from pychat.spec.model import Outcome

from .frames import Faulty, Parsed, parse_request, write_form
from .knowledge import BrokenInvariantError
from .model import World
from .names import names_of
from .probe import UnjudgeableError, configurations

CAST = ("a", "b", "c")
SUBJECT = CAST[0]
DEPTH = 6  # requests; every row of the table is nearer …
WORLDS = 2500  # … and found among so many worlds; in a larger protocol, by doing one thing again and again
REPEATED = 6  # times, at most, …
NEAR = 1  # … from a world as near as this


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


class Paths(Lines):
    """The shortest path into each configuration of the subject, and to each row of the table that it can take."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.worlds = self._explore()  # that the cast can come to, each with its path, the nearest first
        self._rows: dict[tuple[str, Outcome], tuple[Path, bytes]] = {}
        self._find_rows(self.worlds)
        if len(self.worlds) >= WORLDS:
            self._find_rows(self._repeated())
        reached = {world.configuration(SUBJECT) for world, _ in self.worlds}
        self.configurations = [name for name in configurations(spec) if name in reached]
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
        lines = {who: [(line, self._read(line)) for line in self.lines(who)] for who in CAST}
        for world, path in found:  # grows while it is walked
            if len(path) >= DEPTH or len(found) >= WORLDS:
                break
            for who in CAST:
                for line, said in lines[who]:
                    row = world.row_of(who, said)
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

    def _read(self, line: bytes) -> Parsed | Faulty:
        return parse_request(self.spec, line.removesuffix(self.spec.framing.writes))

    def _repeated(self) -> Iterator[tuple[World, Path]]:
        """The worlds to which the subject comes by one line again and again: where something is full."""
        for world, path in self.worlds:
            for line in self.lines(SUBJECT) if len(path) <= NEAR else ():
                other, further = world, path
                for _ in range(REPEATED):
                    before, further = other.key(), (*further, Move(SUBJECT, line))
                    other = self._after(other, further)
                    if other.key() == before or not other.is_open(SUBJECT):
                        break
                    yield other, further

    def _find_rows(self, worlds: Iterable[tuple[World, Path]]) -> None:
        """The first path at whose end the subject takes each row, and the line with which; by configuration and row."""
        found = self._rows
        lines = [(line, self._read(line)) for line in self.lines(SUBJECT)]
        for world, path in worlds:
            configuration = world.configuration(SUBJECT)
            for line, said in lines:
                row = world.row_of(SUBJECT, said)
                if row is not None:
                    found.setdefault((configuration, row), (path, line))

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
