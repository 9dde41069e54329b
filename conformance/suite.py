"""The list of all cases, and which of them are asked for. Runs none of them."""

from __future__ import annotations

import difflib
import fnmatch
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from pychat.spec import Spec

from .cases.case import Case, cases_of, unaskable
from .cases.counting import Counting
from .cases.edges import Edges
from .cases.flow import Flow
from .cases.histories import Histories
from .cases.keeping import Keeping
from .cases.lifetime import Lifetime
from .cases.matrix import Matrix
from .cases.play import SEGMENTS, Play, Segment, example_plays
from .cases.reader import shipped_plays
from .cases.timers import Timers
from .client.matrix import ClientMatrix
from .oracle.judgeable import require_judgeable
from .scenes import bursts, crowds, limits, stopping

FAMILIES = (Matrix, Edges, Counting, Histories, Keeping, Timers, Flow, Lifetime)  # make the cells for servers
SCENES = (bursts, crowds, limits, stopping)


class SelectionError(Exception):
    """A pattern that matches no case; says the nearest ids."""


def server_cases(spec: Spec, segments: Sequence[Segment] = SEGMENTS) -> list[Case]:
    """Every case for servers: the cells, the plays, the spec's examples, the scenes.

    `segments` are the ways to cut the octets; with several of them, not every cell is cut in each.

    Raises:
        UnjudgeableError: the protocol lacks what every proof needs.
    """
    require_judgeable(spec)
    cells = [play for family in FAMILIES for play in family(spec).plays()]
    found = _cases(spec, "server", cells, [*shipped_plays(spec), *example_plays(spec)], segments)
    return [*found, *unaskable(spec), *(case for room in SCENES for case in room.scenes(spec))]


def client_cases(spec: Spec, segments: Sequence[Segment] = SEGMENTS) -> list[Case]:
    """Every case for clients. Raises UnjudgeableError as `server_cases` does."""
    require_judgeable(spec)
    return _cases(spec, "client", ClientMatrix(spec).plays(), shipped_plays(spec), segments)


def _cases(
    spec: Spec, of: str, cells: Sequence[Play], plays: Sequence[Play], segments: Sequence[Segment]
) -> list[Case]:
    """The cells, and the plays of their side, as cases; no two have one key."""
    found = _in_turn([case for play in cells for case in cases_of(spec, play, "cell", segments)])
    plays = [play for play in plays if play.of == of]
    found += [case for play in plays for case in cases_of(spec, play, "play", segments)]
    twice = [key for key, number in Counter(case.key for case in found).items() if number > 1]
    assert not twice, f"two cases have the id {twice}"
    return found


def _in_turn(cells: Sequence[Case]) -> list[Case]:
    """Each cell in its first way to cut the octets and one other, in turn; the first cell of a message in all ways.

    What goes wrong with cut octets goes wrong in many cells: three times each of them would take a third longer.
    """
    ways: dict[str, list[Case]] = {}
    for cell in cells:
        ways.setdefault(cell.id, []).append(cell)
    begun: set[tuple[str, str]] = set()
    turns: dict[str, Iterator[int]] = {}  # by the variant, so that it is cut each way in some state
    found: list[Case] = []
    for first, *others in ways.values():
        found.append(first)
        if (first.state, first.message) in begun and others:
            turn = turns.setdefault(first.id.split("/")[2], itertools.count(len(turns)))
            found.append(others[next(turn) % len(others)])
        else:
            found += others
        begun.add((first.state, first.message))
    return found


def select(cases: Sequence[Case], patterns: Sequence[str]) -> list[Case]:
    """The cases that one of the patterns matches; all without patterns.

    A pattern is of an id or a key (`PAIRED/*`), or the name of a rule, a state or a message.

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
    return pattern in (*case.rules, case.state, case.message) or any(
        fnmatch.fnmatchcase(name, pattern) for name in (case.id, case.key)
    )


def nearest(cases: Iterable[Case], text: str) -> str:
    """`; the nearest are …`, for messages."""
    names = sorted({case.id for case in cases})
    found = difflib.get_close_matches(text.strip("*"), names, n=3, cutoff=0.4)
    return f"; the nearest are {', '.join(found)}" if found else ""
