"""Between a case and the client under test: a fresh run of the client for each case, and one verdict."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass

from conformance.engine.failures import FloodError, MismatchError
from conformance.engine.target import Command, StartError, killed_from_outside
from conformance.engine.verdict import Result, Verdict
from conformance.engine.wire import Transcript
from conformance.suite import Case
from pychat.spec import Spec

from .player import ClientPlayer
from .process import ClientProcess


@dataclass
class ClientWorker:
    """One worker's place."""

    command: Command
    spec: Spec
    patience: float = 5.0
    spec_file: str = ""
    process: ClientProcess | None = None
    transcript: Transcript | None = None

    def check_start(self) -> None:
        """Starts the client once. Raises StartError."""
        ClientProcess(self.command, Transcript(), spec=self.spec_file).kill()

    def start(self, *, terminal: bool = False) -> ClientProcess:
        """The case's client, connected. Raises StartError."""
        assert self.transcript is not None
        self.process = ClientProcess(self.command, self.transcript, terminal=terminal, spec=self.spec_file)
        return self.process

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process = None

    def verdict(self, case: Case) -> Result:
        """Runs a case; never raises for what an implementation does."""
        result = Result(
            case.id, case.segment, case.rules, case.level, Verdict.PASS, kind=case.kind, title=case.title
        )  # fmt: skip
        self.transcript = Transcript()
        try:
            notes = self._play(case)
            if notes:
                result.verdict, result.note = Verdict.NONSTRICT, "; ".join(dict.fromkeys(notes))
        except MismatchError as problem:
            result.verdict = Verdict.BLOCKED if problem.setup else Verdict.FAIL
            result.step, result.wanted, result.got = problem.step, problem.wanted, problem.got
        except FloodError as problem:
            result.verdict, result.wanted, result.got = Verdict.FAIL, "an end of what it sends", str(problem)
        except StartError as problem:
            result.verdict, result.note, result.unreached = Verdict.BLOCKED, str(problem), True
        except Exception as bug:  # a bug of the suite is a verdict of its own
            result.verdict = Verdict.ERROR
            result.note = f"{bug!r} at {traceback.extract_tb(bug.__traceback__)[-1]}"
        result.ms = round((time.monotonic() - self.transcript.started) * 1000, 1)
        if self.process is not None and not result.verdict.good:
            ending = self.process.ending()
            killed = killed_from_outside(self.process.popen)
            if killed and result.verdict is not Verdict.ERROR:
                result.verdict, result.wanted, result.got, result.note = Verdict.BLOCKED, "", "", killed
            else:
                result.note = "; ".join(filter(None, (result.note, ending)))
            result.stderr = self.process.stderr()
        self.stop()
        result.make_visible()
        result.entries, result.left_out = self.transcript.entries, self.transcript.left_out
        return result

    def _play(self, case: Case) -> list[str]:
        assert case.play is not None
        process = self.start(terminal=case.play.terminal)
        player = ClientPlayer(self.spec, process, self.patience, case.segment)
        player.play(case.play)
        return player.notes
