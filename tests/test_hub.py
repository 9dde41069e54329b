"""The hub without a socket: every row of the table, every limit, every timer, with the time as an argument."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pychat.connection import Connection
from pychat.hub import TURN, Hub
from pychat.replay import replay
from pychat.spec import Spec, shipped

from .conftest import changed

MARK, STOP = shipped().limits.queue_mark, shipped().limits.queue_stop


class Table:
    """A hub and the people at it. `say` returns what the speaker gets, `got` what anybody has got since."""

    def __init__(self, spec: Spec, **options: int) -> None:
        self.hub = Hub(spec, **options)  # type: ignore[arg-type]
        self.now = 0.0
        self.people: dict[str, Connection] = {}

    def open(self, who: str, address: str = "127.0.0.1", loopback: bool = True) -> bool:
        self.people[who] = Connection()
        return self.hub.open(self.people[who], address, self.now, loopback)

    def octets(self, who: str, octets: bytes) -> str:
        if who not in self.people:
            self.open(who)
        self.hub.receive(self.people[who], octets, self.now)
        while self.people[who].turn_over:
            self.hub.resume(self.people[who], self.now)
        return self.got(who)

    def say(self, who: str, *lines: str) -> str:
        return self.octets(who, "".join(f"{line}\n" for line in lines).encode())

    def got(self, who: str) -> str:
        """The frames since the last look, with ` / ` between, and the words of refusals left out."""
        person = self.people[who]
        octets = b"".join(person.outbox)
        person.outbox.clear()
        if octets:
            self.hub.sent(person, len(octets), self.now)
        lines = octets.decode().splitlines()
        return " / ".join(" ".join(line.split(" ")[:3]) if line.startswith("ERR") else line for line in lines)

    def named(self, *names: str) -> None:
        for name in names:
            assert self.say(name, f"NAME {name}") == f"OK NAME {name}"

    def chat(self, caller: str = "a", called: str = "b") -> None:
        self.named(caller, called)
        assert self.say(caller, f"CHAT {called}") == f"OK CHAT {called}"
        assert self.got(called) == f"PAIRED {caller}"
        assert self.say(called, f"CHAT {caller}") == f"OK CHAT {caller}"

    def state(self, who: str) -> str:
        return self.people[who].state

    def later(self, seconds: float) -> None:
        """Lets time pass, and looks after everybody as a loop does."""
        self.now += seconds
        for person in self.people.values():
            self.hub.tick(person, self.now)


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
    assert table.got("b") == "PAIRED a"
    assert (table.state("a"), table.state("b")) == ("PAIRED", "PAIRED")
    assert table.say("a", "MSG  hi there ") == ""
    assert table.got("b") == "MSG  hi there "
    assert table.say("b", "MSG no") == "ERR MSG not-accepted"
    assert table.got("a") == ""
    assert table.say("b", "CHAT a", "MSG yes") == "OK CHAT a"
    assert table.got("a") == "MSG yes"
    assert table.say("a", "LEAVE") == "OK LEAVE"
    assert table.got("b") == "GONE a left"
    assert (table.state("a"), table.state("b")) == ("NAMED", "PAIRED")
    assert table.say("b", "LEAVE") == "OK LEAVE"
    assert table.got("a") == ""


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
        assert table.octets("a", b"x" * 4096).startswith("BYE line-too-long ")
    elif end == "too many":
        answers = table.say("a", *["?"] * 150).split(" / ")
        assert answers[:100] == ["ERR * bad-syntax"] * 100
        assert answers[100].startswith("BYE too-many-errors ")
        assert len(answers) == 101
    elif end == "silence":
        table.later(599.5)
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


# Time


def test_a_name_is_due_in_time_whatever_is_sent(table: Table) -> None:
    """R-TIME-1: slow octets and PINGs help nobody."""
    table.open("a")
    for _ in range(29):
        table.later(1)
        table.say("a", "PING x")
    table.later(0.9)
    assert table.state("a") == "CONNECTED"
    table.later(0.1)
    assert table.got("a").startswith("BYE timeout ")


def test_one_ping_after_silence(table: Table) -> None:
    """R-TIME-2: one, and again only after a new silence."""
    table.named("a")
    table.later(119.9)
    assert table.got("a") == ""
    table.now += 120
    table.hub.receive(table.people["a"], b"x", table.now)
    for _ in range(3):
        table.later(40)
    frames = table.people["a"].outbox
    assert len(frames) == 1
    assert frames[0].startswith(b"PING ")
    table.later(100)
    assert len(frames) == 1


def test_the_servers_own_ping_does_not_break_the_silence(table: Table) -> None:
    """R-TIME-3: that the network took the PING is no sign of life; an octet is, and so is a line that was taken."""
    table.named("a")
    table.later(120)
    assert table.got("a").startswith("PING ")
    table.later(479)
    assert table.got("a") == ""
    table.later(1)
    assert table.got("a").startswith("BYE timeout ")


def test_who_only_listens_is_not_silent(table: Table) -> None:
    """What is taken of his queue shows that he is there."""
    table.chat()
    for _ in range(10):
        table.later(119)
        table.say("a", "MSG x")
        assert table.got("b") == "MSG x"


def test_the_clock_of_silence_stands_still_while_nobody_reads() -> None:
    """A sender who is held back by his partner's queue is not silent."""
    table = Table(changed("since: full, after: 30 s", "since: full, after: 9000 s"))
    table.chat()
    fill(table, "a", MARK + 2100)
    for _ in range(10):
        table.later(100)
        table.hub.sent(table.people["b"], 1, table.now)
    assert table.people["a"].paused
    table.people["b"].outbox[0] = table.people["b"].outbox[0][10:]
    table.got("b")
    table.hub.resume(table.people["a"], table.now)
    assert not table.people["a"].paused
    table.later(119)
    assert table.got("a") == ""
    table.later(1)
    assert table.got("a").startswith("PING ")


