"""The client's connection, over real sockets: against the server, and against servers that do what none should."""

from __future__ import annotations

import itertools
import os
import resource
import select
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pychat.client.client import (
    CHUNK,
    OVERHEAD,
    SEND_MARK,
    STOP,
    TAKE_MARK,
    Client,
    Ended,
    Happening,
    Note,
    Wire,
)
from pychat.client.connecting import ConnectError, delays
from pychat.core.protocol import shipped_protocol
from pychat.core.session import Event, LocalProtocolError, View
from pychat.server.server import Server
from pychat.spec import Spec

from .conftest import PATIENCE, Stage

Connect = Callable[[tuple[str, int]], Client]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connects clients, and closes them at the end."""
    clients: list[Client] = []

    def make(address: tuple[str, int]) -> Client:
        clients.append(Client.connect(*address))
        return clients[-1]

    yield make
    for client in clients:
        client.close(timeout=0)


class Rude:
    """A listener whose one connection does what a test wants."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE)
        self.address: tuple[str, int] = self.listener.getsockname()
        self.peer: socket.socket

    def accept(self) -> None:
        self.peer, _ = self.listener.accept()
        self.peer.settimeout(PATIENCE)

    def close(self) -> None:
        self.listener.close()
        if hasattr(self, "peer"):
            self.peer.close()


@pytest.fixture
def rude() -> Iterator[Rude]:
    """A server that is none."""
    server = Rude()
    yield server
    server.close()


def until(client: Client, key: str) -> Event:
    """The first event that begins so; it has passed over the others."""
    for happening in iter(lambda: _next(client), None):
        if isinstance(happening, Event) and happening.key == key:
            return happening
        assert not isinstance(happening, Ended), happening
    raise AssertionError("unreachable")


_kept: dict[int, list[Happening]] = {}


def _next(client: Client) -> Happening:
    kept = _kept.setdefault(id(client), [])
    if not kept:
        kept += client.take(PATIENCE)
        assert kept, "nothing came"
    return kept.pop(0)


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    _kept.clear()


def end(client: Client) -> Ended:
    """How it ended."""
    while True:
        happening = _next(client)
        if isinstance(happening, Ended):
            return happening


def test_two_clients_talk(stage: Stage, connect: Connect) -> None:
    """Names, a call, consent, lines, an end: over real sockets."""
    alice, bob = connect(stage.server.address), connect(stage.server.address)
    alice.send("NAME", "alice")
    bob.send("NAME", "Bob")
    until(alice, "OK NAME")
    until(bob, "OK NAME")
    alice.send("CHAT", "bob")
    alice.send("MSG", "Hello, Bob!")
    assert until(bob, "CALL").name == "alice"
    assert until(bob, "MSG").text == "Hello, Bob!"
    bob.send("CHAT", "alice")
    bob.send("MSG", " Grüße, 世界 🙂 ")
    assert until(alice, "ACCEPTED").name == "Bob"
    assert until(alice, "MSG").text == " Grüße, 世界 🙂 "
    assert alice.view == View("PAIRED", "alice", "Bob", answered=True, accepted=True, here=True)
    alice.send("LEAVE")
    assert until(alice, "OK LEAVE").view == View("NAMED", "alice")
    assert until(bob, "GONE").fields == {"name": "alice", "reason": "left"}
    assert bob.view.partner is None
    alice.close()
    assert end(alice).how == "quit"


def test_every_line_comes_once_and_in_order(stage: Stage, connect: Connect) -> None:
    """More octets than any buffer holds, in one direction, while the other end takes its time."""
    alice, bob = connect(stage.server.address), connect(stage.server.address)
    for client, name in ((alice, "alice"), (bob, "bob")):
        client.send("NAME", name)
        until(client, "OK NAME")
    alice.send("CHAT", "bob")
    lines = [f"{number} {'x' * 1500}" for number in range(3000)]
    sender = threading.Thread(target=lambda: [alice.send("MSG", line, timeout=PATIENCE) for line in lines])
    sender.start()
    assert [until(bob, "MSG").text for _ in lines] == lines
    sender.join()


