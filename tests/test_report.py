"""The report against Wireshark itself, and against what the recorded scenarios really did."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pychat.spec import Spec, shipped
from tools.dissector.script import script
from tools.report.analysis.calls import Call
from tools.report.build import analyse
from tools.report.document import Column, Document, Paragraph, Section, Table, quoted, seconds
from tools.report.evidence import Evidence, among, ranges
from tools.report.findings import Findings
from tools.report.html import html
from tools.report.packets import Line
from tools.report.pdf import pdf
from tools.report.reading import read
from tools.report.render import plain
from tools.report.tshark import ReportError, version
from tools.report.tshark import Tshark as Reader
from tools.vocabulary import Vocabulary
from tools.wireshark import options

from .conftest import ROOT, need, output
from .dissection import Tshark
from .segments import Capture

CAPTURES = ROOT / "tests" / "data" / "captures"
RECORDED = [
    "chat.pcapng", "calls.pcapng", "segmentation.pcapng", "trouble.pcapng", "nagle.pcapng", "loss.pcapng",
    "loopback6.pcap", "routed6.pcapng",
]  # fmt: skip
WORDS = Vocabulary.of(shipped())


def quiet(_words: str) -> None:
    """Shows no progress."""


@cache
def report_on(path: Path) -> Document:
    """The report on a capture; each is made once."""
    need("tshark")
    return analyse(path, shipped(), quiet)


def report(name: str) -> dict[str, Any]:
    result: dict[str, Any] = plain(report_on(CAPTURES / name))
    return result


def truth(name: str) -> dict[str, Any]:
    """What the scenario did, as it wrote down itself."""
    (result,) = json.loads((CAPTURES / name).with_suffix(".truth.json").read_text())
    return dict(result)


AS_REPORTED = ["-n", *options()]  # tshark's options


def ask(shark: Tshark, name: str, display_filter: str, *fields: str) -> list[list[str]]:
    """Asks tshark alone: the values of fields in the packets that a filter shows."""
    words = ["-Y", display_filter, "-T", "fields", *(part for field in fields for part in ("-e", field))]
    rows = shark.run(CAPTURES / name, *AS_REPORTED, "-e", "frame.number", *words)
    return [line.split("\t") for line in rows.splitlines()]


def evidences(document: dict[str, Any]) -> Iterator[tuple[str, str, list[int]]]:
    """Everything that is cited: what it is about, the filter and the frames."""
    for section in document["sections"]:
        for block in section["blocks"]:
            cited = block["evidence"]
            if cited is not None:
                about = f"{section['title']}: {block.get('caption') or block.get('text')}"
                yield about, cited["filter"], [n for low, high in cited["frames"] for n in range(low, high + 1)]


# --- Every figure can be checked ------------------------------------------------------------------------------------


def shown_by_wireshark(
    capture: Path, shark: Tshark, filters: list[str], folder: Path, preferences: list[str]
) -> dict[int, list[int]]:
    """The frames that each filter shows, in one pass."""
    asked = folder / "filters"
    asked.write_text("\n".join(filters) + "\n", encoding="utf-8")
    script = f"lua_script:{ROOT / 'tests' / 'data' / 'asked.lua'}"
    shown: dict[int, list[int]] = {}
    as_reported = [word for preference in preferences for word in ("-o", preference)]
    for line in shark.run(capture, "-n", *as_reported, "-q", "-X", script, FILTERS=str(asked)).splitlines():
        number, _, frame = line.partition("\t")
        assert number.isdigit(), f"Wireshark does not understand a filter: {line}"
        shown.setdefault(int(number), []).append(int(frame))
    return shown


def check_evidence(capture: Path, shark: Tshark, folder: Path) -> int:
    document = plain(report_on(capture))
    cited = list(evidences(document))
    filters = [display_filter for _, display_filter, _ in cited]
    shown = shown_by_wireshark(capture, shark, filters, folder, document["data"]["preferences"])
    for index, (about, display_filter, frames) in enumerate(cited, 1):
        assert shown.get(index, []) == frames, f"{about}: {display_filter}"
    return len(cited)


@pytest.mark.parametrize("name", RECORDED)
def test_each_filter_shows_exactly_the_frames_that_are_cited(name: str, shark: Tshark, tmp_path: Path) -> None:
    """So a reader can check any sentence: Wireshark's own filter engine is asked, and knows nothing of the report."""
    assert check_evidence(CAPTURES / name, shark, tmp_path) > 20


