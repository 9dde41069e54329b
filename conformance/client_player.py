"""Plays a client's case: the suite is the server and the user. Knows no verb; what commands mean is in the contract.

That nothing more was sent or printed is proved by the contract's own echo: the command that sends the barrier request,
its answer, and the line that it prints. Everything that the client did before stands before them.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field

from pychat.spec import Spec
from pychat.spec.model import Variable

from .frames import Faulty, matches, parse_request, quote
from .play import Play, Segment, Step
from .player import MismatchError
from .probe import Barrier
from .puppet import CLIENT, USER, Puppet

HUSH = 0.4  # seconds without a sign, after which a command that is not allowed counts as held
REFUSED = "refused"  # the contract's notice
CONNECTED = "connected"


@dataclass
class Contract:
    """How commands are written and what is printed, from the spec."""

    spec: Spec
    words: dict[str, str] = field(init=False)  # request → command

    def __post_init__(self) -> None:
        self.words = {template.form.verb: word for word, template in self.spec.contract.commands.items()}

    def command(self, verb: str, values: dict[str, str]) -> str | None:
        """The command that sends this request, None if there is none."""
        word = self.words.get(verb)
        if word is None:
            return None
        template = self.spec.contract.commands[word]
        fields = [part.name for part in template.parts if isinstance(part, Variable)]
        return " ".join([word, *(values[name] for name in fields)])

    def printed(self, text: str) -> str | None:
        """The line that a frame of the server is printed as, None if it is not printed."""
        from .frames import parse_reply

        got = parse_reply(self.spec, text)
        template = self.spec.contract.prints.get(got.reply.key) if got else None
        return template.fill(got.values) if got and template else None


class ClientPlayer:
    """Plays one case with one puppet. Raises MismatchError or FloodError."""

    def __init__(self, spec: Spec, puppet: Puppet, patience: float, segment: Segment = "whole") -> None:
        self.spec = spec
        self.puppet = puppet
        self.patience = patience
        self.segment = segment
        self.contract = Contract(spec)
        self.barrier = Barrier(spec)
        self.numbers = itertools.count(1)
        self.step = "connecting"
        self.setup = False
        self.held = False  # the last command that was not allowed: it waits in the client …
        self.released = False  # … and what it waited for has come
        self.notes: list[str] = []
        self.over = False
        self.left = False  # the server has ended the connection, and the program has not ended yet

    def play(self, play: Play) -> None:
        """Plays all steps, then sees that nothing more came, and says goodbye."""
        self.step = "the client prints `connected`"
        self.line(CONNECTED)
        steps = list(play.steps)
        while steps:
            step = steps.pop(0)
            self.setup = len(play.steps) - len(steps) <= play.setup
            self.step = str(step)
            if self.segment == "coalesced":
                while step.who == CLIENT and step.kind == "receive" and steps and _same(step, steps[0]):
                    step = Step(step.who, step.kind, step.octets + steps[0].octets, held=step.held)
                    steps.pop(0)
            self.do(step)
        self.setup = False
        if not self.over:
            self.step = "nothing more"
            self.hush()
            self.goodbye()
        elif self.left:
            self.step = "the program ends"
            self.exit(None)

    def do(self, step: Step) -> None:
        """One step."""
        if step.held and not (step.who == USER and step.kind == "send"):
            if not self.held:
                return
            self.released = True
        if step.who == USER:
            self._user(step)
        elif step.kind == "send":
            self.frame(step.octets.removesuffix(self.spec.framing.writes))
        elif step.kind == "receive":
            self.give(step.octets)
        elif step.kind in ("end", "cut"):
            self.puppet.wire.finish() if step.kind == "end" else self.puppet.wire.reset()
            self.over = self.left = True
        elif step.kind in ("finish", "reset"):
            self._ends()
        elif step.kind == "silent":
            self.hush()

    def _user(self, step: Step) -> None:
        if step.kind == "send" and step.held:
            self.unsent(step.text)
        elif step.kind == "send":
            self.puppet.type(step.octets.removesuffix(b"\n").decode("utf-8", "surrogateescape"))
        elif step.kind == "receive":
            self.line(step.text)
        elif step.kind == "finish":
            self.puppet.end_typing()
        elif step.kind == "exit":
            self.exit(int(step.text))
        elif step.kind == "silent":
            self.hush()

    def fail(self, wanted: str, got: str, *, timeout: bool = False) -> MismatchError:
        return MismatchError(self.step, wanted, got, setup=self.setup, timeout=timeout)

    # Frames and lines

    def give(self, octets: bytes) -> None:
        """The server sends."""
        step = 1 if self.segment == "octet" else 0
        self.puppet.wire.send(octets, time.monotonic() + self.patience, step)

    def frame(self, wanted: bytes) -> None:
        """The client's next frame is this one."""
        got = self.next_frame(time.monotonic() + self.patience, own=not wanted.startswith(self.barrier.verb.encode()))
        if got != wanted:
            raise self.fail(f"c > {quote(wanted)}", f"c > {quote(got)}" if got is not None else self._nothing())

    def next_frame(self, deadline: float, *, own: bool = True) -> bytes | None:
        """The client's next frame. `own`: a barrier request of the client's own is answered, and does not count."""
        while True:
            while not self.puppet.frames:
                if self.puppet.wire.end is not None or (
                    not self.puppet.pump(deadline) and time.monotonic() >= deadline
                ):
                    return None
            frame = self.puppet.frames.popleft()
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
        while not self.puppet.lines:
            if not self.puppet.pump(deadline) and (
                time.monotonic() >= deadline or (self.puppet.popen.poll() is not None and not self.puppet.lines)
            ):
                return None
        return self.puppet.lines.popleft()

    def _nothing(self) -> str:
        code = self.puppet.popen.poll()
        if code is not None:
            return f"nothing: the program ended with code {code}"
        if self.puppet.wire.end is not None:
            return f"the end of its connection ({self.puppet.wire.end})"
        return f"nothing for {self.patience:g} s"

    # What is not allowed, and silence

    def unsent(self, command: str) -> None:
        """Types a command that the rules do not allow now: it is refused, or held; either way nothing is sent."""
        self.held = self.released = False
        self.puppet.type(command)
        deadline = time.monotonic() + HUSH
        word = command.split(" ")[0]
        while not self.puppet.lines and not self.puppet.frames:
            if not self.puppet.pump(deadline) and time.monotonic() >= deadline:
                break
        if self.puppet.lines:
            self.line(f"{REFUSED} {word} …")
            self.nothing_sent()
            return
        self.nothing_sent()
        self.held = True

    def nothing_sent(self) -> None:
        """The client answers the server's probe, and has sent nothing before it. Without such a push: it is silent."""
        push = next((push for push in self.spec.pushes.values() if push.reply is not None), None)
        if push is None or push.reply is None:
            return
        token = f"judge{next(self.numbers)}"
        values = {field.name: token for field in push.form.fields}
        from .frames import write_form

        self.give(write_form(push.form, values).encode() + self.spec.framing.writes)
        wanted = push.reply.fill(values).encode()
        got = self.next_frame(time.monotonic() + self.patience)
        if got != wanted:
            raise self.fail(
                f"nothing sent, and c > {quote(wanted)}", f"c > {quote(got)}" if got is not None else self._nothing()
            )

    def hush(self) -> None:
        """Nothing was sent or printed that was not named: the echo's frame is next, and then the echo's line."""
        token = self.barrier.token()
        command = self.contract.command(self.barrier.verb, {self.barrier.field.name: token})
        if command is None or (self.held and not self.released):
            self.nothing_sent()
            return
        self.puppet.type(command)
        self.frame(self.barrier.request(token).removesuffix(self.spec.framing.writes))
        answer = self.barrier.answer(token)
        self.give(answer.encode() + self.spec.framing.writes)
        printed = self.contract.printed(answer)
        if printed is not None:
            self.line(printed)

    # Ends

    def goodbye(self) -> None:
        """The user ends it: the request, its answer, the line, the end of the stream, the exit code."""
        verb = self.spec.quit_verb
        command = self.contract.command(verb, {}) if verb else None
        if verb is None or command is None:
            return
        self.step = f"u> {command}"
        self.puppet.type(command)
        self.frame(verb.encode())
        row = next(row for _, row in self.spec.outcomes() if row.verb == verb and row.to == self.spec.final)
        assert row.answer is not None
        answer = row.answer.fill({})
        self.give(answer.encode() + self.spec.framing.writes)
        self.puppet.wire.finish()
        printed = self.contract.printed(answer)
        if printed is not None:
            self.line(printed)
        self.exit(0)

    def exit(self, code: int | None) -> None:
        """The program ends by itself, with this code; None: with any but that of an end that the user wanted."""
        self.over, self.left = True, False
        got = self.puppet.exit_code(self.patience)
        if got is None or (got == 0 if code is None else got != code):
            wanted = f"exit code {code}" if code is not None else "another exit code than 0"
            raise self.fail(wanted, "a program that runs on" if got is None else f"exit code {got}")
        while self.puppet.pump(time.monotonic()):
            pass  # what it printed last
        if self.puppet.lines:
            raise self.fail("nothing more printed", f"u < {self.puppet.lines[0]}")

    def _ends(self) -> None:
        """The client ends the connection, in whatever way."""
        self.over = True
        deadline = time.monotonic() + self.patience
        while self.puppet.wire.end is None and time.monotonic() < deadline and not self.puppet.frames:
            self.puppet.pump(deadline)
        if self.puppet.frames:
            raise self.fail("c > (end of stream)", f"c > {quote(self.puppet.frames[0])}")
        if self.puppet.wire.end is None:
            raise self.fail("c > (end of stream)", f"an open connection after {self.patience:g} s", timeout=True)


def _same(step: Step, other: Step) -> bool:
    return other.who == step.who and other.kind == step.kind and other.held == step.held