def test_a_request_that_must_wait_is_held(stage: Stage, connect: Connect) -> None:
    """WHO has no place before OK NAME; with `hold` it waits for it."""
    client = connect(stage.server.address)
    client.send("NAME", "alice")
    client.send("WHO", hold=True)
    assert until(client, "OK WHO").fields == {"count": "1"}
    with pytest.raises(LocalProtocolError):
        client.send("LEAVE", hold=True)  # no answer is to come that could allow it


def test_a_request_is_not_held_for_ever(rude: Rude, connect: Connect) -> None:
    """The wait has a deadline, and nothing was sent after it."""
    client = connect(rude.address)
    rude.accept()
    client.send("NAME", "alice")
    with pytest.raises(TimeoutError, match="WHO"):
        client.send("WHO", hold=True, timeout=0.05)
    assert client.unanswered == ("NAME",)
    assert rude.peer.recv(100) == b"NAME alice\n"


def test_the_octets_on_the_wire_can_be_seen(rude: Rude, connect: Connect) -> None:
    """As the socket gave and took them, before what they mean."""
    client = connect(rude.address)
    rude.accept()
    client.wire = True
    client.send("NAME", "alice")
    assert rude.peer.recv(100) == b"NAME alice\n"
    assert _next(client) == Wire("sent", b"NAME alice\n")
    rude.peer.sendall(b"OK NAME alice\r\nPIN")
    assert _next(client) == Wire("received", b"OK NAME alice\r\nPIN")
    event = _next(client)
    assert isinstance(event, Event)
    assert event.line == b"OK NAME alice"


def test_a_note_keeps_its_place(rude: Rude, connect: Connect) -> None:
    """What a program puts between comes after what came before."""
    client = connect(rude.address)
    rude.accept()
    rude.peer.sendall(b"PING t\n")
    assert rude.peer.recv(100) == b"PONG t\n"
    client.post("a note")
    rude.peer.sendall(b"BYE timeout x\n")
    happenings = [*client]
    assert [type(each) for each in happenings] == [Event, Note, Event, Ended]
    client.post("too late")
    assert client.take() == []


# Ends


def test_there_is_nobody(rude: Rude) -> None:
    """One clear line: to whom, and why."""
    rude.listener.close()
    with pytest.raises(ConnectError, match=f"cannot connect to 127.0.0.1:{rude.address[1]}: connection refused"):
        Client.connect(*rude.address)
    with pytest.raises(ConnectError, match=r"cannot find no-such-host\.invalid"):
        Client.connect("no-such-host.invalid", 1)


def test_a_name_that_cannot_be_is_not_found() -> None:
    """Nor is one whose resolver fails; both in words that can follow a colon."""
    for host in ("a..b", "x" * 64):
        with pytest.raises(ConnectError, match=r"^cannot find .*: it is no name of a host$"):
            Client.connect(host, 1)
    with pytest.raises(ConnectError) as caught:
        Client.connect("no-such-host.invalid", 1)
    assert str(caught.value) == f"cannot find no-such-host.invalid: {caught.value.why}"
    assert caught.value.why[0].islower()


def test_a_resolver_that_does_not_answer_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline is for everything."""
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(PATIENCE) and [])
    try:
        with pytest.raises(ConnectError, match=r"^cannot find chat\.example: the resolver does not answer$"):
            Client.connect("chat.example", timeout=0.05)
    finally:
        over.set()


def test_an_address_that_is_silent_leaves_time_for_the_next(
    start: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host has two; the queue of the first one is full, so that nothing comes back from it."""
    with socket.socket() as full, socket.socket() as queued:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        queued.connect(full.getsockname())
        addresses = [full.getsockname(), start().server.address]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        timeout, began = 2.0, time.monotonic()
        with Client.connect("chat.example", timeout=timeout) as client:
            assert time.monotonic() - began < timeout
            assert client.address == addresses[1]


