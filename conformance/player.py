"""Runs a script against a server over real sockets, and says pass or fail with the reason. Knows no verb.

Nothing is decided by waiting: when a frame that is due does not come, the connections are asked for a barrier's
answer, and one that comes without the frame is the proof. Patience only makes a server finite that answers nothing.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field

from pychat.spec import Spec

from .frames import matches, parse_reply, quote
from .inbox import FloodError, Inbox, Unit
from .model import Due, End, Items, Text
from .probe import Barrier
from .script import Branch, Finish, Op, Quiet, Race, Receive, Reset, Script, Send, Settle, Taken
from .wire import Transcript, Wire, connect

HURRY = 0.25  # seconds without anything, after which barriers are sent


class MismatchError(Exception):
    """What came is not what was due. `timeout` when nothing came at all, so that the server may be stuck."""

    def __init__(
        self, step: str, wanted: str, got: str, *, setup: bool = False, timeout: bool = False, rule: str = ""
    ) -> None:
        super().__init__(f"{step}: wanted {wanted}, got {got}")
        self.step, self.wanted, self.got = step, wanted, got
        self.setup, self.timeout, self.rule = setup, timeout, rule


class UnreachableError(Exception):
    """The server takes no connection."""


@dataclass(slots=True)
class Stage:
    """Where a case is played: the server's address, how long to wait for a sign of life, and what has passed."""

    spec: Spec
    address: tuple[str, int]
    patience: float = 5.0
    transcript: Transcript = field(default_factory=Transcript)
    inboxes: dict[str, Inbox] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    barrier: Barrier = field(init=False)

    def __post_init__(self) -> None:
        self.barrier = Barrier(self.spec)

    def inbox(self, who: str) -> Inbox:
        """The connection `who`, opened now if it is new. Raises UnreachableError."""
        if who not in self.inboxes:
            try:
                wire = connect(who, self.address, self.transcript, self.patience)
            except OSError as error:
                raise UnreachableError(f"{self.address[0]}:{self.address[1]} takes no connection: {error}") from None
            self.inboxes[who] = Inbox(self.spec, wire, self.barrier)
        return self.inboxes[who]

    def adopt(self, who: str, stream: socket.socket) -> None:
        """Opens the connection `who` on a socket that was prepared. Raises UnreachableError."""
        try:
            stream.connect(self.address)
        except OSError as error:
            stream.close()
            raise UnreachableError(f"{self.address[0]}:{self.address[1]} takes no connection: {error}") from None
        self.inboxes[who] = Inbox(self.spec, Wire(who, stream, self.transcript), self.barrier)

    def deadline(self) -> float:
        """When patience ends, if it begins now."""
        return time.monotonic() + self.patience

    def close(self, wait: float) -> bool:
        """Ends all connections; True when the server closed its ends within `wait` seconds too."""
        tidy = True
        deadline = time.monotonic() + wait
        for inbox in self.inboxes.values():
            if not inbox.wire.finished and not inbox.ended:
                inbox.wire.finish()
        for inbox in self.inboxes.values():
            while wait and not inbox.ended and time.monotonic() < deadline:
                try:
                    inbox.pump(deadline)
                except FloodError:
                    break
            tidy = tidy and inbox.ended
            self.notes += inbox.notes
            inbox.wire.close()
        return tidy


