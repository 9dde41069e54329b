"""From an exception to a verdict, for servers and for clients: the one place where this is decided."""

from __future__ import annotations

import traceback

from .failures import FloodError, MismatchError
from .needs import NotTestedError
from .stage import UnreachableError
from .target import StartError
from .verdict import Result, Verdict


def blame(result: Result, problem: Exception) -> None:
    """Writes into a result why its case did not pass."""
    match problem:
        case MismatchError():
            result.verdict = Verdict.BLOCKED if problem.setup else Verdict.FAIL
            result.step, result.wanted, result.got = problem.step, problem.wanted, problem.got
            result.broken = problem.rule
        case FloodError():
            result.verdict, result.wanted, result.got = Verdict.FAIL, "an end of what it sends", str(problem)
        case NotTestedError():
            result.verdict, result.note = Verdict.NOT_TESTED, str(problem)
        case UnreachableError() | StartError():
            result.verdict, result.note, result.unreached = Verdict.BLOCKED, str(problem), True
        case _:  # the suite's own bug
            result.verdict = Verdict.ERROR
            result.note = f"{problem!r} at {traceback.extract_tb(problem.__traceback__)[-1]}"
