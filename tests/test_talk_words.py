"""What a person is told: where he stands, what was not sent and why, what the wire carried, what was lost."""

from __future__ import annotations

import pytest

from pychat.client.client import Ended, Wire
from pychat.client.input_line import COMMANDS, InputLine
from pychat.client.phrases import Phrases
from pychat.client.talk import MOST_LISTED, Talk
from pychat.core.hub import Hub
from pychat.spec import Spec

from .desk import Desk, come_back, lose, room, settle


@pytest.fixture
def hub(spec: Spec) -> Hub:
    """The server's protocol core."""
    return Hub(spec)


def test_what_cannot_be_sent_is_said_clearly(hub: Hub) -> None:
    """One line each, and nothing on the wire."""
    alice, bob = room(hub, "alice", "bob")
    for line, words in (
        ("/leave", "You are in no chat."),
        ("/dance", "There is no /dance."),
        ("/chat", "It is used so: /chat <name>"),
        ("/who now", "It is used so: /who"),
        ("hello-there!", "'hello-there!' is no name."),
        ("hello there", "You are in no chat. Type the name of a user to call that user."),
    ):
        alice.enter(line)
        assert alice.shown()[0].startswith(words)
    assert alice.sent == []
    alice.enter("bob")
    settle(alice, bob)
    alice.shown()
    alice.enter("/chat carol")
    assert alice.shown() == ["carol was not called: you are calling bob. /leave ends the call."]
    alice.enter("x" * 2001)
    assert alice.shown() == ["Not sent: the line has 2001 octets, and 2000 are the most."]
    bob.enter("bell\x07")
    assert bob.shown()[-1] == "Not sent: the line has a character that cannot be sent."
    assert bob.sent == []  # not even the acceptance
    alice.enter("//slash")
    assert alice.sent[-1] == "MSG /slash"


def test_a_pasted_text_is_said_line_by_line(hub: Hub) -> None:
    """Each line is a frame."""
    alice, bob = room(hub, "alice", "bob")
    alice.enter("bob")
    settle(alice, bob)
    alice.enter("one\ntwo\n")
    assert alice.sent[1:] == ["MSG one", "MSG two"]


def test_a_pasted_text_is_no_row_of_commands(hub: Hub) -> None:
    """A pasted log may hold a line `/quit`: only the first line can be a command."""
    alice, bob = room(hub, "alice", "bob")
    alice.enter("bob")
    settle(alice, bob)
    alice.shown()
    alice.enter("a log:\n/quit\n//\n")
    assert alice.sent[1:] == ["MSG a log:", "MSG /quit", "MSG //"]
    assert not alice.talk.done
    alice.enter("/raw\nis on")
    assert alice.wire
    assert alice.sent[-1] == "MSG is on"


@pytest.mark.parametrize("separator", "\v\f\x1c\x1d\x1e\x85\u2028\u2029\r")
def test_only_a_line_feed_ends_a_line(hub: Hub, separator: str) -> None:
    """What Unicode has beside it ends none: it is a character like others, sent if the protocol has it."""
    alice, bob = room(hub, "alice", "bob")
    alice.enter("bob")
    settle(alice, bob)
    alice.enter(f"see{separator}/quit")
    assert alice.sent[1:] in ([], [f"MSG see{separator}/quit"])
    assert not alice.talk.done


def test_a_name_that_cannot_be_is_not_wanted_any_more(hub: Hub) -> None:
    """Wherever it came from, it is said how a name looks, in words, and it is not tried again."""
    desk, typed = Desk(hub, "9lives"), Desk(hub, None)
    typed.enter("9lives")
    assert desk.sent == typed.sent == []
    assert desk.talk.wanted_name is None
    words = desk.shown()
    assert words == typed.shown()
    assert len(words) == 1
    assert words[0].endswith("These are names: a, Zoe, alice, B-2_x.")
    assert come_back(hub, desk).shown() == []


def test_the_status_says_why_there_is_no_connection(hub: Hub) -> None:
    """And nothing beside it that is known, so that it fits."""
    (alice,) = room(hub, "alice")
    lose(hub, alice)
    alice.talk.trouble = "connection refused · next attempt in 0.8 s"
    assert alice.talk.status == "alice · connection refused · next attempt in 0.8 s"
    again = come_back(hub, alice)
    settle(again)
    assert again.talk.status == "alice · NAMED · type a name to call that user"


def test_the_name_is_taken_again_after_a_loss(hub: Hub) -> None:
    """And what was typed for the lost chat goes nowhere."""
    alice, bob = room(hub, "alice", "bob")
    alice.enter("bob")
    settle(alice, bob)
    alice.type("half")
    lose(hub, alice)
    assert alice.shown()[-1] == "The connection is lost: the server closed the connection"
    assert alice.finish("half a line") == "half a line"
    assert alice.shown()[-1].startswith("Not sent, because you typed it for bob, and")
    again = come_back(hub, alice)
    settle(again)
    assert again.shown() == ["You are alice again.", "Here is bob (busy)."]
    assert again.sent == ["NAME alice", "WHO"]


