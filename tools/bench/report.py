"""The results of the runs: medians, tables, ratios and targets. Knows no process and no socket."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .workloads import WORKLOADS, Figures

OURS = "pychat"
BUSY = 0.95  # a core that is used more than this is what limits
LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement of one server. `trouble`: why there are no figures; `lost`: it is the server's fault."""

    workload: str
    server: str
    number: int
    figures: Figures
    trouble: str = ""
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A figure in the table: its title, where {unit} stands for what is counted, and its format."""

    figure: str
    title: str
    form: str


COLUMNS = (
    Column("rate", "{unit}s/s", ",.0f"),
    Column("offered", "offered/s", ",.0f"),
    Column("cpu_us", "CPU µs/{unit}", ".3g"),
    Column("p50_ms", "p50 ms", ".3g"),
    Column("p99_ms", "p99 ms", ".3g"),
    Column("p999_ms", "p99.9 ms", ".3g"),
    Column("least", "least/mean", ".2f"),
    Column("kept", "kept", ".2f"),
    Column("before_ms", "p99 before", ".3g"),
    Column("after_ms", "p99 after", ".3g"),
    Column("drain_s", "drained s", ".2f"),
    Column("named_s", "all named s", ".2f"),
    Column("kib_each", "KiB each", ".2f"),
    Column("help_s", "--help s", ".3f"),
    Column("ready_s", "ready s", ".3f"),
    Column("memory_mib", "peak MiB", ".1f"),
    Column("left_mib", "left MiB", ".1f"),
    Column("server_share", "its CPU", ".0%"),
    Column("load_share", "load's CPU", ".0%"),
)


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure of ours must be: at most (or at least) `wanted`, times that of the server `of` if it names one."""

    workload: str
    figure: str
    wanted: float
    of: str = ""
    at_least: bool = False


TARGETS = (
    Target("pipelined-64", "cpu_us", 0.9, "nats-server"),
    Target("pipelined-64", "cpu_us", 0.5, "ngircd"),
    Target("pipelined-64", "cpu_us", 0.06, "mosquitto"),
    Target("pipelined-64", "cpu_us", 3.5, LIMIT),
    Target("pipelined-1000", "cpu_us", 1.2, "nats-server"),
    Target("interactive-50", "cpu_us", 1.0, "nats-server"),
    Target("interactive-50", "cpu_us", 1.25, LIMIT),
    Target("interactive-50", "p99_ms", 1.25, "mosquitto"),
    Target("interactive-4000", "rate", 0.9, "mosquitto", at_least=True),
    Target("interactive-4000", "least", 0.5, at_least=True),
    Target("idle-8000", "kib_each", 3.0),
    Target("idle-8000", "named_s", 10.0),
    Target("startup", "help_s", 0.25),
    Target("startup", "ready_s", 0.5),
)

Medians = dict[tuple[str, str], Figures]  # by workload and server


def medians(runs: Iterable[Run]) -> Medians:
    """The median of each figure over the runs that have it."""
    gathered: dict[tuple[str, str], dict[str, list[float]]] = {}
    for run in runs:
        cell = gathered.setdefault((run.workload, run.server), {})
        for figure, value in run.figures.items():
            cell.setdefault(figure, []).append(value)
    return {
        key: {figure: statistics.median(values) for figure, values in cell.items()} for key, cell in gathered.items()
    }


def tables(runs: Sequence[Run]) -> str:
    """Markdown: a table for each workload, one of what all of them cost, and one of the targets."""
    found = medians(runs)
    names = dict.fromkeys(run.workload for run in runs)
    servers = list(dict.fromkeys(run.server for run in runs))
    parts = [_table(name, servers, found, runs) for name in names]
    if summary := _summary(list(names), servers, found):
        parts.append(summary)
    rows = [row for target in TARGETS if (row := _verdict(target, found)) is not None]
    if rows:
        parts.append("### Targets\n\n" + markdown(["workload", "figure", "wanted", "found", ""], rows))
    return "\n\n".join(parts)


