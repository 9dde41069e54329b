"""Random walks: scripts that Hypothesis draws, what is due said by the model, shrunk to the shortest that fails.

A walk is a play like any other: it is saved to a file, replayed from it, and shrunk again. Knows no verb.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pychat.spec import Spec

from . import programs
from .model import World
from .play import Play, Segment, Step, send
from .stagehand import Stagehand
from .suite import Case, cases_of
from .verdict import Result, Verdict
from .ways import CAST, ways_of

STEPS = 25  # of a walk, at most
ID = "ANY/WALK/{}"


@dataclass(frozen=True, slots=True)
class Found:
    """A walk that fails: the shortest one, and its result."""

    play: Play
    result: Result


def alphabet(spec: Spec) -> dict[str, list[bytes]]:
    """What each of the cast may send in a walk: each request about each of the cast, one line with each fault."""
    lines = {who: list(dict.fromkeys(ways_of(spec).lines(who))) for who in CAST}
    faults = [b"\xff\n", b"XYZZY\n", b"\n"]
    return {who: [*own, *faults] for who, own in lines.items()}


def as_play(spec: Spec, choices: Sequence[tuple[str, bytes | None]]) -> Play:
    """A script as a play. What somebody sends after his own end is left out, and so is an end that nobody can see."""
    world, steps = World(spec), []
    for who, octets in choices:
        if not world.is_open(who):
            continue
        if octets is None:
            steps.append(Step(who, "finish"))
            world.finish(who)
        else:
            steps.append(send(spec, who, octets))
            world.feed(who, octets)
    digest = hashlib.sha256("\n".join(str(step) for step in steps).encode()).hexdigest()[:10]
    rules = tuple(rule for rule in ("R-ANS-1", "R-ANS-3") if rule in spec.rules) or (next(iter(spec.rules)),)
    return Play(ID.format(digest), f"a walk of {len(steps)} steps", rules, tuple(steps), source="a walk")


def case_of(spec: Spec, play: Play, segment: Segment = "whole") -> Case:
    """A walk as a case."""
    return replace(cases_of(spec, play, "walk", (segment,))[0], kind="walk")


def walk(
    hand: Stagehand, number: int, seed: int, segments: Sequence[Segment] = ("whole", "coalesced")
) -> tuple[list[Result], Found | None]:
    """So many walks, the same ones for the same seed; ends with the first failure, shrunk."""
    import hypothesis
    from hypothesis import strategies

    spec = hand.spec
    lines = alphabet(spec)
    results: list[Result] = []
    failure: list[Found] = []

    # There is no phase in which Hypothesis shrinks: `shrink` needs fewer runs, because it knows what a step is.
    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=number, deadline=None, database=None, derandomize=False, print_blob=False,
        suppress_health_check=list(hypothesis.HealthCheck), phases=(hypothesis.Phase.generate,),
        verbosity=hypothesis.Verbosity.quiet,
    )  # fmt: skip
    @hypothesis.given(strategies.data(), strategies.sampled_from(list(segments)))
    def one(data: Any, segment: Segment) -> None:
        play = as_play(spec, _draw(spec, data, lines))
        result = hand.verdict(case_of(spec, play, segment))
        if result.verdict.good:
            if not failure:  # what is tried to shrink a failure is no walk of its own
                results.append(result)
            return
        failure[:] = [Found(play, result)]
        raise AssertionError(result.words)

    # it fails at some runs only: `shrink` below says so
    with _own_folder(), contextlib.suppress(AssertionError, hypothesis.errors.Flaky):
        one()
    if not failure:
        return results, None
    found = failure[-1]
    try:
        steps = [(step.who, step.octets if step.kind == "send" else None) for step in shrink(hand, found.play)[0].steps]
        play = as_play(spec, steps)
        found = Found(play, hand.verdict(case_of(spec, play, "whole")))
    except ValueError:
        found.result.note += " (not at every run of the same walk)"
    return [*results, found.result], found


@contextlib.contextmanager
def _own_folder() -> Iterator[None]:
    """What Hypothesis writes beside its work goes away with it, and not into the user's folder."""
    from hypothesis.configuration import set_hypothesis_home_dir

    with programs.folder("pychat-conformance-") as folder:
        set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            set_hypothesis_home_dir(None)


def _draw(spec: Spec, data: Any, lines: dict[str, list[bytes]]) -> list[tuple[str, bytes | None]]:
    """A script: mostly requests that change something, sometimes any line, seldom an end. Ends draw shorter scripts."""
    from hypothesis import strategies

    world, choices = World(spec), []
    for who in CAST:
        world.open(who)
    for _ in range(data.draw(strategies.integers(1, STEPS))):
        who = data.draw(strategies.sampled_from(CAST))
        moves = [line for line in lines[who] if _moves(world, who, line)]
        kind = data.draw(strategies.sampled_from(("move", "move", "move", "any", "any", "end")))
        octets = data.draw(strategies.sampled_from(moves if kind == "move" and moves else lines[who]))
        choices.append((who, None if kind == "end" else octets))
        if not world.is_open(who):
            continue
        if kind == "end":
            world.finish(who)
        else:
            world.feed(who, octets)
    return choices


def _moves(world: World, who: str, line: bytes) -> bool:
    """Whether this line changes something, and does not end the connection."""
    if not world.is_open(who):
        return False
    row = world.row_for(who, line[: -len(world.spec.framing.writes)])
    return row is not None and bool(row.effects) and row.to != world.spec.final


def shrink(hand: Stagehand, play: Play, segment: Segment = "whole") -> tuple[Play, Result]:
    """The shortest play that still fails, found by leaving out steps; what is due is said anew by the model.

    Raises ValueError if the play does not fail.
    """
    sends = [step for step in play.steps if step.kind in ("send", "finish", "reset")]
    best = _again(hand, play, sends, segment)
    if best is None:
        raise ValueError(f"{play.id} does not fail")
    size = len(sends)
    while size:
        place = 0
        while place < len(sends):
            fewer = sends[:place] + sends[place + size :]
            result = _again(hand, play, fewer, segment) if fewer else None
            if result is None:
                place += size
            else:
                sends, best = fewer, result
        size //= 2
    return replace(play, steps=tuple(sends), setup=0, title=f"{play.title}, shrunk to {len(sends)} steps"), best


def _again(hand: Stagehand, play: Play, steps: list[Step], segment: Segment) -> Result | None:
    """The result if these steps still fail, else None."""
    result = hand.verdict(case_of(hand.spec, replace(play, steps=tuple(steps), setup=0), segment))
    return result if result.verdict is Verdict.FAIL else None
