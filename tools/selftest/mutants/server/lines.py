"""Server mutants that lose, multiply, change or misdirect lines of chats. Knows no verb and no state by name.

A push carries a line when the row that is done relays (`Server.relaying`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping

from pychat.spec.forms import Template
from pychat.spec.model import PartnerEffect
from tools.selftest.mutants.mutant import Table
from tools.selftest.mutants.shared import TEXTS

from .connection import Connection
from .engine import Server

Words = Mapping[str, str]

table: Table[Server] = Table(Server, near="*/{relay}/*")

# fmt: off
table.row("lines-swapped", "Delivers the lines of a segment with the last one first.", Server.push,
          lambda self, other, push, words:
          self.write_first(other, push.fill(words)) if self.relaying else Server.push(self, other, push, words))
# fmt: on


@table.step(Server.push)
def line_to_everybody(self: Server, other: Connection, push: Template, words: Words) -> None:
    """A line reaches everybody in a chat."""
    everybody = [user for user in self.users.values() if self.is_linked(user) and user.name != words["me"]]
    for user in everybody if self.relaying else [other]:
        Server.push(self, user, push, words)


@table.step(Server.push)
def line_to_bystanders(self: Server, other: Connection, push: Template, words: Words) -> None:
    """A line reaches the users outside of chats, too."""
    bystanders = [user for user in self.users.values() if not self.is_linked(user)]
    for user in [other, *bystanders] if self.relaying else [other]:
        Server.push(self, user, push, words)


@table.step(Server.push)
def line_to_sender(self: Server, other: Connection, push: Template, words: Words) -> None:
    """A line comes back to its sender."""
    Server.push(self, other, push, words)
    sender = self.user(words["me"])
    if self.relaying and sender is not None:
        Server.push(self, sender, push, words)


@table.engine("line-to-latest")
class LineToLatest(Server):
    """A line reaches the latest caller, also when that is another user's partner."""

    latest: Connection | None = None

    def tell_partner(self, other: Connection, effect: PartnerEffect, words: Words) -> None:
        if effect.to is not None:
            self.latest = self.user(words["me"])
        super().tell_partner(other, effect, words)

    def push(self, other: Connection, push: Template, words: Words) -> None:
        latest = self.latest
        if self.relaying and latest is not None and self.is_linked(latest) and latest.name != words["me"]:
            other = latest
        super().push(other, push, words)


@table.engine("every-second-line-lost")
class EverySecondLineLost(Server):
    """Loses every second line of a segment."""

    lines = 0

    def receive(self, conn: Connection, octets: bytes, now: float) -> None:
        self.lines = 0
        super().receive(conn, octets, now)

    def push(self, other: Connection, push: Template, words: Words) -> None:
        self.lines += self.relaying
        if not self.relaying or self.lines % 2:
            super().push(other, push, words)


@table.step(Server.push)
def equal_lines_merged(self: Server, other: Connection, push: Template, words: Words) -> None:
    """Delivers a line only once when the next one is the same."""
    frame = (other, push.fill(words))
    if not self.relaying or frame != self.memory.get("last"):
        Server.push(self, other, push, words)
    self.memory["last"] = frame


@table.engine("full-queue-drops", near="*/*/slow-*")
class FullQueueDrops(Server):
    """Reads on when the partner's queue is full, and drops the lines that have no room in it."""

    def must_wait(self, conn: Connection) -> bool:
        return len(conn.outbox) > self.spec.limits.queue_stop

    def push(self, other: Connection, push: Template, words: Words) -> None:
        if not self.relaying or len(other.outbox) <= self.spec.limits.queue_mark:
            super().push(other, push, words)


@table.engine("waiting-dropped", near="*/*/of-a-slow-*")
class WaitingDropped(Server):
    """Drops a line that waited for a partner that went, instead of refusing it."""

    def unlink(self, conn: Connection) -> None:
        other = conn.partner
        if other is not None and self.must_wait(other):
            self.memory[other] = conn
        super().unlink(conn)

    def take(self, conn: Connection, line: bytes) -> None:
        gone = self.memory.pop(conn, None)
        if gone is None:
            super().take(conn, line)
        else:
            self.take_late(conn, line, gone)

    def take_late(self, conn: Connection, line: bytes, gone: Connection) -> None:
        """The first line that comes after the partner `gone` went."""


@table.engine("waiting-delivered", near="*/*/of-a-slow-*")
class WaitingDelivered(WaitingDropped):
    """Delivers a line that waited for a partner that went, and refuses it as well."""

    def take_late(self, conn: Connection, line: bytes, gone: Connection) -> None:
        self.write(gone, line.decode())
        super().take(conn, line)


def _changed(change: Callable[[str], str]) -> Callable[[Server, Connection, Template, Words], None]:
    """A step that changes the text of a line on its way."""

    def push(self: Server, other: Connection, push: Template, words: Words) -> None:
        changed = {name: change(word) for name, word in words.items()} if self.relaying else words
        Server.push(self, other, push, changed)

    return push


for _name, _breaks, _change in (
    *TEXTS,
    ("text-tabs-expanded", "Makes spaces of the TABs in a text.", str.expandtabs),
    ("text-normalised", "Composes the characters of a text (NFC).", lambda text: unicodedata.normalize("NFC", text)),
    ("text-folded", "Makes small letters of a text.", str.lower),
):
    table.row(_name, _breaks, Server.push, _changed(_change))