@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(["-r", "{}", "{out}", "60-150"], id="begun-in-mid-stream"),
        pytest.param(["-s", "90", "{}", "{out}"], id="snap-length"),
        pytest.param(["-F", "pcap", "{}", "{out}"], id="pcap"),
        pytest.param(["-T", "rawip", "-C", "14", "{}", "{out}"], id="no-link-layer"),
    ],
)
def test_a_report_on_a_mutilated_capture_is_still_true(cut: list[str], shark: Tshark, tmp_path: Path) -> None:
    """Whatever is missing, what is said of the rest can be checked."""
    out = tmp_path / "cut.pcapng"
    words = [word.replace("{}", str(CAPTURES / "chat.pcapng")).replace("{out}", str(out)) for word in cut]
    output("editcap", *words)
    assert check_evidence(out, shark, tmp_path) > 15


# --- The figures, asked of tshark in another way --------------------------------------------------------------------


@pytest.mark.parametrize("name", RECORDED)
def test_the_handshakes_are_tsharks(name: str, shark: Tshark) -> None:
    """Sequence numbers, acknowledgements, options and the initial round trip of each connection."""
    rows = ask(
        shark,
        name,
        "tcp.flags.syn == 1",
        "tcp.stream",
        "tcp.flags.ack",
        "tcp.seq_raw",
        "tcp.ack_raw",
        "tcp.options.mss_val",
    )
    shakes = {one["stream"]: one["handshake"] for one in report(name)["data"]["connections"]}
    frames: dict[tuple[int, str], list[int]] = {}
    for frame, stream, acknowledges, seq, ack, mss in rows:
        shake = shakes[int(stream)]
        if shake is None:
            continue
        frames.setdefault((int(stream), acknowledges), []).append(int(frame))  # a router's capture has some twice
        if acknowledges in ("1", "True"):
            assert (shake["server_isn"], shake["syn_ack_acks"]) == (int(seq), int(ack))
            assert shake["server"]["mss"] == int(mss)
            assert shake["syn_ack"] in frames[int(stream), acknowledges]
        else:
            assert (shake["client_isn"], shake["client"]["mss"]) == (int(seq), int(mss))
            assert shake["syn"] >= frames[int(stream), acknowledges][0]
    trips = {
        int(stream): float(rtt)
        for _, stream, rtt in ask(shark, name, "tcp.analysis.initial_rtt", "tcp.stream", "tcp.analysis.initial_rtt")
    }
    for stream, shake in shakes.items():
        if shake is not None:  # Wireshark counts from the last SYN, whichever was answered
            assert trips[stream] < shake["rtt"] if shake["repeated"] else trips[stream] == shake["rtt"]


@pytest.mark.parametrize("name", RECORDED)
def test_packets_ends_and_lines_are_tsharks(name: str, shark: Tshark) -> None:
    """How many packets each connection has, which carry FIN and RST, and how many lines there are."""
    connections = {one["stream"]: one for one in report(name)["data"]["connections"]}
    packets = Counter(int(stream) for _, stream in ask(shark, name, "tcp", "tcp.stream"))
    assert packets == {stream: sum(one["packets"]) for stream, one in connections.items()}
    for flag, key in (("fin", "fins"), ("reset", "resets")):
        found = [
            (int(stream), int(frame)) for frame, stream in ask(shark, name, f"tcp.flags.{flag} == 1", "tcp.stream")
        ]
        assert sorted(found) == sorted((s, frame) for s, one in connections.items() for frame, _ in one["close"][key])


def test_retransmissions_are_tsharks(shark: Tshark) -> None:
    found = report("loss.pcapng")["data"]["tcp_analysis"]
    for name in ("tcp.analysis.retransmission", "tcp.analysis.duplicate_ack", "tcp.analysis.lost_segment"):
        assert found[name] == [int(frame) for (frame,) in ask(shark, "loss.pcapng", name)] != []


