"""Random walks: plays that are drawn, with what is due from the model; one that fails is shrunk. Knows no verb.

A walk is a play like any other: it is saved to a file, replayed from it, and shrunk again. A noisy walk (the fuzz) also
sends lines that are nearly requests, and octets of any kind, many lines at once; its octets are cut at random. In some
walks two clients keep the rules for clients, and the third one keeps none and makes noise.
"""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace

from pychat.spec import Spec
from pychat.spec.model import Outcome

from .cases.case import Case, cases_of
from .cases.play import WALK, Play, Segment, Step, send
from .client import walks as of_clients
from .engine.target import Target
from .engine.verdict import Result, Verdict
from .engine.worker import Worker
from .oracle.frames import Faulty, Parsed, parse_request
from .oracle.lines import CAST, Lines
from .oracle.model import World
from .oracle.noise import Noise
from .run import Options, client_worker, one_worker, run_suite

STEPS = 40  # of a walk, at most
KINDS = ("move", "move", "move", "any", "any", "any", "any", "end")  # what a step is; of a noisy walk only the ends
LINES = (1, 1, 1, 2, 5, 30, 110)  # of a noisy step, each of one kind of a mixture; the most are above every budget
MIXTURES = (
    ("move",), ("relay",), ("fault",), ("relay", "move", "any", "nearly"),
    ("relay", "any", "nearly", "nearly", "octets"),
)  # fmt: skip
SHRUNK: tuple[Segment, ...] = ("whole", "coalesced", "random")  # how a walk that fails is cut, the simplest first
BATCH = 100  # walks that are drawn before they are run
FAULTS = (b"\xff", b"XYZZY", b"")
KEEPING = CAST[:-1]  # the clients that keep the rules, in a walk with one that keeps none
ONE_WILD = 3  # of so many walks one is such a walk


@dataclass(slots=True)
class Walked:
    """The results of a number of walks. `lines` and `connections` are those of the walks that were run.

    `found` is the shortest walk that fails, and its result.
    """

    results: list[Result] = field(default_factory=list)
    found: tuple[Play, Result] | None = None
    lines: int = 0
    connections: int = 0

    @property
    def figures(self) -> str:
        """How much was sent and received, in one line."""
        frames, wrong = sum(r.frames for r in self.results), sum(r.verdict.bad for r in self.results)
        return (
            f"{len(self.results):,} walks: {self.lines:,} lines in {self.connections:,} connections, "
            f"{frames:,} frames came, {wrong} wrong"
        )


def walks(spec: Spec, number: int, seed: int, *, noisy: bool = False, of: str = "server") -> Iterator[Case]:
    """So many walks as cases, the same ones for the same seed. Those for clients make no noise."""
    if of == "client":
        yield from of_clients.walks(spec, number, seed)
        return
    rules = tuple(rule for rule in ("R-ANS-1", "R-ANS-3") if rule in spec.rules) or (next(iter(spec.rules)),)
    for count in range(1, number + 1):
        rng = random.Random(f"{seed}-{count}")
        keeping = () if noisy or count % ONE_WILD else KEEPING
        steps = tuple(Walker(spec, rng, noisy=noisy, keeping=keeping).steps())
        id_ = f"ANY/{'FUZZ' if noisy else 'WALK'}/{seed}-{count}"
        title = f"a walk of {len(steps)} steps{f', of which {CAST[-1]} keeps no rule' if keeping else ''}"
        play = Play(id_, title, rules, steps, source=WALK)
        yield case_of(spec, play, "random" if noisy else rng.choice(("whole", "coalesced")))


def case_of(spec: Spec, play: Play, segment: Segment = "whole") -> Case:
    """A walk as a case."""
    return cases_of(spec, play, "walk", (segment,))[0]


def run_walks(target: Target, spec: Spec, cases: Iterator[Case], options: Options) -> Walked:
    """Runs walks until one fails, which is shrunk; its result is the last one."""
    quiet = replace(options, fail_fast=True, on_note=lambda note: None, on_result=lambda result: None)
    walked = Walked()
    while batch := {case.key: case for case in itertools.islice(cases, BATCH)}:
        results = run_suite(target, list(batch.values()), quiet, spec=spec)
        walked.results += results
        for play in (batch[result.key].play for result in results):
            assert play is not None
            walked.lines += sum(step.octets.count(b"\n") for step in play.steps)
            walked.connections += len({step.who for step in play.steps})
        failed = next((result for result in results if result.verdict is Verdict.FAIL), None)
        if failed is not None:
            walked.found = _shrunk(target, spec, options, batch[failed.key], failed)
            walked.results.remove(failed)
            walked.results.append(walked.found[1])
        if len(results) < len(batch) or failed is not None:
            break
    return walked


def _shrunk(target: Target, spec: Spec, options: Options, case: Case, failed: Result) -> tuple[Play, Result]:
    assert case.play is not None
    if case.of == "client":
        with contextlib.suppress(ValueError):
            return of_clients.shrink(client_worker(target, spec, options), case)
        failed.note += " (not at every run of the same walk)"
        return case.play, failed
    with one_worker(target, spec, options) as worker:
        for segment in SHRUNK:
            with contextlib.suppress(ValueError):
                return shrink(worker, case.play, segment)
    failed.note += " (not at every run of the same walk)"
    return case.play, failed


