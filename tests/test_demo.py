"""The demo is played for a newcomer: it must be right, fit on a terminal, and end well."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import unicodedata

import pexpect
import pytest

from pychat.client.client import Client
from pychat.client.connecting import ConnectError
from pychat.core.protocol import shipped_protocol
from pychat.demo import PLAY, run_demo

from .conftest import PATIENCE

COMMAND = [sys.executable, "-m", "pychat", "demo"]
ESCAPE = "\x1b"


def played(**environment: str) -> str:
    done = subprocess.run(COMMAND, capture_output=True, env=os.environ | environment, timeout=PATIENCE * 3, check=True)
    assert done.stderr == b""
    return done.stdout.decode()


@pytest.fixture(scope="module")
def text() -> str:
    """What it prints into a pipe."""
    return played(PYTHONIOENCODING="utf-8")


def test_every_request_and_every_answer_is_shown(text: str) -> None:
    """What the play has, as it was on the wire."""
    protocol = shipped_protocol()
    for scene in PLAY:
        assert scene.title in text
        for turn in scene.turns:
            if turn.meaning:
                assert f"{getattr(protocol, turn.meaning)} {turn.value}".rstrip() in text
    for line in ("OK NAME alice", "OK WHO 2", "CALL alice", "ERR MSG not-accepted", "ACCEPTED Bob", "GONE alice left"):
        assert line in text
    for line in ("ERR CHAT user-busy", "MISSED alice", "GONE alice declined", "OK QUIT", "BYE shutting-down"):
        assert line in text


def test_nothing_goes_on_when_a_client_cannot_connect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server's threads are no daemons: the program would never end."""

    def fail(*_: object, **__: object) -> Client:
        raise ConnectError("cannot connect", "no descriptor is left")

    monkeypatch.setattr(Client, "connect", fail)
    before = threading.active_count()
    assert run_demo() == 1
    assert threading.active_count() == before
    assert capsys.readouterr().err == "pychat: the demo failed: cannot connect: no descriptor is left\n"


def test_it_fits_on_a_terminal(text: str) -> None:
    """80 columns, and the lines of the three stand straight."""
    for line in text.splitlines():
        assert len(line) + sum(unicodedata.east_asian_width(char) == "W" for char in line) <= 80
        if re.match(" {4}[│◆]", line):
            assert re.fullmatch(" {4}[│◆].{35}│.{35}[│◆]", line)


def test_a_pipe_gets_no_colours(text: str) -> None:
    """Nor any other escape sequence."""
    assert ESCAPE not in text


def test_an_old_terminal_gets_letters_that_it_knows() -> None:
    """Arrows of ASCII."""
    text = played(PYTHONIOENCODING="ascii")
    assert text.isascii()
    assert "| NAME alice ---------------------> |" in text


@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_a_terminal_gets_colours_if_it_wants_them(environment: dict[str, str], coloured: bool) -> None:
    """https://no-color.org"""
    clean = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TERM")}
    child = pexpect.spawn(
        COMMAND[0], COMMAND[1:], env=clean | {"TERM": "xterm"} | environment, encoding="utf-8", timeout=PATIENCE * 3
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert (ESCAPE in (child.before or "")) == coloured
