"""The client's side of the table, derived from the server's. Knows no connection and no order of frames.

A client moves only on what it receives. Each change of a connection's state at the server comes with exactly one frame
to that connection, and the stream keeps their order; so the client's machine follows from the server's table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .model import EffectKind, Outcome, PartnerEffect, Spec

SEEN: frozenset[EffectKind] = frozenset({"bind", "link", "accept", "retract", "relay", "unlink"})  # by a client


@dataclass(frozen=True, slots=True)
class Move:
    """What the reply `key` means to a client in `state`: the state it moves to (None: it stays), and what has changed.

    `effects` are those of the row that caused it; `mirrored` ones were caused by the other end. `code` tells one
    refusal from another, `verb` is the request that the row is about.
    """

    state: str
    key: str
    to: str | None = None
    effects: tuple[EffectKind, ...] = ()
    mirrored: bool = False
    code: str | None = None
    verb: str | None = None


def moves(spec: Spec) -> tuple[Move, ...]:
    """Every reply that a client may get in every state, in the order of the table."""
    return tuple(dict.fromkeys(_all_moves(spec)))


def _all_moves(spec: Spec) -> Iterator[Move]:
    for state, outcome in spec.outcomes():
        yield from _own(spec, state, outcome)
        if outcome.partner is not None:
            yield from _mirrored(spec, outcome.partner, _kinds(outcome), outcome.verb)
    yield from _mirrored(spec, spec.ending.partner, tuple(effect.kind for effect in spec.ending.effects), None)
    for state in spec.live_states:
        for timer in spec.timers.values():
            if timer.push is not None and (timer.states is None or state in timer.states):
                yield Move(state, spec.pushes[timer.push].form.key)
        for fault in spec.faults:
            yield Move(state, spec.refusal.key, code=fault.error)
        yield Move(state, spec.goodbye.key, spec.final)


def _kinds(outcome: Outcome) -> tuple[EffectKind, ...]:
    return tuple(effect.kind for effect in outcome.effects)


def _own(spec: Spec, state: str, outcome: Outcome) -> Iterator[Move]:
    request = spec.requests[outcome.verb]
    if outcome.error is not None:
        yield Move(state, spec.refusal.key, None, _kinds(outcome), code=outcome.error, verb=outcome.verb)
        return
    if outcome.does("list") and request.item is not None:
        yield Move(state, request.item.key, verb=outcome.verb)
    if outcome.answer is not None:
        yield Move(state, outcome.answer.form.key, outcome.to, _kinds(outcome), verb=outcome.verb)


def _mirrored(spec: Spec, partner: PartnerEffect, kinds: tuple[EffectKind, ...], verb: str | None) -> Iterator[Move]:
    for state in spec.partner_states(partner):
        yield Move(state, partner.push.form.key, partner.to, kinds, mirrored=True, verb=verb)
