"""`pychat demo`: a real server and two real clients on this machine, and every line between them, explained.

The play is a table: a turn sends a request, named by its meaning, and waits for a number of frames. What is printed is
what the sockets carried; verbs, states and the server's words come from the spec.
"""

from __future__ import annotations

import os
import sys
import textwrap
import time
import unicodedata
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple, TextIO

from .client.client import Client, Ended
from .client.connecting import ConnectError
from .core.protocol import Protocol, shipped_protocol
from .core.session import Event
from .net import reason
from .server.server import Server
from .startup import called
from .visible import hexdump, visible

PATIENCE = 10.0  # seconds that one frame may take: a bound for a machine that is stuck
WIDTH = 80
LANE = 33  # characters between two of the three lines

ALICE, BOB, SERVER = "alice", "Bob", "server"
COLOURS = {"bold": "1", "dim": "2", ALICE: "36", BOB: "35", SERVER: "32", "refused": "31"}
HELLO = "Hello, Bob! A café later?"


class Turn(NamedTuple):
    """`actor` sends a request, if there is a `meaning`, and then gets so many `frames`. The server's turn is its stop.

    `meaning` is the attribute of `Protocol` that names the verb, `value` the request's field.
    """

    actor: str
    meaning: str = ""
    value: str = ""
    frames: int = 0


class Scene(NamedTuple):
    """A part of the play. `words` may name verbs by their meaning: `{link}`."""

    title: str
    words: str
    turns: tuple[Turn, ...]


PLAY = (
    Scene(
        "Each takes a name",
        "A frame is one line of UTF-8, ended by LF; its first word is the verb. A name is unique without regard to "
        "case, and free again when its connection ends.",
        (Turn(ALICE, "bind", ALICE, frames=1), Turn(BOB, "bind", BOB, frames=1)),
    ),
    Scene(
        "Who is there?",
        "Each request has exactly one answer, in the order of the requests. That of {list} is a list: a line for each "
        "user, then their number.",
        (Turn(ALICE, "list", frames=3),),
    ),
    Scene(
        "Alice calls Bob",
        "{link} makes both partners in one turn. Bob gets a push, a frame that answers no request. Alice need not "
        "wait: a {relay} may follow its {link} at once, and has no answer when it succeeds. Alice does not know yet "
        "whether Bob is there.",
        (Turn(ALICE, "link", "bob"), Turn(ALICE, "relay", HELLO, frames=1), Turn(BOB, frames=2)),
    ),
    Scene(
        "Bob answers",
        "A chat begins for you when you say {accept}. Bob hears Alice, but is not heard before Bob has said it too: "
        "else a line that was meant for another user could reach Alice. This refusal changes nothing, and the "
        "connection stays open. Alice is told of the answer.",
        (
            Turn(BOB, "relay", "Wait, who is this?", frames=1),
            Turn(BOB, "accept", ALICE, frames=1),
            Turn(ALICE, frames=1),
            Turn(BOB, "relay", "Hello, Alice!"),
            Turn(ALICE, frames=1),
        ),
    ),
    Scene(
        "Alice leaves, while Bob is still talking",
        "A chat ends for you when you say {unlink}. Until Bob says it too, Bob's state stays, without a partner: so a "
        "line that crosses Alice's {unlink} reaches neither Alice nor the next caller, and is refused.",
        (Turn(ALICE, "unlink", frames=1), Turn(BOB, "relay", "One more thing …", frames=2)),
    ),
    Scene(
        "Bob misses a call",
        "Until this {unlink}, Bob is busy: a call is refused, and Bob is told who has called.",
        (Turn(ALICE, "link", "bob", frames=1), Turn(BOB, frames=1), Turn(BOB, "unlink", frames=1)),
    ),
    Scene(
        "Bob calls back, and Alice declines",
        "{unlink} instead of an answer declines the call, and the caller reads why it is over. A call that nobody "
        "answers ends by itself after a while.",
        (
            Turn(BOB, "link", ALICE, frames=1),
            Turn(ALICE, frames=1),
            Turn(ALICE, "unlink", frames=1),
            Turn(BOB, frames=1),
            Turn(BOB, "unlink", frames=1),
        ),
    ),
    Scene(
        "The end",
        "Alice quits. Then the server is stopped, and ends Bob's connection: when it is the server that ends a "
        "connection, its last frame says why.",
        (Turn(ALICE, "quit", frames=1), Turn(SERVER), Turn(BOB, frames=1)),
    ),
)


