"""What the model check's tests share: what is broken on purpose, each with its violation, and a plain search."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from pychat.spec import Spec, load, shipped
from pychat.spec.model import Outcome, Since
from pychat.spec.terms import Condition, Effect
from tools.check import properties
from tools.check.client import Client
from tools.check.explore import Bounds, Search, SearchResult
from tools.check.model import Model
from tools.check.properties import Violation
from tools.check.replies import Change
from tools.check.rows import Tables, compile_tables
from tools.check.server import OtherStep, Server, ServerStep
from tools.check.state import Endpoint, Facts, GlobalState, SentReply, SentRequest
from tools.check.trace import Trace, trace

from .conftest import ROOT, changed

TINY = Bounds(clients=2, up=1, down=1)
SMALL = Bounds(clients=2, up=1, down=2)
TWO = Bounds(clients=2, up=2, down=3, named=True)
THREE = Bounds(clients=3, up=2, down=3, named=True)


# --- Specs ------------------------------------------------------------------------------------------------------------


def without(spec: Spec, state: str, verb: str, *labels: str) -> Spec:
    """The spec without these rows; the strict loader would refuse an error that no row has."""
    return _with_rows(spec, state, verb, lambda row: None if row.label in labels else row)


def with_row(spec: Spec, state: str, verb: str, label: str, **changes: Any) -> Spec:
    """The spec with one row changed to what the strict loader might refuse."""
    return _with_rows(spec, state, verb, lambda row: replace(row, **changes) if row.label == label else row)


def _with_rows(spec: Spec, state: str, verb: str, change: Callable[[Outcome], Outcome | None]) -> Spec:
    old = spec.states[state]
    rows = tuple(row for row in map(change, old.recv[verb]) if row is not None)
    recv = {**old.recv, verb: rows} if rows else {name: table for name, table in old.recv.items() if name != verb}
    return replace(spec, states={**spec.states, state: replace(old, recv=recv)})


def with_timer(name: str, *, since: Since = "call", **changes: Any) -> Spec:
    """The shipped spec with the row of a timer changed."""
    spec = shipped()
    timer = spec.timers[name]
    assert timer.row is not None
    timer = replace(timer, since=since, row=replace(timer.row, **changes))
    return replace(spec, timers={**spec.timers, name: timer})


def free_callers(spec: Spec) -> Spec:
    """Its clients may say CHAT with any name in PAIRED too."""
    return replace(spec, client=replace(spec.client, only_if={}))


def one_unanswered(*verbs: str) -> Spec:
    """Its clients have at most one of these unanswered."""
    spec = shipped()
    return replace(spec, client=replace(spec.client, one_unanswered=frozenset(verbs)))


def freeing_exit() -> Spec:
    """The partner's exit moves the other end to NAMED."""
    spec = shipped()
    for label in ("declined", "left"):
        row = next(row for row in spec.states["PAIRED"].recv["LEAVE"] if row.label == label)
        assert row.partner is not None
        spec = with_row(spec, "PAIRED", "LEAVE", label, partner=replace(row.partner, to="NAMED"))
    for state in spec.live_states:
        (quitting,) = spec.states[state].recv["QUIT"]
        assert quitting.partner is not None
        spec = with_row(spec, state, "QUIT", "quit", partner=replace(quitting.partner, to="NAMED"))
    assert spec.ending.partner is not None
    return replace(spec, ending=replace(spec.ending, partner=replace(spec.ending.partner, to="NAMED")))


def ringing_frees(own: bool) -> Spec:
    """A call that nobody answers makes the caller NAMED; `own`: the called user too."""
    row = shipped().timers["ring"].row
    assert row is not None
    assert row.partner is not None
    return with_timer("ring", to="NAMED" if own else None, partner=replace(row.partner, to="NAMED"))


def dead_end() -> Spec:
    """A user whose partner is gone can neither LEAVE nor QUIT."""
    spec = shipped()
    gone = Outcome("", "partner-gone", "R-MSG-3", (Condition("no partner"),), error="partner-gone")
    for verb in ("LEAVE", "QUIT"):
        old = spec.states["PAIRED"]
        rows = (replace(gone, verb=verb), *old.recv[verb])
        spec = replace(spec, states={**spec.states, "PAIRED": replace(old, recv={**old.recv, verb: rows})})
    return spec


def deaf_leave() -> Spec:
    """LEAVE does not free the partner; the strict loader would refuse a row that leaves the link so."""
    spec = with_row(shipped(), "PAIRED", "LEAVE", "declined", effects=(Effect("retract"),))
    return with_row(spec, "PAIRED", "LEAVE", "left", effects=(Effect("retract"),))


def ending_frees_the_partner() -> Spec:
    """GONE frees the other end after a lost connection, and does not after a QUIT: its client cannot know."""
    spec, ending = shipped(), shipped().ending
    assert ending.partner is not None
    row = spec.states["PAIRED"].recv["QUIT"][0]
    assert row.partner is not None
    pushed = replace(row.partner, push=ending.partner.push)
    spec = with_row(spec, "PAIRED", "QUIT", "quit", partner=pushed)
    return replace(spec, ending=replace(ending, partner=replace(ending.partner, to="NAMED")))


def little() -> Spec:
    return load(ROOT / "tests" / "little.yaml")


