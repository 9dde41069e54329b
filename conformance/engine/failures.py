"""What an implementation under test does wrong, as exceptions. Knows no case, no step and no socket."""

from __future__ import annotations


class MismatchError(Exception):
    """What came is not what was due. The player that runs a script adds the step, and the rule if none is given."""

    def __init__(self, wanted: str, got: str, rule: str = "") -> None:
        super().__init__(f"wanted {wanted}, got {got}")
        self.wanted, self.got, self.rule = wanted, got, rule
        self.step = ""
        self.setup = False  # the step only led to the state in which something is judged

    def locate(self, step: str, *, setup: bool, rule: str = "") -> None:
        """Says in which step it was seen; of steps within one another, the innermost says it first, and that stays."""
        if not self.step:
            self.step, self.setup = step, setup
            self.rule = self.rule or rule


class FloodError(Exception):
    """More came than any correct implementation sends in a case."""
