"""The patterns of the session: request and answer, push, relay, think time, silence and keep-alive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

from tools.report.analysis.connections import Connection
from tools.report.analysis.session import ANSWERS
from tools.report.analysis.thinking import longer_than_the_path
from tools.report.analysis.transport import Spread
from tools.report.analysis.windows import stops, waited
from tools.report.document import (
    Block,
    Column,
    Figure,
    Paragraph,
    Section,
    Table,
    first_of,
    listed,
    numbers,
    plural,
    quoted,
    seconds,
    span,
)
from tools.report.drawing import ACCENT, GREEN, INK, ORANGE, PINK, RED, TEAL, VIOLET
from tools.report.evidence import Evidence, among
from tools.report.findings import Findings
from tools.report.packets import Line
from tools.report.plots import MOST_POINTS, grouped, legend, plot, thinned
from tools.report.sections.notes import lacking

_DRAWN = 48
_PANEL = 8  # connections in one panel of the drawing
_NAMED = 5  # frames in a sentence
_LISTED = 60  # frames that a filter names one by one
_SILENT = 1.0  # seconds without a packet from which a connection counts as silent
_HALF = Decimal("0.5")  # of a relay time, from which the window is its cause
_COLOURS = {
    "request": ACCENT,
    "answer": GREEN,
    "item": TEAL,
    "refusal": RED,
    "relayed line": VIOLET,
    "other push": ORANGE,
    "reply": PINK,
    "goodbye": INK,
}


def sections(findings: Findings) -> list[Section]:
    """A paragraph for each pattern, then all frames over time, coloured by pattern."""
    blocks: list[Block] = [
        *_kinds(findings),
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


def _kinds(findings: Findings) -> list[Block]:
    """Every line of the capture in exactly one row."""
    words, counts = findings.words, Counter(_pattern(findings, line) for line in findings.lines)
    asked = [line for line in findings.lines if _pattern(findings, line) == "request"]
    own = sum(line.verb == words.say for line in asked)
    wrong = sum(line.request not in findings.spec.requests for line in asked)
    request = "a client asks, and the server answers"
    request += f"; {own:,} {'is' if own == 1 else 'are'} {quoted(words.say)}, which succeeds without one" if own else ""
    request += f"; {wrong:,} {'is' if wrong == 1 else 'are'} no request of the specification" if wrong else ""
    meanings = {
        "request": request,
        "answer": "the server does what was asked for, and says so",
        "item": "one of the lines before the answer to a request for a list",
        "refusal": "the server does not do what was asked for, and says why",
        "relayed line": f"the server passes on a {quoted(words.say)} of the partner, as a {quoted(words.heard)}",
        "other push": "the server tells the client something that it has not asked for",
        "reply": f"{quoted(words.probed)}: a client replies to the server's {quoted(words.probe)}; it asks for nothing",
        "goodbye": "the server's last line when it ends the connection",
        "": "cannot be told: the rest of a line whose beginning is missing, or none of the specification",
    }
    rows = [(name or "other", f"{counts[name]:,}", text) for name, text in meanings.items() if counts[name]]
    return [
        Table(
            f"The {plural(len(findings.lines), 'line')} of the protocol by pattern",
            (Column("Pattern"), *numbers("Lines"), Column("What happens", share=1)),
            rows,
            Evidence.showing(findings.protocol, findings.lines),
        )
    ]


def _answers(findings: Findings) -> list[Block]:
    name = findings.protocol
    answered = [line for line in findings.lines if line.delay is not None and line.kind in ANSWERS]
    return _delays(
        "Request and answer: a client sends a request, and the server answers on the same connection.",
        ("answer", "request"),
        [(line, line.delay) for line in answered if line.delay is not None],
        f'{name}.time && ({name}.kind == "answer" || {name}.kind == "refusal")',
    )


def _relays(findings: Findings) -> list[Block]:
    say, heard = quoted(findings.words.say), quoted(findings.words.heard)
    found = [(line, line.relay_time) for line in findings.lines if line.relay_time is not None]
    blocks = _delays(
        f"Relay: the server passes a {say} of one client to its partner, as a {heard} on the partner's TCP connection. "
        f"A relayed {say} has no answer.",
        ("relayed line", "original"),
        found,
        f"{findings.protocol}.relay_time",
    )
    return blocks + _held_up(findings, found)


def _held_up(findings: Findings, found: Sequence[tuple[Line, Decimal]]) -> list[Block]:
    """Of the relayed lines those that waited for room in the partner's window, and how long the others took."""
    stopped = {one.stream: stops(one, from_client=False) for one in findings.speaking}
    slow: list[tuple[Line, Decimal]] = []
    rest: list[tuple[Line, Decimal]] = []
    for line, delay in found:
        room = waited(stopped[line.stream], line.time - delay, line.time)
        (slow if room > _HALF * delay else rest).append((line, delay))
    spread, others = Spread.of([delay for _, delay in slow]), Spread.of([delay for _, delay in rest])
    if spread is None:
        return []
    streams = listed([findings.by_stream[number].label for number in sorted({line.stream for line, _ in slow})])
    one = spread.count == 1
    words = (
        f"The partner's window is the cause for {plural(spread.count, 'line')} to {streams}: {_range(spread)}. Most of "
        f"that time {'its' if one else 'their'} receiver's window was full or zero, so the server could not send "
        f"{'it' if one else 'them'} (inferred)."
    )
    if others is not None:
        words += f" The other {plural(others.count, 'line')} took {_range(others)}."
    return [Paragraph(words, Evidence.frames_alone(line.number for line, _ in slow))]


