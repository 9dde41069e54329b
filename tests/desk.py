"""People at the client's inside, with the real hub at the other end; what travels is carried by hand."""

from __future__ import annotations

from collections import deque
from typing import cast

from pychat.client.client import Client, Ended
from pychat.client.input_line import InputLine
from pychat.client.phrases import Phrases
from pychat.client.talk import Talk
from pychat.core.connection import Connection
from pychat.core.hub import Hub
from pychat.core.protocol import Encoded, Protocol, shipped_protocol
from pychat.core.session import Session, View


class Desk:
    """A person with the client's inside, and the hub at the other end. What travels is carried when a test says so."""

    def __init__(self, hub: Hub, name: str | None, protocol: Protocol | None = None, chat: str | None = None) -> None:
        protocol = protocol or shipped_protocol()
        self.hub, self.wire = hub, False
        self.session, self.connection = Session(protocol), Connection()
        self.up: deque[bytes] = deque()
        self.sent: list[str] = []
        self.talk = Talk(protocol, Phrases(), name, chat)
        self.line = InputLine(self.talk)
        hub.open(self.connection, "here", 0.0, loopback=True)
        self.talk.online(cast(Client, self))
        self.line.seen()

    @property
    def view(self) -> View:
        """What the connection knows, which may be more than its user was told."""
        return self.session.view

    @property
    def unanswered(self) -> tuple[str, ...]:
        """The requests whose answers are still to come."""
        return self.session.unanswered

    @property
    def undelivered(self) -> int:
        """Octets on their way up."""
        return sum(map(len, self.up))

    def send(self, verb: str | Encoded, *values: str, timeout: float) -> bytes:
        octets = self.session.request(verb, *values)
        self.up.append(octets)
        self.sent.append(octets.decode().rstrip("\r\n"))
        return octets

    def carry_up(self) -> None:
        """The hub takes what was sent."""
        while self.up:
            self.hub.receive(self.connection, self.up.popleft(), 0.0)

    def carry_down(self, shown: bool = True) -> None:
        """The client is told what the hub has said, and its user is shown it."""
        octets, self.connection.outbox = b"".join(self.connection.outbox), []
        for event in self.session.receive(octets):
            self.talk.happened(event)
        if shown:
            self.line.seen()

    def type(self, text: str) -> None:
        """Begins or changes the input line."""
        self.line.typing(text)

    def enter(self, text: str) -> str:
        """Types a line and Enter, and returns what stays on the input line."""
        self.line.typing(text)
        self.line.typing("")
        self.line.typing(text)
        return self.finish(text)

    def finish(self, text: str) -> str:
        """Presses Enter on what was typed before, and returns what stays on the input line."""
        return self.line.enter(text)

    def shown(self) -> list[str]:
        """What was shown since the last time."""
        lines, self.talk.lines = self.talk.lines, []
        return [f"{line.name}: {line.text}" if line.name else line.text for line in lines]


def settle(*desks: Desk) -> None:
    """Carries everything until nothing moves."""
    while any(desk.up or desk.connection.outbox for desk in desks):
        for desk in desks:
            desk.carry_up()
            desk.carry_down()


def room(hub: Hub, *names: str) -> list[Desk]:
    """Named users, with nothing on the way and nothing to be shown."""
    desks = [Desk(hub, name) for name in names]
    settle(*desks)
    for desk in desks:
        desk.sent.clear()
        desk.shown()
    return desks


def lose(hub: Hub, desk: Desk) -> None:
    """The connection breaks, and both ends know it."""
    hub.lose(desk.connection, 0.0)
    hub.forget(desk.connection)
    desk.talk.happened(Ended("lost", "the server closed the connection"))
    desk.line.seen()


def come_back(hub: Hub, desk: Desk) -> Desk:
    """The same person on a new connection."""
    again = Desk(hub, None)
    again.talk, again.line = desk.talk, desk.line
    again.talk.lines.clear()
    again.talk.online(cast(Client, again))
    again.line.seen()
    return again
