"""The ratios as a picture: for each workload, what a unit costs us as a multiple of what it costs each server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from .report import LIMIT, OURS, TARGETS, Run, medians
from .workloads import WORKLOADS


def plot(runs: Sequence[Run], path: Path) -> None:
    """Writes the picture; the file's ending says in which format."""
    found = medians(runs)
    names = [name for name in WORKLOADS if found.get((name, OURS), {}).get("cpu_us")]
    servers = [server for server in dict.fromkeys(run.server for run in runs) if server != OURS]
    figure = Figure(figsize=(9, 1.5 + 0.45 * len(names)), layout="constrained")
    axes = figure.subplots()
    for server in servers:
        points = [
            (found[name, OURS]["cpu_us"] / theirs, row)
            for row, name in enumerate(names)
            if (theirs := found.get((name, server), {}).get("cpu_us"))
        ]
        label = f"{server} (looks at no octet)" if server == LIMIT else server
        (dots,) = axes.plot(
            *zip(*points, strict=True) if points else ((), ()), "D" if server == LIMIT else "o", label=label
        )
        wanted = [
            (target.wanted, names.index(target.workload))
            for target in TARGETS
            if target.of == server and target.figure == "cpu_us" and target.workload in names
        ]
        axes.plot(*zip(*wanted, strict=True) if wanted else ((), ()), "|", markersize=18, color=dots.get_color())
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlabel(f"CPU of {OURS} per unit, as a multiple of the other's: left of 1 it is cheaper (strokes: targets)")
    axes.xaxis.set_major_formatter("{x:g} ×")
    axes.set_yticks(range(len(names)), [f"{name}\n{found[name, OURS]['cpu_us']:.3g} µs" for name in names])
    axes.invert_yaxis()
    axes.grid(axis="both", alpha=0.3)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.07), ncols=len(servers), frameon=False)
    figure.savefig(path, dpi=150)