def test_a_clock_that_stands_still_does_not_run_ahead(table: Table) -> None:
    """What was taken of a queue while its connection was not read ends that silence, and no later one."""
    table.chat()
    fill(table, "a", MARK + 2100)
    table.later(20)
    table.hub.put(table.people["a"], b"MSG x\n", table.now)
    assert table.got("a") == "MSG x"
    table.later(9)
    table.got("b")
    table.hub.resume(table.people["a"], table.now)
    table.later(120)
    assert table.got("a").startswith("PING ")


def test_tick_says_when_to_look_again(table: Table) -> None:
    """So a loop needs no polling."""
    table.open("a")
    person = table.people["a"]
    assert table.hub.tick(person, 0.0) == 30.0
    table.say("a", "NAME a")
    assert table.hub.tick(person, 0.0) == 120.0
    assert table.hub.tick(person, 120.0) == 240.0  # if it answers the PING at once
    assert table.hub.tick(person, 240.0) == 360.0
    assert table.hub.tick(person, 500.0) == 600.0


def test_a_closing_connection_is_given_up_in_time(table: Table) -> None:
    """R-CLOSE-1: 2 s after its last octet was taken."""
    table.say("a", "QUIT")
    assert not table.people["a"].broken
    table.later(1.9)
    assert not table.people["a"].broken
    table.later(0.1)
    assert table.people["a"].broken


# Flow


def fill(table: Table, who: str, limit: int) -> None:
    while not table.people[who].paused:
        table.hub.receive(table.people[who], b"MSG " + b"x" * 2000 + b"\n", table.now)
        assert sum(person.queued for person in table.people.values()) < limit


def test_a_sender_waits_for_a_slow_partner_and_no_line_is_lost(table: Table) -> None:
    """R-FLOW-1, R-FLOW-3: the queue ends just above its mark, and goes on when it is below."""
    table.chat()
    fill(table, "a", MARK + 2100)
    b = table.people["b"]
    assert MARK < b.queued <= MARK + 2005
    before = b.queued
    table.hub.receive(table.people["a"], b"MSG the last\n", table.now)
    assert b.queued == before
    while b.queued > MARK:
        table.hub.sent(b, len(b.outbox.pop(0)), table.now)
    assert table.people["a"] in table.hub.take_touched()
    table.hub.resume(table.people["a"], table.now)
    assert table.got("b").endswith("MSG the last")