def test_the_route_is_told_by_the_ttl(shark: Tshark) -> None:
    """One router between the clients and the server, and Ethernet addresses that tell it."""
    sources = report("chat.pcapng")["data"]["sources"]
    server = truth("chat.pcapng")["server"]["address"]
    assert {source["hops"] for source in sources if source["address"] != server} == {1}
    assert [source["hops"] for source in sources if source["address"] == server] == [0]
    assert {ttl for _, ttl in ask(shark, "chat.pcapng", f"tcp && ip.src != {server}", "ip.ttl")} == {"63"}
    assert all(source["checksums_good"] == source["packets"] for source in sources)


def test_tsharks_reassembly_names_the_same_segments(shark: Tshark) -> None:
    """For each line that spans segments, tcp.segment of the frame that completes it has all of its frames."""
    by_frame = {
        int(frame): {int(n) for n in segments.split(",")}
        for frame, segments in ask(shark, "segmentation.pcapng", "tcp.segment", "tcp.segment")
    }
    spanning = [
        one for direction in report("segmentation.pcapng")["data"]["segmentation"] for one in direction["spanning"]
    ]
    assert spanning
    for one in spanning:
        assert set(one["frames"]) <= by_frame[one["complete"]] | {one["complete"]}


# --- The report and what the scenario really did --------------------------------------------------------------------


@pytest.mark.parametrize("name", RECORDED)
def test_people_addresses_and_calls_are_those_of_the_scenario(name: str) -> None:
    really, found = truth(name), report(name)["data"]
    named = {name: person["address"] for name, person in really["people"].items() if person["named"]}
    users = {one["user"]: one["client"].rpartition(":")[0].strip("[]") for one in found["connections"] if one["user"]}
    assert users == named
    assert [(call["caller"], call["called"], call["outcome"], call["lines"]) for call in really["calls"]] == [
        (call["caller"], call["called"], call["outcome"], lines_of(call)) for call in found["calls"]
    ]
    assert [(one["caller"], one["busy"]) for one in really["missed"]] == [
        (one["caller"], one["user"]) for one in found["missed"]
    ]
    assert all(line["delivered"] for call in found["calls"] for line in call["said"] if name != "trouble.pcapng")


def lines_of(call: dict[str, Any]) -> dict[str, int]:
    """How many lines each of the two has said."""
    return {who: sum(line["speaker"] == who for line in call["said"]) for who in (call["caller"], call["called"])}


def test_the_refusals_are_those_of_the_scenario() -> None:
    found = [(one["verb"], one["code"]) for one in report("chat.pcapng")["data"]["refusals"]]
    assert found == [(one["verb"], one["code"]) for one in truth("chat.pcapng")["refusals"]]


def rows_of(name: str, caption: str) -> list[list[str]]:
    """The rows of the table whose caption begins so."""
    (rows,) = [
        block["rows"]
        for section in report(name)["sections"]
        for block in section["blocks"]
        if (block.get("caption") or "").startswith(caption)
    ]
    return [list(row) for row in rows]


def test_each_end_of_a_call_is_told() -> None:
    """Answered, declined, ended by its caller, not answered, lost: what a reader finds in the table."""
    assert [(row[1], row[5]) for row in rows_of("calls.pcapng", "The calls")] == [
        ("alice → bob", "answered by bob"),
        ("carol → alice", "declined by alice"),
        ("dave → bob", "cancelled by dave"),
        ("carol → dave", "not answered in time"),
        ("erin → alice", "the connection of erin ended (`lost`)"),
    ]
    assert [row[2:4] for row in rows_of("calls.pcapng", "Missed calls")] == [["alice", "carol"], ["bob", "dave"]]
    assert [row[1] for row in rows_of("calls.pcapng", "The chats")] == ["alice → bob"]


def test_a_call_rings_as_long_as_tshark_says(shark: Tshark) -> None:
    """From the push to the called user to the push that ends the ringing, in tshark's own times."""
    pushes = ask(shark, "calls.pcapng", 'pychat.kind == "push"', "frame.time_epoch", "pychat.verb", "pychat.chat")
    calls = {call["number"]: call for call in report("calls.pcapng")["data"]["calls"]}
    begun = {int(chat): (int(frame), float(time)) for frame, time, verb, chat in pushes if verb == WORDS.called}
    assert [call["rang"]["frame"] for call in calls.values()] == [frame for frame, _ in begun.values()]
    ends = (WORDS.accepted, WORDS.gone)
    for frame, time, _, chat in reversed([push for push in pushes if push[2] in ends]):  # the first one is the last
        number = int(chat)
        calls[number]["wanted"] = (int(frame), float(time) - begun[number][1])
    for call in calls.values():
        frame, ringing = call["wanted"]
        assert (call["answered"] or call["over"])["frame"] == frame
        assert call["ringing"] == pytest.approx(ringing, abs=1e-5)


