"""The server as a process: how it starts, what it logs, what a signal or a lack of descriptors does to it."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from .conftest import PATIENCE, Peer, Stage, need, pychat

Start = Callable[..., Stage]


@contextmanager
def process(
    *options: str,
    wrapper: Sequence[str] = (),
    program: str = "from pychat import cli; cli.main()",
    session: bool = False,
    terminal: int | None = None,
) -> Iterator[tuple[subprocess.Popen[str], tuple[str, int]]]:
    """A server in a process of its own, and its address; in a session of its own, it has this terminal or none."""

    def take_terminal() -> None:
        if terminal is not None:
            fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

    command = [*wrapper, sys.executable, "-c", program, "server", "--port", "0", *options]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if wrapper or terminal is None else terminal,
        text=True,
        start_new_session=session,
        preexec_fn=take_terminal,
    ) as running:
        try:
            assert running.stdout is not None
            host, _, port = running.stdout.readline().removeprefix("listening on ").strip().rpartition(":")
            yield running, (host, int(port))
        finally:
            running.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_under_load(number: signal.Signals) -> None:
    """BYE shutting-down to everybody, no GONE, exit code 0, in less than 5 s."""
    with process("--io-threads", "2") as (running, address):
        stage = [Peer(address) for _ in range(20)]
        for index, peer in enumerate(stage):
            assert peer.ask(f"NAME u{index}") == f"OK NAME u{index}"
        for index in range(0, 20, 2):
            assert stage[index].ask(f"CHAT u{index + 1}") == f"OK CHAT u{index + 1}"
        stop = threading.Event()

        def talk(peer: Peer) -> None:
            try:
                while not stop.is_set():
                    peer.send_octets(b"MSG under load\n" * 50)
            except OSError:
                pass

        talkers = [threading.Thread(target=talk, args=(peer,)) for peer in stage[::2]]
        for talker in talkers:
            talker.start()
        assert stage[1].lines(500)[-1] == "MSG under load"
        running.send_signal(number)
        stop.set()
        for peer in stage[1::2]:
            *lines, rest = everything(peer).split("\n")
            assert rest == "", "half a line at the end"
            assert lines[-1].startswith("BYE shutting-down ")
            assert not any(line.startswith("GONE") for line in lines)
        assert running.wait(5) == 0
        for talker in talkers:
            talker.join()
        for peer in stage:
            peer.close()


def everything(peer: Peer) -> str:
    """All that still comes, read as fast as it comes: what is not taken within 4 s of the signal is lost.

    To cut it into lines while it comes costs many times as much, and on a busy machine those 4 s.
    """
    chunks = [peer.rest()]
    with suppress(ConnectionResetError):
        while chunk := peer.socket.recv(65536):
            chunks.append(chunk)
    return b"".join(chunks).decode()


def until(running: subprocess.Popen[str], event: str) -> str:
    """The next line of the log that tells of an event."""
    assert running.stderr is not None
    while event not in (line := running.stderr.readline()):
        assert line, f"the log ends without {event}"
    return line


@pytest.mark.parametrize("wrapper", [(), ("nohup",)], ids=["plain", "nohup"])
def test_a_terminal_that_is_closed_ends_the_server_unless_it_was_started_with_nohup(wrapper: tuple[str, ...]) -> None:
    """The system sends SIGHUP, and the shell another one: it is a SIGTERM, or was ignored at the start and stays so."""
    ours, theirs = os.openpty()
    with process(wrapper=[need(it) for it in wrapper], session=True, terminal=theirs) as (running, address):
        os.close(theirs)
        peer = Peer(address)
        assert peer.ask("NAME alice") == "OK NAME alice"
        os.close(ours)
        if wrapper:
            assert peer.ask("PING x") == "PONG x"
            running.terminate()
        assert peer.line().startswith("BYE shutting-down ")
        running.send_signal(signal.SIGHUP)
        assert peer.line() == "<end>"
        assert running.wait(5) == 0
        peer.close()


def test_a_hangup_without_a_terminal_changes_nothing() -> None:
    """A later version will read its settings again; until then the log says that it does not."""
    with process(session=True) as (running, address):
        peer = Peer(address)
        assert peer.ask("NAME alice") == "OK NAME alice"
        running.send_signal(signal.SIGHUP)
        assert "a reload is not supported yet" in until(running, "hangup")
        assert peer.ask("PING x") == "PONG x"
        running.terminate()
        assert peer.line().startswith("BYE shutting-down ")
        assert running.wait(5) == 0
        peer.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the masks of threads are seen in /proc")
def test_a_signal_that_comes_while_the_process_is_stopped_ends_it() -> None:
    """After a stop the system gives a signal to any thread that takes it: only the main one may, which handles it."""
    with process("--io-threads", "4") as (running, _):
        running.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, running.pid, os.WSTOPPED)  # or the handler may run already, for which the signal is blocked
        running.send_signal(signal.SIGTERM)
        masks = {}
        for status in Path(f"/proc/{running.pid}/task").glob("*/status"):
            masks[status.parent.name] = int(status.read_text().split("SigBlk:")[1].split()[0], 16)
        assert masks.pop(str(running.pid)) == 0
        assert len(masks) == 6  # of the log, the acceptor and four loops
        wanted = sum(1 << number - 1 for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        assert set(masks.values()) == {wanted}
        running.send_signal(signal.SIGCONT)
        assert running.wait(5) == 0


def test_a_second_signal_ends_it_at_once() -> None:
    """Also when somebody's last frame is not taken."""
    with process() as (running, address):
        peer = Peer(address, receive_buffer=2048)
        assert peer.ask("NAME a") == "OK NAME a"
        peer.send_octets(b"PING x\n" * 50_000)
        running.send_signal(signal.SIGTERM)
        until(running, "stopping")
        running.send_signal(signal.SIGTERM)
        assert running.wait(PATIENCE) == 128 + signal.SIGTERM
        peer.close()


