"""The dissector on recordings of the real server, made by the real dumpcap on the loopback interface."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conformance.cases.case import cases_of
from conformance.cases.play import example_plays
from conformance.engine.target import Address
from conformance.engine.verdict import Verdict
from conformance.engine.wire import Entry
from conformance.run import run_suite
from tools.capture.network import CaptureError, Host
from tools.capture.recorder import MARKER_PORT, Recorder

from .conftest import Stage, need
from .dissection import Seen, Tshark, by_stream

HERE = "127.0.0.1"


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


def test_the_examples_on_the_real_server(shark: Tshark, start: Callable[..., Stage], tmp_path: Path) -> None:
    """Each connection's frames as the judge sent and read them, with no state unknown and no blame for the server."""
    host, port = start(io_threads=1).server.address[:2]
    cases = [case for play in example_plays(shark.spec) for case in cases_of(shark.spec, play, "play", ["whole"])]
    path = tmp_path / "examples.pcapng"
    with recording(path, [port]):
        results = run_suite(Address(host, port), cases, spec=shark.spec)
    assert [result.verdict for result in results] == [Verdict.PASS] * len(cases)
    streams = list(by_stream(shark.frames(path, "-d", f"tcp.port=={port},{shark.spec.protocol}")).values())
    seen = []
    for frames in streams:
        whole = [frame for frame in frames if frame["kind"] != "fragment"]
        seen.append(by_side(whole))
        for frame in whole:
            assert frame["state"] != "unknown", str(frame)
            assert frame.get("violation.by") != "server", str(frame)
        refused = [frame["code"] for frame in whole if frame["kind"] == "refusal"]
        general = [code for code in refused if shark.spec.errors[code].general]
        blamed = [frame["violation"] for frame in whole if frame.get("violation") and frame["violation"] in general]
        assert blamed == general  # what the server has found, the dissector has found
    for result in results:
        for who in {entry.who for entry in result.entries if entry.mark in "<>"}:
            assert by_side_of(result.entries, who) in seen, (result.id, who)


def by_side(frames: list[Seen]) -> dict[str, list[str]]:
    """The lines that each side has sent, in their order."""
    return {side: [frame["line"] for frame in frames if frame["from"] == side] for side in ("client", "server")}


def by_side_of(entries: list[Entry], who: str) -> dict[str, list[str]]:
    """The lines of a connection in a transcript, by the side that has sent them."""
    octets = {
        side: b"".join(entry.octets for entry in entries if (entry.who, entry.mark) == (who, mark))
        for side, mark in (("client", ">"), ("server", "<"))
    }
    return {
        side: [line.removesuffix(b"\r").decode(errors="replace") for line in said.split(b"\n")[:-1]]
        for side, said in octets.items()
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
