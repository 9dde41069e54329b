"""Server mutants derived from the table: what can be wrong with one row of it. Knows no verb and no state by name.

A change that changes nothing (nothing to unlink in a state without a link, no name to release before there is one, no
acceptance to lose before the row that asks for it) yields no mutant: it would be the correct server under another name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pychat.spec.forms import ANY_VERB, FrameFault, Template, Variable
from pychat.spec.model import Effect, EffectKind, Outcome, Spec
from tools.selftest.mutants.mutant import Mutant, variant

from .engine import Connection, FaultyFrameError, Server

Rows = tuple[Outcome, ...]
Change = tuple[str, str, Outcome]  # a short name, what is broken, the row in its place


def mutants(spec: Spec) -> Iterator[Mutant[Server]]:
    """Several for each row, for each cell without rows, for the end of a connection and for each general fault."""
    for state, row in spec.outcomes():
        yield from _row(spec, state, row)
    for state in spec.live_states:
        for verb in spec.requests:
            if verb not in spec.states[state].recv:  # the request is taken as in another state
                rows = next(other.recv[verb] for other in spec.states.values() if verb in other.recv)
                changed = _with_cell(spec, state, verb, rows)
                yield Mutant(
                    f"{state}/{verb}:allowed", f"{verb} is taken in {state}", spec=changed, near=f"{state}/{verb}/*"
                )
    yield from _ending(spec)
    for rule in spec.faults:
        yield from _fault(spec, rule.fault, rule.error)


# --- a wrong row ------------------------------------------------------------------------------------------------------


def _row(spec: Spec, state: str, row: Outcome) -> Iterator[Mutant[Server]]:
    at, near = f"{state}/{row.name}", f"{state}/{row.verb}/*"
    rows = spec.states[state].recv[row.verb]
    index = rows.index(row)

    def changed(what: str, breaks: str, *new: Outcome) -> Mutant[Server]:
        cell = _with_cell(spec, state, row.verb, (*rows[:index], *new, *rows[index + 1 :]))
        return Mutant(f"{at}:{what}", f"{at}: {breaks}", spec=cell, near=near)

    yield changed("dropped", "the row is missing")
    for changes in (_moves, _effects, _acceptance, _refusal, _partner, _words):
        for what, breaks, new in changes(spec, state, row):
            yield changed(what, breaks, new)
    for what, breaks, attributes in _said_wrong(spec, state, row):
        yield Mutant(f"{at}:{what}", f"{at}: {breaks}", variant(_AtRow, row=at, **attributes), near=near)


def _moves(spec: Spec, state: str, row: Outcome) -> Iterator[Change]:
    if row.to is not None:
        yield "stays", "the state stays the same", replace(row, to=None)
    for to in spec.live_states:
        if to not in (row.to, state):
            yield f"to-{to}", f"the state becomes {to}", replace(row, to=to)


def _effects(spec: Spec, state: str, row: Outcome) -> Iterator[Change]:
    idle: set[EffectKind] = {"relay"}  # the push is the relay
    if state not in spec.link.held_in:
        idle.add("unlink")
    if spec.states[state].initial:
        idle.add("release")
    for effect in row.effects:
        if effect.kind not in idle:
            yield f"no-{effect.kind}", f"does not {effect}", replace(row, effects=_without(row.effects, effect))


def _acceptance(spec: Spec, state: str, row: Outcome) -> Iterator[Change]:
    """A row takes the acceptance back, or gives it, beside what it does."""
    rows = spec.states[state].recv[row.verb]
    asked = [other.condition.kind for other in rows[: rows.index(row) + 1] if other.condition is not None]
    if state not in spec.link.held_in or row.to is not None or _asks(row, "no partner"):
        return
    refused = _asks(row, "not accepted")
    if not row.does("accept") and ("not accepted" not in asked or refused):
        yield "accepts", "also accepts the chat", replace(row, effects=(*row.effects, Effect("accept")))
    if not row.does("retract") and not refused:
        yield "retracts", "also takes the acceptance back", replace(row, effects=(*row.effects, Effect("retract")))


def _refusal(spec: Spec, state: str, row: Outcome) -> Iterator[Change]:
    if row.error is None:
        error = spec.fault_rule("state").error
        yield "refused", "refused", replace(row, error=error, answer=None, to=None, effects=(), partner=None)
        return
    other = _next(list(spec.errors), row.error)
    yield "wrong-code", f"answered with {other}", replace(row, error=other)
    success = spec.states[state].recv[row.verb][-1]
    alone = _asks(row, "no partner") and success.to is None
    if success.error is None and not alone and (success.effects or success.to or success.partner):
        done = replace(row, effects=success.effects, to=success.to, partner=success.partner)
        yield "done-anyway", "refused, but done", done


def _partner(spec: Spec, state: str, row: Outcome) -> Iterator[Change]:
    partner = row.partner
    if partner is None or not _has_partner(spec, state, row):
        return
    if partner.to is not None:
        yield "partner-stays", "the partner's state stays the same", replace(row, partner=replace(partner, to=None))
    for to in spec.live_states:
        if to not in (partner.to or state, partner.source):
            yield f"partner-to-{to}", f"the partner's state becomes {to}", replace(row, partner=replace(partner, to=to))
    for what, push in _respelled(spec, partner.push):
        yield f"push-{what}", f"the partner gets {push}", replace(row, partner=replace(partner, push=push))


def _words(spec: Spec, state: str, row: Outcome) -> Iterator[Change]:
    for what, answer in _respelled(spec, row.answer):
        yield f"answer-{what}", f"the answer is {answer}", replace(row, answer=answer)


def _respelled(spec: Spec, template: Template | None) -> Iterator[tuple[str, Template]]:
    """A word of a frame is another one: the value that was typed for the owner's spelling, a name for another name."""
    swaps: Mapping[str, tuple[str, ...]] = {"peer": ("name", "me"), "me": ("peer",)}
    if template is None:
        return
    choices = [spec.types[field.type].one_of for field in template.form.fields]
    for index, part in enumerate(template.parts):
        if isinstance(part, Variable):
            others: Sequence[str | Variable] = [Variable(name) for name in swaps.get(part.name, ())]
        else:
            others = [word for choice in choices if part in choice for word in choice if word != part][:1]
        for other in others:
            parts = (*template.parts[:index], other, *template.parts[index + 1 :])
            yield other.name if isinstance(other, Variable) else other, Template(parts, template.form)


