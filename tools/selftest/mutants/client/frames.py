"""Client mutants that read or write frames and lines in another way. Knows no verb, no state and no command by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from pychat.spec.forms import Form, Reply, Template
from tools.selftest.mutants.mutant import Table, variant
from tools.selftest.mutants.reader import Reader
from tools.selftest.mutants.shared import TEXTS

from .engine import BrokenError, Client, Wish

RELAYED = "*/{relay}/*"
UNKNOWN = "*/LINE/unknown-push*"
reading: Table[Reader] = Table(Reader)
table: Table[Client] = Table(Client)

# fmt: off
reading.row("carriage-return-kept", "Does not take a CR for a part of the ending.", Reader.strip,
            lambda self, line: line.replace(b"\r", b"?"), near="*/LINE/crlf*")
reading.row("carriage-return-needed", "Takes only CRLF for an ending.", Reader.feed,
            lambda self, octets: Reader.feed(self, re.sub(rb"(?<!\r)\n", b" ", octets)))
reading.row("short-lines", "Reads no more than 512 octets of a line.", Reader.strip,
            lambda self, line: Reader.strip(self, line)[:512], near=RELAYED)
table.row("hidden-shown", "Shows a person whatever came, also what changes the direction of the text.", Client.visible,
          lambda self, line: line, near="*/*/*terminal*")
table.row("said-stripped", "Strips spaces from the ends of what was typed.", Client.command,
          lambda self, line: Client.command(self, line.strip(b" ")), near=RELAYED)
table.row("said-collapsed", "Makes one space of several in what was typed.", Client.command,
          lambda self, line: Client.command(self, re.sub(b" +", b" ", line)), near=RELAYED)
table.row("said-in-ascii", "Makes question marks of what was typed and is not ASCII.", Client.write,
          lambda self, frame: Client.write(self, frame.encode("ascii", "replace").decode()), near=RELAYED)
table.row("verbs-in-small-letters", "Writes verbs in small letters.", Client.write,
          lambda self, frame: Client.write(self, re.sub("^[^ ]*", lambda verb: verb[0].lower(), frame)))
table.row("two-endings", "Sends an empty line after each frame.", Client.write,
          lambda self, frame: Client.write(self, frame + self.spec.framing.writes.decode()))
table.row("carriage-return-written", "Ends its frames with a CR alone.", Client.write,
          lambda self, frame: self.outbox.extend(frame.encode() + b"\r"))
table.row("refuses-silently", "Neither sends nor refuses a command that is not possible.", Client.refuse,
          lambda self, word, why: None)
# fmt: on


@reading.step(Reader.cut, near="*/LINE/too-long")
def long_lines_taken(self: Reader) -> bytes | None:
    """Knows no limit of a line."""
    line, lf, rest = self.octets.partition(b"\n")
    if not lf:
        return None
    self.octets = rest
    return self.strip(bytes(line))


# --- reading ----------------------------------------------------------------------------------------------------------


@table.engine("answers-only")
class AnswersOnly(Client):
    """Understands pushes only when nothing is unanswered, and drops the others."""

    dropped = False

    def understand(self, reply: Reply, values: Mapping[str, str]) -> None:
        self.dropped = reply.kind == "push" and bool(self.unanswered)
        if not self.dropped:
            super().understand(reply, values)

    def print(self, reply: Reply, values: Mapping[str, str]) -> None:
        if not self.dropped:
            super().print(reply, values)


@table.engine("waits-for-commands")
class WaitsForCommands(Client):
    """Takes what the server has sent only when a command comes."""

    def receive(self, octets: bytes) -> None:
        self.incoming.feed(octets)

    def command(self, line: bytes) -> None:
        super().receive(b"")
        super().command(line)


@table.engine("writes-first", near="*/*/reads-while*")
class WritesFirst(Client):
    """Does not read while something waits to be written."""

    reads_while_writing = False


@table.step(Client.understand)
def words_compared(self: Client, reply: Reply, values: Mapping[str, str]) -> None:
    """Takes a refusal or a goodbye only with the words that the spec has for its code."""
    known = {error.words for error in self.spec.errors.values()}
    known |= {goodbye.words for goodbye in self.spec.goodbyes.values()}
    if reply.kind in ("refusal", "goodbye") and known.isdisjoint(values.values()):
        raise BrokenError("these words are unknown")
    Client.understand(self, reply, values)


@table.step(Client.understand)
def codes_compared(self: Client, reply: Reply, values: Mapping[str, str]) -> None:
    """Takes only the codes that it knows."""
    if reply.kind in ("refusal", "goodbye") and not {*self.spec.errors, *self.spec.goodbyes} & set(values.values()):
        raise BrokenError("this code is unknown")
    Client.understand(self, reply, values)


@table.step(Client.parse, near="*/*/control-*")
def controls_shown(self: Client, text: str) -> tuple[Reply, dict[str, str]] | None:
    """Shows control characters of the network, as if the server had removed them."""
    try:
        return Client.parse(self, text)
    except BrokenError:
        parsed = Client.parse(self, "".join(char for char in text if char.isprintable()))
        if parsed is None:
            return None
        reply, values = parsed
        name = reply.form.fields[-1].name
        return reply, {**values, name: text.split(" ", len(values))[-1]}


# --- frames of a later version ----------------------------------------------------------------------------------------

# fmt: off
table.row("unknown-verbs-refused", "Closes on a verb that it does not know.", Client.is_unknown,
          lambda self, word: False, near=UNKNOWN)
table.row("unknown-verbs-printed", "Prints frames that it does not know, as they came.", Client.ignore,
          lambda self, text: self.say(text), near=UNKNOWN)
table.row("unknown-verbs-end-waiting", "Forgets what is held when a frame comes that it does not know.", Client.ignore,
          lambda self, text: self.held.clear(), near=UNKNOWN)
table.row("known-verbs-ignored", "Ignores also what begins with a verb that it knows and has no form of it.",
          Client.is_unknown, lambda self, word: re.fullmatch(self.spec.framing.verb, word) is not None,
          near="*/LINE/*")
table.row("any-word-ignored", "Ignores whatever it does not know, also what begins with no verb.",
          Client.is_unknown, lambda self, word: word not in {reply.form.verb for reply in self.spec.replies.values()},
          near="*/LINE/*")
table.row("lists-torn", "Takes other frames between the items of a list and their answer.", Client.check_list,
          lambda self, reply: None, near="*/*list*")
# fmt: on


@table.step(Client.ignore, near=UNKNOWN)
def unknown_verbs_answer(self: Client, text: str) -> None:
    """Takes a frame that it does not know for the answer to the oldest request."""
    del self.unanswered[:1]


@table.step(Client.is_unknown, near=UNKNOWN)
def unknown_verbs_before_the_name(self: Client, word: str) -> bool:
    """Ignores verbs that it does not know only in the first state."""
    return Client.is_unknown(self, word) and self.state == self.spec.initial


@table.step(Client.is_unknown, near=UNKNOWN)
def unknown_verbs_while_idle(self: Client, word: str) -> bool:
    """Ignores verbs that it does not know only when nothing is unanswered."""
    return Client.is_unknown(self, word) and not self.unanswered


@table.step(Client.parse, near=UNKNOWN)
def unknown_verbs_alone(self: Client, text: str) -> tuple[Reply, dict[str, str]] | None:
    """Ignores a verb that it does not know only without fields."""
    parsed = Client.parse(self, text)
    if parsed is None and " " in text:
        raise BrokenError("there are fields that are unknown")
    return parsed


# --- printing ---------------------------------------------------------------------------------------------------------


@table.step(Client.print)
def names_folded(self: Client, reply: Reply, values: Mapping[str, str]) -> None:
    """Prints names in small letters."""
    names = {field.name for field in reply.form.fields if field.type == self.spec.names}
    Client.print(self, reply, {name: word.lower() if name in names else word for name, word in values.items()})


def _changed(change: Callable[[str], str]) -> Callable[[Client, Template, Mapping[str, str]], str]:
    """A step that changes the texts that are printed."""
    return lambda self, template, values: template.fill({name: change(value) for name, value in values.items()})


for _name, _breaks, _change in TEXTS:
    table.row(_name, _breaks, Client.printed, _changed(_change), near=RELAYED)

# --- writing ----------------------------------------------------------------------------------------------------------


@table.step(Client.write)
def no_ending(self: Client, frame: str) -> None:
    """Sends the last request without an ending."""
    Client.write(self, frame)
    if self.quitting:
        del self.outbox[-len(self.spec.framing.writes) :]


@table.engine("fields-unchecked", near="*/*/*too-long*")
class FieldsUnchecked(Client):
    """Sends whatever was typed, however long, and whether it is text or not."""

    reader = variant(Reader, accepts=lambda *_: True)

    def typed(self, form: Form, text: str) -> dict[str, str] | None:
        return self.incoming.values(form, text)


@table.step(Client.must_wait)
def refuses_everything_early(self: Client, wish: Wish) -> bool:
    """Loses commands that have to wait, without a word."""
    if Client.must_wait(self, wish) and wish in self.held:
        self.held.remove(wish)
        return True
    return False
