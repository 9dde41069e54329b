"""Who talked with whom: the chats, and the sizes, rates and think times of their lines."""

from __future__ import annotations

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
from tools.report.plots import COLOURS, plot, steps, thinned, titled
from tools.report.sections.gaps import lacking, late, note

_DRAWN = 30
_SHOWN = 200
_LISTED = 60  # frames that a filter can name one by one


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
    drawn = findings.chats[:_DRAWN]
    people = list(dict.fromkeys(line.speaker for chat in drawn for line in chat.said))[:_DRAWN]
    said = [line for chat in drawn for line in chat.said]

    def draw(axes: Any) -> None:
        for index, chat in enumerate(drawn):
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
        if len(drawn) <= 8:
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=8, borderaxespad=0.2, handletextpad=0.1)

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


def _spoken(findings: Findings, chat: Call, who: str) -> str:
    """How many lines one end of a chat has sent, or its partner has got where its own connection is not there."""
    streams = [stream for stream in chat.streams if findings.by_stream[stream].name == who]
    if streams or len(chat.streams) > 1:
        return str(spoken(chat, who, streams, findings.lacks))
    heard = [line for line in findings.lines if line.talk == chat.number and line.verb == findings.words.heard]
    return f"≥ {sum(not line.from_client for line in heard):,}"


def _passed_on(findings: Findings) -> Evidence:
    """The frames in which lines reached the partner."""
    frames = (line.number for line in findings.lines if line.relayed_from is not None)
    return Evidence.of(f"{findings.protocol}.relayed_from", frames)


def _patterns(findings: Findings) -> list[Block]:
    said = findings.said
    answering = [pair for call in findings.calls for pair in call.think_times()]
    rows = []
    for who in list(dict.fromkeys(line.speaker for line in said))[:_SHOWN]:
        own = [line for line in said if line.speaker == who]
        sizes = [line.octets for line in own]
        chats = [chat for chat in findings.chats if who in (chat.caller, chat.called)]
        span = sum(chat.lasted for chat in chats)
        lines = sum(line.time >= chat.answered.time for chat in chats if chat.answered for line in chat.by(who))
        thinking = Spread.of([gap for speaker, gap in answering if speaker == who])
        rows.append(
            (
                who,
                str(Count(len(own), not lacking(findings))),
                octets(min(sizes)),
                octets(sorted(sizes)[len(sizes) // 2]),
                octets(max(sizes)),
                f"{60 * lines / span:,.0f}" if span > 0 else "–",
                seconds(thinking.median) if thinking else "–",
                seconds(thinking.most) if thinking else "–",
            )
        )

    def draw(panels: Any) -> None:
        sizes = [line.octets for line in said]
        around = max(0.0, (20 - max(sizes) + min(sizes)) / 2)  # lines of one length are a bar, not the whole panel
        span = (min(sizes) - around, max(sizes) + around)
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
    return [
        Table(
            "Lines of each user: number, their octets, lines a minute while in a chat, and the think time (from the "
            "partner's line, or the answer to the call, to the next own line)" + note(findings),
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
