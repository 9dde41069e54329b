"""Rows that wait for the hash of a secret or for the disk: what is to be done meanwhile, as data. No thread, no disk.

A connection whose row waits takes no further frame. A row that compares or keeps a secret is chosen again when the
result is there, by what is so then; one that waits for the disk is decided and seen by all at once, and is told and
answered when it is there, or taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pychat.spec.model import Outcome, Spec

from .codec import Frame
from .connection import Connection
from .relations import Change
from .users import Users

Committed = Literal["done", "failed", "fenced"]
Result = str | bool | Committed | None
Results = dict[tuple[object, ...], Result]


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
    """A row that waits for `work`: with its frame, to be chosen again, and the results so far, by kind and payload.

    When it waits for the disk, its `changes` are made, and `values` and `fields` are those of what it will tell.
    """

    work: Work
    row: Outcome
    frame: Frame | None = None
    known: Results = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)


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
