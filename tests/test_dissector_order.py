"""The dissector's verdicts are those of what TCP delivers, whatever happened to the packets on their way."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tools.wireshark import options

from .conftest import ROOT
from .damage import Recorded, _transport, recorded, worlds, write
from .dissection import Tshark, _listed

CAPTURES = ROOT / "tests" / "data" / "captures"
# Octets are changed, so IP's checksums are wrong.
UNCHECKED = options("ip.check_checksum:FALSE")
Packets = Sequence[Recorded]
Verdicts = dict[str, list[tuple[str, str, str, str]]]  # ports → line, state before, kind, violations


def verdicts(shark: Tshark, variants: Sequence[Packets], folder: Path, *words: str) -> list[Verdicts]:
    """What the dissector says of each direction of each connection, for several variants that are read in one run."""
    packets, origins = worlds(variants)
    name = shark.spec.protocol
    wanted = ["-Y", name, "-T", "json", "--no-duplicate-keys", "-J", f"frame tcp {name}"]
    found: list[Verdicts] = [{} for _ in variants]
    for packet in json.loads(shark.run(write(packets, folder / "variants.pcap"), *wanted, *words)):
        layers = packet["_source"]["layers"]
        world, _ = origins[int(layers["frame"]["frame.number"]) - 1]
        ports = f"{layers['tcp']['tcp.srcport']} > {layers['tcp']['tcp.dstport']}"
        for layer in _listed(layers[name]):
            line, state, kind = (layer[f"{name}.{field}"] for field in ("line", "state", "kind"))
            found[world].setdefault(ports, []).append((line, state, kind, str(layer.get(f"{name}.violation"))))
    return found


def twice(packets: Packets, at: int) -> Packets:
    """The packet comes again at once."""
    return [*packets[: at + 1], packets[at], *packets[at + 1 :]]


def again_later_with_other_letters(packets: Packets, at: int) -> Packets:
    """The packet comes again a little later, with another content: TCP has delivered the first one."""
    return [*packets[: at + 3], packets[at].changed(), *packets[at + 3 :]]


def together_with_the_next(packets: Packets, at: int) -> Packets:
    """The next packet of the same end has the octets of this one too, with other letters; the new ones are right."""
    packet = packets[at]
    place = next((place for place in range(at + 1, len(packets)) if packets[place].ends == packet.ends), None)
    if place is None or number(packets[place]) != number(packet) + payload(packet) or not payload(packets[place]):
        return packets
    octets = bytearray(packet.changed().octets + packets[place].octets[packets[place].payload :])
    length = 16 if octets[12:14] == b"\x08\x00" else 18
    octets[length : length + 2] = (int.from_bytes(octets[length : length + 2]) + payload(packets[place])).to_bytes(2)
    longer = replace(packets[place], octets=bytes(octets), length=len(octets))
    return [*packets[:place], longer, *packets[place + 1 :]]


def overtaken(packets: Packets, at: int) -> Packets:
    """The next packet of the same end comes first, if it has octets and the other end has said nothing in between."""
    ends = packets[at].ends
    assert ends is not None
    same = (place for place in range(at + 1, len(packets)) if packets[place].ends in (ends, ends[::-1]))
    place = next(same, None)
    if place is None or packets[place].ends != ends or not payload(packets[place]):
        return packets
    return [*packets[:at], packets[place], packets[at], *packets[at + 1 : place], *packets[place + 1 :]]


def number(packet: Recorded) -> int:
    """Its sequence number."""
    start = _transport(packet.octets) + 4
    return int.from_bytes(packet.octets[start : start + 4])


def payload(packet: Recorded) -> int:
    return len(packet.octets) - packet.payload


@pytest.mark.parametrize("name", ["calls", "trouble", "segmentation"])
@pytest.mark.parametrize("change", [twice, again_later_with_other_letters, together_with_the_next, overtaken])
@pytest.mark.parametrize("again", ["TRUE", "FALSE"])
def test_the_verdicts_are_those_of_what_tcp_delivers(
    name: str,
    change: Callable[[Packets, int], Packets],
    again: str,
    shark: Tshark,
    tmp_path: Path,
    rounds: int,
    seed: int,
) -> None:
    """For every 13th packet with octets, with --rounds 13 for all; whether Wireshark hands on repetitions or not."""
    whole = recorded(CAPTURES / f"{name}.pcapng")
    places = [at for at, packet in enumerate(whole) if packet.ends and payload(packet)]
    chosen = places[seed % 13 :: max(1, 13 // rounds)]
    words = [word.replace("no_subdissector_on_error:TRUE", f"no_subdissector_on_error:{again}") for word in UNCHECKED]
    right, *found = verdicts(shark, [whole, *(change(whole, at) for at in chosen)], tmp_path, *words)
    differing = {whole[at].number: these for at, these in zip(chosen, found, strict=True) if these != right}
    assert differing == {}
