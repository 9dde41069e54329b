"""More lines than are taken: that a server does not read, and what becomes of each line when it reads again.

That it does not read is shown by octets that it no longer takes, while it answers another connection. The system's own
buffers lie between, so more than they can hold is offered, and a server that takes all of it has kept it in memory.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from conformance.oracle.frames import matches, quote

from .actions import Numbered
from .failures import MismatchError, OvertakenError
from .inbox import Inbox
from .kernel import peer_of
from .stage import Stage

OFFERED = 40 << 20  # octets; the system holds some megabytes for each of the two connections
BLOCK = 1 << 18  # octets that are offered at a time
STUCK = 0.4  # seconds in which nothing was taken, while the server answered another connection
SLOW = 8.0  # seconds, after which a server is too slow for this that has read less than …
MIB = 1 << 20  # octets a second
CHECKED = 40_000  # lines that are read and compared
MOMENT = 0.1  # seconds, after which both ends are looked at again


def pour(lines: Numbered, most: int, offer: Callable[[bytes], int]) -> tuple[int, bytes]:
    """Offers lines until none of their octets is taken, or `most` are: how many were, and what was offered in vain."""
    offered, taken, waiting = 0, 0, b""
    while taken < most:
        while len(waiting) < BLOCK:
            waiting += lines.octets(offered)
            offered += 1
        sent = offer(waiting)
        if not sent:
            break
        taken, waiting = taken + sent, waiting[sent:]
    return taken, waiting


def _require_end(taken: int) -> None:
    """Raises MismatchError for a server that has taken more octets than the system's buffers can hold."""
    if taken >= OFFERED:
        more = f"one that took {taken >> 20} MiB for a connection that reads nothing"
        raise MismatchError("a server that stops reading", more)


