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

from pychat.spec import load, shipped

from . import find, server_mutants
from .engine import Engine, Peer

TICK = 0.05
CHUNK = 65_536


class Server:
    """Moves octets between sockets and an engine, and closes the sockets as the engine's `closing` says."""

    def __init__(self, engine: Engine, host: str, port: int) -> None:
        self.engine = engine
        self.linger = next((t.after for t in engine.spec.timers.values() if t.since == "goodbye"), 0.0)
        self.listener = socket.create_server((host, port), backlog=256)
        self.listener.setblocking(False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.sockets: dict[Peer, socket.socket] = {}
        self.ended: set[Peer] = set()  # whose sending half is ended
        self.stopping = False

    def run(self) -> None:
        """Serves until SIGTERM."""
        stopped_at: float | None = None
        while stopped_at is None or (self.sockets and time.monotonic() - stopped_at < self.linger + 1):
            for key, events in self.selector.select(TICK):
                if key.fileobj is self.listener:
                    self.accept()
                elif events & selectors.EVENT_READ:
                    self.read(key.data)
            self.engine.tick(time.monotonic())
            if self.stopping and stopped_at is None:
                stopped_at = time.monotonic()
                self.engine.stop()
            for _ in range(2):  # what the first round sends may let somebody else go on
                for peer in list(self.sockets):
                    self.engine.pump(peer)
                for peer in list(self.sockets):
                    self.send(peer)
            for peer in list(self.sockets):
                self.close_when_due(peer)
        for sock in (*self.sockets.values(), self.listener):
            sock.close()

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
        peer = self.engine.open(str(address[0]), time.monotonic())
        self.sockets[peer] = sock
        self.selector.register(sock, selectors.EVENT_READ, peer)

    def read(self, peer: Peer) -> None:
        if peer not in self.sockets or peer.finished:
            return
        try:
            octets = self.sockets[peer].recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self.engine.lose(peer, time.monotonic())
            self.close(peer)
            return
        if peer.over:
            peer.finished |= not octets
        else:
            self.engine.receive(peer, octets, time.monotonic())
        self.send(peer)

    def send(self, peer: Peer) -> None:
        """Sends what the socket takes now; what is read depends on what is still to be sent."""
        sock = self.sockets.get(peer)
        if sock is None:
            return
        if peer.outbox:
            try:
                self.engine.sent(peer, sock.send(peer.outbox), time.monotonic())
            except BlockingIOError:
                pass
            except OSError:
                peer.outbox.clear()  # what it has sent is still taken, up to the end of its stream
        waiting = not peer.over and self.engine.must_wait(peer)
        wanted = 0 if peer.finished or waiting else selectors.EVENT_READ
        wanted |= selectors.EVENT_WRITE if peer.outbox else 0
        watched = sock in self.selector.get_map()
        if watched and not wanted:
            self.selector.unregister(sock)
        elif watched:
            self.selector.modify(sock, wanted, peer)
        elif wanted:
            self.selector.register(sock, wanted, peer)

    def close_when_due(self, peer: Peer) -> None:
        """The last frame, the end of the sending half, then the close."""
        late = time.monotonic() - peer.sent_at >= self.linger
        if not peer.over or (peer.outbox and not late) or self.engine.closing == "open":
            return
        if self.engine.closing in ("reset", "abrupt"):
            self.close(peer, reset=self.engine.closing == "reset")
            return
        if peer not in self.ended:
            self.ended.add(peer)
            with contextlib.suppress(OSError):
                self.sockets[peer].shutdown(socket.SHUT_WR)
        if peer.finished or late:
            self.close(peer)

    def close(self, peer: Peer, reset: bool = False) -> None:
        sock = self.sockets.pop(peer)
        if sock in self.selector.get_map():
            self.selector.unregister(sock)
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        self.ended.discard(peer)
        self.engine.closed(peer)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.selftest.mutants.server", description="A server, broken on purpose."
    )
    parser.add_argument("--mutant", default="none", help="its name; `none` is the correct server")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--spec", help="a spec file instead of the shipped one")
    parser.add_argument("--max-connections", type=int, default=1000)
    options = parser.parse_args()
    spec = load(options.spec) if options.spec else shipped()
    mutant = find(server_mutants(spec), options.mutant)
    if mutant is None:
        sys.exit(f"there is no mutant {options.mutant}")
    engine = (mutant.engine or Engine)(mutant.change(spec), options.max_connections)
    server = Server(engine, options.host, options.port)
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "stopping", True))
    print("listening on {}:{}".format(*server.listener.getsockname()[:2]), flush=True)
    server.run()


if __name__ == "__main__":
    main()
