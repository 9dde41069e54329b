"""The line contract, as a program drives it: commands on stdin, lines on stdout, an exit code."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pychat.client.plain import LONGEST_LINE
from pychat.spec import Spec, load

from .conftest import PATIENCE, SPEC_FILE, Stage


class Plain:
    """A running `pychat client` without a terminal."""

    def __init__(self, address: tuple[str, int], *options: str) -> None:
        host, port = address
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pychat", "client", f"{host}:{port}", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().removesuffix("\n")

    def tell(self, *commands: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{command}\n" for command in commands).encode())
        self.process.stdin.flush()

    def ask(self, command: str) -> str:
        self.tell(command)
        return self.line()

    def end(self, octets: bytes = b"") -> tuple[int, list[str], str]:
        """Sends the rest and the end of stdin; the exit code, the lines and what stands on stderr."""
        out, errors = self.process.communicate(octets, timeout=PATIENCE)
        return self.process.returncode, out.decode().splitlines(), errors.decode()


@pytest.fixture
def run() -> Iterator[Callable[..., Plain]]:
    """Starts clients, and ends them at the end."""
    clients: list[Plain] = []

    def make(address: tuple[str, int], *options: str) -> Plain:
        clients.append(Plain(address, *options))
        return clients[-1]

    yield make
    for client in clients:
        client.process.kill()
        client.process.communicate()


def test_two_programs_talk(start: Callable[..., Stage], run: Callable[..., Plain]) -> None:
    """Every command, and every line that the contract prints."""
    address = start().server.address
    alice, bob = run(address), run(address, "--plain")
    assert alice.line() == bob.line() == "connected"
    assert alice.ask("hello 1") == "hello 1 core"
    assert alice.ask("name alice") == "named alice"
    assert bob.ask("name Alice") == "error NAME name-taken"
    assert bob.ask("name Bob") == "named Bob"
    assert alice.ask("ping t1") == "pong t1"
    assert {alice.ask("who"), alice.line(), alice.line()} == {"user alice free", "user Bob free", "users 2"}
    assert alice.ask("chat bob") == "chat Bob"
    assert bob.line() == "called alice"
    alice.tell("say  Grüße, \u202e🙂 ")
    assert bob.line() == "msg  Grüße, \u202e🙂 "  # to a program, octet for octet
    assert bob.ask("say too early") == "error MSG not-accepted"
    assert bob.ask("chat alice") == "chat alice"
    assert alice.line() == "accepted Bob"
    assert bob.ask("leave") == "left"
    assert alice.line() == "gone Bob left"
    assert alice.ask("say too late") == "error MSG partner-gone"
    assert alice.ask("leave") == "left"
    assert alice.end(b"quit\n") == (0, ["bye"], "")
    assert bob.end() == (0, ["bye"], "")  # the end of stdin is as good


def test_a_call_ends_for_a_program_when_it_says_so(start: Callable[..., Stage], run: Callable[..., Plain]) -> None:
    """A decline and a missed call are printed; the program alone leaves, and is busy until then."""
    stage = start()
    bob = stage.user("bob")
    alice = run(stage.server.address, "--name", "alice", "--chat", "bob")
    assert [alice.line() for _ in range(3)] == ["connected", "named alice", "chat bob"]
    assert bob.line() == "CALL alice"
    assert bob.ask("LEAVE") == "OK LEAVE"
    assert alice.line() == "gone bob declined"
    assert bob.ask("CHAT alice").startswith("ERR CHAT user-busy ")
    assert alice.line() == "missed bob"
    assert alice.ask("leave") == "left"
    assert bob.ask("CHAT alice") == "OK CHAT alice"
    assert alice.line() == "called bob"


def test_a_script_does_what_it_says(start: Callable[..., Stage], run: Callable[..., Plain]) -> None:
    """Commands that must wait for an answer wait, and those behind them; what no answer will allow is refused."""
    stage = start()
    bob = stage.user("bob")
    script = b"name alice\nchat bob\nsay hello\nsay again\nleave\nleave\nchat carol\nwho\nquit\nname never"
    code, lines, errors = run(stage.server.address).end(script)
    assert bob.lines(4) == ["CALL alice", "MSG hello", "MSG again", "GONE alice left"]
    assert lines[:4] == ["connected", "named alice", "chat bob", "left"]
    assert lines[4].startswith("refused leave ")
    assert lines[5] == "error CHAT no-such-user"
    assert set(lines[6:]) == {"user alice free", "user bob busy", "users 2", "bye"}
    assert (code, errors) == (0, "")


def test_what_is_no_command_is_refused(start: Callable[..., Stage], run: Callable[..., Plain]) -> None:
    """With the command's word and words for people; nothing is sent for it."""
    client = run(start().server.address)
    client.line()
    client.tell("", " ping ignored")
    assert client.ask("dance").split(";")[0] == "refused dance no such command"
    assert client.ask("NAME alice").startswith("refused NAME no such command")
    assert client.ask("x" * 300 + " y").startswith("refused " + "x" * 300 + " no such command")
    assert client.ask("name") == "refused name needs <name>"
    assert client.ask("quit ") == client.ask("quit now") == "refused quit takes no words"
    assert client.ask("name 9").startswith("refused name the name of NAME is not of its form: A user's name")


