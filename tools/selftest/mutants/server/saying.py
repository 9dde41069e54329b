"""Server mutants that do what a row, an end or a fault wants, and say it wrong. Knows no verb and no state by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pychat.spec.forms import ANY_VERB, Template
from pychat.spec.model import FaultRule, Outcome, Spec
from tools.selftest.mutants.mutant import Mutant, variant

from .connection import Connection, FaultyFrameError
from .engine import Server
from .places import Place, places


def mutants(spec: Spec) -> Iterator[Mutant[Server]]:
    """Several for each row, for the end of a connection and for each general fault."""
    for place in places(spec):
        for what, breaks, attributes in _row(place):
            engine = variant(_AtRow, states=place.states, row=place.row, **attributes)
            yield Mutant(
                f"{place.name}:{what}", f"{place.name}: {breaks}", engine, near=place.near, rule=place.row.rule
            )
    yield from _ending(spec)
    names: Counter[str] = Counter()
    for rule in spec.faults:
        names[rule.error] += 1
        number = f"-{names[rule.error]}" if names[rule.error] > 1 else ""
        yield from _fault(spec, rule, f"fault/{rule.error}{number}")


class _AtRow(Server):
    """Does something else at one row: the answer and each push so many times, another verb, a frame too much."""

    states: tuple[str, ...]
    row: Outcome | None  # None: the end of a connection
    answers: int | None = 1  # None: the connection is closed
    pushes = 1
    verbs = ("", "")  # the answer's verb, and the one in its place
    extra: str | None = None
    answers_call = False  # whether the end has answered its partner with this

    @property
    def here(self) -> bool:
        return self.at[0] in self.states and self.at[1] == self.row

    def do(self, conn: Connection, outcome: Outcome, values: Mapping[str, str]) -> None:
        super().do(conn, outcome, values)
        if self.here:
            conn.answered |= self.answers_call
            if self.extra is not None:
                self.write(conn, self.extra)

    def answer(self, conn: Connection, frame: str) -> None:
        if not self.here:
            super().answer(conn, frame)
        elif self.answers is None:
            self.hang_up(conn)
        else:
            for _ in range(self.answers):
                super().answer(conn, frame.replace(*self.verbs, 1))

    def push(self, other: Connection, push: Template, words: Mapping[str, str]) -> None:
        for _ in range(self.pushes if self.here else 1):
            super().push(other, push, words)


def _row(place: Place) -> Iterator[tuple[str, str, Mapping[str, object]]]:
    row = place.row
    if row.partner is not None and place.has_partner:
        yield "partner-not-told", "the partner gets nothing", {"pushes": 0}
        yield "partner-told-twice", "the partner gets it twice", {"pushes": 2}
    if place.stays and not row.does("accept") and not place.accepted:
        yield "answers", "counts as an answer to the call", {"answers_call": True}
    if row.error is None and row.answer is None:
        if row.verb:
            yield "answered", "answered, though it has no answer", {"extra": f"OK {row.verb}"}
        return
    yield "mute", "no answer", {"answers": 0}
    yield "twice", "two answers", {"answers": 2}
    if row.to != place.spec.final:
        yield "hangs-up", "closed instead of answered", {"answers": None}
    verbs = list(place.spec.requests)
    other = ANY_VERB if row.error is not None else verbs[(verbs.index(row.verb) + 1) % len(verbs)] if row.verb else ""
    if row.error is not None or (row.answer is not None and row.verb in row.answer.parts):
        yield "wrong-verb", f"the answer names {other}", {"verbs": (f" {row.verb}", f" {other}")}


def _ending(spec: Spec) -> Iterator[Mutant[Server]]:
    ending = spec.ending
    for effect in ending.effects:
        effects = tuple(other for other in ending.effects if other != effect)
        changed = replace(spec, ending=replace(ending, effects=effects))
        yield Mutant(f"ending:no-{effect.kind}", f"a connection that is lost does not {effect}", spec=changed)
    if ending.partner is None:
        return
    for to in spec.live_states:
        if to not in spec.link.held_in:
            changed = replace(spec, ending=replace(ending, partner=replace(ending.partner, to=to)))
            yield Mutant(f"ending:partner-to-{to}", f"the partner of a lost connection becomes {to}", spec=changed)
    for what, breaks, pushes in (("not-told", "is not told", 0), ("told-twice", "is told twice", 2)):
        engine = variant(_AtRow, states=spec.live_states, row=None, pushes=pushes)
        yield Mutant(f"ending:partner-{what}", f"the partner of a lost connection {breaks}", engine)


class _AtFault(Server):
    """Answers one general fault in another way: `times` 0, 2 or None (the connection is closed), or with `verb`."""

    rule: FaultRule
    times: int | None = 1
    verb: str | None = None

    def refuse_fault(self, conn: Connection, faulty: FaultyFrameError) -> None:
        if not faulty.answered_by(self.rule, conn.state):
            super().refuse_fault(conn, faulty)
            return
        if self.times is None:
            self.hang_up(conn)
            return
        before = len(conn.outbox)
        super().refuse_fault(conn, FaultyFrameError(faulty.fault, self.verb or faulty.verb))
        conn.outbox[before:] = conn.outbox[before:] * (1 if conn.over and self.times else self.times)


def _fault(spec: Spec, rule: FaultRule, name: str) -> Iterator[Mutant[Server]]:
    codes, error = list(spec.errors), rule.error
    other = codes[(codes.index(error) + 1) % len(codes)]
    recoded = tuple(replace(each, error=other) if each == rule else each for each in spec.faults)
    yield Mutant(f"{name}:wrong-code", f"{error} is answered as {other}", spec=replace(spec, faults=recoded))
    rest = tuple(other for other in spec.faults if other != rule)
    orders: Sequence[tuple[str, tuple[FaultRule, ...]]] = (("first", (rule, *rest)), ("last", (*rest, rule)))
    for words, faults in orders:
        if faults != spec.faults and (rule.fault, words) != ("verb", "last"):  # no line has that fault and a later one
            changed = replace(spec, faults=faults)
            yield Mutant(f"{name}:{words}", f"{error} is looked for {words}", spec=changed)
    verb = next(iter(spec.requests)) if rule.fault in ("encoding", "verb") else ANY_VERB
    steps: tuple[tuple[str, str, Mapping[str, object]], ...] = (
        ("mute", "is not answered", {"times": 0}),
        ("twice", "is answered twice", {"times": 2}),
        ("hangs-up", "ends the connection without an answer", {"times": None}),
        ("wrong-verb", f"is answered with {verb}", {"verb": verb}),
    )
    for what, breaks, attributes in steps:
        yield Mutant(f"{name}:{what}", f"{error} {breaks}", variant(_AtFault, rule=rule, **attributes), rule=rule.rule)
