"""The times of a connection: when it was active, what ends a silence, and when its timers fire. Knows no frame.

No clock: the time is an argument, in seconds, and never goes back. A timer of a silence fires once in it; activity of
the peer ends the silence, and each timer may fire again. A timer of a call fires once in it. These attributes of a
connection are written here alone: `opened`, `active`, `fired`, `probing`, `full_since`, `paused_since`, `called` and
`ended`. The exception is `active`, where each
line would cost a call: `Hub.receive` and `Loop._forward`.
"""

from __future__ import annotations

from collections.abc import Iterator

from pychat.spec.model import Spec, Timer

from .connection import Connection

NEVER = float("inf")


class Deadlines:
    """The timers of a spec. One object serves all connections."""

    def __init__(self, spec: Spec) -> None:
        self._timers = tuple(timer for timer in spec.timers.values() if timer.since != "goodbye")
        bits = [(timer.since, 1 << index) for index, timer in enumerate(self._timers)]
        self._of_call = sum(bit for since, bit in bits if since == "call")
        self._lasting = self._of_call + sum(bit for since, bit in bits if since == "accept")  # whatever the peer does
        self._soonest = min((timer.after for timer in self._timers if timer.since == "silence"), default=NEVER)
        self._linger = next((timer.after for timer in spec.timers.values() if timer.since == "goodbye"), 0.0)
        self._stalled = max((timer.after for timer in self._timers if timer.since == "full"), default=self._linger)
        self._mark = spec.limits.queue_mark
        self._look = max(spec.limits.tolerance / 2, 0.05)  # seconds between two looks at what a full queue's peer takes

    # What happens to a connection

    def begin(self, connection: Connection, now: float) -> None:
        """It was accepted."""
        connection.opened = connection.active = now

    def note_activity(self, connection: Connection, now: float) -> None:
        """The peer has sent something, or has taken something of what it is sent: it is not silent."""
        connection.active = now
        if connection.fired:
            connection.fired &= self._lasting

    def note_call(self, caller: Connection, called: Connection, now: float) -> None:
        """One connection has called the other: the timers of a call begin at the called end."""
        caller.called, called.called = None, now
        called.fired &= ~self._of_call

    def note_probe(self, connection: Connection, octets: int, late: float) -> None:
        """A timer that is `late` by so many seconds has put so many octets into the queue.

        The peer has the whole time for its answer, however long this process stood still.
        """
        connection.probing += octets
        connection.active += late

    def note_sent(self, connection: Connection, octets: int, now: float) -> None:
        """The network took so many octets of the queue. That it took a probe says nothing about the peer."""
        if connection.probing:
            probing = min(octets, connection.probing)
            connection.probing -= probing
            octets -= probing
        if octets:
            self.note_activity(connection, now)
        if connection.queued <= self._mark:
            connection.full_since = None

    def note_full(self, connection: Connection, now: float) -> None:
        """Its queue is above the mark."""
        if connection.full_since is None:
            connection.full_since = now

    def note_progress(self, connection: Connection, octets: int, now: float) -> bool:
        """The peer of a full queue has acknowledged so many octets; whether they are enough to say that it reads.

        Then the time of the full queue begins anew.
        """
        if octets < self._mark:
            return False
        connection.full_since = now
        return True

    def pause(self, connection: Connection, now: float) -> None:
        """Nothing is read from it any more: the time of its silence stands still (R-TIME-2)."""
        connection.paused_since = now

    def resume(self, connection: Connection, now: float) -> None:
        """It is read again. What it took of its queue meanwhile has set the time of its silence to zero."""
        connection.active += now - max(connection.paused_since, connection.active)

    def end(self, connection: Connection, now: float) -> None:
        """Its last frame is queued, or it is lost."""
        connection.ended = connection.active = now

    # When something is due

    def next(self, connection: Connection, now: float) -> float:
        """The time of the next look at a connection; infinity when there is nothing to wait for.

        Nothing that happens to the connection makes it sooner, except a full queue, the end of a pause, a call and the
        end.
        """
        if connection.ended is not None:
            return self.end_of_linger(connection)
        if connection.waiting:
            return NEVER
        due = min((self._of(connection, timer, 1 << index) for index, timer in enumerate(self._timers)), default=NEVER)
        if connection.fired & ~self._lasting:  # its silence may end, and the next one begin, from now on
            due = min(due, now + self._soonest)
        if connection.full_since is not None:  # what its peer takes counts from when it is seen, so it is seen soon
            due = min(due, now + self._look)
        return due

    def fire(self, connection: Connection, now: float) -> Iterator[tuple[Timer, float]]:
        """The timers that are due, and by how much each is late. What one of them does may keep the next from firing.

        All that had come by `now` must have been received, or silence would be judged too soon.
        """
        if connection.waiting:  # what is due then is done when the row is over
            return
        for index, timer in enumerate(self._timers):
            late = now - self._of(connection, timer, 1 << index)
            if late >= 0 and connection.ended is None:
                connection.fired |= 1 << index
                if timer.states is None or connection.state in timer.states:
                    yield timer, late

    def end_of_linger(self, connection: Connection) -> float:
        """After its last frame a connection may stay until its peer has closed, but not for long (R-CLOSE-1)."""
        if connection.ended is None or connection.broken:
            return NEVER
        return min(connection.active + self._linger, connection.ended + self._stalled)

    def _of(self, connection: Connection, timer: Timer, bit: int) -> float:
        """When a timer fires; infinity while it does not run."""
        if connection.fired & bit:
            return NEVER
        if timer.since == "call":  # it looks once, whatever the state is then
            return NEVER if connection.called is None else connection.called + timer.after
        if timer.states is not None and connection.state not in timer.states:
            return NEVER
        if timer.since == "accept":
            return connection.opened + timer.after
        if timer.since == "full":
            return NEVER if connection.full_since is None else connection.full_since + timer.after
        return NEVER if connection.paused else connection.active + timer.after