def without_effects(state: str, verb: str, label: str, *kinds: str) -> Spec:
    """The shipped spec with a row that lacks its effects of these kinds."""
    spec = shipped()
    row = next(row for row in spec.states[state].recv[verb] if row.label == label)
    effects = tuple(effect for effect in row.effects if effect.kind not in kinds)
    return with_row(spec, state, verb, label, effects=effects)


def keeping_missed() -> Spec:
    """LEAVE does not forget whom the user has missed."""
    spec = shipped()
    for row in spec.states["PAIRED"].recv["LEAVE"]:
        effects = tuple(effect for effect in row.effects if effect.kind != "drop")
        spec = with_row(spec, "PAIRED", "LEAVE", row.label, effects=effects)
    return spec


def flooding() -> Spec:
    """Each CHAT that is refused as busy is told, also for the second time."""
    return without_condition("NAMED", "CHAT", "user-busy", "absent")


def without_condition(state: str, verb: str, label: str, kind: str) -> Spec:
    """The shipped spec with rows that do not ask this."""

    def change(row: Outcome) -> Outcome:
        kept = tuple(condition for condition in row.conditions if condition.kind != kind)
        return replace(row, conditions=kept) if row.label == label else row

    return _with_rows(shipped(), state, verb, change)


# --- Models -----------------------------------------------------------------------------------------------------------


class OneBit(Server):
    """A server that keeps one thing of each end: `retract` makes it an end that has not answered."""

    def effect(self, endpoint: Endpoint, effect: Effect, sent: SentRequest, other: int) -> Endpoint:
        after = super().effect(endpoint, effect, sent, other)
        return after._replace(answered=False) if effect.kind == "retract" else after


class OneSided(Server):
    """A server that forgets the other end when a timer or a LEAVE ends the link."""

    def take_other_step(self, endpoint: Endpoint, step: OtherStep) -> tuple[Endpoint | None, tuple[Violation, ...]]:
        if step.reply is None and self.tables.rows[step.row].label in ("ring", "left"):
            return endpoint, ()
        return super().take_other_step(endpoint, step)


class Torn(Server):
    """A server that pushes to others later, in a step of its own; what it owes stands first in the caller's queue."""

    OWED = "PONG"  # a verb that never lies in a queue of the model

    def take(self, endpoint: Endpoint, holder: int, holder_linked: bool, facts: Facts) -> Iterator[ServerStep]:
        sent = endpoint.up[0]
        if sent.verb == self.OWED:
            other = OtherStep(sent.words, endpoint.me, endpoint.name, reply="MISSED")
            rest = endpoint._replace(up=endpoint.up[1:])
            yield ServerStep(sent.words, rest, facts, ((sent.meant, other),), ())
            return
        for step in super().take(endpoint, holder, holder_linked, facts):
            told = [(who, other) for who, other in step.others if other.reply is not None]
            if told and step.endpoint is not None:
                owed = tuple(SentRequest(self.OWED, words=step.row, meant=who) for who, _ in told)
                step = step._replace(others=(), endpoint=step.endpoint._replace(up=(*owed, *step.endpoint.up)))
            yield step


class Overtaking(Server):
    """A server whose lines overtake the frame before them."""

    def queued(self, endpoint: Endpoint, reply: SentReply) -> tuple[Endpoint, tuple[Violation, ...]]:
        if reply.key == "MSG" and endpoint.down:
            _, violations = super().queued(endpoint._replace(down=endpoint.down[:-1]), reply)
            return endpoint, violations
        return super().queued(endpoint, reply)


class Resetting(Client):
    """A client for which its own OK CHAT says that the partner has not answered."""

    def changed(self, endpoint: Endpoint, reply: SentReply, change: Change) -> Endpoint:
        after = super().changed(endpoint, reply, change)
        return after._replace(here=False) if "accept" in change.effects and not change.mirrored else after


class Doubting(Client):
    """A client for which a call does not say that the caller is there."""

    def changed(self, endpoint: Endpoint, reply: SentReply, change: Change) -> Endpoint:
        after = super().changed(endpoint, reply, change)
        return after._replace(here=False) if "link" in change.effects else after


class LeavingBlindly(Client):
    """A client that says LEAVE also while it sees itself NAMED."""

    def __init__(self, tables: Tables, clients: int, up: int, down: int) -> None:
        super().__init__(tables, clients, up, down)
        self._recv["NAMED"] |= {"LEAVE"}


class Deaf(Model):
    """Clients that do not read while their own sending is blocked."""

    def may_read(self, endpoint: Endpoint) -> bool:
        return super().may_read(endpoint) and len(endpoint.up) < self.up


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
        model = self.model(tables, bounds.clients, bounds.up, bounds.down)
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
        server=OneSided,
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
}

CONTROLS: Mapping[str, Control] = {
    "the partner's exit frees the other end": Control(
        freeing_exit, Violation(properties.OTHER_CALL, "NAMED CHAT/opened begins a chat")
    ),
    "a line is taken before the chat is accepted": Control(
        lambda: without(shipped(), "PAIRED", "MSG", "not-accepted"),
        Violation(properties.MISDELIVERED, "PAIRED MSG/relayed"),
        Bounds(clients=3, up=2, down=2, named=True),
    ),
    "two unanswered LEAVEs": Control(
        lambda: changed("of: [HELLO, NAME, CHAT, LEAVE]", "of: [HELLO, NAME, CHAT]"),
        Violation(properties.OTHER_CHAT, "PAIRED LEAVE/declined if a partner and not answered"),
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
