"""Which connections of a capture are the protocol's: at every port that another dissector has; none of another's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

from pychat.spec import Spec, load
from tools.report.reading import read
from tools.report.tshark import Tshark as Reader
from tools.report.tshark import version
from tools.wireshark import options

from .conftest import ROOT, output
from .damage import Recorded, recorded, write
from .dissection import Seen, Tshark, by_stream, chat, play, written
from .segments import Capture, Flow

CAPTURES = ROOT / "tests" / "data" / "captures"


@cache
def taken_ports() -> tuple[int, ...]:
    """All TCP ports at which this tshark has a dissector."""
    rows = [line.split("\t") for line in output("tshark", "-G", "decodes").splitlines()]
    return tuple(sorted({int(row[1]) for row in rows if row[0] == "tcp.port" and row[1] != "0"}))


def at_each_port(name: str, folder: Path, at_most: int) -> tuple[Path, Path, int]:
    """The first TCP packets of a recording, the same with its server at every port in turn, and the port it had."""
    packets = [packet for packet in recorded(CAPTURES / name) if packet.ends][:at_most]
    port = server_port(packets)
    moved = [packet.at_ports({port: other}) for packet in packets for other in taken_ports()]
    return write(packets, folder / "one.pcap"), write(moved, folder / "all.pcap"), port


def server_port(packets: Iterable[Recorded]) -> int:
    """The port at an end of most packets."""
    ends = [end for packet in packets for end in packet.ends or ()]
    return Counter(int.from_bytes(end[-2:]) for end in ends).most_common(1)[0][0]


def test_a_server_is_found_at_every_port(shark: Tshark, tmp_path: Path) -> None:
    """In two passes from the first frame on; in one pass from the first frame that only this protocol has."""
    one, every, port = at_each_port("chat.pcapng", tmp_path, 50)

    def found(capture: Path, *words: str) -> dict[str, list[tuple[str, ...]]]:
        name = shark.spec.protocol
        fields = [f"{name}.{field}" for field in ("line", "state", "state_after", "violation")]
        wanted = [word for field in ("tcp.srcport", "tcp.dstport", f"{name}.from", *fields) for word in ("-e", field)]
        result: dict[str, list[tuple[str, ...]]] = {}
        for row in shark.run(capture, *options(), *words, "-Y", name, "-T", "fields", *wanted).splitlines():
            source, target, sender, *values = row.split("\t")
            result.setdefault(target if sender.startswith("client") else source, []).append(tuple(values))
        return result

    (right,) = found(one, "-d", f"tcp.port=={port},{shark.spec.protocol}").values()
    assert len(right) > 10
    in_two = found(every, "-2")
    assert in_two == {str(other): right for other in taken_ports()}
    in_one = found(every)
    assert in_one == {str(other): right[1:] for other in taken_ports()}


def test_the_report_reads_a_server_at_every_port(spec: Spec, shark: Tshark, tmp_path: Path) -> None:
    """With IPv6; each server is named to the dissector, and has all its lines."""
    one, every, port = at_each_port("loopback6.pcap", tmp_path, 50)

    def lines(capture: Path) -> dict[tuple[str, int], list[tuple[object, ...]]]:
        found: dict[tuple[str, int], list[tuple[object, ...]]] = {}
        result = read(
            Reader(capture, shark.script, spec.protocol, version(), spec.transport.port), spec.protocol, quiet
        )
        for packet in result.packets:
            server = (packet.dst, packet.dport) if packet.from_client else (packet.src, packet.sport)
            for line in packet.lines:
                found.setdefault(server, []).append(
                    (line.whole, line.sender, line.state, line.state_after, line.violation)
                )
        return found

    right = lines(one)["::1", port]
    assert len(right) > 10
    assert lines(every) == {("::1", other): right for other in taken_ports()}


def quiet(_words: str) -> None:
    """Shows no progress."""


def test_tls_is_tls_at_every_port(shark: Tshark, tmp_path: Path) -> None:
    """At the protocol's own port, too, with the preferences of the tools and without them."""
    _, every, port = at_each_port("tls.pcapng", tmp_path, 12)
    own = shark.spec.transport.port
    moved = [packet.at_ports({port: own}) for packet in recorded(CAPTURES / "tls.pcapng")]
    for capture, words, wanted in (
        (every, options(), set(taken_ports())),
        (write(moved, tmp_path / "own.pcap"), [], {own}),
    ):
        rows = shark.run(capture, *words, "-Y", "tls", "-T", "fields", "-e", "tcp.srcport", "-e", "tcp.dstport")
        ports = {int(port) for row in rows.splitlines() for port in row.split("\t")}
        assert wanted <= ports, sorted(wanted - ports)
        assert not shark.frames(capture, *words)


