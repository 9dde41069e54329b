"""Server mutants that no table can hold: what a server does beside its rows. Each is one overridden step of the engine.

The class's docstring says what is broken. Knows no verb, no state and no code by name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping

from pychat.spec.model import Effect, Goodbye, Outcome, PartnerEffect, Spec, Template

from . import Mutant
from .engine import Engine, FaultyError, Peer

# --- cutting the stream -----------------------------------------------------------------------------------------------


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
        super().receive(peer, octets.decode("utf-8", "replace").encode() if octets.strip() else octets, now)


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


# --- users and lists --------------------------------------------------------------------------------------------------


class SelfNotListed(Engine):
    """Leaves the asking user out of the list."""

    def listed(self, peer: Peer) -> list[Peer]:
        return [user for user in super().listed(peer) if user is not peer]


class LinkedNotListed(Engine):
    """Lists only users who can be called, and oneself."""

    def listed(self, peer: Peer) -> list[Peer]:
        return [user for user in super().listed(peer) if user is peer or not self.is_linked(user)]


class ListedTwice(Engine):
    """Lists the asking user twice."""

    def listed(self, peer: Peer) -> list[Peer]:
        return [*super().listed(peer), peer]


class CountsOneMore(Engine):
    """Counts one user too many."""

    def count(self) -> int:
        return super().count() + 1


class CountsConnections(Engine):
    """Counts connections, where users are meant."""

    def count(self) -> int:
        return sum(not peer.over for peer in self.peers)


class AvailabilitySwapped(Engine):
    """Calls the free busy, and the busy free."""

    def list_users(self, peer: Peer, verb: str) -> None:
        self.swapped = True
        super().list_users(peer, verb)
        self.swapped = False

    swapped = False

    def is_linked(self, peer: Peer) -> bool:
        return super().is_linked(peer) != self.swapped


class AloneIsFree(Engine):
    """Takes a user for free whose partner is gone."""

    def is_linked(self, peer: Peer) -> bool:
        return super().is_linked(peer) and peer.partner is not None


class AloneListedFree(Engine):
    """Lists a user as free whose partner is gone."""

    def list_users(self, peer: Peer, verb: str) -> None:
        self.listing = True
        super().list_users(peer, verb)
        self.listing = False

    listing = False

    def is_linked(self, peer: Peer) -> bool:
        return super().is_linked(peer) and not (self.listing and peer.partner is None)


class NamesFoldedForShow(Engine):
    """Shows names as it compares them, not as their owners wrote them."""

    def bind(self, peer: Peer, name: str) -> None:
        super().bind(peer, self.spec.types[self.spec.link.key].fold(name))


class NameFreedLate(Engine):
    """A name is free only when the connection is closed."""

    def release(self, peer: Peer) -> None:
        pass

    def closed(self, peer: Peer) -> None:
        super().closed(peer)
        super().release(peer)


class OldNameReleased(Engine):
    """Frees the name that was asked for by the connection that was refused it."""

    def do(self, peer: Peer, outcome: Outcome, values: Mapping[str, str]) -> None:
        taken = outcome.condition is not None and outcome.condition.kind == "taken" and outcome.error is not None
        super().do(peer, outcome, values)
        if taken:
            self.users.pop(self.spec.types[self.spec.link.key].fold(values[outcome.condition.field or ""]), None)  # type: ignore[union-attr]


# --- chats ------------------------------------------------------------------------------------------------------------


class CallAccepts(Engine):
    """Whoever is called is heard at once."""

    def effect(self, peer: Peer, effect: Effect, outcome: Outcome, values: Mapping[str, str]) -> None:
        super().effect(peer, effect, outcome, values)
        if effect.kind == "link" and peer.partner is not None:
            peer.partner.accepted = True


class CallerMustAccept(Engine):
    """The caller is not heard before the other end has accepted."""

    def effect(self, peer: Peer, effect: Effect, outcome: Outcome, values: Mapping[str, str]) -> None:
        super().effect(peer, effect, outcome, values)
        if effect.kind == "link":
            peer.accepted = False
        elif effect.kind == "accept" and peer.partner is not None:
            peer.partner.accepted = True


class AcceptanceKept(Engine):
    """An acceptance outlives its chat: whoever accepted once is heard in the next one."""

    def effect(self, peer: Peer, effect: Effect, outcome: Outcome, values: Mapping[str, str]) -> None:
        other = self.user(values.get(effect.field or "", ""))
        kept = other is not None and other.accepted
        super().effect(peer, effect, outcome, values)
        if effect.kind == "link" and other is not None:
            other.accepted = other.accepted or kept


class BothEndsRetract(Engine):
    """Taking one's acceptance back takes the other's back too."""

    def effect(self, peer: Peer, effect: Effect, outcome: Outcome, values: Mapping[str, str]) -> None:
        super().effect(peer, effect, outcome, values)
        if effect.kind == "retract" and peer.partner is not None:
            peer.partner.accepted = False


class PartnerComesBack(Engine):
    """A user who takes the name of the lost partner is the partner."""

    def unlink(self, peer: Peer) -> None:
        other = peer.partner
        super().unlink(peer)
        if other is not None:
            self.left[self.spec.types[self.spec.link.key].fold(peer.name or "")] = other

    def bind(self, peer: Peer, name: str) -> None:
        super().bind(peer, name)
        other = self.left.pop(self.spec.types[self.spec.link.key].fold(name), None)
        if other is not None and other.partner is None and self.is_linked(other):
            other.partner = peer

    @property
    def left(self) -> dict[str, Peer]:
        found: dict[str, Peer] = self.__dict__.setdefault("_left", {})
        return found


class LeaverTold(Engine):
    """Whoever leaves after the partner has gone makes the server tell the one who went."""

    def unlink(self, peer: Peer) -> None:
        other = peer.partner
        super().unlink(peer)
        if other is not None:
            self.__dict__.setdefault("former", {})[other] = peer

    def do(self, peer: Peer, outcome: Outcome, values: Mapping[str, str]) -> None:
        former = self.__dict__.setdefault("former", {}).pop(peer, None)
        alone = peer.partner is None and outcome.does("unlink") and outcome.partner is not None
        words = self.variables(peer, former, values)
        super().do(peer, outcome, values)
        if alone and former is not None and outcome.partner is not None:
            self.push(former, outcome.partner.push, words)


class OneSidedCall(Engine):
    """A call moves the caller first, and the called one only with the caller's next frame."""

    late: tuple[Peer, PartnerEffect, Mapping[str, str]] | None = None

    def tell(self, other: Peer, effect: PartnerEffect, words: Mapping[str, str]) -> None:
        if effect.to is not None and self.late is None:
            self.late = (other, effect, dict(words))
        else:
            super().tell(other, effect, words)

    def take(self, peer: Peer, line: bytes) -> None:
        if self.late is not None and self.late[2]["me"] == peer.name:
            late, self.late = self.late, None
            super().tell(*late)
        super().take(peer, line)


