"""All drawings of a page, by name: the machines and the examples."""

from __future__ import annotations

from pychat.core.machine import ENDING, client_machine, server_machine

from . import machines, sequence
from .sources import PageSources


def drawings(sources: PageSources) -> dict[str, str]:
    """An SVG element for each diagram. Raises GraphvizError without the program that draws machines."""
    spec, anchors = sources.spec, sources.anchors

    def event(word: str) -> str | None:
        if word == ENDING:
            return spec.ending.rule
        if word in spec.timers and word not in spec.requests:
            return anchors.timer(word)
        return anchors.request(word) if word in spec.requests else None

    found = {
        "server-machine": machines.draw(server_machine(spec), "The server's machine", event, anchors.state, spec.final),
        "client-machine": machines.draw(
            client_machine(spec), "The client's machine", anchors.frame, anchors.state, spec.final
        ),
    }
    found |= {f"sequence-{name}": sequence.draw(example) for name, example in sources.interactions.items()}
    return found