# --- Other protocols ------------------------------------------------------------------------------------------------

# Each line is one of a client (>) or of a server (<). Some of them are frames of ours.
OTHERS = {
    "irc": [
        "> NICK zed", "> USER z 0 * :Zed", "< :srv 001 zed :hi", "< PING :srv", "> PONG :srv", "> PING abc",
        "< :srv PONG srv :abc", "> WHO", "< PING srv", "> PONG srv", "> QUIT", "< ERROR :bye",
    ],
    "irc, the server's PING first": ["> NICK zed", "< PING 123", "> PONG 123", "< :srv 001 zed :hi", "> PING t"],
    "redis": ["> PING", "< +PONG", "> PING hello", "< $5", "< hello", "> QUIT", "< +OK"],
    "redis, PING with a word first": ["> PING hello", "< $5", "< hello", "> PING more"],
    "nats": ["< INFO {}", "> CONNECT {}", "> PING", "< PONG", "> SUB a 1", "< MSG a 1 2", "< hi", "< PING", "> PONG"],
    "smtp": ["< 220 x ESMTP", "> HELO y", "< 250 x", "> PING x", "< 500 what", "> QUIT", "< 221 bye"],
    "pop3": ["< +OK ready", "> USER bob", "< +OK", "> PASS free", "< +OK", "> LIST", "< +OK 0", "> QUIT", "< +OK"],
    "ftp": ["< 220 ready", "> USER bob", "< 331 password", "> PASS busy", "< 230 in", "> QUIT", "< 221 bye"],
    "nntp": ["< 200 news", "> MODE READER", "< 200 ok", "> LIST", "< 215 list", "< .", "> QUIT", "< 205 bye"],
    "imap": ["< * OK ready", "> a1 NOOP", "< a1 OK done", "> a2 LOGOUT", "< * BYE out", "< a2 OK done"],
    "memcached": ["> version", "< VERSION 1.6", "> get a", "< VALUE a 0 2", "< hi", "< END", "> quit"],
    "xmpp": ["> <stream:stream to='x'>", "< <stream:stream id='1'>", "> <message>PING x</message>", "< </stream>"],
    "http": ["> GET / HTTP/1.1", "> Host: x", "> ", "< HTTP/1.1 200 OK", "< Content-Length: 7", "< ", "< PING hi"],
    "mpd": ["< OK MPD 0.23", "> ping", "< OK", "> status", "< volume: 1", "< OK"],
    "nut": ["> LIST UPS", "< BEGIN LIST UPS", "< END LIST UPS", "> LOGOUT", "< OK Goodbye"],
    "sieve": ["< OK ready", "> NOOP tag", "< OK done", "> LOGOUT", "< OK bye"],
    "beanstalkd": ["> put 0 0 1 1", "> x", "< INSERTED 1", "> reserve", "< RESERVED 1 1", "< x", "> quit"],
    "ssh": ["< SSH-2.0-OpenSSH_9.2", "> SSH-2.0-OpenSSH_9.2"],
    "another chat": ["> NAME bob", "< WELCOME bob", "> MSG hi there", "< MSG alice: hi", "> QUIT", "< BYE"],
    "a server that answers PING": ["> PING abc", "< PONG abc", "> PING def", "< PONG def"],
    "a greeting, then ours": ["< HELLO there", "> NAME bob", "< OK NAME bob", "> QUIT", "< OK QUIT"],
}  # fmt: skip
PORTS = {"irc": 6667, "redis": 6379, "nats": 4222, "smtp": 25, "pop3": 110, "ftp": 21, "nntp": 119, "imap": 143}
PORTS |= {"memcached": 11211, "xmpp": 5222, "http": 80, "mpd": 6600, "nut": 3493, "sieve": 4190, "ssh": 22}


