"""The network layer in a report: routing, address resolution, IPv6, fragments and VLAN tags."""

from __future__ import annotations

import re
import struct
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pychat.spec import shipped
from tools.report.analysis.network import senders
from tools.report.analysis.routing import decisions
from tools.report.packets import Packet
from tools.report.render import plain

from .conftest import need, output
from .dissection import Tshark
from .segments import Capture
from .test_report import CAPTURES, ask, check_evidence, report, report_on
from .test_report_contents import frames_of, section, sentences

DECISION = "The routing decision and the way back"
NEIGHBOURS = "Address resolution (Neighbour Discovery)"


def text_of(name: str, title: str) -> str:
    return " ".join(sentences(section(report(name), title)))


def test_the_next_hop_and_the_way_back_are_shown() -> None:
    """The server answers five clients through one router, which ARP names; the true prefix is within the bounds."""
    text = text_of("chat.pcapng", DECISION)
    assert "10.82.0.2 sends 89 packets for 5 addresses" in text
    assert "`02:00:0a:52:00:01` is the address of 10.82.0.1: the next hop is a router" in text
    assert "10.82.0.2 has not asked for it: it has learned the address from the request in frame 1" in text
    assert "they pass the same router" in text


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        (
            "chat.pcapng",
            ["10.82.0.0/30 or shorter", "10.82.0.0/24 or longer", "prefix 10.82.0.0/23 and a route to 10.82.1.2"],
        ),
        (
            "routed6.pcapng",
            ["fd00:82::/126 or shorter", "fd00:82::/48 or longer", "prefix fd00:82::/47 and a route to fd00:82:1::2"],
        ),
    ],
)
def test_a_bound_of_the_prefix_holds_only_without_a_more_specific_route(name: str, bounds: list[str]) -> None:
    """A wider prefix with a longer route beside it gives the same packets: the longest one that matches wins."""
    text = text_of(name, DECISION)
    assert all(bound in text for bound in bounds)
    assert "only if no more specific route exists" in text
    assert "the widest possible" not in text


def test_the_next_hop_is_the_address_that_the_host_resolved_for_its_packets() -> None:
    """The router has a link-local address too, which it told before; the server asked for the other one."""
    text = text_of("routed6.pcapng", DECISION)
    assert "fd00:82::2 has asked for fd00:82::1 in frame 6. Frame 9 shows that `02:00:0a:52:00:01` is" in text
    assert "The R flag in its advertisements says so too (frames 9 and 101)" in text


def test_each_packet_of_neighbour_discovery_is_named_for_what_it_is(shark: Tshark) -> None:
    """Two tests for duplicates, two resolutions, one test of a neighbour; a packet waits for a resolution only."""
    (table,) = [block for block in section(report("routed6.pcapng"), NEIGHBOURS)["blocks"] if block["kind"] == "table"]
    found = {int(row[0]): (row[2], row[5]) for row in table["rows"]}
    assert found == {
        1: ("duplicate address detection", "–"),
        2: ("duplicate address detection", "–"),
        3: ("resolution", "frame 5"),
        4: ("answer", "–"),
        6: ("resolution", "frame 10"),
        9: ("answer", "–"),
        100: ("unreachability detection", "–"),
        101: ("answer", "–"),
    }
    assert [row[4] for row in table["rows"]][:2] == ["group ff02::1:ff52:2", "group ff02::1:ff52:1"]
    text = text_of("routed6.pcapng", NEIGHBOURS)
    assert "Frame 100 comes 5.06 s after its sender's last packet to fe80::aff:fe52:1, frame 4" in text
    assert "ff02::1:ffXX:XXXX" in text
    (flags,) = [block for block in section(report("routed6.pcapng"), NEIGHBOURS)["blocks"]
                if str(block.get("text")).startswith("The R flag")]  # fmt: skip
    rows = ask(shark, "routed6.pcapng", "icmpv6.nd.na.flag.r == 1")
    assert frames_of(flags) == [int(frame) for (frame,) in rows] == [9, 101]


def wire(*rows: str) -> list[Packet]:
    """Packets from rows such as `10.0.0.1>10.0.0.2 aa>bb 64`: addresses, Ethernet addresses, TTL."""
    found = []
    for number, row in enumerate(rows, 1):
        ends, hardware, ttl = row.split()
        packet = Packet(number=number, time=Decimal(number), ttl=int(ttl), version=4, stream=0)
        packet.src, packet.dst = ends.split(">")
        packet.eth_src, packet.eth_dst = hardware.split(">")
        found.append(packet)
    return found


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (["10.0.0.1>10.0.0.2 aa>bb 64", "10.0.0.2>10.0.0.1 bb>aa 64"], [(True, ["bb"]), (True, ["aa"])]),
        (["10.0.0.1>10.9.0.2 aa>cc 64", "10.9.0.2>10.0.0.1 cc>aa 62"], [(False, ["cc"])]),
        (["10.0.0.1>10.9.0.2 aa>cc 64", "10.9.0.2>10.0.0.1 dd>aa 62"], [(False, ["dd"])]),
        (["10.0.0.1>10.0.0.2 aa>bb 64"], [(None, [])]),
        (["10.0.0.1>10.0.0.2 aa>bb 64", "10.0.0.1>10.0.0.3 aa>bb 64"], [(None, [])]),
        (
            [
                "10.0.0.1>10.0.0.2 aa>bb 64",
                "10.0.0.2>10.0.0.1 bb>aa 64",
                "10.0.0.1>10.0.0.3 aa>bb 64",
                "10.0.0.3>10.0.0.1 bb>aa 64",
            ],
            [(True, ["bb"]), (True, ["aa"]), (True, ["aa"])],
        ),
        (["127.0.0.1>127.0.0.1 00>00 64"], []),
    ],
)
def test_a_decision_is_only_told_where_it_is_seen(rows: list[str], found: list[Any]) -> None:
    """On the link, through a router, back through another one, a host with two addresses; one direction: unknown."""
    packets = wire(*rows)
    assert [(one.on_link, one.back) for one in decisions(senders(packets), packets, packets)] == found


