"""The dissector on recordings of the real server, made by the real dumpcap on the loopback interface."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pychat.spec import Spec
from pychat.spec.model import Example
from tools.capture.network import CaptureError, Host
from tools.capture.recorder import MARKER_PORT, Recorder

from .conftest import Peer, Stage, need
from .dissection import Seen, Tshark, by_stream

HERE = "127.0.0.1"


@pytest.fixture(scope="module")
def shark(spec: Spec, tmp_path_factory: pytest.TempPathFactory) -> Tshark:
    return Tshark(spec, tmp_path_factory.mktemp("pychat"))


@contextmanager
def recording(path: Path, ports: list[int]) -> Iterator[None]:
    """Records these TCP ports until the body is over and everything of it is in the file."""
    need("dumpcap")
    wanted = " or ".join([*(f"tcp port {port}" for port in ports), f"udp port {MARKER_PORT}"])
    recorder = Recorder(Host("here", HERE), "lo", wanted, path)
    try:
        recorder.start()
    except CaptureError as error:
        if "permission" not in str(error).lower() or os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    try:
        yield
        recorder.settle(HERE)
    finally:
        recorder.stop()
    assert recorder.dropped == 0


def is_in_order(example: Example) -> bool:
    """Whether nobody sends while something that somebody else has sent may still be on its way."""
    last = None
    for step in example.steps:
        if step.kind == "send" and last not in (None, step.who):
            return False
        last = step.who if step.kind == "send" else None
    return True


class Talk:
    """An example played on a real server, and each connection's lines: who sent it, and the octets."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._peers: dict[str, Peer] = {}
        self.lines: dict[str, list[tuple[str, bytes]]] = {}

    def play(self, example: Example) -> None:
        for step in example.steps:
            if step.who not in self._peers:
                self._peers[step.who] = self.stage.peer()
                self.lines[step.who] = []
            peer, lines = self._peers[step.who], self.lines[step.who]
            if step.kind == "send":
                peer.send_octets(step.octets)
                whole = [line for line in step.octets.splitlines(keepends=True) if line.endswith(b"\n")]
                lines += [("client", line.rstrip(b"\r\n")) for line in whole]
            elif step.kind == "receive":
                line = peer.line()
                assert re.fullmatch(re.escape(step.text).replace("…", ".+"), line), str(step)
                lines.append(("server", line.encode()))
            elif step.kind == "finish":
                peer.finish()
            elif step.kind == "reset":
                peer.reset()
            else:
                assert peer.line() == "<end>"


def test_the_examples_on_the_real_server(shark: Tshark, start: Callable[..., Stage], tmp_path: Path) -> None:
    """Each connection's frames as they were sent and read, with no state unknown and no blame for the server."""
    chosen = [example for example in shark.spec.examples.values() if is_in_order(example)]
    talks = [Talk(start(io_threads=1)) for _ in chosen]
    ports = [talk.stage.server.address[1] for talk in talks]
    path = tmp_path / "examples.pcapng"
    with recording(path, ports):
        for talk, example in zip(talks, chosen, strict=True):
            talk.play(example)
    decode_as = [word for port in ports for word in ("-d", f"tcp.port=={port},{shark.spec.protocol}")]
    streams = list(by_stream(shark.frames(path, *decode_as)).values())
    wanted = [lines for talk in talks for lines in talk.lines.values()]
    assert len(streams) == len(wanted)
    for frames, lines in zip(streams, wanted, strict=True):
        whole = [frame for frame in frames if frame["kind"] != "fragment"]
        assert by_side(whole) == by_side_of(lines)
        for frame in whole:
            assert frame["state"] != "unknown", str(frame)
            assert frame.get("violation.by") != "server", str(frame)
        refused = [frame["code"] for frame in whole if frame["kind"] == "refusal"]
        general = [code for code in refused if shark.spec.errors[code].general]
        blamed = [frame["violation"] for frame in whole if frame.get("violation") and frame["violation"] in general]
        assert blamed == general  # what the server has found, the dissector has found


def by_side(frames: list[Seen]) -> dict[str, list[str]]:
    """The lines that each side has sent, in their order."""
    return {side: [frame["line"] for frame in frames if frame["from"] == side] for side in ("client", "server")}


def by_side_of(lines: list[tuple[str, bytes]]) -> dict[str, list[str]]:
    return {
        side: [line.decode(errors="replace") for who, line in lines if who == side] for side in ("client", "server")
    }


def test_a_real_chat_is_linked_line_by_line(shark: Tshark, start: Callable[..., Stage], tmp_path: Path) -> None:
    """Many lines in few segments: each has its delivery, and the times are those of a local network."""
    stage = start()
    path = tmp_path / "chat.pcapng"
    with recording(path, [stage.server.address[1]]):
        alice, bob = stage.chat()
        alice.send(*(f"MSG line {number}" for number in range(300)))
        assert bob.lines(300) == [f"MSG line {number}" for number in range(300)]
        bob.send("MSG and back", "LEAVE")
        assert bob.line() == "OK LEAVE"
        assert alice.lines(2) == ["MSG and back", "GONE bob left"]
        alice.send("MSG too late")
        assert alice.line().startswith("ERR MSG ")
        assert alice.ask("LEAVE") == "OK LEAVE"
    frames = shark.frames(path, "-2", "-Y", shark.spec.protocol)
    assert not [str(frame) for frame in frames if frame.get("violation")]
    sent = {frame["text"]: frame for frame in frames if frame["from"] == "client" and frame["verb"] == "MSG"}
    heard = {frame["text"]: frame for frame in frames if frame["from"] == "server" and frame["verb"] == "MSG"}
    assert len(heard) == 301
    for text, frame in heard.items():
        assert (frame["relayed_from"], sent[text]["relayed_in"]) == (str(sent[text].number), str(frame.number))
        assert 0 <= float(frame["relay_time"]) < 10
        assert frame["chat"] == sent[text]["chat"] == "1"
    refusal = next(frame for frame in frames if frame["kind"] == "refusal")
    assert refusal["request_in"] == str(sent["too late"].number)
    for frame in frames:
        if frame["kind"] == "answer":
            assert 0 <= float(frame["time"]) < 10
    assert (frames[-1]["line"], frames[-1]["state"], frames[-1]["state_after"]) == ("OK LEAVE", "PAIRED", "NAMED")
