"""The servers that are compared: a row for each, and how its protocol greets, calls, says a line and delivers it.

Every server carries the same texts between the same two users, each in the frames of its own protocol. Knows no socket
and no process.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pychat.spec import Spec, shipped
from pychat.spec.forms import Field, Form
from tools.vocabulary import Vocabulary

ANY_LENGTH = 1 << 20


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a client sends, and the octets with which the last answer to it ends."""

    sends: bytes = b""
    until: bytes = b""


NOTHING = Exchange()


@dataclass(frozen=True, slots=True)
class Listing:
    """How the users are listed: the request and the end of its answer, and how names are read from the answer."""

    exchange: Exchange
    names: Callable[[bytes], list[bytes]]


class Dialect:
    """A protocol, as far as the load speaks it. This one has no greeting and no names: octets to the other end."""

    longest = ANY_LENGTH  # octets of a text
    aside: Exchange | None = None  # what the server may push at any time (`until`), and the answer (`sends`)

    def greet(self, me: str) -> Exchange:
        """A connection takes a name, and is ready for lines to it."""
        return NOTHING

    def call(self, me: str, partner: str) -> Exchange:
        """A user begins a chat."""
        return NOTHING

    def accept(self, me: str, partner: str) -> Exchange:
        """The called user accepts."""
        return NOTHING

    def accepted(self, me: str, partner: str) -> Exchange:
        """The caller hears that the called user, its partner, has accepted."""
        return NOTHING

    def quit(self, me: str) -> bytes:
        """What is said before the sending half is ended."""
        return b""

    def line(self, me: str, partner: str, text: bytes) -> bytes:
        """A line to the partner as its sender writes it."""
        return b"MSG " + text + b"\n"

    def delivered(self, me: str, partner: str, text: bytes) -> bytes:
        """The same line as the partner gets it."""
        return self.line(me, partner, text)

    def listing(self, me: str, users: int) -> Listing | None:
        """How `me` lists the users, None in a protocol without a list."""
        return None


class Chat(Dialect):
    """The protocol of a spec. What its verbs mean is asked of the spec. `ending` is that of the lines that are said."""

    def __init__(self, spec: Spec, ending: bytes = b"\n") -> None:
        self.spec = spec
        self.ending = ending
        self.words = Vocabulary.of(spec)
        self.longest = max(spec.types[field.type].octets[1] for field in spec.requests[self.words.say].form.fields)

    def greet(self, me: str) -> Exchange:
        return self._request(self.words.name, me)

    def call(self, me: str, partner: str) -> Exchange:
        return self._request(self.words.call, partner)

    def accept(self, me: str, partner: str) -> Exchange:
        return self._request(self.words.call, partner)

    def accepted(self, me: str, partner: str) -> Exchange:
        return Exchange(until=_filled(self.spec.pushes[self.words.accepted].form, partner))

    def quit(self, me: str) -> bytes:
        return self._request(self.words.quit, "").sends

    def line(self, me: str, partner: str, text: bytes) -> bytes:
        return b"%s %s%s" % (self.words.say.encode(), text, self.ending)

    def delivered(self, me: str, partner: str, text: bytes) -> bytes:
        return b"%s %s\n" % (self.words.heard.encode(), text)

    def listing(self, me: str, users: int) -> Listing | None:
        item = self.spec.requests[self.words.list].item
        assert item is not None
        name = re.compile(rb"^%s (\S+) \S+\n" % item.key.encode(), re.MULTILINE)
        return Listing(self._request(self.words.list, str(users)), name.findall)

    def _request(self, verb: str, value: str) -> Exchange:
        request = self.spec.requests[verb]
        assert request.answer is not None
        return Exchange(_filled(request.form, value), _filled(request.answer, value))


def _filled(form: Form, value: str) -> bytes:
    return " ".join(value if isinstance(part, Field) else part for part in form.parts).encode() + b"\n"


class Nats(Dialect):
    """The text protocol of NATS: each user subscribes to the subject of its name."""

    aside = Exchange(sends=b"PONG\r\n", until=b"PING\r\n")

    def greet(self, me: str) -> Exchange:
        opening = b'CONNECT {"verbose":false,"pedantic":false}\r\nSUB %s 1\r\nPING\r\n' % me.encode()
        return Exchange(opening, b"PONG\r\n")

    def line(self, me: str, partner: str, text: bytes) -> bytes:
        return b"PUB %s %d\r\n%s\r\n" % (partner.encode(), len(text), text)

    def delivered(self, me: str, partner: str, text: bytes) -> bytes:
        return b"MSG %s 1 %d\r\n%s\r\n" % (partner.encode(), len(text), text)


