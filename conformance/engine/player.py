"""Runs a script against a server over real sockets, and says pass or fail with the reason. Knows no verb.

Nothing is decided by waiting: when a frame that is due does not come, the connections are asked for a barrier's
answer, and one that comes without the frame is the proof. Patience only makes a server finite that answers nothing.
"""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from conformance.oracle.frames import quote
from conformance.oracle.model import Cut, Due, End, Items

from . import actions as do
from . import clock
from .actions import shown
from .backlog import Backlog
from .failures import MismatchError
from .inbox import Inbox, difference
from .stage import Stage

BYSTANDER = "judge"  # the connection that is answered while another one is not read


class Player:
    """Plays one script on a stage. Raises MismatchError, UnreachableError or ExcessError."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.backlog: Backlog | None = None
        self.late = False  # the deadline of something that is due has passed already
        self.mute: frozenset[str] = frozenset()  # connections whose barrier would change what is tested now
        self._acts: dict[type, Callable[[Any], None]] = {
            do.Send: self._send, do.Finish: lambda action: stage.inbox(action.who).wire.finish(),
            do.Reset: self._reset, do.SendLate: self._send_late,
            do.Open: self._open, do.Settle: self._settle, do.Receive: self._receive, do.Quiet: self._quiet,
            do.Race: self._race, do.Clock: self._clock,
            do.Await: lambda action: clock.await_end(stage, action),
            do.Pause: self._pause, do.Flood: self._flood,
            do.ReadOn: self._read_on, do.Refused: self._refused, do.Signal: self._signal, do.Exit: self._exit,
        }  # fmt: skip

    def play(self, script: do.Script) -> None:
        self.stage.cast(script.play)
        looks = [number for number, op in enumerate(script.ops, 1) if isinstance(op.action, do.Clock)]
        self._run(script.ops[: max(looks, default=0)])
        self.stage.end_silence()  # no clock is looked at any more
        self._run(script.ops[max(looks, default=0) :])

    def _run(self, ops: Sequence[do.Op]) -> None:
        for number, op in enumerate(ops):
            self.mute, began = op.mute, time.monotonic()
            try:
                self._acts[type(op.action)](op.action)
            except MismatchError as problem:
                clocks = [other.action for other in ops[number + 1 :] if isinstance(other.action, do.Clock)]
                for action in clocks:
                    clock.require_time(self.stage, action, began)
                if not self.stage.timed:
                    clock.require_no_timer(self.stage, began)
                problem.timed_out |= self.late
                problem.locate(op.step, setup=op.part == "setup", rule=op.rule)
                raise

    # Sending

    def _send(self, action: do.Send) -> None:
        began = time.monotonic()
        totals = {who: self.stage.inbox(who).total for who in action.linked}
        if not self.stage.inbox(action.who).send(action.octets, self.stage.deadline(), int(action.octetwise)):
            raise MismatchError(f"that {action.who}'s octets are read", "a full socket")
        for who, total in totals.items():  # each end of the link is told of it
            inbox = self.stage.inbox(who)
            inbox.wait(lambda inbox=inbox, total=total: inbox.total > total, self._deadline())  # type: ignore[misc]
            self.stage.linked[who] = began, time.monotonic()

    def _reset(self, action: do.Reset) -> None:
        inbox = self.stage.inbox(action.who)
        inbox.drain()
        if not inbox.sent_at:
            inbox.units.clear()  # it was perhaps told that there was no room yet, which nobody has waited for
        inbox.wire.reset()

    def _send_late(self, action: do.SendLate) -> None:
        wire = self.stage.inbox(action.who).wire
        if wire.end == "FIN":
            wire.end = None
            wire.send(action.octets, self.stage.deadline())
            taken = wire.acknowledged(self.stage.deadline())
            wire.end = "FIN"
            if taken:
                return
        raise MismatchError("that octets after the end of the stream are read and dropped", "a reset")

    def _open(self, action: do.Open) -> None:
        """Where there is room, the server may still have to see that another connection has ended."""
        deadline = self.stage.deadline()
        inbox = self.stage.inbox(action.who)
        while action.admitted and not (self.barrier(inbox) and not inbox.ended):
            if time.monotonic() > deadline:
                raise MismatchError(f"that {action.who} is admitted", inbox.seen)
            inbox.wire.close()
            del self.stage.inboxes[action.who]
            inbox = self.stage.inbox(action.who)

    # Amounts and time: what was asked for in a wait has its answer before

    def _answered(self, inbox: Inbox) -> None:
        if not inbox.wait(lambda: not inbox.tokens, self._deadline()):
            self.late = True

    def _clock(self, action: do.Clock) -> None:
        for inbox in self.stage.inboxes.values():
            if inbox.may_ask:
                self._answered(inbox)
        clock.watch(self.stage, action, self.backlog)

    def _pause(self, action: do.Pause) -> None:
        inbox = self.stage.inbox(action.who)
        self._answered(inbox)
        inbox.wire.stop_reading()

    def _flood(self, action: do.Flood) -> None:
        if not self.stage.inbox(action.who).wire.pause:
            self._answered(self.stage.inbox(action.who))
        self.backlog = Backlog(self.stage.inbox(action.who), action.lines, self.stage)
        bystander = self.stage.inboxes.get(BYSTANDER)
        if bystander is not None and bystander.ended:  # it has been silent for too long
            bystander.wire.close()
            del self.stage.inboxes[BYSTANDER]
        self.backlog.fill(lambda: self.barrier(self.stage.inbox(BYSTANDER)))

    def _read_on(self, action: do.ReadOn) -> None:
        assert self.backlog is not None
        self.backlog.read_on(self.stage.inbox(action.who), action.lines)

    def _refused(self, action: do.Refused) -> None:
        assert self.backlog is not None
        self.backlog.refused(action.text)

    # The server as a program

    def _signal(self, action: do.Signal) -> None:
        assert self.stage.process is not None, "a server that gets a signal was started by the suite"
        self.stage.transcript.note("#", "#", text=f"SIG{action.name} to the server")
        self.stage.stopped = time.monotonic()
        self.stage.process.popen.signal(signal.Signals[f"SIG{action.name}"])

    def _exit(self, action: do.Exit) -> None:
        assert self.stage.process is not None
        began = min(self.stage.stopped, time.monotonic())
        left = began + self.stage.shutdown + clock.BUSY - time.monotonic()
        if self.stage.process.popen.wait(max(0.0, left)) is None or left < 0:
            wanted = f"a server that ends in {self.stage.spec.limits.shutdown:g} s, whether its peers close or not"
            raise MismatchError(wanted, f"one that runs after {time.monotonic() - began:.1f} s")

    # Waiting

    def _wait(self, inbox: Inbox, units: int, *, ask: bool = True) -> str | None:
        """Waits for so many units, or the end of the stream; None when they are here, else what is here instead."""
        asked = False

        def here() -> bool:
            return len(inbox.units) >= units or inbox.ended

        if ask and not self.late:
            hurry = self.stage.conditions.hurry(self.stage.usual)
            asked = not inbox.wait(here, time.monotonic() + hurry) and self._ask(inbox)
        arrived = inbox.wait(lambda: here() or (asked and not inbox.tokens), self._deadline())
        if here():
            return None
        if arrived:
            return "nothing before the answer to a later request"
        self.late = True
        nothing = f"nothing for {self.stage.patience:g} s"
        return f"{quote(inbox.rest)} without its line ending, then {nothing}" if inbox.rest else nothing

    def _wait_end(self, inbox: Inbox) -> None:
        """Waits for the end of the stream, whatever comes before it."""
        self.late |= not inbox.wait(lambda: False, self._deadline())

    def _deadline(self) -> float:
        return time.monotonic() if self.late else self.stage.deadline()

    def _ask(self, inbox: Inbox) -> bool:
        """Sends a barrier request on this connection, once all that the others have sent is handled.

        False where its answer would prove nothing, or the request would change what is tested: a row of faults would
        end, or a silence, and a server that was told to end need not answer.
        """
        if self.stage.watched or self.stage.stopped <= time.monotonic():
            return False
        everybody = list(self.stage.inboxes.values())
        if any(each.wire.who in self.mute or each.is_unsure for each in everybody):
            return False
        others = [other for other in everybody if other is not inbox]
        for other in others:
            if other.wire.finished:
                self._wait_end(other)
        return self.barrier(*others) and inbox.ask(self.stage.deadline())

    def barrier(self, *inboxes: Inbox) -> bool:
        """Whether all that these connections have sent is handled: each one's barrier was answered, or it has ended."""
        return self._unanswered(inboxes) is None

    def _unanswered(self, inboxes: Iterable[Inbox]) -> Inbox | None:
        """The first whose barrier is not answered, None where all are. All are asked before one is waited for."""
        waiting = []
        for inbox in inboxes:
            if not inbox.ended:
                if not inbox.ask(self.stage.deadline()) and not inbox.ended:
                    return inbox
                waiting.append(inbox)
        for inbox in waiting:
            if not inbox.wait(lambda inbox=inbox: not inbox.tokens, self.stage.deadline()):  # type: ignore[misc]
                self.late = True
                return inbox
        return None

    def _require_barriers(self, inboxes: Iterable[Inbox]) -> None:
        inbox = self._unanswered(inbox for inbox in inboxes if not inbox.wire.finished)
        if inbox is not None:
            raise MismatchError(f"an answer to {inbox.wire.who}'s {self.stage.barrier.verb}", "none")

    def _settle(self, action: do.Settle) -> None:
        for who, total, ends in action.totals:
            inbox = self.stage.inbox(who)
            if ends:
                self._wait_end(inbox)
            elif inbox.total < total:
                self._wait(inbox, len(inbox.units) + total - inbox.total)

    # What is due

    def _receive(self, action: do.Receive) -> None:
        inbox, wanted = self.stage.inbox(action.who), shown(action.who, action.due)
        if isinstance(action.due, End):
            self._end(inbox, wanted)
        elif isinstance(action.due, Cut):
            if inbox.wire.end != "RST":
                raise MismatchError(wanted, inbox.seen)
        else:
            if isinstance(action.due, Items) and not action.due.answer:
                self.barrier(inbox)  # its answer ends a list that has none
            instead = self._wait(inbox, 1)
            if instead is not None or not inbox.units:
                raise MismatchError(wanted, instead or inbox.seen)
            problem = difference(self.stage.spec, action.due, inbox.units.popleft())
            if problem is not None:
                raise MismatchError(wanted, problem)

    def _end(self, inbox: Inbox, wanted: str) -> None:
        instead = self._wait(inbox, 1, ask=False)
        if inbox.units:
            raise MismatchError(wanted, inbox.seen)
        if instead is not None:
            raise MismatchError(wanted, f"{instead}, and the connection is open")
        if inbox.rest:
            raise MismatchError(wanted, f"octets without an ending before it: {quote(inbox.rest)}")
        if inbox.wire.end == "RST":
            self.stage.notes.append(f"{inbox.wire.who}'s connection was closed by a reset")

    def _quiet(self, action: do.Quiet) -> None:
        """Nothing is left, on any of these connections, after all of them have answered a barrier."""
        inboxes = [self.stage.inboxes[who] for who in action.who if who in self.stage.inboxes]
        self._require_barriers(inboxes)
        if len(inboxes) > 1:
            self.barrier(*(inbox for inbox in inboxes if inbox.may_ask))  # what the others have sent may have come here
        for inbox in inboxes:
            if inbox.units:
                raise MismatchError(f"nothing more to {inbox.wire.who}", inbox.seen)
            if inbox.ended and inbox.rest:
                raise MismatchError("whole frames", f"octets without an ending: {quote(inbox.rest)}")

    # Races

    def _race(self, action: do.Race) -> None:
        for send in action.sends:
            self._acts[type(send)](send)
        inboxes = list(self.stage.inboxes.values())
        for _ in range(2):  # the second round sees what the first one's requests and ends have pushed
            self._require_barriers(inboxes)
            for inbox in inboxes:
                if inbox.wire.finished:
                    self._wait_end(inbox)
        self._run(self._fitting(action).then)

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
        rule = self._broken_rule(nearest)
        raise MismatchError(f"one of {len(action.branches)} results: {options}", got or "nothing", rule)

    def _broken_rule(self, branch: do.Branch) -> str:
        """The rule of the first frame that is due by a branch and has not come so, else of who got something else."""
        dues = dict(branch.dues)
        for who in self._unlike(branch):
            wanted = [due for due in dues.get(who, ()) if not isinstance(due, End)]
            for due, unit in itertools.zip_longest(wanted, self.stage.inboxes[who].units):
                if due is not None and (unit is None or difference(self.stage.spec, due, unit) is not None):
                    return due.rule
        return next((rule for who, rule in branch.rules if who in self._unlike(branch)), "")

    def _unlike(self, branch: do.Branch) -> list[str]:
        """The connections on which something else has come than a branch says."""
        dues = dict(branch.dues)
        return [who for who, inbox in self.stage.inboxes.items() if not self._fits(inbox, dues.get(who, ()))]

    def _fits(self, inbox: Inbox, dues: tuple[Due, ...]) -> bool:
        wanted = [due for due in dues if not isinstance(due, End)]
        ends = len(wanted) < len(dues)
        if len(wanted) != len(inbox.units) or (ends and not inbox.ended):
            return False
        units = zip(wanted, inbox.units, strict=True)
        return all(difference(self.stage.spec, due, unit) is None for due, unit in units)
