"""The shortest paths through the model: breadth first over the worlds of a few connections. Knows no verb by name.

A path is plain data: who sends which octets, one line after the other. The plays are made from it elsewhere.
"""

from __future__ import annotations

import re

from pychat.spec import Spec
from pychat.spec.model import Outcome

from .filling import MANY, Filling
from .frames import Parsed
from .knowledge import BrokenInvariantError
from .lines import CAST, SUBJECT, Lines, Move, Path
from .model import World
from .probe import UnjudgeableError, configurations

DEPTH = 6  # requests; every row of the table is nearer …
WORLDS = 1200  # … and found among so many worlds, or where a relation is full


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
        wanted: set[tuple[str, int]] | None = None  # known when all worlds are
        lines = {who: self._by_state(who) for who in CAST}
        for world, path in found:  # grows while it is walked
            whole = len(path) >= DEPTH or len(found) >= WORLDS
            configuration = world.configuration(SUBJECT)
            if whole and wanted is None:
                wanted = self._wanted({other.configuration(SUBJECT) for other, _ in found})
            if wanted is not None and wanted <= taken:
                break
            for who in CAST if not whole else (SUBJECT,):
                for line, said, rows in lines[who][world.connections[who].state]:
                    known = who != SUBJECT or all((configuration, id(row)) in taken for row in rows)
                    if known and (whole or not any(map(_changes, rows))):
                        continue  # nothing new can come of it
                    row = world.row_of(who, said)
                    assert row is not None, "the state has rows for it"
                    if who == SUBJECT and (configuration, id(row)) not in taken:
                        taken.add((configuration, id(row)))  # a row's own hash is slow
                        self._rows.setdefault((configuration, row), (path, line))
                    if whole or not _changes(row):
                        continue  # it is only looked at
                    other = self._after(world, (*path, Move(who, line)))
                    if other.key() not in seen and all(
                        peer.state != self.spec.final for peer in other.connections.values()
                    ):
                        seen.add(other.key())
                        found.append((other, (*path, Move(who, line))))
        return found

    def _by_state(self, who: str) -> dict[str, list[tuple[bytes, Parsed, tuple[Outcome, ...]]]]:
        """By state, the lines that have a place there, with what they say and the rows that they can take."""
        said = [(line, said) for line in self.lines(who) if isinstance(said := self.read(line), Parsed)]
        return {
            state.name: [(line, said, state.recv[said.verb]) for line, said in said if said.verb in state.recv]
            for state in self.spec.states.values()
        }

    def _wanted(self, reached: set[str]) -> set[tuple[str, int]]:
        """What to look for in these configurations: all rows but those that filling finds."""
        recv = {configuration: self.spec.states[configuration.partition("+")[0]].recv for configuration in reached}
        rows = (
            (configuration, row) for configuration in reached for one in recv[configuration].values() for row in one
        )
        return {(name, id(row)) for name, row in rows if not any(c.kind == "full" for c in row.conditions)}

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


def _changes(row: Outcome) -> bool:
    """Whether a row changes what the server knows."""
    return row.to is not None or row.partner is not None or bool(row.effects)


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
