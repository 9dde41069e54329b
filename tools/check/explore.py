"""The search: every reachable state, breadth first, so that the first trace to a violation is a shortest one.

A state is a tuple with the number of each connection's `Endpoint`. The model computes each step of an endpoint once;
then it is looked up, which makes pure Python fast enough. `Model.steps` computes the same slowly, and a test compares
them.
Knows no spec.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from .model import Model
from .properties import AMBIGUOUS, DEAD_END, DEADLOCK, NEVER, Violation
from .rows import Tables
from .server import OtherStep, ServerStep
from .state import NOBODY, Endpoint, Facts, GlobalState
from .symmetry import Renaming, StateKey, Symmetry

Violations = tuple[Violation, ...]
Edge = tuple[StateKey | None, Violations]  # the state after a step (None: it cannot be applied), and what it violates

REPORT_EVERY = 2048  # states between two reports of progress


@dataclass(frozen=True, slots=True)
class Bounds:
    """The size of a search: the number of connections, and the most frames in a queue to and from the server.

    `wild` of the clients keep none of the spec's rules. `named`: each client has taken a name before it begins. Of more
    than `tuples` tuples of the relations (None: any number), those that come later are forgotten at once.
    """

    clients: int = 2
    up: int = 1
    down: int = 2
    wild: int = 0
    named: bool = False
    tuples: int | None = None


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
    """A `ServerStep` with the numbers of the endpoint and of the tuples in their places (None: they stay)."""

    endpoint: int | None
    facts: int | None
    others: tuple[tuple[int, OtherStep], ...]
    violations: Violations


class _Own(NamedTuple):
    """What a client may do by itself: each time the number of its endpoint after that, and what it violates."""

    sends: list[int]
    light: list[int]  # sends of light requests
    reads: list[tuple[int | None, Violations]]


class Search:
    """One search of one protocol; `run` may be called once. `model` is the spec's if no other one is given."""

    def __init__(self, tables: Tables, bounds: Bounds, model: Model | None = None) -> None:
        self.model = model or Model(tables, bounds.clients, bounds.up, bounds.down, bounds.wild, bounds.tuples)
        self.bounds = bounds
        self.found = SearchResult(bounds)
        self._clients = bounds.clients
        self._endpoints: list[Endpoint] = []
        self._numbers: dict[Endpoint, int] = {}
        self._facts: list[Facts] = [()]
        self._fact_numbers: dict[Facts, int] = {(): 0}
        self._violating: dict[int, Violations] = {}
        self._quiet: list[bool] = []
        self._light: list[bool] = []  # whether a light request is on its way
        self._partners: list[int] = []
        self._taken: dict[tuple[int, int, bool, int], list[_EncodedStep]] = {}
        self._own = cache(self._find_own)
        self._uncaused = cache(self._find_uncaused)
        self._other_step = cache(self._take_other_step)
        self._between = cache(self._find_between)
        self._symmetry = Symmetry(bounds.clients, self._endpoints, self._number, self._rename_facts)
        self._parents: dict[StateKey, StateKey | None] = {}  # each state that was seen, and the one before it

    def run(
        self,
        until: Callable[[Violation], bool] = lambda violation: False,
        limit: int | None = None,
        progress: Callable[[SearchResult], None] = lambda result: None,
    ) -> SearchResult:
        """Searches until `until` holds for a violation, or `limit` states were seen, or all of them."""
        found, started = self.found, time.monotonic()
        first = self.canonical(self.start())
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
        if found.complete and not self.bounds.named:
            self._note_unfired()
        return found

    def start(self) -> GlobalState:
        """The state in which the search begins."""
        return self.model.start(self.bounds.named)

    @property
    def seen(self) -> Set[StateKey]:
        """The states that were seen, one of each class of symmetric states."""
        return self._parents.keys()

    def canonical(self, state: GlobalState) -> StateKey:
        """The representative of all states that are symmetric to this one."""
        return self._symmetry.canonical((*map(self._number, state.endpoints), self._number_facts(state.facts)))

    def state(self, key: StateKey) -> GlobalState:
        """The state that a key stands for."""
        return GlobalState(tuple(self._endpoints[number] for number in key[:-1]), self._facts[key[-1]])

    # One state

    def _expand(self, state: StateKey, following: list[StateKey]) -> None:
        parents, canonical = self._parents, self._symmetry.canonical
        edges = self._edges(state) + self._other_edges(state)
        self.found.steps += len(edges)
        for successor, violations in edges:
            for violation in violations:
                self._note(violation, state)
            if successor is None or successor in parents:
                continue
            successor = canonical(successor)
            if successor in parents:
                continue
            parents[successor] = state
            following.append(successor)
            self._judge(successor)
        if all(map(self._quiet.__getitem__, state[:-1])):
            self._note_stuck(state)
        elif not self._drains(state):
            self._note(Violation(DEADLOCK, "before all connections are over"), state)

    def _judge(self, state: StateKey) -> None:
        """Notes what a new state violates."""
        partners = self._partners
        for i in range(self._clients):
            number = state[i]
            if number in self._violating:
                for violation in self._violating[number]:
                    self._note(violation, state)
            partner = partners[number]
            if partner != NOBODY:
                for violation in self._between(number, state[partner]):
                    self._note(violation, state)
        if state[-1] and self.model.spec.invariants:
            for violation in self.model.broken_invariants(self.state(state)):
                self._note(violation, state)

    def _drains(self, state: StateKey) -> bool:
        """Whether a frame that is on its way can be taken or read."""
        for i in range(self._clients):
            number = state[i]
            if self._own(number).reads:
                return True
            if self._endpoints[number].up and self._server_edges(state, i, self._take(state, number)):
                return True
        return False

    def _edges(self, state: StateKey) -> list[Edge]:
        """The steps from `state` that clients cause: they send and read, and the server takes their requests."""
        edges: list[Edge] = []
        light = self._light
        crowded = any(map(light.__getitem__, state[:-1]))
        for i in range(self._clients):
            number = state[i]
            before, after = state[:i], state[i + 1 :]
            own = self._own(number)
            edges += [((*before, successor, *after), ()) for successor in own.sends]
            if not crowded:
                edges += [((*before, successor, *after), ()) for successor in own.light]
            for read, violations in own.reads:
                edges.append((None if read is None else (*before, read, *after), violations))
            if self._endpoints[number].up:
                edges += self._server_edges(state, i, self._take(state, number))
        return edges

    def _other_edges(self, state: StateKey) -> list[Edge]:
        """The steps from `state` that no client causes: timers run out, and connections end."""
        edges: list[Edge] = []
        facts = state[-1]
        for i in range(self._clients):
            edges += self._server_edges(state, i, self._uncaused(state[i], facts))
        return edges

    def _find_own(self, number: int) -> _Own:
        """What a client may do by itself: send and read."""
        endpoint, found = self._endpoints[number], _Own([], [], [])
        for sent, after in self.model.client.sends(endpoint):
            (found.light if self.model.is_light(sent) else found.sends).append(self._number(after))
        if self.model.may_read(endpoint):
            read, violations = self.model.client.receive(endpoint)
            found.reads.append((None if read is None else self._number(read), violations))
        return found

    def _server_edges(self, state: StateKey, i: int, steps: list[_EncodedStep]) -> list[Edge]:
        """Steps of the server with the connection `i`; none while a queue has no room for what it sends."""
        edges: list[Edge] = []
        for step in steps:
            edge = self._server_edge(state, i, step)
            if edge is not None:
                edges.append(edge)
        return edges

    def _server_edge(self, state: StateKey, i: int, step: _EncodedStep) -> Edge | None:
        if step.endpoint is None:
            return None, step.violations
        after = list(state)
        after[i] = step.endpoint
        if step.facts is not None:
            after[-1] = step.facts
        violations = step.violations
        for who, other_step in step.others:
            other, more = self._other_step(other_step, after[who])
            if more:
                violations += more
            if other is None:
                return None, violations
            if len(self._endpoints[other].down) > self.model.down:
                return None
            after[who] = other
        return tuple(after), violations

    def _take_other_step(self, step: OtherStep, number: int) -> tuple[int | None, Violations]:
        endpoint, violations = self.model.server.take_other_step(self._endpoints[number], step)
        return None if endpoint is None else self._number(endpoint), violations

    def _take(self, state: StateKey, number: int) -> list[_EncodedStep]:
        endpoint, holder, linked = self._endpoints[number], NOBODY, False
        name = endpoint.up[0].name
        if name != NOBODY:
            for i in range(self._clients):
                other = self._endpoints[state[i]]
                if other.name == name:
                    holder, linked = i, other.state in self.model.linked
        facts = state[-1]
        asked = facts if (endpoint.state, endpoint.up[0].verb) in self.model.server.relational else 0
        key = (number, holder, linked, asked)
        found = self._taken.get(key)
        if found is None:
            steps = self.model.server.take(endpoint, holder, linked, self._facts[asked])
            found = self._taken[key] = self._encoded(steps, asked)
        return found

    def _find_uncaused(self, number: int, facts: int) -> list[_EncodedStep]:
        """The steps of an endpoint's timers, and its end."""
        endpoint, there = self._endpoints[number], self._facts[facts]
        if endpoint.state == self.model.spec.final:
            return []
        steps = [*self.model.server.time_out(endpoint, there), *self.model.server.close(endpoint, there)]
        nothing = _EncodedStep(number, None, (), ())
        return [step for step in self._encoded(steps, facts) if step != nothing]

    def _find_between(self, number: int, partner: int) -> Violations:
        return tuple(self.model.violations_between(self._endpoints[number], self._endpoints[partner]))

    def _encoded(self, steps: Iterable[ServerStep], before: int) -> list[_EncodedStep]:
        """Those of the steps for which there is room."""
        found = []
        for step in steps:
            # If a queue has no room for it now, the row fires as soon as the clients have read.
            self.found.fired.add(step.row)
            if not self.model.has_room(step):
                continue
            endpoint = None if step.endpoint is None else self._number(step.endpoint)
            facts = self._number_facts(step.facts)
            found.append(_EncodedStep(endpoint, None if facts == before else facts, step.others, step.violations))
        return found

    def _number(self, endpoint: Endpoint) -> int:
        """The number of an endpoint; the properties of a new one are checked."""
        number = self._numbers.get(endpoint)
        if number is None:
            number = self._numbers[endpoint] = len(self._endpoints)
            self._endpoints.append(endpoint)
            self._symmetry.add(endpoint)
            self._quiet.append(not endpoint.up and not endpoint.down)
            self._light.append(self.model.has_light(endpoint))
            self._partners.append(endpoint.partner)
            violations = tuple(self.model.violations(endpoint))
            if violations:
                self._violating[number] = violations
            self.found.fired.update(row.index for _, row, _ in self.model.inert_requests(endpoint))
        return number

    def _number_facts(self, facts: Facts) -> int:
        number = self._fact_numbers.get(facts)
        if number is None:
            number = self._fact_numbers[facts] = len(self._facts)
            self._facts.append(facts)
        return number

    def _rename_facts(self, number: int, renaming: Renaming) -> int:
        return self._number_facts(self.model.tables.relations.renamed(self._facts[number], *renaming))

    # What is found

    def _note(self, violation: Violation, state: StateKey) -> None:
        if violation in self.found.traces:
            return
        path: list[GlobalState] = []
        at: StateKey | None = state
        while at is not None:
            path.append(self.state(at))
            at = self._parents[at]
        self.found.traces[violation] = tuple(reversed(path))

    def _note_unfired(self) -> None:
        tables = self.model.tables
        for row in tables.rows:
            if row.index not in self.found.fired and not row.misplaced and not row.counts:
                self.found.traces[Violation(NEVER, str(row))] = ()

    def _note_stuck(self, state: StateKey) -> None:
        """Looks for deadlocks and dead ends in a state whose queues are empty."""
        final = self.model.spec.final
        live = [i for i in range(self._clients) if self._endpoints[state[i]].state != final]
        if live and not any(self._may_go_on(self._endpoints[state[i]]) for i in live):
            self._note(Violation(DEADLOCK, "before all connections are over"), state)
        for i in live:
            violation = Violation(DEAD_END, f"from {self._endpoints[state[i]].state}")
            if violation not in self.found.traces and not (
                self._can_end(state, i, alone=True) or self._can_end(state, i)
            ):
                self._note(violation, state)

    def _may_go_on(self, endpoint: Endpoint) -> bool:
        sends = any(True for _ in self.model.client.sends(endpoint))
        return sends or any(True for _ in self.model.inert_requests(endpoint))

    def _can_end(self, start: StateKey, i: int, alone: bool = False) -> bool:
        """Whether requests lead from `start` to the end of the connection `i`; `alone`: its own requests."""
        seen, waiting = {start}, [start]
        while waiting:
            state = waiting.pop()
            if self._endpoints[state[i]].state == self.model.spec.final:
                return True
            for successor, _ in self._edges(state):
                if successor is None or successor in seen or (alone and successor[i] == state[i]):
                    continue
                seen.add(successor)
                waiting.append(successor)
        return False
