"""The scenarios. Each is a module here, whose function `play` is given a stage; its docstring says what it shows.

A new scenario is a new module and a line in this list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from tools.capture.stage import Stage


@dataclass(frozen=True, slots=True)
class Scenario:
    """A row: the module's name, whether it needs a router that loses packets, and whether `all` leaves it out."""

    name: str
    needs_router: bool = False
    extra: bool = False

    @property
    def play(self) -> Callable[[Stage], None]:
        found: Callable[[Stage], None] = import_module(f"{__name__}.{self.name}").play
        return found


SCENARIOS = {
    row.name: row
    for row in (
        Scenario("chat"),
        Scenario("calls"),
        Scenario("segmentation"),
        Scenario("trouble"),
        Scenario("nagle"),
        Scenario("loss", needs_router=True),
        Scenario("long", extra=True),
    )
}
PEOPLE = ("alice", "bob", "carol", "dave", "erin")
