"""The search: every reachable state, breadth first, so that the first trace to a violation is a shortest one.

A state is a tuple with the number of each connection's `Endpoint`. The model computes each step of an endpoint once;
then it is looked up, which makes pure Python fast enough. `Model.steps` computes the same slowly, and a test compares
them.
Knows no spec.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from .model import NOBODY, Endpoint, GlobalState, Model, PartnerStep, ServerStep
from .properties import AMBIGUOUS, DEAD_END, DEADLOCK, NEVER, Violation
from .rows import Tables
from .symmetry import StateKey, Symmetry

Violations = tuple[Violation, ...]
Edge = tuple[StateKey | None, Violations]  # the state after a step (None: it cannot be applied), and what it violates

REPORT_EVERY = 2048  # states between two reports of progress


@dataclass(frozen=True, slots=True)
class Bounds:
    """The size of a search: the number of connections, and the most frames in a queue to and from the server."""

    clients: int = 2
    up: int = 1
    down: int = 2


@dataclass(slots=True)
class SearchResult:
    """The progress of a search, and its violations. `traces` has a shortest path to each of them.

    `waiting` states were seen and not yet expanded; `seconds` is the time taken. `complete`: every state within the
    bounds was seen. `fired` are the indexes of rows.
    """

    bounds: Bounds
    states: int = 0
    steps: int = 0
    depth: int = 0
    waiting: int = 0
    seconds: float = 0.0
    complete: bool = False
    traces: dict[Violation, tuple[GlobalState, ...]] = field(default_factory=dict)
    fired: set[int] = field(default_factory=set)


class _EncodedStep(NamedTuple):
    """A `ServerStep` with the number of the endpoint in its place."""

    endpoint: int | None
    other: int
    partner_step: PartnerStep | None
    violations: Violations


class Search:
    """One search of one protocol; `run` may be called once."""

    def __init__(self, tables: Tables, bounds: Bounds) -> None:
        self.model = Model(tables, bounds.clients, bounds.up, bounds.down)
        self.bounds = bounds
        self.found = SearchResult(bounds)
        self._endpoints: list[Endpoint] = []
        self._numbers: dict[Endpoint, int] = {}
        self._violating: dict[int, Violations] = {}
        self._quiet: list[bool] = []
        self._taken: dict[tuple[int, int, bool], _EncodedStep] = {}
        self._own_steps = cache(self._find_own_steps)
        self._close = cache(lambda number: self._shared(self.model.close(self._endpoints[number])))
        self._partner_step = cache(self._take_partner_step)
        self._symmetry = Symmetry(bounds.clients, self._endpoints, self._number)
        self._parents: dict[StateKey, StateKey | None] = {}  # each state that was seen, and the one before it

    def run(
        self,
        until: Callable[[Violation], bool] = lambda violation: False,
        limit: int | None = None,
        progress: Callable[[SearchResult], None] = lambda result: None,
    ) -> SearchResult:
        """Searches until `until` holds for a violation, or `limit` states were seen, or all of them."""
        found, started = self.found, time.monotonic()
        first = self.canonical(self.model.start())
        self._parents[first] = None
        found.traces |= {Violation(AMBIGUOUS, reply): () for reply in self.model.tables.ambiguous}
        frontier, stopped = [first], False
        while frontier and not stopped:
            following: list[StateKey] = []
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
    def seen(self) -> Set[StateKey]:
        """The states that were seen, one of each class of symmetric states."""
        return self._parents.keys()

    def canonical(self, state: GlobalState) -> StateKey:
        """The representative of all states that are symmetric to this one."""
        return self._symmetry.canonical(tuple(map(self._number, state)))

    # One state

    def _expand(self, state: StateKey, following: list[StateKey]) -> None:
        parents, canonical, violating = self._parents, self._symmetry.canonical, self._violating
        edges = self._edges(state, closing=True)
        self.found.steps += len(edges)
        for successor, violations in edges:
            for violation in violations:
                self._note(violation, state)
            if successor is None:
                continue
            successor = canonical(successor)
            if successor in parents:
                continue
            parents[successor] = state
            following.append(successor)
            if violating:
                for number in successor:
                    for violation in violating.get(number, ()):
                        self._note(violation, successor)
        if all(map(self._quiet.__getitem__, state)):
            self._note_stuck(state)

    def _edges(self, state: StateKey, closing: bool) -> list[Edge]:
        """Each step from `state`; connections close only if `closing`."""
        edges: list[Edge] = []
        for i, number in enumerate(state):
            before, after = state[:i], state[i + 1 :]
            for successor, violations in self._own_steps(number):
                edges.append((None if successor is None else (*before, successor, *after), violations))
            endpoint = self._endpoints[number]
            if endpoint.up:
                edges += self._shared_edge(state, i, self._take(state, number))
            if closing and endpoint.state != self.model.spec.final:
                edges += self._shared_edge(state, i, self._close(number))
        return edges

    def _find_own_steps(self, number: int) -> list[tuple[int | None, Violations]]:
        """What a client may do by itself: send and read."""
        endpoint = self._endpoints[number]
        found: list[tuple[int | None, Violations]] = [
            (self._number(after), ()) for _, after in self.model.sends(endpoint)
        ]
        if endpoint.down:
            read, violations = self.model.receive(endpoint)
            found.append((None if read is None else self._number(read), violations))
        return found

    def _shared_edge(self, state: StateKey, i: int, step: _EncodedStep) -> list[Edge]:
        """A step of the server with the connection `i`; none while a queue has no room for what it sends."""
        if step.endpoint is None:
            return [(None, step.violations)]
        room = self.model.down
        if len(self._endpoints[step.endpoint].down) > room:
            return []
        after = list(state)
        after[i] = step.endpoint
        if step.partner_step is None:
            return [(tuple(after), step.violations)]
        other, violations = self._partner_step(step.partner_step, state[step.other])
        if other is None:
            return [(None, step.violations + violations)]
        if len(self._endpoints[other].down) > room:
            return []
        after[step.other] = other
        return [(tuple(after), step.violations + violations)]

    def _take_partner_step(self, step: PartnerStep, number: int) -> tuple[int | None, Violations]:
        endpoint, violations = self.model.take_partner_step(self._endpoints[number], step)
        return None if endpoint is None else self._number(endpoint), violations

    def _take(self, state: StateKey, number: int) -> _EncodedStep:
        endpoint, holder, linked = self._endpoints[number], NOBODY, False
        name = endpoint.up[0].name
        if name != NOBODY:
            for i, other in enumerate(state):
                if self._endpoints[other].name == name:
                    holder, linked = i, self._endpoints[other].state in self.model.linked
        key = (number, holder, linked)
        found = self._taken.get(key)
        if found is None:
            found = self._taken[key] = self._shared(self.model.take(endpoint, holder, linked))
        return found

    def _shared(self, taken: ServerStep) -> _EncodedStep:
        # If a queue has no room for it now, the row fires as soon as the clients have read.
        self.found.fired.add(taken.row)
        return _EncodedStep(
            None if taken.endpoint is None else self._number(taken.endpoint),
            taken.other,
            taken.partner_step,
            taken.violations,
        )

    def _number(self, endpoint: Endpoint) -> int:
        """The number of an endpoint; the properties of a new one are checked."""
        number = self._numbers.get(endpoint)
        if number is None:
            number = self._numbers[endpoint] = len(self._endpoints)
            self._endpoints.append(endpoint)
            self._quiet.append(not endpoint.up and not endpoint.down)
            violations = tuple(self.model.violations(endpoint))
            if violations:
                self._violating[number] = violations
            self.found.fired.update(row.index for _, row, _ in self.model.inert_requests(endpoint))
        return number

    # What is found

    def _note(self, violation: Violation, state: StateKey) -> None:
        if violation in self.found.traces:
            return
        path: list[GlobalState] = []
        at: StateKey | None = state
        while at is not None:
            path.append(tuple(self._endpoints[number] for number in at))
            at = self._parents[at]
        self.found.traces[violation] = tuple(reversed(path))

    def _note_unfired(self) -> None:
        tables = self.model.tables
        for row in tables.rows:
            if row.index not in self.found.fired and not row.misplaced:
                self.found.traces[Violation(NEVER, str(row))] = ()

    def _note_stuck(self, state: StateKey) -> None:
        """Looks for deadlocks and dead ends in a state whose queues are empty."""
        live = [i for i, number in enumerate(state) if self._endpoints[number].state != self.model.spec.final]
        if live and not any(self._may_go_on(self._endpoints[state[i]]) for i in live):
            self._note(Violation(DEADLOCK, "before all connections are over"), state)
        for i in live:
            violation = Violation(DEAD_END, f"from {self._endpoints[state[i]].state}")
            if violation not in self.found.traces and not (
                self._can_end(state, i, alone=True) or self._can_end(state, i)
            ):
                self._note(violation, state)

    def _may_go_on(self, endpoint: Endpoint) -> bool:
        return any(True for _ in self.model.sends(endpoint)) or any(True for _ in self.model.inert_requests(endpoint))

    def _can_end(self, start: StateKey, i: int, alone: bool = False) -> bool:
        """Whether requests lead from `start` to the end of the connection `i`; `alone`: its own requests."""
        seen, waiting = {start}, [start]
        while waiting:
            state = waiting.pop()
            if self._endpoints[state[i]].state == self.model.spec.final:
                return True
            for successor, _ in self._edges(state, closing=False):
                if successor is None or successor in seen or (alone and successor[i] == state[i]):
                    continue
                seen.add(successor)
                waiting.append(successor)
        return False
