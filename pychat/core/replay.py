"""Replays a spec's examples through the hub: each example must be what the server does. No sockets."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest

from pychat.spec.documents import Example, ExampleStep
from pychat.spec.model import Spec

from .connection import Connection
from .hub import Hub
from .slow import without_wait

WILDCARD = "…"  # stands for any words at the end of a frame


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A step of an example that the hub does not do. `got` is the frame that it sent there, or what it did."""

    step: int
    wanted: str
    got: str

    def __str__(self) -> str:
        return f"wanted {self.wanted}, got {self.got}"


def replay(spec: Spec, example: Example) -> list[Mismatch]:
    """The differences between the hub and the example, at most one for each person in it."""
    hub = Hub(spec, at_once=without_wait)
    people: dict[str, Connection] = {}
    for step in example.steps:
        if step.who not in people:
            people[step.who] = Connection()
            hub.open(people[step.who], step.who, 0.0, loopback=True)
        _do(hub, people[step.who], step)
    return [
        mismatch
        for who, connection in people.items()
        if (mismatch := _compare(spec, example, who, connection)) is not None
    ]


def _do(hub: Hub, connection: Connection, step: ExampleStep) -> None:
    if step.kind == "send":
        hub.receive(connection, step.octets, 0.0)
    elif step.kind == "finish":
        hub.finish(connection, 0.0)
    elif step.kind == "reset":
        hub.lose(connection, 0.0)


def _compare(spec: Spec, example: Example, who: str, connection: Connection) -> Mismatch | None:
    """Compares one person's stream; only the order within one connection counts."""
    expected = [(n, s) for n, s in enumerate(example.steps) if s.who == who and s.kind in ("receive", "end")]
    got = b"".join(connection.outbox).decode().split(spec.framing.writes.decode())[:-1]
    if expected and expected[-1][1].kind == "end":
        last, _ = expected.pop()
        if connection.state != spec.final:
            return Mismatch(last, "the end of the stream", f"the state {connection.state}")
    for entry, line in zip_longest(expected, got):
        if entry is None:
            return Mismatch(len(example.steps) - 1, "nothing more", f"{who}< {line}")
        number, step = entry
        if line is None or not matches(step.text, line):
            return Mismatch(number, str(step), f"{who}< {line}" if line is not None else "nothing")
    return None


def matches(wanted: str, line: str) -> bool:
    """Whether a frame is the wanted one; a wanted frame may leave its last words open."""
    if wanted.endswith(" " + WILDCARD):
        return line.startswith(wanted.removesuffix(WILDCARD))
    return line == wanted
