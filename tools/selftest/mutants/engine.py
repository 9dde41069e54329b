"""A correct little server of any spec, made of small steps, so that a mutant can break exactly one of them.

It interprets the rows of the spec each time a frame comes; nothing is compiled and nothing is fast. It knows no socket
and no clock (`now` is an argument), no verb and no state by name, and it shares no code with what it is compared with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from pychat.spec.model import ANY_VERB, Condition, Effect, FrameFault, Goodbye, Outcome, PartnerEffect, Spec, Template

Closing = Literal["linger", "reset", "abrupt", "open"]


class Peer:
    """One connection, as the server sees it. Times are seconds of the caller's clock."""

    def __init__(self, state: str, address: str, now: float) -> None:
        self.state = state
        self.address = address
        self.inbox = bytearray()
        self.outbox = bytearray()
        self.name: str | None = None
        self.partner: Peer | None = None
        self.accepted = False
        self.faults = 0
        self.finished = False  # the client has ended its sending half
        self.over = False  # the server's last frame is in the outbox
        self.opened_at = self.sign_at = self.sent_at = now
        self.full_since: float | None = None
        self.own_octets = 0  # at the end of the outbox: their going is no sign of life
        self.done: set[str] = set()  # the timers that have run out in this silence


class FaultyError(Exception):
    """A frame with one of the general faults; `verb` is what the refusal names."""

    def __init__(self, fault: FrameFault, verb: str = ANY_VERB) -> None:
        super().__init__(fault)
        self.fault, self.verb = fault, verb


