"""Server mutants that cut, read or refuse frames in another way. Knows no verb, no state and no code by name."""

from __future__ import annotations

import re
from collections.abc import Callable

from pychat.spec.model import Outcome
from tools.selftest.mutants.mutant import Table
from tools.selftest.mutants.reader import Reader

from .connection import Connection, FaultyFrameError
from .engine import Server

reading: Table[Reader] = Table(Reader)
refusing: Table[Server] = Table(Server, near="*/LINE/*")

# fmt: off
reading.row("carriage-returns-stripped", "Takes every CR at the end of a line for its ending.", Reader.strip,
            lambda self, line: line.rstrip(b"\r"))
reading.row("ends-lines-at-carriage-return", "Takes a CR alone for the end of a line.", Reader.feed,
            lambda self, octets: Reader.feed(self, re.sub(rb"\r(?=[^\n\r])", b"\n", octets)))
reading.row("encoding-unchecked", "Takes any octets for text, and passes them on.", Reader.text,
            lambda self, line: line.decode("utf-8", "surrogateescape"))
reading.row("leading-space-skipped", "Skips spaces before the verb.", Reader.text,
            lambda self, line: Reader.text(self, line).lstrip(" "))
reading.row("tab-separates", "Takes a TAB for the space between fields.", Reader.text,
            lambda self, line: Reader.text(self, line).replace("\t", " ", 1))
reading.row("verbs-folded", "Knows verbs in any case.", Reader.text,
            lambda self, line: re.sub("^[^ ]*", lambda verb: verb[0].upper(), Reader.text(self, line)))
reading.row("spaces-collapsed", "Takes several spaces for one, where no text is meant.", Reader.values,
            lambda self, form, text:
            Reader.values(self, form, text) or Reader.values(self, form, re.sub(" +", " ", text)))
reading.row("trailing-space-skipped", "Skips a space after the last field.", Reader.values,
            lambda self, form, text: Reader.values(self, form, text) or Reader.values(self, form, text.rstrip(" ")))
reading.row("more-fields-taken", "Skips words after the last field.", Reader.values,
            lambda self, form, text:
            Reader.values(self, form, text) or Reader.values(self, form, " ".join(text.split(" ")[: len(form.parts)])))
reading.row("encoding-only-where-known", "Looks for bad encoding only in frames whose verb it knows.", Reader.text,
            lambda self, line:
            Reader.text(self, line) if line.split(b" ")[0].decode("latin-1") in self.spec.requests
            else line.decode("utf-8", "surrogateescape"))
refusing.row("empty-lines-skipped", "Skips empty lines without a word.", Server.take,
             lambda self, conn, line: Server.take(self, conn, line) if line else None)
refusing.row("refusals-count", "Counts the refusals of the table as faults.", Server.taken,
             lambda self, conn, outcome:
             self.count_fault(conn) if outcome.error is not None else Server.taken(self, conn, outcome))
refusing.row("no-words-in-refusals", "Refuses without words.", Server.refusal,
             lambda self, conn, verb, code:
             Server.refusal(self, conn, verb, code).removesuffix(f" {self.spec.errors[code].words}"))
refusing.row("empty-words-in-refusals", "Refuses with a space and no words.", Server.refusal,
             lambda self, conn, verb, code:
             Server.refusal(self, conn, verb, code).removesuffix(self.spec.errors[code].words))
refusing.row("words-in-two-lines", "Refuses with words that hold a line break.", Server.refusal,
             lambda self, conn, verb, code: Server.refusal(self, conn, verb, code).replace(" ", "\n", 1))

INVALID = (  # octets that are not valid UTF-8, and are taken
    ("overlong-taken", "Takes overlong forms.",
     rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f][\x80-\xbf]|\xf0[\x80-\x8f][\x80-\xbf]{2}"),
    ("surrogates-taken", "Takes surrogates.",
     rb"\xed[\xa0-\xbf][\x80-\xbf]"),
    ("beyond-unicode-taken", "Takes what lies above U+10FFFF.",
     rb"\xf4[\x90-\xbf][\x80-\xbf]{2}|[\xf5-\xf7][\x80-\xbf]{3}"),
    ("truncated-taken", "Takes a character that is cut off by the end of the line.",
     rb"(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z"),
)
# fmt: on


def _taking(forms: bytes) -> Callable[[Reader, bytes], str]:
    def text(self: Reader, line: bytes) -> str:
        re.sub(forms, b"?", line).decode()
        return line.decode("utf-8", "surrogateescape")

    return text


for _name, _breaks, _forms in INVALID:
    reading.row(_name, _breaks, Reader.text, _taking(_forms))


@reading.step(Reader.cut)
def too_long_cut(self: Reader) -> bytes | None:
    """Cuts a line that is too long and goes on."""
    size = self.spec.framing.max_octets
    if self.octets.find(b"\n", 0, size) < 0 and len(self.octets) >= size:
        self.octets[size - 1 :] = b"\n"
    return Reader.cut(self)


@reading.step(Reader.accepts)
def limits_in_characters(self: Reader, name: str, value: str) -> bool:
    """Counts characters where octets are meant."""
    kind = self.spec.types[name]
    return kind.octets[0] <= len(value) <= kind.octets[1] and re.fullmatch(kind.pattern, value) is not None


@refusing.step(Server.parse)
def server_verbs_known(self: Server, conn: Connection, line: bytes) -> tuple[str, dict[str, str]]:
    """Knows the server's own verbs, and answers one that a client sends with the fault of a wrong state."""
    verb = line.split(b" ")[0].decode("ascii", "replace")
    if verb in {reply.form.verb for reply in self.spec.replies.values()} - set(self.spec.requests):
        raise FaultyFrameError("state")
    return Server.parse(self, conn, line)


@refusing.step(Server.parse)
def verb_echoed(self: Server, conn: Connection, line: bytes) -> tuple[str, dict[str, str]]:
    """Echoes a verb that it does not know."""
    try:
        return Server.parse(self, conn, line)
    except FaultyFrameError as faulty:
        verb = line.split(b" ")[0].decode("utf-8", "replace")
        raise FaultyFrameError(faulty.fault, verb if faulty.fault == "verb" else faulty.verb) from None


@refusing.engine("count-kept")
class CountKept(Server):
    """Counts on from the faults that were sent before there was a name."""

    def move(self, conn: Connection, state: str) -> None:
        faults = conn.faults
        super().move(conn, state)
        conn.faults = faults

    def taken(self, conn: Connection, outcome: Outcome) -> None:
        if outcome.to is None:
            super().taken(conn, outcome)


@refusing.step(Server.refuse_fault)
def last_fault_unanswered(self: Server, conn: Connection, faulty: FaultyFrameError) -> None:
    """Says goodbye without the refusal of the last fault."""
    before, live = len(conn.outbox), not conn.over
    Server.refuse_fault(self, conn, faulty)
    if live and conn.over:
        del conn.outbox[before : conn.outbox.index(b"\n", before) + 1]


@refusing.step(Server.refuse_fault)
def fault_retracts(self: Server, conn: Connection, faulty: FaultyFrameError) -> None:
    """A faulty frame takes the acceptance of the chat back."""
    self.retract(conn)
    Server.refuse_fault(self, conn, faulty)


@refusing.step(Server.refuse_fault)
def fault_ends_chat(self: Server, conn: Connection, faulty: FaultyFrameError) -> None:
    """A faulty frame ends the chat."""
    self.unlink(conn)
    Server.refuse_fault(self, conn, faulty)
