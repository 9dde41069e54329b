"""What TCP repaired: judged from segments of which it is known what they were."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pychat.spec import shipped
from tools.report.analysis.repairs import Event, contradictions, events
from tools.report.packets import ACK, SYN, Packet
from tools.report.reading import packets_of
from tools.report.tshark import Tshark

from .conftest import ROOT, need

SAMPLE = ROOT / "tools" / "report" / "traffic_capture.pcapng"
SIZE = 100


def data(seq: int, at: str = "0", **more: Any) -> Packet:
    """A segment of the client with 100 octets from `seq` on; at a time in seconds."""
    more = {"payload": SIZE, "ack": 1, "window": 1000} | more
    return Packet(seq=seq, time=Decimal(at), flags=ACK, from_client=True, version=4, ttl=64, **more)


def answer(ack: int, at: str = "0", *sacks: tuple[int, int], **more: Any) -> Packet:
    """An acknowledgement of the server."""
    more = {"seq": 1, "window": 1000} | more
    low, high = tuple(low for low, _ in sacks), tuple(high for _, high in sacks)
    return Packet(ack=ack, time=Decimal(at), flags=ACK, from_client=False, sack_low=low, sack_high=high, **more)


def found(*packets: Packet) -> list[Event]:
    for number, packet in enumerate(packets, 1):
        packet.number = number
    return events(packets)


def kinds(*packets: Packet) -> list[tuple[str, int]]:
    return [(event.kind, event.packet.number) for event in found(*packets)]


def test_octets_that_were_captured_before_are_sent_again() -> None:
    """However soon: Wireshark takes a segment within 3 ms of the last one for one out of order."""
    (*_, event) = found(data(1), data(101), data(201), answer(1, "0.001", (101, 201)), data(1, "0.0011"))
    assert (event.kind, event.first and event.first.number, event.trigger) == ("retransmission", 1, "SACK")
    assert [report.number for report in event.reports] == [4]


def test_the_identification_tells_which_was_sent_first() -> None:
    """The same octets after later ones: overtaken where IP's counter says so, else sent again."""
    before = [data(1, ip_id="0x0001"), data(101, ip_id="0x0002"), data(301, ip_id="0x0004")]
    assert kinds(*before, data(201, ip_id="0x0003"), data(401, ip_id="0x0005")) == [("gap", 3), ("out of order", 4)]
    assert kinds(*before, data(201, ip_id="0x0005"), data(401, ip_id="0x0006")) == [("gap", 3), ("retransmission", 4)]


def test_the_timestamp_tells_which_was_sent_first() -> None:
    """RFC 7323: a sender's timestamps never decrease. Without either, it cannot be determined."""
    before = [data(1, tsval=5), data(201, tsval=9)]
    assert kinds(*before, data(101, tsval=8))[-1] == ("out of order", 3)
    assert kinds(*before, data(101, tsval=10))[-1] == ("retransmission", 3)
    assert kinds(*before, data(101, tsval=9))[-1] == ("late", 3)
    assert kinds(data(1), data(201), data(101))[-1] == ("late", 3)


@pytest.mark.parametrize(
    ("between", "at", "trigger"),
    [
        ([], "0.3", "timer"),
        ([], "0.005", "cannot be determined: too early for the timer"),
        ([answer(1, "0.1"), answer(1, "0.1")], "0.101", "cannot be determined: too few duplicate ACKs"),
        ([answer(1, "0.1"), answer(1, "0.1"), answer(1, "0.1")], "0.101", "duplicate ACKs"),
        ([answer(1, "0.1", (101, 201))], "0.101", "SACK"),
        ([answer(1, "0.1", (101, 201))], "0.5", "cannot be determined: duplicate ACKs or SACK, or the timer"),
        ([answer(101, "0.1")], "0.5", "cannot be determined: it was acknowledged already"),
    ],
)
def test_the_trigger_is_named_where_it_is_shown(between: list[Packet], at: str, trigger: str) -> None:
    """The timer only where nothing reported a loss and the time fits."""
    *_, event = found(answer(1), data(1), data(101), *between, data(1, at))
    assert event.kind == "retransmission"
    assert event.trigger == trigger


