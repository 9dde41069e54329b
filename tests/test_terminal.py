"""The chat in a real terminal, typed on by a program that reads what is on its screen."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import socket
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pexpect
import pytest

from pychat.server.server import Server
from pychat.spec import Spec

from .conftest import PATIENCE, Peer, Stage, changed, need

ENTER, TAB, UP, ESCAPE, BELL = "\r", "\t", "\x1b[A", "\x1b", "\a"
CTRL_C, CTRL_D, CTRL_J, CTRL_O, CTRL_R, CTRL_S, CTRL_Z = "\x03\x04\n\x0f\x12\x13\x1a"
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
        deadline = time.monotonic() + PATIENCE
        for each in words:
            self._see(each, deadline=deadline)

    def see_either(self, *words: str) -> str:
        """Waits until one of these is shown, after those that were seen before; which one it is."""
        return self._see(*words, deadline=time.monotonic() + PATIENCE)

    def _see(self, *words: str, deadline: float) -> str:
        wanted = re.compile(
            "|".join("(" + "".join(f"[{re.escape(letter)}{KEPT}]" for letter in each) + ")" for each in words)
        )
        while (place := wanted.search(self._words(), self._seen)) is None:
            try:
                self._read(deadline - time.monotonic())
            except (pexpect.EOF, pexpect.TIMEOUT):
                raise AssertionError(f"{' or '.join(words)!r} is not in {self._words()[self._seen :]!r}") from None
        self._seen = place.end()
        return words[place.lastindex - 1] if place.lastindex else ""

    def _read(self, patience: float = PATIENCE) -> None:
        self.raw += self.child.read_nonblocking(65536, max(0.0, patience))
        assert WHERE not in self.raw, "an answer that comes too late would be typed into the shell"

    def _words(self) -> str:
        return STEERING.sub("", STEP.sub(lambda step: KEPT * int(step[1] or 1), self.raw))

    def type(self, keys: str) -> None:
        self.child.send(keys)

    def enter(self, line: str) -> None:
        self.child.send(line + ENTER)

    def enter_unread(self, line: str) -> None:
        """Types a line for a program that is stopped, and waits until the system has it for the program to read."""
        self.enter(line)
        deadline = time.monotonic() + PATIENCE
        terminal = os.open(f"/proc/{self.child.pid}/fd/0", os.O_RDONLY | os.O_NOCTTY)
        try:
            while int.from_bytes(fcntl.ioctl(terminal, termios.FIONREAD, bytes(4)), sys.byteorder) <= len(line):
                assert time.monotonic() < deadline, "the system has lost what was typed"
                os.sched_yield()
        finally:
            os.close(terminal)

    def end(self) -> int:
        """Waits until the program has ended; its exit code."""
        with suppress(pexpect.EOF):
            while True:
                self._read()
        modes = termios.tcgetattr(self.child.child_fd)[tty.LFLAG]
        assert modes & termios.ICANON, "the terminal is left in raw mode"
        assert modes & termios.ECHO, "the terminal is left without an echo"
        assert self.raw.rfind("\x1b[?2004l") >= self.raw.rfind("\x1b[?2004h"), "pasting is left as it was not"
        assert self.raw.rfind("\x1b[?25h") >= self.raw.rfind("\x1b[?25l"), "the cursor is left hidden"
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


@pytest.fixture
def in_a_chat(start: Callable[..., Stage], sit: Sit) -> tuple[Screen, Peer]:
    """A person who has called bob, and bob, who has not accepted yet."""
    stage = start()
    bob = stage.user("bob")
    alice = sit(stage.server.address, "--name", "alice", "--chat", "bob")
    alice.see("Calling bob …")
    return alice, bob


def test_a_person_finds_another_and_they_talk(start: Callable[..., Stage], sit: Sit) -> None:
    """The whole way: a name that is taken, the list of users, Tab, a call, consent, lines, an end."""
    stage = start()
    bob = stage.user("Bob")
    alice = sit(stage.server.address)
    alice.see("Connected to", "Your name:")
    alice.enter("bob")
    alice.see("! You cannot be bob: That name is taken.", "Your name:")
    alice.enter("alice")
    alice.see("* You are alice.", "* Here is Bob (free).", "Chat with:", "NAMED · type a name")
    alice.type("bo" + TAB)
    alice.see("Bob")
    alice.type(ENTER)
    alice.see("* Calling Bob … Your lines reach Bob at once.", "To Bob:", "PAIRED · Bob has not answered yet")
    assert bob.line() == "CALL alice"
    alice.enter("Grüße, Bob!")
    alice.see("alice: Grüße, Bob!")
    assert bob.line() == "MSG Grüße, Bob!"
    bob.send("CHAT alice", "MSG hello")
    alice.see("* Bob is here: you hear each other now.", "Bob: hello", "in a chat with Bob")
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
    bob.see("* alice is calling you. Your first line answers the call", "alice is calling: your first line")
    bob.type("half and ")
    bob.see("half and")
    alice.send("MSG first", "MSG second")
    bob.see("alice: first", "alice: second", "half and")
    bob.enter("whole")
    bob.see("bob: half and whole", "* You and alice hear each other now")
    assert alice.lines(3) == ["OK CHAT bob", "ACCEPTED bob", "MSG half and whole"]


def test_a_half_typed_line_goes_to_nobody_else(start: Callable[..., Stage], sit: Sit) -> None:
    """Its partner goes while it stands there: another one can call at once, and is not sent it."""
    stage = start()
    bob, carol = stage.user("bob"), stage.user("carol")
    alice = sit(stage.server.address, "--name", "alice", "--chat", "bob")
    alice.see("Calling bob …")
    alice.type("only for bob")
    alice.see("only for bob")
    assert bob.line() == "CALL alice"
    assert bob.ask("LEAVE") == "OK LEAVE"
    alice.see("* bob has declined.", "To bob (gone): only for bob")
    assert carol.ask("CHAT alice") == "OK CHAT alice"
    alice.see("* carol is calling you.", "To bob (gone): only for bob", "your draft is older than the call")
    alice.type(ENTER)
    alice.see("! Not sent, because you typed it for bob, and that call is over.", "To bob (gone): only for bob")
    alice.type(CTRL_C)
    alice.see("carol:", "first line answers")
    alice.type(UP)
    alice.see("only for bob")
    alice.enter(" - and carol")
    alice.see("alice: only for bob - and carol")
    assert carol.lines(2) == ["ACCEPTED alice", "MSG only for bob - and carol"]
    assert bob.barrier() == []


def test_what_comes_from_the_network_cannot_drive_the_screen(sit: Sit) -> None:
    """A server that sends an escape sequence is left; a bidirectional character is written out (R-CLIENT-8)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        alice = sit(listener.getsockname(), "--name", "alice")
        peer, _ = listener.accept()
        with peer:
            assert peer.recv(100) == b"NAME alice\n"
            peer.sendall("OK NAME alice\nCALL eve\nMSG txt.\u202eexe\tend\n".encode())
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
    alice.see("/chat <name>  calls a user")
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
    alice.see("not connected", "refused · next attempt in")
    with Server(spec, *address):
        alice.see("* Connected again.", "* You are alice again.", "half")
        alice.type(CTRL_C)
        alice.type(CTRL_D)
        assert alice.end() == 0


