"""What a client does: which requests it may send, and what it makes of the replies that it reads.

Pure functions over small immutable values. Knows no verb and no state by name, and nothing of other connections.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from pychat.spec.terms import Condition, ConditionKind

from .properties import UNPLACED, Violation
from .replies import Change, Reaction
from .rows import Tables, Verb
from .state import NO_CHAT, NOBODY, PAST_CHAT, THIS_CHAT, Endpoint, SentReply, SentRequest


class Client:
    """The clients of a spec, with at most `up` requests on their way and as many names as connections.

    A client does not send while `up + down` answers are missing; without a bound the states would be infinitely many.
    """

    def __init__(self, tables: Tables, clients: int, up: int, down: int) -> None:
        self.tables = tables
        self.spec = tables.spec
        self.clients = clients
        self.up = up
        self.most_unanswered = up + down
        self._recv = {name: frozenset(state.recv) for name, state in self.spec.states.items()}
        self._verbs = [verb for verb in tables.verbs.values() if not verb.inert]
        self._inert = [verb for verb in tables.verbs.values() if verb.inert]
        self._forced = {push.reply.form.verb for push in self.spec.pushes.values() if push.reply is not None}
        self._settled: dict[Endpoint, tuple[Endpoint, tuple[Violation, ...]]] = {}

    # What it sends

    def sends(self, endpoint: Endpoint) -> Iterator[tuple[SentRequest, Endpoint]]:
        """Each request that the rules let this client send now, and the endpoint after it."""
        if endpoint.state == self.spec.final or len(endpoint.up) >= self.up:
            return
        for verb in self._verbs:
            if self.may_send(endpoint, verb):
                if verb.answered and len(endpoint.unanswered) >= self.most_unanswered:
                    continue
                for sent in self._variants(endpoint, verb):
                    asked = SentRequest(sent.verb, sent.name, sent.words)
                    unanswered = (*endpoint.unanswered, asked) if verb.answered else endpoint.unanswered
                    yield sent, endpoint._replace(unanswered=unanswered, up=(*endpoint.up, sent))

    def inert_requests(self, endpoint: Endpoint) -> Iterator[SentRequest]:
        """The inert requests that the server might take from this endpoint now.

        They never lie in a queue, so they add no state: a request that changes nothing can be thought of as sent just
        before it is taken, and its answer as read just after.
        """
        if endpoint.up or endpoint.state == self.spec.final:
            return
        for verb in self._inert:
            if verb.verb in self._forced or self.may_send(endpoint, verb):
                name = endpoint.me if verb.name_field else NOBODY  # any name: none of its rows asks about it
                for words in range(len(verb.words)):
                    yield SentRequest(verb.verb, name, words)

    def may_send(self, endpoint: Endpoint, verb: Verb) -> bool:
        """Whether the rules for clients allow it now; a wild client has none but that nothing follows the end."""
        rules, waiting = self.spec.client, [sent.verb for sent in endpoint.unanswered]
        if any(self.tables.verbs[name].ends for name in waiting):
            return False  # nothing follows the last request: the server would not read it
        if endpoint.wild:
            return True
        if verb.verb in rules.one_unanswered and not rules.one_unanswered.isdisjoint(waiting):
            return False
        return verb.verb in self._recv[endpoint.view] or rules.may_follow.get(verb.verb) in waiting

    def _variants(self, endpoint: Endpoint, verb: Verb) -> Iterator[SentRequest]:
        condition = None if endpoint.wild else self.spec.client.only_if.get(endpoint.view, {}).get(verb.verb)
        for name, words in product(range(self.clients) if verb.name_field else (NOBODY,), range(len(verb.words))):
            sent = SentRequest(verb.verb, name, words, chat=self._chat(endpoint, verb, name))
            if condition is None or self._holds(condition, endpoint, sent):
                yield from self._meant(endpoint, sent) if verb.relays and not endpoint.wild else (sent,)

    def _chat(self, endpoint: Endpoint, verb: Verb, name: int) -> int:
        """Which chat a request is about: one that answers a call is about the chat only if it names the partner."""
        if endpoint.wild or not (verb.unlinks or (verb.accepts and name == endpoint.peer_name != NOBODY)):
            return NO_CHAT
        return THIS_CHAT if endpoint.fresh else PAST_CHAT

    def _meant(self, endpoint: Endpoint, sent: SentRequest) -> Iterator[SentRequest]:
        """A line, once for each user for whom its sender may mean it."""
        if sent.verb in self._recv[endpoint.view]:
            yield sent._replace(meant=endpoint.peer, chat=THIS_CHAT if endpoint.fresh else PAST_CHAT)
        called = self.spec.client.may_follow.get(sent.verb)
        for before in endpoint.unanswered:
            if before.verb == called:
                yield sent._replace(meant_name=before.name)

    def _holds(self, condition: Condition, endpoint: Endpoint, sent: SentRequest) -> bool:
        if condition.kind == "the partner":
            return endpoint.peer != NOBODY and endpoint.peer_name == sent.name
        if condition.kind in ("equals", "differs"):
            value = self.tables.verbs[sent.verb].words[sent.words][str(condition.field)]
            return (value == condition.value) == (condition.kind == "equals")
        return own_end(condition.kind, endpoint.peer, endpoint.has_answered, endpoint.is_accepted)

    # What it reads

    def receive(self, endpoint: Endpoint) -> tuple[Endpoint | None, tuple[Violation, ...]]:
        """The client reads the next reply. None: the reply has no place in its view."""
        reply, rest = endpoint.down[0], endpoint._replace(down=endpoint.down[1:])
        reaction = self.tables.reactions[reply.key]
        if reaction.verb is not None and self.tables.verbs[reaction.verb].answered:
            if not endpoint.unanswered or endpoint.unanswered[0].verb != reaction.verb:
                return None, (Violation(UNPLACED, f"{reply.key} answers nothing that is to be answered now"),)
            rest = rest._replace(unanswered=endpoint.unanswered[1:])
        change, violations = self.place(endpoint, reply, reaction)
        return None if change is None else self.changed(rest, reply, change), violations

    def place(
        self, endpoint: Endpoint, reply: SentReply, reaction: Reaction
    ) -> tuple[Change | None, tuple[Violation, ...]]:
        """What a reply changes in the view that the client has now. None: it has no place there."""
        places = reaction.places.get(endpoint.view)
        if places is None:
            return None, (Violation(UNPLACED, f"{reply.key} in {endpoint.view}"),)
        for known, here, change in places:
            if here in (None, endpoint.here) and all(self._knows(kind, endpoint) is holds for kind, holds in known):
                if not _of_the_partner(endpoint, reply, change):
                    about = f"{reply.key} in {endpoint.view}, of somebody who is not the partner there"
                    return None, (Violation(UNPLACED, about),)
                return change, ()
        return None, (Violation(UNPLACED, f"{reply.key} in {endpoint.view}, against what its client has seen"),)

    def _knows(self, kind: ConditionKind, endpoint: Endpoint) -> bool:
        return own_end(kind, endpoint.peer, endpoint.has_answered, endpoint.is_accepted)

    def changed(self, endpoint: Endpoint, reply: SentReply, change: Change) -> Endpoint:
        """The client's view after a reply that has a place in it."""
        effects, own = change.effects, not change.mirrored
        if change.to is not None:
            endpoint = endpoint._replace(view=change.to)
        if "link" in effects:
            endpoint = endpoint._replace(
                peer=reply.who,
                peer_name=reply.name,
                has_answered=own,
                is_accepted=own,
                here=not own,
                fresh=reply.fresh,
            )
        linked = endpoint.view in self.spec.link.held_in
        if "unlink" in effects or not linked:
            endpoint = endpoint._replace(
                peer=NOBODY,
                peer_name=NOBODY,
                has_answered=False,
                is_accepted=False,
                here=False,
                fresh=linked and endpoint.fresh,
            )
        if "bind" in effects:
            endpoint = endpoint._replace(own_name=reply.name)
        if "accept" in effects:
            endpoint = endpoint._replace(has_answered=True, is_accepted=True) if own else endpoint._replace(here=True)
        if "retract" in effects:
            endpoint = endpoint._replace(is_accepted=False)
        return endpoint

    def settled(self, endpoint: Endpoint) -> tuple[Endpoint, tuple[Violation, ...]]:
        """The endpoint when its client has read all that is on its way, or all before a reply without a place.

        A view changes only by what is read, and replies keep their order. So what a reply finds is decided when it is
        queued, and can be judged then.
        """
        found = self._settled.get(endpoint)
        if found is None:
            if not endpoint.down:
                found = endpoint, ()
            else:
                after, violations = self.receive(endpoint)
                found = (endpoint, violations) if after is None else self.settled(after)
            self._settled[endpoint] = found
        return found


def _of_the_partner(endpoint: Endpoint, reply: SentReply, change: Change) -> bool:
    """Whether a reply is about the partner that its client sees, where it must be."""
    if change.mirrored:
        return "link" in change.effects or reply.who == endpoint.peer
    if "accept" in change.effects:
        return endpoint.peer != NOBODY and reply.name in (NOBODY, endpoint.peer_name)
    return True


def own_end(kind: ConditionKind, partner: int, answered: bool, accepted: bool) -> bool:
    """Whether a condition about one end of the link holds there."""
    match kind:
        case "no partner":
            return partner == NOBODY
        case "a partner":
            return partner != NOBODY
        case "not accepted":
            return not accepted
        case "not answered":
            return not answered
        case _:
            raise ValueError(f"{kind} is not about one end of the link")
