"""The hub without a socket: every row of the table, every end, and octets that nobody expects."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pychat.core.connection import Connection
from pychat.core.replay import replay
from pychat.spec import Spec, shipped

from .table import Table

MARK, STOP = shipped().limits.queue_mark, shipped().limits.queue_stop


@pytest.fixture
def table(spec: Spec) -> Table:
    return Table(spec)


@pytest.mark.parametrize("which", ["spec", "little"])
def test_the_examples_of_a_spec_are_what_the_hub_does(which: str, request: pytest.FixtureRequest) -> None:
    """Each example is a conversation that happens."""
    spec: Spec = request.getfixturevalue(which)
    assert spec.examples
    for example in spec.examples.values():
        assert [str(mismatch) for mismatch in replay(spec, example)] == []


def test_an_example_that_does_not_happen_is_found(spec: Spec) -> None:
    """The replay itself can fail."""
    example = spec.examples["greeting"]
    wrong = [step for step in example.steps if step.text != "PONG t1"]
    assert replay(spec, replace(example, steps=tuple(wrong)))


@pytest.mark.parametrize(
    ("state", "line", "answer"),
    [
        ("CONNECTED", "HELLO 1", "OK HELLO 1 core"),
        ("CONNECTED", "HELLO 2", "ERR HELLO bad-version"),
        ("CONNECTED", "NAME x", "OK NAME x"),
        ("CONNECTED", "NAME OTHER", "ERR NAME name-taken"),
        ("CONNECTED", "WHO", "ERR WHO wrong-state"),
        ("CONNECTED", "CHAT other", "ERR CHAT wrong-state"),
        ("CONNECTED", "MSG x", "ERR MSG wrong-state"),
        ("CONNECTED", "LEAVE", "ERR LEAVE wrong-state"),
        ("CONNECTED", "PING t", "PONG t"),
        ("CONNECTED", "PONG t", ""),
        ("CONNECTED", "QUIT", "OK QUIT"),
        ("NAMED", "HELLO 1", "ERR HELLO wrong-state"),
        ("NAMED", "NAME x", "ERR NAME wrong-state"),
        ("NAMED", "CHAT nobody", "ERR CHAT no-such-user"),
        ("NAMED", "CHAT ME", "ERR CHAT self-chat"),
        ("NAMED", "CHAT busy", "ERR CHAT user-busy"),
        ("NAMED", "CHAT OTHER", "OK CHAT other"),
        ("NAMED", "MSG x", "ERR MSG wrong-state"),
        ("NAMED", "LEAVE", "ERR LEAVE wrong-state"),
        ("NAMED", "PONG t", ""),
        ("NAMED", "QUIT", "OK QUIT"),
        ("PAIRED", "HELLO 1", "ERR HELLO wrong-state"),
        ("PAIRED", "NAME x", "ERR NAME wrong-state"),
        ("PAIRED", "CHAT peer", "OK CHAT peer"),
        ("PAIRED", "CHAT other", "ERR CHAT already-paired"),
        ("PAIRED", "CHAT nobody", "ERR CHAT already-paired"),
        ("PAIRED", "CHAT me", "ERR CHAT already-paired"),
        ("PAIRED", "MSG x", ""),
        ("PAIRED", "LEAVE", "OK LEAVE"),
        ("PAIRED", "PONG t", ""),
        ("PAIRED", "QUIT", "OK QUIT"),
        ("called", "MSG x", "ERR MSG not-accepted"),
        ("called", "CHAT peer", "OK CHAT peer"),
        ("called", "LEAVE", "OK LEAVE"),
        ("left", "MSG x", "ERR MSG partner-gone"),
        ("left", "CHAT peer", "ERR CHAT already-paired"),
        ("left", "CHAT other", "ERR CHAT already-paired"),
        ("left", "LEAVE", "OK LEAVE"),
    ],
)
def test_each_row_of_the_table(table: Table, state: str, line: str, answer: str) -> None:
    """The table, row for row: what is answered."""
    table.named("other", "busy", "third")
    table.say("busy", "CHAT third")
    table.open("me")
    if state != "CONNECTED":
        table.say("me", "NAME me")
    if state in ("PAIRED", "left"):
        table.named("peer")
        table.say("me", "CHAT peer")
    if state == "called":
        table.named("peer")
        table.say("peer", "CHAT me")
    if state == "left":
        table.say("peer", "LEAVE")
    table.got("me")
    assert table.say("me", line) == answer


def test_a_chat_from_beginning_to_end(table: Table) -> None:
    """Who gets what, and in which states they are."""
    table.named("a", "b")
    assert table.say("a", "CHAT B") == "OK CHAT b"
    assert table.got("b") == "CALL a"
    assert (table.state("a"), table.state("b")) == ("PAIRED", "PAIRED")
    assert table.say("a", "MSG  hi there ") == ""
    assert table.got("b") == "MSG  hi there "
    assert table.say("b", "MSG no") == "ERR MSG not-accepted"
    assert table.got("a") == ""
    assert table.say("b", "CHAT a", "MSG yes") == "OK CHAT a"
    assert table.got("a") == "ACCEPTED b / MSG yes"
    assert table.say("a", "LEAVE") == "OK LEAVE"
    assert table.got("b") == "GONE a left"
    assert (table.state("a"), table.state("b")) == ("NAMED", "PAIRED")
    assert table.say("b", "LEAVE") == "OK LEAVE"
    assert table.got("a") == ""


def test_a_call_is_accepted_once(table: Table) -> None:
    """R-CALL-1: ACCEPTED comes with the first answer alone, also when the acceptance was taken back before it."""
    table.named("a", "b")
    table.say("a", "CHAT b")
    assert table.say("b", "CHAT z") == "CALL a / ERR CHAT already-paired"
    assert table.say("b", "CHAT a", "CHAT z", "CHAT a") == "OK CHAT a / ERR CHAT already-paired / OK CHAT a"
    assert table.got("a") == "ACCEPTED b"
    assert table.say("a", "CHAT z", "CHAT b") == "ERR CHAT already-paired / OK CHAT b"
    assert table.got("b") == ""


def test_only_a_call_without_an_answer_is_declined(table: Table) -> None:
    """R-CALL-2: after an answer, and from a caller who gives up, the reason is left."""
    table.named("a", "b")
    for said, reason in (((), "declined"), (("CHAT a",), "left"), (("CHAT z",), "declined")):
        table.say("a", "CHAT b")
        table.say("b", *said)
        assert table.say("b", "LEAVE") == "OK LEAVE"
        assert table.got("a").endswith(f"GONE b {reason}")
        table.say("a", "LEAVE")
    table.say("a", "CHAT b")
    assert table.say("a", "LEAVE") == "OK LEAVE"
    assert table.got("b") == "CALL a / GONE a left"


def test_a_busy_user_learns_of_each_caller_once(table: Table) -> None:
    """R-CALL-4: until its own LEAVE; the caller's refusal is the same each time, and names are their owners' own."""
    table.chat()
    table.named("Carol", "d")
    for _ in range(2):
        assert table.say("Carol", "CHAT B") == "ERR CHAT user-busy"
        assert table.say("d", "CHAT b") == "ERR CHAT user-busy"
    assert table.got("b") == "MISSED Carol / MISSED d"
    table.say("a", "LEAVE")
    assert table.say("d", "CHAT b") == "ERR CHAT user-busy"
    assert table.got("b") == "GONE a left"
    assert table.say("b", "LEAVE") == "OK LEAVE"
    table.say("b", "CHAT a")
    table.say("d", "CHAT b")
    assert table.got("b") == "MISSED d"


def test_a_caller_with_the_name_of_another_one_is_another_one(table: Table) -> None:
    """R-CALL-4: what a user has missed goes with the caller, and its name says nothing of the next one."""
    table.chat()
    table.named("c")
    table.say("c", "CHAT b", "QUIT")
    table.people["c"] = Connection()
    table.hub.open(table.people["c"], "127.0.0.1", table.now, loopback=True)
    table.named("c")
    table.say("c", "CHAT b")
    assert table.got("b") == "MISSED c / MISSED c"


def test_who_has_lost_the_partner_cannot_be_called(table: Table) -> None:
    """R-LEAVE-2: it stays PAIRED with nobody until its own LEAVE."""
    table.chat()
    table.named("c")
    table.say("a", "LEAVE")
    assert table.say("c", "CHAT b") == "ERR CHAT user-busy"
    table.say("b", "LEAVE")
    assert table.say("c", "CHAT b") == "OK CHAT b"


def test_already_paired_takes_the_acceptance_back(table: Table) -> None:
    """R-CHAT-6, so that a careless client's line does not go astray; a CHAT to the partner gives it again."""
    table.chat()
    assert table.say("b", "CHAT z", "MSG for z") == "ERR CHAT already-paired / ERR MSG not-accepted"
    assert table.say("b", "CHAT a", "MSG for a") == "OK CHAT a"
    assert table.got("a") == "MSG for a"


