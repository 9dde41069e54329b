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

from .play import Act, Play

STEP = 38  # pixels between two events of one lifeline
SLANT = 17  # how much lower a frame arrives at least
TOP, BOTTOM, SIDE = 58, 26, 70
LETTER = 7.3  # the width of a character of the labels
GAP = (230, 340)  # between two lifelines: the least and the most
NARROW = 540  # pixels below which a drawing is not squeezed, but scrolled
LONGEST = 46  # characters of a label; what is longer is cut


@dataclass(slots=True)
class _Arrow:
    act: Act
    start: float  # heights
    end: float = 0.0


@dataclass(slots=True)
class _Layout:
    """Heights of everything: who speaks when, and when the server has handled it."""

    play: Play
    sides: dict[str, int]
    columns: dict[str, float]
    arrows: list[_Arrow] = field(default_factory=list)
    height: float = 0.0

    def place(self) -> None:
        last: dict[str, float] = {}  # of each person: his lowest event
        server = float(TOP)
        handled: dict[int, float] = {}
        spoke: dict[str, int] = {}  # of each person: what he has sent since he last got something
        for index, act in enumerate(self.play.acts):
            if act.kind in ("send", "finish", "reset"):
                start = max(self._free(act.who, last), server - SLANT + STEP / 2)
                end = max(start + SLANT, server + STEP / 2)
                server = handled[index] = end
                last[act.who] = start
                spoke[act.who] = index
                self.arrows.append(_Arrow(act, start, end))
            else:
                start = handled.get(act.cause, server) if act.cause is not None else server
                end = max(start + SLANT, self._free(act.who, last))
                if act.cause is not None and act.cause < spoke.pop(act.who, 0):
                    end += STEP * 0.3 + self._drop(act, end - start)
                last[act.who] = end
                self.arrows.append(_Arrow(act, start, end))
        self.height = max(max(arrow.start, arrow.end) for arrow in self.arrows) + BOTTOM

    def _drop(self, act: Act, fall: float) -> float:
        """How much a label falls along its line: a crossing one needs so much room below the line that it crosses."""
        distance = abs(self.columns[act.who] - self.columns[""])
        return len(_label(act)) * LETTER * fall / distance

    def _free(self, who: str, last: dict[str, float]) -> float:
        """The first height at which an end may do something: lines of two people never lie over each other."""
        beside = [name for name, side in self.sides.items() if side == self.sides[who] and name in last]
        return max((last[name] for name in beside), default=TOP - STEP / 2) + STEP


def draw(play: Play, server: str = "server") -> str:
    """The example as an SVG element."""
    people = list(play.people)
    left, right = people[:1], people[1:]
    if len(people) > 3:
        left, right = people[:2], people[2:]
    columns, width = _columns(play, left, right)
    layout = _Layout(play, {**dict.fromkeys(left, -1), **dict.fromkeys(right, 1)}, columns)
    layout.place()
    head = (
        f'<svg class="sequence" role="img" aria-label="{html.escape(play.example.title)}" '
        f'viewBox="0 0 {width:g} {layout.height:g}" '
        f'style="width:{width:g}px;min-width:{min(width, NARROW):g}px" xmlns="http://www.w3.org/2000/svg">'
    )
    parts = [head, *_lifelines(play, columns, layout.height, server)]
    parts += [_arrow(arrow, columns) for arrow in layout.arrows]
    return "".join([*parts, "</svg>"])


def _columns(play: Play, left: Sequence[str], right: Sequence[str]) -> tuple[dict[str, float], float]:
    """The place of each lifeline, "" for the server's, as wide as the labels between them need it."""
    longest: dict[str, int] = {}
    for act in play.acts:
        longest[act.who] = max(longest.get(act.who, 0), len(_label(act)))
    gaps = {who: min(max(longest[who] * LETTER + 96, GAP[0]), GAP[1]) for who in play.people}
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


def _lifelines(play: Play, columns: dict[str, float], height: float, server: str) -> list[str]:
    parts = []
    for who, x in columns.items():
        name = html.escape(play.people.get(who, server))
        kind = "server" if not who else "person"
        wide = max(76.0, len(name) * 8.4 + 24)
        parts.append(
            f'<line class="life {kind}" x1="{x:g}" y1="36" x2="{x:g}" y2="{height - 8:g}"/>'
            f'<rect class="head {kind}" x="{x - wide / 2:g}" y="8" width="{wide:g}" height="28" rx="6"/>'
            f'<text class="name {kind}" x="{x:g}" y="27">{name}</text>'
        )
    return parts


def _arrow(arrow: _Arrow, columns: dict[str, float]) -> str:
    act = arrow.act
    person, server = columns[act.who], columns[""]
    outward = act.kind in ("send", "finish", "reset")
    x1, x2 = (person, server) if outward else (server, person)
    towards = 1 if x2 > x1 else -1
    tip = x2 - towards * (5 if outward else 2)
    kind = act.kind if act.kind in ("finish", "reset", "end") else "in" if outward else "out"
    if kind == "out" and act.cause is None:
        kind = "out alone"
    line = f'<line class="frame {kind}" x1="{x1:g}" y1="{arrow.start:g}" x2="{tip:g}" y2="{arrow.end:g}"/>'
    label = _label(act)
    text = _text(label, person, server, arrow, outward)
    mark = ""
    if act.kind == "reset":
        mark = f'<path class="cross" d="M{person - 5:g} {arrow.start - 5:g}l10 10m0 -10l-10 10"/>'
    return f"<g>{line}{_head(tip, x1, arrow, kind)}{mark}{text}</g>"


def _head(tip: float, x1: float, arrow: _Arrow, kind: str) -> str:
    """The arrow's head, turned along its line."""
    dx, dy = tip - x1, arrow.end - arrow.start
    size = (dx * dx + dy * dy) ** 0.5
    ux, uy = dx / size, dy / size
    bx, by = tip - 9 * ux, arrow.end - 9 * uy
    return (
        f'<path class="tip {kind}" d="M{tip:.1f} {arrow.end:.1f}L{bx - 4 * uy:.1f} {by + 4 * ux:.1f}'
        f'L{bx + 4 * uy:.1f} {by - 4 * ux:.1f}z"/>'
    )


def _text(label: str, person: float, server: float, arrow: _Arrow, outward: bool) -> str:
    """The label, along the line and above it, at the end of the person whose frame it is."""
    at, other = (arrow.start, arrow.end) if outward else (arrow.end, arrow.start)
    left = person < server
    slope = (other - at) / (server - person)
    angle = math.degrees(math.atan(slope))
    x = person + (12 if left else -12)
    y = at + slope * (x - person)
    turn = f"translate({x:.1f} {y:.1f}) rotate({angle:.2f}) translate(0 -5)"
    return (
        f'<text class="label" transform="{turn}" text-anchor="{"start" if left else "end"}">{html.escape(label)}</text>'
    )


def _label(act: Act) -> str:
    words = {"finish": "ends its sending half", "reset": "reset", "end": "end of the stream"}.get(act.kind, act.shown)
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"
