"""Gradescope's results.json: one test for each group of rules, whose points sum to what was asked for (`--points`).

Source: https://gradescope-autograders.readthedocs.io/en/latest/specs/, section "Output format".

A group's share of the points is its share of the rules, so that many cases of one rule weigh no more than a few of
another. Within a group each rule counts alike, and within a rule each case: it has passed when it has passed however
its octets were cut. What could not be tested from outside costs no points.

Written after every case too: a case that has not run yet has no points, so a crash or a time-out of the grader leaves
those that were earned.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from conformance.engine.verdict import Verdict
from conformance.results.causes import facts_of_line, grouped
from conformance.results.record import Record

SO_FAR = True
POINTS = "100"
CENTS = 100  # the smallest part of a point, so that no sum is rounded
SHOWN = 5  # causes in the output of a test
COSTS_NOTHING = (Verdict.PASS, Verdict.NONSTRICT, Verdict.XFAIL, Verdict.NOT_TESTED, Verdict.NOT_APPLICABLE)
Line = dict[str, Any]
Group = dict[str, list[str]]  # rule -> the ids of its cases


def make(record: Record) -> str:
    """The results so far."""
    groups = _groups(record.header["shows"])
    cuts: dict[str, int] = {}
    for key in record.header["planned"]:
        id_ = key.partition("@")[0]
        cuts[id_] = cuts.get(id_, 0) + 1
    done: dict[str, list[Line]] = {}
    for case in record.cases:
        done.setdefault(case["id"], []).append(case)
    total = int(record.header["options"].get("points", POINTS)) * CENTS
    shares = _shares(total, [len(group) for group in groups.values()])
    tests = [
        _test(record, name, group, share, cuts, done)
        for (name, group), share in zip(groups.items(), shares, strict=True)
    ]
    state = "" if record.footer.get("complete") else " The run is not whole."
    output = f"{len(done)} of {len(cuts)} cases were run.{state}"
    score = sum(round(test["score"] * CENTS) for test in tests) / CENTS
    report: dict[str, Any] = {"score": score, "output": output, "output_format": "text", "visibility": "visible"}
    if record.footer:
        report["execution_time"] = record.footer["seconds"]
    return json.dumps({**report, "tests": tests}, indent=1) + "\n"


def _groups(shows: dict[str, str]) -> dict[str, Group]:
    """The rules that cases show, by the part of their ids before the number, and the ids of their cases."""
    groups: dict[str, Group] = {}
    for id_, rule in shows.items():
        groups.setdefault(rule.rpartition("-")[0] or rule, {}).setdefault(rule, []).append(id_)
    return dict(sorted(groups.items()))


def _shares(total: int, weights: Sequence[int]) -> list[int]:
    """The total in whole parts by these weights; what is left goes to those that lose most by rounding down."""
    exact = [Fraction(total * weight, sum(weights)) for weight in weights]
    shares = [int(share) for share in exact]
    by_loss = sorted(range(len(exact)), key=lambda index: shares[index] - exact[index])
    for index in by_loss[: total - sum(shares)]:
        shares[index] += 1
    return shares


def _test(
    record: Record, name: str, group: Group, share: int, cuts: dict[str, int], done: dict[str, list[Line]]
) -> dict[str, Any]:
    def passed(id_: str) -> bool:
        some = done.get(id_, [])
        return len(some) == cuts[id_] and all(Verdict(case["verdict"]) in COSTS_NOTHING for case in some)

    ids = [id_ for rule in group.values() for id_ in rule]
    good = sum(map(passed, ids))
    earned = sum(Fraction(sum(map(passed, rule)), len(rule)) for rule in group.values()) / len(group)
    bad = [case for id_ in ids for case in done.get(id_, []) if Verdict(case["verdict"]) not in COSTS_NOTHING]
    run = sum(id_ in done for id_ in ids)
    lines = [f"{good} of {len(ids)} cases passed, {run} were run. They show {', '.join(sorted(group))}."]
    return {
        "name": f"{name}: {len(group)} {'rule' if len(group) == 1 else 'rules'}", "score": int(share * earned) / CENTS,
        "max_score": share / CENTS, "status": "passed" if good == len(ids) else "failed",
        "output": "\n".join([*lines, *_failures(record, bad)]), "output_format": "text", "visibility": "visible",
    }  # fmt: skip


def _failures(record: Record, bad: list[Line]) -> Iterator[str]:
    causes = grouped(bad, lambda case: facts_of_line(record.header, case))
    for cause in causes[:SHOWN]:
        case, more = cause.example, len(cause.cases) - 1
        rule = record.header["rules"][case["rule"]]
        yield ""
        yield f"{case['verdict'].upper()} {case['id']}" + (f" and {more} more of the same cause" if more else "")
        yield f"  rule    {case['rule']} {rule['level']}  {rule['text']}"
        yield from (f"  {name:6}  {case[name]}" for name in ("step", "wanted", "got", "note") if case[name])
        yield f"  replay  {case['replay']}"
    if len(causes) > SHOWN:
        yield f"… and {len(causes) - SHOWN} more causes."
