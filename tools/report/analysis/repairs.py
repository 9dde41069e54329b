"""What of a connection was sent again, came late or was asked for again, judged by what the capture proves.

Sequence numbers show whether octets were seen before. The sender's timestamps (RFC 7323) and the identification in the
IPv4 header show which of two segments was sent first, and the echoed timestamp which acknowledgements had reached the
sender. SACK blocks (RFC 2018) show what the receiver has, D-SACK blocks (RFC 2883) what it got twice. Wireshark's
labels are compared with this, and never taken for it. Knows no line of the chat.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Literal

from tools.report.packets import ACK, FIN, RST, SYN, Packet

from . import clocks
from .coverage import Coverage

Kind = Literal[
    "retransmission", "out of order", "late", "copy", "gap", "duplicate ACK", "window update", "window probe",
    "keep-alive",
]  # fmt: skip

# The label of Wireshark for each kind that it has a label for.
LABELS: dict[str, Kind] = {
    "tcp.analysis.retransmission": "retransmission",
    "tcp.analysis.fast_retransmission": "retransmission",
    "tcp.analysis.spurious_retransmission": "retransmission",
    "tcp.analysis.out_of_order": "out of order",
    "tcp.analysis.lost_segment": "gap",
    "tcp.analysis.duplicate_ack": "duplicate ACK",
    "tcp.analysis.window_update": "window update",
    "tcp.analysis.zero_window_probe": "window probe",
    "tcp.analysis.keep_alive": "keep-alive",
}
SHORTEST_TIMER = Decimal("0.2")  # seconds of a retransmission timer: Linux's least; RFC 6298 wants at least 1 s
_THRESHOLD = 3  # duplicate ACKs that start a fast retransmission (RFC 5681)
ANSWERS_SYN = "a repeated SYN"
_PROBES = "the other end's window is zero: it asks whether that is open again"
_RECENT = 50  # packets among which a copy of one is looked for
_LONGEST = 2**16  # octets of a segment at most, also of one that the network card will divide
_NEAR = 1000  # how far two identifications of one counter are apart at most
_TOGETHER = Decimal("0.1")  # seconds by which the capture point must have seen copies closer than they were sent


@dataclass(slots=True)
class Event:
    """A segment that is not the plain course of things, and what proves it.

    `first`: the segment that carried the same octets first. `trigger`: why they were sent again, with the frames that
    show it. `needless`: the acknowledgement with the D-SACK block which says that the receiver had them already.
    `apart`: the seconds between the sending of `first` and of this one, by the sender's timestamps.
    """

    kind: Kind
    packet: Packet
    proof: str
    first: Packet | None = None
    trigger: str = ""
    reports: list[Packet] = field(default_factory=list)
    needless: Packet | None = None
    apart: Decimal | None = None

    @property
    def held(self) -> bool:
        """Whether the copies were sent one after the other, and passed the capture point together."""
        if self.first is None or self.apart is None:
            return False
        return self.apart - (self.packet.time - self.first.time) >= _TOGETHER


class _Track:
    """The octets of one direction: what was sent of them, and what the other end has said about them."""

    def __init__(self, packets: Sequence[Packet]) -> None:
        self.counter = _counts_up(packets)  # whether the sender's identifications count up
        self.tick = clocks.tick(packets)
        self.seen = Coverage()
        self.high: int | None = None  # the sequence number after the last octet sent
        self.starts: list[tuple[int, int]] = []  # sequence number and index in `sent` of what brought new octets
        self.sent: list[Packet] = []
        self.again: dict[int, Packet] = {}  # the last segment from each sequence number
        self.recent: deque[Packet] = deque(maxlen=_RECENT)
        self.acknowledged: int | None = None
        self.advanced: Packet | None = None  # the acknowledgement that came that far
        self.window: int | None = None
        self.reports: list[Packet] = []  # acknowledgements since then that are duplicate, or have SACK blocks above it
        self.sacked = Coverage()
        self.repairs: list[Event] = []

    def keep(self, packet: Packet) -> None:
        """Notes what a segment brought."""
        first, after = packet.first, packet.after
        self.seen.add(first, after)
        self.sent.append(packet)
        insort(self.starts, (first, len(self.sent) - 1))
        self.again[first] = packet
        self.high = after if self.high is None else max(self.high, after)

    def first_with(self, octet: int) -> Packet | None:
        """The segment that carried an octet first, of those that are in the capture."""
        found: Packet | None = None
        for start, index in reversed(self.starts[: bisect_right(self.starts, (octet, len(self.sent)))]):
            if octet - start > _LONGEST:
                break
            packet = self.sent[index]
            if packet.after > octet and (found is None or packet.number < found.number):
                found = packet
        return found


def events(packets: Sequence[Packet]) -> list[Event]:
    """The events of one connection, in the order of the capture."""
    tracks = {side: _Track([one for one in packets if one.sender == side]) for side in ("client", "server")}
    found: list[Event] = []
    for packet in packets:
        own = tracks[packet.sender]
        other = tracks["server" if packet.from_client else "client"]
        event = _sent(packet, own, other)
        if event is not None:
            found.append(event)
        if event is None or event.kind != "copy":
            if packet.has(ACK) and not packet.has(RST):
                said = _said(packet, other, own)
                if said is not None:
                    found.append(said)
            own.recent.append(packet)
    return found


def queued_before(event: Event, packets: Sequence[Packet]) -> list[Packet]:
    """The segments between the last report of a loss and the retransmission that had been sent before the report came.

    They echo an earlier timestamp than that of the report, so they stood in a queue before the retransmission.
    """
    if not event.reports:
        return []
    report, again = event.reports[-1], event.packet
    return [
        one
        for one in packets
        if report.number < one.number < again.number and one.sender == again.sender and one.payload
        and not _had_reached(report, one)
    ]  # fmt: skip


def contradictions(packets: Sequence[Packet], found: Sequence[Event]) -> list[tuple[Packet, list[str], list[Event]]]:
    """The segments that Wireshark labels as another kind than the capture proves: its labels, and the events."""
    by_frame: dict[int, list[Event]] = {}
    for event in found:
        by_frame.setdefault(event.packet.number, []).append(event)
    result = []
    for packet in packets:
        own = by_frame.get(packet.number, [])
        kinds = {event.kind for event in own}
        labels = [name for name in LABELS if name in packet.analysis]
        wrong = [name for name in labels if LABELS[name] not in kinds]
        if wrong or (kinds & {"retransmission", "out of order"} and not labels):
            result.append((packet, wrong, own))
    return result


def _counts_up(packets: Sequence[Packet]) -> bool:
    """Whether the identifications of a sender's packets in this connection count up, so that they tell the order."""
    numbers = [int(packet.ip_id, 16) for packet in packets if packet.ip_id and not packet.has(SYN)]
    steps = [(after - before) % 2**16 for before, after in pairwise(numbers)]
    up = sum(0 < step < _NEAR for step in steps)
    down = sum(step > 2**16 - _NEAR for step in steps)  # captured in another order
    return len(steps) >= 2 and up > down and up + down >= 0.9 * len(steps)