# --- a right row, said wrong ------------------------------------------------------------------------------------------


class _AtRow(Server):
    """Writes something else at one row: the answer and each push so many times, another verb, a frame too much."""

    row = ""
    answers: int | None = 1  # None: the connection is closed
    pushes = 1
    verbs = ("", "")  # the answer's verb, and the one in its place
    extra: str | None = None

    def do(self, conn: Connection, outcome: Outcome, values: Mapping[str, str]) -> None:
        super().do(conn, outcome, values)
        if self.at == self.row and self.extra is not None:
            self.write(conn, self.extra)

    def answer(self, conn: Connection, frame: str) -> None:
        if self.at != self.row:
            super().answer(conn, frame)
        elif self.answers is None:
            self.hang_up(conn)
        else:
            for _ in range(self.answers):
                super().answer(conn, frame.replace(*self.verbs, 1))

    def push(self, other: Connection, push: Template, words: Mapping[str, str]) -> None:
        for _ in range(self.pushes if self.at == self.row else 1):
            super().push(other, push, words)


def _said_wrong(spec: Spec, state: str, row: Outcome) -> Iterator[tuple[str, str, Mapping[str, object]]]:
    if row.partner is not None and _has_partner(spec, state, row):
        yield "partner-not-told", "the partner gets nothing", {"pushes": 0}
        yield "partner-told-twice", "the partner gets it twice", {"pushes": 2}
    if row.error is None and row.answer is None:
        yield "answered", "answered, though it has no answer", {"extra": f"OK {row.verb}"}
        return
    yield "mute", "no answer", {"answers": 0}
    yield "twice", "two answers", {"answers": 2}
    if row.to != spec.final:
        yield "hangs-up", "closed instead of answered", {"answers": None}
    other = ANY_VERB if row.error is not None else _next(list(spec.requests), row.verb)
    if row.error is not None or (row.answer is not None and row.verb in row.answer.parts):
        yield "wrong-verb", f"the answer names {other}", {"verbs": (f" {row.verb}", f" {other}")}


