"""Texts for the numbers of the model: names for connections, and the words of frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pychat.core.replay import WILDCARD
from pychat.spec.forms import Field

from .model import NOBODY, Action, Endpoint, GlobalState, SentRequest
from .rows import Row, Tables, UnsupportedSpecError

PEOPLE = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Frame(NamedTuple):
    """A frame that the server sends: to which connection, and its text."""

    who: int
    text: str


class Texts:
    """The texts of one trace, given as its actions and the states before them.

    A connection is called by the first name that it takes; if another one had that name before, by its letter too.
    """

    def __init__(self, tables: Tables, actions: Sequence[tuple[Action, GlobalState]]) -> None:
        self.tables = tables
        self.spec = tables.spec
        self._key = self.spec.name_type
        self.names: dict[int, str] = {}
        owners: dict[int, str] = {}
        free = self._people()
        for action, _ in actions:
            if action.row is not None and action.sent is not None and "bind" in tables.rows[action.row].effects:
                if action.sent.name not in self.names:
                    self.names[action.sent.name] = next(free)
                name = self.names[action.sent.name]
                owners.setdefault(action.who, name if name not in owners.values() else f"{name}/{LETTERS[action.who]}")
        clients = len(actions[0][1]) if actions else 0
        for number in range(clients):
            if number not in self.names:
                self.names[number] = next(free)
        self.people = tuple(owners.get(who, LETTERS[who]) for who in range(clients))

    def _people(self) -> Iterator[str]:
        """Names of the spec's type, each different from the others."""
        seen: set[str] = set()
        for name in (*PEOPLE, *self._key.good):
            if self._key.accepts(name) and self._key.fold(name) not in seen:
                seen.add(self._key.fold(name))
                yield name
        raise UnsupportedSpecError(f"the type {self._key.name} needs more good values, to name the people of a trace")

    def request(self, sent: SentRequest) -> str:
        """A request as it is sent. A field that no rule asks about has any value; a line names its intended reader."""
        verb = self.tables.verbs[sent.verb]
        known = verb.words[sent.words]
        parts = []
        for part in self.spec.requests[sent.verb].form.parts:
            if not isinstance(part, Field):
                parts.append(part)
            elif part.name == verb.name_field:
                parts.append(self.names[sent.name])
            elif part.name in known:
                parts.append(known[part.name] or self._other(part, [choice[part.name] for choice in verb.words]))
            else:
                parts.append(self._line(part, sent) if verb.relays else self._other(part, []))
        return " ".join(parts)

    def _other(self, part: Field, known: Sequence[str]) -> str:
        value = next((value for value in self.spec.types[part.type].good if value not in known), None)
        if value is None:
            raise UnsupportedSpecError(f"the type {part.type} needs a good value that no condition names")
        return value

    def _line(self, part: Field, sent: SentRequest) -> str:
        meant = self.people[sent.meant] if sent.meant != NOBODY else "nobody"
        text = f"for {self.names[sent.meant_name] if sent.meant_name != NOBODY else meant}"
        return text if self.spec.types[part.type].accepts(text) else self._other(part, [])

    def frames(self, row: Row, me: Endpoint, request: str, state: GlobalState) -> Iterator[Frame]:
        """The frames that the server sends when a row fires for the request of `me` (empty: the connection ends)."""
        other = me.partner
        if row.links:
            other = next((endpoint.me for endpoint in state if endpoint.name == me.up[0].name), NOBODY)
        values = {
            "me": self.names.get(me.name, ""),
            "peer": self.names.get(state[other].name, "") if other != NOBODY else "",
            "profiles": " ".join(self.spec.profiles),
            "count": str(sum(endpoint.name != NOBODY for endpoint in state)),
            "reason": self.spec.ending.gone,
        }
        if request:
            parts = self.spec.requests[row.verb].form.parts
            fields = zip(parts, request.split(" ", len(parts) - 1), strict=True)
            values |= {part.name: word for part, word in fields if isinstance(part, Field)}
        for _ in row.answers:
            yield Frame(me.me, self._refusal(row) if row.answer_text is None else row.answer_text.fill(values))
        if row.push_text is not None and other != NOBODY:
            yield Frame(other, row.push_text.fill(values))

    def _refusal(self, row: Row) -> str:
        *words, _, _ = self.spec.refusal.parts
        return " ".join([*(row.verb if isinstance(part, Field) else part for part in words), row.label, WILDCARD])
