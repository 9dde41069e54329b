"""A run as a whole: how it goes on, how many workers it has, and what a signal leaves of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.cases.case import Case
from conformance.engine.verdict import Result, Verdict
from conformance.run import MOST, Options, Run, workers_for

from .conftest import ROOT

SERVER = f"{sys.executable} -m pychat server --host {{host}} --port {{port}} --spec {{spec}}"


def case(number: int) -> Case:
    return Case(f"NAMED/PING/{number}", "t", ("R-PING-1",), "MUST", "cell")


def test_fail_fast_ends_at_a_failure_and_not_at_a_case_that_was_blocked() -> None:
    """The failure behind a way that is blocked has a case of its own, which is still to come."""
    run = Run(Options(fail_fast=True))
    run.report(Result.of(case(1), Verdict.BLOCKED))
    assert not run.over
    run.report(Result.of(case(2), Verdict.FAIL))
    assert run.over


@pytest.mark.parametrize(
    ("pace", "jobs", "cases", "workers"),
    [
        (0.0005, 2, 1000, 2),
        (0.010, 2, 1000, 5),
        (0.050, 2, 1000, MOST),
        (0.050, 2, 3, 3),
        (0.0, 4, 1000, 4),
        (0.0, 4, 1, 4),
        (9.0, 40, 1000, 40),
    ],
)
def test_a_server_that_answers_slowly_gets_more_workers(pace: float, jobs: int, cases: int, workers: int) -> None:
    """Never fewer than were asked for, nor more than there are cases or than a machine bears."""
    assert workers_for(pace, jobs, cases) == workers


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_shows_what_is_known_so_far(tmp_path: Path, number: signal.Signals) -> None:
    """The verdicts of the cases that ran, in the record too; the exit code is the signal's."""
    record = tmp_path / "record.json"
    os.mkfifo(record)
    words = [sys.executable, "-m", "conformance", "server", "--cmd", SERVER, "--report", f"json={record}"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as judge:
        with record.open(encoding="utf-8") as lines:
            parts = [json.loads(next(lines)) for _ in range(20)]
            judge.send_signal(number)
            parts += map(json.loads, lines)
        out, complaint = judge.communicate()
    ran = len(parts) - 1
    assert [part["type"] for part in parts] == ["header", *["case"] * ran]
    assert f"stopped after {ran} of {len(parts[0]['planned'])} cases" in out
    verdicts = [part["verdict"] for part in parts[1:]]
    assert f"{verdicts.count(Verdict.PASS)} pass" in out
    assert "was not judged whole" in out.splitlines()[-1]
    assert complaint.splitlines()[-1] == "pychat-conformance: stopped; nothing is left behind"
    assert judge.returncode == 128 + number
