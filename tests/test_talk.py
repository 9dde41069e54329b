"""What a person's lines mean, and above all for whom they are: real sessions and the real hub, each step by hand."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pychat.client.client import Ended
from pychat.client.talk import Chat
from pychat.core.codec import Codec
from pychat.core.hub import Hub
from pychat.core.protocol import Protocol
from pychat.spec import Spec, shipped

from .desk import Desk, come_back, lose, room, settle


@pytest.fixture
def hub(spec: Spec) -> Hub:
    """The server's protocol core."""
    return Hub(spec)


def test_a_name_is_asked_for_until_it_is_free(hub: Hub) -> None:
    """Then the other users are shown."""
    room(hub, "alice")
    desk = Desk(hub, None)
    assert desk.line.prompt == "Your name: "
    desk.enter("9lives")
    assert desk.shown()[0].startswith("'9lives' is no name. ")
    desk.enter("ALICE")
    settle(desk)
    assert desk.shown() == ["You cannot be ALICE: That name is taken."]
    assert desk.line.prompt == "Your name: "
    desk.enter(" bob ")
    settle(desk)
    assert desk.shown() == ["You are bob.", "Here is alice (free)."]
    assert desk.line.prompt == "Chat with: "
    assert desk.sent == ["NAME ALICE", "NAME bob", "WHO"]


def test_a_name_opens_a_chat_and_then_lines_are_said(hub: Hub) -> None:
    """As the course's description has it."""
    alice, bob = room(hub, "alice", "Bob")
    alice.enter("bob")
    settle(alice, bob)
    assert alice.shown() == ["Calling Bob … Your lines reach Bob at once. /leave ends the call."]
    assert alice.line.prompt == "To Bob: "
    assert bob.shown() == ["alice is calling you. Your first line answers the call, /leave declines it."]
    alice.enter("hello")
    settle(alice, bob)
    assert alice.shown() == ["alice: hello"]
    assert bob.shown() == ["alice: hello"]


def test_who_is_called_accepts_with_his_first_line(hub: Hub) -> None:
    """The acceptance and the line go together."""
    alice, bob = room(hub, "alice", "bob")
    alice.enter("bob")
    settle(alice, bob)
    assert "is calling: your first line answers" in bob.talk.status
    bob.enter("hi")
    assert bob.sent == ["CHAT alice", "MSG hi"]
    bob.enter("there")  # before the answer has come
    settle(alice, bob)
    assert bob.sent == ["CHAT alice", "MSG hi", "MSG there"]
    assert alice.shown()[-2:] == ["bob: hi", "bob: there"]
    assert bob.shown()[-1] == "You and alice hear each other now. /leave ends the chat."


def test_who_is_called_declines_with_leave(hub: Hub) -> None:
    """The caller learns it, and is free again by himself, since he types nothing."""
    alice, bob = room(hub, "alice", "bob")
    alice.enter("bob")
    settle(alice, bob)
    bob.enter("/leave")
    settle(alice, bob)
    assert bob.shown()[-1] == "You have declined alice's call."
    assert alice.shown()[-1] == "bob has declined."
    assert alice.line.prompt == bob.line.prompt == "Chat with: "


def test_a_line_begun_before_the_call_was_shown_accepts_nothing(hub: Hub) -> None:
    """It was for nobody, or a name; it is not said to the caller."""
    alice, bob = room(hub, "alice", "bob")
    bob.type("carol")
    alice.enter("bob")
    settle(alice, bob)
    assert bob.line.prompt == "Chat with: "
    assert bob.finish("carol") == "carol"
    settle(alice, bob)
    assert bob.sent == []
    assert bob.shown()[-1] == (
        "Not sent, because you began it before alice called. Ctrl-C puts it away, and Up brings it back."
    )
    bob.type("")
    assert bob.line.prompt == "To alice: "
    bob.enter("now for you")
    assert bob.sent == ["CHAT alice", "MSG now for you"]


