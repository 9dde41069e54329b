"""Client mutants that cut or change what is typed and printed as libraries do unasked, or end in a wrong way.

Knows no verb, no state and no command by name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping

from pychat.spec.forms import Form, Reply, Template
from tools.selftest.mutants.mutant import Table
from tools.selftest.mutants.reader import Reader, TooLongError

from .engine import BrokenError, Client, Wish

Values = Mapping[str, str]
RELAYED = "*/{relay}/*"
COMMANDS = "*/LINE/*command*"
EVERY_SPACE = " \t\u00a0\u2028\u2029\u3000\ufeff"  # what trim() takes off in some languages
LINE_ENDS = "\u2028|\u2029|\x85|\x0b|\x0c"  # more than LF

table: Table[Client] = Table(Client)
reading: Table[Reader] = Table(Reader)

# --- how commands are cut ---------------------------------------------------------------------------------------------

# fmt: off
table.row("empty-line-ends", "Takes an empty line for the end of its input.", Client.command,
          lambda self, line: Client.command(self, line) if line.strip() else self.finish(), near=COMMANDS)
table.row("empty-line-refused", "Sends an empty line.", Client.command,
          lambda self, line: Client.command(self, line) if line.strip() else self.write(""), near=COMMANDS)
table.row("last-line-dropped", "Drops a last command without an LF.", Client.last,
          lambda self, line: None, near=COMMANDS)
table.row("typed-cr-kept", "Keeps the CR before the LF of a command.", Client.line,
          lambda self, line: line.decode("utf-8", "surrogateescape"), near=COMMANDS)
table.row("commands-in-any-case", "Takes a command in capitals.", Client.line,
          lambda self, line: re.sub("^[A-Za-z]+", lambda word: word[0].lower(), Client.line(self, line)), near=COMMANDS)
table.row("commands-trimmed", "Takes spaces and tabs off both ends of what is typed.", Client.line,
          lambda self, line: Client.line(self, line).strip(" \t"), near="*/LINE/*command*")
table.row("commands-trimmed-by-library", "Takes all that Unicode calls a space off the end of what is typed.",
          Client.line, lambda self, line: Client.line(self, line).rstrip(EVERY_SPACE), near="*/{relay}/any-text")
table.row("commands-split-on-spaces", "Splits what is typed at any number of spaces.", Client.line,
          lambda self, line: " ".join(Client.line(self, line).split()), near=COMMANDS)
table.row("typed-repaired", "Puts U+FFFD for typed octets that are not UTF-8.", Client.line,
          lambda self, line: line.removesuffix(b"\r").decode("utf-8", "replace"), near=COMMANDS)
table.row("typed-cut", "Cuts what is typed to the longest frame and sends it.", Client.line,
          lambda self, line: Client.line(self, line)[:1500], near=COMMANDS)
table.row("typed-mark-dropped", "Drops a byte order mark that is typed.", Client.line,
          lambda self, line: Client.line(self, line).replace("\ufeff", ""), near="*/{relay}/any-text")
table.row("typed-composed", "Composes what is typed (NFC).", Client.line,
          lambda self, line: unicodedata.normalize("NFC", Client.line(self, line)), near="*/{relay}/any-text")
table.row("one-command-a-read", "Takes the first command of what one read returns.", Client.commands,
          lambda self, lines: Client.commands(self, lines[:1]), near="*/*/*one-write")
table.row("last-command-of-a-read", "Takes the last command of what one read returns.", Client.commands,
          lambda self, lines: Client.commands(self, lines[-1:]), near="*/*/*one-write")
table.row("long-commands-in-pieces", "Takes each 4096 octets of a long command for a line.", Client.commands,
          lambda self, lines: Client.commands(
              self, [line[i : i + 4096] for line in lines for i in range(0, len(line) or 1, 4096)]), near=COMMANDS)
table.row("words-too-many-dropped", "Drops words that a command does not need.", Client.typed,
          lambda self, form, text: Client.typed(self, form, text if form.fields else form.verb), near=COMMANDS)
table.row("no-lines-behind-old-calls", "Refuses a line as long as its user has called nobody.", Client.may_send,
          lambda self, wish: Client.may_send(self, wish) and (
              not self.does(wish.verb, "relay") or self.answered), near="*/{relay}/*")
# fmt: on


@table.step(Client.command, near="*/{relay}/any-text")
def typed_line_separators(self: Client, line: bytes) -> None:
    """Takes U+2028 and its like for the end of a command."""
    for part in re.split(LINE_ENDS, line.decode("utf-8", "surrogateescape")):
        Client.command(self, part.encode("utf-8", "surrogateescape"))


@table.step(Client.not_sent, near="*/{link}/line-behind*")
def lines_behind_no_name(self: Client, verb: str) -> None:
    """Sends a line behind a call that was refused for its name."""
    self.call_refused |= self.does(verb, "link") and self.memory.get("held", False)


@table.engine("leaving-forgives-calls", near="*/{link}/line-behind*")
class LeavingForgivesCalls(Client):
    """Sends lines in a new chat, although the latest call was refused."""

    def send(self, wish: Wish) -> None:
        super().send(wish)
        self.call_refused &= not self.does(wish.verb, "unlink")


@table.engine("refused-call-is-forgotten", near="*/{link}/line-behind*")
class RefusedCallIsForgotten(Client):
    """Refuses one line behind a refused call, and sends the next."""

    def refuse(self, word: str, why: str) -> None:
        super().refuse(word, why)
        self.call_refused &= not self.does(self.spec.contract.commands[word].form.verb, "relay") if (
            word in self.spec.contract.commands
        ) else True  # fmt: skip


@table.engine("decides-late", near="*/*/line-*")
class DecidesLate(Client):
    """Looks at what is held when a whole segment is taken, and sends a line to the partner of that moment."""

    taking = False

    def receive(self, octets: bytes) -> None:
        self.taking = True
        super().receive(octets)
        self.taking = False
        self.advance()

    def advance(self) -> None:
        if not self.taking:
            super().advance()

    def is_meant(self, wish: Wish) -> bool:
        return self.partner is not None


# --- what is printed --------------------------------------------------------------------------------------------------


def _text(change: Callable[[str], str]) -> Callable[[Client, Template, Values], str]:
    """A step that changes the last field of what is printed."""
    return lambda self, template, values: template.fill(
        {
            name: change(value) if place == len(values) else value
            for place, (name, value) in enumerate(values.items(), 1)
        }
    )


for _name, _breaks, _change in (
    ("shown-composed", "Composes what it prints (NFC).", lambda text: unicodedata.normalize("NFC", text)),
    ("shown-mark-dropped", "Drops a byte order mark.", lambda text: text.replace("\ufeff", "")),
    ("shown-trimmed", "Takes all that Unicode calls a space off what it prints.", lambda text: text.strip(EVERY_SPACE)),
    ("shown-tabs-expanded", "Prints spaces for a TAB.", lambda text: text.expandtabs(8)),
    ("shown-as-format", "Uses a text as a format.", lambda text: text.replace("%s", "(null)").replace("%%", "%")),
    ("shown-escaped", "Prints backslashes twice.", lambda text: text.replace("\\", "\\\\")),
    ("shown-quotes-dropped", "Takes quotes off.", lambda text: text.replace('"', "")),
    ("shown-in-lines", "Prints a line for each U+2028.", lambda text: re.sub(LINE_ENDS, "\n", text)),
    ("shown-first-word", "Prints the first word of the last field.", lambda text: text.split(" ")[0]),
):
    table.row(_name, _breaks, Client.printed, _text(_change), near=RELAYED)


@table.step(Client.print, near="*/{relay}/a-thousand*")
def few_lines_kept(self: Client, reply: Reply, values: Values) -> None:
    """Keeps no more than a hundred lines that are not printed yet."""
    Client.print(self, reply, values)
    del self.lines[:-100]


@table.step(Client.print, near="*/*/crossing-*")
def silent_while_leaving(self: Client, reply: Reply, values: Values) -> None:
    """Prints nothing that comes between the last request and its answer."""
    if not self.quitting or reply.kind == "answer":
        Client.print(self, reply, values)


@table.step(Client.print, near="*/*/a-long-list")
def items_behind_their_answer(self: Client, reply: Reply, values: Values) -> None:
    """Prints the items of a list behind the answer that ends it."""
    if reply.kind == "item":
        self.memory.setdefault("items", []).append((reply, values))
        return
    Client.print(self, reply, values)
    for item in self.memory.pop("items", []):
        Client.print(self, *item)


@table.engine("names-as-typed", near="*/*/*spelling*")
class NamesAsTyped(Client):
    """Prints a name as its user has typed it."""

    def print(self, reply: Reply, values: Values) -> None:
        typed = self.memory.get("typed", {})
        super().print(reply, {name: typed.get(value.lower(), value) for name, value in values.items()})

    def send(self, wish: Wish) -> None:
        self.memory.setdefault("typed", {}).update({value.lower(): value for value in wish.values.values()})
        super().send(wish)


# --- what it reads ----------------------------------------------------------------------------------------------------

# fmt: off
reading.row("frames-trimmed", "Takes spaces off the end of a frame.", Reader.text,
            lambda self, line: Reader.text(self, line).rstrip(" \t"), near=RELAYED)
reading.row("frames-at-line-separators", "Takes U+2028 for the end of a frame.", Reader.feed,
            lambda self, octets: Reader.feed(self, octets.replace("\u2028".encode(), b"\n")), near=RELAYED)
reading.row("every-cr-dropped", "Drops each CR of a segment.", Reader.feed,
            lambda self, octets: Reader.feed(self, octets.replace(b"\r", b"")), near="*/LINE/*cr*")
reading.row("little-buffer", "Keeps the last 4096 octets of a segment.", Reader.feed,
            lambda self, octets: Reader.feed(self, octets[-4096:]), near="*/*/a-*")
reading.row("mark-dropped-from-stream", "Drops byte order marks from the stream.", Reader.text,
            lambda self, line: Reader.text(self, line).replace("\ufeff", ""), near=RELAYED)
# fmt: on


@reading.step(Reader.cut, near="*/LINE/longest-frame*")
def limit_less_one(self: Reader) -> bytes | None:
    """Takes a line for too long that is as long as may be."""
    line = Reader.cut(self)
    if line is not None and len(line) >= self.spec.framing.max_octets - 2:
        raise TooLongError
    return line


@reading.step(Reader.cut, near="*/LINE/too-long-by-one")
def limit_without_ending(self: Reader) -> bytes | None:
    """Does not count the ending of a line."""
    end = self.octets.find(b"\n")
    if end == self.spec.framing.max_octets:
        line = bytes(self.octets[:end])
        del self.octets[: end + 1]
        return line
    return Reader.cut(self) if end >= 0 or len(self.octets) > self.spec.framing.max_octets else None


# fmt: off
table.row("echo-unchecked", "Takes an answer that is about something else.", Client.is_echo,
          lambda self, reply, values: True, near="*/*/another-*")
table.row("echo-in-any-type", "Compares names in answers as they are written.", Client.is_echo,
          lambda self, reply, values: all(
              values[field.name] == self.unanswered[0].values.get(field.name, values[field.name])
              for field in reply.form.fields), near="*/*/*spelling*")
table.row("count-unchecked", "Takes a list whose number is wrong.", Client.is_counted,
          lambda self, reply, values: bool(vars(self).update(items=0)) or True, near="*/*/wrong-count")
table.row("count-of-all-lists", "Counts the items of all lists.", Client.is_counted,
          lambda self, reply, values: not self.does(reply.verb or "", "list")
          or values.get("count", str(self.items)) == str(self.items), near="*/*/a-long-list")
# fmt: on


def _narrow(name: str, breaks: str, pattern: str, kinds: Callable[[Client], set[str]], near: str) -> None:
    """A mutant that takes a frame for broken whose fields of some types are not of a narrower form."""

    def parse(self: Client, text: str) -> tuple[Reply, dict[str, str]] | None:
        parsed = Client.parse(self, text)
        if parsed is not None:
            for field in parsed[0].form.fields:
                if field.type in kinds(self) and not re.fullmatch(pattern, parsed[1][field.name]):
                    raise BrokenError(f"{field.name} is wrong")
        return parsed

    table.row(name, breaks, Client.parse, parse, near=near)


def _types(self: Client, kind: str) -> set[str]:
    """The types of the fields of pushes that want a reply, or of the last fields of refusals and goodbyes."""
    pushes = [push.form for push in self.spec.pushes.values() if push.reply is not None]
    forms = pushes if kind == "probe" else [self.spec.refusal, self.spec.goodbye]
    return {form.fields[-1].type for form in forms if form.fields}


_narrow("names-of-word-characters", "Takes names of letters, digits and _ alone.", r"\w+",
        lambda self: {self.spec.names}, "*/*/name-*-comes")  # fmt: skip
_narrow("names-of-two", "Takes names of two characters and more.", r".{2,}",
        lambda self: {self.spec.names}, "*/*/name-*-comes")  # fmt: skip
_narrow("names-up-to-31", "Takes names of 31 characters at most.", r".{1,31}",
        lambda self: {self.spec.names}, "*/*/name-*-comes")  # fmt: skip
_narrow("tokens-of-word-characters", "Takes tokens of letters, digits, _ and - alone.", r"[\w-]+",
        lambda self: _types(self, "probe"), "*/*/token-*-comes")  # fmt: skip
_narrow("tokens-up-to-32", "Takes tokens of 32 characters at most.", r".{1,32}",
        lambda self: _types(self, "probe"), "*/*/token-*-comes")  # fmt: skip
_narrow("words-in-ascii-only", "Takes refusals and goodbyes in ASCII alone.", r"[ -~]+",
        lambda self: _types(self, "words"), "*/*/*words*")  # fmt: skip
_narrow("words-up-to-100", "Takes 100 characters of words at most.", r".{1,100}",
        lambda self: _types(self, "words"), "*/*/*words*")  # fmt: skip


@table.step(Client.typed, near="*/*/*-sent")
def typed_names_up_to_16(self: Client, form: Form, text: str) -> dict[str, str] | None:
    """Refuses names that are longer than 16."""
    values = Client.typed(self, form, text)
    names = [field.name for field in form.fields if field.type == self.spec.names]
    return None if values is not None and any(len(values[name]) > 16 for name in names) else values


@table.step(Client.reply, near="*/*/probed-meanwhile")
def one_probe_a_segment(self: Client, template: Template, values: Values) -> None:
    """Answers the last probe of those that it has read in one go."""
    frame = template.fill(values).encode() + self.spec.framing.writes
    if self.outbox.endswith(self.memory.get("pong", b"\0")):
        del self.outbox[-len(self.memory["pong"]) :]
    self.memory["pong"] = frame
    self.outbox += frame


# --- how it ends ------------------------------------------------------------------------------------------------------

# fmt: off
table.row("always-ends-well", "Ends with code 0 however the connection ended.", Client.code, lambda self: 0,
          near="*/EOF/server-*")
table.row("asked-is-well", "Ends with code 0 when it has asked for the end, answered or not.", Client.code,
          lambda self: 0 if self.quitting else 1, near="*/*/unanswered-*")
table.row("lost-silently", "Says nothing of a lost connection.", Client.lose,
          lambda self, why: vars(self).update(over=True), near="*/EOF/*")
table.row("lost-while-leaving", "Says nothing of a connection that is lost while it asks for the end.", Client.lose,
          lambda self, why: vars(self).update(over=True) if self.quitting else Client.lose(self, why),
          near="*/*/unanswered-*")
# fmt: on


@table.engine("goodbye-is-well", near="*/BYE/*")
class GoodbyeIsWell(Client):
    """Ends with code 0 after the server's goodbye."""

    def print(self, reply: Reply, values: Values) -> None:
        super().print(reply, values)
        self.memory["well"] = reply.kind == "goodbye"

    def code(self) -> int:
        return 0 if self.memory.get("well") else super().code()


