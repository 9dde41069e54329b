"""What Linux shows of a socket of this machine, in /proc/net/tcp; nothing elsewhere. Knows no frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
TICKS = 100  # of the times in a table, in a second


@dataclass(frozen=True, slots=True)
class Socket:
    """The octets that its program has not read, and the kind and the seconds of its timer (proc_net_tcp.rst)."""

    unread: int
    timer: int
    seconds: float


def socket_between(local: int, remote: int) -> Socket | None:
    """The socket whose ports these are, None where it is not seen."""
    for path in TABLES:
        for row in path.read_text().splitlines()[1:] if path.exists() else ():
            _, ours, theirs, _, queues, timer, *_ = row.split()
            if [int(end.rpartition(":")[2], 16) for end in (ours, theirs)] == [local, remote]:
                kind, ticks = timer.split(":")
                return Socket(int(queues.partition(":")[2], 16), int(kind, 16), int(ticks, 16) / TICKS)
    return None
