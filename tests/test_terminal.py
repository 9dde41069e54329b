"""The chat in a real terminal, typed on by a program that reads what is on its screen."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pexpect
import pytest

from pychat.server import Server
from pychat.spec import Spec, loads

from .conftest import PATIENCE, SPEC_FILE, Stage, need

ENTER, TAB, UP, CTRL_C, CTRL_D, CTRL_Z = "\r", "\t", "\x1b[A", "\x03", "\x04", "\x1a"
WHERE = "\x1b[6n"
# Where a cell already shows what it is to show, the cursor only steps over it: a few such cells stand for any letter.
STEP = re.compile(r"\x1b\[([1-3]?)C")
KEPT = "\ufffd"
# What else steers the screen is taken away: it is the words that count here.
STEERING = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[()=>][A-Z0-9]?|[\x00-\x08\x0e-\x1f]")


class Screen:
    """A person in front of `pychat client`."""

    def __init__(self, address: tuple[str, int], *options: str, under: Sequence[str] = (), **environment: str) -> None:
        """`under` is a command that starts what follows it."""
        host, port = address
        clean = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
        clean |= {"TERM": "xterm-256color"} | environment
        command = [*under, sys.executable, "-m", "pychat", "client", f"{host}:{port}", *options]
        self.child = pexpect.spawn(
            command[0], command[1:], env=clean, encoding="utf-8", timeout=PATIENCE, dimensions=(40, 160)
        )
        self.child.delaybeforesend = None
        self.raw = ""
        self._seen = 0  # characters of the words that were shown

    def see(self, *words: str) -> None:
        """Waits until these words are shown, one after another, after those that were seen before."""
        for each in words:
            wanted = re.compile("".join(f"[{re.escape(letter)}{KEPT}]" for letter in each))
            while (place := wanted.search(self._words(), self._seen)) is None:
                try:
                    self._read()
                except (pexpect.EOF, pexpect.TIMEOUT):
                    raise AssertionError(f"{each!r} is not in {self._words()[self._seen :]!r}") from None
            self._seen = place.end()

    def _read(self) -> None:
        octets = self.child.read_nonblocking(65536, PATIENCE)
        self.raw += octets
        for _ in range(octets.count(WHERE)):  # a terminal tells where its cursor is
            self.child.send("\x1b[30;1R")

    def _words(self) -> str:
        return STEERING.sub("", STEP.sub(lambda step: KEPT * int(step[1] or 1), self.raw))

    def type(self, keys: str) -> None:
        self.child.send(keys)

    def enter(self, line: str) -> None:
        self.child.send(line + ENTER)

    def end(self) -> int:
        """Waits until the program has ended; its exit code."""
        with suppress(pexpect.EOF):
            while True:
                self._read()
        self.child.close()
        assert self.child.exitstatus is not None, f"killed by the signal {self.child.signalstatus}"
        return int(self.child.exitstatus)


Sit = Callable[..., Screen]


@pytest.fixture
def sit() -> Iterator[Sit]:
    """Starts screens, and ends them."""
    screens: list[Screen] = []

    def down(address: tuple[str, int], *options: str, **environment: Any) -> Screen:
        screens.append(Screen(address, *options, **environment))
        return screens[-1]

    yield down
    for screen in screens:
        screen.child.close(force=True)


def test_a_person_finds_another_and_they_talk(start: Callable[..., Stage], sit: Sit) -> None:
    """The whole way: a name that is taken, who is there, Tab, a call, consent, lines, an end."""
    stage = start()
    bob = stage.user("Bob")
    alice = sit(stage.server.address)
    alice.see("Connected to", "Your name:")
    alice.enter("bob")
    alice.see("! You cannot be bob: That name is taken.", "Your name:")
    alice.enter("alice")
    alice.see("* You are alice.", "* Here is Bob (free).", "Chat with:", "alice · NAMED")
    alice.type("bo" + TAB)
    alice.see("Bob")
    alice.type(ENTER)
    alice.see("* You are in a chat with Bob; /leave ends it.", "To Bob:", "PAIRED")
    assert bob.line() == "PAIRED alice"
    alice.enter("Grüße, Bob!")
    alice.see("alice: Grüße, Bob!")
    assert bob.line() == "MSG Grüße, Bob!"
    bob.send("CHAT alice", "MSG hello")
    alice.see("Bob: hello")
    alice.enter("/leave")
    alice.see("* The chat is over.")
    assert bob.lines(2) == ["OK CHAT alice", "GONE alice left"]
    alice.enter("/quit")
    assert alice.end() == 0
    bob.send("WHO")
    assert bob.lines(2) == ["USER Bob busy", "OK WHO 1"]


def test_a_half_typed_line_survives_what_comes_and_accepts(start: Callable[..., Stage], sit: Sit) -> None:
    """Lines appear above it; Enter sends it whole, after the CHAT that accepts."""
    stage = start()
    bob = sit(stage.server.address, "--name", "bob")
    bob.see("Nobody else is here yet")
    alice = stage.user("alice")
    alice.send("CHAT bob")
    bob.see("* alice calls you. Answer to accept, /leave declines.")
    bob.type("half and ")
    bob.see("half and")
    alice.send("MSG first", "MSG second")
    bob.see("alice: first", "alice: second", "half and")
    bob.enter("whole")
    bob.see("bob: half and whole", "* You and alice hear each other now")
    assert alice.lines(2) == ["OK CHAT bob", "MSG half and whole"]


def test_a_half_typed_line_goes_to_nobody_else(start: Callable[..., Stage], sit: Sit) -> None:
    """Its partner goes while it stands there: it is not sent, and no LEAVE is said before it is off the line."""
    stage = start()
    bob, carol = stage.user("bob"), stage.user("carol")
    alice = sit(stage.server.address, "--name", "alice", "--chat", "bob")
    alice.see("You are in a chat with bob")
    alice.type("only for bob")
    alice.see("only for bob")
    assert bob.line() == "PAIRED alice"
    assert bob.ask("LEAVE") == "OK LEAVE"
    alice.see("* bob is gone (left).")
    assert carol.ask("CHAT alice") == "ERR CHAT user-busy That user is in a chat."
    alice.type(ENTER)
    alice.see("! Not sent, because you typed it for bob.", "* The chat is over.")
    assert carol.ask("CHAT alice") == "OK CHAT alice"
    alice.see("* carol calls you.")
    alice.type(UP)
    alice.see("only for bob")
    alice.enter(" - and carol")
    alice.see("alice: only for bob - and carol")
    assert carol.line() == "MSG only for bob - and carol"
    assert bob.barrier() == []


def test_what_comes_from_the_network_cannot_drive_the_screen(sit: Sit) -> None:
    """A server that sends an escape sequence is left; a bidirectional character is written out (R-CLIENT-8)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        alice = sit(listener.getsockname(), "--name", "alice")
        peer, _ = listener.accept()
        with peer:
            assert peer.recv(100) == b"NAME alice\n"
            peer.sendall("OK NAME alice\nPAIRED eve\nMSG txt.\u202eexe\tend\n".encode())
            alice.see("eve: txt.\\u202eexe    end")
            peer.sendall(b"MSG \x1b]0;owned\x07\n")
            alice.see("! The connection is lost: the server sent what is no frame")
    assert "\x1b]0;" not in alice.raw
    assert "\u202e" not in alice.raw


