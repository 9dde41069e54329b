"""The spec's rows, compiled for the model: what each row does at both ends, and what each reply changes at its client.

Knows no verb, no state and no error by name, and nothing of queues.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

from pychat.spec import Spec
from pychat.spec.forms import Request, Template
from pychat.spec.model import Condition, EffectKind, Outcome, PartnerEffect
from pychat.spec.view import SEEN, Move, moves

WORD_CONDITIONS = ("equals", "differs")
CHANGING: frozenset[EffectKind] = frozenset({"bind", "link", "accept", "retract", "relay", "unlink", "release"})
SEEN_BY_PARTNER: frozenset[EffectKind] = frozenset({"link", "relay", "unlink"})


class UnsupportedSpecError(Exception):
    """The spec says something that this model cannot express."""


@dataclass(frozen=True)
class Row:
    """One row: what a request does in a state if its condition holds.

    `answers` and `push` name replies; `answer_text` and `push_text` are their templates (a refusal has none: its text
    is made from its label). `misplaced`: the request has no row in its state, and this is the refusal of that fault.
    The row of a connection's end has no verb.
    """

    index: int
    state: str
    verb: str
    label: str
    condition: Condition | None = None
    refuses: bool = False
    misplaced: bool = False
    answers: tuple[str, ...] = ()
    to: str | None = None
    effects: tuple[EffectKind, ...] = ()
    push: str | None = None
    partner_states: frozenset[str] = frozenset()
    partner_to: str | None = None
    rule: str = ""
    answer_text: Template | None = None
    push_text: Template | None = None

    @property
    def links(self) -> bool:
        return "link" in self.effects

    @property
    def unlinks(self) -> bool:
        return "unlink" in self.effects

    @property
    def relays(self) -> bool:
        return "relay" in self.effects

    def __str__(self) -> str:
        which = f" if {self.condition}" if self.condition is not None else ""
        return f"{self.state} {self.verb}/{self.label}{which}" if self.verb else self.label


@dataclass(frozen=True)
class Verb:
    """A request: the field that names a user, and the words that its rows compare fields with.

    `words` has each combination of these (field → word); "" stands for any other word. `answered`: it has an answer
    when it succeeds. `ends`: it may end the connection. `inert`: its rows change nothing and depend on nothing that
    can change.
    """

    verb: str
    answered: bool
    name_field: str | None
    words: tuple[Mapping[str, str], ...]
    inert: bool
    relays: bool
    unlinks: bool
    ends: bool


class Change(NamedTuple):
    """What a reply changes in its client's view; `mirrored`: a request of the other end caused it."""

    to: str | None = None
    effects: frozenset[EffectKind] = frozenset()
    mirrored: bool = False


@dataclass(frozen=True)
class Reaction:
    """The request that a reply answers, and the change in each state of its client that allows it."""

    verb: str | None
    changes: Mapping[str, Change]


@dataclass(frozen=True)
class Tables:
    """A spec, compiled. `rows` has each row at its index, those of misplaced requests and of the ending too.

    `ambiguous` names the replies from which a client cannot tell what has changed.
    """

    spec: Spec
    rows: tuple[Row, ...]
    verbs: Mapping[str, Verb]
    reactions: Mapping[str, Reaction]
    ambiguous: tuple[str, ...]

    @property
    def ending(self) -> Row:
        return self.rows[-1]

    def by_request(self) -> dict[tuple[str, str], tuple[Row, ...]]:
        """The rows of each request in each state, in the order in which they are tried."""
        found: dict[tuple[str, str], tuple[Row, ...]] = {}
        for row in self.rows[:-1]:
            found[row.state, row.verb] = (*found.get((row.state, row.verb), ()), row)
        return found


def compile_tables(spec: Spec) -> Tables:
    """The tables of a spec. Raises UnsupportedSpecError for what the model cannot express."""
    reactions, ambiguous = _reactions(spec)
    same: dict[tuple[object, ...], str] = {}  # replies with the same effect at a client become one: fewer states
    names = {
        key: same.setdefault((reaction.verb, *sorted(reaction.changes.items())), key)
        for key, reaction in reactions.items()
    }
    rows = [_row(spec, names, state, outcome) for state, outcome in spec.outcomes()]
    for state in spec.live_states:
        for verb in spec.requests.keys() - spec.states[state].recv.keys():
            fault = spec.fault_rule("state")
            answers = (names[_refusal(verb, fault.error)],)
            rows.append(Row(0, state, verb, fault.error, None, True, True, answers, rule=fault.rule))
    rows.append(_ending(spec, names))
    verbs = {verb: _verb(spec, request) for verb, request in spec.requests.items()}
    used = {key: reactions[key] for key in names.values()}
    return Tables(spec, tuple(replace(row, index=n) for n, row in enumerate(rows)), verbs, used, ambiguous)


