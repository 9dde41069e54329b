"""The chat session's patterns: states over time, who talked with whom, sizes, rates, think times."""

from __future__ import annotations

from typing import Any

from tools.report.analysis.chats import periods, think_times
from tools.report.analysis.transport import Spread
from tools.report.document import (
    Block,
    Column,
    Figure,
    Paragraph,
    Section,
    Table,
    first_of,
    numbers,
    octets,
    plural,
    seconds,
)
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.plots import COLOURS, bars, plot, steps, swatches, thinned, titled

_SHOWN = 30
_LISTED = 60  # frames that a filter can name one by one


def sections(findings: Findings) -> list[Section]:
    """What people did."""
    sections = [Section("The chat session", _states(findings))]
    if findings.chats:
        sections.append(Section("Who talked with whom", _chats(findings), 2))
        sections.append(Section("Sizes, rates and think times", _patterns(findings), 2))
    return sections


def _states(findings: Findings) -> list[Block]:
    shown = findings.speaking[:_SHOWN]
    names = [*findings.spec.states, "unknown"]
    colours = dict(zip(names, ("#b9c4ce", "#7fb08f", COLOURS[0], "#3a3f45", "#e0b0ae"), strict=False))
    rows = [periods(one) for one in shown]
    used = {period.state for row in rows for period in row}
    spans = [
        [(period.begun - findings.start, period.ended - period.begun, period.state) for period in row] for row in rows
    ]
    moves = [line.number for line in findings.lines if line.state != line.state_after]

    def draw(axes: Any) -> None:
        bars(axes, [f"{one.who} ({one.stream})" for one in shown], spans, colours)
        swatches(axes, {name: colour for name, colour in colours.items() if name in used})
        axes.set_xlabel("seconds since the first packet")

    table = []
    for one, row in zip(shown, rows, strict=True):
        words = " → ".join(f"{period.state} {seconds(period.ended - period.begun)}" for period in row)
        table.append((one.who, words, ", ".join(str(period.frame) for period in row)))
    return [
        Paragraph(
            "A connection is always in one state of the specification. Only the server's answers and pushes change "
            f"it, never a request alone. {plural(len(moves), 'line')} of this capture changed a state."
        ),
        Figure(
            f"The states of the connections over time{first_of(shown, findings.speaking)} (TCP stream in brackets)",
            plot(draw, height=0.9 + 0.16 * len(shown)),
            "For each connection a bar whose colours are its states",
            Evidence.frames_alone(moves) if len(moves) <= _LISTED else None,
        ),
        Table(
            "The same in figures: how long each connection was in each state, and the frames of the changes (the "
            "first is its first packet)",
            (Column("Who"), Column("States", share=3), Column("Frames", share=1)),
            table,
            small=True,
        ),
    ]


def _chats(findings: Findings) -> list[Block]:
    shown = findings.chats[:_SHOWN]
    rows = []
    for chat in shown:
        one, other = chat.by(chat.caller), chat.by(chat.called)
        rows.append(
            (
                str(chat.number),
                f"{chat.caller} → {chat.called}",
                findings.since(chat.begun),
                seconds(chat.ended - chat.begun),
                f"frame {chat.accepted}" if chat.accepted else "no",
                f"{len(one)} / {len(other)}",
                f"{octets(sum(line.octets for line in one))} / {octets(sum(line.octets for line in other))}",
                chat.end,
            )
        )
    named = [line.number for line in findings.lines if line.chat is not None]
    people = list(dict.fromkeys(line.speaker for chat in shown for line in chat.said))[:_SHOWN]
    said = [line for chat in shown for line in chat.said]

    def draw(axes: Any) -> None:
        for index, chat in enumerate(shown):
            for row, who in enumerate(people):
                points = thinned(chat.by(who), 1500 // len(people) + 2)
                axes.scatter(
                    [line.time - findings.start for line in points],
                    [row] * len(points),
                    s=[8 + line.octets**0.5 * 2 for line in points],
                    color=COLOURS[index % len(COLOURS)],
                    alpha=0.75,
                    label=f"chat {chat.number}" if who == chat.caller else None,
                    linewidths=0,
                )
        axes.set_yticks(range(len(people)), people)
        axes.invert_yaxis()
        axes.margins(y=0.2)
        axes.set_xlabel("seconds since the first packet")
        if len(shown) <= 8:
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=8, borderaxespad=0.2, handletextpad=0.1)

    blocks: list[Block] = [
        Table(
            "The chats: who called whom, and what was said. Lines and octets: by the caller / by the called",
            (
                Column("Chat", "right"),
                Column("Caller → called", share=1),
                *numbers("Begins at", "Lasts"),
                Column("Accepted"),
                *numbers("Lines", "Octets"),
                Column("End"),
            ),
            rows,
            Evidence.of(f"{findings.protocol}.chat", named),
            small=True,
        )
    ]
    if said:
        blocks.append(
            Figure(
                "Lines over time: a dot for each line, larger for a longer one, coloured by chat. The frames are "
                "those in which the lines reached the partner",
                plot(draw, height=1.2 + 0.26 * len(people)),
                "Dots along the time, one row for each person",
                _passed_on(findings),
            )
        )
    return blocks


def _passed_on(findings: Findings) -> Evidence:
    """The frames in which lines reached the partner."""
    frames = (line.number for line in findings.lines if line.relayed_from is not None)
    return Evidence.of(f"{findings.protocol}.relayed_from", frames)


def _patterns(findings: Findings) -> list[Block]:
    said = [line for chat in findings.chats for line in chat.said]
    if not said:
        return [Paragraph("No line was sent in a chat.")]
    answering = [pair for chat in findings.chats for pair in think_times(chat.said)]
    rows = []
    for who in list(dict.fromkeys(line.speaker for line in said))[:_SHOWN]:
        own = [line for line in said if line.speaker == who]
        sizes = [line.octets for line in own]
        span = sum(chat.ended - chat.begun for chat in findings.chats if who in (chat.caller, chat.called))
        thinking = Spread.of([gap for speaker, gap in answering if speaker == who])
        rows.append(
            (
                who,
                str(len(own)),
                octets(min(sizes)),
                octets(sorted(sizes)[len(sizes) // 2]),
                octets(max(sizes)),
                f"{60 * len(own) / span:,.0f}" if span > 0 else "–",
                seconds(thinking.median) if thinking else "–",
                seconds(thinking.most) if thinking else "–",
            )
        )

    def draw(panels: Any) -> None:
        panels[0].hist([line.octets for line in said], bins=20, color=COLOURS[0], edgecolor="white", linewidth=0.4)
        titled(panels[0], "Line lengths", "octets with the verb and the LF", "lines")
        times = sorted(line.took * 1e3 for line in said if line.took is not None)
        if times:
            points = thinned(times)
            steps(panels[1], [(time, (index + 1) / len(points)) for index, time in enumerate(points)], COLOURS[1])
            panels[1].set_xscale("log")
        titled(panels[1], "Relay time", "ms from the sender's segment to the partner's", "share of lines")

    evidence = _passed_on(findings)
    return [
        Table(
            "Lines of each user: number, their octets, lines a minute while in a chat, and the think time (from the "
            "partner's line to the next own one)",
            (
                Column("Who", share=1),
                *numbers(
                    "Lines", "Shortest", "Median", "Longest", "A minute", "Think time (median)", "Longest think time"
                ),
            ),
            rows,
            evidence,
        ),
        Figure(
            "Line lengths and relay times",
            plot(draw, columns=2, height=2.3),
            "A histogram and a curve",
            evidence,
        ),
    ]
