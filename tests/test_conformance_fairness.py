"""A right server passes however it does what the protocol leaves open, and however busy the machine is."""

from __future__ import annotations

import select
import shlex
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest

from conformance.cases.case import Case
from conformance.cases.play import Play, Step
from conformance.engine import clock, conditions
from conformance.engine.actions import Clock
from conformance.engine.conditions import SECOND_TRIES, Conditions
from conformance.engine.failures import OvertakenError
from conformance.engine.needs import Findings
from conformance.engine.quick import FIRST, quicken
from conformance.engine.script import Compiler
from conformance.engine.stage import Stage
from conformance.engine.target import Command, StartError, announced_in
from conformance.engine.verdict import Result, Verdict
from conformance.engine.worker import Worker
from conformance.run import Options, run_suite
from conformance.suite import select as selected
from conformance.suite import server_cases
from pychat.spec import Spec
from tools.selftest.variants.server.table import VARIANTS, find
from tools.selftest.variants.trials import judge

from .conftest import SPEC_FILE, changed
from .test_conformance_verdicts import hello, polite, scripted

PYTHON = shlex.quote(sys.executable)
ON_V6 = f"""{PYTHON} -c 'import socket, sys
listener = socket.create_server(("::1", int(sys.argv[1])), family=socket.AF_INET6)
while True: listener.accept()' {{port}}"""
needs_v6 = pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")


@pytest.fixture(scope="module")
def cases(spec: Spec) -> list[Case]:
    return server_cases(spec, ("whole",))


# Where it listens


@pytest.mark.parametrize(
    ("said", "address"),
    [
        ("listening on 127.0.0.1:8255", ("127.0.0.1", 8255)),
        ("srv: listening on [::1]:59111, press ^C", ("::1", 59111)),
        ("listening on [fe80::1%eth0]:8255", ("fe80::1%eth0", 8255)),
        ("listening on ::1:59111", ("::1", 59111)),
        ("listening on localhost:8255", ("localhost", 8255)),
        ("listening on *:8255", ("*", 8255)),
        ("listening on 0.0.0.0:8255\n", ("0.0.0.0", 8255)),  # compared
        ("listening on [::]:8255", ("::", 8255)),
        ("listening on port 8255", None),
        ("listening on [::1:8255", None),
    ],
)
def test_an_address_is_read_in_each_form(said: str, address: tuple[str, int] | None) -> None:
    """IPv4, IPv6 with brackets, zones and without, names, and all addresses."""
    assert announced_in(said.encode()) == address


@needs_v6
def test_a_server_on_the_other_loopback_address_is_judged_there() -> None:
    """It was told a port and no host."""
    running = Command(ON_V6).start()
    try:
        assert running.address[0] == "::1"
    finally:
        running.stop()


@needs_v6
def test_a_server_that_does_not_listen_where_it_is_told_is_told_so() -> None:
    """The message names both addresses."""
    with pytest.raises(StartError, match=r"does not listen on 127\.0\.0\.1:\d+, as it is told: .* on \[::1\]:\d+"):
        Command(f"{ON_V6} {{host}}").start()


# How fast it answers


def test_the_margins_follow_the_slowest_answer() -> None:
    """A server that answers after half a second has more of everything, and one that answers at once loses nothing."""
    fast, slow = Conditions(), Conditions()
    slow.saw(2.0)
    slow.saw(0.5)
    assert (fast.patience(5.0), fast.slack) == (5.0, 0.0)
    assert slow.patience(5.0) == 8.0
    assert slow.slack > 1.0
    assert fast.hurry(5.0) < slow.hurry(5.0) <= 2.5
    assert slow.longest > fast.longest
    for _ in range(conditions.REMEMBERED):
        slow.saw(0.1)
    assert slow.slack == 0.2, "what was slow long ago is forgotten"


def test_a_few_slow_answers_make_no_late_timer_right() -> None:
    """A timer may be late by what most answers take, not by what one takes while a queue is filled beside it."""
    busy, slow = Conditions(), Conditions()
    for number in range(100):
        busy.saw(2.0 if number % 10 == 0 else 0.01)
        slow.saw(0.5)
    assert busy.slack == 4.0
    assert busy.lag == 0.02
    assert slow.lag == 1.0
    assert slow.news() == [0.5] * 100
    assert slow.news() == []


def test_timers_are_shortened_less_for_a_server_that_answers_late(spec: Spec, tmp_path: Path) -> None:
    """Several answers must fit between two moments of a timer."""
    fast, slow = quicken(SPEC_FILE, tmp_path), quicken(SPEC_FILE, tmp_path, 0.6)
    for name, timer in fast.timers.items():
        assert timer.after <= slow.timers[name].after <= spec.timers[name].after
    assert min(timer.after for timer in fast.timers.values()) == min(FIRST.values())


