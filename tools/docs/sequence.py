"""Sequence diagrams of examples, as SVG that takes its colours from the page. Knows no spec and no protocol.

The server stands between the people. A frame leaves one lifeline at one height and reaches the other one lower down:
what was sent first at the server is handled first, and each end reads its stream from top to bottom. So frames that
were on their way at the same time cross in the drawing as they crossed in the network.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from .interactions import Arrow, Interaction

STEP = 38  # pixels between two events of one lifeline
SLANT = 17  # how much lower a frame arrives at least
TOP, BOTTOM, SIDE = 58, 26, 70
LETTER = 7.3  # the width of a character of the labels
GAP = (230, 340)  # between two lifelines: the least and the most
NARROW = 540  # pixels below which a drawing is not squeezed, but scrolled
LONGEST = 46  # characters of a label; what is longer is cut


@dataclass(slots=True)
class _Line:
    """An arrow with the heights at which it leaves one lifeline and reaches the other."""

    arrow: Arrow
    start: float
    end: float


@dataclass(slots=True)
class _Layout:
    """The heights of all arrows, from top to bottom. `sides`: -1 left of the server, 1 right of it."""

    interaction: Interaction
    sides: dict[str, int]
    columns: dict[str, float]
    lines: list[_Line] = field(default_factory=list)
    height: float = 0.0

    def place(self) -> None:
        last: dict[str, float] = {}  # the lowest event of each person
        server = float(TOP)
        handled: dict[int, float] = {}
        spoke: dict[str, int] = {}  # the last arrow from each person, if none has come back since
        for index, arrow in enumerate(self.interaction.arrows):
            if arrow.kind in ("send", "finish", "reset"):
                start = max(self._free(arrow.who, last), server - SLANT + STEP / 2)
                end = max(start + SLANT, server + STEP / 2)
                server = handled[index] = end
                last[arrow.who] = start
                spoke[arrow.who] = index
            else:
                start = handled.get(arrow.cause, server) if arrow.cause is not None else server
                end = max(start + SLANT, self._free(arrow.who, last))
                if arrow.cause is not None and arrow.cause < spoke.pop(arrow.who, 0):
                    end += STEP * 0.3 + self._drop(arrow, end - start)
                last[arrow.who] = end
            self.lines.append(_Line(arrow, start, end))
        self.height = max(max(line.start, line.end) for line in self.lines) + BOTTOM

    def _drop(self, arrow: Arrow, fall: float) -> float:
        """How much lower a label ends than it begins: a crossing line needs that room below the line it crosses."""
        distance = abs(self.columns[arrow.who] - self.columns[""])
        return len(placed_label(arrow)) * LETTER * fall / distance

    def _free(self, who: str, last: dict[str, float]) -> float:
        """The first height at which an end may do something: lines of two people never lie over each other."""
        beside = [name for name, side in self.sides.items() if side == self.sides[who] and name in last]
        return max((last[name] for name in beside), default=TOP - STEP / 2) + STEP


def draw(interaction: Interaction) -> str:
    """The example as an SVG element."""
    left, right = sides(list(interaction.people))
    columns, width = _columns(interaction, left, right)
    layout = _Layout(interaction, {**dict.fromkeys(left, -1), **dict.fromkeys(right, 1)}, columns)
    layout.place()
    head = (
        f'<svg class="sequence" role="img" aria-label="{html.escape(interaction.example.title)}" '
        f'viewBox="0 0 {width:g} {layout.height:g}" '
        f'style="--width:{width:g}px;min-width:{min(0.8 * width, NARROW):g}px" xmlns="http://www.w3.org/2000/svg">'
    )
    parts = [head, *_lifelines(interaction, columns, layout.height)]
    parts += [_arrow(line, columns) for line in layout.lines]
    return "".join([*parts, "</svg>"])


def sides(people: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Who stands on the left of the server, and who on the right."""
    first = 2 if len(people) > 3 else 1
    return people[:first], people[first:]


