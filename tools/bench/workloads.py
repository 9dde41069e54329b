"""The workloads: what each server does, and what is measured meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from conformance.engine import programs

from .contenders import Contender
from .load import ASCII, EUROPE_AND_ASIA, Load, LostLineError, connected, disconnected, exchange, paired
from .process import ROOT, Server

Figures = dict[str, float]
UNREAD = 200  # lists that each user requests and does not read
NEWCOMER = 10  # askers after which another user comes and goes
FLOOD = 1 << 20  # lines in flight: more than any socket takes
LARGE = 500  # chats or users, from which a quick run uses fewer
KIB, MIB = 1024, 1024 * 1024
PERCENTILES = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}


@dataclass(frozen=True, slots=True)
class Pace:
    """How long and how wide: seconds before the clock runs, while it does, and within which everything that was said
    must have arrived afterwards; and by what large crowds are divided.

    On a busy machine hardly a line may arrive in so short a time: then the clock runs on until so many `lines` have.
    """

    warm: float = 0.5
    seconds: float = 2.0
    drain: float = 10.0
    divide: int = 1
    lines: int = 1


@dataclass(frozen=True, slots=True)
class Workload:
    """A row: `chats` with `window` lines of `octets` in flight in each direction, or `users` that are only there.

    `unit` is what is counted and paid for; `needs` what a server must be able to do beside relaying.
    """

    name: str
    doc: str
    measure: Callable[[Server, Workload, Pace], Figures]
    chats: int = 50
    window: int = 1
    octets: int = 64
    users: int = 0
    unit: str = "line"
    filler: str = field(default=ASCII, repr=False)
    needs: str = ""

    @property
    def connections(self) -> int:
        return self.users or 2 * self.chats

    def unfit(self, contender: Contender) -> str:
        """Why a server is not measured with this workload; empty when it is."""
        if self.octets > contender.dialect.longest:
            return f"not asked: its lines end at {contender.dialect.longest} octets"
        if self.connections > contender.most:
            return f"not asked for more than {contender.most} connections"
        if self.needs == "listing" and contender.dialect.listing("", 0) is None:
            return "not asked: lists no users"
        if self.needs == "command" and not contender.help:
            return "not asked: it has no command of this project"
        return ""


def relay(server: Server, work: Workload, pace: Pace) -> Figures:
    """Chats in which a line is said for each one that arrives."""
    with _chats(server, work, pace) as load:
        load.start()
        load.run(pace.warm)
        figures = _measured(server, load, pace)
        load.drain(pace.drain)
    return figures


def paced(server: Server, work: Workload, pace: Pace) -> Figures:
    """Chats in which each end sends a line each second, whether or not one has arrived."""
    with _chats(server, work, pace) as load:
        offer = _Offer(load, float(len(load.ends)))
        load.run(pace.warm, offer.tick)
        figures = _measured(server, load, pace, offer.tick)
        load.drain(pace.drain)
    del figures["least"]  # a line each second is too few to be shared out
    return figures


def crowd(server: Server, work: Workload, pace: Pace) -> Figures:
    """The same, beside two users that send more than any socket takes; the partner of the second one reads late.

    Latencies and shares are those of the other users. `kept` is the share of the lines for the partner that did not
    read which it gets when it reads at last.
    """
    with _chats(server, work, pace, extra=2) as load:
        ends = list(load.ends.values())
        flooder, flooded, talker, deaf = ends[-4:]
        for end in ends[-4:]:
            end.counted, end.tolerated = False, True
        flooder.window = talker.window = FLOOD
        flooded.window = deaf.window = 0
        load.hear(deaf, on=False)
        load.start()
        load.run(pace.warm)
        figures = _measured(server, load, pace)
        load.stop()
        load.hear(deaf, on=True)
        load.drain(pace.drain)
        figures["kept"] = deaf.heard / max(talker.said, 1)
    return figures


def overload(server: Server, work: Workload, pace: Pace) -> Figures:
    """Twice the lines that it can carry, offered on time whether or not the ones before have arrived.

    What it can carry is what arrives when every socket is kept full. `before_ms` and `after_ms` are the p99 latencies
    of the same chats with one line in flight each, `drain_s` is how long the last line needs after the load's end.
    """
    with _chats(server, work, pace) as load:
        for end in load.ends.values():
            end.window = FLOOD
        load.start()
        load.run(pace.warm)
        carried = _measured(server, load, pace)["rate"]
        load.drain(pace.drain)
        before = _calm(load, pace)
        offer = _Offer(load, 2 * carried)
        load.run(pace.warm, offer.tick)
        figures = _measured(server, load, pace, offer.tick)
        figures["offered"] = offer.rate
        figures["drain_s"] = load.drain(pace.drain)
        figures["before_ms"], figures["after_ms"] = before, _calm(load, pace)
        figures["memory_mib"] = server.memory("VmHWM") / MIB
    return figures


class _Offer:
    """Lines that are said at a rate, by one end after the other."""

    def __init__(self, load: Load, rate: float) -> None:
        self.rate, self._load = rate, load
        self._ends = list(load.ends.values())
        self._began, self._said, self._next = time.perf_counter_ns(), 0, 0

    def tick(self, now: int) -> None:
        due = int((now - self._began) * self.rate / 1e9) - self._said
        self._said += due
        each, some = divmod(due, len(self._ends))
        if each:
            for end in self._ends:
                self._load.say(end, each, now)
        for _ in range(some):
            self._load.say(self._ends[self._next], 1, now)
            self._next = (self._next + 1) % len(self._ends)


def _calm(load: Load, pace: Pace) -> float:
    """The p99 latency in milliseconds with one line in flight in each direction."""
    for end in load.ends.values():
        end.window = 1
    load.start()
    load.run(pace.warm)
    del load.latencies[:]
    _lasting(load, pace, pace.seconds / 2)
    p99 = _latencies(load)["p99_ms"]
    load.drain(pace.drain)
    return p99


def churn(server: Server, work: Workload, pace: Pace) -> Figures:
    """Connections that come, take a name, say goodbye, and are closed by the server."""
    dialect, count = server.contender.dialect, 0
    meter = _Meter(server)
    while time.perf_counter() < meter.began + pace.seconds:
        disconnected(connected(server.address, server.contender, work.users, count), dialect)
        count += work.users
    return meter.figures(count)


def idle(server: Server, work: Workload, pace: Pace) -> Figures:
    """Connections that have a name and do nothing."""
    count, before = work.users // pace.divide, server.memory()
    meter = _Meter(server)
    with Load(connected(server.address, server.contender, count)):
        figures = meter.figures(count)
        figures["named_s"] = time.perf_counter() - meter.began
        figures["kib_each"] = (server.memory() - before) / KIB / count
    return figures


def who(server: Server, work: Workload, pace: Pace) -> Figures:
    """One user lists the users again and again."""
    dialect, count = server.contender.dialect, work.users // pace.divide
    with Load(connected(server.address, server.contender, count)) as load:
        ends = list(load.ends.values())
        names = sorted(end.name.encode() for end in ends)
        listing = dialect.listing(ends[0].name, count)
        assert listing is not None
        answers, known = 0, b""
        meter = _Meter(server)
        while (now := time.perf_counter()) < meter.began + pace.seconds:
            answer = exchange([(ends[0], listing.exchange)])[0]
            if answer != known and sorted(found := listing.names(answer)) != names:
                raise LostLineError(f"{len(found)} users were listed, {count} are there")
            known = answer
            answers += 1
            load.latencies.append(int((time.perf_counter() - now) * 1e9))
        return meter.figures(answers * count) | _latencies(load)


def unread(server: Server, work: Workload, pace: Pace) -> Figures:
    """Users who request the list UNREAD times and read nothing, while others come, take a name and go.

    Latencies are how long these others take in all; `left_mib` is the memory after all have gone.
    """
    contender, count, before = server.contender, work.users // pace.divide, server.descriptors()
    with Load(connected(server.address, contender, count)) as load:
        meter = _Meter(server)
        for number, end in enumerate(load.ends.values()):
            listing = contender.dialect.listing(end.name, count)
            assert listing is not None
            end.socket.sendall(listing.exchange.sends * UNREAD)
            if number % NEWCOMER == 0:
                now = time.perf_counter_ns()
                disconnected(connected(server.address, contender, 1, count + number), contender.dialect)
                load.latencies.append(time.perf_counter_ns() - now)
        figures = meter.figures(count) | _latencies(load)
    deadline = time.perf_counter() + pace.drain
    while server.descriptors() > before and time.perf_counter() < deadline:
        time.sleep(0.01)  # no event tells when the server has closed the connections that the load has reset
    return figures | {"left_mib": server.memory() / MIB}


def startup(server: Server, work: Workload, pace: Pace) -> Figures:
    """How long the command takes to explain itself, and the server to listen."""
    began = time.perf_counter()
    with programs.start(server.contender.help, cwd=ROOT, cores=os.sched_getaffinity(0)) as command:
        if command.wait() != 0:
            raise LostLineError(f"`{' '.join(server.contender.help)}` failed")
    return {"help_s": time.perf_counter() - began, "ready_s": server.ready}


def _chats(server: Server, work: Workload, pace: Pace, extra: int = 0) -> Load:
    dialect = server.contender.dialect
    chats = work.chats // pace.divide if work.chats >= LARGE else work.chats
    load = Load(connected(server.address, server.contender, 2 * (chats + extra)))
    try:
        paired(list(load.ends.values()), dialect, work.octets, work.window, work.filler)
        load.listen()
    except BaseException:
        load.close()
        raise
    return load


class _Meter:
    """What the server and the load have used since its making."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._cpu, self._own = server.cpu(), time.process_time_ns()
        self.began = time.perf_counter()

    def figures(self, count: int) -> Figures:
        """What `count` lines, or whatever is counted, have cost."""
        wall = time.perf_counter() - self.began
        own = time.process_time_ns() - self._own
        cpu = self._server.cpu() - self._cpu
        return {
            "rate": count / wall,
            **({"cpu_us": cpu / 1e3 / count} if count else {}),
            "server_share": cpu / 1e9 / wall,
            "load_share": own / 1e9 / wall,
            "memory_mib": self._server.memory("VmHWM") / MIB,
        }