def test_a_barrier_does_not_end_a_row_of_faults(spec: Spec) -> None:
    """Where a frame that is right would change what is tested, a late answer is waited for without one."""
    seen: list[bytes] = []

    def late(_: socket.socket, line: bytes) -> bytes | None:
        seen.append(line)
        if line.startswith(b"NAME "):
            return b"OK " + line + b"\n"
        if line == b"who":
            time.sleep(0.4)  # the server's own slowness, not a wait for anything
            return b"ERR * bad-syntax No.\n"
        return polite(_, line)

    with scripted(late) as address:
        worker = Worker(address, spec, findings=Findings(distrusted=frozenset({"NAMED"}), listing=False))
        assert worker.verdict(_faults(spec)).verdict is Verdict.PASS
    assert seen[1:3] == [b"who", b"who"]


def _faults(spec: Spec) -> Case:
    steps = [Step("a", "send", b"NAME alice\n", "NAME alice"), Step("a", "receive", text="OK NAME alice")]
    for _ in range(2):
        steps += [Step("a", "send", b"who\n", "who"), Step("a", "receive", text="ERR * bad-syntax …")]
    play = Play("NAMED/LINE/own", "t", ("R-ERR-8",), tuple(steps), source="t")
    return Case(play.id, play.title, play.rules, "MUST", "play", play)


def test_a_script_names_the_rows_of_faults(spec: Spec) -> None:
    """Only where the faults are counted in a row."""
    play = _faults(spec).play
    assert play is not None
    ops = Compiler(spec, play, 1).compile(probes=False).ops
    assert {op.mute for op in ops if "who" in op.step} == {frozenset({"a"})}
    assert {op.mute for op in ops if "NAME" in op.step} == {frozenset()}


# How much it sends


@pytest.mark.parametrize("piece", [b"x" * 65536, b"OK HELLO 1 core\n" * 4096], ids=["one line", "many lines"])
def test_a_server_that_sends_without_end_is_left_soon(spec: Spec, piece: bytes) -> None:
    """What it sends is counted, with an LF and without."""
    sent: list[int] = []

    def flood(stream: socket.socket, line: bytes) -> bytes | None:
        if line != b"HELLO 1":
            return polite(stream, line)
        with suppress(OSError):
            while len(sent) < 4096:
                stream.sendall(piece)
                sent.append(len(piece))
        return None

    with scripted(flood) as address:
        (result,) = run_suite(address, [hello(spec)], Options(patience=1.0))
    assert result.verdict is Verdict.FAIL
    assert sum(sent) < 32 << 20  # of which the system held the most


