"""Packets and chat lines as tshark sees them, one object for each. No octet is dissected here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any

BETWEEN_VALUES = "\x1d"  # of a field that a packet has several times; no value has it
_HALF = 2**31  # a relative number from here on is one before the first packet
FIN, SYN, RST, PSH, ACK, URG = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20

# What Wireshark's TCP analysis says of a packet: the field, its name for one and for several, and what it means.
ANALYSIS = {
    "tcp.analysis.retransmission": ("retransmission", "retransmissions", "the same octets were sent before"),
    "tcp.analysis.fast_retransmission": (
        "fast retransmission",
        "fast retransmissions",
        "retransmitted after duplicate ACKs, before the timeout",
    ),
    "tcp.analysis.spurious_retransmission": (
        "spurious retransmission",
        "spurious retransmissions",
        "retransmitted although it was already acknowledged",
    ),
    "tcp.analysis.out_of_order": (
        "segment out of order",
        "segments out of order",
        "arrived after a segment with a higher sequence number",
    ),
    "tcp.analysis.lost_segment": (
        "jump in the sequence numbers",
        "jumps in the sequence numbers",
        "the octets before it had not been seen when it came: they were lost, are late, or were not recorded",
    ),
    "tcp.analysis.ack_lost_segment": (
        "ACK of unseen octets",
        "ACKs of unseen octets",
        "acknowledges octets that had not been seen when it came: they were not recorded, or are late",
    ),
    "tcp.analysis.duplicate_ack": (
        "duplicate ACK",
        "duplicate ACKs",
        "the receiver repeats its last acknowledgement: a segment is missing",
    ),
    "tcp.analysis.zero_window": ("zero window", "zero windows", "the receive buffer is full: the sender must stop"),
    "tcp.analysis.window_full": ("full window", "full windows", "the sender has filled the receiver's window"),
    "tcp.analysis.zero_window_probe": (
        "zero window probe",
        "zero window probes",
        "asks whether the window is open again",
    ),
    "tcp.analysis.window_update": ("window update", "window updates", "the receiver has room again"),
    "tcp.analysis.keep_alive": (
        "keep-alive",
        "keep-alives",
        "asks whether the other endpoint is there (or whether its window is open)",
    ),
    "tcp.analysis.keep_alive_ack": ("keep-alive ACK", "keep-alive ACKs", "the answer to a keep-alive"),
    "tcp.analysis.reused_ports": (
        "reuse of ports",
        "reuses of ports",
        "a connection with the same addresses and ports as an earlier one",
    ),
}
ASKS = frozenset({1, 135})  # ARP's opcode, ICMPv6's type: asks for the hardware address of a neighbour
TELLS = frozenset({2, 136})  # tells it


def _number(value: str) -> int:
    return int(value, 0)


def _checked(value: str) -> bool | None:
    """tshark's checksum status: 1 good, 0 bad, anything else unverified."""
    return {"1": True, "Good": True, "0": False, "Bad": False}.get(value)


def every(values: str) -> tuple[int, ...]:
    """The relative sequence numbers of all values of a field."""
    return tuple(_relative(int(value)) for value in values.split(BETWEEN_VALUES))


def line_ends(octets: str) -> tuple[int, ...]:
    """The offsets of the line ends (LF) in octets that are given in hexadecimal."""
    payload, found, at = bytes.fromhex(octets), [], -1
    while (at := payload.find(b"\n", at + 1)) >= 0:
        found.append(at)
    return tuple(found)


def _relative(number: int) -> int:
    """A relative number; negative when it is before that of the capture's first packet."""
    return number if number < _HALF else number - 2 * _HALF


def _true(value: str) -> bool:
    return value in {"1", "True", "true"}


def _read(default: Any, parse: Callable[[str], Any], *names: str) -> Any:
    """An attribute that is read from the first of tshark's fields with a value; `default` when there is none."""
    return field(default=default, metadata={"names": names, "parse": parse})


def sources(kind: type[Packet] | type[Line]) -> list[tuple[str, Sequence[str], Callable[[str], Any], Any]]:
    """The attributes that are read from tshark: name, tshark's fields, parser, default."""
    return [
        (row.name, row.metadata["names"], row.metadata["parse"], row.default) for row in fields(kind) if row.metadata
    ]


