"""Failures grouped by cause, in the order in which they are worth mending. Knows no format and no terminal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from conformance.engine.causes import RACES
from conformance.engine.verdict import Result
from pychat.spec import Spec

from .record import messages_of, place

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cause(Generic[T]):
    """Failures of one cause, each case once, the simplest first; `cuts` has all ways in which each was cut."""

    text: str
    cases: tuple[T, ...]
    cuts: dict[str, tuple[T, ...]]

    @property
    def example(self) -> T:
        """The one that is shown whole."""
        return self.cases[0]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is looked at of a failure. `size` is how much has passed in it, `place` where it stands in a list.

    One that is `vague` shows that `rules[0]` is broken, and not how: it is counted with those that say more.
    """

    id: str
    whole: bool
    cause: Hashable
    text: str
    rules: tuple[str, ...]
    vague: bool
    must: bool
    size: int
    place: tuple[int, ...]


def grouped(failures: Iterable[T], facts: Callable[[T], Facts]) -> list[Cause[T]]:
    """The causes; those of a MUST first, and that whose simplest case is the simplest of all.

    A case belongs to the cause of its first failure: when its octets are cut in another way, it may fail in another
    step, and is no mistake of its own.
    """
    known = [(facts(failure), failure) for failure in failures]
    known.sort(key=lambda pair: (not pair[0].whole, pair[0].size, pair[0].place))
    cuts: dict[str, list[T]] = {}
    groups: dict[Hashable, list[tuple[Facts, T]]] = {}
    for fact, failure in known:
        if fact.id not in cuts:
            groups.setdefault(fact.cause, []).append((fact, failure))
        cuts.setdefault(fact.id, []).append(failure)
    for cause in [cause for cause, some in groups.items() if some[0][0].vague]:
        vague = groups.pop(cause)
        for fact, failure in vague:
            clear = (some for some in groups.values() if any(fact.rules[0] in other.rules for other, _ in some))
            (next(clear, None) or groups.setdefault(cause, [])).append((fact, failure))
    heads = sorted(groups.values(), key=lambda some: not any(fact.must for fact, _ in some))
    return [
        Cause(some[0][0].text, tuple(each for _, each in some), {fact.id: tuple(cuts[fact.id]) for fact, _ in some})
        for some in map(_typical, heads)
    ]


def _typical(some: list[tuple[Facts, T]]) -> list[tuple[Facts, T]]:
    """A group; the simplest case of the message that most of them are about comes first, and not a rare one."""
    messages = Counter(_message(fact) for fact, _ in some)
    most = max(messages.values())
    return sorted(some, key=lambda pair: messages[_message(pair[0])] < most)


def _message(fact: Facts) -> str:
    return fact.id.partition("/")[2].partition("/")[0]


def facts_of_result(spec: Spec, result: Result) -> Facts:
    """What is looked at of a result."""
    order = place(result.id, [*spec.live_states, spec.final], messages_of(spec))
    size = len(result.entries) + result.left_out
    must, verdict = result.level == "MUST", result.verdict.value
    return _facts(
        result.id, result.segment, verdict, result.cause, result.words, (result.rule, *result.rules), must, size, order
    )


def facts_of_line(header: dict[str, Any], case: dict[str, Any]) -> Facts:
    """The same of a case in a record."""
    order = place(case["id"], header["states"], header["messages"])
    size = len(case["transcript"]) + case["left_out"]
    must, words, rules = case["level"] == "MUST", f"{case['got']} {case['note']}", (case["rule"], *case["rules"])
    return _facts(case["id"], case["segment"], case["verdict"], case["cause"], words, rules, must, size, order)


def _facts(
    id_: str, segment: str, verdict: str, cause: str, words: str, rules: tuple[str, ...], must: bool,
    size: int, order: tuple[int, int],
) -> Facts:  # fmt: skip
    text = cause or re.sub("[0-9]+", "0", words)  # the numbers in unique names are no cause
    return Facts(id_, segment == "whole", (verdict, text), text, rules, cause == RACES, must, size, order)
