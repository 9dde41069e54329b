"""Captures read back by the real tshark with the generated dissector."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pychat.spec import Spec
from pychat.spec.documents import Example
from tools.dissector.profile import write_profile
from tools.dissector.script import script
from tools.wireshark import environment

from .segments import Capture, Flow, Side

WORDS = "some words"  # where an example leaves the words open


@dataclass(frozen=True)
class Seen:
    """A frame as tshark shows it: the number and the TCP stream of its packet, and its fields without the prefix."""

    number: int
    stream: int
    fields: Mapping[str, str]
    experts: tuple[str, ...]

    def __getitem__(self, name: str) -> str:
        return self.fields[name]

    def get(self, name: str) -> str | None:
        return self.fields.get(name)

    def without(self, *names: str) -> dict[str, str]:
        return {name: value for name, value in self.fields.items() if name not in names}

    def __str__(self) -> str:
        return f"{self.number}: {self['from']} {self['line']!r} [{self.get('violation')}]"


class Tshark:
    """tshark with the dissector of one spec and its profile. Its home is a directory of its own."""

    def __init__(self, spec: Spec, folder: Path) -> None:
        self.spec = spec
        self.script = folder / f"{spec.protocol}.lua"
        self.script.write_text(script(spec), encoding="utf-8")
        self._environment = environment(folder)
        write_profile(spec, Path(self._environment["WIRESHARK_CONFIG_DIR"]) / "profiles" / "chat")

    def run(self, capture: Path, *options: str, **variables: str) -> str:
        """What tshark prints. Any complaint of it fails the test."""
        words = ["tshark", "-X", f"lua_script:{self.script}", "-r", str(capture), *options]
        done = subprocess.run(words, capture_output=True, text=True, env=self._environment | variables, check=False)
        complaints = [line for line in done.stderr.splitlines() if line and not line.startswith("Running as user")]
        assert (done.returncode, complaints) == (0, []), done.stderr
        assert "Lua Error" not in done.stdout
        return done.stdout

    def frames(self, capture: Path, *options: str) -> list[Seen]:
        """The frames of the protocol, in the order of the capture."""
        name = self.spec.protocol
        wanted = ["-T", "json", "--no-duplicate-keys", "-J", f"frame tcp {name}"]
        if "-2" not in options:
            wanted += ["-Y", name]  # in two passes, a filter changes what tshark sees in the first
        found = []
        for packet in json.loads(self.run(capture, *wanted, *options)):
            layers = packet["_source"]["layers"]
            for layer in _listed(layers.get(name)):
                number, stream = int(layers["frame"]["frame.number"]), int(layers["tcp"]["tcp.stream"])
                found.append(Seen(number, stream, dict(_fields(layer, name)), tuple(_experts(layer, name))))
        return found

    def info(self, capture: Path, *options: str) -> list[str]:
        """The Info column of the packets that hold frames of the protocol."""
        name = self.spec.protocol
        return self.run(capture, "-Y", name, "-T", "fields", "-e", "_ws.col.Info", *options).splitlines()


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _fields(layer: Mapping[str, Any], name: str) -> list[tuple[str, str]]:
    pairs = [(key.removeprefix(f"{name}."), value) for key, value in layer.items() if key.startswith(f"{name}.")]
    return [(key, value if isinstance(value, str) else ",".join(map(str, value))) for key, value in pairs]


def _experts(layer: Any, name: str) -> list[str]:
    """The expert information anywhere below a layer."""
    return re.findall(rf'"{name}\.expert\.([^"]+)":', json.dumps(layer))


Piece = tuple[str, Side, bytes]


def pieces(example: Example, ending: bytes = b"\n") -> list[Piece]:
    """Who sends which octets in an example, in its order."""
    found: list[Piece] = []
    for step in example.steps:
        if step.kind == "send":
            found.append((step.who, "client", step.octets))
        elif step.kind == "receive":
            found.append((step.who, "server", step.text.replace("…", WORDS).encode() + ending))
    return found


def play(capture: Capture, spec: Spec, example: Example, server: int, *, split: int | None = None) -> dict[str, Flow]:
    """An example as a capture would have it, with segments of at most `split` octets."""
    flows: dict[str, Flow] = {}
    for who, side, octets in pieces(example, spec.framing.writes):
        flow = flows.get(who)
        if flow is None:
            flow = flows[who] = capture.flow(spec.transport.port, server=server).open()
        size = split or len(octets)
        flow.send(side, *(octets[at : at + size] for at in range(0, len(octets), size)))
    return flows


def written(capture: Capture, folder: Path, name: str = "capture") -> Path:
    return capture.write(folder / f"{name}.pcap")


def by_stream(frames: list[Seen]) -> dict[int, list[Seen]]:
    found: dict[int, list[Seen]] = {}
    for frame in frames:
        found.setdefault(frame.stream, []).append(frame)
    return found


def chat(capture: Capture, spec: Spec, server: int = 1) -> tuple[Flow, Flow]:
    """Two flows in a chat that both have accepted."""
    alice, bob = (capture.flow(spec.transport.port, server=server).open() for _ in range(2))
    for flow, name in ((alice, "alice"), (bob, "bob")):
        flow.client(f"NAME {name}")
        flow.server(f"OK NAME {name}")
    alice.client("CHAT bob")
    alice.server("OK CHAT bob")
    bob.server("CALL alice")
    bob.client("CHAT alice")
    bob.server("OK CHAT alice")
    alice.server("ACCEPTED bob")
    return alice, bob
