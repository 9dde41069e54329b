"""The regular expressions that a spec may hold: characters, ranges, groups, alternatives and repetitions.

Those, and nothing else, mean the same for a field alone, inside the expression of a whole frame, in PCRE2 and in ABNF.
Knows nothing of types and frames.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from re import _constants as op  # type: ignore[attr-defined]  # only these two say how Python reads an expression
from re import _parser  # type: ignore[attr-defined]
from typing import Any

_CHARACTERS = (op.LITERAL, op.NOT_LITERAL, op.IN, op.ANY)
_REPEATS = (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT)


def check(pattern: str) -> None:
    """Raises ValueError, with the reason, if a spec may not hold this expression."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # it may mean something else some day
            items = list(_items(_parser.parse(pattern)))
            names = re.compile(f"(?:{pattern})").groupindex  # flags for the whole are refused inside a group
    except (re.error, OverflowError, RecursionError, FutureWarning) as error:
        raise ValueError(f"not a regular expression: {error}") from None
    for code, value in items:
        if code not in _CHARACTERS:
            raise ValueError(f"a field's expression cannot have this: {str(code).lower().replace('_', ' ')}")
        if code is op.IN and any(kind is op.CATEGORY for kind, _ in value):
            raise ValueError("programs differ about classes of characters by name; write the ranges")
    if names:
        raise ValueError(f"a field's expression cannot have groups with names: {', '.join(names)}")


def width(pattern: str) -> tuple[int, int]:
    """The least and the most characters that an expression matches."""
    low, high = _parser.parse(pattern).getwidth()
    return int(low), int(high)


def can_hold(pattern: str, character: str) -> bool:
    """Whether something that an expression matches may hold this character."""
    return any(_matches(code, value, ord(character)) for code, value in _items(_parser.parse(pattern)))


def _items(sequence: Any) -> Iterator[tuple[Any, Any]]:
    """What is left without groups, alternatives and repetitions: single characters, or what `check` refuses."""
    for code, value in sequence:
        if code in _REPEATS:
            yield from _items(value[2])
        elif code is op.BRANCH:
            for branch in value[1]:
                yield from _items(branch)
        elif code is op.SUBPATTERN and not value[1] and not value[2]:  # flags to add and to take away
            yield from _items(value[3])
        else:
            yield code, value


def _matches(code: Any, value: Any, point: int) -> bool:
    if code is op.ANY:
        return point != ord("\n")
    if code is not op.IN:
        return bool((value == point) == (code is op.LITERAL))
    found = any(
        inner == point if kind is op.LITERAL else inner[0] <= point <= inner[1]
        for kind, inner in value
        if kind is not op.NEGATE
    )
    return found != ((op.NEGATE, None) in value)
