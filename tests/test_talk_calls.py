"""What a person reads of a call is what really happened, at both ends and in each race: with the real hub, by hand."""

from __future__ import annotations

import pytest

from pychat.core.hub import Hub
from pychat.spec import Spec

from .desk import Desk, lose, room, settle

CALLING = "Calling bob … Your lines reach bob at once. /leave ends the call."
CALLED = "alice is calling you. Your first line answers the call, /leave declines it."
HERE = "bob is here: you hear each other now. /leave ends the chat."
BUSY = "bob is busy, and will see that you called."
MISSED = "carol called; you were busy."


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
    assert (alice.shown(), bob.shown()) == ([CALLING], [CALLED])
    alice.sent.clear()
    return alice, bob


def answer(alice: Desk, bob: Desk) -> None:
    bob.enter("hi")
    settle(alice, bob)
    alice.shown()
    bob.shown()
    bob.sent.clear()


def ring_out(hub: Hub, called: Desk, spec: Spec) -> None:
    """The time for the answer is over."""
    (ring,) = (timer for timer in spec.timers.values() if timer.since == "call")
    hub.tick(called.connection, ring.after)


def check_free(*desks: Desk) -> None:
    """All of them are in no chat, and were left there without doing anything."""
    for desk in desks:
        assert not desk.talk.in_chat
        assert desk.talk.chat is None
        assert desk.line.prompt == "Chat with: "


def test_a_caller_is_not_told_that_anybody_is_there(call: tuple[Desk, Desk]) -> None:
    """The called user gets the lines at once, and that is what the caller reads, until the answer."""
    alice, bob = call
    alice.enter("hello?")
    settle(alice, bob)
    assert alice.talk.status == "alice · PAIRED · bob has not answered yet, but gets your lines"
    assert (alice.shown(), bob.shown()) == (["alice: hello?"], ["alice: hello?"])
    bob.enter("hi")
    settle(alice, bob)
    assert alice.shown() == [HERE, "bob: hi"]
    assert bob.shown() == ["bob: hi", "You and alice hear each other now. /leave ends the chat."]
    assert alice.talk.status == "alice · PAIRED · in a chat with bob"


@pytest.mark.parametrize("of", ["caller", "called"])
def test_a_call_for_somebody_else_is_refused_with_how_it_stands(call: tuple[Desk, Desk], of: str) -> None:
    """`/chat carol` while one calls, or is called: nothing is sent."""
    words = {
        "caller": "carol was not called: you are calling bob. /leave ends the call.",
        "called": "carol was not called: alice is calling you. Your first line answers, /leave declines it.",
    }
    desk = call[of == "called"]
    desk.enter("/chat carol")
    assert (desk.shown(), desk.sent) == ([words[of]], [])


def test_a_call_rings_once(hub: Hub, call: tuple[Desk, Desk]) -> None:
    """The bell is for the called alone: not for lines, missed calls, the end, nor a call that crosses one's own."""
    alice, bob = room(hub, "alice2", "bob2")
    carol = Desk(hub, "carol")
    settle(alice, bob, carol)
    bells: list[str] = []

    def count() -> None:
        for desk in (alice, bob, carol):
            bells.extend(line.text for line in desk.talk.lines if line.bell)
            desk.shown()

    alice.enter("bob2")
    settle(alice, bob, carol)
    count()
    assert bells == ["alice2 is calling you. Your first line answers the call, /leave declines it."]
    alice.enter("hello")
    carol.enter("bob2")
    bob.enter("hi")
    alice.enter("/leave")
    settle(alice, bob, carol)
    carol.enter("bob2")
    bob.enter("carol")
    settle(bob, carol)
    count()
    assert len(bells) == 1


def test_a_call_is_declined(call: tuple[Desk, Desk]) -> None:
    """The caller is free again without doing anything."""
    alice, bob = call
    bob.enter("/leave")
    settle(alice, bob)
    assert alice.shown() == ["bob has declined."]
    assert bob.shown() == ["You have declined alice's call."]
    assert (alice.sent, bob.sent) == (["LEAVE"], ["LEAVE"])
    check_free(alice, bob)


def test_a_call_is_not_answered(hub: Hub, spec: Spec, call: tuple[Desk, Desk]) -> None:
    """Both ends are free again without doing anything."""
    alice, bob = call
    ring_out(hub, bob, spec)
    settle(alice, bob)
    assert alice.shown() == ["bob did not answer."]
    assert bob.shown() == ["You did not answer in time: alice is not calling any more."]
    assert (alice.sent, bob.sent) == (["LEAVE"], ["LEAVE"])
    check_free(alice, bob)


def test_a_call_is_taken_back(call: tuple[Desk, Desk]) -> None:
    """Nobody has declined, and nobody was there to leave."""
    alice, bob = call
    alice.enter("/leave")
    settle(alice, bob)
    assert alice.shown() == ["You have stopped calling bob."]
    assert bob.shown() == ["alice hung up."]
    check_free(alice, bob)