def _lasting(load: Load, pace: Pace, seconds: float, tick: Callable[[int], None] | None = None) -> None:
    """Lets the ends talk for so long, and on until enough lines have arrived, if these come in time."""
    began, before = time.perf_counter(), sum(end.heard for end in load.ends.values())
    load.run(seconds, tick)
    while sum(end.heard for end in load.ends.values()) < before + pace.lines:
        if time.perf_counter() > began + seconds + pace.drain:
            break
        load.run(0.01, tick)


def _measured(server: Server, load: Load, pace: Pace, tick: Callable[[int], None] | None = None) -> Figures:
    """What happens in that time. `least` is what the worst-served direction got, as a share of the mean."""
    before = [(end, end.heard) for end in load.ends.values()]
    del load.latencies[:]
    meter = _Meter(server)
    _lasting(load, pace, pace.seconds, tick)
    figures = meter.figures(sum(end.heard - heard for end, heard in before))
    served = [end.heard - heard for end, heard in before if end.counted]
    figures["least"] = min(served) * len(served) / max(sum(served), 1)
    return figures | _latencies(load)


def _latencies(load: Load) -> Figures:
    waits = sorted(load.latencies)
    return {name: waits[int(share * len(waits))] / 1e6 for name, share in PERCENTILES.items()} if waits else {}