def test_a_report_that_had_not_reached_the_sender_is_no_trigger() -> None:
    """The segment echoes the time of an earlier acknowledgement."""
    reports = [answer(1, "0.01", (101, 201), tsval=50), answer(1, "0.01", (101, 301), tsval=60)]
    sent = [data(1, tsval=1, tsecr=10), data(101, tsval=1, tsecr=10), data(201, tsval=1, tsecr=10)]
    *_, event = found(*sent, *reports, data(1, "0.02", tsval=2, tsecr=50))
    assert [report.number for report in event.reports] == [4]
    *_, event = found(*sent, *reports, data(1, "0.02", tsval=2, tsecr=10))
    assert event.trigger == "cannot be determined: too early for the timer"


def test_a_d_sack_says_that_it_was_needless() -> None:
    """RFC 2883: a first block below the acknowledgement, or within the second block."""
    again = found(data(1), data(1, "0.3"), answer(101, "0.31", (1, 101)))[0]
    assert again.needless is not None
    assert again.needless.number == 3
    within = found(answer(1), data(1), data(101), data(101, "0.3"), answer(1, "0.31", (101, 201), (101, 201)))[0]
    assert within.needless is not None
    assert found(data(1), data(1, "0.3"), answer(101, "0.31"))[0].needless is None


def test_a_second_recording_of_a_packet_is_no_retransmission() -> None:
    """The same identification; with IPv6, another hop count."""
    assert kinds(data(1, ip_id="0x0007"), data(1, ip_id="0x0007")) == [("copy", 2)]
    assert kinds(data(1, tsval=1), Packet(
        seq=1, payload=SIZE, ack=1, window=1000, tsval=1, flags=ACK, from_client=True, version=6, ttl=63
    )) == [("copy", 2)]  # fmt: skip
    assert kinds(data(1, ip_id="0x0007"), data(1, ip_id="0x0008")) == [("retransmission", 2)]


def test_a_new_sack_block_makes_a_duplicate_ack_whatever_the_window() -> None:
    """RFC 6675. A window that grows alone is an update."""
    sent = [data(1), data(101), answer(1)]
    assert kinds(*sent, answer(1, "0", (101, 201), window=2000)) == [("duplicate ACK", 4)]
    assert kinds(*sent, answer(1, "0", window=2000)) == [("window update", 4)]
    assert kinds(*sent, answer(1)) == [("duplicate ACK", 4)]
    assert kinds(data(1), answer(101), answer(101)) == []  # nothing is outstanding


def test_a_probe_is_told_from_a_keep_alive_by_the_window() -> None:
    probe = data(100, payload=0)
    assert kinds(data(1), answer(101, window=0), probe) == [("window probe", 3)]
    assert kinds(data(1), answer(101), probe) == [("keep-alive", 3)]
    octet = data(101, payload=1)
    asked = [data(1), answer(101, window=0), octet, answer(101, window=0), data(101, payload=1)]
    assert kinds(*asked) == [("window probe", 3), ("window probe", 5)]


def test_a_syn_that_is_not_answered_is_sent_again_by_the_timer() -> None:
    opening = [Packet(seq=0, flags=SYN, time=Decimal(at), tsval=at) for at in (1, 2)]
    (event,) = found(*opening)
    assert (event.kind, event.trigger) == ("retransmission", "timer")


def test_any_loss_and_any_order_is_told_as_it_was() -> None:
    """Segments are lost before or behind the capture point, sent again, and overtaken on the way to it."""
    for seed in range(300):
        dice = random.Random(seed)
        wire: list[tuple[float, Packet, bool]] = []  # when it is captured, and whether its octets were sent before
        todo = [(1 + SIZE * index, index * 1.0, False) for index in range(20)]
        sent = 0
        while todo:
            todo.sort(key=lambda row: row[1])
            seq, at, again = todo.pop(0)
            sent += 1
            packet = data(seq, ip_id=f"0x{(0xFFF0 + sent) % 2**16:04x}", tsval=int(at * 10))
            lost = dice.random()
            if lost > 0.1:  # else before the capture point
                wire.append((at + dice.random() * 1.8, packet, again))
            if lost < 0.2:
                todo.append((seq, at + 4 + dice.random() * 3, True))
        wire.sort(key=lambda row: row[0])
        told = {event.packet.number: event.kind for event in found(*(packet for _, packet, _ in wire))}
        high = 0
        for _, packet, again in wire:
            kind = told.get(packet.number, "plain")
            if again:
                assert kind == "retransmission" or packet.seq >= high
            else:
                assert kind == ("out of order" if packet.seq < high else "gap" if packet.seq > high > 0 else "plain")
            high = max(high, packet.after)


