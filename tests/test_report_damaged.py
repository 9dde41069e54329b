"""Reports on captures that lack something: what is said is seen or inferred, and the rest is named as unknown."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from pychat.spec import shipped
from tools.dissector.script import script
from tools.report.analysis.coverage import Coverage
from tools.report.analysis.delays import small_early
from tools.report.build import SECTIONS
from tools.report.document import Facts, Figure, Paragraph, bracketed
from tools.report.findings import Findings
from tools.report.reading import read
from tools.report.sections import closing, flows, gaps, handshake, small, summary, transport
from tools.report.tshark import ReportError, Tshark, version

from .conftest import need
from .damage import LINKS, Recorded, recorded, relinked, write
from .dissection import Tshark as Shark
from .segments import ACK, FIN, RST
from .test_report import CAPTURES, RECORDED, WORDS, quiet, shown_by_wireshark, truth


def findings(packets: Sequence[Recorded], path: Path, link: int = LINKS["ethernet"]) -> Findings:
    """What the report finds in these packets; nothing is drawn."""
    need("tshark")
    dissector = path.with_suffix(".lua")
    dissector.write_text(script(shipped()), encoding="utf-8")
    reader = Tshark(write(packets, path, link), dissector, shipped().protocol, version(), shipped().transport.port)
    return Findings(read(reader, shipped().protocol, quiet), shipped(), WORDS, "")


def said_by(found: Findings, *modules: ModuleType) -> str:
    """All that these modules of sections say."""
    return " ".join(
        block.text if isinstance(block, Paragraph) else repr(block)
        for module in modules
        for section in module.sections(found)
        for block in section.blocks
    )


def evidence_of(found: Findings, shark: Shark, folder: Path) -> None:
    """Each filter shows the frames that are cited, by Wireshark itself."""
    cited = [
        block.evidence
        for module in SECTIONS
        for section in module.sections(found)
        for block in section.blocks
        if not isinstance(block, Facts) and block.evidence is not None
    ]
    preferences = found.tshark.preferences[1::2]
    shown = shown_by_wireshark(
        found.tshark.capture, shark, [each.display_filter for each in cited], folder, preferences
    )
    for index, each in enumerate(cited, 1):
        assert tuple(shown.get(index, [])) == each.frames, each.display_filter
    assert len(cited) > 10


def drawings_of(found: Findings) -> list[str]:
    """Every drawing of every figure."""
    blocks = [block for module in SECTIONS for section in module.sections(found) for block in section.blocks]
    return [svg for block in blocks if isinstance(block, Figure) for svg in block.drawings]


def chat(name: str = "chat") -> tuple[Recorded, ...]:
    return recorded(next(CAPTURES.glob(f"{name}.pcap*")))


# --- Link layers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("link", [name for name in LINKS if name != "ethernet"])
@pytest.mark.parametrize("name", ["chat", "loopback6"])
def test_the_link_layer_changes_nothing_above_it(name: str, link: str, tmp_path: Path) -> None:
    """Linux cooked captures, raw IP and BSD loopback: the same people, calls and lines as on Ethernet."""
    packets = [packet for packet in chat(name) if packet.ends is not None]
    shown = [
        (
            [(one.user, one.client, one.server, one.octets_up, one.octets_down) for one in found.connections],
            [(call.caller, call.called, call.outcome, len(call.said)) for call in found.calls],
            [(line.whole, line.state_after, line.violation) for line in found.lines],
        )
        for found in (
            findings(packets, tmp_path / "ethernet.pcap"),
            findings(relinked(packets, link), tmp_path / "relinked.pcap", LINKS[link]),
        )
    ]
    assert shown[0] == shown[1]


# --- What is missing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECORDED)
def test_a_whole_capture_lacks_nothing(name: str, tmp_path: Path) -> None:
    """By sequence numbers, also where TCP has lost and sent again."""
    found = findings(chat(name.partition(".")[0]), tmp_path / "whole.pcap")
    assert "no octet is missing" in said_by(found, gaps)
    assert [gap.holes for gap in found.gaps] == [[]] * len(found.gaps)


def test_each_missing_packet_is_found(tmp_path: Path) -> None:
    """Whichever packet with payload is left out: a hole of its octets is found, at its place, and nobody is accused."""
    whole = chat()
    carriers = [packet for packet in whole if packet.ends is not None and packet.payload < len(packet.octets)]
    for packet in carriers[5::23]:
        found = findings([each for each in whole if each is not packet], tmp_path / "hole.pcap")
        holes = [hole.octets for gap in found.gaps for hole in gap.holes]
        assert holes == [len(packet.octets) - packet.payload], packet.number
        assert found.violations == []


def test_what_is_missing_is_told_with_what_follows(shark: Shark, tmp_path: Path) -> None:
    """A hole in what the server says, and one in what a client says; the summary does not call all lines legal."""
    whole = chat()
    server, client = (next(p for p in whole if p.ends and line in p.octets) for line in (b"OK CHAT", b"MSG Fine"))
    found = findings([packet for packet in whole if packet not in (server, client)], tmp_path / "holes.pcap")
    said = said_by(found, gaps)
    for words in ("the state of the connection is unknown", "is inferred from their order", "acknowledged"):
        assert words in said
    assert "is known to violate the specification" in said_by(found, summary)
    assert "is legal in its state" not in said_by(found, summary)
    evidence_of(found, shark, tmp_path)


def test_packets_that_were_cut_are_told(tmp_path: Path) -> None:
    """With a snapshot length of 70 octets some lines are cut; what is said of the rest stays true."""
    whole = chat()
    found = findings([packet.snapped(70) for packet in whole], tmp_path / "cut.pcap")
    cut = sum(packet.ends is not None and max(packet.payload, 70) < len(packet.octets) for packet in whole)
    assert f"The ends of {cut} packets" in said_by(found, gaps)
    assert found.violations == []


def test_a_fin_that_is_missing_leaves_no_half_open_connection(tmp_path: Path) -> None:
    """It was acknowledged, so nobody says that this half is still open."""
    whole = chat()
    fins = [packet for packet in whole if packet.ends and packet.flags & FIN]
    for packet in fins[:4]:
        found = findings([each for each in whole if each is not packet], tmp_path / "fin.pcap")
        assert {one.close.how for one in found.connections} == {"fin", "unknown"}, packet.number
        assert "still open" not in said_by(found, closing, summary)


@pytest.mark.parametrize("kept", ["SYN", "RST"])
def test_an_attempt_to_connect_is_no_connection(kept: str, tmp_path: Path) -> None:
    """One packet alone of the refused attempt is there: what it was is inferred, or cannot be known."""
    whole = [packet for packet in chat("trouble") if packet.ends is not None]
    reset = [packet for packet in whole if packet.flags == RST | ACK][-1]
    attempt = next(packet for packet in whole if packet.ends == (reset.ends or ())[::-1])
    left_out = attempt if kept == "RST" else reset
    found = findings([packet for packet in whole if packet is not left_out], tmp_path / "attempt.pcap")
    assert [len(found.refused), len(found.unanswered)] == [kept == "RST", kept == "SYN"]
    really = findings(whole, tmp_path / "whole.pcap").counts.connections
    assert (found.counts.connections.value, found.counts.connections.exact) == (really.value, kept == "RST")
    said = said_by(found, gaps, summary, closing, handshake)
    assert ("Seen: SYNs and nothing else" in said) == (kept == "SYN")


@pytest.mark.parametrize("side", ["client", "server"])
def test_one_direction_alone(side: str, shark: Shark, tmp_path: Path) -> None:
    """A capture of one direction: the other one's packets are named as missing, and nobody is accused."""
    port = shipped().transport.port.to_bytes(2, "big")
    place = 1 if side == "client" else 0
    packets = [packet for packet in chat() if packet.ends and packet.ends[place][-2:] == port]
    found = findings(packets, tmp_path / "one-way.pcap")
    missing = "server" if side == "client" else "client"
    assert f"Every packet of the {missing}" in said_by(found, gaps)
    assert found.violations == []
    evidence_of(found, shark, tmp_path)
    assert len(drawings_of(found)) > 3


