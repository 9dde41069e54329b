"""The client's rules, without a socket: what may be sent now, what each frame means, and what no server may send."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pychat.core.connection import Connection
from pychat.core.hub import Hub
from pychat.core.protocol import Protocol
from pychat.core.session import MAX_UNANSWERED, Event, LocalProtocolError, RemoteProtocolError, Session, View
from pychat.spec import Spec, load, shipped
from pychat.spec.terms import EffectKind

from .conftest import ROOT, changed

ALICE = ("NAME alice", "OK NAME alice")
CALLED = (*ALICE, "", "CALL bob")
ANSWERED = (*CALLED, "CHAT bob", "OK CHAT bob")
CALLER = (*ALICE, "CHAT bob", "OK CHAT bob")
BOTH = (*CALLER, "", "ACCEPTED bob")
GONE = (*BOTH, "", "GONE bob left")


def play(*lines: str) -> Session:
    """A session to which this has happened: what it sent and what it got, by turns."""
    session = Session()
    for sent, got in zip(lines[::2], lines[1::2], strict=True):
        if sent:
            assert ask(session, sent) == f"{sent}\n".encode()
        take(session, got)
    return session


def ask(session: Session, line: str) -> bytes:
    verb, *values = line.split(" ", 1)
    return session.request(verb, *values)


def take(session: Session, *lines: str) -> list[Event]:
    return list(session.receive("".join(f"{line}\n" for line in lines if line).encode()))


def done(event: Event) -> tuple[EffectKind, ...]:
    """What one's own request has changed."""
    return () if event.mirrored else event.effects


def told(event: Event) -> tuple[EffectKind, ...]:
    """What the other end has changed."""
    return event.effects if event.mirrored else ()


# What one may send


@pytest.mark.parametrize(
    ("before", "line"),
    [
        ((), "HELLO 1"),
        ((), "NAME alice"),
        ((), "PING t"),
        ((), "QUIT"),
        (ALICE, "WHO"),
        (ALICE, "CHAT bob"),
        (CALLED, "CHAT bob"),
        (CALLED, "CHAT BOB"),
        (CALLED, "LEAVE"),
        (CALLER, "MSG  two  spaces "),
        (CALLER, "CHAT bob"),
        (CALLER, "LEAVE"),
        (GONE, "LEAVE"),
        (GONE, "QUIT"),
        ((*GONE, "LEAVE", "OK LEAVE"), "CHAT carol"),
    ],
)
def test_what_the_rules_allow_is_sent(before: tuple[str, ...], line: str) -> None:
    """In each state, the requests that have a place there."""
    assert ask(play(*before), line) == f"{line}\n".encode()


@pytest.mark.parametrize(
    ("before", "line", "why"),
    [
        ((), "WHO", "not possible in"),
        ((), "CHAT bob", "not possible in"),
        ((), "LEAVE", "not possible in"),
        ((), "MSG hi", "not possible in"),
        (ALICE, "NAME other", "not possible in"),
        (ALICE, "LEAVE", "not possible in"),
        (ALICE, "MSG hi", "not possible in"),
        (CALLED, "CHAT carol", "only if"),
        (GONE, "CHAT bob", "only if"),
        ((*ALICE, "CHAT bob", ""), "CHAT carol", "must wait"),
        ((*ALICE, "CHAT bob", ""), "LEAVE", "must wait"),
        ((*CALLER, "LEAVE", ""), "LEAVE", "must wait"),
        ((*CALLED, "LEAVE", ""), "CHAT bob", "must wait"),
        (("QUIT", ""), "PING t", "nothing follows QUIT"),
        (("QUIT", "OK QUIT"), "PING t", "is over"),
        (("", "BYE shutting-down x"), "PING t", "is over"),
    ],
)
def test_what_the_rules_forbid_is_not_sent(before: tuple[str, ...], line: str, why: str) -> None:
    """The three rules for clients; and no request that the client's own view has no place for."""
    session = play(*before)
    view, unanswered = session.view, session.unanswered
    with pytest.raises(LocalProtocolError, match=why):
        ask(session, line)
    assert (session.view, session.unanswered) == (view, unanswered)


