"""Makes a capture that can be read in one go: packets in the order of their time, and each of them once.

Merged captures are the reason: files that were appended in another order, or of two places that packets have passed.
Each change is a command of Wireshark's programs that the reader can repeat. Knows no line of the chat.
"""

from __future__ import annotations

import shlex
import statistics
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tools.wireshark import environment

from .document import seconds
from .evidence import among
from .packets import Packet
from .tshark import ReportError

_MOST = 2_000  # copies that a filter can name one by one
_USUAL = 0.25  # the share of copies from which a merged capture can be inferred for packets that prove nothing alone


@dataclass(frozen=True, slots=True)
class Preparation:
    """What was wrong with a capture, and the command that makes `made` of it.

    `frames`: those of the file before it that show what was wrong.
    """

    what: str
    why: str
    command: tuple[str, ...]
    made: Path
    frames: tuple[int, ...]

    @property
    def shown(self) -> str:
        """The command with the names of the files alone."""
        return shlex.join(word.rpartition("/")[2] if word.startswith("/") else word for word in self.command)

    def run(self) -> None:
        """Raises ReportError when the program is missing or fails."""
        try:
            done = subprocess.run(
                self.command, capture_output=True, text=True, check=False, env=environment(self.made.parent)
            )
        except FileNotFoundError:
            raise ReportError(f"{self.why} This needs `{self.command[0]}`, a program of Wireshark") from None
        if done.returncode or not self.made.exists():
            raise ReportError(f"{self.why} `{self.shown}` failed: {done.stderr.strip()[-200:]}")


def in_order(capture: Path, folder: Path, packets: Sequence[Packet]) -> Preparation | None:
    """Puts the packets in the order of their time, where one is earlier than the one before it."""
    back = [other.number for one, other in pairwise(packets) if other.time < one.time]
    if not back:
        return None
    made = folder / f"{capture.stem}-in-order.pcapng"
    count = f"frame {back[0]} is" if len(back) == 1 else f"{len(back):,} frames are, first frame {back[0]},"
    return Preparation(
        "Put the packets in the order of their time",
        f"The packets of {capture.name} are not in the order of their time: {count} earlier than the frame before, as "
        "in files that were appended in another order.",
        ("reordercap", str(capture.absolute()), str(made)),
        made,
        tuple(back),
    )


def alike(capture: Path, folder: Path, packets: Sequence[Packet]) -> Preparation | None:
    """Leaves out packets that are the same octet by octet, where a short command does it."""
    groups = [group for group in _copies(packets) if len({_link(packet) for packet in group}) == 1]
    if not groups:
        return None
    made = folder / f"{capture.stem}-once.pcapng"
    return Preparation(
        "Leave the copies out",
        _told(capture, packets, groups, sum(len(group) - 1 for group in groups)),
        ("editcap", "-d", str(capture.absolute()), str(made)),
        made,
        tuple(packet.number for group in groups for packet in group[1:]),
    )


def _link(packet: Packet) -> tuple[object, ...]:
    return packet.eth_src, packet.eth_dst, packet.vlan, packet.ttl


def _told(capture: Path, packets: Sequence[Packet], groups: Sequence[Sequence[Packet]], count: int) -> str:
    return (
        f"{count:,} of {len(packets):,} packets of {capture.name} are copies, and no retransmissions: the same "
        "identification (ip.id), sequence numbers, flags, payload, timestamps and TCP checksum as another packet. "
        f"{_places(groups)}"
    )


def once(capture: Path, folder: Path, packets: Sequence[Packet]) -> Preparation | None:
    """Leaves out copies of packets: the same packet, recorded again."""
    groups = _copies(packets)
    if not groups:
        return None
    left_out = sorted(packet.number for group in groups for packet in _others(group, groups))
    made = folder / f"{capture.stem}-once.pcapng"
    return Preparation(
        "Leave the copies out",
        _told(capture, packets, groups, len(left_out)),
        ("tshark", "-r", str(capture.absolute()), "-Y", _kept(packets, left_out, capture), "-w", str(made)),
        made,
        tuple(left_out),
    )


def _copies(packets: Sequence[Packet]) -> list[list[Packet]]:
    """Packets that are one and the same, in groups of two or more.

    A retransmission is a new packet: it has another identification. A packet without one, as in IPv6, proves nothing
    alone, since a retransmission may have the same timestamp; it counts where copies are usual.
    """
    groups: dict[tuple[object, ...], list[Packet]] = {}
    for packet in packets:
        if packet.stream >= 0:
            groups.setdefault(_identity(packet), []).append(packet)
    several = [group for group in groups.values() if len(group) > 1]
    usual = sum(map(len, several)) >= _USUAL * len(packets)
    return several if usual else [group for group in several if int(group[0].ip_id or "0", 0)]


def _identity(packet: Packet) -> tuple[object, ...]:
    ends = packet.src, packet.sport, packet.dst, packet.dport
    numbers = packet.seq_raw, packet.ack_raw, packet.flags, packet.payload, packet.window_raw
    return (*ends, *numbers, packet.ip_id, packet.tsval, packet.tsecr, packet.checksum)


def _others(group: Sequence[Packet], groups: Sequence[Sequence[Packet]]) -> list[Packet]:
    """The packets of a group but the one of the place that the report is on.

    That is the interface with the most packets, or else the place nearest to the endpoint with the most copies (a TTL
    falls on the way), or else whatever came first.
    """
    first = group[0]
    if len({packet.interface for packet in group}) > 1:
        order = Counter(packet.interface for each in groups for packet in each)
        kept = max(group, key=lambda packet: (order[packet.interface], -packet.interface))
    elif len({packet.ttl for packet in group}) > 1:
        ends = Counter(end for each in groups for end in ((each[0].src, each[0].sport), (each[0].dst, each[0].dport)))
        leaves = ends[first.src, first.sport] >= ends[first.dst, first.dport]
        kept = max(group, key=lambda packet: packet.ttl if leaves else -packet.ttl)
    else:
        kept = first
    return [packet for packet in group if packet is not kept]


def _places(groups: Sequence[Sequence[Packet]]) -> str:
    """What the copies show of where they were recorded."""
    apart = statistics.median(abs(group[1].time - group[0].time) for group in groups)
    words = f"Their times are {seconds(apart)} apart (median)"
    routers = Counter(max(packet.ttl for packet in group) - min(packet.ttl for packet in group) for group in groups)
    usual = routers.most_common(1)[0][0]
    if usual:
        words += (
            f", and their TTL differs by {usual}: one file of two places with {usual} router"
            f"{'' if usual == 1 else 's'} between them"
        )
    return f"{words}. Each packet counts once."


def _kept(packets: Sequence[Packet], left_out: Iterable[int], capture: Path) -> str:
    """The filter for the packets that are left."""
    numbers = sorted(left_out)
    by_interface = {packet.number: packet.interface for packet in packets}
    interfaces = {by_interface[number] for number in numbers}
    if len(interfaces) == 1:
        (interface,) = interfaces
        if sum(each == interface for each in by_interface.values()) == len(numbers):
            return f"frame.interface_id != {interface}"
    if len(numbers) > _MOST:
        raise ReportError(
            f"{capture} holds {len(numbers)} packets twice, as when captures of two places are merged. Report on the "
            "capture of one place"
        )
    return f"!({among('frame.number', numbers)})"
