"""What scenes have in common. A scene is a case that no script can tell: a function of a worker and the case's stage.

It is led into its state by the shortest path through the model, and then looks at what no script can name. It raises
`MismatchError` for what is not as it is due, and `NotTestedError` where the implementation offers no way.
"""

from __future__ import annotations

from collections.abc import Callable

from conformance.cases.case import Case, level_of
from conformance.cases.play import Lane
from conformance.engine.failures import MismatchError
from conformance.engine.inbox import difference
from conformance.engine.player import Player
from conformance.engine.script import Compiler, leading
from conformance.engine.stage import Stage
from conformance.engine.worker import Worker
from conformance.oracle.lines import SUBJECT
from conformance.oracle.model import Text
from conformance.oracle.paths import paths_of
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


def expect(stage: Stage, who: str, wanted: str) -> None:
    """The next frame must be this one. Raises MismatchError."""
    inbox = stage.inbox(who)
    unit = inbox.next(stage.deadline())
    if unit is None or difference(stage.spec, Text(wanted), unit) is not None:
        raise MismatchError(f"{who} < {wanted}", f"{who} < {unit}" if unit else inbox.seen)
