"""The examples of a spec: who is who, what caused what, and whether a real server answers so.

The causes are read off the table: an answer belongs to the oldest open request of its verb, a push to the frame of
another end whose row has that push. They make the drawings, and they tell the player what to wait for before the next
end speaks. Knows no verb and no state.
"""

from __future__ import annotations

import contextlib
import re
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from conformance.engine import programs
from pychat.spec import Spec
from pychat.spec.model import Example, ExampleStep, Template, Variable

ANY_WORDS = "…"
PATIENCE = 10.0  # seconds; makes a failure finite, and no success waits for it


class Differs(Exception):  # noqa: N818  # it says what the server did
    """The server does not do what an example says."""


@dataclass(slots=True)
class Act:
    """One line of an example as it is drawn and played; `cause` is the act that made it happen."""

    who: str
    kind: str  # send, finish, reset, receive, end
    text: str
    step: int
    octets: bytes = b""
    cause: int | None = None
    shown: str = ""  # as a drawing has it, without the words of a refusal


@dataclass(frozen=True, slots=True)
class Play:
    """An example, ready to be shown: its people by letter and name, and its acts."""

    example: Example
    people: dict[str, str]
    acts: tuple[Act, ...]


def plays(spec: Spec) -> dict[str, Play]:
    """Every example of the spec."""
    return {
        name: Play(example, _people(spec, example), tuple(_acts(spec, example)))
        for name, example in spec.examples.items()
    }


def words_of(spec: Spec, frame: str) -> str:
    """A reply with the words that the server says in place of `…`."""
    for form, table in ((spec.refusal, spec.errors), (spec.goodbye, spec.goodbyes)):
        parts = frame.split(" ")
        if parts[0] == form.verb and parts[-1] == ANY_WORDS and parts[-2] in table:
            return " ".join([*parts[:-1], table[parts[-2]].words])
    return frame


def _people(spec: Spec, example: Example) -> dict[str, str]:
    """The name that each end takes first; its letter if it takes none, or one that was another's here."""
    verb = spec.verb_that("bind")
    form = spec.requests[verb].answer if verb else None
    names: dict[str, str] = {}
    for step in example.steps:
        names.setdefault(step.who, "")
        if form is None or step.kind != "receive" or names[step.who] or not step.text.startswith(form.key + " "):
            continue
        name = step.text.split(" ")[-1]
        if name not in names.values():
            names[step.who] = name
    return {who: name or who for who, name in names.items()}


def _acts(spec: Spec, example: Example) -> Iterator[Act]:
    acts: list[Act] = []
    for index, step in enumerate(example.steps):
        acts += _lines(spec, step, index) if step.kind == "send" else [_received(spec, step, index)]
    causes = _Causes(spec, acts)
    for index, act in enumerate(acts):
        if act.kind in ("receive", "end"):
            act.cause = causes.of(index)
        yield act


def _lines(spec: Spec, step: ExampleStep, index: int) -> list[Act]:
    """A step that sends, line by line; a CR and octets that are no UTF-8 are made visible."""
    acts = []
    for line in BytesIO(step.octets):
        bare = line.removesuffix(spec.framing.writes).removesuffix(b"\n")
        shown = bare.decode("utf-8", "backslashreplace").replace("\r", "␍")
        shown += "" if line.endswith(b"\n") else " (no LF)"
        acts.append(Act(step.who, "send", shown, index, line, shown=shown))
    return acts


def _received(spec: Spec, step: ExampleStep, index: int) -> Act:
    return Act(step.who, step.kind, words_of(spec, step.text), index, shown=step.text)


@dataclass(slots=True)
class _Causes:
    spec: Spec
    acts: list[Act]
    used: set[tuple[str, int]] = field(default_factory=set)  # the end that got a push, and the cause of it
    refused: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        for index, act in enumerate(self.acts):
            cause = self.of(index) if act.kind == "receive" else None
            reply = self.spec.reply_of(act.text) if cause is not None else None
            if cause is not None and reply is not None and reply.kind == "refusal":
                self.refused.add(cause)
        self.used.clear()

    def of(self, index: int) -> int | None:
        act = self.acts[index]
        if act.kind == "end":
            return self._last(index)
        reply = self.spec.reply_of(act.text)
        if reply is None or reply.kind == "goodbye":
            return self._last(index)
        if reply.kind == "refusal":
            return self._request(index, act.text.split(" ")[1])
        if reply.kind == "push":
            return self._pushed(index, reply.key)
        return self._request(index, reply.verb or "", item=reply.kind == "item")

    def _last(self, index: int) -> int | None:
        """The last frame of this end before the act: it brought the end."""
        who = self.acts[index].who
        found = [i for i in range(index) if self.acts[i].who == who and self.acts[i].kind in ("send", "finish")]
        return found[-1] if found else None

    def _request(self, index: int, verb: str, *, item: bool = False) -> int | None:
        """The oldest open request of this end that the answer can be for; answers come in order."""
        who = self.acts[index].who
        for earlier in range(index):
            act = self.acts[earlier]
            if act.who != who or act.kind != "send" or (who, earlier) in self.used:
                continue
            first = act.text.split(" ")[0].rstrip("␍")
            if first == verb or (
                verb not in self.spec.requests and (first not in self.spec.requests or "\\x" in act.text)
            ):
                if not item:
                    self.used.update((who, i) for i in range(earlier + 1) if self.acts[i].who == who)
                return earlier
        return None

    def _pushed(self, index: int, key: str) -> int | None:
        """The oldest frame of another end that can have caused the push, and has not pushed to this end yet."""
        who, text = self.acts[index].who, self.acts[index].text
        for earlier in range(index):
            act = self.acts[earlier]
            if act.who == who or (who, earlier) in self.used or earlier in self.refused:
                continue
            if any(_fits(template, text, act.text) for template in self._templates(act)):
                self.used.add((who, earlier))
                return earlier
        return None

    def _templates(self, act: Act) -> list[Template]:
        if act.kind in ("finish", "reset"):
            return [self.spec.ending.partner.push]
        verb = act.text.split(" ")[0].rstrip("␍")
        rows = (outcome for _, outcome in self.spec.outcomes() if outcome.verb == verb)
        return [outcome.partner.push for outcome in rows if act.kind == "send" and outcome.partner is not None]


