"""Runs a script against a server over real sockets, and says pass or fail with the reason. Knows no verb.

Nothing is decided by waiting: when a frame that is due does not come, the connections are asked for a barrier's
answer, and one that comes without the frame is the proof. Patience only makes a server finite that answers nothing.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

from conformance.oracle.frames import matches, parse_reply, quote
from conformance.oracle.model import Cut, Due, End, Items, Text

from . import actions as do
from . import clock
from .actions import shown
from .flood import Flood, UnlikeError
from .inbox import Inbox, Unit
from .stage import Stage

BYSTANDER = "judge"  # the connection that is answered while another one is not read
HURRY = 0.25  # seconds without anything, after which barriers are sent
BULK = 4  # times the patience, for many lines


class MismatchError(Exception):
    """What came is not what was due. `timeout` when nothing came at all, so that the server may be stuck."""

    def __init__(
        self, step: str, wanted: str, got: str, *, setup: bool = False, timeout: bool = False, rule: str = ""
    ) -> None:
        super().__init__(f"{step}: wanted {wanted}, got {got}")
        self.step, self.wanted, self.got = step, wanted, got
        self.setup, self.timeout, self.rule = setup, timeout, rule


class Player:
    """Plays one script on a stage. Raises MismatchError, UnreachableError or FloodError."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.spec = stage.spec
        self.op = do.Op(do.Quiet(()), "")
        self.partial: set[str] = set()  # who has sent half a line
        self.deaf: set[str] = set()  # who cannot be asked: he does not read, or is not read
        self.sent: dict[str, float] = {}  # a moment before the last octets of each
        self.flood: Flood | None = None
        self.late = False  # the deadline of something that is due has passed already
        self._acts: dict[type, Callable[[Any], None]] = {
            do.Send: self._send, do.Finish: self._finish, do.Reset: self._reset, do.Taken: self._taken,
            do.Open: self._open, do.Settle: self._settle, do.Receive: self._receive, do.Quiet: self._quiet,
            do.Race: self._race,
            do.Clock: lambda action: clock.run(self, action), do.Pause: self._pause, do.Flood: self._flood,
            do.ReadOn: self._read_on, do.Refused: self._refused, do.Signal: self._signal, do.Exit: self._exit,
        }  # fmt: skip

    def play(self, script: do.Script) -> None:
        self.stage.cast(script.play)
        self.run(tuple(script.ops))

    def run(self, ops: tuple[do.Op, ...]) -> None:
        for self.op in ops:
            self._acts[type(self.op.action)](self.op.action)

    def fail(self, wanted: str, got: str, *, timeout: bool = False) -> MismatchError:
        setup, rule = self.op.part == "setup", self.op.rule
        return MismatchError(self.op.step, wanted, got, setup=setup, timeout=timeout, rule=rule)

    # Sending

    def _send(self, action: do.Send) -> None:
        inbox = self.stage.inbox(action.who)
        self.sent[action.who] = time.monotonic()
        if inbox.wire.send(action.octets, self.stage.deadline(), action.octetwise) < len(action.octets):
            raise self.fail(f"that {action.who}'s octets are read", "a full socket", timeout=True)
        (self.partial.discard if action.octets.endswith(b"\n") else self.partial.add)(action.who)

    def _finish(self, action: do.Finish) -> None:
        self.stage.inbox(action.who).wire.finish()

    def _reset(self, action: do.Reset) -> None:
        self.stage.inbox(action.who).drain()
        self.stage.inbox(action.who).wire.reset()

    def _taken(self, action: do.Taken) -> None:
        wire = self.stage.inbox(action.who).wire
        if wire.end == "FIN":
            wire.end = None
            wire.send(action.octets, self.stage.deadline())
            taken = wire.acknowledged(self.stage.deadline())
            wire.end = "FIN"
            if taken:
                return
        raise self.fail("that octets after the end of the stream are read and dropped", "a reset")

    def _open(self, action: do.Open) -> None:
        """Where there is room, the server may still have to see that somebody else has gone."""
        deadline = self.stage.deadline()
        inbox = self.stage.inbox(action.who)
        while action.admitted and not (self.barrier(inbox) and not inbox.ended):
            if time.monotonic() > deadline:
                raise self.fail(f"that {action.who} is admitted", inbox.seen)
            inbox.wire.close()
            del self.stage.inboxes[action.who]
            inbox = self.stage.inbox(action.who)

    # Amounts

    def _pause(self, action: do.Pause) -> None:
        self.stage.inbox(action.who).wire.stop_reading()
        self.deaf.add(action.who)

    @contextlib.contextmanager
    def _like(self) -> Iterator[None]:
        try:
            yield
        except UnlikeError as error:
            raise self.fail(error.wanted, error.got) from None

    def _flood(self, action: do.Flood) -> None:
        sender = self.stage.inbox(action.who)
        self.flood = Flood(sender, action.lines, self.stage.transcript)
        with self._like():
            self.flood.fill(lambda: self.barrier(self.stage.inbox(BYSTANDER)))
        self.deaf.add(action.who)

    def _read_on(self, action: do.ReadOn) -> None:
        assert self.flood is not None
        with self._like():
            self.flood.read_on(self.stage.inbox(action.who), action.lines, self.stage.deadline(BULK))
        if not self.stage.inbox(action.who).wire.pause:
            self.deaf -= {action.who, self.flood.sender.wire.who}

    def _refused(self, action: do.Refused) -> None:
        assert self.flood is not None
        with self._like():
            self.flood.refused(action.text, self.stage.deadline(BULK))
        self.deaf.discard(action.who)

    # The server as a program

    def _signal(self, action: do.Signal) -> None:
        assert self.stage.process is not None, "a server that gets a signal was started by the suite"
        self.stage.transcript.note("#", "#", text=f"SIG{action.name} to the server")
        self.stage.process.popen.signal(signal.Signals[f"SIG{action.name}"])

    def _exit(self, action: do.Exit) -> None:
        assert self.stage.process is not None
        for inbox in self.stage.inboxes.values():
            if not inbox.wire.finished:
                inbox.wire.finish()
        if self.stage.process.popen.wait(self.stage.patience) is None:
            raise self.fail("a server that ends", "one that runs", timeout=True)

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
        if inbox.ended or wire.finished or wire.who in self.partial | self.deaf:
            return False
        token = self.stage.barrier.token()
        inbox.tokens.append(token)
        self.sent[wire.who] = time.monotonic()
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

    def _settle(self, action: do.Settle) -> None:
        for who, total, ends in action.totals:
            inbox = self.stage.inbox(who)
            if ends:
                self._wait_end(inbox)
            elif inbox.total < total:
                self.wait(inbox, len(inbox.units) + total - inbox.total)

    # What is due

    def _receive(self, action: do.Receive) -> None:
        who, due = action.who, action.due
        inbox = self.stage.inbox(who)
        if isinstance(due, End):
            self._end(inbox)
            return
        if isinstance(due, Cut):
            if inbox.wire.end != "RST":
                raise self.fail(shown(who, due), inbox.seen)
            return
        wanted = shown(who, due)
        instead = self.wait(inbox, 1)
        if instead is not None:
            raise self.fail(wanted, instead, timeout="for" in instead)
        if not inbox.units:
            raise self.fail(wanted, inbox.seen)
        unit = inbox.units.popleft()
        problem = self.compare(due, unit)
        if problem is not None:
            raise self.fail(wanted, problem)

    def _end(self, inbox: Inbox) -> None:
        who = inbox.wire.who
        wanted = f"{who} < the end of the stream"
        instead = self.wait(inbox, 0, end=True)
        if inbox.units:
            raise self.fail(wanted, inbox.seen)
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
        users = [user for user in map(self._user, unit.items) if user]
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
        return self.spec.name_type.fold(got.values.get(got.reply.form.field_of(self.spec.link.key) or "", ""))

    def _quiet(self, action: do.Quiet) -> None:
        """Nothing is left, on any of these connections, after all of them have answered a barrier."""
        inboxes = [self.stage.inboxes[who] for who in action.who if who in self.stage.inboxes]
        for inbox in inboxes:
            if not inbox.ended and not self.barrier(inbox) and not inbox.wire.finished:
                raise self.fail(f"an answer to {inbox.wire.who}'s {self.stage.barrier.verb}", "none", timeout=True)
        for inbox in inboxes:
            if len(inboxes) > 1 and not inbox.ended:
                self.barrier(inbox)
            if inbox.units:
                raise self.fail(f"nothing more to {inbox.wire.who}", inbox.seen)
            if inbox.ended and inbox.dangling:
                raise self.fail("whole frames", f"octets without an ending: {quote(inbox.dangling)}")

    # Races

    def _race(self, action: do.Race) -> None:
        for send in action.sends:
            if isinstance(send, do.Send):
                self._send(send)
            elif isinstance(send, do.Finish):
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

    def _fitting(self, action: do.Race) -> do.Branch:
        for branch in action.branches:
            if not self._unlike(branch):
                for inbox in self.stage.inboxes.values():
                    inbox.units.clear()
                return branch
        options = " or ".join(
            "{" + "; ".join(shown(who, due) for who, dues in branch.dues for due in dues) + "}"
            for branch in action.branches[:4]
        )
        got = "; ".join(f"{who} < {unit}" for who, inbox in self.stage.inboxes.items() for unit in inbox.units)
        nearest = min(action.branches, key=lambda branch: len(self._unlike(branch)))
        problem = self.fail(f"one of {len(action.branches)} results: {options}", got or "nothing")
        problem.rule = next((rule for who, rule in nearest.rules if who in self._unlike(nearest)), "")
        raise problem

    def _unlike(self, branch: do.Branch) -> list[str]:
        """Those to whom something else has come than a branch says."""
        dues = dict(branch.dues)
        return [who for who, inbox in self.stage.inboxes.items() if not self._fits(inbox, dues.get(who, ()))]

    def _fits(self, inbox: Inbox, dues: tuple[Due, ...]) -> bool:
        wanted = [due for due in dues if not isinstance(due, End)]
        ends = len(wanted) < len(dues)
        if len(wanted) != len(inbox.units) or (ends and not inbox.ended):
            return False
        return all(self.compare(due, unit) is None for due, unit in zip(wanted, inbox.units, strict=True))


def _plus(value: str, number: int) -> str:
    return str(int(value) + number) if value.isdecimal() else value
