"""Texts for the numbers of the model: names for connections, and the words of frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pychat.core.replay import WILDCARD
from pychat.spec.forms import Field, Template, Variable

from .relations import Asker
from .rows import Row, Tables, UnsupportedSpecError
from .server import Server
from .state import NOBODY, Action, Endpoint, Fact, GlobalState, SentRequest

PEOPLE = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Frame(NamedTuple):
    """A frame that the server sends: to which connection, and its text. `light`: it changes nothing at its reader."""

    who: int
    text: str
    light: bool = False


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
            if action.row is not None and action.sent is not None and "bind" in tables.rows[action.row].kinds:
                if action.sent.name not in self.names:
                    self.names[action.sent.name] = next(free)
                name = self.names[action.sent.name]
                owners.setdefault(action.who, name if name not in owners.values() else f"{name}/{LETTERS[action.who]}")
        clients = len(actions[0][1].endpoints) if actions else 0
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

    def frames(self, row: Row, me: Endpoint, sent: SentRequest, state: GlobalState, server: Server) -> Iterator[Frame]:
        """The frames that the server sends when a row fires for a request of `me` (without a verb: for no request)."""
        other, holder = me.partner, NOBODY
        if sent.name != NOBODY:
            holder = next((endpoint.me for endpoint in state.endpoints if endpoint.name == sent.name), NOBODY)
        if row.links:
            other = holder
        values = self._values(row, me, other, sent, state)
        for reply in row.answers:
            text = self._refusal(row) if row.answer_text is None else self._fill(row.answer_text, values)
            yield self._frame(me.me, reply, text)
        if row.push is not None and row.push_text is not None and other != NOBODY:
            yield self._frame(other, row.push, self._fill(row.push_text, values))
        asker = server.asker(me, sent, holder) if sent.verb else Asker(me.me, me.name)
        after, news, _ = server.consequences(me, row, asker, state.facts)
        for told in server.told(row, after, news, asker):
            more = {} if told.fact is None else self._columns(told.fact, state)
            yield self._frame(told.who, told.reply, self._fill(told.text, values | more))

    def _frame(self, who: int, reply: str, text: str) -> Frame:
        return Frame(who, text, self.tables.reactions[reply].light)

    def _fill(self, template: Template, values: Mapping[str, str]) -> str:
        """The frame of a template; what the model leaves out has some value of its type."""
        missing = {
            part.name: (*self.spec.types[shape.type].good, *self.spec.types[shape.type].one_of)[0]
            for shape, part in zip(template.form.parts, template.parts, strict=True)
            if isinstance(shape, Field) and isinstance(part, Variable) and part.name not in values
        }
        return template.fill({**values, **missing})

    def _columns(self, fact: Fact, state: GlobalState) -> dict[str, str]:
        """The columns of a tuple that the model keeps, as texts."""
        columns, found = self.spec.relations[fact.relation].columns, {}
        for (place, kind), value in zip(self.tables.relations.columns[fact.relation], fact.values, strict=True):
            if isinstance(value, int):
                found[columns[place].name] = self._name_of(value, state) if kind == "user" else self.names[value]
            elif value:
                found[columns[place].name] = value
        return found

    def _values(self, row: Row, me: Endpoint, other: int, sent: SentRequest, state: GlobalState) -> dict[str, str]:
        values = {
            "me": self.names.get(me.name, ""),
            "peer": self._name_of(other, state),
            "profiles": " ".join(self.spec.profiles),
            "count": str(sum(endpoint.name != NOBODY for endpoint in state.endpoints)),
            "reason": self.spec.ending.gone,
            "cause": row.cause or self.spec.ending.gone,
            "number": "1",
        }
        if sent.verb:
            parts = self.spec.requests[row.verb].form.parts
            fields = zip(parts, self.request(sent).split(" ", len(parts) - 1), strict=True)
            values |= {part.name: word for part, word in fields if isinstance(part, Field)}
        return values

    def _name_of(self, who: int, state: GlobalState) -> str:
        """The name of a connection as its owner wrote it, empty for nobody."""
        return self.names.get(state.endpoints[who].name, "") if who != NOBODY else ""

    def _refusal(self, row: Row) -> str:
        return self.spec.refusal_line(row.verb, row.label, words=WILDCARD)