def _delays(pattern: str, names: tuple[str, str], found: Sequence[tuple[Line, Decimal]], shown: str) -> list[Block]:
    """A pattern in which a line (the first of `names`) follows another one (the second): what it is, and the delays."""
    refused = sum(line.kind == "refusal" for line, _ in found)
    spread = Spread.of([delay for _, delay in found])
    if spread is None:
        return []
    later, earlier = names
    among_them = f" ({refused:,} of them {'a refusal' if refused == 1 else 'refusals'})" if refused else ""
    delays = f"The {spread.count:,} {later}s{among_them} followed their {earlier}s after {_range(spread)}."
    if spread.count == 1:
        delays = f"The only {later} followed its {earlier} after {_range(spread)}."
    return [Paragraph(f"{pattern} {delays}", Evidence.showing(shown, [line for line, _ in found]))]


def _pushes(findings: Findings) -> list[Block]:
    pushed, evidence = findings.of_kind("push")
    if not pushed:
        return []
    counts = Counter(line.verb for line in pushed)
    names = listed([f"{count:,} {quoted(verb)}" for verb, count in counts.most_common()])
    return [
        Paragraph(
            "Push: the server sends a line that the client has not requested, so a client must read at any time. The "
            f"capture holds {plural(len(pushed), 'push', 'pushes')}: {names}.",
            evidence,
        )
    ]