class Walker:
    """Draws one walk; in a noisy one, clients that need not keep the rules have steps of many lines, of more kinds."""

    def __init__(self, spec: Spec, rng: random.Random, *, noisy: bool, keeping: Collection[str] = ()) -> None:
        self.spec = spec
        self.rng = rng
        self.keeping = keeping
        self.noise = Noise(spec, rng) if noisy or keeping else None
        self.world = World(spec)
        self.ending = spec.framing.writes
        lines = {who: [line.removesuffix(self.ending) for line in Lines(spec).lines(who)] for who in CAST}
        self.lines = {
            who: [(line, parse_request(spec, line)) for line in (*own, *FAULTS)] for who, own in lines.items()
        }

    def steps(self) -> Iterator[Step]:
        """Its steps: mostly what changes something, seldom an end, after which another connection takes the place."""
        people = {place: place for place in CAST}
        for who in CAST:
            self.world.open(who)
            if self.noise:  # some of them will never send anything
                yield Step(who, "open")
        for count in range(1, self.rng.randint(2, STEPS + 1)):
            place = self.rng.choice(CAST)
            if not self.world.is_open(people[place]):
                people[place] = f"{place}{count}"
            who, kind = people[place], self.rng.choice(KINDS)
            if kind == "end":
                yield self._end(who, place)
            else:
                yield send(self.spec, who, b"".join(self._lines(who, place, kind)))

    def _end(self, who: str, place: str) -> Step:
        """The request that ends, the end of the sending half, or a reset, if there is a partner who is told of it."""
        kinds = ["finish", "quit"] if self.world.open(who).partner is None else ["finish", "quit", "reset"]
        kind = self.rng.choice(kinds)
        if kind == "quit":
            octets = self._line(who, place, "end") + self.ending
            self.world.feed(who, octets)
            return send(self.spec, who, octets)
        (self.world.finish if kind == "finish" else self.world.reset)(who)
        return Step(who, "finish" if kind == "finish" else "reset")

    def _lines(self, who: str, place: str, kind: str) -> Iterator[bytes]:
        """The lines of a step, each with its ending; sometimes one too many, behind the end of the connection."""
        noise = self._noise_of(place)
        mixture = self.rng.choice(MIXTURES) if noise else (kind,)
        for _ in range(self.rng.choice(LINES) if noise else 1):
            was_open = self.world.is_open(who)
            line = self.line(who, place, self.rng.choice(mixture))
            self.world.feed(who, line)
            yield line
            if not was_open or (not self.world.is_open(who) and self.rng.random() < 0.5):
                return

    def line(self, who: str, place: str, kind: str) -> bytes:
        """A line of this kind with its ending; a noisy one has any text, and any ending."""
        noise = self._noise_of(place)
        if noise is None:
            return self._line(who, place, kind) + self.ending
        if kind in ("fault", "octets"):
            line = self.rng.choice(FAULTS) if kind == "fault" else noise.octets()
        else:
            line = noise.another(self._line(who, place, kind))
        return (noise.nearly(line) if kind == "nearly" else line) + noise.ending()

    def _noise_of(self, place: str) -> Noise | None:
        return None if place in self.keeping else self.noise

    def _may(self, who: str, place: str, said: Parsed | Faulty) -> bool:
        """Whether a client that keeps the rules may send this; any other one may send anything."""
        if place not in self.keeping or isinstance(said, Faulty):
            return place not in self.keeping
        state = self.world.open(who).state
        condition = self.spec.client.only_if.get(state, {}).get(said.verb)
        placed = said.verb in self.spec.states[state].recv
        return placed and (condition is None or self.world.holds(condition, who, said))

    def _line(self, who: str, place: str, kind: str) -> bytes:
        """A line of this kind; where there is none, any that does not end the connection."""
        final = self.spec.final
        tests: dict[str, Callable[[Outcome | None], bool]] = {
            "move": lambda row: (
                row is not None and any(effect.kind != "list" for effect in row.effects) and row.to != final
            ),
            "relay": lambda row: row is not None and row.does("relay"),
            "end": lambda row: row is not None and row.to == final,
            "any": lambda row: row is None or row.to != final,
        }
        lines = [(line, said) for line, said in self.lines[place] if self._may(who, place, said)]
        self.rng.shuffle(lines)
        wanted = (tests.get(kind, tests["any"]), tests["any"])
        return next(line for test in wanted for line, said in lines if test(self.world.row_of(who, said)))


def shrink(worker: Worker, play: Play, segment: Segment = "whole") -> tuple[Play, Result]:
    """The shortest play that still fails, found by leaving out lines and steps; the model says what is due each time.

    Raises ValueError if the play does not fail.
    """
    whole = [step for step in play.steps if step.kind in ("send", "finish", "reset")]
    for sends in ([part for step in whole for part in _by_line(worker.spec, step)], whole):
        best = _again(worker, play, sends, segment)
        if best is not None:
            break
    else:
        raise ValueError(f"{play.id} does not fail")
    size = len(sends)
    while size:
        place = 0
        while place < len(sends):
            fewer = sends[:place] + sends[place + size :]
            result = _again(worker, play, fewer, segment) if fewer else None
            if result is None:
                place += size
            else:
                sends, best = fewer, result
        size //= 2
    return replace(play, steps=tuple(sends), setup=0, title=f"{play.title}, shrunk to {len(sends)} steps"), best


def _by_line(spec: Spec, step: Step) -> list[Step]:
    """A step for each line of a step."""
    lines = step.octets.split(b"\n")
    pieces = [*(line + b"\n" for line in lines[:-1]), *(line for line in lines[-1:] if line)]
    return [send(spec, step.who, piece) for piece in pieces] if step.kind == "send" else [step]


def _again(worker: Worker, play: Play, steps: list[Step], segment: Segment) -> Result | None:
    """The result if these steps still fail, else None."""
    result = worker.verdict(case_of(worker.spec, replace(play, steps=tuple(steps), setup=0), segment))
    return result if result.verdict is Verdict.FAIL else None