@pytest.mark.parametrize(
    "line", ["JOIN x", "NAME 9", "NAME", "CHAT a b", "MSG \x1b", "MSG " + "x" * 2001, "PING \ud800"]
)
def test_what_is_no_request_is_not_sent(line: str) -> None:
    """No such verb, a field that breaks its type or is missing."""
    with pytest.raises(LocalProtocolError):
        ask(Session(), line)


def test_fields_may_be_named_and_not_too_many() -> None:
    """By name or in the order of the wire."""
    session = Session()
    assert session.request("NAME", name="alice") == b"NAME alice\n"
    with pytest.raises(LocalProtocolError, match="takes 1 fields, not 2"):
        session.request("NAME", "a", "b")


def test_a_line_may_follow_its_call_at_once() -> None:
    """R-CLIENT-4; when the call was refused, so is the line, and that is no surprise."""
    session = play(*ALICE)
    ask(session, "CHAT bob")
    assert ask(session, "MSG hi") == b"MSG hi\n"
    refused = take(session, "ERR CHAT user-busy x", "ERR MSG wrong-state x")
    assert [(event.verb, event.code) for event in refused] == [("CHAT", "user-busy"), ("MSG", "wrong-state")]
    assert refused[0].request == {"name": "bob"}
    with pytest.raises(LocalProtocolError, match="not possible in NAMED"):
        ask(session, "MSG again")


def test_it_is_told_whether_waiting_may_help() -> None:
    """An answer that is still to come may allow it; without one, nothing will."""
    session = play()
    with pytest.raises(LocalProtocolError) as caught:
        ask(session, "WHO")
    assert not caught.value.waiting
    ask(session, "NAME alice")
    with pytest.raises(LocalProtocolError) as caught:
        ask(session, "WHO")
    assert caught.value.waiting
    take(session, "OK NAME alice")
    assert ask(session, "WHO") == b"WHO\n"


def test_what_is_remembered_is_bounded() -> None:
    """However many requests nobody answers, and however many lines are said."""
    session = play(*CALLER)
    for _ in range(100_000):
        ask(session, "MSG x")
    for _ in range(MAX_UNANSWERED):
        ask(session, "PING x")
    with pytest.raises(LocalProtocolError, match="unanswered") as caught:
        ask(session, "PING x")
    assert caught.value.waiting


# What comes


def test_a_whole_conversation_moves_the_view() -> None:
    """Each frame has its meaning, and the view after it."""
    session = Session()
    ask(session, "NAME alice")
    (named,) = take(session, "OK NAME alice")
    assert done(named) == ("bind",)
    assert named.view == View("NAMED", "alice")
    ask(session, "WHO")
    users = take(session, "USER alice free", "USER Bob busy", "OK WHO 2")
    assert [event.kind for event in users] == ["item", "item", "answer"]
    assert users[1].name == "Bob"
    assert done(users[2]) == ("list",)
    (called,) = take(session, "CALL Bob")
    assert told(called) == ("link",)
    assert called.view == View("PAIRED", "alice", "Bob", here=True)
    assert (called.by, called.cause) == ("partner", "CHAT")
    (line,) = take(session, "MSG  two  spaces ")
    assert told(line) == ("relay",)
    assert line.text == " two  spaces "
    ask(session, "CHAT bob")
    (accepted,) = take(session, "OK CHAT Bob")
    assert done(accepted) == ("accept",)
    assert accepted.view == View("PAIRED", "alice", "Bob", answered=True, accepted=True, here=True)
    (gone,) = take(session, "GONE Bob lost")
    assert told(gone) == ("unlink",)
    assert gone.cause is None
    assert gone.view == View("PAIRED", "alice")
    ask(session, "LEAVE")
    (left,) = take(session, "OK LEAVE")
    assert done(left) == ("unlink",)
    assert left.view == View("NAMED", "alice")
    ask(session, "QUIT")
    (end,) = take(session, "OK QUIT")
    assert end.view.state == "CLOSED"
    assert session.closed


