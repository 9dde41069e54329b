"""Long plays: each row of the table comes after many histories of the same connections. Knows no verb by name.

Each play has a row for its goal, and takes it as often as it can, each time with another past; between these, those
moves are taken whose past was not seen in any play before. After each move somebody says a line, which shows who is
linked and heard. The model decides all of it, and it is the same at each run. Knows no verb by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from conformance.oracle.history import Feature, History, Move, Repertoire, matters
from conformance.oracle.lines import SUBJECT, Path
from conformance.oracle.paths import label_of
from pychat.spec import Spec
from pychat.spec.model import Outcome

from .matrix import Cells
from .play import Play, Step, send

MOVES = 30  # of a play, behind the shortest way to its goal
NAMING, GOAL, NEW, SELDOM = 1e6, 1e4, 10.0, 0.02  # the weights of a move, see there


class Goal(NamedTuple):
    """A row in a configuration, its name in an id, the shortest way to it, and the line that takes it."""

    configuration: str
    row: Outcome
    label: str
    path: Path
    line: bytes


class Histories(Cells):
    """The long plays of a spec that has a link, for servers; without one, a connection has no such past."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.seen: Counter[Feature] = Counter()  # in all plays
        self.repertoire = Repertoire(self.paths)
        relay = spec.verb_that("relay")
        self.saying = self.line(spec.requests[relay]) if relay is not None else b""

    def plays(self) -> list[Play]:
        goals = self._goals() if self.spec.linked_states else ()
        return self.numbered(map(self._play, goals), self.spec.ending.rule)

    def _goals(self) -> Iterator[Goal]:
        """Each row that matters, in each configuration of a connection that has a past."""
        for configuration in self.paths.configurations:
            state = configuration.partition("+")[0]
            for rows in self.spec.states[state].recv.values() if state != self.spec.initial else ():
                for row in rows:
                    way = self.paths.to_row(configuration, row)
                    if way is not None and (matters(self.spec, state, row) or row.does("relay")):
                        yield Goal(configuration, row, label_of(row, rows), *way)

    def _play(self, goal: Goal) -> Play:
        history, dice = History(self.repertoire), Random(f"{goal.configuration} {goal.label}")
        for who, octets in (*goal.path, (SUBJECT, goal.line)):
            self._take(history, history.line(who, octets))
        self._say(history)
        for _ in range(MOVES):
            moves = list(history.choices())
            while moves:
                move = dice.choices(moves, [self._weight(history, goal, move) for move in moves])[0]
                if self._take(history, move):
                    break
                moves.remove(move)
            self._say(history)
        title = f"{goal.row.verb} in {goal.configuration} is {goal.row.label}, whatever came before"
        return self.cell(
            goal.configuration, goal.row.verb, f"{goal.label}-whatever-came-before", title, (goal.row.rule,),
            (), map(self._step, history.moves), segments=("whole",),
        )  # fmt: skip

    def _step(self, move: Move) -> Step:
        return send(self.spec, move.who, move.octets) if move.kind == "send" else Step(move.who, move.kind)

    def _weight(self, history: History, goal: Goal, move: Move) -> float:
        """How likely a move is: a name, without which there is no past; its goal with a new past; then what is new.

        An end, which forgets, is seldom taken.
        """
        if history.world.connections[move.who].state == self.spec.initial:
            return NAMING if move.row is not None and move.row.to != self.spec.final else 0
        new = sum(feature not in self.seen for feature in history.features(move))
        if new and move.row is goal.row and history.world.configuration(move.who) == goal.configuration:
            return GOAL
        ends = move.row is None or move.row.to == self.spec.final
        return NEW**new * (SELDOM if ends else 1)

    def _take(self, history: History, move: Move) -> bool:
        self.seen.update(history.features(move))
        return history.take(move)

    def _say(self, history: History) -> None:
        """Each of the people says a line, where that is no fault: it shows who is linked with whom, and heard."""
        for who in history.people.values() if self.saying else ():
            history.say(who, self.saying)
