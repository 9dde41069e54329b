"""Reports on damaged captures: a figure is the one of the whole capture, or it says that it is a lower bound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from pychat.spec import shipped
from tools.report.analysis.counts import Count
from tools.report.analysis.session import ANSWERS
from tools.report.findings import Findings
from tools.report.reading import Capture

from .damage import recorded, worlds
from .test_dissector_damaged import (
    Damage,
    Packets,
    begun_at,
    cut_in_the_payload,
    ended_at,
    path_of,
    with_a_hole,
    without,
)
from .test_report import WORDS
from .test_report_damaged import findings

EVERY = 67  # frames between two damages of one kind in the gate; with --rounds 2 every 7th is damaged


def one_way(packets: Packets, at: int) -> Packets:
    """One direction alone of one connection."""
    ends = packets[at].ends
    return [packet for packet in packets if ends is None or packet.ends is None or packet.ends[::-1] != ends]


def snapped(packets: Packets, at: int) -> Packets:
    """Every packet is cut at the same octet."""
    return [packet.snapped(60 + at % 60) for packet in packets]


DAMAGES: list[Damage] = [without, with_a_hole, begun_at, ended_at, cut_in_the_payload, one_way, snapped]


def variants_of(packets: Packets, every: int, first: int) -> Iterator[tuple[str, Packets]]:
    """Damaged captures, each with a name."""
    for number, damage in enumerate(DAMAGES):
        for at in range(5 + (first + 11 * number) % every, len(packets) - 3, every):
            yield f"{damage.__name__} {packets[at].number}", damage(packets, at)
    for at in range(5 + first % 6, len(packets) - 3, 6 if every > 10 else 1):
        yield f"without {packets[at].number}", without(packets, at)


def apart(found: Findings, origins: Sequence[tuple[int, int]], count: int) -> list[Findings]:
    """The findings of each of several worlds that were read in one run."""
    captures = [replace(found.capture, packets=[], lines=[], total=0, servers=[]) for _ in range(count)]
    world_of: dict[int, Capture] = {}
    servers = set(found.capture.servers)
    for packet in found.capture.packets:
        own = world_of[packet.number] = captures[origins[packet.number - 1][0]]
        own.packets.append(packet)
        for end in ((packet.src, packet.sport), (packet.dst, packet.dport)):
            if end in servers and end not in own.servers:
                own.servers.append(end)
    for line in found.lines:
        world_of[line.number].lines.append(line)
    return [Findings(capture, shipped(), WORDS, "") for capture in captures]


def counted(found: Findings) -> dict[str, Count]:
    """Every count by name."""
    counts: dict[str, Count] = {}
    for field in fields(found.counts):
        value = getattr(found.counts, field.name)
        counts |= (
            {f"{field.name} {verb}": each for verb, each in value.items()}
            if isinstance(value, dict)
            else {field.name: value}
        )
    return counts


def client(end: tuple[str, int]) -> tuple[int, int]:
    """A client's end without what tells its world."""
    address, port = end
    return ip_address(address).packed[-1], port


def false_in(found: Findings, whole: Findings) -> list[object]:
    """What the findings on a damaged capture say that is not so."""
    really = counted(whole)
    there = {client(one.client) for one in found.connections}
    complete = there == {client(one.client) for one in whole.connections}
    users = {client(one.client): one.user for one in whole.connections}
    wrong: list[object] = []
    for name, count in counted(found).items():
        value = really[name].value if name in really else 0
        if count.value > value or (count.exact and complete and count.value != value):
            wrong.append((name, str(count), value))
    wrong += [one.user for one in found.connections if one.user not in ("", users[client(one.client)])]
    known = {(each.words, each.violation) for each in whole.violations}
    wrong += [each.words for each in found.violations if (each.words, each.violation) not in known]
    for proof in found.proofs:
        wrong += [proof for hole in proof.holes if hole.octets < 2]
    return wrong


@pytest.mark.parametrize("name", ["chat", "calls", "segmentation", "trouble", "nagle", "loss", "loopback6", "routed6"])
def test_a_count_is_right_or_a_lower_bound(name: str, tmp_path: Path, rounds: int, seed: int) -> None:
    """Whatever is damaged: many variants are read in one run, each with addresses of its own."""
    packets = [packet for packet in recorded(path_of(name)) if packet.ends is not None]
    named = list(variants_of(packets, EVERY if rounds == 1 else 7, seed))
    shown, origins = worlds([packets])
    (whole,) = apart(findings(shown, tmp_path / "whole.pcap"), origins, 1)
    shown, origins = worlds([variant for _, variant in named])
    others = apart(findings(shown, tmp_path / "variants.pcap"), origins, len(named))
    wrong = {name: false_in(found, whole) for (name, _), found in zip(named, others, strict=True) if found.lines}
    assert {name: found for name, found in wrong.items() if found} == {}
    assert all(count.exact for count in counted(whole).values()) or whole.lacks.open


@pytest.mark.parametrize("name", ["chat", "calls"])
def test_what_must_have_been_in_a_hole_was_there(name: str, tmp_path: Path, rounds: int, seed: int) -> None:
    """Each packet with payload is left out of one variant; what is inferred of it is in the lines that it had."""
    packets = [packet for packet in recorded(path_of(name)) if packet.ends is not None]
    whole = findings(packets, tmp_path / "whole.pcap")
    places = [at for at, packet in enumerate(packets) if packet.payload < len(packet.octets)][:: 1 if rounds > 1 else 4]
    shown, origins = worlds([without(packets, at) for at in places])
    inferred = 0
    for at, found in zip(places, apart(findings(shown, tmp_path / "holes.pcap"), origins, len(places)), strict=True):
        lines = [line for line in whole.lines if line.number == at + 1]
        for proof in found.proofs:
            inferred += 1
            words = {
                "answer": [line.request for line in lines if line.kind in ANSWERS],
                "request": [line.request for line in lines if line.from_client],
                "said": [line.whole for line in lines],
                "relayed": [line.whole.partition(" ")[2] for line in lines],
                "push": [line.verb for line in lines if not line.from_client],
            }[proof.kind]
            assert proof.words in words, (packets[at].number, proof)
    assert inferred > len(places) / 3


def test_a_whole_capture_has_exact_counts_and_no_proof(tmp_path: Path) -> None:
    """Nothing has to be inferred."""
    found = findings(recorded(path_of("chat")), tmp_path / "whole.pcap")
    assert all(count.exact for count in counted(found).values())
    assert found.proofs == []
