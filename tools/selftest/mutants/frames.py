"""Server mutants that cut, read or refuse frames in another way. Each is one overridden step of the engine.

The class's docstring says what is broken. Knows no verb, no state and no code by name.
"""

from __future__ import annotations

import re

from pychat.spec.model import Outcome

from .engine import Engine, FaultyError, Peer

# --- cutting the stream -----------------------------------------------------------------------------------------------


def without_cut_character(octets: bytes) -> bytes:
    """A segment with U+FFFD in the place of a character that goes on in the next one."""
    try:
        octets.decode()
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            return octets[: error.start] + "\ufffd".encode()
    return octets


class OneFrameASegment(Engine):
    """Takes the first frame of a segment and drops the rest."""

    def receive(self, peer: Peer, octets: bytes, now: float) -> None:
        end = octets.find(b"\n")
        super().receive(peer, octets[: end + 1] if end >= 0 else octets, now)


class SegmentIsFrame(Engine):
    """Takes the end of a segment for the end of a line."""

    def receive(self, peer: Peer, octets: bytes, now: float) -> None:
        super().receive(peer, octets if octets.endswith(b"\n") or not octets else octets + b"\n", now)


class SegmentsDecoded(Engine):
    """Decodes each segment by itself, so that a character cut in two is broken."""

    def receive(self, peer: Peer, octets: bytes, now: float) -> None:
        super().receive(peer, without_cut_character(octets), now)


class PartialLineDropped(Engine):
    """Forgets what stands after the last LF of a segment that has one."""

    def receive(self, peer: Peer, octets: bytes, now: float) -> None:
        super().receive(peer, octets[: octets.rfind(b"\n") + 1] or octets, now)


class LastLineTaken(Engine):
    """Takes what has no LF when the client has finished sending."""

    def receive(self, peer: Peer, octets: bytes, now: float) -> None:
        super().receive(peer, octets or b"\n" if peer.inbox else octets, now)
        if not octets and not peer.finished:
            super().receive(peer, b"", now)


class CarriageReturnsStripped(Engine):
    """Takes every CR at the end of a line for its ending."""

    def cut(self, peer: Peer) -> bytes | None:
        line = super().cut(peer)
        return line if line is None else line.rstrip(b"\r")


class EndsLinesAtCarriageReturn(Engine):
    """Takes a CR alone for the end of a line."""

    def receive(self, peer: Peer, octets: bytes, now: float) -> None:
        super().receive(peer, re.sub(rb"\r(?=[^\n\r])", b"\n", octets), now)


class EmptyLinesSkipped(Engine):
    """Skips empty lines without a word."""

    def take(self, peer: Peer, line: bytes) -> None:
        if line:
            super().take(peer, line)


class TooLongCut(Engine):
    """Cuts a line that is too long and goes on."""

    def cut(self, peer: Peer) -> bytes | None:
        size = self.spec.framing.max_octets
        if peer.inbox.find(b"\n", 0, size) < 0 and len(peer.inbox) >= size:
            del peer.inbox[size - 1 :]
            peer.inbox += b"\n"
        return super().cut(peer)


# --- reading a frame --------------------------------------------------------------------------------------------------


class EncodingUnchecked(Engine):
    """Takes any octets for text, and passes them on."""

    def decode(self, line: bytes) -> str:
        return line.decode("utf-8", "surrogateescape")


class EncodingReplaced(Engine):
    """Puts U+FFFD in the place of what is not valid UTF-8."""

    def decode(self, line: bytes) -> str:
        return line.decode("utf-8", "replace")


class OverlongTaken(Engine):
    """Takes overlong forms."""

    forms = rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f][\x80-\xbf]|\xf0[\x80-\x8f][\x80-\xbf]{2}"

    def decode(self, line: bytes) -> str:
        re.sub(self.forms, b"?", line).decode("utf-8")
        return line.decode("utf-8", "surrogateescape")


class SurrogatesTaken(OverlongTaken):
    """Takes surrogates."""

    forms = rb"\xed[\xa0-\xbf][\x80-\xbf]"


class BeyondUnicodeTaken(OverlongTaken):
    """Takes what lies above U+10FFFF."""

    forms = rb"\xf4[\x90-\xbf][\x80-\xbf]{2}|[\xf5-\xf7][\x80-\xbf]{3}"


class TruncatedTaken(OverlongTaken):
    """Takes a character that is cut off by the end of the line."""

    forms = rb"(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z"


class EncodingOnlyWhereKnown(Engine):
    """Looks for bad encoding only in frames whose verb it knows."""

    def decode(self, line: bytes) -> str:
        text = line.decode("utf-8", "surrogateescape")
        return super().decode(line) if text.split(" ")[0] in self.spec.requests else text


