"""Server mutants derived from the spec's numbers and words: each limit off by one, each timer wrong.

Knows no verb, no state, no type and no code by name: a limit that a later spec adds gets its mutants by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pychat.spec.forms import Type
from pychat.spec.model import Goodbye, Spec, Timer
from tools.selftest.mutants.mutant import Mutant

from .engine import Server

EARLY, LATE = 0.5, 3.0  # what a wrong timer multiplies its seconds by
HUGE = 1 << 40  # octets that no queue holds


def mutants(spec: Spec) -> Iterator[Mutant[Server]]:
    """Types, framing, budgets, goodbyes, timers, queue marks, relations."""
    asked = dict.fromkeys(field.type for request in spec.requests.values() for field in request.form.fields)
    for name in asked:
        yield from _type(spec, spec.types[name])
    yield from _framing(spec)
    yield from _budgets(spec)
    yield from _goodbyes(spec)
    for timer in spec.timers.values():
        yield from _timer(spec, timer)
    yield from _queues(spec)
    yield from _relations(spec)


# --- types ------------------------------------------------------------------------------------------------------------


def _type(spec: Spec, kind: Type) -> Iterator[Mutant[Server]]:
    def mutant(what: str, breaks: str, **fields: Any) -> Mutant[Server]:
        changed = replace(spec, types={**spec.types, kind.name: replace(kind, **fields)})
        return Mutant(f"type/{kind.name}:{what}", f"{kind.name}: {breaks}", spec=changed, near=f"*/*/{kind.name}-*")

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


def _slug(value: str) -> str:
    return "-".join(character if character.isalnum() else f"U+{ord(character):04X}" for character in value)[:40]


# --- framing, budgets, goodbyes ---------------------------------------------------------------------------------------


def _framing(spec: Spec) -> Iterator[Mutant[Server]]:
    def mutant(what: str, breaks: str, **fields: Any) -> Mutant[Server]:
        changed = replace(spec, framing=replace(spec.framing, **fields))
        return Mutant(f"framing:{what}", breaks, spec=changed, near="*/LINE/*")

    for ending in spec.framing.accepts:
        if ending != spec.framing.writes:
            yield mutant("writes-other-ending", f"frames are ended by {ending!r}", writes=ending)
            kept = tuple(other for other in spec.framing.accepts if other != ending)
            yield mutant("ending-kept", f"of {ending!r}, only the LF is taken for the ending", accepts=kept)
    size = spec.framing.max_octets
    yield mutant("shorter", f"a frame of {size} octets is too long", max_octets=size - 1)
    yield mutant("longer", f"{size + 1} octets without an ending are waited for", max_octets=size + 1)
    yield mutant("endless", "no line is too long", max_octets=size * 1000)


def _budgets(spec: Spec) -> Iterator[Mutant[Server]]:
    for index, budget in enumerate(spec.budgets):
        where = "+".join(sorted(budget.states))
        most, in_a_row = budget.faults, budget.in_a_row
        for what, breaks, changed in (
            ("fewer", f"{most - 1} faults are too many", [replace(budget, faults=most - 1)]),
            ("more", f"{most + 1} faults are not too many", [replace(budget, faults=most + 1)]),
            ("other-count", "a row is counted in all, or all as a row", [replace(budget, in_a_row=not in_a_row)]),
            ("none", "no number is too many", []),
        ):
            budgets = replace(spec, budgets=(*spec.budgets[:index], *changed, *spec.budgets[index + 1 :]))
            yield Mutant(f"budget/{where}:{what}", f"in {where}, {breaks}", spec=budgets, near="*/LINE/*")
    for rule in spec.faults:
        if rule.uncounted:
            faults = tuple(replace(r, uncounted=frozenset()) if r == rule else r for r in spec.faults)
            breaks = f"{rule.error} of {', '.join(sorted(rule.uncounted))} counts"
            name, near = f"budget:{rule.error}-counts", "*/*/*ends-a-row"
            yield Mutant(name, breaks, spec=replace(spec, faults=faults), near=near)


def _goodbyes(spec: Spec) -> Iterator[Mutant[Server]]:
    codes = list(spec.goodbyes)
    reasons = [goodbye.gone for goodbye in spec.goodbyes.values() if goodbye.gone is not None]
    for code, goodbye in spec.goodbyes.items():
        other = codes[(codes.index(code) + 1) % len(codes)]
        changes: list[tuple[str, str, Goodbye]] = [
            ("wrong-code", f"{code} is called {other}", replace(goodbye, code=other))
        ]
        if goodbye.gone is not None:
            reason = next((reason for reason in reasons if reason != goodbye.gone), "")
            for what, gone in (("wrong-reason", reason), ("partner-not-told", None)):
                breaks = f"after {code}, the partner is told {gone or 'nothing'}"
                changes.append((what, breaks, replace(goodbye, gone=gone)))
        near = "*/TIME/*" if any(timer.goodbye == code for timer in spec.timers.values()) else f"*/*/*{code}*"
        for what, breaks, new in changes:
            changed = replace(spec, goodbyes={**spec.goodbyes, code: new})
            yield Mutant(f"goodbye/{code}:{what}", breaks, spec=changed, near=near)


# --- time and queues --------------------------------------------------------------------------------------------------


def _timer(spec: Spec, timer: Timer) -> Iterator[Mutant[Server]]:
    def mutant(what: str, breaks: str, *new: Timer) -> Mutant[Server]:
        timers = {name: kept for name, kept in spec.timers.items() if name != timer.name}
        changed = replace(spec, timers={**timers, **{each.name: each for each in new}})
        name, near = f"timer/{timer.name}:{what}", f"*/TIME/*{timer.name}*"
        return Mutant(name, f"{timer.name} {breaks}", spec=changed, near=near)

    if timer.since != "goodbye":  # without it, all is closed at once, and there is a mutant for that
        yield mutant("never", "never runs out")
    for what, factor in (("early", EARLY), ("late", LATE)):
        yield mutant(what, f"takes {factor} times as long", replace(timer, after=timer.after * factor))
    if timer.since == "call":
        yield mutant("since-accept", "counts from the accept of the connection", replace(timer, since="accept"))
        yield mutant("since-silence", "counts from the last octet", replace(timer, since="silence"))
        goodbye = next((other.goodbye for other in spec.timers.values() if other.goodbye is not None), None)
        if goodbye is not None:
            yield mutant("goodbye", "ends the connection", replace(timer, row=None, goodbye=goodbye))


def _queues(spec: Spec) -> Iterator[Mutant[Server]]:
    for what, breaks, limits in (
        ("partner", "a sender is read whatever waits for its partner", replace(spec.limits, queue_mark=HUGE)),
        ("self", "a connection is read although its own queue is full", replace(spec.limits, queue_stop=HUGE)),
    ):
        yield Mutant(f"queue:{what}-not-slowed", breaks, spec=replace(spec, limits=limits), near="*/*/*slow*")


def _relations(spec: Spec) -> Iterator[Mutant[Server]]:
    for name, relation in spec.relations.items():
        for keep in {column.keep for column in relation.columns if column.keep is not None}:
            for what, breaks, kept in (
                ("keeps-one", "only the last one is remembered", 1),
                ("keeps-fewer", f"{keep - 1} are remembered", keep - 1),
                ("keeps-more", f"{keep + 1} are remembered", keep + 1),
                ("keeps-all", "all are remembered", None),
            ):
                columns = tuple(replace(one, keep=kept) if one.keep == keep else one for one in relation.columns)
                changed = replace(spec, relations={**spec.relations, name: replace(relation, columns=columns)})
                yield Mutant(f"relation/{name}:{what}", f"{name}: {breaks}", spec=changed, near=f"*/*/{name}-keeps-*")