class Engine:
    """All connections. `closing` tells whoever owns the sockets how to end them."""

    closing: Closing = "linger"

    def __init__(self, spec: Spec, limit: int = 1000) -> None:
        self.spec, self.limit = spec, limit
        self.peers: list[Peer] = []
        self.users: dict[str, Peer] = {}
        self.now = 0.0
        self.at = ""  # the row that is being done: STATE/VERB/outcome, or `ending`

    # --- what happens to a connection ---------------------------------------------------------------------------------

    def open(self, address: str, now: float) -> Peer:
        """A connection was accepted; one too many is told so at once."""
        self.now = now
        peer = Peer(self.spec.initial, address, now)
        live = [other for other in self.peers if not other.over]
        share = self.spec.limits.address_share.of(self.limit)
        crowded = not address.startswith("127.") and sum(other.address == address for other in live) >= share
        self.peers.append(peer)
        if len(live) >= self.limit:
            self.goodbye(peer, self.spec.goodbye_when("full"))
        elif crowded:
            self.goodbye(peer, self.spec.goodbye_when("share"))
        return peer

    def receive(self, peer: Peer, octets: bytes, now: float) -> None:
        """Octets have come; none at all are the end of the stream."""
        self.now = now
        self.sign(peer)
        if octets:
            peer.inbox += octets
        else:
            peer.finished = True
        self.pump(peer)

    def pump(self, peer: Peer) -> None:
        """Takes the frames that may be taken now."""
        while not peer.over and not self.must_wait(peer):
            line = self.cut(peer)
            if line is None:
                if peer.finished and not peer.over:
                    self.finish(peer)
                return
            self.take(peer, line)

    def sent(self, peer: Peer, count: int, now: float) -> None:
        """`count` octets of the outbox were taken."""
        self.now = peer.sent_at = now
        if len(peer.outbox) > peer.own_octets:
            self.sign(peer)
        del peer.outbox[:count]
        peer.own_octets = min(peer.own_octets, len(peer.outbox))
        if len(peer.outbox) <= self.spec.limits.queue_mark:
            peer.full_since = None

    def lose(self, peer: Peer, now: float) -> None:
        """The connection has broken."""
        self.now = now
        self.end(peer, self.lost)
        peer.outbox.clear()

    def hang_up(self, peer: Peer) -> None:
        """Ends a connection without a word, which no correct server does."""
        self.end(peer, self.lost)

    def closed(self, peer: Peer) -> None:
        """Its socket is closed."""
        self.peers.remove(peer)

    def stop(self) -> None:
        """The server ends: everybody is told, and nobody that a partner is gone."""
        live = [peer for peer in self.peers if not peer.over]
        for peer in live:
            peer.partner = None
        for peer in live:
            self.goodbye(peer, self.spec.goodbye_when("stop"))

    def tick(self, now: float) -> None:
        """Time has passed: the deadlines that have come."""
        passed, self.now = now - self.now, now
        for peer in [peer for peer in self.peers if not peer.over]:
            if self.must_wait(peer):
                peer.sign_at += passed  # the clock stands still while the server does not read
            for timer in self.spec.timers.values():
                start = {"accept": peer.opened_at, "silence": peer.sign_at, "full": peer.full_since}.get(timer.since)
                due = start is not None and now - start >= timer.after
                if peer.over or not due or (timer.states is not None and peer.state not in timer.states):
                    continue
                if timer.goodbye is not None:
                    self.goodbye(peer, self.spec.goodbyes[timer.goodbye])
                elif timer.gone is not None:
                    self.end(peer, timer.gone)
                    peer.outbox.clear()
                elif timer.push is not None and timer.name not in peer.done:
                    peer.done.add(timer.name)
                    before = len(peer.outbox)
                    self.write(peer, self.own_push(timer.push))
                    peer.own_octets = len(peer.outbox) - before

    # --- frames -------------------------------------------------------------------------------------------------------

    def must_wait(self, peer: Peer) -> bool:
        """Whether a full queue keeps the next frame of this connection back."""
        limits = self.spec.limits
        full = peer.partner is not None and len(peer.partner.outbox) > limits.queue_mark
        return full or len(peer.outbox) > limits.queue_stop

    def cut(self, peer: Peer) -> bytes | None:
        """The next whole line without its ending; says goodbye when it is too long."""
        end = peer.inbox.find(b"\n", 0, self.spec.framing.max_octets)
        if end < 0:
            if len(peer.inbox) >= self.spec.framing.max_octets:
                self.goodbye(peer, self.spec.goodbye_when("too-long"))
            return None
        line = bytes(peer.inbox[:end])
        del peer.inbox[: end + 1]
        return line.removesuffix(b"\r") if b"\r\n" in self.spec.framing.accepts else line

    def finish(self, peer: Peer) -> None:
        """The client has sent all that it will ever send, and all is answered."""
        self.end(peer, self.lost)

    def take(self, peer: Peer, line: bytes) -> None:
        """One frame takes effect."""
        try:
            verb, values = self.parse(peer, line)
            outcome = self.choose(peer, verb, values)
            if outcome is None:
                raise FaultyError("state", verb)
        except FaultyError as faulty:
            self.refuse_fault(peer, faulty)
            return
        self.do(peer, outcome, values)
        self.taken(peer, outcome)

    def decode(self, line: bytes) -> str:
        """Raises UnicodeDecodeError."""
        return line.decode("utf-8")

    def encode(self, frame: str) -> bytes:
        return frame.encode("utf-8", "surrogateescape")

    def parse(self, peer: Peer, line: bytes) -> tuple[str, dict[str, str]]:
        """The verb and the fields. Raises FaultyError with the first fault in the spec's order."""
        found: list[FaultyError] = []
        try:
            text = self.decode(line)
        except UnicodeDecodeError:
            found.append(FaultyError("encoding"))
            text = line.decode("utf-8", "surrogateescape")
        verb, values = self.split(text)
        if verb not in self.spec.requests:
            is_verb = re.fullmatch(self.spec.framing.verb, verb)
            found.append(FaultyError("verb") if is_verb else FaultyError("syntax"))
        else:
            if values is None:
                found.append(FaultyError("syntax", verb))
            if verb not in self.spec.states[peer.state].recv:
                found.append(FaultyError("state", verb))
        for rule in self.spec.faults:
            for faulty in found:
                if faulty.fault == rule.fault:
                    raise faulty
        return verb, values or {}

    def split(self, text: str) -> tuple[str, dict[str, str] | None]:
        """The first word, and the fields if all of them are there and of their types."""
        verb = text.split(" ")[0]
        if verb not in self.spec.requests:
            return verb, None
        fields = self.spec.requests[verb].form.fields
        words = text.split(" ")
        if fields and self.spec.types[fields[-1].type].rest_of_line:
            words = text.split(" ", len(fields))
        values = dict(zip([field.name for field in fields], words[1:], strict=False))
        right = len(words) == len(fields) + 1
        right = right and all(self.is_of_type(field.type, values[field.name]) for field in fields)
        return verb, values if right else None

    def is_of_type(self, name: str, value: str) -> bool:
        kind = self.spec.types[name]
        size = len(value.encode("utf-8", "surrogatepass"))
        return kind.octets[0] <= size <= kind.octets[1] and re.fullmatch(kind.pattern, value) is not None

    def refuse_fault(self, peer: Peer, faulty: FaultyError) -> None:
        """Answers a frame that has a general fault, and counts it."""
        rule = self.spec.fault_rule(faulty.fault)
        self.write(peer, self.refusal(faulty.verb, rule.error))
        if faulty.verb in rule.uncounted:
            self.end_row(peer)
        else:
            self.count_fault(peer)

    def count_fault(self, peer: Peer) -> None:
        peer.faults += 1
        budget = self.spec.budget(peer.state)
        if budget is not None and peer.faults >= budget.faults and not peer.over:
            self.goodbye(peer, self.spec.goodbyes[budget.goodbye])

    def taken(self, peer: Peer, outcome: Outcome) -> None:
        """A frame without a fault was taken."""
        self.end_row(peer)

    def end_row(self, peer: Peer) -> None:
        """A frame has come that does not count as a fault."""
        budget = self.spec.budget(peer.state)
        if budget is not None and budget.in_a_row:
            peer.faults = 0

    # --- rows ---------------------------------------------------------------------------------------------------------

    def choose(self, peer: Peer, verb: str, values: Mapping[str, str]) -> Outcome | None:
        """The first row whose condition holds."""
        for outcome in self.spec.states[peer.state].recv[verb]:
            if outcome.condition is None or self.holds(peer, outcome.condition, values):
                return outcome
        return None

    def holds(self, peer: Peer, condition: Condition, values: Mapping[str, str]) -> bool:
        value = values.get(condition.field or "", "")
        user = self.user(value)
        match condition.kind:
            case "taken":
                return user is not None
            case "unknown":
                return user is None
            case "oneself":
                return user is peer
            case "linked":
                return user is not None and self.is_linked(user)
            case "the partner":
                return user is not None and user is peer.partner
            case "equals":
                return value == condition.value
            case "differs":
                return value != condition.value
            case "no partner":
                return peer.partner is None
            case "not accepted":
                return not peer.accepted

    def user(self, name: str) -> Peer | None:
        return self.users.get(self.spec.name_type.fold(name))

    def is_linked(self, peer: Peer) -> bool:
        return peer.state in self.spec.link.held_in

    def do(self, peer: Peer, outcome: Outcome, values: Mapping[str, str]) -> None:
        """Everything that a row says, in one step for all connections."""
        self.at = f"{peer.state}/{outcome.name}"
        named = next((self.user(values[e.field]) for e in outcome.effects if e.field and e.kind == "link"), None)
        other = named or peer.partner
        words = self.variables(peer, other, values)
        for effect in outcome.effects:
            self.effect(peer, effect, outcome, values)
        words["me"] = peer.name or words["me"]
        words["count"] = str(self.count())
        if outcome.to is not None:
            self.move(peer, outcome.to)
        if outcome.error is not None:
            self.answer(peer, self.refusal(outcome.verb, outcome.error))
        elif outcome.answer is not None:
            self.answer(peer, outcome.answer.fill(words))
        if outcome.partner is not None and other is not None:
            self.tell(other, outcome.partner, words)
        if outcome.to == self.spec.final:
            self.quit(peer)

    def variables(self, peer: Peer, other: Peer | None, values: Mapping[str, str]) -> dict[str, str]:
        name = values.get("name", "")
        peer_name = (other.name if other is not None else None) or name
        return {**values, "me": peer.name or "", "peer": peer_name, "profiles": " ".join(self.spec.profiles)}

    def effect(self, peer: Peer, effect: Effect, outcome: Outcome, values: Mapping[str, str]) -> None:
        match effect.kind:
            case "bind":
                self.bind(peer, values[effect.field or ""])
            case "link":
                other = self.user(values[effect.field or ""])
                peer.accepted, peer.partner = True, other
                if other is not None and other is not peer:
                    other.accepted, other.partner = False, peer
            case "accept":
                peer.accepted = True
            case "retract":
                peer.accepted = False
            case "unlink":
                self.unlink(peer)
            case "release":
                self.release(peer)
            case "list":
                self.list_users(peer, outcome.verb)
            case "relay":
                pass  # the row's push says what the partner gets

    def bind(self, peer: Peer, name: str) -> None:
        peer.name = name
        self.users[self.spec.name_type.fold(name)] = peer

    def unlink(self, peer: Peer) -> None:
        if peer.partner is not None and peer.partner.partner is peer:
            peer.partner.partner = None
        peer.partner = None

    def release(self, peer: Peer) -> None:
        if peer.name is not None and self.user(peer.name) is peer:
            del self.users[self.spec.name_type.fold(peer.name)]

    def list_users(self, peer: Peer, verb: str) -> None:
        """One item for each user."""
        form = self.spec.requests[verb].item
        if form is None:
            return
        for user in self.listed(peer):
            words = [form.key]
            for field in form.fields:
                choice = self.spec.types[field.type].one_of
                words.append(choice[self.is_linked(user)] if choice else user.name or "")
            self.write(peer, " ".join(words))

    def listed(self, peer: Peer) -> list[Peer]:
        return list(self.users.values())

    def count(self) -> int:
        return len(self.users)

    # --- moves and frames ---------------------------------------------------------------------------------------------

    def move(self, peer: Peer, state: str) -> None:
        if self.spec.states[peer.state].initial and not self.spec.states[state].initial:
            peer.faults = 0
        peer.state = state

    def tell(self, other: Peer, effect: PartnerEffect, words: Mapping[str, str]) -> None:
        """What a row does to the connection at the other end."""
        if effect.to is not None:
            self.move(other, effect.to)
        self.push(other, effect.push, words)

    def answer(self, peer: Peer, frame: str) -> None:
        self.write(peer, frame)

    def push(self, other: Peer, push: Template, words: Mapping[str, str]) -> None:
        self.write(other, push.fill(words))

    def refusal(self, verb: str, code: str) -> str:
        return self.spec.refusal.fill(verb, code, self.spec.errors[code].words)

    def own_push(self, verb: str) -> str:
        """A push of the server itself: a PING with a token of its own."""
        fields = self.spec.pushes[verb].form.fields
        return " ".join([verb, *(self.spec.types[field.type].good[0] for field in fields)])

    def quit(self, peer: Peer) -> None:
        """The request that ends the connection was answered."""
        peer.over = True
        peer.sent_at = self.now

    def goodbye(self, peer: Peer, goodbye: Goodbye) -> None:
        """The server ends the connection."""
        if goodbye.gone is None:
            peer.partner = None
        self.end(peer, goodbye.gone or "", self.spec.goodbye.fill(goodbye.code, goodbye.words))

    def end(self, peer: Peer, reason: str, last_frame: str | None = None) -> None:
        """A connection ends without its own request."""
        if peer.over:
            return
        self.at = "ending"
        ending, other = self.spec.ending, peer.partner
        words = {**self.variables(peer, other, {}), "reason": reason}
        for effect in ending.effects:
            if effect.kind == "unlink":
                self.unlink(peer)
            elif effect.kind == "release":
                self.release(peer)
        if other is not None:
            self.tell(other, ending.partner, words)
        peer.state = ending.to
        if last_frame is not None:
            self.write(peer, last_frame)
        peer.over = True
        peer.sent_at = self.now

    @property
    def lost(self) -> str:
        """The reason of an end that nobody has announced."""
        return self.spec.goodbye_when("too-long").gone or ""

    def sign(self, peer: Peer) -> None:
        """A sign of life: its silence begins anew."""
        peer.sign_at = self.now
        peer.done.clear()

    def write(self, peer: Peer, frame: str) -> None:
        if peer.over:
            return
        peer.outbox += self.encode(frame) + self.spec.framing.writes
        if len(peer.outbox) > self.spec.limits.queue_mark and peer.full_since is None:
            peer.full_since = self.now