@table.step(Client.finish, near="*/EOF/*held")
def end_forgets_held(self: Client) -> None:
    """Forgets what is held at the end of its input."""
    self.held.clear()
    Client.finish(self)


@table.engine("goes-on-after-quit", near="*/*/nothing-follows")
class GoesOnAfterQuit(Client):
    """Carries out what was typed behind the last request."""

    def command(self, line: bytes) -> None:
        quitting, self.quitting = self.quitting, False
        super().command(line)
        self.quitting |= quitting


@table.step(Client.finish, near="*/QUIT/then-the-input-ends")
def quits_twice(self: Client) -> None:
    """Asks for the end again when the input ends behind the last request."""
    quitting, self.quitting = self.quitting, False
    Client.finish(self)
    self.quitting |= quitting


@table.engine("end-overtakes", near="*/EOF/*held")
class EndOvertakes(Client):
    """Asks for the end at once, before what is held."""

    def finish(self) -> None:
        held, self.held = self.held, []
        super().finish()
        self.held += held


@table.engine("lost-behind-goodbye", near="*/BYE/*")
class LostBehindGoodbye(Client):
    """Says that the connection is lost, also after a goodbye."""

    def end(self) -> None:
        self.over = False
        super().end()

    def take(self, line: bytes) -> None:
        super().take(line)
        if self.over and not self.answered_quit:
            self.say("lost the server has closed the connection")
