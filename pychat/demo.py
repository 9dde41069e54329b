"""`pychat demo`: a real server and two real clients on this machine, and every line between them, explained.

The play is a table: who sends what, by its meaning, and how many frames he gets for it. What is printed is what the
sockets carried; verbs, states and the server's words come from the spec.
"""

from __future__ import annotations

import os
import sys
import textwrap
import time
import unicodedata
from collections import deque
from dataclasses import dataclass
from typing import TextIO, TypeAlias

from .client.client import Client, Ended
from .core.protocol import Protocol, shipped_protocol
from .core.session import Event
from .net import reason
from .server.server import Server
from .startup import called
from .visible import hexdump, visible

PATIENCE = 10.0  # seconds that one frame may take: a bound for a machine that is stuck
WIDTH = 80
LANE = 33  # characters between two of the three lines


@dataclass(frozen=True, slots=True)
class Say:
    """Somebody sends a request: the attribute of `Protocol` that names its verb, and its fields."""

    who: str
    meaning: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hear:
    """Somebody gets so many frames."""

    who: str
    frames: int = 1


@dataclass(frozen=True, slots=True)
class Stop:
    """The server is stopped."""


Step: TypeAlias = Say | Hear | Stop


@dataclass(frozen=True, slots=True)
class Scene:
    """A part of the play. `words` may name verbs by their meaning: `{link}`."""

    title: str
    words: str
    steps: tuple[Step, ...]


ALICE, BOB = "alice", "Bob"
HELLO = "Hello, Bob! A café later?"
COLOURS = {"bold": "1", "dim": "2", ALICE: "36", BOB: "35", "server": "32", "refused": "31"}