class VerbsFolded(Engine):
    """Knows verbs in any case."""

    def split(self, text: str) -> tuple[str, dict[str, str] | None]:
        verb, space, rest = text.partition(" ")
        return super().split(verb.upper() + space + rest)


class SpacesCollapsed(Engine):
    """Takes several spaces for one, where no text is meant."""

    def split(self, text: str) -> tuple[str, dict[str, str] | None]:
        verb, values = super().split(text)
        return (verb, values) if values is not None else super().split(re.sub(" +", " ", text))


class LeadingSpaceSkipped(Engine):
    """Skips spaces before the verb."""

    def split(self, text: str) -> tuple[str, dict[str, str] | None]:
        return super().split(text.lstrip(" "))


class TrailingSpaceSkipped(Engine):
    """Skips a space after the last field."""

    def split(self, text: str) -> tuple[str, dict[str, str] | None]:
        verb, values = super().split(text)
        return (verb, values) if values is not None else super().split(text.rstrip(" "))


class TabSeparates(Engine):
    """Takes a TAB for the space between fields."""

    def split(self, text: str) -> tuple[str, dict[str, str] | None]:
        return super().split(text.replace("\t", " ", 1))


class MoreFieldsTaken(Engine):
    """Skips words after the last field."""

    def split(self, text: str) -> tuple[str, dict[str, str] | None]:
        verb, values = super().split(text)
        fields = self.spec.requests[verb].form.fields if verb in self.spec.requests else ()
        return (verb, values) if values is not None else super().split(" ".join(text.split(" ")[: len(fields) + 1]))


class LimitsInCharacters(Engine):
    """Counts characters where octets are meant."""

    def is_of_type(self, name: str, value: str) -> bool:
        kind = self.spec.types[name]
        return kind.octets[0] <= len(value) <= kind.octets[1] and re.fullmatch(kind.pattern, value) is not None


class ServerVerbsKnown(Engine):
    """Knows the server's own verbs, and answers one that a client sends with wrong-state."""

    def parse(self, peer: Peer, line: bytes) -> tuple[str, dict[str, str]]:
        verb = line.split(b" ")[0].decode("ascii", "replace")
        if verb in {reply.form.verb for reply in self.spec.replies.values()} - set(self.spec.requests):
            raise FaultyError("state")
        return super().parse(peer, line)


class VerbEchoed(Engine):
    """Echoes a verb that it does not know."""

    def take(self, peer: Peer, line: bytes) -> None:
        self.word = line.split(b" ")[0].decode("utf-8", "replace")
        super().take(peer, line)

    def refuse_fault(self, peer: Peer, faulty: FaultyError) -> None:
        unknown = faulty.fault == "verb"
        super().refuse_fault(peer, FaultyError(faulty.fault, self.word) if unknown else faulty)


# --- what counts, and what a fault changes ----------------------------------------------------------------------------


class RefusalsCount(Engine):
    """Counts the refusals of the table as faults."""

    def taken(self, peer: Peer, outcome: Outcome) -> None:
        if outcome.error is not None:
            self.count_fault(peer)
        else:
            super().taken(peer, outcome)


class CountKept(Engine):
    """Counts on from the faults that were sent before there was a name."""

    def move(self, peer: Peer, state: str) -> None:
        faults = peer.faults
        super().move(peer, state)
        peer.faults = faults

    def taken(self, peer: Peer, outcome: Outcome) -> None:
        if outcome.to is None:
            super().taken(peer, outcome)


class LastFaultUnanswered(Engine):
    """Says goodbye without the refusal of the last fault."""

    def refuse_fault(self, peer: Peer, faulty: FaultyError) -> None:
        before = len(peer.outbox)
        live = not peer.over
        super().refuse_fault(peer, faulty)
        if live and peer.over:
            end = peer.outbox.index(b"\n", before)
            del peer.outbox[before : end + 1]


class FaultRetracts(Engine):
    """A faulty frame takes the acceptance of the chat back."""

    def refuse_fault(self, peer: Peer, faulty: FaultyError) -> None:
        peer.accepted = False
        super().refuse_fault(peer, faulty)


class FaultEndsChat(Engine):
    """A faulty frame ends the chat."""

    def refuse_fault(self, peer: Peer, faulty: FaultyError) -> None:
        self.unlink(peer)
        super().refuse_fault(peer, faulty)


class NoWordsInRefusals(Engine):
    """Refuses without words."""

    def refusal(self, verb: str, code: str) -> str:
        return f"{self.spec.refusal.key} {verb} {code}"


class EmptyWordsInRefusals(Engine):
    """Refuses with a space and no words."""

    def refusal(self, verb: str, code: str) -> str:
        return f"{self.spec.refusal.key} {verb} {code} "


class WordsInTwoLines(Engine):
    """Refuses with words that hold a line break."""

    def refusal(self, verb: str, code: str) -> str:
        return super().refusal(verb, code).replace(" ", "\n", 1)
