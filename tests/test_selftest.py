"""The judge's own measure: a part of the self-test that is quick, and the self-test's own honesty."""

from __future__ import annotations

import subprocess
import sys

import pytest

from conformance.cases.case import Case
from conformance.engine.verdict import Result, Verdict
from conformance.suite import server_cases
from pychat.spec import Spec, load
from tools.selftest import trials
from tools.selftest.mutants.client import client_mutants
from tools.selftest.mutants.mutant import Mutant, find
from tools.selftest.mutants.server import server_mutants
from tools.selftest.mutants.server.engine import Server
from tools.selftest.mutants.server.tuples import Tuples
from tools.selftest.report import report
from tools.selftest.subjects import Side, mutants_of
from tools.selftest.trials import EQUIVALENT, Outcome, Trial, batches, try_mutant

from .conftest import ROOT

BOARD = ROOT / "tests" / "board.yaml"
KILLED = [  # one of each kind
    "NAMED/CHAT/user-busy:dropped",
    "NAMED/CHAT/opened:partner-stays",
    "PAIRED/LEAVE/left:partner-to-NAMED",
    "PAIRED/MSG/not-accepted:done-anyway",
    "PAIRED/CHAT/accepted:without-not-answered",
    "NAMED/CHAT/user-busy:nobody-told",
    "PAIRED/LEAVE/left:drop-turned-too",
    "PAIRED/WHO/listed:answers",
    "NAMED/LEAVE:allowed",
    "ending:no-release",
    "fault/bad-syntax:last",
    "type/name:longer",
    "call-accepts",
    "missed-by-spelling",
    "line-to-everybody",
    "closed-at-once",
    "goes-on-after-quit",
]


@pytest.fixture(scope="module")
def cases(spec: Spec) -> list[Case]:
    return server_cases(spec, ("whole",))


@pytest.mark.parametrize("side", ["server", "client"])
def test_each_mutant_is_a_row_of_its_own(spec: Spec, side: Side) -> None:
    """Names are unique, each says what is broken, and there are enough of them."""
    mutants = mutants_of(side, spec)
    assert len({mutant.name for mutant in mutants}) == len(mutants) >= (60 if side == "server" else 25)
    assert all(mutant.breaks for mutant in mutants)
    assert all(mutant.engine is not None or mutant.spec not in (None, spec) for mutant in mutants)


def test_mutants_of_another_protocol(little: Spec) -> None:
    """The derived ones know no verb: another spec has its own, each with one name."""
    assert any(mutant.name.startswith("print/") for mutant in client_mutants(little))
    for spec in (little, load(BOARD)):
        names = [mutant.name for mutant in server_mutants(spec)]
        assert any(name.endswith(":dropped") for name in names)
        assert len(set(names)) == len(names)


def test_the_mutable_server_remembers_what_the_spec_keeps(spec: Spec) -> None:
    """The oldest tuples of a value are forgotten, a tuple counts once, and a user takes its own along."""
    (name,) = spec.relations
    most = next(column.keep for column in spec.relations[name].columns if column.keep)
    tuples = Tuples(spec)
    for caller in [*range(most + 1), most]:
        tuples.add(name, ("bob", caller))
    assert len(tuples.found(name, ("bob", None))) == most
    assert not tuples.found(name, ("bob", 0))
    tuples.forget(1)
    tuples.drop(name, (None, 2))
    assert len(tuples.found(name, ("bob", None))) == most - 2


def test_the_mutable_server_refuses_relations_that_it_does_not_do() -> None:
    """One sentence names the relation."""
    with pytest.raises(ValueError, match=r"board\.yaml: this server has no relation like subscriber"):
        Server(load(BOARD))


@pytest.mark.parametrize("name", KILLED)
def test_a_broken_server_is_found(spec: Spec, cases: list[Case], name: str) -> None:
    """A case fails that asks about what is broken."""
    mutant = find(server_mutants(spec), name)
    assert mutant is not None
    trial = try_mutant("server", mutant, [case for case in cases if not case.slow], spec)
    assert trial.killer is not None, trial.note


