"""Symmetric states: those that differ only in the numbers of connections and names. Knows no spec.

A spec treats all connections alike, and all names. So of all symmetric states the search needs one.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

from .state import NOBODY, Endpoint, renamed

StateKey = tuple[int, ...]  # the number of each connection's Endpoint, and then that of the relations' tuples
Renaming = tuple[tuple[int, ...], tuple[int, ...]]  # the new number of each connection, and of each name
Candidate = tuple[dict[int, int], dict[int, int], int, tuple[int, ...]]


class Symmetry:
    """Picks one of all symmetric states. `endpoints` are numbered by `number`, and `facts` renames numbered tuples.

    The endpoints that are renamings of each other are one class. A representative has its endpoints in the order of
    their classes, so that only the renamings with this order are tried: mostly a single one.
    """

    def __init__(
        self,
        clients: int,
        endpoints: list[Endpoint],
        number: Callable[[Endpoint], int],
        facts: Callable[[int, Renaming], int],
    ) -> None:
        self._endpoints, self._number, self._facts = endpoints, number, facts
        self._clients = clients
        orders = list(permutations(range(clients)))
        self._renamings = [(connections, names) for connections in orders for names in orders]
        self._known: list[dict[int, int]] = [{} for _ in self._renamings]
        self._known_facts: list[dict[int, int]] = [{0: 0} for _ in self._renamings]  # 0: there is no tuple
        self._classes: list[int] = []  # of each endpoint
        self._class_of: dict[Endpoint, int] = {}
        self._names: list[int] = []
        self._candidates: dict[tuple[int, ...], list[Candidate]] = {}

    def add(self, endpoint: Endpoint) -> None:
        """Notes an endpoint that gets the next number."""
        found = self._class_of.get(endpoint)
        if found is None:
            found = len(self._classes)
            self._class_of |= {renamed(endpoint, *renaming): found for renaming in self._renamings}
        self._classes.append(found)
        self._names.append(endpoint.name)

    def canonical(self, state: StateKey) -> StateKey:
        """The representative of all states symmetric to `state`: in it each name in use has its owner's number."""
        clients, names = self._clients, self._names
        numbers = state[:clients]
        classes = [self._classes[number] for number in numbers]
        in_order = sorted(classes)
        key = (*[in_order.index(each) for each in classes], *[names[number] for number in numbers])
        candidates = self._candidates.get(key)
        if candidates is None:
            candidates = self._candidates[key] = self._find_candidates(key[:clients], key[clients:])
        facts = state[clients]
        best: StateKey | None = None
        for known, known_facts, renaming, order in candidates:
            try:
                found = (*[known[state[i]] for i in order], known_facts[facts])
            except KeyError:
                found = (
                    *[self._rename(known, renaming, state[i]) for i in order],
                    self._rename_facts(known_facts, renaming, facts),
                )
            if best is None or found < best:
                best = found
        assert best is not None, "two connections have one name"
        return best

    def _find_candidates(self, ranks: tuple[int, ...], held: tuple[int, ...]) -> list[Candidate]:
        """The renamings that put these ranks in order, and give each name that is held its owner's number."""
        found: list[Candidate] = []
        for index, (connections, names) in enumerate(self._renamings):
            order = tuple(connections.index(i) for i in range(self._clients))
            if [ranks[i] for i in order] == sorted(ranks) and all(
                name == NOBODY or names[name] == connections[i] for i, name in enumerate(held)
            ):
                found.append((self._known[index], self._known_facts[index], index, order))
        return found

    def _rename(self, known: dict[int, int], renaming: int, number: int) -> int:
        found = known.get(number)
        if found is None:
            connections, names = self._renamings[renaming]
            found = known[number] = self._number(renamed(self._endpoints[number], connections, names))
        return found

    def _rename_facts(self, known: dict[int, int], renaming: int, number: int) -> int:
        found = known.get(number)
        if found is None:
            found = known[number] = self._facts(number, self._renamings[renaming])
        return found
