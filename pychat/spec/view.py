"""The client's side of the table, derived from the server's. Knows no connection and no order of frames.

A client moves only on what it receives. Each change of a connection's state at the server comes with exactly one frame
to that connection, and the stream keeps their order; so the client's machine follows from the server's table. What a
row asks about one end of the link says what the other end may believe: `Move.known` and `Move.here`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from .forms import Field, Template
from .model import Outcome, PartnerEffect, Spec, Timer
from .terms import OWN_END, Condition, ConditionKind, Effect, EffectKind

SEEN: frozenset[EffectKind] = frozenset({"bind", "link", "accept", "retract", "relay", "unlink"})  # by a client

By = Literal["request", "partner", "other", "server"]
Known = tuple[tuple[ConditionKind, bool], ...]
Words = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Move:
    """What the reply `key` means to a client in `state`: the state it moves to (None: it stays), and what has changed.

    `effects` are those of the row that caused it; `by` is whose row that is: the client's own request, the partner, any
    other connection, or the server itself. `code` tells one refusal from another, `verb` is the request that the row is
    about. `words` are the fields that the row fills with words, and these words. `known` are conditions about the
    client's own end, and whether they hold before this frame. `here` is what the client knows of its partner before
    it: that it has answered (True), or that it has not (False).
    """

    state: str
    key: str
    to: str | None = None
    effects: tuple[EffectKind, ...] = ()
    by: By = "server"
    code: str | None = None
    verb: str | None = None
    words: Words = ()
    known: Known = ()
    here: bool | None = None

    @property
    def mirrored(self) -> bool:
        """Whether the other end of the link caused it."""
        return self.by == "partner"


def moves(spec: Spec) -> tuple[Move, ...]:
    """Every reply that a client may get in every state, in the order of the table."""
    return tuple(dict.fromkeys(_all_moves(spec)))


def _all_moves(spec: Spec) -> Iterator[Move]:
    for state, outcome in spec.outcomes():
        rows = spec.states[state].recv[outcome.verb]
        yield from _own(spec, state, outcome, known_before(rows, outcome))
        yield from _of_others(spec, outcome, known_before(rows, outcome, linked=True))
    for timer in spec.timers.values():
        if timer.row is not None:
            yield from _of_timer(spec, timer, timer.row)
    yield from _without_a_row(spec)
    for state in spec.live_states:
        for fault in spec.faults:
            if fault.states is None or state in fault.states:
                yield Move(state, refusal_key(spec, fault.error), code=fault.error)
        if spec.goodbyes:
            yield Move(state, spec.goodbye.key, spec.final)


def _without_a_row(spec: Spec) -> Iterator[Move]:
    """What the end of a connection, a change of a relation and the greeting tell."""
    if spec.ending.partner is not None:
        effects = _kinds(spec.ending.effects)
        yield from _mirrored(spec, spec.ending.partner, effects, None, (), {"reason": ending_reasons(spec)})
    for relation in spec.relations.values():
        for template in (relation.added, relation.dropped):
            if template is not None:
                yield from _told(spec, template, ())
    for template in spec.greeting:
        yield Move(spec.initial, template.form.key, words=_words(template))


def known_before(rows: Iterable[Outcome], row: Outcome, *, linked: bool = False) -> Known:
    """What a row that is taken says about one's own end: its own conditions, and those of the rows before it.

    A row before it was not taken; where the two differ in one condition, that one does not hold. `linked`: the
    connection is known to have a partner. `a partner` is given as `no partner` that does not hold.
    """
    found = _facts(row.conditions)
    if linked:
        found["no partner"] = False
    for before in rows:
        if before is row:
            break
        others = [condition for condition in before.conditions if condition not in row.conditions]
        left = [condition for condition in others if condition.kind not in OWN_END or not _follows(condition, found)]
        if len(left) == 1 and left[0].kind in OWN_END:
            found |= {kind: not holds for kind, holds in _facts(left).items()}
    return tuple(sorted(found.items()))


def _facts(conditions: Iterable[Condition]) -> dict[ConditionKind, bool]:
    facts: dict[ConditionKind, bool] = {}
    for condition in conditions:
        if condition.kind == "a partner":
            facts["no partner"] = False
        elif condition.kind in OWN_END:
            facts[condition.kind] = True
    return facts


def _follows(condition: Condition, found: dict[ConditionKind, bool]) -> bool:
    """Whether a condition is known to hold already."""
    return all(found.get(kind) is holds for kind, holds in _facts([condition]).items())


def ending_reasons(spec: Spec) -> tuple[str, ...]:
    """The reasons that a partner may be told when a connection ends without a request."""
    named = [goodbye.gone for goodbye in spec.goodbyes.values()] + [timer.gone for timer in spec.timers.values()]
    return tuple(dict.fromkeys([spec.ending.gone, *(reason for reason in named if reason is not None)]))


def refusal_key(spec: Spec, code: str) -> str:
    """The words with which the refusal for an error begins."""
    return (spec.errors[code].form or spec.refusal).key


def _kinds(effects: Iterable[Effect]) -> tuple[EffectKind, ...]:
    return tuple(effect.kind for effect in effects if effect.kind in SEEN or effect.kind == "list")


def _own(spec: Spec, state: str, outcome: Outcome, known: Known) -> Iterator[Move]:
    request, kinds = spec.requests[outcome.verb], _kinds(outcome.effects)
    if outcome.fails is not None:
        yield Move(state, refusal_key(spec, outcome.fails), by="request", code=outcome.fails, verb=outcome.verb)
    if outcome.error is not None:
        key = refusal_key(spec, outcome.error)
        yield Move(state, key, None, kinds, "request", outcome.error, outcome.verb, known=known)
        return
    if outcome.does("list") and request.item is not None:
        yield Move(state, request.item.key, by="request", verb=outcome.verb)
    if outcome.answer is not None:
        key, words = outcome.answer.form.key, _words(outcome.answer)
        yield Move(state, key, outcome.to, kinds, "request", None, outcome.verb, words, known)


def _of_others(spec: Spec, row: Outcome, known: Known) -> Iterator[Move]:
    """What a row tells other connections than its own, and what it tells its own besides the answer."""
    if row.partner is not None:
        yield from _mirrored(spec, row.partner, _kinds(row.effects), row.verb or None, known, {})
    for tell in row.tells:
        yield from _told(spec, tell.push, row.conditions)


def _of_timer(spec: Spec, timer: Timer, row: Outcome) -> Iterator[Move]:
    """A timer's push to its own connection; where it unlinks, that looks as if the partner had."""
    known = known_before((), row)
    for state in spec.live_states:
        if row.answer is not None and (timer.states is None or state in timer.states):
            by: By = "partner" if row.does("unlink") else "server"
            yield Move(
                state, row.answer.form.key, row.to, _kinds(row.effects), by, None, None, _words(row.answer), known
            )
    yield from _of_others(spec, row, known)