# --- What is sent ---------------------------------------------------------------------------------------------------


def _sent(packet: Packet, own: _Track, other: _Track) -> Event | None:
    """What a segment is with regard to what its sender has sent before; None for the plain next one."""
    if packet.has(RST):
        return None
    first, after, high = packet.first, packet.after, own.high
    if high is not None and first < high and after - first <= 1 and not packet.flags & (SYN | FIN):
        probe = _probe(packet, own, high)
        if probe is not None:
            return probe
    if first == after:
        copied = _copy_of(packet, own) if own.recent and own.recent[-1].ack == packet.ack else None
        return None if copied is None else _copy(packet, copied)
    event = None
    if own.window == 0 and packet.payload == 1 and first == own.acknowledged:
        event = Event("window probe", packet, _PROBES)
    elif high is not None and first < high:
        missing = own.seen.count_missing(first, after)
        copied = None if missing else _copy_of(packet, own)
        if copied is not None:
            return _copy(packet, copied)
        event = _late(packet, own, other) if missing == after - first else _again(packet, own, other)
        own.repairs.append(event)
    elif high is not None and first > high:
        event = Event("gap", packet, f"the {first - high:,} octets before it had not been captured when it came")
    own.keep(packet)
    return event


def _probe(packet: Packet, own: _Track, high: int) -> Event | None:
    """A segment of no octets, or of one that is acknowledged, just before the next sequence number (RFC 9293, 3.8)."""
    acknowledged = own.acknowledged is not None and own.acknowledged >= high
    if packet.first != high - 1 or (packet.payload and not acknowledged):
        return None
    if own.window == 0:
        return Event("window probe", packet, _PROBES)
    return Event("keep-alive", packet, "it has no new octet, and asks whether the other end still exists")


