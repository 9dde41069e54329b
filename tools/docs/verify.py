"""Whether the examples of a spec are true: of the machines, and of a real server by the judge's own runner.

A protocol that cannot be judged is asked of the machines alone.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from conformance.cases.case import cases_of
from conformance.cases.play import example_plays
from conformance.engine.target import Command, StartError, Target
from conformance.oracle.judgeable import require_judgeable
from conformance.oracle.probe import UnjudgeableError
from conformance.run import Options, run_suite
from pychat.core.replay import replay
from pychat.spec import Spec

SHIPPED_SERVER = Command(f"{shlex.quote(sys.executable)} -m pychat server --port 0 --spec {{spec}}")


class ExampleError(Exception):
    """An example is not true, or cannot be played; the message names the example, the step and both frames."""


@dataclass(frozen=True, slots=True)
class Played:
    """How many examples were played against a server, and why none was, if the protocol cannot be judged."""

    examples: int
    reason: str = ""

    def __str__(self) -> str:
        return f"no example played ({self.reason})" if self.reason else f"{self.examples} examples played"


def verify_examples(spec: Spec, file: Path, target: Target = SHIPPED_SERVER) -> Played:
    """Plays every example. `file` is the file of `spec`, for the server.

    Raises:
        ExampleError: an example is not true, or the server could not be asked.
    """
    for example in spec.examples.values():
        for mismatch in replay(spec, example):
            raise ExampleError(f"the example {example.id} is not true: step {mismatch.step + 1}: {mismatch}")
    cases = [case for play in example_plays(spec) for case in cases_of(spec, play, "play", ["whole"])]
    options = Options(jobs=4, profiles=tuple(spec.profiles), spec_file=file)
    try:
        require_judgeable(spec)  # a server that cannot be judged is not started
        results = run_suite(target, cases, options, spec=spec) if cases else []
    except UnjudgeableError as error:
        return Played(0, str(error))
    except StartError as error:
        raise ExampleError(f"the examples cannot be played: {error}") from None
    for result in results:
        if not result.verdict.good:
            raise ExampleError(f"the server does not play the example {result.id.rpartition('/')[2]}: {result.words}")
    return Played(len(cases))
