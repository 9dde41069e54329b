"""What the plays cover: every rule of the spec, and every two requests that can cross each other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from conformance.cases.flow import Flow
from conformance.cases.lifetime import Lifetime
from conformance.cases.play import Step, example_plays
from conformance.cases.reader import shipped_plays
from conformance.cases.timers import Timers
from conformance.oracle.model import Due, World
from conformance.oracle.paths import paths_of
from conformance.results.record import NOT_JUDGED
from pychat.spec import Spec

END = "the end of the stream"
NO_PLAY = {  # rules that a script cannot show, each with the reason; scenes look at them
    "R-OPEN-2": "needs an address of the machine other than loopback",
    "R-TIME-4": "is about a timer of the kernel: keep-alive is no octet",
}
CROSSINGS = {  # of two connections: who comes first decides what comes of one of them
    ("NAME", "NAME"), ("CHAT", "NAME"), ("NAME", "QUIT"), ("NAME", "WHO"), ("NAME", END),
    ("CHAT", "CHAT"), ("CHAT", "LEAVE"), ("CHAT", "MSG"), ("CHAT", "QUIT"), ("CHAT", "WHO"), ("CHAT", END),
    ("LEAVE", "LEAVE"), ("LEAVE", "MSG"), ("LEAVE", "QUIT"), ("LEAVE", "WHO"), ("LEAVE", END),
    ("MSG", "QUIT"), ("MSG", END), ("QUIT", "QUIT"), ("QUIT", "WHO"), ("QUIT", END), ("WHO", END), (END, END),
}  # fmt: skip


RINGING = {"CHAT", "LEAVE", "MSG", "QUIT", END}  # what can come before the end of the ringing, or behind it


def test_every_rule_has_a_play(spec: Spec) -> None:
    """For each side that it binds: written by hand, an example of the spec, or derived where it is about time, queues
    or the server as a whole; what no play can show is named with its reason.
    """
    derived = [play for family in (Timers, Flow, Lifetime) for play in family(spec).plays()]
    plays = [*shipped_plays(spec), *example_plays(spec), *derived]
    for of in ("server", "client"):
        shown = {rule for play in plays if play.of == of for rule in play.rules}
        missing = {rule.id for rule in spec.rules.values() if rule.of in (of, "both")} - shown
        assert missing == set(NO_PLAY if of == "server" else NOT_JUDGED)


def test_every_crossing_has_a_play(spec: Spec) -> None:
    """The model finds the pairs of requests whose order matters; each is sent at the same moment by some play."""
    assert set(crossings(spec)) == CROSSINGS
    together = {
        pair(said(first), said(second))
        for first, second in races(spec)
        if first.who != second.who and first.kind != "clock"
    }
    assert not CROSSINGS - together


def test_every_crossing_of_a_ringing_call_has_a_play(spec: Spec) -> None:
    """The same for a call's timer, whose end crosses the requests of both ends."""
    assert set(ringing(spec)) == RINGING
    assert not RINGING - {said(second) for first, second in races(spec) if first.kind == "clock"}


def races(spec: Spec) -> Iterator[tuple[Step, Step]]:
    """Every two steps that some play does at the same moment."""
    for play in shipped_plays(spec):
        for step in play.steps:
            yield from itertools.combinations(step.together, 2)


def said(step: Step) -> str:
    return step.octets.decode().split()[0] if step.kind == "send" else END


def pair(first: str, second: str) -> tuple[str, str]:
    """In one order; the end of a stream, in small letters, comes last."""
    return min(first, second), max(first, second)


def crossings(spec: Spec) -> Iterator[tuple[str, str]]:
    """The pairs of requests of two connections whose order can be seen by more than the order of frames."""
    changing = {row.verb for _, row in spec.outcomes() if row.effects}
    lines = {
        who: [(END, b""), *((verb, line) for line in paths_of(spec).lines(who) if (verb := _verb(line)) in changing)]
        for who in ("a", "b")
    }
    found: set[tuple[str, str]] = set()
    for world, _ in paths_of(spec).worlds:
        for (first, one), (second, other) in itertools.product(lines["a"], lines["b"]):
            name = pair(first, second)
            if name not in found and _come(world, ("a", one), ("b", other)) != _come(world, ("b", other), ("a", one)):
                found.add(name)
                yield name


def ringing(spec: Spec) -> Iterator[str]:
    """The requests whose order with the end of the ringing can be seen, sent by either end of a link."""
    lines = {who: [(END, b""), *((_verb(line), line) for line in paths_of(spec).lines(who))] for who in ("a", "b")}
    found: set[object] = set()
    for world, _ in paths_of(spec).worlds:
        called = next((who for who, one in world.connections.items() if one.called and one.partner in lines), "")
        ends = tuple((who, world.configuration(who)) for who in lines) if called in lines else ()
        if ends in found:
            continue
        found.add(ends)
        for who, name, line in [(end, *sent) for end, _ in ends for sent in lines[end]]:
            if name not in found and _rung(world, called, who, line) != _rung(world, called, who, line, late=True):
                found.add(name)
                yield name


def _rung(world: World, called: str, who: str, line: bytes, *, late: bool = False) -> object:
    """What a request and the end of the ringing come to, in this order or with the ringing `late`."""
    after = world.copy()
    (timer,) = (timer for timer in world.spec.timers.values() if timer.since == "call")
    dues: list[tuple[str, str]] = []
    for rings in (not late, late):
        told = after.expire(called, timer) if rings else _due(after, who, line)
        dues += [(to, str(due)) for to, some in told.items() for due in some]
    return sorted(dues), after.key()


def _due(world: World, who: str, line: bytes) -> dict[str, list[Due]]:
    return world.feed(who, line) if line else world.finish(who)


def _verb(line: bytes) -> str:
    return line.decode().split()[0]


def _come(world: World, *order: tuple[str, bytes]) -> object:
    """What two requests come to in this order: the rows that they take, what everybody gets, who is where."""
    after = world.copy()
    dues: list[tuple[str, Due]] = []
    for who, line in order:
        for to, some in _due(after, who, line).items():
            dues += [(to, due) for due in some]
    rows = sorted((taken.who, str(taken.row or taken.fault)) for taken in after.decisions)
    return rows, sorted(map(str, dues)), after.key()
