"""Scenes: the few cases that no script can tell, and what they have in common. They are in bursts and limits.

A scene is led into its state by the shortest way through the model; then it looks at what no script can name.
It raises `BrokenError` for what is not as it is due, and `NotTestedError` where the implementation offers no way.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from conformance.cases.play import Lane, Play
from conformance.engine.inbox import Inbox, Unit
from conformance.engine.player import Player
from conformance.engine.script import Compiler
from conformance.engine.worker import BrokenError, Worker
from conformance.oracle.frames import matches
from conformance.oracle.paths import SUBJECT, paths_of
from conformance.suite import Case, level_of
from pychat.spec import Spec

Act = Callable[[Worker], None]


@dataclass(frozen=True, slots=True)
class Scene:
    """What a scene is called and shows; `run` plays it."""

    id: str
    title: str
    rules: tuple[str, ...]
    run: Act
    lane: Lane = "shared"
    doc: str = ""
    mistakes: tuple[str, ...] = ()


def server_scenes(spec: Spec) -> list[Case]:
    """Every scene for servers, whose rules the spec has."""
    from . import bursts, limits

    found = [*bursts.scenes(spec), *limits.scenes(spec)]
    return [as_case(spec, scene) for scene in found if set(scene.rules) <= set(spec.rules)]


def as_case(spec: Spec, scene: Scene) -> Case:
    """A scene as a case; its octets are cut in one way only."""
    return Case(
        id=scene.id, title=scene.title, rules=scene.rules, level=level_of(spec, scene.rules), kind="scene",
        scene=scene.run, lane=scene.lane, doc=scene.doc, mistakes=scene.mistakes,
    )  # fmt: skip


def lead(worker: Worker, configuration: str, **renamed: str) -> dict[str, str]:
    """Leads the subject into a configuration; the players' unique names. Raises MismatchError if the way fails.

    `renamed` gives other ids to the cast: `lead(hand, state, a="x")` makes x the subject.
    """
    assert worker.stage is not None
    way = paths_of(worker.judged).to_configuration(configuration)
    steps = tuple(replace(step, who=renamed.get(step.who, step.who)) for step in way)
    play = Play("LEAD/IN/way", "the way into the state", (), steps, setup=len(steps))
    compiler = Compiler(worker.spec, play, worker.number, profiles=worker.profiles)
    script = compiler.compile(finale=False)
    Player(worker.stage).play(script)
    for who in {renamed.get(SUBJECT, SUBJECT)} - set(worker.stage.inboxes):
        worker.stage.inbox(who)
    return {who: peer.name for who, peer in compiler.world.connections.items() if peer.name is not None}


def send(worker: Worker, who: str, text: str) -> None:
    """Sends one frame."""
    assert worker.stage is not None
    worker.stage.inbox(who).wire.send(text.encode() + worker.spec.framing.writes, worker.stage.deadline())


def next_unit(inbox: Inbox, deadline: float) -> Unit | None:
    """The next frame, None at the deadline or the end of the stream."""
    while not inbox.units:
        if not inbox.pump(deadline) and (inbox.ended or time.monotonic() >= deadline):
            return None
    return inbox.units.popleft()


def expect(worker: Worker, who: str, wanted: str, seconds: float | None = None) -> Unit:
    """The next frame, which must be this one, in so many seconds (the patience without). Raises BrokenError."""
    assert worker.stage is not None
    inbox = worker.stage.inbox(who)
    unit = next_unit(inbox, time.monotonic() + (worker.patience if seconds is None else seconds))
    if unit is None or unit.flaw or not matches(wanted, unit.text):
        raise BrokenError(f"{who} < {wanted}", f"{who} < {unit}" if unit else inbox.seen)
    return unit


def expect_end(worker: Worker, who: str, seconds: float | None = None) -> None:
    """The end of the stream is next. Raises BrokenError."""
    assert worker.stage is not None
    inbox = worker.stage.inbox(who)
    unit = next_unit(inbox, time.monotonic() + (worker.patience if seconds is None else seconds))
    if unit is not None or not inbox.ended:
        raise BrokenError(f"{who} < the end of the stream", f"{who} < {unit}" if unit else inbox.seen)


def answered(worker: Worker, who: str) -> bool:
    """Whether this connection's barrier is answered."""
    assert worker.stage is not None
    return Player(worker.stage).barrier(worker.stage.inbox(who)) and not worker.stage.inbox(who).ended


def goodbye(spec: Spec, code: str) -> str:
    """The server's last frame with this code, its words left open."""
    return f"{spec.goodbye.key} {code} …"
