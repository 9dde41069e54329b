"""The server's protocol core, without I/O: what each frame changes, and what is to be sent. No thread and no clock.

Octets and the time come in as arguments; frames to be sent lie in each connection's `outbox`, and `queues.touched`
names the connections that want attention. A caller with several threads holds one lock around each call, so that a
frame takes effect at one moment for all connections (R-ANS-3).

The rows of the spec say what happens. What their conditions and effects mean is in `users` and `relations`, what is
said in `tells`, what waits for a hash or for the disk in `slow`, and what must not overtake that in `claims`. How a
connection begins, moves and ends is in `lifecycle`, when something is due in `deadlines`, and how a whole run of lines
is relayed at once in `relay`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from pychat.spec.forms import Variable
from pychat.spec.model import MOST_PUSHED, Outcome, Spec, Timer

from .addresses import group
from .admission import Admission, Reminders
from .claims import Claims
from .codec import BadFrame, Codec, Frame, LineTooLong
from .connection import Connection
from .deadlines import Deadlines
from .lifecycle import Lifecycle, Log
from .machine import partner_event
from .queues import Queues
from .relations import Change
from .relay import SHORT, compile_relays
from .slow import FIRST, LAST, Line, Result, Results, SlowRows, Waiting, Work
from .tells import Tells
from .users import Users


def no_log(event: str, **fields: object) -> None:
    """Drops an event."""


TURN = 128  # frames that one connection may have handled before all others have had their turn,
TURN_OCTETS = 65536  # … and octets that may have been put into its own queue meanwhile
NUMBER = Variable("number")


class Hub:
    """All connections of a server. `now` is the time in seconds, which never goes back.

    `max_connections` are admitted, and of them `per_address` from one address other than loopback; without it, the
    spec's share. Without `bulk`, every frame is handled by itself. A hub that is `checked` asserts after each frame
    that what the spec says of its relations holds; that costs time for each of their tuples. Slow work is given
    to `on_work` (the list `work`, until another one is set), and its result to `complete`; `at_once` gives the result
    without a wait instead.
    """

    def __init__(
        self,
        spec: Spec,
        max_connections: int = 10_000,
        log: Log = no_log,
        bulk: bool = True,
        per_address: int | None = None,
        checked: bool = False,
        at_once: Callable[[Work], Result] | None = None,
    ) -> None:
        self.spec = spec
        self.checked = checked
        self.at_once = at_once
        self.codec = Codec(spec)
        self.admission = Admission(max_connections, per_address or spec.limits.address_share.of(max_connections))
        self.users = Users(spec)
        self.deadlines = Deadlines(spec)
        self.queues = Queues(self.deadlines, spec.limits.queue_mark)
        self.tells = Tells(spec, self.users, self.queues, self.codec)
        self.slow = SlowRows(spec, self.users)
        self.work: list[Work] = []
        self.on_work: Callable[[Work], None] = self.work.append
        self._line = Line()
        self._claims = Claims(spec, self.users.relations)
        self._stopped = False
        self.on_link: Callable[[Connection, Connection], None] = lambda caller, called: None
        self.log = log
        self.life = Lifecycle(spec, self.users, self.deadlines, self.queues, self.tells, self.codec, log)
        self._relays = compile_relays(spec) if bulk else {}
        self._recv = {name: state.recv for name, state in spec.states.items()}
        self._in_a_row = {state for budget in spec.budgets if budget.in_a_row for state in budget.states}
        self._final = spec.final
        self._mark = spec.limits.queue_mark
        self._stop = spec.limits.queue_stop
        self._reminders = Reminders()
        self._pushed = 0

    # What the owner of the transport calls

    def open(self, connection: Connection, address: str, now: float, loopback: bool = False) -> bool:
        """Takes a new connection; False when there is no room for it: then it is refused."""
        connection.address = address
        lack = self.admission.admit(connection, loopback=loopback)
        if lack is not None:
            self.refuse(connection, now, lack)
            return False
        self.life.begin(connection, now)
        self.tells.greet(connection, now)
        return True

    def refuse(self, connection: Connection, now: float, lack: Literal["full", "share"] = "full") -> None:
        """Says goodbye to a new connection for which there is no room (R-OPEN-1, R-OPEN-2)."""
        self.life.begin(connection, now)
        goodbye = self.spec.goodbye_when(lack)
        address, share = (connection.address, self.admission.share) if lack == "share" else (None, None)
        times = self._reminders.due(group(address) if address else lack, now)
        if times:
            code = goodbye.code if goodbye is not None else None
            self.log("refused", level="warning", code=code, address=address, share=share, times=times)
        self.life.part(connection, goodbye, now)

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

    def complete(self, connection: Connection, result: Result, now: float) -> None:
        """Takes the result of slow work, and goes on with the row that waits for it; without one, nothing happens.

        Of a connection that has ended meanwhile, what was handed to the disk stays, and is told to the others.
        """
        waiting, ended = self._line.take(connection), connection.state == self._final
        if waiting is None:
            return
        assert waiting.work is not None
        row, kind = waiting.row, waiting.work.kind
        if kind == "commit" and result == "done":
            if not ended:
                self.tells.row(connection, None, row, waiting.values, waiting.fields, now)
            self.tells.send(connection, row.tells, waiting.changes, waiting.values, waiting.fields, now)
        elif kind == "commit" or (kind == "hash" and result is None):
            self.users.relations.undo(waiting.changes)
            if not ended:
                assert row.fails is not None, "the loader checks it"
                self.tells.refuse(connection, row.verb, row.fails, now)
        elif waiting.frame is not None and not ended:
            waiting.known[kind, *waiting.work.payload] = result
            self._choose(connection, waiting.frame, waiting.known, now, waiting.turn)
        self.queues.touch(connection)
        if kind == "commit":
            self._go_on(now)
        if self._stopped:
            self.life.stop(connection, now)
        if self.checked:
            self.check()

    def lose(self, connection: Connection, now: float) -> None:
        """The connection broke: a reset, an error, or its owner gives it up."""
        connection.broken = True
        self.life.end(connection, self.spec.ending.gone, now)
        self.queues.touch(connection)
        if self.checked:
            self.check()

    def forget(self, connection: Connection) -> None:
        """The connection is closed and gone."""
        self.admission.release(connection)

    def tick(self, connection: Connection, now: float) -> None:
        """Does what is due. All that had come by then must have been received, or silence would be judged too soon."""
        for timer, late in self.deadlines.fire(connection, now):
            self._fire(connection, timer, late, now)
            if self.checked:
                self.check()
        if now >= self.deadlines.end_of_linger(connection):
            connection.broken = True
            self.queues.touch(connection)

    def shutdown(self, now: float) -> None:
        """Says goodbye to every connection (R-CLOSE-4); where something is being written, when it is answered."""
        self._stopped = True
        for connection in self.admission:
            if not self._line.is_written(connection):
                self.life.stop(connection, now)

    def is_blocked(self, connection: Connection) -> bool:
        """Whether no frame may be taken from it now (R-FLOW-1, R-FLOW-2).

        After a turn that ended by its octets it waits at the lower mark: few long lists are in its queue at a time.
        """
        partner = connection.partner
        most = self._mark if connection.sated else self._stop
        if connection.waiting:
            return True
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
                self.life.say_goodbye(connection, self.spec.goodbye_when("too-long"), now)
                return
            if line is None:
                break
            self._handle(connection, line, now)
            if self.checked:
                self.check()
        if connection.paused:
            connection.paused = False
            self.deadlines.resume(connection, now)
            self.queues.touch(connection)
        if connection.finished:
            self.life.end(connection, self.spec.ending.gone, now)
            if self.checked:
                self.check()

    def _pause(self, connection: Connection, now: float) -> None:
        if not connection.paused:
            connection.paused = True
            self.deadlines.pause(connection, now)
            self.queues.touch(connection)

    def _handle(self, connection: Connection, line: bytes, now: float) -> None:
        frame = self.codec.decode_request(line)
        if isinstance(frame, BadFrame):
            rule = self.spec.first_fault(connection.state, frame.fault, frame.verb)
            self.life.refuse_fault(connection, rule, frame.verb, now)
            return
        self._choose(connection, frame, {}, now)

    def _choose(self, connection: Connection, frame: Frame, known: Results, now: float, turn: float = LAST) -> None:
        """Takes the first row whose conditions hold; `known` are the results of slow work that was done for it.

        Where that depends on what is being written, or on a request that waits for it, this one waits behind it.
        """
        rows = self._recv[connection.state].get(frame.key)
        if rows is None:
            self.life.refuse_fault(connection, self.spec.first_fault(connection.state, None, frame.key), frame.key, now)
            return
        for outcome in rows:
            fields = frame.fields
            if outcome.slow:
                found = self.slow.examine(outcome, connection, fields, known)
                if isinstance(found, Work):
                    self._wait(connection, found, Waiting(found, outcome, frame, known, turn=turn), now)
                    return
                if found is None:
                    continue
                fields = found
            elif not self.users.hold(outcome.conditions, connection, fields):
                continue
            if self._line.waiting:
                claims = self._claims.of(outcome, connection, frame.fields)
                if self._line.is_behind(claims, turn):
                    self._line.add_behind(connection, Waiting(None, outcome, frame, known, claims=claims, turn=turn))
                    self._pause(connection, now)
                    return
            if connection.state in self._in_a_row:
                connection.faults = 0
            self._apply(connection, outcome, fields, now)
            return

    def _apply(self, connection: Connection, outcome: Outcome, fields: Mapping[str, str], now: float) -> None:
        """Carries out one row: first all that changes, then all that is told."""
        called = outcome.field_for("link")
        other = connection.partner if called is None else self.users.find(fields[called])
        fields = self.users.relations.spelled(outcome, connection, fields)
        # The names before the row changes them.
        values = {**fields, "me": connection.name, "peer": other.name if other is not None else ""}
        self.life.move(outcome.name, connection)
        if outcome.partner is not None and other is not None:
            self.life.move(partner_event(outcome), other)
        changes: list[Change] = []
        for effect in outcome.effects:
            changes += self.users.apply(effect, connection, other, fields, outcome.cause, now)
        if changes:
            values |= self.users.relations.given(changes)
            durable = self.slow.durable(changes) if outcome.slow else ()
            if durable:  # it changes relations alone; the loader checks it
                work = Work(connection, "commit", durable)
                claims = self._claims.of(outcome, connection, fields)
                waiting = Waiting(work, outcome, None, {}, changes, values, fields, claims, FIRST)
                self._wait(connection, work, waiting, now)
                return
        self.tells.row(connection, other, outcome, values, fields, now)
        if changes or outcome.tells:
            self.tells.send(connection, outcome.tells, changes, values, fields, now)
        if outcome.to is not None:
            address = connection.address if outcome.does("bind") else None
            peer = other.name if other is not None else None
            self.log(outcome.label, id=connection.id, name=connection.name or None, peer=peer, address=address)
        if outcome.to == self._final:
            self.life.close(connection, now)
        elif called is not None and other is not None:
            self.deadlines.note_call(connection, other, now)
            self.on_link(connection, other)

    def _wait(self, connection: Connection, work: Work, waiting: Waiting, now: float) -> None:
        """Gives out slow work; until it is complete, no frame is taken from the connection."""
        self._line.add(connection, waiting)
        if self.at_once is not None:
            self.complete(connection, self.at_once(work), now)
        else:
            self.on_work(work)
            self._pause(connection, now)

    def _go_on(self, now: float) -> None:
        """Takes the rows of those that waited for what is written now, in their order, by what is so now."""
        for connection, waiting in self._line.free():
            if connection.state != self._final and waiting.frame is not None:
                self._choose(connection, waiting.frame, waiting.known, now, waiting.turn)
                self.queues.touch(connection)

    def check(self) -> None:
        """Raises AssertionError, with a sentence, where an invariant or a limit of a relation is broken."""
        broken = self.users.broken()
        assert not broken, "\n".join(broken)

    def _fire(self, connection: Connection, timer: Timer, late: float, now: float) -> None:
        """Does what a timer says that is `late` by so many seconds."""
        if timer.goodbye is not None:
            self.life.say_goodbye(connection, self.spec.goodbyes[timer.goodbye], now)
        elif timer.row is None:
            connection.broken = True
            self.life.end(connection, timer.gone, now)
        elif self.users.hold(timer.row.conditions, connection, {}):
            before = connection.queued
            self._apply(connection, timer.row, self._number(timer.row), now)
            if timer.since == "silence":
                self.deadlines.note_probe(connection, connection.queued - before, late)

    def _number(self, row: Outcome) -> Mapping[str, str]:
        """The next number for the push of a timer, if there is one in it."""
        if row.answer is None or NUMBER not in row.answer.parts:
            return {}
        self._pushed = self._pushed % MOST_PUSHED + 1
        return {NUMBER.name: str(self._pushed)}