def test_a_slow_readers_leave_is_heard(table: Table) -> None:
    """R-FLOW-2 begins later than R-FLOW-1, so that who is flooded can go; and the sender is read again (R-FLOW-3)."""
    table.chat()
    fill(table, "a", MARK + 2100)
    table.hub.take_touched()
    assert table.say("b", "LEAVE").endswith("OK LEAVE")
    assert table.people["a"] in table.hub.touched
    table.hub.resume(table.people["a"], table.now)
    assert table.got("a") == "GONE b left"
    assert not table.people["a"].paused


def test_nobody_fills_the_memory_with_answers(table: Table) -> None:
    """R-FLOW-2: the server takes no frame from a connection whose own queue is above its stop mark."""
    table.named("a")
    person = table.people["a"]
    while not table.hub.is_blocked(person):
        table.hub.receive(person, b"WHO\n" * 1000, table.now)
    assert person.paused
    table.hub.resume(person, table.now)
    assert STOP < person.queued < STOP + 2005


def test_nobody_has_more_than_his_turn(table: Table) -> None:
    """Who sends a thousand requests at once has some handled, and the others after everybody else's."""
    table.named("a")
    person = table.people["a"]
    table.hub.receive(person, b"PING x\n" * 1000, table.now)
    turns = 1
    while person.turn_over:
        assert person.paused
        assert person in table.hub.take_touched()
        table.hub.resume(person, table.now)
        turns += 1
    assert turns == -(-1000 // TURN)
    assert table.got("a").split(" / ") == ["PONG x"] * 1000
    assert not person.paused


def test_a_queue_that_stays_full_closes_its_connection(table: Table) -> None:
    """R-FLOW-4: 30 s above the mark, though octets are taken; the partner is told lost."""
    table.chat()
    fill(table, "a", MARK + 2100)
    b = table.people["b"]
    for _ in range(29):
        table.later(1)
        table.hub.sent(b, 1, table.now)
        b.outbox[0] = b.outbox[0][1:]
    assert not b.broken
    table.later(1)
    assert b.broken
    table.hub.resume(table.people["a"], table.now)
    assert table.got("a") == "GONE b lost"


# Admission and the end


def test_a_full_server_says_so(spec: Spec) -> None:
    """R-OPEN-1; a place is free again when a connection is gone."""
    table = Table(spec, max_connections=2)
    assert table.open("a")
    assert table.open("b")
    assert not table.open("c")
    assert table.got("c").startswith("BYE server-full ")
    table.say("a", "QUIT")
    table.hub.forget(table.people["a"])
    assert table.open("d")


def test_one_address_has_its_share(spec: Spec) -> None:
    """R-OPEN-2: one in ten, but loopback may have all."""
    table = Table(spec, max_connections=20)
    assert [table.open(f"a{n}", "192.0.2.1", loopback=False) for n in range(3)] == [True, True, False]
    assert table.open("b", "192.0.2.2", loopback=False)
    assert all(table.open(f"c{n}") for n in range(10))


def test_shutdown_says_goodbye_and_nothing_else(table: Table) -> None:
    """R-CLOSE-4: BYE for all, GONE for none."""
    table.chat()
    table.open("c")
    table.hub.shutdown(table.now)
    for who in "abc":
        assert table.got(who).startswith("BYE shutting-down ")
        assert " / " not in table.got(who)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.binary(max_size=300)), max_size=20))
def test_arbitrary_octets_never_crash_and_never_grow_without_bound(chunks: list[tuple[str, bytes]]) -> None:
    """Whatever comes is answered or ends the connection; what is kept is less than a frame."""
    table = Table(shipped())
    for who, octets in chunks:
        table.octets(who, octets)
        person = table.people[who]
        assert len(person.splitter) < shipped().framing.max_octets
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
