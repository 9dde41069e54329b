"""Symmetric states: those that differ only in the numbers of connections and names. Knows no spec.

A spec treats all connections alike, and all names. So of all symmetric states the search needs one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations

from .state import NOBODY, Endpoint, renamed

StateKey = tuple[int, ...]  # the number of each connection's Endpoint, and then that of the relations' tuples
Renaming = tuple[tuple[int, ...], tuple[int, ...]]  # the new number of each connection, and of each name


class Symmetry:
    """Picks one of all symmetric states. `endpoints` are numbered by `number`, and `facts` renames numbered tuples."""

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
        self._by_names: dict[tuple[int, ...], list[tuple[dict[int, int], dict[int, int], int, tuple[int, ...]]]] = {}

    def canonical(self, state: StateKey) -> StateKey:
        """The representative of all states symmetric to `state`: in it each name in use has its owner's number."""
        endpoints = self._endpoints
        facts = state[self._clients]
        names = tuple([endpoints[number].name for number in state[: self._clients]])
        candidates = self._by_names.get(names)
        if candidates is None:
            candidates = self._by_names[names] = list(self._candidates(names))
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

    def _candidates(
        self, held: tuple[int, ...]
    ) -> Iterator[tuple[dict[int, int], dict[int, int], int, tuple[int, ...]]]:
        for index, (connections, names) in enumerate(self._renamings):
            if all(name == NOBODY or names[name] == connections[i] for i, name in enumerate(held)):
                order = tuple(connections.index(i) for i in range(len(held)))
                yield self._known[index], self._known_facts[index], index, order

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