class Player:
    """Plays one script on a stage. Raises MismatchError, UnreachableError or FloodError."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.spec = stage.spec
        self.op = Op(Quiet(()), "")
        self.partial: set[str] = set()  # who has sent half a line
        self.late = False  # the deadline of something that is due has passed already

    def play(self, script: Script) -> None:
        self.run(tuple(script.ops))

    def run(self, ops: tuple[Op, ...]) -> None:
        for self.op in ops:
            action = self.op.action
            if isinstance(action, Send):
                self._send(action)
            elif isinstance(action, Finish):
                self.stage.inbox(action.who).wire.finish()
            elif isinstance(action, Reset):
                self.stage.inbox(action.who).drain()
                self.stage.inbox(action.who).wire.reset()
            elif isinstance(action, Settle):
                self._settle(action)
            elif isinstance(action, Receive):
                self._receive(action.who, action.due)
            elif isinstance(action, Taken):
                self._taken(action)
            elif isinstance(action, Race):
                self._race(action)
            else:
                self._quiet(action)

    def fail(self, wanted: str, got: str, *, timeout: bool = False) -> MismatchError:
        setup, rule = self.op.part == "setup", self.op.rule
        return MismatchError(self.op.step, wanted, got, setup=setup, timeout=timeout, rule=rule)

    # Sending

    def _send(self, action: Send) -> None:
        inbox = self.stage.inbox(action.who)
        if inbox.wire.send(action.octets, self.stage.deadline(), action.octetwise) < len(action.octets):
            raise self.fail(f"that {action.who}'s octets are read", "a full socket", timeout=True)
        (self.partial.discard if action.octets.endswith(b"\n") else self.partial.add)(action.who)

    def _taken(self, action: Taken) -> None:
        wire = self.stage.inbox(action.who).wire
        if wire.end == "FIN":
            wire.end = None
            wire.send(action.octets, self.stage.deadline())
            taken = wire.acknowledged(self.stage.deadline())
            wire.end = "FIN"
            if taken:
                return
        raise self.fail("that octets after the end of the stream are read and dropped", "a reset")

    # Waiting

    def wait(self, inbox: Inbox, enough: int, *, end: bool = False) -> str | None:
        """Waits for `enough` units waiting, or the end; None when they are there, else what is there instead."""
        deadline = time.monotonic() if self.late else self.stage.deadline()
        hurry = time.monotonic() + HURRY
        asked = False
        while True:
            if (len(inbox.units) >= enough and not end) or inbox.ended:
                return None
            if end and inbox.units and len(inbox.units) > enough:
                return None
            now = time.monotonic()
            if now >= deadline:
                self.late = True
                return f"nothing for {self.stage.patience:g} s"
            if asked and not inbox.tokens:
                return "nothing before the answer to a later request"
            if now >= hurry and not asked and not end:
                asked = self._ask(inbox)
                hurry = deadline
                continue
            inbox.pump(min(hurry, deadline) if not asked else deadline)

    def _wait_end(self, inbox: Inbox) -> None:
        """Waits for the end of the stream, whatever comes before it."""
        deadline = time.monotonic() if self.late else self.stage.deadline()
        while not inbox.ended:
            if not inbox.pump(deadline) and time.monotonic() >= deadline:
                self.late = True
                return

    def _ask(self, inbox: Inbox) -> bool:
        """Sends a barrier on this connection, once the others have answered theirs."""
        for other in self.stage.inboxes.values():
            if other is not inbox:
                self.barrier(other)
        return self._barrier_sent(inbox)

    def _barrier_sent(self, inbox: Inbox) -> bool:
        wire = inbox.wire
        if inbox.ended or wire.finished or wire.who in self.partial:
            return False
        token = self.stage.barrier.token()
        inbox.tokens.append(token)
        wire.send(self.stage.barrier.request(token), self.stage.deadline())
        return True

    def barrier(self, inbox: Inbox) -> bool:
        """Whether everything that this connection has sent is handled: its barrier was answered, or it has ended."""
        if not self._barrier_sent(inbox):
            return inbox.ended
        deadline = self.stage.deadline()
        while inbox.tokens and not inbox.ended:
            if not inbox.pump(deadline) and time.monotonic() >= deadline:
                self.late = True
                return False
        return True

    def _settle(self, action: Settle) -> None:
        for who, total, ends in action.totals:
            inbox = self.stage.inbox(who)
            if ends:
                self._wait_end(inbox)
            elif inbox.total < total:
                self.wait(inbox, len(inbox.units) + total - inbox.total)

    # What is due

    def _receive(self, who: str, due: Due) -> None:
        inbox = self.stage.inbox(who)
        if isinstance(due, End):
            self._end(inbox)
            return
        wanted = shown(who, due)
        instead = self.wait(inbox, 1)
        if instead is not None:
            raise self.fail(wanted, instead, timeout="for" in instead)
        if not inbox.units:
            raise self.fail(wanted, ended(inbox))
        unit = inbox.units.popleft()
        problem = self.compare(due, unit)
        if problem is not None:
            raise self.fail(wanted, problem)

    def _end(self, inbox: Inbox) -> None:
        who = inbox.wire.who
        wanted = f"{who} < the end of the stream"
        instead = self.wait(inbox, 0, end=True)
        if inbox.units:
            raise self.fail(wanted, f"{who} < {inbox.units[0]}")
        if instead is not None:
            raise self.fail(wanted, f"{instead}, and the connection is open", timeout=True)
        if inbox.dangling:
            raise self.fail(wanted, f"octets without an ending before it: {quote(inbox.dangling)}")
        if inbox.wire.end == "RST":
            self.stage.notes.append(f"{who}'s connection was closed by a reset")

    def compare(self, due: Due, unit: Unit) -> str | None:
        """None if the unit is what is due, else what it is."""
        if unit.flaw is not None:
            return str(unit)
        if isinstance(due, Text):
            return None if unit.items is None and matches(due.text, unit.text) else str(unit)
        assert isinstance(due, Items)
        return self._compare_listing(due, unit)

    def _compare_listing(self, due: Items, unit: Unit) -> str | None:
        """Users of other plays may be listed too; these may not be missing, twice, or otherwise."""
        if unit.items is None:
            return str(unit)
        own = {self._user(item) for item in due.items}
        seen = sorted(item for item in unit.items if self._user(item) in own)
        if seen != sorted(due.items):
            return f"{' / '.join(seen) or 'none of them'} and {len(unit.items) - len(seen)} others"
        users = [self._user(item) for item in unit.items]
        if len(set(users)) < len(users):
            return "a user listed twice"
        got, wanted = parse_reply(self.spec, unit.text), parse_reply(self.spec, due.answer)
        assert got is not None
        assert wanted is not None
        others = len(unit.items) - len(due.items)
        counted = {name: _plus(value, others) for name, value in wanted.values.items()}
        if got.reply.key != wanted.reply.key or got.values != counted:
            return f"{len(unit.items)} items and {unit.text}"
        return None

    def _user(self, item: str) -> str:
        got = parse_reply(self.spec, item)
        assert got is not None
        key = next((field.name for field in got.reply.form.fields if field.type == self.spec.link.key), "")
        return self.spec.types[self.spec.link.key].fold(got.values.get(key, item))

    def _quiet(self, action: Quiet) -> None:
        """Nothing is left, on any of these connections, after all of them have answered a barrier."""
        inboxes = [self.stage.inboxes[who] for who in action.who if who in self.stage.inboxes]
        for inbox in inboxes:
            if not inbox.ended and not self.barrier(inbox) and not inbox.wire.finished:
                raise self.fail(f"an answer to {inbox.wire.who}'s {self.stage.barrier.verb}", "none", timeout=True)
        for inbox in inboxes:
            if len(inboxes) > 1 and not inbox.ended:
                self.barrier(inbox)
            if inbox.units:
                raise self.fail(f"nothing more to {inbox.wire.who}", f"{inbox.wire.who} < {inbox.units[0]}")
            if inbox.ended and inbox.dangling:
                raise self.fail("whole frames", f"octets without an ending: {quote(inbox.dangling)}")

    # Races

    def _race(self, action: Race) -> None:
        for send in action.sends:
            if isinstance(send, Send):
                self._send(send)
            elif isinstance(send, Finish):
                self.stage.inbox(send.who).wire.finish()
            else:
                self.stage.inbox(send.who).wire.reset()
        everybody = list(self.stage.inboxes.values())
        for _ in range(2):  # the second round sees what the first one's requests and ends have pushed
            for inbox in everybody:
                if not inbox.ended and not inbox.wire.finished and not self.barrier(inbox) and not inbox.ended:
                    raise self.fail(f"an answer to {inbox.wire.who}'s {self.stage.barrier.verb}", "none", timeout=True)
            for inbox in everybody:
                if inbox.wire.finished:
                    self._wait_end(inbox)
        self.run(self._fitting(action).then)

    def _fitting(self, action: Race) -> Branch:
        for branch in action.branches:
            if self._fits(branch):
                for inbox in self.stage.inboxes.values():
                    inbox.units.clear()
                return branch
        options = " or ".join(
            "{" + "; ".join(shown(who, due) for who, dues in branch.dues for due in dues) + "}"
            for branch in action.branches[:4]
        )
        got = "; ".join(f"{who} < {unit}" for who, inbox in self.stage.inboxes.items() for unit in inbox.units)
        raise self.fail(f"one of {len(action.branches)} results: {options}", got or "nothing")

    def _fits(self, branch: Branch) -> bool:
        dues = dict(branch.dues)
        for who, inbox in self.stage.inboxes.items():
            wanted = [due for due in dues.get(who, ()) if not isinstance(due, End)]
            ends = len(wanted) < len(dues.get(who, ()))
            if len(wanted) != len(inbox.units) or (ends and not inbox.ended):
                return False
            if any(self.compare(due, unit) is not None for due, unit in zip(wanted, inbox.units, strict=True)):
                return False
        return True


def shown(who: str, due: Due) -> str:
    """What is due, as a line of a transcript."""
    if isinstance(due, End):
        return f"{who} < the end of the stream"
    if isinstance(due, Text):
        return f"{who} < {due.text}"
    return f"{who} < {' / '.join([*due.items, due.answer])}"


def ended(inbox: Inbox) -> str:
    """How a stream ended, as a line of a transcript."""
    how = {"FIN": "the end of the stream", "RST": "a reset", None: "nothing"}[inbox.wire.end]
    return f"{inbox.wire.who} < {how}"


def _plus(value: str, number: int) -> str:
    return str(int(value) + number) if value.isdecimal() else value
