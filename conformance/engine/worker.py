"""Between a case and the server under test: one worker's server, kept alive from case to case; a verdict for each.

A server that is stuck, flooded or dead is replaced before the next case, so that no case harms another. A case that
stops its server, or gives it other values in its command, has a server of its own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from conformance.cases.case import Case
from conformance.cases.play import Play
from conformance.oracle.probe import barrier_verb
from pychat.spec import Spec

from .causes import cause, goodbye_rule
from .clock import BUSY, require_no_timer
from .conditions import EXCUSE, LATE, Conditions
from .failures import ExcessError, MismatchError, NotTestedError, OverlongError, UnreachableError, record_failure
from .needs import EVERYTHING_WORKS, NO_OFFER, Findings, Offer, lacking
from .player import Player
from .script import Compiler
from .stage import Stage
from .target import LAST_SIGN, STOP_SECONDS, Running, StartError, Target, killed_from_outside
from .verdict import Result, Verdict
from .wire import Transcript

TIDY_SECONDS = 1.0  # for a server to close its ends after a case
UNTIDY = 3  # cases after which it did not, from which on it is not waited for
HEALTH_SECONDS = 2.0
GLANCE = 0.5  # seconds for a server of which is known that it answers nobody


@dataclass
class Worker:
    """One worker's server. `spec` is what both sides follow here, perhaps with shorter timers than the judged one."""

    target: Target
    spec: Spec
    patience: float = 5.0
    profiles: str = "core"
    values: Mapping[str, str] = field(default_factory=dict)  # of the placeholders in the command
    offer: Offer = NO_OFFER
    findings: Findings = EVERYTHING_WORKS
    conditions: Conditions = field(default_factory=Conditions)  # shared by the workers of a run
    running: Running | None = field(default=None, init=False)
    untidy: int = field(default=0, init=False)  # cases after which the server did not close its ends in time
    said: int = field(default=0, init=False)  # octets of standard error before the case

    @property
    def judged(self) -> Spec:
        """The spec that is judged, its timers as they are."""
        return self.offer.quick_of or self.spec

    def address(self) -> tuple[str, int]:
        """Where the server listens, started now if it is not running. Raises StartError."""
        if self.running is None or not self.running.alive:
            self.stop()
            self.running = self.target.start(**self.values)
        return self.running.address

    def restart(self, **values: str) -> tuple[str, int]:
        """The address of a new server, with other values in its command. Raises StartError."""
        self.stop()
        self.values = {**self.values, **values}
        return self.address()

    def stop(self, grace: float = STOP_SECONDS) -> None:
        """Ends the server, after so many seconds of grace."""
        if self.running is not None:
            self.running.stop(grace)
            self.running = None

    def stage(self, transcript: Transcript | None = None, patience: float | None = None) -> Stage:
        """A place for one case at the server, which is started if it is not running. Raises StartError."""
        address = self.address()
        assert self.running is not None
        process = self.running.process
        return Stage(
            self.spec, address, patience or self.patience, transcript or Transcript(), process,
            conditions=self.conditions,
        )  # fmt: skip

    def answers(self, patience: float | None = None) -> bool:
        """Whether a new connection's barrier is answered, and nothing comes besides but the greeting."""
        try:
            with self.stage(patience=patience) as stage:
                inbox = stage.inbox("t")
                greeted = Player(stage).barrier(inbox) and not inbox.ended
                return greeted and len(inbox.units) == len(self.spec.greeting)
        except (UnreachableError, ExcessError, OverlongError, StartError):
            return False

    def verdict(self, case: Case) -> Result:
        """Runs a case; never raises for what an implementation does."""
        verb = barrier_verb(self.spec)
        if not self.findings.barrier and case.message != verb:  # then nothing can be proved
            note = f"{verb} is not answered as it must be, and it proves everything else: mend it first"
            return Result.of(case, Verdict.BLOCKED, note)
        if since := self._mute_since():
            return Result.of(case, Verdict.BLOCKED, f"the server answers nobody since {since}: mend that first")
        with self.conditions.beside():
            first = self._once(case)
        if not _is_doubtful(case, first) or self._mute_since():
            return first
        return self._again(case, first)

    def _again(self, case: Case, first: Result) -> Result:
        """The result of a second try, if there is one: time may have failed the first one, and not the server."""
        alone = first.late >= LATE or first.bereft
        if not self.conditions.grants(alone=alone):
            return self._excused(case, first)
        with self.conditions.alone() if alone else self.conditions.beside():
            second = self._once(case)
        self.conditions.tried(confirmed=not second.verdict.good)
        if second.verdict.good:
            second.remark(f"it failed at the first try ({first.words}), and not at the second one")
            return second
        second.confirmed = second.verdict.bad
        return self._excused(case, second)

    def _excused(self, case: Case, result: Result) -> Result:
        """A failure that a late machine may have caused is none."""
        enough = BUSY if case.slow else self.conditions.patience(self.patience)
        if result.late >= EXCUSE * enough and result.verdict in (Verdict.FAIL, Verdict.BLOCKED):
            result.verdict, result.excused = Verdict.NOT_TESTED, True
            result.note = f"the machine was too busy: a short wait of the judge ended {result.late:.2f} s late"
            result.wanted = result.got = result.step = ""
        return result

    def _once(self, case: Case) -> Result:
        """The result of one try."""
        if case.lane != "alone" or not self.target.restartable:
            return self._verdict(case)
        values = {name: str(number) for name, number in (case.play.server if case.play else ())}
        alone = replace(self, values={**self.values, **values})
        try:
            return alone._verdict(case)
        finally:
            alone.stop()

    def _verdict(self, case: Case) -> Result:
        result, transcript, stage = Result.of(case), Transcript(), None
        try:
            if case.play is not None and (needed := lacking(case.play, self.spec, self.offer)):
                raise NotTestedError(needed)
            stage = self.stage(transcript)
            self.said = self.running.said if self.running else 0
            transcript.started = time.monotonic()
            if case.scene is not None:
                self._enact(case, stage)
            else:
                self._play(case, stage)
        except Exception as problem:
            record_failure(result, problem)
            result.broken = goodbye_rule(self.spec, case.state, result) or result.broken
        result.ms = round((time.monotonic() - transcript.started) * 1000, 1)
        if stage is not None:
            self._clean_up(case, result, stage)
        result.cause = cause(self.spec, result)
        result.finish(transcript)
        return result

    def _play(self, case: Case, stage: Stage) -> None:
        assert case.play is not None
        for _ in range(case.play.rounds):
            compiler = Compiler(
                self.spec, case.play, segment=case.segment, profiles=self.profiles, findings=self.findings
            )
            Player(stage).play(compiler.compile())
            if case.play.rounds > 1:
                stage.close(self._tidy_seconds)
                stage.inboxes.clear()

    def _enact(self, case: Case, stage: Stage) -> None:
        assert case.scene is not None
        try:
            case.scene(self, stage)
        except MismatchError:
            require_no_timer(stage, time.monotonic())
            raise

    def _mute_since(self) -> str:
        """The case since which a server answers nobody that cannot be started again; nothing if it answers."""
        address = self.running.address if self.running is not None else ("", 0)
        since = self.conditions.mute.get(address, "")
        if since and self.answers(GLANCE + self.conditions.slack):
            self.conditions.mute.pop(address, None)
            return ""
        return since

    def _clean_up(self, case: Case, result: Result, stage: Stage) -> None:
        """Closes the connections, and leaves a server that the next case can use."""
        failed = result.verdict not in (Verdict.PASS, Verdict.NOT_TESTED)
        tidy = stage.close(self._tidy_seconds if self.untidy < UNTIDY and not failed else 0.0)
        self.untidy += not tidy and not failed
        if result.verdict is Verdict.PASS and stage.notes:
            result.verdict, result.note = Verdict.NONSTRICT, "; ".join(dict.fromkeys(stage.notes))
        if failed and self.offer.quick_of is not None and case.play is not None:
            result.remark(_shortened(case.play, self.spec, self.judged))
        if failed and self.running is not None:
            self._examine(case, result, self.running)

    @property
    def _tidy_seconds(self) -> float:
        return TIDY_SECONDS + self.conditions.slack

    def _examine(self, case: Case, result: Result, running: Running) -> None:
        """Whether the server still lives after a case that failed, and what ended it."""
        process = running.process
        if process is not None and process.popen.wait(LAST_SIGN + min(self.conditions.slack, 1)) is not None:
            process.join()  # its last words
        killed = killed_from_outside(process.popen) if process is not None else ""
        death = running.death()
        if killed:
            result.excuse(killed)
        elif death:
            if result.verdict is Verdict.BLOCKED:
                result.verdict, result.wanted = Verdict.FAIL, "a server that lives"
            result.got = f"{result.got}; then {death}" if result.got else death
        if death or not running.shared:  # else it may be about other cases
            result.stderr = running.stderr(self.said)
        if death:
            result.bereft = running.shared
            self.stop()
        elif self.findings.barrier and not self.answers(min(HEALTH_SECONDS, self.patience) + self.conditions.slack):
            self._hung(case, result, running)

    def _hung(self, case: Case, result: Result, running: Running) -> None:
        """The server lives, and answers nobody."""
        self.conditions.hung()
        if self.target.restartable:
            result.remark("it answered nobody afterwards, and was started again")
            self.stop(grace=0.0)
        else:
            result.remark("it answered nobody afterwards")
            self.conditions.mute.setdefault(running.address, case.id)


def _is_doubtful(case: Case, result: Result) -> bool:
    """Whether time may have failed the case: it is about time or amounts, or a wait has run out on a busy machine."""
    failed = result.verdict in (Verdict.FAIL, Verdict.BLOCKED) and not result.unreached
    timed = case.play is not None and case.slow
    waited = result.timed_out and (case.slow or result.late >= LATE)
    return result.excused or (failed and (timed or waited))


def _shortened(play: Play, spec: Spec, judged: Spec) -> str:
    """That a play's timers were not as long as they are."""
    names = dict.fromkeys(step.timer for step in play.clocks)
    timers = (f"{name} {spec.timers[name].after:g} s, not {judged.timers[name].after:g} s" for name in names)
    return f"timers were shortened for this: {'; '.join(timers)}"
