"""The patterns of the session: request and answer, push, relay, think time, silence and keep-alive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

from tools.report.analysis.connections import Connection
from tools.report.analysis.session import ANSWERS
from tools.report.analysis.transport import Spread
from tools.report.document import Block, Figure, Paragraph, Section, first_of, listed, plural, quoted, seconds
from tools.report.drawing import ACCENT, GREEN, INK, ORANGE, RED, VIOLET
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.packets import Line
from tools.report.plots import plot, swatches, thinned

_DRAWN = 16
_SILENT = 1.0  # seconds without a packet from which a connection counts as silent
_TYPED = 0.1  # seconds of a median think time that a person takes, and no network
_COLOURS = {
    "request": ACCENT,
    "answer": GREEN,
    "refusal": RED,
    "relayed line": VIOLET,
    "other push": ORANGE,
    "goodbye": INK,
}


def sections(findings: Findings) -> list[Section]:
    """A paragraph for each pattern, then all frames over time, coloured by pattern."""
    blocks: list[Block] = [
        *_answers(findings),
        *_pushes(findings),
        *_relays(findings),
        *_thinking(findings),
        *_silence(findings),
        *_keeping(findings),
        *_probes(findings),
    ]
    if findings.speaking:
        blocks.append(_figure(findings))
    return [Section("Patterns of the session", blocks, 2)]


def _answers(findings: Findings) -> list[Block]:
    name = findings.protocol
    answered = [line for line in findings.lines if line.delay is not None and line.kind in ANSWERS]
    spread = Spread.of([line.delay for line in answered if line.delay is not None])
    if spread is None:
        return []
    return [
        Paragraph(
            f"Request and answer: a client asks, and the server answers on the same connection. "
            f"{plural(spread.count, 'answer')} came {_range(spread)} after the request.",
            Evidence.showing(f'{name}.time && ({name}.kind == "answer" || {name}.kind == "refusal")', answered),
        )
    ]


def _pushes(findings: Findings) -> list[Block]:
    pushed, evidence = findings.of_kind("push")
    if not pushed:
        return []
    counts = Counter(line.verb for line in pushed)
    names = listed([f"{count:,} {quoted(verb)}" for verb, count in counts.most_common()])
    return [
        Paragraph(
            "Push: the server sends a line that this client has not asked for. "
            f"{plural(len(pushed), 'push', 'pushes')} {'was' if len(pushed) == 1 else 'were'} sent: {names}. A client "
            "must read at any time, not only after a request.",
            evidence,
        )
    ]


def _relays(findings: Findings) -> list[Block]:
    relayed = [line for line in findings.lines if line.relay_time is not None]
    spread = Spread.of([line.relay_time for line in relayed if line.relay_time is not None])
    if spread is None:
        return []
    return [
        Paragraph(
            f"Relay: a {quoted(findings.words.say)} of one client becomes a {quoted(findings.words.heard)} to its "
            f"partner, on another TCP connection. {plural(spread.count, 'line')} reached the partner "
            f"{_range(spread)} after the server had received {'it' if spread.count == 1 else 'them'}. A relayed line "
            "has no answer.",
            Evidence.showing(f"{findings.protocol}.relay_time", relayed),
        )
    ]


def _thinking(findings: Findings) -> list[Block]:
    spread = Spread.of([gap for call in findings.calls for _, gap in call.think_times()])
    said = [line.number for line in findings.lines if line.verb == findings.words.say and line.from_client]
    if spread is None:
        return []
    own = f'{findings.protocol}.verb == "{findings.words.say}" && {findings.protocol}.from == "client"'
    longer = ": far longer than the network takes" if spread.median > _TYPED else ""
    return [
        Paragraph(
            "Think time: from the partner's line, or the answer to the call, to the user's own next line. "
            f"{plural(spread.count, 'time')}, {_range(spread)}{longer}.",
            Evidence.of(own, said),
        )
    ]


def _silence(findings: Findings) -> list[Block]:
    """The longest time without a packet on an open connection, and how much of their time connections are silent."""
    gaps = [
        (after.time - before.time, one, before, after)
        for one in findings.speaking
        for before, after in pairwise(sorted(one.packets, key=lambda packet: packet.time))
    ]
    if not gaps:
        return []
    longest, one, before, after = max(gaps, key=lambda gap: gap[0])
    if longest < _SILENT:
        words = f"Silence: no connection was without a packet for a second; the longest gap is {seconds(longest)}"
    else:
        silent = sum(gap for gap, *_ in gaps if gap >= _SILENT)
        whole = sum(one.last - one.first for one in findings.speaking)
        words = (
            f"Silence: an open connection sends nothing while nobody types. Gaps of a second or more make up "
            f"{silent / whole:.0%} of the time of the connections; the longest is {seconds(longest)}"
        )
    return [
        Paragraph(
            f"{words}, in stream {one.stream} ({one.who}) between frames {before.number} and {after.number}.",
            Evidence.frames_alone([before.number, after.number]),
        )
    ]


def _keeping(findings: Findings) -> list[Block]:
    """TCP's keep-alives; those that probe a closed window are no keep-alives."""
    marked = [packet for packet in findings.packets if "tcp.analysis.keep_alive" in packet.analysis]
    evidence = findings.select("tcp.analysis.keep_alive", marked)
    if not marked:
        return [Paragraph("TCP keep-alive: Wireshark marks no segment as one.", evidence)]
    full = {event.packet.number for event in findings.events if event.kind == "window probe"}
    probes = [packet for packet in marked if packet.number in full]
    words = f"TCP keep-alive: Wireshark marks {plural(len(marked), 'segment')} as such"
    if len(probes) == len(marked):
        words += ", sent while the other end's window was zero: they ask whether the window is open again"
        words = words.replace("they ask", "it asks") if len(marked) == 1 else words
    elif probes:
        words += f"; {len(probes)} of them were sent to a zero window, and ask whether it is open again"
    else:
        words += ": a segment without new octets, which asks whether the other end still exists"
    return [Paragraph(f"{words}.", evidence)]


