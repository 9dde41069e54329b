"""Server mutants that mistake what a clock looks at, what a queue holds back, and how many connections there are.

They leave the table: a timer that nobody clears, one for all connections, one that each octet starts again. Knows no
verb and no state by name.
"""

from __future__ import annotations

from pychat.spec.model import Outcome, Timer
from tools.selftest.mutants.mutant import Table

from .connection import Connection, FaultyFrameError
from .engine import Server
from .users import Users

table: Table[Server] = Table(Server, near="*/TIME/*")

# --- what ends a silence ----------------------------------------------------------------------------------------------


@table.engine("replies-are-no-sign")
class RepliesAreNoSign(Server):
    """Takes the reply to its own question for nothing: only what a client says by itself ends a silence."""

    def receive(self, conn: Connection, octets: bytes, now: float) -> None:
        self.memory[conn] = conn.heard_at, set(conn.done)
        super().receive(conn, octets, now)

    def taken(self, conn: Connection, outcome: Outcome) -> None:
        super().taken(conn, outcome)
        if any(push.reply is not None and push.reply.form.verb == outcome.verb for push in self.spec.pushes.values()):
            conn.heard_at, conn.done = self.memory[conn]


@table.engine("only-a-reply-counts")
class OnlyAReplyCounts(Server):
    """After its question only the reply keeps the connection: its time of silence runs on, whatever else comes."""

    def receive(self, conn: Connection, octets: bytes, now: float) -> None:
        asked = conn.done & {timer.name for timer in self.spec.timers.values() if timer.since == "silence"}
        if asked and conn not in self.memory:
            self.memory[conn] = conn.heard_at
        super().receive(conn, octets, now)

    def taken(self, conn: Connection, outcome: Outcome) -> None:
        super().taken(conn, outcome)
        if any(push.reply is not None and push.reply.form.verb == outcome.verb for push in self.spec.pushes.values()):
            self.memory.pop(conn, None)

    def start(self, conn: Connection, timer: Timer) -> float | None:
        started = super().start(conn, timer)
        return self.memory.get(conn, started) if timer.since == "silence" and timer.row is None else started


@table.engine("one-clock-for-all")
class OneClockForAll(Server):
    """Keeps one clock of silence for all connections."""

    def sign(self, conn: Connection) -> None:
        for other in self.connections:
            super().sign(other)


@table.engine("partner-is-a-sign")
class PartnerIsASign(Server):
    """What the partner sends ends the silence of both."""

    def receive(self, conn: Connection, octets: bytes, now: float) -> None:
        super().receive(conn, octets, now)
        if conn.partner is not None:
            self.sign(conn.partner)


@table.step(Server.sent)
def sending_is_no_sign(self: Server, conn: Connection, count: int, now: float) -> None:
    """A frame that is taken does not end a silence."""
    before = conn.heard_at, set(conn.done)
    Server.sent(self, conn, count, now)
    conn.heard_at, conn.done = before


@table.step(Server.sign)
def asks_once(self: Server, conn: Connection) -> None:
    """Asks a silent connection once in its life."""
    conn.heard_at = self.now


@table.engine("asks-again-and-again")
class AsksAgainAndAgain(Server):
    """Asks again and again in one silence, as an interval timer does."""

    def run_out(self, conn: Connection, timer: Timer) -> None:
        last = self.memory.get((conn, timer.name), conn.heard_at)
        if timer.row is None or timer.since != "silence":
            super().run_out(conn, timer)
        elif self.now - max(last, conn.heard_at) >= timer.after:
            self.memory[conn, timer.name] = self.now
            super().run_out(conn, timer)
            conn.done.discard(timer.name)


@table.step(Server.stand_still)
def blocked_is_silent(self: Server, conn: Connection, passed: float) -> None:
    """The clock of a silence runs on while the server itself does not read."""


@table.engine("silence-keeps-the-name")
class SilenceKeepsTheName(Server):
    """A connection that was silent for too long keeps its name."""

    def run_out(self, conn: Connection, timer: Timer) -> None:
        name = conn.name
        super().run_out(conn, timer)
        if conn.over and name is not None:
            other = Connection(self.reader(self.spec), self.spec.initial, conn.address, self.now)
            self.connections.append(other)
            self.bind(other, name)
            self.connections.remove(other)


# --- registration -----------------------------------------------------------------------------------------------------