def test_a_person_may_think_about_his_name(start: Callable[..., Stage], sit: Sit) -> None:
    """The server does not wait for it for ever; the client connects again when there is one."""
    impatient = changed("after: {timers.registration.after}, goodbye: timeout", "after: 50 ms, goodbye: timeout")
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
    alice.see("bob is calling you")
    alice.type(keys)
    assert alice.end() == 0
    assert bob.line() == "GONE alice quit"


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_ends_it_well(in_a_chat: tuple[Screen, Peer], signal_: signal.Signals) -> None:
    """The terminal is given back as it was, and the partner is told."""
    alice, bob = in_a_chat
    alice.child.kill(signal_)
    assert alice.end() == 0
    assert bob.lines(2) == ["CALL alice", "GONE alice quit"]


def test_a_chat_can_be_put_aside(start: Callable[..., Stage], sit: Sit) -> None:
    """Ctrl-Z gives the terminal to the shell; `fg` brings the half-typed line back."""
    shell = (need("bash"), "-mc", '"$@"; echo the shell waits; read; fg >/dev/null', "shell")
    stage = start()
    bob = stage.user("bob")
    alice = sit(stage.server.address, "--name", "alice", "--chat", "bob", under=shell)
    alice.see("Calling bob …")
    alice.type("half ")
    alice.see("half")
    alice.type(CTRL_Z)
    alice.see("the shell waits")
    alice.type("\n")
    alice.see("To bob: half")
    alice.enter("a line")
    alice.see("alice: half a line")
    assert bob.lines(2) == ["CALL alice", "MSG half a line"]
    alice.enter("/quit")
    assert alice.end() == 0


