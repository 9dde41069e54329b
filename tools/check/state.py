"""The state of the system, as small immutable values: connections, the frames on their way, and the relations' tuples.

Connections and names are numbers here, since only their equality matters. Some values are ghosts: no real machine knows
them, but the properties ask about them. They say for whom a line is meant, and which chat a request is about.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

NOBODY = -1  # no connection, no name

NO_CHAT, THIS_CHAT, PAST_CHAT = range(3)
"""What a request is about, seen from the server: no chat that its sender sees, the present one, or one that is over."""

Value = int | str  # of a tuple: a connection, a name, or a word


class Fact(NamedTuple):
    """A tuple of a relation, with the values of the columns that the model keeps."""

    relation: str
    values: tuple[Value, ...]


Facts = tuple[Fact, ...]  # sorted


class SentRequest(NamedTuple):
    """A request on its way. `words` is an index of `Verb.words`.

    Ghosts: a line is meant for a connection (`meant`), or for the user of a name that was called and has not answered
    yet (`meant_name`). `chat`: which chat the request is about.
    """

    verb: str
    name: int = NOBODY
    words: int = 0
    meant: int = NOBODY
    meant_name: int = NOBODY
    chat: int = NO_CHAT


class SentReply(NamedTuple):
    """A reply on its way, and the name in it. Ghosts: `who` has that name; `fresh`: the server still has this chat."""

    key: str
    name: int = NOBODY
    who: int = NOBODY
    fresh: bool = False


class Endpoint(NamedTuple):
    """One connection: what the server knows, what its client believes, and the frames on their way.

    `called`: the timers of a call may still do something. `wild`: its client keeps none of the client's rules.
    """

    me: int
    state: str  # the server's: state, name, partner, and whether this end has answered and is accepted
    name: int = NOBODY
    partner: int = NOBODY
    answered: bool = False
    accepted: bool = False
    called: bool = False
    view: str = ""  # the client's belief of the same, and whether its partner has answered
    own_name: int = NOBODY
    peer: int = NOBODY
    peer_name: int = NOBODY
    has_answered: bool = False
    is_accepted: bool = False
    here: bool = False
    fresh: bool = False  # a ghost: the server still has the chat that the client sees
    unanswered: tuple[SentRequest, ...] = ()  # without ghosts; requests without an answer are left out
    up: tuple[SentRequest, ...] = ()
    down: tuple[SentReply, ...] = ()
    wild: bool = False


class GlobalState(NamedTuple):
    """All connections, each at its own number, and the tuples of the relations."""

    endpoints: tuple[Endpoint, ...]
    facts: Facts = ()

    def with_changes(self, changed: Sequence[Endpoint], facts: Facts) -> GlobalState:
        new = {endpoint.me: endpoint for endpoint in changed}
        return GlobalState(tuple(new.get(endpoint.me, endpoint) for endpoint in self.endpoints), facts)


class Action(NamedTuple):
    """A step of the system at the connection `who`.

    A client sends or reads. The server takes a request, closes a connection, or its timer runs out: then `row` fires.
    """

    kind: Literal["send", "read", "take", "close", "timer"]
    who: int
    sent: SentRequest | None = None
    row: int | None = None


def without_chat(endpoint: Endpoint) -> Endpoint:
    """The endpoint after its chat has begun or ended: frames on their way are about an earlier chat."""
    return endpoint._replace(
        fresh=False,
        up=tuple(sent._replace(chat=PAST_CHAT) if sent.chat == THIS_CHAT else sent for sent in endpoint.up),
        down=tuple(reply._replace(fresh=False) if reply.fresh else reply for reply in endpoint.down),
    )


def renamed(endpoint: Endpoint, connections: tuple[int, ...], names: tuple[int, ...]) -> Endpoint:
    """The endpoint with other numbers for connections and names."""
    who, name = (*connections, NOBODY), (*names, NOBODY)  # so that NOBODY, the last one, stays itself
    return endpoint._replace(
        me=who[endpoint.me],
        name=name[endpoint.name],
        partner=who[endpoint.partner],
        own_name=name[endpoint.own_name],
        peer=who[endpoint.peer],
        peer_name=name[endpoint.peer_name],
        unanswered=tuple(sent._replace(name=name[sent.name]) for sent in endpoint.unanswered),
        up=tuple(
            sent._replace(name=name[sent.name], meant=who[sent.meant], meant_name=name[sent.meant_name])
            for sent in endpoint.up
        ),
        down=tuple(reply._replace(name=name[reply.name], who=who[reply.who]) for reply in endpoint.down),
    )
