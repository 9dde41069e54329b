"""Lines and segments in the report, against the octets of the segments themselves."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pychat.spec import shipped
from tools.report.build import analyse
from tools.report.render import plain

from .dissection import Tshark
from .segments import Capture
from .test_report import CAPTURES, RECORDED, ask, findings_of, quiet, report
from .test_report_contents import section, sentences


def octets_of(shark: Tshark, name: str) -> dict[tuple[int, str], dict[int, tuple[int, int]]]:
    """By stream and sender's port: the frame that brought each octet first, and the octet, by sequence number."""
    found: dict[tuple[int, str], dict[int, tuple[int, int]]] = {}
    fields = ("tcp.stream", "tcp.srcport", "tcp.seq", "tcp.payload")
    for frame, stream, port, seq, payload in ask(shark, name, "tcp.len > 0", *fields):
        own = found.setdefault((int(stream), port), {})
        for place, octet in enumerate(bytes.fromhex(payload), int(seq)):
            own.setdefault(place, (int(frame), octet))
    return found


@pytest.mark.parametrize("name", RECORDED)
def test_a_line_ends_where_its_last_octet_is(name: str, shark: Tshark, tmp_path: Path) -> None:
    """Line ends are counted in the octets of each segment, those that were captured before left out.

    Wireshark shows a line where it can read it: after a loss, a segment seemed to hold more lines than fit in it.
    """
    brought = octets_of(shark, name)
    for direction in findings_of(CAPTURES / name, tmp_path).directions:
        sender = direction.segments[0].sport
        stream = brought[direction.connection.stream, str(sender)]
        really = Counter(frame for frame, octet in stream.values() if octet == ord("\n"))
        assert +direction.ends == really
        assert direction.sharing == sum(count for count in really.values() if count > 1)
        assert direction.certain
        for placed in direction.lines:
            octets = bytes(stream[place][1] for place in range(placed.start, placed.end))
            assert octets.rstrip(b"\r\n").decode(errors="replace")[:100] == placed.line.whole[:100]
            assert placed.frames == tuple(sorted({stream[place][0] for place in range(placed.start, placed.end)}))


def test_a_segment_that_fills_a_gap_has_not_the_lines_that_waited() -> None:
    """1,448 octets hold no eleven lines of 2,005; ten had waited, and that is told."""
    part = section(report("loss.pcapng"), "Lines that waited for missing octets")
    (text,) = sentences(part)
    assert "In frame 150 (alice → server) 1 line ends; with it, 10 lines that had passed in frames from 118 on" in text
    (table,) = [block for block in part["blocks"] if block["kind"] == "table"]
    assert [(row[0], row[4], row[5]) for row in table["rows"]] == [
        ("150", "1", "10"),
        ("242", "1", "3"),
        ("285", "0", "9"),
    ]
    summary = " ".join(sentences(section(report("loss.pcapng"), "Summary")))
    assert "no two share one" in summary
    assert "Several lines in one segment" not in [one["title"] for one in report("loss.pcapng")["sections"]]
    assert "Lines that waited for missing octets" not in [one["title"] for one in report("chat.pcapng")["sections"]]


@pytest.mark.parametrize("name", ["segmentation.pcapng", "nagle.pcapng", "chat.pcapng"])
def test_the_drawing_of_a_line_end_has_one(name: str, shark: Tshark) -> None:
    """At the offsets that its caption names, in the payload of the frame."""
    (listing,) = [
        block for block in section(report(name), "Several lines in one segment")["blocks"] if block["kind"] == "listing"
    ]
    frame = re.search(r"of frame (\d+)", listing["caption"])
    assert frame is not None
    places = [int(place, 16) for place in re.findall(r"`([0-9a-f]{4})`", listing["caption"])]
    ((_, payload),) = ask(shark, name, f"frame.number == {frame[1]}", "tcp.payload")
    assert places
    assert all(bytes.fromhex(payload)[place] == ord("\n") for place in places)
    shown = {int(row[:4], 16) + at: octet for row in listing["lines"] for at, octet in enumerate(row[4:54].split())}
    assert sorted(place for place, octet in shown.items() if octet == "0a") == places


def characters(document: dict[str, Any]) -> dict[str, Any]:
    return section(document, "Characters that span segments")


def test_a_character_that_is_cut_is_shown_with_its_octets(shark: Tshark, tmp_path: Path) -> None:
    """In the recorded capture, and for a character of three octets after both cuts."""
    text, listing = characters(report("segmentation.pcapng"))["blocks"]
    ends = re.search(r"Frame (\d+) ends with `(.*?)`, and frame (\d+) begins with `(.*?)`", text["text"])
    assert ends is not None
    rows = ask(shark, "segmentation.pcapng", f"frame.number in {{{ends[1]}, {ends[3]}}}", "tcp.payload")
    assert [row[1] for row in rows] == [ends[2], ends[4]] == ["c3", "a9"]
    assert f"frame {ends[1]}, its only octet of payload:" in listing["lines"]
    for cut in (1, 2):
        capture = Capture()
        flow = capture.flow(shipped().transport.port).open()
        flow.client("NAME alice")
        flow.server("OK NAME alice")
        octets, start = "PING 世\n".encode(), len("PING ")
        flow.send("client", octets[: start + cut], octets[start + cut :])
        path = capture.write(tmp_path / "cut.pcap")
        text, _ = characters(plain(analyse(path, shipped(), quiet)))["blocks"]
        first, rest = "世".encode()[:cut].hex(" "), "世".encode()[cut:].hex(" ")
        assert f"Frame 6 ends with `{first}`, and frame 7 begins with `{rest}`" in text["text"]
    assert "Characters that span segments" not in [one["title"] for one in report("nagle.pcapng")["sections"]]
