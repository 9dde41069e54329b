"""What Linux shows of a socket of this machine, in /proc/net/tcp; nothing elsewhere. Knows no frame."""

from __future__ import annotations

import socket
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


def peer_of(stream: socket.socket) -> Socket | None:
    """The socket at the other end of a connection, None where it is not seen."""
    ports = [stream.getpeername()[1], stream.getsockname()[1]]
    for path in TABLES:
        for row in path.read_text().splitlines()[1:] if path.exists() else ():
            _, ours, theirs, _, queues, timer, *_ = row.split()
            if [int(end.rpartition(":")[2], 16) for end in (ours, theirs)] == ports:
                kind, ticks = timer.split(":")
                return Socket(int(queues.partition(":")[2], 16), int(kind, 16), int(ticks, 16) / TICKS)
    return None