def run_demo() -> int:
    """Plays it on stdout. Returns 0, or 1 when something did not come as it should."""
    protocol = shipped_protocol()
    page = Page(sys.stdout)
    started = time.monotonic()
    try:
        server = Server(protocol.spec, "127.0.0.1", 0)
    except OSError as error:
        print(f"pychat: cannot listen on 127.0.0.1: {reason(error)}", file=sys.stderr)
        return 1
    try:
        with (
            server,
            Client.connect(*server.address, protocol=protocol) as alice,
            Client.connect(*server.address, protocol=protocol) as bob,
        ):
            actors = Actors(server, {ALICE: alice, BOB: bob}, page)
            _opening(page, server, actors.clients)
            for number, scene in enumerate(PLAY, 1):
                page.heading(number, scene.title, scene.words.format_map(vars(protocol)))
                for turn in scene.turns:
                    actors.play(turn)
    except (ConnectError, UnexpectedEndError) as error:
        print(f"pychat: the demo failed: {error}", file=sys.stderr)
        return 1
    _closing(page, protocol, f"{actors.frames} frames, {actors.octets} octets, {time.monotonic() - started:.2f} s.")
    return 0


def _opening(page: Page, server: Server, clients: Mapping[str, Client]) -> None:
    spec = server.spec
    page.line()
    page.line(f"  {spec.title}, version {spec.version}", "bold")
    page.line()
    page.words(spec.doc)
    ports = " and ".join(f"{name}'s from port {client.local_address[1]}" for name, client in clients.items())
    host, port = server.address
    page.words(
        f"This is live: a server listens on {host}:{port} now, and two clients are connected, {ports}. "
        "Every line that crosses these connections is shown, as it is on the wire."
    )
    page.cast()
    for name in clients:
        page.state(name, spec.initial)


def _closing(page: Page, protocol: Protocol, figures: str) -> None:
    page.line()
    page.words(f"{figures} This is what Alice said first, as a capture shows it:")
    for row in hexdump(protocol.codec.encode(f"{protocol.relay} {HELLO}")):
        page.line(f"    {row}", "dim")
    page.line()
    page.words("Now you. Each in a terminal of its own:")
    port, program = protocol.spec.transport.port, called("pychat", "pychat")
    commands = {
        f"{program} server": f"a server, on port {port}",
        f"{program} client": "a chat: it asks for your name, then with whom",
        f"nc -N 127.0.0.1 {port}": f"the same by hand: type {protocol.bind} and your name",
    }
    width = max(map(len, commands)) + 2
    fits = width + max(map(len, commands.values())) <= WIDTH - 4
    for command, what in commands.items():
        page.line(f"    {page.paint(f'{command:<{width}}', 'bold')}{what if fits else ''}")
        if not fits:
            page.line(f"        {what}")


class UnexpectedEndError(Exception):
    """The connection did not last, or fewer frames came than the play has."""


class Actors:
    """The server and the clients of the play; `frames` and `octets` are what they have sent and got."""

    def __init__(self, server: Server, clients: Mapping[str, Client], page: Page) -> None:
        self.clients = clients
        self.frames = self.octets = 0
        self._server = server
        self._page = page
        self._events: dict[str, deque[Event]] = {name: deque() for name in clients}
        self._states = dict.fromkeys(clients, server.spec.initial)

    def play(self, turn: Turn) -> None:
        """Does one turn, and shows what is on the wire."""
        if turn.actor == SERVER:
            self._server.stop()
        elif turn.meaning:
            client = self.clients[turn.actor]
            verb: str = getattr(client.protocol, turn.meaning)
            try:
                octets = client.send(verb, *filter(None, [turn.value]), timeout=PATIENCE)
            except (ConnectionError, TimeoutError) as error:
                raise UnexpectedEndError(str(error)) from None
            self._count(octets)
            self._page.frame(turn.actor, octets.decode().rstrip("\r\n"), sent=True)
        for _ in range(turn.frames):
            self._hear(turn.actor)

    def _hear(self, actor: str) -> None:
        event = self._next(actor)
        self._count(event.line + self._server.spec.framing.writes)
        self._page.frame(actor, event.line.decode(), sent=False, refused=event.kind in ("refusal", "goodbye"))
        if event.view.state != self._states[actor]:
            self._states[actor] = event.view.state
            self._page.state(actor, event.view.state)

    def _next(self, actor: str) -> Event:
        come = self._events[actor]
        while not come:
            happenings = self.clients[actor].take(PATIENCE)
            if not happenings or isinstance(happenings[0], Ended):
                raise UnexpectedEndError(f"nothing came for {actor}")
            come.extend(happening for happening in happenings if isinstance(happening, Event))
        return come.popleft()

    def _count(self, octets: bytes) -> None:
        self.frames += 1
        self.octets += len(octets)


