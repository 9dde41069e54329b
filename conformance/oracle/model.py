"""The reference model: what a correct server sends, to whom, for each octet that comes. No clock, no socket, no verb.

Where the server under test is one of many possible ones, this is the one that the rows of the spec describe, played
with one thing at a time. That a timer runs out is one of these things; when it does, only a player knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pychat.spec import Spec
from pychat.spec.model import Condition, Effect, FaultRule, Form, Outcome, Template, Timer

from .frames import ANY_WORDS, Cutter, Faulty, Parsed, parse_request


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
    """What is sent now is answered by a reset: nobody reads there any more."""


Due = Text | Items | End | Cut


@dataclass(slots=True)
class Peer:
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
        """What tells two states of a connection apart, but for the counts of faults."""
        return self.id, self.state, self.name, self.partner, self.accepted

    def configuration(self, spec: Spec) -> str:
        """The state, and for a linked one which of its ends: `PAIRED`, `PAIRED+called`, `PAIRED+alone`."""
        if self.state not in spec.link.held_in:
            return self.state
        if self.partner is None:
            return f"{self.state}+alone"
        return self.state if self.accepted else f"{self.state}+called"


@dataclass(frozen=True, slots=True)
class Taken:
    """What a line was taken for: the row of the table, or the fault that it has."""

    who: str
    row: Outcome | None
    fault: FaultRule | None = None

    @property
    def name(self) -> str:
        return self.row.name if self.row else f"fault/{self.fault.error if self.fault else ''}"

    @property
    def rule(self) -> str:
        """The rule by which it is answered."""
        return self.row.rule if self.row else self.fault.rule if self.fault else ""


class World:
    """All connections of a play, from the server's side. What happens to one of them gives what is due to whom."""

    def __init__(self, spec: Spec, profiles: str = "core", limit: int | None = None) -> None:
        self.spec = spec
        self.profiles = profiles
        self.limit = limit  # of connections
        self.peers: dict[str, Peer] = {}
        self.taken: list[Taken] = []
        self._due: dict[str, list[Due]] = {}

    def key(self) -> tuple[object, ...]:
        return tuple(peer.key() for _, peer in sorted(self.peers.items()))

    def copy(self) -> World:
        """A copy of its own; only between lines (a half line is not copied)."""
        other = World(self.spec, self.profiles, self.limit)
        other.peers = {id_: replace(peer, cutter=Cutter(self.spec)) for id_, peer in self.peers.items()}
        return other

    def open(self, who: str) -> Peer:
        """The connection `who`, opened now if it is new."""
        if who not in self.peers:
            full = self.limit is not None and sum(map(self.is_open, self.peers)) >= self.limit
            self.peers[who] = Peer(who, self.spec.initial, cutter=Cutter(self.spec))
            if full:
                self._say_goodbye(self.peers[who], self.spec.goodbye_when("full").code)
        return self.peers[who]

    def enter(self, who: str) -> dict[str, list[Due]]:
        """`who` opens a connection."""
        self._due = {}
        self.open(who)
        return self._due

    def is_open(self, who: str) -> bool:
        """Whether the server still reads from `who`."""
        peer = self.peers.get(who)
        return peer is None or (peer.state != self.spec.final and not peer.finished)

    def feed(self, who: str, octets: bytes) -> dict[str, list[Due]]:
        """`who` sends octets."""
        self._due = {}
        peer = self.open(who)
        assert peer.cutter is not None
        for line in peer.cutter.feed(octets):
            if peer.state == self.spec.final:
                break
            if line is None:
                self._say_goodbye(peer, self.spec.goodbye_when("too-long").code)
            else:
                self._line(peer, line)
        return self._due

    def finish(self, who: str) -> dict[str, list[Due]]:
        """`who` ends its sending half: what has no ending is dropped, the server closes."""
        self._due = {}
        peer = self.open(who)
        peer.finished = True
        if peer.state != self.spec.final:
            self._end(peer, self.spec.ending.gone)
            self._give(who, End())
        return self._due

    def reset(self, who: str) -> dict[str, list[Due]]:
        """`who` resets the connection."""
        self._due = {}
        peer = self.open(who)
        if peer.state != self.spec.final:
            self._end(peer, self.spec.ending.gone)
        peer.finished = True
        return self._due

    def expire(self, who: str, timer: Timer) -> dict[str, list[Due]]:
        """A timer of the connection `who` runs out."""
        self._due = {}
        peer = self.open(who)
        if timer.since == "goodbye":
            self._give(who, Cut())
        elif peer.state == self.spec.final or (timer.states is not None and peer.state not in timer.states):
            pass  # it has been stopped
        elif timer.push is not None:
            push = self.spec.pushes[timer.push].form
            self._give(who, Text(f"{push.key} {ANY_WORDS}" if push.fields else push.key))
        elif timer.goodbye is not None:
            self._say_goodbye(peer, timer.goodbye)
        else:
            self._end(peer, timer.gone)
        return self._due

    def stop(self) -> dict[str, list[Due]]:
        """The server stops: everybody gets the goodbye, and nobody is told of anybody."""
        self._due = {}
        goodbye = self.spec.goodbye_when("stop")
        for who in list(filter(self.is_open, self.peers)):
            self._say_goodbye(self.peers[who], goodbye.code)
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

    def _say_goodbye(self, peer: Peer, code: str) -> None:
        self._give(peer.id, Text(f"{self.spec.goodbye.key} {code} {ANY_WORDS}"))
        self._give(peer.id, End())
        self._end(peer, self.spec.goodbyes[code].gone)

    def _judge(self, peer: Peer, said: Parsed | Faulty) -> Taken:
        if isinstance(said, Faulty):
            return Taken(peer.id, None, self.spec.fault_rule(said.fault))
        rows = self.spec.states[peer.state].recv.get(said.verb)
        if rows is None:
            return Taken(peer.id, None, self.spec.fault_rule("state"))
        return Taken(peer.id, next(row for row in rows if self._holds(row.condition, peer, said)))

    def _line(self, peer: Peer, line: bytes) -> None:
        said = parse_request(self.spec, line)
        taken = self._judge(peer, said)
        self.taken.append(taken)
        if taken.fault is not None:
            self._fault(peer, said.verb, taken.fault)
        if taken.row is None:
            return
        self._count(peer, counted=False)
        assert isinstance(said, Parsed)
        if taken.row.error is not None:
            self._refuse(peer, said.verb, taken.row.error)
        self._apply(peer, taken.row, said)

    def _refuse(self, peer: Peer, verb: str, code: str) -> None:
        self._give(peer.id, Text(f"{self.spec.refusal.key} {verb} {code} {ANY_WORDS}"))

    def _fault(self, peer: Peer, verb: str, fault: FaultRule) -> None:
        self._refuse(peer, verb, fault.error)
        goodbye = self._count(peer, counted=verb not in fault.uncounted)
        if goodbye is not None:
            self._say_goodbye(peer, goodbye)

    def _count(self, peer: Peer, *, counted: bool) -> str | None:
        """Counts a frame; the goodbye if it was a fault too many."""
        budget = self.spec.budget(peer.state)
        if budget is None:
            return None
        if counted:
            peer.faults += 1
        elif budget.in_a_row:
            peer.faults = 0
        return budget.goodbye if counted and peer.faults >= budget.faults else None

    def _move(self, peer: Peer, state: str | None) -> None:
        """A change of state; where another budget counts, it begins at zero."""
        if state is not None and self.spec.budget(state) != self.spec.budget(peer.state):
            peer.faults = 0
        peer.state = state or peer.state

    # Rows

    def _named(self, name: str) -> Peer | None:
        key = self._fold(name)
        return next((p for p in self.peers.values() if p.name is not None and self._fold(p.name) == key), None)

    def _fold(self, name: str) -> str:
        return self.spec.name_type.fold(name)

    def _holds(self, condition: Condition | None, peer: Peer, said: Parsed) -> bool:
        if condition is None:
            return True
        value = said.values.get(condition.field or "", "")
        if condition.kind in ("equals", "differs"):
            return (value == condition.value) == (condition.kind == "equals")
        if condition.kind == "no partner":
            return peer.partner is None
        if condition.kind == "not accepted":
            return not peer.accepted
        user = self._named(value)
        return {
            "taken": user is not None and user is not peer,
            "unknown": user is None,
            "oneself": user is peer,
            "linked": user is not None and user.state in self.spec.link.held_in,
            "the partner": user is not None and user.id == peer.partner,
        }[condition.kind]

    def _apply(self, peer: Peer, row: Outcome, said: Parsed) -> None:
        partner = self.peers.get(peer.partner or "")
        values, me = dict(said.values), peer.name
        for effect in row.effects:
            user = self._named(values[effect.field]) if effect.field else None
            if effect.kind == "link":
                partner = user
            elif effect.kind == "list":
                self._list(peer, row, values)
            self._effect(peer, effect, user, values)
        values |= self._names(me or peer.name, partner)
        if row.answer is not None and not row.does("list"):
            self._give(peer.id, Text(self._fill(row.answer, values)))
        self._tell(partner, row, values)
        self._move(peer, row.to)
        if row.to == self.spec.final:
            self._give(peer.id, End())

    def _fill(self, template: Template, values: Mapping[str, str]) -> str:
        return template.fill({"profiles": self.profiles, **values})

    def _names(self, me: str | None, partner: Peer | None) -> dict[str, str]:
        names = {"me": me or ""}
        return names | ({"peer": partner.name} if partner is not None and partner.name is not None else {})

    def _tell(self, partner: Peer | None, row: Outcome, values: Mapping[str, str]) -> None:
        if partner is None or row.partner is None:
            return
        self._give(partner.id, Text(self._fill(row.partner.push, values)))
        self._move(partner, row.partner.to)

    def _effect(self, peer: Peer, effect: Effect, user: Peer | None, values: Mapping[str, str]) -> None:
        if effect.kind == "bind":
            peer.name = values[effect.field or ""]
        elif effect.kind == "link" and user is not None:
            peer.partner, user.partner = user.id, peer.id
            peer.accepted, user.accepted = True, False
        elif effect.kind in ("accept", "retract"):
            peer.accepted = effect.kind == "accept"
        elif effect.kind == "unlink":
            self._unlink(peer)
        elif effect.kind == "release":
            peer.name = None

    def _unlink(self, peer: Peer) -> None:
        other = self.peers.get(peer.partner or "")
        if other is not None:
            other.partner, other.accepted = None, False
        peer.partner, peer.accepted = None, False

    def listed(self) -> tuple[tuple[str, bool], ...]:
        """Each user's name, and whether he is in a state that holds the link."""
        return tuple(
            (peer.name, peer.state in self.spec.link.held_in) for peer in self.peers.values() if peer.name is not None
        )

    def _list(self, peer: Peer, row: Outcome, values: dict[str, str]) -> None:
        request = self.spec.requests[row.verb]
        assert request.item is not None
        assert row.answer is not None
        users = self.listed()
        items = tuple(self._item(request.item, name, linked=linked) for name, linked in users)
        values["count"] = str(len(users))
        self._give(peer.id, Items(items, self._fill(row.answer, values)))

    def _item(self, form: Form, name: str, *, linked: bool) -> str:
        """An item of a listing: the name, and the word of the two that says whether the user is linked."""
        parts = []
        for part in form.parts:
            if isinstance(part, str):
                parts.append(part)
            elif part.type == self.spec.link.key:
                parts.append(name)
            else:
                parts.append(self.spec.types[part.type].one_of[1 if linked else 0])
        return " ".join(parts)

    def _end(self, peer: Peer, reason: str | None) -> None:
        """The connection ends without a request; without a reason nobody is told."""
        ending = self.spec.ending
        partner = self.peers.get(peer.partner or "")
        if partner is not None and reason is not None:
            values = self._names(peer.name, partner) | {"reason": reason}
            self._give(partner.id, Text(self._fill(ending.partner.push, values)))
            self._move(partner, ending.partner.to)
        self._unlink(peer)
        peer.name = None
        peer.state = ending.to
