"""Server mutants that mix up users, chats and lines. Each is one overridden step of the engine.

The class's docstring says what is broken. Knows no verb, no state and no code by name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from pychat.spec.model import Effect, Outcome, PartnerEffect, Template

from .engine import Engine, Peer

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
        super().bind(peer, self.spec.name_type.fold(name))


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
            self.users.pop(self.spec.name_type.fold(values[outcome.condition.field or ""]), None)  # type: ignore[union-attr]


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
            self.left[self.spec.name_type.fold(peer.name or "")] = other

    def bind(self, peer: Peer, name: str) -> None:
        super().bind(peer, name)
        other = self.left.pop(self.spec.name_type.fold(name), None)
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


class Relay(Engine):
    """Knows which pushes carry a line: those of rows that relay."""

    relaying = False

    def do(self, peer: Peer, outcome: Outcome, values: Mapping[str, str]) -> None:
        self.relaying = outcome.does("relay")
        super().do(peer, outcome, values)
        self.relaying = False


class LineToEverybody(Relay):
    """A line reaches everybody who is in a chat."""

    def push(self, other: Peer, push: Template, words: Mapping[str, str]) -> None:
        everybody = [user for user in self.users.values() if self.is_linked(user) and user.name != words["me"]]
        for user in everybody if self.relaying else [other]:
            super().push(user, push, words)


class LineToBystanders(Relay):
    """A line reaches those who are in no chat, too."""

    def push(self, other: Peer, push: Template, words: Mapping[str, str]) -> None:
        super().push(other, push, words)
        for user in self.users.values() if self.relaying else ():
            if not self.is_linked(user):
                super().push(user, push, words)


class LineToSender(Relay):
    """A line comes back to the one who sent it."""

    def push(self, other: Peer, push: Template, words: Mapping[str, str]) -> None:
        super().push(other, push, words)
        sender = self.user(words["me"])
        if self.relaying and sender is not None:
            super().push(sender, push, words)


class LineToLatest(Relay):
    """A line reaches the latest user who has called, also when that is somebody else's partner."""

    latest: Peer | None = None

    def tell(self, other: Peer, effect: PartnerEffect, words: Mapping[str, str]) -> None:
        if effect.to is not None:
            self.latest = self.user(words["me"])
        super().tell(other, effect, words)

    def push(self, other: Peer, push: Template, words: Mapping[str, str]) -> None:
        linked = self.latest is not None and self.is_linked(self.latest) and self.latest.name != words["me"]
        super().push(self.latest if self.relaying and linked and self.latest is not None else other, push, words)


class EverySecondLineLost(Relay):
    """Loses every second line that comes in one segment."""

    lines = 0

    def receive(self, peer: Peer, octets: bytes, now: float) -> None:
        self.lines = 0
        super().receive(peer, octets, now)

    def push(self, other: Peer, push: Template, words: Mapping[str, str]) -> None:
        self.lines += self.relaying
        if not self.relaying or self.lines % 2:
            super().push(other, push, words)


class LinesSwapped(Relay):
    """Delivers the lines of one segment with the last one first."""

    def push(self, other: Peer, push: Template, words: Mapping[str, str]) -> None:
        kept = bytes(other.outbox)
        if self.relaying:
            other.outbox.clear()
        super().push(other, push, words)
        if self.relaying:
            other.outbox += kept


class EqualLinesMerged(Relay):
    """Delivers a line only once when the next one is the same."""

    last: tuple[Peer, str] | None = None

    def push(self, other: Peer, push: Template, words: Mapping[str, str]) -> None:
        frame = (other, push.fill(words))
        if not self.relaying or frame != self.last:
            super().push(other, push, words)
        self.last = frame


class FullQueueDrops(Relay):
    """Reads on when the partner's queue is full, and drops the lines that have no room in it."""

    def must_wait(self, peer: Peer) -> bool:
        return len(peer.outbox) > self.spec.limits.queue_stop

    def push(self, other: Peer, push: Template, words: Mapping[str, str]) -> None:
        if not self.relaying or len(other.outbox) <= self.spec.limits.queue_mark:
            super().push(other, push, words)


class _Waiting(Engine):
    """Knows whose lines wait for a partner who goes, and takes the first one of them in another way."""

    def unlink(self, peer: Peer) -> None:
        other = peer.partner
        if other is not None and self.must_wait(other):
            self.__dict__.setdefault("waiting", {})[other] = peer
        super().unlink(peer)

    def take(self, peer: Peer, line: bytes) -> None:
        gone = self.__dict__.setdefault("waiting", {}).pop(peer, None)
        if gone is None:
            super().take(peer, line)
        else:
            self.late(peer, line, gone)

    def late(self, peer: Peer, line: bytes, gone: Peer) -> None:
        super().take(peer, line)


class WaitingDropped(_Waiting):
    """Drops a line that waited for a partner when he went, instead of refusing it."""

    def late(self, peer: Peer, line: bytes, gone: Peer) -> None:
        pass


class WaitingDelivered(_Waiting):
    """Hands a line on that waited for a partner when he went, and refuses it as well."""

    def late(self, peer: Peer, line: bytes, gone: Peer) -> None:
        self.write(gone, line.decode())
        super().late(peer, line, gone)


class _TextChanged(Relay):
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
