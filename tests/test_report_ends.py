"""How connections begin and end in the report: which SYN was answered, and what a RST is."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest

from tools.report.analysis.connections import close_of
from tools.report.analysis.handshakes import handshake
from tools.report.analysis.resets import reset
from tools.report.analysis.tcp_states import states
from tools.report.ladder import ladder
from tools.report.packets import ACK, FIN, PSH, RST, SYN, Packet
from tools.report.sections.handshake import sections as handshakes

from .dissection import Tshark
from .test_report import CAPTURES, RECORDED, ask, findings_of, report
from .test_report_contents import frames_of, section, sentences

FLAGS = {"SYN": SYN, "ACK": ACK, "FIN": FIN, "RST": RST, "PSH": PSH}


def wire(*rows: str) -> list[Packet]:
    """Packets from rows such as `client PSH ACK 1 1 19 300 200 7`: flags, numbers, octets, TSval, TSecr, ip.id.

    What is left out at the end is 0 or absent; a dash is absent.
    """
    found = []
    for number, row in enumerate(rows, 1):
        sender, *words = row.split()
        flags = [word for word in words if word in FLAGS]
        seq, ack, payload, tsval, tsecr, ip_id = [*words[len(flags) :], *["-"] * 6][:6]
        packet = Packet(number=number, time=Decimal(number), stream=0, from_client=sender == "client")
        packet.flags = sum(FLAGS[flag] for flag in flags)
        packet.seq, packet.ack, packet.payload = (int(word) if word != "-" else 0 for word in (seq, ack, payload))
        packet.seq_raw, packet.ack_raw = 1000 + packet.seq, 1000 + packet.ack
        packet.tsval, packet.tsecr = (None if word == "-" else int(word) for word in (tsval, tsecr))
        packet.ip_id = "" if ip_id == "-" else f"0x{int(ip_id):04x}"
        found.append(packet)
    return found


# --- The SYN that was answered ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "frames", "times", "repeated"),
    [
        pytest.param(
            ["client SYN 0 - - 100", "server SYN ACK 0 1 - 900 100", "client ACK 1 1 - 101 900"],
            (1, 2, 3), (1, 1), [], id="no segment sent again",
        ),
        pytest.param(
            ["client SYN 0 - - 10", "client SYN 0 - - 11", "server SYN ACK 0 1 - 90 10", "client ACK 1 1 - 12 90"],
            (1, 3, 4), (2, 1), [2], id="the first SYN was answered",
        ),
        pytest.param(
            ["client SYN 0 - - 10", "client SYN 0 - - 11", "server SYN ACK 0 1 - 90 11", "client ACK 1 1 - 12 90"],
            (2, 3, 4), (1, 1), [1], id="the second SYN was answered",
        ),
        pytest.param(
            ["client SYN 0", "client SYN 0", "server SYN ACK 0 1", "client ACK 1 1"],
            (2, 3, 4), (None, 1), [1], id="no timestamp tells which SYN was answered",
        ),
        pytest.param(
            ["client SYN 0 - - 100", "server SYN ACK 0 1 - 900 100", "server SYN ACK 0 1 - 1900 100",
             "client ACK 1 1 - 1200 1900"],
            (1, 3, 4), (2, 1), [], id="the second SYN-ACK was answered",
        ),
        pytest.param(
            ["client SYN 0", "server SYN ACK 0 1", "server SYN ACK 0 1", "client ACK 1 1"],
            (1, 3, 4), (2, None), [], id="no timestamp tells which SYN-ACK was answered",
        ),
    ],
)  # fmt: skip
def test_segments_of_a_handshake_are_paired_by_the_echoed_timestamp(
    rows: list[str], frames: tuple[int, ...], times: tuple[int | None, ...], repeated: list[int]
) -> None:
    """RFC 7323: the echo names the segment that is answered. Without it, a time from a repeated segment is unknown."""
    found = handshake(wire(*rows))
    assert found is not None
    assert (found.syn, found.syn_ack, found.ack) == frames
    assert (found.server_took, found.client_took) == times
    assert found.rtt == (None if None in times else sum(time or 0 for time in times))
    assert found.repeated == repeated


@pytest.mark.parametrize("name", RECORDED)
def test_each_syn_ack_is_paired_as_wireshark_does(name: str, shark: Tshark) -> None:
    """tcp.analysis.acks_frame of the SYN-ACK is the SYN, and the ACK's timestamp is an echo of the SYN-ACK."""
    fields = ("tcp.stream", "tcp.analysis.acks_frame", "tcp.options.timestamp.tsval")
    rows = {int(row[0]): row[1:] for row in ask(shark, name, "tcp.flags.syn == 1 && tcp.flags.ack == 1", *fields)}
    shakes = [one["handshake"] for one in report(name)["data"]["connections"] if one["handshake"]]
    echoes = {int(frame): echo for frame, echo in ask(shark, name, "tcp.flags.syn == 0", "tcp.options.timestamp.tsecr")}
    assert shakes
    for shake in shakes:
        _, asked, tsval = rows[shake["syn_ack"]]
        assert (shake["syn"], echoes[shake["ack"]]) == (int(asked), tsval)


