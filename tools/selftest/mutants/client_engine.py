"""A correct little client of any spec, made of small steps, so that a mutant can break exactly one of them.

Commands of the spec's line contract go in, lines of it come out, and octets both ways. It knows no socket, no clock, no
verb and no state by name, and shares no code with the clients that the judge is meant for. A command that the rules for
clients do not allow yet is held; one that no answer on its way can allow is refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from pychat.spec.model import Form, Outcome, PartnerEffect, Reply, Spec, Template, Variable

CONNECTED, REFUSED, LOST = "connected", "refused", "lost"  # the contract's notices
HELD = 100  # commands that may wait


class BrokenError(Exception):
    """The server has sent what it may not send."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A command that was typed: its request, and the partner for whom it was typed."""

    word: str
    verb: str
    values: Mapping[str, str]
    listener: str | None


class Engine:
    """The client's view of one conversation."""

    reads_while_writing = True

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.state = spec.initial
        self.partner: str | None = None
        self.unanswered: list[Wish] = []
        self.held: list[Wish] = []
        self.inbox = bytearray()
        self.outbox = bytearray()
        self.lines: list[str] = []  # to be printed
        self.quitting = self.over = False
        self.in_vain = False  # the latest call was refused by the client itself, so what is said now is for nobody
        self.say(CONNECTED)

    # --- commands -----------------------------------------------------------------------------------------------------

    def command(self, line: bytes) -> None:
        """A line of stdin."""
        text = line.decode("utf-8", "surrogateescape")
        word, space, rest = text.partition(" ")
        template = self.spec.contract.commands.get(word)
        if self.quitting or self.over:
            return
        if template is None:
            self.refuse(word, "there is no such command")
            return
        values = self.fields(template, rest, bool(space))
        if values is None:
            self.refuse(word, "these are not the fields that it needs")
            self.not_sent(template.form.verb)
            return
        self.held.append(Wish(word, template.form.verb, values, self.listener()))
        self.advance()

    def finish(self) -> None:
        """The end of stdin means what the command that ends the connection means."""
        words = [w for w, template in self.spec.contract.commands.items() if template.form.verb == self.spec.quit_verb]
        if words:
            self.command(words[0].encode())

    def fields(self, template: Template, rest: str, space: bool) -> dict[str, str] | None:
        """The values of a command's request; None if one is missing, additional, or not of its type."""
        shape = self.spec.requests[template.form.verb].form
        words = rest.split(" ", len(shape.fields) - 1) if shape.fields else []
        if space != bool(shape.fields) or len(words) != len(shape.fields):
            return None
        return self.checked(shape, words)

    def checked(self, shape: Form, words: list[str]) -> dict[str, str] | None:
        """Each word as the value of its field, if each is of its type."""
        for field, word in zip(shape.fields, words, strict=True):
            kind = self.spec.types[field.type]
            size = len(word.encode("utf-8", "surrogateescape"))
            whole = not any("\udc80" <= character <= "\udcff" for character in word)
            if not whole or not kind.octets[0] <= size <= kind.octets[1] or not re.fullmatch(kind.pattern, word):
                return None
        return {field.name: word for field, word in zip(shape.fields, words, strict=True)}

    def listener(self) -> str | None:
        """For whom a line that is typed now is meant: the latest call or farewell on its way decides."""
        for wish in reversed([*self.unanswered, *self.held]):
            if self.does(wish.verb, "link"):
                return self.fold(next(iter(wish.values.values()), ""))
            if self.does(wish.verb, "unlink"):
                return None
        if self.in_vain:
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
        self.in_vain |= self.does(verb, "link")

    def must_wait(self, wish: Wish) -> bool:
        """Whether an answer on its way may change what is allowed."""
        if all(wish.verb in state.recv for state in self.spec.states.values() if not state.final):
            return False
        if (
            self.does(wish.verb, "relay")
            or self.does(wish.verb, "link")
            or wish.verb in self.spec.client.one_unanswered
        ):
            return any(self.moves(other.verb) for other in self.unanswered)
        return wish.verb not in self.recv and any(self.moves(other.verb) for other in self.unanswered)

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
        """Whether a line would reach the one for whom it was typed."""
        return wish.listener == (self.fold(self.partner) if self.partner is not None else None)

    def send(self, wish: Wish) -> None:
        frame = self.frame(wish.verb, wish.values)
        if self.does(wish.verb, "link"):
            self.in_vain = False
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
        self.inbox += octets
        try:
            while not self.over and (line := self.cut()) is not None:
                self.take(line)
        except BrokenError as error:
            self.lose(str(error))

    def cut(self) -> bytes | None:
        """The next whole line without its ending. Raises BrokenError when it is too long."""
        end = self.inbox.find(b"\n", 0, self.spec.framing.max_octets)
        if end < 0:
            if len(self.inbox) >= self.spec.framing.max_octets:
                raise BrokenError("a line is too long")
            return None
        line = bytes(self.inbox[:end])
        del self.inbox[: end + 1]
        return line.removesuffix(b"\r")

    def take(self, line: bytes) -> None:
        """One frame. Raises BrokenError."""
        reply, values = self.parse(self.decode(line))
        self.understand(reply, values)
        self.print(reply, values)
        if reply.kind == "goodbye":
            self.over = True
        self.advance()

    def decode(self, line: bytes) -> str:
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError:
            raise BrokenError("a line is not valid UTF-8") from None

    def parse(self, text: str) -> tuple[Reply, dict[str, str]]:
        """The reply and its fields. Raises BrokenError."""
        for key in sorted(self.spec.replies, key=len, reverse=True):
            if text == key or text.startswith(key + " "):
                shape = self.spec.replies[key].form
                count = len(shape.fields)
                rest = text[len(key) + 1 :]
                words = rest.split(" ", count - 1) if count else []
                values = self.checked(shape, words) if len(words) == count and (count or text == key) else None
                if values is not None:
                    return self.spec.replies[key], values
        raise BrokenError(f"no reply has the form of {text[:60]!r}")

    def understand(self, reply: Reply, values: Mapping[str, str]) -> None:
        """Changes the view. Raises BrokenError for what cannot come now."""
        if reply.kind == "answer":
            self.answered(reply, values)
        elif reply.kind == "item" and self.oldest() != reply.verb:
            raise BrokenError(f"nobody has asked for {reply.key}")
        elif reply.kind == "refusal":
            self.refused(values)
        elif reply.kind == "push":
            self.pushed(reply, values)

    def oldest(self) -> str | None:
        return self.unanswered[0].verb if self.unanswered else None

    def answered(self, reply: Reply, values: Mapping[str, str]) -> None:
        """The answer to the oldest request that is open."""
        if self.oldest() != reply.verb or reply.verb is None:
            raise BrokenError(f"nobody has asked for {reply.key}")
        del self.unanswered[0]
        rows = [row for row in self.recv.get(reply.verb, ()) if row.error is None]
        for row in rows[-1:]:
            self.move(row.to)
            if row.does("link") or row.does("accept"):
                self.partner = self.name_in(reply.form, values)
            elif row.does("unlink"):
                self.partner = None

    def refused(self, values: Mapping[str, str]) -> None:
        """The refusal of the oldest request that is open, or of one that has no answer when it succeeds."""
        verb = values[self.spec.refusal.fields[0].name]
        if self.oldest() == verb or (verb not in self.spec.requests and self.unanswered):
            del self.unanswered[0]
        elif verb in self.spec.requests and self.spec.requests[verb].answer is not None:
            raise BrokenError(f"nobody has asked {verb}")

    def pushed(self, reply: Reply, values: Mapping[str, str]) -> None:
        """A frame that the server sends by itself."""
        push = self.spec.pushes[reply.form.verb]
        if push.reply is not None:
            self.reply(push.reply, values)
            return
        causes = list(self.causes(push.verb))
        if not any(self.can_come(effect) for effect, _ in causes):
            raise BrokenError(f"{push.verb} cannot come now")
        for effect, kinds in causes:
            if self.can_come(effect):
                self.move(effect.to)
                if "link" in kinds:
                    self.partner = self.name_in(reply.form, values)
                elif "unlink" in kinds:
                    self.partner = None
                return

    def causes(self, verb: str) -> list[tuple[PartnerEffect, set[str]]]:
        """The rows of others that bring this push."""
        found = [(row.partner, row.effects) for _, row in self.spec.outcomes() if row.partner is not None]
        found.append((self.spec.ending.partner, self.spec.ending.effects))
        return [(partner, {e.kind for e in effects}) for partner, effects in found if partner.push.form.verb == verb]

    def can_come(self, effect: PartnerEffect) -> bool:
        """Whether a push can come in this state: before a link in its source, later only from a partner."""
        return self.state == effect.source if effect.source is not None else self.partner is not None

    def reply(self, template: Template, values: Mapping[str, str]) -> None:
        self.write(template.fill(values))

    def move(self, state: str | None) -> None:
        if state is not None:
            self.state = state

    def name_in(self, form: Form, values: Mapping[str, str]) -> str | None:
        """The name in a frame."""
        field = form.field_of(self.spec.link.key)
        return None if field is None else values[field]

    # --- what is printed ----------------------------------------------------------------------------------------------

    def print(self, reply: Reply, values: Mapping[str, str]) -> None:
        template = self.spec.contract.prints.get(reply.key)
        if template is not None:
            self.say(self.printed(template, values))

    def printed(self, template: Template, values: Mapping[str, str]) -> str:
        words = [values[part.name] if isinstance(part, Variable) else part for part in template.parts]
        return " ".join(words)

    def refuse(self, word: str, why: str) -> None:
        self.say(f"{REFUSED} {word} {why}")

    def lose(self, why: str) -> None:
        """The connection is over without a goodbye; `why` is for people."""
        if not self.over:
            self.over = True
            if not self.quitting:
                self.say(f"{LOST} {why}")

    def end(self) -> None:
        """The end of the server's stream."""
        self.lose("the server has closed the connection")

    @property
    def code(self) -> int:
        """The exit code: whether the end was asked for."""
        return 0 if self.quitting else 1

    def say(self, line: str) -> None:
        self.lines.append(line)

    def visible(self, line: str) -> str:
        """A line for a person: nothing in it drives the terminal, or turns the text round."""
        hidden = {"Cc", "Cf", "Zl", "Zp"}
        shown = (f"<U+{ord(c):04X}>" if unicodedata.category(c) in hidden else c for c in line)
        return "".join(shown)
