"""The hub with relations, on the notice board: who is told what and when, and what a slow reader costs the others."""

from __future__ import annotations

import pytest

from pychat.core.replay import replay
from pychat.spec import Spec, load, loads

from .conftest import ROOT, changed, replaced
from .table import Table

TEXT = (ROOT / "tests" / "board.yaml").read_text()
MARK = 2048


def board(*replacements: str) -> Spec:
    """A copy of the board's spec with texts replaced."""
    return loads(replaced(TEXT, *replacements).encode(), "board.yaml")


@pytest.fixture
def table() -> Table:
    return seated(Table(load(ROOT / "tests" / "board.yaml")))


def seated(table: Table, *names: str) -> Table:
    """A table with users who have read all that they got."""
    for name in names or ("ann", "bob", "cy"):
        assert table.say(name, f"NAME {name}").endswith(f"OK NAME {name}")
    return table


def fill(table: Table, who: str) -> int:
    """Somebody asks much and reads nothing; how many octets wait."""
    while table.people[who].queued <= MARK:
        table.hub.receive(table.people[who], b"WHO\n", table.now)
    return table.people[who].queued


def read(table: Table, who: str) -> list[str]:
    """What somebody gets but lists of users."""
    return [line for line in table.got(who).split(" / ") if not line.startswith("USER ")]


def test_the_examples_of_the_board_are_what_the_hub_does() -> None:
    """With slow work that is done at once."""
    spec = load(ROOT / "tests" / "board.yaml")
    for example in spec.examples.values():
        assert [str(mismatch) for mismatch in replay(spec, example)] == []


def test_a_connection_is_greeted_before_anything_else() -> None:
    """But not one for which there is no room."""
    table = Table(load(ROOT / "tests" / "board.yaml"), max_connections=1)
    assert table.say("a", "PING 1") == "WELCOME to the notice board / PONG 1"
    assert not table.open("b")
    assert table.got("b") == ""
    assert table.state("b") == "OVER"


def test_a_protocol_without_goodbyes_ends_without_a_word(table: Table) -> None:
    """A line that is too long, and the stop of the server."""
    assert table.octets("ann", b"x" * 512) == ""
    table.hub.shutdown(table.now)
    assert [table.got(who) for who in ("ann", "bob", "cy")] == ["", "", ""]
    assert {table.state(who) for who in table.people} == {"OVER"}


def test_verbs_of_any_case_are_the_same() -> None:
    """But only letters of ASCII have capitals here: the long s is no S."""
    table = Table(load(ROOT / "tests" / "board.yaml"))
    assert table.say("a", "name ann", "wHo", "pinG 1").endswith("OK NAME ann / USER ann idle / PONG 1")
    assert table.say("a", "\u017fub lost") == "NO * odd Not of its form."


def test_which_fault_is_answered_depends_on_state_and_verb(table: Table) -> None:
    """And an error may have a frame of its own."""
    table.open("new")
    assert table.got("new").startswith("WELCOME")
    assert table.say("new", "POST", "HELLO", "x y z") == "NAME first / NAME first / NAME first"
    assert table.say("ann", "POST", "SUB", "NAME x", "HELLO") == (
        "NO POST odd-note A note is a topic and a text. / NO SUB odd Not of its form. / NO NAME not-now Not now."
        " / NO * what There is no such verb."
    )


def test_readers_learn_of_each_reader_that_comes_or_goes(table: Table) -> None:
    """Once, with the cause, whatever it is; the reader itself is not told."""
    for who in ("ann", "bob", "cy"):
        assert table.say(who, "SUB Lost") == "OK SUB Lost"
    assert table.got("ann") == "READER Lost bob / READER Lost cy"
    assert table.got("bob") == "READER Lost cy"
    assert table.say("cy", "UNSUB lost") == "OK UNSUB Lost"
    assert table.say("bob", "BYE") == "LOSS Lost cy unsubscribed / OK BYE"
    table.say("cy", "SUB lost")
    table.hub.lose(table.people["cy"], table.now)
    assert table.got("ann") == ("LOSS Lost cy unsubscribed / LOSS Lost bob quit / READER Lost cy / LOSS Lost cy lost")


def test_nobody_is_told_at_the_stop_of_the_server(table: Table) -> None:
    """R-CLOSE-4 in the first protocol, and the same for relations."""
    for who in ("ann", "bob"):
        table.say(who, "SUB lost")
    table.got("ann")
    table.hub.shutdown(table.now)
    assert table.got("ann") == table.got("bob") == ""


def test_the_answer_comes_before_what_one_is_told_besides(table: Table) -> None:
    """Each old note is a push of its own, after the OK; the numbers are those of the topic."""
    table.say("ann", "POST lost an umbrella", "POST found a hat", "POST LOST a glove")
    assert table.say("bob", "SUB Lost") == "OK SUB Lost / OLD 1 an umbrella / OLD 2 a glove"