PLAY = (
    Scene(
        "Each takes a name",
        "A frame is one line of UTF-8, ended by LF; its first word is the verb. A name is unique without regard to "
        "case, and free again when its connection ends.",
        (Say(ALICE, "bind", (ALICE,)), Hear(ALICE), Say(BOB, "bind", (BOB,)), Hear(BOB)),
    ),
    Scene(
        "Who is there?",
        "Each request has exactly one answer, in the order of the requests. That of {list} is a list: a line for each "
        "user, then their number.",
        (Say(ALICE, "list"), Hear(ALICE, 3)),
    ),
    Scene(
        "Alice calls Bob",
        "{link} makes both partners in one step. Alice need not wait: a {relay} may follow its {link} at once, and has "
        "no answer when it succeeds. Bob is told by a push, a frame that nobody asked for.",
        (Say(ALICE, "link", ("bob",)), Say(ALICE, "relay", (HELLO,)), Hear(ALICE), Hear(BOB, 2)),
    ),
    Scene(
        "Bob must agree",
        "A chat begins for you when you say {accept}. Bob hears Alice, but is not heard before he has said it himself: "
        "else a line that he meant for somebody else could go to her. A refusal changes nothing, and the connection "
        "lives.",
        (
            Say(BOB, "relay", ("Wait, who is this?",)),
            Hear(BOB),
            Say(BOB, "accept", (ALICE,)),
            Hear(BOB),
            Say(BOB, "relay", ("Hello, Alice!",)),
            Hear(ALICE),
        ),
    ),
    Scene(
        "Alice leaves, while Bob is still talking",
        "A chat ends for you when you say {unlink}. Until he says it too, Bob stays where he is, with nobody: so the "
        "line that he sends before he knows reaches neither Alice nor the next one who calls, and he is told.",
        (
            Say(ALICE, "unlink"),
            Hear(ALICE),
            Say(BOB, "relay", ("One more thing …",)),
            Hear(BOB, 2),
            Say(BOB, "unlink"),
            Hear(BOB),
        ),
    ),
    Scene(
        "The end",
        "Alice says goodbye. Then the server is stopped, and says goodbye to Bob: when it is the server that ends a "
        "connection, it says why in its last frame.",
        (Say(ALICE, "quit"), Hear(ALICE), Stop(), Hear(BOB)),
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
    with Actors(protocol, server, page) as actors:
        _opening(page, protocol, actors)
        try:
            for number, scene in enumerate(PLAY, 1):
                page.heading(number, scene.title, scene.words.format_map(vars(protocol)))
                for step in scene.steps:
                    actors.play(step)
        except (OSError, UnexpectedEnd) as error:
            print(f"pychat: the demo failed: {error}", file=sys.stderr)
            return 1
    _closing(page, protocol, actors, time.monotonic() - started)
    return 0


def _opening(page: Page, protocol: Protocol, actors: Actors) -> None:
    spec = protocol.spec
    page.title(f"{spec.title}, version {spec.version}")
    page.words(spec.doc)
    ports = " and ".join(f"{name}'s from port {client.local_address[1]}" for name, client in actors.clients.items())
    host, port = actors.address
    page.words(
        f"This is no film: a server listens on {host}:{port} now, and two clients are connected, {ports}. "
        "Every line that crosses these connections is shown, as it is on the wire."
    )
    page.cast(ALICE, "server", BOB)
    page.states(spec.initial, spec.initial)


def _closing(page: Page, protocol: Protocol, actors: Actors, seconds: float) -> None:
    page.line()
    page.words(
        f"{actors.frames} frames, {actors.octets} octets, {seconds:.2f} s. "
        "This is what Alice said first, as a capture shows it:"
    )
    for row in hexdump(protocol.codec.encode(f"{protocol.relay} {HELLO}")):
        page.line(f"    {row}", "dim")
    page.line()
    page.words("Now you. Each in a terminal of its own:")
    port, program = protocol.spec.transport.port, called("pychat", "pychat")
    commands = {
        f"{program} server": f"a server, on port {port}",
        f"{program} client": "a chat: it asks for your name, then with whom",
        f"nc 127.0.0.1 {port}": f"the same by hand: type {protocol.bind} and your name",
    }
    width = max(map(len, commands)) + 2
    fits = width + max(map(len, commands.values())) <= WIDTH - 4
    for command, what in commands.items():
        page.line(f"    {page.paint(f'{command:<{width}}', 'bold')}{what if fits else ''}")
        if not fits:
            page.line(f"        {what}")


class UnexpectedEnd(Exception):  # noqa: N818  # it is the name of what happened
    """Something else came than the play has, or nothing."""


class Actors:
    """The server and the clients of the play."""

    def __init__(self, protocol: Protocol, server: Server, page: Page) -> None:
        self.protocol = protocol
        self.address = server.address
        self.frames = self.octets = 0
        self.clients: dict[str, Client] = {}
        self._server = server
        self._page = page
        self._stopped = False
        self._come: dict[str, deque[Event]] = {}
        self._states: dict[str, str] = {}

    def __enter__(self) -> Actors:
        try:
            self._server.start()
            for name in (ALICE, BOB):
                self.clients[name] = Client.connect(*self.address, protocol=self.protocol)
                self._come[name] = deque()
                self._states[name] = self.protocol.spec.initial
        except BaseException:  # the server's threads would outlive it
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.clients.values():
            client.close(timeout=1)
        self._stop()

    def play(self, step: Step) -> None:
        """Does one step, and shows what is on the wire."""
        if isinstance(step, Say):
            verb: str = getattr(self.protocol, step.meaning)
            octets = self.clients[step.who].send(verb, *step.values, timeout=PATIENCE)
            self._count(octets)
            self._page.frame(step.who, octets.decode().rstrip("\r\n"), sent=True)
        elif isinstance(step, Hear):
            for _ in range(step.frames):
                self._hear(step.who)
        else:
            self._stop()

    def _hear(self, who: str) -> None:
        event = self._next(who)
        self._count(event.line + self.protocol.spec.framing.writes)
        self._page.frame(who, event.line.decode(), sent=False, refused=event.kind in ("refusal", "goodbye"))
        if event.view.state != self._states[who]:
            self._states[who] = event.view.state
            self._page.state(who, event.view.state)

    def _next(self, who: str) -> Event:
        come = self._come[who]
        while not come:
            happenings = self.clients[who].take(PATIENCE)
            if not happenings or isinstance(happenings[0], Ended):
                raise UnexpectedEnd(f"nothing came for {who}")
            come.extend(happening for happening in happenings if isinstance(happening, Event))
        return come.popleft()

    def _count(self, octets: bytes) -> None:
        self.frames += 1
        self.octets += len(octets)

    def _stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._server.stop()


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
        for row in textwrap.wrap(self._writable(text), WIDTH - 4):
            self.line(f"  {row}")
        self.line()

    def title(self, text: str) -> None:
        self.line()
        self.line(f"  {text}", "bold")
        self.line()

    def heading(self, number: int, text: str, words: str) -> None:
        """The beginning of a scene."""
        self._row("", "")
        self.line(f"  {number}. {text}", "bold")
        for row in textwrap.wrap(self._writable(words), WIDTH - 7):
            self.line(f"     {row}", "dim")
        self._row("", "")

    def cast(self, left: str, middle: str, right: str) -> None:
        """The names above the lines."""
        gap = LANE + 3
        self.line(
            f"  {self.paint(f'{left:<5}', left)}{self.paint(f'{middle:^{2 * gap - 4}}', 'server')}"
            f"{self.paint(f'{right:>4}', right)}"
        )

    def states(self, left: str, right: str) -> None:
        self.state(ALICE, left)
        self.state(BOB, right)

    def state(self, who: str, state: str) -> None:
        """Somebody is in another state."""
        if who == ALICE:
            self._row(self.paint(f" {state:<{LANE}} ", "bold"), "", left=self._dot)
        else:
            self._row("", self.paint(f" {state:>{LANE}} ", "bold"), right=self._dot)

    def frame(self, who: str, text: str, *, sent: bool, refused: bool = False) -> None:
        """A frame crosses the lane of its client, in as many rows as it needs."""
        style = who if sent else "refused" if refused else "server"
        rows = textwrap.wrap(self._writable(visible(text)), LANE - 3) or [""]
        rightwards = sent == (who == ALICE)
        for number, row in enumerate(rows):
            lane = f"{row:<{LANE}}"
            if number == len(rows) - 1:
                dashes = self._dash * (LANE - 2 - _cells(row))
                lane = f"{row} {dashes}{self._right}" if rightwards else f"{self._left}{dashes} {row}"
            elif not rightwards:
                lane = f"{row:>{LANE}}"
            painted = f" {self.paint(lane, style)} "
            self._row(painted, "") if who == ALICE else self._row("", painted)

    def _row(self, one: str, other: str, left: str = "", right: str = "") -> None:
        empty = " " * (LANE + 2)
        bar = self._bar
        self.line(f"    {left or bar}{one or empty}{bar}{other or empty}{right or bar}")


def _cells(text: str) -> int:
    """The columns that a text takes on a terminal: two for each wide character."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
