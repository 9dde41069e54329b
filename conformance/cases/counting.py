"""Cells about budgets: which frames count as faults, which end a row of them, which do neither, and whose they are.

Each is a count that is filled to one below its limit, something that may change it, and what is left of it: the model
knows how much that is. Knows no verb by name, and no socket.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import zip_longest
from typing import NamedTuple

from conformance.oracle.frames import Faulty
from conformance.oracle.lines import CAST, SUBJECT, Path
from conformance.oracle.model import World
from conformance.oracle.paths import label_of
from pychat.spec import Spec
from pychat.spec.forms import Request
from pychat.spec.model import Budget, FaultRule, Outcome

from .matrix import ANY_LINE, BOTH, END, TIME, Cells
from .play import SEGMENTS, Play, Segment, Step, send

SHORT = 20  # faults, up to which they are also sent one octet at a time
LEFT = "leaves-the-count"
NEXT = "d"  # the connection after the subject
NEVER_COUNTED = "R-ERR-9"  # the rule about what is no fault; another spec may have none


class Place(NamedTuple):
    """A configuration, the shortest path into it, and its name in an id."""

    configuration: str
    path: Path
    shown: str


class Story:
    """The steps of a play, and the world after them."""

    def __init__(self, spec: Spec, path: Path = ()) -> None:
        self.spec = spec
        self.world = World(spec)
        self.steps: list[Step] = []
        for move in path:
            self.send(*move)

    def send(self, who: str, *lines: bytes) -> None:
        octets = b"".join(lines)
        if octets:
            self.world.feed(who, octets)
            self.steps.append(send(self.spec, who, octets))

    def finish(self, who: str) -> None:
        self.world.finish(who)
        self.steps.append(Step(who, "finish"))

    def expire(self, who: str, timer: str) -> None:
        self.world.expire(who, self.spec.timers[timer])
        self.steps.append(Step(who, "clock", text=timer))

    def state(self, who: str) -> str:
        return self.world.open(who).state

    def budget(self, who: str) -> Budget | None:
        """What counts for a connection; None where nothing does, or it has ended."""
        return self.spec.budget(self.state(who)) if self.world.is_open(who) else None

    def left(self, who: str) -> int:
        """How many faults more are too many."""
        budget = self.budget(who)
        return budget.faults - self.world.open(who).faults if budget is not None else 0


class Counting(Cells):
    """The cells about the budgets of a spec, for servers."""

    def plays(self) -> list[Play]:
        found = [play for budget in self.spec.budgets for play in self._of(budget)]
        found += [*self._heard(), *self._timers()]
        return self.numbered(found, self.spec.fault_rule("syntax", self.spec.initial).rule)

    def _of(self, budget: Budget) -> Iterator[Play]:
        """The cells of a budget; each kind of fault has its own in the budget's first state alone."""
        for number, place in enumerate(self._places(budget)):
            yield self._too_many(place, budget)
            if "+" in place.shown:
                continue
            yield from self._ends(place, budget)
            if number == 0:
                yield from self._kinds(place, budget)
            if budget.faults > 1:
                yield from self._frames(place)
                yield from self._of_others(place, budget)

    def _places(self, budget: Budget) -> Iterator[Place]:
        """The configurations in which it counts; the first one of a state has the state's name alone."""
        seen: set[str] = set()
        for configuration in self.paths.configurations:
            state = configuration.partition("+")[0]
            if state in budget.states:
                path = self.paths.to_configuration(configuration)
                yield Place(configuration, path, configuration if state in seen else state)
                seen.add(state)

    def _play(
        self, place: str, message: str, variant: str, title: str, rules: tuple[str, ...], story: Story, setup: int,
        segments: tuple[Segment, ...] = ("whole",),
    ) -> Play:  # fmt: skip
        steps = story.steps
        return self.cell(place, message, variant, title, rules, steps[:setup], steps[setup:], segments=segments)

    # How many are too many

    def _too_many(self, place: Place, budget: Budget) -> Play:
        story = Story(self.spec, place.path)
        setup, title = len(story.steps), f"{budget.faults} faults in {place.configuration} are too many"
        story.send(SUBJECT, *self.faults(story, SUBJECT))
        segments = BOTH if budget.faults > SHORT else SEGMENTS
        return self._play(place.shown, ANY_LINE, budget.goodbye, title, (budget.rule,), story, setup, segments)

    def _ends(self, place: Place, budget: Budget) -> Iterator[Play]:
        """Where a count stops: one below the limit, behind it, and with the end of the stream."""
        state, most, goodbye = place.shown, budget.faults, budget.goodbye
        requests = [self.line(request) for request in self.spec.requests.values()]
        half = self.faults(Story(self.spec, place.path), SUBJECT)[0][:-1] or b"?"
        endings: list[tuple[str, str, int, list[bytes], bool]] = [
            (f"{goodbye}-and-nothing-behind-it", f"what follows fault number {most} is discarded", 0, requests, False),
            (f"{goodbye}-before-the-end", f"{most} faults in {state}, then the end of the stream", 0, [], True),
        ]
        if most > 1:
            endings += [
                (f"not-yet-{goodbye}", f"{most - 1} faults in {state} are not too many", 1, [], False),
                (f"not-{goodbye}-by-half-a-line", "a line without an ending is no fault", 1, [half], True),
            ]
        for name, title, spare, more, finished in endings:
            story = Story(self.spec, place.path)
            setup = len(story.steps)
            story.send(SUBJECT, *self.faults(story, SUBJECT, spare), *more)
            if finished:
                story.finish(SUBJECT)
            rules = (budget.rule, "R-FRAME-7") if spare and finished else (budget.rule,)
            yield self._play(state, ANY_LINE, name, title, rules, story, setup)

    def _kinds(self, place: Place, budget: Budget) -> Iterator[Play]:
        """Each kind of fault alone: so many of it are too many, and none fewer."""
        for message, name, line in self._faulty_lines():
            story = Story(self.spec, place.path)
            fault, setup, left = self._fault(story.state(SUBJECT), line), len(story.steps), story.left(SUBJECT)
            if fault is not None:
                story.send(SUBJECT, line * left)
                title = f"{fault.error} counts in {place.shown}: {line!r}, {left} times, is too many"
                variant, rules = f"{name or fault.error}-counts", (budget.rule, fault.rule)
                yield self._play(place.shown, message, variant, title, rules, story, setup)

    # What the connection's own frames do to the count

    def _frames(self, place: Place) -> Iterator[Play]:
        """Each row of a state, and each request that has no place in it and is no counted fault."""
        state = place.configuration.partition("+")[0]
        for verb, request in self.spec.requests.items():
            fault = self.spec.first_fault(state, None, verb)
            if fault is None:
                rows = self.spec.states[state].recv[verb]
                for row in rows:
                    way = self._way_to(state, row)
                    if way is not None:
                        yield from self._frame(place.shown, verb, label_of(row, rows), row.rule, *way)
            elif verb in fault.uncounted:
                yield from self._frame(place.shown, verb, fault.error, fault.rule, place.path, self.line(request))

    def _way_to(self, state: str, row: Outcome) -> tuple[Path, bytes] | None:
        """The path to the first configuration of a state in which this row is taken, and the line that takes it."""
        found = (self.paths.to_row(name, row) for name in self.paths.configurations if name.partition("+")[0] == state)
        return next((way for way in found if way is not None), None)

    def _frame(self, place: str, verb: str, label: str, rule: str, path: Path, line: bytes) -> Iterator[Play]:
        """The count is one below the limit, the frame comes, and the model says how many faults it takes from there."""
        story, after = Story(self.spec, path), Story(self.spec, path)
        setup, budget = len(story.steps), story.budget(SUBJECT)
        before = self.faults(story, SUBJECT, 1)
        after.send(SUBJECT, *before, line)
        now = after.budget(SUBJECT)
        if now is None:
            return  # it has ended, or nothing counts there
        story.send(SUBJECT, *before, line, *self.faults(after, SUBJECT, 1))
        story.send(SUBJECT, *self.faults(story, SUBJECT))
        if after.left(SUBJECT) == 1:
            what, says = LEFT, "leaves the count of faults as it is"
        elif now == budget:
            what, says = "ends-a-row", "ends a row of faults"
        else:
            what, says = "begins-a-count", "begins a new count of faults"
        title = f"{verb} ({label}) in {place} {says}"
        yield self._play(place, verb, f"{label}-{what}", title, (NEVER_COUNTED, now.rule, rule), story, setup)

    # What others do to it

    def _of_others(self, place: Place, budget: Budget) -> Iterator[Play]:
        """The counts of two connections, and of one that follows another one."""
        rules = (budget.rule,)
        world, path = next((found for found in self.paths.worlds if self._second(found[0], budget)), (None, place.path))
        if world is not None:
            story, other = Story(self.spec, path), self._second(world, budget)
            for who in CAST:
                story.world.open(who)
            setup = len(story.steps)
            story.send(SUBJECT, *self.faults(story, SUBJECT, 1))
            story.send(other, *self.faults(story, other, 1))
            calm = next(self.calm_lines(story.state(other)), b"")
            story.send(other, calm, *(self.faults(story, other, 1) if calm else ()))
            for who in (SUBJECT, other):
                story.send(who, *self.faults(story, who))
            title = f"each connection in {place.shown} has a count of its own"
            yield self._play(place.shown, ANY_LINE, "each-has-its-own-count", title, rules, story, setup)
        if all(move.who == SUBJECT for move in place.path):
            story = Story(self.spec, place.path)
            setup = len(story.steps)
            story.send(SUBJECT, *self.faults(story, SUBJECT, 1))
            story.finish(SUBJECT)
            for move in place.path:
                story.send(NEXT, move.octets)
            story.send(NEXT, *self.faults(story, NEXT, 1))
            story.send(NEXT, *self.faults(story, NEXT))
            title = f"a connection after another one, in {place.shown}, begins at zero"
            yield self._play(place.shown, ANY_LINE, "the-next-one-begins-at-zero", title, rules, story, setup)

    def _second(self, world: World, budget: Budget) -> str:
        """Another connection than the subject for which the same budget counts; "" where there is none."""
        if self.spec.budget(world.connections[SUBJECT].state) != budget:
            return ""
        others = (who for who in CAST[1:] if self.spec.budget(world.connections[who].state) == budget)
        return next(others, "")

    def _heard(self) -> Iterator[Play]:
        """What a connection hears leaves its count as it is: a push of each row that tells others, and of an end."""
        for configuration in self.paths.configurations:
            state = configuration.partition("+")[0]
            for rows in self.spec.states[state].recv.values():
                for row in rows:
                    way = self.paths.to_row(configuration, row)
                    if way is not None and way == self._way_to(state, row):
                        yield from self._hearing(row.verb, label_of(row, rows), row.rule, *way)
        for state in self.spec.linked_states:
            path = next((path for world, path in self.paths.worlds if self._is_linked(world, state)), None)
            if path is not None:
                yield from self._hearing(END, "half-close", self.spec.ending.rule, path, None)

    def _is_linked(self, world: World, state: str) -> bool:
        subject = world.connections[SUBJECT]
        return subject.state == state and subject.partner is not None

    def _hearing(self, message: str, label: str, rule: str, path: Path, line: bytes | None) -> Iterator[Play]:
        """The subject sends this line, or ends; another connection hears of it, one fault below its limit."""
        story = Story(self.spec, path)
        world = story.world.copy()
        told = world.feed(SUBJECT, line) if line is not None else world.finish(SUBJECT)
        for who in told:
            budget = story.budget(who)
            if who == SUBJECT or budget is None or budget.faults == 1:
                continue
            place, setup = story.state(who), len(story.steps)
            story.send(who, *self.faults(story, who, 1))
            if line is None:
                story.finish(SUBJECT)
            else:
                story.send(SUBJECT, line)
            if story.left(who) != 1:
                return  # it does more than to hear
            story.send(who, *self.faults(story, who))
            title = f"{message} ({label}) of another connection leaves the count of faults of one in {place}"
            rules = (NEVER_COUNTED, budget.rule, rule)
            yield self._play(place, message, f"{label}-of-another-{LEFT}", title, rules, story, setup)
            return

    def _timers(self) -> Iterator[Play]:
        """A timer's push to the connection leaves its count as it is: each in the first place where it runs."""
        limited = [timer for timer in self.spec.timers.values() if timer.since == "accept"]
        for timer in self.spec.timers.values():
            if timer.row is None or timer.row.answer is None or timer.since not in ("silence", "call"):
                continue
            for configuration in self.paths.configurations:
                story = Story(self.spec, self.paths.to_configuration(configuration))
                place, budget = story.state(SUBJECT), story.budget(SUBJECT)
                if budget is None or any(other.states is None or place in other.states for other in limited):
                    continue  # nothing counts there, or there is too little time
                if SUBJECT not in story.world.copy().expire(SUBJECT, timer):
                    continue
                story.send(SUBJECT, *self.faults(story, SUBJECT, 1))
                setup = len(story.steps)
                story.expire(SUBJECT, timer.name)
                story.send(SUBJECT, *self.faults(story, SUBJECT))
                title = f"the push of {timer.name} leaves the count of faults in {place} as it is"
                yield self._play(place, TIME, f"{timer.name}-{LEFT}", title, (budget.rule, timer.rule), story, setup)
                break

    # Faults

    def faults(self, story: Story, who: str, spare: int = 0) -> list[bytes]:
        """Faults of all kinds in turn, as many as are left for a connection, but for so many of them."""
        kinds = self._counted[story.state(who)]
        return [kinds[number % len(kinds)] for number in range(story.left(who) - spare)]

    @cached_property
    def _counted(self) -> dict[str, list[bytes]]:
        """By state, the lines with a fault that counts there; first one with each fault."""
        return {state: self._sorted(state) for state in self.spec.live_states}

    def _sorted(self, state: str) -> list[bytes]:
        found: dict[str, list[bytes]] = {}
        for _, name, line in self._faulty_lines():
            fault = self._fault(state, line)
            if fault is not None:
                found.setdefault(name or fault.fault, []).append(line)
        return [line for lines in zip_longest(*found.values()) for line in lines if line is not None]

    def _fault(self, state: str, line: bytes) -> FaultRule | None:
        """The fault of a line in a state, None where it has none that counts."""
        said = self.paths.read(line)
        own = said.fault if isinstance(said, Faulty) else None
        fault = self.spec.first_fault(state, own, said.verb)
        return fault if fault is not None and said.verb not in fault.uncounted else None

    def _faulty_lines(self) -> Iterator[tuple[str, str, bytes]]:
        """A message, a name, and a line that has a fault in some state; without a name, that of its error."""
        for name, line in (("not-utf8", b"\xff"), ("unknown-verb", b"XYZZY"), ("empty", b"")):
            yield ANY_LINE, name, line + self.ending
        for verb, request in self.spec.requests.items():
            for line in (self._broken(request), self.line(request)):
                yield verb, "", line

    def _broken(self, request: Request) -> bytes:
        """The request with a space behind it, or without its last field if that may end in one."""
        kind = self.spec.last_type(request.form)
        if kind is not None and kind.rest_of_line:
            return request.verb.encode() + self.ending
        return self.line(request).removesuffix(self.ending) + b" " + self.ending
