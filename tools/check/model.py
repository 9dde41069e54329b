"""The machines of both ends and the queues between them, as pure functions over small immutable values.

An `End` is one connection with all that belongs to it: what the server knows of it, what its client believes, and what
is on its way. A step of the whole changes one end, and perhaps its partner's. Knows no verb and no state by name, and
nothing of how states are searched.

Connections and names are numbers here, since only their equality matters. What no real machine knows, but the
properties ask about, travels along as ghosts: whom a line is meant for, and which chat a request would end.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Literal, NamedTuple

from pychat.spec.model import Condition

from .properties import ANSWERS, ASYMMETRIC, MISDELIVERED, OTHER_CHAT, UNPLACED, UNSPECIFIED, VIEWS, Fault
from .rows import Row, Tables, Verb

NOBODY = -1  # no connection, no name


class Sent(NamedTuple):
    """A request on its way. `words` is an index of `Verb.words`.

    Ghosts: a line is meant for a connection, or for whoever answers to a name that was called and has not answered
    yet; `fresh` says that the chat which this request would end is still the server's.
    """

    verb: str
    name: int = NOBODY
    words: int = 0
    meant: int = NOBODY
    meant_name: int = NOBODY
    fresh: bool = False


class Told(NamedTuple):
    """A reply on its way, and the name in it. Ghosts: whose name it is, and whether the chat it tells of goes on."""

    reply: str
    name: int = NOBODY
    who: int = NOBODY
    fresh: bool = False


class End(NamedTuple):
    """One connection: what the server knows, what the client believes, and what is on its way."""

    me: int
    state: str
    name: int
    partner: int
    accepted: bool
    view: str
    own_name: int
    peer: int
    peer_name: int
    heard: bool
    fresh: bool  # a ghost: the chat that the client sees is still the server's
    unanswered: tuple[Sent, ...]  # without ghosts; only what will be answered
    up: tuple[Sent, ...]
    down: tuple[Told, ...]


class Gift(NamedTuple):
    """What a row does to the other end: whose row, under which name, and the name that the other end should have."""

    row: int
    giver: int
    name: int
    meant_name: int = NOBODY


class Taken(NamedTuple):
    """What comes of a request: its row, the end after it, and what the other end gets. No end: it makes no sense."""

    row: int
    end: End | None
    other: int
    gift: Gift | None
    faults: tuple[Fault, ...]


World = tuple[End, ...]


class Action(NamedTuple):
    """A step of the whole: who does what. A `take` and a `close` are the server's, with the row that fires."""

    kind: Literal["send", "read", "take", "close"]
    who: int
    sent: Sent | None = None
    row: int | None = None