@pytest.mark.parametrize("of", ["caller", "called"])
@pytest.mark.parametrize("how", ["quit", "lost"])
def test_an_end_of_a_call_goes(hub: Hub, call: tuple[Desk, Desk], of: str, how: str) -> None:
    """The other one reads why, and that there was no answer."""
    goes, stays = call if of == "caller" else call[::-1]
    if how == "quit":
        goes.send(goes.session.protocol.quit or "", timeout=0)
        settle(goes, stays)
    else:
        lose(hub, goes)
        settle(stays)
    words = {"quit": "{} has quit: the call is over.", "lost": "The connection to {} was lost: the call is over."}
    assert stays.shown() == [words[how].format(goes.talk.view.name)]
    check_free(stays)


def test_a_chat_that_both_have_answered_ends_otherwise(call: tuple[Desk, Desk]) -> None:
    """It was a chat, and nobody has declined."""
    alice, bob = call
    answer(alice, bob)
    bob.enter("/leave")
    settle(alice, bob)
    assert alice.shown() == ["bob has left: the chat is over."]
    assert bob.shown() == ["The chat is over."]
    check_free(alice, bob)


def test_a_missed_call_is_shown_at_once_and_again_at_the_end(hub: Hub, call: tuple[Desk, Desk]) -> None:
    """Once for each caller; the caller reads that it will be seen, however often."""
    alice, bob = call
    carol, dave = Desk(hub, "carol"), Desk(hub, "dave")
    settle(carol, dave)
    carol.shown()
    answer(alice, bob)
    for _ in range(2):
        carol.enter("bob")
        settle(bob, carol)
        assert carol.shown() == [BUSY]
    assert bob.shown() == [MISSED]
    alice.enter("/leave")
    settle(alice, bob)
    assert bob.shown() == ["alice has left: the chat is over.", "You missed a call from carol."]
    bob.enter("alice")
    settle(alice, bob)
    for caller in (carol, dave):
        caller.enter("bob")
        settle(caller, bob)
    bob.shown()
    bob.enter("/leave")
    settle(alice, bob)
    assert bob.shown() == ["You have stopped calling alice.", "You missed calls from carol and dave."]
    assert carol.talk.chat is None


def test_what_was_missed_is_shown_when_the_connection_is_lost(hub: Hub, call: tuple[Desk, Desk]) -> None:
    """That ends the chat as well."""
    _, bob = call
    carol = Desk(hub, "carol")
    settle(carol)
    carol.enter("bob")
    settle(bob, carol)
    lose(hub, bob)
    assert bob.shown()[-1] == "You missed a call from carol."


def test_two_calls_that_cross_are_one_chat(hub: Hub) -> None:
    """The call that came second is the answer to the first; both ends read so."""
    alice, bob = room(hub, "alice", "bob")
    alice.enter("bob")
    bob.enter("ALICE")
    alice.carry_up()
    bob.carry_up()
    settle(alice, bob)
    assert alice.shown() == [CALLING, HERE]
    assert bob.shown() == [
        "alice is calling you, too.",
        "You and alice hear each other now. /leave ends the chat.",
    ]
    assert alice.talk.status == "alice · PAIRED · in a chat with bob"
    assert bob.talk.status == "bob · PAIRED · in a chat with alice"
    assert bob.line.prompt == "To alice: "


def test_a_call_that_crosses_one_that_is_taken_back_is_no_call(hub: Hub) -> None:
    """The server took bob's CHAT for an answer that came too late; it is not sent again."""
    alice, bob = room(hub, "alice", "bob")
    alice.enter("bob")
    bob.enter("alice")
    alice.carry_up()
    alice.carry_down()
    alice.enter("/leave")
    alice.carry_up()
    settle(alice, bob)
    assert bob.shown() == [
        "alice is calling you, too.",
        "alice hung up.",
        "Your answer came too late: alice is not calling any more.",
    ]
    assert bob.sent == ["CHAT alice", "LEAVE"]
    check_free(alice, bob)


def test_an_answer_that_comes_too_late_is_no_call(call: tuple[Desk, Desk]) -> None:
    """Its line reaches nobody, also if alice is called again, and by another one, before the refusal has come."""
    alice, bob = call
    alice.enter("/leave")
    alice.carry_up()
    bob.enter("for that call")
    settle(alice, bob)
    assert bob.sent == ["CHAT alice", "MSG for that call", "LEAVE"]
    assert bob.shown()[1:] == [
        "alice hung up.",
        "Your answer came too late: alice is not calling any more.",
        "Your line did not reach alice.",
    ]
    assert "bob: for that call" not in alice.shown()
    check_free(alice, bob)


