"""The reference model: what a correct server sends on each connection, for each event. No clock, no socket, no verb.

It follows the rows of the spec, one event at a time. That a timer runs out is one of these events; the player of a
script knows when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pychat.spec import Spec
from pychat.spec.forms import Form, Template
from pychat.spec.model import Condition, Effect, FaultRule, Outcome, Timer

from .frames import ANY_WORDS, Cutter, Faulty, Parsed, parse_request, write_form


@dataclass(frozen=True, slots=True)
class Text:
    """A frame that is due; it may end in `…` for any words."""

    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """Items that are due in any order, and the answer that ends them with nothing between."""

    items: tuple[str, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class End:
    """The end of the stream is due."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What is sent now is answered by a reset: the server reads no more."""


Due = Text | Items | End | Cut


@dataclass(slots=True)
class Connection:
    """A connection as the server sees it."""

    id: str
    state: str
    name: str | None = None
    partner: str | None = None  # the other's id
    accepted: bool = False
    faults: int = 0  # so far, under the budget of its state
    finished: bool = False  # the client has ended its sending half
    cutter: Cutter | None = None

    def key(self) -> tuple[object, ...]:
        """What distinguishes two states of a connection, without the counts of faults."""
        return self.id, self.state, self.name, self.partner, self.accepted

    def configuration(self, spec: Spec) -> str:
        """The state, and for a linked one which of its ends: `PAIRED`, `PAIRED+called`, `PAIRED+alone`."""
        if self.state not in spec.link.held_in:
            return self.state
        if self.partner is None:
            return f"{self.state}+alone"
        return self.state if self.accepted else f"{self.state}+called"


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


