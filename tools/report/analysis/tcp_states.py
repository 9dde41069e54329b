"""TCP's states at both ends (RFC 9293, section 3.3.2), inferred from the segments of a connection. Knows no chat.

A segment shows the state of its sender, and that of its receiver once it has arrived there. That it arrives is an
assumption, which the next segment of the receiver confirms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tools.report.packets import ACK, FIN, RST, SYN, Packet

UNKNOWN = "unknown"


@dataclass(slots=True)
class Step:
    """A segment that changes a state, and the states of both ends once it has arrived."""

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
    waited: float

    @property
    def frames(self) -> list[int]:
        """The frames that it took, without retransmissions."""
        return sorted({packet.number for packet in (self.first, self.acknowledged, self.second, self.last)})


def steps(packets: Sequence[Packet]) -> list[Step]:
    """The segments that change a state, in the order of the capture."""
    state = _before(packets)
    fins: dict[str, int] = {}
    found: list[Step] = []
    closed = closing(packets)
    crossing = closed.first.number if closed is not None and closed.how == "simultaneous" else None
    for packet in packets:
        before = dict(state)
        _apply(packet, state, fins)
        if packet.number == crossing:  # the other end closes before this FIN arrives
            other = "server" if packet.from_client else "client"
            state[other] = before[other]
        if state != before or (packet.has(SYN) and not found):
            found.append(Step(packet, state["client"], state["server"]))
    return found


def _before(packets: Sequence[Packet]) -> dict[str, str]:
    """The states before the first packet: a client has none yet, a server that answers was listening."""
    if packets and packets[0].has(SYN):
        answered = any(packet.has(SYN) and packet.has(ACK) for packet in packets)
        refused = any(packet.has(RST) and not packet.from_client for packet in packets)
        return {"client": "CLOSED", "server": "LISTEN" if answered else "CLOSED" if refused else UNKNOWN}
    return {"client": "ESTABLISHED", "server": "ESTABLISHED"}


def _apply(packet: Packet, state: dict[str, str], fins: dict[str, int]) -> None:
    """What a segment does to the states. `fins` has the sequence number after each end's FIN."""
    own = packet.sender
    other = "server" if packet.from_client else "client"
    if packet.has(RST):
        state[own] = state[other] = "CLOSED"
        return
    if packet.has(SYN):
        _synchronise(packet, state, own, other)
        return
    if packet.has(ACK) and state[other] == "SYN-RECEIVED":
        state[other] = "ESTABLISHED"
    if packet.has(ACK) and other in fins and packet.ack >= fins[other]:
        state[other] = {"FIN-WAIT-1": "FIN-WAIT-2", "CLOSING": "TIME-WAIT", "LAST-ACK": "CLOSED"}.get(
            state[other], state[other]
        )
    if packet.has(FIN) and own not in fins:
        fins[own] = packet.seq + packet.payload + 1
        _finish(packet, state, fins, own, other)


def _synchronise(packet: Packet, state: dict[str, str], own: str, other: str) -> None:
    if not packet.has(ACK):
        if state[own] == "CLOSED":
            state[own] = "SYN-SENT"
        if state[other] == "LISTEN":
            state[other] = "SYN-RECEIVED"
    elif state[other] in ("SYN-SENT", "CLOSED"):
        state[own], state[other] = "SYN-RECEIVED", "ESTABLISHED"


def _finish(packet: Packet, state: dict[str, str], fins: dict[str, int], own: str, other: str) -> None:
    if other not in fins:
        state[own], state[other] = "FIN-WAIT-1", "CLOSE-WAIT"
    elif packet.ack >= fins[other]:
        state[own], state[other] = "LAST-ACK", "TIME-WAIT"
    else:  # it was sent before the other FIN had come
        state[own] = state[other] = "CLOSING"


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
    if second.ack <= first.seq + first.payload:
        return Closing("simultaneous", first, acknowledged, second, last, 0.0)
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