def test_a_name_that_is_still_taken_after_a_loss_is_asked_for(hub: Hub) -> None:
    """The lost connection may hold it for a while."""
    (alice,) = room(hub, "alice")
    alice.talk.happened(Ended("lost", "no route to host"))
    again = come_back(hub, alice)
    settle(again)
    assert again.shown()[-1].endswith("Perhaps it is your lost connection that has it still.")
    assert again.line.prompt == "Your name: "


def test_octets_are_shown_when_they_are_wanted(hub: Hub) -> None:
    """/raw, as a capture shows them."""
    (alice,) = room(hub, "alice")
    alice.enter("/raw")
    assert alice.wire
    alice.talk.happened(Wire("received", b"MSG \x1b\xff\n"))
    assert alice.shown()[1:] == [
        "← 7 octets  MSG \\x1b\\xff\\n",
        "  0000  4d 53 47 20 1b ff 0a                              MSG ...",
    ]
    alice.talk.happened(Wire("sent", b"x" * 5000))
    assert alice.shown()[-1] == "  … and 3976 more"
    alice.enter("/raw")
    assert not alice.wire


def test_help_names_every_command(hub: Hub) -> None:
    """From the same table that runs them."""
    (alice,) = room(hub, "alice")
    alice.enter("/help")
    text = "\n".join(alice.shown())
    assert all(f"/{command}" in text for command in COMMANDS)
    alice.enter("/quit")
    assert alice.talk.done


def test_the_status_says_what_can_be_done(hub: Hub) -> None:
    """The user's name, the state of the protocol, and words for people."""
    (bob,) = room(hub, "bob")
    alice = Desk(hub, None)
    assert alice.talk.status == "no name · CONNECTED · type the name that you want"
    alice.enter("alice")
    settle(alice)
    assert alice.talk.status == "alice · NAMED · type a name to call that user"
    alice.enter("bob")
    assert alice.talk.status == "alice · NAMED · calling bob …"
    settle(alice, bob)
    assert alice.talk.status == "alice · PAIRED · bob has not answered yet, but gets your lines"
    assert bob.talk.status == "bob · PAIRED · alice is calling: your first line answers, /leave declines"
    bob.enter("hi")
    assert bob.talk.status == "bob · PAIRED · answering alice …"
    settle(alice, bob)
    assert alice.talk.status == "alice · PAIRED · in a chat with bob"
    assert bob.talk.status == "bob · PAIRED · in a chat with alice"
    bob.type("half")
    alice.enter("/leave")
    assert alice.talk.status == "alice · PAIRED · leaving the chat"
    assert alice.line.prompt == "Chat with: "
    settle(alice, bob)
    assert bob.talk.status == "bob · NAMED · type a name to call that user"
    lose(hub, bob)
    assert bob.talk.status == "bob · CLOSED"


def test_the_end_is_told_once(hub: Hub, spec: Spec) -> None:
    """The server's goodbye in its words; one's own with none."""
    alice, bob = room(hub, "alice", "bob")
    alice.enter("bob")
    settle(alice, bob)
    bob.shown()
    alice.send(alice.session.protocol.quit or "", timeout=0)
    settle(alice, bob)
    assert alice.shown() == ["Calling bob … Your lines reach bob at once. /leave ends the call."]
    assert bob.shown() == ["alice has quit: the call is over."]
    hub.shutdown(0.0)
    bob.carry_down()
    goodbye = spec.goodbye_when("stop")
    assert goodbye is not None
    words = goodbye.words
    bob.talk.happened(Ended("goodbye", words))
    assert bob.shown() == [f"The server ends the connection: {words}"]


def test_what_has_no_place_is_refused_in_words(hub: Hub) -> None:
    """And a call that was taken back, and then refused, needs no LEAVE."""
    desk = Desk(hub, None)
    desk.enter("/who")
    assert desk.shown() == ["Take a name first."]
    (alice,) = room(hub, "alice")
    alice.enter("bob")
    alice.enter("/leave")
    settle(alice)
    assert alice.shown() == ["No chat with bob: There is no user of that name."]
    assert alice.line.prompt == "Chat with: "
    alice.enter("/leave")
    assert alice.shown() == ["You are in no chat."]


def test_without_a_connection_nothing_is_lost(hub: Hub) -> None:
    """What is typed then is not sent, and can be brought back; a name is kept for the next connection."""
    alice, nobody = room(hub, "alice")[0], Desk(hub, None)
    lose(hub, alice)
    alice.shown()
    alice.enter("hello")
    assert alice.shown() == ["Not sent, because there is no connection."]
    assert alice.line.prompt == "> "
    assert alice.finish("hello") == "hello"
    alice.shown()
    alice.enter("/chat bob")
    alice.enter("/who")
    assert alice.shown() == ["There is no connection.", "Not sent: there is no connection"]
    alice.enter("/raw")
    assert come_back(hub, alice).wire
    nobody.enter("/chat bob")
    assert nobody.shown() == ["Take a name first."]
    lose(hub, nobody)
    nobody.shown()
    nobody.enter("carol")
    assert nobody.shown() == []
    again = come_back(hub, nobody)
    settle(again)
    assert again.talk.view.name == "carol"


