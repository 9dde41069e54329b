"""Server mutants that send frames in a wrong order, or end connections in a wrong way. Knows no verb and no state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pychat.spec.forms import Form
from pychat.spec.model import Goodbye, Spec
from tools.selftest.mutants.mutant import Mutant, Table, variant

from .connection import Connection, FaultyFrameError
from .engine import Closing, Server

table: Table[Server] = Table(Server)

# fmt: off
table.row("pushes-overtake", "A push overtakes what waits for the same connection.", Server.push,
          lambda self, other, push, words: self.write_first(other, push.fill(words)))
table.row("answers-overtake", "Answers the requests of one segment in the reverse order.", Server.answer,
          lambda self, conn, frame: self.write_first(conn, frame))
table.row("half-close-ignored", "Does nothing when the client has finished sending.", Server.finish,
          lambda self, conn: None)
table.row("half-close-says-goodbye", "Says goodbye when the client has finished sending.", Server.finish,
          lambda self, conn: self.goodbye_for(conn, "stop"))
table.row("goodbye-missing", "Ends a connection without its goodbye.", Server.goodbye,
          lambda self, conn, goodbye: self.end(conn, goodbye.gone or ""))
table.row("goodbye-without-words", "Says goodbye without words.", Server.end,
          lambda self, conn, reason, last_frame=None:
          Server.end(self, conn, reason, " ".join(last_frame.split(" ")[:2]) if last_frame else None))
table.row("goodbye-not-last", "Sends the goodbye twice, so that something follows it.", Server.end,
          lambda self, conn, reason, last_frame=None:
          Server.end(self, conn, reason, last_frame and f"{last_frame}{self.spec.framing.writes.decode()}{last_frame}"))
table.row("ending-overtakes", "Tells the end of a chat before the last lines.", Server.push,
          lambda self, other, push, words:
          Server.push(self, other, push, words) if self.relaying or words["me"] == ""
          else self.write_first(other, push.fill(words)), near="*/{relay}/*")

CLOSINGS: tuple[tuple[str, str, Closing], ...] = (
    ("reset-instead-of-end", "Resets the connection after its last frame.", "reset"),
    ("closed-at-once", "Closes after the last frame without reading on, so that a reset may destroy it.", "abrupt"),
    ("never-closed", "Never ends its sending half.", "open"),
)
# fmt: on
for _name, _breaks, _closing in CLOSINGS:
    table.mutants.append(Mutant(_name, _breaks, variant(Server, closing=_closing)))

# --- order ------------------------------------------------------------------------------------------------------------


@table.step(Server.refuse_fault)
def faults_first(self: Server, conn: Connection, faulty: FaultyFrameError) -> None:
    """Refusals of faulty frames overtake answers."""
    waiting = bytes(conn.outbox)
    conn.outbox.clear()
    Server.refuse_fault(self, conn, faulty)
    conn.outbox[:] = waiting + conn.outbox if conn.over else conn.outbox + waiting


@table.step(Server.list_items)
def items_interrupted(self: Server, conn: Connection, form: Form, items: Sequence[Mapping[str, str]]) -> None:
    """A push of the server comes between the items of a list and its answer."""
    Server.list_items(self, conn, form, items)
    push = next((timer.row.answer for timer in self.spec.timers.values() if timer.row is not None), None)
    if push is not None:
        self.push(conn, push, self.variables(conn, conn.partner, {}))


@table.step(Server.answer)
def answer_waits_for_next(self: Server, conn: Connection, frame: str) -> None:
    """An answer waits until the next frame comes."""
    if conn in self.memory:
        self.write(conn, self.memory[conn])
    self.memory[conn] = frame


# --- ends -------------------------------------------------------------------------------------------------------------


@table.engine("half-close-cuts")
class HalfCloseCuts(Server):
    """Takes the end of the stream for the end of the connection: what came shortly before it is not taken."""

    delay = 0.03

    def receive(self, conn: Connection, octets: bytes, now: float) -> None:
        super().receive(conn, octets, now)
        if not octets:
            conn.reader.octets.clear()
            self.lose(conn, now)

    def pump(self, conn: Connection) -> None:
        if self.now - conn.heard_at > self.delay:
            super().pump(conn)


@table.step(Server.finish)
def half_close_is_quit(self: Server, conn: Connection) -> None:
    """Takes the end of the stream for the request that ends the connection."""
    for row in self.spec.states[conn.state].recv.get(self.spec.quit_verb or "", ())[-1:]:
        self.do(conn, row, {})


@table.step(Server.quit)
def goes_on_after_quit(self: Server, conn: Connection) -> None:
    """Takes what comes after the request that ends the connection."""
    conn.state = self.spec.initial
    while (line := conn.reader.cut()) is not None:
        self.take(conn, line)
    Server.quit(self, conn)


@table.step(Server.goodbye)
def goodbye_but_open(self: Server, conn: Connection, goodbye: Goodbye) -> None:
    """Says goodbye, and goes on."""
    self.write(conn, self.spec.goodbye_line(goodbye.code))
    conn.reader.octets.clear()
    conn.faults = 0


@table.step(Server.stop, near="*/STOP/*")
def stop_tells_partners(self: Server) -> None:
    """Tells every user that the partner is gone when the server stops."""
    for conn in [conn for conn in self.connections if not conn.over]:
        if conn.partner is not None and self.spec.ending.partner is not None:
            words = {**self.variables(conn, conn.partner, {}), "reason": self.lost}
            self.push(conn.partner, self.spec.ending.partner.push, words)
        conn.partner = None
    Server.stop(self)


@table.step(Server.stop, near="*/STOP/*")
def stops_silently(self: Server) -> None:
    """Stops without a goodbye."""
    for conn in self.connections:
        conn.partner = None
        self.hang_up(conn)


@table.step(Server.open, near="*/OPEN/*")
def full_hangs_up(self: Server, address: str, now: float) -> Connection:
    """Closes a connection too many without a goodbye."""
    conn = Server.open(self, address, now)
    if conn.over:
        conn.outbox.clear()
    return conn


@table.engine("never-full", near="*/OPEN/*")
class NeverFull(Server):
    """Knows no limit of connections."""

    def __init__(self, spec: Spec, limit: int = 1000) -> None:
        super().__init__(spec, 1 << 30)


@table.step(Server.take, near="*/TIME/registration*")
def any_frame_starts_anew(self: Server, conn: Connection, line: bytes) -> None:
    """A frame begins the time for registration anew."""
    conn.opened_at = self.now
    Server.take(self, conn, line)


@table.step(Server.sent, near="*/TIME/silence*")
def probes_for_ever(self: Server, conn: Connection, count: int, now: float) -> None:
    """Takes its own probe for a sign of life, so that silence never ends."""
    Server.sent(self, conn, count, now)
    self.sign(conn)


@table.step(Server.receive, near="*/TIME/probe*")
def only_frames_are_signs(self: Server, conn: Connection, octets: bytes, now: float) -> None:
    """Takes octets for silence as long as they are no whole frame."""
    before = conn.heard_at, set(conn.done)
    Server.receive(self, conn, octets, now)
    if b"\n" not in octets:
        conn.heard_at, conn.done = before