@table.step(Server.receive)
def octets_start_anew(self: Server, conn: Connection, octets: bytes, now: float) -> None:
    """Octets begin the time since the accept anew, as a socket's own time-out does."""
    conn.opened_at = now
    Server.receive(self, conn, octets, now)


@table.engine("counts-from-the-first-octet")
class CountsFromTheFirstOctet(Server):
    """The time since the accept begins with the first octet."""

    def receive(self, conn: Connection, octets: bytes, now: float) -> None:
        if conn not in self.memory:
            self.memory[conn] = conn.opened_at = now
        super().receive(conn, octets, now)


@table.engine("never-sends-never-ends")
class NeverSendsNeverEnds(Server):
    """A connection that has sent nothing has no clock."""

    def receive(self, conn: Connection, octets: bytes, now: float) -> None:
        self.memory[conn] = True
        super().receive(conn, octets, now)

    def start(self, conn: Connection, timer: Timer) -> float | None:
        return super().start(conn, timer) if conn in self.memory else None


@table.engine("clock-not-cleared")
class ClockNotCleared(Server):
    """The time since the accept runs on in every state."""

    def tick(self, now: float) -> None:
        super().tick(now)
        for conn in [conn for conn in self.connections if not conn.over]:
            for timer in self.spec.timers.values():
                if timer.since == "accept" and now - conn.opened_at >= timer.after and not conn.over:
                    self.run_out(conn, timer)


@table.engine("only-what-speaks-is-late")
class OnlyWhatSpeaksIsLate(Server):
    """Looks at the time since the accept with the first octets: a connection that sends nothing stays."""

    def start(self, conn: Connection, timer: Timer) -> float | None:
        silent = timer.since == "accept" and conn.heard_at == conn.opened_at
        return None if silent else super().start(conn, timer)


@table.engine("reads-nothing-after-the-last-frame")
class ReadsNothingAfterTheLastFrame(Server):
    """Waits out the linger without reading what comes."""

    discards = False


@table.engine("serves-latecomers")
class ServesLatecomers(Server):
    """Goes on listening when it is stopped, and serves the connections that come."""

    serves_latecomers = True


@table.engine("held-frames-wait-for-more")
class HeldFramesWaitForMore(Server):
    """Frames that waited for a full queue are taken with the next octets of their connection, and not before."""

    def receive(self, conn: Connection, octets: bytes, now: float) -> None:
        self.memory.pop(conn, None)
        super().receive(conn, octets, now)

    def pump(self, conn: Connection) -> None:
        if not conn.over and self.must_wait(conn):
            self.memory[conn] = self.now
        if conn not in self.memory:
            super().pump(conn)


@table.engine("last-accept-counts")
class LastAcceptCounts(Server):
    """Keeps one clock since the accept: each new connection starts that of all."""

    def open(self, address: str, now: float) -> Connection:
        for conn in self.connections:
            conn.opened_at = now
        return super().open(address, now)


@table.engine("any-attempt-is-enough")
class AnyAttemptIsEnough(Server):
    """A frame that should have led out of a state stops the state's clock, although it was refused."""

    def refuse_fault(self, conn: Connection, faulty: FaultyFrameError) -> None:
        super().refuse_fault(conn, faulty)
        rows = self.spec.states[conn.state].recv.get(faulty.verb, ())
        if any(row.to not in (None, conn.state) for row in rows):
            conn.opened_at = self.now + 1000


# --- calls ------------------------------------------------------------------------------------------------------------


@table.step(Users.link)
def one_call_at_a_time(self: Users, conn: Connection, other: Connection) -> None:
    """Keeps one clock for all calls: a new one stops the last one's."""
    for each in self.connections:
        each.called_at = None
    Users.link(self, conn, other)


# --- the linger -------------------------------------------------------------------------------------------------------


@table.step(Server.discard)
def input_prolongs_the_linger(self: Server, conn: Connection, octets: bytes, now: float) -> None:
    """Waits for the end of the stream for as long as octets come."""
    Server.discard(self, conn, octets, now)
    conn.sent_at = now


@table.step(Server.discard)
def input_ends_the_linger(self: Server, conn: Connection, octets: bytes, now: float) -> None:
    """Closes when octets come after the last frame."""
    conn.finished = True


# --- queues -----------------------------------------------------------------------------------------------------------


@table.step(Server.sent)
def full_for_ever(self: Server, conn: Connection, count: int, now: float) -> None:
    """A queue that was full once is taken for full until its time is over, although it is empty meanwhile."""
    before = conn.full_since
    Server.sent(self, conn, count, now)
    conn.full_since = before


