"""Flow control in a report: window scale, windows that were full or closed, and what they did to relayed lines."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pychat.spec import shipped
from tools.report.analysis.windows import closed, stops, waited
from tools.report.render import plain

from .dissection import Tshark
from .segments import Capture
from .test_report import CAPTURES, RECORDED, ask, findings_of, report, report_on, truth
from .test_report_contents import frames_of, section, sentences

CLOSED = "Closed windows"
PATTERNS = "Patterns of the session"
PLOTS = "Time–sequence, throughput, round trips and window"


def block_with(words: str, name: str, title: str) -> dict[str, Any]:
    (found,) = [
        block for block in section(report(name), title)["blocks"] if words in (block.get("text") or block["caption"])
    ]
    return dict(found)


# --- Window scale ---------------------------------------------------------------------------------------------------


def test_another_shift_is_explained(shark: Tshark) -> None:
    """The row of the table names its frame, and a paragraph says what its connection's fields mean."""
    (row,) = ask(shark, "trouble.pcapng", "tcp.flags.syn == 1 && tcp.options.wscale.shift == 0", "tcp.stream")
    frame, stream = row
    table = block_with("TCP options in the SYNs", "trouble.pcapng", "The three-way handshake")
    assert [row[6] for row in table["rows"] if row[2].startswith("0 ")] == [frame]
    text = block_with(f"Stream {stream} (judy)", "trouble.pcapng", "The three-way handshake")["text"]
    assert f"The client (frame {frame}) multiplies by 2⁰ = 1" in text
    told = re.findall(r"([\d,]+) in frame (\d+) means [\d,]+ × ([\d,]+) = ([\d,]+) octets", text)
    assert len(told) == 2
    fields = ("tcp.window_size_value", "tcp.window_size_scalefactor", "tcp.window_size")
    for field, where, factor, window in told:
        rows = ask(shark, "trouble.pcapng", f"frame.number == {where}", *fields)
        assert rows == [[where, *(number.replace(",", "") for number in (field, factor, window))]]
    assert "No other connection of this capture has closed windows." in text


# --- Closed windows -------------------------------------------------------------------------------------------------


def test_a_closed_window_is_told_from_its_first_frame_to_its_last(shark: Tshark) -> None:
    """Closed, probed, opened, for how long, why as far as it can be inferred, and which lines had to wait for it."""
    (event,) = [event for event in truth("trouble.pcapng")["events"] if event["what"] == "zero window"]
    rows = ask(shark, "trouble.pcapng", f"tcp.srcport == {event['port']} && tcp.flags.syn == 0",
               "tcp.window_size", "frame.time_relative")  # fmt: skip
    zero = [at for at, row in enumerate(rows) if row[1] == "0"]
    first, opened = rows[zero[0]], rows[zero[-1] + 1]
    took = 1000 * (float(opened[2]) - float(first[2]))
    text = block_with("closes its window", "trouble.pcapng", CLOSED)["text"]
    assert f"frame {first[0]} acknowledges all octets before 5,817" in text
    assert f"Frame {opened[0]} opens it with {int(opened[1]):,} octets, {took:.3g} ms later" in text
    assert f"is a probe; frame {rows[zero[1]][0]} answers that it is still closed" in text
    assert "the right edge of the window (acknowledgement number plus window) stays at 5,817" in text
    assert "The largest window that it ever offers is 2,920 octets" in text
    effect = block_with("The effect", "trouble.pcapng", CLOSED)
    assert effect["text"].startswith("The effect: 9 lines for judy had reached the server before frame")
    slow = {int(frame) for frame, _ in ask(shark, "trouble.pcapng", "pychat.relay_time > 0.1", "pychat.relay_time")}
    assert slow < set(frames_of(effect))


@pytest.mark.parametrize("name", [name for name in RECORDED if name != "trouble.pcapng"])
def test_no_window_is_said_to_be_closed_where_none_was(name: str) -> None:
    assert CLOSED not in [one["title"] for one in report(name)["sections"]]


def test_a_sender_waits_from_a_full_window_to_the_next_room(tmp_path: Path) -> None:
    """The closed window lies within the last of these times; a silence before and after them is no wait."""
    findings = findings_of(CAPTURES / "trouble.pcapng", tmp_path)
    (one,) = [one for one in findings.connections if one.user == "judy"]
    stopped = stops(one, from_client=False)
    (shut,) = closed(one)
    assert shut.opened is not None
    (long,) = [stop for stop in stopped if stop.begun.number < shut.first.number and stop.ended is shut.opened]
    assert long.ended is not None
    assert waited(stopped, long.begun.time, long.ended.time) == long.ended.time - long.begun.time
    assert waited(stopped, one.first, one.first + Decimal("0.01")) == 0
    assert not [stop for other in findings.connections if other is not one
                for side in (True, False) for stop in stops(other, from_client=side)]  # fmt: skip


def test_the_plots_keep_the_order_that_they_promise() -> None:
    """A direction into a closed window comes before one with more octets; one of few octets is not drawn beside it."""
    captions = [block["caption"] for block in section(report("trouble.pcapng"), PLOTS)["blocks"] if "caption" in block]
    assert "of server → judy (stream 8)" in captions[0]
    captions = [block["caption"] for block in section(report("chat.pcapng"), PLOTS)["blocks"] if "caption" in block]
    assert len(captions) == 2


