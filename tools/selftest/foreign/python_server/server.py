"""PySocket Chat, version 1: a server with two threads for each connection, and one lock.

    server.py PORT [HOST [MAX [REGISTRATION PROBE SILENCE RING STALLED LINGER]]]
"""

import collections
import fcntl
import ipaddress
import re
import resource
import signal
import socket
import struct
import sys
import termios
import threading
import time

LONGEST = 4096
QUEUE_MARK = 262144
QUEUE_STOP = 1048576
CHUNK = 65536
FAULTS_UNNAMED = 5
FAULTS_IN_A_ROW = 100
MISSED_AT_MOST = 100
TICK = 0.1
SHUTDOWN = 4.5

CONNECTED, NAMED, PAIRED, CLOSED = "CONNECTED", "NAMED", "PAIRED", "CLOSED"

VERB = re.compile(r"[A-Z]+")
NAME_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
TOKEN_FIELD = re.compile(r"[!-~]{1,64}")
VERSION_FIELD = re.compile(r"[1-9][0-9]{0,3}")
CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f]")

WORDS = {
    "bad-encoding": "This line is not UTF-8.",
    "unknown-verb": "No such verb.",
    "bad-syntax": "This line has not the form of its verb.",
    "wrong-state": "Not now.",
    "bad-version": "Version 1 is spoken here.",
    "name-taken": "Somebody has this name.",
    "no-such-user": "Nobody has this name.",
    "self-chat": "That is you.",
    "user-busy": "This user is in a chat.",
    "already-paired": "You are in a chat.",
    "partner-gone": "Your partner has gone.",
    "not-accepted": "You have not accepted this chat.",
    "line-too-long": "Your line is too long.",
    "too-many-errors": "Too many errors.",
    "timeout": "Your time is over.",
    "server-full": "There is no room.",
    "address-full": "There is no room for your address.",
    "shutting-down": "The server stops.",
}


class LineTooLong(Exception):
    """So many octets have come without an LF that they cannot be a frame."""


class Refused(Exception):
    """A request is refused by a row of its own table."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


class Fault(Exception):
    """A frame is wrong in itself, or in this state."""

    def __init__(self, verb, code):
        super().__init__(code)
        self.verb = verb
        self.code = code


def is_text(field):
    return 1 <= len(field.encode()) <= 2000 and not CONTROL.search(field)


def parse(line):
    """The verb and the field (or None) of a line without its ending."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise Fault("*", "bad-encoding") from None
    verb, space, field = text.partition(" ")
    if not VERB.fullmatch(verb):
        raise Fault("*", "bad-syntax")
    if verb not in Connection.REQUESTS:
        raise Fault("*", "unknown-verb")
    if verb in ("WHO", "LEAVE", "QUIT"):
        if space:
            raise Fault(verb, "bad-syntax")
        return verb, None
    if verb in ("NAME", "CHAT"):
        good = NAME_FIELD.fullmatch(field)
    elif verb in ("PING", "PONG"):
        good = TOKEN_FIELD.fullmatch(field)
    elif verb == "HELLO":
        good = VERSION_FIELD.fullmatch(field)
    else:
        good = is_text(field)
    if not good:
        raise Fault(verb, "bad-syntax")
    return verb, field


