"""Who is admitted: so many connections in all, and a share of them for one address. Knows no frame and no state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from .connection import Connection


class Admission:
    """The connections that have a place (R-OPEN-1): at most `most`, and of one address one in `one_in` (R-OPEN-2)."""

    def __init__(self, most: int, one_in: int) -> None:
        self._most = most
        self._share = max(1, most // one_in)
        self._admitted: set[Connection] = set()
        self._held: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Connection]:
        return iter(tuple(self._admitted))

    def admit(self, connection: Connection, *, loopback: bool) -> bool:
        """Gives a connection a place, if there is one for its address; loopback may hold them all."""
        address = connection.address
        if len(self._admitted) >= self._most or (not loopback and self._held[address] >= self._share):
            return False
        self._admitted.add(connection)
        self._held[address] += 1
        return True

    def release(self, connection: Connection) -> None:
        """The connection, if it had a place, has it no longer."""
        if connection in self._admitted:
            self._admitted.remove(connection)
            self._held[connection.address] -= 1
            if not self._held[connection.address]:
                del self._held[connection.address]  # so that it grows with who is there, and not with who ever was
