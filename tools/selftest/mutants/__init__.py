"""Servers and clients that are broken on purpose, so that the judge can be judged: each is one row of data.

A mutant is a correct implementation in which one thing is wrong. Most are a wrong table: the engine interprets the
spec, so a changed spec (`change`) is a changed server. What no spec says (order, closing, who gets what) is a small
subclass of the engine (`engine`) that overrides one step.

    rows       derived from every row of the table: dropped, wrong target, no answer, two answers, wrong code, …
    numbers    derived from every number and every word of the spec: lengths, budgets, endings, reasons, timers
    frames     written by hand: how a server reads frames;  chats  what it does with users and lines
    conduct    … and the order and the ends of what it sends
    engine     the correct server that they change;  server  its sockets and its command line
    client_*   the same for clients, with rows, frames and conduct
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from pychat.spec.model import Spec

if TYPE_CHECKING:
    from .client_engine import Engine as ClientEngine
    from .engine import Engine as ServerEngine

E = TypeVar("E")


def unchanged(spec: Spec) -> Spec:
    """The spec as it is."""
    return spec


@dataclass(frozen=True)
class Mutant(Generic[E]):
    """An implementation in which one thing is broken. `near` is a pattern of the ids of cases that may see it."""

    name: str
    breaks: str
    change: Callable[[Spec], Spec] = unchanged
    engine: type[E] | None = None  # None: the correct one
    near: str = ""
    timed: bool = False  # only a case that waits for a timer can see it


def server_mutants(spec: Spec) -> list[Mutant[ServerEngine]]:
    """All of them, each name once."""
    from . import conduct, numbers, rows

    return [*rows.mutants(spec), *numbers.mutants(spec), *conduct.mutants(spec)]


def client_mutants(spec: Spec) -> list[Mutant[ClientEngine]]:
    """All of them, each name once."""
    from . import client_conduct

    return list(client_conduct.mutants(spec))


def find(mutants: list[Mutant[E]], name: str) -> Mutant[E] | None:
    """The mutant of this name, `none` for the correct implementation; None if there is none."""
    return next((mutant for mutant in [Mutant[E]("none", "Nothing."), *mutants] if mutant.name == name), None)


# Changes that nobody can see, each with the reason; the name of a mutant, or the beginning of several.
EQUIVALENT: dict[str, str] = {
    "codes-compared": "no server may send a code that is not in the spec's tables, so no rule says what comes of it",
}


def equivalent(name: str) -> str:
    """Why nobody can tell this mutant from a correct implementation; nothing if somebody can."""
    return next((reason for start, reason in EQUIVALENT.items() if name.startswith(start)), "")
