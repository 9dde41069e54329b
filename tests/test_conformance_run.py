"""A run as a whole: how it goes on, how many workers it has, and what a signal leaves of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.cases.case import Case
from conformance.engine import ports, programs
from conformance.engine.ports import free_port
from conformance.engine.target import Address, Command
from conformance.engine.verdict import Result, Verdict
from conformance.run import MOST, Options, Run, run_suite, workers_for
from conformance.suite import select, server_cases
from pychat.spec import Spec

from .conftest import ROOT, Stage

SERVER = f"{sys.executable} -m pychat server --host {{host}} --port {{port}} --spec {{spec}}"

DIES_OF_A_GOODBYE = """
import os, sys
sys.path.insert(0, {pychat!r})
from pychat.core.lifecycle import Lifecycle
def die(*_):
    sys.stderr.write("goodbye")
    sys.stderr.flush()
    os._exit(7)
Lifecycle.say_goodbye = die
from pychat.__main__ import main
main()
"""


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
        (0.050, 2, 1000, 25),
        (0.200, 2, 1000, MOST),
        (0.050, 2, 3, 3),
        (0.0, 4, 1000, 4),
        (0.0, 4, 1, 4),
        (9.0, 40, 1000, 40),
    ],
)
def test_a_server_that_answers_slowly_gets_more_workers(pace: float, jobs: int, cases: int, workers: int) -> None:
    """Never fewer than were asked for, nor more than there are cases or than a machine bears."""
    assert workers_for(pace, jobs, cases) == workers


def test_a_port_is_given_to_one_program_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is it one that a system gives to whoever asks for any, or one that somebody has, on whatever address."""
    with free_port() as port, socket.socket() as other:
        assert port in ports.PORTS
        other.bind(("127.0.0.2", 0))
        taken = int(other.getsockname()[1])
        assert taken not in ports.PORTS
        monkeypatch.setattr(ports, "PORTS", (port, taken, port + 1))
        with free_port() as next_port:
            assert next_port == port + 1
        monkeypatch.setattr(ports, "PORTS", (port + 1, taken))
        with free_port() as again:
            assert again == port + 1


def test_a_server_with_short_timers_that_dies_is_started_again(spec: Spec, tmp_path: Path) -> None:
    """It serves many cases at once. Those that it dies of fail, with its last words, and no other one."""
    program = tmp_path / "server.py"
    program.write_text(DIES_OF_A_GOODBYE.format(pychat=str(ROOT)), encoding="utf-8")
    command = Command(f"{sys.executable} {program} server --host {{host}} --port {{port}} --spec {{spec}}")
    cases = select(server_cases(spec, ("whole",)), ["CONNECTED/TIME/registration", "NAMED/TIME/probe"])
    deadly, harmless = run_suite(command, cases, spec=spec)
    assert deadly.verdict is Verdict.FAIL
    assert deadly.got.endswith("it ended with code 7")
    assert deadly.stderr.endswith("goodbye")
    assert harmless.verdict is Verdict.PASS, harmless


def test_workers_in_several_processes_share_one_server(start: Callable[..., Stage], spec: Spec) -> None:
    """No two of them make the same name, so that they do not meet at a server that all of them use."""
    address = start().server.address
    cases = select(server_cases(spec, ("whole",)), ["NAMED/CHAT/*", "PAIRED/MSG/*"])
    results = run_suite(
        Address(*address), [case for case in cases if case.lane == "shared"], Options(jobs=4), spec=spec
    )
    assert len(results) > 50
    assert {result.words for result in results if not result.verdict.good} == set()


def test_a_process_of_the_judge_that_is_killed_is_an_error(start: Callable[..., Stage], spec: Spec) -> None:
    """Its cases are the judge's own failure, and the run goes on."""
    cases = select(server_cases(spec, ("whole",)), ["NAMED/CHAT/*"])

    def kill(_: Result) -> None:
        for fork in programs.forks:
            os.kill(fork, signal.SIGKILL)

    results = run_suite(Address(*start().server.address), cases, Options(jobs=2, on_result=kill), spec=spec)
    assert len(results) == len(cases)
    assert {result.note for result in results if result.verdict is Verdict.ERROR} == {
        "a process of the judge has ended"
    }
    assert programs.forks == set()


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