def test_a_line_behind_a_refused_call_is_for_nobody(start: Callable[..., Stage], run: Callable[..., Plain]) -> None:
    """R-CLIENT-9: it was typed for the user named in the call, and not for the present partner."""
    stage = start()
    bob, alice = stage.user("bob"), run(stage.server.address, "--name", "alice", "--chat", "bob")
    assert [alice.line() for _ in range(3)] == ["connected", "named alice", "chat bob"]
    assert bob.line() == "CALL alice"
    for call in ("carol", "9"):
        assert alice.ask(f"chat {call}").startswith("refused chat ")
        assert alice.ask(f"say secret for {call}") == "refused say it follows a CHAT that was refused"
    assert alice.ask("chat carol") == "refused chat CHAT is possible in PAIRED only if carol is the partner"
    assert alice.ask("chat bob") == "chat bob"
    alice.tell("say hello bob")
    assert bob.line() == "MSG hello bob"


def test_a_script_without_a_server_says_so(run: Callable[..., Plain]) -> None:
    """One clear line, exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    code, lines, errors = run(address).end(b"name alice\n")
    assert (code, lines) == (1, [])
    assert errors == f"pychat: cannot connect to 127.0.0.1:{address[1]}: connection refused\n"


def test_a_lost_server_is_told(run: Callable[..., Plain]) -> None:
    """`lost` without a BYE, `goodbye` with one; both exit with 1, though stdin is open."""
    for last, lines in (
        (b"", ["connected", "lost the server closed the connection"]),
        (b"BYE timeout x\n", ["connected", "goodbye timeout"]),
        (b"OK BEEP\n", ["connected", "lost the server sent what is no frame (syntax): OK BEEP"]),
    ):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = run(listener.getsockname())
            peer, _ = listener.accept()
            with peer:
                peer.sendall(last)
        assert [client.line() for _ in lines] == lines
        assert client.process.wait(PATIENCE) == 1


@pytest.mark.parametrize(
    ("last", "line"),
    [(b"BYE timeout x\n", "goodbye timeout"), (b"", "lost the server closed the connection"), (b"OK QUIT\n", "bye")],
)
def test_only_an_answered_end_is_a_success(run: Callable[..., Plain], last: bytes, line: str) -> None:
    """After `quit`, the exit code says whether the server has taken everything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = run(listener.getsockname())
        peer, _ = listener.accept()
        with peer:
            assert client.line() == "connected"
            client.tell("quit")
            assert peer.recv(100) == b"QUIT\n"
            peer.sendall(last)
    assert client.line() == line
    assert client.process.wait(PATIENCE) == (0 if line == "bye" else 1)


def test_a_disk_that_is_full_is_said_in_one_line(start: Callable[..., Stage]) -> None:
    """Where stdout is a file."""
    host, port = start().server.address
    command = [sys.executable, "-m", "pychat", "client", f"{host}:{port}", "--plain"]
    with open("/dev/full", "w") as full:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (result.returncode, result.stderr) == (1, "pychat: cannot print: no space left on device\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_an_empty_one(start: Callable[..., Stage], closed: str) -> None:
    """Otherwise the next socket takes its descriptor, and the server's octets are read as commands."""
    host, port = start().server.address
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "pychat", "client", f"{host}:{port}"]
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == ("" if ">" in closed else "connected\nbye\n")


