"""Rows that wait for the hash of a secret or for the disk: what is to be done meanwhile, as data. No thread, no disk.

A connection whose row waits takes no further frame. A row that compares or keeps a secret is chosen again when the
result is there, by what is so then. One that waits for the disk is decided at once, and is told and answered when it is
there, or taken back; a request that would be answered by it waits behind it, and its row is chosen when that is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pychat.spec.model import Outcome, Spec

from .claims import Claim, meet
from .codec import Frame
from .connection import Connection
from .relations import Change, Value
from .users import Users

Committed = Literal["done", "failed", "fenced"]
Result = str | bool | Committed | None
Results = dict[tuple[object, ...], Result]
FIRST, LAST = 0.0, float("inf")  # the turns of what is being written, and of a request that has not waited yet


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done for a connection; the result goes to `Hub.complete`.

    `hash`: payload is a secret, the result its hash (None: it failed). `verify`: a secret and the hashes of which one
    may be its own, perhaps none; the result is whether one is, and takes as long without hashes. `commit`: the changes
    of durable relations, all of them or none; the result is done, failed, or fenced (another process decides now).
    """

    connection: Connection
    kind: Literal["hash", "verify", "commit"]
    payload: tuple[str, ...] | tuple[Change, ...]


@dataclass(slots=True)
class Waiting:
    """A request that waits for `work`, or without it for those before it.

    It has its frame, to take a row again, and the results so far, by kind and payload. When it waits for the disk, its
    `changes` are made, and `values` and `fields` are those of what the `row` will tell. `claims` are what others wait
    for, `turn` is its place before or behind them.
    """

    work: Work | None
    row: Outcome
    frame: Frame | None
    known: Results
    changes: list[Change] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    turn: float = LAST


class Line:
    """All requests that wait. A request waits behind those that come before it and whose claims meet its own."""

    def __init__(self) -> None:
        self.waiting: dict[Connection, Waiting] = {}
        # The same by what they claim: the relation and the value of its first column, so that few are looked at.
        self._claimed: dict[tuple[str, Value | None], dict[Connection, Waiting]] = {}
        self._turns = 0

    def add(self, connection: Connection, waiting: Waiting) -> None:
        """Lets a connection wait: no frame is taken from it."""
        connection.waiting = True
        self.waiting[connection] = waiting
        for claim in waiting.claims:
            self._claimed.setdefault((claim.relation, claim.values[0]), {})[connection] = waiting

    def add_behind(self, connection: Connection, waiting: Waiting) -> None:
        """Lets a connection wait for those before it; once it has a turn, it keeps it."""
        if waiting.turn == LAST:
            self._turns += 1
            waiting.turn = self._turns
        self.add(connection, waiting)

    def is_behind(self, claims: tuple[Claim, ...], turn: float) -> bool:
        """Whether a request with these claims must wait."""
        return any(
            other.turn < turn and meet(other.claims, claims)
            for claim in claims
            for some in self._near(claim)
            for other in some.values()
        )

    def _near(self, claim: Claim) -> Iterator[Mapping[Connection, Waiting]]:
        """Those with a claim that may meet this one."""
        first = claim.values[0]
        if first is None:
            yield from (some for (relation, _), some in self._claimed.items() if relation == claim.relation)
        else:
            yield self._claimed.get((claim.relation, first), {})
            yield self._claimed.get((claim.relation, None), {})

    def take(self, connection: Connection) -> Waiting | None:
        """Takes out what waits for work; None where nothing does."""
        waiting = self.waiting.get(connection)
        return None if waiting is None or waiting.work is None else self._take(connection)

    def is_written(self, connection: Connection) -> bool:
        """Whether what a connection has changed is being written."""
        waiting = self.waiting.get(connection)
        return waiting is not None and waiting.turn == FIRST

    def free(self) -> Iterator[tuple[Connection, Waiting]]:
        """Takes out those that wait for nobody any more, in their order; one is handled before the next one."""
        behind = [pair for pair in self.waiting.items() if pair[1].work is None]
        for connection, waiting in sorted(behind, key=lambda pair: pair[1].turn):
            if not self.is_behind(waiting.claims, waiting.turn):
                yield connection, self._take(connection)

    def _take(self, connection: Connection) -> Waiting:
        connection.waiting = False
        waiting = self.waiting.pop(connection)
        for claim in waiting.claims:
            key = claim.relation, claim.values[0]
            some = self._claimed.get(key, {})
            some.pop(connection, None)
            if not some:
                self._claimed.pop(key, None)
        return waiting


class SlowRows:
    """Says what a row waits for. One object serves all connections."""

    def __init__(self, spec: Spec, users: Users) -> None:
        self._users = users
        self._durable = {relation.name for relation in spec.relations.values() if relation.durable}
        self._secrets = {
            relation.name: [place for place, column in enumerate(relation.columns) if column.type == "secret"]
            for relation in spec.relations.values()
        }

    def examine(
        self, row: Outcome, connection: Connection, fields: Mapping[str, str], known: Results
    ) -> Mapping[str, str] | Work | None:
        """The fields of a row that is taken, with hashes for the secrets that it keeps; None if it is not taken.

        What must be known before is given as work.
        """
        for condition in row.conditions:
            if condition.kind != "closed" and not self._users.holds(condition, connection, fields):
                return None
        for condition in row.conditions:
            if condition.kind == "closed" and condition.entry is not None:
                tuples = self._users.relations.find(condition.entry, connection, fields)
                hashes = [str(values[place]) for values in tuples for place in self._secrets[condition.entry.relation]]
                work = Work(connection, "verify", (fields[str(condition.field)], *hashes))
                if (work.kind, *work.payload) not in known:
                    return work
                if known[work.kind, *work.payload]:
                    return None
        kept = dict(fields)
        for name in self._kept(row):
            work = Work(connection, "hash", (fields[name],))
            if (work.kind, *work.payload) not in known:
                return work
            kept[name] = str(known[work.kind, *work.payload])
        return kept

    def _kept(self, row: Outcome) -> Iterable[str]:
        """The fields of a row that are kept as hashes."""
        for effect in row.effects:
            if effect.kind == "add" and effect.entry is not None:
                for place in self._secrets[effect.entry.relation]:
                    yield str(effect.entry.arguments[place].field)

    def durable(self, changes: Iterable[Change]) -> tuple[Change, ...]:
        """Those of the changes that must be on disk."""
        return tuple(change for change in changes if change.relation in self._durable)


def without_wait(work: Work) -> Result:
    """The result of slow work in memory, for examples and tests: nothing fails, and a hash is the secret itself."""
    if work.kind == "commit":
        return "done"
    secret, *hashes = map(str, work.payload)
    return secret if work.kind == "hash" else secret in hashes
