"""Gradescope's results.json: one test for each state and message, with a share of the points.

Written after every case too: a case that has not run yet has no points, so a crash or a time-out of the grader leaves
those that were earned.
"""

from __future__ import annotations

import json
from typing import Any

from conformance.engine.verdict import Verdict
from conformance.results.record import Record

SO_FAR = True
POINTS = 100
SHOWN = 5


def make(record: Record) -> str:
    """The results so far."""
    planned: dict[str, int] = {}
    for key in record.header["planned"]:
        planned[_group(key)] = planned.get(_group(key), 0) + 1
    done: dict[str, list[dict[str, Any]]] = {}
    for case in record.cases:
        done.setdefault(_group(case["id"]), []).append(case)
    whole = sum(planned.values()) or 1
    tests = [_test(group, number, done.get(group, []), POINTS * number / whole) for group, number in planned.items()]
    state = "" if record.footer.get("complete") else " (the run is not whole)"
    output = f"{len(record.cases)} of {whole} cases were run{state}."
    score = round(sum(test["score"] for test in tests), 2)
    return json.dumps({"score": score, "output": output, "visibility": "visible", "tests": tests}, indent=1) + "\n"


def _group(key: str) -> str:
    return "/".join(key.split("/")[:2])


def _test(group: str, planned: int, cases: list[dict[str, Any]], points: float) -> dict[str, Any]:
    good = [case for case in cases if Verdict(case["verdict"]).good or case["verdict"] == Verdict.XFAIL]
    open_ = [case for case in cases if case["verdict"] in (Verdict.NOT_TESTED, Verdict.NOT_APPLICABLE)]
    bad = [case for case in cases if case not in good and case not in open_]
    # what the implementation offered no way to test costs no points
    score = points * (len(good) + len(open_)) / planned
    lines = [f"{len(good)} of {planned} passed, {len(cases)} were run, {len(open_)} could not be tested."]
    lines += [
        f"{c['id']}@{c['segment']} ({c['rule']}): wanted {c['wanted']}, got {c['got']} {c['note']}".rstrip()
        for c in bad[:SHOWN]
    ]
    if len(bad) > SHOWN:
        lines.append(f"… and {len(bad) - SHOWN} more.")
    status = "passed" if len(good) + len(open_) == planned else "failed"
    return {
        "name": group, "score": round(score, 4), "max_score": round(points, 4), "status": status,
        "output": "\n".join(lines), "visibility": "visible",
    }  # fmt: skip