def test_a_ping_is_answered() -> None:
    """R-CLIENT-7, in every state."""
    for before in ((), ALICE, CALLED, GONE):
        (event,) = take(play(*before), "PING !~")
        assert event.reply == b"PONG !~\n"


def test_an_acceptance_is_taken_back_by_the_server() -> None:
    """`already-paired` while there is a partner: one's lines are heard only after another CHAT to him."""
    session = play(*ALICE)
    ask(session, "CHAT bob")
    take(session, "CALL dave", "ERR CHAT already-paired x")
    assert session.view == View("PAIRED", "alice", "dave", here=True)
    take(play(*ANSWERED), "MSG hi")


def test_crossing_calls_both_succeed() -> None:
    """One's own CHAT, answered after PAIRED, is the acceptance."""
    session = play(*ALICE)
    ask(session, "CHAT bob")
    events = take(session, "CALL bob", "OK CHAT bob")
    assert events[0].view.accepted is False
    assert done(events[1]) == ("accept",)
    assert session.view == View("PAIRED", "alice", "bob", answered=True, accepted=True, here=True)


def test_a_caller_learns_that_the_called_has_answered() -> None:
    """Not before ACCEPTED; then lines may come, and the partner leaves as one who was here."""
    session = play(*CALLER)
    assert session.view == View("PAIRED", "alice", "bob", answered=True, accepted=True)
    answered, line, gone = take(session, "ACCEPTED bob", "MSG hi", "GONE bob left")
    assert (told(answered), answered.cause) == (("accept",), "CHAT")
    assert answered.view == View("PAIRED", "alice", "bob", answered=True, accepted=True, here=True)
    assert line.text == "hi"
    assert gone.view == View("PAIRED", "alice")


@pytest.mark.parametrize("before", [CALLER, CALLED, BOTH, ANSWERED, GONE])
def test_a_missed_call_changes_nothing(before: tuple[str, ...]) -> None:
    """It may come at any moment of a chat, also after the partner has gone."""
    session = play(*before)
    view = session.view
    (missed,) = take(session, "MISSED carol")
    assert (missed.by, missed.name, missed.effects) == ("other", "carol", ())
    assert session.view == view


@pytest.mark.parametrize(
    ("before", "reasons"),
    [
        (CALLER, "declined unanswered quit lost timeout"),
        (CALLED, "left unanswered quit lost timeout"),
        (BOTH, "left quit lost timeout"),
        (ANSWERED, "left quit lost timeout"),
    ],
)
def test_an_end_has_the_reasons_that_the_view_allows(before: tuple[str, ...], reasons: str) -> None:
    """Who has answered cannot decline, and a call that both have answered does not run out."""
    for reason in shipped().types["reason"].one_of:
        session = play(*before)
        if reason in reasons.split():
            take(session, f"GONE bob {reason}")
            assert session.view == View("PAIRED", "alice")
        else:
            with pytest.raises(RemoteProtocolError):
                take(session, f"GONE bob {reason}")


def test_a_frame_of_a_later_protocol_is_ignored() -> None:
    """R-CLIENT-12: its verb is none of a reply; but the items of a list and its answer stand together."""
    session = play(*ALICE)
    assert [event.key for event in take(session, "NOTICE hi", "CHAT \ufffd", "PING t")] == ["PING"]
    ask(session, "WHO")
    with pytest.raises(RemoteProtocolError, match="not finished"):
        take(session, "NOTICE before", "USER alice free", "NOTICE between", "OK WHO 1")


