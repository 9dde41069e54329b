"""The load: connections that talk in pairs, each with lines of its own, and every octet that arrives is checked.

It must cost less than the servers that it measures. So the lines of a direction are built before the clock runs, as a
run that repeats; what is sent is a slice of that run, and what arrives is compared with the run of the other end by one
memcmp, and counted by its length. A line names its sender, its receiver and its number in the run, and a run has at
least twice as many lines as can be in flight: one that is lost, doubled, out of order, changed or told to the wrong
person differs from what is due. Knows no process and no protocol.
"""

from __future__ import annotations

import select
import socket
import time
from array import array
from collections.abc import Callable, Iterable, Sequence

from .contenders import Contender, Dialect, Exchange

ANSWER = 30.0  # seconds within which a server must answer
MOST_READ = 65536
LEAST_RUN, MOST_RUN = 4, 256  # lines
ASCII = "the quick brown fox jumps over the lazy dog, and nobody minds. "
EUROPE_AND_ASIA = "Grüße aus Köln, ça va très bien; 世界のみんな、こんにちは 🙂 "
NEVER = 1 << 62
IN, OUT = select.EPOLLIN, select.EPOLLOUT


class LostLineError(Exception):
    """A server did not deliver what was sent: the message names the person, the line, what was due and what came."""


