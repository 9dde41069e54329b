"""Between a case and the client under test: a fresh run of the client for each case, and one verdict."""

from __future__ import annotations

import time
from dataclasses import dataclass

from conformance.cases.case import Case
from conformance.engine.causes import cause
from conformance.engine.failures import record_failure
from conformance.engine.target import Command, killed_from_outside
from conformance.engine.verdict import Result, Verdict
from conformance.engine.wire import Transcript
from pychat.spec import Spec

from .player import ClientPlayer
from .process import ClientProcess


@dataclass
class ClientWorker:
    """Judges a client that a command starts. `spec_file` is what the command gets for `{spec}`."""

    command: Command
    spec: Spec
    patience: float
    spec_file: str

    def check_start(self) -> None:
        """Starts the client once. Raises StartError."""
        ClientProcess(self.command, Transcript(), spec=self.spec_file).kill()

    def verdict(self, case: Case) -> Result:
        """Runs a case; never raises for what an implementation does."""
        assert case.play is not None
        result, transcript, process = Result.of(case), Transcript(), None
        try:
            process = ClientProcess(self.command, transcript, terminal=case.play.terminal, spec=self.spec_file)
            player = ClientPlayer(self.spec, process, self.patience, case.segment)
            player.play(case.play)
            if player.notes:
                result.verdict, result.note = Verdict.NONSTRICT, "; ".join(dict.fromkeys(player.notes))
        except Exception as problem:
            record_failure(result, problem)
        result.ms = round((time.monotonic() - transcript.started) * 1000, 1)
        if process is not None:
            if not result.verdict.good:
                result.remark(process.ending())
                killed = killed_from_outside(process.popen)
                if killed:
                    result.excuse(killed)
                result.stderr = process.stderr()
            process.kill()
        result.cause = cause(self.spec, result)
        result.finish(transcript)
        return result