def _row(spec: Spec, names: Mapping[str, str], state: str, outcome: Outcome) -> Row:
    answer = None
    if outcome.error is not None:
        answer = names[_refusal(outcome.verb, outcome.error)]
    elif outcome.answer is not None:
        answer = names[outcome.answer.form.key]
    row = Row(
        0,
        state,
        outcome.verb,
        outcome.label,
        outcome.condition,
        outcome.error is not None,
        answers=() if answer is None else (answer,),
        to=outcome.to,
        effects=tuple(effect.kind for effect in outcome.effects),
        rule=outcome.rule,
        answer_text=outcome.answer,
    )
    return row if outcome.partner is None else _with_partner(spec, names, row, outcome.partner)


def _with_partner(spec: Spec, names: Mapping[str, str], row: Row, partner: PartnerEffect) -> Row:
    linked = frozenset(spec.live_states) & spec.link.held_in
    states = linked if partner.source is None else frozenset({partner.source})
    reply = names[partner.push.form.key]
    return replace(row, push=reply, push_text=partner.push, partner_states=states, partner_to=partner.to)


def _ending(spec: Spec, names: Mapping[str, str]) -> Row:
    effects = tuple(effect.kind for effect in spec.ending.effects)
    row = Row(0, "", "", "ending", to=spec.ending.to, effects=effects, rule=spec.ending.rule)
    return _with_partner(spec, names, row, spec.ending.partner)


def _verb(spec: Spec, request: Request) -> Verb:
    rows = [outcome for _, outcome in spec.outcomes() if outcome.verb == request.verb]
    kinds = {effect.kind for row in rows for effect in row.effects}
    conditions = [row.condition for row in rows if row.condition is not None]
    conditions += [table[request.verb] for table in spec.client.only_if.values() if request.verb in table]
    named = {condition.field for condition in conditions if condition.kind not in WORD_CONDITIONS}
    named |= {effect.field for row in rows for effect in row.effects}
    if len(named - {None}) > 1:
        raise UnsupportedSpecError(f"{request.verb} names two users; the model knows of one in a request")
    words: dict[str, set[str]] = {}
    for condition in conditions:
        if condition.kind in WORD_CONDITIONS:
            words.setdefault(str(condition.field), set()).add(str(condition.value))
    choices = [[(field, word) for word in (*sorted(known), "")] for field, known in sorted(words.items())]
    moving = any(row.to is not None or row.partner is not None for row in rows) or not kinds.isdisjoint(CHANGING)
    return Verb(
        request.verb,
        answered=request.answer is not None,
        name_field=next(iter(named - {None}), None),
        words=tuple(dict(choice) for choice in product(*choices)),
        inert=not moving and all(condition.kind in WORD_CONDITIONS for condition in conditions),
        relays="relay" in kinds,
        unlinks=any(row.to != spec.final and row.does("unlink") for row in rows),
        ends=any(row.to == spec.final for row in rows),
    )


# Replies


def _refusal(verb: str, code: str) -> str:
    return f"{verb} {code}"


def _reactions(spec: Spec) -> tuple[dict[str, Reaction], tuple[str, ...]]:
    """The reaction to each reply, by its name here, and the ambiguous replies."""
    found: dict[str, dict[str, Change]] = {}
    answers: dict[str, str | None] = {}
    ambiguous: dict[str, None] = {}
    for key, verb, move in _named_moves(spec):
        answers[key] = verb
        seen = SEEN_BY_PARTNER if move.mirrored else SEEN
        change = Change(move.to, frozenset(move.effects) & seen, move.mirrored)
        if found.setdefault(key, {}).setdefault(move.state, change) != change:
            ambiguous[f"{key} in {move.state}"] = None
    return {key: Reaction(answers[key], changes) for key, changes in found.items()}, tuple(ambiguous)


def _named_moves(spec: Spec) -> Iterator[tuple[str, str | None, Move]]:
    """The moves of a client, those of the general errors once for each request. Items and goodbyes are left out."""
    for move in moves(spec):
        kind = spec.replies[move.key].kind
        if kind == "refusal":
            for verb in spec.requests if move.verb is None else (move.verb,):
                yield _refusal(verb, str(move.code)), verb, move
        elif kind in ("answer", "push"):
            yield move.key, spec.replies[move.key].verb, move
