"""The chat session: the states of the connections over time."""

from __future__ import annotations

from typing import Any

from tools.report.document import Block, Column, Figure, Paragraph, Section, Table, first_of, plural, seconds
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.plots import COLOURS, bars, plot, swatches

_DRAWN = 30
_SHOWN = 200
_LISTED = 60  # frames that a filter can name one by one


def sections(findings: Findings) -> list[Section]:
    """What the connections went through."""
    return [Section("The chat session", _states(findings))]


def _states(findings: Findings) -> list[Block]:
    shown = findings.speaking[:_DRAWN]
    names = [*findings.spec.states, "unknown"]
    colours = dict(zip(names, ("#b9c4ce", "#7fb08f", COLOURS[0], "#3a3f45", "#e0b0ae"), strict=False))
    rows = [findings.periods(one) for one in shown]
    used = {period.state for row in rows for period in row}
    spans = [
        [(period.begun - findings.start, period.ended - period.begun, period.state) for period in row] for row in rows
    ]
    moves = [line.number for line in findings.lines if line.state != line.state_after]
    known = sum(
        line.state != line.state_after and "unknown" not in (line.state, line.state_after) for line in findings.lines
    )

    def draw(axes: Any) -> None:
        bars(axes, [f"{one.who} ({one.stream})" for one in shown], spans, colours)
        swatches(axes, {name: colour for name, colour in colours.items() if name in used})
        axes.set_xlabel("seconds since the first packet")

    table = []
    for one in findings.speaking[:_SHOWN]:
        row = findings.periods(one)
        words = " → ".join(f"{period.state} {seconds(period.ended - period.begun)}" for period in row)
        table.append((one.who, words, ", ".join(str(period.frame) for period in row)))
    return [
        Paragraph(
            "A connection is always in one state of the specification. Only the server's answers and pushes change "
            f"it, never a request alone. {plural(known, 'line')} of this capture changed a state."
        ),
        Figure(
            f"The states of the connections over time{first_of(shown, findings.speaking)} (TCP stream in brackets)",
            plot(draw, height=0.9 + 0.16 * len(shown)),
            "For each connection a bar whose colours are its states",
            Evidence.frames_alone(moves) if len(moves) <= _LISTED else None,
        ),
        Table(
            "How long each connection was in each state, and the frames of the changes (the first frame is that of the "
            "connection's first packet)",
            (Column("Who"), Column("States", share=3), Column("Frames", share=1)),
            table,
            small=True,
        ),
    ]
