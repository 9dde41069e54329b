"""Server mutants that mistake how much comes at once: long lines, bursts, long lists. Knows no verb and no state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pychat.spec.forms import Form
from tools.selftest.mutants.mutant import Table
from tools.selftest.mutants.reader import Reader, TooLongError

from .connection import Connection
from .engine import Server

reading: Table[Reader] = Table(Reader)
table: Table[Server] = Table(Server, near="*/LINE/*")

FEW, MANY = 50, 500  # users of a list, frames of a segment


@reading.step(Reader.cut)
def length_before_lines(self: Reader) -> bytes | None:
    """Looks for a line that is too long before it takes the lines that came before it."""
    if len(self.octets) - (self.octets.rfind(b"\n") + 1) >= self.spec.framing.max_octets:
        raise TooLongError
    return Reader.cut(self)


@reading.step(Reader.cut)
def length_of_segment(self: Reader) -> bytes | None:
    """Takes several lines for one that is too long, when together they are."""
    if len(self.octets) >= 4 * self.spec.framing.max_octets:
        raise TooLongError
    return Reader.cut(self)


@reading.step(Reader.feed)
def length_of_each_segment(self: Reader, octets: bytes) -> None:
    """Looks only at each segment for a line that is too long, not at several together."""
    size = self.spec.framing.max_octets
    kept = size - 1 if len(octets) < size else len(octets)
    Reader.feed(self, octets)
    if b"\n" not in self.octets:
        del self.octets[kept:]


@reading.step(Reader.feed)
def segments_cut(self: Reader, octets: bytes) -> None:
    """Keeps 16 KiB of a segment, and drops the rest."""
    Reader.feed(self, octets[:16384])


@reading.step(Reader.feed)
def carriage_return_of_segment_dropped(self: Reader, octets: bytes) -> None:
    """Drops a CR at the end of a segment."""
    Reader.feed(self, octets.removesuffix(b"\r") if octets != b"\r" else octets)


@reading.step(Reader.feed)
def empty_rest_kept(self: Reader, octets: bytes) -> None:
    """Takes what has no LF at the end of the stream as far as it is a whole word."""
    Reader.feed(self, octets or (b"\n" if self.octets[-1:].isalnum() else b""))


@table.engine("handles-behind-too-long")
class HandlesBehindTooLong(Server):
    """Handles the lines behind one that was too long, though it says nothing of them."""

    def pump(self, conn: Connection) -> None:
        was = conn.over, conn.partner, conn.name, conn.state
        super().pump(conn)
        place = conn.reader.octets.find(b"\n")
        if conn.over and not was[0] and len(conn.reader.octets) >= self.spec.framing.max_octets and place > 0:
            lines = bytes(conn.reader.octets[place + 1 :]).split(b"\n")
            if was[1] is not None and not was[1].over:
                for line in lines[:-1]:
                    self.write(was[1], line.decode("utf-8", "replace"))


@table.engine("burst-limited")
class BurstLimited(Server):
    """Takes some hundred frames of one segment, and drops the rest of it."""

    def pump(self, conn: Connection) -> None:
        lines = bytes(conn.reader.octets).split(b"\n")
        if len(lines) > MANY:
            conn.reader.octets[:] = b"\n".join(lines[:MANY]) + b"\n" + lines[-1]
        super().pump(conn)


@table.engine("answers-limited")
class AnswersLimited(Server):
    """Drops an answer when 16 KiB are waiting to be sent."""

    def answer(self, conn: Connection, frame: str) -> None:
        if len(conn.outbox) < 16384:
            super().answer(conn, frame)


@table.engine("list-limited", near="*/WHO/*")
class ListLimited(Server):
    """Lists some fifty users at most, and counts all."""

    def listed(self, conn: Connection) -> list[Connection]:
        return super().listed(conn)[:FEW]


@table.engine("list-limited-and-counted", near="*/WHO/*")
class ListLimitedAndCounted(Server):
    """Lists some fifty users at most, and counts those."""

    def listed(self, conn: Connection) -> list[Connection]:
        return super().listed(conn)[:FEW]

    def count(self) -> int:
        return min(super().count(), FEW)


@table.engine("count-of-one-digit", near="*/WHO/*")
class CountOfOneDigit(Server):
    """Counts up to nine users."""

    def count(self) -> int:
        return super().count() % 10 or super().count()


@table.engine("list-in-pieces", near="*/WHO/*")
class ListInPieces(Server):
    """Sends a long list in pieces, and lets other frames come between them."""

    def list_items(self, conn: Connection, form: Form, items: Sequence[Mapping[str, str]]) -> None:
        super().list_items(conn, form, items[:FEW])
        self.memory[conn] = [form.write(item) for item in items[FEW:]]

    def answer(self, conn: Connection, frame: str) -> None:
        rest = self.memory.get(conn)
        if rest:
            rest.append(frame)
        else:
            super().answer(conn, frame)

    def tick(self, now: float) -> None:
        for conn in self.connections:
            for frame in self.memory.pop(conn, []) or []:
                self.write(conn, frame)
        super().tick(now)


@table.engine("list-kept", near="*/WHO/*")
class ListKept(Server):
    """Makes the list anew only when a user has come or gone, so that who is busy may be out of date."""

    def items(self, conn: Connection, form: Form) -> list[Mapping[str, str]]:
        key = tuple(self.users)
        if self.memory.get("key") != key:
            self.memory["key"], self.memory["items"] = key, super().items(conn, form)
        found: list[Mapping[str, str]] = self.memory["items"]
        return found
