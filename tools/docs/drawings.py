"""All drawings of a page, by name: the machines and the examples."""

from __future__ import annotations

from pychat.core.machine import ENDING, client_machine, server_machine

from . import machines, sequence
from .material import Material


def drawings(of: Material) -> dict[str, str]:
    """An SVG element for each diagram. Raises NoGraphviz without the program that draws machines."""
    spec, names = of.spec, of.names

    def event(word: str) -> str | None:
        if word == ENDING:
            return spec.ending.rule
        return names.request(word) if word in spec.requests else None

    found = {
        "server-machine": machines.draw(server_machine(spec), "The server's machine", event, names.state, spec.final),
        "client-machine": machines.draw(
            client_machine(spec), "The client's machine", names.frame, names.state, spec.final
        ),
    }
    found |= {f"sequence-{name}": sequence.draw(play) for name, play in of.plays.items()}
    return found