def test_a_case_ends_although_something_comes_all_the_time(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is said of a server that is slower than any case can wait for."""
    monkeypatch.setattr(conditions, "LONGEST", -1.0)
    monkeypatch.setattr(conditions, "MANY", 0)
    with scripted(polite) as address:
        result = Worker(address, spec).verdict(hello(spec))
    assert result.verdict is Verdict.BLOCKED
    assert "nothing is said of it" in result.note


# How busy the machine is


def _tries(spec: Spec, monkeypatch: pytest.MonkeyPatch, *tries: tuple[Verdict, float], slow: bool = True) -> Result:
    """The result of a case whose tries end so, each with the lateness of the machine."""
    steps = (Step("a", "pause", text=""), Step("a", "flood", text="PING {n}")) if slow else ()
    play = Play("NAMED/LINE/own", "t", ("R-FLOW-2",), steps)
    case = Case(play.id, play.title, play.rules, "MUST", "play", play)
    assert case.slow == slow
    left = list(tries)

    def once(_: Worker, case: Case) -> Result:
        result = Result.of(case)
        result.verdict, result.late = left.pop(0)
        result.got, result.timed_out = "nothing for 5 s", not result.verdict.good
        return result

    monkeypatch.setattr(Worker, "_once", once)
    result = Worker(Command("x"), spec).verdict(case)
    assert not left, "a second try where there was no need of one"
    return result


def test_a_failure_that_is_there_again_stays_one(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second try confirms it."""
    result = _tries(spec, monkeypatch, (Verdict.FAIL, 0.3), (Verdict.FAIL, 0.0))
    assert (result.verdict, result.confirmed, result.got) == (Verdict.FAIL, True, "nothing for 5 s")


def test_a_failure_of_a_busy_machine_is_none(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second try passes, and the note says that there was a first one."""
    result = _tries(spec, monkeypatch, (Verdict.FAIL, 0.3), (Verdict.PASS, 0.0))
    assert result.verdict is Verdict.PASS
    assert "failed at the first try" in result.note


def test_what_a_busy_machine_does_not_let_be_tested_is_not_tested(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both tries fail, and the machine was late in both by so much that it may be the reason."""
    result = _tries(spec, monkeypatch, (Verdict.FAIL, 0.3), (Verdict.FAIL, 0.5))
    assert result.verdict is Verdict.NOT_TESTED
    assert "the machine was too busy" in result.note
    assert result.excused


def test_no_machine_excuses_a_wrong_answer(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary case on a machine that is a little late is asked once, and a calm one does not excuse silence."""
    result = _tries(spec, monkeypatch, (Verdict.FAIL, 0.05), slow=False)
    assert result.verdict is Verdict.FAIL
    result = _tries(spec, monkeypatch, (Verdict.FAIL, 0.3), (Verdict.FAIL, 0.3), slow=False)
    assert result.verdict is Verdict.FAIL, "0.3 s are no reason for 5 s of silence"


def test_second_tries_are_bounded() -> None:
    """A server with many failures is not judged twice as long."""
    each = Conditions()
    for _ in range(4):
        assert each.grants(alone=False)
        each.tried(confirmed=True)
    assert not each.grants(alone=False), "four were confirmed in a row"
    each.tried(confirmed=False)
    assert sum(each.grants(alone=False) for _ in range(2 * SECOND_TRIES)) == SECOND_TRIES - 4


def test_lateness_is_that_of_the_judges_own_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait that ends late is the machine's; one that ends with something is nobody's."""
    moment = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: moment[0])

    class Late:
        def poll(self, milliseconds: float) -> list[tuple[int, int]]:
            moment[0] += milliseconds / 1000 + 0.3
            return []

    found, late = conditions.ready(cast("select.poll", Late()), 1.0)
    assert not found
    assert late == pytest.approx(0.3)


@pytest.mark.parametrize("since", ["accept", "call"])
def test_a_timer_that_was_over_before_its_turn_is_not_tested(spec: Spec, since: str) -> None:
    """Whatever came instead, the steps before it took too long."""
    timer = next(timer for timer in spec.timers.values() if timer.since == since)
    stage = Stage(spec, ("", 0))
    stage.opened["a"] = stage.linked["a"] = (100.0, 100.1)
    action = Clock("a", timer.name, 1, "a")
    clock.require_time(stage, action, 99.9 + timer.after)
    with pytest.raises(OvertakenError, match=f"before {timer.name} runs out"):
        clock.require_time(stage, action, 100.1 + timer.after)


def test_a_case_that_outlives_a_timer_is_not_tested(spec: Spec) -> None:
    """It is about no timer, but the answers were so slow that one has run out."""
    stage = Stage(spec, ("", 0), born=100.0)
    shortest = min(timer.after for timer in spec.timers.values() if timer.since in ("accept", "call"))
    clock.require_no_timer(stage, 99.9 + shortest)
    with pytest.raises(OvertakenError, match="at the pace of these answers"):
        clock.require_no_timer(stage, 100.1 + shortest)


# Legal variants


def test_a_shutdown_that_takes_longer_than_it_may_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """However patient the judge is with answers: the time runs from the signal."""
    monkeypatch.setattr(Conditions, "grants", lambda *_, **__: False)  # once is enough here
    hurried = changed("shutdown: {seconds: 5,", "shutdown: {seconds: 1,")
    variant = find("stop-4s")
    assert variant is not None
    slow = Command(variant.command.replace("--spec {spec}", ""))  # it takes four of the five seconds that it knows of
    (case,) = selected(server_cases(hurried, ("whole",)), ["*/STOP/shutting-down"])
    (result,) = run_suite(slow, [case], Options(patience=60.0), spec=hurried)
    assert result.verdict in (Verdict.FAIL, Verdict.NOT_TESTED), result.words
    assert result.excused or result.got.startswith("one that runs after")


def test_the_variants_are_many_and_each_has_a_name() -> None:
    """At least 24, beside the two that change nothing."""
    assert len({variant.name for variant in VARIANTS}) == len(VARIANTS) >= 26


@pytest.mark.parametrize(
    ("name", "patterns"),
    [
        ("answers-200ms", ["PAIRED/LEAVE/twice"]),
        ("handles-300ms", ["PAIRED/EOF/instead-of-an-answer", "NAMED/CHAT/missed-once"]),
        ("octets", ["NAMED/WHO/who-is-busy", "CONNECTED/EXAMPLE/faults"]),
        ("list-shuffled", ["NAMED/WHO/who-is-busy"]),
        ("stop-polled", ["*/STOP/shutting-down"]),
        pytest.param("ipv6", ["NAMED/CHAT/opened"], marks=needs_v6),
        ("counts-until-closed", ["CONNECTED/OPEN/*full*"]),
    ],
)
def test_a_legal_variant_passes(spec: Spec, cases: list[Case], name: str, patterns: list[str]) -> None:
    """A sample; `python -m tools.selftest variants` judges each of them whole."""
    variant = find(name)
    assert variant is not None
    judged = judge(variant, selected(cases, patterns), spec)
    assert judged.good, [result.words for result in judged.wrong] or judged.note
