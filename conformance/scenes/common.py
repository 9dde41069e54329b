"""What scenes have in common. A scene is a case that no script can tell: a function of a worker and the case's stage.

It is led into its state by the shortest path through the model, and then looks at what no script can name. It raises
`MismatchError` for what is not as it is due, and `NotTestedError` where the implementation offers no way.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from conformance.cases.case import Case, level_of
from conformance.cases.play import Lane
from conformance.engine.failures import MismatchError
from conformance.engine.inbox import Inbox, Unit
from conformance.engine.player import Player
from conformance.engine.script import Compiler, leading
from conformance.engine.stage import Stage
from conformance.engine.worker import Worker
from conformance.oracle.frames import matches
from conformance.oracle.paths import SUBJECT, paths_of
from pychat.spec import Spec


def scene(
    spec: Spec,
    id_: str,
    title: str,
    rules: tuple[str, ...],
    run: Callable[[Worker, Stage], None],
    lane: Lane = "shared",
) -> Case:
    """A scene as a case; its octets are cut in one way only."""
    return Case(id_, title, rules, level_of(spec, rules), "scene", scene=run, lane=lane)


def lead(worker: Worker, stage: Stage, configuration: str) -> dict[str, str]:
    """Leads the subject into a configuration; the unique names of the cast. Raises MismatchError if that fails."""
    play = leading(worker.spec, paths_of(worker.judged).to_configuration(configuration))
    compiler = Compiler(worker.spec, play, profiles=worker.profiles)
    Player(stage).play(compiler.compile(probes=False))
    stage.inbox(SUBJECT)
    return {who: peer.name for who, peer in compiler.world.connections.items() if peer.name is not None}


def mismatch(wanted: str, got: str) -> MismatchError:
    """What a scene raises, which has no steps."""
    return MismatchError(wanted, got)


def next_unit(inbox: Inbox, deadline: float) -> Unit | None:
    """The next frame, None at the deadline or the end of the stream."""
    while not inbox.units:
        if not inbox.pump(deadline) and (inbox.ended or time.monotonic() >= deadline):
            return None
    return inbox.units.popleft()


def expect(stage: Stage, who: str, wanted: str) -> None:
    """The next frame must be this one. Raises MismatchError."""
    inbox = stage.inbox(who)
    unit = next_unit(inbox, stage.deadline())
    if unit is None or unit.flaw or not matches(wanted, unit.text):
        raise mismatch(f"{who} < {wanted}", f"{who} < {unit}" if unit else inbox.seen)


def expect_end(stage: Stage, who: str) -> None:
    """The end of the stream is next. Raises MismatchError."""
    inbox = stage.inbox(who)
    unit = next_unit(inbox, stage.deadline())
    if unit is not None or not inbox.ended:
        raise mismatch(f"{who} < the end of the stream", f"{who} < {unit}" if unit else inbox.seen)


def answered(stage: Stage, who: str) -> bool:
    """Whether this connection's barrier is answered."""
    return Player(stage).barrier(stage.inbox(who)) and not stage.inbox(who).ended
