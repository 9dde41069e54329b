"""The regular expressions that a spec may hold: those that match in time linear in the length of the line.

Where such an expression can go on in two ways, the next character decides between them (it is deterministic, or
"one-unambiguous": Brüggemann-Klein and Wood, 1998; here for its loops too). So a matcher that backtracks fails at once:
no place of the expression is tried twice at one place of a line. That holds in the expression of a whole frame too, as
a space follows a field, and only the last field may hold one. Knows nothing of types and frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from .expression import Alternatives, Characters, Node, Repeat, Sequence, parse

LONGEST = 1000  # characters that an expression is written with
LARGEST = 5000  # characters with repeated groups written out, as PCRE2 does
ENDLESS = 1 << 32  # characters: the most where nothing bounds them
_SLOW = "so matching could take very long"


def check(pattern: str) -> None:
    """Raises ValueError, with the reason, if a spec may not hold this expression."""
    if len(pattern) > LONGEST:
        raise ValueError(f"too large: an expression has at most {LONGEST} characters")
    node = parse(pattern)
    if _written_out(node) > LARGEST:
        raise ValueError(f"too large: with its groups written out it has more than {LARGEST} characters")
    _decide(node, [])


def width(pattern: str) -> tuple[int, int]:
    """The least and the most characters that an expression matches; the most is at most ENDLESS."""
    return _width(parse(pattern))


def can_hold(pattern: str, character: str) -> bool:
    """Whether something that an expression matches may hold this character."""
    point = ord(character)
    return any(low <= point <= high for leaf in _leaves(parse(pattern)) for low, high in leaf.ranges)


# Properties of a tree


def _parts(node: Node) -> tuple[Node, ...]:
    if isinstance(node, Characters):
        return ()
    return (node.part,) if isinstance(node, Repeat) else node.parts


def _leaves(node: Node) -> Iterator[Characters]:
    if isinstance(node, Characters):
        yield node
    for part in _parts(node):
        yield from _leaves(part)


def _written_out(node: Node) -> int:
    """How many characters the expression has with each repetition of a group written out."""
    once = len(node.text) + sum(_written_out(part) - len(part.text) for part in _parts(node))
    if isinstance(node, Repeat) and node.text.startswith("("):
        return once * (node.least + 1 if node.most is None else node.most)
    return once


def _width(node: Node) -> tuple[int, int]:
    if isinstance(node, Characters):
        return 1, 1
    if isinstance(node, Repeat):
        low, high = _width(node.part)
        return node.least * low, min(ENDLESS, (ENDLESS if node.most is None else node.most) * high)
    widths = [_width(part) for part in node.parts]
    if isinstance(node, Sequence):
        return sum(low for low, _ in widths), min(ENDLESS, sum(high for _, high in widths))
    return min(low for low, _ in widths), max(high for _, high in widths)


def _may_be_empty(node: Node) -> bool:
    return _width(node)[0] == 0


def _first(node: Node) -> list[Characters]:
    """What a match of the node may begin with."""
    if isinstance(node, Characters):
        return [node]
    if isinstance(node, Repeat):
        return _first(node.part)
    found: list[Characters] = []
    for part in node.parts:
        found += _first(part)
        if isinstance(node, Sequence) and not _may_be_empty(part):
            break
    return found


# Whether the next character decides


def _decide(node: Node, after: list[Characters]) -> None:
    """Raises ValueError where two ways are open for the same next character; `after` is what may follow the node."""
    if isinstance(node, Sequence):
        for part in reversed(node.parts):
            _decide(part, after)
            after = _first(part) + (after if _may_be_empty(part) else [])
    elif isinstance(node, Alternatives):
        _decide_alternatives(node, after)
    elif isinstance(node, Repeat):
        _decide_repeat(node, after)


def _decide_alternatives(node: Alternatives, after: list[Characters]) -> None:
    for index, part in enumerate(node.parts):
        _decide(part, after)
        for other in node.parts[:index]:
            if _may_be_empty(part) and _may_be_empty(other):
                raise ValueError(f"two alternatives of {_short(node)} may be empty, {_SLOW}")
            _refuse_both(_first(other), _first(part), f"two alternatives of {_short(node)} may begin with it")
    if _may_be_empty(node):
        _refuse_both(_first(node), after, f"{_short(node)} may begin with it, or be empty before it")


def _decide_repeat(node: Repeat, after: list[Characters]) -> None:
    first = _first(node.part)
    if _may_be_empty(node.part):
        raise ValueError(f"{_short(node)} repeats something that may be empty, {_SLOW}")
    if node.least != node.most:
        _refuse_both(first, after, f"{_short(node)} may go on with it, or end before it")
    _decide(node.part, after if node.most == 1 else first + after)


def _refuse_both(some: list[Characters], others: list[Characters], why: str) -> None:
    """Raises ValueError if one of some and one of the others take the same character."""
    for one, other in product(some, others):
        for (low, high), (other_low, other_high) in product(one.ranges, other.ranges):
            shared = max(low, other_low)
            if shared <= min(high, other_high):
                both = f"both {_short(one)} and {_short(other)} take {chr(shared)!r}"
                raise ValueError(f"{both}: {why}, {_SLOW}; write it so that the next character decides")


def _short(node: Node) -> str:
    return node.text if len(node.text) <= 40 else f"{node.text[:30]}…{node.text[-9:]}"
