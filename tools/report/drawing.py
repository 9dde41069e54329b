"""A small writer of SVG: lines, boxes, arrows and texts. Knows nothing of what they mean."""

from __future__ import annotations

from html import escape

INK, ACCENT, FAINT, RULE, SHADE = "#1b2733", "#1f5f8b", "#5b6b7a", "#c9d3dc", "#f3f6f9"
RED, GREEN, ORANGE, VIOLET = "#b3312c", "#2c7a4b", "#b86e00", "#6b4c9a"
TEAL, PINK = "#4a7c7e", "#c2408a"
_MONO = "'DejaVu Sans Mono', Menlo, Consolas, monospace"


_ADVANCE = 0.602  # width of a character of DejaVu Sans Mono, for a size of 1


class Drawing:
    """Shapes on a sheet of this width; the height grows with them. Coordinates in pixels, from the upper left."""

    def __init__(self, width: float) -> None:
        self.width = width
        self.height = 0.0
        self._shapes: list[str] = []

    def line(
        self, x1: float, y1: float, x2: float, y2: float, colour: str = INK, width: float = 1, dash: str = ""
    ) -> None:
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self._shapes.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
            f'stroke-width="{width}"{dashed}/>'
        )
        self._grow(max(y1, y2))

    def arrow(self, x1: float, x2: float, y: float, colour: str = INK, width: float = 1.2) -> None:
        """A level arrow with its head at `x2`."""
        back = -7 if x2 > x1 else 7
        self.line(x1, y, x2 + back / 2, y, colour, width)
        points = f"{x2:.1f},{y:.1f} {x2 + back:.1f},{y - 3.4:.1f} {x2 + back:.1f},{y + 3.4:.1f}"
        self._shapes.append(f'<polygon points="{points}" fill="{colour}"/>')
        self._grow(y + 4)

    def box(
        self, x: float, y: float, width: float, height: float, fill: str = SHADE, stroke: str = RULE, radius: float = 3
    ) -> None:
        self._shapes.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius}" fill="{fill}" '
            f'stroke="{stroke}"/>'
        )
        self._grow(y + height)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float = 11,
        colour: str = INK,
        anchor: str = "start",
        bold: bool = False,
        background: str = "",
    ) -> None:
        """Words with their base line at `y`; `anchor` is start, middle or end. A middle one may have a background."""
        if background:
            width = len(words) * size * _ADVANCE + size
            self.box(x - width / 2, y - size, width, size * 1.4, background, background, 0)
        weight = ' font-weight="bold"' if bold else ""
        self._shapes.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-family="{_MONO}" font-size="{size}" fill="{colour}" '
            f'text-anchor="{anchor}"{weight} xml:space="preserve">{escape(words)}</text>'
        )
        self._grow(y + size * 0.3)

    def svg(self) -> str:
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:.0f}" '
            f'width="{self.width:g}" height="{self.height:.0f}">' + "".join(self._shapes) + "</svg>"
        )

    def _grow(self, y: float) -> None:
        self.height = max(self.height, y)
