"""The search: every state that can be reached, breadth first, so that the first trace to a fault is a shortest one.

A state is a tuple with the number of each connection's `End`. Each step of an end is worked out once by the model and
then looked up, which makes pure Python fast enough; `Model.steps` says the same slowly, and a test compares them.
Knows no spec.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from .model import NOBODY, End, Gift, Model, Taken, World
from .properties import AMBIGUOUS, DEAD_END, DEADLOCK, NEVER, Fault
from .rows import Tables
from .symmetry import State, Symmetry

Faults = tuple[Fault, ...]
Edge = tuple[State | None, Faults]  # where a step leads (None: nowhere sensible), and the faults that it shows

REPORT_EVERY = 2048  # states between two reports of progress


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is searched: connections, and the most frames that lie in each queue to and from the server."""

    clients: int = 2
    up: int = 1
    down: int = 2


@dataclass(slots=True)
class Found:
    """How far a search is, and what it has found. `traces` has a shortest way to the first sight of each fault.

    `waiting` are the states that were seen and not yet gone on from; `seconds` is the time taken. `complete`: every
    state within the bounds was seen.
    """

    bounds: Bounds
    states: int = 0
    steps: int = 0
    depth: int = 0
    waiting: int = 0
    seconds: float = 0.0
    complete: bool = False
    traces: dict[Fault, tuple[World, ...]] = field(default_factory=dict)
    fired: set[int] = field(default_factory=set)


class _Shared(NamedTuple):
    """What the server's step with one connection does, as numbers of ends."""

    end: int | None
    other: int
    gift: Gift | None
    faults: Faults