# --- lines ------------------------------------------------------------------------------------------------------------


class _Relay(Engine):
    """Knows which pushes carry a line: those of rows that relay."""

    relaying = False

    def do(self, peer: Peer, outcome: Outcome, values: Mapping[str, str]) -> None:
        self.relaying = outcome.does("relay")
        super().do(peer, outcome, values)
        self.relaying = False


class LineToEverybody(_Relay):
    """A line reaches everybody who is in a chat."""

    def push(self, other: Peer, push: Template, words: Mapping[str, str]) -> None:
        everybody = [user for user in self.users.values() if self.is_linked(user) and user.name != words["me"]]
        for user in everybody if self.relaying else [other]:
            super().push(user, push, words)


class LineToBystanders(_Relay):
    """A line reaches those who are in no chat, too."""

    def push(self, other: Peer, push: Template, words: Mapping[str, str]) -> None:
        super().push(other, push, words)
        for user in self.users.values() if self.relaying else ():
            if not self.is_linked(user):
                super().push(user, push, words)


class LineToSender(_Relay):
    """A line comes back to the one who sent it."""

    def push(self, other: Peer, push: Template, words: Mapping[str, str]) -> None:
        super().push(other, push, words)
        sender = self.user(words["me"])
        if self.relaying and sender is not None:
            super().push(sender, push, words)


class LineToLatest(_Relay):
    """A line reaches the latest user who has called, also when that is somebody else's partner."""

    latest: Peer | None = None

    def tell(self, other: Peer, effect: PartnerEffect, words: Mapping[str, str]) -> None:
        if effect.to is not None:
            self.latest = self.user(words["me"])
        super().tell(other, effect, words)

    def push(self, other: Peer, push: Template, words: Mapping[str, str]) -> None:
        linked = self.latest is not None and self.is_linked(self.latest) and self.latest.name != words["me"]
        super().push(self.latest if self.relaying and linked and self.latest is not None else other, push, words)


class EverySecondLineLost(_Relay):
    """Loses every second line that comes in one segment."""

    lines = 0

    def receive(self, peer: Peer, octets: bytes, now: float) -> None:
        self.lines = 0
        super().receive(peer, octets, now)

    def push(self, other: Peer, push: Template, words: Mapping[str, str]) -> None:
        self.lines += self.relaying
        if not self.relaying or self.lines % 2:
            super().push(other, push, words)


