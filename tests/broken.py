"""What the model check's tests share: specs that are broken on purpose, each with its violation, and a plain search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from pychat.spec import Spec, load, shipped
from pychat.spec.model import Effect
from tools.check import properties
from tools.check.explore import Bounds, Search, SearchResult
from tools.check.model import GlobalState, Model
from tools.check.properties import Violation
from tools.check.rows import Tables, compile_tables
from tools.check.trace import Trace, trace

from .conftest import ROOT, changed

TINY = Bounds(clients=2, up=1, down=1)
SMALL = Bounds(clients=2, up=1, down=2)


def without(spec: Spec, state: str, verb: str, *labels: str) -> Spec:
    """The spec without these rows; the strict loader would refuse an error that no row has."""
    old = spec.states[state]
    rows = tuple(outcome for outcome in old.recv[verb] if outcome.label not in labels)
    recv = {**old.recv, verb: rows} if rows else {name: table for name, table in old.recv.items() if name != verb}
    return replace(spec, states={**spec.states, state: replace(old, recv=recv)})


def freeing_exit() -> Spec:
    """The partner's exit moves the other end to NAMED."""
    pushes = ["GONE <me> left", "GONE <me> quit", "GONE <me> <reason>"]
    return changed(*(text for push in pushes for text in (f"push: {push}}}", f"push: {push}, to: NAMED}}")))


def dead_end() -> Spec:
    """A user whose partner is gone can neither LEAVE nor QUIT."""
    partner = "partner: {push: GONE <me> quit}, rule: R-QUIT-1"
    quitting = f"- {{outcome: quit, to: CLOSED, answer: OK QUIT, do: [unlink, release], {partner}}}"
    return changed(
        f"  QUIT:\n    {quitting}\n",
        "",
        "      NAME:\n",
        f"      QUIT:\n        {quitting}\n      NAME:\n",
        "  NAMED:\n    doc: The user has a name and can be called.\n    recv:\n",
        f"  NAMED:\n    doc: The user has a name and can be called.\n    recv:\n      QUIT:\n        {quitting}\n",
        "        - {outcome: left,",
        "        - {if: no partner, error: partner-gone, rule: R-MSG-3}\n        - {outcome: left,",
    )


def deaf_leave() -> Spec:
    """LEAVE does not free the partner; the strict loader would refuse a row that leaves the link so."""
    spec = shipped()
    old = spec.states["PAIRED"]
    (left,) = old.recv["LEAVE"]
    recv = {**old.recv, "LEAVE": (replace(left, effects=(Effect("retract"),)),)}
    return replace(spec, states={**spec.states, "PAIRED": replace(old, recv=recv)})


def ending_frees_the_partner() -> Spec:
    """GONE frees the other end after a lost connection, and does not after a LEAVE: its client cannot know."""
    spec, ending = shipped(), shipped().ending
    return replace(spec, ending=replace(ending, partner=replace(ending.partner, to="NAMED")))


def little() -> Spec:
    return load(ROOT / "tests" / "little.yaml")


@dataclass(frozen=True)
class Control:
    """A spec with a violation that must be found. Its rows called `label` are changed to what no spec can say."""

    make: Callable[[], Spec]
    violation: Violation
    bounds: Bounds = SMALL
    playable: bool = True  # by a real server of that spec, where no row is changed
    label: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)

    def tables(self) -> Tables:
        tables = compile_tables(self.make())
        rows = (replace(row, **self.changes) if row.label == self.label else row for row in tables.rows)
        return replace(tables, rows=tuple(rows))


CONTROLS: Mapping[str, Control] = {
    "the partner's exit frees the other end": Control(
        freeing_exit,
        Violation(properties.MISDELIVERED, "PAIRED MSG/relayed"),
        Bounds(clients=3, up=1, down=2),
    ),
    "a line is taken before the chat is accepted": Control(
        lambda: without(shipped(), "PAIRED", "MSG", "not-accepted"),
        Violation(properties.MISDELIVERED, "PAIRED MSG/relayed"),
    ),
    "two unanswered LEAVEs": Control(
        lambda: changed("of: [HELLO, NAME, CHAT, LEAVE]", "of: [HELLO, NAME, CHAT]"),
        Violation(properties.OTHER_CHAT, "PAIRED LEAVE/left"),
    ),
    "no CHAT in PAIRED": Control(
        lambda: without(shipped(), "PAIRED", "CHAT", "accepted", "already-paired"),
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
    "the server does not accept as it answers": Control(
        shipped, Violation(properties.VIEWS, "in PAIRED"), label="accepted", changes={"effects": ()}
    ),
    "GONE means two things": Control(
        ending_frees_the_partner, Violation(properties.AMBIGUOUS, "GONE in PAIRED"), TINY, playable=False
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
}


@cache
def searched(name: str) -> tuple[Search, SearchResult]:
    """The search of a control: of all of it, or where it is large, until its violation is found."""
    control = CONTROLS[name]
    search = Search(control.tables(), control.bounds)
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
