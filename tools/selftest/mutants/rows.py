"""Server mutants derived from the table: what can be wrong with one row of it. Knows no verb and no state by name.

A change that changes nothing (nothing to unlink in a state without a link, no name to release before there is one, no
acceptance to lose before the row that asks for it) yields no mutant: it would be the correct server under another name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from pychat.spec.model import ANY_VERB, Effect, EffectKind, FrameFault, Outcome, PartnerEffect, Spec, Template

from . import Mutant
from .engine import Engine, FaultyError, Peer

Rows = tuple[Outcome, ...]
Frames = Callable[[str], list[str]]  # what is written in the place of an answer
Change = tuple[str, str, Outcome]  # a short name, what is broken, the row in its place


def mutants(spec: Spec) -> Iterator[Mutant[Engine]]:
    """A handful for each row, for each cell without rows, for the end of a connection and for each general fault."""
    for state, row in spec.outcomes():
        yield from _row_changed(spec, state, row)
        yield from _row_said_wrong(spec, state, row)
    for state in spec.live_states:
        for verb in spec.requests:
            if verb not in spec.states[state].recv:
                yield _allowed(spec, state, verb)
    yield from _ending(spec)
    for rule in spec.faults:
        yield from _fault(spec, rule.fault, rule.error)


# --- a wrong row ------------------------------------------------------------------------------------------------------


def _row_changed(spec: Spec, state: str, row: Outcome) -> Iterator[Mutant[Engine]]:
    at, near = f"{state}/{row.name}", f"{state}/{row.verb}/*"
    yield Mutant(
        f"{at}:dropped", f"{at}: the row is missing", partial(_with_row, state=state, row=row, new=()), near=near
    )
    for changes in (_moves, _effects, _acceptance, _partner, _refusal):
        for what, breaks, new in changes(spec, state, row):
            yield Mutant(
                f"{at}:{what}", f"{at}: {breaks}", partial(_with_row, state=state, row=row, new=(new,)), near=near
            )


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
            kept = tuple(other for other in row.effects if other != effect)
            yield f"no-{effect.kind}", f"does not {effect}", replace(row, effects=kept)


def _acceptance(spec: Spec, state: str, row: Outcome) -> Iterator[Change]:
    """A row takes the acceptance back, or gives it, beside what it does."""
    rows = spec.states[state].recv[row.verb]
    asked = [other.condition.kind for other in rows[: rows.index(row) + 1] if other.condition is not None]
    alone = row.condition is not None and row.condition.kind == "no partner"
    if state not in spec.link.held_in or row.to is not None or alone:
        return
    refused = row.condition is not None and row.condition.kind == "not accepted"
    if not row.does("accept") and ("not accepted" not in asked or refused):
        yield "accepts", "also accepts the chat", replace(row, effects=(*row.effects, Effect("accept")))
    if not row.does("retract") and not refused:
        yield "retracts", "also takes the acceptance back", replace(row, effects=(*row.effects, Effect("retract")))


def _partner(spec: Spec, state: str, row: Outcome) -> Iterator[Change]:
    partner = row.partner
    if partner is None or (state not in spec.link.held_in and not row.does("link")):
        return
    if partner.to is not None:
        yield "partner-stays", "the partner's state stays the same", replace(row, partner=replace(partner, to=None))
    for to in spec.live_states:
        if to not in (partner.to or state, partner.source):
            yield f"partner-to-{to}", f"the partner's state becomes {to}", replace(row, partner=replace(partner, to=to))


def _refusal(spec: Spec, state: str, row: Outcome) -> Iterator[Change]:
    if row.error is None:
        error = spec.fault_rule("state").error
        yield "refused", "refused", replace(row, error=error, answer=None, to=None, effects=(), partner=None)
        return
    codes = list(spec.errors)
    other = codes[(codes.index(row.error) + 1) % len(codes)]
    yield "wrong-code", f"answered with {other}", replace(row, error=other)
    success = spec.states[state].recv[row.verb][-1]
    alone = row.condition is not None and row.condition.kind == "no partner" and success.to is None
    if success.error is None and not alone and (success.effects or success.to or success.partner):
        done = replace(row, effects=success.effects, to=success.to, partner=success.partner)
        yield "done-anyway", "refused, but done", done


# --- a right row, said wrong ------------------------------------------------------------------------------------------


class _AtRow(Engine):
    """Writes something else at one row: `frames` in the place of the answer, each push `pushes` times."""

    row = ""
    pushes = 1
    extra: str | None = None

    @staticmethod
    def frames(frame: str) -> list[str] | None:
        return [frame]

    def do(self, peer: Peer, outcome: Outcome, values: Mapping[str, str]) -> None:
        super().do(peer, outcome, values)
        if self.at == self.row and self.extra is not None:
            self.write(peer, self.extra)

    def answer(self, peer: Peer, frame: str) -> None:
        frames = self.frames(frame) if self.at == self.row else [frame]
        if frames is None:
            self.hang_up(peer)
        for changed in frames or ():
            super().answer(peer, changed)

    def push(self, other: Peer, push: Template, words: Mapping[str, str]) -> None:
        for _ in range(self.pushes if self.at == self.row else 1):
            super().push(other, push, words)


def _row_said_wrong(spec: Spec, state: str, row: Outcome) -> Iterator[Mutant[Engine]]:
    at = f"{state}/{row.name}"

    def mutant(what: str, breaks: str, **step: object) -> Mutant[Engine]:
        engine = type("AtRow", (_AtRow,), {"row": at, **step})
        return Mutant(f"{at}:{what}", f"{at}: {breaks}", engine=engine, near=f"{state}/{row.verb}/*")

    if row.partner is not None and (state in spec.link.held_in or row.does("link")):
        yield mutant("partner-not-told", "the partner gets nothing", pushes=0)
        yield mutant("partner-told-twice", "the partner gets it twice", pushes=2)
    if row.error is None and row.answer is None:
        yield mutant("answered", "answered, though it has no answer", extra=f"OK {row.verb}")
        return
    yield mutant("mute", "no answer", frames=staticmethod(lambda frame: []))
    yield mutant("twice", "two answers", frames=staticmethod(lambda frame: [frame, frame]))
    if row.to != spec.final:
        yield mutant("hangs-up", "closed instead of answered", frames=staticmethod(lambda frame: None))
    verbs = list(spec.requests)
    other = ANY_VERB if row.error is not None else verbs[(verbs.index(row.verb) + 1) % len(verbs)]
    if row.error is not None or (row.answer is not None and row.verb in row.answer.parts):
        renamed = staticmethod(lambda frame: [frame.replace(f" {row.verb}", f" {other}", 1)])
        yield mutant("wrong-verb", f"the answer names {other}", frames=renamed)


# --- cells without rows, endings, faults ------------------------------------------------------------------------------


def _allowed(spec: Spec, state: str, verb: str) -> Mutant[Engine]:
    """A request that has no place in the state is taken as in another state."""
    rows = next(other.recv[verb] for other in spec.states.values() if verb in other.recv)
    change = partial(_with_cell, state=state, verb=verb, rows=rows)
    return Mutant(f"{state}/{verb}:allowed", f"{verb} is taken in {state}", change, near=f"{state}/{verb}/*")


def _ending(spec: Spec) -> Iterator[Mutant[Engine]]:
    ending = spec.ending
    for effect in ending.effects:
        kept = tuple(other for other in ending.effects if other != effect)
        change = partial(_with_ending, effects=kept, partner=ending.partner)
        yield Mutant(f"ending:no-{effect.kind}", f"a connection that is lost does not {effect}", change)
    for to in spec.live_states:
        if to not in spec.link.held_in:
            change = partial(_with_ending, effects=ending.effects, partner=replace(ending.partner, to=to))
            yield Mutant(f"ending:partner-to-{to}", f"whose partner is lost becomes {to}", change)
    for what, breaks, pushes in (("not-told", "is not told", 0), ("told-twice", "is told twice", 2)):
        engine = type("AtEnding", (_AtRow,), {"row": "ending", "pushes": pushes})
        yield Mutant(f"ending:partner-{what}", f"whose partner is lost {breaks}", engine=engine)


class _AtFault(Engine):
    """Answers one general fault in another way: `times` 0, 2 or None (the connection is closed), or with `verb`."""

    fault: FrameFault
    times: int | None = 1
    verb: str | None = None

    def refuse_fault(self, peer: Peer, faulty: FaultyError) -> None:
        if faulty.fault != self.fault:
            super().refuse_fault(peer, faulty)
            return
        if self.times is None:
            self.hang_up(peer)
            return
        before = len(peer.outbox)
        super().refuse_fault(peer, FaultyError(faulty.fault, self.verb or faulty.verb))
        octets = bytes(peer.outbox[before:])
        if self.times == 0:
            del peer.outbox[before:]
        elif self.times == 2 and not peer.over:
            peer.outbox += octets


def _fault(spec: Spec, fault: FrameFault, error: str) -> Iterator[Mutant[Engine]]:
    codes = list(spec.errors)
    other = codes[(codes.index(error) + 1) % len(codes)]
    yield Mutant(
        f"fault/{error}:wrong-code", f"{error} is answered as {other}", partial(_recoded, old=error, new=other)
    )
    for place, words in ((0, "first"), (len(spec.faults), "last")):
        same = _reordered(spec, fault, place).faults == spec.faults
        if not same and (fault, words) != ("verb", "last"):  # no line has that fault and a later one
            change = partial(_reordered, fault=fault, place=place)
            yield Mutant(f"fault/{error}:{words}", f"{error} is looked for {words}", change)
    verb = next(iter(spec.requests)) if fault in ("encoding", "verb") else ANY_VERB
    for what, breaks, step in (
        ("mute", "is not answered", {"times": 0}),
        ("twice", "is answered twice", {"times": 2}),
        ("hangs-up", "ends the connection without an answer", {"times": None}),
        ("wrong-verb", f"is answered with {verb}", {"verb": verb}),
    ):
        engine = type("AtFault", (_AtFault,), {"fault": fault, **step})
        yield Mutant(f"fault/{error}:{what}", f"{error} {breaks}", engine=engine)


# --- changes of a spec ------------------------------------------------------------------------------------------------


def _with_cell(spec: Spec, state: str, verb: str, rows: Rows) -> Spec:
    """The spec with these rows for a request in a state."""
    recv = {**spec.states[state].recv, verb: rows}
    if not rows:
        del recv[verb]
    return replace(spec, states={**spec.states, state: replace(spec.states[state], recv=recv)})


def _with_row(spec: Spec, state: str, row: Outcome, new: Rows) -> Spec:
    """The spec with other rows in the place of one."""
    rows: list[Outcome] = []
    for old in spec.states[state].recv[row.verb]:
        rows.extend(new if old.label == row.label else (old,))
    return _with_cell(spec, state, row.verb, tuple(rows))


def _with_ending(spec: Spec, effects: tuple[Effect, ...], partner: PartnerEffect) -> Spec:
    return replace(spec, ending=replace(spec.ending, effects=effects, partner=partner))


def _recoded(spec: Spec, old: str, new: str) -> Spec:
    return replace(spec, faults=tuple(replace(r, error=new) if r.error == old else r for r in spec.faults))


def _reordered(spec: Spec, fault: FrameFault, place: int) -> Spec:
    rest = [rule for rule in spec.faults if rule.fault != fault]
    rest.insert(place, spec.fault_rule(fault))
    return replace(spec, faults=tuple(rest))
