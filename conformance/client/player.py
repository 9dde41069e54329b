"""Plays a client's case: the suite is the server and the user. Knows no verb; what commands mean is in the contract.

That nothing more was sent or printed is proved by the contract's own echo: the command that sends the barrier request,
its answer, and the line that it prints. Everything that the client did before stands before them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

from conformance.cases.play import CLIENT, USER, Play, Segment, Step, StepKind
from conformance.engine.actions import Numbered
from conformance.engine.backlog import pour
from conformance.engine.failures import MismatchError
from conformance.engine.kernel import peer_of
from conformance.oracle.frames import Faulty, matches, parse_request, quote, write_form
from conformance.oracle.probe import Barrier
from pychat.spec import Spec

from .contract import CONNECTED, REFUSED, Contract
from .process import ClientProcess

HUSH = 0.4  # seconds without a sign, after which a command that is not allowed counts as held, at least
SLOWER = 3  # times the longest time that the client took for a step, which is the hush of a slow client
GOODBYE = 5.0  # seconds that a client may await the server's close after its last frame
OFFERED = 12 << 20  # octets of commands: more than the system and a client's queue hold
MANY = 100  # frames that are not due
READ = 0.2  # seconds for a client to read a part of a frame
GLANCE = 0.002  # seconds between two looks at whether it has


class ClientPlayer:
    """Plays one case with one client. Raises MismatchError or ExcessError."""

    def __init__(self, spec: Spec, process: ClientProcess, patience: float, segment: Segment = "whole") -> None:
        self.spec = spec
        self.process = process
        self.patience = patience
        self.segment = segment
        self.contract = Contract(spec)
        self.barrier = Barrier(spec)
        self.notes: list[str] = []
        self._numbers = itertools.count(1)
        self._conditional = False  # the steps with `?` are played: the command before them was held, or sent
        self._blocked = False  # a command waits in the client, and those behind it too
        self._late: list[
            str
        ] = []  # the words of commands that were neither sent nor refused; they may still be refused
        self._slowest = 0.0  # seconds that the client took for a step
        self._typed, self._width = 0, 1  # the lines of a flood, and how wide the numbers in them are
        self._rest = b""  # what is still to be typed of the last one
        self._never: list[bytes] = []  # octets that are not printed
        self._over = False
        self._gone = False  # the client has closed the connection where it may
        self._left = False  # the connection has ended without a quit, and the program has not ended yet
        self._user: dict[StepKind, Callable[[Step], object]] = {
            "send": self._type, "receive": lambda step: self._line(step.text), "finish": lambda _: process.end_typing(),
            "exit": lambda step: self._exit(int(step.text)), "silent": lambda _: self._hush(), "flood": self._flood,
            "unprinted": lambda step: self._unprinted(step.octets.removesuffix(b"\n")),
        }  # fmt: skip
        self._client: dict[StepKind, Callable[[Step], object]] = {
            "send": lambda step: self._frame(step.octets.removesuffix(spec.framing.writes)),
            "receive": lambda step: self._give(step.octets), "end": self._leave, "cut": self._leave,
            "finish": lambda _: self._end(), "reset": lambda _: self._end(), "silent": lambda _: self._hush(),
            "pause": lambda _: process.wire.stop_reading(), "flood": self._read_on,
        }  # fmt: skip

    def play(self, play: Play) -> None:
        """Plays all steps, then sees that nothing more came, and says goodbye."""
        step, setup = "the client prints `connected`", False
        try:
            self._line(CONNECTED)
            steps = list(play.steps)
            while steps and not self._gone:
                setup, step = len(play.steps) - len(steps) < play.setup, str(steps[0])
                self._next(steps)
            setup = False
            if not self._over:
                step = "nothing more"
                self._hush()
                verb = self.spec.quit_verb
                command = self.contract.command(verb, {}) if verb is not None else None
                if command is not None and not self._blocked:
                    step = f"u> {command}"
                    self._quit(command)
            elif self._left:
                step = "the program ends"
                self._exit(None)
            self._check_printed()
        except MismatchError as problem:
            problem.locate(step, setup=setup)
            raise

    def _next(self, steps: list[Step]) -> None:
        """Takes the next step, with those that belong to it, and plays it."""
        step = steps.pop(0)
        if self.segment == "coalesced":
            while step.who == CLIENT and step.kind == "receive" and steps and _same(step, steps[0]):
                step = Step(step.who, step.kind, step.octets + steps.pop(0).octets, held=step.held)
        if step.held and step.who == USER and step.kind == "send":
            if steps and _may_follow(steps[0]):
                self._perhaps(_typed(step), steps.pop(0).octets.removesuffix(self.spec.framing.writes))
            else:
                self._unsent(_typed(step))
            return
        if step.held:
            if not self._conditional:
                return
            if self._late and not self._is_held(step):
                return
            self._blocked = False  # what it waited for has come
        (self._user if step.who == USER else self._client)[step.kind](step)

    # What the user and the server do

    def _type(self, step: Step) -> None:
        """The user types. Commands behind a quit in the same step may be refused, sooner or later, or ignored."""
        quits = self.contract.command(self.spec.quit_verb, {}) if self.spec.quit_verb is not None else None
        lines = _typed(step).split("\n")
        if quits in lines:
            self._late += [line.split(" ")[0] for line in lines[lines.index(quits) + 1 :] if line]
        self.process.write(step.octets)

    def _flood(self, step: Step) -> None:
        """The user types until nothing more is taken."""
        lines = Numbered(step.text, self.contract.width(step.text), b"\n")
        taken, waiting = pour(lines, OFFERED, lambda octets: self.process.offer(octets, HUSH))
        self.process.transcript.note(USER, "#", text=f"{taken} octets of commands were taken")
        size = len(lines.octets(0))
        self._typed, self._width = -(-taken // size), lines.width
        self._rest = waiting[: self._typed * size - taken]

    def _read_on(self, step: Step) -> None:
        """The server reads on: what was typed comes, each line of it once and in order."""
        process, lines = self.process, Numbered(step.text, self._width, b"")
        process.wire.read_on()
        process.transcript.note(CLIENT, "#", text=f"reads on: {self._typed} lines were typed")
        process.transcript.quiet = True
        for number in range(self._typed):
            if number == self._typed - 1:
                process.write(self._rest)  # of the last line; the client takes commands again
            process.wait(lambda: bool(process.frames), time.monotonic() + self.patience)
            wanted = lines.text(number).encode()
            if not process.frames or process.frames[0] != wanted:
                got = f"c > {quote(process.frames[0], 60)}" if process.frames else "nothing"
                raise MismatchError(f"c > {quote(wanted, 60)}, line {number + 1} of {self._typed}", got)
            process.frames.popleft()
        process.transcript.quiet = False

    def _give(self, octets: bytes) -> None:
        """The server sends. A part of a frame is read before the next one comes, so that no two are read as one."""
        stream = self.process.wire.stream
        self.process.wire.send(octets, time.monotonic() + self.patience, 1 if self.segment == "octet" else 0)
        end = time.monotonic() + READ
        while not octets.endswith(b"\n") and (peer := peer_of(stream)) and peer.unread and time.monotonic() < end:
            time.sleep(GLANCE)

    def _answer(self, text: str) -> None:
        """The server sends a frame."""
        self._give(text.encode() + self.spec.framing.writes)

    def _leave(self, step: Step) -> None:
        """The server ends the connection."""
        self.process.wire.finish() if step.kind == "end" else self.process.wire.reset()
        self._over = self._left = True

    # Frames and lines

    def _frame(self, wanted: bytes) -> None:
        """The client's next frame is this one."""
        got = self._next_frame(wanted)
        if got != wanted:
            raise MismatchError(f"c > {quote(wanted)}", f"c > {quote(got)}" if got is not None else self._nothing())

    def _next_frame(self, wanted: bytes = b"") -> bytes | None:
        """The client's next frame. A barrier request that is not wanted is its own: it is answered, and not counted."""
        started = time.monotonic()
        deadline = started + self.patience
        frames, wire = self.process.frames, self.process.wire
        while self.process.wait(lambda: bool(frames) or wire.end is not None, deadline) and frames:
            frame = frames.popleft()
            self._slowest = max(self._slowest, time.monotonic() - started)
            said = parse_request(self.spec, frame)
            if isinstance(said, Faulty):
                raise MismatchError("a request of the spec", f"c > {quote(frame)} ({said.fault})")
            if frame == wanted or said.verb != self.barrier.verb:
                return frame
            self.notes.append(f"the client sent {quote(frame)} by itself, and was answered")
            self._answer(self.barrier.answer(next(iter(said.values.values()))))
        return None

    def _line(self, wanted: str) -> None:
        """The next printed line is this one."""
        got = self._next_line()
        if got is None or not matches(wanted, got):
            said = f"u < {quote(got.encode('utf-8', 'surrogateescape'))}" if got is not None else self._nothing()
            raise MismatchError(f"u < {wanted}", said)

    def _next_line(self) -> str | None:
        started = time.monotonic()
        while self.process.wait(lambda: bool(self.process.lines), started + self.patience):
            line = self.process.lines.popleft()
            self._slowest = max(self._slowest, time.monotonic() - started)
            if not self._is_late(line):
                return line
        return None

    def _is_late(self, line: str) -> bool:
        """Whether this is the refusal of the command that was not refused in time; it may come until it is sent."""
        word = next((word for word in self._late if matches(f"{REFUSED} {word} …", line)), None)
        if word is None:
            return False
        self._late.remove(word)
        self._blocked, self._conditional = bool(self._late), False
        return True

    def _is_held(self, step: Step) -> bool:
        """Whether the command of the steps with `?` is held, and not refused now. Waits for what shows it."""
        process, sent = self.process, step.who == CLIENT and step.kind == "send"
        if sent or step.text.startswith(f"{REFUSED} "):
            process.wait(lambda: bool(process.lines or (sent and process.frames)), time.monotonic() + self.patience)
        if process.lines and self._is_late(process.lines[0]):
            process.lines.popleft()
            return False
        if sent:
            self._late.clear()
        return True

    def _nothing(self) -> str:
        code = self.process.popen.poll()
        if code is not None:
            return f"nothing: the program ended with code {code}"
        if self.process.wire.end is not None:
            return f"the end of its connection ({self.process.wire.end})"
        return f"nothing for {self.patience:g} s"

    # What is not allowed, and silence

    def _unsent(self, command: str) -> None:
        """Types a command that the rules do not allow now: it is refused, or held; either way nothing is sent."""
        self._blocked = self._conditional = not self._is_refused(command)
        self._late += [command.split(" ")[0]] if self._blocked else []
        self._nothing_sent()

    def _perhaps(self, command: str, wanted: bytes) -> None:
        """Types a command that may be sent now; if it is not, it is refused now or later, and never sent."""
        refused = self._is_refused(command)
        sent = self._sent_now()
        if sent not in ([], [wanted]) or (refused and sent):
            raise MismatchError(f"c > {quote(wanted)}, or nothing", " / ".join(f"c > {quote(frame)}" for frame in sent))
        self._conditional = bool(sent)
        self._blocked = not sent and not refused
        self._late += [command.split(" ")[0]] if self._blocked else []

    def _is_refused(self, command: str) -> bool:
        """Types a command; whether it is refused soon."""
        self.process.type(command)
        hush = max(HUSH, SLOWER * self._slowest)
        self.process.wait(lambda: bool(self.process.lines or self.process.frames), time.monotonic() + hush)
        if not self.process.lines:
            return False
        self._line(f"{REFUSED} {command.split(' ')[0]} …")
        return True

    def _nothing_sent(self) -> None:
        """The client answers the server's probe, and has sent nothing before it."""
        sent = self._sent_now()
        if sent:
            raise MismatchError("nothing sent", f"c > {quote(sent[0])}")

    def _sent_now(self) -> list[bytes]:
        """What the client has sent before it answers the server's probe. Without such a push: what is here."""
        push = next((push for push in self.spec.pushes.values() if push.reply is not None), None)
        if push is None or push.reply is None:
            return list(self.process.frames)
        values = dict.fromkeys((field.name for field in push.form.fields), f"judge{next(self._numbers)}")
        self._answer(write_form(push.form, values))
        wanted = push.reply.fill(values).encode()
        sent: list[bytes] = []
        while (got := self._next_frame()) != wanted:
            if got is None or len(sent) > MANY:
                raise MismatchError(f"c > {quote(wanted)}", self._nothing())
            sent.append(got)
        return sent

    def _hush(self) -> None:
        """Nothing was sent or printed that was not named: the echo's frame is next, and then the echo's line."""
        token = self.barrier.token()
        command = self.contract.command(self.barrier.verb, {self.barrier.field.name: token})
        if command is None or self._blocked:
            self._nothing_sent()
            if self.process.lines and not self._is_late(self.process.lines[0]):
                raise MismatchError("nothing more printed", f"u < {self.process.lines[0]}")
            self.process.lines.clear()
        else:
            self._exchange(command, self._request(token), self.barrier.answer(token))

    def _request(self, token: str) -> bytes:
        return self.barrier.request(token).removesuffix(self.spec.framing.writes)

    def _exchange(self, command: str, request: bytes, answer: str, *, last: bool = False) -> None:
        """A command is typed and its request sent, its answer comes and is printed. `last`: the server closes then."""
        self.process.type(command)
        self._frame(request)
        self._answer(answer)
        if last:
            self.process.wire.finish()
        printed = self.contract.printed(answer)
        if printed is not None:
            self._line(printed)

    def _unprinted(self, octets: bytes) -> None:
        """These octets have not been printed; the client may have closed the connection instead."""
        self._never.append(octets)
        token = self.barrier.token()
        command = self.contract.command(self.barrier.verb, {self.barrier.field.name: token})
        assert command is not None, "the contract has a command for the barrier"
        self.process.type(command)
        got = self._next_frame(self._request(token))
        if got is None and self.process.wire.end is not None:
            self._over = self._gone = True
        elif got != self._request(token):
            raise MismatchError(f"c > {command}", f"c > {quote(got)}" if got is not None else self._nothing())
        else:
            answer = self.barrier.answer(token)
            self._answer(answer)
            while not self._gone and (line := self._next_line()) != self.contract.printed(answer):
                if line is None and self.process.wire.end is None:
                    raise MismatchError(f"u < {self.contract.printed(answer)}", self._nothing())
                self._over = self._gone = line is None
        if self._gone:
            self.process.exit_code(self.patience)
        self._check_printed()

    def _check_printed(self) -> None:
        """What must not be printed has not been."""
        for octets in self._never:
            if octets in self.process.printed:
                raise MismatchError(f"no {quote(octets)} printed", quote(bytes(self.process.printed[-80:])))

    # Ends

    def _quit(self, command: str) -> None:
        """The user ends it: the request, its answer, the line, the end of the stream, the exit code."""
        verb = self.spec.quit_verb
        row = next(row for _, row in self.spec.outcomes() if row.verb == verb and row.to == self.spec.final)
        assert row.answer is not None
        values = {field.name: self.spec.types[field.type].good[0] for field in row.answer.form.fields}
        request = write_form(self.spec.requests[row.verb].form, {}).encode()
        self._exchange(command, request, write_form(row.answer.form, values), last=True)
        self._exit(0)

    def _exit(self, code: int | None) -> None:
        """The program ends by itself, with this code; None: with any but 0, which says that the user ended it."""
        self._over, self._left = True, False
        got = self.process.exit_code(self.patience + GOODBYE)
        if got is None or (got == 0 if code is None else got != code):
            wanted = f"exit code {code}" if code is not None else "another exit code than 0"
            raise MismatchError(wanted, "a program that runs on" if got is None else f"exit code {got}")
        while self.process.pump(time.monotonic()):
            pass  # what it printed last
        more = next((frame for frame in self.process.frames if not self._is_own_probe(frame)), None)
        if code == 0 and more is not None:
            raise MismatchError("nothing more sent", f"c > {quote(more)}")
        line = next((line for line in self.process.lines if not self._is_late(line)), None)
        if line is not None:
            raise MismatchError("nothing more printed", f"u < {line}")

    def _is_own_probe(self, frame: bytes) -> bool:
        """Whether this is a barrier request that the client may send by itself."""
        said = parse_request(self.spec, frame)
        return not isinstance(said, Faulty) and said.verb == self.barrier.verb

    def _end(self) -> None:
        """The client ends the connection, in whatever way."""
        self._over = self._left = True
        wire, frames = self.process.wire, self.process.frames
        self.process.wait(lambda: wire.end is not None or bool(frames), time.monotonic() + self.patience)
        if frames:
            raise MismatchError("c > (end of stream)", f"c > {quote(frames[0])}")
        if wire.end is None:
            raise MismatchError("c > (end of stream)", f"an open connection after {self.patience:g} s")


def _typed(step: Step) -> str:
    """What the user types in a step, without its ending."""
    return step.octets.removesuffix(b"\n").decode("utf-8", "surrogateescape")


def _may_follow(step: Step) -> bool:
    """Whether this step says that the command before it may be sent at once."""
    return step.held and step.who == CLIENT and step.kind == "send"


def _same(step: Step, other: Step) -> bool:
    return other.who == step.who and other.kind == step.kind and other.held == step.held
