"""A copy of a spec with short timers, so that what takes minutes is seen in seconds. Given to both sides.

Each timer keeps its meaning and its place in the order of all, so that none fires where another one is looked at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import yaml

from pychat.spec import Spec, loads
from pychat.spec.reading import read

# Seconds of the first timer of each kind, and between two of one kind: long against a second of tolerance, so that
# twice as late is seen.
FIRST = {"goodbye": 1.5, "full": 2.5, "accept": 3.0, "call": 3.5, "silence": 4.0}
NEXT = 2.5
AT_ONCE = 0.1  # seconds of an answer for which these times are long enough
MOST = 4.0  # times as long, for a server that answers late


def quicken(spec_file: Path, folder: Path, answer: float = 0.0) -> Spec:
    """Writes the copy into a folder; its `source` is the file. Raises OSError or SpecError as `load` does.

    The times are longer if an `answer` takes long, in seconds: several fit into a part of each timer.
    """
    longer = min(1 + 2 * max(0.0, answer - AT_ONCE), MOST)
    data = cast("dict[str, Any]", read(spec_file.read_bytes(), str(spec_file)).data)
    seconds: dict[str, float] = dict(FIRST)
    timers = loads(spec_file.read_bytes(), str(spec_file)).timers
    for timer in sorted(timers.values(), key=lambda timer: timer.after):
        data["timers"][timer.name]["after"] = f"{round(min(timer.after, longer * seconds[timer.since]) * 1000)} ms"
        seconds[timer.since] += NEXT
    octets = yaml.safe_dump(data, sort_keys=False, width=120).encode("ascii")
    path = folder / "quick.yaml"
    path.write_bytes(octets)
    return loads(octets, str(path))
