"""What the model check's tests share: what is broken on purpose, each with its violation, and a plain search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from pychat.spec import Spec, shipped
from pychat.spec.terms import Condition
from tools.check import properties
from tools.check.client import Client
from tools.check.explore import Bounds, Search, SearchResult
from tools.check.model import Model
from tools.check.properties import Violation
from tools.check.rows import Tables, compile_tables
from tools.check.server import Server
from tools.check.state import GlobalState
from tools.check.trace import Trace, trace

from .conftest import changed
from .faults import (
    Deaf,
    Doubting,
    LeavingBlindly,
    LeavingOneSided,
    OneBit,
    OneSided,
    Overtaking,
    Resetting,
    Torn,
    confirming_the_gone,
    dead_end,
    deaf_leave,
    ending_frees_the_partner,
    flooding,
    free_callers,
    freeing_exit,
    keeping_missed,
    lasting_pins,
    little,
    one_unanswered,
    ringing_frees,
    telling_retractions,
    with_row,
    with_timer,
    without,
    without_condition,
    without_effects,
    without_quit,
)

TINY = Bounds(clients=2, up=1, down=1)
SMALL = Bounds(clients=2, up=1, down=2)
TWO = Bounds(clients=2, up=2, down=3, named=True)
THREE = Bounds(clients=3, up=2, down=3, named=True)


# --- Controls ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Control:
    """Something broken, with a violation that must be found within `steps` steps, those to the names not counted.

    The clients go by the shipped spec if it is only the server that is broken (`clients`). Rows called `label` are
    changed to what no spec can say. What no row can say is a `server`, a `client` or a `model` of its own.
    """

    make: Callable[[], Spec]
    violation: Violation
    bounds: Bounds = SMALL
    playable: bool = True  # by a real server of that spec, where no row is changed
    label: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)
    clients: Callable[[], Spec] | None = None
    server: type[Server] = Server
    client: type[Client] = Client
    model: type[Model] = Model
    shown: bool = True  # as frames of the protocol
    steps: int = 0

    def tables(self) -> Tables:
        tables = compile_tables(self.make(), None if self.clients is None else self.clients())
        rows = (replace(row, **self.changes) if row.label == self.label else row for row in tables.rows)
        return replace(tables, rows=tuple(rows))

    def search(self) -> Search:
        tables, bounds = self.tables(), self.bounds
        model = self.model(tables, bounds.clients, bounds.up, bounds.down, bounds.wild)
        model.client = self.client(tables, bounds.clients, bounds.up, bounds.down)
        model.server = self.server(tables, model.client)
        return Search(tables, bounds, model)


def unplaced(about: str) -> Violation:
    return Violation(properties.UNPLACED, about)


def faulty(make: Callable[[], Spec], violation: Violation, steps: int, bounds: Bounds = TWO, **more: Any) -> Control:
    """A control of honest calls, as short as the smallest model of them has found it."""
    return Control(make, violation, bounds, playable=False, steps=steps, **more)


AGAINST = ", against what its client has seen"
CALLS: Mapping[str, Control] = {
    "no ACCEPTED": faulty(
        lambda: with_row(shipped(), "PAIRED", "CHAT", "accepted", partner=None),
        Violation(properties.BELIEF, "in PAIRED its client sees that the partner has not answered"),
        4,
    ),
    "ACCEPTED again": faulty(
        lambda: without_condition("PAIRED", "CHAT", "accepted", "not answered"),
        unplaced("ACCEPTED in PAIRED" + AGAINST),
        5,
        clients=shipped,
    ),
    "always left": faulty(
        lambda: without(shipped(), "PAIRED", "LEAVE", "declined"),
        unplaced("GONE left in PAIRED" + AGAINST),
        5,
        clients=shipped,
    ),
    "always declined": faulty(
        lambda: without_condition("PAIRED", "LEAVE", "declined", "not answered"),
        unplaced("GONE declined in PAIRED" + AGAINST),
        5,
        clients=shipped,
    ),
    "rings after the answer": faulty(
        lambda: with_timer("ring", conditions=(Condition("a partner"),)),
        unplaced("GONE unanswered in PAIRED" + AGAINST),
        5,
        clients=shipped,
    ),
    "rings after a retraction": faulty(
        lambda: free_callers(
            with_timer("ring", since="silence", conditions=(Condition("a partner"), Condition("not accepted")))
        ),
        unplaced("GONE unanswered in PAIRED" + AGAINST),
        8,
        THREE,
        clients=lambda: free_callers(shipped()),
    ),
    "rings at one end": faulty(
        shipped,
        Violation(properties.ASYMMETRIC, "PAIRED with the partner of somebody else or of nobody"),
        3,
        server=OneSided,
    ),
    "rings silently": faulty(
        lambda: with_timer("ring", answer=None, partner=None), Violation(properties.VIEWS, "in PAIRED"), 3
    ),
    "ring makes both NAMED": faulty(
        lambda: ringing_frees(own=True),
        Violation(properties.OTHER_CALL, "NAMED CHAT/opened begins a chat"),
        6,
    ),
    "ring makes the caller NAMED": faulty(
        lambda: ringing_frees(own=False),
        Violation(properties.OTHER_CALL, "NAMED CHAT/opened begins a chat"),
        9,
    ),
    "MISSED for each call": faulty(
        flooding,
        Violation(properties.REPEATED, "NAMED CHAT/user-busy if <name> is linked"),
        8,
        THREE,
    ),
    "missed calls are kept": faulty(
        keeping_missed,
        Violation(properties.INVARIANT, "missed: A user misses calls only while it is in a chat."),
        7,
        THREE,
    ),
    "MISSED comes late": faulty(shipped, unplaced("MISSED in NAMED"), 8, THREE, server=Torn, shown=False),
    "ACCEPTED comes late": faulty(shipped, unplaced("ACCEPTED in NAMED"), 8, server=Torn, shown=False),
    "OK CHAT resets": faulty(
        shipped,
        Violation(properties.BELIEF, "in PAIRED its client sees that the partner has not answered"),
        4,
        client=Resetting,
    ),
    "CALL says nothing": faulty(
        shipped,
        Violation(properties.BELIEF, "in PAIRED its client sees that the partner has not answered"),
        2,
        client=Doubting,
    ),
    "one bit": faulty(
        lambda: free_callers(shipped()),
        Violation(properties.BELIEF, "in PAIRED its client sees that the partner has answered"),
        5,
        THREE,
        server=OneBit,
    ),
    "one bit, and a client without rules": faulty(
        shipped,
        Violation(properties.BELIEF, "in PAIRED its client sees that the partner has answered"),
        4,
        replace(TWO, wild=1),
        server=OneBit,
    ),
    "one bit: an end answers twice": faulty(
        lambda: free_callers(shipped()), unplaced("ACCEPTED in PAIRED" + AGAINST), 8, THREE, server=OneBit
    ),
    "one bit: an end that has answered declines": faulty(
        lambda: free_callers(shipped()), unplaced("GONE declined in PAIRED" + AGAINST), 8, THREE, server=OneBit
    ),
    "one bit: an end that has answered rings": faulty(
        lambda: free_callers(with_timer("ring", since="silence")),
        unplaced("GONE unanswered in PAIRED" + AGAINST),
        8,
        THREE,
        server=OneBit,
    ),
    "one bit, and the partner is told": faulty(
        lambda: free_callers(telling_retractions()),
        unplaced("GONE declined in PAIRED" + AGAINST),
        8,
        THREE,
        server=OneBit,
    ),
    "no retraction": faulty(
        lambda: free_callers(without_effects("PAIRED", "CHAT", "already-paired", "retract")),
        Violation(properties.MISDELIVERED, "PAIRED MSG/relayed"),
        7,
        THREE,
    ),
    "LEAVE in NAMED": faulty(
        shipped,
        Violation(properties.OTHER_CHAT, "PAIRED LEAVE/declined if a partner and not answered"),
        4,
        client=LeavingBlindly,
    ),
    "heard before the answer": faulty(
        lambda: without(shipped(), "PAIRED", "MSG", "not-accepted"),
        unplaced("MSG in PAIRED" + AGAINST),
        5,
        clients=shipped,
    ),
    "an exit frees the partner": faulty(
        freeing_exit, Violation(properties.OTHER_CALL, "NAMED CHAT/opened begins a chat"), 8
    ),
    "a LEAVE behind a LEAVE": faulty(
        lambda: one_unanswered("HELLO", "NAME", "CHAT"),
        Violation(properties.OTHER_CHAT, "PAIRED LEAVE/declined if a partner and not answered"),
        10,
        THREE,
    ),
    "an answer behind a LEAVE": faulty(
        lambda: one_unanswered("HELLO", "NAME", "CHAT"),
        Violation(properties.OTHER_CALL, "NAMED CHAT/opened begins a chat"),
        10,
    ),
    "a partner that is gone is answered": faulty(
        confirming_the_gone, unplaced("OK CHAT in PAIRED, of somebody who is not the partner there"), 9
    ),
    "a call behind a call": faulty(
        lambda: replace(
            without_effects("PAIRED", "CHAT", "already-paired", "retract"),
            client=replace(shipped().client, one_unanswered=frozenset({"HELLO", "NAME", "LEAVE"})),
        ),
        Violation(properties.MISDELIVERED, "PAIRED MSG/relayed"),
        6,
        THREE,
    ),
    "lines overtake": faulty(shipped, unplaced("MSG in NAMED"), 4, server=Overtaking),
    "the exit is told to nobody": faulty(
        shipped,
        Violation(properties.ASYMMETRIC, "PAIRED with the partner of somebody else or of nobody"),
        5,
        server=LeavingOneSided,
    ),
    "an answer is not accepted": faulty(
        lambda: without_effects("PAIRED", "CHAT", "accepted", "accept"),
        Violation(properties.VIEWS, "in PAIRED"),
        4,
        clients=shipped,
    ),
    "a request without an answer": faulty(
        shipped,
        Violation(properties.ANSWERS, "PAIRED CHAT/already-paired has 0 instead of 1"),
        5,
        THREE,
        label="already-paired",
        changes={"answers": ()},
    ),
    "clients do not read while they write": faulty(
        shipped,
        Violation(properties.DEADLOCK, "before all connections are over"),
        6,
        Bounds(clients=2, up=1, down=1, named=True),
        model=Deaf,
    ),
    "no way out": faulty(without_quit, Violation(properties.DEAD_END, "from NAMED"), 0, shown=False),
}

CONTROLS: Mapping[str, Control] = {
    "the partner's exit frees the other end": Control(
        freeing_exit, Violation(properties.OTHER_CALL, "NAMED CHAT/opened begins a chat")
    ),
    "a line is taken before the chat is accepted": Control(
        lambda: without(shipped(), "PAIRED", "MSG", "not-accepted"),
        Violation(properties.MISDELIVERED, "PAIRED MSG/relayed"),
    ),
    "two unanswered LEAVEs": Control(
        lambda: changed("of: [HELLO, NAME, CHAT, LEAVE]", "of: [HELLO, NAME, CHAT]"),
        Violation(properties.OTHER_CHAT, "PAIRED LEAVE/declined if a partner and not answered"),
    ),
    "a refused CHAT takes nothing back": Control(
        lambda: without_effects("PAIRED", "CHAT", "already-paired", "retract"),
        Violation(properties.STRAY, "PAIRED CHAT/already-paired"),
    ),
    "no CHAT in PAIRED": Control(
        lambda: without(shipped(), "PAIRED", "CHAT", "accepted", "confirmed", "already-paired"),
        Violation(properties.UNSPECIFIED, "CHAT in PAIRED"),
    ),
    "CHAT answers twice": Control(
        shipped,
        Violation(properties.ANSWERS, "NAMED CHAT/opened has 2 instead of 1"),
        label="opened",
        changes={"answers": ("OK CHAT", "OK CHAT")},
    ),
    "a dead end": Control(dead_end, Violation(properties.DEAD_END, "from PAIRED")),
    "LEAVE leaves the link": Control(
        deaf_leave, Violation(properties.ASYMMETRIC, "NAMED with a partner"), playable=False
    ),
    "CHAT is answered like LEAVE": Control(
        shipped,
        Violation(properties.UNPLACED, "OK LEAVE answers nothing that is to be answered now"),
        label="opened",
        changes={"answers": ("OK LEAVE",)},
    ),
    "GONE means two things": Control(
        ending_frees_the_partner, Violation(properties.AMBIGUOUS, "GONE lost in PAIRED"), TINY, playable=False
    ),
    "nobody to call": Control(
        shipped,
        Violation(properties.NEVER, "NAMED CHAT/opened"),
        Bounds(clients=1, up=1, down=2),
        playable=False,
    ),
    "the last request is never answered": Control(
        little,
        Violation(properties.DEADLOCK, "before all connections are over"),
        label="ended",
        changes={"answers": (), "to": None, "effects": ()},
    ),
    "the second protocol": Control(little, Violation(properties.OTHER_CHAT, "TALKING hang/hung")),
    "a topic is pinned without a note": Control(
        lasting_pins,
        Violation(properties.INVARIANT, "pinned: A pinned topic has a note."),
        Bounds(clients=2, up=1, down=1, named=True),
        playable=False,
    ),
    **CALLS,
}


@cache
def searched(name: str) -> tuple[Search, SearchResult]:
    """The search of a control: of all of it, or where it is large, until its violation is found."""
    control = CONTROLS[name]
    search = control.search()
    if control.bounds == SMALL:
        return search, search.run()
    return search, search.run(until=lambda violation: violation == control.violation)


def found_trace(name: str) -> Trace:
    search, _ = searched(name)
    return trace(search, CONTROLS[name].violation)


def plainly(model: Model) -> tuple[set[GlobalState], set[int]]:
    """Every state, and every row that fires, without caches and symmetry."""
    seen, waiting, fired = {model.start()}, [model.start()], set[int]()
    while waiting:
        for action, after, _ in model.steps(waiting.pop()):
            if action.row is not None:
                fired.add(action.row)
            if after is not None and after not in seen:
                seen.add(after)
                waiting.append(after)
    return seen, fired
