"""The cases: where they come from, what they show, and which of them are asked for. Runs none of them."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pychat.spec import Spec

from .cases.matrix import Matrix
from .cases.play import SEGMENTS, Lane, Play, Segment, example_plays
from .cases.reader import shipped_plays
from .oracle.probe import barrier_verb

if TYPE_CHECKING:
    from .engine.worker import Worker

Kind = Literal["cell", "play", "scene", "walk"]


class SelectionError(Exception):
    """A pattern that matches no case; says the nearest ids."""


@dataclass(frozen=True, slots=True)
class Case:
    """One question to an implementation: a play, or a scene."""

    id: str
    title: str
    rules: tuple[str, ...]
    level: str
    kind: Kind
    play: Play | None = None
    scene: Callable[[Worker], None] | None = None
    of: Literal["server", "client"] = "server"
    segment: Segment = "whole"
    lane: Lane = "shared"
    profile: str = "core"
    doc: str = ""
    mistakes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The id, with the way in which the octets are cut."""
        return self.id if self.segment == "whole" else f"{self.id}@{self.segment}"

    @property
    def slow(self) -> bool:
        """Whether it takes seconds, where others take milliseconds."""
        return self.kind == "scene" or (self.play is not None and self.play.slow)

    @property
    def state(self) -> str:
        return self.id.split("/")[0]

    @property
    def message(self) -> str:
        return self.id.split("/")[1]


def server_cases(spec: Spec, segments: Sequence[Segment] = ("whole", "octet", "coalesced")) -> list[Case]:
    """Every case for servers: the cells, the plays, the spec's examples, the scenes.

    Raises:
        UnjudgeableError: the protocol lacks what every proof needs.
    """
    barrier_verb(spec)
    from .scenes.common import server_scenes

    plays = [play for play in shipped_plays(spec) if play.of == "server"]
    found = [case for play in Matrix(spec).plays() for case in cases_of(spec, play, "cell", segments)]
    found += [case for play in (*plays, *example_plays(spec)) for case in cases_of(spec, play, "play", segments)]
    return _checked([*found, *server_scenes(spec)])


def client_cases(spec: Spec, segments: Sequence[Segment] = ("whole", "octet", "coalesced")) -> list[Case]:
    """Every case for clients. Raises UnjudgeableError as `server_cases` does."""
    barrier_verb(spec)
    from .client.matrix import ClientMatrix

    plays = [play for play in shipped_plays(spec) if play.of == "client"]
    found = [case for play in ClientMatrix(spec).plays() for case in cases_of(spec, play, "cell", segments)]
    found += [case for play in plays for case in cases_of(spec, play, "play", segments)]
    return _checked(found)


def cases_of(spec: Spec, play: Play, kind: Kind, segments: Sequence[Segment]) -> list[Case]:
    """A play in each of the wanted ways to cut its octets."""
    return [
        Case(
            id=play.id,
            title=play.title,
            rules=play.rules,
            level=level_of(spec, play.rules),
            kind=kind,
            play=play,
            of=play.of,
            segment=segment,
            lane=play.lane,
            profile=play.profile,
            doc=play.doc,
            mistakes=play.mistakes,
        )
        for segment in segments
        if segment in play.segments or (segment == "random" and play.segments == SEGMENTS)
    ]


def level_of(spec: Spec, rules: Iterable[str]) -> str:
    """The strongest level of these rules."""
    levels = [spec.rules[rule].level for rule in rules]
    return next(level for level in ("MUST", "SHOULD", "MAY") if level in levels)


def _checked(cases: list[Case]) -> list[Case]:
    keys = [case.key for case in cases]
    twice = {key for key in keys if keys.count(key) > 1} if len(set(keys)) < len(keys) else set()
    assert not twice, f"two cases have the id {sorted(twice)}"
    return cases


def select(cases: Sequence[Case], patterns: Sequence[str]) -> list[Case]:
    """The cases that one of the patterns matches (`PAIRED/*`, a rule's id, a whole key); all without patterns.

    Raises:
        SelectionError: a pattern matches nothing.
    """
    if not patterns:
        return list(cases)
    found: dict[str, Case] = {}
    for pattern in patterns:
        matched = [case for case in cases if _matches(case, pattern)]
        if not matched:
            raise SelectionError(f"no case matches {pattern!r}{nearest(cases, pattern)}")
        found |= {case.key: case for case in matched}
    return [case for case in cases if case.key in found]


def _matches(case: Case, pattern: str) -> bool:
    return pattern in case.rules or any(fnmatch.fnmatchcase(name, pattern) for name in (case.id, case.key))


def nearest(cases: Iterable[Case], text: str) -> str:
    """`; the nearest are …`, for messages."""
    names = sorted({case.id for case in cases})
    found = difflib.get_close_matches(text.strip("*"), names, n=3, cutoff=0.4)
    return f"; the nearest are {', '.join(found)}" if found else ""
