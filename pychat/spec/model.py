"""What a spec says, as immutable data. Knows no YAML, no socket, no verb and no state of any protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, TypeVar

from .documents import Chapter, Contract, Example, Rule, Transport
from .forms import ANY_VERB, Form, FrameFault, Framing, Push, Reply, Request, Template, Type
from .terms import Condition, Effect, EffectKind, Invariant, Relation, Tell

Since = Literal["accept", "silence", "full", "call", "goodbye"]
When = Literal["too-long", "full", "share", "stop"]

MOST_PUSHED = 9999  # the fields of a timer's push are filled with the numbers 1 to this, over and over


@dataclass(frozen=True, slots=True)
class PartnerEffect:
    """What an outcome does to the connection at the other end: the state it is in and moves to, and its push."""

    push: Template
    source: str | None = None
    to: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row of the table: what follows from a request in a state when all `conditions` hold.

    The row of a timer has no request: its `verb` is "", its label the timer's name, and its `answer` is what the
    connection itself is told. `cause` is the reason that the tells of a dropped tuple give. A `slow` row waits for a
    password's hash or for the disk; `fails` is the error that refuses it when the disk fails.
    """

    verb: str
    label: str
    rule: str
    conditions: tuple[Condition, ...] = ()
    error: str | None = None
    answer: Template | None = None
    to: str | None = None
    effects: tuple[Effect, ...] = ()
    partner: PartnerEffect | None = None
    tells: tuple[Tell, ...] = ()
    cause: str | None = None
    slow: bool = False
    fails: str | None = None
    profile: str = "core"

    @property
    def name(self) -> str:
        """The name of the machine's event: `CHAT/user-busy`."""
        return f"{self.verb}/{self.label}"

    def does(self, kind: EffectKind) -> bool:
        return any(effect.kind == kind for effect in self.effects)

    def adds_to(self, relation: str) -> bool:
        """Whether it adds a tuple to this relation."""
        entries = (effect.entry for effect in self.effects if effect.kind == "add")
        return any(entry is not None and entry.relation == relation for entry in entries)

    def field_for(self, kind: EffectKind) -> str | None:
        """The field that names the user of an effect, None where the row has no such effect with a field."""
        return next((effect.field for effect in self.effects if effect.kind == kind), None)


@dataclass(frozen=True, slots=True)
class Error:
    """A code of a refusal. `general` errors are those of the faults that any frame may have.

    `form` is the frame of this error alone; without it, the refusal of the spec is sent.
    """

    code: str
    words: str
    doc: str
    general: bool
    form: Form | None = None
    profile: str = "core"


@dataclass(frozen=True, slots=True)
class FaultRule:
    """The error that answers a fault in these states, for these verbs (None: all); `uncounted` verbs do not count."""

    fault: FrameFault
    error: str
    rule: str
    uncounted: frozenset[str] = frozenset()
    states: frozenset[str] | None = None
    verbs: frozenset[str] | None = None

    def covers(self, state: str, verb: str) -> bool:
        """Whether it is about a request with this verb (`*`: with none of a request) in this state."""
        return (self.states is None or state in self.states) and (self.verbs is None or verb in self.verbs)


@dataclass(frozen=True, slots=True)
class Budget:
    """How many faults a connection may send in these states before its goodbye."""

    states: frozenset[str]
    faults: int
    in_a_row: bool
    goodbye: str
    rule: str


@dataclass(frozen=True, slots=True)
class Goodbye:
    """A code of the server's last frame. `gone` is the reason that the partner is told, None for no push."""

    code: str
    words: str
    doc: str
    when: When | None
    gone: str | None
    profile: str = "core"


@dataclass(frozen=True, slots=True)
class State:
    """A state of a connection, with the outcomes of each request that has a place in it, in their order."""

    name: str
    doc: str
    initial: bool
    final: bool
    linked: bool
    recv: Mapping[str, tuple[Outcome, ...]]
    profile: str = "core"


@dataclass(frozen=True, slots=True)
class Ending:
    """What the end of a connection does when it comes without a request.

    Its push has the variable `reason`: `gone`, unless a goodbye or a timer names another one.
    """

    to: str
    effects: tuple[Effect, ...]
    partner: PartnerEffect | None
    gone: str
    rule: str