def test_a_syn_that_was_sent_again_is_told_with_the_frame_that_was_answered() -> None:
    """The router held three SYNs back; the SYN-ACK answers the first, and all six segments are in the table."""
    part = section(report("routed6.pcapng"), "The three-way handshake")
    (table,) = [block for block in part["blocks"] if str(block.get("caption")).startswith("The handshake of")]
    assert [int(row[0]) for row in table["rows"]] == frames_of(table) == [5, 7, 8, 10, 11, 12]
    assert [row[3] for row in table["rows"]] == [
        "SYN",
        "SYN (again)",
        "SYN (again)",
        "SYN, ACK",
        "SYN, ACK (again)",
        "ACK",
    ]
    assert {row[9] for row in table["rows"][:5]} == {"SYN-RECEIVED"}
    (text,) = [text for text in sentences(part) if "+ 1, and" in text]
    assert "70.722 µs: 36.054 µs from the SYN to the SYN-ACK and 34.668 µs" in text
    assert "Frame 10 answers the one in frame 5, since it echoes the timestamp of that one, 3913917199" in text
    assert "counts from the last SYN instead (44.918 µs)" in text
    summary = " ".join(sentences(section(report("routed6.pcapng"), "Summary")))
    assert "The initial round-trip time is 24.2 µs to 70.7 µs" in summary


def test_the_drawing_holds_the_whole_handshake_of_each_end(tmp_path: Any) -> None:
    """Also where repeated segments come before the acknowledgement."""
    findings = findings_of(CAPTURES / "routed6.pcapng", tmp_path)
    shown = "".join(ladder(findings, findings.chats[0]))
    for who in ("alice", "bob"):
        (one,) = [one for one in findings.connections if one.user == who]
        assert one.handshake is not None
        for frame in (one.handshake.syn, one.handshake.syn_ack, one.handshake.ack):
            assert f">{frame}</text>" in shown


def test_a_round_trip_that_cannot_be_known_is_not_told(tmp_path: Any) -> None:
    """Of a SYN that was sent twice without timestamps."""
    findings = findings_of(CAPTURES / "chat.pcapng", tmp_path)
    for one in findings.connections:
        one.handshake = handshake(wire("client SYN 0", "client SYN 0", "server SYN ACK 0 1", "client ACK 1 1"))
        one.packets = wire("client SYN 0", "client SYN 0", "server SYN ACK 0 1", "client ACK 1 1")
    text = str(handshakes(findings))
    assert "the initial round-trip time cannot be known" in text


# --- What a RST is ---------------------------------------------------------------------------------------------------

OPENING = ("client SYN 0 - - 100 0 7", "server SYN ACK 0 1 - 900 100 0", "client ACK 1 1 - 101 900 8")
NO_SUCH = "which had no such connection"
PLAIN = ("client SYN 0", "server SYN ACK 0 1", "client ACK 1 1")


@pytest.mark.parametrize(
    ("rows", "kind", "answers", "words"),
    [
        pytest.param(
            [*OPENING, "client PSH ACK 1 1 9 102 900 9", "client RST ACK 10 1 - 103 900 10"],
            "abort", None, "aborted by the client (RST)", id="with the ACK flag: an abort",
        ),
        pytest.param(
            [*OPENING, "client RST 1 0 - 103 900 9"],
            "abort", None, "aborted by the client (RST)", id="with the connection's timestamps: an abort",
        ),
        pytest.param(
            [*OPENING, "server PSH ACK 1 1 9 905 101 5", "client RST 1 0 0 - - 0"],
            "gone", 4, f"reset by the client's host, {NO_SUCH} (inferred)", id="a host without it",
        ),
        pytest.param(
            [*PLAIN, "server PSH ACK 1 1 9 - - 5", "client ACK 1 10 0 - - 8", "server PSH ACK 10 1 9 - - 6",
             "client RST 1 0 0 - - 0"],
            "gone", 6, f"reset by the client's host, {NO_SUCH} (inferred)", id="by the identification",
        ),
        pytest.param(
            [*PLAIN, "server PSH ACK 1 1 9", "client RST 1 0"],
            "unknown", None, "reset by the client", id="nothing tells which",
        ),
        pytest.param(
            [*OPENING, "server FIN ACK 1 1 0 902 101 1", "client PSH ACK 1 2 9 103 902 9", "server RST 2 0 0 - - 0"],
            "gone", 5,
            f"FIN by the server first, then a RST of the server's host, {NO_SUCH} any more (inferred)",
            id="after its own FIN",
        ),
        pytest.param(
            ["client SYN 0 - - 100 0 7", "server RST ACK 0 1"],
            "refusal", 1, "refused: a RST answers the SYN", id="refused",
        ),
    ],
)  # fmt: skip
def test_a_reset_is_an_abort_or_the_answer_of_a_host_without_the_connection(
    rows: list[str], kind: str, answers: int | None, words: str
) -> None:
    """RFC 9293, section 3.5.2: the first has the connection's numbers, the second those of the segment it answers."""
    packets = wire(*rows)
    found, close = reset(packets), close_of(0, packets)
    assert found is not None
    assert (found.kind, found.answers.number if found.answers else None) == (kind, answers)
    assert (close.reset, close.words) == (kind, words)


