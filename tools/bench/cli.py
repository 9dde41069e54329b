"""The command: runs every workload on every server, in turns, and prints the results.

The option and the JSON call a server `peer`.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import click

from conformance.engine import programs
from pychat.command import Command, say

from .contenders import Contender, all_contenders
from .load import LostLineError
from .process import NotStartedError, Server, cores, raise_limits
from .report import OURS, TARGETS, Run, medians, ratio, reached, tables
from .workloads import WORKLOADS, Pace, Workload

QUICK = Pace(warm=0.1, seconds=0.25, drain=3.0, divide=8)


def chosen(names: str | None, known: Mapping[str, Any], what: str) -> list[str]:
    """The names of a comma-separated list, all without one. Raises click.BadParameter for one that is not known."""
    if names is None:
        return [name for name, row in known.items() if not getattr(row, "extra", False)]
    picked = [name.strip() for name in names.split(",")]
    for name in picked:
        if name not in known:
            raise click.BadParameter(f"{name!r} is none of {', '.join(known)}", param_hint=what)
    return picked


def measure(contender: Contender, work: Workload, pace: Pace, number: int = 1) -> Run:
    """One measurement on a fresh server, with the load on a core of its own."""
    trouble = work.unfit(contender)
    if trouble:
        return Run(work.name, contender.name, number, {}, trouble)
    theirs, ours = cores()
    try:
        with Server(contender, theirs) as server, _undisturbed(ours):
            return Run(work.name, contender.name, number, work.measure(server, work, pace))
    except (LostLineError, NotStartedError) as error:
        return Run(work.name, contender.name, number, {}, str(error), lost=True)


@contextmanager
def _undisturbed(on: set[int]) -> Iterator[None]:
    """Pins the load to its core, and lets no garbage collector stop it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, on)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        os.sched_setaffinity(0, before)


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    return {
        "cpu": cpu.partition(":")[2].strip(),
        "cores": str(os.cpu_count()),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def version(contender: Contender) -> str:
    """The first line in which a server names its version."""
    if not contender.version:
        return ""
    said = programs.run(contender.version)
    return (said.stdout + said.stderr).strip().partition("\n")[0]


@click.command(cls=Command)
@click.option("--peers", help="Which servers, separated by commas. Without it: all that are installed.")
@click.option("--workloads", help="Which workloads, separated by commas. Without it: all.")
@click.option("--runs", type=click.IntRange(1), help="How many runs, in turns; the medians are shown.  [default: 5]")
@click.option("--seconds", type=float, help="How long each measurement is.  [default: 2]")
@click.option("--quick", is_flag=True, help="One short run with smaller crowds: under a minute, for a first look.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Writes every figure.")
@click.option("--plot", "plot_file", type=click.Path(dir_okay=False, path_type=Path), help="Draws the ratios.")
def main(
    peers: str | None,
    workloads: str | None,
    runs: int | None,
    seconds: float | None,
    quick: bool,
    json_file: Path | None,
    plot_file: Path | None,
) -> None:
    """Measures what a delivered line costs this server and others, side by side."""
    rows = all_contenders()
    pace = QUICK if quick else Pace()
    pace = replace(pace, seconds=seconds or pace.seconds)
    contenders = [rows[name] for name in chosen(peers, rows, "--peers")]
    works = [WORKLOADS[name] for name in chosen(workloads, WORKLOADS, "--workloads")]
    for contender in [contender for contender in contenders if contender.missing]:
        say(f"{contender.name} is left out: {contender.missing} is not installed", err=True)
        contenders.remove(contender)
    raise_limits()
    runs = runs or (1 if quick else 5)
    done = list(_alternating(contenders, works, pace, runs))
    smaller = f", large crowds divided by {pace.divide}" if pace.divide > 1 else ""
    say(", ".join(f"{what} {value}" for what, value in machine().items()))
    say(f"medians of {runs} runs in turns, {pace.seconds:g} s each{smaller}\n\n{tables(done)}")
    if json_file is not None:
        json_file.write_text(json.dumps(record(done, contenders, pace), indent=1) + "\n", encoding="utf-8")
    if plot_file is not None:
        from .plot import plot

        plot(done, plot_file)
    if any(run.lost for run in done if run.server == OURS):
        raise SystemExit(1)


def _alternating(contenders: list[Contender], works: list[Workload], pace: Pace, runs: int) -> Iterator[Run]:
    """Every workload on every server, and that again: the first server of a run is the last one of the next."""
    total = len(contenders) * len(works) * runs
    turns = product(range(runs), works, range(len(contenders)))
    for count, (number, work, place) in enumerate(turns, 1):
        contender = contenders[(place + number) % len(contenders)]
        run = measure(contender, work, pace, number + 1)
        cost = f"{run.figures['rate']:,.0f} {work.unit}s/s" if "rate" in run.figures else "done"
        say(f"{count}/{total} {work.name} {contender.name}: {run.trouble or cost}", err=True)
        yield run


def record(runs: list[Run], contenders: list[Contender], pace: Pace) -> dict[str, Any]:
    """Everything that was measured, for programs."""
    found = medians(runs)
    return {
        "command": [Path(sys.executable).name, "-m", "tools.bench", *sys.argv[1:]],
        "machine": machine(),
        "versions": {contender.name: version(contender) for contender in contenders},
        "pace": asdict(pace),
        "runs": [{"peer" if name == "server" else name: value for name, value in asdict(run).items()} for run in runs],
        "medians": [{"workload": work, "peer": server, **figures} for (work, server), figures in found.items()],
        "targets": [
            {**asdict(target), "found": ratio(target, found), "reached": reached(target, found)} for target in TARGETS
        ],
    }