def findings_of(path: Path, folder: Path) -> Findings:
    """What the report finds in a capture; nothing is written or drawn."""
    need("tshark")
    dissector = folder / "dissector.lua"
    dissector.write_text(script(shipped()), encoding="utf-8")
    reader = Reader(path, dissector, shipped().protocol, version(), shipped().transport.port)
    return Findings(read(reader, shipped().protocol, quiet), shipped(), WORDS, "")


def calls_in(path: Path, folder: Path) -> tuple[list[Call], list[Line]]:
    """The calls and the lines of a capture as the report reads them."""
    findings = findings_of(path, folder)
    return findings.calls, findings.lines


# What is left out of a call that is answered and then left by the caller, and what the report says of it.
MISSING = [
    pytest.param([], "answered", "ACCEPTED bob", id="nothing"),
    pytest.param(["ACCEPTED bob"], "answered", "OK CHAT alice", id="the push of the answer"),
    pytest.param(["bob"], "answered", "ACCEPTED bob", id="the called user's connection"),
    pytest.param(["alice"], "answered", "OK CHAT alice", id="the caller's connection"),
    pytest.param(["ACCEPTED bob", "OK CHAT alice"], "unknown", None, id="each frame that shows the answer"),
    pytest.param(["bob", "ACCEPTED bob", "OK LEAVE"], "open", None, id="answer and end"),
]


@pytest.mark.parametrize(("missing", "outcome", "answer"), MISSING)
def test_a_gap_accuses_nobody(missing: list[str], outcome: str, answer: str | None, tmp_path: Path) -> None:
    """What the capture does not have has not been declined, and what shows an answer is one."""
    capture = Capture()
    flows = {name: capture.flow(shipped().transport.port) for name in ("alice", "bob") if name not in missing}
    frames: dict[str, int] = {}

    def server(name: str, line: str) -> None:
        if name in flows and line in missing:
            flows[name].skip("server", len(line) + 1)
        elif name in flows:
            flows[name].server(line)
            frames[line] = len(capture.packets)

    def client(name: str, line: str) -> None:
        if name in flows:
            flows[name].client(line)

    for name, flow in flows.items():
        flow.open()
        flow.client(f"NAME {name}")
        flow.server(f"OK NAME {name}")
    client("alice", "CHAT bob")
    server("bob", "CALL alice")
    server("alice", "OK CHAT bob")
    client("bob", "CHAT alice")
    server("bob", "OK CHAT alice")
    server("alice", "ACCEPTED bob")
    client("alice", "LEAVE")
    server("alice", "OK LEAVE")
    server("bob", "GONE alice left")
    for name in flows:  # what shows a gap
        client(name, "PING t")
        server(name, "PONG t")
    (call,), seen = calls_in(capture.write(tmp_path / "gap.pcap"), tmp_path)
    assert (call.caller, call.called, call.outcome) == ("alice", "bob", outcome)
    assert (call.answered and call.answered.frame) == (frames[answer] if answer else None)
    assert [line.violation for line in seen if line.violation] == []


@pytest.mark.parametrize(
    ("user", "lines", "outcome", "end"),
    [
        ("alice", ["> CHAT bob", "< OK CHAT bob", "> LEAVE", "< OK LEAVE"], "hung up", "alice LEAVE"),
        ("bob", ["< CALL alice", "> LEAVE", "< OK LEAVE"], "declined", "bob LEAVE"),
        ("bob", ["< CALL alice", "< GONE alice left"], "hung up", "alice left"),
        ("bob", ["< CALL alice", "< GONE alice unanswered"], "unanswered", "alice unanswered"),
        ("alice", ["> CHAT bob", "< OK CHAT bob", "< GONE bob timeout"], "lost", "bob timeout"),
        ("alice", ["> CHAT bob", "< OK CHAT bob", "> QUIT", "< OK QUIT"], "lost", "alice QUIT"),
        ("bob", ["< CALL alice", "< BYE shutting-down some words"], "lost", "bob shutting-down"),
    ],
)
def test_one_connection_tells_how_a_call_ended(
    user: str, lines: list[str], outcome: str, end: str, tmp_path: Path
) -> None:
    """Whichever of the two is in the capture."""
    capture = Capture()
    flow = capture.flow(shipped().transport.port).open()
    for line in [f"> NAME {user}", f"< OK NAME {user}", *lines]:
        (flow.client if line[0] == ">" else flow.server)(line[2:])
    (call,), _ = calls_in(capture.write(tmp_path / "one.pcap"), tmp_path)
    assert (call.caller, call.called) == ("alice", "bob")
    assert (call.outcome, str(call.going)) == (outcome, end)