def test_a_list_that_never_ends_fills_no_memory(hub: Hub) -> None:
    """What is more than anybody reads is not kept."""
    (alice,) = room(hub, "alice")
    alice.enter("/who")
    for number in range(MOST_LISTED + 5):
        for event in alice.session.receive(b"USER user%d free\n" % number):
            alice.talk.happened(event)
    for event in alice.session.receive(b"OK WHO %d\n" % (MOST_LISTED + 5)):
        alice.talk.happened(event)
    assert len(alice.talk.users) == MOST_LISTED


def test_what_is_typed_while_an_answer_is_awaited_stays_on_the_line(hub: Hub) -> None:
    """A second line is no second name; when the answer has come, the line is for what is asked for then."""
    desk = Desk(hub, None)
    desk.enter("alice")
    assert desk.line.prompt == "> "
    assert desk.talk.status == "no name · CONNECTED · asking for the name alice"
    assert desk.enter("bob") == "bob"
    assert desk.shown() == ["Not sent: the server has not answered yet."]
    settle(desk)
    assert desk.sent == ["NAME alice", "WHO"]
    assert desk.line.prompt == "Chat with: "
    assert desk.finish("bob") == ""
    assert desk.sent[2:] == ["CHAT bob"]


def test_a_line_typed_while_an_answer_is_awaited_is_not_for_a_caller(hub: Hub) -> None:
    """The answer and a call come before it is finished."""
    (alice,) = room(hub, "alice")
    desk = Desk(hub, None)
    desk.enter("bob")
    desk.type("carol")
    desk.carry_up()
    alice.enter("bob")
    settle(alice, desk)
    assert desk.talk.chat is not None
    assert desk.finish("carol") == "carol"
    assert desk.sent == ["NAME bob", "WHO"]


def test_what_is_typed_before_the_start_is_no_name(hub: Hub) -> None:
    """`--name` has said it; without it, the first line is the name."""
    for name, lines, rest in (("alice", ["hello"], "hello"), (None, ["bob", "carol"], "carol")):
        before = Desk(hub, None)
        before.talk = Talk(before.session.protocol, Phrases(), name)
        before.line = InputLine(before.talk)
        for line in lines:
            before.type(line)
            last = before.finish(line)
        assert last == rest
        desk = come_back(hub, before)
        settle(desk)
        assert desk.sent == [f"NAME {name or lines[0]}", "WHO"]
        assert desk.line.prompt == "Chat with: "


def test_a_server_that_does_not_answer_is_seen(hub: Hub) -> None:
    """After a moment, with the seconds; then it is said once that the connection seems dead, until something comes."""
    desk = Desk(hub, None)
    desk.talk.tick(0.0)
    desk.talk.tick(100.0)
    assert desk.talk.status == "no name · CONNECTED · type the name that you want"
    desk.enter("alice")
    for now, words in ((101.0, ""), (102.0, ""), (103.0, " · no answer for 2 s")):
        desk.talk.tick(now)
        assert desk.talk.status == "no name · CONNECTED · asking for the name alice" + words
    assert desk.shown() == []
    for now in (116.0, 117.0):
        desk.talk.tick(now)
        assert desk.talk.status.endswith(f" · no answer for {now - 101:.0f} s: the connection seems dead")
    assert desk.shown() == [
        "The server does not answer: the connection seems dead. Ctrl-C on an empty line ends the program."
    ]
    settle(desk)
    desk.talk.tick(118.0)
    assert desk.talk.status == "alice · NAMED · type a name to call that user"


def test_lines_that_the_server_does_not_take_are_seen(hub: Hub) -> None:
    """A line has no answer; that its octets stay unacknowledged shows a dead connection, too."""
    alice, bob = room(hub, "alice", "bob")
    alice.enter("bob")
    settle(alice, bob)
    alice.enter("hello")
    for now in (1.0, 4.0):
        alice.talk.tick(now)
    assert alice.talk.status == "alice · PAIRED · bob has not answered yet, but gets your lines · no answer for 3 s"
    lose(hub, alice)
    alice.talk.tick(5.0)
    assert alice.talk.status == "alice · CLOSED"


def test_a_line_that_is_too_long_can_be_made_shorter(hub: Hub) -> None:
    """It stays, and of a pasted text all that is behind it."""
    alice, bob = room(hub, "alice", "bob")
    alice.enter("bob")
    settle(alice, bob)
    long = "x" * 2001
    assert alice.enter(f"one\n{long}\nthree") == f"{long}\nthree"
    assert alice.sent == ["CHAT bob", "MSG one"]
    assert alice.finish("short\nthree") == ""
    assert alice.sent[2:] == ["MSG short", "MSG three"]
