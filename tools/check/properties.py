"""The properties that a protocol must have, each with its sentence. Knows no spec and no state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

UNSPECIFIED = "unspecified reception"
UNPLACED = "reply without a place"
ANSWERS = "one answer to each request"
ASYMMETRIC = "asymmetric link"
MISDELIVERED = "misdelivered line"
STRAY = "line after another name"
OTHER_CHAT = "end of another chat"
OTHER_CALL = "answer to another call"
VIEWS = "differing views"
BELIEF = "belief about the partner"
REPEATED = "news told twice"
INVARIANT = "broken invariant"
AMBIGUOUS = "ambiguous reply"
DEADLOCK = "deadlock"
DEAD_END = "dead end"
NEVER = "row that never fires"

PROPERTIES: Mapping[str, str] = {
    UNSPECIFIED: "Each request that a client may send meets a row in the server's state.",
    UNPLACED: "Each reply has a place in what its client sees when it has read the replies before it.",
    ANSWERS: "Each request gets exactly one answer, in the order of the requests.",
    ASYMMETRIC: "Partners are each other's partner, and both are in a state that holds the link.",
    MISDELIVERED: "A line reaches only the partner for whom its sender meant it, in the chat that its sender saw.",
    STRAY: (
        "Also of a client that keeps no rule: a line reaches the partner only while the last request that calls or "
        "answers named that partner."
    ),
    OTHER_CHAT: "A request ends only the chat that its sender saw when it was sent.",
    OTHER_CALL: "A request that answers a call answers only that call, and never begins a chat.",
    VIEWS: "When a client has read what is on its way, it sees itself as the server does.",
    BELIEF: "When a client has read what is on its way, it knows whether its partner has answered.",
    REPEATED: "What is told with a new tuple of a relation is told once while the tuple is there.",
    INVARIANT: "The spec's invariants hold between any two steps.",
    AMBIGUOUS: "A client can tell from a reply, and from what it sees, what has changed.",
    DEADLOCK: "While a frame is on its way, one can be taken or read; there is a next step until all is over.",
    DEAD_END: "Each connection can come to its end by requests.",
    NEVER: "Each row fires somewhere.",
}


class Violation(NamedTuple):
    """A property that does not hold, and where."""

    property: str
    about: str

    def __str__(self) -> str:
        return f"{self.property}: {self.about}"
