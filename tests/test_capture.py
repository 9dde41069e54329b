"""Recordings: what they hold, and that nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pychat.spec import shipped
from tools.capture import pcapng
from tools.capture.network import Host, namespaces, namespaces_possible
from tools.capture.recorder import MARKER_PORT, Recorder
from tools.vocabulary import Vocabulary

from .conftest import PATIENCE, ROOT, Stage, need, output

LONG = 120.0  # seconds for a whole recording on a busy machine
CAPTURE = [sys.executable, "-m", "tools.capture"]
WORDS = Vocabulary.of(shipped())


def capture(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    need("dumpcap")
    command = [*CAPTURE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=LONG)


def fields(path: Path, display_filter: str, *names: str) -> list[list[str]]:
    words = [word for name in names for word in ("-e", name)]
    rows = output("tshark", "-n", "-r", path, "-Y", display_filter, "-T", "fields", *words)
    return [row.split("\t") for row in rows.splitlines()]


@pytest.fixture
def begin() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts recordings, and kills those that a failed test has left."""
    begun: list[subprocess.Popen[str]] = []

    def begin(*words: str | Path) -> subprocess.Popen[str]:
        command = [*CAPTURE, *map(str, words)]
        begun.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT))
        return begun[-1]

    yield begin
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def root() -> None:
    """Namespaces need root and Linux; what must be there in CI may be absent elsewhere."""
    need("ip")
    need("ethtool")
    why = namespaces_possible()
    if why is not None:
        pytest.skip(why)


def ours() -> list[Path]:
    """The namespaces that are there now, without those of another recording that is under way on this machine."""
    owners = {path: int(path.name.split("-")[1]) for path in Path("/run/netns").glob("pychat-*")}
    return [path for path, owner in owners.items() if owner == os.getpid() or not Path(f"/proc/{owner}").exists()]