def _probes(findings: Findings) -> list[Block]:
    """The protocol's own keep-alive: the server's question after silence, and how many were answered."""
    words = findings.words
    probes = [line for line in findings.lines if line.verb == words.probe and not line.from_client]
    evidence = findings.pushed(words.probe)
    kept = f"Keep-alive of the protocol: after silence, the server sends {quoted(words.probe)}"
    if not probes:
        return [Paragraph(f"{kept}. This capture holds none.", evidence)]
    answered = _answered(findings.lines, words.probe, words.probed)
    if len(probes) == 1:
        result = "It was answered" if answered else "It was not answered"
    elif answered == len(probes):
        result = "Both were answered" if answered == 2 else "All were answered"
    elif answered == 0:
        result = "Neither was answered" if len(probes) == 2 else "None was answered"
    else:
        result = f"{answered} {'was' if answered == 1 else 'were'} answered, {len(probes) - answered} not"
    return [Paragraph(f"{kept}, {plural(len(probes), 'time')} here. {result} in this capture.", evidence)]


def _answered(lines: Sequence[Line], probe: str, answer: str) -> int:
    """How many probes of the server were answered by their client before the next one."""
    waiting: set[int] = set()
    count = 0
    for line in lines:
        if line.verb == probe and not line.from_client:
            waiting.add(line.stream)
        elif line.verb == answer and line.from_client and line.stream in waiting:
            waiting.discard(line.stream)
            count += 1
    return count


def _range(spread: Spread) -> str:
    """`1.2 ms to 3 ms (median 2 ms)`, or the only value."""
    if spread.count == 1:
        return seconds(spread.least)
    return f"{seconds(spread.least)} to {seconds(spread.most)} (median {seconds(spread.median)})"


def _pattern(line: Line) -> str:
    """The key of a line's colour; empty for items of a list, which belong to their answer."""
    if line.kind == "push":
        return "relayed line" if line.relayed_from is not None else "other push"
    return line.kind if line.kind in _COLOURS else ""


def _figure(findings: Findings) -> Figure:
    shown = findings.speaking[:_DRAWN]
    points: dict[str, list[tuple[Decimal, int]]] = {kind: [] for kind in _COLOURS}
    for row, one in enumerate(shown):
        for line in one.lines:
            if _pattern(line):
                points[_pattern(line)].append((line.time - findings.start, row))
    lines = [line for one in shown for line in one.lines if _pattern(line)]

    def draw(axes: Any) -> None:
        for row, one in enumerate(shown):
            axes.plot([one.first - findings.start, one.last - findings.start], [row, row], color="#c9d3dc", linewidth=3)
        for kind, places in points.items():
            few = thinned(places)
            axes.plot(
                [x for x, _ in few],
                [y for _, y in few],
                "|",
                color=_COLOURS[kind],
                markersize=11,
                markeredgewidth=1.3,
            )
        axes.set_yticks(range(len(shown)), [f"{one.who} ({one.stream})" for one in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("seconds since the first packet")
        swatches(axes, {kind: colour for kind, colour in _COLOURS.items() if points[kind]})

    return Figure(
        f"The lines of each connection over time, coloured by pattern{first_of(shown, findings.speaking)}. TCP stream "
        "in brackets; grey while the connection is open",
        plot(draw, height=0.9 + 0.2 * len(shown)),
        "For each connection a grey bar, with a coloured mark for each line of the protocol",
        _cited(findings, lines, shown),
    )


def _cited(findings: Findings, lines: Sequence[Line], shown: Sequence[Connection]) -> Evidence:
    streams = ", ".join(str(one.stream) for one in shown)
    kinds = ", ".join(f'"{kind}"' for kind in ("request", "answer", "refusal", "push", "goodbye"))
    name = findings.protocol
    return Evidence.showing(f"{name}.kind in {{{kinds}}} && tcp.stream in {{{streams}}}", lines)
