"""The reference model: what a correct server sends on each connection, for each event. No clock, no socket, no verb.

It follows the rows of the spec, one event at a time. That a timer runs out is one of these events; the player of a
script knows when.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from pychat.spec import Spec
from pychat.spec.forms import ANY_VERB, Form, Template
from pychat.spec.model import Budget, FaultRule, Outcome, PartnerEffect, Timer, When
from pychat.spec.terms import Condition, Effect, Entry, Relation, Tell

from .connection import Connection
from .frames import ANY_WORDS, Cutter, Faulty, Parsed, parse_request, write_form
from .knowledge import Knowledge
from .tables import NOBODY, Change, Tuple


@dataclass(frozen=True, slots=True)
class _Due:
    """`rule` is the one by which it is due, "" where the spec's tables name none. It tells no due from another."""

    rule: str = field(default="", compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Text(_Due):
    """A frame that is due; it may end in `…` for any words."""

    text: str


@dataclass(frozen=True, slots=True)
class Items(_Due):
    """Items that are due in any order, with nothing between, and the answer that ends them, "" where none does."""

    items: tuple[str, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class End(_Due):
    """The end of the stream is due."""


@dataclass(frozen=True, slots=True)
class Cut(_Due):
    """What is sent now is answered by a reset: the server reads no more."""


Due = Text | Items | End | Cut


@dataclass(frozen=True, slots=True)
class Decision:
    """How a line is answered: by a row of the table, or as a fault."""

    who: str
    row: Outcome | None
    fault: FaultRule | None = None

    @property
    def rule(self) -> str:
        """The rule by which it is answered."""
        return self.row.rule if self.row else self.fault.rule if self.fault else ""


class World(Knowledge):
    """All connections of a play, from the server's side. An event of one of them returns what is due on each."""

    def __init__(self, spec: Spec, profiles: str = "core", limit: int | None = None) -> None:
        super().__init__(spec)
        self.profiles = profiles
        self.limit = limit  # of connections
        self.decisions: list[Decision] = []
        self.rule = ""  # by which what happens now is answered; "" where the spec's tables name none
        self._due: dict[str, list[Due]] = {}

    def copy(self) -> World:
        """An independent copy, without the half lines that have come."""
        other = World(self.spec, self.profiles, self.limit)
        other.connections = {id_: connection.copy() for id_, connection in self.connections.items()}
        other.tables = self.tables.copy()
        return other

    def open(self, who: str) -> Connection:
        """The connection `who`, opened now if it is new."""
        if who not in self.connections:
            full = self.limit is not None and sum(map(self.is_open, self.connections)) >= self.limit
            self.connections[who] = Connection(who, self.spec.initial)
            if full:
                self._turn_away(self.connections[who], "full")
            for template in self.spec.greeting if not full else ():
                self._give(who, Text, self._fill(template, {}))
        return self.connections[who]

    def enter(self, who: str) -> dict[str, list[Due]]:
        """`who` opens a connection."""
        self._begin()
        self.open(who)
        return self._due

    def is_open(self, who: str) -> bool:
        """Whether the server still reads from `who`."""
        connection = self.connections.get(who)
        return connection is None or (connection.state != self.spec.final and not connection.finished)

    def feed(self, who: str, octets: bytes) -> dict[str, list[Due]]:
        """`who` sends octets."""
        self._begin()
        connection = self.open(who)
        connection.cutter = connection.cutter or Cutter(self.spec)
        for line in connection.cutter.feed(octets):
            if connection.state == self.spec.final:
                break
            if line is None:
                self.rule = ""
                self._turn_away(connection, "too-long")
            else:
                self._line(connection, line)
        return self._told()

    def finish(self, who: str) -> dict[str, list[Due]]:
        """`who` ends its sending half: what has no ending is dropped, the server closes."""
        self._begin(self.spec.ending.rule)
        connection = self.open(who)
        connection.finished = True
        if connection.state != self.spec.final:
            self._end(connection, self.spec.ending.gone)
            self._give(who, End)
        return self._told()

    def reset(self, who: str) -> dict[str, list[Due]]:
        """`who` resets the connection."""
        self._begin(self.spec.ending.rule)
        connection = self.open(who)
        if connection.state != self.spec.final:
            self._end(connection, self.spec.ending.gone)
        connection.finished = True
        return self._told()

    def expire(self, who: str, timer: Timer) -> dict[str, list[Due]]:
        """A timer of the connection `who` runs out."""
        self._begin(timer.rule)
        connection = self.open(who)
        if timer.since == "goodbye":
            self._give(who, Cut)
        elif connection.state == self.spec.final or (timer.states is not None and connection.state not in timer.states):
            pass  # it has been stopped
        elif timer.row is not None:
            self._expire_row(connection, timer, timer.row)
        elif timer.goodbye is not None:
            self._say_goodbye(connection, timer.goodbye)
        else:
            if timer.since != "full":  # one that does not read sees no end
                self._give(who, End)
            self._end(connection, timer.gone)
        return self._told()

    def stop(self) -> dict[str, list[Due]]:
        """The server stops: all get the goodbye, and no partner is told."""
        self._begin(self.spec.limits.rules.get("shutdown", ""))
        for who in list(filter(self.is_open, self.connections)):
            self._turn_away(self.connections[who], "stop", tell=False)
        return self._due

    def rule_for(self, who: str, line: bytes) -> str:
        """The rule by which a line would be answered now."""
        return self._judge(self.open(who), parse_request(self.spec, line)).rule

    def row_of(self, who: str, said: Parsed | Faulty) -> Outcome | None:
        """The row that a line would take now, None for a fault; nothing changes."""
        return self._judge(self.open(who), said).row

    def holds(self, condition: Condition, who: str, said: Parsed) -> bool:
        """Whether a condition holds for a request of `who`."""
        return self._holds(condition, self.open(who), said.values)

    # What a line does

    def _begin(self, rule: str = "") -> None:
        """An event begins: nothing is due by it yet."""
        self._due, self.rule = {}, rule

    def _give(self, who: str, kind: Callable[..., Due], *words: object) -> None:
        self._due.setdefault(who, []).append(kind(*words, rule=self.rule))

    def _told(self) -> dict[str, list[Due]]:
        """What is due after an event."""
        self.check_invariants()
        return self._due

    def _turn_away(self, connection: Connection, when: When, *, tell: bool = True) -> None:
        """The server ends a connection for this cause; with a goodbye, if the spec has one for it."""
        goodbye = self.spec.goodbye_when(when)
        if goodbye is not None:
            self._say_goodbye(connection, goodbye.code)
        else:
            self._give(connection.id, End)
            self._end(connection, self.spec.ending.gone if tell else None)

    def _say_goodbye(self, connection: Connection, code: str) -> None:
        if self.spec.goodbye.parts:
            self._give(connection.id, Text, self.spec.goodbye_line(code, ANY_WORDS))
        self._give(connection.id, End)
        self._end(connection, self.spec.goodbyes[code].gone)

    def _judge(self, connection: Connection, said: Parsed | Faulty) -> Decision:
        own = said.fault if isinstance(said, Faulty) else None
        fault = self.spec.first_fault(connection.state, own, said.verb)
        if fault is not None or isinstance(said, Faulty):
            return Decision(connection.id, None, fault)
        return Decision(connection.id, self._row(connection, self.spec.states[connection.state].recv[said.verb], said))

    def _row(self, connection: Connection, rows: tuple[Outcome, ...], said: Parsed) -> Outcome:
        for row in rows:
            if self.allows(row, connection, said.values):
                return row
        raise AssertionError("the last row of a request has no condition")

    def _line(self, connection: Connection, line: bytes) -> None:
        said = parse_request(self.spec, line)
        decision = self._judge(connection, said)
        self.decisions.append(decision)
        self.rule = decision.rule
        if decision.fault is not None:
            self._fault(connection, said.verb, decision.fault)
        if decision.row is None:
            return
        self._count(connection, counted=False)
        assert isinstance(said, Parsed)
        if decision.row.error is not None:
            self._refuse(connection, said.verb, decision.row.error)
        self._apply(connection, decision.row, dict(said.values))

    def _refuse(self, connection: Connection, verb: str, code: str) -> None:
        self._give(connection.id, Text, self.spec.refusal_line(verb, code, connection.name or ANY_VERB, ANY_WORDS))

    def _fault(self, connection: Connection, verb: str, fault: FaultRule) -> None:
        self._refuse(connection, verb, fault.error)
        budget = self._count(connection, counted=verb not in fault.uncounted)
        if budget is not None:
            self.rule = budget.rule
            self._say_goodbye(connection, budget.goodbye)

    def _count(self, connection: Connection, *, counted: bool) -> Budget | None:
        """Counts a frame; the budget if it was a fault too many."""
        budget = self.spec.budget(connection.state)
        if budget is None:
            return None
        if counted:
            connection.faults += 1
        elif budget.in_a_row:
            connection.faults = 0
        return budget if counted and connection.faults >= budget.faults else None

    def _move(self, connection: Connection, state: str | None) -> None:
        """A change of state; where another budget counts, it begins at zero."""
        if state is not None and self.spec.budget(state) != self.spec.budget(connection.state):
            connection.faults = 0
        connection.state = state or connection.state

    # Rows

    def _expire_row(self, connection: Connection, timer: Timer, row: Outcome) -> None:
        """A timer's row is done if its conditions hold now; the timer of a call runs out once in it."""
        running = timer.since != "call" or connection.called
        if timer.since == "call":
            connection.called = False
        if running and self.allows(row, connection, {}):
            self._apply(connection, row, {"number": ANY_WORDS})

    def _apply(self, connection: Connection, row: Outcome, values: dict[str, str]) -> None:
        partner = self.connections.get(connection.partner or "")
        me = connection.name
        values |= self.spelled(row, connection, values)
        changes: list[Change] = []
        for effect in row.effects:
            user = self.user_named(values[effect.field]) if effect.field else None
            if effect.kind == "link":
                partner = user
            elif effect.kind == "list":
                self._list(connection, row, effect, values)
            changes += self._effect(connection, effect, user, values)
        given = {column.name: change.values[column.name] for change in changes for column in change.given}
        values |= given | self._names(me or connection.name, partner)
        if row.answer is not None and not row.does("list"):
            self._give(connection.id, Text, self._fill(row.answer, values))
        self._tell_partner(partner, row.partner, values)
        self._tell_changes(changes, row.cause or "")
        for tell in row.tells:
            self._tell(connection, tell, values)
        self._move(connection, row.to)
        if row.to == self.spec.final:
            self._give(connection.id, End)

    def _fill(self, template: Template, values: Mapping[str, str]) -> str:
        return template.fill({"profiles": self.profiles, **values})

    def _names(self, me: str | None, partner: Connection | None) -> dict[str, str]:
        names = {"me": me or ""}
        return names | ({"peer": partner.name} if partner is not None and partner.name is not None else {})

    def _effect(
        self, connection: Connection, effect: Effect, user: Connection | None, values: Mapping[str, str]
    ) -> list[Change]:
        if effect.kind == "bind":
            connection.name = values[effect.field or ""]
        elif effect.kind == "link" and user is not None:
            connection.tie(user.id, caller=True)
            user.tie(connection.id)
        elif effect.kind == "accept":
            connection.answered = connection.accepted = True
        elif effect.kind == "retract":
            connection.accepted = False
        elif effect.kind == "unlink":
            self._unlink(connection)
        elif effect.kind == "release":
            return self._release(connection)
        elif effect.entry is not None and effect.kind in ("add", "drop"):
            return self._change(effect.kind, effect.entry, connection, values)
        return []

    def _unlink(self, connection: Connection) -> None:
        other = self.connections.get(connection.partner or "")
        if other is not None:
            other.tie(None)
        connection.tie(None)

    def _release(self, connection: Connection) -> list[Change]:
        """Its name is free, and the tuples with it in their key go."""
        dropped = [self._noted(name, found, added=False) for name, found in self.tables.drop_user(connection.id)]
        connection.name = None
        return dropped

    def _change(self, kind: str, entry: Entry, connection: Connection, values: Mapping[str, str]) -> list[Change]:
        wanted = self.wanted(entry, connection, values)
        if kind == "drop":
            return [self._noted(name, found, added=False) for name, found in self.tables.drop(entry.relation, wanted)]
        added = self.tables.add(entry.relation, wanted) if NOBODY not in wanted else None
        return [self._noted(entry.relation, added, added=True)] if added is not None else []

    def _list(self, connection: Connection, row: Outcome, effect: Effect, values: dict[str, str]) -> None:
        form = self.spec.requests[row.verb].item
        assert form is not None
        if effect.entry is None:
            items = [self._item(form, user) for user in self.connections.values() if user.name is not None]
        else:
            relation = self.spec.relations[effect.entry.relation]
            found = self.tables.find(relation.name, self.wanted(effect.entry, connection, values))
            items = self._items(form, [self.shown(relation, one) for one in found])
        values["count"] = str(len(items))
        answer = self._fill(row.answer, values) if row.answer is not None else ""
        if items or answer:
            self._give(connection.id, Items, tuple(items), answer)

    def _items(self, form: Form, tuples: list[dict[str, str]]) -> list[str]:
        """An item for each tuple; with the field count one for all that differ in no other field."""
        if form.type_of("count") is None or "count" in (tuples or [{}])[0]:
            return [write_form(form, values) for values in tuples]
        alike = Counter(write_form(form, {**values, "count": ANY_WORDS}) for values in tuples)
        return [item.replace(ANY_WORDS, str(number)) for item, number in alike.items()]

    def _item(self, form: Form, user: Connection) -> str:
        """A user's item in a list: the name, and the first word that holds of the user, else the one that remains."""
        values = {}
        for part in form.fields:
            kind = self.spec.types[part.type]
            said = [word for word, what in kind.holds if self._is_said(what, user)]
            rest = [word for word in kind.one_of if word not in dict(kind.holds)]
            values[part.name] = (user.name or "") if part.type == self.spec.names else (said + rest)[0]
        return write_form(form, values)

    def _is_said(self, what: str, user: Connection) -> bool:
        """Whether a user is linked, or in a tuple of this relation."""
        if what == "linked":
            return user.state in self.spec.link.held_in
        place = self.spec.relations[what].user_column
        return any(found[place] == user.id for found in self.tables.all(what)) if place is not None else False

    # What others are told

    def _tell_partner(self, partner: Connection | None, what: PartnerEffect | None, values: Mapping[str, str]) -> None:
        if partner is None or what is None:
            return
        self._give(partner.id, Text, self._fill(what.push, values))
        self._move(partner, what.to)

    def _tell(self, connection: Connection, tell: Tell, values: Mapping[str, str]) -> None:
        if tell.entry is None:
            user = self.user_named(values[tell.field or ""])
            if user is not None:
                self._give(user.id, Text, self._fill(tell.push, values))
            return
        relation = self.spec.relations[tell.entry.relation]
        found = self.tables.find(relation.name, self.wanted(tell.entry, connection, values))
        if tell.kind == "each":
            for one in found:
                self._give(connection.id, Text, self._fill(tell.push, {**values, **self.shown(relation, one)}))
            return
        for who in self._users(relation, found):
            if who != connection.id:
                self._give(who, Text, self._fill(tell.push, values))

    def _users(self, relation: Relation, found: Iterable[Tuple]) -> list[str]:
        """The users in these tuples, each of them once."""
        place = relation.user_column
        return list(dict.fromkeys(one[place] for one in found)) if place is not None else []

    def _noted(self, name: str, found: Tuple, *, added: bool) -> Change:
        """A change of a relation, with what it is told by: the names of users may be free a moment later."""
        relation = self.spec.relations[name]
        return Change(relation, found, self.shown(relation, found), relation.added if added else relation.dropped)

    def _tell_changes(self, changes: Iterable[Change], cause: str) -> None:
        """Each other user in the tuples with the same value in the first column gets the push of the relation."""
        for change in changes:
            relation = change.relation
            wanted = (change.found[0], *(None for _ in relation.columns[1:]))
            told = self._users(relation, self.tables.find(relation.name, wanted)) if change.push is not None else []
            for who in told:
                if who not in self._users(relation, [change.found]) and change.push is not None:
                    self._give(who, Text, self._fill(change.push, {**change.values, "cause": cause}))

    def _end(self, connection: Connection, reason: str | None) -> None:
        """The connection ends without a request; without a reason nobody is told."""
        ending = self.spec.ending
        partner = self.connections.get(connection.partner or "")
        values = self._names(connection.name, partner) | {"reason": reason or ""}
        self._unlink(connection)
        changes = self._release(connection)
        connection.state = ending.to
        if reason is not None:
            self._tell_partner(partner, ending.partner, values)
            self._tell_changes(changes, reason)
