"""The machines of both ends and the queues between them, as pure functions over small immutable values.

An `Endpoint` is one connection: what the server knows of it, what its client believes, and the frames on their way. A
step changes one endpoint, and perhaps its partner's. Knows no verb and no state by name, and nothing of the search.

Connections and names are numbers here, since only their equality matters. Some values are ghosts: no real machine knows
them, but the properties ask about them. They say for whom a line is meant, and which chat a request would end.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Literal, NamedTuple

from pychat.spec.model import Condition

from .properties import ANSWERS, ASYMMETRIC, MISDELIVERED, OTHER_CHAT, UNPLACED, UNSPECIFIED, VIEWS, Violation
from .rows import Row, Tables, Verb

NOBODY = -1  # no connection, no name


class SentRequest(NamedTuple):
    """A request on its way. `words` is an index of `Verb.words`.

    Ghosts: a line is meant for a connection (`meant`), or for the user of a name that was called and has not answered
    yet (`meant_name`). `fresh`: the server still has the chat that this request would end.
    """

    verb: str
    name: int = NOBODY
    words: int = 0
    meant: int = NOBODY
    meant_name: int = NOBODY
    fresh: bool = False


class SentReply(NamedTuple):
    """A reply on its way, and the name in it. Ghosts: `who` has that name; `fresh`: the server still has this chat."""

    key: str
    name: int = NOBODY
    who: int = NOBODY
    fresh: bool = False


class Endpoint(NamedTuple):
    """One connection: what the server knows, what its client believes, and the frames on their way."""

    me: int
    state: str  # the server's: state, name, partner, and whether this end has accepted
    name: int = NOBODY
    partner: int = NOBODY
    accepted: bool = False
    view: str = ""  # the client's belief of the same
    own_name: int = NOBODY
    peer: int = NOBODY
    peer_name: int = NOBODY
    heard: bool = False
    fresh: bool = False  # a ghost: the server still has the chat that the client sees
    unanswered: tuple[SentRequest, ...] = ()  # without ghosts; requests without an answer are left out
    up: tuple[SentRequest, ...] = ()
    down: tuple[SentReply, ...] = ()


class PartnerStep(NamedTuple):
    """What a row does to the partner: whose row, the name of that user, and the name that the partner should have."""

    row: int
    source: int
    name: int
    meant_name: int = NOBODY


class ServerStep(NamedTuple):
    """A step of the server: the row, the endpoint after it (None: it cannot be applied), and what the partner gets."""

    row: int
    endpoint: Endpoint | None
    other: int
    partner_step: PartnerStep | None
    violations: tuple[Violation, ...]


GlobalState = tuple[Endpoint, ...]


class Action(NamedTuple):
    """A step of the system at the connection `who`. A `take` and a `close` are the server's: `row` fires."""

    kind: Literal["send", "read", "take", "close"]
    who: int
    sent: SentRequest | None = None
    row: int | None = None


