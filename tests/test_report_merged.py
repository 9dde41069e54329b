"""Reports on merged captures: copies are told from retransmissions, and packets are put in the order of their time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from pychat.spec import shipped
from tools.dissector.script import script
from tools.report.findings import Findings
from tools.report.reading import read
from tools.report.sections import summary
from tools.report.tshark import Tshark, version

from .conftest import output
from .damage import beyond_a_router, write
from .test_report import CAPTURES, WORDS, quiet
from .test_report_damaged import chat, findings, said_by


def merged(files: Sequence[Path], folder: Path, *options: str) -> Findings:
    """What the report finds in a file of `mergecap`."""
    output("mergecap", *options, "-w", folder / "merged.pcapng", *files)
    dissector = folder / "merged.lua"
    dissector.write_text(script(shipped()), encoding="utf-8")
    reader = Tshark(
        folder / "merged.pcapng", dissector, shipped().protocol, version(), shipped().transport.port
    )  # fmt: skip
    return Findings(read(reader, shipped().protocol, quiet), shipped(), WORDS, "")


SERVER = bytes([10, 82, 0, 2])
SECOND = 10**9  # nanoseconds


@pytest.mark.parametrize("skew", [0, 2 * SECOND])
@pytest.mark.parametrize("interfaces", ["all", "none"])
def test_a_packet_that_two_places_have_recorded_counts_once(skew: int, interfaces: str, tmp_path: Path) -> None:
    """Two places with a router between them, also with other clocks: copies, no retransmissions."""
    whole = [packet for packet in chat() if packet.ends is not None]
    there = write(beyond_a_router(whole, SERVER, 200_000, skew), tmp_path / "there.pcap")
    found = merged([write(whole, tmp_path / "here.pcap"), there], tmp_path, "-I", interfaces)
    assert [step.frames for step in found.capture.prepared] != []
    assert sum(len(step.frames) for step in found.capture.prepared) == len(whole)
    assert "1 router between them" in said_by(found, summary)
    as_one(found, tmp_path)


def test_a_capture_that_is_merged_with_itself_is_read_once(tmp_path: Path) -> None:
    """`editcap -d` leaves the copies out."""
    one = CAPTURES / "calls.pcapng"
    found = merged([one, one], tmp_path)
    assert [step.command[:2] for step in found.capture.prepared] == [("editcap", "-d")]
    as_one(found, tmp_path, "calls")


def test_parts_in_the_wrong_order_are_put_in_order(tmp_path: Path) -> None:
    """Files that were appended, the later one first."""
    whole = chat()
    parts = [write(whole[90:], tmp_path / "later.pcap"), write(whole[:90], tmp_path / "earlier.pcap")]
    found = merged(parts, tmp_path, "-a")
    assert [step.command[0] for step in found.capture.prepared] == ["reordercap"]
    assert found.capture.prepared[0].frames == (len(whole) - 90 + 1,)
    as_one(found, tmp_path)


def as_one(found: Findings, folder: Path, name: str = "chat") -> None:
    """The findings are those of the capture that was merged."""
    whole = findings(chat(name), folder / "whole.pcap")
    assert found.counts == whole.counts
    assert len(found.packets) == len(whole.packets)
    assert (found.losses, found.violations) == ([], [])
    assert [sign.name for sign in found.signs] == [sign.name for sign in whole.signs]
