"""What the rows of a spec may do to names and to the link. Knows nothing of time and of frames but their variables.

A server carries out a row as it stands. A row that could lead to a frame without a name, to a partner in a state that
the row does not know, or to a name that is never freed, is found here, with its place.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from .forms import Variable
from .model import Outcome, PartnerEffect, Spec
from .reading import Document, Path
from .terms import OWN_END, Condition, Effect, EffectKind, Tell

T = TypeVar("T", bound=Hashable)

OF_THE_LINK = ("link", "accept", "retract", "relay", "unlink")  # a row has one of these effects at most
OF_A_PARTNER = {"the partner", *OWN_END}


def check_links(spec: Spec, document: Document) -> None:
    """Notes each fault in `document`. The spec has one initial and one final state."""
    names = named(spec)
    places = _by_place(spec, document)
    rows = [_Row(spec, document, names, path, tuple(states), row) for path, (row, states) in places.items()]
    if any(row.outcome.does("link") for row in rows):
        for row in rows:
            row.check()
        _check_ending(spec, document)
        return
    if spec.linked_states:
        document.blame(("link",), "no row links two users, so no connection has a partner", key=True)
    for row in rows:
        row.check_names()
    for row in rows:
        if row.outcome.partner is not None:
            row.blame("no row links two users, so there is no partner to tell", "partner")


def row_path(spec: Spec, document: Document, state: str, outcome: Outcome) -> Path:
    """Where a row stands: in its state, in a table that several states share, or under `always`."""
    index = spec.states[state].recv[outcome.verb].index(outcome)
    own: Path = ("states", state, "recv", outcome.verb, index)
    data: Any = document.data
    shared: list[Path] = [
        ("shared", place, "recv", outcome.verb, index)
        for place, group in enumerate(data.get("shared", ()))
        if state in group["in"] and outcome.verb in group["recv"]
    ]
    return next((path for path in [own, *shared] if path in document.values), ("always", outcome.verb, index))


def reachable(start: T, edges: Mapping[T, Iterable[T]]) -> set[T]:
    """The nodes that can be reached from `start`, itself included."""
    found, waiting = {start}, [start]
    while waiting:
        for target in edges.get(waiting.pop(), ()):
            if target not in found:
                found.add(target)
                waiting.append(target)
    return found


def changes(spec: Spec) -> dict[str, set[str]]:
    """By state, the states to which requests lead: one's own and those of the other end."""
    edges: dict[str, set[str]] = {name: set() for name in spec.states}
    for state, outcome in spec.outcomes():
        if outcome.to is not None:
            edges[state].add(outcome.to)
        if outcome.partner is not None and outcome.partner.to is not None:
            for source in spec.partner_states(outcome.partner):
                edges[source].add(outcome.partner.to)
    return edges


def named(spec: Spec) -> dict[bool, set[str]]:
    """The states in which a connection may be with a name (True), and those in which it may be without one."""
    edges: dict[tuple[str, bool], set[tuple[str, bool]]] = {}
    for state, row in spec.outcomes():
        for has in (True, False):
            after = (has or row.does("bind")) and not row.does("release")
            edges.setdefault((state, has), set()).add((row.to or state, after))
    partners = [row.partner for _, row in spec.outcomes() if row.partner is not None]
    for partner in [*partners, *([spec.ending.partner] if spec.ending.partner else ())]:
        for source in spec.partner_states(partner) if partner.to is not None else ():
            edges.setdefault((source, True), set()).add((str(partner.to), True))  # a linked connection has a name
    found = reachable((spec.initial, False), edges)
    return {has: {state for state, other in found if other is has} for has in (True, False)}


def _by_place(spec: Spec, document: Document) -> dict[Path, tuple[Outcome, list[str]]]:
    """Each row as it stands in the file, with the states that it is for."""
    found: dict[Path, tuple[Outcome, list[str]]] = {}
    for state, outcome in spec.outcomes():
        found.setdefault(row_path(spec, document, state, outcome), (outcome, []))[1].append(state)
    return found