def test_a_host_without_the_connection_is_closed_when_the_segment_arrives() -> None:
    """Not only when its RST is sent."""
    packets = wire(*OPENING, "server PSH ACK 1 1 9 905 101 5", "client RST 1 0 0 - - 0")
    assert states(packets)[4] == ("CLOSED", "ESTABLISHED")
    assert states(packets)[5] == ("CLOSED", "CLOSED")


def test_unacknowledged_octets_of_an_abort_are_counted() -> None:
    """Of both ends: what was acknowledged before, or by the RST itself, is not lost on the way."""
    packets = wire(*OPENING, "client PSH ACK 1 1 9 102 900 9", "server PSH ACK 1 1 4 902 101 1",
                   "client RST ACK 10 5 0 103 902 10")  # fmt: skip
    found = reset(packets)
    assert found is not None
    assert found.open == (9, 0)


def test_fins_that_cross_have_no_first_one() -> None:
    """Which end closed first, nothing shows."""
    packets = wire(*OPENING, "server FIN ACK 1 1", "client FIN ACK 1 1", "server ACK 2 2", "client ACK 2 2")
    assert close_of(0, packets).words == "FIN, both at the same time"
    packets = wire(*OPENING, "server FIN ACK 1 1", "client FIN ACK 1 2", "server ACK 2 2")
    assert close_of(0, packets).words == "FIN, server first"


def test_each_kind_of_reset_has_its_sentence_and_its_example() -> None:
    """An abort, and a host that lost its connection: by frames that the capture's own comments confirm."""
    document = report("trouble.pcapng")
    part = section(document, "Closing the connections")
    texts = sentences(part)
    (abort,) = [text for text in texts if text.startswith("An abort ended 1 connection")]
    assert "In stream 2, the RST in frame 73 is one, since it has the ACK flag" in abort
    assert "There is no FIN, and no end enters TIME-WAIT." in abort
    assert "perhaps lost: 36 octets of payload of the client." in abort
    (gone,) = [text for text in texts if text.startswith("The RST of a host without the connection ended 1 connection")]
    assert "frame 109 came 25.7 µs after frame 108 of the server" in gone
    assert "its sequence number 23 is the acknowledgement number of that frame" in gone
    assert "The 19 octets of payload of frame 108 reached no program." in gone
    tables = {
        re.split(r"[:(]", block["caption"])[0].strip(): block for block in part["blocks"] if block["kind"] == "table"
    }
    assert [row[0] for row in tables["The end of stream 2"]["rows"]] == ["73"]
    assert [row[0] for row in tables["The end of stream 4"]["rows"]] == ["108", "109"]
    assert [row[0] for row in tables["The end of stream 12"]["rows"]] == ["250", "251"]
    summary = " ".join(sentences(section(document, "Summary")))
    assert "1 was aborted by the client (RST)" in summary
    assert "1 was reset by the client's host, which had no such connection (inferred)" in summary
    assert "=" not in str([block["rows"] for block in tables.values()])


def test_a_refusal_with_a_goodbye_is_not_said_to_leave_the_connection_open() -> None:
    """The goodbye is in the same frame here; where none follows, nothing is added."""
    captions = {
        name: next(block["caption"] for block in section(report(name), "Refusals, goodbyes and violations")["blocks"])
        for name in ("trouble.pcapng", "chat.pcapng")
    }
    assert captions["trouble.pcapng"].endswith("stays open, unless a goodbye follows it, as that of frame 229")
    assert captions["chat.pcapng"].endswith("A refusal changes no state, and the connection stays open")
