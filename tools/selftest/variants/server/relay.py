"""A TCP relay between clients and a server, through which octets travel as a `Link` says. Knows no frame.

The order of what one side sends is kept: octets, the end of its stream, a reset. What is held is bounded, so a side
that does not read is felt at the other one. Each connection has two pipes, each with a reader and a writer thread;
a thread ends when its socket does.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import deque

from .link import Flow, Link

CHUNK = 1 << 16
SEGMENT_GAP = 0.0005  # seconds between two segments, so that they are not one


class Pipe:
    """One direction of a connection. `lock` guards the queue."""

    def __init__(self, source: socket.socket, sink: socket.socket, flow: Flow) -> None:
        self.source, self.sink, self.flow = source, sink, flow
        self.lock = threading.Condition()
        self.queue: deque[tuple[float, bytes | None]] = deque()  # when it is due, and octets; None is a reset
        self.held = 0
        self.over = False

    def read(self) -> None:
        """The reader thread: until the end of the stream, a reset, or the end of the other thread."""
        due = 0.0
        while True:
            try:
                octets: bytes | None = self.source.recv(CHUNK)
            except OSError:
                octets = None
            due = max(due, time.monotonic() + self.flow.wait())  # what is sent later comes later
            with self.lock:
                self.queue.append((due, octets))
                self.held += len(octets or b"")
                self.lock.notify_all()
                while self.held > self.flow.held and not self.over:
                    self.lock.wait()
                if not octets or self.over:
                    return

    def write(self) -> bool:
        """The writer thread; False when the connection must be reset."""
        try:
            while True:
                octets, last = self._next()
                for piece in self.flow.pieces(octets):
                    self.sink.sendall(piece)
                    if self.flow.halves:
                        time.sleep(SEGMENT_GAP)
                if last == "reset":
                    return False
                if last == "end":
                    self.sink.shutdown(socket.SHUT_WR)
                    return True
        except OSError:
            return False
        finally:
            with self.lock:
                self.over = True
                self.lock.notify_all()

    def _next(self) -> tuple[bytes, str]:
        """Octets that are due, and whether the stream ends behind them."""
        with self.lock:
            while not self.queue:
                self.lock.wait()
            due = self.queue[0][0] + self.flow.gather
        time.sleep(max(0.0, due - time.monotonic()))
        octets, last = b"", ""
        with self.lock:
            while self.queue and self.queue[0][0] <= time.monotonic() and not last:
                more = self.queue.popleft()[1]
                octets += more or b""
                last = "" if more else "reset" if more is None else "end"
            self.held -= len(octets)
            self.lock.notify_all()
        return octets, last


class Relay:
    """Listens at an address, and takes each connection to the server's port at the address that the client named."""

    def __init__(self, listener: socket.socket, port: int, link: Link, keepalive: tuple[float, float, int]) -> None:
        self.listener, self.port, self.link, self.keepalive = listener, port, link, keepalive
        self.busy: set[threading.Thread] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                client, _ = self.listener.accept()
                thread = threading.Thread(target=self._carry, args=(client,), daemon=True)
                self.busy = {each for each in self.busy if each.is_alive()} | {thread}
                thread.start()
                time.sleep(self.link.accept)

    def drain(self, seconds: float) -> None:
        """Takes no more connections, and waits until those that there are have ended."""
        self.listener.close()
        deadline = time.monotonic() + seconds
        for thread in list(self.busy):
            thread.join(max(0.0, deadline - time.monotonic()))

    def _carry(self, client: socket.socket) -> None:
        idle, interval, probes = self.keepalive
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, round(idle))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, round(interval))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, probes)
        try:
            server = socket.create_connection((client.getsockname()[0], self.port), 5)
        except OSError:
            client.close()
            return
        for stream in (client, server):
            stream.settimeout(None)
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pipes = Pipe(client, server, self.link.requests), Pipe(server, client, self.link.answers)
        threads = [threading.Thread(target=self._run, args=(pipe,), daemon=True) for pipe in pipes]
        for pipe in pipes:
            threading.Thread(target=pipe.read, daemon=True).start()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client.close()
        server.close()

    @staticmethod
    def _run(pipe: Pipe) -> None:
        if pipe.write():
            return
        for stream in (pipe.source, pipe.sink):  # a reset of one side is one of the other
            with contextlib.suppress(OSError):
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RD)  # wakes the readers, whose sockets are closed then