def test_who_lists_everybody_as_they_are_now(table: Table) -> None:
    """Nothing of an older list is left in it."""
    assert table.say("x", "NAME x", "WHO") == "OK NAME x / USER x free / OK WHO 1"
    table.chat()
    assert set(table.say("x", "WHO").split(" / ")) == {"USER x free", "USER a busy", "USER b busy", "OK WHO 3"}
    table.say("a", "QUIT")
    table.say("b", "LEAVE")
    assert set(table.say("x", "WHO").split(" / ")) == {"USER x free", "USER b free", "OK WHO 2"}


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("QUIT", "quit"),
        ("LEAVE", "left"),
        ("lose", "lost"),
        ("finish", "lost"),
        ("too long", "lost"),
        ("too many", "lost"),
        ("silence", "timeout"),
    ],
)
def test_the_partner_is_told_why(table: Table, end: str, reason: str) -> None:
    """R-GONE-1, R-LEAVE-1, R-QUIT-1; and the name is free before anybody can know (R-NAME-3)."""
    table.chat()
    if end in ("QUIT", "LEAVE"):
        table.say("a", end)
    elif end == "lose":
        table.hub.lose(table.people["a"], table.now)
    elif end == "finish":
        table.hub.finish(table.people["a"], table.now)
    elif end == "too long":
        assert table.octets("a", b"x" * shipped().framing.max_octets).startswith("BYE line-too-long ")
    elif end == "too many":
        answers = table.say("a", *["?"] * 150).split(" / ")
        assert answers[:100] == ["ERR * bad-syntax"] * 100
        assert answers[100].startswith("BYE too-many-errors ")
        assert len(answers) == 101
    elif end == "silence":
        table.later(120)
        table.later(479.5)
        table.say("b", "PONG x")
        table.later(0.5)
        assert table.got("a").split(" / ")[-1].startswith("BYE timeout ")
    if end == "silence":
        assert table.got("b").endswith(f"GONE a {reason}")
    else:
        assert table.got("b") == f"GONE a {reason}"
    if end != "LEAVE":
        assert table.say("new", "NAME A") == "OK NAME A"