def test_an_answer_by_name_that_was_typed_for_a_call_that_is_over_is_dropped(call: tuple[Desk, Desk]) -> None:
    """R-CLIENT-13: neither at once nor when the LEAVE is answered does it become a call; typed again, it is one."""
    alice, bob = call
    bob.type("/chat al")
    alice.enter("/leave")
    settle(alice)
    bob.carry_down(shown=False)
    bob.shown()
    assert bob.finish("/chat alice") == ""
    assert bob.shown() == ["Nothing was sent, because you typed it for alice, and that call is over."]
    settle(alice, bob)
    assert bob.sent == ["LEAVE"]
    check_free(alice, bob)
    bob.enter("/chat alice")
    assert bob.sent == ["LEAVE", "CHAT alice"]


def test_a_line_that_was_typed_for_a_call_that_is_over_stays(call: tuple[Desk, Desk]) -> None:
    """Also while the answer that was sent before it is still to be refused: no other one gets it."""
    alice, bob = call
    bob.enter("first")
    bob.type("second")
    alice.enter("/leave")
    alice.carry_up()
    bob.carry_down()
    assert bob.finish("second") == "second"
    settle(alice, bob)
    assert bob.finish("second") == "second"
    assert bob.sent == ["CHAT alice", "MSG first", "LEAVE"]


def test_a_call_that_is_typed_before_the_end_is_left_follows_it(hub: Hub, call: tuple[Desk, Desk]) -> None:
    """The late answer is refused, the end is left, and then the other user is called, who was meant."""
    alice, bob = call
    carol = Desk(hub, "carol")
    settle(carol)
    bob.enter("hi")
    alice.enter("/leave")
    alice.carry_up()
    bob.carry_down()
    assert bob.talk.status == "bob · PAIRED · ending the call"
    bob.enter("carol")
    assert bob.sent == ["CHAT alice", "MSG hi"]
    settle(alice, bob, carol)
    assert bob.sent == ["CHAT alice", "MSG hi", "LEAVE", "CHAT carol"]
    assert bob.line.prompt == "To carol: "
    assert alice.talk.chat is None


def test_an_answer_that_meets_the_callers_leave_is_told(call: tuple[Desk, Desk]) -> None:
    """Alice has asked for the end already when bob's answer comes."""
    alice, bob = call
    alice.enter("/leave")
    bob.enter("hi")
    bob.carry_up()
    settle(alice, bob)
    assert alice.shown() == ["bob has answered, but you are ending the call.", "bob: hi", "The chat is over."]
    assert bob.shown()[-1] == "alice has left: the chat is over."
    assert (alice.sent, bob.sent) == (["LEAVE"], ["CHAT alice", "MSG hi", "LEAVE"])
    check_free(alice, bob)


def test_a_decline_that_comes_after_the_ring_is_over_is_none(hub: Hub, spec: Spec, call: tuple[Desk, Desk]) -> None:
    """What both read is what the server did; there is one LEAVE."""
    alice, bob = call
    bob.enter("/leave")
    ring_out(hub, bob, spec)
    settle(alice, bob)
    assert alice.shown() == ["bob did not answer."]
    assert bob.shown() == ["You did not answer in time: alice is not calling any more."]
    assert bob.sent == ["LEAVE"]
    check_free(alice, bob)


def test_two_that_leave_at_once_read_who_was_first(call: tuple[Desk, Desk]) -> None:
    """Bob has declined before alice's LEAVE was taken; each has sent one."""
    alice, bob = call
    alice.enter("/leave")
    bob.enter("/leave")
    bob.carry_up()
    settle(alice, bob)
    assert alice.shown() == ["bob has declined."]
    assert bob.shown() == ["You have declined alice's call."]
    assert (alice.sent, bob.sent) == (["LEAVE"], ["LEAVE"])
    check_free(alice, bob)


def test_a_call_that_comes_first_is_no_answer_to_ones_own(hub: Hub) -> None:
    """Alice calls bob while carol's call is taken: the words name neither a chat nor a decline."""
    alice, bob, carol = room(hub, "alice", "bob", "carol")
    alice.enter("bob")
    carol.enter("alice")
    carol.carry_up()
    settle(alice, bob, carol)
    assert alice.shown() == [
        "carol is calling you. Your first line answers the call, /leave declines it.",
        "bob was not called, because a call for you came first.",
    ]
    assert bob.shown() == []
    assert alice.line.prompt == "To carol: "


def test_an_answer_is_never_held(hub: Hub) -> None:
    """It cannot be sent while one's own call is unanswered; held, it would become a call when the caller has gone."""
    alice, _, carol = room(hub, "alice", "bob", "carol")
    alice.enter("bob")
    carol.enter("alice")
    carol.carry_up()
    alice.carry_down()
    alice.enter("/chat carol")
    assert alice.shown()[1] == "Not sent: the server has not answered yet."
    carol.carry_down()
    carol.enter("/leave")
    carol.carry_up()
    settle(alice, carol)
    assert alice.sent == ["CHAT bob", "LEAVE"]
    check_free(alice, carol)
