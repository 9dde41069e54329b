"""The hub's timers, queues and places, without a socket: time is an argument."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pychat.core.admission import REMINDER, Reminders
from pychat.core.connection import Connection
from pychat.core.hub import TURN, TURN_OCTETS, Hub
from pychat.core.queues import JOINED
from pychat.spec import Spec, shipped

from .conftest import changed
from .table import Table

MARK, STOP = shipped().limits.queue_mark, shipped().limits.queue_stop


@pytest.fixture
def table(spec: Spec) -> Table:
    return Table(spec)


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


def test_a_late_ping_leaves_the_whole_time_for_its_answer(table: Table) -> None:
    """R-TIME-3: a server that stood still has asked nobody meanwhile, and judges nobody for that time."""
    table.named("a")
    table.later(1000)
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
    table = Table(changed("since: full, after: {timers.stalled.after}", "since: full, after: 9000 s"))
    table.chat()
    fill(table, "a", MARK + 2100)
    for _ in range(10):
        table.later(100)
        table.hub.queues.sent(table.people["b"], 1, table.now)
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
    table.hub.queues.put(table.people["a"], b"MSG x\n", table.now)
    assert table.got("a") == "MSG x"
    table.later(9)
    table.got("b")
    table.hub.resume(table.people["a"], table.now)
    table.later(120)
    assert table.got("a").startswith("PING ")


def test_the_hub_says_when_to_look_again(table: Table) -> None:
    """So a loop needs no polling."""
    table.open("a")
    person = table.people["a"]
    assert table.hub.deadlines.next(person, 0.0) == 30.0
    table.say("a", "NAME a")
    assert table.hub.deadlines.next(person, 0.0) == 120.0
    table.hub.tick(person, 120.0)
    assert table.hub.deadlines.next(person, 120.0) == 240.0  # if it answers the PING at once
    assert table.hub.deadlines.next(person, 240.0) == 360.0
    assert table.hub.deadlines.next(person, 500.0) == 600.0


def test_a_protocol_without_timers_waits_for_ever(spec: Spec) -> None:
    """No look is planned, and none is missed."""
    table = Table(replace(spec, timers={}))
    table.open("a")
    table.later(10**6)
    assert table.got("a") == ""
    assert table.hub.deadlines.next(table.people["a"], table.now) == float("inf")


def test_a_closing_connection_is_given_up_in_time(table: Table) -> None:
    """R-CLOSE-1: 2 s after its last octet was taken."""
    table.say("a", "QUIT")
    assert not table.people["a"].broken
    table.later(1.9)
    assert not table.people["a"].broken
    table.later(0.1)
    assert table.people["a"].broken


def test_a_call_rings_for_its_time(table: Table) -> None:
    """R-CALL-3: then neither end has a partner, and both are told so; each stays PAIRED until its own LEAVE."""
    table.named("a", "b")
    table.say("a", "CHAT b")
    table.later(59)
    assert table.say("b", "PING x") == "CALL a / PONG x"
    table.later(0.9)
    table.say("a", "MSG hello")
    assert table.got("b") == "MSG hello"
    table.later(0.1)
    assert table.got("a") == "GONE b unanswered"
    assert table.got("b") == "GONE a unanswered"
    assert (table.state("a"), table.state("b")) == ("PAIRED", "PAIRED")
    assert table.say("b", "CHAT a", "LEAVE") == "ERR CHAT already-paired / OK LEAVE"
    assert table.say("a", "LEAVE") == "OK LEAVE"
    assert table.got("b") == ""


def test_only_a_call_without_an_answer_rings_out(table: Table) -> None:
    """R-CALL-3: an answer stops it, also one that was taken back; so does the end of the call."""
    table.chat()
    table.say("b", "CHAT z")
    table.later(61)
    assert table.got("a") == ""
    table.say("a", "LEAVE")
    table.say("b", "LEAVE")
    table.say("a", "CHAT b", "LEAVE")
    table.later(61)
    assert table.got("b") == "CALL a / GONE a left"


def test_each_call_rings_anew(table: Table) -> None:
    """R-CALL-3: the time begins with its own CALL, at the called end alone."""
    table.named("a", "b")
    table.say("a", "CHAT b")
    table.later(40)
    table.say("b", "LEAVE")
    table.say("a", "LEAVE")
    table.say("a", "CHAT b")
    assert table.hub.deadlines.next(table.people["b"], table.now) == 100.0
    table.later(40)
    assert table.got("b") == "CALL a"
    table.later(20)
    assert table.got("b") == "GONE a unanswered"
    table.say("a", "LEAVE")
    table.say("b", "LEAVE", "CHAT a")
    table.later(59)
    assert table.got("b") == ""
    table.later(1)
    assert table.got("b") == "GONE a unanswered"


def test_the_end_of_a_call_is_a_frame_that_was_taken(table: Table) -> None:
    """R-TIME-2: only the server's own PING tells nothing of a silence."""
    table.named("a", "b")
    table.say("a", "CHAT b")
    table.later(60)
    table.got("b")
    table.later(119)
    assert table.got("b") == ""
    table.later(1)
    assert table.got("b").startswith("PING ")


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
        table.hub.queues.sent(b, len(b.outbox.pop(0)), table.now)
    assert table.people["a"] in table.hub.queues.take_touched()
    table.hub.resume(table.people["a"], table.now)
    assert table.got("b").endswith("MSG the last")