class World:
    """All connections of a play, from the server's side. An event of one of them returns what is due on each."""

    def __init__(self, spec: Spec, profiles: str = "core", limit: int | None = None) -> None:
        self.spec = spec
        self.profiles = profiles
        self.limit = limit  # of connections
        self.connections: dict[str, Connection] = {}
        self.decisions: list[Decision] = []
        self._due: dict[str, list[Due]] = {}

    def key(self) -> tuple[object, ...]:
        return tuple(connection.key() for _, connection in sorted(self.connections.items()))

    def copy(self) -> World:
        """An independent copy, without the half lines that have come."""
        other = World(self.spec, self.profiles, self.limit)
        other.connections = {
            id_: replace(connection, cutter=Cutter(self.spec)) for id_, connection in self.connections.items()
        }
        return other

    def open(self, who: str) -> Connection:
        """The connection `who`, opened now if it is new."""
        if who not in self.connections:
            full = self.limit is not None and sum(map(self.is_open, self.connections)) >= self.limit
            self.connections[who] = Connection(who, self.spec.initial, cutter=Cutter(self.spec))
            if full:
                self._say_goodbye(self.connections[who], self.spec.goodbye_when("full").code)
        return self.connections[who]

    def enter(self, who: str) -> dict[str, list[Due]]:
        """`who` opens a connection."""
        self._due = {}
        self.open(who)
        return self._due

    def is_open(self, who: str) -> bool:
        """Whether the server still reads from `who`."""
        connection = self.connections.get(who)
        return connection is None or (connection.state != self.spec.final and not connection.finished)

    def feed(self, who: str, octets: bytes) -> dict[str, list[Due]]:
        """`who` sends octets."""
        self._due = {}
        connection = self.open(who)
        assert connection.cutter is not None
        for line in connection.cutter.feed(octets):
            if connection.state == self.spec.final:
                break
            if line is None:
                self._say_goodbye(connection, self.spec.goodbye_when("too-long").code)
            else:
                self._line(connection, line)
        return self._due

    def finish(self, who: str) -> dict[str, list[Due]]:
        """`who` ends its sending half: what has no ending is dropped, the server closes."""
        self._due = {}
        connection = self.open(who)
        connection.finished = True
        if connection.state != self.spec.final:
            self._end(connection, self.spec.ending.gone)
            self._give(who, End())
        return self._due

    def reset(self, who: str) -> dict[str, list[Due]]:
        """`who` resets the connection."""
        self._due = {}
        connection = self.open(who)
        if connection.state != self.spec.final:
            self._end(connection, self.spec.ending.gone)
        connection.finished = True
        return self._due

    def expire(self, who: str, timer: Timer) -> dict[str, list[Due]]:
        """A timer of the connection `who` runs out."""
        self._due = {}
        connection = self.open(who)
        if timer.since == "goodbye":
            self._give(who, Cut())
        elif connection.state == self.spec.final or (timer.states is not None and connection.state not in timer.states):
            pass  # it has been stopped
        elif timer.push is not None:
            push = self.spec.pushes[timer.push].form
            self._give(who, Text(f"{push.key} {ANY_WORDS}" if push.fields else push.key))
        elif timer.goodbye is not None:
            self._say_goodbye(connection, timer.goodbye)
        else:
            self._end(connection, timer.gone)
        return self._due

    def stop(self) -> dict[str, list[Due]]:
        """The server stops: all get the goodbye, and no partner is told."""
        self._due = {}
        for who in list(filter(self.is_open, self.connections)):
            self._say_goodbye(self.connections[who], self.spec.goodbye_when("stop").code)
        return self._due

    def row_for(self, who: str, line: bytes) -> Outcome | None:
        """The row that a line would take now, None for a fault; nothing changes."""
        return self.row_of(who, parse_request(self.spec, line))

    def row_of(self, who: str, said: Parsed | Faulty) -> Outcome | None:
        """The same for a line that was read already."""
        return self._judge(self.open(who), said).row

    def holds(self, condition: Condition, who: str, said: Parsed) -> bool:
        """Whether a condition holds for a request of `who`."""
        return self._holds(condition, self.open(who), said)

    # What a line does

    def _give(self, who: str, due: Due) -> None:
        self._due.setdefault(who, []).append(due)

    def _say_goodbye(self, connection: Connection, code: str) -> None:
        self._give(connection.id, Text(f"{self.spec.goodbye.key} {code} {ANY_WORDS}"))
        self._give(connection.id, End())
        self._end(connection, self.spec.goodbyes[code].gone)

    def _judge(self, connection: Connection, said: Parsed | Faulty) -> Decision:
        if isinstance(said, Faulty):
            return Decision(connection.id, None, self.spec.fault_rule(said.fault))
        rows = self.spec.states[connection.state].recv.get(said.verb)
        if rows is None:
            return Decision(connection.id, None, self.spec.fault_rule("state"))
        return Decision(connection.id, next(row for row in rows if self._holds(row.condition, connection, said)))

    def _line(self, connection: Connection, line: bytes) -> None:
        said = parse_request(self.spec, line)
        decision = self._judge(connection, said)
        self.decisions.append(decision)
        if decision.fault is not None:
            self._fault(connection, said.verb, decision.fault)
        if decision.row is None:
            return
        self._count(connection, counted=False)
        assert isinstance(said, Parsed)
        if decision.row.error is not None:
            self._refuse(connection, said.verb, decision.row.error)
        self._apply(connection, decision.row, said)

    def _refuse(self, connection: Connection, verb: str, code: str) -> None:
        self._give(connection.id, Text(f"{self.spec.refusal.key} {verb} {code} {ANY_WORDS}"))

    def _fault(self, connection: Connection, verb: str, fault: FaultRule) -> None:
        self._refuse(connection, verb, fault.error)
        goodbye = self._count(connection, counted=verb not in fault.uncounted)
        if goodbye is not None:
            self._say_goodbye(connection, goodbye)

    def _count(self, connection: Connection, *, counted: bool) -> str | None:
        """Counts a frame; the goodbye if it was a fault too many."""
        budget = self.spec.budget(connection.state)
        if budget is None:
            return None
        if counted:
            connection.faults += 1
        elif budget.in_a_row:
            connection.faults = 0
        return budget.goodbye if counted and connection.faults >= budget.faults else None

    def _move(self, connection: Connection, state: str | None) -> None:
        """A change of state; where another budget counts, it begins at zero."""
        if state is not None and self.spec.budget(state) != self.spec.budget(connection.state):
            connection.faults = 0
        connection.state = state or connection.state

    # Rows

    def _named(self, name: str) -> Connection | None:
        key = self._fold(name)
        return next((p for p in self.connections.values() if p.name is not None and self._fold(p.name) == key), None)

    def _fold(self, name: str) -> str:
        return self.spec.name_type.fold(name)

    def _holds(self, condition: Condition | None, connection: Connection, said: Parsed) -> bool:
        if condition is None:
            return True
        value = said.values.get(condition.field or "", "")
        if condition.kind in ("equals", "differs"):
            return (value == condition.value) == (condition.kind == "equals")
        if condition.kind == "no partner":
            return connection.partner is None
        if condition.kind == "not accepted":
            return not connection.accepted
        user = self._named(value)
        return {
            "taken": user is not None and user is not connection,
            "unknown": user is None,
            "oneself": user is connection,
            "linked": user is not None and user.state in self.spec.link.held_in,
            "the partner": user is not None and user.id == connection.partner,
        }[condition.kind]

    def _apply(self, connection: Connection, row: Outcome, said: Parsed) -> None:
        partner = self.connections.get(connection.partner or "")
        values, me = dict(said.values), connection.name
        for effect in row.effects:
            user = self._named(values[effect.field]) if effect.field else None
            if effect.kind == "link":
                partner = user
            elif effect.kind == "list":
                self._list(connection, row, values)
            self._effect(connection, effect, user, values)
        values |= self._names(me or connection.name, partner)
        if row.answer is not None and not row.does("list"):
            self._give(connection.id, Text(self._fill(row.answer, values)))
        self._tell(partner, row, values)
        self._move(connection, row.to)
        if row.to == self.spec.final:
            self._give(connection.id, End())

    def _fill(self, template: Template, values: Mapping[str, str]) -> str:
        return template.fill({"profiles": self.profiles, **values})

    def _names(self, me: str | None, partner: Connection | None) -> dict[str, str]:
        names = {"me": me or ""}
        return names | ({"peer": partner.name} if partner is not None and partner.name is not None else {})

    def _tell(self, partner: Connection | None, row: Outcome, values: Mapping[str, str]) -> None:
        if partner is None or row.partner is None:
            return
        self._give(partner.id, Text(self._fill(row.partner.push, values)))
        self._move(partner, row.partner.to)

    def _effect(
        self, connection: Connection, effect: Effect, user: Connection | None, values: Mapping[str, str]
    ) -> None:
        if effect.kind == "bind":
            connection.name = values[effect.field or ""]
        elif effect.kind == "link" and user is not None:
            connection.partner, user.partner = user.id, connection.id
            connection.accepted, user.accepted = True, False
        elif effect.kind in ("accept", "retract"):
            connection.accepted = effect.kind == "accept"
        elif effect.kind == "unlink":
            self._unlink(connection)
        elif effect.kind == "release":
            connection.name = None

    def _unlink(self, connection: Connection) -> None:
        other = self.connections.get(connection.partner or "")
        if other is not None:
            other.partner, other.accepted = None, False
        connection.partner, connection.accepted = None, False

    def _list(self, connection: Connection, row: Outcome, values: dict[str, str]) -> None:
        request = self.spec.requests[row.verb]
        assert request.item is not None
        assert row.answer is not None
        users = [user for user in self.connections.values() if user.name is not None]
        items = tuple(self._item(request.item, user) for user in users)
        values["count"] = str(len(users))
        self._give(connection.id, Items(items, self._fill(row.answer, values)))

    def _item(self, form: Form, user: Connection) -> str:
        """An item of a listing: the name, and the word of the two that says whether the user is linked."""
        linked = user.state in self.spec.link.held_in
        values = {
            field.name: user.name or ""
            if field.type == self.spec.link.key
            else self.spec.types[field.type].one_of[linked]
            for field in form.fields
        }
        return write_form(form, values)

    def _end(self, connection: Connection, reason: str | None) -> None:
        """The connection ends without a request; without a reason its partner is not told."""
        ending = self.spec.ending
        partner = self.connections.get(connection.partner or "")
        if partner is not None and reason is not None:
            values = self._names(connection.name, partner) | {"reason": reason}
            self._give(partner.id, Text(self._fill(ending.partner.push, values)))
            self._move(partner, ending.partner.to)
        self._unlink(connection)
        connection.name = None
        connection.state = ending.to