def test_an_stdin_that_does_not_block_is_waited_for(start: Callable[..., Stage]) -> None:
    """Its flag belongs to all that share it, so the program that started the client may have set it."""
    host, port = start().server.address
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    command = [sys.executable, "-m", "pychat", "client", f"{host}:{port}"]
    with subprocess.Popen(command, stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        os.close(reader)
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "connected\n"
        os.write(writer, b"ping t\n")
        assert process.stdout.readline() == "pong t\n"
        os.close(writer)
        assert process.wait(PATIENCE) == 0
        assert process.stderr.read() == ""


def test_a_ping_is_answered_and_not_printed(run: Callable[..., Plain]) -> None:
    """By the client itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = run(listener.getsockname())
        peer, _ = listener.accept()
        with peer:
            peer.sendall(b"PING hello\n")
            assert peer.recv(100) == b"PONG hello\n"
            peer.sendall(b"BYE timeout x\n")
        assert client.end()[1] == ["connected", "goodbye timeout"]


def test_names_may_stand_on_the_command_line(start: Callable[..., Stage], run: Callable[..., Plain]) -> None:
    """`--name` and `--chat` are the first commands."""
    stage = start()
    bob = stage.user("bob")
    client = run(stage.server.address, "--name", "alice", "--chat", "bob")
    assert [client.line() for _ in range(3)] == ["connected", "named alice", "chat bob"]
    assert bob.line() == "CALL alice"
    assert client.end(b"say a last line without an end")[:2] == (0, ["bye"])
    assert bob.lines(2) == ["MSG a last line without an end", "GONE alice quit"]


def test_nothing_that_is_typed_can_hurt(start: Callable[..., Stage], run: Callable[..., Plain]) -> None:
    """Octets that are no text, lines without an end, control characters."""
    client = run(start().server.address, "--name", "alice")
    assert [client.line(), client.line()] == ["connected", "named alice"]
    junk = b"say \xff\xfe\n\x1b[2J\n" + b"x" * (3 * LONGEST_LINE) + b"\nping t\n"
    code, lines, errors = client.end(junk)
    assert (code, errors) == (0, "")
    assert [line.split(" ")[0] for line in lines] == ["refused", "refused", "refused", "pong", "bye"]
    assert not any("\x1b" in line for line in lines)


def test_a_reader_that_goes_away_is_no_accident(start: Callable[..., Stage], run: Callable[..., Plain]) -> None:
    """As in `pychat client | head -1`."""
    client = run(start().server.address)
    client.line()
    assert client.process.stdout is not None
    client.process.stdout.close()
    client.tell("ping t")
    assert client.process.wait(PATIENCE) == 1
    assert client.process.stderr is not None
    assert client.process.stderr.read() == b""


def test_a_changed_contract_is_followed(start: Callable[..., Stage], run: Callable[..., Plain], tmp_path: Path) -> None:
    """Other verbs and other words of the contract, with no change of code."""
    file = tmp_path / "changed.yaml"
    text = (
        SPEC_FILE.read_text().replace("CALL", "RUNG").replace("CHAT", "CALL").replace("chat: {sends:", "dial: {sends:")
    )
    file.write_text(text.replace("MSG: msg <text>", "MSG: heard <text>"))
    stage = start(load(file))
    bob = stage.user("bob")
    client = run(stage.server.address, "--spec", str(file), "--name", "alice")
    client.tell("dial bob", "say hi")
    assert bob.lines(2) == ["RUNG alice", "MSG hi"]
    bob.send("MSG not yet", "CALL alice", "MSG hello")
    assert [client.line() for _ in range(5)] == ["connected", "named alice", "chat bob", "accepted bob", "heard hello"]


def test_another_protocol_is_spoken(little: Spec, start: Callable[..., Stage], run: Callable[..., Plain]) -> None:
    """The second little spec: other verbs, other states, no consent."""
    stage = start(little)
    options = ("--spec", str(SPEC_FILE.parents[1] / "tests" / "little.yaml"))
    ann = run(stage.server.address, *options, "--name", "ann")
    assert [ann.line(), ann.line()] == ["connected", "am ann"]
    bob = run(stage.server.address, *options, "--name", "bob", "--chat", "ann")
    assert [bob.line() for _ in range(3)] == ["connected", "am bob", "through ann"]
    assert ann.line() == "rings bob"
    ann.tell("talk at once")
    assert bob.line() == "hears at once"
    assert bob.ask("drop") == "dropped"
    assert ann.line() == "over bob hung"
    assert ann.end(b"stop\n")[:2] == (0, ["stopped"])
    assert bob.end()[:2] == (0, ["stopped"])
