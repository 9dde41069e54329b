"""What the tests share: the specs, a server on a free port, and a client that is nothing but octets."""

from __future__ import annotations

import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings

from pychat.server.server import Server
from pychat.spec import Spec, load, loads, shipped

from .dissection import Tshark

ROOT = Path(__file__).parents[1]
SPEC_FILE = ROOT / "spec" / "pychat.yaml"
PATIENCE = 10.0  # seconds after which a failure is one; nothing waits for it when all is well

settings.register_profile("pychat", deadline=None, derandomize=True, print_blob=False)
settings.load_profile("pychat")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The size and the seed of the tests that are random: fuzz, errors injected, signals, specs built at random."""
    group = parser.getgroup("random tests")
    group.addoption("--rounds", type=int, default=1, help="how many times as much a random test tries (default: 1)")
    group.addoption("--seed", type=int, default=1, help="where a random test begins (default: 1)")


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A home without settings: the user's Wireshark or shell must not change what a test sees. Caches stay."""
    home = str(tmp_path_factory.mktemp("home"))
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", home)
        patch.setenv("XDG_CONFIG_HOME", os.path.join(home, ".config"))
        patch.setenv("XDG_CACHE_HOME", cache)
        patch.delenv("WIRESHARK_CONFIG_DIR", raising=False)
        yield


@pytest.fixture(scope="session")
def rounds(request: pytest.FixtureRequest) -> int:
    """How many times as much as in the gate a random test tries."""
    return int(request.config.getoption("--rounds"))


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of a random test; a failure names the one that repeats it."""
    return int(request.config.getoption("--seed"))


def need(program: str) -> str:
    """The path of a program; without it a test fails where everything must be there (CI), and is skipped elsewhere."""
    path = shutil.which(program)
    if path is None:
        message = f"{program} is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path


def output(program: str, *words: str | Path, **environment: str) -> str:
    """What a program prints, which must be installed and succeed."""
    command = [need(program), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | environment).stdout


def pychat(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """The command of this project, run to its end."""
    command = [sys.executable, "-m", "pychat", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=cwd)


def numbered(text: str) -> str:
    """The text with the shipped spec's numbers in place of `{framing.max_octets}` and the like."""
    numbers = shipped().numbers
    return re.sub(r"\{(\w+(?:\.\w+)+)\}", lambda found: str(numbers[tuple(found[1].split("."))]), text)


def replaced(text: str, *replacements: str, count: int = -1) -> str:
    """The text of a spec with parts replaced: old, new, old, new, …, whose numbers may be placeholders."""
    parts = [numbered(part) for part in replacements]
    for old, new in zip(parts[::2], parts[1::2], strict=True):
        assert old in text, f"{old!r} is not in the spec any more"
        text = text.replace(old, new, count)
    return text


def changed(*replacements: str) -> Spec:
    """A copy of the shipped spec with texts replaced, as by `replaced`."""
    return loads(replaced(SPEC_FILE.read_text(), *replacements).encode(), "changed.yaml")


@pytest.fixture(scope="session")
def spec() -> Spec:
    """The shipped protocol."""
    return shipped()


@pytest.fixture(scope="session")
def little() -> Spec:
    """A second protocol, with other words."""
    return load(ROOT / "tests" / "little.yaml")


@pytest.fixture(scope="session")
def shark(spec: Spec, tmp_path_factory: pytest.TempPathFactory) -> Tshark:
    """The real tshark with the dissector of the shipped protocol."""
    need("tshark")
    return Tshark(spec, tmp_path_factory.mktemp("pychat"))


class Peer:
    """A raw connection: it sends octets and reads lines. Every wait is finite."""

    def __init__(self, address: tuple[str, int], *, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def send(self, *lines: str) -> None:
        """Sends lines, each with an LF, in one go."""
        self.socket.sendall("".join(f"{line}\n" for line in lines).encode())

    def send_octets(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def line(self) -> str:
        """The next line without its ending; `<end>` at the end of the stream, `<reset>` after a reset."""
        while b"\n" not in self._buffer:
            try:
                octets = self.socket.recv(65536)
            except ConnectionResetError:
                return "<reset>"
            if not octets:
                assert not self._buffer, f"half a line at the end: {self._buffer!r}"
                return "<end>"
            self._buffer += octets
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.decode()

    def rest(self) -> bytes:
        """What has been read beyond the last line."""
        rest, self._buffer = self._buffer, b""
        return rest

    def lines(self, count: int) -> list[str]:
        return [self.line() for _ in range(count)]

    def ask(self, line: str) -> str:
        """Sends a line and reads the next one."""
        self.send(line)
        return self.line()

    def barrier(self) -> list[str]:
        """All lines up to the answer to a PING of its own: what was not there did not come."""
        self.send("PING barrier")
        lines: list[str] = []
        while (line := self.line()) != "PONG barrier":
            assert line not in ("<end>", "<reset>"), f"closed before the barrier, after {lines}"
            lines.append(line)
        return lines

    def until(self, request: str, *lines: str) -> None:
        """Asks until just these lines are the answer: another thread of the server may have something left to do."""
        deadline = time.monotonic() + PATIENCE
        while True:
            self.send(request)
            if (answer := self.barrier()) == list(lines):
                return
            assert time.monotonic() < deadline, f"{request} is still answered with {answer}"

    def finish(self) -> None:
        """Ends the sending half."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Closes with an RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()


Connect = Callable[..., Peer]


class Stage:
    """A running server and the peers that were connected to it."""

    def __init__(self, server: Server, stack: ExitStack) -> None:
        self.server = server
        self._stack = stack

    def peer(self, *, receive_buffer: int | None = None) -> Peer:
        peer = Peer(self.server.address, receive_buffer=receive_buffer)
        self._stack.callback(peer.close)
        return peer

    def user(self, name: str, *, receive_buffer: int | None = None) -> Peer:
        peer = self.peer(receive_buffer=receive_buffer)
        assert peer.ask(f"NAME {name}") == f"OK NAME {name}"
        return peer

    def chat(self, caller: str = "alice", called: str = "bob") -> tuple[Peer, Peer]:
        """Two users in a chat that both have accepted."""
        first, second = self.user(caller), self.user(called)
        assert first.ask(f"CHAT {called}") == f"OK CHAT {called}"
        assert second.line() == f"CALL {caller}"
        assert second.ask(f"CHAT {caller}") == f"OK CHAT {caller}"
        assert first.line() == f"ACCEPTED {called}"
        return first, second


@pytest.fixture
def start(spec: Spec) -> Iterator[Callable[..., Stage]]:
    """Starts servers, and stops them and closes their peers at the end."""
    with ExitStack() as stack:

        def start(served: Spec = spec, **options: object) -> Stage:
            server = stack.enter_context(Server(served, "127.0.0.1", 0, **options))  # type: ignore[arg-type]
            return Stage(server, stack)

        yield start


@pytest.fixture(params=[1, 3], ids=["1-thread", "3-threads"])
def stage(start: Callable[..., Stage], request: pytest.FixtureRequest) -> Stage:
    """A server with one I/O thread, and one whose chats must find together over three."""
    return start(io_threads=request.param)