def _columns(interaction: Interaction, left: Sequence[str], right: Sequence[str]) -> tuple[dict[str, float], float]:
    """The place of each lifeline, "" for the server's, as wide as the labels between them need it."""
    longest: dict[str, int] = {}
    for arrow in interaction.arrows:
        longest[arrow.who] = max(longest.get(arrow.who, 0), len(placed_label(arrow)))
    gaps = {who: min(max(longest[who] * LETTER + 96, GAP[0]), GAP[1]) for who in interaction.people}
    columns: dict[str, float] = {}
    x = float(SIDE)
    for who in reversed(left):
        columns[who] = x
        x += gaps[who]
    columns[""] = x
    for who in right:
        x += gaps[who]
        columns[who] = x
    return columns, x + SIDE


def _lifelines(interaction: Interaction, columns: dict[str, float], height: float) -> list[str]:
    parts = []
    for who, x in columns.items():
        name = html.escape(interaction.people.get(who, "server"))
        kind = "server" if not who else "person"
        wide = max(76.0, len(name) * 8.4 + 24)
        parts.append(
            f'<line class="life {kind}" x1="{x:g}" y1="36" x2="{x:g}" y2="{height - 8:g}"/>'
            f'<rect class="head {kind}" x="{x - wide / 2:g}" y="8" width="{wide:g}" height="28" rx="6"/>'
            f'<text class="name {kind}" x="{x:g}" y="27">{name}</text>'
        )
    return parts


def _arrow(line: _Line, columns: dict[str, float]) -> str:
    arrow = line.arrow
    person, server = columns[arrow.who], columns[""]
    outward = arrow.kind in ("send", "finish", "reset")
    x1, x2 = (person, server) if outward else (server, person)
    towards = 1 if x2 > x1 else -1
    tip = x2 - towards * (5 if outward else 2)
    kind = arrow.kind if arrow.kind in ("finish", "reset", "end") else "in" if outward else "out"
    if kind == "out" and arrow.cause is None:
        kind = "out alone"
    shaft = f'<line class="frame {kind}" x1="{x1:g}" y1="{line.start:g}" x2="{tip:g}" y2="{line.end:g}"/>'
    text = _text(placed_label(arrow), person, server, line, outward)
    mark = ""
    if arrow.kind == "reset":
        mark = f'<path class="cross" d="M{person - 5:g} {line.start - 5:g}l10 10m0 -10l-10 10"/>'
    return f"<g>{shaft}{_head(tip, x1, line, kind)}{mark}{text}</g>"


def _head(tip: float, x1: float, line: _Line, kind: str) -> str:
    """The arrow's head, turned along its line."""
    dx, dy = tip - x1, line.end - line.start
    size = (dx * dx + dy * dy) ** 0.5
    ux, uy = dx / size, dy / size
    bx, by = tip - 9 * ux, line.end - 9 * uy
    return (
        f'<path class="tip {kind}" d="M{tip:.1f} {line.end:.1f}L{bx - 4 * uy:.1f} {by + 4 * ux:.1f}'
        f'L{bx + 4 * uy:.1f} {by - 4 * ux:.1f}z"/>'
    )


def _text(label: str, person: float, server: float, line: _Line, outward: bool) -> str:
    """The label, along the line and above it, at the end of the person whose frame it is."""
    at, other = (line.start, line.end) if outward else (line.end, line.start)
    left = person < server
    slope = (other - at) / (server - person)
    angle = math.degrees(math.atan(slope))
    x = person + (12 if left else -12)
    y = at + slope * (x - person)
    turn = f"translate({x:.1f} {y:.1f}) rotate({angle:.2f}) translate(0 -5)"
    return (
        f'<text class="label" transform="{turn}" text-anchor="{"start" if left else "end"}">{html.escape(label)}</text>'
    )


def placed_label(arrow: Arrow) -> str:
    """What stands at an arrow: the frame without the words of a refusal, cut where it is long."""
    words = {"finish": "ends its sending half", "reset": "reset", "end": "end of the stream"}
    label = words.get(arrow.kind, arrow.label)
    return label if len(label) <= LONGEST else label[: LONGEST - 1] + "…"