def text(me: str, partner: str, number: int, octets: int, filler: str) -> bytes:
    """A line that is unique in its run: sender, receiver, number, and filler up to its length."""
    head = f"{me}>{partner} {number:03d} "
    fill = (filler * (octets // len(filler) + 1)).encode()[: octets - len(head)].decode(errors="ignore").encode()
    return (head.encode() + fill).ljust(octets, b".")


class End:
    """One connection of a chat: what it says, what it must hear, and how far both have come."""

    def __init__(self, connection: socket.socket, name: str) -> None:
        self.name = name
        self.socket = connection
        self.send = connection.send  # bound once: they are called for each chunk
        self.recv = connection.recv
        self.partner = self
        self.window = 1  # lines in flight towards the partner
        self.counted = True  # whether its latencies count
        self.tolerated = False  # whether it may lose lines
        self.ended = ""  # how it lost them
        self.asides: Exchange | None = None
        self.said = self.heard = 0  # lines
        self.out = self.owed = 0  # octets: where in the run, and how many are due to be sent
        self.blocked = self.deaf = False  # whether it waits for room in its socket, and whether it does not read
        self.at = self.octets = 0  # octets: where in the partner's run, and how many have come
        self.mark = NEVER  # a line whose latency is measured,
        self.marked = 0  # since when

    def talks_to(self, partner: End, dialect: Dialect, octets: int, window: int, filler: str) -> None:
        """Makes the run that this end says to `partner`."""
        count = min(max(2 * window, LEAST_RUN), MOST_RUN)
        texts = [text(self.name, partner.name, number, octets, filler) for number in range(count)]
        said = b"".join(dialect.line(self.name, partner.name, each) for each in texts)
        heard = b"".join(dialect.delivered(self.name, partner.name, each) for each in texts)
        self.partner, self.window, self.asides = partner, window, dialect.aside
        # Twice the run, so that a slice which passes its end is still one slice.
        self.run, self.said_run, self.said_line = memoryview(said + said), len(said), len(said) // count
        partner.due, partner.heard_run, partner.heard_line = heard + heard, len(heard), len(heard) // count
        partner.most = min(partner.heard_run, MOST_READ)

    # Set by talks_to.
    run: memoryview
    due: bytes
    said_run: int
    said_line: int
    heard_run: int
    heard_line: int
    most: int


class Load:
    """The ends of all chats on one epoll. Close it after use."""

    def __init__(self, ends: Iterable[End]) -> None:
        self.ends = {end.socket.fileno(): end for end in ends}
        self.latencies = array("q")  # nanoseconds
        self.replying = False  # whether a line that arrived lets its sender say the next one
        self._epoll = select.epoll()

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes every connection, without a goodbye."""
        self._epoll.close()
        for end in self.ends.values():
            end.socket.close()

    def listen(self) -> None:
        """Begins to read from the ends."""
        for fd, end in self.ends.items():
            end.socket.setblocking(False)
            self._epoll.register(fd, IN)

    def hear(self, end: End, *, on: bool) -> None:
        """Whether an end reads what comes."""
        end.deaf = not on
        if not end.ended:
            self._watch(end)

    def start(self) -> None:
        """Fills every window. From now on a line that arrives lets its sender say the next one."""
        self.replying = True
        self.fill()

    def fill(self) -> None:
        """Says as many lines as fit into every window."""
        now = time.perf_counter_ns()
        for end in self.ends.values():
            self.say(end, end.window - (end.said - end.partner.heard), now)

    def stop(self) -> None:
        """Says nothing more, and takes back the lines of which nothing has been sent yet."""
        self.replying = False
        for end in self.ends.values():
            lines, end.owed = divmod(end.owed, end.said_line)
            end.said -= lines
            end.partner.mark = NEVER

    def run(self, seconds: float, tick: Callable[[int], None] | None = None) -> None:
        """Lets the ends talk for so long. `tick` is called with the time in nanoseconds at least each millisecond."""
        now = time.perf_counter_ns()
        stop = now + int(seconds * 1e9)
        while now < stop:
            if tick is not None:
                tick(now)
            self._round(0.001 if tick else 0.01)
            now = time.perf_counter_ns()

    def drain(self, seconds: float) -> float:
        """Says nothing more and waits until all that was said has arrived. Returns how long that took, in seconds.

        Raises LostLineError when something has not arrived in that time, but for ends that may lose.
        """
        self.stop()
        began = time.perf_counter()
        waiting = list(self.ends.values())
        while waiting := [end for end in waiting if not end.ended and end.heard < end.partner.said]:
            if time.perf_counter() - began < seconds:
                self._round(0.01)
            elif end := next((end for end in waiting if not end.tolerated), None):
                missing = sum(end.partner.said - end.heard for end in waiting)
                raise LostLineError(
                    f"{missing} lines have not arrived after {seconds:g} s, the first is for {end.name}"
                )
            else:
                break
        return time.perf_counter() - began

    def say(self, end: End, lines: int, now: int) -> None:
        """Lets an end say its next lines, as far as its socket takes them; the rest follows when there is room."""
        end.said += lines
        end.owed += lines * end.said_line
        partner = end.partner
        if partner.mark == NEVER:
            partner.mark, partner.marked = end.said, now
        if not end.blocked:
            self._flush(end)

    # What follows runs for each chunk. It is flat, and asks for the time once a chunk, because it is the load's cost.

    def _round(self, timeout: float) -> None:
        for fd, event in self._epoll.poll(timeout, 1024):
            end = self.ends[fd]
            try:
                if event & OUT:
                    self._flush(end)
                if event & ~OUT:
                    self._arrived(end)
            except (LostLineError, OSError) as error:
                self._lost(end, error)

    def _arrived(self, end: End) -> None:
        chunk = end.recv(end.most)
        if not end.due.startswith(chunk, end.at) or not chunk:
            chunk = self._explained(end, chunk)
        octets = len(chunk)
        at = end.at + octets
        end.at = at if at < end.heard_run else at - end.heard_run
        end.octets += octets
        heard = end.octets // end.heard_line
        fresh = heard - end.heard
        if not fresh:
            return
        end.heard = heard
        now = time.perf_counter_ns()
        if heard >= end.mark:
            if end.counted:
                self.latencies.append(now - end.marked)
            end.mark = NEVER
        if self.replying:
            self.say(end.partner, fresh, now)

    def _flush(self, end: End) -> None:
        part = end.run[end.out : end.out + min(end.owed, end.said_run)]
        try:
            sent = end.send(part)
        except BlockingIOError:
            sent = 0
        out = end.out + sent
        end.out = out if out < end.said_run else out - end.said_run
        end.owed -= sent
        if (end.owed > 0) != end.blocked:
            end.blocked = not end.blocked
            self._watch(end)

    def _watch(self, end: End) -> None:
        self._epoll.modify(end.socket, (0 if end.deaf else IN) | (OUT if end.blocked else 0))

    # What follows is rare.

    def _explained(self, end: End, chunk: bytes) -> bytes:
        """What is left of a chunk without what the server may push at any time, which is answered."""
        if not chunk:
            raise LostLineError(f"{end.name} line {end.heard + 1}: the server has closed the connection")
        good = b""
        while True:
            due = end.due[end.at + len(good) :]
            same = next((i for i, (a, b) in enumerate(zip(chunk, due, strict=False)) if a != b), len(chunk))
            good, chunk = good + chunk[:same], chunk[same:]
            if not chunk:
                return good
            if end.asides is None or not end.asides.until.startswith(chunk[: len(end.asides.until)]):
                raise LostLineError(
                    f"{end.name} line {end.heard + 1}: due {due[same : same + 50]!r}, came {chunk[:50]!r}"
                )
            if len(chunk) < len(end.asides.until):
                chunk += _read(end, len(end.asides.until) - len(chunk))
            chunk = chunk[len(end.asides.until) :]
            end.socket.sendall(end.asides.sends)

    def _lost(self, end: End, error: Exception) -> None:
        if isinstance(error, BlockingIOError):
            return
        if not end.tolerated:
            raise error if isinstance(error, LostLineError) else LostLineError(f"{end.name}: {error}")
        for each in (end, end.partner):
            if not each.ended:
                each.ended = str(error)
                self._epoll.unregister(each.socket)


def _read(end: End, octets: int) -> bytes:
    if not select.select([end.socket], [], [], ANSWER)[0]:
        raise LostLineError(f"{end.name}: the server did not finish what it began")
    return end.recv(octets)


def connected(address: tuple[str, int], contender: Contender, count: int, first: int = 0) -> list[End]:
    """So many connections to a server, each with a name of its own. Raises LostLineError when one gets no answer."""
    ends: list[End] = []
    try:
        for start in range(first, first + count, contender.backlog):
            fresh = [
                _connected(address, number) for number in range(start, min(start + contender.backlog, first + count))
            ]
            ends += fresh
            exchange([(end, contender.dialect.greet(end.name)) for end in fresh])
    except BaseException:
        for end in ends:
            end.socket.close()
        raise
    return ends


def _connected(address: tuple[str, int], number: int) -> End:
    connection = socket.create_connection(address, ANSWER)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return End(connection, f"u{number:04d}")


def disconnected(ends: Sequence[End], dialect: Dialect) -> None:
    """Every end says that it goes, finishes sending, and waits until the server has closed."""
    for end in ends:
        end.socket.sendall(dialect.quit(end.name))
        end.socket.shutdown(socket.SHUT_WR)
    for end in ends:
        with end.socket:
            while end.recv(MOST_READ):
                pass


def paired(ends: Sequence[End], dialect: Dialect, octets: int, window: int, filler: str = ASCII) -> None:
    """Each two ends that follow one another are in a chat that both have accepted; nothing is said yet."""
    pairs = list(zip(ends[::2], ends[1::2], strict=True))
    exchange([(a, dialect.call(a.name, b.name)) for a, b in pairs])
    exchange([(b, dialect.accept(b.name, a.name)) for a, b in pairs])
    exchange([(a, dialect.accepted(a.name, b.name)) for a, b in pairs])
    for a, b in pairs:
        a.talks_to(b, dialect, octets, window, filler)
        b.talks_to(a, dialect, octets, window, filler)


def exchange(what: Sequence[tuple[End, Exchange]]) -> list[bytes]:
    """Sends to all, then reads each answer to its end. Raises LostLineError when one does not come."""
    for end, each in what:
        if each.sends:
            end.socket.sendall(each.sends)
    return [_answer(end, each.until) for end, each in what]


def _answer(end: End, until: bytes) -> bytes:
    answer = bytearray()
    while not answer.endswith(until):
        try:
            chunk = end.recv(MOST_READ)
        except OSError as error:
            raise LostLineError(f"{end.name}: {error}, no {until!r} after {bytes(answer[-200:])!r}") from None
        if not chunk:
            raise LostLineError(f"{end.name}: closed, no {until!r} after {bytes(answer[-200:])!r}")
        answer += chunk
    return bytes(answer)
