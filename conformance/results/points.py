"""What a run has earned: the part of each rule's cases that have passed. Every rule counts alike.

So many cases of one rule weigh no more than a few of another. A case has passed when it has passed however its octets
were cut; one that has not run earns nothing, and what could not be tested from outside costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from conformance.engine.verdict import Verdict

COSTS_NOTHING = (Verdict.PASS, Verdict.NONSTRICT, Verdict.XFAIL, Verdict.NOT_TESTED, Verdict.NOT_APPLICABLE)


class Earned:
    """What the cases of a record so far have earned. `groups`: the rules by the part of their ids before the number."""

    def __init__(self, header: dict[str, Any], cases: Sequence[dict[str, Any]]) -> None:
        self.cuts: dict[str, int] = {}  # in how many ways the octets of a case are cut
        for key in header["planned"]:
            id_ = key.partition("@")[0]
            self.cuts[id_] = self.cuts.get(id_, 0) + 1
        self.done: dict[str, list[dict[str, Any]]] = {}
        for case in cases:
            self.done.setdefault(case["id"], []).append(case)
        self.rules: dict[str, list[str]] = {}  # the ids of the cases of each
        self.groups: dict[str, list[str]] = {}
        for id_, rule in sorted(header["shows"].items(), key=lambda item: item[1]):
            self.rules.setdefault(rule, []).append(id_)
        for rule in self.rules:
            self.groups.setdefault(group_of(rule), []).append(rule)

    def has_passed(self, id_: str) -> bool:
        some = self.done.get(id_, [])
        return len(some) == self.cuts[id_] and all(Verdict(case["verdict"]) in COSTS_NOTHING for case in some)

    def part(self, rules: Sequence[str]) -> Fraction:
        """The part of these rules that was earned, from 0 to 1."""
        if not rules:
            return Fraction(0)
        parts = [Fraction(sum(map(self.has_passed, self.rules[rule])), len(self.rules[rule])) for rule in rules]
        return sum(parts, Fraction(0)) / len(rules)


def group_of(rule: str) -> str:
    """The group of a rule: its id without the number."""
    return rule.rpartition("-")[0] or rule
