"""One connection to a server: what has come on it, as frames, bounded; whether it is what was due. Knows no verb.

A unit is a frame, or a listing with its answer. The answers to barrier requests are taken out as they come, in order.
A push that wants a reply is answered at once, as a client must, and noted: it may come at any time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from conformance.oracle.frames import Received, matches, parse_reply, quote
from conformance.oracle.model import Due, Items, Text
from conformance.oracle.names import shared_types
from conformance.oracle.probe import Barrier
from pychat.spec import Spec
from pychat.spec.forms import Field

from .conditions import Conditions
from .failures import ExcessError
from .wire import Wire

BOUND = 1 << 20  # octets that may wait unread; no script is owed so much
ALL = 16 << 20  # octets in a whole case, but for those of a flood


@dataclass(frozen=True, slots=True)
class Unit:
    """A frame; with `items` it is the answer that ended them. `flaw` says why it is no frame of a server."""

    text: str
    items: tuple[str, ...] | None = None
    flaw: str | None = None

    def __str__(self) -> str:
        shown = " / ".join(filter(None, [*(self.items or ()), self.text]))
        return f"{shown} ({self.flaw})" if self.flaw else shown


class Inbox:
    """The frames of one connection. `total` counts the units that ever came."""

    def __init__(self, spec: Spec, wire: Wire, barrier: Barrier) -> None:
        self.spec = spec
        self.wire = wire
        self.barrier = barrier
        self.units: deque[Unit] = deque()
        self.total = 0
        self.tokens: deque[str] = deque()  # of barrier requests that are not answered yet
        self.conditions = Conditions()
        self._asked: deque[tuple[str, float]] = deque()  # barrier requests, and when they were sent
        self.notes: list[str] = []
        self.answers = True  # pushes that want a reply get it at once …
        self.passive = False  # they are read and get none
        self.surprised = True  # … and are noted, unless a play tests silence
        self.sent_at = 0.0  # a moment before the last octets were sent
        self.moved_at = 0.0  # when the last frame came that was no such push
        self.partial = False  # half a line was sent
        self.stuck = False  # the server takes no more octets of it
        self.rest = b""  # octets without an ending
        self._items: list[str] = []
        self._unread = self._all = 0  # octets that have come, since they were last counted and in all
        self._skipping = False  # the rest of a line that was too long is on its way

    def send(self, octets: bytes, deadline: float, step: int = 0) -> bool:
        """Sends octets, `step` at a time (0: as many as are taken); whether all were taken before the deadline."""
        self.sent_at = time.monotonic()
        self.partial = not octets.endswith(b"\n")
        return self.wire.send(octets, deadline, step) == len(octets)

    @property
    def may_ask(self) -> bool:
        """Whether a barrier request could be answered now."""
        return not (self.ended or self.wire.finished or self.wire.pause or self.partial or self.stuck)

    @property
    def is_unsure(self) -> bool:
        """Whether nothing can show now that the server has handled all that was sent."""
        return self.wire.left or (not self.ended and (self.wire.pause or self.partial or self.stuck))

    def ask(self, deadline: float) -> bool:
        """Sends a barrier request; False where it could not be answered."""
        if not self.may_ask:
            return False
        self.tokens.append(self.barrier.token())
        self._asked.append((self.tokens[-1], time.monotonic()))
        self.send(self.barrier.request(self.tokens[-1]), deadline)
        return True

    def wait(self, done: Callable[[], bool], deadline: float) -> bool:
        """Takes in what comes until it is `done`, or the stream has ended; False at the deadline."""
        while not done() and not self.ended:
            if not self.pump(deadline) and time.monotonic() >= deadline:
                return False
        return True

    def next(self, deadline: float) -> Unit | None:
        """The next unit, None at the deadline or the end of the stream."""
        self.wait(lambda: bool(self.units), deadline)
        return self.units.popleft() if self.units else None

    def pump(self, deadline: float) -> bool:
        """Takes in what comes next; False when nothing came before the deadline, or the stream has ended."""
        octets = self.wire.read(deadline)
        if not octets:
            return False
        self.take(octets)
        self._unread += len(octets)
        self._all += len(octets)
        if self._unread > BOUND and not self._skipping:
            self._unread = sum(len(unit.text) for unit in self.units) + sum(map(len, self._items))
        if self._unread > BOUND or len(self.units) > BOUND // 64 or self._all > ALL:
            raise ExcessError(f"{self.wire.who} got {self._all} octets and more, which no script is owed")
        return True

    def take(self, octets: bytes) -> None:
        """Takes in octets that have come."""
        *lines, self.rest = (self.rest + octets).split(b"\n")
        for line in lines[self._skipping :]:
            self._line(line)
        self._skipping = self._skipping and not lines
        if self._skipping:
            self.rest = b""
        elif len(self.rest) > self.spec.framing.max_octets:
            self._unit(Unit(quote(self.rest), flaw="longer than any frame, and no ending"))
            self.rest, self._skipping = b"", True

    def drain(self) -> None:
        """Takes in what is here already."""
        while self.pump(time.monotonic()):
            pass

    @property
    def ended(self) -> bool:
        return self.wire.end is not None

    @property
    def seen(self) -> str:
        """What is there now, as a line of a transcript."""
        if self.units:
            return f"{self.wire.who} < {self.units[0]}"
        ends = {"FIN": "the end of the stream", "RST": "a reset"}
        return f"{self.wire.who} < {ends[self.wire.end]}" if self.wire.end else "nothing"

    def _line(self, line: bytes) -> None:
        unit, got = self._read(line)
        if self._items and self._is_endless(self._items[0]) and (got is None or got.reply.kind != "item"):
            self._unit(Unit("", tuple(self._items)))
            self._items = []
        if unit.flaw is None and self.tokens and unit.text == self.barrier.answer(self.tokens[0]):
            self._answered(self.tokens.popleft())
            return
        if got is not None and got.reply.kind == "push":
            push = self.spec.pushes[got.reply.form.verb]
            if push.reply is not None:
                if not self.answers:
                    self._unit(unit)
                    return
                if self.partial or self.stuck or self.passive:
                    return  # its answer would stand in the middle of a line, or would be the first octet of all
                answer = push.reply.fill(got.values).encode() + self.spec.framing.writes
                self.send(answer, time.monotonic() + 1)
                if self.surprised:
                    self.notes.append(f"{self.wire.who} got {unit.text} before any silence, and answered it")
                return
        self.moved_at = time.monotonic()
        if got is not None and got.reply.kind == "item":
            self._items.append(unit.text)
            return
        lists = got is not None and got.reply.verb is not None and self.spec.requests[got.reply.verb].item is not None
        if lists or self._items:
            flaw = unit.flaw or (None if lists else "between the items of a listing and its answer")
            unit = Unit(unit.text, tuple(self._items), flaw)
            self._items = []
        self._unit(unit)

    def _answered(self, token: str) -> None:
        """A barrier's answer has come; it may be one that was not asked for here."""
        self.moved_at = time.monotonic()
        if self._asked and self._asked[0][0] == token:
            self.conditions.saw(self.moved_at - self._asked.popleft()[1])

    def _is_endless(self, item: str) -> bool:
        """Whether the list of this item has no answer that ends it."""
        got = parse_reply(self.spec, item)
        return got is not None and got.reply.verb is not None and self.spec.requests[got.reply.verb].answer is None

    def _read(self, line: bytes) -> tuple[Unit, Received | None]:
        """A line as a unit, and which frame it is."""
        flaw, carriage = None, self.spec.framing.writes == b"\r\n"
        if carriage and not line.endswith(b"\r"):
            flaw = "ended by LF alone; a server writes CRLF"
        elif line.endswith(b"\r"):
            line, flaw = line[:-1], None if carriage else "ended by CRLF; a server writes LF alone"
        try:
            text = line.decode()
        except UnicodeDecodeError:
            return Unit(quote(line), flaw="not UTF-8"), None
        if flaw is None and len(line) + len(self.spec.framing.writes) > self.spec.framing.max_octets:
            flaw = "longer than any frame"
        got = parse_reply(self.spec, text) if flaw is None else None
        if flaw is None and got is None:
            flaw = "no frame that a server may send"
        return Unit(text, flaw=flaw), got

    def _unit(self, unit: Unit) -> None:
        self.units.append(unit)
        self.total += 1


