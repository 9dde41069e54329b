"""The mutable server in which something that the protocol leaves open is done otherwise. Knows no verb and no state."""

from __future__ import annotations

import random
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

from pychat.spec.forms import Template, Variable
from pychat.spec.model import Goodbye, Timer
from tools.selftest.mutants.server.__main__ import Sockets
from tools.selftest.mutants.server.connection import Connection
from tools.selftest.mutants.server.engine import Server

# --- what it says -----------------------------------------------------------------------------------------------------


class Reversed(Server):
    """Lists are in reverse order."""

    def listed(self, conn: Connection) -> list[Connection]:
        return super().listed(conn)[::-1]


class Shuffled(Server):
    """Lists are in another order each time."""

    def listed(self, conn: Connection) -> list[Connection]:
        found = super().listed(conn)
        return random.sample(found, len(found))


class OwnFirst(Server):
    """A list begins with the user that asks."""

    def listed(self, conn: Connection) -> list[Connection]:
        return sorted(super().listed(conn), key=lambda user: user is not conn)


class OtherWords(Server):
    """The words of refusals and goodbyes are `words`."""

    words = "x"

    def refusal(self, conn: Connection, verb: str, code: str) -> str:
        return self.spec.refusal_line(verb, code, conn.name or "", self.words)

    def goodbye(self, conn: Connection, goodbye: Goodbye) -> None:
        if goodbye.gone is None:
            conn.partner = None
        self.end(conn, goodbye.gone or "", self.spec.goodbye_line(goodbye.code, self.words))


class LongWords(OtherWords):
    """As many octets of words as there may be."""

    words = "longest " * 25


class WordsInUtf8(OtherWords):
    """Words that are not ASCII, and look like other frames."""

    words = "Entschuldigung: das geht gerade nicht – 不行 🙂 ERR OK "


class OtherTokens(Server):
    """What a timer pushes has a token as long as may be instead of a number."""

    def filled(self, template: Template, words: Mapping[str, str]) -> str:
        if any(isinstance(part, Variable) and part.name == "number" for part in template.parts):
            return template.fill({**words, "number": "~!" + random.randbytes(31).hex()})
        return super().filled(template, words)


# --- when it does it --------------------------------------------------------------------------------------------------


class LateTimers(Server):
    """Each deadline is kept late, but within the tolerance."""

    def start(self, conn: Connection, timer: Timer) -> float | None:
        began = super().start(conn, timer)
        return None if began is None else began + 0.85 * self.spec.limits.tolerance


class CountsUntilClosed(Server):
    """A connection counts until its socket is closed, if it was ever admitted."""

    def open(self, address: str, now: float) -> Connection:
        turned_away = self.memory.setdefault("turned away", set())
        limit, ending = self.limit, sum(conn.over and conn not in turned_away for conn in self.connections)
        self.limit -= ending
        conn = super().open(address, now)
        self.limit = limit
        if conn.over:
            turned_away.add(conn)
        return conn


class ShortLinger(Sockets):
    """Its linger is a little short of the time."""

    def __init__(self, engine: Server, host: str, port: int) -> None:
        super().__init__(engine, host, port)
        self.linger *= 0.97


class LateCloser(Sockets):
    """It closes its end a while after the last frame."""

    def close_when_due(self, conn: Connection) -> None:
        if time.monotonic() - conn.sent_at >= self.linger * 0.75 or self.stopping:
            super().close_when_due(conn)


class Stopper(Sockets):
    """It sees a signal late: `asked` is when the signal came."""

    asked = 0.0

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "stopping" and value:
            self.asked = self.asked or time.monotonic()
            return
        super().__setattr__(name, value)

    def wait(self) -> None:
        super().wait()
        if self.asked and self.sees():
            object.__setattr__(self, "stopping", True)

    def sees(self) -> bool:
        """Whether the signal is seen now."""
        raise NotImplementedError


class PollsEachSecond(Stopper):
    """It looks for the signal once in a second."""

    looked = 0.0

    def sees(self) -> bool:
        if time.monotonic() - self.looked < 1:
            return False
        self.looked = time.monotonic()
        return True

    def wait(self) -> None:
        if not self.asked:
            self.looked = max(self.looked, time.monotonic() - random.random())
        super().wait()


class StopsSlowly(Stopper):
    """It needs four fifths of the time that a shutdown may take."""

    def sees(self) -> bool:
        return time.monotonic() - self.asked >= 0.8 * self.engine.spec.limits.shutdown


class OthersFirst(Sockets):
    """What a request brings others is sent before its answer, and in any order."""

    reading: Connection | None = None

    def read(self, conn: Connection) -> None:
        self.reading = conn  # its answer is sent later, with those of the others
        super().read(conn)
        self.reading = None
        self.sockets = dict(random.sample(list(self.sockets.items()), len(self.sockets)))
        if conn in self.sockets:
            self.sockets[conn] = self.sockets.pop(conn)  # the last one

    def send(self, conn: Connection) -> None:
        if conn is not self.reading:
            super().send(conn)


class ReadsOctets(Sockets):
    """It reads one octet at a time."""

    chunk = 1


class ReadsMuch(Sockets):
    """It reads a mebibyte at a time, and keeps much of what it sends in the system."""

    chunk = 1 << 20


class ReadsLittle(Sockets):
    """Small buffers in the system."""

    chunk = 1024

    def accept(self) -> None:
        before = set(self.sockets)
        super().accept()
        for conn in set(self.sockets) - before:
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                self.sockets[conn].setsockopt(socket.SOL_SOCKET, option, 4096)


class Talkative(Sockets):
    """It writes a line to its standard error for all that happens."""

    def read(self, conn: Connection) -> None:
        sys.stderr.write("one more read, and a long line of a log that nobody has asked for " * 20 + "\n")
        super().read(conn)
