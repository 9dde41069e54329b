"""Admission: a limit for all connections, and a share of it for one address. Knows no frame and no state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from .addresses import group
from .connection import Connection

REMINDER = 10.0  # seconds between two log lines about the same event


class Admission:
    """The connections that have a place: at most `most` (R-OPEN-1), and at most `share` of one address (R-OPEN-2)."""

    def __init__(self, most: int, share: int) -> None:
        self._most = most
        self.share = share
        self._admitted: dict[Connection, None] = {}  # in the order of their coming
        self._held: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Connection]:
        return iter(tuple(self._admitted))

    def admit(self, connection: Connection, *, loopback: bool) -> Literal["full", "share"] | None:
        """Gives a connection a place, or says which limit forbids it; loopback may hold all places."""
        if len(self._admitted) >= self._most:
            return "full"
        network = group(connection.address)
        if not loopback and self._held[network] >= self.share:
            return "share"
        self._admitted[connection] = None
        self._held[network] += 1
        return None

    def release(self, connection: Connection) -> None:
        """Takes back a connection's place, if it has one."""
        if connection in self._admitted:
            del self._admitted[connection]
            network = group(connection.address)
            self._held[network] -= 1
            if not self._held[network]:
                del self._held[network]  # drop zero counts: memory follows open connections


class Reminders:
    """Which of many equal events are logged: a flood of connections must not become a flood of log lines."""

    KEYS = 1024  # kept at most; with more keys, an event is logged again too early

    def __init__(self) -> None:
        self._told: dict[str, tuple[float, int]] = {}  # when it was told, and how often it happened since

    def due(self, key: str, now: float) -> int:
        """Notes an event; the number of events since the last log line if one is due now, else 0."""
        told, silent = self._told.get(key, (-REMINDER, 0))
        if now - told < REMINDER:
            self._told[key] = told, silent + 1
            return 0
        if len(self._told) >= self.KEYS:
            self._told.clear()
        self._told[key] = now, 0
        return silent + 1