class Irc(Dialect):
    """RFC 2812: a private message to a nick. A message has at most 512 octets, its prefix included."""

    longest = 440

    def greet(self, me: str) -> Exchange:
        return Exchange(b"NICK %s\r\nUSER %s 0 * :%s\r\nPING greeted\r\n" % ((me.encode(),) * 3), b":greeted\r\n")

    def quit(self, me: str) -> bytes:
        return b"QUIT\r\n"

    def line(self, me: str, partner: str, text: bytes) -> bytes:
        return b"PRIVMSG %s :%s\r\n" % (partner.encode(), text)

    def delivered(self, me: str, partner: str, text: bytes) -> bytes:
        return b":%s!~%s@bench PRIVMSG %s :%s\r\n" % (me.encode(), me.encode(), partner.encode(), text)

    def listing(self, me: str, users: int) -> Listing | None:
        end = b" 366 %s * :End of NAMES list\r\n" % me.encode()
        return Listing(Exchange(b"NAMES\r\n", end), _names_of_replies)


def _names_of_replies(answer: bytes) -> list[bytes]:
    """The nicks in the replies to NAMES, many to a line. (WHO stops after 25.)"""
    return [name for line in answer.splitlines()[:-1] for name in line.rpartition(b":")[2].split()]


class Mqtt(Dialect):
    """MQTT 3.1.1 at QoS 0: each user subscribes to the topic of its name."""

    def greet(self, me: str) -> Exchange:
        connect = _packet(0x10, _counted(b"MQTT") + b"\x04\x02\x00\x00" + _counted(me.encode()))
        subscribe = _packet(0x82, b"\x00\x01" + _counted(me.encode()) + b"\x00")
        return Exchange(connect + subscribe, b"\x90\x03\x00\x01\x00")

    def quit(self, me: str) -> bytes:
        return _packet(0xE0, b"")

    def line(self, me: str, partner: str, text: bytes) -> bytes:
        return _packet(0x30, _counted(partner.encode()) + text)


def _counted(octets: bytes) -> bytes:
    return len(octets).to_bytes(2, "big") + octets


def _packet(kind: int, body: bytes) -> bytes:
    """An MQTT control packet: its length is a number of 7 bits an octet, the least significant first (2.2.3)."""
    rest, length = len(body), bytearray()
    while True:
        rest, low = divmod(rest, 128)
        length.append(low | (0x80 if rest else 0))
        if not rest:
            return bytes([kind]) + bytes(length) + body


@dataclass(frozen=True, slots=True)
class Contender:
    """A server of the comparison. Its `config` is a file's text, with {port} filled in; {config} in the command is its
    path. A server without one takes a free port and prints `listening on HOST:PORT`.

    `source` is a C file that is compiled to {program}. `needs` are the programs without which the row is left out.
    `most` is how many connections it is asked to carry, `backlog` how many may wait to be accepted: one more than the
    server listens for waits a second until its SYN is sent again. An `extra` row runs only
    when it is asked for by name.
    """

    name: str
    dialect: Dialect
    command: Sequence[str]
    config: str = ""
    needs: Sequence[str] = ()
    version: Sequence[str] = ()
    help: Sequence[str] = ()
    source: str = ""
    most: int = ANY_LENGTH
    backlog: int = 64
    extra: bool = False

    @property
    def missing(self) -> str | None:
        """The first program that is needed and not installed."""
        return next((program for program in self.needs if shutil.which(program) is None), None)


NATS = """
listen: "127.0.0.1:{port}"
max_connections: 20000
ping_interval: "1h"
write_deadline: "60s"
"""

# Names that are not looked up, and no penalties: no deliberate delay is measured.
NGIRCD = """
[Global]
Name = bench.local
Info = bench
Listen = 127.0.0.1
Ports = {port}
MotdPhrase = -
[Limits]
MaxConnections = 0
MaxConnectionsIP = 0
MaxNickLength = 31
MaxPenaltyTime = 0
PingTimeout = 3600
PongTimeout = 3600
[Options]
CloakHost = bench
DNS = no
Ident = no
PAM = no
"""

MOSQUITTO = """
listener {port} 127.0.0.1
allow_anonymous true
persistence false
log_type none
sys_interval 0
max_connections -1
max_queued_messages 0
set_tcp_nodelay true
"""


def all_contenders() -> dict[str, Contender]:
    """Every row by its name: the server of this project first, the limit last."""
    chat = Chat(shipped())
    pychat = [sys.executable, "-m", "pychat"]
    server = [*pychat, "server", "--host", "127.0.0.1", "--port", "0"]
    rows = (
        Contender("pychat", chat, server, help=[*pychat, "--help"]),
        *(Contender(f"pychat-{n}", chat, [*server, "--io-threads", str(n)], extra=True) for n in (1, 2, 4)),
        Contender("pychat-crlf", Chat(chat.spec, b"\r\n"), server, extra=True),
        Contender(
            "nats-server", Nats(), ["nats-server", "-c", "{config}"], NATS, ["nats-server"], ["nats-server", "-v"]
        ),
        Contender(
            "ngircd", Irc(), ["ngircd", "-n", "-f", "{config}"], NGIRCD, ["ngircd"], ["ngircd", "--version"], backlog=8
        ),
        Contender("mosquitto", Mqtt(), ["mosquitto", "-c", "{config}"], MOSQUITTO, ["mosquitto"], ["mosquitto", "-h"]),
        Contender("threads", chat, [sys.executable, "-m", "tools.bench.threads"]),
        Contender("limit", Dialect(), ["{program}"], needs=["gcc"], source="forwarder.c"),
    )
    return {row.name: row for row in rows}
