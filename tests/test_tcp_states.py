"""TCP's states as inferred from segments, against two endpoints that really go through them."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise

from tools.report.analysis.tcp_states import TRANSITIONS, arrivals, closing, steps
from tools.report.packets import ACK, FIN, RST, SYN, Packet

_ROUNDS = 400
FLAGS = {"SYN": SYN, "ACK": ACK, "FIN": FIN, "RST": RST}


@dataclass
class End:
    """An endpoint of RFC 9293, section 3.10, written apart from the analysis: it has a socket, not a capture."""

    name: str
    state: str
    next: int = 0  # to send
    due: int = 0  # to come
    fin: int | None = None
    history: list[str] = field(default_factory=list)

    def enter(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self.history.append(state)

    def segment(self, *flags: str, payload: int = 0, seq: int | None = None) -> Packet:
        packet = Packet(seq=self.next if seq is None else seq, ack=self.due, payload=payload, stream=0)
        packet.flags = sum(FLAGS[flag] for flag in flags)
        packet.from_client = self.name == "client"
        if seq is None:
            self.next = packet.after
        return packet

    def close(self) -> list[Packet]:
        """The program closes its socket, which it has from ESTABLISHED on."""
        if self.state not in ("ESTABLISHED", "CLOSE-WAIT"):
            return []
        packet = self.segment("FIN", "ACK")
        self.fin = self.next
        self.enter("LAST-ACK" if self.state == "CLOSE-WAIT" else "FIN-WAIT-1")
        return [packet]

    def say(self) -> list[Packet]:
        return [self.segment("ACK", payload=7)] if self.state in ("ESTABLISHED", "CLOSE-WAIT") else []

    def abort(self) -> list[Packet]:
        if self.state in ("CLOSED", "LISTEN", "SYN-SENT", "SYN-RECEIVED", "TIME-WAIT"):
            return []
        packet = self.segment("RST", "ACK")
        self.enter("CLOSED")
        return [packet]

    def again(self) -> list[Packet]:
        """The timer of its FIN has ended."""
        if self.state not in ("FIN-WAIT-1", "CLOSING", "LAST-ACK") or self.fin is None:
            return []
        return [self.segment("FIN", "ACK", seq=self.fin - 1)]

    def receive(self, packet: Packet) -> list[Packet]:
        """What a segment does to the state, and what is sent for it."""
        if packet.has(RST):
            self.enter("LISTEN" if self.name == "server" and self.state in ("LISTEN", "SYN-RECEIVED") else "CLOSED")
            return []
        if self.state in ("CLOSED", "LISTEN") and not packet.has(SYN):
            reset = self.segment("RST", seq=packet.ack)
            return [reset]
        if packet.has(SYN):
            self.due = packet.after
            self.enter("ESTABLISHED" if packet.has(ACK) else "SYN-RECEIVED")
            return [self.segment("ACK") if packet.has(ACK) else self.segment("SYN", "ACK")]
        if self.state == "SYN-RECEIVED":
            self.enter("ESTABLISHED")
        if self.fin is not None and packet.ack >= self.fin:
            after = {"FIN-WAIT-1": "FIN-WAIT-2", "CLOSING": "TIME-WAIT", "LAST-ACK": "CLOSED"}
            state = after.get(self.state, self.state)
            if state == "FIN-WAIT-2" and packet.has(FIN):
                state = "TIME-WAIT"  # both in one segment
            self.enter(state)
            if self.state == "CLOSED":
                return []
        new = packet.after > self.due
        self.due = max(self.due, packet.after)
        if packet.has(FIN) and new:
            after = {"ESTABLISHED": "CLOSE-WAIT", "FIN-WAIT-1": "CLOSING", "FIN-WAIT-2": "TIME-WAIT"}
            self.enter(after.get(self.state, self.state))
        return [self.segment("ACK")] if packet.payload or packet.has(FIN) else []


def recorded(dice: random.Random, *, resets: bool) -> tuple[list[Packet], dict[str, End]]:
    """A connection with closes at random times, and the capture of it somewhere on the path.

    Segments of one direction keep their order; how long each takes to the capture point and from there is random.
    """
    ends = {"client": End("client", "CLOSED"), "server": End("server", "LISTEN")}
    before = {name: deque[Packet]() for name in ends}  # by sender: not yet at the capture point
    behind = {name: deque[Packet]() for name in ends}  # and those past it
    seen: list[Packet] = []
    ends["client"].enter("SYN-SENT")
    before["client"].append(ends["client"].segment("SYN"))
    acts = ["close", "close", "say", "again"] + (["abort"] if resets else [])
    for _ in range(400):
        name = dice.choice(["client", "server"])
        other = "server" if name == "client" else "client"
        what = dice.random()
        if what < 0.35 and before[name]:
            packet = before[name].popleft()
            packet.number = len(seen) + 1
            packet.time = Decimal(packet.number)
            seen.append(packet)
            behind[name].append(packet)
        elif what < 0.7 and behind[name]:
            before[other] += ends[other].receive(behind[name].popleft())
        elif what < 0.75 and ends["client"].state != "SYN-SENT":
            before[name] += getattr(ends[name], dice.choice(acts))()
    while any(before.values()) or any(behind.values()):
        for name, other in (("client", "server"), ("server", "client")):
            while before[name]:
                packet = before[name].popleft()
                packet.number = len(seen) + 1
                seen.append(packet)
                behind[name].append(packet)
            while behind[name]:
                before[other] += ends[other].receive(behind[name].popleft())
    return seen, ends


def told(packets: list[Packet]) -> dict[str, list[str]]:
    """The states of each end, as the report tells them one after the other."""
    found: dict[str, list[str]] = {"client": [], "server": []}
    for step in steps(packets):
        for name, cell in (("client", step.client), ("server", step.server)):
            found[name] += [state for state in cell.split(" → ") if found[name][-1:] != [state]]
    return found


def test_each_end_passes_the_states_that_it_was_in() -> None:
    """In interleavings of closes, data, acknowledgements and repeated FINs, wherever they were recorded."""
    for seed in range(_ROUNDS):
        packets, ends = recorded(random.Random(seed), resets=False)
        assert told(packets) == {name: end.history for name, end in ends.items()}


def test_a_reset_in_any_state_ends_where_the_ends_did() -> None:
    """No state that an end was in is left out, and no step is one that RFC 9293 does not have.

    Whether an acknowledgement came before the program aborted the connection, nothing shows; it is taken to have come.
    """
    for seed in range(_ROUNDS):
        packets, ends = recorded(random.Random(seed), resets=True)
        for name, states in told(packets).items():
            assert states[-1] == ends[name].state
            left = iter(states)
            assert all(state in left for state in ends[name].history)
            start = "CLOSED" if name == "client" else "LISTEN"
            assert all(legal(before, after) for before, after in pairwise([start, *states]))


def legal(before: str, after: str) -> bool:
    """Whether one segment can do that: it may acknowledge a FIN and carry one, and a RST may come at any time."""
    if after == "CLOSED" or (before, after) in {("FIN-WAIT-1", "TIME-WAIT"), ("SYN-RECEIVED", "LISTEN")}:
        return True
    return after in {state for (name, _), state in TRANSITIONS.items() if name == before}


def test_the_table_is_that_of_the_standard() -> None:
    """Nothing but time leads out of TIME-WAIT, and each of the eleven states of figure 5 is reached."""
    assert "TIME-WAIT" not in {before for before, _ in TRANSITIONS}
    reached = {"CLOSED", "LISTEN"}
    for _ in TRANSITIONS:
        reached |= {after for (before, _), after in TRANSITIONS.items() if before in reached}
    assert len(reached) == 11


def test_a_fin_that_crosses_another_segment_is_known_by_its_acknowledgement() -> None:
    """The server's FIN had not arrived when the client sent its own: the client goes to CLOSING, not to CLOSE-WAIT."""
    rows = [("client", SYN, 0, 0), ("server", SYN | ACK, 0, 1), ("client", ACK, 1, 1), ("server", FIN | ACK, 1, 1),
            ("client", FIN | ACK, 1, 1), ("server", ACK, 2, 2), ("client", ACK, 2, 2)]  # fmt: skip
    packets = [
        Packet(number=number, seq=seq, ack=ack, flags=flags, from_client=side == "client", time=Decimal(number))
        for number, (side, flags, seq, ack) in enumerate(rows, 1)
    ]
    assert arrivals(packets) == {4: 5}
    found = closing(packets)
    assert found is not None
    assert found.how == "simultaneous"
    assert [(step.client, step.server) for step in steps(packets)[3:]] == [
        ("ESTABLISHED", "FIN-WAIT-1"), ("FIN-WAIT-1 → CLOSING", "CLOSING"), ("TIME-WAIT", "CLOSING"),
        ("TIME-WAIT", "TIME-WAIT"),
    ]  # fmt: skip