class Backlog:
    """The lines that one connection sends until no more are taken. Raises MismatchError."""

    def __init__(self, sender: Inbox, lines: Numbered, stage: Stage) -> None:
        self.sender, self.lines, self.stage = sender, lines, stage
        self.transcript = stage.transcript
        self.count = 0  # lines that were taken, the last one perhaps in part
        self.refusals = 0
        self.rest = b""  # of the last line
        self.began = self.stuck = time.monotonic()
        self.taken = 0  # octets
        self.unread: int | None = None  # octets that the server has not read, where the system shows that

    def fill(self, serves: Callable[[], bool]) -> None:
        """Offers lines until no more are taken, although the server answers another connection."""
        wire = self.sender.wire
        wire.send_little()

        def offer(octets: bytes) -> int:
            while not (sent := wire.offer(octets)) and wire.end is None:
                self.stage.deadline()  # a server that takes a little now and then is not waited for without end
                self._reads()
                full = not wire.has_room(STUCK + self.stage.conditions.slack)
                if full and not serves():
                    raise waits_for_a_reader(self.stage.patience)
                if full and not wire.has_room(0) and not self._reads():
                    return 0
                if time.monotonic() - self.began > SLOW and (self.stage.timed or self.taken < SLOW * MIB):
                    raise OvertakenError(f"a full queue: it is not full after {SLOW:g} s and {self.taken} octets")
            if wire.end is not None:
                raise MismatchError("a sender that waits", "a connection that was closed")
            self.taken += sent
            return sent

        taken, waiting = pour(self.lines, OFFERED, offer)
        _require_end(taken)
        self.stuck = time.monotonic()
        size = len(self.lines.octets(0))
        self.count = -(-taken // size)
        self.rest = waiting[: self.count * size - taken]
        self.sender.stuck, self.sender.sent_at = True, self.stuck
        self.transcript.note(wire.who, "#", text=f"{taken} octets were taken, then no more")

    def _reads(self) -> bool:
        """Whether the server has read octets since this was last asked: it does so long before there is room."""
        theirs = peer_of(self.sender.wire.stream)
        before, self.unread = self.unread, theirs.unread if theirs is not None else None
        return self.unread is not None and (self.unread != before or self.unread == 0)

    def top_up(self) -> None:
        """Offers more where the server has taken more meanwhile, as on a busy machine; then it is stuck from now on."""
        if self._reads():
            self.stuck = self.sender.sent_at = time.monotonic()
        size = len(self.lines.octets(0))
        while self.sender.wire.has_room(0):
            more = b"".join(self.lines.octets(self.count + place) for place in range(-(-BLOCK // size)))
            sent = self.sender.wire.offer(self.rest + more)
            if not sent:
                return
            new = max(0, sent - len(self.rest))
            self.rest = (self.rest + more)[sent : len(self.rest) + -(-new // size) * size]
            self.count += -(-new // size)
            self.stuck = self.sender.sent_at = time.monotonic()
            _require_end(self.count * size)

    def read_on(self, reader: Inbox, lines: Numbered) -> None:
        """Each line that was not refused comes to the reader, in order; after CHECKED of them it stops reading."""
        reader.wire.read_on()
        due = self.count - self.refusals
        total = min(due, CHECKED)
        self.transcript.note(reader.wire.who, "#", text=f"reads on: {due} lines are due")
        self.transcript.quiet = True
        number, wanted, more, rest = 0, b"", b"", b""
        questions = _questions(reader)
        try:
            while (number < total or wanted) and not more:
                behind = self.count - bool(self.rest) - number  # whole lines that were not looked at
                came = self._next(reader, whole=behind > 0 or (behind == 0 and bool(wanted)))
                whole, ending, rest = (rest + came).rpartition(b"\n")
                octets = questions.sub(b"", whole + ending)
                if came and not octets and len(rest) <= reader.spec.framing.max_octets:
                    continue  # the rest of a line is still to come
                if not octets:
                    octets, rest = rest, b""
                while len(wanted) < max(1, len(octets)) and number < total:
                    wanted += lines.octets(number)
                    number += 1
                same, more = octets[: len(wanted)], octets[len(wanted) :]
                if not octets or not wanted.startswith(same):
                    raise _mismatch(reader, wanted, octets, f"one of {total} lines")
                wanted = wanted[len(same) :]
        finally:
            self.transcript.quiet = False
        if total < due:
            reader.wire.stop_reading()
        else:
            self.sender.stuck = False
            reader.take(more + rest)

    def refused(self, text: str) -> None:
        """Each line that was not taken yet is refused, and the sender's next request is answered."""
        sender, token = self.sender, self.sender.barrier.token()
        self.transcript.quiet = True
        sender.tokens.append(token)
        self.rest += sender.barrier.request(token)
        try:
            while sender.tokens:
                octets = self._next(sender)
                sender.take(octets)
                while sender.units:
                    unit = sender.units.popleft()
                    if unit.flaw or not matches(text, unit.text):
                        raise MismatchError(f"{sender.wire.who} < {text}", f"{sender.wire.who} < {unit}")
                    self.refusals += 1
                    sender.total -= 1
                if sender.tokens and not octets:
                    raise MismatchError("a sender that is read again", sender.seen)
        finally:
            self.transcript.quiet = False
        sender.stuck = False
        self.transcript.note(sender.wire.who, "#", text=f"{self.refusals} lines were refused")

    def _next(self, reader: Inbox, *, whole: bool = False) -> bytes:
        """The next octets to the reader, none at its end or if none come; meanwhile the sender sends its rest.

        But not while only `whole` lines are looked at: they must come although the sender sends nothing more.
        """
        deadline = self.stage.deadline()
        while not reader.ended and time.monotonic() < deadline:
            if self.rest and not whole:
                self.rest = self.rest[self.sender.wire.offer(self.rest) :]
            octets = reader.wire.read(min(deadline, time.monotonic() + (MOMENT if self.rest else STUCK)))
            if octets:
                return octets
        return b""


def waits_for_a_reader(seconds: float) -> MismatchError:
    """What is wrong with a server that answers nobody while one connection reads nothing."""
    return MismatchError("an answer to another connection meanwhile", f"nothing for {seconds:g} s", timed_out=True)


def _questions(reader: Inbox) -> re.Pattern[bytes]:
    """The whole lines that may stand between others at any time, since a client must reply to them."""
    verbs = [re.escape(push.form.verb.encode()) for push in reader.spec.pushes.values() if push.reply is not None]
    return re.compile(rb"^(?:%s)(?: [^\n]*)?\n" % b"|".join(verbs), re.MULTILINE) if verbs else re.compile(rb"(?!)")


def _mismatch(reader: Inbox, wanted: bytes, octets: bytes, many: str) -> MismatchError:
    """The first line that is not the wanted one."""
    place = next((i for i, (one, other) in enumerate(zip(wanted, octets, strict=False)) if one != other), len(octets))
    line, other = (text[text.rfind(b"\n", 0, place) + 1 :].partition(b"\n")[0] for text in (wanted, octets))
    who = reader.wire.who
    return MismatchError(f"{who} < {quote(line, 60)}, {many}", f"{who} < {quote(other, 60)}" if octets else reader.seen)
