"""How the lines and frames of a right client travel: late, an octet at a time, in small pieces. Knows no frame."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque

from tools.selftest.mutants.client import __main__ as program
from tools.selftest.mutants.client.__main__ import STDOUT, Streams


class LateLines(Streams):
    """Each line is printed `late` seconds after it was said. A thread of its own prints; it ends with `run`."""

    late = 0.05

    def run(self) -> int:
        self.due: deque[tuple[float, bytes]] = deque()
        self.changed = threading.Condition()  # guards `due` and `done`
        self.done = False
        printer = threading.Thread(target=self.work)
        printer.start()
        try:
            return super().run()
        finally:
            with self.changed:
                self.done = True
                self.changed.notify()
            printer.join()

    def print(self) -> None:
        with self.changed:
            for line in self.engine.lines:
                self.due.append((time.monotonic() + self.late, line.encode("utf-8", "surrogateescape") + b"\n"))
            self.engine.lines.clear()
            self.changed.notify()

    def work(self) -> None:
        """The printer thread."""
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.due or self.done)
                if not self.due:
                    return
                when, octets = self.due.popleft()
            time.sleep(max(0.0, when - time.monotonic()))
            while octets:
                octets = octets[os.write(STDOUT, octets) :]


class LinesAfter300(LateLines):
    """Late by 0.3 s."""

    late = 0.3


class LinesAfter500(LateLines):
    """Late by 0.5 s."""

    late = 0.5


class SlowAtAll(Streams):
    """It needs 20 ms for whatever it does."""

    def read_commands(self) -> None:
        time.sleep(0.02)
        super().read_commands()

    def read(self) -> None:
        time.sleep(0.02)
        super().read()


class OctetLines(Streams):
    """It prints an octet at a time."""

    def print(self) -> None:
        for line in self.engine.lines:
            for octet in line.encode("utf-8", "surrogateescape") + b"\n":
                os.write(STDOUT, bytes((octet,)))
        self.engine.lines.clear()


class OctetFrames(Streams):
    """It sends an octet at a time."""

    def write(self) -> None:
        while self.engine.outbox:
            before = len(self.engine.outbox)
            rest = self.engine.outbox[1:]
            del self.engine.outbox[1:]
            super().write()
            sent = not self.engine.outbox
            self.engine.outbox += rest
            if not sent and len(self.engine.outbox) == before:
                return


class OctetReads(Streams):
    """It reads an octet at a time, of commands and of frames."""

    def run(self) -> int:
        program.CHUNK = 1
        return super().run()


class Talkative(Streams):
    """It writes much to its standard error, also lines that look like those of its output."""

    def print(self) -> None:
        for line in self.engine.lines:
            sys.stderr.write(f"{line}\n" + f"debug: {line}\n" * 200)
        sys.stderr.flush()
        super().print()


class AwaitsTheEnd(Streams):
    """After the last answer it waits a while before it ends."""

    def run(self) -> int:
        code = super().run()
        time.sleep(1)
        return code
