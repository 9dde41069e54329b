"""What an instructor looks for in a report: found where it is, named as what it is, and in whole sentences."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from decimal import Decimal
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pychat.spec import shipped
from tools.report.analysis.delays import acknowledgements, small_early
from tools.report.analysis.tcp_states import closing, steps
from tools.report.appendix import with_appendix
from tools.report.build import analyse
from tools.report.document import Block, Column, Document, Paragraph, Section, Table
from tools.report.packets import ACK, FIN, RST, SYN, Packet
from tools.report.pdf import installed_fonts, pdf
from tools.report.render import plain
from tools.report.sections.small import burst_panel

from .conftest import ROOT, need, output
from .dissection import Tshark
from .segments import Capture
from .test_report import CAPTURES, RECORDED, ask, findings_of, quiet, report, report_on, truth

SAMPLE = ROOT / "tools" / "report" / "traffic_capture.pcapng"
SAMPLE_REPORT = SAMPLE.with_name("analysis_report.pdf")


def section(document: dict[str, Any], title: str) -> dict[str, Any]:
    (found,) = [one for one in document["sections"] if one["title"] == title]
    return dict(found)


def sentences(part: dict[str, Any]) -> list[str]:
    """The paragraphs of a section, or of a whole document."""
    if "sections" in part:
        return [text for one in part["sections"] for text in sentences(one)]
    return [block["text"] for block in part["blocks"] if block["kind"] == "paragraph"]


def frames_of(block: dict[str, Any]) -> list[int]:
    return [number for low, high in block["evidence"]["frames"] for number in range(low, high + 1)]


# --- TCP's states ---------------------------------------------------------------------------------------------------


def segments(*rows: str) -> list[Packet]:
    """Packets from rows such as `client FIN ACK 10 20`: sender, flags, sequence and acknowledgement number."""
    bits = {"SYN": SYN, "ACK": ACK, "FIN": FIN, "RST": RST}
    found = []
    for number, row in enumerate(rows, 1):
        sender, *flags, seq, ack = row.split()
        packet = Packet(number=number, time=Decimal(number), seq=int(seq), ack=int(ack), stream=0)
        packet.flags = sum(bits[flag] for flag in flags)
        packet.from_client = sender == "client"
        found.append(packet)
    return found


OPENING = ("client SYN 0 0", "server SYN ACK 0 1", "client ACK 1 1")
OPENED = ["SYN-SENT/SYN-RECEIVED", "ESTABLISHED/SYN-RECEIVED", "ESTABLISHED/ESTABLISHED"]


@pytest.mark.parametrize(
    ("rows", "states", "how"),
    [
        pytest.param(
            ["client FIN ACK 9 5", "server FIN ACK 5 10", "client ACK 10 6"],
            ["FIN-WAIT-1/CLOSE-WAIT", "TIME-WAIT/LAST-ACK", "TIME-WAIT/CLOSED"],
            "combined",
            id="three segments",
        ),
        pytest.param(
            ["server FIN ACK 5 9", "client ACK 9 6", "client FIN ACK 9 6", "server ACK 6 10"],
            ["CLOSE-WAIT/FIN-WAIT-1", "CLOSE-WAIT/FIN-WAIT-2", "LAST-ACK/TIME-WAIT", "CLOSED/TIME-WAIT"],
            "separate",
            id="four segments",
        ),
        pytest.param(
            ["server FIN ACK 5 9", "client FIN ACK 9 5", "server ACK 6 10", "client ACK 10 6"],
            ["ESTABLISHED/FIN-WAIT-1", "FIN-WAIT-1 → CLOSING/CLOSING", "TIME-WAIT/CLOSING", "TIME-WAIT/TIME-WAIT"],
            "simultaneous",
            id="both at once",
        ),
        pytest.param(["client RST 9 0"], ["CLOSED/CLOSED"], None, id="reset"),
        pytest.param(["client FIN ACK 9 1"], ["FIN-WAIT-1/CLOSE-WAIT"], None, id="half-closed"),
        pytest.param(["client FIN ACK 9 5"], ["unknown/unknown"], None, id="octets or a FIN of the server are missing"),
    ],
)
def test_each_close_passes_the_states_of_the_standard(rows: list[str], states: list[str], how: str | None) -> None:
    """RFC 9293, section 3.3.2, with three segments, four, and both ends at once."""
    packets = segments(*OPENING, *rows)
    assert [f"{step.client}/{step.server}" for step in steps(packets)] == OPENED + states
    found = closing(packets)
    assert (found.how if found else None) == how
    if found is not None:
        assert found.frames == [packet.number for packet in packets[3:]]


def test_a_refused_connection_was_never_listened_for() -> None:
    """A RST that answers a SYN: the server is CLOSED, not in LISTEN."""
    packets = segments("client SYN 0 0", "server RST ACK 1 1")
    assert [f"{step.client}/{step.server}" for step in steps(packets)] == ["SYN-SENT/CLOSED", "CLOSED/CLOSED"]


def test_a_segment_that_is_sent_again_changes_no_state() -> None:
    packets = segments(*OPENING, "client FIN ACK 9 5", "client FIN ACK 9 5", "server FIN ACK 5 10", "client ACK 10 6")
    assert [step.packet.number for step in steps(packets)] == [1, 2, 3, 4, 6, 7]


def test_the_states_stand_beside_handshake_and_close() -> None:
    """In the tables of the example connection, segment by segment."""
    tables = {block["caption"]: block for one in report("trouble.pcapng")["sections"] for block in one["blocks"]
              if block["kind"] == "table"}  # fmt: skip
    (shake,) = [block for caption, block in tables.items() if caption.startswith("The handshake of")]
    assert [row[-2:] for row in map(list, shake["rows"])] == [state.split("/") for state in OPENED]
    ends = [block for caption, block in tables.items() if caption.startswith("The end of stream")]
    assert [block["rows"][-1][6:8] for block in ends] == [
        ("CLOSED", "TIME-WAIT"), ("TIME-WAIT", "CLOSED"), ("CLOSED", "CLOSED"), ("CLOSED", "CLOSED"),
        ("CLOSED", "CLOSED"),
    ]  # fmt: skip
    text = " ".join(sentences(section(report("trouble.pcapng"), "Closing the connections")))
    assert "Three segments closed 9 connections." in text
    assert "Four segments closed 1 connection." in text


@pytest.mark.parametrize("name", ["chat.pcapng", "routed6.pcapng", "loopback6.pcap"])
def test_window_scale_is_told_with_wiresharks_numbers(name: str, shark: Tshark) -> None:
    """Field × factor = window, each as tshark has it."""
    (text,) = [text for text in sentences(section(report(name), "The three-way handshake")) if "window scale" in text]
    told = re.findall(r"field of ([\d,]+) in frame (\d+) means [\d,]+ × ([\d,]+) = ([\d,]+) octets", text)
    told += re.findall(r"server's ([\d,]+) in frame (\d+) means [\d,]+ × ([\d,]+) = ([\d,]+) octets", text)
    assert len(told) == 2
    for field, frame, factor, window in told:
        fields = ("tcp.window_size_value", "tcp.window_size_scalefactor", "tcp.window_size")
        (row,) = ask(shark, name, f"frame.number == {frame}", *fields)
        assert row[1:] == [number.replace(",", "") for number in (field, factor, window)]


@pytest.mark.parametrize("name", RECORDED)
def test_the_parts_of_a_round_trip_add_up_to_it(name: str, shark: Tshark) -> None:
    """To the nanosecond, and it is Wireshark's: no time goes through a float on its way to the page."""
    scale = {"s": 0, "ms": 3, "µs": 6}
    (text,) = [text for text in sentences(section(report(name), "The three-way handshake")) if "+ 1, and" in text]
    whole, one, other = [
        Decimal(number).scaleb(-scale[unit]) for number, unit in re.findall(r"([\d.]+) (µs|ms|s)\b", text)[:3]
    ]
    assert one + other == whole
    stream = re.search(r"of .* \(stream (\d+)\)", str(section(report(name), "The three-way handshake")))
    assert stream is not None
    rows = ask(shark, name, f"tcp.analysis.initial_rtt && tcp.stream == {stream[1]}", "tcp.analysis.initial_rtt")
    last = re.search(r"counts from the last SYN instead \(([\d.]+) (µs|ms|s)\)", text)
    assert Decimal(rows[0][1]) == (Decimal(last[1]).scaleb(-scale[last[2]]) if last else whole)