def test_a_half_typed_line_is_for_nobody_else(hub: Hub) -> None:
    """It was typed for the partner who has gone. That chat is left at once, so that others can call."""
    alice, bob, carol = room(hub, "alice", "bob", "carol")
    alice.enter("bob")
    settle(alice, bob)
    alice.type("only for b")
    bob.enter("/leave")
    settle(alice, bob)
    assert alice.shown()[-1] == "bob has declined."
    assert alice.line.prompt == "To bob (gone): "
    assert alice.talk.status == "alice · NAMED · type a name to call that user"
    carol.enter("alice")
    settle(alice, carol)
    assert carol.shown() == ["Calling alice … Your lines reach alice at once. /leave ends the call."]
    for _ in range(2):
        assert alice.finish("only for bob") == "only for bob"
    alice.type("only for bob, and more")
    assert alice.finish("only for bob, and more") == "only for bob, and more"
    assert alice.sent == ["CHAT bob", "LEAVE"]
    assert set(alice.shown()[1:]) == {
        "Not sent, because you typed it for bob, and that call is over. Ctrl-C puts it away, and Up brings it back."
    }
    alice.type("")
    assert alice.line.prompt == "To carol: "
    alice.enter("only for bob, and carol")
    assert alice.sent[2:] == ["CHAT carol", "MSG only for bob, and carol"]


@pytest.mark.parametrize("line", ["dave", "carol", "//leave", "hello"])
def test_a_line_for_somebody_who_has_gone_is_no_name(hub: Hub, line: str) -> None:
    """Neither one to call, nor one to take after the connection was lost and the name with it."""
    alice, bob, _ = room(hub, "alice", "bob", "dave")
    alice.enter("bob")
    settle(alice, bob)
    alice.type(line)
    bob.enter("/leave")
    settle(alice, bob)
    assert alice.finish(line) == line
    alice.talk.happened(Ended("lost", "no route to host"))
    again = come_back(hub, alice)
    settle(again)
    assert again.talk.view.name is None  # the hub has it still
    assert again.finish(line) == line
    assert again.sent == ["NAME alice"]


def test_a_leave_is_for_the_chat_that_its_user_saw(hub: Hub) -> None:
    """Half typed when bob goes and carol calls, it does not decline her call; `/chat` says whom it is for."""
    alice, bob, carol = room(hub, "alice", "bob", "carol")
    alice.enter("bob")
    settle(alice, bob)
    alice.type("/leave")
    bob.enter("/leave")
    settle(alice, bob)
    carol.enter("alice")
    settle(alice, carol)
    assert alice.finish("/leave") == "/leave"
    assert alice.sent == ["CHAT bob", "LEAVE"]
    assert alice.finish("/chat carol") == ""
    assert alice.sent[2:] == ["CHAT carol"]
    assert alice.finish("/leave") == ""
    settle(alice, carol)
    assert alice.sent[3:] == ["LEAVE"]


def test_keys_that_were_pressed_before_a_call_was_shown_are_not_for_the_caller(hub: Hub) -> None:
    """The call has come, and the screen does not show it yet: a whole line, or one that is finished after it."""
    alice, bob = room(hub, "alice", "bob")
    alice.enter("bob")
    alice.carry_up()
    bob.carry_down(shown=False)
    bob.type("secret")
    assert bob.finish("secret") == "secret"
    bob.line.seen()
    assert bob.finish("secret") == "secret"
    assert bob.sent == []
    bob.type("")
    bob.enter("hello")
    assert bob.sent == ["CHAT alice", "MSG hello"]


@pytest.mark.parametrize("first", ["/who", "", "/help"])
def test_a_line_that_succeeds_does_not_show_a_call(hub: Hub, first: str) -> None:
    """Two lines wait in the terminal: the first is a command or empty, and the second is not for the caller."""
    alice, bob = room(hub, "alice", "bob")
    alice.enter("bob")
    alice.carry_up()
    bob.carry_down(shown=False)
    assert bob.enter(first) == ""
    assert bob.enter("secret") == "secret"
    assert "MSG secret" not in bob.sent


