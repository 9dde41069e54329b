"""The state machines of both ends, built from the spec. No sockets, no clock, no names but those of the spec.

One shared Machine per role, whose models are any objects with a `state` attribute:

    machine.events["CHAT/opened"].trigger(connection)      the server's: verb, outcome
    machine.events["CHAT/opened/partner"].trigger(other)   … and the same row at the other end of the link
    machine.events["/ring"].trigger(connection)            … and the row of a timer
    machine.events["OK CHAT"].trigger(session)             the client's: the words that a reply begins with

What may not happen in a state raises `transitions.MachineError` and changes nothing. There are no callbacks, so there
is no I/O here, and nothing can fail half-way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from transitions import Event, Machine

from pychat.spec.model import Outcome, Spec
from pychat.spec.view import moves

ENDING = "ending"  # of a connection, without a request
ENDING_PARTNER = "ending/partner"

Edge = tuple[str, str, str | None]  # event, source, target (None: the state stays)


class QuickEvent(Event):
    """An event that returns at once where it changes no state, as is so for most rows."""

    def __init__(self, name: str, machine: Machine) -> None:
        super().__init__(name, machine)
        self.still: set[str] = set()

    def add_transition(self, transition: Any) -> None:
        super().add_transition(transition)
        if transition.dest is None:
            self.still.add(transition.source)

    def trigger(self, model: Any, *args: Any, **kwargs: Any) -> bool:
        """Moves the model. Raises MachineError where the event has no place."""
        if model.state in self.still:
            return True
        return bool(super().trigger(model, *args, **kwargs))


class SpecMachine(Machine):
    """A machine that keeps no list of its models: its memory does not grow with the connections."""

    event_cls = QuickEvent


def server_machine(spec: Spec) -> Machine:
    """The server's view of its connections."""
    return _machine(spec, server_edges(spec))


def client_machine(spec: Spec) -> Machine:
    """A client's view of its own connection: it moves only on what it receives."""
    return _machine(spec, client_edges(spec))


def server_edges(spec: Spec) -> Iterable[Edge]:
    """The server's table as edges, in the order of the spec."""
    edges: dict[Edge, None] = {}
    for state, outcome in _rows(spec):
        edges[outcome.name, state, outcome.to] = None
        if outcome.partner is not None:
            for source in spec.partner_states(outcome.partner):
                edges[partner_event(outcome), source, outcome.partner.to] = None
    for state in spec.live_states:
        edges[ENDING, state, spec.ending.to] = None
    if spec.ending.partner is not None:
        for source in spec.partner_states(spec.ending.partner):
            edges[ENDING_PARTNER, source, spec.ending.partner.to] = None
    return tuple(edges)


def _rows(spec: Spec) -> Iterator[tuple[str, Outcome]]:
    """Each state with each row that may be taken in it: those of requests, then those of timers."""
    yield from spec.outcomes()
    for timer in spec.timers.values():
        if timer.row is not None:
            for state in spec.live_states:
                if timer.states is None or state in timer.states:
                    yield state, timer.row


def partner_event(outcome: Outcome) -> str:
    """The event of a row at the other end of the link."""
    return f"{outcome.name}/partner"


def client_edges(spec: Spec) -> Iterable[Edge]:
    """What a client may get, as edges."""
    return tuple(dict.fromkeys((move.key, move.state, move.to) for move in moves(spec)))


def _machine(spec: Spec, edges: Iterable[Edge]) -> Machine:
    machine = SpecMachine(model=None, states=list(spec.states), initial=spec.initial, auto_transitions=False)
    for event, source, target in edges:
        machine.add_transition(event, source, target)
    return machine
