"""The system: clients, their server and the queues between them, and what must hold in each of its states.

Knows no verb and no state by name, and nothing of the search.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pychat.spec.terms import OF_A_RELATION, Condition

from .client import Client
from .properties import ANSWERS, ASYMMETRIC, BELIEF, INVARIANT, STRAY, VIEWS, Violation
from .relations import Asker, Kind
from .rows import Row, Tables, UnsupportedSpecError
from .server import Server, ServerStep, Violations
from .state import NOBODY, Action, Endpoint, GlobalState, SentRequest, Value


class Model:
    """The steps that the tables of a spec allow, with at most `up` and `down` frames in the queues of a connection.

    There are as many names as connections, and each connection may take each name. Light replies take no room. Of all
    light requests, one at most is on its way: they do not affect each other, so this finds what each of them can show.
    The first `wild` clients keep no rule of the spec's. Of more than `tuples` tuples of the relations, those that
    come later are forgotten at once.
    """

    def __init__(
        self, tables: Tables, clients: int, up: int, down: int, wild: int = 0, tuples: int | None = None
    ) -> None:
        self.tables = tables
        self.spec = tables.spec
        self.clients = clients
        self.up = up
        self.down = down
        self.wild = wild
        self.client = Client(tables, clients, up, down)
        self.server = Server(tables, self.client, tuples)
        self.linked = self.spec.link.held_in
        self._light = {verb.verb for verb in tables.verbs.values() if verb.light}

    def opened(self, me: int) -> Endpoint:
        """A connection that was opened just now."""
        return Endpoint(me, self.spec.initial, view=self.spec.initial, wild=me < self.wild)

    # The system

    def start(self, named: bool = False) -> GlobalState:
        """All connections, opened just now; `named`: each of them has then taken a name of its own."""
        opened = [self.opened(i) for i in range(self.clients)]
        return GlobalState(tuple(map(self._named, opened) if named else opened))

    def _named(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint after the fewest of its own steps to a name, with nothing on its way."""
        seen, waiting = {endpoint}, [endpoint]
        for now in waiting:
            if now.own_name == now.me and not now.up and not now.down:
                return now
            after = [step.endpoint for step in self.server.take(now, NOBODY, False, ())] if now.up else []
            after += [self.client.receive(now)[0]] if now.down else []
            after += [sent_on for sent, sent_on in self.client.sends(now) if sent.name in (NOBODY, now.me)]
            for following in after:
                if following is not None and following not in seen and len(following.down) <= self.down:
                    seen.add(following)
                    waiting.append(following)
        raise UnsupportedSpecError("no requests of one connection alone give it a name")

    def steps(self, state: GlobalState) -> Iterator[tuple[Action, GlobalState | None, Violations]]:
        """Each possible step, the state after it (None: it cannot be applied), and the violations that it shows."""
        endpoints, facts = state
        crowded = any(self.has_light(endpoint) for endpoint in endpoints)
        for i, endpoint in enumerate(endpoints):
            for sent, after in self.client.sends(endpoint):
                if not (crowded and sent.verb in self._light):
                    yield Action("send", i, sent), state.with_changes([after], facts), ()
            if self.may_read(endpoint):
                read, violations = self.client.receive(endpoint)
                yield Action("read", i), None if read is None else state.with_changes([read], facts), violations
            if endpoint.up:
                holder = next((other for other in endpoints if other.name == endpoint.up[0].name != NOBODY), None)
                linked = holder is not None and holder.state in self.linked
                for taken in self.server.take(endpoint, NOBODY if holder is None else holder.me, linked, facts):
                    yield from self._server_step(state, Action("take", i, endpoint.up[0], taken.row), taken)
            for taken in self.server.time_out(endpoint, facts):
                yield from self._server_step(state, Action("timer", i, None, taken.row), taken)
            if endpoint.state != self.spec.final:
                for taken in self.server.close(endpoint, facts):
                    yield from self._server_step(state, Action("close", i, None, taken.row), taken)

    def _server_step(
        self, state: GlobalState, action: Action, taken: ServerStep
    ) -> Iterator[tuple[Action, GlobalState | None, Violations]]:
        """A step of the server, unless there is no room for what it sends."""
        if not self.has_room(taken):
            return
        if taken.endpoint is None:
            yield action, None, taken.violations
            return
        changed, violations = {taken.endpoint.me: taken.endpoint}, taken.violations
        for who, step in taken.others:
            other, more = self.server.take_other_step(changed.get(who, state.endpoints[who]), step)
            violations += more
            if other is None:
                yield action, None, violations
                return
            changed[who] = other
        if all(len(endpoint.down) <= self.down for endpoint in changed.values()):
            yield action, state.with_changes(list(changed.values()), taken.facts), violations

    def has_room(self, step: ServerStep) -> bool:
        """Whether there is room for the answers of a step."""
        return step.endpoint is None or len(step.endpoint.down) <= self.down

    def is_light(self, sent: SentRequest) -> bool:
        """Whether no other request is affected by this one."""
        return sent.verb in self._light

    def has_light(self, endpoint: Endpoint) -> bool:
        """Whether a light request of this endpoint is on its way."""
        return any(map(self.is_light, endpoint.up))

    def may_read(self, endpoint: Endpoint) -> bool:
        """Whether the client can read now."""
        return bool(endpoint.down)

    def inert_requests(self, endpoint: Endpoint) -> Iterator[tuple[SentRequest, Row, Violations]]:
        """The inert requests that the server might take from this endpoint now, with their rows and violations."""
        for sent in self.client.inert_requests(endpoint):
            asker = Asker(endpoint.me, endpoint.name, words=self.tables.verbs[sent.verb].words[sent.words])
            for row in self.server.choose(endpoint, sent, asker, False, ()):
                yield sent, row, tuple(self.server.violations_of_taking(endpoint, sent, row))

    def strays(self, endpoint: Endpoint) -> Iterator[tuple[list[tuple[SentRequest, Row, Endpoint]], Violation]]:
        """Each way in which a client without rules gets a line to its partner after it has named another user.

        Its requests with their rows, and the endpoint after each. No rule of clients allows the first of them, so the
        search does not meet them: they are tried at each endpoint that has a partner and nothing on its way. The other
        user is the client itself, which is there however few connections there are.
        """
        if endpoint.partner == NOBODY or not endpoint.accepted or endpoint.up or endpoint.down:
            return
        for verb in self.tables.verbs.values():
            if not verb.accepts or verb.name_field is None or (endpoint.state, verb.verb) in self.server.relational:
                continue
            for words in range(len(verb.words)):
                named = SentRequest(verb.verb, endpoint.name, words)
                for row, after in self._taken(endpoint, named):
                    if after.partner == endpoint.partner:
                        for line, relaying, last in self._lines(after):
                            yield [(named, row, after), (line, relaying, last)], Violation(STRAY, str(row))

    def _lines(self, endpoint: Endpoint) -> Iterator[tuple[SentRequest, Row, Endpoint]]:
        """The lines that reach the partner of an endpoint now, with the rows that take them there."""
        for verb in self.tables.verbs.values():
            if verb.relays and (endpoint.state, verb.verb) not in self.server.relational:
                name = endpoint.name if verb.name_field else NOBODY
                line = SentRequest(verb.verb, name, meant_name=endpoint.name)
                yield from ((line, row, after) for row, after in self._taken(endpoint, line) if row.relays)

    def _taken(self, endpoint: Endpoint, sent: SentRequest) -> Iterator[tuple[Row, Endpoint]]:
        """The rows that a request of this endpoint meets, and the endpoint after each of them."""
        holder = endpoint.me if sent.name == endpoint.name else NOBODY
        for step in self.server.take(endpoint._replace(up=(sent,)), holder, endpoint.state in self.linked, ()):
            if step.endpoint is not None:
                yield self.tables.rows[step.row], step.endpoint._replace(down=())

    # What must hold at each endpoint by itself

    def violations(self, endpoint: Endpoint) -> Iterator[Violation]:
        """The properties that this endpoint breaks by itself."""
        if endpoint.partner != NOBODY and endpoint.state not in self.linked:
            yield Violation(ASYMMETRIC, f"{endpoint.state} with a partner")
        if endpoint.state == self.spec.final:
            if endpoint.name != NOBODY:
                yield Violation(VIEWS, f"{endpoint.state} with a name that is not free")
            return
        seen, faults = self.client.settled(endpoint)
        yield from faults
        if not faults:
            answered = [sent.verb for sent in endpoint.up if self.tables.verbs[sent.verb].answered]
            missing = [sent.verb for sent in seen.unanswered]
            if missing != answered:
                yield Violation(ANSWERS, f"{missing[0] if missing else answered[0]} is never answered")
            server = endpoint.state, endpoint.name, endpoint.partner, endpoint.answered, endpoint.accepted
            if server != (seen.view, seen.own_name, seen.peer, seen.has_answered, seen.is_accepted):
                yield Violation(VIEWS, f"in {endpoint.state}")
        for _, _, violations in self.inert_requests(endpoint):
            yield from violations
        yield from (violation for _, violation in self.strays(endpoint))

    # What must hold between endpoints

    def violations_between(self, endpoint: Endpoint, partner: Endpoint) -> Iterator[Violation]:
        """The properties that two ends of the link break together."""
        if partner.partner != endpoint.me:
            yield Violation(ASYMMETRIC, f"{endpoint.state} with the partner of somebody else or of nobody")
            return
        seen, faults = self.client.settled(endpoint)
        if not faults and seen.peer == endpoint.partner and seen.here is not partner.answered:
            knows = "has not answered" if partner.answered else "has answered"
            yield Violation(BELIEF, f"in {endpoint.state} its client sees that the partner {knows}")

    def broken_invariants(self, state: GlobalState) -> Iterator[Violation]:
        """The invariants of the spec that do not hold."""
        for invariant in self.spec.invariants:
            columns = self.spec.relations[invariant.relation].columns
            kept = self.tables.relations.columns[invariant.relation]
            for fact in state.facts:
                if fact.relation == invariant.relation:
                    values = {columns[place].name: value for (place, _), value in zip(kept, fact.values, strict=True)}
                    kinds = {columns[place].name: kind for place, kind in kept}
                    if not all(self._holds(condition, values, kinds, state) for condition in invariant.conditions):
                        yield Violation(INVARIANT, f"{invariant.relation}: {invariant.doc}")

    def _holds(
        self, condition: Condition, values: Mapping[str, Value], kinds: Mapping[str, Kind], state: GlobalState
    ) -> bool:
        """Whether a condition holds of a tuple; what the model leaves out is taken to hold."""
        if condition.kind in OF_A_RELATION:
            asker = Asker(NOBODY, columns=values)
            return self.tables.relations.holds(state.facts, condition, asker) is not False
        value = values.get(str(condition.field))
        if value is None:
            return True
        users = [endpoint for endpoint in state.endpoints if endpoint.name != NOBODY]
        if kinds[str(condition.field)] == "user":
            users = [endpoint for endpoint in users if endpoint.me == value]
        else:
            users = [endpoint for endpoint in users if endpoint.name == value]
        match condition.kind:
            case "taken":
                return bool(users)
            case "unknown":
                return not users
            case "linked":
                return any(endpoint.state in self.linked for endpoint in users)
            case "equals" | "differs":
                return (value == condition.value) == (condition.kind == "equals")
            case _:
                raise UnsupportedSpecError(f"an invariant asks whether {condition}; the model knows no own end there")
