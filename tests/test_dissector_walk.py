"""Random conversations on the real hub, written as a capture: what the dissector infers is what the hub knew."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pychat.core.connection import Connection
from pychat.core.hub import Hub
from pychat.core.slow import Result, Work
from pychat.spec import Spec, load
from pychat.spec.forms import Field

from .conftest import ROOT
from .dissection import Seen, Tshark, by_stream, written
from .segments import Capture, Flow

FAULTY = [b"", b"x y", b"\xff", b"NO such", b"no such"]


@dataclass
class Truth:
    """The truth about a line of the server: the packet of its request, and the state after it (None within a step).

    `answered`: whether this end of the link has, and whether the other one has; None without a partner.
    """

    line: bytes
    request: int | None
    state: str | None = None
    answered: tuple[bool, bool] | None = None


@dataclass
class Person:
    """A connection with its queues: octets that the hub has not handled yet, and frames that are not sent yet."""

    name: str
    flow: Flow
    connection: Connection
    waiting: deque[tuple[int, bytes]] = field(default_factory=deque)
    unsent: deque[Truth] = field(default_factory=deque)
    truths: list[Truth] = field(default_factory=list)


class Walk:
    """Clients that send random lines to one hub. With `delays`, its frames wait before they are sent."""

    def __init__(self, spec: Spec, capture: Capture, seed: int, *, delays: bool) -> None:
        self.spec, self.capture, self.number, self.delays = spec, capture, seed, delays
        self.random = random.Random(seed)
        self.hub = Hub(spec)
        self.names = [name for name in spec.name_type.good if len(name) < 9][:3]
        self.names = [*self.names, "zoe", "kim"][:3]
        self.people: list[Person] = []
        self.all: list[Person] = []
        self.texts = 0

    def go(self, steps: int) -> None:
        for name in self.names:
            self._arrive(name)
        for _ in range(steps):
            person = self.random.choice(self.people)
            chance = self.random.random()
            if chance < 0.45:
                self._send(person)
            elif chance < 0.93:
                self._handle(person)
            elif chance < 0.96 and not person.waiting:
                self._leave(person)
            else:
                self._let_ring(person)
            for each in self.people:
                if not self.delays or self.random.random() < 0.3:
                    self._flush(each)
            for each in list(self.people):
                if each.connection.state == self.spec.final and not each.unsent:
                    self.people.remove(each)
                    self._arrive(each.name)
        for each in self.all:
            self._flush(each)

    def _arrive(self, name: str) -> None:
        flow = self.capture.flow(self.spec.transport.port, server=self.number).open()
        person = Person(name, flow, Connection())
        assert self.hub.open(person.connection, "10.1.1.1", 0.0)
        self.people.append(person)
        self.all.append(person)
        self._collect(None, None)

    def _leave(self, person: Person) -> None:
        """The end of the stream, without a goodbye."""
        person.flow.finish("client")
        self.hub.lose(person.connection, 0.0)
        person.connection.outbox.clear()
        person.unsent.clear()
        self._collect(None, None)
        assert person.connection.state == self.spec.final

    def _let_ring(self, person: Person) -> None:
        """The time of a call is over. The walk's clock stands still otherwise, so no other timer may be due."""
        for timer in self.spec.timers.values():
            if timer.since == "call" and person.connection.called is not None:
                self.hub.tick(person.connection, timer.after)
                self._collect(None, None)

    def _send(self, person: Person) -> None:
        line = self.random.choice(FAULTY) if self.random.random() < 0.06 else self._request(person)
        person.flow.send("client", line + b"\n")
        person.waiting.append((len(self.capture.packets), line))

    def _request(self, person: Person) -> bytes:
        state = self.spec.states[person.connection.state]
        verbs = list(state.recv) if self.random.random() < 0.9 and state.recv else list(self.spec.requests)
        verbs = [verb for verb in verbs if verb != self.spec.quit_verb or self.random.random() < 0.2]
        request = self.spec.requests[self.random.choice(verbs)]
        own = any(row.does("bind") for rows in state.recv.values() for row in rows if row.verb == request.verb)
        parts = [part if isinstance(part, str) else self._value(part, person, own) for part in request.form.parts]
        return " ".join(parts).encode()

    def _value(self, part: Field, person: Person, own: bool) -> str:
        kind = self.spec.types[part.type]
        if kind.rest_of_line:
            self.texts += 1
            return f"text {self.texts}"
        value = self.random.choice(kind.good)
        if part.type == self.spec.names:
            value = person.name if own and self.random.random() < 0.8 else self.random.choice(self.names)
        other = value.swapcase()
        return other if kind.fold_case and kind.accepts(other) and self.random.random() < 0.2 else value

    def _handle(self, person: Person) -> None:
        if person.waiting and person.connection.state != self.spec.final:
            packet, line = person.waiting.popleft()
            self.hub.receive(person.connection, line + b"\n", 0.0)
            while self.hub.work:
                work = self.hub.work.pop()
                self.hub.complete(work.connection, self._result(work), 0.0)
                self.hub.resume(work.connection, 0.0)
            self._collect(person, packet)

    def _result(self, work: Work) -> Result:
        """What a store would say, and a disk that fails sometimes."""
        if work.kind == "commit":
            return "failed" if self.random.random() < 0.2 else "done"
        secret, *hashes = map(str, work.payload)
        return f"hash of {secret}" if work.kind == "hash" else f"hash of {secret}" in hashes

    def _collect(self, speaker: Person | None, packet: int | None) -> None:
        """What the hub has said in this step."""
        for person in self.people:
            octets = b"".join(person.connection.outbox)
            person.connection.outbox.clear()
            lines = octets.splitlines()
            for line in lines:
                person.unsent.append(Truth(line, packet if person is speaker else None))
            if lines:
                self.hub.queues.sent(person.connection, len(octets), 0.0)
                person.unsent[-1].state = person.connection.state
                partner = person.connection.partner
                if partner is not None:
                    person.unsent[-1].answered = person.connection.answered, partner.answered

    def _flush(self, person: Person) -> None:
        while person.unsent:
            truth = person.unsent.popleft()
            person.flow.send("server", truth.line + self.spec.framing.writes)
            person.truths.append(truth)


