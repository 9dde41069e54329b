"""A hub and the people at it, for tests that go step by step: no socket, and time is what the test says it is."""

from __future__ import annotations

from pychat.core.connection import Connection
from pychat.core.hub import Hub
from pychat.core.slow import Result, without_wait
from pychat.spec import Spec


class Table:
    """A hub and the people at it. `say` returns what the speaker gets, `got` what anybody has got since.

    Slow work is done at once, unless `slowly`: then `done` completes the first that was given out.
    """

    def __init__(self, spec: Spec, slowly: bool = False, **options: int) -> None:
        at_once = None if slowly else without_wait
        self.hub = Hub(spec, checked=True, at_once=at_once, **options)  # type: ignore[arg-type]
        self.now = 0.0
        self.people: dict[str, Connection] = {}

    def open(self, who: str, address: str = "127.0.0.1", loopback: bool = True) -> bool:
        self.people[who] = Connection()
        return self.hub.open(self.people[who], address, self.now, loopback)

    def octets(self, who: str, octets: bytes) -> str:
        if who not in self.people:
            self.open(who)
        self.hub.receive(self.people[who], octets, self.now)
        while self.people[who].turn_over:
            self.hub.resume(self.people[who], self.now)
        return self.got(who)

    def done(self, result: Result) -> Connection:
        """Completes the first work that was given out, and goes on with all that want attention."""
        connection = self.hub.work.pop(0).connection
        self.hub.complete(connection, result, self.now)
        for touched in self.hub.queues.take_touched():
            self.hub.resume(touched, self.now)
        return connection

    def say(self, who: str, *lines: str) -> str:
        return self.octets(who, "".join(f"{line}\n" for line in lines).encode())

    def got(self, who: str) -> str:
        """The frames since the last look, with ` / ` between, and the words of refusals left out."""
        person = self.people[who]
        octets = b"".join(person.outbox)
        person.outbox.clear()
        if octets:
            self.hub.queues.sent(person, len(octets), self.now)
        lines = octets.decode().splitlines()
        return " / ".join(" ".join(line.split(" ")[:3]) if line.startswith("ERR") else line for line in lines)

    def named(self, *names: str) -> None:
        for name in names:
            assert self.say(name, f"NAME {name}") == f"OK NAME {name}"

    def chat(self, caller: str = "a", called: str = "b") -> None:
        self.named(caller, called)
        assert self.say(caller, f"CHAT {called}") == f"OK CHAT {called}"
        assert self.got(called) == f"CALL {caller}"
        assert self.say(called, f"CHAT {caller}") == f"OK CHAT {caller}"
        assert self.got(caller) == f"ACCEPTED {called}"

    def state(self, who: str) -> str:
        return self.people[who].state

    def later(self, seconds: float) -> None:
        """Lets time pass, and looks after everybody as a loop does."""
        self.now += seconds
        for person in self.people.values():
            self.hub.tick(person, self.now)
