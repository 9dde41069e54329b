"""Random walks for clients: what the user and the other users do is drawn; the model answers for the server.

A walk is a list of acts; each becomes steps of a play, by the model. So a walk that fails is shrunk by leaving out
acts, and saved as a play. Knows no verb.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from conformance.cases.case import Case, cases_of
from conformance.cases.play import CLIENT, WALK, Play, Segment, Step
from conformance.engine.verdict import Result, Verdict
from conformance.oracle.frames import Parsed, write_form
from conformance.oracle.lines import CAST, SUBJECT
from conformance.oracle.model import World
from pychat.spec import Spec

from .cells import ClientCells, received, refused, sent, typed
from .worker import ClientWorker

ACTS = 40  # of a walk, at most
OTHERS = CAST[1:]
CROSSED = 0.3  # of the requests cross acts of the others
PROBES = 0.1  # of the acts are probes of the server
ENDS = 0.05  # of the acts of others are the ends of their connections
MOVES = 0.7  # of the lines change something, where one can


@dataclass(frozen=True, slots=True)
class Act:
    """`who` sends a line, ends its stream or breaks it, or the server probes the client. Others' acts can cross it."""

    who: str
    kind: Literal["line", "finish", "reset", "probe"]
    octets: bytes = b""
    crossed: tuple[Act, ...] = ()


def walks(spec: Spec, number: int, seed: int) -> Iterator[Case]:
    """So many walks as cases, the same ones for the same seed; none where a client has no commands to be driven by."""
    if not spec.contract.commands:
        return
    cells = ClientCells(spec)
    for count in range(1, number + 1):
        rng = random.Random(f"{seed}-{count}")
        acts = tuple(Walker(cells, rng).acts())
        yield _case(cells, f"ANY/WALK/{seed}-{count}", acts, rng.choice(("whole", "coalesced")))


def shrink(worker: ClientWorker, case: Case) -> tuple[Play, Result]:
    """The shortest walk that still fails, found by leaving out acts. Raises ValueError if this one does not fail."""
    cells, rng = ClientCells(worker.spec), random.Random(case.id.rpartition("/")[2])
    acts: Sequence[Act] = tuple(Walker(cells, rng).acts())
    best = _again(worker, cells, case, acts)
    if best is None:
        raise ValueError(f"{case.id} does not fail")
    size = len(acts)
    while size:
        place = 0
        while place < len(acts):
            fewer = (*acts[:place], *acts[place + size :])
            found = _again(worker, cells, case, fewer)
            if found is None:
                place += size
            else:
                acts, best = fewer, found
        size //= 2
    return best


def _again(worker: ClientWorker, cells: ClientCells, case: Case, acts: Sequence[Act]) -> tuple[Play, Result] | None:
    """The walk of these acts and its result, if it fails."""
    fewer = _case(cells, case.id, acts, case.segment)
    result = worker.verdict(fewer)
    return (fewer.play, result) if result.verdict is Verdict.FAIL and fewer.play is not None else None


def _case(cells: ClientCells, id_: str, acts: Sequence[Act], segment: Segment) -> Case:
    """A walk as a case."""
    story = Story(cells)
    steps = tuple(step for act in acts for step in story.take(act))
    rules = tuple(rule for rule in ("R-CLIENT-2", "R-FRAME-8") if rule in cells.spec.rules)
    rules = rules or (next(iter(cells.spec.rules)),)
    play = Play(id_, f"a walk of {len(acts)} acts", rules, steps, of="client", source=WALK)
    return cases_of(cells.spec, play, "walk", (segment,))[0]