# --- endings, faults --------------------------------------------------------------------------------------------------


def _ending(spec: Spec) -> Iterator[Mutant[Server]]:
    ending = spec.ending
    for effect in ending.effects:
        changed = replace(spec, ending=replace(ending, effects=_without(ending.effects, effect)))
        yield Mutant(f"ending:no-{effect.kind}", f"a connection that is lost does not {effect}", spec=changed)
    for to in spec.live_states:
        if to not in spec.link.held_in:
            changed = replace(spec, ending=replace(ending, partner=replace(ending.partner, to=to)))
            yield Mutant(f"ending:partner-to-{to}", f"the partner of a lost connection becomes {to}", spec=changed)
    for what, breaks, pushes in (("not-told", "is not told", 0), ("told-twice", "is told twice", 2)):
        engine = variant(_AtRow, row="ending", pushes=pushes)
        yield Mutant(f"ending:partner-{what}", f"the partner of a lost connection {breaks}", engine)


class _AtFault(Server):
    """Answers one general fault in another way: `times` 0, 2 or None (the connection is closed), or with `verb`."""

    fault: FrameFault
    times: int | None = 1
    verb: str | None = None

    def refuse_fault(self, conn: Connection, faulty: FaultyFrameError) -> None:
        if faulty.fault != self.fault:
            super().refuse_fault(conn, faulty)
            return
        if self.times is None:
            self.hang_up(conn)
            return
        before = len(conn.outbox)
        super().refuse_fault(conn, FaultyFrameError(faulty.fault, self.verb or faulty.verb))
        conn.outbox[before:] = conn.outbox[before:] * (1 if conn.over and self.times else self.times)


def _fault(spec: Spec, fault: FrameFault, error: str) -> Iterator[Mutant[Server]]:
    other = _next(list(spec.errors), error)
    recoded = tuple(replace(rule, error=other) if rule.error == error else rule for rule in spec.faults)
    yield Mutant(f"fault/{error}:wrong-code", f"{error} is answered as {other}", spec=replace(spec, faults=recoded))
    rule = spec.fault_rule(fault)
    rest = tuple(other for other in spec.faults if other != rule)
    for words, faults in (("first", (rule, *rest)), ("last", (*rest, rule))):
        if faults != spec.faults and (fault, words) != ("verb", "last"):  # no line has that fault and a later one
            changed = replace(spec, faults=faults)
            yield Mutant(f"fault/{error}:{words}", f"{error} is looked for {words}", spec=changed)
    verb = next(iter(spec.requests)) if fault in ("encoding", "verb") else ANY_VERB
    steps: tuple[tuple[str, str, Mapping[str, object]], ...] = (
        ("mute", "is not answered", {"times": 0}),
        ("twice", "is answered twice", {"times": 2}),
        ("hangs-up", "ends the connection without an answer", {"times": None}),
        ("wrong-verb", f"is answered with {verb}", {"verb": verb}),
    )
    for what, breaks, attributes in steps:
        yield Mutant(f"fault/{error}:{what}", f"{error} {breaks}", variant(_AtFault, fault=fault, **attributes))


# --- rows and specs ---------------------------------------------------------------------------------------------------


def _asks(row: Outcome, kind: str) -> bool:
    return row.condition is not None and row.condition.kind == kind


def _has_partner(spec: Spec, state: str, row: Outcome) -> bool:
    """Whether there may be a partner when a row is done."""
    return state in spec.link.held_in or row.does("link")


def _next(words: Sequence[str], word: str) -> str:
    return words[(words.index(word) + 1) % len(words)]


def _without(effects: tuple[Effect, ...], effect: Effect) -> tuple[Effect, ...]:
    return tuple(other for other in effects if other != effect)


def _with_cell(spec: Spec, state: str, verb: str, rows: Rows) -> Spec:
    """The spec with these rows for a request in a state."""
    recv = {**spec.states[state].recv, verb: rows}
    if not rows:
        del recv[verb]
    return replace(spec, states={**spec.states, state: replace(spec.states[state], recv=recv)})