def test_all_are_told_the_same_octets(table: Table) -> None:
    """One object lies in all queues that have nothing to join it to; the sender is not told."""
    for who in ("ann", "bob", "cy"):
        table.say(who, "SUB lost")
    for who in ("ann", "bob", "cy"):
        table.got(who)
    assert table.say("ann", "POST lost a glove") == "OK POST lost 1"
    (one,), (other,) = (table.people[who].outbox for who in ("bob", "cy"))
    assert one is other
    assert table.got("bob") == "NEWS lost 1 ann a glove"


def test_a_slow_reader_drops_out_and_stalls_nobody(table: Table) -> None:
    """It does not get the line; all others do, and after it that the reader was slow, as the reader itself is told."""
    for who in ("ann", "bob", "cy"):
        table.say(who, "SUB lost", "SUB found")
    for who in ("ann", "bob", "cy"):
        table.got(who)
    fill(table, "bob")
    assert table.say("ann", "POST lost a glove") == "OK POST lost 1 / LOSS lost bob slow"
    assert table.got("cy") == "NEWS lost 1 ann a glove / LOSS lost bob slow"
    assert read(table, "bob") == ["LOSS lost bob slow"]
    assert table.say("ann", "POST found a hat") == "OK POST found 1"
    assert table.got("bob") == "NEWS found 1 ann a hat"


def test_a_slow_reader_is_found_by_any_push(table: Table) -> None:
    """Two slow readers that one push has found: each is told of itself, and the others of both."""
    table.say("ann", "SUB lost")
    table.say("bob", "SUB lost")
    table.got("ann")
    fill(table, "ann")
    fill(table, "bob")
    assert table.say("cy", "SUB lost") == "OK SUB lost / LOSS lost ann slow / LOSS lost bob slow"
    assert read(table, "ann") == ["LOSS lost ann slow"]
    assert read(table, "bob") == ["LOSS lost bob slow"]


def test_a_list_of_tuples_counts_where_the_item_has_a_count(table: Table) -> None:
    """A topic is listed once, with its readers, in the order of the first ones; nothing may be there, too."""
    assert table.say("ann", "TOPICS") == "OK TOPICS 0"
    for who, topic in (("ann", "Lost"), ("bob", "found"), ("cy", "LOST")):
        table.say(who, f"SUB {topic}")
    assert table.say("bob", "TOPICS") == "TOPIC Lost 2 / TOPIC found 1 / OK TOPICS 2"


def test_a_list_of_users_says_of_each_what_relations_say(table: Table) -> None:
    """As it is at that moment, whoever has changed it; a list may have no end of its own."""
    assert table.say("ann", "WHO") == "USER ann idle / USER bob idle / USER cy idle"
    table.say("bob", "SUB lost")
    assert table.say("ann", "WHO") == "USER ann idle / USER bob reader / USER cy idle"
    table.say("cy", "SUB lost")
    table.got("bob")
    fill(table, "bob")
    table.say("ann", "POST lost x")
    assert table.say("ann", "WHO") == "USER ann idle / USER bob idle / USER cy reader"


def test_most_is_asked_for_one_value(table: Table) -> None:
    """Three readers of a topic, two topics of a reader."""
    seated(table, "dan")
    for who in ("ann", "bob", "cy"):
        assert table.say(who, "SUB lost") == "OK SUB lost"
    assert table.say("dan", "SUB Lost") == "NO SUB topic-full That topic has its readers."
    assert table.say("dan", "SUB a", "SUB b", "SUB c").endswith("NO SUB too-many You read enough topics.")
    table.say("ann", "BYE")
    table.say("dan", "UNSUB a")
    assert table.say("dan", "SUB lost").startswith("OK SUB lost")


def test_a_hub_that_is_checked_finds_a_broken_invariant() -> None:
    """Where rows leave what the spec says cannot be."""
    spec = board(
        "{if: 'no note(<topic>, *, *, *, *)', error: no-note, rule: R-BOARD-3}\n        - {if: 'pinned(<topic>)'",
        "{if: 'pinned(<topic>)'",
    )
    table = seated(Table(spec))
    with pytest.raises(AssertionError, match=r"pinned\('lost',\): A pinned topic has a note\."):
        table.say("ann", "PIN lost")


def test_what_a_user_has_missed_is_bounded() -> None:
    """Of the callers of a busy user, the oldest is forgotten, and told again if it calls again."""
    table = Table(changed("keep: {busy: 100}", "keep: {busy: 2}"))
    table.chat()
    table.named("c", "d", "e")
    for who in ("c", "d", "e", "d", "c"):
        assert table.say(who, "CHAT b") == "ERR CHAT user-busy"
    assert table.got("b") == "MISSED c / MISSED d / MISSED e / MISSED c"
