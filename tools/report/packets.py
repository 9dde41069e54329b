"""Packets and chat lines as tshark sees them, one object for each. No octet is dissected here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

FIN, SYN, RST, PSH, ACK, URG = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20

# What Wireshark's TCP analysis says of a packet: the field, its name, and what it means.
ANALYSIS = {
    "tcp.analysis.retransmission": ("retransmission", "the same octets were sent before"),
    "tcp.analysis.fast_retransmission": (
        "fast retransmission",
        "retransmitted after duplicate ACKs, before the timeout",
    ),
    "tcp.analysis.spurious_retransmission": (
        "spurious retransmission",
        "retransmitted although it was already acknowledged",
    ),
    "tcp.analysis.out_of_order": ("out of order", "arrived after a segment with a higher sequence number"),
    "tcp.analysis.lost_segment": (
        "previous segment not captured",
        "the segment before this one was not captured",
    ),
    "tcp.analysis.ack_lost_segment": (
        "acknowledges an unseen segment",
        "acknowledges octets that were not captured",
    ),
    "tcp.analysis.duplicate_ack": (
        "duplicate ACK",
        "the receiver repeats its last acknowledgement: a segment is missing",
    ),
    "tcp.analysis.zero_window": ("zero window", "the receive buffer is full: the sender must stop"),
    "tcp.analysis.window_full": ("window full", "the sender has filled the receiver's window"),
    "tcp.analysis.zero_window_probe": ("zero window probe", "asks whether the window is open again"),
    "tcp.analysis.window_update": ("window update", "the receiver has room again"),
    "tcp.analysis.keep_alive": (
        "keep-alive",
        "asks whether the other endpoint is there (or whether its window is open)",
    ),
    "tcp.analysis.keep_alive_ack": ("keep-alive ACK", "the answer to a keep-alive"),
    "tcp.analysis.reused_ports": ("ports reused", "a connection with the same addresses and ports as an earlier one"),
}
RETRANSMISSIONS = frozenset(name for name in ANALYSIS if name.endswith("retransmission"))


@dataclass(slots=True)
class Packet:
    """A packet. Times in seconds since the epoch, lengths in octets, sequence numbers relative unless raw."""

    number: int
    time: float
    length: int
    captured: int
    eth_src: str
    src: str
    dst: str
    version: int
    ttl: int
    ip_id: str
    df: bool
    ip_checksum_ok: bool | None
    ip_length: int
    fragment: bool
    protocols: str
    stream: int
    sport: int
    dport: int
    seq: int
    ack: int
    seq_raw: int
    ack_raw: int
    payload: int
    flags: int
    window: int
    window_raw: int
    mss: int | None
    shift: int | None
    sack: bool
    timestamps: bool
    rtt: float | None
    initial_rtt: float | None
    in_flight: int | None
    comment: str
    analysis: frozenset[str]
    from_client: bool = True
    lines: list[Line] = field(default_factory=list)

    def has(self, flag: int) -> bool:
        return bool(self.flags & flag)

    @property
    def sender(self) -> str:
        """`client` or `server`."""
        return "client" if self.from_client else "server"

    @property
    def direction(self) -> str:
        return "client → server" if self.from_client else "server → client"

    @property
    def flag_words(self) -> str:
        """The flags as tcpdump's readers know them: `SYN, ACK`."""
        names = ((SYN, "SYN"), (FIN, "FIN"), (RST, "RST"), (PSH, "PSH"), (ACK, "ACK"), (URG, "URG"))
        return ", ".join(name for bit, name in names if self.flags & bit)


@dataclass(slots=True)
class Line:
    """A frame of the chat protocol, in the packet with its last octet. `state` before it, `state_after` after it."""

    number: int
    time: float
    stream: int
    whole: str = ""
    length: int = 0
    sender: str = ""
    kind: str = ""
    verb: str = ""
    state: str = ""
    state_after: str = ""
    request: str = ""
    user: str = ""
    partner: str = ""
    chat: int | None = None
    request_in: int | None = None
    delay: float | None = None
    relayed_from: int | None = None
    relay_time: float | None = None
    rule: str = ""
    violation: str = ""
    violation_by: str = ""
    values: dict[str, str] = field(default_factory=dict)

    @property
    def from_client(self) -> bool:
        return self.sender == "client"


def _number(value: str) -> int:
    return int(value, 0)


def _checked(value: str) -> bool | None:
    """tshark's checksum status: 1 good, 0 bad, anything else unverified."""
    return {"1": True, "Good": True, "0": False, "Bad": False}.get(value)


def _true(value: str) -> bool:
    return value in {"1", "True", "true"}


# One row for each attribute: the fields that may hold it (the first that has a value counts), how it is read, and what
# it is without any.
_Read = Callable[[str], Any]
PACKET_FIELDS: tuple[tuple[str, tuple[str, ...], _Read, Any], ...] = (
    ("number", ("frame.number",), int, 0),
    ("time", ("frame.time_epoch",), float, 0.0),
    ("length", ("frame.len",), int, 0),
    ("captured", ("frame.cap_len",), int, 0),
    ("eth_src", ("eth.src", "sll.src.eth"), str, ""),
    ("src", ("ip.src", "ipv6.src", "arp.src.proto_ipv4"), str, ""),
    ("dst", ("ip.dst", "ipv6.dst", "arp.dst.proto_ipv4"), str, ""),
    ("version", ("ip.version", "ipv6.version"), int, 0),
    ("ttl", ("ip.ttl", "ipv6.hlim"), int, 0),
    ("ip_id", ("ip.id", "ipv6.flow"), str, ""),
    ("df", ("ip.flags.df",), _true, False),
    ("ip_checksum_ok", ("ip.checksum.status",), _checked, None),
    ("ip_length", ("ip.len", "ipv6.plen"), int, 0),
    ("fragment", ("ip.flags.mf", "ipv6.fraghdr.more"), _true, False),
    ("protocols", ("frame.protocols",), str, ""),
    ("stream", ("tcp.stream",), int, -1),
    ("sport", ("tcp.srcport",), int, 0),
    ("dport", ("tcp.dstport",), int, 0),
    ("seq", ("tcp.seq",), int, 0),
    ("ack", ("tcp.ack",), int, 0),
    ("seq_raw", ("tcp.seq_raw",), int, 0),
    ("ack_raw", ("tcp.ack_raw",), int, 0),
    ("payload", ("tcp.len",), int, 0),
    ("flags", ("tcp.flags",), _number, 0),
    ("window", ("tcp.window_size",), int, 0),
    ("window_raw", ("tcp.window_size_value",), int, 0),
    ("mss", ("tcp.options.mss_val",), int, None),
    ("shift", ("tcp.options.wscale.shift",), int, None),
    ("sack", ("tcp.options.sack_perm",), bool, False),
    ("timestamps", ("tcp.options.timestamp.tsval",), bool, False),
    ("rtt", ("tcp.analysis.ack_rtt",), float, None),
    ("initial_rtt", ("tcp.analysis.initial_rtt",), float, None),
    ("in_flight", ("tcp.analysis.bytes_in_flight",), int, None),
    ("comment", ("frame.comment",), str, ""),
)
