"""Rows that wait for a hash or for the disk: the order of things, what others see meanwhile, failures and losses."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pychat.core.relations import Change
from pychat.core.slow import Result
from pychat.spec import Spec

from .table import Table
from .test_hub_relations import board, seated


@pytest.fixture
def table() -> Table:
    """Ann, bob and cy, of whom ann and cy read a topic; slow work is done when a test says so."""
    return read_topic(board())


def read_topic(spec: Spec) -> Table:
    table = seated(Table(spec, slowly=True))
    for who in ("ann", "cy"):
        table.say(who, "SUB lost")
    table.got("ann")
    return table


def finish(table: Table, result: Result) -> str:
    """Completes the first work; what its connection gets."""
    connection = table.done(result)
    return next(table.got(who) for who, person in table.people.items() if person is connection)


def locked(table: Table, word: str = "sesame") -> None:
    """Bob locks a topic; the hash of a word is here its reverse."""
    assert table.say("bob", f"LOCK found {word}") == ""
    assert [table.done(word[::-1]) is table.people["bob"], finish(table, "done")] == [True, "OK LOCK found"]


def notes(table: Table, topic: str = "lost") -> str:
    """What cy reads; nothing when that waits."""
    return table.say("cy", f"READ {topic}")


# The disk


def test_a_row_is_answered_and_told_when_it_is_on_disk(table: Table) -> None:
    """What is to be written is what has changed; the time and the number are those of the decision."""
    table.now = 60.0
    assert table.say("ann", "POST lost a glove") == ""
    assert table.got("cy") == ""
    (work,) = table.hub.work
    assert (work.kind, work.connection) == ("commit", table.people["ann"])
    assert work.payload == (
        Change("note", ("lost", "1", "ann", "1970-01-01T00:01:00Z", "a glove"), added=True, serial=1),
    )
    table.now = 61.0
    assert finish(table, "done") == "OK POST lost 1"
    assert table.got("cy") == "NEWS lost 1 ann a glove"


def test_what_would_be_decided_by_it_waits_behind_it(table: Table) -> None:
    """So numbers are given in order, and a limit is kept whatever comes at once; one is written after the other."""
    seated(table, "dan", "eve")
    crowd = ("ann", "bob", "cy", "dan", "eve")
    assert [table.say(who, "POST lost x").split(" / ")[-1] for who in crowd] == [""] * 5
    answers = []
    while table.hub.work:
        assert len(table.hub.work) == 1
        answers.append(finish(table, "done").split(" / ")[-1])
    assert answers == ["OK POST lost 1", "OK POST lost 2", "OK POST lost 3", "OK POST lost 4"]
    assert table.got("eve").startswith("NO POST board-full ")


NOTHING_TO_CLEAR = "{if: 'no note(<topic>, *, *, *, *)', %s, rule: R-BOARD-3}\n        - {outcome: cleared"
TWICE = (NOTHING_TO_CLEAR % "error: no-note", NOTHING_TO_CLEAR % "outcome: clear, answer: OK CLEAR <topic>")


def test_a_request_that_was_done_already_is_answered_when_that_is_on_disk() -> None:
    """By another connection, too: an OK before would be untrue if the disk failed."""
    table = read_topic(board(*TWICE))
    table.say("ann", "POST lost a")
    table.done("done")
    assert [table.say(who, "CLEAR lost").split(" / ")[-1] for who in ("bob", "cy")] == ["", "NEWS lost 1 ann a"]
    assert finish(table, "done") == "OK CLEAR lost"
    assert table.got("cy") == "OK CLEAR lost"
    assert not table.hub.work


def test_a_request_is_decided_anew_when_what_it_saw_is_taken_back() -> None:
    """It does itself what the other one could not."""
    table = read_topic(board(*TWICE))
    table.say("ann", "POST lost a")
    table.done("done")
    for who in ("bob", "cy"):
        table.say(who, "CLEAR lost")
    assert finish(table, "failed") == "NO CLEAR try-later Try that later."
    assert table.got("cy") == ""
    assert [work.connection for work in table.hub.work] == [table.people["cy"]]
    assert finish(table, "done") == "OK CLEAR lost"
    assert notes(table).startswith("NO READ no-note ")


def test_those_that_wait_keep_their_order(table: Table) -> None:
    """Whatever becomes of each of them: a list does not overtake what came before it, nor the other way round."""
    seated(table, "dan")
    table.say("ann", "POST lost a")
    for who, line in (("bob", "POST lost b"), ("cy", "READ lost"), ("dan", "POST lost d")):
        table.say(who, line)
    assert finish(table, "failed").startswith("NO POST try-later ")
    assert table.got("cy") == table.got("dan") == ""
    assert finish(table, "done") == "OK POST lost 2"
    assert table.got("cy").split(" / ")[-1] == "OK READ 1"
    assert table.got("dan") == ""
    assert finish(table, "done") == "OK POST lost 3"


def test_what_lives_no_longer_waits_too() -> None:
    """It may be dropped with what is being written, and come back with it."""
    table = read_topic(board("list subscriber(*, *)", "list pinned(*)"))
    table.say("ann", "POST lost a")
    table.done("done")
    assert table.say("bob", "PIN lost", "TOPICS") == "OK PIN lost / TOPIC lost 1 / OK TOPICS 1"
    table.say("ann", "CLEAR lost")
    assert table.say("bob", "TOPICS") == ""
    table.done("failed")
    assert table.got("bob") == "TOPIC lost 1 / OK TOPICS 1"


def test_lists_do_not_wait_for_each_other(table: Table) -> None:
    """All that wait for the same thing go on when it is over, and take what came behind them."""
    table.say("ann", "POST lost a")
    assert [table.say("bob", "READ lost", "PING 1"), table.say("cy", "READ lost")] == ["", ""]
    assert finish(table, "done") == "OK POST lost 1"
    assert [line.split(" ")[0] for line in table.got("bob").split(" / ")] == ["NOTE", "OK", "PONG"]
    assert [line.split(" ")[0] for line in table.got("cy").split(" / ")] == ["NEWS", "NOTE", "OK"]


def test_whoever_ends_while_it_waits_holds_up_nobody(table: Table) -> None:
    """It had begun nothing: nothing is written for it, and those behind it go on."""
    table.say("ann", "POST lost a")
    table.say("bob", "POST lost b")
    table.say("cy", "READ lost")
    table.hub.lose(table.people["bob"], table.now)
    finish(table, "done")
    assert not table.hub.work
    assert table.got("cy").split(" / ")[-1] == "OK READ 1"
    assert table.say("bob2", "NAME bob").endswith("OK NAME bob")


@pytest.mark.parametrize("result", ["failed", "fenced"])
def test_what_is_not_written_is_taken_back(table: Table, result: Result) -> None:
    """The row is refused, and nobody is told of it; its number is not given again."""
    table.say("ann", "POST lost a glove")
    assert finish(table, result) == "NO POST try-later Try that later."
    assert table.got("cy") == ""
    assert notes(table).startswith("NO READ no-note ")
    table.say("ann", "POST lost a hat")
    assert finish(table, "done") == "OK POST lost 2"


def test_what_was_dropped_is_there_again_when_the_disk_fails(table: Table) -> None:
    """With what lives no longer than it does."""
    for text in ("a", "b"):
        table.say("ann", f"POST lost {text}")
        table.done("done")
    table.got("ann")
    table.got("cy")
    before = notes(table)
    assert before.count("NOTE lost") == 2
    assert table.say("bob", "PIN lost") == "OK PIN lost"
    assert table.say("ann", "CLEAR lost") == ""
    assert [notes(table), table.say("bob", "PIN lost")] == ["", ""]
    assert finish(table, "failed") == "NO CLEAR try-later Try that later."
    assert table.got("cy") == before
    assert table.got("bob").startswith("NO PIN pinned ")


def test_a_change_is_taken_back_alone(table: Table) -> None:
    """What came before it and after it stays, in its order."""
    table.say("ann", "POST lost a")
    table.say("bob", "POST lost b")
    table.say("cy", "POST lost c")
    for result in ("done", "failed", "done"):
        table.done(result)
    assert [line.split(" ")[2] for line in notes(table).split(" / ") if line.startswith("NOTE")] == ["1", "3"]


def test_no_frame_is_taken_while_one_waits(table: Table) -> None:
    """All that is behind it is answered after it; the end of the stream, too."""
    assert table.say("ann", "POST lost a", "PING 1", "POST lost b", "PING 1") == ""
    assert table.people["ann"].paused
    assert table.hub.is_blocked(table.people["ann"])
    assert finish(table, "done") == "OK POST lost 1 / PONG 1"
    table.hub.finish(table.people["ann"], table.now)
    assert table.state("ann") == "HERE"
    assert finish(table, "done") == "OK POST lost 2 / PONG 1"
    assert table.state("ann") == "OVER"


def test_others_are_served_meanwhile(table: Table) -> None:
    """What asks nothing of it, another topic too; and what they tell reaches the connection that waits."""
    table.say("ann", "POST lost a")
    assert table.say("bob", "TOPICS", "READ found", "SUB found").split(" / ") == [
        "TOPIC lost 2",
        "OK TOPICS 1",
        "NO READ no-note There is no note.",
        "OK SUB found",
    ]
    assert table.say("cy", "UNSUB lost") == "OK UNSUB lost"
    assert table.got("ann") == "LOSS lost cy unsubscribed"


def test_what_was_handed_to_the_disk_stays(table: Table) -> None:
    """Though its connection has ended: the others are told when it is written. The name is free at once."""
    table.say("ann", "POST lost a")
    table.hub.lose(table.people["ann"], table.now)
    assert table.got("cy") == "LOSS lost ann lost"
    assert finish(table, "done") == ""
    assert table.got("cy") == "NEWS lost 1 ann a"
    assert notes(table).startswith("NOTE lost 1 ann ")


def test_what_was_not_written_goes_though_its_connection_has_ended(table: Table) -> None:
    """And nobody gets anything for it."""
    table.say("ann", "POST lost a")
    table.hub.lose(table.people["ann"], table.now)
    table.got("cy")
    assert finish(table, "failed") == ""
    assert table.got("cy") == ""
    assert notes(table).startswith("NO READ no-note ")


class Desk:
    """People who ask, a disk, and what it holds: each answer must be true by that."""

    def __init__(self) -> None:
        self.table = seated(Table(board(), slowly=True), "ann", "bob", "cy", "dan")
        self.asked: dict[str, deque[tuple[str, str]]] = {who: deque() for who in self.table.people}
        self.disk: list[tuple[object, ...]] = []

    def ask(self, who: str, verb: str, topic: str) -> None:
        self.asked[who].append((verb, topic))
        self.hear(who, self.table.say(who, f"{verb} {topic} x" if verb == "POST" else f"{verb} {topic}"))

    def write(self, result: Result) -> None:
        if self.table.hub.work:
            if result == "done":
                for change in self.table.hub.work[0].payload:
                    assert isinstance(change, Change)
                    (self.disk.append if change.added else self.disk.remove)(change.values)
            self.table.done(result)
        for who in self.asked:
            self.hear(who, self.table.got(who))

    def hear(self, who: str, got: str) -> None:
        items = 0
        for line in got.split(" / ") if got else []:
            if line.startswith("NOTE "):
                items += 1
                continue
            verb, topic = self.asked[who].popleft()
            there = sum(values[0] == topic for values in self.disk)
            words = line.split(" ")
            if words[0] == "OK":
                assert words[1] == verb
                assert verb != "READ" or there == items > 0
                assert verb != "PIN" or there
                assert verb != "CLEAR" or not there
                assert verb != "POST" or (topic, words[3]) in [values[:2] for values in self.disk]
            else:
                assert there == {"no-note": 0, "board-full": 4}.get(words[2], there)
            items = 0


WRITE = st.tuples(st.just(""), st.sampled_from(["done", "done", "failed"]), st.just(""))
ASK = st.tuples(
    st.sampled_from(["ann", "bob", "cy", "dan"]),
    st.sampled_from(["POST", "POST", "CLEAR", "READ", "PIN"]),
    st.sampled_from(["lost", "lost", "found"]),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(WRITE | ASK | ASK, max_size=60))
def test_each_answer_is_true_by_what_is_on_disk(steps: list[tuple[str, Result, str]]) -> None:
    """Whatever comes at once, and whichever writes fail; in the end all are answered, and memory and disk are one."""
    desk = Desk()
    for who, what, topic in steps:
        if who:
            desk.ask(who, str(what), topic)
        else:
            desk.write(what)
    while desk.table.hub.work:
        desk.write("done")
    assert not any(desk.asked.values())
    assert sorted(map(str, desk.table.hub.users.relations.all("note"))) == sorted(map(str, desk.disk))


def test_what_is_being_written_when_the_server_stops_is_answered(table: Table) -> None:
    """And then its connection ends; all others, also those that wait behind it, end at once."""
    table.say("ann", "POST lost a")
    table.say("bob", "POST lost b")
    table.say("cy", "LOCK found sesame")
    table.hub.shutdown(table.now)
    assert [table.state(who) for who in ("ann", "bob", "cy")] == ["HERE", "OVER", "OVER"]
    hashing = table.hub.work.pop()
    assert finish(table, "done") == "OK POST lost 1"
    table.hub.complete(hashing.connection, None, table.now)
    assert not table.hub.work
    assert {table.state(who) for who in table.people} == {"OVER"}


# Secrets


def test_a_secret_is_kept_as_a_hash_alone(table: Table) -> None:
    """The hash comes from whoever makes hashes, and goes to the disk."""
    table.say("bob", "LOCK found sesame")
    (hashing,) = table.hub.work
    assert (hashing.kind, hashing.payload) == ("hash", ("sesame",))
    table.done("emases")
    (writing,) = table.hub.work
    assert writing.payload == (Change("lock", ("found", "emases"), added=True, serial=1),)
    assert finish(table, "done") == "OK LOCK found"


def test_a_hash_that_cannot_be_made_refuses_the_row(table: Table) -> None:
    """As a disk that fails does."""
    table.say("bob", "LOCK found sesame")
    assert finish(table, None) == "NO LOCK try-later Try that later."
    assert table.say("cy", "SUB found") == "OK SUB found"


@pytest.mark.parametrize("result", ["done", "failed"])
def test_all_conditions_hold_after_the_hash_as_well(table: Table, result: Result) -> None:
    """Of two who lock a topic at once, the second one is refused when the first one's lock is on disk."""
    table.say("ann", "LOCK found first")
    table.say("bob", "LOCK found second")
    table.done("tsrif")
    assert finish(table, "dnoces") == ""  # the disk is slower than the second hash
    table.done(result)
    if result == "done":
        assert table.got("bob").startswith("NO LOCK locked ")
        assert not table.hub.work
    else:
        assert table.got("ann").startswith("NO LOCK try-later ")
        assert finish(table, "done") == "OK LOCK found"  # with the hash that was made before


