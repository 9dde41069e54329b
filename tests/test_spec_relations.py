"""Relations, tells and slow rows: what makes no sense is refused with its place."""

# ruff: noqa: E501  # the faults are a table, one a row

from __future__ import annotations

import pytest

from pychat.spec import Spec, SpecError, load, loads

from .conftest import ROOT

BOARD = (ROOT / "tests" / "board.yaml").read_text()

# (what is changed into what …, the line that has the fault holds this, words of the reason)
FAULTS: list[tuple[list[str], str, str]] = [
    # Columns
    (["of: {topic: topic, reader: user}", "of: {topic: subject, reader: user}"], "of: {topic: subject", "there is no type subject"),
    (["of: {topic: topic, number: next}", "of: {number: next, topic: topic}"], "  note:", "counts for each value of the first column"),
    (["with: {author: name, time: now, text: text}", "with: {author: user, time: now, text: text}"], "lives: durable", "a connection does not outlive the server"),
    (["of: {topic: topic}, lives: while note", "of: {topic: secret}, lives: while note"], "pinned: {of", "a secret is no key"),
    (["with: {author: name, time: now, text: text}", "with: {author: name, me: now, text: text}"], "  note:", "<me> means something else"),
    (["most: {topic: 3, reader: 2}", "most: {topic: 0, reader: 2}"], "most: {topic: 0", "0 is less than the minimum of 1"),
    (["most: {topic: 3, reader: 2}", "most: {topics: 3, reader: 2}"], "most: {topics", "there is no key topics"),
    (["keep: {by: 2}", "keep: {by: 2}, most: {by: 3}"], "keep: {by: 2}", "by has a most, so nothing is forgotten"),
    (["    lives: durable\n    rule: R-BOARD-3", "    lives: durable\n    overflow: slow\n    rule: R-BOARD-3"], "    overflow: slow", "no column of note is a user, so it has no send queue"),
    # Lives
    (["lives: while note", "lives: while notes"], "pinned: {of", "there is no relation notes"),
    (["lives: while note", "lives: while opened", "lives: while lock", "lives: while pinned"], "pinned: {of", "a circle: pinned would live while itself does"),
    (["of: {topic: topic}, lives: while note", "of: {who: user}, lives: while note"], "pinned: {of", "the first columns of pinned and note are of different types"),
    # Filled and read
    (["do: ['add pinned(<topic>)'], ", ""], "pinned: {of", "no row adds to pinned"),
    (["{if: 'pinned(<topic>)', error: pinned,", "{if: 'note(<topic>, *, *, *, *)', error: pinned,"], "pinned: {of", "nothing reads pinned"),
    (["        - {if: 'full subscriber(<topic>, *)', error: topic-full, rule: R-BOARD-2}\n", "", "  topic-full: {words: That topic has its readers., doc: 'The topic has {relations.subscriber.most.topic} readers.'}\n", ""], "outcome: subscribed", "a subscriber that is full for its topic must be refused"),
    (["full note(<topic>, *, *, *, *)", "full note(*, *, *, *, *)"], "error: board-full", "so it is never full"),
    # Entries
    (["'add pinned(<topic>)'", "'add pin(<topic>)'"], "outcome: pinned", "there is no relation pin"),
    (["'add pinned(<topic>)'", "'add pinned(<topic>, me)'"], "outcome: pinned", "pinned has the columns topic, and not 2 of them"),
    (["'add pinned(<topic>)'", "'add pinned(<subject>)'"], "outcome: pinned", "there is no field <subject> here"),
    (["'add pinned(<topic>)'", "'add pinned(me)'"], "outcome: pinned", "me is a user, and topic is a topic"),
    (["'add pinned(<topic>)'", "'add pinned(*)'"], "outcome: pinned", "topic needs a value"),
    (["'add note(<topic>, *, me, *, <text>)'", "'add note(<topic>, *, me, <topic>, <text>)'"], "outcome: posted", "the server gives time its value; write *"),
    (["'add note(<topic>, *, me, *, <text>)'", "'add note(<topic>, *, <text>, *, <text>)'"], "outcome: posted", "<text> is a text, and author is a name"),
    (["<word> does not open lock(<topic>, *)", "<word> does not open note(<topic>, *, *, *, *)"], "error: wrong-word", "no column of note is a secret, so nothing opens it"),
    (["<word> does not open", "<wort> does not open"], "error: wrong-word", "OPEN has no field wort"),
    (["if: 'subscriber(<topic>, me)'", "if: 'subscriber(<topic>)'"], "error: reading", "subscriber has the columns topic, reader, and not 1 of them"),
    (["if: 'subscriber(<topic>, me)'", "if: 'subscriber(<topic>; me)'"], "error: reading", "is not of the form"),
    (["BYE: [{outcome: ended, to: OVER, answer: OK BYE,", "BYE: [{if: 'subscriber(*, me)', error: reading, rule: R-BOARD-1}, {outcome: ended, to: OVER, answer: OK BYE,"], "BYE: [", "a connection may have no name, so me is nobody"),
    # Tells
    (["to: 'others subscriber(<topic>, *)'", "to: 'others note(<topic>, *, *, *, *)'"], "outcome: posted", "no column of note is a user, so there is nobody to tell"),
    (["to: 'others subscriber(<topic>, *)'", "to: <topic>"], "outcome: posted", "<topic> is no field of the type name, so it is no user"),
    (["push: OLD <number> <text>}", "push: OLD <author> <text>}"], "outcome: subscribed", "<author> is of the type name, where OLD <number> <text> wants number"),
    (["drop: LOSS <topic> <reader> <cause>", "drop: LOSS <topic> <reader> <why>"], "tells: {add", "<why> has no value here"),
    (["drop: LOSS <topic> <reader> <cause>", "drop: LOSS <topic> <reader> gone"], "tells: {add", "does not fit"),
    (["one_of: [unsubscribed, quit, lost, slow, timeout]", "one_of: [unsubscribed, quit, lost, timeout]"], "tells: {add", "<cause> may be 'slow'"),
    (["do: ['drop subscriber(<topic>, me)'], cause: unsubscribed", "do: ['drop subscriber(<topic>, me)']"], "outcome: unsubscribed", "it needs a cause"),
    (["do: [release], cause: quit", "do: [release]"], "outcome: ended", "it needs a cause"),
    (["lives: while note, doc", "lives: while note, tells: {add: 'OLD 1 <topic>'}, doc"], "pinned: {of", "no column of pinned is a user, so there is nobody to tell"),
    # Slow rows
    (["fails: try-later, rule: R-BOARD-3}\n      PIN", "rule: R-BOARD-3}\n      PIN"], "outcome: posted", "an error (fails) for a disk that fails is missing"),
    (["{outcome: pinned, answer", "{outcome: pinned, fails: try-later, answer"], "outcome: pinned", "nothing here waits for a disk"),
    (["fails: try-later, rule: R-BOARD-4}", "fails: later, rule: R-BOARD-4}"], "outcome: locked", "there is no error later"),
    (["  stuck: {since", "  tidy: {since: silence, after: 3 s, in: [HERE], do: ['drop note(*, *, *, *, *)'], rule: R-BOARD-1}\n  stuck: {since"], "  tidy:", "a timer cannot wait for a hash or a disk"),
    (["- {if: 'no note(<topic>, *, *, *, *)', error: no-note, rule: R-BOARD-3}\n        - {outcome: cleared, answer", "- {outcome: cleared, to: OVER, answer"], "outcome: cleared", "cannot wait for a hash or a disk"),
    (["do: ['drop note(<topic>, *, *, *, *)'], fails", "do: ['drop note(<topic>, *, *, *, *)', release], fails"], "outcome: cleared", "changes relations alone, so that it can be taken back"),
    # Profiles
    (["error: locked, rule: R-BOARD-4, profile: locks}", "error: locked, rule: R-BOARD-4}"], "error: locked", "lock is of the profile locks, and this row is of core"),
    (["doc: Lists the topics and their readers.}", "doc: Lists the topics and their readers., profile: lock}"], "TOPICS: {wire", "there is no profile lock"),
    # Invariants
    (["holds: 'note(<topic>, *, *, *, *)'", "holds: no partner"], "each: pinned", "is about a connection, and an invariant is about a tuple"),
    (["holds: 'note(<topic>, *, *, *, *)'", "holds: 'note(<name>, *, *, *, *)'"], "each: pinned", "there is no field <name> here"),
    (["each: pinned", "each: pins"], "each: pins", "there is no relation pins"),
    # Errors with a frame of their own, lists, greetings, faults
    (["say-name: {wire: NAME first", "say-name: {wire: 'NAME <name:name>'"], "say-name", "<name> has no meaning here; there are verb, code, words, me"),
    (["refusal: {wire: 'NO <verb:verb> <code:code> <words:words>', doc: 'The request is refused.'}\n", ""], "not-text:", "each has a wire of its own"),
    (["READ: {wire: 'READ <topic:topic>', item: 'NOTE <topic:topic>", "READ: {wire: 'READ <topic:topic>', item: 'NOTE <subject:topic>"], "outcome: listed", "note has no column subject for the item"),
    (["greeting: [WELCOME to the notice board]", "greeting: [WELCOME]"], "greeting:", "does not fit"),
    (["  - {fault: syntax, error: odd, rule: R-BOARD-1}\n", "", "  odd: {words: Not of its form., doc: The line is not of its form.}\n", ""], "faults:", "no entry answers the fault syntax of NAME in NEW"),
    (["holds: {reader: subscriber}", "holds: {reader: note}"], "mood: {one_of", "note is neither `linked` nor a relation of users"),
]  # fmt: skip


