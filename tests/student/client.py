"""A chat client as a good student writes it from the protocol page: commands on stdin, what it learns on stdout.

It shares no code with the package and reads no spec file: every word and number here was typed from the page.

Three threads beside the main one: one reads commands, one reads the socket and one writes it: the client goes on
reading while it waits to write. One lock guards the view of the conversation. A command that the rules for clients do
not allow yet, because an answer is still to come, is held; one that they do not allow at all is refused.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sys
import threading
from collections import deque

MAX_FRAME = 4096
MAX_HELD = 100  # commands that wait for an answer; then stdin is not read
MAX_UNSENT = 65_536  # octets; then no command is taken, and a server that asks for more than it reads is left
PATIENCE = 5.0  # seconds that the server has to answer QUIT

NAME = r"[A-Za-z][A-Za-z0-9_-]{0,31}"
TOKEN = r"[!-~]{1,64}"
TEXT = r"[^\x00-\x08\x0a-\x1f\x7f-\x9f]{1,2000}"
WORDS = r"[^\x00-\x1f\x7f-\x9f]+"
BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")

COMMANDS = {
    "hello": ("HELLO", r"[1-9][0-9]{0,3}"),
    "name": ("NAME", NAME),
    "who": ("WHO", None),
    "chat": ("CHAT", NAME),
    "say": ("MSG", TEXT),
    "leave": ("LEAVE", None),
    "ping": ("PING", TOKEN),
    "quit": ("QUIT", None),
}
WORD_OF = {verb: word for word, (verb, _) in COMMANDS.items()}

# What the server may send: its form, and how it is printed.
REPLIES = {
    "hello": (re.compile(r"OK HELLO ([1-9][0-9]{0,3}) ([a-z]+(?: [a-z]+)*)"), "hello {} {}"),
    "name": (re.compile(rf"OK NAME ({NAME})"), "named {}"),
    "user": (re.compile(rf"USER ({NAME} (?:free|busy))"), "user {}"),
    "who": (re.compile(r"OK WHO (0|[1-9][0-9]{0,9})"), "users {}"),
    "chat": (re.compile(rf"OK CHAT ({NAME})"), "chat {}"),
    "leave": (re.compile(r"OK LEAVE()"), "left"),
    "quit": (re.compile(r"OK QUIT()"), "bye"),
    "pong": (re.compile(rf"PONG ({TOKEN})"), "pong {}"),
    "call": (re.compile(rf"CALL ({NAME})"), "called {}"),
    "accepted": (re.compile(rf"ACCEPTED ({NAME})"), "accepted {}"),
    "missed": (re.compile(rf"MISSED ({NAME})"), "missed {}"),
    "msg": (re.compile(rf"MSG ({TEXT})"), "msg {}"),
    "gone": (re.compile(rf"GONE ({NAME}) (left|declined|unanswered|quit|lost|timeout)"), "gone {} {}"),
    "ping": (re.compile(rf"PING ({TOKEN})"), ""),
    "err": (re.compile(rf"ERR ([A-Z]+|\*) ([a-z]+(?:-[a-z]+)*) {WORDS}"), "error {} {}"),
    "bye": (re.compile(rf"BYE ([a-z]+(?:-[a-z]+)*) {WORDS}"), "goodbye {}"),
}
VERB = re.compile(r"[A-Z]+")
KNOWN = {"OK", "USER", "PONG", "CALL", "ACCEPTED", "MISSED", "MSG", "GONE", "PING", "ERR", "BYE"}


class BrokenProtocolError(Exception):
    """The server has sent what it may not send."""


def show(line: str) -> None:
    """One line on stdout, at once; characters that turn the direction of text are made visible."""
    visible = BIDI.sub(lambda found: f"<U+{ord(found[0]):04X}>", line)
    sys.stdout.buffer.write(visible.encode() + b"\n")
    sys.stdout.buffer.flush()


def is_text(field: str) -> bool:
    """Whether it is as long as a text may be, in octets, and all of it was UTF-8."""
    try:
        return len(field.encode()) <= 2000
    except UnicodeEncodeError:
        return False


class Client:
    """The client's view of the conversation."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.state = "CONNECTED"
        self.partner: str | None = None
        self.answered = False  # this end has said CHAT with its partner
        self.here = False  # the partner has said it
        self.listing = False  # the users are being listed, and nothing comes between them
        self.listed = 0  # of them have come
        self.lines = 0  # MSG that may still be refused: only a refusal is an answer
        self.unanswered: deque[tuple[str, str]] = deque()
        self.held: deque[tuple[str, str, str | None]] = deque()  # verb, field, and for whom a line was typed
        self.astray = False  # the last chat was refused, so a line is for nobody
        self.unsent = b""
        self.quitting = self.ended_well = self.over = False
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)

    # --- commands ---------------------------------------------------------------------------------------------------

    def command(self, line: bytes) -> None:
        """Takes one line of stdin."""
        text = line.decode("utf-8", "surrogateescape")  # octets that are no UTF-8 are of no type
        word, space, field = text.removesuffix("\r\n").removesuffix("\n").partition(" ")
        if not word:
            return
        with self.lock:
            if word not in COMMANDS:
                show(f"refused {word.encode(errors='replace').decode()} there is no such command")
                return
            self.changed.wait_for(lambda: self.over or len(self.unsent) < MAX_UNSENT)
            verb, form = COMMANDS[word]
            if (form is None and space) or (form and not re.fullmatch(form, field)) or not is_text(field):
                if verb != "CHAT":
                    show(f"refused {word} that is not what it needs")
                    return
                field = ""  # nobody; it is refused in its turn, and the lines behind it
            self.held.append((verb, field, self.listener()))
            self.advance()
            self.changed.wait_for(lambda: self.over or len(self.held) < MAX_HELD)

    def listener(self) -> str | None:
        """For whom a line that is typed now is meant: the latest CHAT or LEAVE on its way decides."""
        for verb, field in [(verb, field) for verb, field, _ in reversed(self.held)] + list(reversed(self.unanswered)):
            if verb in ("CHAT", "LEAVE"):
                return field.lower() or None
        return self.partner and self.partner.lower()

    def advance(self) -> None:
        """Sends or refuses what was held, in order, up to what must still wait."""
        while self.held and not self.over:
            verb, field, listener = self.held[0]
            if self.must_wait(verb):
                break
            self.held.popleft()
            if self.may_send(verb, field, listener):
                if verb != "MSG":
                    self.unanswered.append((verb, field))
                else:
                    self.lines += 1
                self.quitting |= verb == "QUIT"
                self.send(f"{verb} {field}" if field else verb)
                self.astray &= verb != "CHAT"
            else:
                self.astray |= verb == "CHAT"
                show(f"refused {WORD_OF[verb]} not now")
        self.changed.notify_all()

    def must_wait(self, verb: str) -> bool:
        if verb in ("PING", "QUIT"):
            return False
        moving = ("NAME",) if verb == "WHO" else ("HELLO", "NAME", "CHAT", "LEAVE")
        return any(open_verb in moving for open_verb, _ in self.unanswered)

    def may_send(self, verb: str, field: str, listener: str | None) -> bool:
        partner = self.partner and self.partner.lower()
        if verb in ("HELLO", "NAME"):
            return self.state == "CONNECTED"
        if verb == "WHO":
            return self.state != "CONNECTED"
        if verb == "CHAT":
            return field != "" and (self.state == "NAMED" or (self.state == "PAIRED" and field.lower() == partner))
        if verb == "MSG":
            return self.state == "PAIRED" and listener == partner and not self.astray
        return verb != "LEAVE" or self.state == "PAIRED"

    def send(self, frame: str) -> None:
        if len(self.unsent) > 2 * MAX_UNSENT:
            raise BrokenProtocolError("the server does not read")
        self.unsent += frame.encode() + b"\n"
        self.changed.notify_all()

    # --- what comes from the server ---------------------------------------------------------------------------------

    def frame(self, line: bytes) -> None:
        """Takes one frame; raises BrokenProtocolError."""
        try:
            text = line.removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError:
            raise BrokenProtocolError("a line is not valid UTF-8") from None
        for kind, (form, printed) in REPLIES.items():
            if found := form.fullmatch(text):
                if kind == "msg" and len(found[1].encode()) > 2000:
                    raise BrokenProtocolError("a text is too long")
                if kind in ("err", "bye") and len(text[found.end(found.re.groups) :].encode()) > 201:
                    raise BrokenProtocolError("the words are too long")
                with self.lock:
                    self.check_list(kind)
                    getattr(self, "on_" + kind)(*found.groups())
                    if printed:
                        show(printed.format(*found.groups()))
                    self.advance()
                return
        self.check_list("unknown")
        verb = text.partition(" ")[0]
        if verb in KNOWN or not VERB.fullmatch(verb):
            raise BrokenProtocolError("a frame has no known form")

    def check_list(self, kind: str) -> None:
        """Nothing stands between the users of a list and the answer that ends it, but a goodbye may end it all."""
        if self.listing and kind not in ("user", "who", "bye"):
            raise BrokenProtocolError("a list of users is not whole")
        self.listing = kind == "user"

    def answer_to(self, verb: str) -> str:
        """The field of the oldest open request, which must be of this verb."""
        if not self.unanswered or self.unanswered[0][0] != verb:
            raise BrokenProtocolError(f"nobody asked for an answer to {verb}")
        return self.unanswered.popleft()[1]

    def on_hello(self, version: str, _: str) -> None:
        if self.answer_to("HELLO") != version:
            raise BrokenProtocolError("the answer is about another version")

    def on_name(self, name: str) -> None:
        if self.answer_to("NAME") != name:
            raise BrokenProtocolError("the answer names somebody else")
        self.state = "NAMED"

    def on_user(self, _: str) -> None:
        if not self.unanswered or self.unanswered[0][0] != "WHO":
            raise BrokenProtocolError("nobody asked WHO")
        self.listed += 1

    def on_who(self, count: str) -> None:
        self.answer_to("WHO")
        if self.listed != int(count):
            raise BrokenProtocolError("the list has another number of users")
        self.listed = 0

    def on_chat(self, name: str) -> None:
        if self.answer_to("CHAT").lower() != name.lower():
            raise BrokenProtocolError("the answer names somebody else")
        if self.state == "PAIRED" and self.partner != name:
            raise BrokenProtocolError("the answer does not name the partner")
        self.state, self.partner, self.answered = "PAIRED", name, True

    def on_leave(self, _: str) -> None:
        self.answer_to("LEAVE")
        self.state = "NAMED"
        self.part()

    def part(self) -> None:
        self.partner, self.answered, self.here = None, False, False

    def on_quit(self, _: str) -> None:
        self.answer_to("QUIT")
        self.ended_well = self.over = True

    def on_pong(self, token: str) -> None:
        if self.answer_to("PING") != token:
            raise BrokenProtocolError("that is not the token of the PING")

    def on_call(self, name: str) -> None:
        if self.state != "NAMED":
            raise BrokenProtocolError("CALL is not possible now")
        self.state, self.partner, self.here = "PAIRED", name, True

    def on_accepted(self, name: str) -> None:
        self.check_partner(name)
        if self.here:
            raise BrokenProtocolError("the partner had answered already")
        self.here = True

    def on_missed(self, _: str) -> None:
        if self.state != "PAIRED":
            raise BrokenProtocolError("no call can be missed now")

    def on_msg(self, _: str) -> None:
        if not self.here:
            raise BrokenProtocolError("a MSG from nobody")

    def on_gone(self, name: str, why: str) -> None:
        self.check_partner(name)
        possible = {"left": self.here, "declined": not self.here, "unanswered": not (self.answered and self.here)}
        if not possible.get(why, True):
            raise BrokenProtocolError(f"the partner cannot have gone for this reason: {why}")
        self.part()

    def check_partner(self, name: str) -> None:
        if name != self.partner:
            raise BrokenProtocolError("that is not the partner")

    def on_ping(self, token: str) -> None:
        self.send(f"PONG {token}")

    def on_err(self, verb: str, _: str) -> None:
        if verb == "*" and self.unanswered:
            self.unanswered.popleft()
        elif verb == "MSG" and self.lines:
            self.lines -= 1
        elif verb == "MSG":
            raise BrokenProtocolError("no line was sent")
        elif verb != "*":
            self.answer_to(verb)

    def on_bye(self, _: str) -> None:
        self.over = True

    # --- threads ----------------------------------------------------------------------------------------------------

    def read(self) -> None:
        """The reader thread: cuts the stream into lines until it ends."""
        buffer, reason = b"", "the server has closed the connection"
        try:
            while not self.over and (octets := self.sock.recv(65536)):
                *lines, buffer = (buffer + octets).split(b"\n")
                for line in lines:
                    if self.over:
                        break
                    if len(line) >= MAX_FRAME:
                        raise BrokenProtocolError("a line is too long")
                    self.frame(line)
                if len(buffer) >= MAX_FRAME:
                    raise BrokenProtocolError("a line is too long")
        except OSError as error:
            reason = error.strerror or "the connection broke"
        except BrokenProtocolError as error:
            reason = str(error)
        with self.lock:
            if not self.over:
                show(f"lost {reason}")
            self.over = True
            self.changed.notify_all()

    def write(self) -> None:
        """The writer thread: sends outside the lock."""
        while True:
            with self.lock:
                self.changed.wait_for(lambda: self.unsent or self.over)
                if self.over:
                    return
                octets, self.unsent = self.unsent, b""
                self.changed.notify_all()
            try:
                self.sock.sendall(octets)
            except OSError:
                return  # the reader sees it too

    def type_commands(self) -> None:
        """The thread of stdin: takes commands up to `quit`, which the end of the input means as well."""
        for line in sys.stdin.buffer:
            self.command(line)
            if line.rstrip(b"\r\n") == b"quit":
                break
        else:
            self.command(b"quit")

    def run(self) -> int:
        """Runs until the end of the connection or of the commands; returns the exit code."""
        show("connected")
        for work in (self.read, self.write, self.type_commands):
            threading.Thread(target=work, daemon=True).start()
        with self.lock:
            self.changed.wait_for(lambda: self.over or self.quitting)
            self.changed.wait_for(lambda: self.over, timeout=PATIENCE)
            return 0 if self.ended_well else 1


def main() -> None:
    """The command line: HOST PORT."""
    if len(sys.argv) != 3 or not sys.argv[2].isdigit():
        sys.exit("usage: client.py HOST PORT")
    try:
        sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10)
    except OSError as error:
        sys.exit(f"cannot connect: {error}")
    sock.settimeout(None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    code = Client(sock).run()
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    os._exit(code)  # the thread of stdin may be in a read that nobody can end


if __name__ == "__main__":
    main()