def test_a_refused_line_is_found_among_many() -> None:
    """Lines have no answer when they succeed, so those before the refused one have been delivered."""
    session = play(*BOTH)
    for line in ("MSG 1", "MSG 2", "PING t", "MSG 3"):
        ask(session, line)
    take(session, "PONG t", "GONE bob left")
    (refused,) = take(session, "ERR MSG partner-gone x")
    assert (refused.verb, refused.code, refused.text) == ("MSG", "partner-gone", "x")
    with pytest.raises(RemoteProtocolError):
        take(session, "ERR MSG partner-gone x")


def test_a_code_that_is_not_known_is_no_fault() -> None:
    """A later version may add codes: the request is refused, and nothing changes."""
    session = play(*ALICE)
    ask(session, "CHAT bob")
    before = session.view
    (event,) = take(session, "ERR CHAT later-code x")
    assert (event.kind, event.code, event.verb, session.view) == ("refusal", "later-code", "CHAT", before)
    assert ask(session, "CHAT bob")


def test_requests_still_open_get_no_answer_after_the_goodbye() -> None:
    """BYE is the last frame."""
    session = play(*ALICE)
    ask(session, "WHO")
    (event,) = take(session, "BYE timeout You were silent.")
    assert (event.kind, event.code, event.text) == ("goodbye", "timeout", "You were silent.")
    assert session.unanswered == ()
    assert session.closed


@pytest.mark.parametrize(
    ("before", "line"),
    [
        ((), "OK NAME alice"),  # nobody asked
        (("NAME alice", ""), "OK NAME bob"),
        (("NAME alice", ""), "OK HELLO 1 core"),
        (("NAME alice", ""), "ERR WHO wrong-state x"),
        (("NAME alice", ""), "ERR NAME user-busy x"),
        (("NAME alice", ""), "ERR NAME name-taken"),  # words are never empty
        (("NAME alice", ""), "OK"),
        (("HELLO 1", ""), "OK HELLO 2 core"),
        (("PING a", ""), "PONG b"),
        ((), "PONG a"),
        ((), "CALL bob"),
        ((), "MSG hi"),
        ((), "GONE bob left"),
        ((), "ACCEPTED bob"),
        ((), "MISSED bob"),
        ((), ""),
        ((), "hello"),
        ((), "ok name alice"),
        ((), "OK NOTICE"),
        ((), "PING"),
        ((), "PING a b"),
        ((), "ERR * bad-syntax x"),
        (ALICE, "MSG hi"),
        (ALICE, "GONE bob left"),
        (ALICE, "USER alice free"),
        (ALICE, "ACCEPTED bob"),
        (ALICE, "MISSED bob"),
        (ALICE, "ERR MSG wrong-state x"),
        ((*ALICE, "WHO", ""), "OK WHO 1"),
        ((*ALICE, "WHO", "USER alice free"), "OK WHO 2"),
        ((*ALICE, "WHO", "USER alice free"), "PING t"),
        ((*ALICE, "WHO", "USER alice free"), "CALL bob"),
        ((*ALICE, "WHO", "USER alice free"), "ERR WHO bad-syntax x"),
        ((*ALICE, "WHO", ""), "USER alice sleeping"),
        ((*ALICE, "CHAT bob", ""), "OK CHAT carol"),
        ((*ALICE, "CHAT bob", ""), "MSG hi"),
        (CALLED, "CALL carol"),
        (CALLED, "ACCEPTED bob"),
        (ANSWERED, "ACCEPTED bob"),
        (BOTH, "ACCEPTED bob"),
        (CALLER, "ACCEPTED carol"),
        (GONE, "ACCEPTED bob"),
        (CALLER, "MSG hi"),
        (CALLED, "GONE carol left"),
        (CALLED, "GONE bob bored"),
        (CALLED, "MSG \x1b[2J"),
        (CALLED, "MSG " + "x" * 2001),
        (CALLED, "ERR MSG not-accepted x"),
        ((*CALLER, "MSG hi", ""), "ERR MSG not-accepted x"),
        ((*CALLER, "MSG hi", ""), "ERR MSG partner-gone x"),
        ((*CALLED, "CHAT bob", "GONE bob left"), "OK CHAT bob"),
        (GONE, "MSG hi"),
        (GONE, "GONE bob left"),
        (("QUIT", "OK QUIT"), "PING t"),
        (("", "BYE timeout x"), "BYE timeout x"),
    ],
)
def test_what_a_server_may_not_send(before: tuple[str, ...], line: str) -> None:
    """Nothing unexpected is taken for something else, and nothing more is received after it."""
    session = play(*before)
    with pytest.raises(RemoteProtocolError):
        list(session.receive(f"{line}\n".encode()))
    with pytest.raises(RemoteProtocolError):
        take(session, "PING t")


