"""TCP's states at both ends (RFC 9293, section 3.3.2), inferred from the segments of a connection. Knows no chat.

Sending a segment changes its sender's state at once. When it changes the receiver's, only the receiver's own segments
show: one that does not acknowledge a FIN was sent before that FIN had arrived, and an end that sends its SYN or FIN
again has not seen the acknowledgement yet. Where nothing shows the contrary, a segment is taken to arrive before the
next one is sent; segments of one direction arrive in their order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from tools.report.packets import ACK, FIN, RST, SYN, Packet

from .resets import reset

UNKNOWN = "unknown"

# RFC 9293, figure 5: the state, what happens, the next state. What is not in the table changes nothing.
TRANSITIONS = {
    ("CLOSED", "sends SYN"): "SYN-SENT",
    ("LISTEN", "receives SYN"): "SYN-RECEIVED",
    ("SYN-SENT", "receives SYN"): "SYN-RECEIVED",
    ("SYN-SENT", "receives SYN, ACK"): "ESTABLISHED",
    ("SYN-RECEIVED", "receives ACK of SYN"): "ESTABLISHED",
    ("SYN-RECEIVED", "receives SYN, ACK"): "ESTABLISHED",
    ("SYN-RECEIVED", "sends FIN"): "FIN-WAIT-1",
    ("ESTABLISHED", "sends FIN"): "FIN-WAIT-1",
    ("ESTABLISHED", "receives FIN"): "CLOSE-WAIT",
    ("FIN-WAIT-1", "receives ACK of FIN"): "FIN-WAIT-2",
    ("FIN-WAIT-1", "receives FIN"): "CLOSING",
    ("FIN-WAIT-2", "receives FIN"): "TIME-WAIT",
    ("CLOSING", "receives ACK of FIN"): "TIME-WAIT",
    ("CLOSE-WAIT", "sends FIN"): "LAST-ACK",
    ("LAST-ACK", "receives ACK of FIN"): "CLOSED",
}


@dataclass(slots=True)
class Step:
    """A segment at which a state changes, and the states of both ends then.

    `FIN-WAIT-1 → CLOSING`: the end sends the segment in the first state, and what had crossed it brings the second.
    """

    packet: Packet
    client: str
    server: str


@dataclass(slots=True)
class Closing:
    """How both directions were closed: the frames of both FINs and of their acknowledgements.

    `how`: `combined` when the second FIN acknowledges the first one too, so three segments close the connection;
    `separate` when the acknowledgement comes before it, in a segment of its own (four); `simultaneous` when neither
    end had seen the other one's FIN (four). `waited`: the seconds from the acknowledgement to the second FIN.
    """

    how: Literal["combined", "separate", "simultaneous"]
    first: Packet
    acknowledged: Packet
    second: Packet
    last: Packet
    waited: Decimal

    @property
    def frames(self) -> list[int]:
        """The frames that it took, without retransmissions."""
        return sorted({packet.number for packet in (self.first, self.acknowledged, self.second, self.last)})


@dataclass(slots=True)
class _End:
    """One end: its state, those that it has passed at the present segment, and what is on its way to it."""

    state: str
    passive: bool  # it was listening, and returns to that when a RST comes during the handshake
    passed: list[str] = field(default_factory=list)
    coming: deque[Packet] = field(default_factory=deque)
    fin: int | None = None  # the sequence number after its FIN

    def meet(self, *events: str) -> None:
        """What one segment does to the end."""
        for event in events:
            self.state = TRANSITIONS.get((self.state, event), self.state)
        self.passed.append(self.state)


def steps(packets: Sequence[Packet]) -> list[Step]:
    """The segments at which a state changes, in the order of the capture."""
    late = arrivals(packets)
    sent = _sent(packets)
    broken = reset(packets)
    gone = broken.answers if broken is not None and broken.kind == "gone" else None
    ends = {side: _End(state, state == "LISTEN") for side, state in _before(packets).items()}
    found: list[Step] = []
    for packet in packets:
        own, other = ends[packet.sender], ends[_other(packet)]
        before = [end.state for end in ends.values()]
        for end in ends.values():
            end.passed = []
        _send(packet, own)
        other.coming.append(packet)
        for end in ends.values():
            while end.coming and late.get(end.coming[0].number, 0) <= packet.number:
                _receive(end.coming.popleft(), end, own if end is other else other)
        if packet is gone:  # it arrives where the connection does not exist any more, as its answer shows
            other.state, other.passed = "CLOSED", ["CLOSED"]
        if packet.has(ACK) and not packet.has(RST) and packet.acknowledged > sent[_other(packet)]:
            own.state = other.state = UNKNOWN  # it acknowledges what the capture lacks, which may be a FIN
            own.passed, other.passed = [UNKNOWN], [UNKNOWN]
        if [end.state for end in ends.values()] != before or (packet.has(SYN) and not found):
            found.append(Step(packet, *(_words(end, state) for end, state in zip(ends.values(), before, strict=True))))
    return found


def _words(end: _End, before: str) -> str:
    """The states that a segment brought an end to; the one before it, when it brought none."""
    passed = [state for state, last in zip(end.passed, [before, *end.passed], strict=False) if state != last]
    return " → ".join(passed) or before


def states(packets: Sequence[Packet]) -> dict[int, tuple[str, str]]:
    """For each frame the states of the client and the server then; what a segment does not change is as before."""
    changed = {step.packet.number: (step.client, step.server) for step in steps(packets)}
    before = _before(packets)
    now = (before["client"], before["server"])
    found = {}
    for packet in packets:
        found[packet.number] = changed.get(packet.number, now)
        client, server = found[packet.number]
        now = (client.rpartition(" → ")[2], server.rpartition(" → ")[2])
    return found


def arrivals(packets: Sequence[Packet]) -> dict[int, int]:
    """For each segment that had not arrived when its receiver sent another one: the last frame that shows it.

    A FIN has not arrived yet where the receiver's segments do not acknowledge it, an acknowledgement where the receiver
    sends again what it acknowledges, a SYN where a later one is answered, and a RST where the receiver still sends
    something else.
    """
    last = _last(packets)
    found: dict[int, int] = {}
    coming: dict[str, list[Packet]] = {"client": [], "server": []}  # FINs by receiver, until it acknowledges them
    fins: dict[str, int] = {}  # the sequence number after each side's FIN
    for packet in packets:
        own, other = packet.sender, _other(packet)
        again = 0
        if packet.has(ACK):
            coming[own] = [fin for fin in coming[own] if packet.acknowledged < fin.after]
            for fin in coming[own]:
                found[fin.number] = max(packet.number, found.get(fin.number, 0))
        if packet.has(RST):
            again = last.get((other, 0), 0)
        elif packet.has(ACK):
            again = last.get(
                (other, FIN if packet.acknowledged >= fins.get(other, packet.acknowledged + 1) else SYN), 0
            )
        elif packet.has(SYN):
            again = _last_try(packets)
        if again > packet.number:
            found[packet.number] = again
        if packet.has(FIN):
            fins.setdefault(own, packet.after)
            coming[other].append(packet)
    return found


def _last(packets: Sequence[Packet]) -> dict[tuple[str, int], int]:
    """The last frame in which each side sends a SYN, a FIN, or anything but a RST (0)."""
    found: dict[tuple[str, int], int] = {}
    for packet in packets:
        if not packet.has(RST):
            for flag in (0, *(flag for flag in (SYN, FIN) if packet.has(flag))):
                found[packet.sender, flag] = packet.number
    return found


def _last_try(packets: Sequence[Packet]) -> int:
    """The SYN whose timestamp the first answer echoes, else the last one before it; 0 when there is no answer."""
    tries: list[Packet] = []
    for packet in packets:
        if packet.has(SYN) and packet.has(ACK):
            echoed = (one.number for one in tries if one.tsval is not None and one.tsval == packet.tsecr)
            return next(echoed, tries[-1].number if tries else 0)
        if packet.has(SYN):
            tries.append(packet)
    return 0


def _before(packets: Sequence[Packet]) -> dict[str, str]:
    """The states before the first packet: a client has none yet, a server that answers was listening.

    In mid-stream both ends are in ESTABLISHED when both still say something: then neither has sent its FIN.
    """
    if packets and packets[0].has(SYN):
        answered = any(packet.has(SYN) and packet.has(ACK) for packet in packets)
        refused = any(packet.has(RST) and not packet.from_client for packet in packets)
        return {"client": "CLOSED", "server": "LISTEN" if answered else "CLOSED" if refused else UNKNOWN}
    saying = {packet.sender for packet in packets if packet.payload or packet.has(FIN)}
    state = "ESTABLISHED" if len(saying) == 2 else UNKNOWN
    return {"client": state, "server": state}


def _sent(packets: Sequence[Packet]) -> dict[str, int]:
    """How far the octets of each side reach in the capture, with those that SYN and FIN stand for."""
    found = {"client": 0, "server": 0}
    for packet in packets:
        if not packet.has(RST):
            found[packet.sender] = max(found[packet.sender], packet.after)
    return found


def _other(packet: Packet) -> str:
    return "server" if packet.from_client else "client"


def _send(packet: Packet, end: _End) -> None:
    if packet.has(RST):
        end.state = "CLOSED"
        end.passed.append("CLOSED")
    elif packet.has(SYN) and not packet.has(ACK):
        end.meet("sends SYN")
    elif packet.has(FIN) and end.fin is None:
        end.fin = packet.after
        end.meet("sends FIN")


def _receive(packet: Packet, end: _End, sender: _End) -> None:
    """What a segment does to the end at which it arrives."""
    if packet.has(RST):
        end.state = "LISTEN" if end.passive and end.state in ("LISTEN", "SYN-RECEIVED") else "CLOSED"
        end.passed.append(end.state)
        return
    if packet.has(SYN):
        end.meet("receives SYN, ACK" if packet.has(ACK) else "receives SYN")
        return
    events = ["receives ACK of SYN"] if packet.has(ACK) else []
    if packet.has(ACK) and end.fin is not None and packet.acknowledged >= end.fin:
        events.append("receives ACK of FIN")
    if packet.has(FIN):
        events.append("receives FIN")
    end.meet(*events)


def crossed(packets: Sequence[Packet]) -> bool:
    """Whether the first FINs of both ends crossed: the second one does not acknowledge the first."""
    fins = [packet for packet in packets if packet.has(FIN)]
    second = next((packet for packet in fins if packet.sender != fins[0].sender), None)
    return second is not None and not (second.has(ACK) and second.acknowledged >= fins[0].after)


def closing(packets: Sequence[Packet]) -> Closing | None:
    """The segments that closed both directions; None when the capture does not hold all of them."""
    fins = [packet for packet in packets if packet.has(FIN)]
    first = next(iter(fins), None)
    second = next((packet for packet in fins if first is not None and packet.sender != first.sender), None)
    if first is None or second is None or any(packet.has(RST) for packet in packets):
        return None
    acknowledged, last = _acknowledges(packets, first), _acknowledges(packets, second)
    if acknowledged is None or last is None:
        return None
    if crossed(packets):
        return Closing("simultaneous", first, acknowledged, second, last, Decimal(0))
    how: Literal["combined", "separate"] = "combined" if acknowledged.number == second.number else "separate"
    return Closing(how, first, acknowledged, second, last, second.time - acknowledged.time)


def _acknowledges(packets: Sequence[Packet], fin: Packet) -> Packet | None:
    """The first segment of the other end that acknowledges a FIN."""
    after = fin.seq + fin.payload + 1
    return next(
        (
            packet
            for packet in packets
            if packet.number > fin.number and packet.sender != fin.sender and packet.has(ACK) and packet.ack >= after
        ),
        None,
    )