def test_the_terminal_is_taken_again_after_a_stop(start: Callable[..., Stage], sit: Sit) -> None:
    """SIGSTOP cannot be caught, and the shell sets its own modes; Ctrl-C is a key again after `fg`."""
    shell = (need("bash"), "-mc", '"$@"; stty sane; echo the shell waits; read; fg >/dev/null', "shell")
    stage = start()
    bob = stage.user("bob")
    alice = sit(stage.server.address, "--name", "alice", "--chat", "bob", under=shell)
    alice.see("Calling bob …", "bob has not answered yet")  # the line, and the status below the prompt
    (client,) = Path(f"/proc/{alice.child.pid}/task/{alice.child.pid}/children").read_text().split()
    os.kill(int(client), signal.SIGSTOP)
    alice.see("the shell waits")
    alice.type("\n")
    alice.see("To bob:")
    alice.type("half" + CTRL_C)
    alice.enter("whole")
    alice.see("alice: whole")
    assert bob.lines(2) == ["CALL alice", "MSG whole"]
    alice.enter("/quit")
    assert alice.end() == 0


def test_keys_typed_while_it_is_stopped_are_not_for_a_caller(start: Callable[..., Stage], sit: Sit) -> None:
    """The call has come, but its user has not seen it: the line is sent to nobody.

    Call and keys are both there when the program goes on. Where it reads the call first, the line stays; where it
    reads the keys first, they are a name to call.
    """
    stage = start()
    alice = sit(stage.server.address, "--name", "alice")
    alice.see("Nobody else is here yet")
    bob = stage.user("bob")
    alice.child.kill(signal.SIGSTOP)
    assert bob.ask("CHAT alice") == "OK CHAT alice"
    alice.enter_unread("hello")
    alice.child.kill(signal.SIGCONT)
    alice.see("bob is calling you.")
    alice.see_either("! Not sent, because you began it before bob called.", "! hello was not called, because a call")
    assert bob.barrier() == []


@pytest.mark.parametrize("keys", [CTRL_R + CTRL_C, CTRL_S + CTRL_C, CTRL_R + "half" + CTRL_C, CTRL_R + CTRL_D + CTRL_C])
def test_ctrl_c_ends_a_search_alone(in_a_chat: tuple[Screen, Peer], keys: str) -> None:
    """The half-typed line stands there again."""
    alice, bob = in_a_chat
    alice.type("half " + keys)
    alice.enter("a line")
    alice.see("alice: half a line")
    assert bob.lines(2) == ["CALL alice", "MSG half a line"]


@pytest.mark.parametrize("keys", [ESCAPE + ENTER, CTRL_O, CTRL_J])
def test_every_key_that_accepts_a_line_is_enter(in_a_chat: tuple[Screen, Peer], keys: str) -> None:
    """None of them ends the program, and the line with it."""
    alice, bob = in_a_chat
    alice.type("a line" + keys)
    alice.see("alice: a line")
    alice.enter("another")
    alice.see("alice: another")
    assert bob.lines(3) == ["CALL alice", "MSG a line", "MSG another"]


def test_a_line_that_is_put_away_comes_back(in_a_chat: tuple[Screen, Peer]) -> None:
    """Also the draft behind a line of the history."""
    alice, bob = in_a_chat
    alice.enter("old")
    alice.see("alice: old")
    for keys, shown in (("draft", "draft"), (UP, "old"), (CTRL_C + "x", "x"), (UP, "old"), (UP, "draft")):
        alice.type(keys)
        alice.see(shown)
    alice.type(ENTER)
    alice.see("alice: draft")
    assert bob.lines(3) == ["CALL alice", "MSG old", "MSG draft"]


def test_many_names_are_no_question(start: Callable[..., Stage], sit: Sit) -> None:
    """Tab lists them as lines, and the keys are the input line's all the time."""
    stage = start()
    for number in range(60):
        stage.user(f"user{number:02d}")
    alice = sit(stage.server.address, "--name", "alice")
    alice.see("user59 (free)")
    alice.type("u" + TAB + TAB)
    alice.see("* user00  user01  ", "user49  … and 10 more")
    alice.type("07" + CTRL_C)
    alice.enter("user07")
    alice.see("Calling user07 …")


def test_a_paste_without_an_end_takes_no_keys_for_ever(start: Callable[..., Stage], sit: Sit) -> None:
    """Its end got lost on the way; what came of it is on the line after a moment."""
    alice = sit(start().server.address, "--name", "alice")
    alice.see("Nobody else")
    alice.type("\x1b[200~/he")
    alice.see("/he")
    alice.enter("lp")
    alice.see("/chat <name>  calls a user")