def say(flow: Flow, lines: Iterable[str], ending: bytes) -> None:
    for line in lines:
        flow.send("client" if line.startswith(">") else "server", line[2:].encode() + ending)


@pytest.mark.parametrize("ending", [b"\r\n", b"\n"])
@pytest.mark.parametrize("begun", ["seen", "unseen"])
def test_no_connection_of_another_protocol_is_ours(shark: Tshark, tmp_path: Path, ending: bytes, begun: str) -> None:
    """At its own port and at one of nobody; from its beginning, and cut there as often as it has lines."""
    capture = Capture()
    for number, (name, lines) in enumerate(OTHERS.items(), 1):
        for port in (PORTS.get(name, 45002), 45001):
            if begun == "seen":
                say(capture.flow(port, server=number).open(), lines, ending)
            elif "then ours" not in name:  # without its beginning, it is ours
                for first in range(1, len(lines)):
                    say(capture.flow(port, server=number), lines[first:], ending)
    path = written(capture, tmp_path)
    for words in ([], ["-2", *options(), "-Y", "pychat"]):
        assert [str(frame) for frame in shark.frames(path, *words)] == []


def test_the_other_dissectors_get_what_is_theirs(shark: Tshark, tmp_path: Path) -> None:
    """Nothing is held back from them, when the packets are shown."""
    capture = Capture()
    names = [name for name in ("irc", "smtp", "pop3", "ftp", "imap", "http") if name in PORTS]
    for number, name in enumerate(names, 1):
        say(capture.flow(PORTS[name], server=number).open(), OTHERS[name], b"\r\n")
    path = written(capture, tmp_path)
    asked = ["-2", *options(), "-Y", "tcp.len > 0", "-T", "fields", "-e", "_ws.col.Protocol"]
    plain = output("tshark", "-r", path, *asked)
    assert shark.run(path, *asked) == plain


# --- Ours -----------------------------------------------------------------------------------------------------------


def elsewhere(spec: Spec, packet: bytes) -> bytes:
    """The packet with a port of nobody in place of the protocol's."""
    return packet.replace(spec.transport.port.to_bytes(2), (45001).to_bytes(2))


def lines_of(frames: Iterable[Seen]) -> list[tuple[int, str, str]]:
    return [(frame.stream, frame["from"], frame["line"]) for frame in frames]


def test_a_frame_that_only_this_protocol_has_decides(shark: Tshark, tmp_path: Path) -> None:
    """What came before it is shown in the second pass, with its state; a server that was found is known."""
    capture = Capture()
    begins = capture.flow(45001, server=1).open()
    begins.client("NAME alice")
    begins.server("OK NAME alice")
    again = capture.flow(45001, server=1).open()
    again.client("what?")
    middle = capture.flow(45002, server=2)
    middle.server("are you?", "USER alice free", "USER bob busy")
    middle.client("LEAVE")
    faulty = capture.flow(45003, server=3).open()
    faulty.client("how?")
    faulty.server("ERR * bad-syntax x")
    faulty.client("PING t")
    full = capture.flow(45004, server=4).open()
    full.server("BYE server-full x")
    path = written(capture, tmp_path)
    found = [
        (0, "server", "OK NAME alice"),
        (1, "client", "what?"),
        (2, "server", "USER alice free"), (2, "server", "USER bob busy"), (2, "client", "LEAVE"),
        (3, "server", "ERR * bad-syntax x"), (3, "client", "PING t"),
        (4, "server", "BYE server-full x"),
    ]  # fmt: skip
    assert lines_of(shark.frames(path)) == found
    frames = [frame for frame in shark.frames(path, "-2", "-Y", "pychat") if frame["kind"] != "fragment"]
    assert lines_of(frames) == [(0, "client", "NAME alice"), *found]
    assert [frame["state"] for frame in frames[:3]] == ["CONNECTED"] * 3
    assert [frame["line"] for frame in frames if frame.get("violation")] == ["what?"]


