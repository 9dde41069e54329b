"""What a person reads of what was not sent or did not arrive: true, in plain words, and after the news."""

from __future__ import annotations

import random
import re

import pytest

from pychat.core.hub import Hub
from pychat.core.protocol import Protocol
from pychat.core.session import Event
from pychat.spec import Spec

from .desk import Desk, lose, room, settle

CALLED = "alice is calling you. Your first line answers the call, /leave declines it."
KEPT = "Ctrl-C puts it away, and Up brings it back."


@pytest.fixture
def hub(spec: Spec) -> Hub:
    """The server's protocol core."""
    return Hub(spec)


@pytest.fixture
def call(hub: Hub) -> tuple[Desk, Desk]:
    """Alice, who calls bob, and bob, who has not answered yet; both were shown it."""
    alice, bob = room(hub, "alice", "bob")
    alice.enter("bob")
    settle(alice, bob)
    for desk in (alice, bob):
        desk.shown()
        desk.sent.clear()
    return alice, bob


def get_unshown(desk: Desk) -> list[Event]:
    """What has come to the connection, and its user is still to be told of."""
    octets, desk.connection.outbox = b"".join(desk.connection.outbox), []
    return list(desk.session.receive(octets))


def show(desk: Desk, events: list[Event]) -> None:
    for event in events:
        desk.talk.happened(event)
    desk.line.seen()


@pytest.mark.parametrize("asks", ["", "/who"], ids=["", "while an answer is awaited"])
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("hi", f"Not sent, because you typed it for alice, and that call is over. {KEPT}"),
        ("/chat alice", "Nothing was sent, because you typed it for alice, and that call is over."),
    ],
)
def test_an_answer_in_the_moment_of_a_hang_up_is_explained_after_it(
    call: tuple[Desk, Desk], asks: str, line: str, words: str
) -> None:
    """The connection knows that alice has gone, and its user does not: no error for programs is shown."""
    alice, bob = call
    alice.enter("/leave")
    alice.carry_up()
    bob.enter(asks)
    events = get_unshown(bob)
    left = bob.enter(line)
    assert (left, bob.shown()) == ("" if line.startswith("/") else line, [])
    show(bob, events)
    assert bob.shown() == ["alice hung up.", words]
    settle(alice, bob)
    assert not any(sent.startswith(("CHAT", "MSG")) for sent in bob.sent)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("carol", f"Not sent, because you began it before alice called. {KEPT}"),
        ("/chat carol", "carol was not called: alice is calling you. Your first line answers, /leave declines it."),
    ],
)
def test_a_call_in_the_moment_of_another_one_is_explained_after_it(hub: Hub, line: str, words: str) -> None:
    """The connection knows of alice's call, and its user does not."""
    alice, bob = room(hub, "alice", "bob")
    alice.enter("bob")
    alice.carry_up()
    events = get_unshown(bob)
    bob.enter(line)
    assert bob.shown() == []
    show(bob, events)
    assert (bob.shown(), bob.sent) == ([CALLED, words], [])


def test_a_call_that_waits_and_is_overtaken_is_told(call: tuple[Desk, Desk]) -> None:
    """Bob wants to call carol when his LEAVE is answered; alice's new call comes before."""
    alice, bob = call
    bob.enter("/leave")
    bob.enter("/chat carol")
    bob.carry_up()
    alice.carry_down()
    alice.carry_up()
    alice.carry_down()
    alice.enter("bob")
    alice.carry_up()
    events = get_unshown(bob)
    show(bob, events)
    assert bob.shown() == [
        "You have declined alice's call.",
        CALLED,
        "carol was not called: alice is calling you. Your first line answers, /leave declines it.",
    ]
    assert bob.sent == ["LEAVE"]


def test_a_draft_for_an_earlier_call_of_the_same_user_says_so(call: tuple[Desk, Desk]) -> None:
    """Prompt, status and refusal agree: alice is there, and the draft is older than this call."""
    alice, bob = call
    bob.type("for the first call")
    assert bob.line.status == "bob · PAIRED · alice is calling: your first line answers, /leave declines"
    alice.enter("/leave")
    settle(alice, bob)
    assert bob.line.prompt == "To alice (gone): "
    assert bob.line.status == "bob · NAMED · type a name to call that user"
    alice.enter("bob")
    settle(alice, bob)
    bob.shown()
    assert bob.line.prompt == "To alice (earlier): "
    old = "bob · PAIRED · alice is calling: your draft is older than the call, Ctrl-C puts it away"
    assert bob.line.status == old
    assert bob.finish("for the first call") == "for the first call"
    assert bob.shown() == [f"Not sent, because you began it before alice called again. {KEPT}"]
    bob.type("")
    assert bob.line.status == "bob · PAIRED · alice is calling: your first line answers, /leave declines"
    bob.enter("for the second")
    assert bob.sent[-2:] == ["CHAT alice", "MSG for the second"]


@pytest.mark.parametrize(("draft", "blocks"), [("carol", True), ("/leave", True), ("//carol", True), ("/who", False)])
def test_a_draft_that_is_older_than_a_call_is_in_the_status(hub: Hub, draft: str, blocks: bool) -> None:
    """But not a command that is for no chat: it can be sent at any time."""
    alice, bob = room(hub, "alice", "bob")
    bob.type(draft)
    alice.enter("bob")
    settle(alice, bob)
    assert ("your draft is older than the call" in bob.line.status) is blocks
    assert ("your first line answers" in bob.line.status) is not blocks
    assert (bob.finish(draft) == draft) is blocks


