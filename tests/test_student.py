"""The independent server and client, against each other; the judge's tests put them through everything else."""

from __future__ import annotations

import ast
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import PATIENCE, Peer

STUDENT = Path(__file__).parent / "student"


@pytest.fixture
def server() -> Iterator[tuple[subprocess.Popen[str], tuple[str, int]]]:
    """The student's server on a free port, and its address."""
    command = [sys.executable, str(STUDENT / "server.py"), "--port", "0", "--max-connections", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.fullmatch(r"listening on (127\.0\.0\.1):(\d+)\n", process.stdout.readline())
        assert found is not None
        yield process, (found[1], int(found[2]))
        process.kill()


class Program:
    """A client that is driven by its stdin and stdout; a timer makes a wait for it finite."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(STUDENT / "client.py"), address[0], str(address[1])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._timer = threading.Timer(PATIENCE, self.process.kill)
        self._timer.start()

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().removesuffix("\n")

    def end(self) -> int:
        """Ends its stdin, and waits for it; returns the exit code."""
        self.process.communicate(timeout=PATIENCE)
        self._timer.cancel()
        self._timer.join()
        return self.process.returncode


@pytest.mark.parametrize("name", ["server.py", "client.py"])
def test_it_is_independent(name: str) -> None:
    """It imports the standard library alone, and opens no file."""
    tree = ast.parse((STUDENT / name).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {
        alias.name if isinstance(node, ast.Import) else node.module or "" for node in imports for alias in node.names
    }
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names
    assert not any(isinstance(node, ast.Name) and node.id == "open" for node in ast.walk(tree))


def test_two_clients_chat(server: tuple[subprocess.Popen[str], tuple[str, int]]) -> None:
    """A whole conversation over the line contract, up to exit code 0."""
    alice, bob = Program(server[1]), Program(server[1])
    assert [alice.line(), bob.line()] == ["connected", "connected"]
    bob.type("name Bob")
    assert bob.line() == "named Bob"
    for command in ("name alice", "chat bob", "say Grüße,  Bob"):
        alice.type(command)
    assert [alice.line(), alice.line()] == ["named alice", "chat Bob"]
    assert [bob.line(), bob.line()] == ["called alice", "msg Grüße,  Bob"]
    bob.type("say too early")
    assert bob.line() == "error MSG not-accepted"
    bob.type("chat alice")
    bob.type("say now")
    assert bob.line() == "chat alice"
    assert [alice.line(), alice.line()] == ["accepted Bob", "msg now"]
    alice.type("leave")
    assert alice.line() == "left"
    assert bob.line() == "gone alice left"
    bob.type("chat alice")
    assert bob.line() == "refused chat not now"
    assert [alice.end(), bob.end()] == [0, 0]


def test_a_call_is_declined_and_another_one_missed(server: tuple[subprocess.Popen[str], tuple[str, int]]) -> None:
    """The caller reads that it was declined; a busy user reads once that somebody has called."""
    alice, bob, carol = Program(server[1]), Program(server[1]), Program(server[1])
    for client, name in ((alice, "alice"), (bob, "bob"), (carol, "carol")):
        client.type(f"name {name}")
        assert [client.line(), client.line()] == ["connected", f"named {name}"]
    alice.type("chat bob")
    assert [alice.line(), bob.line()] == ["chat bob", "called alice"]
    for _ in range(2):
        carol.type("chat bob")
        assert carol.line() == "error CHAT user-busy"
    bob.type("leave")
    assert [bob.line(), bob.line()] == ["missed carol", "left"]
    assert alice.line() == "gone bob declined"
    assert [client.end() for client in (alice, bob, carol)] == [0, 0, 0]


def test_a_call_that_nobody_answers_ends_for_both() -> None:
    """With a ring of no time at all, both are told so at once, and stay in a chat with nobody."""
    command = [sys.executable, str(STUDENT / "server.py"), "--port", "0", "--ring", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = "127.0.0.1", int(process.stdout.readline().rpartition(":")[2])
        alice, bob = Peer(address), Peer(address)
        assert [alice.ask("NAME alice"), bob.ask("NAME bob")] == ["OK NAME alice", "OK NAME bob"]
        assert [alice.ask("CHAT bob"), alice.line()] == ["OK CHAT bob", "GONE bob unanswered"]
        assert [bob.line(), bob.line()] == ["CALL alice", "GONE alice unanswered"]
        assert bob.ask("CHAT alice").startswith("ERR CHAT already-paired ")
        alice.close()
        bob.close()
        process.kill()


def test_it_stops_politely(server: tuple[subprocess.Popen[str], tuple[str, int]]) -> None:
    """One connection too many is told so; at SIGTERM everybody gets a goodbye, and nobody a GONE."""
    process, address = server
    peers = [Peer(address) for _ in range(3)]
    assert peers[0].ask("NAME a") == "OK NAME a"
    assert peers[1].ask("NAME b") == "OK NAME b"
    assert peers[0].ask("CHAT b") == "OK CHAT b"
    assert peers[1].line() == "CALL a"
    assert peers[2].ask("PING t") == "PONG t"
    late = Peer(address)
    assert late.line().startswith("BYE server-full ")
    process.send_signal(signal.SIGTERM)
    for peer in peers:
        assert peer.line().startswith("BYE shutting-down ")
        assert peer.line() == "<end>"
    for peer in (*peers, late):
        peer.close()
    assert process.wait(PATIENCE) == 0
