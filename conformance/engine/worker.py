"""Between a case and the implementation: one worker's server, kept alive from case to case; one verdict for each case.

A server that is stuck, flooded or dead is replaced before the next case, so that no case harms another. What a case
may ask for (a server of its own, with other values in its command) is here too.
"""

from __future__ import annotations

import itertools
import random
import time
import traceback
from dataclasses import dataclass, field

from conformance.cases.play import Play
from conformance.oracle.probe import barrier_verb
from conformance.suite import Case
from pychat.spec import Spec
from pychat.spec.model import Timer

from .failures import FloodError, MismatchError
from .names import Names
from .needs import NotTestedError, require
from .player import Player
from .preflight import TRUSTED, Preflight
from .script import Compiler
from .stage import Stage, UnreachableError
from .target import LAST_SIGN, Command, Process, Running, StartError, Target, killed_from_outside
from .verdict import Result, Verdict
from .wire import Transcript

TIDY_SECONDS = 1.0  # for a server to close its ends after a case
HEALTH_SECONDS = 2.0

_numbers = itertools.count(random.SystemRandom().randrange(10_000, 90_000))


def unique_number() -> int:
    """A number that no other case has, nor another run of the suite against the same server a minute ago."""
    return next(_numbers)


class UnprovableError(Exception):
    """What every proof needs does not work."""


class BrokenError(Exception):
    """What a scene saw is not what was due."""

    def __init__(self, wanted: str, got: str, step: str = "") -> None:
        super().__init__(f"wanted {wanted}, got {got}")
        self.wanted, self.got, self.step = wanted, got, step


