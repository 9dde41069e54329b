"""TCP connections: who opened them, how, and who closed them. Knows no line of the chat but who speaks first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from tools.report.document import bracketed
from tools.report.evidence import Evidence
from tools.report.packets import FIN, RST, SYN, Line, Packet
from tools.report.reading import Capture, Endpoint

from .coverage import Coverage
from .handshakes import Handshake, handshake
from .holes import holes
from .repairs import Event, events
from .resets import Reset, reset
from .tcp_states import crossed

_TIMESTAMPS = 12  # octets of the option in every segment, with padding


@dataclass(slots=True)
class Close:
    """How a connection ended. `by` is client or server.

    `how` is fin, reset, refused, half-closed, open, unanswered (nothing but SYNs is there) or unknown. `reset` is what
    its first RST is: abort, gone, refusal or unknown (see `resets.py`); empty without one.
    """

    how: str
    by: str
    words: str
    first: int | None
    evidence: Evidence
    fins: list[tuple[int, str]] = field(default_factory=list)
    resets: list[tuple[int, str]] = field(default_factory=list)
    reset: str = ""


@dataclass(slots=True)
class Connection:
    """One TCP connection of the chat, or an attempt at one. Octets are those of the payload."""

    stream: int
    client: Endpoint
    server: Endpoint
    user: str
    first: Decimal
    last: Decimal
    packets: list[Packet]
    lines: list[Line]
    handshake: Handshake | None
    close: Close
    packets_up: int
    packets_down: int
    octets_up: int
    octets_down: int
    events: list[Event]
    unreadable: str = ""
    inferred: bool = False  # the name: the capture lacks the answer that gave it

    @property
    def name(self) -> str:
        """The user's name, or the client's end while it has none."""
        return self.user or bracketed(self.client)

    @property
    def resent(self) -> frozenset[int]:
        """The frames of retransmitted segments."""
        return frozenset(event.packet.number for event in self.events if event.kind == "retransmission")

    @property
    def who(self) -> str:
        """The same, and whether the name is inferred."""
        return f"{self.user} (inferred)" if self.inferred else self.name

    @property
    def full_segment(self) -> int:
        """The payload of a full segment, in octets; 0 without a handshake."""
        if self.handshake is None:
            return 0
        ends = (self.handshake.client, self.handshake.server)
        option = _TIMESTAMPS if all(end.timestamps for end in ends) else 0
        return min((end.mss for end in ends if end.mss is not None), default=0) - option

    @property
    def label(self) -> str:
        """`alice (0)`: who, and the TCP stream."""
        return f"{self.who} ({self.stream})"

    @property
    def evidence(self) -> Evidence:
        return Evidence.showing(f"tcp.stream == {self.stream}", self.packets)

    def direction(self, *, from_client: bool) -> str:
        """`alice → server`, `server → alice`."""
        return f"{self.who} → server" if from_client else f"server → {self.who}"


def connections(capture: Capture) -> list[Connection]:
    """The connections with a server of the chat, in the order of their first packet."""
    streams: dict[int, list[Packet]] = {}
    servers = set(capture.servers)
    for packet in capture.packets:
        if packet.stream >= 0 and servers & {(packet.src, packet.sport), (packet.dst, packet.dport)}:
            streams.setdefault(packet.stream, []).append(packet)
    return [_connection(number, packets) for number, packets in streams.items()]


def _connection(number: int, packets: list[Packet]) -> Connection:
    first = packets[0]
    up = [packet for packet in packets if packet.from_client]
    down = [packet for packet in packets if not packet.from_client]
    client, server = (first.src, first.sport), (first.dst, first.dport)
    if not first.from_client:
        client, server = server, client
    lines = [line for packet in packets for line in packet.lines]
    return Connection(
        stream=number,
        client=client,
        server=server,
        user=next((line.user for line in reversed(lines) if line.user), ""),
        first=first.time,
        last=packets[-1].time,
        packets=packets,
        lines=lines,
        handshake=handshake(packets),
        close=close_of(number, packets),
        packets_up=len(up),
        packets_down=len(down),
        octets_up=_octets(up),
        octets_down=_octets(down),
        events=events(packets),
        unreadable=_unreadable(packets, lines),
    )


def _octets(packets: Sequence[Packet]) -> int:
    """The octets that these packets carry, those that were sent again counted once."""
    seen = Coverage()
    return sum(seen.add(packet.seq, packet.seq + packet.payload) for packet in packets if packet.payload)


def _unreadable(packets: Sequence[Packet], lines: Sequence[Line]) -> str:
    """Why nothing of a connection with payload can be read; empty when it can, or when there is nothing."""
    if lines or not any(packet.payload for packet in packets):
        return ""
    if any("tls" in packet.protocols.split(":") for packet in packets):
        return "TLS: encrypted"
    if any(packet.captured < packet.length for packet in packets if packet.payload):
        return "cut off by the snap length"
    return "not this protocol"


def close_of(number: int, packets: Sequence[Packet]) -> Close:
    """How a connection ended, by all its packets in the capture."""
    fins = [(packet.number, packet.sender) for packet in packets if packet.has(FIN)]
    resets = [(packet.number, packet.sender) for packet in packets if packet.has(RST)]
    marks = sorted([*fins, *resets])
    evidence = Evidence.of(
        f"tcp.stream == {number} && (tcp.flags.fin == 1 || tcp.flags.reset == 1)", (frame for frame, _ in marks)
    )
    if not marks and all(packet.has(SYN) and packet.from_client for packet in packets):
        return Close("unanswered", "", "without an answer to its SYN in the capture", None, evidence)
    if not marks:
        return Close("open", "", "still open at the end of the capture", None, evidence)
    first, by = marks[0]
    broken = reset(packets)
    how, words = _ending(packets, fins, broken)
    return Close(how, by, words, first, evidence, fins, resets, broken.kind if broken is not None else "")


# What a RST is called: alone, and after a FIN.
_RESETS = {
    "abort": ("aborted by the {} (RST)", "an abort by the {} (RST)"),
    "gone": (
        "reset by the {}'s host, which had no such connection (inferred)",
        "a RST of the {}'s host, which had no such connection any more (inferred)",
    ),
    "unknown": ("reset by the {}", "a RST by the {}"),
    "refusal": ("reset by the {}", "a RST by the {}"),
}


def _ending(packets: Sequence[Packet], fins: list[tuple[int, str]], broken: Reset | None) -> tuple[str, str]:
    """How it ended and the words for it."""
    alone, after = ("", "") if broken is None else _RESETS[broken.kind]
    if broken is not None and not fins:
        by = broken.packet.sender
        answers = [packet for packet in packets if not packet.from_client]
        if by == "server" and all(packet.has(RST) for packet in answers) and not any(one.payload for one in packets):
            if packets[0].has(SYN):
                return "refused", "refused: a RST answers the SYN"
            if answers[0].seq_raw == 0:  # RFC 9293: what answers a segment without ACK
                return "refused", "refused, as inferred from a RST with the sequence number 0"
        return "reset", alone.format(by)
    by = fins[0][1]
    if broken is not None:
        return "reset", f"FIN by the {by} first, then {after.format(broken.packet.sender)}"
    other = "server" if by == "client" else "client"
    if len({side for _, side in fins}) == 1:
        if len({packet.sender for packet in packets}) == 1:
            return "unknown", f"FIN by the {by}; the other direction is not in the capture"
        if any(hole.how == "acknowledged" for hole in holes(packets, from_client=other == "client")[-1:]):
            return "unknown", f"FIN by the {by}; whether the {other} sent one cannot be known"
        return "half-closed", f"FIN by the {by}; none by the {other} until the end of the capture"
    return "fin", "FIN, both at the same time" if crossed(packets) else f"FIN, {by} first"
