"""Plays a client's case: the suite is the server and the user. Knows no verb; what commands mean is in the contract.

That nothing more was sent or printed is proved by the contract's own echo: the command that sends the barrier request,
its answer, and the line that it prints. Everything that the client did before stands before them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

from conformance.cases.play import Play, Segment, Step, StepKind
from conformance.engine.actions import Numbered
from conformance.engine.player import MismatchError
from conformance.oracle.frames import Faulty, matches, parse_request, quote, write_form
from conformance.oracle.probe import Barrier
from pychat.spec import Spec

from .contract import Contract
from .process import CLIENT, USER, ClientProcess

HUSH = 0.4  # seconds without a sign, after which a command that is not allowed counts as held
OFFERED = 12 << 20  # octets of commands: more than the system and a client's queue hold
BLOCK = 1 << 18  # octets that are offered at a time
MANY = 100  # frames that nobody has asked for
REFUSED = "refused"  # the contract's notice
CONNECTED = "connected"


class ClientPlayer:
    """Plays one case with one puppet. Raises MismatchError or FloodError."""

    def __init__(self, spec: Spec, process: ClientProcess, patience: float, segment: Segment = "whole") -> None:
        self.spec = spec
        self.process = process
        self.patience = patience
        self.segment = segment
        self.contract = Contract(spec)
        self.barrier = Barrier(spec)
        self.numbers = itertools.count(1)
        self.step = "connecting"
        self.setup = False
        self.conditional = False  # the steps with `?` are played: the command before them was held, or sent
        self.blocked = False  # it waits in the client, and those behind it with it
        self.dropped = ""  # the word of a command that may be refused whenever the client knows that it is too late
        self.never: list[bytes] = []  # octets that are not printed
        self._user: dict[StepKind, Callable[[Step], object]] = {
            "send": self._types, "receive": lambda step: self.line(step.text), "finish": lambda _: process.end_typing(),
            "exit": lambda step: self.exit(int(step.text)), "silent": lambda _: self.hush(), "flood": self._flood,
            "unprinted": lambda step: self.unprinted(step.octets.removesuffix(b"\n")),
        }  # fmt: skip
        self._server: dict[StepKind, Callable[[Step], object]] = {
            "send": lambda step: self.frame(step.octets.removesuffix(spec.framing.writes)),
            "receive": lambda step: self.give(step.octets), "end": self._leaves, "cut": self._leaves,
            "finish": lambda _: self._ends(), "reset": lambda _: self._ends(), "silent": lambda _: self.hush(),
            "pause": lambda _: process.wire.stop_reading(),
        }  # fmt: skip
        self.notes: list[str] = []
        self.over = False
        self.gone = False  # the client has closed the connection where it may
        self.left = False  # the server has ended the connection, and the program has not ended yet

    def play(self, play: Play) -> None:
        """Plays all steps, then sees that nothing more came, and says goodbye."""
        self.step = "the client prints `connected`"
        self.line(CONNECTED)
        steps = list(play.steps)
        while steps and not self.gone:
            step = steps.pop(0)
            self.setup = len(play.steps) - len(steps) <= play.setup
            self.step = str(step)
            if self.segment == "coalesced":
                while step.who == CLIENT and step.kind == "receive" and steps and _same(step, steps[0]):
                    step = Step(step.who, step.kind, step.octets + steps[0].octets, held=step.held)
                    steps.pop(0)
            if step.held and step.who == USER and step.kind == "send" and steps and _may_follow(steps[0]):
                self.perhaps(_typed(step), steps.pop(0).octets.removesuffix(self.spec.framing.writes))
            else:
                self.do(step)
        self.setup = False
        if not self.over:
            self.step = "nothing more"
            self.hush()
            if not self.blocked:
                self.goodbye()
        elif self.left:
            self.step = "the program ends"
            self.exit(None)
        self._clean()

    def do(self, step: Step) -> None:
        """One step."""
        if step.held and not (step.who == USER and step.kind == "send"):
            if not self.conditional:
                return
            self.blocked = False  # what it waited for has come
        acts = self._user if step.who == USER else self._server
        acts[step.kind](step)

    def fail(self, wanted: str, got: str, *, timeout: bool = False) -> MismatchError:
        return MismatchError(self.step, wanted, got, setup=self.setup, timeout=timeout)

    def _types(self, step: Step) -> None:
        if step.held:
            self.unsent(_typed(step))
        else:
            self.process.type(_typed(step))

    def _leaves(self, step: Step) -> None:
        """The server ends the connection."""
        self.process.wire.finish() if step.kind == "end" else self.process.wire.reset()
        self.over = self.left = True

    def _flood(self, step: Step) -> None:
        """The user types on until nothing more is taken, for as long as anybody would wait."""
        lines = Numbered(step.text, self.contract.width(step.text), b"\n")
        taken, number, waiting = 0, 0, b""
        while taken < OFFERED:
            while len(waiting) < BLOCK:
                waiting += lines.octets(number)
                number += 1
            sent = self.process.offer(waiting, HUSH)
            if not sent:
                break
            taken, waiting = taken + sent, waiting[sent:]
        self.process.transcript.note(USER, "#", text=f"{taken} octets of commands were taken")

    # Frames and lines

    def give(self, octets: bytes) -> None:
        """The server sends."""
        step = 1 if self.segment == "octet" else 0
        self.process.wire.send(octets, time.monotonic() + self.patience, step)

    def frame(self, wanted: bytes) -> None:
        """The client's next frame is this one."""
        got = self.next_frame(time.monotonic() + self.patience, own=not wanted.startswith(self.barrier.verb.encode()))
        if got != wanted:
            raise self.fail(f"c > {quote(wanted)}", f"c > {quote(got)}" if got is not None else self._nothing())

    def next_frame(self, deadline: float, *, own: bool = True) -> bytes | None:
        """The client's next frame. `own`: a barrier request of the client's own is answered, and does not count."""
        while True:
            while not self.process.frames:
                if self.process.wire.end is not None or (
                    not self.process.pump(deadline) and time.monotonic() >= deadline
                ):
                    return None
            frame = self.process.frames.popleft()
            said = parse_request(self.spec, frame)
            if isinstance(said, Faulty):
                raise self.fail("a request of the spec", f"c > {quote(frame)} ({said.fault})")
            if not own or said.verb != self.barrier.verb:
                return frame
            self.notes.append(f"the client sent {quote(frame)} by itself, and was answered")
            self.give(self.barrier.answer(next(iter(said.values.values()))).encode() + self.spec.framing.writes)

    def line(self, wanted: str) -> None:
        """The next printed line is this one."""
        got = self.next_line(time.monotonic() + self.patience)
        if got is None or not matches(wanted, got):
            said = f"u < {quote(got.encode('utf-8', 'surrogateescape'))}" if got is not None else self._nothing()
            raise self.fail(f"u < {wanted}", said, timeout=got is None)

    def next_line(self, deadline: float) -> str | None:
        while not self.process.lines:
            if not self.process.pump(deadline) and (
                time.monotonic() >= deadline or (self.process.popen.poll() is not None and not self.process.lines)
            ):
                return None
        line = self.process.lines.popleft()
        return self.next_line(deadline) if self._is_dropped(line) else line

    def _is_dropped(self, line: str) -> bool:
        """Whether this is the refusal of the command that was typed too late; the client says it when it knows."""
        if not self.dropped or not matches(f"{REFUSED} {self.dropped} …", line):
            return False
        self.dropped, self.blocked = "", False
        return True

    def _nothing(self) -> str:
        code = self.process.popen.poll()
        if code is not None:
            return f"nothing: the program ended with code {code}"
        if self.process.wire.end is not None:
            return f"the end of its connection ({self.process.wire.end})"
        return f"nothing for {self.patience:g} s"

    # What is not allowed, and silence

    def unsent(self, command: str) -> None:
        """Types a command that the rules do not allow now: it is refused, or held; either way nothing is sent."""
        self.blocked = self.conditional = not self._is_refused(command)
        self.nothing_sent()

    def perhaps(self, command: str, wanted: bytes) -> None:
        """Types a command that may be sent now; if it is not, it is refused now or later, and never sent."""
        refused = self._is_refused(command)
        sent = self._sent_now()
        if sent not in ([], [wanted]) or (refused and sent):
            raise self.fail(f"c > {quote(wanted)}, or nothing", " / ".join(f"c > {quote(frame)}" for frame in sent))
        self.conditional = bool(sent)
        self.blocked = not sent and not refused
        self.dropped = command.split(" ")[0] if self.blocked else ""

    def _is_refused(self, command: str) -> bool:
        """Types a command; whether it is refused, as far as one can see by now."""
        self.process.type(command)
        deadline = time.monotonic() + HUSH
        while not self.process.lines and not self.process.frames:
            if not self.process.pump(deadline) and time.monotonic() >= deadline:
                return False
        if self.process.lines:
            self.line(f"{REFUSED} {command.split(' ')[0]} …")
            return True
        return False

    def nothing_sent(self) -> None:
        """The client answers the server's probe, and has sent nothing before it."""
        sent = self._sent_now()
        if sent:
            raise self.fail("nothing sent", f"c > {quote(sent[0])}")

    def _sent_now(self) -> list[bytes]:
        """What the client has sent before it answers the server's probe. Without such a push: what is here."""
        push = next((push for push in self.spec.pushes.values() if push.reply is not None), None)
        if push is None or push.reply is None:
            return list(self.process.frames)
        token = f"judge{next(self.numbers)}"
        values = {field.name: token for field in push.form.fields}
        self.give(write_form(push.form, values).encode() + self.spec.framing.writes)
        wanted = push.reply.fill(values).encode()
        sent: list[bytes] = []
        while (got := self.next_frame(time.monotonic() + self.patience)) != wanted:
            if got is None or len(sent) > MANY:
                raise self.fail(f"c > {quote(wanted)}", self._nothing())
            sent.append(got)
        return sent

    def hush(self) -> None:
        """Nothing was sent or printed that was not named: the echo's frame is next, and then the echo's line."""
        token = self.barrier.token()
        command = self.contract.command(self.barrier.verb, {self.barrier.field.name: token})
        if command is None or self.blocked:
            self.nothing_sent()
            if self.process.lines and not self._is_dropped(self.process.lines[0]):
                raise self.fail("nothing more printed", f"u < {self.process.lines[0]}")
            self.process.lines.clear()
            return
        self.process.type(command)
        self.frame(self.barrier.request(token).removesuffix(self.spec.framing.writes))
        answer = self.barrier.answer(token)
        self.give(answer.encode() + self.spec.framing.writes)
        printed = self.contract.printed(answer)
        if printed is not None:
            self.line(printed)

    def unprinted(self, octets: bytes) -> None:
        """These octets have not been printed, whatever has; the client may have closed the connection instead."""
        self.never.append(octets)
        token = self.barrier.token()
        command = self.contract.command(self.barrier.verb, {self.barrier.field.name: token})
        assert command is not None, "the contract has a command for the barrier"
        self.process.type(command)
        answer = self.barrier.answer(token)
        deadline = time.monotonic() + self.patience
        got = self.next_frame(deadline, own=False)
        if got is None and self.process.wire.end is not None:
            self.over = self.gone = True
        elif got != self.barrier.request(token).removesuffix(self.spec.framing.writes):
            raise self.fail(f"c > {command}", f"c > {quote(got)}" if got is not None else self._nothing())
        else:
            self.give(answer.encode() + self.spec.framing.writes)
            while not self.gone and (line := self.next_line(deadline)) != self.contract.printed(answer):
                if line is None and self.process.wire.end is None:
                    raise self.fail(f"u < {self.contract.printed(answer)}", self._nothing())
                self.over = self.gone = line is None
        if self.gone:
            self.process.exit_code(self.patience)
        self._clean()

    def _clean(self) -> None:
        """What must not be printed has not been."""
        for octets in self.never:
            if octets in self.process.printed:
                raise self.fail(f"no {quote(octets)} printed", quote(bytes(self.process.printed[-80:])))

    # Ends

    def goodbye(self) -> None:
        """The user ends it: the request, its answer, the line, the end of the stream, the exit code."""
        verb = self.spec.quit_verb
        command = self.contract.command(verb, {}) if verb else None
        if verb is None or command is None:
            return
        self.step = f"u> {command}"
        self.process.type(command)
        self.frame(write_form(self.spec.requests[verb].form, {}).encode())
        row = next(row for _, row in self.spec.outcomes() if row.verb == verb and row.to == self.spec.final)
        assert row.answer is not None
        values = {field.name: self.spec.types[field.type].good[0] for field in row.answer.form.fields}
        answer = write_form(row.answer.form, values)
        self.give(answer.encode() + self.spec.framing.writes)
        self.process.wire.finish()
        printed = self.contract.printed(answer)
        if printed is not None:
            self.line(printed)
        self.exit(0)

    def exit(self, code: int | None) -> None:
        """The program ends by itself, with this code; None: with any but that of an end that the user wanted."""
        self.over, self.left = True, False
        got = self.process.exit_code(self.patience)
        if got is None or (got == 0 if code is None else got != code):
            wanted = f"exit code {code}" if code is not None else "another exit code than 0"
            raise self.fail(wanted, "a program that runs on" if got is None else f"exit code {got}")
        while self.process.pump(time.monotonic()):
            pass  # what it printed last
        if self.process.lines:
            raise self.fail("nothing more printed", f"u < {self.process.lines[0]}")

    def _ends(self) -> None:
        """The client ends the connection, in whatever way."""
        self.over = True
        deadline = time.monotonic() + self.patience
        while self.process.wire.end is None and time.monotonic() < deadline and not self.process.frames:
            self.process.pump(deadline)
        if self.process.frames:
            raise self.fail("c > (end of stream)", f"c > {quote(self.process.frames[0])}")
        if self.process.wire.end is None:
            raise self.fail("c > (end of stream)", f"an open connection after {self.patience:g} s", timeout=True)


def _typed(step: Step) -> str:
    """What the user types in a step, without its ending."""
    return step.octets.removesuffix(b"\n").decode("utf-8", "surrogateescape")


def _may_follow(step: Step) -> bool:
    """Whether this step says that the command before it may be sent at once."""
    return step.held and step.who == CLIENT and step.kind == "send"


def _same(step: Step, other: Step) -> bool:
    return other.who == step.who and other.kind == step.kind and other.held == step.held