def _thinking(findings: Findings) -> list[Block]:
    thought = [each for each in findings.thoughts if not each.disturbed]
    left = [each for each in findings.thoughts if each.disturbed]
    words = (
        "Think time: the time from the partner's line, as it passes the capture point towards the user, to the first "
        "segment of the user's next line. "
    )
    spread = Spread.of([each.took for each in thought])
    if spread is None:
        words += "The capture holds none that can be measured. " if left else "The capture holds none: "
        words += "" if left else "no user answers a line of the partner with a line. "
    else:
        longer, slowest = longer_than_the_path([*thought], findings.gaps)
        words += f"The capture holds {plural(spread.count, 'think time')}: {_range(spread)}. "
        if slowest is not None and longer:
            one = spread.count == 1
            which = "It is" if one else "Each is" if longer == spread.count else f"{longer:,} of them are"
            words += (
                f"{which} longer than any acknowledgement of the client in the same connection took "
                f"({seconds(slowest)} at most, delayed ones included), so most of the time passes at the client, "
                "not on the path (inferred). "
            )
    if left:
        repaired = sorted({packet.number for each in left for packet in each.repairs})
        more = "more " if spread is not None else ""
        words += f"Left out {'is' if len(left) == 1 else 'are'} {plural(len(left), f'{more}exchange')}, since "
        words += f"segments came again or late in between ({_numbers(repaired)})" if repaired else ""
        missing = any(each.missing and not each.repairs for each in left)
        words += (" or " if repaired else "") + "packets may be missing in between" if missing else ""
        words += ": TCP, not the user, may have taken that time. "
    if spread is None:
        cited = [frame for each in left for frame in (each.since, each.frame, *(one.number for one in each.repairs))]
        evidence = Evidence.frames_alone(cited) if left else findings.pushed(findings.words.heard)
        return [Paragraph(words.strip(), evidence)]
    words += "The frame is that of the next line." if spread.count == 1 else "The frames are those of the next lines."
    if spread.count > _LISTED:
        thought = [min(thought, key=lambda each: each.took), max(thought, key=lambda each: each.took)]
        words = words.rpartition("The frames")[0] + (
            "The frames are those of the lines after the shortest and the longest one."
        )
    return [Paragraph(words, Evidence.frames_alone(each.frame for each in thought))]


def _numbers(frames: Sequence[int]) -> str:
    """`frame 5`, `frames 5, 8 and 3 more`."""
    shown = [str(frame) for frame in frames[:_NAMED]]
    shown += [f"{len(frames) - _NAMED} more"] if len(frames) > _NAMED else []
    return f"frame{'s' if len(frames) > 1 else ''} {listed(shown)}"


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
        words = f"Silence: no connection is without a packet for a second; the longest gap is {seconds(longest)}"
    else:
        silent = sum(gap for gap, *_ in gaps if gap >= _SILENT)
        whole = sum(one.last - one.first for one in findings.speaking)
        words = (
            "Silence: while neither end has anything to send, TCP sends nothing, unless its keep-alive is on. Gaps of "
            f"a second or more make up {silent / whole:.0%} of the connections' time; the longest is {seconds(longest)}"
        )
    return [
        Paragraph(
            f"{words}, in stream {one.stream} ({one.who}) between frames {before.number} and {after.number}"
            f"{'. Missing packets may lie in these gaps' if lacking(findings) else ''}.",
            Evidence.frames_alone([before.number, after.number]),
        )
    ]


def _keeping(findings: Findings) -> list[Block]:
    """TCP's keep-alives; those that probe a closed window are no keep-alives."""
    marked = [packet for packet in findings.packets if "tcp.analysis.keep_alive" in packet.analysis]
    evidence = findings.select("tcp.analysis.keep_alive", marked)
    if not marked:
        return [Paragraph("TCP keep-alive: Wireshark marks no segment as a keep-alive.", evidence)]
    full = {event.packet.number for event in findings.events if event.kind == "window probe"}
    probes = [packet for packet in marked if packet.number in full]
    words = f"TCP keep-alive: Wireshark marks {plural(len(marked), 'segment')} as "
    words += "a keep-alive. " if len(marked) == 1 else "keep-alives. "
    if not probes:
        words += "A keep-alive has no new octets; its acknowledgement shows that the other end still exists."
    elif len(probes) == len(marked) == 1:
        words += "It was sent while the receiver's window was zero, so it is a zero-window probe (inferred)."
    elif len(probes) == len(marked):
        words += "All were sent while the receiver's window was zero, so they are zero-window probes (inferred)."
    else:
        words += (
            f"{plural(len(probes), 'of them was', 'of them were')} sent while the receiver's window was zero: "
            f"{'a zero-window probe' if len(probes) == 1 else 'zero-window probes'} (inferred)."
        )
    return [Paragraph(words, evidence)]


