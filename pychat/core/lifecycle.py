"""The life of one connection: the state it is in, the faults that it may send, its last frame and its end.

No row is chosen here, and no time is measured.
"""

from __future__ import annotations

from collections.abc import Callable

from pychat.spec.model import FaultRule, Goodbye, Spec

from .codec import Codec, Splitter
from .connection import Connection
from .deadlines import Deadlines
from .machine import ENDING, ENDING_PARTNER, server_machine
from .queues import Queues
from .relations import Change
from .tells import Tells
from .users import Users

Log = Callable[..., None]


class Lifecycle:
    """Begins connections, moves them and ends them. One object serves all of them; `log` takes what it did."""

    def __init__(
        self, spec: Spec, users: Users, deadlines: Deadlines, queues: Queues, tells: Tells, codec: Codec, log: Log
    ) -> None:
        self._log = log
        self._spec = spec
        self._users = users
        self._deadlines = deadlines
        self._queues = queues
        self._tells = tells
        self._codec = codec
        self._events = server_machine(spec).events
        self._budgets = {name: spec.budget(name) for name in spec.states}
        self._serial = 0

    def begin(self, connection: Connection, now: float) -> None:
        """Puts a connection into the state of a new one."""
        self._serial += 1
        connection.id = self._serial
        connection.state = self._spec.initial
        connection.splitter = Splitter(self._spec.framing)
        self._deadlines.begin(connection, now)

    def move(self, event: str, connection: Connection) -> None:
        """Moves a connection; in a state with another budget its faults begin at zero."""
        before = connection.state
        self._events[event].trigger(connection)
        if connection.state != before:
            self._users.roster.changed(connection)
            self._queues.touch(connection)  # other timers may run in this state
            if self._budgets[connection.state] is not self._budgets[before]:
                connection.faults = 0

    def refuse_fault(self, connection: Connection, rule: FaultRule | None, verb: str, now: float) -> None:
        """Answers a line with a fault, and ends the connection when its budget is used up."""
        assert rule is not None, "it has a fault, and the loader checks that each fault has a rule"
        self._tells.refuse(connection, verb, rule.error, now)
        budget = self._budgets[connection.state]
        if budget is None:
            return
        if verb in rule.uncounted:
            connection.faults = 0 if budget.in_a_row else connection.faults
            return
        connection.faults += 1
        if connection.faults >= budget.faults:
            self.say_goodbye(connection, self._spec.goodbyes[budget.goodbye], now)

    def say_goodbye(self, connection: Connection, goodbye: Goodbye | None, now: float) -> None:
        """Ends a connection with a goodbye of the server, which is logged."""
        if goodbye is not None:
            address = None if connection.name else connection.address or None
            self._log("goodbye", id=connection.id, name=connection.name or None, code=goodbye.code, address=address)
        self.part(connection, goodbye, now)

    def part(self, connection: Connection, goodbye: Goodbye | None, now: float) -> None:
        """Ends a connection with its last frame, or without one where the spec has none."""
        if goodbye is not None and self._spec.goodbye.parts:
            self._queues.put(connection, self._codec.encode(self._spec.goodbye_line(goodbye.code)), now)
        self.end(connection, goodbye.gone if goodbye is not None else self._spec.ending.gone, now)

    def stop(self, connection: Connection, now: float) -> None:
        """Ends a connection since the server stops; nobody is told of it (R-CLOSE-4)."""
        goodbye = self._spec.goodbye_when("stop")
        if connection.state != self._spec.final:
            if goodbye is None:
                self.end(connection, None, now)
            else:
                self.say_goodbye(connection, goodbye, now)

    def end(self, connection: Connection, reason: str | None, now: float) -> None:
        """Ends a connection without a request; the partner is told the reason, if there is one to tell (R-GONE-1)."""
        if connection.state == self._spec.final:
            return
        other, ending = connection.partner, self._spec.ending
        self.move(ENDING, connection)
        if other is not None:
            if ending.partner is not None:
                self.move(ENDING_PARTNER, other)
            self._queues.touch(other)  # nothing holds it back any more
        changes: list[Change] = []
        for effect in ending.effects:
            changes += self._users.apply(effect, connection, other, {}, reason, now)
        if reason is not None:
            values = {"me": connection.name, "reason": reason}
            if other is not None and ending.partner is not None:
                self._queues.put(other, self._codec.encode(ending.partner.push.fill(values)), now)
            if changes:
                self._tells.send(connection, (), changes, values, {}, now)
        if connection.name:
            self._log("ended", id=connection.id, name=connection.name, reason=reason or "stop")
        self.close(connection, now)

    def close(self, connection: Connection, now: float) -> None:
        """Takes nothing more from a connection that is in its last state."""
        self._deadlines.end(connection, now)
        connection.paused = False
        connection.splitter.replace(b"")
        self._queues.touch(connection)