def test_a_slow_readers_leave_is_heard(table: Table) -> None:
    """R-FLOW-2 begins later than R-FLOW-1, so that who is flooded can go; and the sender is read again (R-FLOW-3)."""
    table.chat()
    fill(table, "a", MARK + 2100)
    table.hub.queues.take_touched()
    assert table.say("b", "LEAVE").endswith("OK LEAVE")
    assert table.people["a"] in table.hub.queues.touched
    table.hub.resume(table.people["a"], table.now)
    assert table.got("a") == "GONE b left"
    assert not table.people["a"].paused


def test_a_queue_of_small_frames_is_no_heap_of_objects(table: Table) -> None:
    """Its octets are what it costs."""
    table.open("a")
    while not table.people["a"].paused:
        table.hub.receive(table.people["a"], b"PING t\n" * 100, table.now)
    assert table.people["a"].queued > STOP
    assert len(table.people["a"].outbox) <= 1.1 * STOP / JOINED


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
        assert person in table.hub.queues.take_touched()
        table.hub.resume(person, table.now)
        turns += 1
    assert turns == -(-1000 // TURN)
    assert table.got("a").split(" / ") == ["PONG x"] * 1000
    assert not person.paused


def test_lists_that_nobody_reads_are_kept_once(table: Table) -> None:
    """Though users come between the requests, queues share almost all octets; and few lists wait in each."""
    crowd = [f"user{number:04}" for number in range(1200)]
    table.named(*crowd)
    for number, name in enumerate(crowd[:100]):
        table.named(f"late{number}")
        person = table.people[name]
        table.hub.receive(person, b"WHO\n" * 200, table.now)
        while person.turn_over:
            table.hub.resume(person, table.now)
    readers = [table.people[name] for name in crowd[:100]]
    a_list = 1200 * len(b"USER user0000 free\n")
    assert all(MARK < person.queued < MARK + TURN_OCTETS + 2 * a_list for person in readers)
    kept = {id(chunk): len(chunk) for person in readers for chunk in person.outbox}
    assert sum(kept.values()) < sum(person.queued for person in readers) / 50


def test_a_turn_ends_by_octets_too(table: Table) -> None:
    """One reader of long lists does not keep all others waiting."""
    crowd = [f"user{number:04}" for number in range(1200)]
    table.named(*crowd)
    person = table.people[crowd[0]]
    table.hub.receive(person, b"WHO\n" * 20, table.now)
    assert person.turn_over
    assert TURN_OCTETS < person.queued < TURN_OCTETS + 2 * 1200 * len(b"USER user0000 free\n")
    answers = table.got(crowd[0])
    while person.paused:
        table.hub.resume(person, table.now)
        answers += " / " + table.got(crowd[0])
    assert answers.count("OK WHO 1200") == 20


def test_a_queue_that_stays_full_closes_its_connection(table: Table) -> None:
    """R-FLOW-4: 30 s above the mark, though octets are taken; the partner is told lost."""
    table.chat()
    fill(table, "a", MARK + 2100)
    b = table.people["b"]
    for _ in range(29):
        table.later(1)
        table.hub.queues.sent(b, 1, table.now)
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
    """R-OPEN-2: one in ten, at least 50, but loopback may have all; and a place is free again."""
    for most, share in ((10, 10), (60, 50), (1000, 100)):
        table = Table(spec, max_connections=most)
        assert all(table.open(f"a{n}", "192.0.2.1", loopback=False) for n in range(share))
        assert not table.open("late", "192.0.2.1", loopback=False)
        assert table.got("late").startswith("BYE server-full " if share == most else "BYE address-full ")
        if share < most:
            assert table.open("b", "192.0.2.2", loopback=False)
            assert all(table.open(f"c{n}") for n in range(most - share - 1))
        table.hub.lose(table.people["a0"], table.now)
        table.hub.forget(table.people["a0"])
        assert table.open("d", "192.0.2.1", loopback=False)


def test_the_share_of_an_address_can_be_chosen(spec: Spec) -> None:
    """More than the spec's, or less; of IPv6 addresses, the first 64 bits count."""
    table = Table(spec, max_connections=1000, per_address=2)
    of_one = ["2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:0:1::3"]
    assert [table.open(who, who, loopback=False) for who in of_one] == [True, True, False]
    assert table.got(of_one[-1]).startswith("BYE address-full ")
    assert table.open("other", "2001:db8:0:1::1", loopback=False)


def test_a_flood_of_refused_connections_is_no_flood_of_lines(spec: Spec) -> None:
    """The log names the address once in a while, with how often it was refused."""
    table = Table(spec, per_address=1)
    lines = []
    table.hub.log = lambda event, **fields: lines.append((event, fields))
    for number in range(500):
        table.open(str(number), "192.0.2.1", loopback=False)
        table.open(f"b{number}", f"198.51.100.{number % 2}", loopback=False)
        table.now += REMINDER / 400
    told = [fields for event, fields in lines if event == "refused" and fields["address"] == "192.0.2.1"]
    assert [(fields["code"], fields["share"], fields["times"]) for fields in told] == [
        ("address-full", 1, 1),
        ("address-full", 1, 400),
    ]
    assert len(lines) == 6  # two for each of three addresses


def test_the_reminders_are_bounded() -> None:
    """Each new address costs a little memory, and all of them together no more than a bound."""
    reminders = Reminders()
    assert all(reminders.due(str(number), 0.0) == 1 for number in range(3 * Reminders.KEYS))
    assert len(reminders._told) <= Reminders.KEYS


def test_a_network_that_is_refused_is_one_line_of_the_log(spec: Spec) -> None:
    """Whoever has 64 bits of IPv6 addresses is counted as one, and logged as one."""
    lines: list[str] = []
    hub = Hub(spec, 1000, lambda event, **_: lines.append(event), per_address=1)
    for number in range(100):
        hub.open(Connection(), f"2001:db8::{number + 1:x}", 0.0)
    assert lines.count("refused") == 1


def test_shutdown_says_goodbye_and_nothing_else(table: Table) -> None:
    """R-CLOSE-4: BYE for all, GONE for none."""
    table.chat()
    table.open("c")
    table.hub.shutdown(table.now)
    for who in "abc":
        assert table.got(who).startswith("BYE shutting-down ")
        assert " / " not in table.got(who)
