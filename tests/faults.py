"""What is broken on purpose for the model check: specs that differ from the shipped one, and machines with a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from pychat.spec import Spec, load, shipped
from pychat.spec.model import Outcome, Since
from pychat.spec.terms import Condition, Effect
from tools.check.client import Client
from tools.check.model import Model
from tools.check.properties import Violation
from tools.check.replies import Change
from tools.check.rows import Tables
from tools.check.server import OtherStep, Server, ServerStep
from tools.check.state import Endpoint, Facts, SentReply, SentRequest

from .conftest import ROOT

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


def with_first(spec: Spec, state: str, row: Outcome) -> Spec:
    """The spec with one more row, before the others of its request."""
    old = spec.states[state]
    recv = {**old.recv, row.verb: (row, *old.recv[row.verb])}
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
        spec = with_first(spec, "PAIRED", replace(gone, verb=verb))
    return spec


def without_quit() -> Spec:
    """No request ends a connection."""
    spec = shipped()
    for state in spec.live_states:
        spec = without(spec, state, "QUIT", "quit")
    return spec


def confirming_the_gone() -> Spec:
    """CHAT is answered OK also when the partner is gone."""
    spec = shipped()
    confirmed = next(row for row in spec.states["PAIRED"].recv["CHAT"] if row.label == "confirmed")
    return with_first(spec, "PAIRED", replace(confirmed, conditions=(Condition("no partner"),)))


def telling_retractions() -> Spec:
    """The partner of an end that is accepted no longer is told; the strict loader lets no refusal do that."""
    spec = shipped()
    accepted = next(row for row in spec.states["PAIRED"].recv["CHAT"] if row.label == "accepted")
    assert accepted.partner is not None
    told = accepted.partner.push
    form = replace(told.form, parts=("RETRACTED", *told.form.parts[1:]))
    told = replace(told, parts=("RETRACTED", *told.parts[1:]), form=form)
    return with_row(spec, "PAIRED", "CHAT", "already-paired", partner=replace(accepted.partner, push=told))


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


def board() -> Spec:
    """A third protocol, without a link: what users share are relations."""
    return load(ROOT / "tests" / "board.yaml")


def lasting_pins() -> Spec:
    """A board whose topics stay pinned when they are cleared."""
    spec = board()
    pinned = replace(spec.relations["pinned"], lives_while=None)
    return replace(spec, relations={**spec.relations, "pinned": pinned})


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
    """A server that forgets the other end when one row ends the link: that of the timer."""

    ROW = "ring"

    def take_other_step(self, endpoint: Endpoint, step: OtherStep) -> tuple[Endpoint | None, tuple[Violation, ...]]:
        if step.reply is None and self.tables.rows[step.row].label == self.ROW:
            return endpoint, ()
        return super().take_other_step(endpoint, step)


class LeavingOneSided(OneSided):
    """The same, when it is a LEAVE."""

    ROW = "left"


class Torn(Server):
    """A server that sends what some rows push later, in a step of its own; that waits before the next request."""

    LATE = ("accepted", "user-busy")  # the rows
    OWED = "PONG"  # a verb that never lies in a queue of the model

    def take(self, endpoint: Endpoint, holder: int, holder_linked: bool, facts: Facts) -> Iterator[ServerStep]:
        sent = endpoint.up[0]
        if sent.verb == self.OWED:
            row = self.tables.rows[sent.words]
            other = OtherStep(row.index, endpoint.me, endpoint.name, reply=row.push or row.tells[0].reply)
            rest = endpoint._replace(up=endpoint.up[1:])
            yield ServerStep(row.index, rest, facts, ((sent.meant, other),), ())
            return
        for step in super().take(endpoint, holder, holder_linked, facts):
            if step.endpoint is not None and self.tables.rows[step.row].label in self.LATE:
                owed = tuple(SentRequest(self.OWED, words=step.row, meant=who) for who, _ in step.others)
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