@pytest.fixture(scope="module")
def sample() -> list[list[Packet]]:
    """The packets of the sample, by connection."""
    need("tshark")
    reader = Tshark(SAMPLE, Path("none.lua"), "pychat", "", shipped().transport.port)
    streams: dict[int, list[Packet]] = {}
    for packet in packets_of(reader, lambda _: None):
        packet.from_client = packet.sport != shipped().transport.port
        if packet.stream >= 0:
            streams.setdefault(packet.stream, []).append(packet)
    return list(streams.values())


def test_the_sample_has_a_retransmission_that_wireshark_calls_out_of_order(sample: list[list[Packet]]) -> None:
    """And duplicate ACKs that it calls window updates, and a window probe that it calls a keep-alive."""
    told = {
        packet.number: [event.kind for event in own]
        for packets in sample
        for packet, _, own in contradictions(packets, events(packets))
    }
    assert told == {
        716: ["window probe"], 1067: ["duplicate ACK"], 1070: ["retransmission"], 1243: ["duplicate ACK"],
    }  # fmt: skip
    again = {event.packet.number: event for packets in sample for event in events(packets) if event.trigger}
    assert sorted(again) == [712, 1070, 1143, 1162, 1233, 1272, 1307]
    assert again[1070].first is not None
    assert (again[1070].first.number, again[1070].trigger) == (1023, "SACK")
    assert [report.number for report in again[1070].reports] == [1067, 1069]
    assert again[712].needless is not None
    assert again[712].needless.number == 713
    assert again[712].trigger.startswith("cannot be determined")


def test_a_syn_ack_answers_a_repeated_syn_or_its_own_timer_expires() -> None:
    """RFC 9293, 3.10.7.4: a server in SYN-RECEIVED answers a SYN that comes again."""

    def opening(flags: int, at: str, **more: Any) -> Packet:
        return Packet(seq=0, ack=int(flags != SYN), flags=flags, time=Decimal(at), from_client=flags == SYN, **more)

    both = SYN | ACK
    answered = found(opening(SYN, "0"), opening(both, "0.01"), opening(SYN, "1"), opening(both, "1.01"))[-1]
    assert (answered.trigger, [one.number for one in answered.reports]) == (
        "cannot be determined: a repeated SYN, or the timer",
        [3],
    )
    soon = found(opening(SYN, "0"), opening(SYN, "1"), opening(both, "1.01"), opening(both, "1.02"))[-1]
    assert (soon.trigger, [one.number for one in soon.reports]) == ("a repeated SYN", [2])
    assert found(opening(SYN, "0"), opening(both, "0.01"), opening(both, "1.01"))[-1].trigger == "timer"


def test_copies_that_pass_together_were_sent_when_their_timestamps_say() -> None:
    """The clock of the timestamps is measured on the later segments; without it, nothing is said."""
    late = [data(101 + SIZE * index, str(5 + index), tsval=9000 + 1000 * index) for index in range(3)]
    held, *_ = found(data(1, "5", tsval=7000), data(1, "5", tsval=8000), *late)
    assert (held.apart, held.held) == (Decimal(1), True)
    plain, *_ = found(data(1, "4", tsval=8000), data(1, "5", tsval=9000), *late)
    assert (plain.apart, plain.held) == (Decimal(1), False)
    unknown, *_ = found(data(1, "5", tsval=7000), data(1, "5", tsval=8000))
    assert (unknown.apart, unknown.held) == (None, False)