def _summary(names: Sequence[str], servers: Sequence[str], found: Medians) -> str:
    """What each unit costs us, and as a multiple of what it costs each server; empty when we were not measured."""
    others = [server for server in servers if server != OURS]
    rows = []
    for name in names:
        ours = found.get((name, OURS), {}).get("cpu_us")
        if ours is not None:
            theirs = [found.get((name, server), {}).get("cpu_us") for server in others]
            ratios = [f"{ours / cost:.2f}" if cost else "" for cost in theirs]
            rows.append([name, f"{_shown(ours, '.3g')} / {WORKLOADS[name].unit}", *ratios])
    if not rows or not others:
        return ""
    titles = ["workload", f"{OURS}: CPU µs", *(f": {server}" for server in others)]
    return f"### CPU of {OURS}, and as a multiple of each server's\n\n{markdown(titles, rows)}"


def _table(name: str, servers: Sequence[str], found: Medians, runs: Sequence[Run]) -> str:
    unit = WORKLOADS[name].unit
    cells = {server: found.get((name, server), {}) for server in servers}
    columns = [column for column in COLUMNS if any(column.figure in figures for figures in cells.values())]
    ours = cells.get(OURS, {}).get("cpu_us")
    rows = []
    for server, figures in cells.items():
        if figures:
            rows.append([server, *(_shown(figures.get(column.figure), column.form) for column in columns)])
            if ours is not None:
                rows[-1].append(f"{ours / theirs:.2f}" if (theirs := figures.get("cpu_us")) else "")
    titles = ["server", *(column.title.format(unit=unit) for column in columns)]
    if ours is not None:
        titles.append(f"CPU {OURS} : it")
    remarks = _remarks(cells, [run for run in runs if run.workload == name])
    return "\n\n".join([f"### {name}: {WORKLOADS[name].doc}", markdown(titles, rows), *remarks])


def _remarks(cells: Mapping[str, Figures], runs: Iterable[Run]) -> list[str]:
    """Why there is no figure, and whose rate is the load's; each once, with the servers that it is about."""
    about: dict[str, dict[str, None]] = {}
    troubles = {run.server: run.trouble for run in runs if run.trouble}
    for server, trouble in troubles.items():
        about.setdefault(trouble, {})[server] = None
    for server, figures in cells.items():
        if figures.get("load_share", 0) > BUSY > figures.get("server_share", 1):
            about.setdefault("waits for the load, which is busy: it could carry more", {})[server] = None
    return [f"{', '.join(servers)}: {remark}." for remark, servers in about.items()]


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form if abs(value) < 100 or "," in form or "%" in form else ",.0f")


def ratio(target: Target, found: Medians) -> float | None:
    """Our figure, as a multiple of the server's where the target names one; None where one of them was not measured."""
    ours = found.get((target.workload, OURS), {}).get(target.figure)
    theirs = found.get((target.workload, target.of), {}).get(target.figure) if target.of else 1.0
    return None if ours is None or not theirs else ours / theirs


def reached(target: Target, found: Medians) -> bool | None:
    """Whether a target holds, None where it was not measured."""
    value = ratio(target, found)
    return None if value is None else (value >= target.wanted if target.at_least else value <= target.wanted)


def _verdict(target: Target, found: Medians) -> list[str] | None:
    value = ratio(target, found)
    if value is None:
        return None
    column = next(column for column in COLUMNS if column.figure == target.figure)
    sign, of = "≥" if target.at_least else "≤", f" × {target.of}" if target.of else ""
    title = column.title.format(unit=WORKLOADS[target.workload].unit)
    verdict = "reached" if reached(target, found) else "NOT REACHED"
    return [target.workload, title, f"{sign} {target.wanted:g}{of}", f"{value:.3g}{of}", verdict]


def markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns are lined up, the first one left, the others right."""
    widths = [max(len(row[place]) for row in (titles, *rows)) for place in range(len(titles))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(cells: Sequence[str]) -> str:
        fitted = [
            cells[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)),
        ]
        return f"| {' | '.join(fitted)} |"

    return "\n".join([line(titles), line(rule), *(line(row) for row in rows)])
