"""Server mutants derived from the rows: what can be wrong with one of them. Knows no verb and no state by name.

A change that changes nothing (nothing to unlink in a state without a link, no name to release before there is one, no
acceptance to lose before the row that asks for it) yields no mutant: it would be the correct server under another name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pychat.spec.forms import Template, Variable
from pychat.spec.model import Outcome, Spec
from pychat.spec.terms import Condition, ConditionKind, Effect, EffectKind
from tools.selftest.mutants.mutant import Mutant

from .engine import Server
from .places import Place, cleared, other_entries, places, with_cell

Change = tuple[str, str, Outcome]  # a short name, what is broken, the row in its place
SWAPPED: dict[ConditionKind, ConditionKind] = {"not accepted": "not answered", "not answered": "not accepted"}


def mutants(spec: Spec) -> Iterator[Mutant[Server]]:
    """Several for each row, and one for each cell without rows."""
    for place in places(spec):
        if place.row.verb:
            yield Mutant(
                f"{place.name}:dropped",
                f"{place.name}: the row is missing",
                None,
                place.with_rows(),
                place.near,
                place.row.rule,
            )
        for changes in (_conditions, _moves, _effects, _entries, _acceptance, _refusal, _partner, _tells, _words):
            for what, breaks, row in changes(place):
                changed = place.with_rows(row)
                yield Mutant(
                    f"{place.name}:{what}",
                    f"{place.name}: {breaks}",
                    spec=changed,
                    near=place.near,
                    rule=place.row.rule,
                )
    for state in spec.live_states:
        for verb in spec.requests:
            if verb not in spec.states[state].recv:  # the request is taken as in another state
                rows = next(other.recv[verb] for other in spec.states.values() if verb in other.recv)
                changed = with_cell(spec, state, verb, rows)
                yield Mutant(
                    f"{state}/{verb}:allowed", f"{verb} is taken in {state}", spec=changed, near=f"{state}/{verb}/*"
                )


def _conditions(place: Place) -> Iterator[Change]:
    """One of several conditions is not asked, or another one is asked in its place."""
    conditions = place.row.conditions
    for index, condition in enumerate(conditions):
        rest = (*conditions[:index], *conditions[index + 1 :])
        name = condition.entry.relation if condition.entry is not None else condition.kind.replace(" ", "-")
        if rest and not _same_without(place, condition):
            yield f"without-{name}", f"does not ask for {condition}", replace(place.row, conditions=rest)
        others = [(what, replace(condition, entry=entry)) for what, entry in other_entries(place.spec, condition.entry)]
        if condition.kind in SWAPPED:
            others.append((SWAPPED[condition.kind].replace(" ", "-"), Condition(SWAPPED[condition.kind])))
        for what, other in others:
            asked = (*conditions[:index], other, *conditions[index + 1 :])
            yield f"{name}-{what}", f"asks for {other}", replace(place.row, conditions=asked)


def _same_without(place: Place, condition: Condition) -> bool:
    """Whether the next row does the same without a partner, so that nobody sees that this one is taken."""
    if condition.kind != "a partner" or not place.after:
        return False
    row, other = (replace(row, label="", rule="", conditions=(), partner=None) for row in (place.row, place.after[0]))
    return row == other


def _moves(place: Place) -> Iterator[Change]:
    row = place.row
    if row.to is not None:
        yield "stays", "the state stays the same", replace(row, to=None)
    for to in place.spec.live_states:
        if to != row.to and to not in place.states:
            yield f"to-{to}", f"the state becomes {to}", replace(row, to=to)


def _effects(place: Place) -> Iterator[Change]:
    idle: set[EffectKind] = {"relay"}  # the push is the relay
    if not place.linked:
        idle.add("unlink")
    if place.states == (place.spec.initial,):
        idle.add("release")
    for effect in place.row.effects:
        if effect.kind not in idle:
            effects = tuple(other for other in place.row.effects if other != effect)
            yield f"no-{effect.kind}", f"does not {effect}", replace(place.row, effects=effects)


def _entries(place: Place) -> Iterator[Change]:
    """Other tuples are added and dropped than those that are meant, or some are dropped beside what a row does."""
    effects = place.row.effects
    for index, effect in enumerate(effects):
        for what, entry in other_entries(place.spec, effect.entry):
            other = replace(effect, entry=entry)
            new = (*effects[:index], other, *effects[index + 1 :])
            if effect.kind == "drop":
                also = replace(place.row, effects=(*effects, other))
                yield f"{effect.kind}-{what}-too", f"also does {other}", also
            if what == "turned":
                yield f"{effect.kind}-{what}", f"does {other} instead of {effect}", replace(place.row, effects=new)
    if place.linked and place.row.to is None:
        for entry in cleared(place.spec):
            drop = Effect("drop", entry=entry)
            if drop not in effects:
                yield f"forgets-{entry.relation}", f"also does {drop}", replace(place.row, effects=(*effects, drop))


def _acceptance(place: Place) -> Iterator[Change]:
    """A row takes the acceptance back, or gives it, beside what it does."""
    row = place.row
    if not place.stays:
        return
    if not row.does("accept") and not place.accepted:
        yield "accepts", "also accepts the chat", replace(row, effects=(*row.effects, Effect("accept")))
    if not row.does("retract") and not place.asks("not accepted"):
        yield "retracts", "also takes the acceptance back", replace(row, effects=(*row.effects, Effect("retract")))


def _refusal(place: Place) -> Iterator[Change]:
    row, spec = place.row, place.spec
    if not row.verb:
        return
    if row.error is None:
        error = spec.fault_rule("state", place.states[0], row.verb).error
        yield "refused", "refused", replace(row, error=error, answer=None, to=None, effects=(), partner=None, tells=())
        return
    codes = list(spec.errors)
    other = codes[(codes.index(row.error) + 1) % len(codes)]
    yield "wrong-code", f"answered with {other}", replace(row, error=other)
    success = (row, *place.after)[-1]
    alone = place.asks("no partner") and success.to is None
    if success.error is None and not alone and (success.effects or success.to or success.partner):
        done = replace(row, effects=success.effects, to=success.to, partner=success.partner)
        yield "done-anyway", "refused, but done", done


def _partner(place: Place) -> Iterator[Change]:
    row, partner = place.row, place.row.partner
    if partner is None or not place.has_partner:
        return
    if partner.to is not None:
        yield "partner-stays", "the partner's state stays the same", replace(row, partner=replace(partner, to=None))
    for to in place.spec.live_states:
        if to != partner.source and (to != partner.to if partner.to is not None else to not in place.states):
            yield f"partner-to-{to}", f"the partner's state becomes {to}", replace(row, partner=replace(partner, to=to))
    for what, push in _respelled(place, partner.push, {"me": ("peer",), "peer": ("me",)}):
        yield f"push-{what}", f"the partner gets {push}", replace(row, partner=replace(partner, push=push))


def _tells(place: Place) -> Iterator[Change]:
    """Others are told something else, or nothing, or more often than they should be."""
    row = place.row
    for index, tell in enumerate(row.tells):
        before, after = row.tells[:index], row.tells[index + 1 :]
        yield "nobody-told", f"does not tell {tell}", replace(row, tells=(*before, *after))
        yield "told-twice", f"tells {tell} twice", replace(row, tells=(*before, tell, tell, *after))
        for what, push in _respelled(place, tell.push, {"me": (tell.field,) if tell.field else ()}):
            new = replace(tell, push=push)
            yield f"tells-{what}", f"tells {new}", replace(row, tells=(*before, new, *after))
    same = [other for _, other in place.spec.outcomes() if other.verb == row.verb and other.tells]
    if row.verb and same and not row.tells and not place.asks("unknown"):
        yield "tells", f"tells {same[0].tells[0]}", replace(row, tells=same[0].tells)


def _words(place: Place) -> Iterator[Change]:
    typed = tuple(name for name, kind in place.fields.items() if kind == place.spec.names)
    for what, answer in _respelled(place, place.row.answer, {"peer": (*typed, "me")}):
        yield f"answer-{what}", f"the answer is {answer}", replace(place.row, answer=answer)


def _respelled(
    place: Place, template: Template | None, swaps: dict[str, tuple[str, ...]]
) -> Iterator[tuple[str, Template]]:
    """A word of a frame is another one: the value that was typed for the owner's spelling, a name for another name."""
    if template is None:
        return
    choices = [place.spec.types[field.type].one_of for field in template.form.fields]
    for index, part in enumerate(template.parts):
        if isinstance(part, Variable):
            others: Sequence[str | Variable] = [Variable(name) for name in swaps.get(part.name, ())]
        else:
            others = [word for choice in choices if part in choice for word in choice if word != part][:1]
        for other in others:
            parts = (*template.parts[:index], other, *template.parts[index + 1 :])
            yield other.name if isinstance(other, Variable) else other, Template(parts, template.form)