def test_the_fifth_fault_before_a_name_is_the_last(table: Table) -> None:
    """R-ERR-7: in all, whatever is between; a wrong-state for MSG and the refusals never count (R-ERR-9)."""
    lines = ["?", "PING x", "NOPE", "HELLO 9", "MSG early", "NAME", "NAME 1", "PING x"]
    assert table.say("a", *lines).count("ERR") == 6
    assert table.say("a", "WHO", "PING x").split(" / ")[0] == "ERR WHO wrong-state"
    assert table.state("a") == "CLOSED"


def test_a_hundred_faults_in_a_row_are_too_many(table: Table) -> None:
    """R-ERR-8, R-ERR-9: a frame that does not count ends the row."""
    table.named("a")
    for between in ("PING x", "CHAT nobody", "MSG nobody", "PONG x"):
        table.say("a", *["?"] * 99, between)
    assert table.state("a") == "NAMED"
    table.say("a", *["?"] * 99)
    assert table.state("a") == "NAMED"
    assert "BYE too-many-errors" in table.say("a", "?")


def test_relayed_lines_end_a_row_of_faults_too(table: Table) -> None:
    """Also when they take the bulk way."""
    table.chat()
    for _ in range(3):
        table.say("a", *["?"] * 99)
        table.say("a", "MSG x")
    assert table.state("a") == "PAIRED"


def test_what_comes_after_the_last_frame_is_discarded(table: Table) -> None:
    """R-QUIT-1."""
    assert table.say("a", "QUIT", "PING x") == "OK QUIT"
    assert table.say("a", "PING x") == ""


def test_every_frame_before_a_half_close_is_answered(table: Table) -> None:
    """R-CLOSE-2; what has no LF is dropped (R-FRAME-7)."""
    assert table.octets("a", b"NAME a\nWHO\nQUI") == "OK NAME a / USER a free / OK WHO 1"
    table.hub.finish(table.people["a"], 0.0)
    assert table.got("a") == ""
    assert table.state("a") == "CLOSED"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.binary(max_size=300)), max_size=20))
def test_arbitrary_octets_never_crash_and_never_grow_without_bound(chunks: list[tuple[str, bytes]]) -> None:
    """Whatever comes is answered or ends the connection; what is kept is less than a frame."""
    table = Table(shipped())
    for who, octets in chunks:
        table.octets(who, octets)
        person = table.people[who]
        assert len(person.splitter.rest()) < shipped().framing.max_octets
        answer = table.octets(who, b"\nPING still-here\n")
        assert person.state == "CLOSED" or answer.endswith("PONG still-here")


@given(st.binary(min_size=1, max_size=60).filter(lambda line: b"\n" not in line))
def test_every_line_is_answered_or_may_be_silent(line: bytes) -> None:
    """Only what the table says may go without an answer; a PING's answer comes after."""
    table = Table(shipped())
    got = table.octets("a", line + b"\nPING after\n").split(" / ")
    if line.startswith(b"PONG ") and got == ["PONG after"]:
        return
    assert len(got) == 2 or got[0] == "OK QUIT"
    assert got[-1] == "PONG after" or got[0] == "OK QUIT"
