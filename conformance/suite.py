"""The list of all cases, and which of them are asked for. Runs none of them."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Sequence

from pychat.spec import Spec

from .cases.case import Case, cases_of
from .cases.matrix import Matrix
from .cases.play import SEGMENTS, Segment, example_plays
from .cases.reader import shipped_plays
from .client.matrix import ClientMatrix
from .oracle.probe import barrier_verb
from .scenes import bursts, limits


class SelectionError(Exception):
    """A pattern that matches no case; says the nearest ids."""


def server_cases(spec: Spec, segments: Sequence[Segment] = SEGMENTS) -> list[Case]:
    """Every case for servers: the cells, the plays, the spec's examples, the scenes.

    Raises:
        UnjudgeableError: the protocol lacks what every proof needs.
    """
    barrier_verb(spec)
    plays = [play for play in shipped_plays(spec) if play.of == "server"]
    found = [case for play in Matrix(spec).plays() for case in cases_of(spec, play, "cell", segments)]
    found += [case for play in (*plays, *example_plays(spec)) for case in cases_of(spec, play, "play", segments)]
    return _checked([*found, *bursts.scenes(spec), *limits.scenes(spec)])


def client_cases(spec: Spec, segments: Sequence[Segment] = SEGMENTS) -> list[Case]:
    """Every case for clients. Raises UnjudgeableError as `server_cases` does."""
    barrier_verb(spec)
    plays = [play for play in shipped_plays(spec) if play.of == "client"]
    found = [case for play in ClientMatrix(spec).plays() for case in cases_of(spec, play, "cell", segments)]
    found += [case for play in plays for case in cases_of(spec, play, "play", segments)]
    return _checked(found)


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
    found: set[str] = set()
    for pattern in patterns:
        matched = {case.key for case in cases if _matches(case, pattern)}
        if not matched:
            raise SelectionError(f"no case matches {pattern!r}{nearest(cases, pattern)}")
        found |= matched
    return [case for case in cases if case.key in found]


def _matches(case: Case, pattern: str) -> bool:
    return pattern in case.rules or any(fnmatch.fnmatchcase(name, pattern) for name in (case.id, case.key))


def nearest(cases: Iterable[Case], text: str) -> str:
    """`; the nearest are …`, for messages."""
    names = sorted({case.id for case in cases})
    found = difflib.get_close_matches(text.strip("*"), names, n=3, cutoff=0.4)
    return f"; the nearest are {', '.join(found)}" if found else ""