def test_a_server_that_has_lost_a_thread_ends() -> None:
    """Going on, it would accept connections that no thread serves."""
    program = "from pychat import cli; from pychat.server import loop; loop.Loop._serve = lambda *_: 1 / 0; cli.main()"
    command = [sys.executable, "-c", program, "server", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        port = int(running.stdout.readline().rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), PATIENCE):
            _, log = running.communicate(timeout=PATIENCE)
    assert running.returncode == 1
    assert "error bug thread=io-0 error=" in log
    assert "Traceback" not in log


DEAF = """
import errno, select, socket
pair = socket.socketpair
class Deaf(socket.socket):
    def send(self, octets):
        raise OSError(errno.ENOBUFS, "no buffer")
def deaf_pair():
    waker, wakee = pair()
    return Deaf(fileno=waker.detach()), wakee
socket.socketpair = deaf_pair
if {poll}:
    vars(select).pop("epoll", None)
from pychat import cli
cli.main()
"""


@pytest.mark.parametrize("poll", [False, True], ids=["epoll", "poll"])
def test_a_server_whose_wake_ups_all_fail_serves_and_ends(poll: bool) -> None:
    """send(2) can fail (ENOBUFS): newcomers are answered, a chat finds together over two threads, SIGTERM ends it."""
    with process("--io-threads", "2", program=DEAF.format(poll=poll)) as (running, address):
        alice, bob = Peer(address), Peer(address)
        assert alice.ask("NAME alice") == "OK NAME alice"
        assert bob.ask("NAME bob") == "OK NAME bob"
        assert alice.ask("CHAT bob") == "OK CHAT bob"
        assert bob.line() == "CALL alice"
        running.terminate()
        for peer in (alice, bob):
            assert peer.line().startswith("BYE shutting-down ")
            peer.close()
        assert running.wait(5) == 0


def test_running_out_of_descriptors_neither_spins_nor_kills() -> None:
    """A connection without room is told so; when another one ends, the next one is served."""
    with process("--log-level", "error") as (running, address):
        open_now = len(os.listdir(f"/proc/{running.pid}/fd"))
        resource.prlimit(running.pid, resource.RLIMIT_NOFILE, (open_now + 5, open_now + 5))
        peers = [Peer(address) for _ in range(9)]
        answers = [peer.ask(f"NAME u{number}") for number, peer in enumerate(peers)]
        assert sum(answer.startswith("OK NAME") for answer in answers) == 5
        before = _cpu(running.pid)
        assert all(a.startswith(("OK NAME", "BYE server-full ", "<reset>")) for a in answers), answers
        assert peers[0].ask("PING x") == "PONG x"
        assert _cpu(running.pid) - before < 0.5
        assert peers[0].ask("QUIT") == "OK QUIT"
        peers[0].close()
        for _ in range(100):
            late = Peer(address)
            answer = late.ask("NAME late")
            late.close()
            if answer == "OK NAME late":
                break
        assert answer == "OK NAME late"
        assert running.poll() is None
        for peer in peers:
            peer.close()


def _cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    words = Path(f"/proc/{pid}/stat").read_text().split()
    return (int(words[13]) + int(words[14])) / os.sysconf("SC_CLK_TCK")


def test_a_host_that_can_be_none_is_misuse() -> None:
    """Exit code 2, before anything is started."""
    result = pychat("server", "--host", "two..dots")
    assert result.returncode == 2
    assert "Invalid value for --host: 'two..dots' is no name or address of a host" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "203.0.113.1"], "cannot listen on 203.0.113.1:0: "),
        (["--host", "no.such.host.invalid"], "cannot listen on no.such.host.invalid:0: "),
        (["--spec", str(Path(__file__))], "not YAML"),
    ],
)
def test_a_server_that_cannot_start_says_why_in_one_line(arguments: list[str], words: str) -> None:
    """Exit code 1, and no trace of Python."""
    result = pychat("server", "--port", "0", *arguments)
    assert result.returncode == 1
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_port_in_use_is_said_in_one_line(stage: Stage) -> None:
    """As a user meets it most often."""
    host, port = stage.server.address
    result = pychat("server", "--port", str(port))
    assert result.returncode == 1
    assert result.stderr == f"pychat: cannot listen on {host}:{port}: {os.strerror(errno.EADDRINUSE).lower()}\n"


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_log_shows_nothing_of_a_peers_octets_unescaped(form: str) -> None:
    """Names are harmless by their type, and lines are not logged at all."""
    with process("--log-level", "debug", "--log-format", form) as (running, address):
        peer = Peer(address)
        peer.send_octets(b"NAME \x1b[2J\nNAME a\nMSG secret\x07\n\xff\nQUIT\n")
        while peer.line() != "<end>":
            pass
        peer.close()
        running.terminate()
        _, log = running.communicate(timeout=PATIENCE)
    assert "named" in log
    assert "secret" not in log
    assert all(line.isprintable() for line in log.splitlines())