@pytest.mark.parametrize("name", ["loss.pcapng", "trouble.pcapng"])
def test_each_window_curve_has_a_sentence(name: str, shark: Tshark) -> None:
    """With tshark's windows and octets in flight; the window that was full is named."""
    texts = [text for text in sentences(section(report(name), PLOTS)) if text.startswith("The window of")]
    assert len(texts) == 2
    for text in texts:
        for window, frame in re.findall(r"([\d,]+)(?: octets)? \(frame (\d+)\)", text.partition(" are in flight")[0]):
            (row,) = ask(shark, name, f"frame.number == {frame}", "tcp.window_size")
            assert row[1] == window.replace(",", "")
        (most,) = re.findall(
            r"At most ([\d,]+) octets are in flight, without those that SACK reports \(frame (\d+)\)", text
        )
        (row,) = ask(shark, name, f"frame.number == {most[1]}", "tcp.analysis.bytes_in_flight")
        assert row[1] == most[0].replace(",", "")
        assert ("it never stops the sender (inferred)" in text) == ("judy" not in text)


# --- Patterns of the session ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in RECORDED if name != "loopback6.pcap"])  # at a port of its own
def test_each_line_has_exactly_one_pattern(name: str, shark: Tshark) -> None:
    """The rows add up to the lines of the protocol, and Wireshark counts the kinds alike."""
    (table,) = [block for block in section(report(name), PATTERNS)["blocks"] if block["kind"] == "table"]
    counts = {row[0]: int(row[1].replace(",", "")) for row in table["rows"]}
    assert table["caption"].startswith(f"The {sum(counts.values()):,} lines")
    kinds = [kind for _, *rows in ask(shark, name, "pychat", "pychat.kind") for row in rows for kind in row.split(",")]
    assert sum(counts.values()) == len(kinds)
    assert counts.get("item", 0) == kinds.count("item")
    assert counts.get("request", 0) + counts.get("reply", 0) == kinds.count("request")


def test_a_reply_to_a_push_is_no_request() -> None:
    """What answers the server's question asks for nothing: it is in no table of requests."""
    table = block_with("Requests of the clients", "trouble.pcapng", "Client–server message flows")
    verbs = [row[0] for row in table["rows"]]
    assert "PONG" not in str(verbs)
    assert "Not listed: 1 `PONG`" in table["caption"]
    assert len(frames_of(table)) > 10


def test_the_cause_of_a_long_relay_time_is_named(shark: Tshark) -> None:
    """The lines that waited for the partner's window, and the range of the others."""
    block = block_with("The partner's window is the cause", "trouble.pcapng", PATTERNS)
    rows = ask(shark, "trouble.pcapng", "pychat.relay_time", "pychat.relay_time")
    long = {int(frame): float(time) for frame, time in rows if float(time) > 0.04}
    assert frames_of(block) == sorted(long)
    assert f"{len(long)} lines to judy (8): {1000 * min(long.values()):.3g} ms to" in block["text"]
    assert f"The other {len(rows) - len(long)} lines took" in block["text"]


@pytest.mark.parametrize("name", ["chat.pcapng", "routed6.pcapng"])
def test_think_times_begin_when_the_line_was_passed_on(name: str, shark: Tshark) -> None:
    """From the frame in which the server relays the partner's line; each is compared with that client's own ACKs."""
    found = plain(report_on(CAPTURES / name))["data"]["think_times"]
    assert len(found) == 12
    frames = {int(frame): (Decimal(time), relayed) for frame, time, relayed in
              ask(shark, name, "pychat", "frame.time_epoch", "pychat.relayed_from")}  # fmt: skip
    for each in found:
        assert frames[each["since"]][1]
        assert Decimal(str(each["seconds"])) == frames[each["frame"]][0] - frames[each["since"]][0]
    text = block_with("Think time", name, PATTERNS)["text"]
    assert "Each is longer than any acknowledgement of the client in the same connection took" in text
    assert "round-trip" not in text


def test_a_time_with_losses_is_no_think_time() -> None:
    """A segment that came again between the partner's line and the own one may have taken that time."""
    block = block_with("Think time", "loss.pcapng", PATTERNS)
    assert "Left out is 1 exchange, since segments came again or late in between (frame 172)" in block["text"]
    assert "comes from the clients" not in block["text"]
    assert {172, 174} <= set(frames_of(block))
    assert report("loss.pcapng")["data"]["think_times"] == []


def test_that_there_is_no_think_time_is_said(tmp_path: Path) -> None:
    """Where nobody answers a line with a line, and where nobody says one."""
    assert "The capture holds none: no user answers" in block_with("Think time", "trouble.pcapng", PATTERNS)["text"]
    capture = Capture()
    flow = capture.flow(shipped().transport.port).open()
    flow.client("NAME alice")
    flow.server("OK NAME alice")
    texts = sentences(section(plain(report_on(capture.write(tmp_path / "alone.pcap"))), PATTERNS))
    assert [text for text in texts if text.startswith("Think time")]
