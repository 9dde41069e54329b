"""Server mutants that no table can hold: what a server does beside its rows, in this file and in `frames` and `chats`.

Each class is one overridden step of the engine; its docstring says what is broken. Knows no verb and no state by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pychat.spec.model import Goodbye, Spec, Template

from . import Mutant, chats, frames
from .chats import Relay
from .engine import Engine, FaultyError, Peer

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


class EndingOvertakes(Relay, _Overtaking):
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
        self.write(peer, self.spec.goodbye.fill(goodbye.code, goodbye.words))
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
HELPERS = {Engine, Relay}
NEAR = {  # patterns of the cases that may see it, where the plays do not
    StopTellsPartners: "*/STOP/*",
    StopsSilently: "*/STOP/*",
    FullHangsUp: "*/OPEN/*",
    NeverFull: "*/OPEN/*",
    AnyFrameStartsAnew: "*/TIME/registration*",
    ProbesForEver: "*/TIME/silence*",
    OnlyFramesAreSigns: "*/TIME/probe*",
    chats.FullQueueDrops: "*/*/slow-*",
    chats.WaitingDropped: "*/*/of-a-slow-*",
    chats.WaitingDelivered: "*/*/of-a-slow-*",
}


def mutants(spec: Spec) -> Iterator[Mutant[Engine]]:
    """Each class of these files whose name is public."""
    relay = spec.verb_that("relay")
    for name, engine in {**vars(frames), **vars(chats), **globals()}.items():
        if isinstance(engine, type) and issubclass(engine, Engine) and engine not in HELPERS and name[0] != "_":
            words = re.sub("(?<=.)(?=[A-Z])", "-", name).lower()
            near = NEAR.get(engine, f"*/{relay}/*" if issubclass(engine, Relay) else "")
            near = near or ("*/LINE/*" if engine.__module__ == frames.__name__ else "")
            yield Mutant(words, engine.__doc__ or "", engine=engine, near=near, timed=engine in TIMED)