# --- One packet ------------------------------------------------------------------------------------------------------


@cache
def without_an_answer(folder: Path) -> Findings:
    """The chat without the packet that answers the list of users, which no other packet repeats."""
    whole = chat()
    return findings([packet for packet in whole if packet.ends is None or b"OK WHO" not in packet.octets], folder)


@pytest.fixture(scope="module")
def answerless(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    return without_an_answer(tmp_path_factory.mktemp("answerless") / "answerless.pcap")


def test_the_warning_comes_before_the_first_figure(answerless: Findings) -> None:
    """It names the hole; the counts that it can change say that they are lower bounds."""
    (section,) = summary.sections(answerless)
    warning, facts, *_ = section.blocks
    assert isinstance(warning, Paragraph)
    assert "85 of the server, between frames 41 and 44" in warning.text
    assert isinstance(facts, Facts)
    assert [value for value, _ in facts.items][:4] == ["5", "≥ 3", "15", "5"]


def test_a_later_answer_proves_the_missing_one(answerless: Findings) -> None:
    """The refusal of a later request is linked with it, and shows that the request before it had been answered."""
    (proof,) = answerless.proofs
    assert (proof.kind, proof.words, proof.about, proof.proven_by) == ("answer", WORDS.list, 43, 120)
    assert [hole.start for hole in proof.holes] == [14]
    said = said_by(answerless, flows)
    assert f"{WORDS.list}` (1 of 1)" in said
    assert "the answer to" in said_by(answerless, gaps)
    refusals = [line.request_in for line in answerless.lines if line.kind == "refusal" and line.stream == 4]
    assert refusals == [117, 122, 125]


def test_the_state_is_unknown_from_the_hole_on(answerless: Findings) -> None:
    """It begins at the place of the missing packet, not with the next line."""
    found = answerless.periods(answerless.connections[4])
    assert [(period.state, period.frame) for period in found[:4]] == [
        ("CONNECTED", 17), ("NAMED", 41), ("unknown", 44), ("NAMED", 120),
    ]  # fmt: skip
    times = {packet.number: packet.time for packet in answerless.packets}
    assert times[41] < found[2].begun <= times[44]


def test_nothing_is_inferred_from_an_acknowledgement_that_may_be_missing(answerless: Findings) -> None:
    """A segment is not early because the packet that acknowledged the one before it is missing."""
    gaps = {gap.connection.stream: gap for gap in answerless.gaps}
    early = [small_early(one, gaps[4]) for one in answerless.directions if one.connection.stream == 4]
    assert early == [[], []]
    assert said_by(answerless, small).count("erin") == 0


# --- Losses ---------------------------------------------------------------------------------------------------------


def test_the_place_of_a_loss_is_inferred(tmp_path: Path) -> None:
    """The router of the scenario loses packets of both directions; the capture point is behind it, at the server."""
    found = findings(chat("loss"), tmp_path / "loss.pcap")
    places = {(loss.packet.from_client, loss.place, loss.inferred_from) for loss in found.losses}
    assert places == {(True, "before", "identification"), (False, "behind", "sequence")}
    assert "not captured" not in said_by(found, transport, gaps)


# --- The middle of a stream -----------------------------------------------------------------------------------------


def test_a_capture_that_begins_in_a_chat_knows_its_people(shark: Shark, tmp_path: Path) -> None:
    """Names come from later pushes and from lines that come out at the partner; each chat is listed once."""
    really = truth("chat.pcapng")
    found = findings(chat()[60:], tmp_path / "middle.pcap")
    named = {name: person["address"] for name, person in really["people"].items() if person["named"]}
    assert {one.user: one.client[0] for one in found.connections} == named
    assert sorted(sorted((call.caller, call.called)) for call in found.calls) == sorted(
        sorted((call["caller"], call["called"])) for call in really["calls"]
    )
    for call in found.calls:
        (same,) = [each for each in really["calls"] if {each["caller"], each["called"]} == {call.caller, call.called}]
        assert {who: len(call.by(who)) for who in same["lines"]} == same["lines"]
    evidence_of(found, shark, tmp_path)


@pytest.mark.parametrize("cut", ["begin", "end"])
def test_a_slice_at_any_frame_tells_nothing_false(cut: str, tmp_path: Path, rounds: int) -> None:
    """Names and ends of calls are those of the whole capture, or unknown; every frame with --rounds 2."""
    packets = chat("calls")
    whole = findings(packets, tmp_path / "whole.pcap")
    users = {one.client: one.user for one in whole.connections}
    named = {bracketed(end): user for end, user in users.items()}
    outcomes: dict[tuple[str, str], set[str]] = {}
    for call in whole.calls:
        outcomes.setdefault((call.caller, call.called), set()).add(call.outcome)
    for at in range(20, len(packets) - 10, 1 if rounds > 1 else 23):
        try:
            found = findings(packets[at:] if cut == "begin" else packets[:at], tmp_path / "slice.pcap")
        except ReportError:
            continue  # nothing of the protocol is left
        assert found.violations == []
        for one in found.connections:
            assert one.user in ("", users[one.client]), at
        for call in found.calls:
            ends = named.get(call.caller, call.caller), named.get(call.called, call.called)
            right = outcomes.get(ends, set())
            assert not call.shown or call.outcome in {*right, "open", "unknown"}, (at, call)


def test_octets_that_no_packet_has() -> None:
    """The complement of what was seen."""
    seen = Coverage()
    for start, end in ((5, 8), (1, 3), (8, 9), (12, 20)):
        seen.add(start, end)
    assert seen.missing(0, 25) == [(0, 1), (3, 5), (9, 12), (20, 25)]
    assert seen.missing(1, 9) == [(3, 5)]
    assert Coverage().missing(1, 4) == [(1, 4)]