class Search:
    """One search of one protocol; `run` may be called once."""

    def __init__(self, tables: Tables, bounds: Bounds) -> None:
        self.model = Model(tables, bounds.clients, bounds.up, bounds.down)
        self.bounds = bounds
        self.found = Found(bounds)
        self._ends: list[End] = []
        self._numbers: dict[End, int] = {}
        self._faulty: dict[int, Faults] = {}
        self._quiet: list[bool] = []
        self._own: dict[int, list[tuple[int | None, Faults]]] = {}
        self._taken: dict[tuple[int, int, bool], _Shared] = {}
        self._closed: dict[int, _Shared] = {}
        self._given: dict[tuple[Gift, int], tuple[int | None, Faults]] = {}
        self._symmetry = Symmetry(bounds.clients, self._ends, self._number)
        self._parents: dict[State, State | None] = {}  # of each state that was seen, the one before it

    def run(
        self,
        until: Callable[[Fault], bool] = lambda fault: False,
        limit: int | None = None,
        progress: Callable[[Found], None] = lambda found: None,
    ) -> Found:
        """Searches until it finds a fault for which `until` holds, or has seen `limit` states, or has seen all."""
        found, started = self.found, time.monotonic()
        first = self.canonical(self.model.start())
        self._parents[first] = None
        found.traces |= {Fault(AMBIGUOUS, reply): () for reply in self.model.tables.ambiguous}
        frontier, stopped = [first], False
        while frontier and not stopped:
            following: list[State] = []
            for done, state in enumerate(frontier):
                before = len(found.traces)
                self._expand(state, following)
                stopped = limit is not None and len(self._parents) >= limit
                stopped = stopped or (len(found.traces) > before and any(map(until, found.traces)))
                if stopped or done % REPORT_EVERY == 0:
                    found.states, found.seconds = len(self._parents), time.monotonic() - started
                    found.waiting = len(frontier) - done + len(following)
                    progress(found)
                if stopped:
                    break
            found.depth += 1
            frontier = following
        found.states, found.seconds, found.waiting = len(self._parents), time.monotonic() - started, len(frontier)
        found.complete = not stopped
        if found.complete:
            self._note_unfired()
        return found

    @property
    def seen(self) -> Set[State]:
        """The states that were seen, each one for all that are like it."""
        return self._parents.keys()

    def canonical(self, world: World) -> State:
        """The state that stands for all that are like this one."""
        return self._symmetry.canonical(tuple(map(self._number, world)))

    # One state

    def _expand(self, state: State, following: list[State]) -> None:
        parents, canonical, faulty = self._parents, self._symmetry.canonical, self._faulty
        edges = self._edges(state, closing=True)
        self.found.steps += len(edges)
        for successor, faults in edges:
            for fault in faults:
                self._note(fault, state)
            if successor is None:
                continue
            successor = canonical(successor)
            if successor in parents:
                continue
            parents[successor] = state
            following.append(successor)
            if faulty:
                for number in successor:
                    for fault in faulty.get(number, ()):
                        self._note(fault, successor)
        if all(map(self._quiet.__getitem__, state)):
            self._note_stuck(state)

    def _edges(self, state: State, closing: bool) -> list[Edge]:
        """Each step from `state`; the ends of connections only if `closing`."""
        edges: list[Edge] = []
        for i, number in enumerate(state):
            before, after = state[:i], state[i + 1 :]
            own = self._own.get(number)
            if own is None:
                own = self._own[number] = list(self._own_steps(number))
            for successor, faults in own:
                edges.append((None if successor is None else (*before, successor, *after), faults))
            end = self._ends[number]
            if end.up:
                edges += self._shared_edge(state, i, self._take(state, number))
            if closing and end.state != self.model.spec.final:
                edges += self._shared_edge(state, i, self._close(number))
        return edges

    def _own_steps(self, number: int) -> Iterator[tuple[int | None, Faults]]:
        """What a client may do by itself: send and read."""
        end = self._ends[number]
        for _, after in self.model.sends(end):
            yield self._number(after), ()
        if end.down:
            read, faults = self.model.receive(end)
            yield None if read is None else self._number(read), faults

    def _shared_edge(self, state: State, i: int, step: _Shared) -> list[Edge]:
        """A step of the server with the connection `i`, none while there is no room for what it sends."""
        if step.end is None:
            return [(None, step.faults)]
        room = self.model.down
        if len(self._ends[step.end].down) > room:
            return []
        after = list(state)
        after[i] = step.end
        if step.gift is None:
            return [(tuple(after), step.faults)]
        key = (step.gift, state[step.other])
        if key not in self._given:
            end, faults = self.model.give(self._ends[key[1]], step.gift)
            self._given[key] = (None if end is None else self._number(end), faults)
        other, faults = self._given[key]
        if other is None:
            return [(None, step.faults + faults)]
        if len(self._ends[other].down) > room:
            return []
        after[step.other] = other
        return [(tuple(after), step.faults + faults)]

    def _take(self, state: State, number: int) -> _Shared:
        end, holder, linked = self._ends[number], NOBODY, False
        name = end.up[0].name
        if name != NOBODY:
            for i, other in enumerate(state):
                if self._ends[other].name == name:
                    holder, linked = i, self._ends[other].state in self.model.linked
        key = (number, holder, linked)
        found = self._taken.get(key)
        if found is None:
            found = self._taken[key] = self._shared(self.model.take(end, holder, linked))
        return found

    def _close(self, number: int) -> _Shared:
        found = self._closed.get(number)
        if found is None:
            found = self._closed[number] = self._shared(self.model.close(self._ends[number]))
        return found

    def _shared(self, taken: Taken) -> _Shared:
        # If there is no room for it now, it fires as soon as the clients have read: nothing else need change.
        self.found.fired.add(taken.row)
        return _Shared(None if taken.end is None else self._number(taken.end), taken.other, taken.gift, taken.faults)

    def _number(self, end: End) -> int:
        """The number of an end; a new one is looked at."""
        number = self._numbers.get(end)
        if number is None:
            number = self._numbers[end] = len(self._ends)
            self._ends.append(end)
            self._quiet.append(not end.up and not end.down)
            faults = tuple(self.model.faults(end))
            if faults:
                self._faulty[number] = faults
            self.found.fired.update(row.index for _, row, _ in self.model.asides(end))
        return number

    # What is found

    def _note(self, fault: Fault, state: State) -> None:
        if fault in self.found.traces:
            return
        way: list[World] = []
        at: State | None = state
        while at is not None:
            way.append(tuple(self._ends[number] for number in at))
            at = self._parents[at]
        self.found.traces[fault] = tuple(reversed(way))

    def _note_unfired(self) -> None:
        tables = self.model.tables
        for row in tables.rows:
            if row.index not in self.found.fired and not row.misplaced:
                self.found.traces[Fault(NEVER, str(row))] = ()

    def _note_stuck(self, state: State) -> None:
        """Nothing is on its way: somebody must be able to go on, and each to come to an end."""
        live = [i for i, number in enumerate(state) if self._ends[number].state != self.model.spec.final]
        if live and not any(self._may_go_on(self._ends[state[i]]) for i in live):
            self._note(Fault(DEADLOCK, "before all connections are over"), state)
        for i in live:
            fault = Fault(DEAD_END, f"from {self._ends[state[i]].state}")
            if fault not in self.found.traces and not (self._can_end(state, i, alone=True) or self._can_end(state, i)):
                self._note(fault, state)

    def _may_go_on(self, end: End) -> bool:
        return any(True for _ in self.model.sends(end)) or any(True for _ in self.model.asides(end))

    def _can_end(self, start: State, i: int, alone: bool = False) -> bool:
        """Whether requests lead from `start` to the end of the connection `i`; `alone`: its own requests."""
        seen, waiting = {start}, [start]
        while waiting:
            state = waiting.pop()
            if self._ends[state[i]].state == self.model.spec.final:
                return True
            for successor, _ in self._edges(state, closing=False):
                if successor is None or successor in seen or (alone and successor[i] == state[i]):
                    continue
                seen.add(successor)
                waiting.append(successor)
        return False