@pytest.mark.parametrize("name", ["trouble.pcapng", "routed6.pcapng"])
def test_each_frame_with_syn_is_counted_once(name: str) -> None:
    """Also that of a refused attempt, and one that was sent again: the table cites as many frames as it counts."""
    (table,) = [block for block in section(report(name), "The three-way handshake")["blocks"]
                if str(block.get("caption")).startswith("TCP options in the SYNs")]  # fmt: skip
    assert sum(int(row[-1]) for row in table["rows"]) == len(frames_of(table))


# --- Nagle's algorithm and delayed acknowledgements -----------------------------------------------------------------

NAGLE = "Nagle's algorithm and delayed acknowledgements"


def test_nagles_algorithm_is_found_where_it_was_on() -> None:
    """On for the client without TCP_NODELAY, off for the other one: what the scenario did, found in its segments."""
    really = {event["user"]: event["nodelay"] for event in truth("nagle.pcapng")["events"]}
    texts = sentences(section(report("nagle.pcapng"), NAGLE))
    told = re.compile(r"^Nagle's algorithm is (on|off) in stream \d+ \((\S+) → server\)")
    found = {who: state == "off" for text in texts for state, who in told.findall(text)}
    assert found == really
    (held,) = [block for block in section(report("nagle.pcapng"), NAGLE)["blocks"] if " is on in " in str(block)]
    assert len(frames_of(held)) == 3
    assert "a delayed acknowledgement" in held["text"]


