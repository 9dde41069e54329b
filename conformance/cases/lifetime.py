"""Cases of a server as a whole, in any spec: how many connections it admits, and how it stops. Knows no verb.

Each play has a server of its own, so there are few of them, and each asks for much.
"""

from __future__ import annotations

from collections.abc import Iterator

from conformance.oracle.lines import SUBJECT, Path
from conformance.oracle.model import World

from .draft import Draft
from .matrix import Cells
from .play import Play

ROOM = 4  # connections that the server of a play admits
MANY = 30  # connections, one after the other


class Lifetime(Cells):
    """The plays of a spec about the server as a whole."""

    def plays(self) -> list[Play]:
        return self.numbered([*self._full(), *self._stops()], self.spec.ending.rule)

    def _play(self, name: str, title: str, draft: Draft, *rules: str, limited: bool = True) -> Play:
        return Play(
            f"{self.spec.initial}/{name}", title, rules, tuple(draft.steps), setup=draft.setup,
            source="the server as a whole", segments=("whole",), server=(("max", ROOM),) if limited else (),
        )  # fmt: skip

    # The limit

    def _full(self) -> Iterator[Play]:
        draft = self._filled()
        self._turned_away(draft, "e0")
        for number, (name, octets) in enumerate(self._ways_out()):
            gone, new = f"d{number}", f"d{number + 1}"
            if octets is not None:
                draft.send(gone, octets)
            if name == "reset":
                draft.reset(gone)
            else:
                draft.finish(gone)
            draft.open(new)
            self._turned_away(draft, f"e{number + 1}")
        title = "there is room for one more after each kind of an end, and for no second one"
        goodbye = self.spec.goodbye_when("full")
        yield self._play(
            f"OPEN/{goodbye.code if goodbye is not None else 'full'}", title, draft, "R-OPEN-1", "R-CLOSE-3"
        )
        draft = self._filled()
        for number in range(MANY):
            self._turned_away(draft, f"e{number}")
        draft.finish("d0").open("d1")
        self._turned_away(draft, f"e{MANY}")
        for number in range(MANY):
            draft.finish(f"e{number}")
        self._turned_away(draft, f"f{MANY}")
        title = "connections that were turned away hold no room, and give none back"
        yield self._play("OPEN/turned-away", title, draft, "R-OPEN-1", "R-CLOSE-3")
        draft = Draft(self.spec, limit=ROOM).open("a")
        for number in range(MANY):
            draft.reset(f"r{number}")
        for who in ("b", "c", "d"):
            draft.open(who)
        self._turned_away(draft, "e")
        title = "connections that are reset at once hold no room"
        yield self._play("OPEN/reset-at-once", title, draft, "R-OPEN-1")

    def _filled(self) -> Draft:
        draft = Draft(self.spec, limit=ROOM)
        for who in ("a", "b", "c", "d0"):
            draft.open(who)
        return draft

    def _turned_away(self, draft: Draft, who: str) -> None:
        """One too many: what it sends all the same is not handled, and the others are served."""
        draft.open(who).late(who, next(self.paths.lines(SUBJECT)))

    def _ways_out(self) -> Iterator[tuple[str, bytes | None]]:
        """How a connection ends from the initial state: a name, and what it sends before the end of its stream."""
        yield "half-close", None
        yield "reset", None
        line = Draft(self.spec).last_request(SUBJECT, self.paths.lines(SUBJECT))
        if line is not None:
            yield "request", line
        budget = self.spec.budget(self.spec.initial)
        if budget is not None:
            yield "faults", self.ending * budget.faults
        yield "too-long", b"x" * self.spec.framing.max_octets

    # The end

    def _stops(self) -> Iterator[Play]:
        """Nobody closes, so the server cannot wait for that."""
        draft = self._crowd().stop().exit()
        title = "a server that is stopped says goodbye to all, and ends, although nobody closes"
        yield self._play("STOP/shutting-down", title, draft, "R-CLOSE-4", "R-CLOSE-3", limited=False)

    def _crowd(self) -> Draft:
        """One in as many states as three can be in, one in the middle of a line, one that has said nothing."""
        draft = Draft(self.spec, max(self.paths.worlds, key=_variety)[1])
        half = next(self.paths.lines(SUBJECT))[:2]
        return draft.open("e").open("d").send("d", half)  # one that is not accepted yet would get no goodbye


def _variety(found: tuple[World, Path]) -> tuple[int, int]:
    """How many configurations those who have moved are in; of two paths with as many, the shorter one is better."""
    world, path = found
    return len({world.configuration(move.who) for move in path}), -len(path)