@pytest.mark.parametrize("both", [False, True])
def test_a_call_without_an_answer_was_no_chat(call: tuple[Desk, Desk], both: bool) -> None:
    """In the status while it is left, and in what is said of a draft for it."""
    alice, bob = call
    if both:
        bob.enter("hi")
        settle(alice, bob)
    bob.type("half")
    alice.enter("/leave")
    assert alice.talk.status == "alice · PAIRED · " + ("leaving the chat" if both else "ending the call")
    settle(alice, bob)
    bob.shown()
    bob.finish("half")
    over = f"Not sent, because you typed it for alice, and that {'chat' if both else 'call'} is over."
    assert bob.shown()[0].startswith(over)
    bob.finish("/chat alice")
    over = f"Nothing was sent, because you typed it for alice, and that {'chat' if both else 'call'} is over."
    assert bob.shown() == [over]


def test_a_partner_that_is_called_again_is_there(call: tuple[Desk, Desk]) -> None:
    """`/chat` with the partner's name says how it stands with him, and nothing is sent."""
    alice, bob = call
    alice.enter("/chat BOB")
    assert alice.shown() == ["You are calling bob already, and bob has not answered yet."]
    bob.enter("/chat alice")
    bob.enter("/chat alice")
    assert bob.shown() == ["You have answered alice already."]
    settle(alice, bob)
    alice.shown()
    bob.shown()
    for desk, other in ((alice, "bob"), (bob, "alice")):
        desk.enter(f"/chat {other}")
        assert desk.shown() == [f"You are in a chat with {other} already."]
    assert (alice.sent, bob.sent) == ([], ["CHAT alice"])


def test_a_call_that_is_repeated_before_its_answer_is_told(hub: Hub) -> None:
    """The server has not said anything yet."""
    alice, _ = room(hub, "alice", "bob")
    alice.enter("bob")
    alice.enter("/chat bob")
    assert alice.shown() == ["You are calling bob already, and bob has not answered yet."]
    assert alice.sent == ["CHAT bob"]


def test_lines_that_did_not_arrive_are_counted_for_the_right_user(hub: Hub) -> None:
    """Two for bob, whose refusals come after carol's call was answered, and one for carol, who goes as well."""
    alice, _, carol = room(hub, "alice", "bob", "carol")
    alice.enter("bob")
    alice.enter("one")
    alice.enter("two")
    carol.enter("alice")
    carol.carry_up()
    alice.carry_up()
    frames = b"".join(alice.connection.outbox).splitlines(keepends=True)
    alice.connection.outbox = frames[:-2]
    assert [frame.split()[:2] for frame in frames[-2:]] == [[b"ERR", b"MSG"]] * 2
    alice.carry_down()
    alice.enter("for carol")
    carol.carry_down()
    carol.enter("/leave")
    carol.carry_up()
    alice.connection.outbox = [*frames[-2:], *alice.connection.outbox]
    alice.carry_down()
    shown = alice.shown()
    assert shown[-2:] == ["2 of your lines did not reach bob.", "carol hung up."]
    settle(alice, carol)
    assert alice.shown()[-1] == "Your line did not reach carol."


def test_a_line_to_nobody_is_told_by_the_name_that_was_called(hub: Hub) -> None:
    """It followed its call at once, and neither a state nor a verb is in the words."""
    (alice,) = room(hub, "alice")
    alice.enter("zoe")
    alice.enter("hello")
    settle(alice)
    assert alice.shown()[-2:] == ["No chat with zoe: There is no user of that name.", "Your line did not reach zoe."]


def test_nothing_that_a_person_reads_of_a_race_is_for_programs(hub: Hub, spec: Spec) -> None:
    """No verb, no state and no word of the link, in whatever moment a line is entered, with what came unshown."""
    words = re.compile(rf"\b({'|'.join([*spec.requests, *spec.states])}|{spec.link.name})\b")
    chance = random.Random(0)
    shown: list[str] = []
    for _ in range(150):
        desks = [*room(hub, "alice", "bob"), Desk(hub, None)]
        for _ in range(20):
            desk = chance.choice(desks)
            unshown = get_unshown(desk) if chance.random() < 0.5 else []
            line = chance.choice(["/leave", "/chat alice", "/chat bob", "bob", "hello", "/who", "two words", "\a"])
            desk.enter(line)
            show(desk, unshown)
            if chance.random() < 0.6:
                settle(desk)
            shown += desk.shown()
        for desk in desks:
            lose(hub, desk)
    assert [text for text in shown if words.search(text)] == []


def test_help_says_how_long_a_call_rings(hub: Hub, spec: Spec, little: Spec) -> None:
    """The number is the spec's; where calls do not end by themselves, there is no such line."""
    (ring,) = (timer for timer in spec.timers.values() if timer.since == "call")
    (alice,), ann = room(hub, "alice"), Desk(Hub(little), None, Protocol(little))
    alice.enter("/help")
    ann.enter("/help")
    assert f"A call that nobody answers ends after {ring.after:g} s." in alice.shown()
    assert not any("nobody answers" in line for line in ann.shown())
