"""The properties that a protocol must have, each with its sentence. Knows no spec and no state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

UNSPECIFIED = "unspecified reception"
UNPLACED = "reply without a place"
ANSWERS = "one answer to each request"
ASYMMETRIC = "asymmetric link"
MISDELIVERED = "misdelivered line"
OTHER_CHAT = "end of another chat"
VIEWS = "differing views"
AMBIGUOUS = "ambiguous reply"
DEADLOCK = "deadlock"
DEAD_END = "dead end"
NEVER = "row that never fires"

PROPERTIES: Mapping[str, str] = {
    UNSPECIFIED: "Each request that a client may send meets a row in the server's state.",
    UNPLACED: "Each reply has a place in the state in which its client sees itself.",
    ANSWERS: "Each request gets exactly one answer, in the order of the requests.",
    ASYMMETRIC: "Partners are each other's partner, and both are in a state that holds the link.",
    MISDELIVERED: "A line reaches only the partner for whom its sender meant it.",
    OTHER_CHAT: "A request ends only the chat that its sender saw when it was sent.",
    VIEWS: "When nothing is on its way to a client, it sees itself as the server does.",
    AMBIGUOUS: "A client can tell from a reply, and from the state that it sees, what has changed.",
    DEADLOCK: "There is a next step until all connections are over.",
    DEAD_END: "Each connection can come to its end by requests.",
    NEVER: "Each row fires somewhere.",
}


class Violation(NamedTuple):
    """A property that does not hold, and where."""

    property: str
    about: str

    def __str__(self) -> str:
        return f"{self.property}: {self.about}"
