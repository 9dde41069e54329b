"""The stage of a scenario: network, server, people, and the record of what really happened. Knows no scenario.

What happened is written beside the capture as JSON, so that a report can be compared with it.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.engine import programs
from pychat.spec import load, shipped
from tools.vocabulary import Vocabulary

from .network import CaptureError, Host, Network
from .people import ClientProcess, Person, RawClient, ServerProcess


@dataclass(frozen=True, slots=True)
class Programs:
    """The commands of the programs under record; `{host}`, `{port}` and `{spec}` are filled in."""

    server: tuple[str, ...] = (sys.executable, "-m", "pychat", "server", "--host", "{host}", "--port", "{port}")
    server_spec: tuple[str, ...] = ("--spec", "{spec}")
    client: tuple[str, ...] = (sys.executable, "-m", "pychat", "client", "{host}:{port}", "--plain")


@dataclass(frozen=True, slots=True)
class Mark:
    """A comment on the first frame that a display filter finds."""

    display_filter: str
    words: str


@dataclass
class Truth:
    """What a scenario did. Users by name; every list in the order of events.

    The outcome of a call is answered, declined, unanswered, hung up (by the caller) or lost (with a connection).
    """

    scenario: str
    network: str
    server: dict[str, Any]
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)
    missed: list[dict[str, str]] = field(default_factory=list)
    refusals: list[dict[str, str]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)


class Stage:
    """Everything that a scenario may use. `close` ends all programs that are left."""

    def __init__(self, network: Network, scenario: str, programs: Programs, pace: float, port: int) -> None:
        self.network = network
        self.spec = shipped()
        self.words = Vocabulary.of(self.spec)
        self.marks: list[Mark] = []
        self._programs = programs
        self._pace = pace
        self._stack = ExitStack()
        self._server: ServerProcess | None = None
        self.port = port
        self.truth = Truth(scenario, network.kind, {"address": network.server.address})

    @property
    def address(self) -> tuple[str, int]:
        """Where the server listens."""
        return self.network.server.address, self.port

    def serve(self, *, timers: dict[str, float] | None = None) -> None:
        """Starts the server, with these timers shortened to so many seconds."""
        words = list(self._programs.server)
        if timers:
            words += self._programs.server_spec
        path = self._changed_spec(timers) if timers else Path()
        filled = [word.format(host=self.network.server.address, port=self.port, spec=path) for word in words]
        self._server = ServerProcess(self.network.server, filled)
        self._stack.callback(self._server.close)
        self.port = self._server.port
        self.truth.server["port"] = self.port

    def stop_server(self) -> None:
        """Ends the server before the clients."""
        assert self._server is not None
        self._server.close()

    def host(self, number: int) -> Host:
        """The host of the n-th person."""
        return self.network.clients[number % len(self.network.clients)]

    def client(self, name: str, number: int) -> ClientProcess:
        """A real client on the n-th host."""
        host = self.host(number)
        server, port = self.address
        words = [
            word.format(host=f"[{server}]" if ":" in server else server, port=port) for word in self._programs.client
        ]
        person = ClientProcess(name, host, words, self.spec)
        self._enter(name, host, person, "client")
        return person

    def raw_client(self, name: str, number: int, *, nodelay: bool = True, receive_buffer: int = 0) -> RawClient:
        """A client of one raw socket on the n-th host."""
        host = self.host(number)
        person = RawClient(name, host, self.address, self.spec, nodelay=nodelay, receive_buffer=receive_buffer)
        self._enter(name, host, person, "raw socket")
        self.truth.people[name]["port"] = person.port
        return person

    def refused(self, number: int) -> None:
        """Tries to connect to a port on which nothing listens; it must be refused."""
        try:
            RawClient("nobody", self.host(number), self.address, self.spec).close()
        except ConnectionRefusedError:
            self.event("refused connection", host=self.host(number).address)
            return
        raise CaptureError("the connection should have been refused, but somebody listens there")

    @property
    def ringing(self) -> list[str]:
        """The timers that end a call which is not answered."""
        return [name for name, timer in self.spec.timers.items() if timer.since == "call"]

    @property
    def longest(self) -> int:
        """The most octets of a text that the protocol allows."""
        return self.spec.types[self.spec.requests[self.words.say].form.fields[0].type].octets[1]

    def named(self, *people: Person) -> None:
        """Each takes its name."""
        for person in people:
            person.ask(self.words.name, person.name)
            person.hear(self.answer(self.words.name))
            self.truth.people[person.name]["named"] = True

    def call(self, caller: Person, called: Person) -> dict[str, Any]:
        """One calls, and the other is told. Returns the call's record, where lines are counted."""
        caller.ask(self.words.call, called.name)
        caller.hear(self.answer(self.words.call))
        called.hear(self.words.called)
        lines = {caller.name: 0, called.name: 0}
        call: dict[str, Any] = {"caller": caller.name, "called": called.name, "outcome": "open", "lines": lines}
        self.truth.calls.append(call)
        return call

    def pair(self, caller: Person, called: Person) -> dict[str, Any]:
        """One calls, the other answers, and the caller is told. Returns the call's record."""
        call = self.call(caller, called)
        self.think(0.3)
        self.accept(call, caller, called)
        return call

    def accept(self, call: dict[str, Any], caller: Person, called: Person) -> None:
        """The called user answers, and the caller is told."""
        called.ask(self.words.call, caller.name)
        called.hear(self.answer(self.words.call))
        caller.hear(self.words.accepted)
        call["outcome"] = "answered"

    def miss(self, caller: Person, busy: Person) -> None:
        """A call to a user in a chat, the first one of this caller: it is refused, and the user is told."""
        self.refusal(caller, self.words.call, busy.name)
        busy.hear(self.words.missed)
        self.truth.missed.append({"caller": caller.name, "busy": busy.name})

    def say(self, chat: dict[str, Any], speaker: Person, listener: Person, text: str) -> None:
        """A line, heard before this returns."""
        speaker.ask(self.words.say, text)
        self.heard(chat, speaker, listener, 1)

    def heard(self, chat: dict[str, Any], speaker: Person, listener: Person, count: int) -> None:
        """Waits until the listener has so many lines of the speaker, and counts them."""
        for _ in range(count):
            listener.hear(self.words.heard)
        chat["lines"][speaker.name] += count

    def leave(self, person: Person, partner: Person | None = None) -> None:
        """Leaves the chat; the partner, if given, hears of it."""
        person.ask(self.words.leave)
        person.hear(self.answer(self.words.leave))
        if partner is not None:
            partner.hear(self.words.gone)

    def part(self, first: Person, second: Person) -> None:
        """The first leaves the chat, then the second, and both end."""
        self.leave(first, second)
        self.leave(second)
        self.quit(first, second)

    def quit(self, *people: Person) -> None:
        """Each says goodbye and ends."""
        for person in people:
            person.ask(self.words.quit)
            person.hear(self.answer(self.words.quit))
            person.close()
            self.truth.people[person.name]["end"] = "quit"

    def refusal(self, person: Person, verb: str, *values: str) -> None:
        """A request that must be refused."""
        person.ask(verb, *values)
        verb_named, code = person.hear(self.spec.refusal.key)[:2]
        self.truth.refusals.append({"user": person.name, "verb": verb_named, "code": code})

    def goodbye(self, person: RawClient) -> str:
        """Waits until the server has said goodbye and closed; returns the code of the goodbye."""
        code = person.hear(self.spec.goodbye.key)[0]
        person.hear_end()
        person.close()
        self.truth.people[person.name]["end"] = code
        return code

    def event(self, what: str, **about: object) -> None:
        """Something that happened, for the truth."""
        self.truth.events.append({"what": what, **about})

    def think(self, seconds: float) -> None:
        """Waits as a person would, times the pace (0: not at all)."""
        time.sleep(seconds * self._pace)

    def mark(self, display_filter: str, words: str) -> None:
        """A comment on the first frame of this scenario that the filter finds."""
        self.marks.append(Mark(display_filter, words))

    def close(self) -> None:
        """Ends all programs, the server last."""
        self._stack.close()

    def answer(self, verb: str) -> str:
        """The key of the answer to a request."""
        answer = self.spec.requests[verb].answer
        assert answer is not None
        return answer.key

    def _enter(self, name: str, host: Host, person: Person, kind: str) -> None:
        self._stack.callback(person.close)
        record = {"host": host.name, "address": host.address, "kind": kind, "named": False, "end": None}
        self.truth.people[name] = record

    def _changed_spec(self, timers: dict[str, float]) -> Path:
        """The spec's own text with other durations in it, in a file that is deleted with the stage."""
        text = (Path(__file__).parents[2] / "spec" / self.spec.source).read_text(encoding="utf-8")
        for name, seconds in timers.items():
            text, count = re.subn(rf"(?m)^(  {name}: .*?after: )[0-9.]+ (?:s|ms)", rf"\g<1>{seconds:g} s", text)
            if count != 1:
                raise CaptureError(f"the spec has no timer {name} to shorten")
        path = self._stack.enter_context(programs.folder("pychat-spec-")) / "spec.yaml"
        path.write_text(text, encoding="utf-8")
        load(path)
        return path


def texts(count: int, octets: int, seed: str) -> Sequence[str]:
    """Lines of so many octets, each telling its number, the same each time."""
    filler = "the quick brown fox jumps over the lazy dog "
    return [
        (f"{seed} {number + 1} of {count}: " + filler * (octets // len(filler) + 1))[:octets] for number in range(count)
    ]
