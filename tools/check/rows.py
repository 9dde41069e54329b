"""The spec's rows, compiled for the model: what each row asks, and what it does at both ends and to others.

Knows no verb, no state and no error by name, and nothing of queues.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import NamedTuple

from pychat.spec import Spec
from pychat.spec.forms import Request, Template
from pychat.spec.model import Outcome, PartnerEffect
from pychat.spec.terms import Condition, Effect, EffectKind, Entry, Tell, TellKind
from pychat.spec.view import ending_reasons

from .relations import Relations
from .replies import Reaction, Replies

WORD_CONDITIONS = ("equals", "differs")
CHANGING: frozenset[EffectKind] = frozenset(
    {"bind", "link", "accept", "retract", "relay", "unlink", "release", "add", "drop"}
)


class UnsupportedSpecError(Exception):
    """The spec says something that this model cannot express."""


class RowTell(NamedTuple):
    """A tell of a row, with the reply that it is."""

    kind: TellKind
    reply: str
    text: Template
    field: str | None
    entry: Entry | None


@dataclass(frozen=True)
class Row:
    """One row: what a request does in a state if its conditions hold, or a timer when it runs out there.

    `answers` and `push` name replies; `answer_text` and `push_text` are their templates (a refusal has none: its text
    is made from its label). `misplaced`: the request has no row in its state, and this is the refusal of that fault.
    The row of a timer or of a connection's end has no verb. `perhaps`: where its conditions hold, the row behind it may
    be taken as well.
    """

    index: int
    state: str
    verb: str
    label: str
    conditions: tuple[Condition, ...] = ()
    refuses: bool = False
    misplaced: bool = False
    answers: tuple[str, ...] = ()
    to: str | None = None
    effects: tuple[Effect, ...] = ()
    push: str | None = None
    partner_states: frozenset[str] = frozenset()
    partner_to: str | None = None
    tells: tuple[RowTell, ...] = ()
    rule: str = ""
    answer_text: Template | None = None
    push_text: Template | None = None
    cause: str | None = None
    perhaps: bool = False
    of_call: bool = False  # of a timer that only a called end has
    kinds: frozenset[EffectKind] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", frozenset(effect.kind for effect in self.effects))

    @property
    def links(self) -> bool:
        return "link" in self.kinds

    @property
    def unlinks(self) -> bool:
        return "unlink" in self.kinds

    @property
    def relays(self) -> bool:
        return "relay" in self.kinds

    @property
    def entries(self) -> list[Entry | None]:
        """The tuples that its conditions, effects and tells are about."""
        entries = [condition.entry for condition in self.conditions]
        return entries + [effect.entry for effect in self.effects] + [tell.entry for tell in self.tells]

    @property
    def counts(self) -> bool:
        """Whether it asks how many tuples there are, which the model cannot know."""
        return any(condition.kind == "full" for condition in self.conditions)

    @property
    def asks_relations(self) -> bool:
        """Whether it depends on the tuples of a relation, or may change them."""
        return "release" in self.kinds or any(entry is not None for entry in self.entries)

    def __str__(self) -> str:
        which = f" if {' and '.join(map(str, self.conditions))}" if self.conditions else ""
        return f"{self.state} {self.verb}/{self.label}{which}" if self.state else self.label


@dataclass(frozen=True)
class Verb:
    """A request: the field that names a user, and the words of its other fields.

    `words` has each combination of the words that its rows ask about (field → word); "" stands for any other word.
    `answered`: it has an answer when it succeeds. `ends`: it may end the connection. `inert`: its rows change nothing
    and depend on nothing that can change. `light`: its rows change nothing, and nothing waits for their replies, so
    other requests are not affected by it.
    """

    verb: str
    answered: bool
    name_field: str | None
    words: tuple[Mapping[str, str], ...]
    inert: bool
    light: bool
    relays: bool
    accepts: bool
    unlinks: bool
    ends: bool


@dataclass(frozen=True)
class Tables:
    """A spec, compiled. `rows` has each row at its index: requests', misplaced ones', timers' and those of the ending.

    `ambiguous` names the replies from which a client cannot tell what has changed. `changes` has the replies that
    tell of a tuple of a relation that has come (True) or gone (False), with their templates.
    """

    spec: Spec
    rows: tuple[Row, ...]
    verbs: Mapping[str, Verb]
    reactions: Mapping[str, Reaction]
    changes: Mapping[tuple[str, bool], tuple[str, Template]]
    ambiguous: tuple[str, ...]
    relations: Relations

    @property
    def endings(self) -> list[Row]:
        """What the end of a connection does, once for each thing that a partner may make of it."""
        return [row for row in self.rows if not row.state]

    def by_request(self) -> dict[tuple[str, str], tuple[Row, ...]]:
        """The rows of each request in each state, in the order in which they are tried; those of timers under ""."""
        found: dict[tuple[str, str], tuple[Row, ...]] = {}
        for row in self.rows:
            if row.state:
                found[row.state, row.verb] = (*found.get((row.state, row.verb), ()), row)
        return found


def compile_tables(spec: Spec, clients: Spec | None = None) -> Tables:
    """The tables of a spec; its clients go by another one if `clients` is given.

    Raises UnsupportedSpecError for what the model cannot express.
    """
    compiler = _Compiler(spec, Replies(clients or spec), Relations(spec))
    rows = [replace(row, index=number) for number, row in enumerate(compiler.rows())]
    changes = {
        (relation.name, added): (compiler.replies.of_template(template), template)
        for relation in spec.relations.values()
        for template, added in ((relation.added, True), (relation.dropped, False))
        if template is not None
    }
    replies = compiler.replies
    verbs = {verb: compiler.verb(request, rows) for verb, request in spec.requests.items()}
    ambiguous = tuple(dict.fromkeys(replies.ambiguous))
    return Tables(spec, tuple(rows), verbs, replies.reactions, changes, ambiguous, compiler.relations)


class _Compiler:
    """Makes the tables of one spec."""

    def __init__(self, spec: Spec, replies: Replies, relations: Relations) -> None:
        self.spec, self.replies, self.relations = spec, replies, relations

    def rows(self) -> Iterator[Row]:
        spec = self.spec
        for state, outcome in spec.outcomes():
            if outcome.fails is not None:
                refusing = self._refusing(state, outcome.verb, outcome.fails, outcome.conditions, outcome.rule)
                yield replace(refusing, perhaps=True)
            yield self._row(state, outcome)
        for state in spec.live_states:
            for verb in spec.requests.keys() - spec.states[state].recv.keys():
                fault = spec.fault_rule("state", state, verb)
                yield replace(self._refusing(state, verb, fault.error, (), fault.rule), misplaced=True)
        for timer in spec.timers.values():
            for state in spec.live_states:
                if timer.row is not None and (timer.states is None or state in timer.states):
                    yield replace(self._row(state, timer.row), of_call=timer.since == "call")
        yield from self._endings()

    def _refusing(self, state: str, verb: str, code: str, conditions: tuple[Condition, ...], rule: str) -> Row:
        answers = (self.replies.of_refusal(verb, code),)
        return Row(0, state, verb, code, conditions, refuses=True, answers=answers, rule=rule)

    def _row(self, state: str, outcome: Outcome) -> Row:
        answers: tuple[str, ...] = ()
        if outcome.error is not None:
            answers = (self.replies.of_refusal(outcome.verb, outcome.error),)
        elif outcome.answer is not None:
            answers = (self.replies.of_template(outcome.answer, outcome.verb or None),)
        row = Row(
            0,
            state,
            outcome.verb,
            outcome.label,
            outcome.conditions,
            outcome.error is not None,
            answers=answers,
            to=outcome.to,
            effects=outcome.effects,
            tells=tuple(map(self._tell, outcome.tells)),
            rule=outcome.rule,
            answer_text=outcome.answer,
            cause=outcome.cause,
        )
        for effect in row.effects:
            if effect.kind == "drop" and effect.entry is not None and not self.relations.is_exact(effect.entry):
                raise UnsupportedSpecError(f"{row} drops {effect.entry}; the model keeps only keys of users and words")
        return row if outcome.partner is None else self._with_partner(row, outcome.partner)

    def _tell(self, tell: Tell) -> RowTell:
        return RowTell(tell.kind, self.replies.of_template(tell.push), tell.push, tell.field, tell.entry)

    def _with_partner(self, row: Row, partner: PartnerEffect, **chosen: str) -> Row:
        states = frozenset(self.spec.partner_states(partner))
        reply = self.replies.of_template(partner.push, **chosen)
        return replace(row, push=reply, push_text=partner.push, partner_states=states, partner_to=partner.to)

    def _endings(self) -> Iterator[Row]:
        """A row for each reply that a partner may get, of those that mean different things to it."""
        ending = self.spec.ending
        row = Row(0, "", "", "ending", to=ending.to, effects=ending.effects, rule=ending.rule)
        if ending.partner is None:
            yield row
            return
        rows = [self._with_partner(row, ending.partner, reason=reason) for reason in ending_reasons(self.spec)]
        yield from {row.push: row for row in reversed(rows)}.values()

    def verb(self, request: Request, rows: list[Row]) -> Verb:
        own = [row for row in rows if row.verb == request.verb]
        kinds = {kind for row in own for kind in row.kinds}
        conditions = [condition for row in own for condition in row.conditions]
        conditions += [table[request.verb] for table in self.spec.client.only_if.values() if request.verb in table]
        named, words = self._fields(own, conditions)
        if len(named) > 1:
            raise UnsupportedSpecError(f"{request.verb} names two users; the model knows of one in a request")
        choices = [[(name, word) for word in (*sorted(known), "")] for name, known in sorted(words.items())]
        changing = {row.index for row in own if row.to is not None or not row.kinds.isdisjoint(CHANGING - {"relay"})}
        moving = changing or any(row.push is not None or row.tells for row in own)
        sent = {reply for row in own for reply in (*row.answers, row.push, *(tell.reply for tell in row.tells))}
        return Verb(
            request.verb,
            answered=request.answer is not None,
            name_field=next(iter(named), None),
            words=tuple(dict(choice) for choice in product(*choices)),
            inert=not moving and all(condition.kind in WORD_CONDITIONS for condition in conditions),
            light=not changing
            and request.answer is None
            and request.verb not in self.spec.client.one_unanswered
            and not any(row.partner_to for row in own)
            and all(self.replies.reactions[reply].light for reply in sent if reply is not None),
            relays="relay" in kinds,
            accepts="accept" in kinds,
            unlinks=any(row.to != self.spec.final and row.unlinks for row in own),
            ends=any(row.to == self.spec.final for row in own),
        )

    def _fields(self, rows: list[Row], conditions: list[Condition]) -> tuple[set[str], dict[str, set[str]]]:
        """The fields that name users, and the others that are asked about, with the words that they are compared to."""
        named: set[str] = set()
        words: dict[str, set[str]] = {}
        for condition in conditions:
            if condition.kind in WORD_CONDITIONS:
                words.setdefault(str(condition.field), set()).add(str(condition.value))
            elif condition.field is not None and condition.entry is None:
                named.add(condition.field)
        named |= {effect.field for row in rows for effect in row.effects if effect.field is not None}
        named |= {tell.field for row in rows for tell in row.tells if tell.field is not None}
        for entry in [entry for row in rows for entry in row.entries]:
            for argument, kind in () if entry is None else self.relations.arguments(entry):
                if argument.field is not None:
                    if kind == "word":
                        words.setdefault(argument.field, set())
                    else:
                        named.add(argument.field)
        return named, words
