"""A copy of a spec with short timers, so that what takes minutes is seen in seconds. Given to both sides.

Each timer keeps its meaning and its place in the order of those that count from the same moment.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from pychat.spec import Spec, loads

FIRST = 3.0  # seconds; long against a second of tolerance, so that twice as late is seen
NEXT = 2.5  # seconds between two timers of one kind
LINGER = 1.0


@dataclass(frozen=True)
class Quick:
    """The spec with short timers, and the file that says it."""

    spec: Spec
    path: Path


def quicken(spec_file: Path, folder: Path | None = None) -> Quick:
    """Writes the copy. Raises OSError or SpecError as `pychat.spec.load` does."""
    data = yaml.safe_load(spec_file.read_bytes())
    seconds: dict[str, float] = {}
    timers = loads(spec_file.read_bytes(), str(spec_file)).timers
    for timer in sorted(timers.values(), key=lambda timer: timer.after):
        before = seconds.get(timer.since)
        seconds[timer.since] = LINGER if timer.since == "goodbye" else FIRST if before is None else before + NEXT
        data["timers"][timer.name]["after"] = f"{round(min(timer.after, seconds[timer.since]) * 1000)} ms"
    octets = yaml.safe_dump(data, sort_keys=False, width=120).encode("ascii")
    path = Path(tempfile.mkdtemp(prefix="pychat-quick-") if folder is None else folder) / "quick.yaml"
    path.write_bytes(octets)
    return Quick(loads(octets, str(path)), path)