@dataclass(slots=True)
class Packet:
    """A packet. Times in seconds since the epoch, exact; lengths in octets, sequence numbers relative unless raw."""

    number: int = _read(0, int, "frame.number")
    time: Decimal = _read(Decimal(0), Decimal, "frame.time_epoch")
    length: int = _read(0, int, "frame.len")
    captured: int = _read(0, int, "frame.cap_len")
    interface: int = _read(0, int, "frame.interface_id")
    eth_src: str = _read("", str, "eth.src", "sll.src.eth")
    eth_dst: str = _read("", str, "eth.dst")
    vlan: int | None = _read(None, int, "vlan.id")  # the outer tag of several
    src: str = _read("", str, "ip.src", "ipv6.src", "arp.src.proto_ipv4")
    dst: str = _read("", str, "ip.dst", "ipv6.dst", "arp.dst.proto_ipv4")
    version: int = _read(0, int, "ip.version", "ipv6.version")
    ttl: int = _read(0, int, "ip.ttl", "ipv6.hlim")
    ip_id: str = _read("", str, "ip.id")
    df: bool = _read(False, _true, "ip.flags.df")
    ip_checksum_ok: bool | None = _read(None, _checked, "ip.checksum.status")
    ip_length: int = _read(0, int, "ip.len", "ipv6.plen")
    more: bool = _read(False, _true, "ip.flags.mf")  # fragments follow
    offset: int = _read(0, int, "ip.frag_offset")  # of a fragment; 0 for the first one
    fragment_id: str = _read("", str, "ipv6.fraghdr.ident")  # of the extension header that a fragment has in IPv6
    flow_label: str = _read("", str, "ipv6.flow")
    protocols: str = _read("", str, "frame.protocols")
    neighbour: int = _read(0, int, "arp.opcode", "icmpv6.type")  # ASKS, TELLS, or another type of ICMPv6
    about: str = _read("", str, "arp.dst.proto_ipv4", "icmpv6.nd.ns.target_address", "icmpv6.nd.na.target_address")
    hardware: str = _read("", str, "arp.src.hw_mac", "icmpv6.opt.linkaddr")
    solicited: bool = _read(False, _true, "icmpv6.nd.na.flag.s")  # the advertisement was asked for
    router: bool = _read(False, _true, "icmpv6.nd.na.flag.r")  # the sender of the advertisement is one
    stream: int = _read(-1, int, "tcp.stream")
    sport: int = _read(0, int, "tcp.srcport")
    dport: int = _read(0, int, "tcp.dstport")
    seq: int = _read(0, int, "tcp.seq")
    ack: int = _read(0, int, "tcp.ack")
    seq_raw: int = _read(0, int, "tcp.seq_raw")
    ack_raw: int = _read(0, int, "tcp.ack_raw")
    payload: int = _read(0, int, "tcp.len")
    line_ends: tuple[int, ...] = _read((), line_ends, "tcp.payload")  # offsets in the payload
    flags: int = _read(0, _number, "tcp.flags")
    window: int = _read(0, int, "tcp.window_size")
    window_raw: int = _read(0, int, "tcp.window_size_value")
    mss: int | None = _read(None, int, "tcp.options.mss_val")
    shift: int | None = _read(None, int, "tcp.options.wscale.shift")
    sack: bool = _read(False, bool, "tcp.options.sack_perm")
    tsval: int | None = _read(None, int, "tcp.options.timestamp.tsval")
    tsecr: int | None = _read(None, int, "tcp.options.timestamp.tsecr")
    sack_low: tuple[int, ...] = _read((), every, "tcp.options.sack_le")
    sack_high: tuple[int, ...] = _read((), every, "tcp.options.sack_re")
    checksum: str = _read("", str, "tcp.checksum")
    rtt: Decimal | None = _read(None, Decimal, "tcp.analysis.ack_rtt")
    in_flight: int | None = _read(None, int, "tcp.analysis.bytes_in_flight")
    comment: str = _read("", str, "frame.comment")
    analysis: frozenset[str] = frozenset()
    from_client: bool = True
    lines: list[Line] = field(default_factory=list)

    def has(self, flag: int) -> bool:
        return bool(self.flags & flag)

    @property
    def fragment(self) -> bool:
        """Whether IP carries it in fragments; Wireshark shows TCP in the last one of them."""
        return self.more or self.offset > 0 or bool(self.fragment_id)

    @property
    def first(self) -> int:
        """The relative sequence number; negative when it is before that of the capture's first packet."""
        return _relative(self.seq)

    @property
    def after(self) -> int:
        """The one after what it sends: its octets, and one each for SYN and FIN."""
        return _relative(self.seq) + self.payload + (self.flags >> 1 & 1) + (self.flags & 1)  # SYN, FIN

    @property
    def acknowledged(self) -> int:
        """The relative acknowledgement number, negative as `first` is; meaningless without the flag."""
        return _relative(self.ack)

    @property
    def sacks(self) -> list[tuple[int, int]]:
        """The SACK blocks: sequence numbers of the first octet and of the one after the last."""
        return list(zip(self.sack_low, self.sack_high, strict=False))

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
    time: Decimal
    stream: int
    whole: str = _read("", str, "line")
    length: int = _read(0, int, "length")
    sender: str = _read("", str, "from")
    kind: str = _read("", str, "kind")
    verb: str = _read("", str, "verb")
    state: str = _read("", str, "state")
    state_after: str = _read("", str, "state_after")
    state_change: str = _read("", str, "state_change")
    request: str = _read("", str, "request")
    user: str = _read("", str, "user")
    partner: str = _read("", str, "partner")
    chat: int | None = _read(None, int, "chat")
    request_in: int | None = _read(None, int, "request_in")
    delay: Decimal | None = _read(None, Decimal, "time")
    relayed_from: int | None = _read(None, int, "relayed_from")
    relay_time: Decimal | None = _read(None, Decimal, "relay_time")
    rule: str = _read("", str, "rule")
    violation: str = _read("", str, "violation")
    violation_by: str = _read("", str, "violation_by")
    values: dict[str, str] = field(default_factory=dict)
    who: str = ""  # the connection's user, also where only later lines tell its name; else the client's end
    other: str = ""  # the same for the partner in a chat
    talk: int | None = None  # the chat; the lowest of its numbers where the dissector had several

    @property
    def from_client(self) -> bool:
        return self.sender == "client"

    def value(self, name: str) -> str:
        """A field of the message. Where the dissector has a field of that name itself, it puts the verb before it."""
        return self.values.get(name, "") or self.values.get(f"{self.verb.lower()}_{name}", "")
