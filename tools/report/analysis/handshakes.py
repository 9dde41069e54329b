"""The three-way handshake of a connection: which SYN the SYN-ACK answers, and which SYN-ACK the ACK answers.

Where a SYN was sent again, its number does not tell which one was answered, but the echoed timestamp does (RFC 7323).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from tools.report.evidence import Evidence
from tools.report.packets import ACK, RST, SYN, Packet


@dataclass(slots=True)
class Options:
    """What one end offers in its SYN. `window` in octets, as written in the SYN (it is never scaled there)."""

    mss: int | None
    shift: int | None
    sack: bool
    timestamps: bool
    window: int


@dataclass(slots=True)
class Handshake:
    """The three segments, as frame numbers and absolute sequence numbers.

    `rtt`: the seconds from the SYN to the third segment, the initial round-trip time. It is the sum of the server's
    part and the client's. A part is None where a segment was sent again, and no timestamp tells which one was answered.
    """

    syn: int
    syn_ack: int
    ack: int
    client_isn: int
    server_isn: int
    syn_ack_acks: int
    ack_seq: int
    ack_acks: int
    client: Options
    server: Options
    rtt: Decimal | None
    server_took: Decimal | None
    client_took: Decimal | None
    evidence: Evidence
    repeated: list[int]  # the frames of the SYNs before the SYN-ACK, but the one that was answered
    echoes: int | None  # the timestamp that tells it, where there are several

    @property
    def acknowledged(self) -> bool:
        """Whether each initial sequence number is acknowledged plus one."""
        wanted = ((self.client_isn + 1) % 2**32, (self.server_isn + 1) % 2**32)
        return (self.syn_ack_acks, self.ack_acks) == wanted


def handshake(packets: Sequence[Packet]) -> Handshake | None:
    """The handshake of a connection, when the capture holds all of it."""
    syns = [packet for packet in packets if packet.has(SYN) and not packet.has(ACK)]
    answers = [packet for packet in packets if packet.has(SYN) and packet.has(ACK)]
    if not syns or not answers:
        return None
    first = answers[0].number
    third = next(
        (packet for packet in packets if packet.number > first and packet.from_client and packet.has(ACK)), None
    )
    if third is None or third.has(RST):
        return None
    answer, surely = _answered([packet for packet in answers if packet.number < third.number], third)
    asked = [packet for packet in syns if packet.number < answer.number] or syns[:1]  # captured in another order
    syn, known = _answered(asked, answer)
    server_took = answer.time - syn.time if known else None
    client_took = third.time - answer.time if surely else None
    return Handshake(
        syn=syn.number,
        syn_ack=answer.number,
        ack=third.number,
        client_isn=syn.seq_raw,
        server_isn=answer.seq_raw,
        syn_ack_acks=answer.ack_raw,
        ack_seq=third.seq_raw,
        ack_acks=third.ack_raw,
        client=options_of(syn),
        server=options_of(answer),
        rtt=third.time - syn.time if known and surely else None,
        server_took=server_took,
        client_took=client_took,
        evidence=Evidence.showing(
            f"tcp.stream == {third.stream} && frame.number <= {third.number}",
            (packet for packet in packets if packet.number <= third.number),
        ),
        repeated=[packet.number for packet in asked if packet is not syn],
        echoes=syn.tsval if known and len(asked) > 1 else None,
    )


def _answered(asked: Sequence[Packet], answer: Packet) -> tuple[Packet, bool]:
    """Which of several segments of the same number another one answers, and whether that is known; else the last."""
    echoed = [packet for packet in asked if packet.tsval is not None and packet.tsval == answer.tsecr]
    if echoed:
        return echoed[0], True
    return asked[-1], len(asked) == 1


def options_of(packet: Packet) -> Options:
    """What a SYN offers."""
    return Options(packet.mss, packet.shift, packet.sack, packet.tsval is not None, packet.window_raw)