class _Row:
    """One row, in all the states that it is for."""

    def __init__(
        self,
        spec: Spec,
        document: Document,
        names: Mapping[bool, set[str]],
        path: Path,
        states: tuple[str, ...],
        outcome: Outcome,
    ) -> None:
        self.spec, self.document, self.path, self.states, self.outcome = spec, document, path, states, outcome
        self.named, self.nameless = (names[has].intersection(states) for has in (True, False))
        self.free = names[True] - set(spec.linked_states) - {spec.final}  # where a called user may be
        self.linked = [state for state in states if spec.states[state].linked]
        self.before = spec.states[states[0]].recv[outcome.verb][: int(path[-1])]

    def blame(self, reason: str, *part: str) -> None:
        self.document.blame((*self.path, *part), reason, key=bool(part))

    def check(self) -> None:
        self.check_names()
        self._check_link()
        self._check_partner()

    def check_names(self) -> None:
        """What does not depend on a link: which rows are taken, and what may have no name."""
        self._check_reached()
        self._check_name()

    def _check_reached(self) -> None:
        conditions = set(self.outcome.conditions)
        if any(row.conditions and conditions.issuperset(row.conditions) for row in self.before):
            self.blame("an earlier outcome has the same condition, so this one is never taken", "if")
        same = [row for row in self.before if row.error is None and row.label == self.outcome.label]
        if self.outcome.error is None and same:
            self.blame(f"{self.outcome.verb} has an outcome {self.outcome.label} already", "outcome")

    def _check_name(self) -> None:
        if self.outcome.does("bind"):
            if self.named:
                self.blame(f"in {_some(self.named)} a connection may have a name already", "do")
            self._check_refused("bind", ("taken",))
        if self.nameless:
            if self.outcome.does("link"):
                self.blame(
                    f"in {_some(self.nameless)} a connection may have no name, so the called user cannot be told it",
                    "do",
                )
            if self.outcome.answer is not None and Variable("me") in self.outcome.answer.parts:
                self.blame(f"in {_some(self.nameless)} a connection may have no name, so <me> has no value", "answer")
            if self._says_me():
                self.blame(f"in {_some(self.nameless)} a connection may have no name, so me is nobody")
        if self.named and self.outcome.to == self.spec.final and not self.outcome.does("release"):
            self.blame(f"{self.outcome.name} ends a connection that may have a name, so it must release")
        if self.linked and self.outcome.does("release") and not self.outcome.does("unlink"):
            self.blame("a connection that loses its name can have no partner, so it must unlink", "do")

    def _says_me(self) -> bool:
        """Whether the row needs the user of its own connection, in the tuples of a relation or in a tell."""
        row = self.outcome
        parts: list[Condition | Effect | Tell] = [*row.conditions, *row.effects, *row.tells]
        named = [argument.kind for part in parts if part.entry is not None for argument in part.entry.arguments]
        return "me" in named or any(Variable("me") in tell.push.parts for tell in row.tells)

    def _check_link(self) -> None:
        effects = [effect.kind for effect in self.outcome.effects if effect.kind in OF_THE_LINK]
        if len(effects) > 1:
            self.blame(f"one outcome cannot both {effects[0]} and {effects[1]}", "do")
        kinds = {condition.kind for condition in self.outcome.conditions}
        if kinds & OF_A_PARTNER and not self.linked:
            self.blame(f"in {_some(self.states)} no connection has a {self.spec.link.name}", "if")
        for effect in ("accept", "retract", "relay"):
            if effect in effects and not self.linked:
                self.blame(f"in {_some(self.states)} no connection has a {self.spec.link.name}", "do")
        refused = {condition.kind for condition in self._refused()}
        if "accept" in effects and not kinds & {"the partner", "a partner"} and "no partner" not in refused:
            self.blame("before this, a connection without a partner must be refused")
        if "link" in effects:
            if self.linked and "no partner" not in kinds:
                self.blame(f"in {_some(self.linked)} a connection may have a partner already", "do")
            self._check_refused("link", ("unknown", "oneself", "linked"))

    def _check_refused(self, effect: EffectKind, kinds: tuple[str, ...]) -> None:
        """A row that does something with the user of a field needs rows before it that refuse the other cases."""
        field = self.outcome.field_for(effect)
        refused = {condition.kind for condition in self._refused() if condition.field == field}
        for kind in kinds:
            if kind not in refused:
                self.blame(f"before this, a user who is {kind} must be refused")

    def _refused(self) -> list[Condition]:
        """The conditions each of which is refused by a row before this one, whatever else holds."""
        return [row.conditions[0] for row in self.before if row.error and len(row.conditions) == 1]

    def _check_partner(self) -> None:
        partner = self.outcome.partner
        if partner is None:
            return
        if partner.to == self.spec.final:
            self.blame(f"no other connection can bring it to {self.spec.final}", "partner")
        if self.outcome.does("link"):
            self._check_called(partner)
        else:
            if not {"accept", "retract", "relay", "unlink"} & {effect.kind for effect in self.outcome.effects}:
                self.blame("a push to the partner is that of a link, accept, retract, relay or unlink", "partner")
            for reason in _unlike(self.spec, partner):
                self.blame(reason, "partner")

    def _check_called(self, partner: PartnerEffect) -> None:
        """The user that a row links was found by name, is free, and is in the state that the row moves."""
        sources = set(self.spec.partner_states(partner))
        for name in sorted(self.free - sources):
            self.blame(f"the called user may be in {name}, and this does not move it")
        if partner.source is not None and not self.free & sources:
            self.blame(f"no user that can be called is in {partner.source}", "partner")


def _unlike(spec: Spec, partner: PartnerEffect) -> Iterator[str]:
    """The states in which a partner may be and which a row does not cover."""
    for name in spec.linked_states:
        if partner.source is not None and name != partner.source:
            yield f"the partner may be in {name}, and this is for one in {partner.source} alone"
    if partner.source is not None and partner.source not in spec.linked_states:
        yield f"no connection has a partner in {partner.source}"


def _check_ending(spec: Spec, document: Document) -> None:
    """An end without a request does two things in any case: it unlinks, and frees the name."""
    kinds = {effect.kind for effect in spec.ending.effects}
    if kinds != {"unlink", "release"}:
        document.blame(("ending", "do"), "an ending does two things: unlink and release")
    if spec.ending.partner is None:
        document.blame(("ending",), "what happens to the partner is missing", key=True)
        return
    for reason in _unlike(spec, spec.ending.partner):
        document.blame(("ending", "partner"), reason, key=True)
    if spec.ending.partner.to == spec.final:
        document.blame(("ending", "partner"), f"no other connection can bring it to {spec.final}", key=True)


def _some(states: Iterable[str]) -> str:
    return " and ".join(sorted(states))
