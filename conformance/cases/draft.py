"""A play that is being written: each step, and behind it what the model says is due by it. Knows no verb."""

from __future__ import annotations

from collections.abc import Iterable

from conformance.oracle.lines import Path
from conformance.oracle.model import Due, End, Items, Text, World
from pychat.spec import Spec
from pychat.spec.model import Timer

from .play import Step, StepKind, send


class Draft:
    """The steps of a play so far, and the world after them. The first `setup` of them lead to where it begins."""

    def __init__(self, spec: Spec, path: Path = (), limit: int | None = None) -> None:
        self.spec = spec
        self.world = World(spec, limit=limit)
        self.steps: list[Step] = []
        for move in path:
            self.world.feed(*move)
            self.steps.append(send(spec, *move))
        self.setup = len(self.steps)

    def enter(self, who: str) -> Draft:
        """A connection that sends nothing: it is open from the first step that is about it."""
        return self.due(self.world.enter(who))

    def open(self, who: str) -> Draft:
        """A connection is opened now."""
        return self._step(who, "open").due(self.world.enter(who))

    def send(self, who: str, octets: bytes) -> Draft:
        self.steps.append(send(self.spec, who, octets))
        return self.due(self.world.feed(who, octets))

    def finish(self, who: str) -> Draft:
        return self._step(who, "finish").due(self.world.finish(who))

    def reset(self, who: str) -> Draft:
        if who not in self.world.connections:
            self.enter(who)
        return self._step(who, "reset").due(self.world.reset(who))

    def unread(self, who: str, octets: bytes | None) -> list[Due]:
        """Octets of a connection that does not read, or the end of its stream; what is due to it is the result."""
        if octets is None:
            dues = self._step(who, "finish").world.finish(who)
        else:
            self.steps.append(send(self.spec, who, octets))
            dues = self.world.feed(who, octets)
        own = dues.pop(who, [])
        self.due(dues)
        return own

    def last_request(self, who: str, lines: Iterable[bytes]) -> bytes | None:
        """The first of these requests that would end the connection now, None if none of them does."""
        for line in lines:
            after = self.world.copy()
            after.feed(who, line)
            if not after.is_open(who):
                return line
        return None

    def late(self, who: str, octets: bytes) -> Draft:
        """Octets behind the end of the stream."""
        self.steps.append(Step(who, "late", octets, send(self.spec, who, octets).text))
        return self

    def wait(self, who: str, timer: Timer, part: float) -> Draft:
        """A part of a timer's time passes, and nothing comes."""
        return self._step(who, "clock", f"{part:g} {timer.name}")

    def run_out(self, who: str, timer: Timer) -> Draft:
        """All of its time passes."""
        return self._step(who, "clock", timer.name).due(self.world.expire(who, timer))

    def pause(self, who: str) -> Draft:
        return self._step(who, "pause")

    def flood(self, who: str, form: str) -> Draft:
        """Lines of this form, until no more are taken."""
        return self._step(who, "flood", form)

    def lines(self, who: str, form: str) -> Draft:
        """What becomes of the lines: they come, or are refused."""
        return self._step(who, "lines", form)

    def stop(self) -> Draft:
        """The server gets the signal that ends it."""
        return self._step("server", "signal", "TERM").due(self.world.stop())

    def exit(self) -> Draft:
        return self._step("server", "exit")

    def _step(self, who: str, kind: StepKind, text: str = "") -> Draft:
        self.steps.append(Step(who, kind, text=text))
        return self

    def due(self, dues: dict[str, list[Due]]) -> Draft:
        """The steps in which this comes."""
        for who, some in dues.items():
            for due in some:
                if isinstance(due, Items):
                    for text in filter(None, [*due.items, due.answer]):
                        self._step(who, "receive", text)
                elif isinstance(due, Text):
                    self._step(who, "receive", due.text)
                else:
                    self._step(who, "end" if isinstance(due, End) else "cut")
        return self