class LinesSwapped(_Relay):
    """Delivers the lines of one segment with the last one first."""

    def push(self, other: Peer, push: Template, words: Mapping[str, str]) -> None:
        kept = bytes(other.outbox)
        if self.relaying:
            other.outbox.clear()
        super().push(other, push, words)
        if self.relaying:
            other.outbox += kept


class EqualLinesMerged(_Relay):
    """Delivers a line only once when the next one is the same."""

    last: tuple[Peer, str] | None = None

    def push(self, other: Peer, push: Template, words: Mapping[str, str]) -> None:
        frame = (other, push.fill(words))
        if not self.relaying or frame != self.last:
            super().push(other, push, words)
        self.last = frame


class _TextChanged(_Relay):
    """Changes the text of a line on its way."""

    def push(self, other: Peer, push: Template, words: Mapping[str, str]) -> None:
        changed = {name: self.change(word) for name, word in words.items()} if self.relaying else words
        super().push(other, push, changed)

    def change(self, text: str) -> str:
        return text


class TextStripped(_TextChanged):
    """Strips spaces from both ends of a text."""

    def change(self, text: str) -> str:
        return text.strip(" ") or text


class TextSpacesCollapsed(_TextChanged):
    """Makes one space of several in a text."""

    def change(self, text: str) -> str:
        return re.sub(" +", " ", text)


class TextTabsExpanded(_TextChanged):
    """Makes spaces of the TABs in a text."""

    def change(self, text: str) -> str:
        return text.expandtabs()


class TextNormalised(_TextChanged):
    """Composes the characters of a text (Unicode NFC)."""

    def change(self, text: str) -> str:
        return unicodedata.normalize("NFC", text)


class TextInAscii(_TextChanged):
    """Makes question marks of what is not ASCII in a text."""

    def change(self, text: str) -> str:
        return text.encode("ascii", "replace").decode()


class TextCut(_TextChanged):
    """Cuts a text after 512 octets."""

    def change(self, text: str) -> str:
        return text.encode()[:512].decode("utf-8", "ignore")


class TextFolded(_TextChanged):
    """Makes small letters of a text."""

    def change(self, text: str) -> str:
        return text.lower()


# --- order ------------------------------------------------------------------------------------------------------------


class _Overtaking(Engine):
    """Puts some frames before everything that waits in the outbox."""

    def first(self, peer: Peer, frame: str) -> None:
        kept = bytes(peer.outbox)
        peer.outbox.clear()
        super().write(peer, frame)
        peer.outbox += kept


class PushesOvertake(_Overtaking):
    """A push overtakes what waits for the same connection."""

    def push(self, other: Peer, push: Template, words: Mapping[str, str]) -> None:
        self.first(other, push.fill(words))


class AnswersOvertake(_Overtaking):
    """The answers to the requests of one segment come in the reverse order."""

    def answer(self, peer: Peer, frame: str) -> None:
        self.first(peer, frame)


class EndingOvertakes(_Relay, _Overtaking):
    """That the partner is gone is told before the last lines."""

    def push(self, other: Peer, push: Template, words: Mapping[str, str]) -> None:
        if self.relaying or words["me"] == "":
            super().push(other, push, words)
        else:
            self.first(other, push.fill(words))


class FaultsFirst(_Overtaking):
    """Refusals of faulty frames overtake answers."""

    def refuse_fault(self, peer: Peer, faulty: FaultyError) -> None:
        kept = bytes(peer.outbox)
        peer.outbox.clear()
        super().refuse_fault(peer, faulty)
        if peer.over:
            peer.outbox[:0] = kept
        else:
            peer.outbox += kept


class ItemsInterrupted(Engine):
    """A push of its own comes between the items of a list and its answer."""

    def list_users(self, peer: Peer, verb: str) -> None:
        super().list_users(peer, verb)
        push = next((t.push for t in self.spec.timers.values() if t.push is not None), None)
        if push is not None:
            self.write(peer, self.own_push(push))


class AnswerWaitsForNext(Engine):
    """An answer waits until the next frame comes."""

    def answer(self, peer: Peer, frame: str) -> None:
        waiting: dict[Peer, str] = self.__dict__.setdefault("waiting", {})
        if peer in waiting:
            self.write(peer, waiting.pop(peer))
        waiting[peer] = frame


# --- ends -------------------------------------------------------------------------------------------------------------


class ResetInsteadOfEnd(Engine):
    """Resets the connection after its last frame."""

    closing = "reset"


class ClosedAtOnce(Engine):
    """Closes after the last frame without discarding what still comes, so that a reset may destroy it."""

    closing = "abrupt"


class NeverClosed(Engine):
    """Never ends its sending half."""

    closing = "open"