def _probes(findings: Findings) -> list[Block]:
    """The protocol's own keep-alive: the server's question after silence, and how many were answered."""
    words = findings.words
    probes = [line for line in findings.lines if line.verb == words.probe and not line.from_client]
    evidence = findings.pushed(words.probe)
    kept = f"Keep-alive of the protocol: the server sends {quoted(words.probe)} to a silent client."
    if not probes:
        return [Paragraph(f"{kept} This capture holds none.", evidence)]
    answered = _answered(findings.lines, words.probe, words.probed)
    if len(probes) == 1:
        result = "one, which was answered" if answered else "one, which was not answered"
    elif answered == len(probes):
        result = "two, and both were answered" if answered == 2 else f"{answered:,}, and all were answered"
    elif answered == 0:
        result = "two, and neither was answered" if len(probes) == 2 else f"{len(probes):,}, and none was answered"
    else:
        result = f"{len(probes):,}; {answered:,} {'was' if answered == 1 else 'were'} answered"
    return [Paragraph(f"{kept} This capture holds {result}.", evidence)]


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
    return f"{span(spread.least, spread.most)} (median {seconds(spread.median)})"


def _pattern(findings: Findings, line: Line) -> str:
    """The key of a line's colour; empty for what is no whole line of the specification."""
    if line.kind == "push":
        return "relayed line" if line.relayed_from is not None else "other push"
    if line.kind == "request" and line.verb == findings.words.probed:
        return "reply"
    return line.kind if line.kind in _COLOURS else ""


def _figure(findings: Findings) -> Figure:
    shown = findings.speaking[:_DRAWN]
    lines = [line for one in shown for line in one.lines if _pattern(findings, line)]
    used = {_pattern(findings, line) for line in lines}
    parts = grouped(shown, _PANEL)
    own_scale = ", each panel with its own time axis" if len(parts) > 1 else ""

    def draw() -> list[str]:
        labels = [one.label for one in shown]
        panels = [_panel(findings, part, labels, MOST_POINTS // len(parts)) for part in parts]
        return [legend({kind: colour for kind, colour in _COLOURS.items() if kind in used}), *panels]

    return Figure(
        f"The lines of each connection over time, coloured by pattern{first_of(shown, findings.speaking)}{own_scale}. "
        "TCP stream in brackets; grey while the connection is open",
        draw,
        "For each connection a grey bar, with a coloured mark for each line of the protocol",
        _cited(findings, lines, shown),
    )


def _panel(findings: Findings, shown: Sequence[Connection], labels: Sequence[str], most: int) -> str:
    """The lines of some connections over time, at most so many of a kind. `labels`: those of all panels."""
    points: dict[str, list[tuple[Decimal, int]]] = {kind: [] for kind in _COLOURS}
    for row, one in enumerate(shown):
        for line in one.lines:
            if _pattern(findings, line):
                points[_pattern(findings, line)].append((line.time - findings.start, row))

    def draw(axes: Any) -> None:
        for row, one in enumerate(shown):
            axes.plot([one.first - findings.start, one.last - findings.start], [row, row], color="#c9d3dc", linewidth=3)
        for kind, places in points.items():
            few = thinned(places, most)
            across, down = [x for x, _ in few], [y for _, y in few]
            axes.plot(across, down, "|", color=_COLOURS[kind], markersize=9, markeredgewidth=1.1)
        axes.set_yticks(range(len(shown)), [one.label for one in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("seconds since the first packet")

    return plot(draw, height=0.55 + 0.17 * len(shown), labels=labels)


def _cited(findings: Findings, lines: Sequence[Line], shown: Sequence[Connection]) -> Evidence:
    streams = among("tcp.stream", sorted(one.stream for one in shown))
    kinds = ", ".join(f'"{kind}"' for kind in ("request", "answer", "item", "refusal", "push", "goodbye"))
    name = findings.protocol
    return Evidence.showing(f"{name}.kind in {{{kinds}}} && {streams}", lines)
