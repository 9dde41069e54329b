"""The chat session: the states of the connections over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tools.report.analysis.connections import Connection
from tools.report.document import Block, Column, Figure, Paragraph, Section, Table, first_of, plural, seconds
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.packets import ACK, SYN
from tools.report.plots import COLOURS, LEAST_SPAN, bars, grouped, legend, plot
from tools.report.sections.notes import lacking

_DRAWN = 48
_PANEL = 8  # connections in one panel of the drawing
_SHOWN = 200


def sections(findings: Findings) -> list[Section]:
    """What the connections went through."""
    return [Section("The chat session", _states(findings))]


def _states(findings: Findings) -> list[Block]:
    shown = findings.speaking[:_DRAWN]
    names = [*findings.spec.states, "unknown"]
    colours = dict(zip(names, ("#b9c4ce", "#7fb08f", COLOURS[0], "#3a3f45", "#e0b0ae"), strict=False))
    used = {period.state for one in shown for period in findings.periods(one)}
    parts = grouped(shown, _PANEL)
    own_scale = ", each panel with its own time axis" if len(parts) > 1 else ""
    moves = [line.number for one in shown for line in one.lines if line.state != line.state_after]
    changed = [line.number for line in findings.lines if line.state_change]
    evidence = Evidence.nearly(f"{findings.protocol}.state_change", changed, moves)
    known = sum(
        line.state != line.state_after and "unknown" not in (line.state, line.state_after) for line in findings.lines
    )
    changes = "No line of this capture shows a change of the state."
    if known:
        changes = f"In this capture, {plural(known, 'line changes', 'lines change')} the state."
    if lacking(findings):
        changes += " Where packets are missing, the state is unknown until later lines tell it."
    table = []
    for one in findings.speaking[:_SHOWN]:
        row = findings.periods(one)
        words = " → ".join(f"{period.state} {seconds(period.ended - period.begun)}" for period in row)
        table.append((one.who, words, ", ".join(str(period.frame) for period in row)))

    def draw() -> list[str]:
        panels = [_panel(findings, part, colours, [one.label for one in shown]) for part in parts]
        return [legend({name: colour for name, colour in colours.items() if name in used}), *panels]

    return [
        Paragraph(
            "A connection is always in one state of the specification. Only the server's answers and pushes change "
            f"it, never a request alone. {changes}",
            evidence,
        ),
        Figure(
            f"The states of the connections over time{first_of(shown, findings.speaking)}{own_scale}. TCP stream in "
            f"brackets. A state of less than {LEAST_SPAN:.1%} of the time is drawn that wide. The frames are those "
            "that change a state",
            draw,
            "For each connection a bar whose colours are its states",
            evidence,
        ),
        Table(
            "How long each connection was in each state, and the frames in which the states begin: first the "
            "connection's first packet, then the lines that change the state",
            (Column("Who"), Column("States", share=3), Column("Frames", share=1)),
            table,
            _begun(findings),
            small=True,
        ),
    ]


def _begun(findings: Findings) -> Evidence:
    """The frames in which a state begins."""
    frames = [period.frame for one in findings.speaking[:_SHOWN] for period in findings.periods(one)]
    changed = {line.number for line in findings.lines if line.state_change}
    opened = {packet.number for packet in findings.packets if packet.has(SYN) and not packet.has(ACK)}
    words = f"{findings.protocol}.state_change || (tcp.flags.syn == 1 && tcp.flags.ack == 0 && {findings.scope})"
    return Evidence.nearly(words, changed | opened, frames)


def _panel(findings: Findings, shown: Sequence[Connection], colours: dict[str, str], labels: Sequence[str]) -> str:
    """The states of some connections over time. `labels`: those of all panels."""
    spans = [
        [(period.begun - findings.start, period.ended - period.begun, period.state) for period in findings.periods(one)]
        for one in shown
    ]

    def draw(axes: Any) -> None:
        bars(axes, [one.label for one in shown], spans, colours)
        axes.set_xlabel("seconds since the first packet")

    return plot(draw, height=0.55 + 0.17 * len(shown), labels=labels)
