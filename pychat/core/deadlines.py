"""When the timers of a connection fire. No sockets, no clock: the time is an argument. Knows no frame.

A timer of a silence fires once in it; what is heard of the peer ends the silence, and each may fire again.
"""

from __future__ import annotations

from collections.abc import Iterator

from pychat.spec.model import Spec, Timer

from .connection import Connection

NEVER = float("inf")


class Deadlines:
    """The timers of a spec, at the connections of a hub. `lasting` is the mask of those that no silence sets back."""

    def __init__(self, spec: Spec) -> None:
        self._timers = tuple(timer for timer in spec.timers.values() if timer.since != "goodbye")
        self.lasting = sum(1 << index for index, timer in enumerate(self._timers) if timer.since == "accept")
        self._soonest = min((timer.after for timer in self._timers if timer.since == "silence"), default=NEVER)
        self._linger = next((timer.after for timer in spec.timers.values() if timer.since == "goodbye"), 0.0)
        self._stalled = max((timer.after for timer in self._timers if timer.since == "full"), default=self._linger)

    def heard(self, connection: Connection, now: float) -> None:
        """The peer has sent something, or has taken something of what it is sent: it is not silent."""
        connection.active = now
        connection.fired &= self.lasting

    def next(self, connection: Connection, now: float) -> float:
        """The time of the next look at a connection; infinity when there is nothing to wait for.

        Nothing that happens to the connection makes it sooner, except a full queue, the end of a pause and the end.
        """
        if connection.ended is not None:
            return self.end_of_linger(connection)
        due = min((self._of(connection, timer, 1 << index) for index, timer in enumerate(self._timers)), default=NEVER)
        if connection.fired & ~self.lasting:  # its silence may end, and the next one begin, from now on
            due = min(due, now + self._soonest)
        return due

    def fire(self, connection: Connection, now: float) -> Iterator[tuple[Timer, float]]:
        """The timers that are due, and by how much each is late. What one of them does may keep the next from firing.

        All that had come by `now` must have been received, or silence would be judged too soon.
        """
        for index, timer in enumerate(self._timers):
            late = now - self._of(connection, timer, 1 << index)
            if late >= 0 and connection.ended is None:
                connection.fired |= 1 << index
                yield timer, late

    def end_of_linger(self, connection: Connection) -> float:
        """After its last frame a connection may stay until its peer has closed, but not for long (R-CLOSE-1)."""
        if connection.ended is None or connection.broken:
            return NEVER
        return min(connection.active + self._linger, connection.ended + self._stalled)

    def _of(self, connection: Connection, timer: Timer, bit: int) -> float:
        """When a timer fires; infinity while it does not run."""
        if (timer.states is not None and connection.state not in timer.states) or connection.fired & bit:
            return NEVER
        if timer.since == "accept":
            return connection.opened + timer.after
        if timer.since == "full":
            return NEVER if connection.full_since is None else connection.full_since + timer.after
        return NEVER if connection.paused else connection.active + timer.after
