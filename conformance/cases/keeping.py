"""Plays with a crowd: a relation keeps so many users for one, which only as many connections can show. Knows no verb.

How many is the number of the spec. A crowd is too many for a search of the model; each member does what the subject
does on its way to the row that adds a tuple.
"""

from __future__ import annotations

from collections.abc import Iterator

from conformance.oracle.filling import MANY, Filling
from conformance.oracle.lines import SUBJECT, Path
from conformance.oracle.probe import letters
from pychat.spec.model import Outcome
from pychat.spec.terms import Relation

from .matrix import Cells
from .play import Play, Step, send

MOST = 200  # members of a crowd; a relation that keeps more is not filled
ALPHABET = 26  # names of two letters more, so that no two are the same
SPARE = 8  # connections besides the crowd


class Keeping(Cells):
    """The cells about relations that keep the last users for one, for servers that are told their limit."""

    def plays(self) -> list[Play]:
        found: list[Play] = []
        for relation in self.spec.relations.values():
            keep = next((column.keep for column in relation.columns if column.keep and column.type == "user"), None)
            if keep is not None and MANY < keep <= MOST and [column.type for column in relation.keys] == ["user"] * 2:
                found += self._filled(relation, keep)
        return self.numbered(found, self.spec.ending.rule)

    def _filled(self, relation: Relation, keep: int) -> Iterator[Play]:
        for configuration in self.paths.configurations:
            state = configuration.partition("+")[0]
            for row in (row for rows in self.spec.states[state].recv.values() for row in rows):
                way = self._way_to(configuration, row) if row.adds_to(relation.name) else None
                if way is not None:
                    yield from self._crowded(configuration, row, relation, keep, *way)
                    return

    def _way_to(self, configuration: str, row: Outcome) -> tuple[Path, bytes] | None:
        """Where the subject takes this row straight after the shortest way there, as others can too."""
        base = self.paths.to_configuration(configuration)
        lines = [line for line in self.paths.lines(SUBJECT) if self.paths.read(line).verb == row.verb]
        for world, path in self.paths.worlds:
            if tuple(move for move in path if move.who == SUBJECT) == base:
                for line in lines:
                    if world.row_of(SUBJECT, self.paths.read(line)) == row:
                        return path, line
        return None

    def _crowded(
        self, configuration: str, row: Outcome, relation: Relation, keep: int, path: Path, line: bytes
    ) -> Iterator[Play]:
        """One more than are kept, each for the first time: the first one is forgotten, and no other."""
        filling = Filling(self.spec, tuple(move for move in path if move.who == SUBJECT))
        crowd = [f"x{number}" for number in range(1, keep + 2)]
        for number, who in enumerate(crowd):
            filling.names[who] = self.paths.names[SUBJECT] + letters(number + ALPHABET)
        if not all(map(self.spec.name_type.accepts, filling.names.values())):
            return
        steps = self.steps(tuple(move for move in path if move.who != SUBJECT))
        for who in crowd[:-1]:
            steps.append(send(self.spec, who, b"".join(move.octets for move in filling.way(who)) + line))
        setup = len(steps)
        first, second, third, fourth, *_, last = crowd
        steps.append(send(self.spec, first, line))  # it is known, and stays the oldest one
        steps.append(send(self.spec, last, b"".join(move.octets for move in filling.way(last)) + line))
        steps += [send(self.spec, who, line) for who in (second, last, first, third, second)]  # in turn known, unknown
        steps += [Step(crowd[keep // 2], "finish"), send(self.spec, third, line), send(self.spec, fourth, line)]
        title = f"{relation.name} holds the last {keep}, in the order of their first"
        yield self.cell(
            configuration, row.verb, f"{relation.name}-keeps-{keep}", title, (relation.rule or row.rule,),
            steps[:setup], steps[setup:], segments=("whole",), server=(("max", len(crowd) + SPARE),),
        )  # fmt: skip
