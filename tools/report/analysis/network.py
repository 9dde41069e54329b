"""The network layer: addresses, TTL, identification, fragments, checksums and hardware addresses of each sender."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tools.report.evidence import Evidence, among
from tools.report.packets import Packet

INITIAL_TTLS = (64, 128, 255)  # of Unix, Windows, routers


@dataclass(slots=True)
class Sender:
    """An address that sends packets of the chat: what its IP headers have in common at the capture point."""

    address: str
    version: int
    packets: int
    ttls: list[int]
    start: int
    hops: int
    hardware: list[str]
    ids: str
    df: int
    flow_labels: int
    fragments: int
    checksums_good: int
    checksums_bad: int
    evidence: Evidence


def senders(packets: Sequence[Packet]) -> list[Sender]:
    """The addresses, in the order in which they appear."""
    by_address: dict[str, list[Packet]] = {}
    for packet in packets:
        by_address.setdefault(packet.src, []).append(packet)
    return [_sender(address, sent) for address, sent in by_address.items()]


def _sender(address: str, sent: Sequence[Packet]) -> Sender:
    ttls = Counter(packet.ttl for packet in sent)
    top = max(ttls)
    start = next((value for value in INITIAL_TTLS if value >= top), 255)
    family = "ipv6" if ":" in address else "ip"
    streams = sorted({packet.stream for packet in sent})
    return Sender(
        address=address,
        version=sent[0].version,
        packets=len(sent),
        ttls=sorted(ttls),
        start=start,
        hops=start - top,
        hardware=sorted({packet.eth_src for packet in sent if packet.eth_src}),
        ids=_identification(sent),
        df=sum(packet.df for packet in sent),
        flow_labels=len({packet.flow_label for packet in sent if int(packet.flow_label or "0", 0)}),
        fragments=sum(packet.fragment for packet in sent),
        checksums_good=sum(packet.ip_checksum_ok is True for packet in sent),
        checksums_bad=sum(packet.ip_checksum_ok is False for packet in sent),
        evidence=Evidence.showing(f"{family}.src == {address} && {among('tcp.stream', streams)}", sent),
    )


def labels(sent: Sequence[Packet]) -> list[Packet]:
    """The packets that begin to use another flow label than the one before, of those that a sender sends in a row."""
    labelled = [packet for packet in sent if int(packet.flow_label or "0", 0)]
    return [packet for at, packet in enumerate(labelled) if not at or packet.flow_label != labelled[at - 1].flow_label]


def _identification(sent: Sequence[Packet]) -> str:
    """How the identification goes on from packet to packet of a connection; empty in IPv6, which has none."""
    if sent[0].version == 6:
        return ""
    by_stream: dict[int, list[int]] = {}
    for packet in sent:
        by_stream.setdefault(packet.stream, []).append(int(packet.ip_id or "0", 0))
    steps: Counter[str] = Counter()
    for ids in by_stream.values():
        for one, other in pairwise(ids):
            gap = (other - one) & 0xFFFF
            steps["the same" if gap == 0 else "+1" if gap == 1 else "up" if gap < 0x100 else "jumps"] += 1
    if not steps:
        return "one packet"
    usual, count = steps.most_common(1)[0]
    share = count / steps.total()
    words = {"the same": "constant", "+1": "+1 in a connection", "up": "increases", "jumps": "random"}[usual]
    return words if share > 0.98 else f"{words} ({share:.0%})"