def test_a_leave_that_cannot_be_sent_is_not_taken_for_sent(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network takes nothing for a while: its user can leave later, and leaves a partner who has gone."""
    alice, bob = room(hub, "alice", "bob")
    alice.enter("bob")
    settle(alice, bob)

    def refuse(*_: object, **__: object) -> bytes:
        raise TimeoutError("the server takes nothing")

    with monkeypatch.context() as full:
        full.setattr(alice, "send", refuse)
        alice.enter("/leave")
        assert alice.shown()[-1] == "Not sent: the server takes nothing"
        bob.enter("/leave")
        bob.carry_up()
        alice.carry_down()
        assert "Not sent: the server takes nothing" not in alice.shown()
    alice.talk.tick(1.0)
    assert alice.sent[-1] == "LEAVE"
    settle(alice, bob)
    assert not alice.talk.in_chat


def test_a_name_that_is_called_before_a_call_is_shown_stays_on_the_line(hub: Hub) -> None:
    """The connection knows of the call, and its user does not."""
    alice, bob, _ = room(hub, "alice", "bob", "carol")
    alice.enter("bob")
    alice.carry_up()
    octets, bob.connection.outbox = b"".join(bob.connection.outbox), []
    events = list(bob.session.receive(octets))
    bob.type("carol")
    assert bob.finish("carol") == "carol"
    for event in events:
        bob.talk.happened(event)
    bob.line.seen()
    assert bob.finish("carol") == "carol"
    assert bob.sent == []


def test_another_one_with_the_same_name_is_another_one(hub: Hub) -> None:
    """A line that was half typed for bob when the connection was lost is not for the bob who calls after it."""
    alice, bob = room(hub, "alice", "bob")
    alice.enter("bob")
    settle(alice, bob)
    alice.type("sec")
    lose(hub, alice)
    again = come_back(hub, alice)
    settle(again, bob)
    bob.enter("alice")
    settle(again, bob)
    assert again.line.prompt == "To bob (earlier): "
    again.finish("secret")
    assert again.shown()[-1].startswith("Not sent, because you began it before bob called again. ")
    assert again.talk.chat is not None
    assert again.sent == ["NAME alice", "WHO"]


def test_a_call_that_loses_the_race_takes_no_line_along(hub: Hub) -> None:
    """Alice calls bob and types for him, but dave's call wins: the line is not said to dave."""
    alice, _, dave = room(hub, "alice", "bob", "dave")
    alice.enter("bob")
    alice.type("for bob alone")
    dave.enter("alice")
    dave.carry_up()
    settle(alice, dave)
    alice.type("for bob alone, he types on")
    alice.finish("for bob alone, he types on")
    settle(alice, dave)
    assert alice.sent == ["CHAT bob"]
    shown = alice.shown()
    assert shown[0] == "dave is calling you. Your first line answers the call, /leave declines it."
    assert shown[1] == "bob was not called, because a call for you came first."
    assert shown[2].startswith("Not sent, because you typed it for bob, and")
    assert not any("for bob" in line for line in dave.shown())
    alice.type("")
    alice.enter("hello dave")
    assert alice.sent == ["CHAT bob", "CHAT dave", "MSG hello dave"]


def test_a_line_that_follows_its_call_at_once_is_refused_with_it(hub: Hub) -> None:
    """It is not sent again by itself (R-CLIENT-5)."""
    alice, _, dave = room(hub, "alice", "bob", "dave")
    alice.enter("bob")
    alice.enter("hi bob")
    dave.enter("alice")
    dave.carry_up()
    settle(alice, dave)
    assert alice.sent == ["CHAT bob", "MSG hi bob"]
    assert alice.shown()[-1] == "Your line did not reach bob."


def test_crossing_calls_become_one_chat(hub: Hub) -> None:
    """What was typed for him meanwhile is for him."""
    alice, bob = room(hub, "alice", "bob")
    alice.enter("bob")
    bob.enter("alice")
    bob.type("hello a")
    alice.carry_up()
    bob.carry_down()
    bob.finish("hello alice")
    settle(alice, bob)
    assert bob.sent == ["CHAT alice", "MSG hello alice"]
    assert alice.shown()[-1] == "bob: hello alice"


def test_only_one_call_or_leave_is_unanswered(hub: Hub) -> None:
    """A leave that must wait for the call's answer is said after it; a second one is not."""
    alice, bob = room(hub, "alice", "bob")
    alice.enter("bob")
    alice.enter("/leave")
    alice.enter("/leave")
    assert alice.sent == ["CHAT bob"]
    settle(alice, bob)
    assert alice.sent == ["CHAT bob", "LEAVE"]
    assert alice.shown() == ["You have stopped calling bob."]
    assert alice.line.prompt == "Chat with: "
    assert bob.shown()[-1] == "alice hung up."


def test_a_leave_that_waits_is_not_for_another_chat(hub: Hub) -> None:
    """Alice takes her call to bob back, but dave's call wins: his is not declined by it."""
    alice, _, dave = room(hub, "alice", "bob", "dave")
    alice.enter("bob")
    alice.enter("/leave")
    dave.enter("alice")
    dave.carry_up()
    settle(alice, dave)
    assert alice.sent == ["CHAT bob"]
    assert alice.line.prompt == "To dave: "


def test_a_call_follows_a_leave(hub: Hub) -> None:
    """`/chat` after the partner has gone waits for the answer to LEAVE."""
    alice, bob, carol = room(hub, "alice", "bob", "carol")
    alice.enter("bob")
    settle(alice, bob)
    alice.type("/chat c")
    bob.enter("/leave")
    bob.carry_up()
    alice.carry_down()
    alice.finish("/chat carol")
    assert alice.sent == ["CHAT bob", "LEAVE"]
    settle(alice, bob, carol)
    assert alice.sent == ["CHAT bob", "LEAVE", "CHAT carol"]
    assert alice.line.prompt == "To carol: "


def test_a_chat_can_be_wanted_from_the_beginning(hub: Hub) -> None:
    """`--name` and `--chat`."""
    (bob,) = room(hub, "bob")
    alice = Desk(hub, "alice", chat="bob")
    settle(alice, bob)
    assert alice.line.prompt == "To bob: "


class Typist(Desk):
    """A user who does anything at any moment. Each line names the user for whom it was begun; Enter may come late."""

    half = ""
    saw: Chat | None = None  # as the screen showed it

    def act(self, chance: random.Random, names: list[str]) -> None:
        """One thing, at random."""
        kind = chance.randrange(6)
        if self.half:
            if kind < 3:
                self._finish(self.half)
            elif kind == 3:
                self.half = ""
                self.type("")
            else:
                self.type(self.half + " ")
                self.type(self.half)
        elif kind < 3:
            self.half = f"for {self.saw.name.lower() if self.saw else 'nobody'}"
            self.type(self.half[:2])
            self.type(self.half)
        else:
            line = chance.choice(["/leave", f"/chat {chance.choice(names)}", chance.choice(names)])
            self.type(line)
            self._finish(line)

    def _finish(self, line: str) -> None:
        self.half = self.finish(line)
        if not self.half:
            self.saw = self.talk.chat

    def carry(self, chance: random.Random) -> None:
        """One of the two directions moves; what comes is shown at once or later."""
        if chance.random() < 0.5:
            self.carry_up()
        else:
            self.carry_down(shown := chance.random() < 0.5)
            self.saw = self.talk.chat if shown else self.saw


@given(seed=st.integers(0, 2**32))
def test_no_line_ever_reaches_anybody_but_whom_it_was_begun_for(seed: int) -> None:
    """R-CLIENT-9, in whatever order things are typed, sent, taken and shown; and everybody ends up able to talk.

    Some calls ring out. Nobody believes of a partner what is not so, and nobody waits for one who has gone.
    """
    hub, chance = Hub(shipped()), random.Random(seed)
    (ring,) = (timer for timer in shipped().timers.values() if timer.since == "call")
    people = [Typist(hub, name) for name in ("alice", "Bob", "carol")]
    names = ["alice", "bob", "CAROL"]
    for _ in range(300):
        person = chance.choice(people)
        person.act(chance, names) if chance.random() < 0.5 else person.carry(chance)
        if person.connection.partner is not None and chance.random() < 0.1:
            hub.tick(person.connection, ring.after)
        for each in people:
            check_heard(each)
    settle(*people)
    for each in people:
        check_heard(each)
        assert not each.session.unanswered
        assert each.talk.view == each.session.view
        assert (each.talk.chat is not None) == each.talk.in_chat
        assert each.talk.chat is None or each.talk.chat.name == each.talk.view.partner
        partner = each.connection.partner
        assert each.talk.view.here == (partner is not None and partner.answered)
        assert each.talk.view.partner is not None or not each.talk.in_chat  # nobody waits for a lost partner


def check_heard(person: Desk) -> None:
    """Every line that he heard was begun for him."""
    lines, person.talk.lines = person.talk.lines, []
    heard = [line.text for line in lines if line.kind == "heard" and line.text.startswith("for ")]
    assert all(text == f"for {person.connection.name.lower()}" for text in heard)


def test_a_call_can_be_accepted_without_a_line(hub: Hub) -> None:
    """`/chat` and the caller's name; once is enough."""
    alice, bob = room(hub, "alice", "bob")
    alice.enter("bob")
    settle(alice, bob)
    bob.enter("/chat ALICE")
    settle(alice, bob)
    bob.enter("/chat alice")
    assert bob.sent == ["CHAT alice"]


def test_one_calls_one_after_another(hub: Hub) -> None:
    """A second call waits for the first one's answer, and its user is told so."""
    alice, bob = room(hub, "alice", "bob")
    alice.enter("bob")
    alice.enter("/chat carol")
    assert alice.sent == ["CHAT bob"]
    assert alice.shown() == ["Not sent: the server has not answered yet."]
    settle(alice, bob)
    alice.enter("  ")
    assert alice.sent == ["CHAT bob"]


def test_another_protocol_is_talked(little: Spec) -> None:
    """Without consent, and with a hang-up that frees both ends."""
    hub, protocol = Hub(little), Protocol(little)
    ann, bob = Desk(hub, "ann", protocol), Desk(hub, "bob", protocol)
    settle(ann, bob)
    ann.enter("bob")
    settle(ann, bob)
    assert bob.shown()[-1] == "ann calls you. /leave ends it."
    bob.enter("hello")
    assert bob.sent[-1] == "say hello"
    settle(ann, bob)
    assert ann.shown()[-1] == "bob: hello"
    ann.enter("/leave")
    settle(ann, bob)
    assert bob.shown()[-1] == "ann is gone (hung): the chat is over."
    assert ann.line.prompt == bob.line.prompt == "Chat with: "


def test_a_typed_line_is_encoded_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is checked before the call is accepted, and what was encoded then is what is sent."""
    alice, bob = room(hub, "alice", "bob")
    alice.enter("bob")
    settle(alice, bob)
    encoded: list[str] = []
    encode = Codec.encode_request

    def counted(codec: Codec, verb: str, fields: Mapping[str, str]) -> bytes:
        encoded.append(verb)
        return encode(codec, verb, fields)

    monkeypatch.setattr(Codec, "encode_request", counted)
    assert bob.enter("x" * 2001) == "x" * 2001
    assert (bob.sent, encoded) == ([], ["MSG"])
    bob.enter("hello")
    assert bob.sent == ["CHAT alice", "MSG hello"]
    assert encoded == ["MSG", "MSG", "CHAT"]