def test_the_server_is_stopped(spec: Spec, connect: Connect) -> None:
    """With a goodbye to everybody."""
    with Server(spec, "127.0.0.1", 0) as server:
        client = connect(server.address)
        client.send("PING", "t")
        until(client, "PONG")
    goodbye = spec.goodbye_when("stop")
    assert goodbye is not None
    assert until(client, "BYE").code == goodbye.code
    assert end(client).how == "goodbye"


def test_the_server_says_goodbye(rude: Rude, connect: Connect) -> None:
    """BYE is an event, and the end."""
    client = connect(rude.address)
    rude.accept()
    rude.peer.sendall(b"BYE shutting-down The server stops.\n")
    assert until(client, "BYE").code == "shutting-down"
    assert end(client) == Ended("goodbye", "The server stops.")
    with pytest.raises(ConnectionError, match="the connection is over: The server stops"):
        client.send("PING", "t")


@pytest.mark.parametrize("reset", [False, True])
def test_the_connection_is_lost(rude: Rude, connect: Connect, reset: bool) -> None:
    """The end of the stream or a reset, without a goodbye."""
    client = connect(rude.address)
    rude.accept()
    if reset:
        rude.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    rude.peer.close()
    words = "connection reset by peer" if reset else "the server closed the connection"
    assert end(client) == Ended("lost", words)


def test_a_server_that_breaks_the_protocol_is_left(rude: Rude, connect: Connect) -> None:
    """R-CLIENT-10: the connection is closed, and it is said why."""
    client = connect(rude.address)
    rude.accept()
    rude.peer.sendall(b"CALL \x1b[2J\n")
    ended = end(client)
    assert ended.how == "lost"
    assert "CALL \\x1b[2J" in ended.words
    assert rude.peer.recv(100) == b""


def test_a_server_that_does_not_answer_is_left_in_time(rude: Rude, connect: Connect) -> None:
    """The close has a deadline in all."""
    client = connect(rude.address)
    rude.accept()
    client.close(timeout=0.05)
    assert end(client) == Ended("closed", "closed without an answer")
    assert rude.peer.recv(100) == b"QUIT\n"
    client.close()


def test_nothing_is_left_behind(stage: Stage) -> None:
    """No descriptor and no thread."""
    with Client.connect(*stage.server.address):
        pass
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for _ in range(20):
        with Client.connect(*stage.server.address) as client:
            client.send("NAME", "alice")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pychat-client")]
    if before:
        peer, deadline = stage.peer(), time.monotonic() + 10
        while len(os.listdir("/proc/self/fd")) > before + 2 and time.monotonic() < deadline:
            peer.barrier()  # another thread of the server may still have to close its end
        assert len(os.listdir("/proc/self/fd")) <= before + 2


# Bounds


def test_a_ping_is_answered_while_nobody_takes_what_comes(rude: Rude, connect: Connect) -> None:
    """A program that is busy is not silent."""
    connect(rude.address)
    rude.accept()
    for number in range(3):
        rude.peer.sendall(f"PING {number}\n".encode())
        assert rude.peer.recv(100) == f"PONG {number}\n".encode()


