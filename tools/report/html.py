"""The report as one HTML file: drawings inline, no script needed to read it. Knows what the JSON knows."""

from __future__ import annotations

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from .document import Document
from .render import bound, plain


def html(document: Document) -> str:
    """The document as HTML."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["rich"] = _rich
    environment.filters["drawing"] = _drawing
    return environment.get_template("report.html.j2").render(report=plain(document, drawn=True))


def _rich(text: str) -> Markup:
    """Escaped text, with code for what stands between backticks."""
    parts = [escape(part) for part in bound(text).split("`")]
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else part for index, part in enumerate(parts)
    )


def _drawing(svg: str) -> Markup:
    """An SVG without its prologue. The drawings are this program's own, and texts in them are escaped."""
    return Markup(re.sub(r"^.*?(?=<svg)", "", svg, flags=re.DOTALL))  # noqa: S704
