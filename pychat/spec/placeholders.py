"""Placeholders: the numbers that texts take from elsewhere in a spec, so that each number is written once.

    {framing.max_octets}          the number at this path of the spec
    {framing.max_octets - 1}      a whole number with another one added (` + `) or taken away
    {timers.probe.after}          a time has its unit, and stands as it is written there: 120 s
    {budgets.NAMED.faults}        an entry of a list has the name of each state that is in its `in`
    {types.text.octets.most}      a range has `least` and `most`
    {{framing.max_octets}}        these words themselves, in one pair of braces; other braces mean nothing

A number holds no placeholder, so each text is filled once. Knows no protocol and no unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from .reading import Data, Document, Path

Numbers: TypeAlias = Mapping[tuple[str, ...], int | float | str]
"""By its path, each number of a spec: a time is the text that says it."""

_TIME = re.compile(r"[0-9.]+ (ms|s|min)")
_RANGE = re.compile(r"(?P<least>[0-9]{1,9})\.\.(?P<most>[0-9]{1,9})")
_LIKE_ONE = r"\{[A-Za-z][A-Za-z0-9_-]*\.[^{}]*\}"  # a mistake in the rest must not pass for braces that mean nothing
_PLACEHOLDER = re.compile(rf"\{{(?P<words>{_LIKE_ONE})\}}|{_LIKE_ONE}")
_SUM = re.compile(r"\{(?P<path>[A-Za-z0-9_.-]+)(?: (?P<sign>[+-]) (?P<other>[0-9]{1,9}))?\}")
_SHOWN = 300  # characters of the paths in a fault: there may be a fault for each text


def numbers_of(data: Data) -> Numbers:
    """Every number in a part of a spec. The shape of the data must be right."""
    return {path: number for path, number in _numbers(data, ()) if len(path) > 1}


def fill_texts(document: Document, numbers: Numbers) -> list[tuple[Path, str]]:
    """Fills every text of a document, but no key. Gives the place of each one that cannot be filled, and the reason."""
    unfilled: list[tuple[Path, str]] = []
    known: dict[str, str] = {}
    for part in dict.fromkeys(path[0] for path in numbers):
        paths = ", ".join(".".join(path) for path in numbers if path[0] == part)
        known[part] = paths if len(paths) <= _SHOWN else f"{paths[:_SHOWN]}…"

    def filled(value: Data, path: Path) -> Data:
        if isinstance(value, dict):
            return {key: filled(part, (*path, key)) for key, part in value.items()}
        if isinstance(value, list):
            return [filled(part, (*path, index)) for index, part in enumerate(value)]
        if isinstance(value, str) and "{" in value:
            try:
                return _PLACEHOLDER.sub(lambda found: found["words"] or _value(found[0], numbers), value)
            except LookupError as error:
                near = known.get(error.args[0][1:].partition(".")[0], ", ".join(known))
                reason = f"{error.args[0]} names no number of the spec; there are {near}"
                unfilled.append((path, f"{reason} (double braces stand for themselves)"))
            except ValueError as error:
                unfilled.append((path, str(error)))
        return value

    document.data = filled(document.data, ())
    return unfilled


def _numbers(value: Data, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int | float | str]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _numbers(part, (*path, key))
    elif isinstance(value, list):
        for entry in value:
            states = entry.get("in") if isinstance(entry, dict) else None
            for state in states if isinstance(states, list) else ():
                yield from _numbers(entry, (*path, str(state)))
    elif isinstance(value, str):
        if _TIME.fullmatch(value):
            yield path, value
        elif limits := _RANGE.fullmatch(value):
            yield from (((*path, end), int(number)) for end, number in limits.groupdict().items())
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value


def _value(placeholder: str, numbers: Numbers) -> str:
    """What stands in its place. Raises LookupError (no such number) and ValueError (no such sum)."""
    found = _SUM.fullmatch(placeholder)
    value = numbers.get(tuple(found["path"].split("."))) if found is not None else None
    if found is None or value is None:
        raise LookupError(placeholder)
    if found["sign"] is None:
        return str(value)
    if not isinstance(value, int):
        raise ValueError(f"{placeholder}: a number is added to whole numbers alone, not to {value}")
    result = value + int(found["sign"] + found["other"])
    if result < 0:
        raise ValueError(f"{placeholder} is {result}, and no amount is below 0")
    return str(result)