def _mirrored(
    spec: Spec,
    partner: PartnerEffect,
    kinds: tuple[EffectKind, ...],
    verb: str | None,
    known: Known,
    choices: dict[str, tuple[str, ...]],
) -> Iterator[Move]:
    words, here = _words(partner.push, choices), None if "link" in kinds else _here(known)
    for state in spec.partner_states(partner):
        yield Move(state, partner.push.form.key, partner.to, kinds, "partner", None, verb, words, here=here)


def _here(known: Known) -> bool | None:
    """What the partner of an end knows about it, when this is so of the end itself."""
    facts = dict(known)
    if facts.get("not accepted") is False:
        return True  # what is accepted has answered
    return None if "not answered" not in facts else not facts["not answered"]


def _told(spec: Spec, push: Template, conditions: tuple[Condition, ...]) -> Iterator[Move]:
    linked = any(condition.kind == "linked" for condition in conditions)
    for state in spec.linked_states if linked else spec.live_states:
        yield Move(state, push.form.key, by="other", words=_words(push))


def _words(template: Template, choices: dict[str, tuple[str, ...]] | None = None) -> Words:
    """The fields that a template fills with words: its own, or one of `choices` for a variable."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for shape, part in zip(template.form.parts, template.parts, strict=False):
        if isinstance(shape, Field):
            words = (part,) if isinstance(part, str) else (choices or {}).get(part.name, ())
            if words:
                found.append((shape.name, words))
    return tuple(found)
