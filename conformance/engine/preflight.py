"""Trials before the first case: what the suite may use to look at a server, so that one fault fails its own cases only.

Each case ends with probes. If the listing, say, does not work, the listing's cases fail, and no other case uses it.
Nothing passes by that: what is not used has cases of its own.
"""

from __future__ import annotations

import time

from conformance.oracle.paths import paths_of

from .failures import ExcessError, MismatchError, UnreachableError
from .needs import Findings
from .player import Player
from .script import Compiler, leading
from .worker import Worker

OPENED = 8  # connections at once


def preflight(worker: Worker) -> Findings:
    """Tries the barrier, the listing, and the probe of each configuration. Raises StartError."""
    if not worker.answers() and not worker.answers():  # once may be the machine
        return Findings(barrier=False)
    paths = paths_of(worker.judged)
    everything = paths.configurations
    distrusted = {name for name in everything if not _works(worker, name, Findings(listing=False))}
    listing = paths.named is None or _works(worker, paths.named, Findings(distrusted=frozenset(everything)))
    answer = worker.conditions.slowest
    return Findings(listing=listing, distrusted=frozenset(distrusted), answer=answer, opening=_opening(worker))


def _opening(worker: Worker) -> float:
    """How many seconds each of some connections that are opened at once makes the others wait."""
    with worker.stage() as stage:
        began, one = time.monotonic(), worker.conditions.slowest
        Player(stage).barrier(*(stage.inbox(f"t{number}") for number in range(OPENED)))
        return max(0.0, time.monotonic() - began - one) / OPENED


def _works(worker: Worker, configuration: str, findings: Findings) -> bool:
    """Whether the probes that a play into a configuration ends with are answered right.

    A failure on the way there proves nothing against them.
    """
    play = leading(worker.spec, paths_of(worker.judged).to_configuration(configuration))
    script = Compiler(worker.spec, play, profiles=worker.profiles, findings=findings).compile()
    with worker.stage() as stage:
        try:
            Player(stage).play(script)
        except MismatchError as problem:
            return problem.setup
        except (UnreachableError, ExcessError):
            return True
    return True