@pytest.mark.parametrize("split", [1, 5])
def test_frames_in_pieces_are_recognised(shark: Tshark, tmp_path: Path, split: int) -> None:
    """What is held back is put together as TCP delivers it."""
    spec = shark.spec
    example = next(iter(spec.examples.values()))
    there = Capture()
    play(there, spec, example, 1, split=split)
    moved = Capture([elsewhere(spec, packet) for packet in there.packets])
    at_home = shark.frames(written(there, tmp_path), "-2", "-Y", spec.protocol)
    assert len(at_home) > 5
    found = shark.frames(written(moved, tmp_path, "moved"), "-2", "-Y", spec.protocol)
    assert [frame.fields for frame in found] == [frame.fields for frame in at_home]


def test_a_server_can_be_named(shark: Tshark, tmp_path: Path) -> None:
    """By its address and port, where it says nothing that only this protocol has."""
    capture = Capture()
    for number in (1, 2):
        flow = capture.flow(8300, server=number).open()
        flow.server("PING 1")  # a client may say that too
        flow.client("PONG 1")
    path = written(capture, tmp_path)
    assert not shark.frames(path)
    named = shark.frames(path, "-o", "pychat.servers:10.82.0.2:8300, [::1]:80")
    assert lines_of(named) == [(1, "server", "PING 1"), (1, "client", "PONG 1")]


def test_a_capture_that_begins_anywhere_is_recognised(shark: Tshark, tmp_path: Path) -> None:
    """Each slice of a chat that still has such a frame; no violation appears."""
    slices = Capture()
    for first in range(21):
        part = Capture()
        alice, bob = chat(part, shark.spec, server=1 + first)
        alice.client("MSG hi", "LEAVE")
        bob.server("MSG hi", "GONE alice left")
        alice.server("OK LEAVE")
        slices.packets += [elsewhere(shark.spec, packet) for packet in part.packets[first:]]
    assert first == len(part.packets) - 1
    path = written(slices, tmp_path)
    name = shark.spec.protocol
    found = shark.run(path, "-2", "-Y", name, "-T", "fields", "-e", "ip.src", "-e", "ip.dst", "-e", f"{name}.violation")
    rows = [row.split("\t") for row in found.splitlines()]
    servers = {address for *ends, _ in rows for address in ends} - {"10.82.1.2"}
    assert servers == {f"10.82.0.{1 + first}" for first in range(21)}
    assert [row for row in rows if row[2]] == []


@pytest.mark.parametrize("name", ["little", "board"])
def test_other_specs_have_such_frames(name: str, tmp_path: Path) -> None:
    """They are found in the spec, by no word of any."""
    shark = Tshark(load(ROOT / "tests" / f"{name}.yaml"), tmp_path)
    spec = shark.spec
    capture = Capture()
    for number, example in enumerate(spec.examples.values(), 1):
        play(capture, spec, example, number)
    moved = Capture([elsewhere(spec, packet) for packet in capture.packets])
    home = by_stream(shark.frames(written(capture, tmp_path), "-2", "-Y", spec.protocol))
    away = by_stream(shark.frames(written(moved, tmp_path, "moved"), "-2", "-Y", spec.protocol))
    assert len(away) > len(home) / 2
    for stream, frames in away.items():
        assert [frame["line"] for frame in frames] == [frame["line"] for frame in home[stream]]
