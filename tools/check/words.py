"""Texts for what the model has as numbers: connections and names become people, and frames get their words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pychat.spec.model import Field

from .model import NOBODY, Action, End, Sent, World
from .rows import Row, Tables, UnsupportedSpecError

PEOPLE = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
ANY_WORDS = "…"


class Frame(NamedTuple):
    """A frame that the server sends: to which connection, and its text."""

    who: int
    text: str


class Words:
    """The words of one trace, given as its actions and the worlds before them.

    Each connection is called after the first name that it takes, and after its letter too if it is not the first one
    of that name.
    """

    def __init__(self, tables: Tables, actions: Sequence[tuple[Action, World]]) -> None:
        self.tables = tables
        self.spec = tables.spec
        self._key = self.spec.name_type
        self._names: dict[int, str] = {}
        owners: dict[int, str] = {}
        free = self._people()
        for action, _ in actions:
            if action.row is not None and action.sent is not None and "bind" in tables.rows[action.row].effects:
                if action.sent.name not in self._names:
                    self._names[action.sent.name] = next(free)
                name = self._names[action.sent.name]
                owners.setdefault(action.who, name if name not in owners.values() else f"{name}/{LETTERS[action.who]}")
        clients = len(actions[0][1]) if actions else 0
        for number in range(clients):
            if number not in self._names:
                self._names[number] = next(free)
        self.people = tuple(owners.get(who, LETTERS[who]) for who in range(clients))

    def _people(self) -> Iterator[str]:
        """Names of the spec's type, each different from the others."""
        seen: set[str] = set()
        for name in (*PEOPLE, *self._key.good):
            if self._key.accepts(name) and self._key.fold(name) not in seen:
                seen.add(self._key.fold(name))
                yield name
        raise UnsupportedSpecError(f"the type {self._key.name} needs more good values, to name the people of a trace")

    def name(self, number: int) -> str | None:
        """A name's text, None for nobody's."""
        return self._names.get(number)

    def request(self, sent: Sent) -> str:
        """A request. What no rule asks about has any value; a line says for whom it is."""
        verb = self.tables.verbs[sent.verb]
        known = verb.words[sent.words]
        parts = []
        for part in self.spec.requests[sent.verb].form.parts:
            if not isinstance(part, Field):
                parts.append(part)
            elif part.name == verb.name_field:
                parts.append(self._names[sent.name])
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

    def _line(self, part: Field, sent: Sent) -> str:
        meant = self.people[sent.meant] if sent.meant != NOBODY else "nobody"
        text = f"for {self._names[sent.meant_name] if sent.meant_name != NOBODY else meant}"
        return text if self.spec.types[part.type].accepts(text) else self._other(part, [])

    def frames(self, row: Row, me: End, request: str, world: World) -> Iterator[Frame]:
        """What the server sends when a row fires for the request (empty: the ending) of the connection `me`."""
        other = me.partner
        if row.links:
            other = next((end.me for end in world if end.name == me.up[0].name), NOBODY)
        values = {
            "me": self._names.get(me.name, ""),
            "peer": self._names.get(world[other].name, "") if other != NOBODY else "",
            "profiles": " ".join(self.spec.profiles),
            "count": str(sum(end.name != NOBODY for end in world)),
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
        return " ".join([*(row.verb if isinstance(part, Field) else part for part in words), row.label, ANY_WORDS])
