"""Servers and clients that are broken on purpose, so that the judge can be judged: each is one row of data.

A mutant is a correct implementation in which one thing is wrong. Most are a wrong table: the engine interprets the
spec, so a changed spec (`change`) is a changed server. What no spec says (order, closing, who gets what) is a small
subclass of the engine (`engine`) that overrides one step.

    rows       derived from every row of the table: dropped, wrong target, no answer, two answers, wrong code, …
    numbers    derived from every number and every word of the spec: lengths, budgets, endings, reasons, timers
    conduct    written by hand: what a server does beside its table
    engine     the correct server that they change;  server  its sockets and its command line
    client     the same for clients: a correct client made of small steps, and its mutants
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pychat.spec.model import Spec

from .engine import Engine


def unchanged(spec: Spec) -> Spec:
    """The spec as it is."""
    return spec


@dataclass(frozen=True)
class Mutant:
    """A server in which one thing is broken. `near` begins the ids of the cases that should see it first."""

    name: str
    breaks: str
    change: Callable[[Spec], Spec] = unchanged
    engine: type[Engine] = Engine
    near: str = ""
    timed: bool = False  # only a case that waits for a timer can see it


CORRECT = Mutant("none", "Nothing: the correct server.")


def server_mutants(spec: Spec) -> list[Mutant]:
    """All of them, each name once."""
    from . import conduct, numbers, rows

    return [*rows.mutants(spec), *numbers.mutants(spec), *conduct.mutants(spec)]


def find_server(spec: Spec, name: str) -> Mutant | None:
    """The mutant of this name, None if there is none."""
    return next((mutant for mutant in [CORRECT, *server_mutants(spec)] if mutant.name == name), None)
