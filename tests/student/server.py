"""A chat server as a good student writes it from the protocol page: sockets, two threads per connection.

It shares no code with the package and reads no spec file: every word and number here was typed from the page. So where
it and the shipped server agree, they agree because of the page.

One lock guards everything that connections know of each other. Each frame is decided under it in one step, and what is
to be sent is only queued there; the writer threads send, outside the lock. A clock thread keeps the deadlines.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import signal
import socket
import threading
import time
from collections import deque

MAX_FRAME = 4096
QUEUE_MARK = 262_144
QUEUE_STOP = 4 * QUEUE_MARK
MISSED_KEPT = 100  # callers that a busy user is remembered to have heard of
DRAIN = 30.0  # seconds, in all, that a closing connection has to take what is queued for it
TICK = 0.1

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
TOKEN = re.compile(r"[!-~]{1,64}")
VERSION = re.compile(r"[1-9][0-9]{0,3}")
VERB = re.compile(r"[A-Z]+")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")

FIELD = {"HELLO": VERSION, "NAME": NAME, "CHAT": NAME, "PING": TOKEN, "PONG": TOKEN}
ALLOWED = {
    "CONNECTED": {"HELLO", "NAME", "PING", "PONG", "QUIT"},
    "NAMED": {"WHO", "CHAT", "PING", "PONG", "QUIT"},
    "PAIRED": {"WHO", "CHAT", "MSG", "LEAVE", "PING", "PONG", "QUIT"},
}
VERBS = set().union(*ALLOWED.values())
WORDS = {
    "bad-encoding": "That is not valid UTF-8.",
    "unknown-verb": "I do not know that verb.",
    "bad-syntax": "I cannot read that line.",
    "wrong-state": "Not now.",
    "bad-version": "I speak version 1.",
    "name-taken": "Somebody else has that name.",
    "no-such-user": "Nobody has that name.",
    "self-chat": "That is you.",
    "user-busy": "That user is in a chat.",
    "already-paired": "You are in a chat.",
    "partner-gone": "Your partner is gone.",
    "not-accepted": "Say CHAT first.",
    "line-too-long": "That line is too long.",
    "too-many-errors": "Too many errors.",
    "timeout": "I have waited long enough.",
    "server-full": "There is no room for you.",
    "address-full": "There are enough of you.",
    "shutting-down": "I am going down.",
}


class FaultError(Exception):
    """One of the four general errors: the verb to name, the code, and whether it counts."""

    def __init__(self, verb: str, code: str, counts: bool = True) -> None:
        super().__init__(code)
        self.verb, self.code, self.counts = verb, code, counts


class RefusalError(Exception):
    """One of the verb's own refusals."""