def test_ipv6_has_its_own_fields_and_filters() -> None:
    """Hop limit, flow label, Neighbour Discovery; nothing that only IPv4 has."""
    for name in ("routed6.pcapng", "loopback6.pcap"):
        document = report(name)
        filters = [block["evidence"]["filter"] for one in document["sections"] for block in one["blocks"]
                   if block["evidence"]]  # fmt: skip
        assert not [shown for shown in filters if re.search(r"\bip\.|\barp\b", shown)]
        text = str([(one["title"], one["blocks"]) for one in document["sections"]])
        assert not re.findall(r"\bTTL\b|\bARP requests\b|DF set|Header checksum|Identification", text)
        assert "Hop limit" in text
        assert "Flow label" in text
    text = str(section(report("routed6.pcapng"), "Address resolution (Neighbour Discovery)"))
    assert "fd00:82::1 is at 02:00:0a:52:00:01" in text
    assert "::/0" in str(section(report("routed6.pcapng"), "The routing decision and the way back"))


def test_each_change_of_a_flow_label_is_told(shark: Tshark) -> None:
    """Three labels in one direction of a connection: each repeated SYN has a new one, and the last one stays."""
    texts = [text for text in sentences(section(report("routed6.pcapng"), "IP headers")) if "flow labels" in text]
    told = {frame: label for text in texts for label, frame in re.findall(r"`(0x\w+)` from frame (\d+) on", text)}
    rows = ask(shark, "routed6.pcapng", "tcp.stream == 0 && tcp.flags.syn == 1", "ipv6.flow")
    assert told == dict(rows)
    assert all("Each repeated SYN" in text for text in texts)
    assert not [text for text in sentences(report("loopback6.pcap")) if "flow labels" in text]


def test_only_ipv4_has_routers_that_fragment() -> None:
    """In IPv6 the source alone can, so nothing is said of routers that would have to."""
    texts = sentences(section(report("routed6.pcapng"), "IP headers"))
    (text,) = [text for text in texts if "fragment" in text]
    assert "An IPv6 router never fragments" in text
    assert "RFC 8200" in text
    (text,) = [text for text in sentences(section(report("chat.pcapng"), "IP headers")) if "fragment" in text]
    assert "DF forbids routers to fragment" in text


def test_packets_in_fragments_are_counted(shark: Tshark, tmp_path: Path) -> None:
    """Wireshark shows TCP in the last fragment, which has an offset and no more fragments behind it."""
    capture = Capture()
    flow = capture.flow(shipped().transport.port).open()
    flow.client("NAME alice")
    flow.server("OK NAME alice")
    whole = capture.packets[4]
    ip, tcp = whole[:34], whole[34:]
    for at, part, more in ((0, tcp[:24], 0x2000), (24, tcp[24:], 0)):
        head = bytearray(ip)
        struct.pack_into(">HHH", head, 16, 20 + len(part), 77, more | at // 8)
        capture.packets.insert(4 + bool(at), bytes(head) + part)
    del capture.packets[6]
    path = capture.write(tmp_path / "fragments.pcap")
    assert check_evidence(path, shark, tmp_path) > 10
    texts = sentences(section(plain(report_on(path)), "IP headers"))
    (text,) = [text for text in texts if "fragment" in text]
    assert text.startswith("1 packet was sent in fragments")


def tagged(path: Path, out: Path, vlan: int) -> None:
    """A copy of a capture whose Ethernet frames have a tag of 802.1Q, with priority 3."""
    need("editcap")
    output("editcap", "-F", "pcap", path, out)
    octets = out.read_bytes()
    written, at = bytearray(octets[:24]), 24
    while at < len(octets):
        seconds, fraction, kept, length = struct.unpack_from("<IIII", octets, at)
        frame = octets[at + 16 : at + 16 + kept]
        tag = struct.pack(">HH", 0x8100, 3 << 13 | vlan)
        written += struct.pack("<IIII", seconds, fraction, kept + 4, length + 4) + frame[:12] + tag + frame[12:]
        at += 16 + kept
    out.write_bytes(written)


def test_vlan_tags_are_named(shark: Tshark, tmp_path: Path) -> None:
    """With the identifier, and with filters that Wireshark confirms."""
    path = tmp_path / "tagged.pcap"
    tagged(CAPTURES / "chat.pcapng", path, 42)
    assert check_evidence(path, shark, tmp_path) > 30
    document = plain(report_on(path))
    headers = section(document, "IP headers")
    assert "VLAN 42 (193 packets)" in " ".join(sentences(headers))
    assert list(headers["blocks"][1]["rows"][0])[:3] == ["VLAN identifier", "vlan.id", "42"]
    assert "with 802.1Q tags" in str(document["sections"])
    assert "VLAN" not in str(report("chat.pcapng")["sections"])
