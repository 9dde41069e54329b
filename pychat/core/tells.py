"""What is said: the answers, refusals and pushes of rows, and what relations tell. Octets go into queues; no socket.

A push for many users is encoded once. In a relation with `overflow` it does not go to a user whose queue is above the
mark: the user's tuple is dropped first, so that nobody waits for a slow reader, and it is told so after the push.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from pychat.spec.forms import ANY_VERB, Template
from pychat.spec.model import Outcome, Spec
from pychat.spec.terms import Entry, Tell

from .codec import Codec
from .connection import Connection
from .queues import Queues
from .relations import Change, Tuple
from .users import Users


class Tells:
    """Says what rows and relations say. One object serves all connections."""

    def __init__(self, spec: Spec, users: Users, queues: Queues, codec: Codec) -> None:
        self._spec = spec
        self._relations = spec.relations
        self._final = spec.final
        self._mark = spec.limits.queue_mark
        self._users = users
        self._tables = users.relations
        self._queues = queues
        self._codec = codec
        self._profiles = " ".join(spec.profiles)
        values = {"me": ANY_VERB, "profiles": self._profiles}
        self._greeting = b"".join(codec.encode(template.fill(values)) for template in spec.greeting)
        self._refusals: dict[tuple[str, str], bytes] = {}
        # The errors whose frames name the connection's user.
        self._personal = {
            code for code, error in spec.errors.items() if (error.form or spec.refusal).type_of("me") is not None
        }

    def greet(self, connection: Connection, now: float) -> None:
        """Says what a new connection is told before anything else."""
        self._queues.put(connection, self._greeting, now)

    def refuse(self, connection: Connection, verb: str, code: str, now: float) -> None:
        """Refuses a request; `verb` may be `*`."""
        found = self._refusals.get((verb, code))
        if found is None:
            found = self._codec.encode(self._spec.refusal_line(verb, code, connection.name))
            if code not in self._personal:
                self._refusals[verb, code] = found
        self._queues.put(connection, found, now)

    def row(
        self,
        connection: Connection,
        other: Connection | None,
        row: Outcome,
        values: dict[str, str],
        fields: Mapping[str, str],
        now: float,
    ) -> None:
        """Says what a row says at both ends: the refusal, or the items and the answer; and the push for the partner.

        `values` are those of the row's templates, `fields` those of its request.
        """
        if row.error is not None:
            self.refuse(connection, row.verb, row.error, now)
        for effect in row.effects:
            if effect.kind == "list":
                values["count"] = self._list(connection, row, effect.entry, fields, now)
        if row.answer is not None:
            values["profiles"] = self._profiles
            self._queues.put(connection, self._codec.encode(row.answer.fill(values)), now)
        if row.partner is not None and other is not None:
            self._queues.put(other, self._codec.encode(row.partner.push.fill(values)), now)

    def _list(
        self, connection: Connection, row: Outcome, entry: Entry | None, fields: Mapping[str, str], now: float
    ) -> str:
        """Sends the items of a list: all users, or the tuples of an entry. Returns their number."""
        request, roster = self._spec.requests[row.verb], self._users.roster
        if entry is None:
            self._queues.put_shared(connection, roster.items(request), now)
            return str(len(roster))
        lines = self._tables.items(entry, connection, fields, request)
        self._queues.put_shared(connection, [b"".join(map(self._codec.encode, lines))], now)
        return str(len(lines))

    def send(
        self,
        connection: Connection,
        tells: Iterable[Tell],
        changes: Iterable[Change],
        values: Mapping[str, str],
        fields: Mapping[str, str],
        now: float,
    ) -> None:
        """Tells what has changed, then what a row of `connection` tells, then what was dropped on the way.

        `values` are those of the row's templates, `fields` those of its request.
        """
        slow = [one for change in changes for one in self._change(change, now)]
        for tell in tells:
            slow += self._tell(connection, tell, values, fields, now)
        while slow:
            dropped, slow = slow, []
            for change in dropped:
                slow += self._change(change, now, itself=True)

    def _tell(
        self,
        connection: Connection,
        tell: Tell,
        values: Mapping[str, str],
        fields: Mapping[str, str],
        now: float,
    ) -> list[Change]:
        if tell.kind == "user":
            user = self._users.find(fields[str(tell.field)])
            if user is not None:
                self._put([user], tell.push, values, now)
            return []
        assert tell.entry is not None, "the loader checks it"
        relation, tuples = tell.entry.relation, self._tables.find(tell.entry, connection, fields)
        if tell.kind == "others":
            return self._push(relation, tuples, connection, tell.push, values, now)
        if connection.state != self._final:  # nothing follows the last frame
            for each in tuples:
                self._put([connection], tell.push, {**values, **self._tables.texts(relation, each)}, now)
        return []

    def _change(self, change: Change, now: float, itself: bool = False) -> list[Change]:
        """Tells the others of a change, and with `itself` also the user whose tuple was dropped."""
        relation = self._relations[change.relation]
        push = relation.added if change.added else relation.dropped
        if push is None or change.cause is None:
            return []
        values = {**self._tables.texts(relation.name, change.values), "cause": change.cause}
        user = _user(change.values, relation.user_column)
        if itself and user is not None:
            self._put([user], push, values, now)
        return self._push(relation.name, self._tables.beside(change), user, push, values, now)

    def _push(
        self,
        relation: str,
        tuples: Collection[Tuple],
        but: Connection | None,
        push: Template,
        values: Mapping[str, str],
        now: float,
    ) -> list[Change]:
        """A push for the users in tuples but one; returns what was dropped since they read too slowly."""
        cause, place = self._relations[relation].overflow, self._relations[relation].user_column
        mark = float("inf") if cause is None else self._mark
        members: dict[Connection, None] = {}  # each once
        slow: list[Tuple] = []
        for values_of in tuples:
            user = values_of[place] if place is not None else ""
            if isinstance(user, str) or user is but or user.state == self._final:
                continue
            if user.queued > mark:
                slow.append(values_of)
            else:
                members[user] = None
        if members:
            self._put(members, push, values, now)
        return [change for each in slow for change in self._tables.drop_tuple(relation, each, cause)]

    def _put(self, users: Iterable[Connection], push: Template, values: Mapping[str, str], now: float) -> None:
        self._queues.put_all(users, self._codec.encode(push.fill(values)), now)


def _user(values: Tuple, place: int | None) -> Connection | None:
    value = values[place] if place is not None else None
    return value if isinstance(value, Connection) else None
