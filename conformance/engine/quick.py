"""A copy of a spec with short timers, so that what takes minutes is seen in seconds. Given to both sides.

Each timer is longer than the lateness that it is forgiven, so that one which runs twice as long is seen. A silence is
first asked about and ended late: three times as long, so that a second question in it is seen. A full queue stays so
for longer than it takes to ask the other end, whose clock stands still meanwhile. A call's time is over before a
silence is asked about, since the reply would be a frame in a row of faults that is looked at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import yaml

from pychat.spec import Spec, loads
from pychat.spec.model import Timer
from pychat.spec.reading import read

FIRST = {"goodbye": 1.5, "accept": 2.4, "call": 2.5, "silence": 2.6, "full": 6.0, "end of silence": 9.2}  # seconds
NEXT = 2.5  # seconds between two timers of one kind
AT_ONCE = 0.02  # seconds of an answer for which these times are long enough
ANSWERS = 6  # for each second more, so many times as long: several answers must come in a part of a timer
MOST = 5.0  # times as long at most
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the one in C is not everywhere


def quicken(spec_file: Path, folder: Path, answer: float = 0.0) -> Spec:
    """Writes the copy into a folder; its `source` is the file. Raises OSError or SpecError as `load` does.

    The times are longer if an `answer` takes long, in seconds.
    """
    longer = min(1 + ANSWERS * max(0.0, answer - AT_ONCE), MOST)
    data = cast("dict[str, Any]", read(spec_file.read_bytes(), str(spec_file)).data)
    seconds: dict[str, float] = dict(FIRST)
    timers = loads(spec_file.read_bytes(), str(spec_file)).timers
    for timer in sorted(timers.values(), key=lambda timer: timer.after):
        kind = _kind(timer)
        data["timers"][timer.name]["after"] = f"{round(min(timer.after, longer * seconds[kind]) * 1000)} ms"
        seconds[kind] += NEXT
    octets = yaml.dump(data, Dumper=DUMPER, sort_keys=False, width=120).encode("ascii")
    path = folder / "quick.yaml"
    path.write_bytes(octets)
    return loads(octets, str(path))


def _kind(timer: Timer) -> str:
    """What a timer's length depends on: its clock, and whether a silence goes on after it."""
    return "end of silence" if timer.since == "silence" and timer.row is None else timer.since
