"""Captures that lack something: whatever is missing, nobody is accused of what the whole capture does not show."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from .conftest import ROOT
from .damage import Recorded, recorded, worlds, write
from .dissection import Tshark

CAPTURES = ROOT / "tests" / "data" / "captures"
RECORDED = ["chat", "calls", "segmentation", "trouble", "nagle", "loss", "loopback6"]
ORDERS = ["TRUE", "FALSE"]

Accusation = tuple[str, str, str]  # the ports of the packet, the line, the violation


def path_of(name: str) -> Path:
    return next(CAPTURES.glob(f"{name}.pcap*"))


def accusations(
    shark: Tshark, variants: Sequence[Sequence[Recorded]], folder: Path, *options: str
) -> list[Counter[Accusation]]:
    """What the dissector finds wrong in each of several variants of a capture, which are read in one run."""
    packets, origins = worlds(variants)
    name = shark.spec.protocol
    wanted = ["-Y", f"{name}.violation", "-T", "json", "--no-duplicate-keys", "-J", f"frame tcp {name}"]
    found: list[Counter[Accusation]] = [Counter() for _ in variants]
    for packet in json.loads(shark.run(write(packets, folder / "variants.pcap"), *wanted, *options)):
        layers = packet["_source"]["layers"]
        world, _ = origins[int(layers["frame"]["frame.number"]) - 1]
        ports = f"{layers['tcp']['tcp.srcport']} > {layers['tcp']['tcp.dstport']}"
        for layer in layers[name] if isinstance(layers[name], list) else [layers[name]]:
            codes = layer.get(f"{name}.violation", ())
            for code in [codes] if isinstance(codes, str) else codes:
                found[world][ports, layer[f"{name}.line"], code] += 1
    return found


Packets = Sequence[Recorded]
Damage = Callable[[Packets, int], Packets]


def without(packets: Packets, at: int) -> Packets:
    return [*packets[:at], *packets[at + 1 :]]


def with_a_hole(packets: Packets, at: int) -> Packets:
    return [*packets[:at], *packets[at + 7 :]]


def begun_at(packets: Packets, at: int) -> Packets:
    return packets[at:]


def ended_at(packets: Packets, at: int) -> Packets:
    return packets[:at]


def cut_in_the_payload(packets: Packets, at: int) -> Packets:
    packet = packets[at]
    if packet.ends is None:
        return packets
    return [*packets[:at], packet.snapped((packet.payload + len(packet.octets)) // 2), *packets[at + 1 :]]


def overtaken(packets: Packets, at: int) -> Packets:
    return [*packets[:at], *packets[at + 1 : at + 2], packets[at], *packets[at + 2 :]]


def twice(packets: Packets, at: int) -> Packets:
    return [*packets[:at], packets[at], packets[at], *packets[at + 1 :]]


def again_with_other_letters(packets: Packets, at: int) -> Packets:
    packet = packets[at]
    return packets if packet.ends is None else [*packets[: at + 1], packet.changed(), *packets[at + 1 :]]


DAMAGES = [
    without, with_a_hole, begun_at, ended_at, cut_in_the_payload, overtaken, twice, again_with_other_letters,
]  # fmt: skip


def extra_accusations(
    shark: Tshark, whole: Packets, damages: Sequence[Damage], every: int, first: int, folder: Path, order: str
) -> dict[str, list[Accusation]]:
    """What is found in damaged variants of a capture, but not in the capture itself; by the damage and the frame."""
    places = [(damage, at) for damage in damages for at in range(first % every, len(whole), every)]
    variants = [whole, *(damage(whole, at) for damage, at in places)]
    known, *found = accusations(shark, variants, folder, "-o", f"tcp.reassemble_out_of_order:{order}")
    return {
        f"{damage.__name__} {whole[at].number}": list(these - known)
        for (damage, at), these in zip(places, found, strict=True)
        if these - known
    }


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", RECORDED)
def test_a_damaged_capture_accuses_nobody(
    name: str, order: str, shark: Tshark, tmp_path: Path, rounds: int, seed: int
) -> None:
    """No violation appears that is not in the whole capture, whichever frame is damaged: every one with --rounds 2."""
    whole = recorded(path_of(name))
    if rounds > 1:
        for damage in DAMAGES:
            assert extra_accusations(shark, whole, [damage], 1, 0, tmp_path, order) == {}
    else:
        assert extra_accusations(shark, whole, DAMAGES, 61, seed, tmp_path, order) == {}
        assert extra_accusations(shark, whole, [without], 12, seed, tmp_path, order) == {}
