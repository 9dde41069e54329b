"""What a play needs of an implementation, and whether it is offered. Knows how it is started, and no case."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from conformance.cases.play import Play
from pychat.spec import Spec
from pychat.spec.model import Timer

from .target import Command

if TYPE_CHECKING:
    from .worker import Worker

NAMED = {  # what the names in a command's braces stand for, besides the spec's timers
    "port": "the port to listen on", "host": "the address to listen on", "spec": "the file of the spec to serve",
    "max": "the most connections that it admits",
}  # fmt: skip
OF_CLIENT = {"host": "the server's address", "port": "the server's port", "spec": "the file of the spec to follow"}
NAME = re.compile(r"\{([a-z_-]+)\}")
OFFERS = {"max": "its limit of connections: give the command {max}, the most connections that it admits"}


def names(spec: Spec, of: str) -> dict[str, str]:
    """The names that a command may hold in braces, and what each stands for."""
    if of == "client":
        return OF_CLIENT
    timers = {timer.name: f"seconds of the {timer.name} timer" for timer in spec.timers.values()}
    return NAMED | {name: words for name, words in timers.items() if name not in NAMED}


def check_names(command: str, spec: Spec, of: str) -> None:
    """Raises ValueError for a command with a name that there is not, or a client's without the port.

    A server without it takes a free port and says which: `listening on HOST:PORT`.
    """
    known, found = names(spec, of), NAME.findall(command)
    wrong = next((name for name in found if name not in known), None)
    if wrong is not None or (of == "client" and "port" not in found):
        problem = f"there is no {{{wrong}}}" if wrong else "it must take its {port}"
        raise ValueError(f"{command!r}: {problem}; there are {', '.join(f'{{{name}}}' for name in known)}")


class NotTestedError(Exception):
    """The implementation offers no way to test this; the message says what it takes."""


def require(worker: Worker, play: Play) -> None:
    """Raises NotTestedError where a play asks for what is not offered."""
    clocks = (worker.spec.timers[step.timer] for step in play.steps if step.kind == "clock")
    too_long = [timer for timer in clocks if not _short_enough(worker, timer)]
    if too_long:
        raise NotTestedError(_advice(worker, too_long))
    for name, _ in play.server:
        if not worker.has(name):
            raise NotTestedError(OFFERS.get(name, f"its {name}: give the command {{{name}}}"))
    if play.has("signal") and not isinstance(worker.target, Command):
        raise NotTestedError("its shutdown: only a server that was started with --cmd is stopped")


def _short_enough(worker: Worker, timer: Timer) -> bool:
    """Whether both sides have it so short that one can wait for it."""
    return worker.offers(timer) if worker.is_quick else timer.after <= worker.max_wait


def _advice(worker: Worker, timers: list[Timer]) -> str:
    """What it takes. Who is told some of its timers is asked about these, and nobody waits for others."""
    name, real = timers[0].name, [worker.judged.timers[timer.name].after for timer in timers]
    words = f"its {name} timer of {real[0]:g} s: give the command "
    if worker.is_quick:
        return f"{words}{{{name}}} too, or {{spec}}"
    return f"{words}{{spec}} or {{{name}}}, --spec with shorter timers to both sides, or --max-wait {max(real) + 1:g}"