def test_the_octets_on_the_wire_can_be_seen(start: Callable[..., Stage], sit: Sit) -> None:
    """What a student looks for in a capture."""
    alice = sit(start().server.address, "--name", "alice")
    alice.see("Nobody else")
    alice.enter("/raw")
    alice.enter("/who")
    alice.see("→ 4 octets  WHO\\n", "57 48 4f 0a", "← 25 octets  USER alice free\\nOK WHO 1\\n")
    alice.enter("/help")
    alice.see("/chat <name>  opens a chat")
    alice.type("/qu" + TAB)
    alice.see("/quit")
    alice.type(ENTER)
    assert alice.end() == 0


def test_a_lost_connection_comes_back_with_the_name(spec: Spec, sit: Sit) -> None:
    """The server is stopped and started again on the same port; the half-typed line stands through it all."""
    with Server(spec, "127.0.0.1", 0) as server:
        address = server.address
        alice = sit(address, "--name", "alice")
        alice.see("* You are alice.", "Nobody else")
        alice.type("half")
        alice.see("half")
    alice.see("! The server ends the connection: The server is shutting down.")
    alice.see("not connected", "connection refused · next attempt in")
    with Server(spec, *address):
        alice.see("* Connected again.", "* You are alice again.", "half")
        alice.type(CTRL_C)
        alice.type(CTRL_D)
        assert alice.end() == 0


def test_a_person_may_think_about_his_name(start: Callable[..., Stage], sit: Sit) -> None:
    """The server does not wait for it for ever; the client connects again when there is one."""
    impatient = loads(
        SPEC_FILE.read_bytes().replace(b"after: 30 s, goodbye: timeout", b"after: 50 ms, goodbye: timeout")
    )
    alice = sit(start(impatient).server.address)
    alice.see("Your name:", "! The server ends the connection: You have been silent for too long.")
    alice.see("type your name to connect")
    alice.enter("alice")
    alice.see("* Connected again.", "* You are alice.")


