"""What a few connections have done so far, move by move, and what tells one past from another. Knows no verb by name.

A server that forgets to clear something (a partner, an acceptance, a name) is right until a connection comes to the
same row in another way. What it may have kept is what a past has here: what the connection did or heard last, whom it
was linked with before, what it had said to that one, and where that one is now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pychat.spec import Spec
from pychat.spec.model import Outcome

from .frames import Faulty, Parsed
from .knowledge import BrokenInvariantError
from .lines import CAST
from .model import Due, Text, World
from .paths import Paths

MANY = 3  # links, from which on they are alike
Feature = tuple[object, ...]


class Move(NamedTuple):
    """What one connection does: a line, with the row that it takes, or its end. `named`: whom the line names."""

    who: str
    kind: Literal["send", "finish", "reset"]
    octets: bytes = b""
    row: Outcome | None = None
    named: str | None = None

    @property
    def what(self) -> str:
        return self.kind if self.row is None else self.row.name


@dataclass(slots=True)
class Past:
    """What a connection did or heard last, and its last link: with whom, what it had said in it, and what ended it."""

    last: str = ""
    former: str | None = None
    said: tuple[bool, bool] = (False, False)  # whether it had answered, and was accepted
    ended: tuple[str, bool] = ("", False)  # by which move, and whether that was its own
    links: int = 0  # so far, up to MANY


def matters(spec: Spec, state: str, row: Outcome) -> bool:
    """Whether a row may show or change what is left of the past; a connection that has just come has none."""
    changes = bool(row.to or [effect for effect in row.effects if effect.kind not in ("relay", "list")])
    return changes or (row.error is not None and state != spec.initial)


class Repertoire:
    """What each of the cast may send, read once for many histories. `asked`: states, verbs with a row that matters."""

    def __init__(self, paths: Paths) -> None:
        self.spec = paths.spec
        self.said = {line: paths.read(line) for who in CAST for line in paths.lines(who)}
        self.lines = {who: list(dict.fromkeys(paths.lines(who))) for who in CAST}
        rows = ((state, row) for state, row in self.spec.outcomes() if matters(self.spec, state, row))
        self.asked = {(state, row.verb) for state, row in rows}


class History:
    """`people` are the connections that live now, one in each place of the cast."""

    def __init__(self, repertoire: Repertoire) -> None:
        self.repertoire = repertoire
        self.spec = repertoire.spec
        self.world = World(self.spec)
        self.people = {place: place for place in CAST}
        self.pasts = {place: Past() for place in CAST}
        self.moves: list[Move] = []
        self._lives = 0  # of connections that took another one's place
        for who in CAST:
            self.world.open(who)
        self._look()

    def choices(self) -> Iterator[Move]:
        """What may come next: each line whose row matters, and each end of a connection that has a past."""
        for place, who in self.people.items():
            state = self.world.connections[who].state
            for line in self.repertoire.lines[place]:
                if (state, self.repertoire.said[line].verb) in self.repertoire.asked:
                    move = self.line(who, line)
                    if move.row is not None and matters(self.spec, state, move.row):
                        yield move
            if state != self.spec.initial:
                yield Move(who, "finish")
            if self.world.connections[who].partner is not None:  # else no push shows when it has taken effect
                yield Move(who, "reset")

    def line(self, who: str, octets: bytes) -> Move:
        """The move of one of the lines of the cast."""
        said = self.repertoire.said[octets]
        return Move(who, "send", octets, self.world.row_of(who, said), self._named(said))

    def say(self, who: str, octets: bytes) -> None:
        """One says a line that changes nothing, unless it is a fault that counts."""
        said, state = self.repertoire.said[octets], self.world.connections[who].state
        fault = self.spec.first_fault(state, None, said.verb)
        if fault is None or said.verb in fault.uncounted:
            self.moves.append(Move(who, "send", octets))

    def _named(self, said: Parsed | Faulty) -> str | None:
        if isinstance(said, Faulty):
            return None
        keys = self.spec.requests[said.verb].form.fields_of(self.spec.names)
        user = self.world.user_named(said.values[keys[0]]) if keys else None
        return user.id if user is not None else None

    def features(self, move: Move) -> list[Feature]:
        """What tells a move from the same one with another past: several things, each of which is looked at alone."""
        who, past, me = move.who, self.pasts[move.who], self.world.connections[move.who]
        here = self._where[who], move.what
        other = move.named or me.partner
        about: Feature = ()
        if other is not None and other != who:
            about = self._where[other], self._former(other, who), self.pasts[other].said
        others = sorted(self._where[one] for one in self.people.values() if one != who)
        return [
            ("after", *here, past.last),
            ("former", *here, self._former(who, other), past.said),
            ("ended", *here, past.ended, past.said),
            ("about", *here, *about),
            ("among", *here, *others),
            ("links", *here, past.links),
        ]

    def _former(self, who: str, other: str | None) -> str:
        """Where the former partner of a connection is now."""
        former = self.pasts[who].former
        if former is None or former == other:
            return "none" if former is None else "the same"
        return self._where[former]

    def _look(self) -> None:
        """Notes where everybody is, which each of many choices asks for."""
        self._where = {who: self.world.configuration(who) for who in self.world.connections}

    def take(self, move: Move) -> bool:
        """Makes a move; False where what comes of it breaks an invariant of the spec."""
        world = self.world.copy()
        try:
            if move.kind == "send":
                dues = world.feed(move.who, move.octets)
            else:
                dues = world.finish(move.who) if move.kind == "finish" else world.reset(move.who)
        except BrokenInvariantError:
            return False
        for who, before in self.world.connections.items():
            past, partner = self.pasts[who], world.connections[who].partner
            if partner != before.partner and before.partner is not None:
                past.former, past.said = before.partner, (before.answered, before.accepted)
                past.ended = move.what, who == move.who
            elif partner != before.partner:
                past.links = min(past.links + 1, MANY)
        for who, due in dues.items():
            self.pasts[who].last = self._heard(due) or self.pasts[who].last
        self.pasts[move.who].last = move.what
        self.world = world
        self.moves.append(move)
        if not world.is_open(move.who):
            self._replace(move.who)
        self._look()
        return True

    def _heard(self, dues: list[Due]) -> str:
        replies = [self.spec.reply_of(due.text) for due in dues if isinstance(due, Text)]
        return next((reply.key for reply in replies[::-1] if reply is not None), "")

    def _replace(self, who: str) -> None:
        """Another connection takes the place of one that has ended; it may ask for the same name."""
        place = next(place for place, one in self.people.items() if one == who)
        self._lives += 1
        self.people[place] = f"{place}{self._lives}"
        self.pasts[self.people[place]] = Past()
        self.world.open(self.people[place])