@pytest.mark.parametrize("which", ["pychat", "little", "board"])
@pytest.mark.parametrize("delays", [False, True], ids=["at-once", "with-delays"])
def test_what_is_inferred_is_what_the_hub_knew(which: str, delays: bool, tmp_path: Path) -> None:
    """States and links, and no blame for a server that keeps the spec, whatever the clients do."""
    spec = load(ROOT / ("spec" if which == "pychat" else "tests") / f"{which}.yaml")
    capture = Capture()
    walks = [Walk(spec, capture, seed, delays=delays) for seed in range(1, 13)]
    for walk in walks:
        walk.go(150)
    frames = Tshark(spec, tmp_path).frames(written(capture, tmp_path))
    streams = by_stream(frames)
    people = sorted((person for walk in walks for person in walk.all), key=lambda person: person.flow.client_port)
    assert sum(len(person.truths) for person in people) > 500
    for stream, person in enumerate(people):
        seen = [frame for frame in streams.get(stream, []) if frame["from"] == "server"]
        assert [frame["line"] for frame in seen] == [truth.line.decode() for truth in person.truths]
        for frame, truth in zip(seen, person.truths, strict=True):
            compare(frame, truth, delays=delays)


def compare(frame: Seen, truth: Truth, *, delays: bool) -> None:
    assert frame.get("violation.by") != "server", str(frame)
    if truth.state is not None:
        assert frame["state_after"] == truth.state, str(frame)
    if truth.answered is not None:
        assert (frame["answered"], frame["here"]) == tuple(str(int(one)) for one in truth.answered), str(frame)
    wanted = None if frame["kind"] in ("push", "goodbye") or truth.request is None else str(truth.request)
    if not delays:  # else a line may reach the partner after the refusal of a later one: nobody can tell them apart
        assert frame.get("request_in") == wanted, str(frame)


@pytest.mark.parametrize("which", ["pychat", "little", "board"])
def test_a_gap_in_a_conversation_accuses_nobody(which: str, tmp_path: Path) -> None:
    """Whatever the clients do and wherever segments are missing: no violation that is not in the whole capture."""
    spec = load(ROOT / ("spec" if which == "pychat" else "tests") / f"{which}.yaml")
    shark = Tshark(spec, tmp_path)
    for seed in range(21, 24):
        capture = Capture()
        walks = [Walk(spec, capture, number, delays=bool(number % 2)) for number in range(seed * 10, seed * 10 + 6)]
        for walk in walks:
            walk.go(120)
        whole = blamed(shark.frames(written(capture, tmp_path)), range(1, len(capture.packets) + 1))
        rng = random.Random(seed)
        kept = [number for number in range(1, len(capture.packets) + 1) if rng.random() > 0.03]
        capture.packets = [capture.packets[number - 1] for number in kept]
        assert blamed(shark.frames(written(capture, tmp_path)), kept) <= whole


def blamed(frames: list[Seen], numbers: Sequence[int]) -> set[tuple[int, str, str]]:
    """The violations: the packet's number in the whole capture, the line and the code."""
    return {
        (numbers[frame.number - 1], frame["line"], code)
        for frame in frames
        for code in frame.fields.get("violation", "").split(",")
        if code
    }