class HalfCloseCuts(Engine):
    """Takes the end of the stream for the end of everything: what came shortly before it is not taken."""

    delay = 0.03

    def receive(self, peer: Peer, octets: bytes, now: float) -> None:
        super().receive(peer, octets, now)
        if not octets:
            peer.inbox.clear()
            self.lose(peer, now)

    def pump(self, peer: Peer) -> None:
        if self.now - peer.sign_at > self.delay:
            super().pump(peer)


class HalfCloseIgnored(Engine):
    """Goes on as if nothing had happened when the client has finished sending."""

    def finish(self, peer: Peer) -> None:
        pass


class HalfCloseSaysGoodbye(Engine):
    """Says goodbye when the client has finished sending."""

    def finish(self, peer: Peer) -> None:
        self.goodbye(peer, self.spec.goodbye_when("stop"))


class HalfCloseIsQuit(Engine):
    """Takes the end of the stream for the request that ends the connection."""

    def finish(self, peer: Peer) -> None:
        rows = self.spec.states[peer.state].recv.get(self.spec.quit_verb or "", ())
        for row in rows[-1:]:
            self.do(peer, row, {})


class GoesOnAfterQuit(Engine):
    """Takes what comes after the request that ends the connection."""

    def quit(self, peer: Peer) -> None:
        rest = bytes(peer.inbox)
        peer.inbox.clear()
        peer.state = self.spec.initial
        for line in rest.splitlines():
            self.take(peer, line)
        super().quit(peer)


class GoodbyeMissing(Engine):
    """Ends a connection without its goodbye."""

    def goodbye(self, peer: Peer, goodbye: Goodbye) -> None:
        self.end(peer, goodbye.gone or "")


class GoodbyeWithoutWords(Engine):
    """Says goodbye without words."""

    def end(self, peer: Peer, reason: str, last_frame: str | None = None) -> None:
        super().end(peer, reason, " ".join(last_frame.split(" ")[:2]) if last_frame else None)


class GoodbyeNotLast(Engine):
    """Sends the goodbye twice, so that something follows it."""

    def end(self, peer: Peer, reason: str, last_frame: str | None = None) -> None:
        twice = last_frame and last_frame + self.spec.framing.writes.decode() + last_frame
        super().end(peer, reason, twice)


class GoodbyeButOpen(Engine):
    """Says goodbye, and goes on."""

    def goodbye(self, peer: Peer, goodbye: Goodbye) -> None:
        self.write(peer, f"{self.spec.goodbye.key} {goodbye.code} {goodbye.words}")
        peer.inbox.clear()
        peer.faults = 0


class StopTellsPartners(Engine):
    """Tells everybody that the partner is gone when the server stops."""

    def stop(self) -> None:
        for peer in [peer for peer in self.peers if not peer.over]:
            if peer.partner is not None:
                words = {**self.variables(peer, peer.partner, {}), "reason": self.lost}
                self.push(peer.partner, self.spec.ending.partner.push, words)
            peer.partner = None
        super().stop()


class StopsSilently(Engine):
    """Stops without a word to anybody."""

    def stop(self) -> None:
        for peer in self.peers:
            peer.partner = None
            self.hang_up(peer)


class FullHangsUp(Engine):
    """Hangs up on a connection too many."""

    def open(self, address: str, now: float) -> Peer:
        peer = super().open(address, now)
        if peer.over:
            peer.outbox.clear()
        return peer


class NeverFull(Engine):
    """Knows no limit of connections."""

    def __init__(self, spec: Spec, limit: int = 1000) -> None:
        super().__init__(spec, 1 << 30)


class AnyFrameStartsAnew(Engine):
    """A frame begins the time for registration anew."""

    def take(self, peer: Peer, line: bytes) -> None:
        peer.opened_at = self.now
        super().take(peer, line)


class ProbesForEver(Engine):
    """Takes its own probe for a sign of life, so that silence never ends."""

    def sent(self, peer: Peer, count: int, now: float) -> None:
        super().sent(peer, count, now)
        self.sign(peer)


class OnlyFramesAreSigns(Engine):
    """Takes octets for silence as long as they are no whole frame."""

    def receive(self, peer: Peer, octets: bytes, now: float) -> None:
        before = peer.sign_at, set(peer.done)
        super().receive(peer, octets, now)
        if b"\n" not in octets:
            peer.sign_at, peer.done = before


TIMED = {AnyFrameStartsAnew, ProbesForEver, OnlyFramesAreSigns}


def mutants(spec: Spec) -> Iterator[Mutant]:
    """Each class of this file whose name is public."""
    for name, engine in globals().items():
        if (
            isinstance(engine, type)
            and issubclass(engine, Engine)
            and engine is not Engine
            and not name.startswith("_")
        ):
            words = re.sub("(?<=.)(?=[A-Z])", "-", name).lower()
            yield Mutant(words, engine.__doc__ or "", engine=engine, timed=engine in TIMED)
