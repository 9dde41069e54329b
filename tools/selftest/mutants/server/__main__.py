"""The sockets of the mutable server: one thread, one selector. Knows nothing of frames, verbs and states.

`python -m tools.selftest.mutants.server --mutant NAME --port 0` prints `listening on 127.0.0.1:PORT`; `--mutant none`
is the correct one.
"""

from __future__ import annotations

import argparse
import contextlib
import selectors
import signal
import socket
import struct
import sys
import time

from tools.selftest.mutants.program import chosen

from . import server_mutants
from .connection import Connection
from .engine import Server

TICK = 0.05
CHUNK = 65_536


class Sockets:
    """Moves octets between sockets and an engine, and closes the sockets as the engine's `closing` says."""

    chunk = CHUNK

    def __init__(self, engine: Server, host: str, port: int) -> None:
        self.engine = engine
        self.linger = next((t.after for t in engine.spec.timers.values() if t.since == "goodbye"), 0.0)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.create_server((host, port), family=family, backlog=256)
        self.listener.setblocking(False)
        self.sockets: dict[Connection, socket.socket] = {}
        self.ended: set[Connection] = set()  # their sending half is ended
        self.stopping = False

    def run(self) -> None:
        """Serves until SIGTERM."""
        stopped_at: float | None = None
        while stopped_at is None or (self.sockets and not self.is_late(time.monotonic() - stopped_at)):
            self.wait()
            self.engine.tick(time.monotonic())
            if self.stopping and stopped_at is None:
                stopped_at = time.monotonic()
                if not self.engine.serves_latecomers:
                    self.listener.close()
                self.engine.stop()
            for _ in range(2):  # what the first round sends may let another connection go on
                for conn in list(self.sockets):
                    self.engine.pump(conn)
                for conn in list(self.sockets):
                    self.send(conn)
            for conn in list(self.sockets):
                self.close_when_due(conn)
        for sock in (*self.sockets.values(), self.listener):
            sock.close()

    def is_late(self, seconds: float) -> bool:
        """Whether the server does not wait any longer for its connections, so many seconds after it was stopped."""
        return self.engine.hurries and seconds >= self.linger + 1

    def wait(self) -> None:
        """Takes what has come; what is read depends on what is still to be sent."""
        with selectors.DefaultSelector() as selector:
            if self.listener.fileno() >= 0:
                selector.register(self.listener, selectors.EVENT_READ)
            for conn, sock in self.sockets.items():
                kept = self.engine.must_wait(conn) if not conn.over else not self.engine.discards
                waiting = conn.finished or kept
                wanted = 0 if waiting else selectors.EVENT_READ
                wanted |= selectors.EVENT_WRITE if conn.outbox else 0
                if wanted:
                    selector.register(sock, wanted, conn)
            ready = selector.select(TICK)
        for key, events in ready:
            if key.fileobj is self.listener:
                self.accept()
            elif events & selectors.EVENT_READ:
                self.read(key.data)

    def accept(self) -> None:
        try:
            sock, address = self.listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        idle, interval, probes = self.engine.spec.transport.keepalive
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, round(idle))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, round(interval))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, probes)
        self.sockets[self.engine.open(str(address[0]), time.monotonic())] = sock

    def read(self, conn: Connection) -> None:
        try:
            octets = self.sockets[conn].recv(self.chunk)
        except BlockingIOError:
            return
        except OSError:
            self.engine.lose(conn, time.monotonic())
            self.close(conn)
            return
        if conn.over:
            self.engine.discard(conn, octets, time.monotonic())
        else:
            self.engine.receive(conn, octets, time.monotonic())
        self.send(conn)

    def send(self, conn: Connection) -> None:
        """Sends what the socket takes now."""
        try:
            if conn.outbox:
                self.engine.sent(conn, self.sockets[conn].send(conn.outbox), time.monotonic())
        except BlockingIOError:
            pass
        except OSError:
            conn.outbox.clear()  # what it has sent is still taken, up to the end of its stream

    def close_when_due(self, conn: Connection) -> None:
        """The last frame, the end of the sending half, then the close."""
        late = time.monotonic() - conn.sent_at >= self.linger and (self.engine.hurries or not self.stopping)
        if not conn.over or (conn.outbox and not late) or self.engine.closing == "open":
            return
        if self.engine.closing in ("reset", "abrupt"):
            self.close(conn, reset=self.engine.closing == "reset")
            return
        if conn not in self.ended:
            self.ended.add(conn)
            with contextlib.suppress(OSError):
                self.sockets[conn].shutdown(socket.SHUT_WR)
        if conn.finished or late:
            self.close(conn)

    def close(self, conn: Connection, reset: bool = False) -> None:
        sock = self.sockets.pop(conn)
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        self.ended.discard(conn)
        self.engine.closed(conn)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.selftest.mutants.server", description="A server, broken on purpose."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--max-connections", type=int, default=1000)
    options, engine, spec = chosen(parser, server_mutants, Server)
    try:
        server = engine(spec, options.max_connections)
    except ValueError as error:
        sys.exit(str(error))
    sockets = Sockets(server, options.host, options.port)
    signal.signal(signal.SIGTERM, lambda *_: setattr(sockets, "stopping", True))
    print("listening on {}:{}".format(*sockets.listener.getsockname()[:2]), flush=True)
    sockets.run()


if __name__ == "__main__":
    main()
