"""Plots with matplotlib, as SVG that is the same each time. Knows numbers and labels, not what they mean."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from .drawing import ACCENT, FAINT, GREEN, INK, ORANGE, RED, RULE, VIOLET

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = (ACCENT, ORANGE, GREEN, VIOLET, RED, "#4a7c7e", "#8a6d3b", "#7a7a7a")
MOST_POINTS = 1500  # of one kind in one drawing: each is an element of the SVG, which costs the PDF memory
LEAST_SPAN = 0.006  # of the time of a drawing: the width of a span that is shorter
_WIDTH = 6.6  # inches of a drawing
_ADVANCE = 0.066  # inches of a character of a label
_Item = TypeVar("_Item")
_STYLE: Any = {  # Any: matplotlib types the key of each setting
    "svg.hashsalt": "pychat",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "lines.linewidth": 1.2,
}


def plot(
    draw: Callable[[Any], None], *, rows: int = 1, columns: int = 1, height: float = 2.4, labels: Sequence[str] = ()
) -> str:
    """An SVG of `rows` times `columns` panels, in inches; `draw` is given the panels (or the only one).

    `labels`: of the vertical axes of all drawings that stand one below the other, which then begin at the same place.
    """
    from matplotlib import rc_context  # it takes a second, which a report without drawings saves
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, height))
        canvas: Any = FigureCanvasSVG(figure)  # Any: its methods have no types
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        draw(panels[0] if len(panels) == 1 else panels)
        figure.tight_layout()
        if labels:
            figure.subplots_adjust(left=(0.15 + _ADVANCE * max(map(len, labels))) / _WIDTH, right=0.985)
        output = io.StringIO()
        canvas.print_svg(output, metadata={"Date": None, "Creator": None})  # savefig() would draw everything twice
    return output.getvalue()


def grouped(items: Sequence[_Item], most: int) -> list[Sequence[_Item]]:
    """The items in as few groups as have at most `most` each, all of nearly the same size."""
    count = -(-len(items) // most)
    edges = [round(index * len(items) / count) for index in range(count + 1)] if count else []
    return [items[low:high] for low, high in pairwise(edges)]


def thinned(points: Sequence[Any], most: int = MOST_POINTS) -> Sequence[Any]:
    """At most as many of the points as a printed plot can show, evenly, the first and the last among them."""
    if len(points) <= most:
        return points
    step = (len(points) - 1) / (most - 1)
    return [points[round(index * step)] for index in range(most)]


def dots(
    axes: Axes, points: Iterable[tuple[Decimal | float, float]], colour: str, label: str = "", marker: str = "."
) -> None:
    """A mark at each point; `label` is for the legend."""
    size = 3.5 if marker == "." else 5
    axes.plot(*_coordinates(points), marker, color=colour, markersize=size, label=label or None)


def steps(axes: Axes, points: Iterable[tuple[Decimal | float, float]], colour: str, label: str = "") -> None:
    """A line that keeps each value until the next point."""
    axes.step(*_coordinates(points), where="post", color=colour, label=label or None)


def _coordinates(points: Iterable[tuple[Decimal | float, float]]) -> tuple[list[float], list[float]]:
    pairs = list(points)
    return [float(x) for x, _ in pairs], [y for _, y in pairs]


def titled(axes: Axes, title: str, x: str, y: str) -> None:
    """A title, and what the axes show; between the title and the axes is room for a legend."""
    axes.set_title(title, pad=15)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def keyed(axes: Axes) -> None:
    """A legend above the axes, where it covers no line."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.01, 0.98), ncols=3, borderaxespad=0, handlelength=1.2, columnspacing=1.2
    )


def bars(
    axes: Axes, names: Sequence[str], spans: Sequence[Sequence[tuple[Decimal, Decimal, str]]], colours: dict[str, str]
) -> None:
    """For each name a row of coloured spans: start, length and the key of its colour. The first name is on top.

    A span is at least LEAST_SPAN of the whole time wide, so that it is seen; the later one covers the earlier one.
    """
    ends = [(float(start), float(start + length)) for row in spans for start, length, _ in row]
    whole = max((last for _, last in ends), default=0) - min((first for first, _ in ends), default=0)
    for index, row in enumerate(spans):
        for start, length, key in row:
            axes.barh(
                index,
                max(float(length), LEAST_SPAN * whole, 1e-9),
                left=float(start),
                height=0.62,
                color=colours[key],
                edgecolor="white",
                linewidth=0.4,
            )
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)


def legend(colours: dict[str, str]) -> str:
    """An SVG with the colours and their names, to stand above panels."""

    from matplotlib.patches import Patch

    def draw(axes: Axes) -> None:
        axes.set_axis_off()
        handles = [Patch(color=colour, label=name) for name, colour in colours.items()]
        axes.legend(
            handles=handles, loc="center left", ncols=len(handles), handlelength=1.2, columnspacing=1.2, fontsize=8
        )

    return plot(draw, height=0.28)