def parse(line: bytes, state: str) -> tuple[str, str]:
    """The verb and its field; raises FaultError. The order of the checks is the page's."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise FaultError("*", "bad-encoding") from None
    verb, space, field = text.partition(" ")
    if not VERB.fullmatch(verb):
        raise FaultError("*", "bad-syntax")
    if verb not in VERBS:
        raise FaultError("*", "unknown-verb")
    if verb == "MSG":
        good = 1 <= len(field.encode()) <= 2000 and not CONTROL.search(field)
    elif verb in FIELD:
        good = FIELD[verb].fullmatch(field) is not None
    else:
        good = not space
    if not good:
        raise FaultError(verb, "bad-syntax")
    if verb not in ALLOWED[state]:
        raise FaultError(verb, "wrong-state", counts=verb != "MSG")
    return verb, field


class Connection:
    """One client: what the server knows of it, its send queue, and its two threads."""

    def __init__(self, server: Server, sock: socket.socket, address: str) -> None:
        self.server, self.sock, self.address = server, sock, address
        self.state = "CONNECTED"
        self.name = ""
        self.partner: Connection | None = None
        self.answered = False  # has said CHAT with this partner; the caller has
        self.accepted = False  # is heard
        self.called_at: float | None = None  # when it was called, until that call has rung for long enough
        self.missed: dict[str, None] = {}  # the callers that it was told of since its last LEAVE, the oldest first
        self.faults = 0
        self.ended = False  # the last frame is queued, or there is nobody to read one
        self.broken = False  # sending has failed: what is queued from now on is dropped
        self.queue: deque[tuple[bytes, bool]] = deque()  # octets, and whether their going is a sign of life
        self.queued = 0
        self.ready = threading.Condition(server.lock)  # the writer waits here for something to do
        now = time.monotonic()
        self.accepted_at = self.last_sign = self.last_sent = now
        self.ended_at = 0.0
        self.full_since: float | None = None
        self.paused = False
        self.probed = False

    # --- with the server's lock held: queue and decide, never block -------------------------------------------------

    def send(self, frame: str, sign_of_life: bool = True) -> None:
        if self.ended or self.broken:
            return
        octets = frame.encode() + b"\n"
        self.queue.append((octets, sign_of_life))
        self.queued += len(octets)
        if self.queued > QUEUE_MARK and self.full_since is None:
            self.full_since = time.monotonic()
        self.ready.notify()

    def unlink(self, reason: str) -> None:
        """The two ends know each other no longer, and the other one is told why."""
        if self.partner is not None:
            self.partner.send(f"GONE {self.name} {reason}")
            for end in (self.partner, self):
                end.partner, end.answered, end.accepted, end.called_at = None, False, False, None
            self.server.changed.notify_all()

    def free_name(self) -> None:
        """Nobody has this name now, and nobody has missed a call of it."""
        if self.server.users.pop(self.name.lower(), None):
            for user in self.server.users.values():
                user.missed.pop(self.name, None)

    def end(self, reason: str | None, bye: str = "") -> None:
        """The connection is over for everybody else; its writer sends what is queued, then the FIN."""
        if self.ended:
            return
        if reason is not None:
            self.unlink(reason)
        self.partner = None
        self.free_name()
        if bye:
            self.send(f"BYE {bye} {WORDS[bye]}")
        self.ended = True
        self.ended_at = self.last_sent = time.monotonic()
        self.server.live.discard(self)
        self.ready.notify()
        self.server.changed.notify_all()

    def must_wait(self) -> bool:
        """Whether the next frame has to wait for a queue to empty."""
        if self.ended:
            return False
        return self.queued > QUEUE_STOP or (self.partner is not None and self.partner.queued > QUEUE_MARK)

    def take(self, line: bytes) -> None:
        """One frame takes effect."""
        if line.endswith(b"\r"):
            line = line[:-1]
        try:
            verb, field = parse(line, self.state)
        except FaultError as fault:
            self.refuse_fault(fault)
            return
        if self.state != "CONNECTED":
            self.faults = 0
        try:
            getattr(self, "on_" + verb.lower())(field)
        except RefusalError as refusal:
            self.send(f"ERR {verb} {refusal} {WORDS[str(refusal)]}")

    def refuse_fault(self, fault: FaultError) -> None:
        self.send(f"ERR {fault.verb} {fault.code} {WORDS[fault.code]}")
        if fault.counts:
            self.faults += 1
        elif self.state != "CONNECTED":
            self.faults = 0
        if self.faults >= (5 if self.state == "CONNECTED" else 100):
            self.end("lost", "too-many-errors")

    def on_hello(self, version: str) -> None:
        if version != "1":
            raise RefusalError("bad-version")
        self.send("OK HELLO 1 core")

    def on_name(self, name: str) -> None:
        if name.lower() in self.server.users:
            raise RefusalError("name-taken")
        self.name, self.state, self.faults = name, "NAMED", 0
        self.server.users[name.lower()] = self
        self.send(f"OK NAME {name}")

    def on_who(self, _: str) -> None:
        for user in self.server.users.values():
            self.send(f"USER {user.name} {'busy' if user.state == 'PAIRED' else 'free'}")
        self.send(f"OK WHO {len(self.server.users)}")

    def on_chat(self, name: str) -> None:
        other = self.server.users.get(name.lower())
        if self.state == "PAIRED":
            self.answer(other)
        elif other is None:
            raise RefusalError("no-such-user")
        elif other is self:
            raise RefusalError("self-chat")
        elif other.state == "PAIRED":
            other.miss(self.name)
            raise RefusalError("user-busy")
        else:
            self.call(other)

    def call(self, other: Connection) -> None:
        """The caller has answered already, and is heard; the other end is neither until its own CHAT."""
        self.partner, other.partner = other, self
        self.state = other.state = "PAIRED"
        self.answered = self.accepted = True
        other.called_at = time.monotonic()
        self.send(f"OK CHAT {other.name}")
        other.send(f"CALL {self.name}")

    def answer(self, other: Connection | None) -> None:
        """A CHAT in a chat; the partner hears of the first one that names it."""
        if other is None or other is not self.partner:
            self.accepted = False
            raise RefusalError("already-paired")
        self.send(f"OK CHAT {other.name}")
        if not self.answered:
            other.send(f"ACCEPTED {self.name}")
        self.answered = self.accepted = True

    def miss(self, caller: str) -> None:
        """Somebody has called while this user was busy; it is told once."""
        if caller not in self.missed:
            self.send(f"MISSED {caller}")
            self.missed[caller] = None
            if len(self.missed) > MISSED_KEPT:
                del self.missed[next(iter(self.missed))]

    def on_msg(self, text: str) -> None:
        if self.partner is None:
            raise RefusalError("partner-gone")
        if not self.accepted:
            raise RefusalError("not-accepted")
        self.partner.send(f"MSG {text}")

    def on_leave(self, _: str) -> None:
        self.unlink("left" if self.answered else "declined")
        self.state = "NAMED"
        self.missed.clear()
        self.send("OK LEAVE")

    def on_ping(self, token: str) -> None:
        self.send(f"PONG {token}")

    def on_pong(self, _: str) -> None:
        pass

    def on_quit(self, _: str) -> None:
        self.unlink("quit")
        self.free_name()
        self.send("OK QUIT")
        self.end("quit")

    # --- threads ----------------------------------------------------------------------------------------------------

    def read(self) -> None:
        """The reader thread: cuts the stream into lines, takes them, and closes the socket when all is over."""
        writer = threading.Thread(target=self.write, daemon=True)
        writer.start()
        buffer = b""
        while octets := self.receive():
            if self.ended:
                continue  # discarded, so that closing does not reset the connection
            buffer = self.take_lines(buffer + octets)
        with self.server.lock:
            self.end("lost")
        writer.join()
        self.sock.close()
        with self.server.lock:
            self.server.open.discard(self)
            self.server.changed.notify_all()

    def receive(self) -> bytes:
        """The next octets; none at the end of the stream, and after a reset."""
        try:
            octets = self.sock.recv(65536)
        except OSError:
            return b""
        with self.server.lock:
            self.last_sign, self.probed = time.monotonic(), False
        return octets

    def take_lines(self, buffer: bytes) -> bytes:
        """Takes each whole line; returns the octets that are left over."""
        start = 0
        while not self.ended:
            end = buffer.find(b"\n", start, start + MAX_FRAME)
            with self.server.lock:
                if end < 0:
                    if len(buffer) - start >= MAX_FRAME:
                        self.end("lost", "line-too-long")
                    break
                self.wait_for_room()
                if not self.ended:
                    self.take(buffer[start:end])
            start = end + 1
        return buffer[start:]

    def wait_for_room(self) -> None:
        """Waits until no queue is in the way; meanwhile the silence of this connection is not its own fault."""
        if self.must_wait():
            silent = time.monotonic() - self.last_sign
            self.paused = True
            self.server.changed.wait_for(lambda: not self.must_wait())
            self.paused = False
            self.last_sign = time.monotonic() - silent

    def write(self) -> None:
        """The writer thread: sends what is queued, and the FIN after the last frame."""
        while True:
            with self.server.lock:
                self.ready.wait_for(lambda: self.queue or self.ended)
                if not self.queue:
                    break
                octets, sign_of_life = self.queue.popleft()
            view = memoryview(octets)
            while view:
                try:
                    sent = self.sock.send(view)
                except OSError:
                    self.drop_queue()  # the reader still takes what came before the end
                    break
                view = view[sent:]
                with self.server.lock:
                    self.note_sent(sent, sign_of_life)
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def note_sent(self, count: int, sign_of_life: bool) -> None:
        self.queued -= count
        self.last_sent = time.monotonic()
        if sign_of_life:
            self.last_sign, self.probed = self.last_sent, False
        if self.queued <= QUEUE_MARK:
            self.full_since = None
        if self.queued <= QUEUE_STOP:
            self.server.changed.notify_all()

    def drop_queue(self) -> None:
        with self.server.lock:
            self.broken = True
            self.queue.clear()
            self.queued, self.full_since = 0, None
            self.server.changed.notify_all()

    def check_deadlines(self, now: float) -> None:
        """With the lock held: what the clock has to do for this connection now."""
        times = self.server.times
        if self.called_at is not None and now - self.called_at >= times.ring:
            self.stop_ringing()
        if self.ended:
            if now - self.last_sent > times.linger or now - self.ended_at > DRAIN:
                self.hang_up()
        elif self.state == "CONNECTED" and now - self.accepted_at >= times.registration:
            self.end("timeout", "timeout")
        elif self.full_since is not None and now - self.full_since >= times.stalled:
            self.end("lost")
            self.hang_up()
        elif self.paused:
            pass
        elif now - self.last_sign >= times.silence:
            self.end("timeout", "timeout")
        elif now - self.last_sign >= times.probe and not self.probed:
            self.probed = True
            self.send("PING are-you-there", sign_of_life=False)

    def stop_ringing(self) -> None:
        """The time for an answer is over; where there was none, both ends stay in a chat with nobody."""
        self.called_at = None
        if self.partner is not None and not self.answered:
            self.send(f"GONE {self.partner.name} unanswered")
            self.unlink("unanswered")

    def hang_up(self) -> None:
        """Wakes both threads out of the socket; the reader then closes it."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)


