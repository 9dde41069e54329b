"""A recording from its beginning to its end: network, recorder, scenarios, comments, files. Knows no scenario."""

from __future__ import annotations

import dataclasses
import json
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from conformance.engine import programs
from pychat.spec import shipped
from tools.wireshark import environment, options

from . import pcapng
from .network import CaptureError, Host, Network, loopback, namespaces, namespaces_possible
from .recorder import MARKER_PORT, Recorder, run
from .scenarios import PEOPLE, Scenario
from .stage import Mark, Programs, Stage, Truth

Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Request:
    """What to record. `chosen`: the user named the scenario, so that it is an error when it cannot be played here."""

    out: Path
    scenarios: Sequence[Scenario]
    programs: Programs
    pace: float
    force_loopback: bool
    ipv6: bool
    chosen: bool

    def port(self, network: Network) -> int:
        """Where the server is to listen: at the spec's port in a namespace, else at one that is free now."""
        if network.routed:
            return shipped().transport.port
        family = socket.AF_INET6 if self.ipv6 else socket.AF_INET
        with socket.create_server((network.server.address, 0), family=family) as free:
            return int(free.getsockname()[1])


def record(request: Request, say: Say) -> list[Truth]:
    """Plays the scenarios into one capture; returns what they did. Raises CaptureError."""
    _check(request.out)
    truths: list[Truth] = []
    marks: list[tuple[float, Mark]] = []
    with programs.folder("pychat-capture-") as folder, _network(request) as network:
        say(f"network: {network.description}")
        raw = folder / "raw.pcapng"
        port = request.port(network)
        recorder = Recorder(network.server, network.interface, _filter(network, port), raw)
        try:
            recorder.start()
            for scenario in request.scenarios:
                if scenario.needs_router and not network.routed and not request.chosen:
                    say(f"{scenario.name}: left out, it needs a router that loses packets (root on Linux)")
                    continue
                say(f"{scenario.name}: {(scenario.play.__doc__ or '').splitlines()[0]}")
                truths.append(_play(scenario, network, request, marks, port))
            token = recorder.settle((network.router or network.server).address)
        finally:
            recorder.stop()
        if recorder.dropped:
            say(f"warning: dumpcap lost {recorder.dropped} packets; the report will show gaps that are no losses")
        count = _finish(raw, request.out, network, marks, token, folder)
    truth_file = request.out.with_suffix(".truth.json")
    truth_file.write_text(
        json.dumps([dataclasses.asdict(truth) for truth in truths], indent=1) + "\n", encoding="utf-8"
    )
    say(f"{request.out}: {count} packets; {truth_file}: what the scenarios did")
    return truths


def record_running(port: int, interface: str, seconds: float | None, out: Path, say: Say) -> None:
    """Records the traffic of a server that runs already, until a signal comes or for `seconds`. Raises CaptureError.

    The first signal ends the recording and no more, so that what it has is delivered; a second one ends all.
    """
    _check(out)
    with programs.folder("pychat-capture-") as folder:
        raw = folder / "raw.pcapng"
        here = Host("here", "127.0.0.1")
        recorder = Recorder(here, interface, f"tcp port {port} or udp port {MARKER_PORT}", raw)
        token = b""
        try:
            recorder.start()
            with programs.first_signal(recorder.over.set):
                say(
                    f"recording TCP port {port} on {interface}"
                    + (f" for {seconds:g} s" if seconds else "; Ctrl-C ends it")
                )
                recorder.over.wait(seconds)
            if interface in {"any", "lo", "lo0"}:
                token = recorder.settle("127.0.0.1")
        finally:
            recorder.stop()
        count = pcapng.rewrite(raw, folder / "cut.pcapng", {}, {}, until=token or b"\0" * 64)
        _deliver(folder / "cut.pcapng", out)
        say(f"{out}: {count} packets")


def _check(out: Path) -> None:
    """Checks before the recording that its file can be written."""
    if not out.parent.is_dir():
        raise CaptureError(f"there is no directory {out.parent}")
    if out.suffix not in {".pcap", ".pcapng"}:
        raise CaptureError(f"{out} should end in .pcapng, or in .pcap for the older format")


def _network(request: Request) -> AbstractContextManager[Network]:
    why = "as asked for" if request.force_loopback else namespaces_possible()
    return loopback(PEOPLE, why, ipv6=request.ipv6) if why else namespaces(PEOPLE, ipv6=request.ipv6)


def _filter(network: Network, port: int) -> str:
    """What dumpcap records. On the loopback interface there is other traffic too."""
    if not network.routed:
        return f"tcp port {port} or udp port {MARKER_PORT}"
    # Neighbour solicitations and advertisements are IPv6's ARP; its hosts' search for routers tells nothing here.
    return f"tcp or arp or icmp or (icmp6 and (ip6[40] == 135 or ip6[40] == 136)) or udp port {MARKER_PORT}"


def _play(scenario: Scenario, network: Network, request: Request, marks: list[tuple[float, Mark]], port: int) -> Truth:
    begun = time.time()
    stage = Stage(network, scenario.name, request.programs, request.pace, port)
    try:
        scenario.play(stage)
    finally:
        stage.close()
    marks += [(begun, mark) for mark in stage.marks]
    return stage.truth


def _finish(
    raw: Path, out: Path, network: Network, marks: Sequence[tuple[float, Mark]], token: bytes, folder: Path
) -> int:
    """Writes the capture with its comments and names; returns the number of packets."""
    bare = folder / "bare.pcapng"
    pcapng.rewrite(raw, bare, {}, {}, until=token)
    comments: dict[int, str] = {}
    for begun, mark in marks:
        found = _first(bare, f"frame.time_epoch >= {begun:.6f} && ({mark.display_filter})", comments, folder)
        comments[found] = mark.words
    done = folder / "done.pcapng"
    count = pcapng.rewrite(raw, done, comments, network.names, until=token)
    _deliver(done, out)
    return count


def _first(capture: Path, display_filter: str, taken: dict[int, str], folder: Path) -> int:
    """The first frame that a filter finds and that has no comment yet. Raises CaptureError when there is none."""
    words = ["tshark", "-n", "-r", str(capture), *options(), "-Y", display_filter, "-T", "fields", "-e", "frame.number"]
    for line in run(words, f"cannot look for `{display_filter}`", environment(folder)).splitlines():
        if int(line) not in taken:
            return int(line)
    raise CaptureError(f"what should have happened is not in the capture: `{display_filter}`")


def _deliver(done: Path, out: Path) -> None:
    """Moves the capture to where it was asked for, as pcap when its name says so."""
    if out.suffix == ".pcap":
        run(["editcap", "-F", "pcap", str(done), str(out)], f"cannot write {out}")
    else:
        out.write_bytes(done.read_bytes())
