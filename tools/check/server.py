"""What the server does: which row it takes, and what the row changes at its connection, at others and in the relations.

Pure functions over small immutable values. Knows no verb and no state by name, and nothing of the search.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pychat.spec.forms import Template
from pychat.spec.terms import OF_A_RELATION, OWN_END, Condition, Effect

from .client import Client, own_end
from .properties import ANSWERS, ASYMMETRIC, MISDELIVERED, OTHER_CALL, OTHER_CHAT, REPEATED, UNSPECIFIED, Violation
from .relations import Asker, News
from .rows import Row, Tables
from .state import NO_CHAT, NOBODY, PAST_CHAT, THIS_CHAT, Endpoint, Fact, Facts, SentReply, SentRequest, without_chat

Violations = tuple[Violation, ...]


class OtherStep(NamedTuple):
    """What a row does to another connection: whose row, the name of that user, and the name that is meant.

    With a `reply` it only tells the connection something; `row` is then that of the tell.
    """

    row: int
    source: int
    name: int
    meant_name: int = NOBODY
    reply: str | None = None


class Told(NamedTuple):
    """What a connection is told: the reply, its template, and the tuple whose columns are variables of it."""

    who: int
    reply: str
    text: Template
    fact: Fact | None = None


class ServerStep(NamedTuple):
    """A step of the server: the row, the endpoint after it (None: it cannot be applied), and the tuples after it.

    `others` are what other connections get, in their order.
    """

    row: int
    endpoint: Endpoint | None
    facts: Facts
    others: tuple[tuple[int, OtherStep], ...]
    violations: Violations


class Server:
    """The server of a spec. What it sends is judged with the rules of its clients."""

    def __init__(self, tables: Tables, client: Client, tuples: int | None = None) -> None:
        self.tables = tables
        self.spec = tables.spec
        self.client = client
        self.tuples = tuples  # the most that are kept
        self.linked = self.spec.link.held_in
        self.rows = tables.by_request()
        self.endings = tables.endings
        self.timed = any(row.of_call for row in tables.rows)
        # Where each timer of a call asks this, an end that has answered needs no timer any more.
        self.rings_unanswered = all(
            any(condition.kind == "not answered" for condition in row.conditions) for row in tables.rows if row.of_call
        )
        # The requests in each state whose rows have to do with the relations.
        self.relational = {key for key, rows in self.rows.items() if any(row.asks_relations for row in rows)}
        self.relational |= {(state, verb) for state, verb in self.rows if self._ends(state, verb)}

    def _ends(self, state: str, verb: str) -> bool:
        return bool(self.spec.relations) and any(row.to == self.spec.final for row in self.rows[state, verb])

    # Steps

    def take(self, endpoint: Endpoint, holder: int, holder_linked: bool, facts: Facts) -> Iterator[ServerStep]:
        """The server takes the next request. `holder` is the connection that has the name in it, if it has one.

        There are several steps where a row depends on what the model leaves out.
        """
        sent, rest = endpoint.up[0], endpoint._replace(up=endpoint.up[1:])
        asker = self.asker(endpoint, sent, holder)
        for row in self.choose(endpoint, sent, asker, holder_linked, facts):
            violations = tuple(self.violations_of_taking(endpoint, sent, row))
            other = holder if row.links else endpoint.partner
            if row.links and (endpoint.partner != NOBODY or holder in (NOBODY, endpoint.me)):
                violations += (Violation(ASYMMETRIC, f"{row} without a free other end"),)
                yield ServerStep(row.index, None, facts, (), violations)
                continue
            meant_name = NOBODY
            if row.relays and row.push is not None and other != NOBODY and not endpoint.wild:
                if sent.meant != other and sent.meant_name == NOBODY:
                    violations += (Violation(MISDELIVERED, str(row)),)
                elif sent.meant == other and sent.chat == PAST_CHAT:
                    violations += (Violation(MISDELIVERED, f"{row}, in a newer chat"),)
                meant_name = sent.meant_name
            yield self._done(rest, sent, row, other, asker, facts, violations, meant_name)

    def close(self, endpoint: Endpoint, facts: Facts) -> Iterator[ServerStep]:
        """The connection ends without a request."""
        for row in self.endings:
            asker = Asker(endpoint.me, endpoint.name)
            yield self._done(endpoint, SentRequest(""), row, endpoint.partner, asker, facts, ())

    def time_out(self, endpoint: Endpoint, facts: Facts) -> Iterator[ServerStep]:
        """A timer runs out, which it may do at any time."""
        asker = Asker(endpoint.me, endpoint.name)
        for row in self.rows.get((endpoint.state, ""), ()):
            if row.of_call and not endpoint.called:
                continue
            asked = (self._holds(each, endpoint, SentRequest(""), asker, False, facts) for each in row.conditions)
            if False not in asked:
                yield self._done(endpoint, SentRequest(""), row, endpoint.partner, asker, facts, ())

    def asker(self, endpoint: Endpoint, sent: SentRequest, holder: int) -> Asker:
        """For whom the entries of a row are read when it is taken for a request."""
        words = self.tables.verbs[sent.verb].words[sent.words]
        return Asker(endpoint.me, endpoint.name, holder, sent.name, words)

    # Which row

    def choose(
        self, endpoint: Endpoint, sent: SentRequest, asker: Asker, holder_linked: bool, facts: Facts
    ) -> Iterator[Row]:
        """The rows that may be taken: the first one that holds, and those before it that may hold."""
        for row in self.rows[endpoint.state, sent.verb]:
            answers = {
                self._holds(condition, endpoint, sent, asker, holder_linked, facts) for condition in row.conditions
            }
            if False not in answers:
                yield row
                if None not in answers and not row.perhaps:
                    return

    def _holds(
        self,
        condition: Condition,
        endpoint: Endpoint,
        sent: SentRequest,
        asker: Asker,
        holder_linked: bool,
        facts: Facts,
    ) -> bool | None:
        holder = asker.holder
        if condition.kind in OF_A_RELATION:
            return self.tables.relations.holds(facts, condition, asker)
        if condition.kind in OWN_END:
            return own_end(condition.kind, endpoint.partner, endpoint.answered, endpoint.accepted)
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
            case _:
                value = asker.words[str(condition.field)]
                return (value == condition.value) == (condition.kind == "equals")

    def violations_of_taking(self, endpoint: Endpoint, sent: SentRequest, row: Row) -> Iterator[Violation]:
        """What it violates that this row is taken for a request."""
        wanted = int(row.refuses or self.tables.verbs[sent.verb].answered)
        if len(row.answers) != wanted:
            yield Violation(ANSWERS, f"{row} has {len(row.answers)} instead of {wanted}")
        if endpoint.wild:
            return
        if row.misplaced and sent.verb not in self.spec.fault_rule("state", endpoint.state, sent.verb).uncounted:
            yield Violation(UNSPECIFIED, f"{sent.verb} in {endpoint.state}")
        if row.unlinks and row.to != self.spec.final and endpoint.partner != NOBODY and sent.chat != THIS_CHAT:
            yield Violation(OTHER_CHAT, str(row))
        if row.links and sent.chat != NO_CHAT:
            yield Violation(OTHER_CALL, f"{row} begins a chat")
        if "accept" in row.kinds and sent.chat == PAST_CHAT:
            yield Violation(OTHER_CALL, str(row))

    # What the row does

    def _done(
        self,
        endpoint: Endpoint,
        sent: SentRequest,
        row: Row,
        other: int,
        asker: Asker,
        facts: Facts,
        violations: Violations,
        meant_name: int = NOBODY,
    ) -> ServerStep:
        me = endpoint.me
        after, news, new = self.consequences(endpoint, row, asker, facts)
        if not new and row.tells:
            violations += (Violation(REPEATED, str(row)),)
        moved, found = self._moved(endpoint, sent, row, other)
        others: list[tuple[int, OtherStep]] = []
        if other not in (NOBODY, me) and (row.push is not None or row.links or row.unlinks):
            others.append((other, OtherStep(row.index, me, endpoint.name, meant_name)))
        for told in self.told(row, after, news, asker):
            if told.who == me:
                moved, more_found = self.queued(moved, SentReply(told.reply))
                found += more_found
            else:
                others.append((told.who, OtherStep(row.index, me, endpoint.name, reply=told.reply)))
        return ServerStep(row.index, moved, after, tuple(others), violations + found)

    def consequences(
        self, endpoint: Endpoint, row: Row, asker: Asker, facts: Facts
    ) -> tuple[Facts, tuple[News, ...], bool]:
        """The tuples after a row, what has come and gone, and whether each added tuple is new."""
        relations = self.tables.relations
        after, news, new = relations.apply(facts, row.effects, asker, self.tuples)
        if after and ("release" in row.kinds or row.to == self.spec.final):
            after, more = relations.without(after, endpoint.me)
            news += more
        return after, news, new

    def told(self, row: Row, after: Facts, news: tuple[News, ...], asker: Asker) -> Iterator[Told]:
        """What connections get by the tells of a row, and because of what has come and gone in a relation."""
        relations = self.tables.relations
        for tell in row.tells:
            if tell.entry is None:
                if asker.holder != NOBODY:
                    yield Told(asker.holder, tell.reply, tell.text)
                continue
            matching = relations.matching(after, tell.entry, asker)
            if tell.kind == "each":
                yield from (Told(asker.me, tell.reply, tell.text, fact) for fact in matching)
            else:
                users = relations.users(matching)
                yield from (Told(user, tell.reply, tell.text) for user in users if user != asker.me)
        for fact, added in news:
            change = self.tables.changes.get((fact.relation, added))
            if change is not None:
                yield from (Told(user, *change, fact) for user in relations.readers(after, fact))

    def _moved(self, endpoint: Endpoint, sent: SentRequest, row: Row, other: int) -> tuple[Endpoint, Violations]:
        """This endpoint after a row: its effects, its state, and its answers on their way."""
        partner = endpoint.partner  # before
        for effect in row.effects:
            endpoint = self.effect(endpoint, effect, sent, other)
        if row.to is not None:
            endpoint = endpoint._replace(state=row.to)
        if endpoint.state == self.spec.final:
            return self._over(endpoint), ()
        if row.links or row.unlinks or endpoint.state not in self.linked:
            endpoint = without_chat(endpoint)
        name = sent.name if not row.kinds.isdisjoint({"bind", "link", "accept"}) else NOBODY
        who = other if row.links else NOBODY if row.verb else partner  # a timer's push is about the partner
        violations: Violations = ()
        for reply in row.answers:
            endpoint, found = self.queued(endpoint, SentReply(reply, name, who, row.links))
            violations += found
        return endpoint, violations

    def effect(self, endpoint: Endpoint, effect: Effect, sent: SentRequest, other: int) -> Endpoint:
        """This endpoint after one effect of a row."""
        match effect.kind:
            case "bind":
                return endpoint._replace(name=sent.name)
            case "link":
                return endpoint._replace(partner=other, answered=True, accepted=True, called=False)
            case "accept":
                called = endpoint.called and not self.rings_unanswered
                return endpoint._replace(answered=True, accepted=True, called=called)
            case "retract":
                return endpoint._replace(accepted=False)
            case "unlink":
                return endpoint._replace(partner=NOBODY, answered=False, accepted=False, called=False)
            case "release":
                return endpoint._replace(name=NOBODY)
            case _:  # relay and list change nothing here, and tuples are not the endpoint's
                return endpoint

    def _over(self, endpoint: Endpoint) -> Endpoint:
        """A connection that is over. What its client still reads was judged when it was queued."""
        final = endpoint.state
        return Endpoint(
            endpoint.me, final, view=final, name=endpoint.name, partner=endpoint.partner, wild=endpoint.wild
        )

    def take_other_step(self, endpoint: Endpoint, step: OtherStep) -> tuple[Endpoint | None, Violations]:
        """Another endpoint after a row. None: the row cannot be applied there."""
        if step.reply is not None:
            return self.queued(endpoint, SentReply(step.reply, who=step.source))
        row = self.tables.rows[step.row]
        if row.push is not None and endpoint.state not in row.partner_states:
            return None, (Violation(UNSPECIFIED, f"{row} at an other end in {endpoint.state}"),)
        if row.links and endpoint.partner != NOBODY:
            return None, (Violation(ASYMMETRIC, f"{row} with the partner of somebody else"),)
        violations: Violations = ()
        if step.meant_name not in (NOBODY, endpoint.name):
            violations = (Violation(MISDELIVERED, str(row)),)
        if row.links:
            endpoint = without_chat(endpoint)._replace(
                partner=step.source, answered=False, accepted=False, called=self.timed
            )
        if row.unlinks:
            endpoint = endpoint._replace(partner=NOBODY, answered=False, accepted=False, called=False)
        if row.partner_to is not None:
            endpoint = endpoint._replace(state=row.partner_to)
        if endpoint.state not in self.linked:
            endpoint = without_chat(endpoint)
        if row.push is None:
            return endpoint, violations
        reply = SentReply(row.push, step.name if row.links else NOBODY, step.source, row.links)
        endpoint, found = self.queued(endpoint, reply)
        return endpoint, violations + found

    def queued(self, endpoint: Endpoint, reply: SentReply) -> tuple[Endpoint, Violations]:
        """The endpoint with a reply on its way, and what it violates.

        A light reply changes nothing where it is read, and replies keep their order: it is judged by what the client
        will see then, and not kept, which saves most of the states.
        """
        reaction = self.tables.reactions[reply.key]
        if not reaction.light:
            return endpoint._replace(down=(*endpoint.down, reply)), ()
        seen, faults = self.client.settled(endpoint)
        if faults:
            return endpoint, ()  # the reply before it is the fault
        _, violations = self.client.place(seen, reply, reaction)
        return endpoint, violations