def _fits(template: Template, text: str, request: str) -> bool:
    """Whether a push is of this template; a field of the request must be the same in both."""
    asked = {part.name for part in template.form.fields}
    parts = []
    for part in template.parts:
        if isinstance(part, Variable) and part.name in asked and part.name == template.form.fields[-1].name:
            rest = request.partition(" ")[2].rstrip("␍")
            parts.append(f"(?:{re.escape(rest)})" if rest else ".*")
        elif isinstance(part, Variable):
            parts.append(".*" if part is template.parts[-1] else "[^ ]*")  # only the last field may hold a space
        else:
            parts.append(re.escape(part))
    return re.fullmatch(" ".join(parts), text) is not None


# Played against a real server


@contextlib.contextmanager
def real_server(spec_file: Path | None = None) -> Iterator[tuple[str, int]]:
    """The project's server in a process of its own, on a free port.

    Raises:
        Differs: it did not start.
    """
    command = [sys.executable, "-m", "pychat", "server", "--host", "127.0.0.1", "--port", "0"]
    command += ["--spec", str(spec_file)] if spec_file else []
    with programs.start(command, stdout=programs.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"(\d+\.\d+\.\d+\.\d+):(\d+)", process.stdout.readline())
        if found is None:
            raise Differs(f"the server did not start: {' '.join(command)}")
        yield found[1], int(found[2])


def perform(spec: Spec, play: Play, address: tuple[str, int]) -> None:
    """Plays an example against the server at `address`.

    Raises:
        Differs: a frame is missing, additional, or not the one that the example has.
    """
    with contextlib.ExitStack() as stack:
        ends = {who: stack.enter_context(_End(address, spec.framing.writes)) for who in play.people}
        for index, act in enumerate(play.acts):
            where = f"{play.example.id}, step {act.step + 1} ({play.example.steps[act.step]})"
            if act.kind in ("send", "finish", "reset"):
                _await_all_that_is_due(play, index, ends)
            try:
                _do(act, ends[act.who])
            except Differs as error:
                raise Differs(f"{where}: {error}") from None
        _expect_no_more(spec, play, ends)


def _await_all_that_is_due(play: Play, now: int, ends: dict[str, _End]) -> None:
    """Waits until the server has taken every earlier frame of the others, so that the order is the example's."""
    due: dict[str, int] = {}
    seen: dict[str, int] = {}
    for act in play.acts:
        if act.kind != "receive":
            continue
        seen[act.who] = seen.get(act.who, 0) + 1
        if act.cause is not None and act.cause < now and play.acts[act.cause].who != play.acts[now].who:
            due[act.who] = seen[act.who]
    for who, count in due.items():
        ends[who].await_lines(count)


def _do(act: Act, end: _End) -> None:
    match act.kind:
        case "send":
            end.socket.sendall(act.octets)
        case "finish":
            end.socket.shutdown(socket.SHUT_WR)
        case "reset":
            end.reset()
        case "receive":
            got = end.take()
            if got != act.text:
                raise Differs(f"the server said {got!r}, not {act.text!r}")
        case "end":
            got = end.take()
            if got is not None:
                raise Differs(f"the server said {got!r} where its stream should end")


def _expect_no_more(spec: Spec, play: Play, ends: dict[str, _End]) -> None:
    for who, end in ends.items():
        if end.closed:
            continue
        with contextlib.suppress(OSError):
            end.socket.shutdown(socket.SHUT_WR)
        while (line := end.take()) is not None:
            if not line.startswith(spec.ending.partner.push.form.key + " "):
                raise Differs(f"{play.example.id}: at the end {who} got {line!r}, of which the example says nothing")


class _End:
    """One connection of an example."""

    def __init__(self, address: tuple[str, int], ending: bytes) -> None:
        self.cr = ending.removesuffix(b"\n")
        self.socket = socket.create_connection(address, timeout=PATIENCE)
        self.deadline = time.monotonic() + PATIENCE
        self.lines: list[str] = []
        self.taken = 0
        self.rest = b""
        self.over = self.closed = False

    def __enter__(self) -> _End:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Ends the connection as a crash does: a linger of 0 s makes TCP send a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()
        self.closed = True

    def await_lines(self, count: int) -> None:
        """Reads until `count` lines have come in all, or the stream is over."""
        while len(self.lines) < count and not self.over and not self.closed:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise Differs(f"nothing came for {PATIENCE:g} s")
            self.socket.settimeout(left)
            try:
                octets = self.socket.recv(65536)
            except TimeoutError:
                continue
            except ConnectionError:
                octets = b""
            self.over = not octets
            *lines, self.rest = (self.rest + octets).split(b"\n")
            self.lines += [line.removesuffix(self.cr).decode("utf-8", "backslashreplace") for line in lines]

    def take(self) -> str | None:
        """The next line, None when the stream is over."""
        self.await_lines(self.taken + 1)
        if self.taken == len(self.lines):
            return None
        self.taken += 1
        return self.lines[self.taken - 1]
