"""Symmetric states: those that differ only in the numbers of connections and names. Knows no spec.

A spec treats all connections alike, and all names. So of all symmetric states the search needs one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations

from .model import NOBODY, Endpoint

StateKey = tuple[int, ...]  # the number of each connection's Endpoint


class Symmetry:
    """Picks one of all symmetric states. `endpoints` are numbered by `number`."""

    def __init__(self, clients: int, endpoints: list[Endpoint], number: Callable[[Endpoint], int]) -> None:
        self._endpoints, self._number = endpoints, number
        orders = list(permutations(range(clients)))
        self._renamings = [(connections, names) for connections in orders for names in orders]
        self._known: list[dict[int, int]] = [{} for _ in self._renamings]
        self._by_names: dict[tuple[int, ...], list[tuple[dict[int, int], int, tuple[int, ...]]]] = {}

    def canonical(self, state: StateKey) -> StateKey:
        """The representative of all states symmetric to `state`: in it each name in use has its owner's number."""
        endpoints = self._endpoints
        names = tuple([endpoints[number].name for number in state])
        candidates = self._by_names.get(names)
        if candidates is None:
            candidates = self._by_names[names] = list(self._candidates(names))
        best: StateKey | None = None
        for known, renaming, order in candidates:
            try:
                renamed = tuple([known[state[i]] for i in order])
            except KeyError:
                renamed = tuple([self._rename(known, renaming, state[i]) for i in order])
            if best is None or renamed < best:
                best = renamed
        assert best is not None, "two connections have one name"
        return best

    def _candidates(self, held: tuple[int, ...]) -> Iterator[tuple[dict[int, int], int, tuple[int, ...]]]:
        for index, (connections, names) in enumerate(self._renamings):
            if all(name == NOBODY or names[name] == connections[i] for i, name in enumerate(held)):
                yield self._known[index], index, tuple(connections.index(i) for i in range(len(held)))

    def _rename(self, known: dict[int, int], renaming: int, number: int) -> int:
        found = known.get(number)
        if found is None:
            connections, names = self._renamings[renaming]
            found = known[number] = self._number(renamed(self._endpoints[number], connections, names))
        return found


def renamed(endpoint: Endpoint, connections: tuple[int, ...], names: tuple[int, ...]) -> Endpoint:
    """The endpoint with other numbers for connections and names."""
    who, name = (*connections, NOBODY), (*names, NOBODY)  # so that NOBODY, the last one, stays itself
    return endpoint._replace(
        me=who[endpoint.me],
        name=name[endpoint.name],
        partner=who[endpoint.partner],
        own_name=name[endpoint.own_name],
        peer=who[endpoint.peer],
        peer_name=name[endpoint.peer_name],
        unanswered=tuple(sent._replace(name=name[sent.name]) for sent in endpoint.unanswered),
        up=tuple(
            sent._replace(name=name[sent.name], meant=who[sent.meant], meant_name=name[sent.meant_name])
            for sent in endpoint.up
        ),
        down=tuple(reply._replace(name=name[reply.name], who=who[reply.who]) for reply in endpoint.down),
    )
