"""A correct small client of any spec, made of small steps, so that a mutant can replace exactly one of them.

Commands of the spec's line contract go in, lines of it come out, and octets both ways. It knows no socket, no clock, no
verb and no state by name, and shares no code with the clients that the judge is meant for. A command that the rules for
clients do not allow yet is held; one that no answer on its way can allow is refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pychat.spec.forms import Form, Reply, Template
from pychat.spec.model import Outcome, Spec
from pychat.spec.terms import ConditionKind
from pychat.spec.view import Move, moves
from tools.selftest.mutants.reader import Reader, TooLongError

CONNECTED, REFUSED, LOST = "connected", "refused", "lost"  # the contract's notices
HELD = 100  # commands that may wait


class BrokenError(Exception):
    """The server has sent what it may not send."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A command that was typed: its request, and the partner for which it was typed."""

    word: str
    verb: str
    values: Mapping[str, str]
    addressee: str | None


class Client:
    """The client's view of one conversation. `answered`: this end has, with its partner; `here`: the partner has."""

    reader = Reader
    reads_while_writing = True

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.table = moves(spec)  # what each reply means in each state
        self.state = spec.initial
        self.partner: str | None = None
        self.answered = self.here = False
        self.listing = False  # items are coming, and their answer is not here yet
        self.unanswered: list[Wish] = []
        self.held: list[Wish] = []
        self.incoming = self.reader(spec)
        self.outbox = bytearray()
        self.lines: list[str] = []  # to be printed
        self.quitting = self.over = self.answered_quit = False
        self.items = 0  # of the list that is coming
        self.memory: dict[str, Any] = {}  # for mutants, which have to remember more
        self.call_refused = False  # the client itself has refused the latest call, so a line typed now has no addressee
        self.say(CONNECTED)

    # --- commands -----------------------------------------------------------------------------------------------------

    def commands(self, lines: list[bytes]) -> None:
        """The lines that one read of stdin has ended."""
        for line in lines:
            self.command(line)

    def last(self, line: bytes) -> None:
        """What stands behind the last LF of stdin."""
        if line:
            self.command(line)

    def command(self, line: bytes) -> None:
        """A line of stdin."""
        text = self.line(line)
        word, space, rest = text.partition(" ")
        template = self.spec.contract.commands.get(word)
        if self.quitting or self.over or not word:
            return
        if template is None:
            self.refuse(word, "there is no such command")
            return
        values = self.typed(template.form, template.form.verb + space + rest)
        if values is None:
            self.refuse(word, "these are not the fields that it needs")
            self.not_sent(template.form.verb)
            return
        self.held.append(Wish(word, template.form.verb, values, self.addressee()))
        self.advance()

    def line(self, line: bytes) -> str:
        """A line of stdin as a text."""
        return line.removesuffix(b"\r").decode("utf-8", "surrogateescape")

    def finish(self) -> None:
        """The end of stdin means what the command that ends the connection means."""
        words = [w for w, template in self.spec.contract.commands.items() if template.form.verb == self.spec.quit_verb]
        if words:
            self.command(words[0].encode())

    def typed(self, form: Form, text: str) -> dict[str, str] | None:
        """The values of a command's request; None if one is missing, additional, or not of its type."""
        whole = not any("\udc80" <= character <= "\udcff" for character in text)
        return self.incoming.values(form, text) if whole else None

    def addressee(self) -> str | None:
        """The partner for which a line that is typed now is meant: the latest call or farewell on its way decides."""
        for wish in reversed([*self.unanswered, *self.held]):
            if self.does(wish.verb, "link"):
                return self.fold(next(iter(wish.values.values()), ""))
            if self.does(wish.verb, "unlink"):
                return None
        if self.call_refused:
            return ""
        return self.fold(self.partner) if self.partner is not None else None

    def advance(self) -> None:
        """Sends or refuses what is held, in order, up to what must wait."""
        while self.held and not self.over:
            wish = self.held[0]
            if len(self.held) <= HELD and self.must_wait(wish):
                return
            del self.held[0]
            if self.may_send(wish):
                self.send(wish)
            else:
                self.refuse(wish.word, "that is not possible now")
                self.not_sent(wish.verb)

    def not_sent(self, verb: str) -> None:
        """The client itself has refused a request."""
        self.call_refused |= self.does(verb, "link")

    def must_wait(self, wish: Wish) -> bool:
        """Whether an answer on its way may change what is allowed."""
        if all(wish.verb in state.recv for state in self.spec.states.values() if not state.final):
            return False
        decided = self.does(wish.verb, "relay") or self.does(wish.verb, "link")
        if decided or wish.verb in self.spec.client.one_unanswered or wish.verb not in self.recv:
            return any(self.moves(other.verb) for other in self.unanswered)
        return False

    def may_send(self, wish: Wish) -> bool:
        """Whether the rules for clients allow this request in the state that the client sees itself in."""
        if self.is_crowded(wish) or wish.verb not in self.recv:
            return False
        condition = self.spec.client.only_if.get(self.state, {}).get(wish.verb)
        if condition is not None and not self.is_partner(wish.values.get(condition.field or "", "")):
            return False
        return not self.does(wish.verb, "relay") or self.is_meant(wish)

    def is_crowded(self, wish: Wish) -> bool:
        """Whether another request has to be answered first."""
        alone = self.spec.client.one_unanswered
        return wish.verb in alone and any(other.verb in alone for other in self.unanswered)

    def is_partner(self, name: str) -> bool:
        return self.partner is not None and self.fold(name) == self.fold(self.partner)

    def is_meant(self, wish: Wish) -> bool:
        """Whether a line would reach the partner for which it was typed."""
        return wish.addressee == (self.fold(self.partner) if self.partner is not None else None)

    def send(self, wish: Wish) -> None:
        frame = self.frame(wish.verb, wish.values)
        if self.does(wish.verb, "link"):
            self.call_refused = False
        if self.spec.requests[wish.verb].answer is not None:
            self.unanswered.append(wish)
        self.quitting |= wish.verb == self.spec.quit_verb
        self.write(frame)

    def frame(self, verb: str, values: Mapping[str, str]) -> str:
        form = self.spec.requests[verb].form
        return " ".join([verb, *(values[field.name] for field in form.fields)])

    def write(self, frame: str) -> None:
        self.outbox += frame.encode("utf-8", "surrogateescape") + self.spec.framing.writes

    # --- what a request means -----------------------------------------------------------------------------------------

    @property
    def recv(self) -> Mapping[str, tuple[Outcome, ...]]:
        return self.spec.states[self.state].recv

    def successes(self, verb: str) -> list[Outcome]:
        return [row for _, row in self.spec.outcomes() if row.verb == verb and row.error is None]

    def does(self, verb: str, kind: str) -> bool:
        return any(effect.kind == kind for row in self.successes(verb) for effect in row.effects)

    def moves(self, verb: str) -> bool:
        return any(row.to is not None for row in self.successes(verb))

    def fold(self, name: str) -> str:
        return self.spec.name_type.fold(name)

    # --- what comes from the server -----------------------------------------------------------------------------------

    def receive(self, octets: bytes) -> None:
        """Octets have come."""
        self.incoming.feed(octets)
        try:
            while not self.over and (line := self.incoming.cut()) is not None:
                self.take(line)
        except TooLongError:
            self.lose("a line is too long")
        except UnicodeDecodeError:
            self.lose("a line is not valid UTF-8")
        except BrokenError as error:
            self.lose(str(error))

    def take(self, line: bytes) -> None:
        """One frame. Raises BrokenError and UnicodeDecodeError."""
        text = self.incoming.text(line)
        parsed = self.parse(text)
        if parsed is None:
            self.ignore(text)
            return
        reply, values = parsed
        self.understand(reply, values)
        self.print(reply, values)
        if reply.kind == "goodbye" or self.answered_quit:
            self.over = True
        self.advance()

    def parse(self, text: str) -> tuple[Reply, dict[str, str]] | None:
        """The reply and its fields, None for a frame of a later version. Raises BrokenError."""
        for key in sorted(self.spec.replies, key=len, reverse=True):
            values = self.incoming.values(self.spec.replies[key].form, text)
            if values is not None:
                return self.spec.replies[key], values
        if not self.is_unknown(text.partition(" ")[0]):
            raise BrokenError(f"no reply has the form of {text[:60]!r}")
        return None

    def is_unknown(self, word: str) -> bool:
        """Whether a frame that begins with this word is one of a later version."""
        known = {reply.form.verb for reply in self.spec.replies.values()}
        return word not in known and re.fullmatch(self.spec.framing.verb, word) is not None

    def ignore(self, text: str) -> None:
        """A frame of a later version. Raises BrokenError where nothing can come."""
        self.check_list(None)

    def check_list(self, reply: Reply | None) -> None:
        """Between the items of a list and their answer stands nothing else. Raises BrokenError."""
        ends = reply is not None and (reply.kind == "goodbye" or reply.verb == self.oldest())
        if self.listing and not ends:
            raise BrokenError("a list is not whole")
        self.listing = reply is not None and reply.kind == "item"
        self.items += self.listing

    def understand(self, reply: Reply, values: Mapping[str, str]) -> None:
        """Changes the view. Raises BrokenError for what cannot come now."""
        self.check_list(reply)
        if reply.kind == "answer":
            self.answer(reply, values)
        elif reply.kind == "item" and self.oldest() != reply.verb:
            raise BrokenError(f"no request asks for {reply.key}")
        elif reply.kind == "refusal":
            self.refused(values)
        elif reply.kind == "push":
            self.pushed(reply, values)

    def oldest(self) -> str | None:
        return self.unanswered[0].verb if self.unanswered else None

    def answer(self, reply: Reply, values: Mapping[str, str]) -> None:
        """The answer to the oldest request that is open."""
        if self.oldest() != reply.verb or reply.verb is None:
            raise BrokenError(f"no request asks for {reply.key}")
        if not self.is_echo(reply, values):
            raise BrokenError("the answer is about something else")
        if not self.is_counted(reply, values):
            raise BrokenError("the list has another number of items")
        self.answered_quit = reply.verb == self.spec.quit_verb
        found = [move for move in self.table if move.by == "request" and self.is_now(move, reply.key)]
        if any("accept" in move.effects and not self.is_from_partner(reply, values) for move in found):
            raise BrokenError("the answer does not name the partner")
        del self.unanswered[0]
        for move in found[-1:]:
            self.apply(move, self.name_in(reply.form, values))

    def is_echo(self, reply: Reply, values: Mapping[str, str]) -> bool:
        """Whether the fields that an answer has from its request are those of the oldest one."""
        asked = self.unanswered[0].values
        fields = [field for field in reply.form.fields if field.name in asked]
        return all(self.spec.types[field.type].same(values[field.name], asked[field.name]) for field in fields)

    def is_counted(self, reply: Reply, values: Mapping[str, str]) -> bool:
        """Whether the number in the answer is that of the items before it."""
        count, self.items = self.items, 0
        return not self.does(reply.verb or "", "list") or values.get("count", str(count)) == str(count)

    def refused(self, values: Mapping[str, str]) -> None:
        """The refusal of the oldest request that is open, or of one that has no answer when it succeeds."""
        verb = self.refused_verb(values)
        if self.oldest() == verb or (verb not in self.spec.requests and self.unanswered):
            del self.unanswered[0]
        elif verb in self.spec.requests and self.spec.requests[verb].answer is not None:
            raise BrokenError(f"no {verb} is unanswered")

    def refused_verb(self, values: Mapping[str, str]) -> str:
        """The request that a refusal names; an error with a frame of its own is about the oldest one."""
        return values.get("verb", self.oldest() or "")

    def pushed(self, reply: Reply, values: Mapping[str, str]) -> None:
        """A frame that the server sends by itself."""
        push = self.spec.pushes[reply.form.verb]
        if push.reply is not None:
            self.reply(push.reply, values)
            return
        found = [move for move in self.table if self.can_come(move, reply, values)]
        if not found:
            raise BrokenError(f"{push.verb} cannot come now")
        self.apply(found[0], self.name_in(reply.form, values))

    def can_come(self, move: Move, reply: Reply, values: Mapping[str, str]) -> bool:
        """Whether a push can mean this move now."""
        if move.by == "request" or not self.is_now(move, reply.key) or not self.is_said(move, values):
            return False
        if move.by == "partner" and "link" not in move.effects and not self.is_from_partner(reply, values):
            return False
        return self.is_so(move)

    def is_now(self, move: Move, key: str) -> bool:
        return move.key == key and move.state == self.state

    def is_said(self, move: Move, values: Mapping[str, str]) -> bool:
        """Whether the words of a frame are those of a move."""
        return all(values[field] in words for field, words in move.words)

    def is_from_partner(self, reply: Reply, values: Mapping[str, str]) -> bool:
        """Whether there is a partner, and a frame with a name has the partner's."""
        name = self.name_in(reply.form, values)
        return self.partner is not None and (name is None or self.is_partner(name))

    def is_so(self, move: Move) -> bool:
        """Whether the view of both ends is the one that a move follows on."""
        if move.here is not None and move.here != self.here:
            return False
        return all(self.sees(kind) in (holds, None) for kind, holds in move.known)

    def sees(self, kind: ConditionKind) -> bool | None:
        """Whether a condition about the client's own end holds, None where it does not know."""
        return {"no partner": self.partner is None, "not answered": not self.answered}.get(kind)

    def apply(self, move: Move, name: str | None) -> None:
        """Changes the view by the effects of a row: of one of the client's own, or of one of somebody else."""
        own = not move.mirrored
        self.move(move.to)
        if "link" in move.effects:
            self.link(name, own)
        elif "accept" in move.effects:
            self.accept(own)
        elif "unlink" in move.effects:
            self.unlink()

    def link(self, name: str | None, own: bool) -> None:
        """A call: the end that calls has answered."""
        self.partner, self.answered, self.here = name, own, not own

    def accept(self, own: bool) -> None:
        """One of the two ends has answered."""
        self.answered, self.here = self.answered or own, self.here or not own

    def unlink(self) -> None:
        self.partner, self.answered, self.here = None, False, False

    def reply(self, template: Template, values: Mapping[str, str]) -> None:
        self.write(template.fill(values))

    def move(self, state: str | None) -> None:
        if state is not None:
            self.state = state

    def name_in(self, form: Form, values: Mapping[str, str]) -> str | None:
        """The name in a frame."""
        field = form.field_of(self.spec.names)
        return None if field is None else values[field]

    # --- what is printed ----------------------------------------------------------------------------------------------

    def print(self, reply: Reply, values: Mapping[str, str]) -> None:
        template = self.spec.contract.prints.get(reply.key)
        if template is not None:
            self.say(self.printed(template, values))

    def printed(self, template: Template, values: Mapping[str, str]) -> str:
        return template.fill(values)

    def refuse(self, word: str, why: str) -> None:
        self.say(f"{REFUSED} {word} {why}")

    def lose(self, why: str) -> None:
        """The connection is over without a goodbye; `why` is for people."""
        if not self.over:
            self.over = True
            self.say(f"{LOST} {why}")

    def end(self) -> None:
        """The end of the server's stream."""
        self.receive(b"")
        self.lose("the server has closed the connection")

    def code(self) -> int:
        """The exit code: whether the end was asked for, and the server has answered."""
        return 0 if self.answered_quit else 1

    def say(self, line: str) -> None:
        self.lines.append(line)

    def visible(self, line: str) -> str:
        """A line for a person: nothing in it drives the terminal, or turns the text round."""
        hidden = {"Cc", "Cf", "Zl", "Zp"}
        shown = (f"<U+{ord(c):04X}>" if unicodedata.category(c) in hidden else c for c in line)
        return "".join(shown)