def test_who_has_called_is_not_guessed(tmp_path: Path) -> None:
    """In a capture that begins between two frames of one connection, the same answer may be to a call or make one."""
    capture = Capture()
    flow = capture.flow(shipped().transport.port)
    flow.client("CHAT alice")
    flow.server("OK CHAT alice")
    (call,), _ = calls_in(capture.write(tmp_path / "begun.pcap"), tmp_path)
    assert not call.shown
    assert (call.answered, call.outcome) == (None, "open")


def test_each_trouble_is_found() -> None:
    """Killed, reset, half-open, timed out, faulty, refused: for each, what the report says of its connection."""
    found = report("trouble.pcapng")["data"]
    by_port = {int(one["client"].rpartition(":")[2]): one for one in found["connections"]}
    by_user = {one["user"]: one for one in found["connections"]}
    for event in truth("trouble.pcapng")["events"]:
        one = by_port.get(event.get("port", 0)) or by_user.get(event.get("user", ""), {})
        if event["what"] == "killed":
            assert one["close"]["by"] == "client"
        elif event["what"] in ("reset", "half-open"):
            assert (one["close"]["how"], one["close"]["resets"][0][1]) == ("reset", "client")
        elif event["what"] == "timeout":
            assert one["close"]["by"] == "server"
        elif event["what"] == "zero window":
            assert found["tcp_analysis"]["tcp.analysis.zero_window"]
        elif event["what"] == "faults":
            assert [fault for fault in found["violations"] if fault["who"] == one["client"] and fault["by"] == "client"]
        else:
            assert event["what"] == "refused connection"
            assert [one["close"]["how"] for one in found["connections"]].count("refused") == 1


def test_segments_and_lines_are_cut_as_the_scenario_cut_them() -> None:
    """Many lines in one segment, lines over several, and one line octet by octet."""
    really = {event["what"]: event for event in truth("segmentation.pcapng")["events"]}
    directions = [
        direction
        for direction in report("segmentation.pcapng")["data"]["segmentation"]
        if direction["from"] == "client"
    ]
    assert max(direction["most_in_one"] for direction in directions) >= really["coalesced"]["frames"]
    spanning = [one for direction in directions for one in direction["spanning"]]
    assert max(len(one["frames"]) for one in spanning) == really["crumbs"]["sends"] == really["crumbs"]["octets"]
    assert len([one for one in spanning if one["octets"] > 1448]) >= really["spanning"]["frames"]


def test_nagle_makes_fewer_segments_of_the_same_lines() -> None:
    really = {event["nodelay"]: event for event in truth("nagle.pcapng")["events"]}
    data = report("nagle.pcapng")["data"]
    streams = {int(one["client"].rpartition(":")[2]): one["stream"] for one in data["connections"]}
    segments = {(direction["stream"], direction["from"]): direction["segments"] for direction in data["segmentation"]}
    slow, quick = (segments[streams[really[nodelay]["port"]], "client"] for nodelay in (False, True))
    assert quick - slow >= really[True]["sends"] // 2


def test_the_first_illegal_frame_is_named() -> None:
    text = json.dumps(report("trouble.pcapng")["sections"])
    first = report("trouble.pcapng")["data"]["violations"][0]
    assert f"The first violation is in frame {first['frame']}" in text
    assert "No line of the protocol violates the specification" in json.dumps(report("chat.pcapng")["sections"])


# --- Paper and screen -----------------------------------------------------------------------------------------------