def _copy(packet: Packet, other: Packet) -> Event:
    how = "identification" if packet.ip_id and packet.ip_id == other.ip_id else "timestamps and another hop count"
    return Event("copy", packet, f"the packet of frame {other.number} captured once more: same {how}", other)


def _copy_of(packet: Packet, own: _Track) -> Packet | None:
    """The packet of which this one is a second recording: the same in all that TCP says, and the same in IP.

    Where IP has no identification that tells, it must have been recorded at another hop.
    """
    for other in own.recent:
        same = (
            (packet.first, packet.after, packet.ack, packet.flags, packet.window_raw, packet.tsval, packet.tsecr)
            == (other.first, other.after, other.ack, other.flags, other.window_raw, other.tsval, other.tsecr)
        )  # fmt: skip
        if same and packet.ip_id == other.ip_id:
            numbered = packet.ip_id and int(packet.ip_id, 16)
            if numbered or packet.ttl != other.ttl:
                return other
    return None


def _again(packet: Packet, own: _Track, other: _Track) -> Event:
    """A segment with octets that were captured before."""
    missing = own.seen.missing(packet.first, packet.after)
    octet = packet.first if not missing or missing[0][0] > packet.first else missing[0][1]
    first = own.first_with(octet)
    assert first is not None
    trigger, reports = _trigger(packet, own, other)
    proof = f"frame {first.number} has the same octets"
    order, words = _order(packet, own)
    if order > 0:
        proof += f"; {words}"
    apart = clocks.between(first, packet, own.tick)
    return Event("retransmission", packet, proof, first, trigger, reports, apart=apart)


def _late(packet: Packet, own: _Track, other: _Track) -> Event:
    """A segment whose octets lie before others that were captured, and were in no segment so far."""
    order, words = _order(packet, own)
    if order > 0:
        trigger, reports = _trigger(packet, own, other)
        return Event("retransmission", packet, words, None, trigger, reports)
    if order < 0:
        return Event("out of order", packet, words)
    return Event("late", packet, "whether it was overtaken or sent again cannot be determined")


def _order(packet: Packet, own: _Track) -> tuple[int, str]:
    """Whether a segment was sent after (1) or before (-1) those captured before it with later octets, and the proof.

    After one of them is enough for a segment that was sent again; one that was overtaken was sent before all of them.
    """
    at = bisect_right(own.starts, (packet.after, -1))
    following = own.sent[own.starts[at][1]] if at < len(own.starts) else None
    later = [one for one in reversed(own.recent) if one.first >= packet.after and one is not following]
    others = [following, *later] if following is not None else later
    told = [_sent_after(packet, other, numbered=own.counter) for other in others]
    order = next((one for one in told if one[0] > 0), told[0] if told else (0, ""))
    return order if order[0] > 0 or all(one[0] < 0 for one in told) else (0, "")


def _sent_after(packet: Packet, other: Packet, *, numbered: bool = True) -> tuple[int, str]:
    """1 when a segment was sent after another one, -1 when before, 0 when nothing shows it; and what shows it."""
    if packet.tsval is not None and other.tsval is not None and packet.tsval != other.tsval:
        order = 1 if (packet.tsval - other.tsval) % 2**32 < 2**31 else -1
        words = "later" if order > 0 else "earlier"
        return order, f"its timestamp is {words} than that of frame {other.number}, which has later octets"
    if numbered and packet.ip_id and other.ip_id:
        step = (int(packet.ip_id, 16) - int(other.ip_id, 16)) % 2**16
        if 0 < step < _NEAR:
            return 1, f"its identification {packet.ip_id} comes after {other.ip_id} of frame {other.number}"
        if step > 2**16 - _NEAR:
            return -1, f"its identification {packet.ip_id} comes before {other.ip_id} of frame {other.number}"
    return 0, ""