@pytest.mark.parametrize("name", [name for name in RECORDED if name != "nagle.pcapng"])
def test_nagles_algorithm_is_not_found_elsewhere(name: str) -> None:
    """The shipped client and server send with TCP_NODELAY; late segments of another cause are no evidence."""
    assert "algorithm is on" not in " ".join(sentences(report(name)))


def test_delayed_acknowledgements_are_those_of_tshark(shark: Tshark) -> None:
    """Without payload, 35 ms and more after the segment, and no other frame."""
    (block,) = [block for block in section(report("nagle.pcapng"), NAGLE)["blocks"] if "were delayed" in str(block)]
    rows = ask(shark, "nagle.pcapng", "tcp.analysis.ack_rtt && tcp.len == 0 && tcp.flags == 0x010",
               "tcp.analysis.ack_rtt")  # fmt: skip
    late = {int(frame): float(rtt) for frame, rtt in rows if float(rtt) >= 0.035}
    assert frames_of(block) == sorted(late)
    assert f"{1000 * min(late.values()):.3g} ms to {1000 * max(late.values()):.3g} ms" in block["text"]


def test_a_burst_without_the_algorithm_has_an_axis_of_its_own(tmp_path: Path) -> None:
    """In microseconds, no longer than what is shown: on the axis of the wait it would be one line."""
    findings = findings_of(CAPTURES / "nagle.pcapng", tmp_path)
    gaps = {gap.connection.stream: gap for gap in findings.gaps}
    early = [(one, small_early(one, gaps[one.connection.stream])) for one in findings.directions]
    direction, frames = next((one, frames) for one, frames in early if frames)
    panel = burst_panel(direction, frames)
    assert panel.scale == 1_000_000
    assert panel.sent[-1].time - panel.first.time > (panel.high - panel.low) / 3
    assert len(panel.acks) == 1
    assert panel.note == " (10 segments in 135 µs)"


def test_no_acknowledgement_is_left_out_without_a_word(shark: Tshark, tmp_path: Path) -> None:
    """What is delayed, prompt, left out and carried is all that Wireshark measures, less those of a SYN or FIN."""
    findings = findings_of(CAPTURES / "trouble.pcapng", tmp_path)
    found = acknowledgements(findings.gaps)
    rows = ask(shark, "trouble.pcapng", "tcp.analysis.ack_rtt && tcp.flags == 0x010 && tcp.len == 0", "tcp.stream")
    listed = [*found.delayed, *found.prompt, *found.other, *found.repaired, *found.far]
    numbers = [packet.number for packet in listed]
    assert len(numbers) == len(set(numbers)) == found.alone
    assert all(packet.payload == 0 for packet in listed)
    left = {int(frame) for frame, _ in rows} - set(numbers)
    acknowledged = {packet.number: packet.acknowledged for packet in findings.packets}
    ends = {packet.after for packet in findings.packets if packet.flags & (SYN | FIN)}
    assert all(acknowledged[number] in ends for number in left)
    (text,) = [text for text in sentences(section(report("trouble.pcapng"), NAGLE)) if "delayed:" in text]
    assert f"Of acknowledgements without payload, {found.alone} are the first for their octets" in text
    assert f"the {len(found.carried)} that travel with payload" in text


# --- The session ----------------------------------------------------------------------------------------------------