def test_a_server_that_is_away_is_one_clear_line(sit: Sit) -> None:
    """And exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    alice = sit(address)
    alice.see(f"pychat: cannot connect to 127.0.0.1:{address[1]}: connection refused")
    assert alice.end() == 1
    assert alice.raw.count("\n") == 1


@pytest.mark.parametrize("keys", [CTRL_C, CTRL_D, "/quit" + ENTER])
def test_there_are_three_ways_to_end(start: Callable[..., Stage], sit: Sit, keys: str) -> None:
    """Each says QUIT, and exits with 0."""
    stage = start()
    alice = sit(stage.server.address, "--name", "alice", "--chat", "bob")
    alice.see("No chat with bob: There is no user of that name.")
    bob = stage.user("bob")
    assert bob.ask("CHAT alice") == "OK CHAT alice"
    alice.see("bob calls you")
    alice.type(keys)
    assert alice.end() == 0
    assert bob.line() == "GONE alice quit"


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_well(start: Callable[..., Stage], sit: Sit, signal_: signal.Signals) -> None:
    """The terminal is given back as it was, and the partner is told."""
    stage = start()
    bob = stage.user("bob")
    alice = sit(stage.server.address, "--name", "alice", "--chat", "bob")
    alice.see("You are in a chat with bob")
    alice.child.kill(signal_)
    assert alice.end() == 0
    assert bob.lines(2) == ["PAIRED alice", "GONE alice quit"]
    assert alice.raw.rfind("\x1b[?2004l") > alice.raw.rfind("\x1b[?2004h")  # pasting is as it was


def test_a_chat_can_be_put_aside(start: Callable[..., Stage], sit: Sit) -> None:
    """Ctrl-Z gives the terminal to the shell; `fg` brings the half-typed line back."""
    shell = (need("bash"), "-mc", '"$@"; echo the shell waits; read; fg >/dev/null', "shell")
    stage = start()
    bob = stage.user("bob")
    alice = sit(stage.server.address, "--name", "alice", "--chat", "bob", under=shell)
    alice.see("You are in a chat with bob")
    alice.type("half ")
    alice.see("half")
    alice.type(CTRL_Z)
    alice.see("the shell waits")
    alice.type("\n")
    alice.see("To bob: half")
    alice.enter("a line")
    alice.see("alice: half a line")
    assert bob.lines(2) == ["PAIRED alice", "MSG half a line"]
    alice.enter("/quit")
    assert alice.end() == 0


@pytest.mark.parametrize("terminal", ["dumb", "unknown"])
def test_a_terminal_without_a_cursor_gets_lines(start: Callable[..., Stage], sit: Sit, terminal: str) -> None:
    """As in a shell of Emacs: no escape sequence, and the commands of the line contract."""
    stage = start()
    bob = stage.user("bob")
    alice = sit(stage.server.address, "--name", "alice", TERM=terminal)
    alice.see("This terminal has no cursor. Commands: ", "connected", "named alice")
    alice.enter("chat bob")
    alice.see("chat bob", "chat bob")
    bob.send("CHAT alice", "MSG hi")
    alice.see("msg hi")
    alice.enter("quit")
    alice.see("bye")
    assert alice.end() == 0
    assert "\x1b" not in alice.raw


def test_two_screens_talk(start: Callable[..., Stage], sit: Sit) -> None:
    """Both ends are people."""
    stage = start()
    alice = sit(stage.server.address, "--name", "alice")
    alice.see("Nobody else is here yet")
    bob = sit(stage.server.address, "--name", "bob", "--chat", "alice")
    bob.see("You are in a chat with alice")
    alice.see("bob calls you")
    alice.enter("hello bob")
    bob.see("alice: hello bob")
    bob.enter("hello alice")
    alice.see("bob: hello alice")
    bob.enter("/leave")
    alice.see("bob is gone (left).", "The chat is over.", "Chat with:")


@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_names_have_colours_if_they_are_wanted(
    start: Callable[..., Stage], sit: Sit, environment: dict[str, str], coloured: bool
) -> None:
    """https://no-color.org"""
    stage = start()
    alice = sit(stage.server.address, "--name", "alice", **environment)
    alice.see("Nobody else")
    bob = stage.user("bob")
    bob.send("CHAT alice", "MSG hi")
    alice.see("bob: hi")
    assert bool(re.search(r"\x1b\[[0-9;]*[34]8;", alice.raw)) == coloured