def test_it_goes_on_reading_while_it_waits_to_write(rude: Rude, connect: Connect) -> None:
    """R-CLIENT-6: a server that takes nothing while it sends much is read, and the line is sent in the end."""
    rude.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CHUNK)  # so that nothing hides in the kernel
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CHUNK)
    sock.connect(rude.address)
    rude.accept()
    client = Client(sock)
    client.send("NAME", "alice")
    rude.peer.sendall(b"OK NAME alice\nCALL bob\n")
    until(client, "CALL")
    client.send("CHAT", "bob")
    rude.peer.sendall(b"OK CHAT bob\n")
    until(client, "OK CHAT")
    count = 20_000
    sender = threading.Thread(target=lambda: [client.send("MSG", "x" * 2000, timeout=PATIENCE) for _ in range(count)])
    sender.start()
    line = b"MSG " + b"y" * 1995 + b"\n"
    for _ in range(TAKE_MARK * 2 // len(line)):  # above the mark at which reading stops when nobody waits to write
        rude.peer.sendall(line)
    received = 0
    while received < count * 2005 + len(b"NAME alice\nCHAT bob\n"):
        received += len(rude.peer.recv(CHUNK))
    sender.join()
    client.close(timeout=0)


def test_what_nobody_takes_is_bounded(rude: Rude, connect: Connect) -> None:
    """A server that sends for ever feels it: reading stops."""
    client = connect(rude.address)
    rude.accept()
    rude.peer.setblocking(False)
    octets = b"PING x\n" * 1000
    while select.select([], [rude.peer], [], 0.3)[1]:
        rude.peer.send(octets)
    held = client.take()
    assert OVERHEAD * len(held) <= TAKE_MARK + (CHUNK // len(b"PING x\n") + 1) * (OVERHEAD + 7)


def test_answers_that_are_not_taken_are_bounded(rude: Rude, connect: Connect) -> None:
    """A server that asks for ever and reads nothing is left."""
    client = connect(rude.address)
    rude.accept()
    last: deque[Happening] = deque(maxlen=1)
    taker = threading.Thread(target=last.extend, args=(client,))
    taker.start()
    question = b"PING " + b"x" * 64 + b"\n"
    with pytest.raises(OSError, match=r"reset|Broken pipe"):  # noqa: PT012  # one of many sends fails
        for _ in range(1_000_000):
            rude.peer.sendall(question * 100)
    taker.join()
    assert last.pop() == Ended("lost", "the server asks, and takes no answers")
    assert SEND_MARK * STOP < 2**21


def test_delays_grow_and_differ() -> None:
    """Each is between half of its size and all of it, and the size doubles up to a limit."""
    least = [*itertools.islice(delays(chance=lambda: 0.0), 9)]
    most = [*itertools.islice(delays(chance=lambda: 1.0), 9)]
    assert most == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert least == [size / 2 for size in most]
    for low, delay, high in zip(least, delays(), most, strict=False):
        assert low <= delay <= high


def test_a_connection_that_is_reset_at_once_is_a_connect_error() -> None:
    """The reset may come before the client has looked at its socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        class Late(Client):
            """Looks when the reset has come."""

            def __init__(self, sock: socket.socket, *options: Any) -> None:
                peer, _ = listener.accept()
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.close()
                poll = select.poll()
                poll.register(sock, 0)
                assert poll.poll(PATIENCE * 1000)
                super().__init__(sock, *options)

        with pytest.raises(ConnectError, match="cannot connect to"):
            Late.connect(*listener.getsockname())


@pytest.mark.parametrize("room", range(4))
def test_no_descriptor_is_left_for_a_connection(room: int) -> None:
    """It needs four: without the first, as without IPv6, there is no socket to begin with; then it is closed."""
    protocol = shipped_protocol()  # its file is read before
    with socket.create_server(("127.0.0.1", 0)) as listener:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        with open(os.devnull) as lowest:
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest.fileno() + 1 + room, limit[1]))
            try:
                with pytest.raises(ConnectError, match="too many open files"):
                    Client.connect(*listener.getsockname(), protocol=protocol)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limit)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only what is queued is known")
def test_octets_that_the_server_does_not_take_are_counted(stage: Stage, rude: Rude, connect: Connect) -> None:
    """None when all is taken; what is left when the other end takes no more; none after the end."""
    living = connect(stage.server.address)
    living.send("NAME", "alice")
    until(living, "OK NAME")
    assert living.undelivered == 0
    rude.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    silent = connect(rude.address)
    rude.accept()
    silent.send("NAME", "alice")
    rude.peer.sendall(b"OK NAME alice\nCALL bob\n")
    until(silent, "CALL")
    silent.send("CHAT", "bob")
    for _ in range(50):
        silent.send("MSG", "x" * 2000)
    assert silent.undelivered > 50_000
    rude.peer.close()
    end(silent)
    assert silent.undelivered == 0
