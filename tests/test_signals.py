"""The tools are ended by a signal at any moment, and leave nothing: no process, namespace, folder, and no stack trace.

Random: `--rounds N` tries N times as often, `--seed S` begins elsewhere, `-s` shows the figures.
"""

from __future__ import annotations

import collections
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.capture.network import namespaces_possible

from .conftest import ROOT, Stage, need
from .leftovers import left, marked, new_mark

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is left is looked for in /proc")

LITTLE = ROOT / "tests" / "little.yaml"  # the judge makes its cases in a second
LONG = 60.0  # seconds for a tool to end on a busy machine
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Around the implementation under test: a child under timeout, one in a session of its own, and a double fork.
WRAPPER = f"""
exec 3<&0
timeout 1000 {sys.executable} -m pychat "$@" <&3 3<&- &
child=$!
setsid sleep 1000 &
(setsid sh -c 'sleep 1000; :' &)
wait $child
"""


@pytest.fixture(autouse=True)
def sighup() -> Iterator[None]:
    """Not ignored, even where the tests run under nohup: programs would inherit that."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@dataclass
class Ran:
    """A tool that has got a signal, or had ended before it."""

    number: signal.Signals
    code: int
    out: str
    complaint: str
    running: int  # processes at that moment, the tool and its keeper among them
    left: list[str]


def strike(
    words: list[str], number: signal.Signals, moment: float, folder: Path, *, first: str = "", crowd: int = 0
) -> Ran:
    """Sends a tool a signal so many seconds after it has begun to handle signals, or after its line `first`, or when
    there are `crowd` processes.
    """
    folder.mkdir()
    env = new_mark() | {"TMPDIR": str(folder)}
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        while process.poll() is None and not _handles_signals(process.pid):
            pass
        while process.poll() is None and len(marked(env)) < crowd:
            pass
        said = process.stdout.readline() if first else ""
        assert first in said
        with suppress(subprocess.TimeoutExpired):
            process.wait(moment)
        running = len(marked(env))
        process.send_signal(number)
        out, complaint = process.communicate(timeout=LONG)
    finally:
        process.kill()
        process.communicate()
    remains = left(env, LONG if number == signal.SIGKILL else 0)
    remains += [str(path) for path in folder.iterdir()]
    remains += [str(path) for path in Path("/run/netns").glob(f"pychat-{process.pid}-*")]
    return Ran(number, process.returncode, said + out, complaint, running, remains)


def _handles_signals(pid: int) -> bool:
    """Whether a process has blocked SIGTERM, for which a thread waits, as `end_on_signals` does."""
    with suppress(OSError):
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return bool(int(lines["SigBlk"], 16) >> (signal.SIGTERM - 1) & 1)
    return False


def tools(folder: Path, port: int) -> dict[str, tuple[list[str], float]]:
    """The words of each tool, and the seconds in which a signal may come."""
    wrapper = folder / "wrapper.sh"
    wrapper.write_text(WRAPPER)
    judge, out = [sys.executable, "-m", "conformance"], str(folder / "out.pcapng")
    server = f"sh {wrapper} server --host {{host}} --port {{port}} --spec {{spec}} --max-connections {{max}}"
    client = f"sh {wrapper} client {{host}}:{{port}} --plain --spec {{spec}}"
    capture = [sys.executable, "-m", "tools.capture", "--out", out]
    return {
        "judge server": ([*judge, "server", "--segment", "whole", "--spec", str(LITTLE), "--cmd", server], 1.5),
        "judge server --jobs 3": ([*judge, "server", "--jobs", "3", "--spec", str(LITTLE), "--cmd", server], 1.5),
        "judge client": ([*judge, "client", "--segment", "whole", "--spec", str(LITTLE), "--cmd", client], 1.5),
        "capture": ([*capture, "--scenario", "chat"], 2.0),
        "capture --attach": ([*capture, "--attach", str(port), "--interface", "lo"], 1.0),
        "bench": ([sys.executable, "-m", "tools.bench", "--quick"], 1.0),
    }


def check(tool: str, ran: Ran) -> None:
    """Nothing is left, and what is said is one line."""
    assert ran.left == []
    assert "Traceback" not in ran.complaint
    if ran.number == signal.SIGKILL:
        assert ran.code == -signal.SIGKILL
    elif tool == "capture --attach" and "recording" in ran.out and ran.code == 0:
        assert ran.complaint == ""
        assert "packets" in ran.out
    else:
        assert ran.code == 128 + ran.number
        assert ran.complaint.splitlines()[-1].endswith(": stopped; nothing is left behind")


@pytest.mark.parametrize(
    "tool", ["judge server", "judge server --jobs 3", "judge client", "capture", "capture --attach", "bench"]
)
def test_a_signal_at_any_moment_leaves_nothing(
    tool: str, start: Callable[..., Stage], tmp_path: Path, rounds: int, seed: int
) -> None:
    """SIGKILL every other time, else one that can be handled; often when there are programs, also from the start."""
    if tool.startswith("capture"):
        need("dumpcap")
    if tool == "capture":
        need("ip")
        need("ethtool")
        if why := namespaces_possible():
            pytest.skip(why)
    chance = random.Random(f"{seed} {tool}")
    words, seconds = tools(tmp_path, start().server.address[1])[tool]
    began = time.monotonic()
    counts: collections.Counter[str] = collections.Counter()
    busy = 0
    for number in range(2 * rounds):
        what = signal.SIGKILL if number % 2 else chance.choice(STOPS)
        crowd, moment = chance.choice([0, 4, 4]), chance.uniform(0, seconds)
        ran = strike(words, what, moment, tmp_path / f"tmp{number}", crowd=crowd)
        try:
            check(tool, ran)
        except AssertionError as error:
            error.add_note(f"{what.name} after {moment:.3f} s ({crowd} processes), try {number}, --seed {seed}: {ran}")
            raise
        counts[what.name] += 1
        busy += ran.running > 2
    figures = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    spent = time.monotonic() - began
    print(f"\n{tool}: {2 * rounds} signals ({figures}), {busy} while programs ran; nothing left; {spent:.0f} s")


def test_a_signal_right_after_the_first_line_ends_the_recording(
    start: Callable[..., Stage], tmp_path: Path, rounds: int
) -> None:
    """dumpcap has begun by then; what it has is delivered, whichever signal asks for it."""
    need("dumpcap")
    words, _ = tools(tmp_path, start().server.address[1])["capture --attach"]
    for number in range(rounds * 2):
        what = STOPS[number % len(STOPS)]
        ran = strike(words, what, 0, tmp_path / f"tmp{number}", first="recording")
        check("capture --attach", ran)
        assert ran.code == 0, ran


def test_a_recording_under_nohup_is_not_ended_by_sighup(start: Callable[..., Stage], tmp_path: Path) -> None:
    """What was ignored at the start stays ignored."""
    need("dumpcap")
    words, _ = tools(tmp_path, start().server.address[1])["capture --attach"]
    script = "trap '' HUP; exec \"$@\""
    process = subprocess.Popen(["sh", "-c", script, "sh", *words], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    with process:
        assert process.stdout is not None
        assert "recording" in process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert "packets" in process.communicate(timeout=LONG)[0]
    assert process.returncode == 0