def test_the_same_capture_gives_the_same_octets_of_pdf(tmp_path: Path) -> None:
    """Made twice from the capture, with nothing remembered."""
    path = CAPTURES / "chat.pcapng"
    first = pdf(report_on(path), path.name)
    assert first == pdf(analyse(path, shipped(), quiet), path.name)
    out = tmp_path / "report.pdf"
    out.write_bytes(first)
    text = output("pdftotext", "-layout", out, "-")
    for section in report_on(path).sections:
        assert section.title in text


def test_nothing_leaves_the_page(tmp_path: Path) -> None:
    """No word of the longest report lies outside the margins: on paper, whatever does not fit is lost."""
    out = tmp_path / "report.pdf"
    path = CAPTURES / "trouble.pcapng"
    out.write_bytes(pdf(report_on(path), path.name))
    boxes = output("pdftotext", "-bbox", out, "-")
    width = float(re.search(r'<page width="([\d.]+)"', boxes)[1])  # type: ignore[index]
    margin = 20 / 25.4 * 72
    words = re.findall(r'<word xMin="([\d.]+)" yMin="[\d.]+" xMax="([\d.]+)" yMax="[\d.]+">(.*?)</word>', boxes)
    assert len(words) > 1000
    assert [word for left, right, word in words if float(left) < margin or float(right) > width - margin] == []


def test_nothing_of_a_capture_is_markup() -> None:
    """Neither in HTML nor in a text between backticks."""
    hostile = "<script>alert(1)</script> `#panic()`"
    table = Table("caption", (Column("code", code=True), Column("text")), [(hostile, quoted(hostile))])
    page = html(Document("title", "subtitle", (), (Section(hostile, (Paragraph(quoted(hostile)), table)),)))
    assert "<script>" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 5
    assert pdf(Document("t", "s", (), (Section("s", (Paragraph(quoted(hostile)), table)),)), hostile).startswith(
        b"%PDF"
    )


def test_a_number_of_frames_is_written_short() -> None:
    assert ranges([1, 2, 3, 7, 9, 10]) == [(1, 3), (7, 7), (9, 10)]
    assert among("frame.number", [1, 2, 3, 7]) == "frame.number in {1 .. 3, 7}"
    assert Evidence.of("tcp", [3, 1, 2, 9]).words == "frames 1–3, 9"
    assert Evidence.of("tcp", []).words == "no frame"
    assert [seconds(value) for value in (14e-6, 0.0023, 0.25, 1.5, 200)] == [
        "14 µs",
        "2.3 ms",
        "250 ms",
        "1.5 s",
        "200 s",
    ]


# --- The command ----------------------------------------------------------------------------------------------------


def run(*arguments: str | Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ) if path is None else {**os.environ, "PATH": path}
    command = [sys.executable, "-m", "tools.report", "--quiet", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)


def test_what_cannot_be_reported_on_is_said_in_a_line(tmp_path: Path) -> None:
    """No stack trace, and what to do; exit code 1."""
    need("tshark")
    whole = (CAPTURES / "chat.pcapng").read_bytes()
    files = {"cut": whole[:15001], "text": b"no capture at all\n", "empty": b""}
    for name, octets in files.items():
        (tmp_path / name).write_bytes(octets)
    output("editcap", "-r", CAPTURES / "chat.pcapng", tmp_path / "silent", "1-9")
    said = {name: run(tmp_path / name) for name in ("cut", "text", "empty", "silent", "missing")}
    said["no-tshark"] = run(CAPTURES / "chat.pcapng", path=str(tmp_path))
    for name, words in {
        "cut": "is truncated",
        "text": "is not a capture",
        "empty": "holds no packets",
        "silent": "python -m tools.capture",
        "missing": "there is no capture",
        "no-tshark": "apt-get install tshark",
    }.items():
        assert said[name].returncode == 1, name
        assert words in said[name].stderr, name
        assert len(said[name].stderr.splitlines()) == 1, name


def test_encrypted_traffic_is_told_from_none() -> None:
    """TLS is named, not taken for an absent chat."""
    need("tshark")
    with pytest.raises(ReportError, match="holds TLS, which cannot be read"):
        analyse(CAPTURES / "tls.pcapng", shipped(), quiet)


def test_another_protocol_has_no_report_from_this_spec(little: Spec) -> None:
    """A spec that is no chat of this kind is refused by its meaning, not by its words."""
    need("tshark")
    with pytest.raises((ReportError, ValueError)):
        analyse(CAPTURES / "chat.pcapng", little, quiet)
