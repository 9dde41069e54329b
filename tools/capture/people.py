"""The participants of a recording: the server's process, clients' processes, and clients of one raw socket each.

A raw client does what no well-behaved client does: it chooses where a segment ends, resets, falls silent or does not
read. Knows the spec's words only as its vocabulary gives them.
"""

from __future__ import annotations

import queue
import re
import signal
import socket
import struct
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from conformance.engine import programs
from pychat.spec import Spec

from .network import CaptureError, Host

PATIENCE = 20.0  # seconds to wait for what must come; only a failure takes that long
_NO_LINGER = struct.pack("ii", 1, 0)


class Person(Protocol):
    """A user of the chat: sends requests and hears replies, from a client's process or a raw socket."""

    name: str

    def ask(self, verb: str, *values: str) -> None:
        """Sends a request with these field values."""

    def hear(self, *keys: str) -> list[str]:
        """Waits for a reply of one of these keys; returns its words without the key. Others are passed over."""

    def close(self) -> None:
        """Closes without a QUIT, if it is not closed yet."""


class _Process:
    """A program whose output is read line by line by a thread, which ends with it and is joined by `close`."""

    def __init__(self, name: str, host: Host, words: Sequence[str], *, stdin: int, stderr: int) -> None:
        self._process = programs.start(host.command(words), stdin=stdin, stdout=programs.PIPE, stderr=stderr, text=True)
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, name=f"{name}'s output", daemon=True)
        self._reader.start()

    def close(self) -> None:
        """Asks the program to end, and kills it if it does not, with all that it has started."""
        self._process.end(PATIENCE)
        self._reader.join()
        self._process.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _line(self, deadline: float) -> str | None:
        """The next line; None at the end of the output, or at the deadline of time.monotonic()."""
        try:
            return self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return None


class ServerProcess(_Process):
    """The server under record, and the port that it says it listens on."""

    def __init__(self, host: Host, words: Sequence[str]) -> None:
        with tempfile.TemporaryFile() as log:
            super().__init__("server", host, words, stdin=programs.DEVNULL, stderr=log.fileno())
            line = self._line(time.monotonic() + PATIENCE)
            found = re.search(r":(\d+)\s*$", line or "")
            if found is None:
                self.close()
                log.seek(0)
                complaints = " ".join(log.read()[-2000:].decode(errors="replace").split())
                raise CaptureError(f"the server does not say where it listens: {line or complaints}")
        self.port = int(found[1])


class ClientProcess(_Process):
    """A client's process, driven by the spec's line contract on its standard input and output."""

    def __init__(self, name: str, host: Host, words: Sequence[str], spec: Spec) -> None:
        self.name = name
        self._commands = {form.form.verb: command for command, form in spec.contract.commands.items()}
        self._prints = {key: str(template).split(" ")[0] for key, template in spec.contract.prints.items()}
        super().__init__(name, host, words, stdin=programs.PIPE, stderr=programs.DEVNULL)
        try:
            self._wait_for(next(iter(spec.contract.notices)))
        except CaptureError:
            self.close()
            raise

    def ask(self, verb: str, *values: str) -> None:
        self.command(" ".join([self._commands[verb], *values]))

    def command(self, *lines: str) -> None:
        """Writes commands, all in one go."""
        assert self._process.stdin is not None
        self._process.stdin.write("".join(f"{line}\n" for line in lines))
        self._process.stdin.flush()

    def say_all(self, verb: str, texts: Sequence[str]) -> None:
        """Sends one request for each of the texts, handed over in one go."""
        self.command(*(f"{self._commands[verb]} {text}" for text in texts))

    def hear(self, *keys: str) -> list[str]:
        return self._wait_for(*(self._prints[key] for key in keys))

    def kill(self) -> None:
        """Kills the process: its system closes the connection."""
        self._process.signal(signal.SIGKILL)
        self.close()

    def _wait_for(self, *words: str) -> list[str]:
        deadline = time.monotonic() + PATIENCE
        seen: deque[str] = deque(maxlen=5)
        while True:
            line = self._line(deadline)
            if line is None:
                raise CaptureError(f"{self.name}'s client did not print {' or '.join(words)}; last: {list(seen)}")
            first, *rest = line.split(" ")
            if first in words:
                return rest
            seen.append(line)


class RawClient:
    """A client of one raw socket, which decides what goes into which segment.

    `nodelay` is TCP_NODELAY; `receive_buffer` in octets makes its window small.
    """

    def __init__(
        self,
        name: str,
        host: Host,
        server: tuple[str, int],
        spec: Spec,
        *,
        nodelay: bool = True,
        receive_buffer: int = 0,
    ) -> None:
        self.name = name
        self._spec = spec
        self._held = b""
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        with host.inside():
            self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(nodelay))
        try:
            self.socket.connect(server)
        except OSError:
            self.socket.close()
            raise
        self.port: int = self.socket.getsockname()[1]

    def line(self, verb: str, *values: str) -> bytes:
        """The octets of a request."""
        form = self._spec.requests[verb].form
        names = iter(values)
        words = [part if isinstance(part, str) else next(names) for part in form.parts]
        return " ".join(words).encode() + self._spec.framing.writes

    def ask(self, verb: str, *values: str) -> None:
        self.send(self.line(verb, *values))

    def send(self, octets: bytes) -> None:
        """One call of send: with TCP_NODELAY at least one segment begins here."""
        self.socket.sendall(octets)

    def hear(self, *keys: str) -> list[str]:
        while True:
            line = self._line().decode(errors="replace")
            for key in keys:
                if line == key or line.startswith(key + " "):
                    return line[len(key) :].split()

    def hear_end(self) -> None:
        """Reads up to the end of the stream, or to a reset."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            pass

    def reset(self) -> None:
        """Closes with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    def _line(self) -> bytes:
        while b"\n" not in self._held:
            try:
                octets = self.socket.recv(65536)
            except TimeoutError:
                raise CaptureError(f"{self.name} got no reply in time") from None
            if not octets:
                raise CaptureError(f"{self.name}'s connection ended too early")
            self._held += octets
        line, self._held = self._held.split(b"\n", 1)
        return line
