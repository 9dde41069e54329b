"""The machines are the table: each edge of the spec, and no other."""

from __future__ import annotations

from itertools import product

import pytest
from transitions import MachineError

from pychat.core.machine import ENDING, client_edges, client_machine, server_edges, server_machine
from pychat.spec import Spec, load, shipped
from pychat.spec.link import changes

from .conftest import ROOT


class Model:
    """All that a machine needs of a connection."""

    __slots__ = ("state",)

    def __init__(self, state: str) -> None:
        self.state = state


@pytest.mark.parametrize("role", ["server", "client"])
@pytest.mark.parametrize("which", ["spec", "little"])
def test_every_event_in_every_state(role: str, which: str, request: pytest.FixtureRequest) -> None:
    """What has an edge goes there, everything else raises and changes nothing."""
    spec: Spec = request.getfixturevalue(which)
    machine, edges = {
        "server": (server_machine(spec), server_edges(spec)),
        "client": (client_machine(spec), client_edges(spec)),
    }[role]
    table = {(event, source): target for event, source, target in edges}
    assert len(table) == len(tuple(edges)), "two edges for one event in one state"
    for event, state in product(machine.events, spec.states):
        model = Model(state)
        if (event, state) in table:
            machine.events[event].trigger(model)
            assert model.state == (table[event, state] or state)
        else:
            with pytest.raises(MachineError):
                machine.events[event].trigger(model)
            assert model.state == state


def test_each_row_of_the_spec_is_an_edge(spec: Spec) -> None:
    """Nothing of the table is left out of the machine."""
    edges = set(server_edges(spec))
    for state, outcome in spec.outcomes():
        assert (outcome.name, state, outcome.to) in edges
    for timer, row in [(timer, timer.row) for timer in spec.timers.values() if timer.row is not None]:
        for state in spec.live_states:
            assert ((row.name, state, row.to) in edges) == (timer.states is None or state in timer.states)


@pytest.mark.parametrize("which", [shipped(), load(ROOT / "tests" / "little.yaml")], ids=lambda s: s.title)
def test_the_check_of_a_spec_follows_the_machine(which: Spec) -> None:
    """What it says of the states that can be reached is so: its changes are the machine's, but for the sudden end."""
    found = {(source, target) for source, targets in changes(which).items() for target in targets}
    edges = [edge for edge in server_edges(which) if not edge[0].startswith(ENDING)]
    assert found == {(source, target) for _, source, target in edges if target is not None}


def test_the_clients_machine_is_the_servers_from_the_other_side(spec: Spec) -> None:
    """The three moves that a chat needs, spelled out once as a check of the derivation."""
    edges = set(client_edges(spec))
    assert ("OK NAME", "CONNECTED", "NAMED") in edges
    assert ("CALL", "NAMED", "PAIRED") in edges
    assert ("GONE", "PAIRED", None) in edges  # whose partner is gone stays PAIRED (R-LEAVE-2)
    assert ("OK LEAVE", "PAIRED", "NAMED") in edges
    assert not [edge for edge in edges if edge[0] == "MSG" and edge[1] != "PAIRED"]


def test_a_machine_has_no_models_of_its_own(spec: Spec) -> None:
    """A connection costs it nothing; it would be 9.5 kB each, and quadratic in time."""
    assert server_machine(spec).models == []
