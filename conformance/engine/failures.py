"""Why a case does not pass, as exceptions, and the one place that turns an exception into a verdict."""

from __future__ import annotations

import traceback

from .target import StartError
from .verdict import Result, Verdict


class MismatchError(Exception):
    """What came is not what was due. The player that runs a script adds the step, and the rule if none is given."""

    def __init__(self, wanted: str, got: str, rule: str = "", *, timed_out: bool = False) -> None:
        super().__init__(f"wanted {wanted}, got {got}")
        self.wanted, self.got, self.rule = wanted, got, rule
        self.step = ""
        self.timed_out = timed_out  # it was seen after a wait that has run out
        self.setup = False  # the step only led to the state in which something is judged

    def locate(self, step: str, *, setup: bool, rule: str = "") -> None:
        """Says in which step it was seen; of steps within one another, the innermost says it first, and that stays."""
        if not self.step:
            self.step, self.setup = step, setup
            self.rule = self.rule or rule


class ExcessError(Exception):
    """More came than any correct implementation sends in a case."""


class UnreachableError(Exception):
    """The server takes no connection."""


class OverlongError(Exception):
    """The case has taken longer than any may, although something came all the time; the message says how long."""


class NotTestedError(Exception):
    """The implementation offers no way to test this; the message says what it takes."""


class OvertakenError(NotTestedError):
    """A timer was over before the steps that come before it: the server or the machine was too slow for this case."""


class ContradictionError(Exception):
    """A play says otherwise than the spec that is judged by; the message names the step.

    No implementation is at fault: the play is wrong, or it was written for a spec with other numbers.
    """


def record_failure(result: Result, problem: Exception) -> None:
    """Writes into a result why its case did not pass."""
    match problem:
        case MismatchError():
            result.verdict = Verdict.BLOCKED if problem.setup else Verdict.FAIL
            result.step, result.wanted, result.got = problem.step, problem.wanted, problem.got
            result.broken, result.timed_out = problem.rule, problem.timed_out
        case ExcessError():
            result.verdict, result.wanted, result.got = Verdict.FAIL, "an end of what it sends", str(problem)
        case NotTestedError():
            result.verdict, result.note = Verdict.NOT_TESTED, str(problem)
            result.excused = isinstance(problem, OvertakenError)
        case ContradictionError():  # cells and walks are made from the spec, and cannot contradict it
            result.verdict = Verdict.NOT_TESTED if result.kind == "play" else Verdict.ERROR
            result.note = str(problem)
        case OverlongError():
            result.verdict, result.note = Verdict.BLOCKED, str(problem)
        case UnreachableError() | StartError():
            result.verdict, result.note, result.unreached = Verdict.BLOCKED, str(problem), True
        case _:  # the suite's own bug
            result.verdict = Verdict.ERROR
            result.note = f"{problem!r} at {traceback.extract_tb(problem.__traceback__)[-1]}"