WORKLOADS = {
    work.name: work
    for work in (
        Workload("interactive-1", "1 chat, one line in flight each way", relay, chats=1),
        Workload("interactive-50", "50 chats, one line in flight each way", relay),
        Workload("interactive-4000", "4,000 chats, one line in flight each way", relay, chats=4000),
        Workload("paced-500", "500 chats, everybody says a line each second", paced, chats=500),
        Workload("paced-4000", "4,000 chats, everybody says a line each second", paced, chats=4000),
        Workload("pipelined-64", "50 chats, 64 lines of 64 octets in flight each way", relay, window=64),
        Workload(
            "pipelined-1000", "50 chats, 64 lines of 1,000 octets in flight each way", relay, window=64, octets=1000
        ),
        Workload(
            "pipelined-utf8",
            "the same, where half of the letters are not ASCII",
            relay,
            window=64,
            octets=1000,
            filler=EUROPE_AND_ASIA,
        ),
        Workload("churn", "connections that come, take a name and go", churn, users=32, unit="connection"),
        Workload("idle-8000", "8,000 connections with a name that do nothing", idle, users=8000, unit="connection"),
        Workload("crowd", "50 chats beside a user that floods its partner and one that never reads", crowd),
        Workload(
            "who-5000", "one of 5,000 users asks who is there", who, users=5000, unit="listed user", needs="listing"
        ),
        Workload(
            "unread-lists",
            "5,000 users ask 200 times who is there, and read nothing",
            unread,
            users=5000,
            unit="asker",
            needs="listing",
        ),
        Workload("fairness", "500 chats, 16 lines in flight each way", relay, chats=500, window=16),
        Workload("overload", "twice the lines that the server can carry", overload, window=64),
        Workload("startup", "the command and the server from nothing", startup, users=1, unit="start", needs="command"),
    )
}