class Page:
    """Draws three lines, the server in the middle, and what crosses between them. Colours only where wanted."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        wanted = out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self._colours = COLOURS if wanted else {}
        try:
            "│─▶◀◆…é".encode(out.encoding or "ascii")
            self._bar, self._dash, self._right, self._left, self._dot = "│─▶◀◆"
        except UnicodeEncodeError:
            self._bar, self._dash, self._right, self._left, self._dot = "|-><*"

    def paint(self, text: str, style: str) -> str:
        code = self._colours.get(style)
        return f"\x1b[{code}m{text}\x1b[0m" if code and text.strip() else text

    def _writable(self, text: str) -> str:
        """`text`, with what this output cannot write replaced."""
        encoding = self._out.encoding or "ascii"
        return text.encode(encoding, "replace").decode(encoding)

    def line(self, text: str = "", style: str = "") -> None:
        print(self._writable(self.paint(text, style)).rstrip(), file=self._out)

    def words(self, text: str) -> None:
        """A paragraph."""
        self._wrapped(text, 2)
        self.line()

    def _wrapped(self, text: str, indent: int, style: str = "") -> None:
        for row in textwrap.wrap(self._writable(text), WIDTH - 2 - indent):
            self.line(" " * indent + row, style)

    def cast(self) -> None:
        """The names above the lines."""
        middle = self.paint(f"{SERVER:^{2 * LANE + 2}}", SERVER)
        self.line(f"  {self.paint(f'{ALICE:<5}', ALICE)}{middle}{self.paint(f'{BOB:>4}', BOB)}")

    def heading(self, number: int, title: str, words: str) -> None:
        """The beginning of a scene."""
        self._row()
        self.line(f"  {number}. {title}", "bold")
        self._wrapped(words, 5, "dim")
        self._row()

    def state(self, actor: str, state: str) -> None:
        """A client is in another state."""
        align, dot = ("<", {"left": self._dot}) if actor == ALICE else (">", {"right": self._dot})
        self._row(actor, self.paint(f" {state:{align}{LANE}} ", "bold"), **dot)

    def frame(self, actor: str, text: str, *, sent: bool, refused: bool = False) -> None:
        """A frame crosses the lane of its client, in as many rows as it needs."""
        style = actor if sent else "refused" if refused else SERVER
        rows = textwrap.wrap(self._writable(visible(text)), LANE - 3) or [""]
        rightwards = sent == (actor == ALICE)
        for row in rows[:-1]:
            self._row(actor, f" {self.paint(f'{row:<{LANE}}' if rightwards else f'{row:>{LANE}}', style)} ")
        dashes = self._dash * (LANE - 2 - _cells(rows[-1]))
        arrow = f"{rows[-1]} {dashes}{self._right}" if rightwards else f"{self._left}{dashes} {rows[-1]}"
        self._row(actor, f" {self.paint(arrow, style)} ")

    def _row(self, actor: str = "", lane: str = "", left: str = "", right: str = "") -> None:
        """A row of the three lines, with something in the lane of `actor`."""
        bar, empty = self._bar, " " * (LANE + 2)
        one, other = (lane, empty) if actor == ALICE else (empty, lane or empty)
        self.line(f"    {left or bar}{one}{bar}{other}{right or bar}")


def _cells(text: str) -> int:
    """The columns that a text takes on a terminal: two for each wide character."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
