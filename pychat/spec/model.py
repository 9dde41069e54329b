"""What a spec says, as immutable data. Knows no YAML, no socket, no verb and no state of any protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from .forms import Form, FrameFault, Framing, Push, Reply, Request, Template, Type

ConditionKind = Literal[
    "taken", "unknown", "oneself", "linked", "the partner", "equals", "differs", "no partner", "not accepted"
]
EffectKind = Literal["bind", "link", "accept", "retract", "relay", "unlink", "release", "list"]
Since = Literal["accept", "silence", "full", "goodbye"]
When = Literal["too-long", "full", "share", "stop"]

MOST_PUSHED = 9999  # the fields of a timer's push are filled with the numbers 1 to this, over and over


@dataclass(frozen=True, slots=True)
class Condition:
    """When an outcome is taken; `field` is the field that it asks about, `value` the word it is compared with."""

    kind: ConditionKind
    field: str | None = None
    value: str | None = None

    def __str__(self) -> str:
        if self.field is None:
            return self.kind
        if self.value is not None:
            return f'<{self.field}> is {"not " if self.kind == "differs" else ""}"{self.value}"'
        return f"<{self.field}> is {self.kind}"


@dataclass(frozen=True, slots=True)
class Effect:
    """A change to what the server knows; `field` names the user that it is about."""

    kind: EffectKind
    field: str | None = None

    def __str__(self) -> str:
        return self.kind if self.field is None else f"{self.kind} <{self.field}>"


@dataclass(frozen=True, slots=True)
class PartnerEffect:
    """What an outcome does to the connection at the other end: the state it is in and moves to, and its push."""

    push: Template
    source: str | None = None
    to: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row of the table: what follows from a request in a state when `condition` holds (None: always)."""

    verb: str
    label: str
    rule: str
    condition: Condition | None = None
    error: str | None = None
    answer: Template | None = None
    to: str | None = None
    effects: tuple[Effect, ...] = ()
    partner: PartnerEffect | None = None
    profile: str = "core"

    @property
    def name(self) -> str:
        """The name of the machine's event: `CHAT/user-busy`."""
        return f"{self.verb}/{self.label}"

    def does(self, kind: EffectKind) -> bool:
        return any(effect.kind == kind for effect in self.effects)

    def field_for(self, kind: EffectKind) -> str | None:
        """The field that names the user of an effect, None where the row has no such effect with a field."""
        return next((effect.field for effect in self.effects if effect.kind == kind), None)


@dataclass(frozen=True, slots=True)
class Error:
    """A code of a refusal. `general` errors are those of the faults that any frame may have."""

    code: str
    words: str
    doc: str
    general: bool
    profile: str = "core"


@dataclass(frozen=True, slots=True)
class FaultRule:
    """The error that answers a fault, and the verbs for which it does not count."""

    fault: FrameFault
    error: str
    rule: str
    uncounted: frozenset[str] = frozenset()


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
    partner: PartnerEffect
    gone: str
    rule: str


@dataclass(frozen=True, slots=True)
class Link:
    """What two connections share: each is the other's partner, in these states. `key` is the type of users' names."""

    name: str
    key: str
    doc: str
    held_in: frozenset[str]


@dataclass(frozen=True, slots=True)
class ClientRules:
    """What a client may send beside the table: see the comment of `client` in the spec."""

    one_unanswered: frozenset[str]
    one_unanswered_rule: str
    only_if: Mapping[str, Mapping[str, Condition]]
    only_if_rule: str
    may_follow: Mapping[str, str]
    may_follow_rule: str


@dataclass(frozen=True, slots=True)
class Timer:
    """After `after` seconds since `since`: a goodbye, a push, an end without a frame (`gone`), or the close."""

    name: str
    since: Since
    after: float
    rule: str
    states: frozenset[str] | None = None
    goodbye: str | None = None
    push: str | None = None
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
    """`tolerance` in seconds, queues in octets; `address_share` is what one address may hold of the connections."""

    tolerance: float
    queue_mark: int
    queue_stop: int
    address_share: Share
    docs: Mapping[str, str]
    rules: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Transport:
    """The port, and the TCP keep-alive's idle time and interval in seconds and its number of probes."""

    port: int
    keepalive: tuple[float, float, int]


@dataclass(frozen=True, slots=True)
class Rule:
    """A numbered requirement."""

    id: str
    of: Literal["server", "client", "both"]
    level: Literal["MUST", "SHOULD", "MAY"]
    text: str
    profile: str = "core"


StepKind = Literal["send", "finish", "reset", "receive", "end"]


@dataclass(frozen=True, slots=True)
class ExampleStep:
    """A line of an example. `octets` of a send are exact; `text` of a receive may end in `…` for any words."""

    who: str
    kind: StepKind
    octets: bytes = b""
    text: str = ""

    def __str__(self) -> str:
        mark = {"send": ">", "finish": ">|", "reset": ">!", "receive": "<", "end": "<|"}[self.kind]
        return f"{self.who}{mark} {self.text}".rstrip()


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation: it becomes a text of the page, a diagram and a conformance case."""

    id: str
    title: str
    doc: str
    rules: tuple[str, ...]
    steps: tuple[ExampleStep, ...]
    profile: str = "core"


@dataclass(frozen=True, slots=True)
class Contract:
    """The line contract of clients under test: command → request, reply's key → line, notice → what it says."""

    doc: str
    commands: Mapping[str, Template]
    prints: Mapping[str, Template]
    notices: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Chapter:
    """Prose for the page about a part of the spec, or with a `title` of its own; the rules that it explains."""

    id: str
    title: str | None
    text: tuple[str, ...]
    rules: tuple[str, ...]


@dataclass(frozen=True)
class Spec:
    """A whole protocol. `sha256` is the hexadecimal digest of the file's octets, `source` where they came from.

    `numbers` has the file's numbers by their paths: those that the placeholders of a text name.
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
    link: Link
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
    numbers: Mapping[tuple[str, ...], int | float | str] = field(repr=False)
    places: Mapping[tuple[str | int, ...], str] = field(default_factory=dict, repr=False, compare=False)

    def place(self, *path: str | int) -> str:
        """Where something stands in the file, as compilers write it: `pychat.yaml:12:5`."""
        return self.places.get(path, self.source)

    @cached_property
    def name_type(self) -> Type:
        """The type of users' names."""
        return self.types[self.link.key]

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
        for _, outcome in self.outcomes():
            if outcome.error is None and outcome.to != self.final and outcome.does(kind):
                return outcome.verb
        return None

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
        found[self.refusal.key] = Reply(self.refusal.key, "refusal", self.refusal)
        found[self.goodbye.key] = Reply(self.goodbye.key, "goodbye", self.goodbye)
        return found

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

    def fault_rule(self, fault: FrameFault) -> FaultRule:
        return next(rule for rule in self.faults if rule.fault == fault)

    def goodbye_when(self, when: When) -> Goodbye:
        return next(goodbye for goodbye in self.goodbyes.values() if goodbye.when == when)

    def budget(self, state: str) -> Budget | None:
        return next((budget for budget in self.budgets if state in budget.states), None)