def test_each_pattern_is_named_with_its_figure(shark: Tshark) -> None:
    """Six patterns, each a sentence with a number; the longest silence is tshark's."""
    texts = sentences(section(report("chat.pcapng"), "Patterns of the session"))
    names = [text.partition(":")[0] for text in texts]
    assert names == [
        "Request and answer", "Push", "Relay", "Think time", "Silence", "TCP keep-alive", "Keep-alive of the protocol",
    ]  # fmt: skip
    assert all(re.search(r"\d", text) for text in texts[:5])
    times: dict[str, list[tuple[float, int]]] = {}
    for frame, stream, time in ask(shark, "chat.pcapng", "tcp", "tcp.stream", "frame.time_epoch"):
        times.setdefault(stream, []).append((float(time), int(frame)))
    gap, one, other = max(
        (after[0] - before[0], before[1], after[1]) for found in times.values() for before, after in pairwise(found)
    )
    assert f"the longest is {gap:.3g} s, in stream" in texts[4]
    assert f"between frames {one} and {other}" in texts[4]


@pytest.mark.parametrize("name", RECORDED)
def test_what_is_counted_at_several_places_is_counted_alike(name: str, tmp_path: Path) -> None:
    """Answers and refusals in the table of requests, in the sentence on them and in the table of refusals."""
    findings = findings_of(CAPTURES / name, tmp_path)
    answers = sum(request.granted + request.refused for request in findings.requests)
    assert sum(request.sent for request in findings.requests) == len(findings.of_kind("request")[0])
    assert sum(request.refused for request in findings.requests) == len(findings.of_kind("refusal")[0])
    (text,) = [text for text in sentences(section(report(name), "Patterns of the session")) if "Request and" in text]
    refused = sum(request.refused for request in findings.requests)
    among_them = rf" \({refused} of them (a refusal|refusals)\)" if refused else ""
    assert re.search(rf"The {answers:,} answers{among_them} followed their requests", text)
    assert len(findings.established) + len(findings.refused) == len(findings.connections)


def test_a_probe_of_a_closed_window_is_no_keep_alive() -> None:
    """Wireshark marks it as one; the window before it says what it is."""
    texts = sentences(section(report("trouble.pcapng"), "Patterns of the session"))
    (text,) = [text for text in texts if text.startswith("TCP keep-alive")]
    assert "so it is a zero-window probe" in text
    assert texts[-1].endswith("This capture holds 3; 1 was answered.")


# --- Words ----------------------------------------------------------------------------------------------------------

# What no engineer would write: counts of nothing in the middle of a sentence, signs for words, a subject for nobody.
CLUMSY = re.compile(
    r"\b0 (private|lines?|calls?|chats?|of|segments?|people|users)\b|\d × [a-z]|\bIn all,|not to be told|of his own|"
    r"what is seen, less|\b1 (lines|packets|frames|segments|calls|connections|routers)\b|, 1 were\b|"
    r"(?P<count>\d[\d,]*) connections? of (?P=count)\b|something from|besides them|"
    r"illegal frame|ended with a connection|from there|"
    r"(?P<time>\S+ [mµ]?s) to (?P=time)\b|\b0 µs"
)


def nobody_chats(path: Path) -> Path:
    """One client that takes a name, asks and leaves."""
    capture = Capture()
    flow = capture.flow(shipped().transport.port).open()
    for line in ("> NAME alice", "< OK NAME alice", "> PING t", "< PONG t", "> QUIT", "< OK QUIT"):
        (flow.client if line[0] == ">" else flow.server)(line[2:])
    flow.finish("server")
    flow.finish("client")
    return capture.write(path / "nobody.pcap")


def begun_in_a_chat(path: Path) -> Path:
    """A part of a capture, which begins in mid-stream."""
    need("editcap")
    output("editcap", "-r", CAPTURES / "chat.pcapng", path / "begun.pcapng", "60-150")
    return path / "begun.pcapng"


MADE = {"nobody": nobody_chats, "begun": begun_in_a_chat}


@pytest.mark.parametrize("name", [*RECORDED, *MADE])
def test_the_sentences_are_those_of_an_engineer(name: str, tmp_path: Path) -> None:
    """No sentence counts nothing, in any scenario, in a capture in which nobody chats, and in mid-stream."""
    document = plain(report_on(MADE[name](tmp_path))) if name in MADE else report(name)
    assert [text for text in sentences(document) if CLUMSY.search(text)] == []
    if name == "nobody":
        text = " ".join(sentences(document))
        assert "Nobody chatted; the capture holds 6 lines of the protocol." in text
        assert "`alice` used the chat server at `10.82.0.1:8255`, over one TCP connection." in text