@pytest.fixture(scope="module")
def board() -> Spec:
    """The notice board."""
    return load(ROOT / "tests" / "board.yaml")


@pytest.mark.parametrize(
    ("changes", "at", "reason"), FAULTS, ids=[f"{row[2][:40]}-{n}" for n, row in enumerate(FAULTS)]
)
def test_a_part_that_makes_no_sense_is_refused(changes: list[str], at: str, reason: str) -> None:
    """Each fault names the line of the part, and says why."""
    text = BOARD
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in text, f"{old!r} is not in the spec any more"
        text = text.replace(old, new, 1)
    with pytest.raises(SpecError) as caught:
        loads(text.encode(), "board.yaml")
    found = [fault for fault in caught.value.faults if reason in fault.reason]
    assert found, str(caught.value)
    lines = [text.split("\n")[fault.place.line - 1] for fault in found]
    assert any(at in line for line in lines), f"{found[0]}: {lines}"


def test_a_slow_row_is_derived(board: Spec) -> None:
    """A row is slow if it compares a secret, or changes what is on disk; nothing in the file says so."""
    assert {(row.verb, row.label) for _, row in board.outcomes() if row.slow} == {
        ("POST", "posted"),
        ("CLEAR", "cleared"),
        ("LOCK", "locked"),
        ("OPEN", "wrong-word"),
    }


def test_a_profile_that_is_not_offered_leaves_nothing(board: Spec) -> None:
    """Its requests, rows, types, errors, relations, rules and invariants go; the rest stays as it is."""
    core = board.offering([])
    assert core.profiles.keys() == {"core"}
    assert board.requests.keys() - core.requests.keys() == {"LOCK", "OPEN"}
    assert board.errors.keys() - core.errors.keys() == {"locked", "wrong-word"}
    assert board.relations.keys() - core.relations.keys() == {"lock", "opened"}
    assert [row.label for row in core.states["HERE"].recv["SUB"]] == ["reading", "topic-full", "too-many", "subscribed"]
    assert "word" not in core.types
    assert "R-BOARD-4" not in core.rules
    assert [one.relation for one in core.invariants] == ["pinned"]
    assert board.offering(["locks"]) is board
    with pytest.raises(KeyError):
        board.offering(["lock"])


def test_a_word_about_a_relation_goes_with_it(board: Spec) -> None:
    """A type does not have a word that no list can say."""
    text = BOARD.replace("holds: {reader: subscriber}", "holds: {reader: opened}", 1)
    core = loads(text.encode()).offering([])
    assert core.types["mood"].one_of == ("idle",)
    assert core.types["mood"].holds == ()
