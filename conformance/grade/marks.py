"""What came of one submission, as data: the verdict, the points, and what failed, by rule and by group of rules.

A run that was cut short (its time was over) has a record without a footer: it counts, and what was not run has no
points. No report is made of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from conformance.engine.verdict import Verdict
from conformance.results.points import Earned, group_of
from conformance.results.record import judgement

OUT_OF_TIME, NOT_BUILT, NOT_STARTED = "time is over", "was not built", "would not start"
NOT_UNPACKED, NOT_JUDGED = "cannot be unpacked", "was not judged whole"
SHOWN = 200  # octets of a text of a failure


@dataclass
class Mark:
    """One line of the sheet. `groups` has (passed, failed) by group of rules, `failures` the cases by rule.

    `earned` is the part of all points, from 0 to 1. `complete`: the same files would give the same, so it is not judged
    again.
    """

    submission: str
    key: str
    verdict: str
    complete: bool = False
    earned: float = 0.0
    points: float = 0.0
    seconds: float = 0.0
    note: str = ""
    planned: int = 0
    passed: int = 0
    failed: int = 0
    build: str = ""
    groups: dict[str, tuple[int, int]] = field(default_factory=dict)
    failures: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    rules: dict[str, str] = field(default_factory=dict)  # the words of those that failed

    @property
    def text(self) -> str:
        """The mark as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def load(cls, path: Path, key: str) -> Mark | None:
        """The mark of a file, if it is one, complete, and of the same job."""
        try:
            mark = cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        mark.groups = {name: (numbers[0], numbers[1]) for name, numbers in mark.groups.items()}
        return mark if mark.complete and mark.key == key else None


def verdict_of(found: Mapping[str, Any], *, in_time: bool) -> tuple[str, bool]:
    """The verdict in words, and whether it is final. `found` as `inside.Found`, empty where that was not written."""
    if not in_time:
        return OUT_OF_TIME, False
    came, code = found.get("came"), found.get("code")
    if came == "judged":
        return judgement(code or 0), code in (0, 1)
    words = {"": NOT_UNPACKED, "unpacked": NOT_BUILT, "built": NOT_STARTED}
    return words.get(came or "", NOT_JUDGED) if found.get("note") else NOT_JUDGED, bool(found.get("note"))


def count(mark: Mark, lines: Sequence[dict[str, Any]], *, level: str) -> None:
    """Fills in what the lines of a record say: a header, and the cases that were run.

    What the implementation offered no way to test is not counted.
    """
    if not lines:
        return
    header, cases = lines[0], [line for line in lines[1:] if line.get("type") == "case"]
    levels = ("MUST", "SHOULD") if level == "should" else ("MUST",)
    planned = len(header["planned"])
    groups: dict[str, list[int]] = {}
    for case in cases:
        verdict = Verdict(case["verdict"])
        if case["level"] not in levels or verdict in (Verdict.NOT_APPLICABLE, Verdict.NOT_TESTED):
            planned -= 1
            continue
        numbers = groups.setdefault(group_of(case["rule"]), [0, 0])
        numbers[0] += verdict.good
        numbers[1] += verdict.bad
        if verdict.bad:
            kept = {name: visible_start(case[name]) for name in ("id", "wanted", "got", "note")}
            mark.failures.setdefault(case["rule"], []).append(kept)
            mark.rules[case["rule"]] = header["rules"][case["rule"]]["text"]
    order = list(dict.fromkeys(map(group_of, header["rules"])))
    mark.groups = {name: (groups[name][0], groups[name][1]) for name in order if name in groups}
    mark.planned = planned
    mark.passed = sum(passed for passed, _ in mark.groups.values())
    mark.failed = sum(failed for _, failed in mark.groups.values())
    earned = Earned(header, cases)
    counted = [rule for rule in earned.rules if header["rules"][rule]["level"] in levels]
    mark.earned = float(earned.part(counted)) if mark.passed else 0.0


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a record, which may have been cut short."""
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return []
    lines = []
    for line in text.split("\n"):
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines


def visible_start(text: str) -> str:
    """A text of a failure, cut."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


@dataclass(frozen=True)
class Common:
    """A rule that several submissions break, and the case that fails most often."""

    rule: str
    text: str
    submissions: tuple[str, ...]
    case: str
    example: dict[str, str]


def in_common(marks: Iterable[Mark]) -> list[Common]:
    """The rules that two submissions or more break; what most of them break is first."""
    broken: dict[str, list[Mark]] = {}
    for mark in marks:
        for rule in mark.failures:
            broken.setdefault(rule, []).append(mark)
    found = []
    for rule, some in broken.items():
        if len(some) < 2:
            continue
        cases: dict[str, list[dict[str, str]]] = {}
        for mark in some:
            for id_, failure in {each["id"]: each for each in mark.failures[rule]}.items():
                cases.setdefault(id_, []).append(failure)
        case = max(cases, key=lambda id_: len(cases[id_]))
        names = tuple(mark.submission for mark in some)
        found.append(Common(rule, some[0].rules[rule], names, case, cases[case][0]))
    return sorted(found, key=lambda each: -len(each.submissions))