def test_a_secret_is_compared_by_whoever_makes_hashes(table: Table) -> None:
    """With each hash that is kept; the row that follows is taken by what the comparison says."""
    locked(table)
    table.say("cy", "OPEN found sesam")
    (work,) = table.hub.work
    assert (work.kind, work.payload) == ("verify", ("sesam", "emases"))
    assert finish(table, False).endswith("NO OPEN wrong-word That word does not open it.")
    assert table.say("cy", "SUB found").startswith("NO SUB locked ")
    table.say("cy", "OPEN Found sesame")
    assert finish(table, True) == "OK OPEN found"
    assert table.say("cy", "SUB found") == "OK SUB found"


def test_without_a_hash_the_comparison_is_made_all_the_same(table: Table) -> None:
    """So that nobody learns from the time that nothing is locked."""
    table.say("cy", "OPEN found sesame")
    (work,) = table.hub.work
    assert work.payload == ("sesame",)
    assert finish(table, False).endswith("NO OPEN wrong-word That word does not open it.")


def test_a_comparison_with_a_hash_that_is_kept_no_longer_says_nothing() -> None:
    """The row is chosen again, and asks for another comparison: with what is kept now."""
    spec = board(
        "- {if: 'lock(<topic>, *)', error: locked, rule: R-BOARD-4}\n        - {outcome: locked",
        "- {outcome: locked",
    )
    table = read_topic(spec)
    locked(table)
    table.say("cy", "OPEN found sesame")
    comparison = table.hub.work.pop()
    table.say("bob", "LOCK found other")
    table.done("rehto")
    table.done("done")
    table.hub.work.append(comparison)
    table.done(True)
    (again,) = table.hub.work
    assert again.payload == ("sesame", "rehto")
    assert finish(table, False).endswith("NO OPEN wrong-word That word does not open it.")


