"""Between a case and the client under test: a fresh run of the client for each case, and one verdict."""

from __future__ import annotations

import time
from dataclasses import dataclass

from conformance.cases.case import Case
from conformance.engine.blame import blame
from conformance.engine.target import Command, killed_from_outside
from conformance.engine.verdict import Result, Verdict
from conformance.engine.wire import Transcript
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

    def check_start(self) -> None:
        """Starts the client once. Raises StartError."""
        ClientProcess(self.command, Transcript(), spec=self.spec_file).kill()

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process = None

    def verdict(self, case: Case) -> Result:
        """Runs a case; never raises for what an implementation does."""
        result, transcript = Result.of(case), Transcript()
        try:
            self._play(case, result, transcript)
        except Exception as problem:
            blame(result, problem)
        result.ms = round((time.monotonic() - transcript.started) * 1000, 1)
        if self.process is not None and not result.verdict.good:
            result.remark(self.process.ending())
            killed = killed_from_outside(self.process.popen)
            if killed:
                result.excuse(killed)
            result.stderr = self.process.stderr()
        self.stop()
        result.finish(transcript)
        return result

    def _play(self, case: Case, result: Result, transcript: Transcript) -> None:
        assert case.play is not None
        self.process = ClientProcess(self.command, transcript, terminal=case.play.terminal, spec=self.spec_file)
        player = ClientPlayer(self.spec, self.process, self.patience, case.segment)
        player.play(case.play)
        if player.notes:
            result.verdict, result.note = Verdict.NONSTRICT, "; ".join(dict.fromkeys(player.notes))