def test_a_silent_server_is_seen(sit: Sit) -> None:
    """Prompt and status say what is awaited and since when; what is typed stays; Ctrl-C gets out, twice at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        alice = sit(listener.getsockname())
        peer, _ = listener.accept()
        with peer:
            alice.see("Your name:")
            alice.enter("alice")
            alice.see("asking for the name alice")
            alice.enter("bob")
            alice.see("! Not sent: the server has not answered yet.", "> bob", "no answer for 2")
            assert peer.recv(100) == b"NAME alice\n"
            peer.sendall(b"OK NAME alice\n")
            alice.see("* You are alice.", "Chat with: bob")
            alice.type(CTRL_C + CTRL_C)
            while not termios.tcgetattr(alice.child.child_fd)[tty.LFLAG] & termios.ISIG:
                os.sched_yield()  # the editor has not given the terminal back yet
            alice.type(CTRL_C)
            assert alice.end() == 0
            assert "Aborted" not in alice.raw


def test_a_connection_that_takes_long_is_said(sit: Sit) -> None:
    """The server's queue of new connections is full, so that nothing answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, socket.socket() as first:
        first.connect(listener.getsockname())
        alice = sit(listener.getsockname())
        alice.see("Connecting to 127.0.0.1:", "Ctrl-C ends it")
        alice.type(CTRL_C)
        assert alice.end() == 1


def test_enter_in_an_outage_makes_no_wait_longer(spec: Spec, sit: Sit) -> None:
    """Each one is an attempt at once, and the waits after it begin anew: after eight, the next one is soon."""
    with Server(spec, "127.0.0.1", 0) as server:
        address = server.address
        alice = sit(address, "--name", "alice")
        alice.see("Nobody else")
    alice.see("not connected")
    for _ in range(8):
        alice.type(ENTER)
        alice.see("ng …", "refused · next attempt in")
    with Server(spec, *address):
        alice.see("* Connected again.")


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
    bob.see("Calling alice …")
    alice.see("bob is calling you", "bob is calling: your first line")
    alice.enter("hello bob")
    bob.see("alice: hello bob")
    bob.enter("hello alice")
    alice.see("bob: hello alice")
    bob.enter("/leave")
    alice.see("bob has left: the chat is over.", "Chat with:")


def test_a_call_that_nobody_answers_is_told_and_left(start: Callable[..., Stage], sit: Sit) -> None:
    """Neither of the two does anything; the called hears the bell, once, and the caller none."""
    impatient = changed("not answered], after: {timers.ring.after}", "not answered], after: 50 ms")
    stage = start(impatient)
    bob = sit(stage.server.address, "--name", "bob")
    bob.see("Nobody else is here yet")
    alice = sit(stage.server.address, "--name", "alice", "--chat", "bob")
    alice.see("* Calling bob …", "* bob did not answer.", "NAMED · type a name")
    bob.see(
        "* alice is calling you.", "* You did not answer in time: alice is not calling any more.", "NAMED · type a name"
    )
    carol = stage.user("carol")
    for called in ("alice", "bob"):
        assert carol.ask(f"CHAT {called}") == f"OK CHAT {called}"
        assert carol.ask("LEAVE") == "OK LEAVE"
    alice.see("* carol is calling you.", "* carol hung up.", "Chat with:")
    bob.see("* carol is calling you.", "* carol hung up.", "Chat with:")
    assert (alice.raw.count(BELL), bob.raw.count(BELL)) == (1, 2)


def test_a_missed_call_is_shown_at_once_and_at_the_end(start: Callable[..., Stage], sit: Sit) -> None:
    """The line that is being typed stays, and no bell disturbs it but the one of the call that was answered."""
    stage = start()
    bob = sit(stage.server.address, "--name", "bob")
    bob.see("Nobody else is here yet")
    alice, carol = stage.user("alice"), stage.user("carol")
    assert alice.ask("CHAT bob") == "OK CHAT bob"
    bob.see("* alice is calling you.", "To alice:")
    bob.enter("hi")
    assert alice.lines(2) == ["ACCEPTED bob", "MSG hi"]
    bob.type("half")
    for _ in range(2):
        assert carol.ask("CHAT bob").startswith("ERR CHAT user-busy")
    bob.see("* carol called; you were busy.", "To alice:", "half")
    assert alice.ask("LEAVE") == "OK LEAVE"
    bob.see("* alice has left: the chat is over.", "* You missed a call from carol.", "half")
    assert bob.raw.count(BELL) == 1


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
