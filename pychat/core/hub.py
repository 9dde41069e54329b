"""The server's protocol core, without I/O: what each frame changes, and what is to be sent. No thread and no clock.

Octets and the time come in as arguments; frames to be sent lie in each connection's `outbox`, and `queues.touched`
names the connections that want attention. A caller with several threads holds one lock around each call, so that a
frame takes effect at one moment for all connections (R-ANS-3).

The rows of the spec say what happens. What their conditions and effects mean is in `users`, when something is due in
`deadlines`, and how a whole run of lines is relayed at once in `relay`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pychat.spec.forms import ANY_VERB, FrameFault
from pychat.spec.model import MOST_PUSHED, Goodbye, Outcome, Spec, Timer

from .addresses import group
from .admission import Admission, Reminders
from .codec import BadFrame, Codec, Frame, LineTooLong, Splitter
from .connection import Connection
from .deadlines import Deadlines
from .machine import ENDING, ENDING_PARTNER, partner_event, server_machine
from .queues import Queues
from .relay import SHORT, compile_relays
from .users import Users

Log = Callable[..., None]


def no_log(event: str, **fields: object) -> None:
    """Drops an event."""


TURN = 128  # frames that one connection may have handled before all others have had their turn,
TURN_OCTETS = 65536  # … and octets that may have been put into its own queue meanwhile


class Hub:
    """All connections of a server. `now` is the time in seconds, which never goes back.

    `max_connections` are admitted, and of them `per_address` from one address other than loopback; without it, the
    spec's share. Without `bulk`, every frame is handled by itself.
    """

    def __init__(
        self,
        spec: Spec,
        max_connections: int = 10_000,
        log: Log = no_log,
        bulk: bool = True,
        per_address: int | None = None,
    ) -> None:
        self.spec = spec
        self.codec = Codec(spec)
        self.admission = Admission(max_connections, per_address or spec.limits.address_share.of(max_connections))
        self.users = Users(spec)
        self.deadlines = Deadlines(spec)
        self.queues = Queues(self.deadlines, spec.limits.queue_mark)
        self.on_link: Callable[[Connection, Connection], None] = lambda caller, called: None
        self.log = log
        self._events = server_machine(spec).events
        self._relays = compile_relays(spec) if bulk else {}
        self._recv = {name: state.recv for name, state in spec.states.items()}
        self._budgets = {name: spec.budget(name) for name in spec.states}
        self._in_a_row = {state for budget in spec.budgets if budget.in_a_row for state in budget.states}
        self._profiles = " ".join(spec.profiles)
        self._final = spec.final
        self._mark = spec.limits.queue_mark
        self._stop = spec.limits.queue_stop
        self._refusals: dict[tuple[str, str], bytes] = {}
        self._reminders = Reminders()
        self._serial = 0
        self._pushed = 0

    # What the owner of the transport calls

    def open(self, connection: Connection, address: str, now: float, loopback: bool = False) -> bool:
        """Takes a new connection; False when there is no room for it: then it is refused."""
        connection.address = address
        lack = self.admission.admit(connection, loopback=loopback)
        if lack is not None:
            self.refuse(connection, now, lack)
            return False
        self._begin(connection, now)
        return True

    def refuse(self, connection: Connection, now: float, lack: Literal["full", "share"] = "full") -> None:
        """Says goodbye to a new connection for which there is no room (R-OPEN-1, R-OPEN-2)."""
        self._begin(connection, now)
        goodbye = self.spec.goodbye_when(lack)
        address, share = (connection.address, self.admission.share) if lack == "share" else (None, None)
        times = self._reminders.due(group(address) if address else goodbye.code, now)
        if times:
            self.log("refused", level="warning", code=goodbye.code, address=address, share=share, times=times)
        self._part(connection, goodbye, now)

    def _begin(self, connection: Connection, now: float) -> None:
        self._serial += 1
        connection.id = self._serial
        connection.state = self.spec.initial
        connection.splitter = Splitter(self.spec.framing)
        self.deadlines.begin(connection, now)

    def receive(
        self, connection: Connection, octets: bytes, now: float, straight: list[tuple[Any, bytes]] | None = None
    ) -> None:
        """Takes octets that have come. What comes after the last frame is discarded.

        A run of lines for the partner is relayed at once. With `straight`, a run for a partner with an empty queue is
        added there, and not to the queue: the caller sends it before anything else, notes the partner's activity, and
        gives what the network did not take to `queues.put_back`.
        """
        partner = connection.partner
        if partner is not None and connection.accepted and not connection.paused and not connection.held:
            relay = self._relays.get(connection.state)
            room = self._mark - partner.queued
            if relay is None:
                run = None
            elif len(octets) <= SHORT <= room and not connection.splitter.buffer and relay.is_short_run(octets):
                run = octets  # the most frequent case; a call of `take` would cost more than the match
            else:
                run = relay.take(connection.splitter, octets, room)
            if run is not None:
                connection.active = now  # what `note_activity` does, without a call for each line
                if connection.fired:
                    self.deadlines.note_activity(connection, now)
                if connection.faults and connection.state in self._in_a_row:
                    connection.faults = 0
                if straight is None or partner.queued:
                    self.queues.put(partner, run, now)
                else:
                    straight.append((partner, run))
                return
        if connection.state != self._final:
            self.deadlines.note_activity(connection, now)
            connection.splitter.feed(octets)
            self._advance(connection, now)

    def finish(self, connection: Connection, now: float) -> None:
        """The peer has ended its sending half: what came before is handled and answered (R-CLOSE-2)."""
        connection.finished = True
        if connection.state != self._final:
            self._advance(connection, now)
        self.queues.touch(connection)

    def resume(self, connection: Connection, now: float) -> None:
        """Goes on with a connection that was paused or held, if nothing stands in its way any more."""
        connection.turn_over = False
        if connection.state != self._final:
            self._advance(connection, now)

    def lose(self, connection: Connection, now: float) -> None:
        """The connection broke: a reset, an error, or its owner gives it up."""
        connection.broken = True
        self._end(connection, self.spec.ending.gone, now)
        self.queues.touch(connection)

    def forget(self, connection: Connection) -> None:
        """The connection is closed and gone."""
        self.admission.release(connection)

    def tick(self, connection: Connection, now: float) -> None:
        """Does what is due. All that had come by then must have been received, or silence would be judged too soon."""
        for timer, late in self.deadlines.fire(connection, now):
            self._fire(connection, timer, late, now)
        if now >= self.deadlines.end_of_linger(connection):
            connection.broken = True
            self.queues.touch(connection)

    def shutdown(self, now: float) -> None:
        """Says goodbye to every connection (R-CLOSE-4)."""
        goodbye = self.spec.goodbye_when("stop")
        for connection in self.admission:
            if connection.state != self._final:
                self._say_goodbye(connection, goodbye, now)

    def is_blocked(self, connection: Connection) -> bool:
        """Whether no frame may be taken from it now (R-FLOW-1, R-FLOW-2).

        After a turn that ended by its octets it waits at the lower mark: few long lists are in its queue at a time.
        """
        partner = connection.partner
        most = self._mark if connection.sated else self._stop
        return connection.queued > most or (partner is not None and partner.queued > self._mark)

    # Frames

    def _advance(self, connection: Connection, now: float) -> None:
        """Handles the whole lines that have come, as far as nothing blocks; the check comes before each frame."""
        frames, most = 0, connection.queued + TURN_OCTETS
        while connection.state != self._final:
            if connection.held or self.is_blocked(connection):
                self._pause(connection, now)
                return
            if (frames == TURN or connection.queued > most) and connection.splitter:
                connection.turn_over = True
                connection.sated = connection.queued > most
                self._pause(connection, now)
                self.queues.touch(connection)
                return
            frames, connection.sated = frames + 1, False
            try:
                line = connection.splitter.take()
            except LineTooLong:
                self._say_goodbye(connection, self.spec.goodbye_when("too-long"), now)
                return
            if line is None:
                break
            self._handle(connection, line, now)
        if connection.paused:
            connection.paused = False
            self.deadlines.resume(connection, now)
            self.queues.touch(connection)
        if connection.finished:
            self._end(connection, self.spec.ending.gone, now)

    def _pause(self, connection: Connection, now: float) -> None:
        if not connection.paused:
            connection.paused = True
            self.deadlines.pause(connection, now)
            self.queues.touch(connection)

    def _handle(self, connection: Connection, line: bytes, now: float) -> None:
        frame = self.codec.decode_request(line)
        if isinstance(frame, BadFrame):
            self._refuse_fault(connection, frame.fault, frame.verb, now)
            return
        rows = self._recv[connection.state].get(frame.key)
        if rows is None:
            self._refuse_fault(connection, "state", frame.key, now)
            return
        for outcome in rows:
            if self.users.holds(outcome.condition, connection, frame.fields):
                self._apply(connection, outcome, frame, now)
                return

    def _apply(self, connection: Connection, outcome: Outcome, frame: Frame, now: float) -> None:
        """Carries out one row: first all that changes, then all that is told."""
        called = outcome.field_for("link")
        other = connection.partner if called is None else self.users.find(frame.fields[called])
        # The names before the row changes them.
        values = {**frame.fields, "me": connection.name, "peer": other.name if other is not None else ""}
        if connection.state in self._in_a_row:
            connection.faults = 0
        self._move(outcome.name, connection)
        if outcome.partner is not None and other is not None:
            self._move(partner_event(outcome), other)
        for effect in outcome.effects:
            self.users.apply(effect, connection, other, frame.fields)
        self._tell(connection, other, outcome, values, now)
        if outcome.to is not None:
            address = connection.address if outcome.does("bind") else None
            peer = other.name if other is not None else None
            self.log(outcome.label, id=connection.id, name=connection.name or None, peer=peer, address=address)
        if outcome.to == self._final:
            self._close(connection, now)
        elif outcome.does("link") and other is not None:
            self.on_link(connection, other)

    def _move(self, event: str, connection: Connection) -> None:
        """Moves a connection; in a state with another budget its faults begin at zero."""
        before = connection.state
        self._events[event].trigger(connection)
        if connection.state != before:
            self.users.roster.changed(connection)
            self.queues.touch(connection)  # other timers may run in this state
            if self._budgets[connection.state] is not self._budgets[before]:
                connection.faults = 0

    def _tell(
        self, connection: Connection, other: Connection | None, outcome: Outcome, values: dict[str, str], now: float
    ) -> None:
        """Sends what a row says: the refusal or the answer, with its items before it, and the partner's push."""
        if outcome.error is not None:
            self.queues.put(connection, self._refusal(outcome.verb, outcome.error), now)
        if outcome.does("list"):
            values["count"] = str(len(self.users.roster))
            items = self.users.roster.items(self.spec.requests[outcome.verb])
            self.queues.put_shared(connection, items, now)
        if outcome.answer is not None:
            values["profiles"] = self._profiles
            self.queues.put(connection, self.codec.encode(outcome.answer.fill(values)), now)
        if outcome.partner is not None and other is not None:
            self.queues.put(other, self.codec.encode(outcome.partner.push.fill(values)), now)

    # Refusals for faults, and what ends a connection

    def _refuse_fault(self, connection: Connection, fault: FrameFault, verb: str, now: float) -> None:
        rule = self.spec.fault_rule(fault)
        self.queues.put(connection, self._refusal(verb, rule.error), now)
        budget = self._budgets[connection.state]
        if budget is None:
            return
        if verb in rule.uncounted:
            connection.faults = 0 if budget.in_a_row else connection.faults
            return
        connection.faults += 1
        if connection.faults >= budget.faults:
            self._say_goodbye(connection, self.spec.goodbyes[budget.goodbye], now)

    def _refusal(self, verb: str, code: str) -> bytes:
        found = self._refusals.get((verb, code))
        if found is None:
            line = self.spec.refusal.fill(verb or ANY_VERB, code, self.spec.errors[code].words)
            found = self._refusals[verb, code] = self.codec.encode(line)
        return found

    def _say_goodbye(self, connection: Connection, goodbye: Goodbye, now: float) -> None:
        address = None if connection.name else connection.address or None
        self.log("goodbye", id=connection.id, name=connection.name or None, code=goodbye.code, address=address)
        self._part(connection, goodbye, now)

    def _part(self, connection: Connection, goodbye: Goodbye, now: float) -> None:
        line = self.spec.goodbye.fill(goodbye.code, goodbye.words)
        self.queues.put(connection, self.codec.encode(line), now)
        self._end(connection, goodbye.gone, now)

    def _end(self, connection: Connection, reason: str | None, now: float) -> None:
        """Ends a connection without a request; the partner is told the reason, if there is one to tell (R-GONE-1)."""
        if connection.state == self._final:
            return
        other, ending = connection.partner, self.spec.ending
        self._move(ENDING, connection)
        if other is not None:
            self._move(ENDING_PARTNER, other)
            self.queues.touch(other)  # nothing holds it back any more
        for effect in ending.effects:
            self.users.apply(effect, connection, other, {})
        if other is not None and reason is not None:
            values = {"me": connection.name, "reason": reason}
            self.queues.put(other, self.codec.encode(ending.partner.push.fill(values)), now)
        if connection.name:
            self.log("ended", id=connection.id, name=connection.name, reason=reason or "stop")
        self._close(connection, now)

    def _close(self, connection: Connection, now: float) -> None:
        self.deadlines.end(connection, now)
        connection.paused = False
        connection.splitter.replace(b"")
        self.queues.touch(connection)

    def _fire(self, connection: Connection, timer: Timer, late: float, now: float) -> None:
        """Does what a timer says that is `late` by so many seconds."""
        if timer.goodbye is not None:
            self._say_goodbye(connection, self.spec.goodbyes[timer.goodbye], now)
        elif timer.push is not None:
            self._pushed = self._pushed % MOST_PUSHED + 1
            form = self.spec.pushes[timer.push].form
            frame = self.codec.encode(form.fill(*(str(self._pushed) for _ in form.fields)))
            self.deadlines.note_probe(connection, len(frame), late)
            self.queues.put(connection, frame, now)
        else:
            connection.broken = True
            self._end(connection, timer.gone, now)