@pytest.mark.usefixtures("root")
def test_a_recording_between_namespaces_is_what_a_wire_would_carry(tmp_path: Path) -> None:
    """True segments, a TTL that has fallen by one, real addresses, comments and names; and nothing is left behind."""
    out = tmp_path / "chat.pcapng"
    done = capture("--scenario", "chat", "--pace", "0", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "namespaces" in done.stdout
    assert ours() == []
    (truth,) = json.loads((tmp_path / "chat.truth.json").read_text())
    server = truth["server"]["address"]
    assert {row[0] for row in fields(out, f"tcp && ip.src == {server}", "ip.ttl")} == {"64"}
    assert {row[0] for row in fields(out, f"tcp && ip.src != {server}", "ip.ttl")} == {"63"}
    assert {row[0] for row in fields(out, "tcp.flags.syn == 1", "tcp.options.mss_val")} == {"1460"}
    assert {row[0] for row in fields(out, "tcp.flags.syn == 1 && tcp.flags.ack == 0", "ip.src")} == {
        person["address"] for person in truth["people"].values()
    }
    assert len(fields(out, "frame.comment", "frame.number")) > 3
    assert "alice" in output("tshark", "-r", out, "-N", "n", "-c", "5")
    assert fields(out, f"udp.port == {MARKER_PORT}", "frame.number") == []


def test_a_recording_on_loopback_says_so_and_may_be_pcap(tmp_path: Path) -> None:
    out = tmp_path / "chat.pcap"
    done = capture("--scenario", "chat", "--pace", "0", "--loopback", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "loopback interface" in done.stdout
    assert out.read_bytes()[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1")
    assert len(fields(out, "tcp.flags.syn == 1 && tcp.flags.ack == 0", "frame.number")) == 5


def test_each_end_of_a_call_is_recorded(tmp_path: Path) -> None:
    """The scenario of calls on loopback: its truth has every outcome, and each missed call."""
    done = capture("--scenario", "calls", "--pace", "0", "--loopback", "--out", tmp_path / "calls.pcapng")
    assert done.returncode == 0, done.stderr
    (truth,) = json.loads((tmp_path / "calls.truth.json").read_text())
    assert [call["outcome"] for call in truth["calls"]] == ["answered", "declined", "hung up", "unanswered", "lost"]
    assert [(one["caller"], one["busy"]) for one in truth["missed"]] == [("carol", "alice"), ("dave", "bob")]


def test_what_cannot_be_recorded_is_said_in_a_line(tmp_path: Path) -> None:
    """A folder that is not there, a strange ending, a scenario that needs a router, a server that does not start."""
    for arguments, words in (
        (["--out", tmp_path / "no" / "x.pcapng"], "there is no directory"),
        (["--out", tmp_path / "x.txt"], "should end in .pcapng"),
        (["--scenario", "loss", "--loopback", "--out", tmp_path / "x.pcapng"], "needs a router"),
        (["--loopback", "--server", "false", "--out", tmp_path / "x.pcapng"], "does not say where it listens"),
    ):
        done = capture(*map(str, arguments))
        assert done.returncode == 1
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_recording_that_is_stopped_leaves_nothing(
    number: signal.Signals, begin: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    """In the middle of its scenario, with processes in its namespaces."""
    process = begin("--scenario", "chat", "--pace", "100", "--out", tmp_path / "x.pcapng")
    assert process.stdout is not None
    assert "network:" in process.stdout.readline()
    assert "chat:" in process.stdout.readline()
    spaces = list(Path("/run/netns").glob(f"pychat-{process.pid}-*"))
    assert len(spaces) == 7
    process.send_signal(number)
    _, complaint = process.communicate(timeout=LONG)
    assert process.returncode == 128 + number
    assert complaint.splitlines() == ["capture: stopped; nothing is left behind"]
    assert not any(space.exists() for space in spaces)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("root")
def test_namespaces_go_when_something_fails() -> None:
    own = f"pychat-{os.getpid()}-*"

    def fail() -> None:
        with namespaces(("alice",)):
            assert len(list(Path("/run/netns").glob(own))) == 3
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(Path("/run/netns").glob(own)) == []


def test_a_running_server_can_be_recorded(
    start: Callable[..., Stage], begin: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    """`--attach`: what people say to a server that was there before, until Ctrl-C."""
    need("dumpcap")
    stage = start()
    port, out = stage.server.address[1], tmp_path / "attached.pcapng"
    process = begin("--attach", str(port), "--interface", "lo", "--out", out)
    assert process.stdout is not None
    first = process.stdout.readline()
    if "recording" not in first:
        _, complaint = process.communicate(timeout=LONG)
        pytest.skip(f"no permission to record: {complaint}")
    stage.user("alice").barrier()
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=LONG)
    assert process.returncode == 0, complaint
    said = fields(out, f"tcp.dstport == {port} && tcp.len > 0", "tcp.payload")
    assert bytes.fromhex(said[0][0]) == f"{WORDS.name} alice\n".encode()


# --- The file's blocks ----------------------------------------------------------------------------------------------


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Three datagrams on the loopback interface."""
    need("dumpcap")
    raw = tmp_path / "raw.pcapng"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        there.bind(("127.0.0.1", 0))
        there.settimeout(PATIENCE)
        port = there.getsockname()[1]
        recorder = Recorder(Host("here", "127.0.0.1"), "lo", f"udp port {port} or udp port {MARKER_PORT}", raw)
        recorder.start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for word in (b"one", b"two", b"three"):
                sender.sendto(word, ("127.0.0.1", port))
                there.recv(100)
        token = recorder.settle("127.0.0.1")
        recorder.stop()
    out = tmp_path / "out.pcapng"
    count = pcapng.rewrite(raw, out, {2: "the second, “Zwei”"}, {"127.0.0.1": "home"}, until=token)
    assert count == 3
    return out


def test_comments_and_names_are_read_by_wireshark(recorded: Path) -> None:
    """Nothing of the marker or the machine is in the file, and Wireshark finds no fault in it."""
    assert fields(recorded, "frame", "frame.number", "frame.comment") == [
        ["1", ""],
        ["2", "the second, “Zwei”"],
        ["3", ""],
    ]
    assert "home" in output("tshark", "-r", recorded, "-N", "n", "-c", "1")
    about = output("capinfos", recorded)
    assert "Resolved IPv4" in about.replace("resolved", "Resolved")
    assert "Hardware" not in about


def test_what_is_no_pcapng_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"\xd4\xc3\xb2\xa1" * 20)
    with pytest.raises(pcapng.PcapngError, match="not a little-endian pcapng file"):
        pcapng.rewrite(path, tmp_path / "y", {}, {}, until=b"never")