def test_a_line_without_an_end_is_not_waited_for() -> None:
    """The buffer holds one frame at most."""
    session = Session()
    assert take(session) == []
    with pytest.raises(RemoteProtocolError, match="too long"):
        list(session.receive(b"MSG " + b"x" * shipped().framing.max_octets))


# Arbitrary octets

PUSHED = ["CALL bob", "ACCEPTED bob", "MISSED carol", "MSG hi", "GONE bob left", "GONE bob unanswered", "PING t"]
ANSWERS = ["OK NAME alice", "OK CHAT bob", "OK LEAVE", "OK WHO 1", "USER a free", "PONG t"]
REFUSALS = ["ERR CHAT user-busy x", "ERR MSG partner-gone x", "ERR * bad-syntax x", "BYE timeout x", "LATER x"]
FRAMES = st.sampled_from([*PUSHED, *ANSWERS, *REFUSALS])
STREAMS = st.lists(FRAMES.map(str.encode) | st.binary(max_size=8), max_size=12).map(lambda lines: b"\n".join(lines))


def outcome(session: Session, chunks: Iterable[bytes]) -> tuple[list[Event], str | None, View]:
    events: list[Event] = []
    try:
        for chunk in chunks:
            events.extend(session.receive(chunk))
    except RemoteProtocolError as error:
        return events, str(error), session.view
    return events, None, session.view


@given(
    STREAMS, st.sampled_from([(), ALICE, CALLED, CALLER, BOTH, GONE, (*ALICE, "WHO", ""), (*CALLED, "CHAT bob", "")])
)
def test_a_session_takes_any_octets_however_they_are_cut(stream: bytes, before: tuple[str, ...]) -> None:
    """Either events or RemoteProtocolError, and the same ones whole and octet by octet."""
    whole = outcome(play(*before), [stream])
    cut = outcome(play(*before), [bytes([octet]) for octet in stream])
    assert whole == cut


# Against the hub: both follow from one table


class Line:
    """A session and the hub's connection, with what is on its way between them."""

    def __init__(self, hub: Hub, protocol: Protocol, name: str) -> None:
        self.hub, self.name = hub, name
        self.session, self.connection = Session(protocol), Connection()
        self.up: deque[bytes] = deque()
        self.down: deque[bytes] = deque()
        hub.open(self.connection, "here", 0.0, loopback=True)

    def act(self, chance: random.Random, names: list[str]) -> None:
        """Asks for anything; what the rules forbid is not sent."""
        spec = self.session.protocol.spec
        verb = chance.choice([verb for verb in spec.requests if verb != self.session.protocol.quit])
        values = []
        for part in spec.requests[verb].form.fields:
            bound = verb == self.session.protocol.bind
            person = self.name if bound else chance.choice(names)
            values.append(person if part.type == spec.names else chance.choice(spec.types[part.type].good))
        try:
            self.up.append(self.session.request(verb, *values))
        except LocalProtocolError:
            assert verb not in spec.states[self.session.state].recv or spec.client.only_if or self.session.unanswered

    def carry(self, chance: random.Random) -> None:
        """Takes one chunk a step further, in either direction."""
        if self.up and chance.random() < 0.5:
            self.hub.receive(self.connection, self.up.popleft(), 0.0)
        elif self.down:
            for event in self.session.receive(self.down.popleft()):
                if event.reply:
                    self.up.append(event.reply)

    def collect(self) -> None:
        octets, self.connection.outbox = b"".join(self.connection.outbox), []
        self.connection.queued = 0
        if octets:
            self.down.append(octets)