class Connection:
    """One peer. Whatever is not about the socket itself is touched only with the server's lock held."""

    def __init__(self, server, sock, address):
        self.server = server
        self.sock = sock
        self.address = address
        self.lock = server.lock
        self.can_read = threading.Condition(self.lock)
        self.can_write = threading.Condition(self.lock)
        self.state = CONNECTED
        self.counted = False
        # who it is, and with whom it talks
        self.name = None
        self.partner = None
        self.answered = False
        self.accepted = False
        self.ring_timer = None
        self.missed = []
        self.faults = 0
        # what has come
        self.buffer = bytearray()
        self.ended_input = False
        # what goes out
        self.outbox = collections.deque()
        self.queued = 0
        self.put = 0
        self.finishing = False
        self.written = False
        self.broken = False
        # time
        now = time.monotonic()
        self.accepted_at = now
        self.quiet_since = now
        self.paused_since = None
        self.probed = False
        self.probes = 0
        self.above_since = None
        self.above_taken = 0
        self.last_taken = 0
        self.progress_at = now

    def start(self):
        threading.Thread(target=self.run_reader, daemon=True).start()
        threading.Thread(target=self.run_writer, daemon=True).start()

    # --- the reader's thread ---------------------------------------------------------------------

    def run_reader(self):
        try:
            while self.wait_for_room():
                line = self.read_line()
                if line is None:
                    break
                if not self.wait_for_room():
                    break
                with self.lock:
                    if self.state == CLOSED:
                        break
                    self.handle(line)
            with self.lock:
                self.end("lost")
        except LineTooLong:
            with self.lock:
                self.end("lost", "line-too-long")
        except OSError:
            with self.lock:
                self.end("lost")
                self.drop_output()
        self.discard_input()
        with self.lock:
            while not (self.written or self.broken):
                self.can_read.wait()
            self.server.connections.discard(self)
            self.broken = True
            self.can_write.notify_all()
            self.sock.close()

    def read_line(self):
        """The next line without its ending, or None at the end of the stream."""
        scanned = 0
        while True:
            end = self.buffer.find(b"\n", scanned, LONGEST)
            if end >= 0:
                line = bytes(self.buffer[:end])
                del self.buffer[:end + 1]
                if line.endswith(b"\r"):
                    line = line[:-1]
                return line
            if len(self.buffer) >= LONGEST:
                raise LineTooLong
            scanned = len(self.buffer)
            data = self.receive()
            if not data:
                self.ended_input = True
                return None
            self.buffer += data

    def receive(self):
        while True:
            try:
                data = self.sock.recv(CHUNK)
            except TimeoutError:
                continue
            with self.lock:
                if data:
                    self.touch()
            return data

    def wait_for_room(self):
        """Wait until the next frame may be taken; False if there is nothing to take any more."""
        with self.lock:
            if self.must_wait():
                self.paused_since = time.monotonic()
                while self.must_wait() and not self.broken:
                    self.can_read.wait()
                self.quiet_since += time.monotonic() - self.paused_since
                self.paused_since = None
            return self.state != CLOSED and not self.must_wait()

    def must_wait(self):
        if self.state == CLOSED:
            return False
        if self.queued > QUEUE_STOP:
            return True
        return self.partner is not None and self.partner.queued > QUEUE_MARK

    def discard_input(self):
        try:
            while not self.ended_input:
                if not self.receive():
                    self.ended_input = True
        except OSError:
            with self.lock:
                self.drop_output()

    # --- the writer's thread ---------------------------------------------------------------------

    def run_writer(self):
        try:
            while self.write_some():
                pass
            if not self.broken:
                self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            with self.lock:
                self.drop_output()
        with self.lock:
            self.written = True
            self.can_read.notify_all()

    def write_some(self):
        with self.lock:
            while not self.outbox and not self.finishing and not self.broken:
                self.can_write.wait()
            if self.broken or not self.outbox:
                return False
            data, counts = self.outbox.popleft()
            if len(data) < CHUNK:
                run = [data]
                size = len(data)
                while self.outbox and self.outbox[0][1] == counts and size < CHUNK:
                    more, _ = self.outbox.popleft()
                    run.append(more)
                    size += len(more)
                data = b"".join(run)
        view = memoryview(data)
        while view:
            try:
                sent = self.sock.send(view)
            except TimeoutError:
                continue
            view = view[sent:]
            with self.lock:
                if self.broken:
                    return False
                self.queued -= sent
                self.progress_at = time.monotonic()
                if counts:
                    self.touch()
                if self.queued <= QUEUE_MARK:
                    self.above_since = None
                    if self.partner is not None:
                        self.partner.can_read.notify_all()
                if self.queued <= QUEUE_STOP:
                    self.can_read.notify_all()
        return True

    # --- with the lock held ----------------------------------------------------------------------

    def send(self, *words, counts=True):
        if self.finishing or self.broken:
            return
        data = (" ".join(words) + "\n").encode()
        self.outbox.append((data, counts))
        self.queued += len(data)
        self.put += len(data)
        if self.queued > QUEUE_MARK and self.above_since is None:
            self.above_since = time.monotonic()
            self.above_taken = self.taken()
        self.can_write.notify_all()

    def taken(self):
        """How many octets the peer's system has taken in all."""
        try:
            held = struct.unpack("i", fcntl.ioctl(self.sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0]
        except OSError:
            held = 0
        return self.put - self.queued - held

    def touch(self):
        """Something has come, or was taken: silence begins anew."""
        now = time.monotonic()
        self.quiet_since = now
        if self.paused_since is not None:
            self.paused_since = now
        self.probed = False

    def drop_output(self):
        """Nothing can be sent any more: let both threads come to their end."""
        self.broken = True
        self.outbox.clear()
        self.queued = 0
        self.above_since = None
        self.can_read.notify_all()
        self.can_write.notify_all()
        if self.partner is not None:
            self.partner.can_read.notify_all()
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def refuse(self, verb, code):
        self.send("ERR", verb, code, WORDS[code])

    def handle(self, line):
        try:
            verb, field = parse(line)
            if self.state not in self.REQUESTS[verb]:
                raise Fault(verb, "wrong-state")
        except Fault as fault:
            self.refuse(fault.verb, fault.code)
            if fault.verb == "MSG" and fault.code == "wrong-state":
                self.right_frame()
            else:
                self.faulty_frame()
            return
        self.right_frame()
        method = getattr(self, "on_" + verb.lower())
        try:
            if field is None:
                method()
            else:
                method(field)
        except Refused as refused:
            self.refuse(verb, refused.code)

    def right_frame(self):
        if self.state != CONNECTED:
            self.faults = 0

    def faulty_frame(self):
        self.faults += 1
        most = FAULTS_UNNAMED if self.state == CONNECTED else FAULTS_IN_A_ROW
        if self.faults >= most:
            self.end("lost", "too-many-errors")

    def on_hello(self, version):
        if version != "1":
            raise Refused("bad-version")
        self.send("OK", "HELLO", version, "core")

    def on_name(self, name):
        if name.lower() in self.server.users:
            raise Refused("name-taken")
        self.server.users[name.lower()] = self
        self.name = name
        self.state = NAMED
        self.faults = 0
        self.send("OK", "NAME", name)

    def on_who(self):
        users = self.server.users.values()
        for user in users:
            self.send("USER", user.name, "busy" if user.state == PAIRED else "free")
        self.send("OK", "WHO", str(len(users)))

    def on_chat(self, name):
        if self.state == PAIRED:
            self.chat_again(name)
            return
        other = self.server.users.get(name.lower())
        if other is None:
            raise Refused("no-such-user")
        if other is self:
            raise Refused("self-chat")
        if other.state == PAIRED:
            if self not in other.missed:
                other.missed.append(self)
                if len(other.missed) > MISSED_AT_MOST:
                    other.missed.pop(0)
                other.send("MISSED", self.name)
            raise Refused("user-busy")
        self.state = other.state = PAIRED
        self.partner, other.partner = other, self
        self.answered = self.accepted = True
        other.answered = other.accepted = False
        self.send("OK", "CHAT", other.name)
        other.send("CALL", self.name)
        other.start_ringing()

    def chat_again(self, name):
        partner = self.partner
        if partner is None:
            raise Refused("already-paired")
        if name.lower() != partner.name.lower():
            self.accepted = False
            raise Refused("already-paired")
        first = not self.answered
        self.answered = True
        self.accepted = True
        self.send("OK", "CHAT", partner.name)
        if first:
            self.stop_ringing()
            partner.send("ACCEPTED", self.name)

    def on_msg(self, text):
        if self.partner is None:
            raise Refused("partner-gone")
        if not self.accepted:
            raise Refused("not-accepted")
        self.partner.send("MSG", text)

    def on_leave(self):
        reason = "left" if self.answered else "declined"
        self.send("OK", "LEAVE")
        self.part(reason)
        self.state = NAMED
        self.missed.clear()

    def on_ping(self, token):
        self.send("PONG", token)

    def on_pong(self, token):
        pass

    def on_quit(self):
        self.send("OK", "QUIT")
        self.end("quit")

    REQUESTS = {
        "HELLO": (CONNECTED,),
        "NAME": (CONNECTED,),
        "WHO": (NAMED, PAIRED),
        "CHAT": (NAMED, PAIRED),
        "MSG": (PAIRED,),
        "LEAVE": (PAIRED,),
        "PING": (CONNECTED, NAMED, PAIRED),
        "PONG": (CONNECTED, NAMED, PAIRED),
        "QUIT": (CONNECTED, NAMED, PAIRED),
    }

    def part(self, reason):
        """This end and its partner, if there still is one, are partners no more; the partner is told why."""
        self.stop_ringing()
        partner = self.partner
        if partner is None:
            return
        self.partner = None
        partner.partner = None
        partner.stop_ringing()
        if reason is not None:
            partner.send("GONE", self.name, reason)
        partner.can_read.notify_all()
        self.can_read.notify_all()

    def start_ringing(self):
        self.ring_timer = threading.Timer(self.server.ring, self.ring_is_over)
        self.ring_timer.daemon = True
        self.ring_timer.args = (self.ring_timer,)
        self.ring_timer.start()

    def stop_ringing(self):
        if self.ring_timer is not None:
            self.ring_timer.cancel()
            self.ring_timer = None

    def ring_is_over(self, timer):
        with self.lock:
            if self.ring_timer is not timer:
                return
            partner = self.partner
            self.send("GONE", partner.name, "unanswered")
            self.part("unanswered")

    def end(self, reason, goodbye=None):
        """The connection's end takes effect; its last frame is sent after what is queued."""
        if self.state == CLOSED:
            return
        if self.name is not None:
            del self.server.users[self.name.lower()]
            for user in self.server.users.values():
                if self in user.missed:
                    user.missed.remove(self)
        self.missed.clear()
        self.part(reason)
        self.state = CLOSED
        if self.counted:
            self.counted = False
            self.server.release(self.address)
        if goodbye is not None:
            self.send("BYE", goodbye, WORDS[goodbye])
        self.finish()

    def finish(self):
        self.state = CLOSED
        self.finishing = True
        self.progress_at = time.monotonic()
        self.can_write.notify_all()
        self.can_read.notify_all()

    def look_at_clock(self, now):
        server = self.server
        if self.state == CLOSED:
            taken = self.taken()
            if taken > self.last_taken:
                self.last_taken = taken
                self.progress_at = now
            if now - self.progress_at >= server.linger:
                self.drop_output()
            return
        if self.above_since is not None:
            taken = self.taken()
            if taken - self.above_taken >= QUEUE_MARK:
                self.above_taken = taken
                self.above_since = now
            elif now - self.above_since >= server.stalled:
                self.end("lost")
                self.drop_output()
                return
        if self.state == CONNECTED and now - self.accepted_at >= server.registration:
            self.end("timeout", "timeout")
            return
        if self.paused_since is not None:
            return
        quiet = now - self.quiet_since
        if quiet >= server.silence:
            self.end("timeout", "timeout")
        elif quiet >= server.probe and not self.probed:
            self.probed = True
            self.probes += 1
            self.send("PING", str(self.probes), counts=False)


class Server:
    def __init__(self, port, host="127.0.0.1", most=4096, registration=30.0, probe=120.0, silence=600.0,
                 ring=60.0, stalled=30.0, linger=2.0):
        self.port = port
        self.host = host
        self.most = most
        self.share = max(50, most // 10)
        self.registration = registration
        self.probe = probe
        self.silence = silence
        self.ring = ring
        self.stalled = stalled
        self.linger = linger
        self.lock = threading.RLock()
        self.users = {}
        self.connections = set()
        self.admitted = 0
        self.of_address = collections.Counter()
        self.stopping = threading.Event()

    def listen(self):
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((self.host, self.port))
        listener.listen(1024)
        listener.settimeout(TICK)
        return listener

    def run(self):
        listener = self.listen()
        threading.Thread(target=self.run_clock, daemon=True).start()
        while not self.stopping.is_set():
            try:
                sock, address = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                time.sleep(TICK)
                continue
            self.admit(sock, address[0])
        self.say_goodbye(listener)

    def admit(self, sock, host):
        sock.settimeout(3600)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        except OSError:
            pass
        address = self.address_of(host)
        connection = Connection(self, sock, address)
        with self.lock:
            self.connections.add(connection)
            if self.stopping.is_set():
                self.turn_away(connection, "shutting-down")
            elif self.admitted >= self.most:
                self.turn_away(connection, "server-full")
            elif address is not None and self.of_address[address] >= self.share:
                self.turn_away(connection, "address-full")
            else:
                connection.counted = True
                self.admitted += 1
                self.of_address[address] += 1
        connection.start()

    def turn_away(self, connection, code):
        connection.send("BYE", code, WORDS[code])
        connection.finish()

    def release(self, address):
        self.admitted -= 1
        self.of_address[address] -= 1
        if not self.of_address[address]:
            del self.of_address[address]

    @staticmethod
    def address_of(host):
        """What an address is counted by; None for loopback, which is not counted."""
        address = ipaddress.ip_address(host.partition("%")[0])
        if address.version == 6 and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if address.is_loopback:
            return None
        if address.version == 6:
            return address.packed[:8]
        return address.packed

    def run_clock(self):
        while True:
            time.sleep(TICK)
            with self.lock:
                now = time.monotonic()
                for connection in list(self.connections):
                    connection.look_at_clock(now)

    def say_goodbye(self, listener):
        deadline = time.monotonic() + SHUTDOWN
        listener.settimeout(0)
        while True:
            try:
                sock, address = listener.accept()
            except OSError:
                break
            self.admit(sock, address[0])
        listener.close()
        with self.lock:
            for connection in list(self.connections):
                connection.end(None, "shutting-down")
        while time.monotonic() < deadline:
            with self.lock:
                if not self.connections:
                    break
            time.sleep(0.02)


def main(arguments):
    port = int(arguments[0])
    host = arguments[1] if len(arguments) > 1 else "127.0.0.1"
    most = int(arguments[2]) if len(arguments) > 2 else 4096
    times = [float(word) for word in arguments[3:9]]
    threading.stack_size(256 * 1024)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = Server(port, host, most, *times)
    signal.signal(signal.SIGTERM, lambda number, frame: server.stopping.set())
    signal.signal(signal.SIGINT, lambda number, frame: server.stopping.set())
    server.run()


if __name__ == "__main__":
    main(sys.argv[1:])