class Model:
    """The steps that the tables of a spec allow, with at most `up` and `down` frames in the queues of a connection.

    The names that may be taken are as many as the connections, and each may take each.
    """

    def __init__(self, tables: Tables, clients: int, up: int, down: int) -> None:
        self.tables = tables
        self.spec = tables.spec
        self.clients = clients
        self.up = up
        self.down = down
        self.linked = self.spec.link.held_in
        self.uncounted = self.spec.fault_rule("state").uncounted
        self._rows = tables.by_request()
        self._recv = {name: frozenset(state.recv) for name, state in self.spec.states.items()}
        self._verbs = [verb for verb in tables.verbs.values() if not verb.inert]
        self._inert = [verb for verb in tables.verbs.values() if verb.inert]
        self._forced = {push.reply.form.verb for push in self.spec.pushes.values() if push.reply is not None}

    def opened(self, me: int) -> End:
        """A connection that was opened just now."""
        nobody = (NOBODY, NOBODY)
        return End(me, self.spec.initial, *nobody, False, self.spec.initial, *nobody, NOBODY, False, False, (), (), ())

    # The whole

    def start(self) -> World:
        """All connections, opened just now."""
        return tuple(self.opened(i) for i in range(self.clients))

    def steps(self, world: World) -> Iterator[tuple[Action, World | None, tuple[Fault, ...]]]:
        """Each step that is possible now, where it leads (None: nowhere sensible), and the faults that it shows."""
        for i, end in enumerate(world):
            for sent, after in self.sends(end):
                yield Action("send", i, sent), _with(world, after), ()
            if end.down:
                read, faults = self.receive(end)
                yield Action("read", i), None if read is None else _with(world, read), faults
            if end.up:
                holder = next((other for other in world if other.name == end.up[0].name != NOBODY), None)
                linked = holder is not None and holder.state in self.linked
                taken = self.take(end, NOBODY if holder is None else holder.me, linked)
                yield from self._server_step(world, Action("take", i, end.up[0], taken.row), taken)
            if end.state != self.spec.final:
                taken = self.close(end)
                yield from self._server_step(world, Action("close", i, None, taken.row), taken)

    def _server_step(
        self, world: World, action: Action, taken: Taken
    ) -> Iterator[tuple[Action, World | None, tuple[Fault, ...]]]:
        """A step of the server, unless there is no room for what it sends."""
        if taken.end is None:
            yield action, None, taken.faults
            return
        changed, faults = [taken.end], taken.faults
        if taken.gift is not None:
            other, more = self.give(world[taken.other], taken.gift)
            faults += more
            if other is None:
                yield action, None, faults
                return
            changed.append(other)
        if all(len(end.down) <= self.down for end in changed):
            yield action, _with(world, *changed), faults

    # What a client does

    def sends(self, end: End) -> Iterator[tuple[Sent, End]]:
        """Each request that the rules let this client send now, and the end after it."""
        if end.state == self.spec.final or len(end.up) >= self.up:
            return
        for verb in self._verbs:
            if self._may_send(end, verb):
                if verb.answered and len(end.unanswered) >= self.up + self.down:
                    continue  # answers are missing: no more than what the queues hold, or there would be no end
                for sent in self._variants(end, verb):
                    asked = Sent(sent.verb, sent.name, sent.words)
                    unanswered = (*end.unanswered, asked) if verb.answered else end.unanswered
                    yield sent, end._replace(unanswered=unanswered, up=(*end.up, sent))

    def asides(self, end: End) -> Iterator[tuple[Sent, Row, tuple[Fault, ...]]]:
        """The inert requests that the server might take from this end now, with their rows and faults.

        They never lie in a queue: what moves nothing can be thought of as sent just before it is taken, and read just
        after. So they cost no state.
        """
        if end.up or end.state == self.spec.final:
            return
        for verb in self._inert:
            if verb.verb in self._forced or self._may_send(end, verb):
                for words in range(len(verb.words)):
                    sent = Sent(verb.verb, words=words)
                    row = self._choose(end, sent, NOBODY, False)
                    yield sent, row, tuple(self._faults_of_taking(end, sent, row))

    def _may_send(self, end: End, verb: Verb) -> bool:
        rules, waiting = self.spec.client, [sent.verb for sent in end.unanswered]
        if any(self.tables.verbs[name].ends for name in waiting):
            return False  # nothing follows the last request: the server would not read it
        if verb.verb in rules.one_unanswered and not rules.one_unanswered.isdisjoint(waiting):
            return False
        return verb.verb in self._recv[end.view] or rules.may_follow.get(verb.verb) in waiting

    def _variants(self, end: End, verb: Verb) -> Iterator[Sent]:
        condition = self.spec.client.only_if.get(end.view, {}).get(verb.verb)
        for name, words in product(range(self.clients) if verb.name_field else (NOBODY,), range(len(verb.words))):
            sent = Sent(verb.verb, name, words, fresh=verb.unlinks and end.fresh)
            if condition is None or self._holds_for_client(condition, end, sent):
                yield from self._meant(end, sent) if verb.relays else (sent,)

    def _meant(self, end: End, sent: Sent) -> Iterator[Sent]:
        """A line, once for each one whom its sender may believe to be speaking to."""
        if sent.verb in self._recv[end.view]:
            yield sent._replace(meant=end.peer)
        called = self.spec.client.may_follow.get(sent.verb)
        for before in end.unanswered:
            if before.verb == called:
                yield sent._replace(meant_name=before.name)

    def _holds_for_client(self, condition: Condition, end: End, sent: Sent) -> bool:
        match condition.kind:
            case "the partner":
                return end.peer != NOBODY and end.peer_name == sent.name
            case "no partner":
                return end.peer == NOBODY
            case "not accepted":
                return not end.heard
            case _:
                return self._word_holds(condition, sent)

    def receive(self, end: End) -> tuple[End | None, tuple[Fault, ...]]:
        """The client reads the next reply; no end where it has no place for it."""
        told, rest = end.down[0], end._replace(down=end.down[1:])
        reaction = self.tables.reactions[told.reply]
        if reaction.verb is not None and self.tables.verbs[reaction.verb].answered:
            if not end.unanswered or end.unanswered[0].verb != reaction.verb:
                return None, (Fault(UNPLACED, f"{told.reply} answers nothing that is to be answered now"),)
            rest = rest._replace(unanswered=end.unanswered[1:])
        change = reaction.changes.get(end.view)
        if change is None:
            return None, (Fault(UNPLACED, f"{told.reply} in {end.view}"),)
        if change.mirrored and "link" not in change.effects and end.peer != told.who:
            return None, (Fault(UNPLACED, f"{told.reply} in {end.view}, of somebody who is not the partner there"),)
        if change.to is not None:
            rest = rest._replace(view=change.to)
        if "link" in change.effects:
            rest = rest._replace(peer=told.who, peer_name=told.name, heard=not change.mirrored, fresh=told.fresh)
        linked = rest.view in self.linked
        if "unlink" in change.effects or not linked:
            rest = rest._replace(peer=NOBODY, peer_name=NOBODY, heard=False, fresh=linked and rest.fresh)
        if "bind" in change.effects:
            rest = rest._replace(own_name=told.name)
        if "accept" in change.effects or "retract" in change.effects:
            rest = rest._replace(heard="accept" in change.effects)
        return rest, ()

    # What the server does

    def take(self, end: End, holder: int, holder_linked: bool) -> Taken:
        """The server takes the next request. `holder` is the connection that has the name in it, if it has one."""
        sent = end.up[0]
        row = self._choose(end, sent, holder, holder_linked)
        faults = list(self._faults_of_taking(end, sent, row))
        other = holder if row.links else end.partner
        if row.links and (end.partner != NOBODY or holder in (NOBODY, end.me)):
            return Taken(row.index, None, NOBODY, None, (*faults, Fault(ASYMMETRIC, f"{row} without a free other end")))
        gift = None
        if row.push is not None and other != NOBODY:
            stranger = row.relays and sent.meant != other
            if stranger and sent.meant_name == NOBODY:
                faults.append(Fault(MISDELIVERED, str(row)))
            gift = Gift(row.index, end.me, end.name, sent.meant_name if stranger else NOBODY)
        return Taken(row.index, self._moved(end._replace(up=end.up[1:]), sent, row, other), other, gift, tuple(faults))

    def close(self, end: End) -> Taken:
        """The connection ends without a request."""
        row = self.tables.ending
        gift = None if end.partner == NOBODY else Gift(row.index, end.me, end.name)
        return Taken(row.index, self._moved(end, Sent(""), row, end.partner), end.partner, gift, ())

    def _choose(self, end: End, sent: Sent, holder: int, holder_linked: bool) -> Row:
        rows = self._rows[end.state, sent.verb]
        return next(
            row for row in rows if row.condition is None or self._holds(row.condition, end, sent, holder, holder_linked)
        )

    def _holds(self, condition: Condition, end: End, sent: Sent, holder: int, holder_linked: bool) -> bool:
        match condition.kind:
            case "taken":
                return holder not in (NOBODY, end.me)
            case "unknown":
                return holder == NOBODY
            case "oneself":
                return holder == end.me
            case "linked":
                return holder_linked
            case "the partner":
                return holder != NOBODY and holder == end.partner
            case "no partner":
                return end.partner == NOBODY
            case "not accepted":
                return not end.accepted
            case _:
                return self._word_holds(condition, sent)

    def _word_holds(self, condition: Condition, sent: Sent) -> bool:
        value = self.tables.verbs[sent.verb].words[sent.words][str(condition.field)]
        return (value == condition.value) == (condition.kind == "equals")

    def _faults_of_taking(self, end: End, sent: Sent, row: Row) -> Iterator[Fault]:
        if row.misplaced and sent.verb not in self.uncounted:
            yield Fault(UNSPECIFIED, f"{sent.verb} in {end.state}")
        wanted = int(row.refuses or self.tables.verbs[sent.verb].answered)
        if len(row.answers) != wanted:
            yield Fault(ANSWERS, f"{row} has {len(row.answers)} instead of {wanted}")
        if row.unlinks and row.to != self.spec.final and end.partner != NOBODY and not sent.fresh:
            yield Fault(OTHER_CHAT, str(row))

    def _moved(self, end: End, sent: Sent, row: Row, other: int) -> End:
        """This end after a row: its effects, its state, and its answers on their way."""
        for kind in row.effects:
            match kind:
                case "bind":
                    end = end._replace(name=sent.name)
                case "link":
                    end = end._replace(partner=other, accepted=True)
                case "accept" | "retract":
                    end = end._replace(accepted=kind == "accept")
                case "unlink":
                    end = end._replace(partner=NOBODY, accepted=False)
                case "release":
                    end = end._replace(name=NOBODY)
                case _:  # relay and list change nothing here
                    pass
        if row.to is not None:
            end = end._replace(state=row.to)
        if end.state == self.spec.final:
            return self._over(end)
        if row.links or row.unlinks or end.state not in self.linked:
            end = _aged(end)
        name = sent.name if row.links or "bind" in row.effects else NOBODY
        told = [Told(reply, name, other if row.links else NOBODY, row.links) for reply in row.answers]
        return end._replace(down=(*end.down, *told))

    def _over(self, end: End) -> End:
        """A connection that is over. What its client still reads is judged where it reads it before the end."""
        opened = self.opened(end.me)
        return opened._replace(state=end.state, view=end.state, name=end.name, partner=end.partner)

    def give(self, end: End, gift: Gift) -> tuple[End | None, tuple[Fault, ...]]:
        """What a row does to the other end."""
        row = self.tables.rows[gift.row]
        if end.state not in row.partner_states:
            return None, (Fault(UNSPECIFIED, f"{row} at an other end in {end.state}"),)
        if row.links and end.partner != NOBODY:
            return None, (Fault(ASYMMETRIC, f"{row} with the partner of somebody else"),)
        faults = (Fault(MISDELIVERED, str(row)),) if gift.meant_name not in (NOBODY, end.name) else ()
        if row.links:
            end = _aged(end)._replace(partner=gift.giver, accepted=False)
        if row.unlinks:
            end = end._replace(partner=NOBODY, accepted=False)
        if row.partner_to is not None:
            end = end._replace(state=row.partner_to)
        if end.state not in self.linked:
            end = _aged(end)
        told = Told(str(row.push), gift.name if row.links else NOBODY, gift.giver, row.links)
        return end._replace(down=(*end.down, told)), faults

    # What must hold at each end by itself

    def faults(self, end: End) -> Iterator[Fault]:
        """The properties that this end breaks, whatever the others do."""
        if end.partner != NOBODY and end.state not in self.linked:
            yield Fault(ASYMMETRIC, f"{end.state} with a partner")
        if end.state == self.spec.final:
            if end.name != NOBODY:
                yield Fault(VIEWS, f"{end.state} with a name that is not free")
            return
        if end.unanswered and not end.up and not end.down:
            yield Fault(ANSWERS, f"{end.unanswered[0].verb} is never answered")
        server, client = (end.state, end.name, end.partner, end.accepted), (end.view, end.own_name, end.peer, end.heard)
        if not end.down and server != client:
            yield Fault(VIEWS, f"in {end.state}")
        for _, _, aside_faults in self.asides(end):
            yield from aside_faults


def _aged(end: End) -> End:
    """The end when its chat of this moment begins or is over: all that is about a chat is about an old one now."""
    return end._replace(
        fresh=False,
        up=tuple(sent._replace(fresh=False) for sent in end.up),
        down=tuple(told._replace(fresh=False) for told in end.down),
    )


def _with(world: World, *changed: End) -> World:
    new = {end.me: end for end in changed}
    return tuple(new.get(end.me, end) for end in world)
