"""Who talked with whom: the chats, and the sizes, rates and think times of their lines."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from tools.report.analysis.calls import Call
from tools.report.analysis.counts import Count, spoken
from tools.report.analysis.transport import Spread
from tools.report.document import (
    Block,
    Column,
    Figure,
    Section,
    Table,
    first_of,
    numbers,
    octets,
    seconds,
)
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.plots import COLOURS, MOST_POINTS, grouped, legend, plot, steps, thinned, titled
from tools.report.sections.notes import lacking, late, note

_DRAWN = 48
_PANEL = 8  # chats in one panel of the drawing
_SHOWN = 200
_RATED, _RATED_TIME = 5, 1.0  # lines from which their spread or rate means something, and seconds in chats for a rate
_SPEAKERS = {"lines of the caller": COLOURS[0], "lines of the called user": COLOURS[1]}


def sections(findings: Findings) -> list[Section]:
    """What was said, and by whom; nothing where nobody spoke."""
    made = [Section("Who talked with whom", _chats(findings), 2)] if findings.chats else []
    if findings.said:
        made.append(Section("Sizes, rates and think times", _patterns(findings), 2))
    return made


def _chats(findings: Findings) -> list[Block]:
    shown = findings.chats[:_SHOWN]
    rows = []
    for chat in shown:
        one, other = chat.by(chat.caller), chat.by(chat.called)
        assert chat.answered is not None
        rows.append(
            (
                chat.label,
                f"{chat.caller} {'→' if chat.shown else '–'} {chat.called}",
                findings.since(chat.answered.time) if chat.shown else f"before {findings.since(chat.answered.time)}",
                str(chat.answered.frame),
                seconds(chat.lasted) if chat.shown else f"at least {seconds(chat.lasted)}",
                f"{_spoken(findings, chat, chat.caller)} / {_spoken(findings, chat, chat.called)}",
                f"{octets(sum(line.octets for line in one))} / {octets(sum(line.octets for line in other))}",
                "open at the end of the capture" if chat.over is None else f"{chat.going} (frame {chat.over.frame})",
            )
        )
    blocks: list[Block] = [
        Table(
            f"The chats{first_of(shown, findings.chats)}: calls that were answered. A chat lasts from the frame "
            "of the answer to the first frame that shows an end. Lines and octets are those of the caller / of the "
            "called user, with what was sent while it rang" + note(findings) + late(findings),
            (
                Column("Chat", "right"),
                Column("Caller → called", share=1),
                *numbers("Begins at", "Frame", "Lasts", "Lines", "Octets"),
                Column("End", share=1),
            ),
            rows,
            Evidence.frames_alone(moment.frame for chat in shown for moment in (chat.answered, chat.over) if moment),
            small=True,
        )
    ]
    told = [chat for chat in findings.chats if chat.said]
    drawn = told[:_DRAWN]
    parts = grouped(drawn, _PANEL)
    if parts:
        own_scale = ", each panel with its own time axis" if len(parts) > 1 else ""
        blocks.append(
            Figure(
                f"The lines of each chat since its answer{first_of(drawn, told)}{own_scale}: a dot for each line, "
                "larger for a longer one; the caller's above, the called user's below. The frames are those in which "
                "lines reached the partner",
                lambda: [legend(_SPEAKERS), *(_panel(findings, part, drawn) for part in parts)],
                "Dots along the time, one row for each chat",
                _passed_on(findings),
            )
        )
    return blocks


def _spoken(findings: Findings, chat: Call, who: str) -> str:
    """How many lines one end of a chat has sent, or its partner has got where its own connection is not there."""
    streams = [stream for stream in chat.streams if findings.by_stream[stream].name == who]
    if streams or len(chat.streams) > 1:
        return str(spoken(chat, who, streams, findings.lacks))
    heard = [line for line in findings.lines if line.talk == chat.number and line.verb == findings.words.heard]
    return f"≥ {sum(not line.from_client for line in heard):,}"


def _label(chat: Call) -> str:
    return f"{chat.caller} {'→' if chat.shown else '–'} {chat.called} ({chat.number})"


def _panel(findings: Findings, chats: Sequence[Call], drawn: Sequence[Call]) -> str:
    """The lines of some chats over time, a row for each chat; `drawn` are the chats of all panels."""
    most = MOST_POINTS // len(drawn)  # of a speaker

    def draw(axes: Any) -> None:
        for row, chat in enumerate(chats):
            for who, colour in zip((chat.caller, chat.called), _SPEAKERS.values(), strict=True):
                points = thinned(chat.by(who), most + 2)
                times = [line.time - _answered(chat) for line in points]
                sizes = [5 + line.octets**0.5 for line in points]
                place = row + (-0.19 if who == chat.caller else 0.19)  # side by side, so that none covers the other
                axes.scatter(times, [place] * len(points), s=sizes, color=colour, alpha=0.75, linewidths=0)
        axes.set_yticks(range(len(chats)), [_label(chat) for chat in chats])
        axes.set_ylim(len(chats) - 0.4, -0.6)
        axes.set_xlabel("seconds since the answer")

    return plot(draw, height=0.6 + 0.24 * len(chats), labels=[_label(chat) for chat in drawn])


def _answered(chat: Call) -> Decimal:
    """The time of the answer to a call that was answered."""
    assert chat.answered is not None
    return chat.answered.time


def _passed_on(findings: Findings) -> Evidence:
    """The frames in which lines reached the partner."""
    frames = (line.number for line in findings.lines if line.relayed_from is not None)
    return Evidence.of(f"{findings.protocol}.relayed_from", frames)


def _patterns(findings: Findings) -> list[Block]:
    said = findings.said
    thought = [each for each in findings.thoughts if not each.disturbed]
    rows: list[tuple[str, ...]] = []
    for who in list(dict.fromkeys(line.speaker for line in said))[:_SHOWN]:
        own = [line for line in said if line.speaker == who]
        sizes = [line.octets for line in own]
        chats = [chat for chat in findings.chats if who in (chat.caller, chat.called)]
        span = sum(chat.lasted for chat in chats)
        lines = sum(line.time >= chat.answered.time for chat in chats if chat.answered for line in chat.by(who))
        thinking = Spread.of([each.took for each in thought if each.line.speaker == who])
        rated = lines >= _RATED and span >= _RATED_TIME
        rows.append(
            (
                who,
                str(Count(len(own), not lacking(findings))),
                octets(min(sizes)),
                octets(sorted(sizes)[len(sizes) // 2]),
                octets(max(sizes)),
                seconds(span),
                f"{lines / span:.1f}" if rated else "–",
                seconds(thinking.median) if thinking else "–",
                seconds(thinking.most) if thinking else "–",
            )
        )

    def draw(panels: Any) -> None:
        sizes = [line.octets for line in said]
        around = max(0.0, (20 - max(sizes) + min(sizes)) / 2)  # lines of one length are a bar, not the whole panel
        span = (min(sizes) - around, max(sizes) + around)
        panels[0].yaxis.get_major_locator().set_params(integer=True)
        panels[0].hist(sizes, bins=20, range=span, color=COLOURS[0], edgecolor="white", linewidth=0.4)
        titled(panels[0], "Line lengths", "octets with the verb and the LF", "lines")
        times = sorted(1e3 * float(line.took) for line in said if line.took is not None)
        if times:
            points = thinned(times)
            steps(panels[1], [(time, (index + 1) / len(points)) for index, time in enumerate(points)], COLOURS[1])
            if times[-1] > 10 * times[0] > 0:
                panels[1].set_xscale("log")
        titled(panels[1], "Relay time", "ms from the sender's segment to the partner's", "share of lines")

    evidence = _passed_on(findings)
    columns = ["Lines", "Shortest", "Median", "Longest", "In chats", "Lines / s", "Think time (median)", "(longest)"]
    per_second = f", the lines per second of that time (from {_RATED} lines and {_RATED_TIME:g} s on)"
    rate = columns.index("Lines / s")
    if all(row[1 + rate] == "–" for row in rows):
        del columns[rate]
        rows = [(*row[: 1 + rate], *row[2 + rate :]) for row in rows]
        per_second = ""
    blocks: list[Block] = [
        Table(
            f"The lines of each user: their number, their lengths in octets, the time in chats{per_second}, and the "
            "think time (from the arrival of the partner's line to the next own one)" + note(findings),
            (Column("User", share=1), *numbers(*columns)),
            rows,
            evidence,
        )
    ]
    if len(said) >= _RATED:
        blocks.append(
            Figure(
                "Line lengths and relay times",
                lambda: [plot(draw, columns=2, height=2.3)],
                "A histogram and a curve",
                evidence,
            )
        )
    return blocks
