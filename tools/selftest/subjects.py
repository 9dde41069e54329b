"""The programs that are judged, and how each is started: the correct ones and the mutants. Runs none of them."""

from __future__ import annotations

import difflib
import fnmatch
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pychat.spec import Spec

from .mutants.client import client_mutants
from .mutants.mutant import Mutant
from .mutants.server import server_mutants

Side = Literal["server", "client"]
SIDES: tuple[Side, ...] = ("server", "client")
STUDENT = Path(__file__).parents[2] / "tests" / "student"
SERVER = "--host {host} --port {port} --spec {spec} --max-connections {max}"
TIMERS = "--registration {registration} --probe {probe} --silence {silence} --stalled {stalled} --linger {linger}"


def subjects(side: Side, *, changed: bool = False) -> dict[str, str]:
    """The commands of the correct programs: the shipped one, the one that mutants change, the independent one.

    The independent one reads no spec, so it cannot be judged by one that is not the shipped one (`changed`).
    """
    student = f"{shlex.quote(sys.executable)} {shlex.quote(str(STUDENT / side))}.py"
    if side == "server":
        shipped = _python("pychat", f"server {SERVER}")
        student += f" --host {{host}} --port {{port}} --max-connections {{max}} {TIMERS}"
    else:
        shipped = _python("pychat", "client {host}:{port} --plain" + " --spec {spec}" * changed)
        student += " {host} {port}"
    found = {f"shipped {side}": shipped, f"mutable {side}": command(side, "none", changed=changed)}
    return found if changed else {**found, f"student {side}": student}


def command(side: Side, mutant: str, *, changed: bool = False) -> str:
    """How a mutant is started. A client has no timers, so it reads a spec file only of a changed spec."""
    fields = SERVER if side == "server" else " --spec {spec}" * changed + " {host} {port}"
    return _python(f"tools.selftest.mutants.{side}", f"--mutant {shlex.quote(mutant)} {fields}")


def _python(module: str, arguments: str) -> str:
    return f"{shlex.quote(sys.executable)} -m {module} {arguments}"


def mutants_of(side: Side, spec: Spec) -> list[Mutant[Any]]:
    """Every mutant of one side."""
    return [*(server_mutants(spec) if side == "server" else client_mutants(spec))]


def selected(side: Side, spec: Spec, patterns: Sequence[str]) -> list[Mutant[Any]]:
    """The mutants whose names match one of the patterns; all without a pattern."""
    found = mutants_of(side, spec)
    return [each for each in found if any(fnmatch.fnmatchcase(each.name, pattern) for pattern in patterns or ("*",))]


def nearest(spec: Spec, text: str) -> list[str]:
    """The three names of mutants that are most like this text."""
    names = [mutant.name for side in SIDES for mutant in mutants_of(side, spec)]
    return difflib.get_close_matches(text, names, n=3, cutoff=0)
