"""Client mutants that read or write frames and lines in another way. Each is one overridden step of the engine.

The class's docstring says what is broken. Knows no verb, no state and no command by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pychat.spec.model import Reply, Template

from .client_engine import BrokenError, Engine, Wish
from .frames import without_cut_character

# --- reading the stream -----------------------------------------------------------------------------------------------


class SegmentIsFrame(Engine):
    """Takes the end of a segment for the end of a line."""

    def receive(self, octets: bytes) -> None:
        super().receive(octets if octets.endswith(b"\n") else octets + b"\n")

    def take(self, line: bytes) -> None:
        if line:
            super().take(line)


class OneFrameASegment(Engine):
    """Takes the first frame of a segment and drops the rest."""

    def receive(self, octets: bytes) -> None:
        end = octets.find(b"\n")
        super().receive(octets[: end + 1] if end >= 0 else octets)


class PartialLineDropped(Engine):
    """Forgets what stands after the last LF of a segment that has one."""

    def receive(self, octets: bytes) -> None:
        super().receive(octets[: octets.rfind(b"\n") + 1] or octets)


class SegmentsDecoded(Engine):
    """Decodes each segment by itself, so that a character cut in two is broken."""

    def receive(self, octets: bytes) -> None:
        super().receive(without_cut_character(octets))


class CarriageReturnKept(Engine):
    """Does not take a CR for a part of the ending."""

    def cut(self) -> bytes | None:
        end = self.inbox.find(b"\n")
        kept = end > 0 and self.inbox[end - 1 : end] == b"\r"
        line = super().cut()
        return line + b"\r" if kept and line is not None else line

    def decode(self, line: bytes) -> str:
        return super().decode(line).replace("\r", "?")


class CarriageReturnNeeded(Engine):
    """Takes only CRLF for an ending."""

    def receive(self, octets: bytes) -> None:
        super().receive(re.sub(rb"(?<!\r)\n", b" ", octets))


class LastLineTaken(Engine):
    """Takes what has no LF when the server has finished sending."""

    def end(self) -> None:
        if self.inbox:
            self.receive(b"\n")
        super().end()


class ShortLines(Engine):
    """Reads no more than 512 octets of a line."""

    def take(self, line: bytes) -> None:
        super().take(line[:512])


class AnswersOnly(Engine):
    """Understands pushes only when nothing is unanswered, and drops the others."""

    def understand(self, reply: Reply, values: Mapping[str, str]) -> None:
        self.dropped = reply.kind == "push" and bool(self.unanswered)
        if not self.dropped:
            super().understand(reply, values)

    dropped = False

    def print(self, reply: Reply, values: Mapping[str, str]) -> None:
        if not self.dropped:
            super().print(reply, values)


class WaitsForCommands(Engine):
    """Takes what the server has sent only when a command comes."""

    def receive(self, octets: bytes) -> None:
        self.inbox += octets

    def command(self, line: bytes) -> None:
        super().receive(b"")
        super().command(line)


class WritesFirst(Engine):
    """Does not read while something waits to be written."""

    reads_while_writing = False


# --- what it says -----------------------------------------------------------------------------------------------------


class _WordsMatter(Engine):
    """Knows only some words of a refusal or a goodbye."""

    def parse(self, text: str) -> tuple[Reply, dict[str, str]]:
        reply, values = super().parse(text)
        if reply.kind in ("refusal", "goodbye") and not self.known(text, values):
            raise BrokenError("these words are unknown")
        return reply, values

    def known(self, text: str, values: Mapping[str, str]) -> bool:
        return True


class WordsCompared(_WordsMatter):
    """Takes a refusal or a goodbye only with the words that the spec has for its code."""

    def known(self, text: str, values: Mapping[str, str]) -> bool:
        words = [error.words for error in self.spec.errors.values()]
        words += [goodbye.words for goodbye in self.spec.goodbyes.values()]
        return any(text.endswith(" " + known) for known in words)


class CodesCompared(_WordsMatter):
    """Takes only the codes that it knows."""

    def known(self, text: str, values: Mapping[str, str]) -> bool:
        return bool({*self.spec.errors, *self.spec.goodbyes} & set(values.values()))


class NamesFolded(Engine):
    """Prints names in small letters."""

    def printed(self, template: Template, values: Mapping[str, str]) -> str:
        names = template.form.fields_of(self.spec.link.key)
        return super().printed(template, {n: v.lower() if n in names else v for n, v in values.items()})


class TextStripped(Engine):
    """Strips spaces from the ends of what it prints."""

    def printed(self, template: Template, values: Mapping[str, str]) -> str:
        return super().printed(template, {name: value.strip(" ") for name, value in values.items()})


class TextSpacesCollapsed(Engine):
    """Makes one space of several in what it prints."""

    def printed(self, template: Template, values: Mapping[str, str]) -> str:
        return re.sub(" +", " ", super().printed(template, values))


class TextInAscii(Engine):
    """Makes question marks of what is not ASCII."""

    def say(self, line: str) -> None:
        super().say(line.encode("ascii", "replace").decode())


class TextCut(Engine):
    """Prints no more than 512 characters."""

    def say(self, line: str) -> None:
        super().say(line[:512])


class HiddenShown(Engine):
    """Shows a person whatever came, also what turns the text round."""

    def visible(self, line: str) -> str:
        return line


class ControlsShown(Engine):
    """Shows control characters of the network, as if the server had to see to them."""

    def parse(self, text: str) -> tuple[Reply, dict[str, str]]:
        try:
            return super().parse(text)
        except BrokenError:
            reply, values = super().parse("".join(char for char in text if char.isprintable()))
            name = reply.form.fields[-1].name
            return reply, {**values, name: text.split(" ", len(values))[-1]}


class SaidStripped(Engine):
    """Strips spaces from the ends of what was typed."""

    def command(self, line: bytes) -> None:
        super().command(line.strip(b" "))


class SaidCollapsed(Engine):
    """Makes one space of several in what was typed."""

    def command(self, line: bytes) -> None:
        super().command(re.sub(b" +", b" ", line))


class SaidInAscii(Engine):
    """Makes question marks of what was typed and is not ASCII."""

    def write(self, frame: str) -> None:
        super().write(frame.encode("ascii", "replace").decode())


class NoEnding(Engine):
    """Sends the last request without an ending."""

    def write(self, frame: str) -> None:
        super().write(frame)
        if self.quitting:
            del self.outbox[-len(self.spec.framing.writes) :]


class TwoEndings(Engine):
    """Sends an empty line after each frame."""

    def write(self, frame: str) -> None:
        super().write(frame)
        self.outbox += self.spec.framing.writes


class CarriageReturnWritten(Engine):
    """Ends its frames with a CR alone."""

    def write(self, frame: str) -> None:
        self.outbox += frame.encode() + b"\r"


class VerbsInSmallLetters(Engine):
    """Writes verbs in small letters."""

    def write(self, frame: str) -> None:
        verb, space, rest = frame.partition(" ")
        super().write(verb.lower() + space + rest)


class FieldsUnchecked(Engine):
    """Sends whatever was typed, however long, and whether it is text or not."""

    def checked(self, shape: Any, words: list[str]) -> dict[str, str] | None:
        return {field.name: word for field, word in zip(shape.fields, words, strict=True)}


class RefusesSilently(Engine):
    """Neither sends nor refuses a command that is not possible."""

    def refuse(self, word: str, why: str) -> None:
        pass


class RefusesEverythingEarly(Engine):
    """Loses commands that have to wait, without a word."""

    def must_wait(self, wish: Wish) -> bool:
        if super().must_wait(wish) and wish in self.held:
            self.held.remove(wish)
            return True
        return False