@table.step(Server.must_wait, near="*/*/*slow*")
def blocked_until_it_drains(self: Server, conn: Connection) -> bool:
    """Waits for the queue of a partner to empty, also when the partner is gone."""
    if conn.partner is not None and Server.must_wait(self, conn):
        self.memory[conn] = conn.partner
    slow = self.memory.get(conn)
    if slow is not None and len(slow.outbox) <= self.spec.limits.queue_mark and slow.partner is conn:
        del self.memory[conn]
    return conn in self.memory or Server.must_wait(self, conn)


@table.step(Server.must_wait, near="*/*/*slow*")
def paused_for_ever(self: Server, conn: Connection) -> bool:
    """Stops reading, and never begins again."""
    if Server.must_wait(self, conn):
        self.memory[conn] = True
    return conn in self.memory


@table.step(Server.quit, near="*/*/*slow*")
def quits_without_its_queue(self: Server, conn: Connection) -> None:
    """Drops what is queued for a connection that says that it ends, but for the last frame."""
    Server.quit(self, conn)
    del conn.outbox[: conn.outbox.rfind(b"\n", 0, -1) + 1]


@table.step(Server.finish, near="*/*/*slow*")
def finishes_without_its_queue(self: Server, conn: Connection) -> None:
    """Drops what is queued for a connection that has finished sending."""
    Server.finish(self, conn)
    conn.outbox.clear()


@table.step(Users.unlink, near="*/*/*slow*")
def leaves_without_its_queue(self: Users, conn: Connection) -> None:
    """Drops what is queued for a connection when its chat is over."""
    Users.unlink(self, conn)
    conn.outbox.clear()


# --- how many connections there are -----------------------------------------------------------------------------------


class Counting(Server):
    """The base of mutants that count connections up and down. `believed` is how many they believe in."""

    believed = 0

    def open(self, address: str, now: float) -> Connection:
        conn = super().open(address, now)
        self.memory[conn] = not conn.over  # whether it was admitted
        self.believed += not conn.over
        return conn

    def held(self, new: Connection) -> int:
        return self.believed

    def closed(self, conn: Connection) -> None:
        super().closed(conn)
        self.believed -= self.memory[conn]


@table.engine("refused-give-room-back", near="*/OPEN/*")
class RefusedGiveRoomBack(Counting):
    """Counts each close down, that of a connection which was turned away too."""

    def closed(self, conn: Connection) -> None:
        super().closed(conn)
        self.believed -= not self.memory[conn]


@table.engine("refused-hold-room", near="*/OPEN/*")
class RefusedHoldRoom(Counting):
    """A connection that is turned away is counted until it is closed."""

    def held(self, new: Connection) -> int:
        return len(self.connections) - 1


@table.engine("resets-hold-room", near="*/OPEN/*")
class ResetsHoldRoom(Counting):
    """Does not count a connection down that was reset."""

    def lose(self, conn: Connection, now: float) -> None:
        super().lose(conn, now)
        self.believed += 1


@table.engine("goodbyes-hold-room", near="*/OPEN/*")
class GoodbyesHoldRoom(Counting):
    """Does not count a connection down to which the server has said goodbye."""

    def closed(self, conn: Connection) -> None:
        super().closed(conn)
        self.believed += conn.faults > 1


@table.engine("counted-down-twice", near="*/OPEN/*")
class CountedDownTwice(Counting):
    """Counts a connection down when it ends by a request, and again when it is closed."""

    def quit(self, conn: Connection) -> None:
        super().quit(conn)
        self.believed -= 1


@table.engine("full-for-good", near="*/OPEN/*")
class FullForGood(Server):
    """Was full once, and is full for good."""

    def held(self, new: Connection) -> int:
        held = super().held(new)
        if held >= self.limit:
            self.memory["full"] = True
        return self.limit if "full" in self.memory else held


# --- the end of the server --------------------------------------------------------------------------------------------

table.engine("waits-for-all-to-close", near="*/STOP/*")(
    type("WaitsForAll", (Server,), {"hurries": False, "__doc__": "Ends only when all connections are closed."})
)


@table.step(Server.stop, near="*/STOP/*")
def stops_for_those_with_a_name(self: Server) -> None:
    """Says goodbye only to those that have a name."""
    for conn in self.connections:
        if conn.name is None and not conn.over:
            self.hang_up(conn)
    Server.stop(self)
