"""Verdicts, and the result of a case. Knows nothing of how a case was run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from conformance.cases.case import Case
from conformance.oracle.frames import shortened, visible, visible_lines

from .wire import Entry, Transcript

LONGEST = 1000  # characters of what was wanted or got: a list of many users is cut in the middle


class Verdict(StrEnum):
    """What a case says about the implementation."""

    PASS = "pass"  # noqa: S105  # a verdict, not a password
    NONSTRICT = "pass-nonstrict"  # what was due came, in a way that the spec only tolerates
    FAIL = "fail"
    XFAIL = "xfail"  # a failure that the list of known ones has, with these words
    XPASS = "xpass"  # the list says that it fails, and it does not
    NOT_APPLICABLE = "not-applicable"  # a profile that was not declared, or what nobody can bring about from outside
    NOT_TESTED = "not-tested"  # what it takes was not offered (short timers, a limit), or the spec contradicts the play
    BLOCKED = "blocked"  # it could not be asked: the setup failed, or no server listens
    ERROR = "error"  # the suite's own bug

    @property
    def good(self) -> bool:
        return self in (Verdict.PASS, Verdict.NONSTRICT)

    @property
    def bad(self) -> bool:
        """Whether it says that the implementation does not conform."""
        return self in (Verdict.FAIL, Verdict.XPASS)

    @property
    def ran(self) -> bool:
        return self not in (Verdict.NOT_APPLICABLE, Verdict.NOT_TESTED, Verdict.BLOCKED)


@dataclass(slots=True)
class Result:
    """A case's verdict with what a person needs to understand it. `step` is the line of the play that failed."""

    id: str
    segment: str
    rules: tuple[str, ...]
    level: str
    verdict: Verdict
    step: str = ""
    wanted: str = ""
    got: str = ""
    note: str = ""
    ms: float = 0.0
    entries: list[Entry] = field(default_factory=list)
    left_out: int = 0
    frames: int = 0  # that came, the answers to the suite's own requests too
    stderr: str = ""
    replay: str = ""
    kind: str = "cell"  # cell | play | scene | walk
    title: str = ""
    unreached: bool = False  # no connection was taken
    broken: str = ""  # the rule that the failed step obeys, if it is known
    timed_out: bool = False  # it failed after a wait that has run out
    late: float = 0.0  # seconds by which a short wait of the judge ended late: the machine was busy
    bereft: bool = False  # its server has died, perhaps of another case that used it too
    confirmed: bool = False  # it failed twice
    excused: bool = False  # it was not tested, because the machine was too busy, or an answer too slow for a timer
    cause: str = ""  # the same for all failures that are one mistake

    @classmethod
    def of(cls, case: Case, verdict: Verdict = Verdict.PASS, note: str = "") -> Result:
        """The result of a case before it was run, or of one that is not run."""
        return cls(
            case.id, case.segment, case.rules, case.level, verdict, note=note, kind=case.kind, title=case.title
        )  # fmt: skip

    @property
    def key(self) -> str:
        """The id, with the way in which the octets were cut."""
        return self.id if self.segment == "whole" else f"{self.id}@{self.segment}"

    @property
    def rule(self) -> str:
        """The rule to show for it."""
        return self.broken or self.rules[0]

    @property
    def words(self) -> str:
        """The failure in one line."""
        if self.wanted or self.got:
            return f"{self.step and f'{self.step}: '}wanted {self.wanted}, got {self.got}"
        return self.note

    def remark(self, note: str) -> None:
        """Adds to the note."""
        self.note = "; ".join(filter(None, (self.note, note)))

    def excuse(self, note: str) -> None:
        """What has happened breaks no rule, and left the case without an answer; a bug of the suite stays one."""
        if self.verdict is not Verdict.ERROR:
            self.verdict, self.wanted, self.got, self.note = Verdict.BLOCKED, "", "", note

    def finish(self, transcript: Transcript) -> None:
        """Takes what has passed. Text of the implementation is made visible: no terminal and no page obeys it."""
        self.entries, self.left_out, self.frames = transcript.entries, transcript.left_out, transcript.got
        self.late = transcript.late
        for name in ("title", "step", "wanted", "got", "cause"):
            setattr(self, name, shortened(visible(getattr(self, name)), LONGEST))
        self.note, self.stderr = visible_lines(self.note), visible_lines(self.stderr)


def exit_code(results: Iterable[Result], *, level: str, planned: int, stale: int = 0) -> int:
    """What the process says: 0 conforms, 1 does not, 3 could not be asked, 4 the suite failed or is incomplete."""
    seen = list(results)
    if any(result.verdict is Verdict.ERROR for result in seen) or len(seen) < planned:
        return 4
    levels = ("MUST", "SHOULD") if level == "should" else ("MUST",)
    if stale or any(r.verdict is Verdict.XPASS or (r.verdict is Verdict.FAIL and r.level in levels) for r in seen):
        return 1
    return 3 if any(result.verdict is Verdict.BLOCKED for result in seen) else 0