@dataclass
class Worker:
    """One worker's place. `spec` is what both sides follow here, perhaps with shorter timers than the judged one."""

    target: Target
    spec: Spec
    patience: float = 5.0
    profiles: str = "core"
    values: dict[str, str] = field(default_factory=dict)
    max_wait: float = 10.0
    quick_of: Spec | None = None  # the judged spec, where `spec` is its copy with short timers
    command: Command | None = None  # how the server was started, if the suite started it
    preflight: Preflight = field(default_factory=lambda: TRUSTED)
    running: Running | None = None
    shared: Process | None = None  # the server, where others use it too
    stage: Stage | None = None
    number: int = 0
    untidy: int = 0
    said: int = 0  # octets of standard error before the case

    def address(self) -> tuple[str, int]:
        """Where the server listens, started now if it is not running. Raises StartError."""
        if self.running is None or not self.running.alive:
            self.stop()
            self.running = self.target.start(**self.values)
        return self.running.address

    def stop(self) -> None:
        if self.running is not None:
            self.running.stop()
            self.running = None

    def verdict(self, case: Case) -> Result:
        """Runs a case; never raises for what an implementation does."""
        result = Result(
            case.id, case.segment, case.rules, case.level, Verdict.PASS, kind=case.kind, title=case.title
        )  # fmt: skip
        transcript = Transcript()
        try:
            self._require_barrier(case)
            self.number = unique_number()
            self._prepare(case)
            self.stage = Stage(self.spec, self.address(), self.patience, transcript, self._process())
            assert self.running is not None
            self.said = self.running.said
            transcript.started = time.monotonic()
            self._play(case)
        except MismatchError as problem:
            result.verdict = Verdict.BLOCKED if problem.setup else Verdict.FAIL
            result.step, result.wanted, result.got = problem.step, problem.wanted, problem.got
            result.broken = problem.rule
        except BrokenError as problem:
            result.verdict = Verdict.FAIL
            result.step, result.wanted, result.got = problem.step, problem.wanted, problem.got
        except FloodError as problem:
            result.verdict, result.wanted, result.got = Verdict.FAIL, "an end of its frames", str(problem)
        except NotTestedError as reason:
            result.verdict, result.note = Verdict.NOT_TESTED, str(reason)
        except UnprovableError as problem:
            result.verdict, result.note = Verdict.BLOCKED, str(problem)
        except (UnreachableError, StartError) as problem:
            result.verdict, result.note, result.unreached = Verdict.BLOCKED, str(problem), True
        except Exception as bug:  # a bug of the suite is a verdict of its own
            result.verdict = Verdict.ERROR
            result.note = f"{bug!r} at {traceback.extract_tb(bug.__traceback__)[-1]}"
        result.ms = round((time.monotonic() - transcript.started) * 1000, 1)
        self._after(case, result)
        result.entries, result.left_out, result.frames = transcript.entries, transcript.left_out, transcript.got
        result.make_visible()
        return result

    def _require_barrier(self, case: Case) -> None:
        """Without the barrier nothing can be proved, so only its own cases are asked."""
        verb = barrier_verb(self.spec)
        if not self.preflight.barrier and case.message != verb:
            raise UnprovableError(f"{verb} is not answered as it must be, and it proves everything else: mend it first")

    def _prepare(self, case: Case) -> None:
        """What a play asks for. Raises NotTestedError."""
        if case.play is not None:
            require(self, case.play)
            self.values = {**self.values, **{name: str(number) for name, number in case.play.server}}

    def _process(self) -> Process | None:
        """The server as a program, if the suite has started it."""
        assert self.running is not None
        return self.running.process

    def _play(self, case: Case) -> None:
        assert self.stage is not None
        if case.scene is not None:
            case.scene(self)
            return
        assert case.play is not None
        for _ in range(case.play.rounds):
            self.number = unique_number()
            script = Compiler(self.spec, case.play, self.number, case.segment, self.profiles, self.preflight).compile()
            Player(self.stage).play(script)
            if case.play.rounds > 1:
                self.stage.close(TIDY_SECONDS)
                self.stage.inboxes.clear()

    def _after(self, case: Case, result: Result) -> None:
        """Closes, and leaves a server that the next case can use."""
        if self.stage is None:
            return
        failed = result.verdict not in (Verdict.PASS, Verdict.NOT_TESTED)
        tidy = self.stage.close(TIDY_SECONDS if self.untidy < 3 and not failed else 0.0)
        self.untidy += not tidy and not failed
        if result.verdict is Verdict.PASS and self.stage.notes:
            result.verdict, result.note = Verdict.NONSTRICT, "; ".join(dict.fromkeys(self.stage.notes))
        if failed and self.is_quick and case.play is not None:
            result.note = "; ".join(filter(None, (result.note, _shortened(case.play, self.spec, self.judged))))
        if failed and self.running is not None:
            self._examine(result)
        self.stage = None

    def _examine(self, result: Result) -> None:
        """Whether the server still lives after a case that failed, and what ended it."""
        assert self.running is not None
        process = self.shared or self.running.process
        killed = ""
        if process is not None and process.popen.wait(LAST_SIGN) is not None:
            process.join()  # its last words
            killed = killed_from_outside(process.popen)
        death = self.running.death()
        if killed and result.verdict is not Verdict.ERROR:
            result.verdict, result.wanted, result.got, result.note = Verdict.BLOCKED, "", "", killed
        elif death:
            if result.verdict is Verdict.BLOCKED:
                result.verdict, result.wanted = Verdict.FAIL, "a server that lives"
            result.got = f"{result.got}: {death}" if result.got else death
        result.stderr = self.running.stderr(self.said)
        if death:
            self.stop()
        elif self.target.restartable and self.preflight.barrier and not self._healthy():
            result.note = (
                f"{result.note + '; ' if result.note else ''}it answered nobody afterwards, and was started again"
            )
            self.stop()

    def _healthy(self) -> bool:
        """Whether a newcomer is answered."""
        assert self.running is not None
        stage = Stage(self.spec, self.running.address, HEALTH_SECONDS)
        try:
            return Player(stage).barrier(stage.inbox("h"))
        except (UnreachableError, FloodError):
            return False
        finally:
            stage.close(0)

    # For scenes

    def names(self) -> Names:
        return Names(self.spec, self.number)

    def has(self, name: str) -> bool:
        """Whether the command can be given this value."""
        return self.command is not None and self.command.has(name)

    def offers(self, timer: Timer) -> bool:
        """Whether the server was told how long this timer is."""
        return self.has("spec") or self.has(timer.name)

    @property
    def is_quick(self) -> bool:
        return self.quick_of is not None

    @property
    def judged(self) -> Spec:
        """The spec that is judged, its timers as they are."""
        return self.quick_of or self.spec


def _shortened(play: Play, spec: Spec, judged: Spec) -> str:
    """That a play's timers were not as long as they are."""
    names = dict.fromkeys(step.timer for step in play.steps if step.kind == "clock")
    timers = (f"{name} {spec.timers[name].after:g} s, not {judged.timers[name].after:g} s" for name in names)
    return f"timers were shortened for this: {'; '.join(timers)}"


def values_of(spec: Spec, spec_file: str) -> dict[str, str]:
    """What the names in a command's braces stand for, besides `port` and `host`."""
    return {timer.name: f"{timer.after:g}" for timer in spec.timers.values()} | {"spec": spec_file, "max": "1000"}
