"""A correct small server of any spec, made of small steps, so that a mutant can replace exactly one of them.

It interprets the rows of the spec each time a frame comes; nothing is compiled and nothing is fast. It knows no socket
and no clock (`now` is an argument), no verb and no state by name, and it shares no code with what it is compared with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from pychat.spec.forms import Form, Template, Variable
from pychat.spec.model import MOST_PUSHED, Goodbye, Outcome, PartnerEffect, Spec, Timer, When
from pychat.spec.terms import Effect, Tell
from tools.selftest.mutants.reader import Reader, TooLongError

from .connection import Connection, FaultyFrameError
from .users import Users

Closing = Literal["linger", "reset", "abrupt", "open"]


class Server(Users):
    """All connections. `closing` tells the owner of the sockets how to end them."""

    closing: Closing = "linger"
    hurries = True  # when it is stopped: it does not wait for those that do not close
    serves_latecomers = False  # when it is stopped: it goes on listening
    discards = True  # what comes after the last frame is read
    reader = Reader

    def __init__(self, spec: Spec, limit: int = 1000) -> None:
        super().__init__(spec)
        self.limit = limit
        self.pushed = 0  # by the timers
        self.at: tuple[str, Outcome | None] = ("", None)  # the state and the row that is being done, None at an end

    # --- what happens to a connection ---------------------------------------------------------------------------------

    def open(self, address: str, now: float) -> Connection:
        """A connection was accepted; one too many is told so at once."""
        self.now = now
        conn = Connection(self.reader(self.spec), self.spec.initial, address, now)
        live = [other for other in self.connections if not other.over]
        share = self.spec.limits.address_share.of(self.limit)
        crowded = not address.startswith(("127.", "::1")) and sum(other.address == address for other in live) >= share
        self.connections.append(conn)
        if self.held(conn) >= self.limit:
            self.goodbye_for(conn, "full")
        elif crowded:
            self.goodbye_for(conn, "share")
        else:
            for greeting in self.spec.greeting:
                self.push(conn, greeting, self.variables(conn, None, {}))
        return conn

    def held(self, new: Connection) -> int:
        """How much of its limit is held, without a connection that was accepted just now."""
        return sum(not conn.over for conn in self.connections if conn is not new)

    def receive(self, conn: Connection, octets: bytes, now: float) -> None:
        """Octets have come; none at all are the end of the stream."""
        self.now = now
        self.sign(conn)
        conn.reader.feed(octets)
        conn.finished |= not octets
        self.pump(conn)

    def pump(self, conn: Connection) -> None:
        """Takes the frames that may be taken now."""
        while not conn.over and not self.must_wait(conn):
            try:
                line = conn.reader.cut()
            except TooLongError:
                self.goodbye_for(conn, "too-long")
                return
            if line is not None:
                self.take(conn, line)
            elif conn.finished:
                self.finish(conn)
                return
            else:
                return

    def sent(self, conn: Connection, count: int, now: float) -> None:
        """`count` octets of the outbox were taken."""
        self.now = conn.sent_at = now
        if len(conn.outbox) > conn.own_octets:
            self.sign(conn)
        del conn.outbox[:count]
        conn.own_octets = min(conn.own_octets, len(conn.outbox))
        if len(conn.outbox) <= self.spec.limits.queue_mark:
            conn.full_since = None

    def discard(self, conn: Connection, octets: bytes, now: float) -> None:
        """Octets have come after the last frame."""
        conn.finished |= not octets

    def lose(self, conn: Connection, now: float) -> None:
        """The connection has broken."""
        self.now = now
        self.end(conn, self.lost)
        conn.outbox.clear()

    def hang_up(self, conn: Connection) -> None:
        """Ends a connection without a word, which no correct server does."""
        self.end(conn, self.lost)

    def write_first(self, conn: Connection, frame: str) -> None:
        """Puts a frame before all that waits in the outbox, which no correct server does."""
        waiting = bytes(conn.outbox)
        conn.outbox.clear()
        self.write(conn, frame)
        conn.outbox += waiting

    def closed(self, conn: Connection) -> None:
        """Its socket is closed."""
        self.connections.remove(conn)

    def stop(self) -> None:
        """The server ends: each connection gets a goodbye, and none is told that its partner is gone."""
        live = [conn for conn in self.connections if not conn.over]
        for conn in live:
            conn.partner = None
        for conn in live:
            self.goodbye_for(conn, "stop")

    def tick(self, now: float) -> None:
        """Time has passed: the deadlines that have come."""
        passed, self.now = now - self.now, now
        for conn in [conn for conn in self.connections if not conn.over]:
            if self.must_wait(conn):
                self.stand_still(conn, passed)
            for timer in self.spec.timers.values():
                start = self.start(conn, timer)
                due = start is not None and now - start >= timer.after
                if not conn.over and due and (timer.states is None or conn.state in timer.states):
                    self.run_out(conn, timer)

    def stand_still(self, conn: Connection, passed: float) -> None:
        """The clock of a silence stands still while the server does not read."""
        conn.heard_at += passed

    def start(self, conn: Connection, timer: Timer) -> float | None:
        """When the clock of a timer was started, None if it does not run."""
        since = {"accept": conn.opened_at, "silence": conn.heard_at, "full": conn.full_since, "call": conn.called_at}
        return since.get(timer.since)

    def run_out(self, conn: Connection, timer: Timer) -> None:
        """The time of a timer has come."""
        if timer.goodbye is not None:
            self.goodbye(conn, self.spec.goodbyes[timer.goodbye])
        elif timer.gone is not None:
            self.end(conn, timer.gone)
            conn.outbox.clear()
        elif timer.row is not None and timer.name not in conn.done:
            conn.done.add(timer.name)
            before = len(conn.outbox)
            if self.fits(conn, timer.row, {}):
                self.do(conn, timer.row, {})
            conn.own_octets = len(conn.outbox) - before or conn.own_octets

    # --- frames -------------------------------------------------------------------------------------------------------

    def must_wait(self, conn: Connection) -> bool:
        """Whether a full queue keeps the next frame of this connection back."""
        limits = self.spec.limits
        full = conn.partner is not None and len(conn.partner.outbox) > limits.queue_mark
        return full or len(conn.outbox) > limits.queue_stop

    def finish(self, conn: Connection) -> None:
        """The client has sent all that it will ever send, and all is answered."""
        self.end(conn, self.lost)

    def take(self, conn: Connection, line: bytes) -> None:
        """One frame takes effect."""
        try:
            verb, values = self.parse(conn, line)
            outcome = self.choose(conn, verb, values)
            if outcome is None:
                raise FaultyFrameError("state", verb)
        except FaultyFrameError as faulty:
            self.refuse_fault(conn, faulty)
            return
        self.do(conn, outcome, values)
        self.taken(conn, outcome)

    def parse(self, conn: Connection, line: bytes) -> tuple[str, dict[str, str]]:
        """The verb and the fields. Raises FaultyFrameError with the first fault in the spec's order."""
        found: list[FaultyFrameError] = []
        try:
            text = conn.reader.text(line)
        except UnicodeDecodeError:
            found.append(FaultyFrameError("encoding"))
            text = line.decode("utf-8", "surrogateescape")
        verb, values = text.split(" ")[0], None
        if self.spec.framing.any_case and verb.isascii():
            text = verb.upper() + text[len(verb) :]
            verb = verb.upper()
        if verb not in self.spec.requests:
            is_verb = re.fullmatch(self.spec.framing.verb, verb)
            found.append(FaultyFrameError("verb") if is_verb else FaultyFrameError("syntax"))
        else:
            values = conn.reader.values(self.spec.requests[verb].form, text)
            if values is None:
                found.append(FaultyFrameError("syntax", verb))
            if verb not in self.spec.states[conn.state].recv:
                found.append(FaultyFrameError("state", verb))
        for rule in self.spec.faults:
            for faulty in found:
                if faulty.answered_by(rule, conn.state):
                    raise faulty
        return verb, values or {}

    def refuse_fault(self, conn: Connection, faulty: FaultyFrameError) -> None:
        """Answers a frame that has a general fault, and counts it."""
        rule = next(rule for rule in self.spec.faults if faulty.answered_by(rule, conn.state))
        self.write(conn, self.refusal(conn, faulty.verb, rule.error))
        if faulty.verb in rule.uncounted:
            self.end_row(conn)
        else:
            self.count_fault(conn)

    def count_fault(self, conn: Connection) -> None:
        conn.faults += 1
        budget = self.spec.budget(conn.state)
        if budget is not None and conn.faults >= budget.faults and not conn.over:
            self.goodbye(conn, self.spec.goodbyes[budget.goodbye])

    def taken(self, conn: Connection, outcome: Outcome) -> None:
        """A frame without a fault was taken."""
        self.end_row(conn)

    def end_row(self, conn: Connection) -> None:
        """A frame has come that does not count as a fault."""
        budget = self.spec.budget(conn.state)
        if budget is not None and budget.in_a_row:
            conn.faults = 0

    # --- rows ---------------------------------------------------------------------------------------------------------

    def choose(self, conn: Connection, verb: str, values: Mapping[str, str]) -> Outcome | None:
        """The first row whose conditions hold."""
        return next((row for row in self.spec.states[conn.state].recv[verb] if self.fits(conn, row, values)), None)

    def fits(self, conn: Connection, row: Outcome, values: Mapping[str, str]) -> bool:
        return all(self.holds(conn, condition, values) for condition in row.conditions)

    def do(self, conn: Connection, outcome: Outcome, values: Mapping[str, str]) -> None:
        """Everything that a row says, in one step for all connections."""
        self.at = (conn.state, outcome)
        named = next((self.user(values[e.field]) for e in outcome.effects if e.field and e.kind == "link"), None)
        other = named or conn.partner
        words = self.variables(conn, other, values)
        for effect in outcome.effects:
            self.effect(conn, effect, outcome, values)
        words["me"] = conn.name or words["me"]
        words["count"] = str(self.count())
        if outcome.to is not None:
            self.move(conn, outcome.to)
        if outcome.error is not None:
            self.answer(conn, self.refusal(conn, outcome.verb, outcome.error))
        elif outcome.answer is not None:
            self.answer(conn, self.filled(outcome.answer, words))
        if outcome.partner is not None and other is not None:
            self.tell_partner(other, outcome.partner, words)
        for tell in outcome.tells:
            self.tell(conn, tell, words)
        if outcome.to == self.spec.final:
            self.quit(conn)

    @property
    def relaying(self) -> bool:
        """Whether the row that is being done relays."""
        return self.at[1] is not None and self.at[1].does("relay")

    def variables(self, conn: Connection, other: Connection | None, values: Mapping[str, str]) -> dict[str, str]:
        peer = (other.name if other is not None else None) or ""
        return {**values, "me": conn.name or "", "peer": peer, "profiles": " ".join(self.spec.profiles)}

    def effect(self, conn: Connection, effect: Effect, outcome: Outcome, values: Mapping[str, str]) -> None:
        user = self.user(values[effect.field]) if effect.field is not None else None
        steps = {"accept": self.accept, "retract": self.retract, "unlink": self.unlink, "release": self.release}
        form = self.spec.requests[outcome.verb].item if effect.kind == "list" else None
        if effect.kind in steps:
            steps[effect.kind](conn)
        elif effect.kind == "bind":
            self.bind(conn, values[effect.field or ""])
        elif effect.kind == "link" and user is not None:
            self.link(conn, user)
        elif form is not None:
            self.list_items(conn, form, self.items(conn, form))
        elif effect.kind in ("add", "drop") and effect.entry is not None:
            self.change(effect.kind, effect.entry.relation, self.asked(conn, effect.entry, values))

    def list_items(self, conn: Connection, form: Form, items: Sequence[Mapping[str, str]]) -> None:
        for item in items:
            self.write(conn, form.write(item))

    # --- moves and frames ---------------------------------------------------------------------------------------------

    def move(self, conn: Connection, state: str) -> None:
        if self.spec.states[conn.state].initial and not self.spec.states[state].initial:
            conn.faults = 0
        conn.state = state

    def tell_partner(self, other: Connection, effect: PartnerEffect, words: Mapping[str, str]) -> None:
        """What a row does to the connection at the other end."""
        if effect.to is not None:
            self.move(other, effect.to)
        self.push(other, effect.push, words)

    def tell(self, conn: Connection, tell: Tell, words: Mapping[str, str]) -> None:
        """What a row tells others than the partner."""
        for user in self.told(conn, tell, words):
            self.push(user, tell.push, words)

    def told(self, conn: Connection, tell: Tell, words: Mapping[str, str]) -> list[Connection]:
        """The users that are told."""
        user = self.user(words[tell.field or ""])
        return [user] if user is not None else []

    def answer(self, conn: Connection, frame: str) -> None:
        self.write(conn, frame)

    def push(self, other: Connection, push: Template, words: Mapping[str, str]) -> None:
        self.write(other, self.filled(push, words))

    def filled(self, template: Template, words: Mapping[str, str]) -> str:
        """A frame; the number of a timer's push is counted when it is needed."""
        counted = any(isinstance(part, Variable) and part.name == "number" for part in template.parts)
        if counted and "number" not in words:
            self.pushed = self.pushed % MOST_PUSHED + 1
        return template.fill({"number": str(self.pushed), **words})

    def refusal(self, conn: Connection, verb: str, code: str) -> str:
        return self.spec.refusal_line(verb, code, conn.name or "")

    def quit(self, conn: Connection) -> None:
        """The request that ends the connection was answered."""
        conn.over = True
        conn.sent_at = self.now

    def goodbye_for(self, conn: Connection, when: When) -> None:
        """The server ends the connection; in a spec without a goodbye for that cause, without a frame."""
        goodbye = self.spec.goodbye_when(when)
        if goodbye is None:
            self.end(conn, self.lost)
        else:
            self.goodbye(conn, goodbye)

    def goodbye(self, conn: Connection, goodbye: Goodbye) -> None:
        """The server ends the connection."""
        if goodbye.gone is None:
            conn.partner = None
        self.end(conn, goodbye.gone or "", self.spec.goodbye_line(goodbye.code))

    def end(self, conn: Connection, reason: str, last_frame: str | None = None) -> None:
        """A connection ends without its own request."""
        if conn.over:
            return
        self.at = (conn.state, None)
        ending, other = self.spec.ending, conn.partner
        words = {**self.variables(conn, other, {}), "reason": reason}
        for effect in ending.effects:
            if effect.kind == "unlink":
                self.unlink(conn)
            elif effect.kind == "release":
                self.release(conn)
        if other is not None and ending.partner is not None:
            self.tell_partner(other, ending.partner, words)
        conn.state = ending.to
        if last_frame is not None:
            self.write(conn, last_frame)
        conn.over = True
        conn.sent_at = self.now

    @property
    def lost(self) -> str:
        """The reason of an end without a goodbye."""
        return self.spec.ending.gone

    def sign(self, conn: Connection) -> None:
        """A sign of life: its silence begins anew."""
        conn.heard_at = self.now
        conn.done -= {timer.name for timer in self.spec.timers.values() if timer.since == "silence"}

    def write(self, conn: Connection, frame: str) -> None:
        if conn.over:
            return
        conn.outbox += frame.encode("utf-8", "surrogateescape") + self.spec.framing.writes
        if len(conn.outbox) > self.spec.limits.queue_mark and conn.full_since is None:
            conn.full_since = self.now