def test_a_crash_is_no_kill(spec: Spec, cases: list[Case], monkeypatch: pytest.MonkeyPatch) -> None:
    """A mutant must fail because of what is broken in it, not because it ends with a stack trace."""
    said = "Traceback (most recent call last):\nZeroDivisionError: division by zero"
    crashed = Result(cases[0].id, "whole", (), "MUST", Verdict.FAIL, stderr=said)
    monkeypatch.setattr(trials, "run_suite", lambda *_, **__: [crashed])
    trial = try_mutant("server", Mutant("x", "nothing"), cases[:1], spec)
    assert trial.killer is None
    assert trial.note == f"it crashed: {said}"


def test_the_correct_server_survives(spec: Spec, cases: list[Case]) -> None:
    """What the mutants are made of passes: they die of what is broken, not of how they are made."""
    mutant = find(server_mutants(spec), "none")
    assert mutant is not None
    trial = try_mutant("server", mutant, [case for case in cases if case.kind == "play" and not case.slow], spec)
    assert trial.killer is None, trial.killer
    assert not trial.note


def test_a_survivor_is_named(spec: Spec, cases: list[Case]) -> None:
    """A suite without the case that would kill says so."""
    mutant = find(server_mutants(spec), "type/name:case-kept")
    assert mutant is not None
    blind = [case for case in cases if "R-PING-1" in case.rules and case.kind == "cell"][:3]
    trial = try_mutant("server", mutant, blind, spec)
    outcome = Outcome("server", {}, [trial], 1.0)
    assert not outcome.good
    assert report(spec, outcome) == [
        "SURVIVED type/name:case-kept: name: unique with regard to case",
        "server mutants: killed 0 of 1, 1 survived, in 1 s",
    ]


def test_an_equivalent_is_excused_with_its_reason(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mutant that nobody can tell from the correct server needs a reason, and is counted apart."""
    monkeypatch.setitem(EQUIVALENT, "x", "the same octets")
    outcome = Outcome("server", {}, [Trial(Mutant("x", "nothing"), None, 5, 0.1)], 1.0)
    assert outcome.good
    assert report(spec, outcome) == [
        "equivalent x: the same octets",
        "server mutants: killed 0 of 1, 1 equivalent, in 1 s",
    ]


def test_near_cases_come_first(spec: Spec, cases: list[Case]) -> None:
    """The first batch asks about the row that is broken; every case is asked once."""
    mutant = find(server_mutants(spec), "PAIRED/LEAVE/left:mute")
    assert mutant is not None
    order = batches(cases, mutant)
    assert all(case.id.startswith("PAIRED/LEAVE/") for case in order[0])
    assert sorted(case.key for batch in order for case in batch) == sorted(case.key for case in cases)


# The command


def selftest(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.selftest", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize("arguments", [("mutants", "--help"), ("steady", "--help"), ("--help",)])
def test_help_names_the_exit_codes(arguments: tuple[str, ...]) -> None:
    done = selftest(*arguments)
    assert done.returncode == 0
    assert "0 the judge is right, 1 it is wrong, 2 misuse" in " ".join(done.stdout.split())


def test_the_list_says_what_is_broken(spec: Spec) -> None:
    """A line for each mutant of both sides; none is judged."""
    lines = selftest("mutants", "--list").stdout.splitlines()
    assert len(lines) == len(server_mutants(spec)) + len(client_mutants(spec))
    assert "server call-accepts: The lines of a called user are delivered at once." in lines


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("mutants", "--select", "call-accept"), "no mutant is called call-accept; the nearest are call-accepts, "),
        (("mutants", "--spec", "nothing.yaml"), "nothing.yaml: No such file or directory"),
        (("steady", "--cmd", "false"), "`false` ended with code 1 before it listened"),
        (("mutants", "nobody"), "'nobody' is not one of"),
    ],
)
def test_misuse_is_one_sentence(arguments: tuple[str, ...], words: str) -> None:
    """The exit code is 2, and no stack trace is shown."""
    done = selftest(*arguments)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