@pytest.mark.parametrize("which", ["shipped", "little"])
@given(seed=st.integers(0, 2**32))
def test_the_view_is_the_servers_state_when_all_has_come(which: str, seed: int, little: Spec) -> None:
    """Whatever several users ask for, in whatever order it travels: no frame is unexpected, and the views agree."""
    spec = shipped() if which == "shipped" else little
    protocol, hub, chance = Protocol(spec), Hub(spec), random.Random(seed)
    lines = [Line(hub, protocol, name) for name in ("alice", "bob", "carol")]
    names = [line.name for line in lines]
    for _ in range(150):
        line = chance.choice(lines)
        line.act(chance, names) if chance.random() < 0.4 else line.carry(chance)
        for each in lines:
            each.collect()
    while any(line.up or line.down for line in lines):
        for line in lines:
            line.carry(chance)
            for each in lines:
                each.collect()
    for line in lines:
        view, connection = line.session.view, line.connection
        assert view.state == connection.state == line.session.state
        assert (view.name or "") == connection.name
        assert view.partner == (connection.partner.name if connection.partner else None)
        assert (view.accepted, view.answered) == (connection.accepted, connection.answered)
        assert view.here == (connection.partner is not None and connection.partner.answered)
        assert not line.session.unanswered


def test_a_changed_spec_is_followed() -> None:
    """Another verb, another push, another error, another limit: no code knows the old ones."""
    spec = changed(
        *("CHAT", "TALK"),
        *("PAIRED", "LINKED"),
        *("CALL", "RUNG"),
        *("user-busy", "engaged"),
        *("octets: 1..{types.text.octets.most}", "octets: 1..20"),
        *("max_octets: {framing.max_octets}", "max_octets: 512"),
    )
    protocol = Protocol(spec)
    assert (protocol.link, protocol.relay, protocol.quit) == ("TALK", "MSG", "QUIT")
    session = Session(protocol)
    session.request("NAME", "alice")
    take(session, "OK NAME alice")
    session.request("TALK", "bob")
    (refused,) = take(session, "ERR TALK engaged x")
    assert refused.code == "engaged"
    (called,) = take(session, "RUNG bob")
    assert told(called) == ("link",)
    with pytest.raises(LocalProtocolError, match="21 octets"):
        session.request("MSG", "x" * 21)
    with pytest.raises(RemoteProtocolError, match="too long"):
        list(session.receive(b"x" * 512))


def test_lists_without_an_end_and_refusals_of_their_own_form() -> None:
    """What the shipped protocol does not use: a greeting, items that nothing ends, an error with a frame of its own."""
    session = Session(Protocol(load(ROOT / "tests" / "board.yaml")))
    (greeting,) = take(session, "WELCOME to the notice board")
    assert (greeting.kind, greeting.by) == ("push", "server")
    session.request("NAME", "ann")
    (refused,) = take(session, "NAME first")
    assert (refused.code, refused.verb, refused.request) == ("say-name", "NAME", {"name": "ann"})
    assert session.unanswered == ()
    session.request("NAME", "ann")
    take(session, "OK NAME ann")
    session.request("WHO")
    session.request("PING", "1")
    users = take(session, "USER ann idle", "NEWS lost 1 bob a hat", "USER bob reader")
    assert [(event.kind, event.verb) for event in users if event.kind == "item"] == [("item", "WHO")] * 2
    take(session, "PONG 1")
    with pytest.raises(RemoteProtocolError, match="no WHO"):
        take(session, "USER carol idle")