class Story:
    """The acts so far: the server's model, and what the client itself has refused."""

    def __init__(self, cells: ClientCells) -> None:
        self.cells = cells
        self.spec = cells.spec
        self.world = World(cells.spec)
        self.world.open(SUBJECT)
        self.call_refused = False  # by the client, so that no line is sent until a call is

    def take(self, act: Act) -> list[Step]:
        """The steps of an act."""
        if act.kind == "probe":
            return self._probe(act.octets.decode())
        if act.who != SUBJECT:
            return self._told(act)
        said, command = self.cells.lines_of.read(act.octets), self.cells.command_for(act.octets)
        assert isinstance(said, Parsed)
        assert command is not None
        calls, may = said.verb == self.spec.verb_that("link"), self._may_send(said, act.octets)
        self.call_refused = not may if calls else self.call_refused
        steps = [typed(command), sent(act.octets) if may else refused(command)]
        for other in act.crossed:
            steps += self._told(other)
        return steps + self._told(replace(act, crossed=())) if may else steps

    def _may_send(self, said: Parsed, line: bytes) -> bool:
        """Whether the client sends a request now: its view is the server's, since all that was sent has come."""
        if said.verb not in self.spec.states[self.world.open(SUBJECT).state].recv:
            return False
        behind_refused = self.call_refused and said.verb == self.spec.verb_that("relay")
        return not behind_refused and self.cells.allowed(self.world, line)

    def _told(self, act: Act) -> list[Step]:
        """What comes to the client when the server takes this, first the frames and then the lines."""
        if act.who != SUBJECT and not self.world.is_open(act.who) and act.who in self.world.connections:
            return []
        self.world.open(act.who)
        if act.kind == "line":
            due = self.world.feed(act.who, act.octets)
        else:
            due = self.world.finish(act.who) if act.kind == "finish" else self.world.reset(act.who)
        steps = [step for each in due.get(SUBJECT, []) for step in self.cells.given(each)]
        return sorted(steps, key=lambda step: step.who != CLIENT)

    def _probe(self, word: str) -> list[Step]:
        """Each push that wants a reply, and the reply."""
        steps = []
        for push in self.spec.pushes.values():
            if push.reply is not None:
                values = dict.fromkeys((field.name for field in push.form.fields), f"probe{word}")
                steps.append(received(write_form(push.form, values), self.spec))
                steps.append(sent(push.reply.fill(values).encode() + self.spec.framing.writes))
        return steps


class Walker:
    """Draws one walk."""

    def __init__(self, cells: ClientCells, rng: random.Random) -> None:
        self.rng = rng
        self.story = Story(cells)
        lines = cells.lines_of
        self.lines = {who: [(line, lines.read(line)) for line in lines.lines(who)] for who in CAST}
        self.lines[SUBJECT] = [pair for pair in self.lines[SUBJECT] if cells.command_for(pair[0]) is not None]
        self.people = {place: place for place in OTHERS}

    def acts(self) -> Iterator[Act]:
        """Its acts, each drawn after the one before it was taken."""
        for count in range(self.rng.randint(2, ACTS)):
            if self.rng.random() < PROBES:
                act = Act(SUBJECT, "probe", str(count).encode())
            elif self.rng.random() < 0.5:
                act = self._other(count)
            else:
                line = self._line(SUBJECT, SUBJECT)
                crossed = self.rng.randint(1, 2) if self.rng.random() < CROSSED else 0
                act = Act(SUBJECT, "line", line, tuple(self._other(count) for _ in range(crossed)))
            self.story.take(act)
            yield act

    def _other(self, count: int) -> Act:
        place = self.rng.choice(OTHERS)
        who = self.people[place]
        if who in self.story.world.connections and not self.story.world.is_open(who):
            who = self.people[place] = f"{place}{count}"
        self.story.world.open(who)
        if self.rng.random() < ENDS:
            return Act(who, self.rng.choice(("finish", "reset")))
        return Act(who, "line", self._line(who, place))

    def _line(self, who: str, place: str) -> bytes:
        """A line that ends no connection; mostly one that changes something."""
        world = self.story.world
        rows = [(line, world.row_of(who, said)) for line, said in self.lines[place]]
        rows = [(line, row) for line, row in rows if row is None or row.to != self.story.spec.final]
        moves = [line for line, row in rows if row is not None and row.error is None and row.effects]
        if moves and self.rng.random() < MOVES:
            return self.rng.choice(moves)
        return self.rng.choice(rows)[0]
