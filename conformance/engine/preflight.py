"""What the suite may rely on when it looks at a server, found out before the first case: one fault is one fault.

Each case ends with probes. If the listing, say, does not work, it fails its own cases, and no other case uses it.
Nothing becomes green by that: what is not trusted has cases of its own, which fail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .worker import Worker


@dataclass(frozen=True, slots=True)
class Preflight:
    """`distrusted` are the configurations whose probe is answered wrongly."""

    barrier: bool = True
    listing: bool = True
    distrusted: frozenset[str] = frozenset()

    def probes(self, configuration: str) -> bool:
        return configuration not in self.distrusted

    @classmethod
    def of(cls, worker: Worker) -> Preflight:
        """Tries the barrier, the listing, and the probe of each configuration."""
        from conformance.oracle.paths import paths_of

        if not _barrier_works(worker):
            return cls(barrier=False)
        paths = paths_of(worker.judged)
        everything = paths.configurations
        distrusted = {name for name in everything if not _works(worker, name, cls(listing=False))}
        listing = paths.named is None or _works(worker, paths.named, cls(distrusted=frozenset(everything)))
        return cls(listing=listing, distrusted=frozenset(distrusted))

    def words(self) -> str:
        """What a person is told."""
        if not self.barrier:
            return "nothing can be proved without the barrier"
        parts = ["the listing"] * (not self.listing) + [f"the probe of {name}" for name in sorted(self.distrusted)]
        return f"not used to look at other cases, because it fails its own: {', '.join(parts)}" if parts else ""


TRUSTED = Preflight()


def _barrier_works(worker: Worker) -> bool:
    from .failures import FloodError
    from .player import Player
    from .stage import Stage, UnreachableError

    stage = Stage(worker.spec, worker.address(), worker.patience)
    try:
        inbox = stage.inbox("t")
        return Player(stage).barrier(inbox) and not inbox.ended and not inbox.units
    except (UnreachableError, FloodError):
        return False
    finally:
        stage.close(0)


def _works(worker: Worker, configuration: str, preflight: Preflight) -> bool:
    """Whether a play that only leads into a configuration ends as it must; a way that fails is no proof against it."""
    from conformance.cases.play import Play
    from conformance.oracle.paths import paths_of

    from .failures import FloodError, MismatchError
    from .player import Player
    from .script import Compiler
    from .stage import Stage, UnreachableError
    from .worker import unique_number

    steps = paths_of(worker.judged).to_configuration(configuration)
    play = Play("TRUST/IN/probe", "a probe", (), steps, setup=len(steps))
    script = Compiler(worker.spec, play, unique_number(), profiles=worker.profiles, preflight=preflight).compile()
    stage = Stage(worker.spec, worker.address(), worker.patience)
    try:
        Player(stage).play(script)
    except MismatchError as problem:
        return problem.setup
    except (UnreachableError, FloodError):
        return True
    finally:
        stage.close(0)
    return True
