"""Gradescope's results.json: one test for each group of rules, whose points sum to what was asked for (`--points`).

Source: https://gradescope-autograders.readthedocs.io/en/latest/specs/, section "Output format".

A group's share of the points is its share of the rules; `conformance.results.points` says what a rule has earned.

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
from conformance.results.points import COSTS_NOTHING, Earned
from conformance.results.record import Record

SO_FAR = True
POINTS = "100"
CENTS = 100  # the smallest part of a point, so that no sum is rounded
SHOWN = 5  # causes in the output of a test
Line = dict[str, Any]


def make(record: Record) -> str:
    """The results so far."""
    earned = Earned(record.header, record.cases)
    total = int(record.header["options"].get("points", POINTS)) * CENTS
    shares = _shares(total, [len(rules) for rules in earned.groups.values()])
    tests = [
        _test(record, name, rules, share, earned)
        for (name, rules), share in zip(earned.groups.items(), shares, strict=True)
    ]
    state = "" if record.footer.get("complete") else " The run is not whole."
    output = f"{len(earned.done)} of {len(earned.cuts)} cases were run.{state}"
    score = sum(round(test["score"] * CENTS) for test in tests) / CENTS
    report: dict[str, Any] = {"score": score, "output": output, "output_format": "text", "visibility": "visible"}
    if record.footer:
        report["execution_time"] = record.footer["seconds"]
    return json.dumps({**report, "tests": tests}, indent=1) + "\n"


def _shares(total: int, weights: Sequence[int]) -> list[int]:
    """The total in whole parts by these weights; what is left goes to those that lose most by rounding down."""
    exact = [Fraction(total * weight, sum(weights)) for weight in weights]
    shares = [int(share) for share in exact]
    by_loss = sorted(range(len(exact)), key=lambda index: shares[index] - exact[index])
    for index in by_loss[: total - sum(shares)]:
        shares[index] += 1
    return shares


def _test(record: Record, name: str, rules: Sequence[str], share: int, earned: Earned) -> dict[str, Any]:
    ids = [id_ for rule in rules for id_ in earned.rules[rule]]
    good = sum(map(earned.has_passed, ids))
    bad = [case for id_ in ids for case in earned.done.get(id_, []) if Verdict(case["verdict"]) not in COSTS_NOTHING]
    run = sum(id_ in earned.done for id_ in ids)
    lines = [f"{good} of {len(ids)} cases passed, {run} were run. They show {', '.join(sorted(rules))}."]
    return {
        "name": f"{name}: {len(rules)} {'rule' if len(rules) == 1 else 'rules'}",
        "score": int(share * earned.part(rules)) / CENTS,
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