@pytest.mark.parametrize("line", ["OPEN found sesame", "LOCK lost other"])
def test_a_hash_for_a_connection_that_has_ended_has_no_effect(table: Table, line: str) -> None:
    """Nothing is opened, locked, written or said."""
    locked(table)
    table.say("cy", line)
    table.hub.lose(table.people["cy"], table.now)
    table.got("cy")
    assert finish(table, True) == ""
    assert not table.hub.work
    assert table.say("bob", "SUB found").startswith("NO SUB locked ")
    assert table.say("bob", "SUB lost") == "OK SUB lost"


def test_a_result_that_nobody_waits_for_is_nothing(table: Table) -> None:
    """As is one that comes twice."""
    table.hub.complete(table.people["ann"], "done", table.now)
    table.say("ann", "POST lost a")
    assert finish(table, "done") == "OK POST lost 1"
    table.hub.complete(table.people["ann"], "done", table.now)
    assert table.got("ann") == ""


# Time


TIMED = (
    "name: {since: accept, in: [NEW], after: 5 s, gone: timeout",
    "name: {since: accept, in: [HERE], after: 5 s, gone: timeout",
    "  stuck: {since: full",
    "  quiet: {since: silence, after: 10 s, gone: timeout, rule: R-BOARD-1}\n  stuck: {since: full",
)


def test_silence_stands_still_while_a_row_waits() -> None:
    """It goes on from where it was."""
    table = read_topic(board(*TIMED[2:]))
    table.later(8)
    table.say("ann", "POST lost a")
    table.now += 100
    table.hub.tick(table.people["ann"], table.now)
    assert table.hub.deadlines.next(table.people["ann"], table.now) == float("inf")
    assert finish(table, "done") == "OK POST lost 1"
    table.now += 9
    table.hub.tick(table.people["ann"], table.now)
    assert table.state("ann") == "HERE"
    table.now += 1
    table.hub.tick(table.people["ann"], table.now)
    assert table.state("ann") == "OVER"


def test_the_time_since_the_accept_runs_on_and_acts_when_the_row_is_over() -> None:
    """The row is done and answered first."""
    table = read_topic(board(*TIMED))
    table.say("ann", "POST lost a")
    table.now += 6
    table.hub.tick(table.people["ann"], table.now)
    assert table.state("ann") == "HERE"
    assert finish(table, "done") == "OK POST lost 1"
    assert table.hub.deadlines.next(table.people["ann"], table.now) == 5.0
    table.hub.tick(table.people["ann"], table.now)
    assert table.state("ann") == "OVER"
