"""What a mutant is: a correct server or client in which one thing is broken on purpose. Knows no server and no client.

Most mutants have a wrong table: the engine interprets the spec, so a changed `spec` is a changed server. What no table
says (the order of frames, the end of a connection, the receiver of a line) is an `engine` with one other step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, ParamSpec, TypeVar

from pychat.spec.model import Spec

E = TypeVar("E")
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Mutant(Generic[E]):
    """An implementation in which one thing is broken. `near` is a pattern of the ids of cases that may see it.

    `rule` is the one that is broken, where it is the rule of a row, a fault, a budget or a timer.
    """

    name: str
    breaks: str
    engine: type[E] | None = None  # None: the correct one
    spec: Spec | None = None  # None: the one that it is started with
    near: str = ""
    rule: str = ""


def find(mutants: Sequence[Mutant[E]], name: str) -> Mutant[E] | None:
    """The mutant of this name, `none` for the correct implementation; None if there is none."""
    return next((mutant for mutant in [Mutant[E]("none", "Nothing."), *mutants] if mutant.name == name), None)


def in_spec(spec: Spec, mutants: Iterable[Mutant[E]]) -> list[Mutant[E]]:
    """The mutants, with this spec's verbs in the places of `{relay}` and `{link}` in their patterns."""
    relay, link = spec.verb_that("relay") or "", spec.verb_that("link") or ""
    return [replace(each, near=each.near.replace("{relay}", relay).replace("{link}", link)) for each in mutants]


def variant(base: type[E], **attributes: Any) -> type[E]:
    """A subclass with other attributes."""
    return type(base.__name__, (base,), attributes)


class Table(Generic[E]):
    """Mutants written by hand, in the order of their file. `near` is for rows that name no other pattern.

    Rows stand under `# fmt: off`, so that each has two or three lines: its words and its step, then the other step.
    """

    def __init__(self, base: type[E], near: str = "") -> None:
        self.base, self.near = base, near
        self.mutants: list[Mutant[E]] = []

    def row(self, name: str, breaks: str, step: Callable[P, R], instead: Callable[P, R], near: str = "") -> None:
        """A mutant in which `instead` takes the place of one step of the engine."""
        engine = variant(self.base, **{step.__name__: instead})
        self.mutants.append(Mutant(name, breaks, engine, near=near or self.near))

    def step(self, step: Callable[P, R], near: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]:
        """The same for a decorated function: its name is the mutant's, its docstring says what is broken."""

        def register(instead: Callable[P, R]) -> Callable[P, R]:
            self.row(instead.__name__.replace("_", "-"), instead.__doc__ or "", step, instead, near)
            return instead

        return register

    def engine(self, name: str, near: str = "") -> Callable[[type[E]], type[E]]:
        """The same for a decorated class, in which several steps work together."""

        def register(engine: type[E]) -> type[E]:
            self.mutants.append(Mutant(name, engine.__doc__ or "", engine, near=near or self.near))
            return engine

        return register