class Model:
    """The steps that the tables of a spec allow, with at most `up` and `down` frames in the queues of a connection.

    There are as many names as connections, and each connection may take each name.
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

    def opened(self, me: int) -> Endpoint:
        """A connection that was opened just now."""
        return Endpoint(me, self.spec.initial, view=self.spec.initial)

    # The system

    def start(self) -> GlobalState:
        """All connections, opened just now."""
        return tuple(self.opened(i) for i in range(self.clients))

    def steps(self, state: GlobalState) -> Iterator[tuple[Action, GlobalState | None, tuple[Violation, ...]]]:
        """Each possible step, the state after it (None: it cannot be applied), and the violations that it shows."""
        for i, endpoint in enumerate(state):
            for sent, after in self.sends(endpoint):
                yield Action("send", i, sent), _with(state, after), ()
            if endpoint.down:
                read, violations = self.receive(endpoint)
                yield Action("read", i), None if read is None else _with(state, read), violations
            if endpoint.up:
                holder = next((other for other in state if other.name == endpoint.up[0].name != NOBODY), None)
                linked = holder is not None and holder.state in self.linked
                taken = self.take(endpoint, NOBODY if holder is None else holder.me, linked)
                yield from self._server_step(state, Action("take", i, endpoint.up[0], taken.row), taken)
            if endpoint.state != self.spec.final:
                taken = self.close(endpoint)
                yield from self._server_step(state, Action("close", i, None, taken.row), taken)

    def _server_step(
        self, state: GlobalState, action: Action, taken: ServerStep
    ) -> Iterator[tuple[Action, GlobalState | None, tuple[Violation, ...]]]:
        """A step of the server, unless there is no room for what it sends."""
        if taken.endpoint is None:
            yield action, None, taken.violations
            return
        changed, violations = [taken.endpoint], taken.violations
        if taken.partner_step is not None:
            other, more = self.take_partner_step(state[taken.other], taken.partner_step)
            violations += more
            if other is None:
                yield action, None, violations
                return
            changed.append(other)
        if all(len(endpoint.down) <= self.down for endpoint in changed):
            yield action, _with(state, *changed), violations

    # What a client does

    def sends(self, endpoint: Endpoint) -> Iterator[tuple[SentRequest, Endpoint]]:
        """Each request that the rules let this client send now, and the endpoint after it."""
        if endpoint.state == self.spec.final or len(endpoint.up) >= self.up:
            return
        for verb in self._verbs:
            if self._may_send(endpoint, verb):
                if verb.answered and len(endpoint.unanswered) >= self.up + self.down:
                    continue  # answers are missing; without a bound the states would be infinitely many
                for sent in self._variants(endpoint, verb):
                    asked = SentRequest(sent.verb, sent.name, sent.words)
                    unanswered = (*endpoint.unanswered, asked) if verb.answered else endpoint.unanswered
                    yield sent, endpoint._replace(unanswered=unanswered, up=(*endpoint.up, sent))

    def inert_requests(self, endpoint: Endpoint) -> Iterator[tuple[SentRequest, Row, tuple[Violation, ...]]]:
        """The inert requests that the server might take from this endpoint now, with their rows and violations.

        They never lie in a queue, so they add no state: a request that changes nothing can be thought of as sent just
        before it is taken, and its answer as read just after.
        """
        if endpoint.up or endpoint.state == self.spec.final:
            return
        for verb in self._inert:
            if verb.verb in self._forced or self._may_send(endpoint, verb):
                for words in range(len(verb.words)):
                    sent = SentRequest(verb.verb, words=words)
                    row = self._choose(endpoint, sent, NOBODY, False)
                    yield sent, row, tuple(self._violations_of_taking(endpoint, sent, row))

    def _may_send(self, endpoint: Endpoint, verb: Verb) -> bool:
        rules, waiting = self.spec.client, [sent.verb for sent in endpoint.unanswered]
        if any(self.tables.verbs[name].ends for name in waiting):
            return False  # nothing follows the last request: the server would not read it
        if verb.verb in rules.one_unanswered and not rules.one_unanswered.isdisjoint(waiting):
            return False
        return verb.verb in self._recv[endpoint.view] or rules.may_follow.get(verb.verb) in waiting

    def _variants(self, endpoint: Endpoint, verb: Verb) -> Iterator[SentRequest]:
        condition = self.spec.client.only_if.get(endpoint.view, {}).get(verb.verb)
        for name, words in product(range(self.clients) if verb.name_field else (NOBODY,), range(len(verb.words))):
            sent = SentRequest(verb.verb, name, words, fresh=verb.unlinks and endpoint.fresh)
            if condition is None or self._holds_for_client(condition, endpoint, sent):
                yield from self._meant(endpoint, sent) if verb.relays else (sent,)

    def _meant(self, endpoint: Endpoint, sent: SentRequest) -> Iterator[SentRequest]:
        """A line, once for each user for whom its sender may mean it."""
        if sent.verb in self._recv[endpoint.view]:
            yield sent._replace(meant=endpoint.peer)
        called = self.spec.client.may_follow.get(sent.verb)
        for before in endpoint.unanswered:
            if before.verb == called:
                yield sent._replace(meant_name=before.name)

    def _holds_for_client(self, condition: Condition, endpoint: Endpoint, sent: SentRequest) -> bool:
        match condition.kind:
            case "the partner":
                return endpoint.peer != NOBODY and endpoint.peer_name == sent.name
            case "no partner":
                return endpoint.peer == NOBODY
            case "not accepted":
                return not endpoint.heard
            case _:
                return self._word_holds(condition, sent)

    def receive(self, endpoint: Endpoint) -> tuple[Endpoint | None, tuple[Violation, ...]]:
        """The client reads the next reply. None: the reply has no place in its view."""
        reply, rest = endpoint.down[0], endpoint._replace(down=endpoint.down[1:])
        reaction = self.tables.reactions[reply.key]
        if reaction.verb is not None and self.tables.verbs[reaction.verb].answered:
            if not endpoint.unanswered or endpoint.unanswered[0].verb != reaction.verb:
                return None, (Violation(UNPLACED, f"{reply.key} answers nothing that is to be answered now"),)
            rest = rest._replace(unanswered=endpoint.unanswered[1:])
        change = reaction.changes.get(endpoint.view)
        if change is None:
            return None, (Violation(UNPLACED, f"{reply.key} in {endpoint.view}"),)
        if change.mirrored and "link" not in change.effects and endpoint.peer != reply.who:
            return None, (
                Violation(UNPLACED, f"{reply.key} in {endpoint.view}, of somebody who is not the partner there"),
            )
        if change.to is not None:
            rest = rest._replace(view=change.to)
        if "link" in change.effects:
            rest = rest._replace(peer=reply.who, peer_name=reply.name, heard=not change.mirrored, fresh=reply.fresh)
        linked = rest.view in self.linked
        if "unlink" in change.effects or not linked:
            rest = rest._replace(peer=NOBODY, peer_name=NOBODY, heard=False, fresh=linked and rest.fresh)
        if "bind" in change.effects:
            rest = rest._replace(own_name=reply.name)
        if "accept" in change.effects or "retract" in change.effects:
            rest = rest._replace(heard="accept" in change.effects)
        return rest, ()

    # What the server does

    def take(self, endpoint: Endpoint, holder: int, holder_linked: bool) -> ServerStep:
        """The server takes the next request. `holder` is the connection that has the name in it, if it has one."""
        sent = endpoint.up[0]
        row = self._choose(endpoint, sent, holder, holder_linked)
        violations = tuple(self._violations_of_taking(endpoint, sent, row))
        other = holder if row.links else endpoint.partner
        if row.links and (endpoint.partner != NOBODY or holder in (NOBODY, endpoint.me)):
            violations += (Violation(ASYMMETRIC, f"{row} without a free other end"),)
            return ServerStep(row.index, None, NOBODY, None, violations)
        step = None
        if row.push is not None and other != NOBODY:
            stranger = row.relays and sent.meant != other
            if stranger and sent.meant_name == NOBODY:
                violations += (Violation(MISDELIVERED, str(row)),)
            step = PartnerStep(row.index, endpoint.me, endpoint.name, sent.meant_name if stranger else NOBODY)
        after = self._moved(endpoint._replace(up=endpoint.up[1:]), sent, row, other)
        return ServerStep(row.index, after, other, step, violations)

    def close(self, endpoint: Endpoint) -> ServerStep:
        """The connection ends without a request."""
        row, partner = self.tables.ending, endpoint.partner
        step = None if partner == NOBODY else PartnerStep(row.index, endpoint.me, endpoint.name)
        return ServerStep(row.index, self._moved(endpoint, SentRequest(""), row, partner), partner, step, ())

    def _choose(self, endpoint: Endpoint, sent: SentRequest, holder: int, holder_linked: bool) -> Row:
        rows = self._rows[endpoint.state, sent.verb]
        return next(
            row
            for row in rows
            if row.condition is None or self._holds(row.condition, endpoint, sent, holder, holder_linked)
        )

    def _holds(
        self, condition: Condition, endpoint: Endpoint, sent: SentRequest, holder: int, holder_linked: bool
    ) -> bool:
        match condition.kind:
            case "taken":
                return holder not in (NOBODY, endpoint.me)
            case "unknown":
                return holder == NOBODY
            case "oneself":
                return holder == endpoint.me
            case "linked":
                return holder_linked
            case "the partner":
                return holder != NOBODY and holder == endpoint.partner
            case "no partner":
                return endpoint.partner == NOBODY
            case "not accepted":
                return not endpoint.accepted
            case _:
                return self._word_holds(condition, sent)

    def _word_holds(self, condition: Condition, sent: SentRequest) -> bool:
        value = self.tables.verbs[sent.verb].words[sent.words][str(condition.field)]
        return (value == condition.value) == (condition.kind == "equals")

    def _violations_of_taking(self, endpoint: Endpoint, sent: SentRequest, row: Row) -> Iterator[Violation]:
        if row.misplaced and sent.verb not in self.uncounted:
            yield Violation(UNSPECIFIED, f"{sent.verb} in {endpoint.state}")
        wanted = int(row.refuses or self.tables.verbs[sent.verb].answered)
        if len(row.answers) != wanted:
            yield Violation(ANSWERS, f"{row} has {len(row.answers)} instead of {wanted}")
        if row.unlinks and row.to != self.spec.final and endpoint.partner != NOBODY and not sent.fresh:
            yield Violation(OTHER_CHAT, str(row))

    def _moved(self, endpoint: Endpoint, sent: SentRequest, row: Row, other: int) -> Endpoint:
        """This endpoint after a row: its effects, its state, and its answers on their way."""
        for kind in row.effects:
            match kind:
                case "bind":
                    endpoint = endpoint._replace(name=sent.name)
                case "link":
                    endpoint = endpoint._replace(partner=other, accepted=True)
                case "accept" | "retract":
                    endpoint = endpoint._replace(accepted=kind == "accept")
                case "unlink":
                    endpoint = endpoint._replace(partner=NOBODY, accepted=False)
                case "release":
                    endpoint = endpoint._replace(name=NOBODY)
                case _:  # relay and list change nothing here
                    pass
        if row.to is not None:
            endpoint = endpoint._replace(state=row.to)
        if endpoint.state == self.spec.final:
            return self._over(endpoint)
        if row.links or row.unlinks or endpoint.state not in self.linked:
            endpoint = _outdated(endpoint)
        name = sent.name if row.links or "bind" in row.effects else NOBODY
        reply = [SentReply(reply, name, other if row.links else NOBODY, row.links) for reply in row.answers]
        return endpoint._replace(down=(*endpoint.down, *reply))

    def _over(self, endpoint: Endpoint) -> Endpoint:
        """A connection that is over. What its client still reads is judged where it reads it before the end."""
        opened = self.opened(endpoint.me)
        return opened._replace(state=endpoint.state, view=endpoint.state, name=endpoint.name, partner=endpoint.partner)

    def take_partner_step(self, endpoint: Endpoint, step: PartnerStep) -> tuple[Endpoint | None, tuple[Violation, ...]]:
        """The other endpoint after a row of its partner. None: the row cannot be applied there."""
        row = self.tables.rows[step.row]
        if endpoint.state not in row.partner_states:
            return None, (Violation(UNSPECIFIED, f"{row} at an other end in {endpoint.state}"),)
        if row.links and endpoint.partner != NOBODY:
            return None, (Violation(ASYMMETRIC, f"{row} with the partner of somebody else"),)
        violations = (Violation(MISDELIVERED, str(row)),) if step.meant_name not in (NOBODY, endpoint.name) else ()
        if row.links:
            endpoint = _outdated(endpoint)._replace(partner=step.source, accepted=False)
        if row.unlinks:
            endpoint = endpoint._replace(partner=NOBODY, accepted=False)
        if row.partner_to is not None:
            endpoint = endpoint._replace(state=row.partner_to)
        if endpoint.state not in self.linked:
            endpoint = _outdated(endpoint)
        reply = SentReply(str(row.push), step.name if row.links else NOBODY, step.source, row.links)
        return endpoint._replace(down=(*endpoint.down, reply)), violations

    # What must hold at each endpoint by itself

    def violations(self, endpoint: Endpoint) -> Iterator[Violation]:
        """The properties that this endpoint breaks by itself."""
        if endpoint.partner != NOBODY and endpoint.state not in self.linked:
            yield Violation(ASYMMETRIC, f"{endpoint.state} with a partner")
        if endpoint.state == self.spec.final:
            if endpoint.name != NOBODY:
                yield Violation(VIEWS, f"{endpoint.state} with a name that is not free")
            return
        if endpoint.unanswered and not endpoint.up and not endpoint.down:
            yield Violation(ANSWERS, f"{endpoint.unanswered[0].verb} is never answered")
        server, client = (
            (endpoint.state, endpoint.name, endpoint.partner, endpoint.accepted),
            (endpoint.view, endpoint.own_name, endpoint.peer, endpoint.heard),
        )
        if not endpoint.down and server != client:
            yield Violation(VIEWS, f"in {endpoint.state}")
        for _, _, violations in self.inert_requests(endpoint):
            yield from violations


def _outdated(endpoint: Endpoint) -> Endpoint:
    """The endpoint after its chat has begun or ended: frames on their way are about an earlier chat."""
    return endpoint._replace(
        fresh=False,
        up=tuple(sent._replace(fresh=False) for sent in endpoint.up),
        down=tuple(reply._replace(fresh=False) for reply in endpoint.down),
    )


def _with(state: GlobalState, *changed: Endpoint) -> GlobalState:
    new = {endpoint.me: endpoint for endpoint in changed}
    return tuple(new.get(endpoint.me, endpoint) for endpoint in state)
