"""The socket, stdin and stdout of the mutable client: one thread, one selector. Knows nothing of frames and commands.

`python -m tools.selftest.mutants.client --mutant NAME HOST PORT`; `--mutant none` is the correct one.
"""

from __future__ import annotations

import argparse
import os
import selectors
import socket
import sys
import time

from tools.selftest.mutants.program import chosen

from . import client_mutants
from .engine import Client

CHUNK = 65_536
PATIENCE = 5.0  # seconds that the answer to the last request may take
STDIN, STDOUT = 0, 1


class Streams:
    """Moves octets between a socket, stdin, stdout and an engine."""

    def __init__(self, engine: Client, sock: socket.socket) -> None:
        self.engine, self.sock = engine, sock
        self.selector = selectors.PollSelector()  # unlike epoll, it takes a file as stdin
        self.selector.register(STDIN, selectors.EVENT_READ)
        self.selector.register(sock, selectors.EVENT_READ)
        self.typed = b""

    def run(self) -> int:
        """Runs to the end of the conversation; returns the exit code."""
        deadline: float | None = None
        self.print()
        while not self.engine.over:
            if self.engine.quitting and deadline is None:
                deadline = time.monotonic() + PATIENCE
            if deadline is not None and time.monotonic() > deadline:
                self.engine.end()
                break
            reading = self.engine.reads_while_writing or not self.engine.outbox
            wanted = selectors.EVENT_READ if reading else 0
            self.selector.modify(self.sock, wanted | (selectors.EVENT_WRITE if self.engine.outbox else 0))
            for key, events in self.selector.select(0.5):
                if key.fileobj == STDIN:
                    self.read_commands()
                elif events & selectors.EVENT_READ:
                    self.read()
            self.write()
            self.print()
        self.print()
        return self.engine.code()

    def read_commands(self) -> None:
        octets = os.read(STDIN, CHUNK)
        *lines, self.typed = (self.typed + octets).split(b"\n")
        self.engine.commands(lines)
        if not octets:
            self.selector.unregister(STDIN)
            self.engine.last(self.typed)
            self.engine.finish()

    def read(self) -> None:
        try:
            octets = self.sock.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self.engine.lose(error.strerror or "the connection broke")
            return
        if octets:
            self.engine.receive(octets)
        else:
            self.engine.end()

    def write(self) -> None:
        if not self.engine.outbox:
            return
        try:
            del self.engine.outbox[: self.sock.send(self.engine.outbox)]
        except BlockingIOError:
            return
        except OSError:
            self.engine.outbox.clear()  # the reader hears of it too

    def print(self) -> None:
        for line in self.engine.lines:
            line = self.engine.visible(line) if os.isatty(STDOUT) else line
            octets = line.encode("utf-8", "surrogateescape") + b"\n"
            while octets:
                octets = octets[os.write(STDOUT, octets) :]
        self.engine.lines.clear()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.selftest.mutants.client", description="A client, broken on purpose."
    )
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    options, engine, spec = chosen(parser, client_mutants, Client)
    try:
        sock = socket.create_connection((options.host, options.port), timeout=10)
    except OSError as error:
        sys.exit(f"cannot connect: {error}")
    with sock:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sys.exit(Streams(engine(spec), sock).run())


if __name__ == "__main__":
    main()
