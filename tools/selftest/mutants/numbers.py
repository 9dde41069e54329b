"""Server mutants derived from the spec's numbers and words: each limit off by one, each word another, each timer wrong.

Knows no verb, no state, no type and no code by name: a limit that a later spec adds gets its mutants by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from pychat.spec.model import Outcome, Spec, Template, Type, Variable

from . import Mutant
from .engine import Engine

EARLY, LATE = 0.5, 3.0  # what a wrong timer multiplies its seconds by


def mutants(spec: Spec) -> Iterator[Mutant[Engine]]:
    """Types, framing, budgets, goodbyes, timers, queue marks, and the words of answers."""
    asked = dict.fromkeys(field.type for request in spec.requests.values() for field in request.form.fields)
    for name in asked:
        yield from _type(spec.types[name])
    yield from _framing(spec)
    yield from _budgets(spec)
    yield from _goodbyes(spec)
    yield from _timers(spec)
    yield from _queues(spec)
    yield from _templates(spec)


# --- types ------------------------------------------------------------------------------------------------------------


def _type(kind: Type) -> Iterator[Mutant[Engine]]:
    def mutant(what: str, breaks: str, **fields: Any) -> Mutant[Engine]:
        change = partial(_with_type, new=replace(kind, **fields))
        return Mutant(f"type/{kind.name}:{what}", f"{kind.name}: {breaks}", change, near=f"*/*/{kind.name}-*")

    low, high = kind.octets
    yield mutant("unchecked", "anything without a space passes", match=None, forbid=(), one_of=(), octets=(0, 1 << 20))
    if kind.match is None:
        yield mutant("shorter", f"at most {high - 1} octets", octets=(low, high - 1))
        yield mutant("longer", f"{high + 1} octets pass", octets=(low, high + 1))
        yield mutant("empty", "nothing at all passes", octets=(0, high), match=f"(?:{kind.pattern})?")
        for where, forbid in _other_ranges(kind.forbid):
            yield mutant(where, where.replace("-", " "), forbid=forbid)
    elif bounds := list(re.finditer(r"\{(\d+),(\d+)\}", kind.match)):
        last, most = bounds[-1], int(bounds[-1][2])
        for what, breaks, number in (("shorter", "one less", most - 1), ("longer", "one more", most + 1)):
            match = f"{kind.match[: last.start(2)]}{number}{kind.match[last.end(2) :]}"
            yield mutant(what, f"{breaks} than the longest passes", match=match, octets=(low, high + 1))
    for value in kind.bad:
        if "\n" not in value:
            match = f"(?:{kind.pattern})|{re.escape(value)}"
            yield mutant(f"takes-{_slug(value)}", f"{value!r} passes", match=match)
    if kind.fold_case:
        yield mutant("case-kept", "unique with regard to case", fold_case=False)


def _other_ranges(forbid: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, tuple[tuple[int, int], ...]]]:
    """Each range of forbidden characters left out or one shorter, and each small hole between two closed."""
    for index, (low, high) in enumerate(forbid):
        before, after = forbid[:index], forbid[index + 1 :]
        yield f"U+{low:04X}..U+{high:04X}-pass", (*before, *after)
        for end, kept in ((low, (low + 1, high)), (high, (low, high - 1))):
            if chr(end) != "\n" and low < high:  # the ending of a line is in no line
                yield f"U+{end:04X}-passes", (*before, kept, *after)
        if after and after[0][0] - high == 2:
            yield f"U+{high + 1:04X}-is-refused", (*before, (low, after[0][1]), *after[1:])


def _with_type(spec: Spec, new: Type) -> Spec:
    return replace(spec, types={**spec.types, new.name: new})


def _slug(value: str) -> str:
    return "-".join(character if character.isalnum() else f"U+{ord(character):04X}" for character in value)[:40]


# --- framing, budgets, goodbyes ---------------------------------------------------------------------------------------


def _framing(spec: Spec) -> Iterator[Mutant[Engine]]:
    def mutant(what: str, breaks: str, **fields: Any) -> Mutant[Engine]:
        framing = replace(spec.framing, **fields)
        return Mutant(f"framing:{what}", breaks, lambda spec: replace(spec, framing=framing), near="*/LINE/*")

    for ending in spec.framing.accepts:
        if ending != spec.framing.writes:
            yield mutant("writes-other-ending", f"frames are ended by {ending!r}", writes=ending)
            kept = tuple(other for other in spec.framing.accepts if other != ending)
            yield mutant("ending-kept", f"of {ending!r}, only the LF is taken for the ending", accepts=kept)
    size = spec.framing.max_octets
    yield mutant("shorter", f"a frame of {size} octets is too long", max_octets=size - 1)
    yield mutant("longer", f"{size + 1} octets without an ending are waited for", max_octets=size + 1)
    yield mutant("endless", "no line is too long", max_octets=size * 1000)


def _budgets(spec: Spec) -> Iterator[Mutant[Engine]]:
    for index, budget in enumerate(spec.budgets):
        where = "+".join(sorted(budget.states))
        for what, breaks, fields in (
            ("fewer", f"{budget.faults - 1} faults are too many", {"faults": budget.faults - 1}),
            ("more", f"{budget.faults + 1} faults are not too many", {"faults": budget.faults + 1}),
            ("other-count", "a row is counted in all, or all as a row", {"in_a_row": not budget.in_a_row}),
        ):
            changed = (*spec.budgets[:index], replace(budget, **fields), *spec.budgets[index + 1 :])
            yield Mutant(
                f"budget/{where}:{what}", f"in {where}, {breaks}", partial(_with, budgets=changed), near="*/LINE/*"
            )
        rest = (*spec.budgets[:index], *spec.budgets[index + 1 :])
        yield Mutant(
            f"budget/{where}:none", f"in {where}, no number is too many", partial(_with, budgets=rest), near="*/LINE/*"
        )
    for rule in spec.faults:
        if rule.uncounted:
            faults = tuple(replace(r, uncounted=frozenset()) if r == rule else r for r in spec.faults)
            verbs = ", ".join(sorted(rule.uncounted))
            change, breaks = partial(_with, faults=faults), f"{rule.error} of {verbs} counts"
            yield Mutant(f"budget:{rule.error}-counts", breaks, change, near="*/LINE/*never-counts")


def _goodbyes(spec: Spec) -> Iterator[Mutant[Engine]]:
    codes = list(spec.goodbyes)
    reasons = [goodbye.gone for goodbye in spec.goodbyes.values() if goodbye.gone is not None]
    for code, goodbye in spec.goodbyes.items():
        timed = any(timer.goodbye == code for timer in spec.timers.values())
        other = codes[(codes.index(code) + 1) % len(codes)]
        renamed = replace(goodbye, code=other)
        change = partial(_with, goodbyes={**spec.goodbyes, code: renamed})
        near = "*/TIME/*" if timed else f"*/*/*{code}*"
        yield Mutant(f"goodbye/{code}:wrong-code", f"{code} is called {other}", change, near=near, timed=timed)
        if goodbye.gone is not None:
            reason = next((reason for reason in reasons if reason != goodbye.gone), "")
            for what, gone in (("wrong-reason", reason), ("partner-not-told", None)):
                change = partial(_with, goodbyes={**spec.goodbyes, code: replace(goodbye, gone=gone)})
                breaks = f"after {code}, the partner is told {gone or 'nothing'}"
                yield Mutant(f"goodbye/{code}:{what}", breaks, change, near=near, timed=timed)


# --- time and queues --------------------------------------------------------------------------------------------------


def _timers(spec: Spec) -> Iterator[Mutant[Engine]]:
    for name, timer in spec.timers.items():
        near = f"*/TIME/{name}*"
        rest = {other: kept for other, kept in spec.timers.items() if other != name}
        if timer.since != "goodbye":  # without it, all is closed at once, and there is a mutant for that
            yield Mutant(
                f"timer/{name}:never", f"{name} never runs out", partial(_with, timers=rest), near=near, timed=True
            )
        for what, factor in (("early", EARLY), ("late", LATE)):
            change = partial(_with_timer, name=name, factor=factor)
            yield Mutant(f"timer/{name}:{what}", f"{name} takes {factor} times as long", change, near=near, timed=True)


def _with_timer(spec: Spec, name: str, factor: float) -> Spec:
    timer = spec.timers[name]
    return replace(spec, timers={**spec.timers, name: replace(timer, after=timer.after * factor)})


def _queues(spec: Spec) -> Iterator[Mutant[Engine]]:
    huge = 1 << 40
    for what, breaks, limits in (
        (
            "partner-not-slowed",
            "a sender is read whatever waits for its partner",
            replace(spec.limits, queue_mark=huge),
        ),
        ("self-not-slowed", "whoever does not read is read all the same", replace(spec.limits, queue_stop=huge)),
    ):
        yield Mutant(f"queue:{what}", breaks, partial(_with, limits=limits), near="*/*/*slow*")


# --- words ------------------------------------------------------------------------------------------------------------


def _templates(spec: Spec) -> Iterator[Mutant[Engine]]:
    """A word of a frame is another one: the value that was typed for the owner's spelling, a name for another name."""
    for state, row in spec.outcomes():
        at, near = f"{state}/{row.name}", f"{state}/{row.verb}/*"
        for what, template in _respelled(spec, row.answer):
            change = partial(_with_row, state=state, row=row, new=replace(row, answer=template))
            yield Mutant(f"{at}:answer-{what}", f"{at}: the answer is {template}", change, near=near)
        if row.partner is None or (state not in spec.link.held_in and not row.does("link")):
            continue
        for what, template in _respelled(spec, row.partner.push):
            change = partial(
                _with_row, state=state, row=row, new=replace(row, partner=replace(row.partner, push=template))
            )
            yield Mutant(f"{at}:push-{what}", f"{at}: the partner gets {template}", change, near=near)


def _respelled(spec: Spec, template: Template | None) -> Iterator[tuple[str, Template]]:
    swaps: Mapping[str, tuple[str, ...]] = {"peer": ("name", "me"), "me": ("peer",)}
    if template is None:
        return
    for index, part in enumerate(template.parts):
        new: list[str | Variable] = []
        if isinstance(part, Variable):
            new += [Variable(other) for other in swaps.get(part.name, ())]
        else:
            choices = [spec.types[field.type].one_of for field in template.form.fields]
            new += [word for choice in choices if part in choice for word in choice if word != part][:1]
        for word in new:
            parts = (*template.parts[:index], word, *template.parts[index + 1 :])
            yield str(word.name if isinstance(word, Variable) else word), Template(parts, template.form)


def _with_row(spec: Spec, state: str, row: Outcome, new: Outcome) -> Spec:
    rows = tuple(new if old.label == row.label else old for old in spec.states[state].recv[row.verb])
    recv = {**spec.states[state].recv, row.verb: rows}
    return replace(spec, states={**spec.states, state: replace(spec.states[state], recv=recv)})


def _with(spec: Spec, **fields: Any) -> Spec:
    return replace(spec, **fields)