@dataclass(frozen=True, slots=True)
class Link:
    """What two connections share: each is the other's partner, in these states.

    A spec without one has a link that no state holds. Each end has answered (has named this partner in a request that
    links or accepts; it stays so), and is accepted (is heard now). The caller has and is both from the beginning.
    """

    name: str
    doc: str
    held_in: frozenset[str]


@dataclass(frozen=True, slots=True)
class ClientRules:
    """What a client may send beside the table: see the comment of `client` in the spec."""

    one_unanswered: frozenset[str] = frozenset()
    one_unanswered_rule: str = ""
    only_if: Mapping[str, Mapping[str, Condition]] = field(default_factory=dict)
    only_if_rule: str = ""
    may_follow: Mapping[str, str] = field(default_factory=dict)
    may_follow_rule: str = ""


@dataclass(frozen=True, slots=True)
class Timer:
    """After `after` seconds since `since`: a goodbye, a row, an end without a frame (`gone`), or the close.

    A row is taken if its conditions hold at that moment; the timer of a call runs out once in it.
    """

    name: str
    since: Since
    after: float
    rule: str
    states: frozenset[str] | None = None
    goodbye: str | None = None
    row: Outcome | None = None
    gone: str | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """One in `one_in` connections, or `at_least` if that is more."""

    one_in: int
    at_least: int

    def of(self, connections: int) -> int:
        """How many of so many connections it is."""
        return max(self.at_least, connections // self.one_in)


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds, queues in octets; `address_share` is what one address may hold of the connections."""

    tolerance: float
    shutdown: float
    queue_mark: int
    queue_stop: int
    address_share: Share
    docs: Mapping[str, str]
    rules: Mapping[str, str]


@dataclass(frozen=True)
class Spec:
    """A whole protocol. `sha256` is the hexadecimal digest of the file's octets, `source` where they came from.

    `names` is the type of users' names. A form without parts (`refusal`, `goodbye`) is of a frame that this spec does
    not have. `numbers` has the file's numbers by their paths: those that the placeholders of a text name.
    """

    source: str
    sha256: str
    protocol: str
    title: str
    version: int
    doc: str
    history: tuple[tuple[int, str], ...]
    profiles: Mapping[str, str]
    transport: Transport
    framing: Framing
    types: Mapping[str, Type]
    requests: Mapping[str, Request]
    pushes: Mapping[str, Push]
    refusal: Form
    refusal_doc: str
    goodbye: Form
    goodbye_doc: str
    errors: Mapping[str, Error]
    faults: tuple[FaultRule, ...]
    budgets: tuple[Budget, ...]
    goodbyes: Mapping[str, Goodbye]
    names: str
    link: Link
    relations: Mapping[str, Relation]
    invariants: tuple[Invariant, ...]
    greeting: tuple[Template, ...]
    states: Mapping[str, State]
    ending: Ending
    client: ClientRules
    timers: Mapping[str, Timer]
    limits: Limits
    rules: Mapping[str, Rule]
    examples: Mapping[str, Example]
    contract: Contract
    chapters: Mapping[str, Chapter]
    security: tuple[str, ...]
    hints: tuple[str, ...]
    choices: tuple[str, ...]
    glossary: Mapping[str, str]
    numbers: Mapping[tuple[str, ...], int | float | str] = field(repr=False)
    places: Mapping[tuple[str | int, ...], str] = field(default_factory=dict, repr=False, compare=False)

    def offering(self, profiles: Iterable[str]) -> Spec:
        """The same protocol without what belongs to other profiles: its rows, frames, types, words, errors and rules.

        Core is always offered. Raises KeyError for a profile that the spec does not have.
        """
        offered = {"core", *profiles}
        unknown = offered - self.profiles.keys()
        if unknown:
            raise KeyError(min(unknown))
        return self if offered == self.profiles.keys() else _offering(self, offered)

    def place(self, *path: str | int) -> str:
        """Where something stands in the file, as compilers write it: `pychat.yaml:12:5`."""
        return self.places.get(path, self.source)

    @cached_property
    def name_type(self) -> Type:
        """The type of users' names."""
        return self.types[self.names]

    def last_type(self, form: Form) -> Type | None:
        """The type of a form's last field, None without fields."""
        return self.types[form.fields[-1].type] if form.fields else None

    @cached_property
    def initial(self) -> str:
        return next(state.name for state in self.states.values() if state.initial)

    @cached_property
    def final(self) -> str:
        return next(state.name for state in self.states.values() if state.final)

    @cached_property
    def live_states(self) -> tuple[str, ...]:
        """The states in which frames are read, in the order of the file."""
        return tuple(state.name for state in self.states.values() if not state.final)

    @cached_property
    def linked_states(self) -> tuple[str, ...]:
        """The live states that hold the link, in the order of the file."""
        return tuple(name for name in self.live_states if name in self.link.held_in)

    def partner_states(self, partner: PartnerEffect) -> tuple[str, ...]:
        """The states in which the connection at the other end may be."""
        return self.linked_states if partner.source is None else (partner.source,)

    def outcomes(self) -> Iterator[tuple[str, Outcome]]:
        """Each state with each of its rows, in the order of the file."""
        for state in self.states.values():
            for rows in state.recv.values():
                for outcome in rows:
                    yield state.name, outcome

    def verb_that(self, kind: EffectKind) -> str | None:
        """The request that has this effect when it succeeds without ending the connection, None without one.

        Programs find a verb by its meaning, so that no program holds the word.
        """
        return self._verbs.get(kind)

    @cached_property
    def _verbs(self) -> dict[EffectKind, str]:
        rows = [row for _, row in self.outcomes() if row.error is None and row.to != self.final]
        return {effect.kind: row.verb for row in rows[::-1] for effect in row.effects}

    @cached_property
    def quit_verb(self) -> str | None:
        """The request that ends the connection."""
        return next((outcome.verb for _, outcome in self.outcomes() if outcome.to == self.final), None)

    @cached_property
    def replies(self) -> Mapping[str, Reply]:
        """Every frame that a server may send, by the words that it begins with."""
        found: dict[str, Reply] = {}
        for request in self.requests.values():
            if request.item is not None:
                found[request.item.key] = Reply(request.item.key, "item", request.item, request.verb)
            if request.answer is not None:
                found[request.answer.key] = Reply(request.answer.key, "answer", request.answer, request.verb)
        for push in self.pushes.values():
            found[push.form.key] = Reply(push.form.key, "push", push.form)
        for error in self.errors.values():
            if error.form is not None:
                found[error.form.key] = Reply(error.form.key, "refusal", error.form, code=error.code)
        if self.refusal.parts:
            found[self.refusal.key] = Reply(self.refusal.key, "refusal", self.refusal)
        if self.goodbye.parts:
            found[self.goodbye.key] = Reply(self.goodbye.key, "goodbye", self.goodbye)
        return found

    def refusal_line(self, verb: str, code: str, me: str = "", words: str | None = None) -> str:
        """The refusal of a request, without its ending. `words` are those of the error if nothing else is given."""
        error = self.errors[code]
        values = {"verb": verb or ANY_VERB, "code": code, "words": words or error.words, "me": me or ANY_VERB}
        return (error.form or self.refusal).write(values)

    def goodbye_line(self, code: str, words: str | None = None) -> str:
        """The last frame, without its ending."""
        return self.goodbye.write({"code": code, "words": words or self.goodbyes[code].words})

    @cached_property
    def _most_key_words(self) -> int:
        return max(key.count(" ") for key in self.replies) + 1

    def reply_of(self, line: str) -> Reply | None:
        """The reply that a line begins with, None where no reply begins so. No key is the beginning of another one."""
        most = self._most_key_words
        words = line.split(" ", most)[:most]
        for count in range(1, len(words) + 1):
            reply = self.replies.get(" ".join(words[:count]))
            if reply is not None:
                return reply
        return None

    def fault_rule(self, fault: FrameFault, state: str, verb: str = ANY_VERB) -> FaultRule:
        """The rule that answers a line in a state which has this fault and no other."""
        return next(rule for rule in self.faults if rule.fault == fault and rule.covers(state, verb))

    def first_fault(self, state: str, fault: FrameFault | None, verb: str) -> FaultRule | None:
        """The rule that answers a line in a state, None where nothing is wrong with it.

        `fault` is what is wrong with the line by itself, `verb` the request that it begins with (`*`: none). A request
        without a row in the state has the fault `state` besides; the order of the rules decides which one is answered.
        """
        misplaced = verb != ANY_VERB and verb not in self.states[state].recv
        if fault is None and not misplaced:
            return None
        found = {fault, "state" if misplaced else None}
        return next(rule for rule in self.faults if rule.fault in found and rule.covers(state, verb))

    def goodbye_when(self, when: When) -> Goodbye | None:
        """The goodbye for a cause, None in a spec that has none for it."""
        return next((goodbye for goodbye in self.goodbyes.values() if goodbye.when == when), None)

    def budget(self, state: str) -> Budget | None:
        for budget in self.budgets:
            if state in budget.states:
                return budget
        return None


P = TypeVar("P")


def _offering(spec: Spec, offered: set[str]) -> Spec:
    def kept(parts: Mapping[str, P]) -> dict[str, P]:
        return {name: part for name, part in parts.items() if _profile(part) in offered}

    relations, states = kept(spec.relations), {}
    gone = spec.relations.keys() - relations.keys()
    for name, state in kept(spec.states).items():
        recv = {
            verb: tuple(_row(row, offered) for row in rows if row.profile in offered)
            for verb, rows in state.recv.items()
        }
        states[name] = replace(state, recv={verb: rows for verb, rows in recv.items() if rows})
    verbs = {verb for state in states.values() for verb in state.recv}
    requests = {verb: request for verb, request in kept(spec.requests).items() if verb in verbs}
    result = replace(
        spec,
        profiles={name: doc for name, doc in spec.profiles.items() if name in offered},
        types={name: _words_of(kind, gone) for name, kind in kept(spec.types).items()},
        requests=requests,
        pushes=kept(spec.pushes),
        errors=kept(spec.errors),
        goodbyes=kept(spec.goodbyes),
        relations=relations,
        invariants=tuple(one for one in spec.invariants if one.profile in offered and one.relation in relations),
        states=states,
        faults=tuple(replace(rule, uncounted=rule.uncounted & requests.keys()) for rule in spec.faults),
        rules=kept(spec.rules),
        examples=kept(spec.examples),
        client=_client_of(spec.client, requests),
    )
    prints = {key: line for key, line in spec.contract.prints.items() if key in result.replies}
    commands = {name: sent for name, sent in spec.contract.commands.items() if sent.form.verb in requests}
    chapters = {
        name: replace(chapter, rules=tuple(rule for rule in chapter.rules if rule in result.rules))
        for name, chapter in spec.chapters.items()
    }
    contract = replace(spec.contract, prints=prints, commands=commands)
    return replace(result, contract=contract, chapters=chapters)


def _profile(part: Any) -> str:
    profile: str = part.profile
    return profile


def _row(row: Outcome, offered: set[str]) -> Outcome:
    return replace(row, tells=tuple(tell for tell in row.tells if tell.profile in offered))


def _words_of(kind: Type, gone: set[str]) -> Type:
    """A type without the words that say something of a relation which is not offered."""
    words = {word for word, when in kind.holds if when in gone}
    if not words:
        return kind
    left = tuple(word for word in kind.one_of if word not in words)
    good = tuple(word for word in kind.good if word not in words)
    return replace(kind, one_of=left, good=good, holds=tuple(one for one in kind.holds if one[0] not in words))


def _client_of(rules: ClientRules, requests: Mapping[str, Request]) -> ClientRules:
    only_if = {
        state: {verb: condition for verb, condition in table.items() if verb in requests}
        for state, table in rules.only_if.items()
    }
    follow = {verb: after for verb, after in rules.may_follow.items() if verb in requests and after in requests}
    return replace(rules, one_unanswered=rules.one_unanswered & requests.keys(), only_if=only_if, may_follow=follow)
