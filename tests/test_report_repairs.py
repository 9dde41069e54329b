"""What the report tells of segments that came again: when they were sent, why, and where they waited."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tools.report.evidence import Evidence
from tools.report.render import plain

from .dissection import Tshark
from .test_report import RECORDED, check_evidence, report, report_on
from .test_report_contents import SAMPLE, section, sentences

TITLE = "Retransmissions and window events"


def rows(document: dict[str, Any], caption: str) -> dict[str, list[str]]:
    """The rows of a table of that section, by their first cell."""
    (table,) = [block for block in section(document, TITLE)["blocks"] if block.get("caption", "").startswith(caption)]
    return {row[0]: row for row in table["rows"]}


def test_copies_that_waited_together_are_told_by_their_timestamps() -> None:
    """Three SYNs pass within 26 µs; their timestamps are 1.001 s and 1.024 s apart."""
    found = rows(report("routed6.pcapng"), "Retransmitted segments")
    assert [found[frame][6] for frame in ("7", "8")] == [
        "1.001 s by its timestamp (21.2 µs at the capture point)",
        "2.025 s by its timestamp (25.8 µs at the capture point)",
    ]
    assert found["7"][7] == found["8"][7] == "retransmission timer"


def test_a_wait_for_an_address_is_inferred_from_the_request_before_it() -> None:
    """The router that asked is the one from which the SYNs come."""
    text = " ".join(sentences(section(report("routed6.pcapng"), TITLE)))
    assert "frames 5, 7 and 8 passed the capture point within 25.8 µs" in text
    assert "frame 3 asks for the hardware address of `fd00:82::2`, and frame 4 answers. The router that asked" in text


def test_a_syn_ack_that_answers_a_repeated_syn_is_told_as_that() -> None:
    found = rows(report("routed6.pcapng"), "Retransmitted segments")
    assert found["11"][7] == "answer to a repeated SYN (inferred) (7, 8)"
    assert list(rows(report("routed6.pcapng"), "Labels")["13"][2:]) == [
        "acknowledgement of a repeated segment",
        "it answers frame 11, which came again (inferred)",
    ]


def test_a_retransmission_behind_others_is_told_with_its_time() -> None:
    """It was not captured at once: eight segments that had been sent before the report came stood before it."""
    document = plain(report_on(SAMPLE))
    text = " ".join(sentences(section(document, TITLE)))
    assert re.search(
        r"Frame 1272 passed \S+ ms after frame 1247, the last report .* 10 segments of new data with an", text
    )
    assert "1143 (5.11 ms after frame 1120, 8 segments)" in text
    assert "reduces its congestion window" in text
    here = " ".join(sentences(section(report("loss.pcapng"), TITLE)))
    assert "after frame 311" not in here, "the sender of frame 317 is at the capture point: no queue lies before it"
    assert rows(document, "Retransmitted segments")["1143"][7] == (
        "fast retransmission: duplicate ACKs (1116, 1118, 1120)"
    )


def test_a_filter_by_meaning_names_only_the_exceptions() -> None:
    """Frames that a label has and others lack; where most are exceptions, the numbers alone."""
    assert Evidence.nearly("a", [1, 2, 3], [1, 2, 3]).display_filter == "a"
    assert Evidence.nearly("a", [1, 2], [1, 2, 3]).display_filter == "(a) || frame.number == 3"
    assert Evidence.nearly("a", [1, 2, 3], [1, 2]).display_filter == "(a) && !(frame.number == 3)"
    assert Evidence.nearly("a", [1, 7, 8], [1, 2]).display_filter == "frame.number in {1 .. 2}"
    assert Evidence.nearly("a", [], []).frames == ()


# --- Evidence and what is missing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*RECORDED, "the sample"])
def test_each_table_and_figure_of_packets_has_its_evidence(name: str) -> None:
    """All but the table of commands."""
    document = plain(report_on(SAMPLE)) if name == "the sample" else report(name)
    without = [
        block["caption"]
        for part in document["sections"]
        for block in part["blocks"]
        if block["kind"] in ("table", "figure", "listing") and block["evidence"] is None
    ]
    assert without == ["How to open the capture with the dissector and the preferences of this report"]


def test_each_filter_of_the_sample_shows_the_frames_that_are_cited(shark: Tshark, tmp_path: Path) -> None:
    """The sample has what no other capture has together: losses, a zero window, resets, faults."""
    assert check_evidence(SAMPLE, shark, tmp_path) > 60


def test_what_changes_a_state_is_found_by_a_field_of_the_dissector() -> None:
    """Not by a list of numbers, which shows nothing of what they have in common."""
    blocks = section(plain(report_on(SAMPLE)), "The chat session")["blocks"]
    assert [block["evidence"]["filter"] for block in blocks[:2]] == ["pychat.state_change"] * 2
    assert blocks[2]["evidence"]["filter"].startswith("(pychat.state_change || (tcp.flags.syn == 1")


def test_a_connection_whose_reset_is_not_captured_is_named_among_what_is_missing() -> None:
    """A RST without ACK answers for a connection that its host no longer has; one with ACK aborts it."""
    texts = sentences(section(plain(report_on(SAMPLE)), "What the capture lacks"))
    (text,) = [text for text in texts if text.startswith("The end of stream")]
    assert text.startswith("The end of stream 18 (frank): with the RST in frame 635 a host answers frame 634")
    assert "no FIN or RST of that is in the capture" in text


def test_missing_packets_are_counted_with_the_field_that_shows_them() -> None:
    """The first sentence of the summary has their number and their streams."""
    first = sentences(plain(report_on(SAMPLE)))[0]
    assert first.startswith(
        "The capture has every octet of the chat, but lacks at least 3 packets of streams 31 and 32"
    )
    assert "(`ip.id`)" in first


def test_what_a_code_of_a_refusal_means_is_told_once() -> None:
    blocks = section(plain(report_on(SAMPLE)), "Refusals, goodbyes and violations")["blocks"]
    codes = [row[0] for row in blocks[1]["rows"]]
    assert len(codes) == len(set(codes)) == 7


@pytest.mark.parametrize("name", [*RECORDED, "the sample"])
def test_no_sentence_begins_with_digits(name: str) -> None:
    """A count stands behind a word."""
    document = plain(report_on(SAMPLE)) if name == "the sample" else report(name)
    texts = [text for part in document["sections"] for text in sentences(part)]
    assert [text for text in texts if re.search(r"(?:^|\. )\d[\d,]* (?![mµ]?s\b)[a-z]", text)] == []
