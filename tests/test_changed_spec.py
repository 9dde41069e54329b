"""A changed copy of the spec changes server, machines and codec, with no change of code."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pychat.core.protocol import Protocol
from pychat.core.session import RemoteProtocolError, Session
from pychat.spec import SpecError

from .conftest import Stage, changed
from .table import Table


def test_a_renamed_verb() -> None:
    """CHAT becomes CALL everywhere, also on the wire and in refusals."""
    table = Table(changed("CALL", "RUNG", "CHAT", "CALL"))
    table.named("a", "b")
    assert table.say("a", "CHAT b") == "ERR * unknown-verb"
    assert table.say("a", "CALL x") == "ERR CALL no-such-user"
    assert table.say("a", "CALL b") == "OK CALL b"
    assert table.got("b") == "RUNG a"


def test_a_renamed_state() -> None:
    """No code knows a state by its name."""
    spec = changed(
        "  PAIRED:\n    doc", "  TALKING:\n    doc", "PAIRED]", "TALKING]", "to: PAIRED", "to: TALKING",
        "only_if: {PAIRED", "only_if: {TALKING",
    )  # fmt: skip
    table = Table(spec)
    table.chat()
    assert table.state("a") == "TALKING"
    assert table.say("a", "MSG hi") == ""
    assert table.got("b") == "MSG hi"


def test_a_carriage_return_that_belongs_to_no_ending() -> None:
    """Where LF alone is accepted, CRLF ends no frame well."""
    table = Table(changed("accepts: [LF, CRLF]", "accepts: [LF]"))
    assert table.octets("a", b"NAME a\r\n").startswith("ERR NAME bad-syntax")
    assert table.say("a", "NAME a") == "OK NAME a"


def test_a_new_error() -> None:
    """A new row with a new code, and its words."""
    table = Table(
        changed(
            "  name-taken: {words",
            "  name-reserved: {words: That name is reserved., doc: Nobody may have it.}\n  name-taken: {words",
            "        - {if: <name> is taken,",
            "        - {if: '<name> is \"root\"', error: name-reserved, rule: R-NAME-2}\n"
            "        - {if: <name> is taken,",
        )
    )
    assert table.say("a", "NAME root") == "ERR NAME name-reserved"
    assert table.say("a", "NAME roof") == "OK NAME roof"


def test_other_limits() -> None:
    """Longer names, shorter texts, smaller frames, fewer faults."""
    table = Table(
        changed(
            "{0,31}", "{0,39}", "octets: 1..{types.text.octets.most}", "octets: 1..30",
            "max_octets: {framing.max_octets}", "max_octets: 256",
            "octets: 1..200\n", "octets: 1..100\n", "faults: {budgets.CONNECTED.faults},", "faults: 2,",
        )
    )  # fmt: skip
    name = "x" * 40
    assert table.say("a", f"NAME {name}") == f"OK NAME {name}"
    assert table.say("a", "MSG 1234567890123456789012345678901") == "ERR MSG bad-syntax"
    assert table.octets("a", b"x" * 256).startswith("BYE line-too-long")
    assert "BYE too-many-errors" in table.say("b", "?", "?")


def test_one_more_timer_and_other_durations() -> None:
    """A second PING at 300 s, and a registration in 5 s."""
    table = Table(
        changed(
            "  silence: {since",
            "  second: {since: silence, after: 300 s, push: PING <number>, rule: R-TIME-2}\n  silence: {since",
            "after: {timers.registration.after}, goodbye", "after: 5 s, goodbye",
        )
    )  # fmt: skip
    table.named("a")
    table.later(120)
    table.later(179)
    assert table.got("a") == "PING 1"
    table.later(1)
    assert table.got("a") == "PING 2"
    table.open("b")
    table.later(5)
    assert table.got("b").startswith("BYE timeout")


def test_an_answer_that_says_somebody_elses_name_is_no_echo() -> None:
    """A client compares a field of an answer with its request only where the row says that it is the same."""
    spec = changed(
        "      LEAVE:\n        - {outcome: declined,",
        "      DIAL:\n        - {outcome: dialled, answer: OK DIAL <me>, rule: R-PING-1}\n"
        "      LEAVE:\n        - {outcome: declined,",
        "  LEAVE:\n    wire: LEAVE\n",
        "  DIAL:\n    wire: DIAL <name:name>\n    answer: OK DIAL <name:name>\n    doc: Says one's own name.\n"
        "  LEAVE:\n    wire: LEAVE\n",
    )
    session = Session(Protocol(spec))
    for sent, got in (("NAME a", "OK NAME a"), ("CHAT b", "OK CHAT B"), ("DIAL b", "OK DIAL a")):
        session.request(*sent.split(" "))
        assert [event.kind for event in session.receive(f"{got}\n".encode())] == ["answer"]
    session.request("PING", "t")
    with pytest.raises(RemoteProtocolError):
        list(session.receive(b"PONG u\n"))


def test_a_change_that_makes_no_sense_is_refused() -> None:
    """The same way in which every spec is."""
    with pytest.raises(SpecError, match="no error"):
        changed("error: user-busy", "error: user-bored")


def test_another_protocol_over_sockets(start: Callable[..., Stage], little: object) -> None:
    """The little spec, served: other verbs, CRLF, no acceptance, and a hang-up that frees both ends."""
    stage = start(little, io_threads=2)
    first, second = stage.peer(), stage.peer()
    assert first.ask("iam ann") == "yes iam ann\r"
    assert second.ask("iam bob") == "yes iam bob\r"
    assert first.ask("ring bob") == "yes ring bob\r"
    assert second.line() == "rung ann\r"
    second.send("say hello there")
    assert first.line() == "heard hello there\r"
    assert first.ask("hang") == "yes hang\r"
    assert second.line() == "over ann hung\r"
    assert second.ask("ring ann") == "yes ring ann\r"
    second.reset()
    assert [first.line(), first.line()] == ["rung bob\r", "over bob dead\r"]
    assert first.ask("NAME x") == "no * odd Odd.\r"


def test_the_reply_to_a_push_may_have_an_answer_itself() -> None:
    """What the client says by itself is a request like any other."""
    session = Session(Protocol(changed("reply: PONG <token>", "reply: PING <token>")))
    assert [event.reply for event in session.receive(b"PING t\n")] == [b"PING t\n"]
    assert [event.fields for event in session.receive(b"PONG t\n")] == [{"token": "t"}]
