"""The third spec, a notice board: what the first one does not use of the language, through the judge and its cases.

The loader has it in `test_spec_relations.py`, the hub in `test_hub_relations.py` and `test_slow.py`, the page in
`test_docs.py`, the dissector in `test_dissector_walk.py`, and the model check in `test_check.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest

from conformance.cases.case import Case
from conformance.engine.target import Address, Command
from conformance.engine.verdict import Result, Verdict
from conformance.oracle.paths import paths_of
from conformance.run import Options, run_suite
from conformance.suite import select, server_cases
from pychat.server.server import Server
from pychat.spec import Spec, load, loads

from .board_server import BOARD, do

PROFILES = ("core", "locks")
NEWS = "push: NEWS <topic> <number> <me> <text>}"
MUTANTS = {  # what a server that follows a changed spec does wrong: the change, and the cells that must fail
    "tells the author too": (
        NEWS,
        f"{NEWS}, {{each: 'subscriber(<topic>, me)', {NEWS}",
        "POST/posted-told-others-not-itself",
    ),
    "lets a full topic take one more": ("most: {topic: 3,", "most: {topic: 4,", "SUB/topic-full"),
    "lets a user read one topic more": (", reader: 2}", ", reader: 3}", "SUB/too-many"),
    "leaves a topic pinned without a note": (", lives: while note", "", "PIN/pinned-gone"),
    "remembers each topic that was opened": ("keep: {by: 2}, ", "", "SUB/locked-forgotten"),
    "remembers only the topic that was opened last": ("keep: {by: 2}", "keep: {by: 1}", "SUB/subscribed-kept"),
}
QUESTIONS = [  # what each of them is asked
    *(f"HERE/{cell}" for _, _, cell in MUTANTS.values()), "HERE/SUB/subscribed", "HERE/SUB/subscribed-told-*",
    "HERE/PIN/*pinned*", "HERE/POST/posted", "HERE/POST/posted-told-others", "HERE/UNSUB/unsubscribed*",
    "HERE/EOF/half-close-told",
]  # fmt: skip


@pytest.fixture(scope="module")
def board() -> Spec:
    return load(BOARD)


@pytest.fixture(scope="module")
def cases(board: Spec) -> list[Case]:
    return server_cases(board, ("whole",))


OPTIONS = Options(jobs=2, profiles=PROFILES, spec_file=BOARD)


def judged(cases: Sequence[Case], board: Spec, served: Spec) -> list[Result]:
    """The verdicts on a server in this process that follows the spec `served`."""
    with Server(served, "127.0.0.1", 0, do=do) as server:
        return run_suite(Address(*server.address), cases, OPTIONS, spec=board)


def test_the_notice_board_is_judged_over_sockets(cases: list[Case], board: Spec) -> None:
    """Each cell, its octets whole, and the example: relations, tells, a greeting, faults in its order, an endless list.

    Left out here: its octets one by one or in one segment with others, and its timers.
    """
    command = Command(
        f"{sys.executable} -m tests.board_server --port {{port}} --spec {{spec}} --max-connections {{max}}"
    )
    results = run_suite(command, cases, OPTIONS, spec=board)
    assert len(results) > 320
    assert not [result.words for result in results if result.verdict not in (Verdict.PASS, Verdict.NOT_APPLICABLE)]


def test_slow_work_holds_the_answers_after_it(board: Spec) -> None:
    """Each slow request stands between two others in one segment; nothing overtakes it. The rows, not their fields."""
    slow = {f"HERE/{row.verb}/{row.label}" for _, row in board.outcomes() if row.slow or row.fails}
    results = judged(select(server_cases(board, ("coalesced",)), sorted(slow)), board, board)
    assert [result.verdict for result in results] == [Verdict.PASS] * len(slow)
    assert len(slow) > 3


def test_each_row_of_the_board_has_a_cell(cases: list[Case], board: Spec) -> None:
    """Also those to which only four users come, or one who reads two topics and wants a third."""
    assert not paths_of(board).missing
    assert {"HERE/SUB/topic-full", "HERE/SUB/too-many", "HERE/POST/board-full"} <= {case.id for case in cases}


def test_what_no_case_can_bring_about_says_why(cases: list[Case], board: Spec) -> None:
    """Slow work that fails, and a user who does not read until it falls out of a relation."""
    results = run_suite(
        Command("never-started"), [case for case in cases if case.reason], Options(profiles=PROFILES), spec=board
    )
    assert {result.verdict for result in results} == {Verdict.NOT_APPLICABLE}
    assert [result.id for result in results] == [
        "HERE/POST/try-later", "HERE/CLEAR/try-later", "HERE/LOCK/try-later", "NEW/OVERFLOW/subscriber",
    ]  # fmt: skip
    assert all("fail" in result.note or "hold" in result.note for result in results)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_board_that_is_wrong_is_found(name: str, cases: list[Case], board: Spec) -> None:
    """A server that follows a changed spec, judged by the true one: what was changed fails, and nothing else."""
    old, new, cell = MUTANTS[name]
    text = BOARD.read_text(encoding="utf-8")
    assert text.count(old) == 1
    results = judged(select(cases, QUESTIONS), board, loads(text.replace(old, new).encode(), name))
    assert [result.id for result in results if result.verdict is not Verdict.PASS] == [f"HERE/{cell}"]
