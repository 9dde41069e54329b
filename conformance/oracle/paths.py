"""The shortest ways through the model: breadth first over the worlds of a few connections. Knows no verb by name."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Iterator

from conformance.cases.play import Step, send
from conformance.engine.names import Names, fixed_names
from pychat.spec import Spec
from pychat.spec.model import Field, Outcome, Request

from .frames import Faulty, Parsed, parse_request, write_form
from .model import World
from .probe import UnjudgeableError, configurations

CAST = ("a", "b", "c")
SUBJECT = CAST[0]
DEPTH = 6  # requests; every row of the table is nearer


def names_of(spec: Spec, count: int) -> list[str]:
    """So many different names of users, no two the same without regard to case; the spec's own samples first.

    Raises:
        UnjudgeableError: there are fewer, or they cannot be changed so that those of each play are its own.
    """
    kind, fixed = spec.name_type, fixed_names(spec)
    made = (f"{sample[: kind.octets[1] - 1]}{end}" for end in "xyz123" for sample in kind.good)
    found: dict[str, str] = {}
    for name in itertools.chain((name for name in kind.good if len(name) > 1), kind.good, made):
        if kind.accepts(name) and name not in fixed:
            found.setdefault(kind.fold(name), name)
    names = list(found.values())[:count]
    unique = [{kind.fold(Names(spec, number).unique(name)) for name in names} for number in (10_000, 99_999)]
    if len(names) < count or len(set().union(*unique)) < 2 * count:
        reason = f"there are too few names of the type {kind.name}: a number is added to each, so that plays differ"
        raise UnjudgeableError(f"{spec.source}: it cannot be judged: {reason}")
    return names


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
        if field.type == self.spec.link.key:
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
        keys = request.form.fields_of(self.spec.link.key)
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
        for _, row in self.spec.outcomes():
            condition = row.condition if row.verb == request.verb else None
            if condition is not None and condition.field is not None and condition.value is not None:
                found.setdefault(condition.field, []).append(condition.value)
        return {name: list(dict.fromkeys(words)) for name, words in found.items()}


class Paths(Lines):
    """The shortest ways through the model: breadth first over the worlds of a few connections."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self._worlds = self._explore()
        self._rows = self._find_rows()
        reached = {world.peers[SUBJECT].configuration(spec) for world, _ in self._worlds}
        self.configurations = [name for name in configurations(spec) if name in reached]
        self.missing = [
            (state, row)
            for state, row in spec.outcomes()
            if not any((name, row) in self._rows for name in self.configurations if name.partition("+")[0] == state)
        ]  # rows to which the subject does not come

    def _explore(self) -> list[tuple[World, tuple[Step, ...]]]:
        start = World(self.spec)
        for who in CAST:
            start.open(who)
        found: list[tuple[World, tuple[Step, ...]]] = [(start, ())]
        seen = {start.key()}
        lines = {who: [(line, self._read(line)) for line in self.lines(who)] for who in CAST}
        for world, way in found:  # grows while it is walked
            if len(way) >= DEPTH:
                continue
            for who in CAST:
                for line, said in lines[who]:
                    row = world.row_of(who, said)
                    if row is None or (row.to is None and row.partner is None and not row.effects):
                        continue  # it changes nothing
                    other = world.copy()
                    other.feed(who, line)
                    if other.key() not in seen and all(peer.state != self.spec.final for peer in other.peers.values()):
                        seen.add(other.key())
                        found.append((other, (*way, send(self.spec, who, line))))
        return found

    def _read(self, line: bytes) -> Parsed | Faulty:
        return parse_request(self.spec, line.removesuffix(self.spec.framing.writes))

    def _find_rows(self) -> dict[tuple[str, Outcome], tuple[tuple[Step, ...], bytes]]:
        """The first way in which the subject takes each row, by configuration and row."""
        found: dict[tuple[str, Outcome], tuple[tuple[Step, ...], bytes]] = {}
        lines = [(line, self._read(line)) for line in self.lines(SUBJECT)]
        for world, way in self._worlds:
            configuration = world.peers[SUBJECT].configuration(self.spec)
            for line, said in lines:
                row = world.row_of(SUBJECT, said)
                if row is not None:
                    found.setdefault((configuration, row), (way, line))
        return found

    def worlds(self) -> Iterator[World]:
        """Every world that the cast can come to, the nearest first; not to be changed."""
        return (world for world, _ in self._worlds)

    def to_row(self, configuration: str, row: Outcome) -> tuple[tuple[Step, ...], bytes] | None:
        return self._rows.get((configuration, row))

    @property
    def named(self) -> str | None:
        """The first configuration in which the subject has a name."""
        peers = (world.peers[SUBJECT] for world, _ in self._worlds)
        return next((peer.configuration(self.spec) for peer in peers if peer.name is not None), None)

    def to_configuration(self, configuration: str) -> tuple[Step, ...]:
        return self._first(lambda world: world.peers[SUBJECT].configuration(self.spec) == configuration)

    def to_success(self, configuration: str, verb: str) -> tuple[Step, ...] | None:
        """The way to where this request succeeds when it names the subject's ordinary values."""
        request = self.spec.requests[verb]
        line = write_form(request.form, self.values(request)).encode()
        for world, way in self._worlds:
            if world.peers[SUBJECT].configuration(self.spec) == configuration:
                row = world.row_for(SUBJECT, line)
                if row is not None and row.error is None:
                    return way
        return None

    def _first(self, goal: Callable[[World], bool]) -> tuple[Step, ...]:
        return next(way for world, way in self._worlds if goal(world))


_ways: dict[str, Paths] = {}
_ways_lock = threading.Lock()  # guards `_ways`; held while they are found, which takes a second


def paths_of(spec: Spec) -> Paths:
    """The ways through a spec's model, found once."""
    with _ways_lock:
        if spec.sha256 not in _ways:
            _ways[spec.sha256] = Paths(spec)
        return _ways[spec.sha256]


def label_of(row: Outcome, rows: tuple[Outcome, ...]) -> str:
    """A row's name in an id: its label, with its condition where another row of the request has the same label."""
    if sum(other.label == row.label for other in rows) == 1:
        return row.label
    words = re.findall("[a-z0-9]+", str(row.condition or "otherwise"))
    return "-".join([row.label, *words])
