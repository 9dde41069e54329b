"""What was captured, and how each figure of the report can be checked in Wireshark."""

from __future__ import annotations

import re
import shlex
from collections import Counter

from tools.report.document import (
    Block,
    Column,
    Paragraph,
    Section,
    Table,
    first_of,
    listed,
    numbers,
    octets,
    plural,
    quoted,
)
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.wireshark import PREFERENCES

_COMMENTS_SHOWN = 200


def sections(findings: Findings) -> list[Section]:
    """The capture and the commands that show what the report says."""
    blocks: list[Block] = [
        Paragraph(
            "Below each statement about packets, and below each table and figure of packets, stands its evidence, "
            "after ▸: frame numbers and a display filter. Open the capture in Wireshark with the protocol's dissector, "
            "enter the filter, and Wireshark shows exactly these frames. Explanations of TCP and IP, and what is said "
            "of the file itself, have no frames. A frame is a captured packet with its number, as in Wireshark. A "
            "line is a message of the chat protocol, with its line end."
        ),
        Table(
            "How to open the capture with the dissector and the preferences of this report",
            (Column("Step"), Column("Command", share=1, code=True)),
            (
                ("Install the dissector and its profile", "python -m tools.dissector --install"),
                *((step.what, step.shown) for step in findings.capture.prepared),
                ("Open the capture", _wireshark(findings)),
                ("What the profile sets", ", ".join(PREFERENCES)),
            ),
        ),
        _file(findings),
    ]
    comments = [packet for packet in findings.capture.packets if packet.comment]
    if comments:
        shown = comments[:_COMMENTS_SHOWN]
        blocks.append(
            Table(
                f"Comments on frames, as stored in the capture{first_of(shown, comments)}",
                (*numbers("Frame", "Time"), Column("Comment", share=1)),
                [(str(packet.number), findings.since(packet.time), packet.comment) for packet in shown],
                Evidence.showing("frame.comment", comments),
            )
        )
    return [Section("The capture, and how to check this report", blocks)]


def _wireshark(findings: Findings) -> str:
    own = [word for preference in findings.tshark.own_preferences for word in ("-o", preference)]
    return shlex.join(["wireshark", "-C", findings.spec.title, *own, findings.tshark.capture.name])


def _file(findings: Findings) -> Table:
    capture = findings.capture
    cut = sum(packet.captured < packet.length for packet in capture.packets)
    rows = [
        ("File", quoted(capture.original.name) + f", {octets(capture.original.stat().st_size)} octets"),
        *[("Frame numbers", f"are those of {quoted(step.made.name)} (see above)") for step in capture.prepared[-1:]],
        ("SHA-256", quoted(findings.digest)),
        ("First packet", f"{findings.begun:%Y-%m-%d %H:%M:%S}{str(findings.start % 1)[1:]} UTC"),
        ("Duration", f"{findings.duration:.3f} s"),
        ("Packets", _counted(findings)),
        ("Link layer", _link(findings)),
        ("Cut by the snap length", plural(cut, "packet") if cut else "no packet"),
        (
            "Protocol",
            f"{findings.spec.title}, version {findings.spec.version} ({quoted(findings.protocol)} in Wireshark)",
        ),
        ("Read with", f"TShark {findings.tshark.version}"),
    ]
    return Table(
        "The capture",
        (Column("What"), Column("Value", share=1)),
        rows,
        Evidence.of("frame", range(1, capture.total + 1)),
    )


def _counted(findings: Findings) -> str:
    capture = findings.capture
    words = f"{capture.total:,}, of which {len(findings.packets):,} belong to the chat's TCP connections"
    own = {packet.number for packet in findings.packets}
    others = Counter(
        _named(packet.protocols.rpartition(":")[2]) for packet in capture.packets if packet.number not in own
    )
    unnamed = capture.total - len(findings.packets) - others.total()
    if unnamed:
        others["other protocols"] += unnamed
    if not others:
        return words
    names = listed([f"{count:,} of {name}" for name, count in others.most_common(5)])
    return f"{words}; the others are {names}{' …' if len(others) > 5 else ''}"


def _named(protocol: str) -> str:
    """A protocol of Wireshark's list as people write it: `ARP`, `ICMPv6`."""
    return re.sub(r"V(?=\d$)", "v", protocol.upper())


def _link(findings: Findings) -> str:
    first = findings.packets[0] if findings.packets else findings.capture.packets[0]
    names = first.protocols.split(":")
    if names[0] == "eth":
        same = {packet.src for packet in findings.packets} == {"127.0.0.1"}
        tagged = ", with 802.1Q tags (VLAN)" if any(packet.vlan is not None for packet in findings.packets) else ""
        return "Ethernet" + (" frames of the loopback interface" if same or first.src == first.dst else tagged)
    words = {"sll": "Linux “cooked” capture", "null": "BSD loopback", "raw": "raw IP", "ip": "raw IP", "ipv6": "raw IP"}
    return words.get(names[0], names[0])