def difference(spec: Spec, due: Due, unit: Unit) -> str | None:
    """None if the unit is what is due, else what it is."""
    if unit.flaw is not None:
        return str(unit)
    if isinstance(due, Text):
        return None if unit.items is None and matches(due.text, unit.text) else str(unit)
    assert isinstance(due, Items)
    return str(unit) if unit.items is None else _other_listing(spec, due, unit.text, unit.items)


def _other_listing(spec: Spec, due: Items, answer: str, items: tuple[str, ...]) -> str | None:
    """Those of other plays may be listed too; those of this play must be listed once each, as they are due."""
    shared = shared_types(spec)
    own = [_key(spec, item, shared) for item in due.items]
    keys = [_key(spec, item, shared) for item in items]
    seen = [item for item, key in zip(items, keys, strict=True) if key in own]
    others = len(items) - len(due.items)
    if not _are_same(due.items, seen):
        return f"{' / '.join(seen) or 'none of them'} and {len(items) - len(seen)} others"
    if len(set(own)) == len(own) and len(set(keys)) < len(keys):
        return "one that is listed twice"
    if not due.answer:
        return None if not answer else f"{len(items)} items and {answer}"
    got, wanted = parse_reply(spec, answer), parse_reply(spec, due.answer)
    assert got is not None
    assert wanted is not None
    counted = {
        name: str(int(value) + others) if value.isdecimal() else value for name, value in wanted.values.items()
    }  # fmt: skip
    if got.reply.key != wanted.reply.key or got.values != counted:
        return f"{len(items)} items and {answer}"
    return None


def _are_same(wanted: Iterable[str], seen: Iterable[str]) -> bool:
    """Whether these are the wanted items, in any order."""
    left = list(seen)
    for item in wanted:
        found = next((other for other in left if matches(item, other)), None)
        if found is None:
            return False
        left.remove(found)
    return not left


def _key(spec: Spec, item: str, shared: set[str]) -> tuple[str, ...]:
    """What tells an item of a play from those of other plays: its values of `shared` types, without case."""
    reply = spec.reply_of(item)
    parts = reply.form.parts if reply is not None else ()
    words = zip(parts, item.split(" ", max(0, len(parts) - 1)), strict=False)
    fields = ((part.type, word) for part, word in words if isinstance(part, Field))
    return tuple(spec.types[kind].fold(word) for kind, word in fields if kind in shared)
