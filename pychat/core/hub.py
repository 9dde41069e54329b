"""The server's mind: who is there, who talks with whom, and what is to be sent. No sockets, no threads, no clock.

Octets and the time come in as arguments; frames to be sent lie in each connection's `outbox`, and `touched` names the
connections that want attention. Whoever calls from several threads holds one lock around each call, so that a frame
takes effect at one moment for all connections (R-ANS-3).

The rows of the spec say what happens; this file knows what their conditions and effects mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from pychat.spec.model import ANY_VERB, MOST_PUSHED, Condition, Effect, Fault, Goodbye, Outcome, Spec, Timer

from .addresses import group
from .admission import Admission, Reminders
from .codec import BadFrame, Codec, Frame, LineTooLong, Splitter
from .connection import Connection
from .deadlines import Deadlines
from .machine import ENDING, ENDING_PARTNER, partner_event, server_machine
from .relay import SHORT, compile_runs
from .roster import Roster

Log = Callable[..., None]


def no_log(event: str, **fields: object) -> None:
    """For who wants no log."""


JOINED = 4096  # octets up to which what is to be sent is joined to what waits already
SHARED = 512  # octets from which a list is not copied into a queue
TURN = 128  # frames that one connection may have handled before all others have had their turn,
TURN_OCTETS = 65536  # … and octets that may have been put into its own queue meanwhile


class Hub:
    """All connections of a server. Every method takes the time in seconds, which never goes back.

    `max_connections` are admitted, and of them `per_address` from one address other than loopback; the spec's share
    without it.
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
        self.names: dict[str, Connection] = {}
        self.touched: list[Connection] = []
        self.on_link: Callable[[Connection, Connection], None] = lambda caller, called: None
        self.log = log
        self._events = server_machine(spec).events
        self._runs = compile_runs(spec) if bulk else {}
        self._recv = {name: state.recv for name, state in spec.states.items()}
        self._budgets = {name: spec.budget(name) for name in spec.states}
        self._in_a_row = {state for budget in spec.budgets if budget.in_a_row for state in budget.states}
        self._longest = spec.framing.max_octets
        self._fault_rules = {rule.fault: rule for rule in spec.faults}
        self._deadlines = Deadlines(spec)
        self._lasting = self._deadlines.lasting
        self._profiles = " ".join(spec.profiles)
        self._final = spec.final
        self._mark = spec.limits.queue_mark
        self._stop = spec.limits.queue_stop
        self._key = spec.types[spec.link.key]
        self._refusals: dict[tuple[str, str], bytes] = {}
        self._roster = Roster(spec)
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
        connection.opened = connection.active = now

    def receive(self, connection: Connection, octets: bytes, now: float) -> None:
        """Takes octets that have come. What comes after the last frame is discarded."""
        run = self.take_run(connection, octets, now)
        if run is not None:
            assert connection.partner is not None, "take_run has seen to it"
            self.put(connection.partner, run, now)
        elif connection.state != self._final:
            self._deadlines.heard(connection, now)
            connection.splitter.feed(octets)
            self._advance(connection, now)

    def take_run(self, connection: Connection, octets: bytes, now: float) -> bytes | None:
        """Takes octets that are a run of lines for the partner (see `relay`); None, and nothing done, if they are not.

        The caller gives the run to the partner before anything else: with `put`, or straight to the network.
        """
        partner = connection.partner
        if partner is None or not connection.accepted or connection.paused or connection.held:
            return None
        run = self._runs.get(connection.state)
        if run is None:
            return None
        splitter = connection.splitter
        if len(octets) <= SHORT and not splitter.buffer and run.short(octets) and partner.queued <= self._mark - SHORT:
            whole = octets  # a short line, the commonest of all, by itself
        else:
            if splitter.buffer:  # an attribute, because a method is called for each line
                octets = splitter.rest() + octets
            end = octets.rfind(b"\n") + 1
            rest = len(octets) - end
            # As in the step-by-step way, the queue is not above its mark before any of these frames.
            if not end or rest >= self._longest or partner.queued + end > self._mark:
                return None
            forwarded = run.forwarded(octets[:end] if rest else octets)
            if forwarded is None:
                return None
            whole = forwarded
            if rest or splitter.buffer:
                splitter.replace(octets[end:])
        if connection.faults and connection.state in self._in_a_row:
            connection.faults = 0
        connection.active = now
        if connection.fired:
            connection.fired &= self._lasting
        return whole

    def put(self, connection: Connection, octets: bytes, now: float) -> None:
        """Adds octets to what is to be sent. Small ones are joined, since each chunk costs memory of its own."""
        if octets:
            outbox = connection.outbox
            if outbox and len(outbox[-1]) + len(octets) <= JOINED:
                outbox[-1] += octets
            else:
                outbox.append(octets)
            self._queue(connection, len(octets), now)

    def _put_shared(self, connection: Connection, chunks: Sequence[bytes], now: float) -> None:
        """Adds octets that other queues share, if there are enough of them to be worth a chunk of their own."""
        octets = sum(map(len, chunks))
        if octets < SHARED:
            self.put(connection, b"".join(chunks), now)
        else:
            connection.outbox += [*chunks, b""]  # what follows is joined to the empty chunk, and copies none of them
            self._queue(connection, octets, now)

    def put_back(self, connection: Connection, octets: bytes, now: float) -> None:
        """Puts octets before all others: the rest of what the network has taken in part."""
        connection.outbox.insert(0, octets)
        self._queue(connection, len(octets), now)

    def _queue(self, connection: Connection, octets: int, now: float) -> None:
        connection.queued += octets
        if connection.queued > self._mark and connection.full_since is None:
            connection.full_since = now
        self.touch(connection)

    def delivered(self, connection: Connection, now: float) -> None:
        """The network took octets that were never queued."""
        self._deadlines.heard(connection, now)

    def resume(self, connection: Connection, now: float) -> None:
        """Goes on with a connection that was paused or held, if nothing stands in its way any more."""
        connection.turn_over = False
        if connection.state != self._final:
            self._advance(connection, now)

    def finish(self, connection: Connection, now: float) -> None:
        """The peer has ended its sending half: what came before is handled and answered (R-CLOSE-2)."""
        connection.finished = True
        if connection.state != self._final:
            self._advance(connection, now)
        else:
            self.touch(connection)

    def lose(self, connection: Connection, now: float) -> None:
        """The connection broke: a reset, an error, or its owner gives it up."""
        connection.broken = True
        self._end(connection, self.spec.ending.gone, now)
        self.touch(connection)

    def sent(self, connection: Connection, octets: int, now: float) -> None:
        """The network took so many octets of the outbox."""
        connection.queued -= octets
        if connection.probing:  # that the network took our own probe says nothing about the peer
            probing = min(octets, connection.probing)
            connection.probing -= probing
            octets -= probing
        if octets:
            self._deadlines.heard(connection, now)
        if connection.queued <= self._mark:
            connection.full_since = None
            partner = connection.partner
            if partner is not None and partner.paused:
                self.touch(partner)
        if connection.paused:
            self.touch(connection)

    def moves(self, connection: Connection, octets: int, now: float) -> bool:
        """Whether so many octets are enough to say that the peer of a full queue reads; then its clock begins anew."""
        if octets < self._mark:
            return False
        connection.full_since = now
        return True

    def forget(self, connection: Connection) -> None:
        """The connection is closed and gone."""
        self.admission.release(connection)

    def due(self, connection: Connection, now: float) -> float:
        """The time of the next look at a connection; infinity when there is nothing to wait for."""
        return self._deadlines.next(connection, now)

    def tick(self, connection: Connection, now: float) -> None:
        """Does what is due. All that had come by then must have been received, or silence would be judged too soon."""
        for timer, late in self._deadlines.fire(connection, now):
            self._fire(connection, timer, late, now)
        if now >= self._deadlines.end_of_linger(connection):
            connection.broken = True
            self.touch(connection)

    def shutdown(self, now: float) -> None:
        """Says goodbye to everybody (R-CLOSE-4)."""
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

    def take_touched(self) -> list[Connection]:
        """The connections that want attention since the last call: to be flushed, resumed or closed."""
        touched = self.touched
        if touched:
            self.touched = []
            for connection in touched:
                connection.touched = False
        return touched

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
                self.touch(connection)
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
            self._unpause(connection, now)
        if connection.finished:
            self._end(connection, self.spec.ending.gone, now)

    def _pause(self, connection: Connection, now: float) -> None:
        if not connection.paused:
            connection.paused = True
            connection.paused_since = now
            self.touch(connection)

    def _unpause(self, connection: Connection, now: float) -> None:
        connection.paused = False
        # The clock of its silence stood still (R-TIME-2); what it took meanwhile has set that clock to zero.
        connection.active += now - max(connection.paused_since, connection.active)
        self.touch(connection)

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
            if outcome.condition is None or self._holds(outcome.condition, connection, frame):
                self._apply(connection, outcome, frame, now)
                return

    def _holds(self, condition: Condition, connection: Connection, frame: Frame) -> bool:
        kind = condition.kind
        if kind == "no partner":
            return connection.partner is None
        if kind == "not accepted":
            return not connection.accepted
        value = frame.fields[str(condition.field)]
        if kind == "equals" or kind == "differs":
            return (value == condition.value) == (kind == "equals")
        user = self.names.get(self._key.fold(value))
        if kind == "unknown":
            return user is None
        if kind == "oneself":
            return user is connection
        if kind == "the partner":
            return user is not None and user is connection.partner
        if kind == "linked":
            return user is not None and user.state in self.spec.link.held_in
        return user is not None and user is not connection  # taken

    def _apply(self, connection: Connection, outcome: Outcome, frame: Frame, now: float) -> None:
        """Carries out one row: first all that changes, then all that is told."""
        other = connection.partner
        for effect in outcome.effects:
            if effect.kind == "link":
                other = self.names[self._key.fold(frame.fields[str(effect.field)])]
        values = self._values(connection, other, outcome, frame)
        if connection.state in self._in_a_row:
            connection.faults = 0
        self._move(outcome.name, connection)
        if outcome.partner is not None and other is not None:
            self._move(partner_event(outcome), other)
        for effect in outcome.effects:
            self._effect(effect, connection, other, frame)
        self._tell(connection, other, outcome, values, now)
        if outcome.to is not None:
            peer = other.name if other is not None else None
            address = connection.address if outcome.does("bind") else None
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
            self._roster.changed(connection)
            self.touch(connection)  # other timers may run in this state
            if self._budgets[connection.state] is not self._budgets[before]:
                connection.faults = 0

    def _tell(
        self, connection: Connection, other: Connection | None, outcome: Outcome, values: dict[str, str], now: float
    ) -> None:
        if outcome.error is not None:
            self.put(connection, self._refusal(outcome.verb, outcome.error), now)
        if outcome.does("list"):
            values["count"] = str(len(self._roster))
            self._put_shared(connection, self._roster.items(self.spec.requests[outcome.verb]), now)
        if outcome.answer is not None:
            self.put(connection, self.codec.encode(outcome.answer.fill(values)), now)
        if outcome.partner is not None and other is not None:
            self.put(other, self.codec.encode(outcome.partner.push.fill(values)), now)

    def _values(
        self, connection: Connection, other: Connection | None, outcome: Outcome, frame: Frame
    ) -> dict[str, str]:
        """What the variables of this row's frames stand for."""
        if outcome.answer is None and outcome.partner is None:
            return {}
        peer = other.name if other is not None else ""
        return {**frame.fields, "me": connection.name, "peer": peer, "profiles": self._profiles}

    def _effect(self, effect: Effect, connection: Connection, other: Connection | None, frame: Frame) -> None:
        match effect.kind:
            case "bind":
                connection.name = frame.fields[str(effect.field)]
                self.names[self._key.fold(connection.name)] = connection
                self._roster.add(connection)
            case "link" if other is not None:
                connection.partner, other.partner = other, connection
                connection.accepted, other.accepted = True, False
            case "accept":
                connection.accepted = True
            case "retract":
                connection.accepted = False
            case "unlink":
                self._unlink(connection)
            case "release":
                self._release(connection)
            case _:  # relay and list change nothing
                pass

    def _unlink(self, connection: Connection) -> None:
        other, connection.partner, connection.accepted = connection.partner, None, False
        if other is not None:
            other.partner, other.accepted = None, False
            if other.paused:
                self.touch(other)

    def _release(self, connection: Connection) -> None:
        if connection.name and self.names.get(self._key.fold(connection.name)) is connection:
            del self.names[self._key.fold(connection.name)]
            self._roster.remove(connection)

    # What ends a connection

    def _refuse_fault(self, connection: Connection, fault: Fault, verb: str, now: float) -> None:
        rule = self._fault_rules[fault]
        self.put(connection, self._refusal(verb, rule.error), now)
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
            values = (verb or ANY_VERB, code, self.spec.errors[code].words)
            fields = dict(zip((field.name for field in self.spec.refusal.fields), values, strict=True))
            found = self._refusals[verb, code] = self.codec.encode_reply(self.spec.refusal.key, fields)
        return found

    def _say_goodbye(self, connection: Connection, goodbye: Goodbye, now: float) -> None:
        address = None if connection.name else connection.address or None
        self.log("goodbye", id=connection.id, name=connection.name or None, code=goodbye.code, address=address)
        self._part(connection, goodbye, now)

    def _part(self, connection: Connection, goodbye: Goodbye, now: float) -> None:
        values = (goodbye.code, goodbye.words)
        fields = dict(zip((field.name for field in self.spec.goodbye.fields), values, strict=True))
        self.put(connection, self.codec.encode_reply(self.spec.goodbye.key, fields), now)
        self._end(connection, goodbye.gone, now)

    def _end(self, connection: Connection, reason: str | None, now: float) -> None:
        """Ends a connection without a request; the partner is told the reason, if there is one to tell (R-GONE-1)."""
        if connection.state == self._final:
            return
        other, ending = connection.partner, self.spec.ending
        self._move(ENDING, connection)
        if other is not None:
            self._move(ENDING_PARTNER, other)
        frame = Frame("", {})
        for effect in ending.effects:
            self._effect(effect, connection, other, frame)
        if other is not None and reason is not None:
            values = {"me": connection.name, "reason": reason}
            self.put(other, self.codec.encode(ending.partner.push.fill(values)), now)
        if connection.name:
            self.log("ended", id=connection.id, name=connection.name, reason=reason or "stop")
        self._close(connection, now)

    def _close(self, connection: Connection, now: float) -> None:
        connection.ended = connection.active = now
        connection.paused = False
        connection.splitter.replace(b"")
        self.touch(connection)

    def _fire(self, connection: Connection, timer: Timer, late: float, now: float) -> None:
        if timer.goodbye is not None:
            self._say_goodbye(connection, self.spec.goodbyes[timer.goodbye], now)
        elif timer.push is not None:
            self._pushed = self._pushed % MOST_PUSHED + 1
            form = self.spec.pushes[timer.push].form
            fields = {field.name: str(self._pushed) for field in form.fields}
            frame = self.codec.encode_reply(form.key, fields)
            connection.probing += len(frame)
            connection.active += late  # a server that stood still gives the whole time for an answer all the same
            self.put(connection, frame, now)
        else:
            connection.broken = True
            self._end(connection, timer.gone, now)

    # Small things

    def touch(self, connection: Connection) -> None:
        """Notes that a connection wants attention."""
        if not connection.touched:
            connection.touched = True
            self.touched.append(connection)