def test_a_refused_attempt_is_no_connection() -> None:
    """One count, and the attempt beside it."""
    facts = dict(reversed(item) for item in report("trouble.pcapng")["sections"][0]["blocks"][0]["items"])
    assert facts["TCP connections (and 1 refused attempt)"] == "12"


# --- Paper ----------------------------------------------------------------------------------------------------------


def test_long_tables_are_in_an_appendix() -> None:
    """The text keeps the first rows and says where the others are; filters and frames stay with both."""
    rows = [(str(number),) for number in range(53)]
    whole = Table("Many", (Column("Number"),), rows)
    short = Table("Few", (Column("Number"),), rows[:3])
    text, appendix = with_appendix([Section("A section", [Paragraph("words"), whole, short])])
    blocks: Sequence[Block] = text.blocks
    assert isinstance(blocks[1], Table)
    assert blocks[1].rows == rows[:10]
    assert blocks[1].caption == "Many. The first 10 of 53 rows; Table 3 (appendix) has all of them"
    assert blocks[2] == short
    assert [getattr(block, "rows", None) for block in appendix.blocks] == [rows]
    assert with_appendix([Section("A section", [short])]) == [Section("A section", [short])]


def test_what_people_write_can_be_read() -> None:
    """Chinese, Japanese, Korean and emoji are drawn where the fonts are installed, and else named by their numbers."""
    need("pdftotext")
    words = "世界 こんにちは 안녕 🙂"
    text = text_of(pdf(Document("t", "s", (), (Section("s", (Paragraph(words),)),)), "short"))
    missing = "".join(f"‹U+{ord(char):04X}›" for char in "世界")
    assert (words if len(installed_fonts()) == 2 else missing) in text


def text_of(document: bytes, *options: str) -> str:
    """The text of a PDF, as pdftotext finds it."""
    command = [need("pdftotext"), *options, "-", "-"]
    return subprocess.run(command, input=document, capture_output=True, check=True).stdout.decode()


def ends_of_pages(document: Path, folder: Path) -> Iterator[float]:
    """For each page, how far down it has ink above the page number: 0 at the top margin, 1 at the bottom margin."""
    output("pdftoppm", "-r", "20", "-gray", document, folder / "page")
    for file in sorted(folder.glob("page-*.pgm")):
        _, width, height, _, pixels = file.read_bytes().split(maxsplit=4)
        columns, rows = int(width), int(height)
        inked = [row for row in range(rows) if min(pixels[row * columns : (row + 1) * columns]) < 160]
        top, bottom = 24 / 297 * rows, (297 - 22) / 297 * rows
        yield (max(row for row in inked if row < bottom) - top) / (bottom - top)


@pytest.mark.parametrize("name", RECORDED)
def test_no_page_is_a_third_empty(name: str, tmp_path: Path) -> None:
    """But the title page, the contents, and the last page."""
    out = tmp_path / "report.pdf"
    out.write_bytes(pdf(report_on(CAPTURES / name), name))
    _title, _contents, *ends, _last = ends_of_pages(out, tmp_path)
    assert [(page, round(end, 2)) for page, end in enumerate(ends, 2) if end < 2 / 3] == []


# --- The sample -----------------------------------------------------------------------------------------------------


def pinned() -> bool:
    """Whether what makes the text of the PDF has the pinned versions."""
    lines = (ROOT / ".ci" / "constraints.txt").read_text().splitlines()
    wanted = dict(re.findall(r"^(typst|matplotlib|fonttools)==(\S+)", "\n".join(lines), re.MULTILINE))
    return {name: metadata.version(name) for name in wanted} == wanted and len(installed_fonts()) == 2


def test_the_sample_is_fresh() -> None:
    """The report in the repository is that on the capture beside it, word for word with the pinned versions."""
    made = pdf(analyse(SAMPLE, shipped(), quiet), SAMPLE.name)
    text, kept = text_of(made), text_of(SAMPLE_REPORT.read_bytes())
    versions = [re.findall(r"TShark (\S+) and", whole) for whole in (text, kept)]
    if pinned() and versions[0] == versions[1]:
        assert text == kept, (
            "make it anew: python -m tools.report tools/report/traffic_capture.pcapng --out "
            "tools/report/analysis_report.pdf"
        )