def _trigger(packet: Packet, own: _Track, other: _Track) -> tuple[str, list[Packet]]:
    """Why octets were sent again: the words, and the segments of the other end that show it."""
    before = own.again.get(packet.first)
    asked = _repeated_syns(before, other) if before is not None and packet.has(SYN) and packet.has(ACK) else []
    reached = [
        one for one in own.reports if _had_reached(one, packet) and (before is None or one.number > before.number)
    ]
    missing = own.acknowledged is not None and own.acknowledged >= packet.after
    if missing:
        return "cannot be determined: it was acknowledged already", [own.advanced] if own.advanced else []
    since = [one.time for one in (before, own.advanced) if one is not None]
    waited = packet.time - max(since) if since else None
    if before is not None and (own.advanced is None or own.advanced.time <= before.time):
        apart = clocks.between(before, packet, own.tick)
        waited = apart if apart is not None else waited
    asked = [syn for syn in asked if packet.time - syn.time < SHORTEST_TIMER]
    if asked and waited is not None:
        early = waited < SHORTEST_TIMER
        return ANSWERS_SYN if early else f"cannot be determined: {ANSWERS_SYN}, or the timer", asked
    if reached:
        if waited is not None and packet.time - reached[-1].time >= SHORTEST_TIMER:
            return "cannot be determined: duplicate ACKs or SACK, or the timer", reached
        duplicate = sum(one is not own.advanced for one in reached)
        if packet.first == own.acknowledged and duplicate >= _THRESHOLD:
            return "duplicate ACKs", reached
        return "SACK" if any(one.sacks for one in reached) else "cannot be determined: too few duplicate ACKs", reached
    if before is None or waited is None:
        return "cannot be determined", []
    if waited >= SHORTEST_TIMER:
        return "timer", []
    if packet.has(SYN) and not packet.has(ACK) and own.acknowledged is None and packet.tsval != before.tsval:
        return "timer", []  # nothing else makes an end repeat its SYN
    if own.high == packet.after and packet.payload:
        return "cannot be determined: too early for the timer; a tail loss probe of RFC 8985 would fit", []
    return "cannot be determined: too early for the timer", []


def _repeated_syns(before: Packet, other: _Track) -> list[Packet]:
    """The SYNs that came again and that no SYN-ACK has answered yet, apart from the first one."""
    syns = [event.packet for event in other.repairs if event.packet.has(SYN)]
    return [syn for syn in syns if before.number < syn.number] or [syn for syn in syns if syn.number < before.number]


def _had_reached(report: Packet, packet: Packet) -> bool:
    """Whether an acknowledgement may have reached a segment's sender: the segment echoes its time, or a later one."""
    if report.tsval is None or packet.tsecr is None:
        return True
    return (packet.tsecr - report.tsval) % 2**32 < 2**31


# --- What is said about it ------------------------------------------------------------------------------------------


def _said(packet: Packet, data: _Track, own: _Track) -> Event | None:
    """What an acknowledgement says about the octets of the other direction; None for the plain next one."""
    ack, event = packet.acknowledged, None
    blocks, fresh = packet.sacks if packet.sack_low else [], False
    if blocks and _is_duplicate(packet):
        _mark(data, packet, *blocks.pop(0))
    for low, high in blocks:
        fresh = data.sacked.add(low, high) > 0 or fresh
    if data.acknowledged is None or packet.has(SYN) or ack > data.acknowledged:
        data.acknowledged, data.advanced = ack, packet
        data.reports = [packet] if blocks else []
    elif ack < data.acknowledged:
        return None
    else:
        waiting = fresh or (data.high is not None and data.high > ack)
        alone = not packet.payload and not packet.has(FIN)
        if alone and waiting and (fresh or (packet.window and packet.window == data.window)):
            event = Event("duplicate ACK", packet, _asked(packet, data, fresh=fresh))
            data.reports.append(packet)
        elif fresh:
            data.reports.append(packet)
        elif alone and data.window is not None and packet.window > data.window:
            event = Event("window update", packet, f"the window grew from {data.window:,} to {packet.window:,} octets")
    data.window = packet.window
    return event


def _asked(packet: Packet, data: _Track, *, fresh: bool) -> str:
    words = f"it acknowledges {packet.ack} once more"
    if fresh:
        words += ", and its SACK blocks report octets that none has reported before (RFC 6675)"
    if data.window != packet.window:
        words += "; with new blocks it is one even though its window has changed"
    return words


def _is_duplicate(packet: Packet) -> bool:
    """Whether the first SACK block reports octets that came twice (RFC 2883): below the ACK, or within the second."""
    low, high = packet.sacks[0]
    if high <= packet.acknowledged:
        return True
    return len(packet.sacks) > 1 and packet.sacks[1][0] <= low and high <= packet.sacks[1][1]


def _mark(data: _Track, packet: Packet, low: int, high: int) -> None:
    """The last retransmission of these octets was needless: they had arrived before."""
    for event in reversed(data.repairs):
        if event.packet.first < high and event.packet.after > low:
            if event.kind == "retransmission" and event.needless is None:
                event.needless = packet
            return