class Server:
    """The listening socket, the tables of users and connections, and the clock."""

    def __init__(self, host: str, port: int, limit: int, times: argparse.Namespace) -> None:
        self.limit, self.times = limit, times
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)  # a queue has emptied, or a connection has ended
        self.users: dict[str, Connection] = {}
        self.live: set[Connection] = set()
        self.open: set[Connection] = set()
        self.stopping = threading.Event()
        self.listener = socket.create_server((host, port), backlog=128)

    def accept(self) -> None:
        """The acceptor thread."""
        while not self.stopping.is_set():
            try:
                sock, (address, *_) = self.listener.accept()
            except OSError:
                self.stopping.wait(TICK)  # no more files, or somebody hung up already
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3)):
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
            connection = Connection(self, sock, address)
            with self.lock:
                full = self.lacks(address)
                self.open.add(connection)
                self.live.add(connection)
                if full:
                    connection.end(None, full)
                elif self.stopping.is_set():
                    connection.end(None, "shutting-down")
            threading.Thread(target=connection.read, daemon=True).start()

    def lacks(self, address: str) -> str:
        """The code of the goodbye for one more connection; empty when there is room."""
        if len(self.live) >= self.limit:
            return "server-full"
        share = max(50, self.limit // 10)
        crowded = not address.startswith("127.") and sum(c.address == address for c in self.live) >= share
        return "address-full" if crowded else ""

    def keep_time(self) -> None:
        """The clock thread."""
        while True:
            time.sleep(TICK)
            with self.lock:
                for connection in list(self.open):
                    connection.check_deadlines(time.monotonic())

    def serve(self) -> None:
        """Serves until SIGTERM or SIGINT, then says goodbye to everybody."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stopping.set())
        threading.Thread(target=self.accept, daemon=True).start()
        threading.Thread(target=self.keep_time, daemon=True).start()
        host, port = self.listener.getsockname()[:2]
        print(f"listening on {host}:{port}", flush=True)
        self.stopping.wait()
        with self.lock:
            for connection in list(self.live):
                connection.end(None, "shutting-down")
            self.changed.wait_for(lambda: not self.open, timeout=self.times.linger + 1)
        self.listener.close()


def main() -> None:
    """The command line; every time is in seconds."""
    parser = argparse.ArgumentParser(description="A small chat server.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8255)
    parser.add_argument("--max-connections", type=int, default=1000)
    times = {"registration": 30, "probe": 120, "silence": 600, "ring": 60, "stalled": 30, "linger": 2}
    for name, seconds in times.items():
        parser.add_argument(f"--{name}", type=float, default=seconds)
    options = parser.parse_args()
    Server(options.host, options.port, options.max_connections, options).serve()


if __name__ == "__main__":
    main()
