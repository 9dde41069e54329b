"""Queues: what is to be sent to each connection, and which connections want attention. No sockets; knows no frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .connection import Connection
from .deadlines import Deadlines

JOINED = 4096  # octets up to which what is to be sent is joined to what waits already
SHARED = 512  # octets from which a list is not copied into a queue


class Queues:
    """The outboxes of all connections. `touched` are those to be flushed, resumed or closed; `mark` is in octets."""

    def __init__(self, deadlines: Deadlines, mark: int) -> None:
        self.touched: list[Connection] = []
        self._deadlines = deadlines
        self._mark = mark

    def put(self, connection: Connection, octets: bytes, now: float) -> None:
        """Adds octets to what is to be sent. Small ones are joined, since each chunk costs memory of its own."""
        if octets:
            outbox = connection.outbox
            if outbox and len(outbox[-1]) + len(octets) <= JOINED:
                outbox[-1] += octets
            else:
                outbox.append(octets)
            self._grow(connection, len(octets), now)

    def put_all(self, connections: Iterable[Connection], octets: bytes, now: float) -> None:
        """The same octets for many connections: one object, which lies in each queue that has nothing to join it to."""
        size = len(octets)
        for connection in connections:
            outbox = connection.outbox
            if outbox and len(outbox[-1]) + size <= JOINED:
                outbox[-1] += octets
            else:
                outbox.append(octets)
            self._grow(connection, size, now)

    def put_shared(self, connection: Connection, chunks: Sequence[bytes], now: float) -> None:
        """Adds octets that other queues share, if there are enough of them to be worth a chunk of their own."""
        octets = sum(map(len, chunks))
        if octets < SHARED:
            self.put(connection, b"".join(chunks), now)
        else:
            connection.outbox += [*chunks, b""]  # what follows is joined to the empty chunk, and copies none of them
            self._grow(connection, octets, now)

    def put_back(self, connection: Connection, octets: bytes, now: float) -> None:
        """Puts octets before all others: the rest of what the network has taken in part."""
        connection.outbox.insert(0, octets)
        self._grow(connection, len(octets), now)

    def _grow(self, connection: Connection, octets: int, now: float) -> None:
        connection.queued += octets
        if connection.queued > self._mark:
            self._deadlines.note_full(connection, now)
        self.touch(connection)

    def sent(self, connection: Connection, octets: int, now: float) -> None:
        """The network took so many octets of the outbox."""
        connection.queued -= octets
        self._deadlines.note_sent(connection, octets, now)
        partner = connection.partner
        if partner is not None and partner.paused and connection.queued <= self._mark:
            self.touch(partner)
        if connection.paused:
            self.touch(connection)

    def touch(self, connection: Connection) -> None:
        """Notes that a connection wants attention."""
        if not connection.touched:
            connection.touched = True
            self.touched.append(connection)

    def take_touched(self) -> list[Connection]:
        """The connections that want attention since the last call."""
        touched = self.touched
        if touched:
            self.touched = []
            for connection in touched:
                connection.touched = False
        return touched
