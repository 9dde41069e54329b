"""The PDF: typst, its own fonts, and nothing of the machine or the day, so that the same report has the same octets."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import typst
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]
from matplotlib import get_data_path

from .document import Document
from .render import printed

_LAYOUT = Path(__file__).with_name("report.typ")


def pdf(document: Document, short: str) -> bytes:
    """The document as PDF; `short` stands in the running head."""
    content, drawings = printed(document, short)
    with tempfile.TemporaryDirectory(prefix="pychat-report-") as name:
        folder = Path(name)
        (folder / "report.json").write_text(json.dumps(_drawable(content), ensure_ascii=False), encoding="utf-8")
        for file, svg in drawings.items():
            (folder / file).write_text(_characters(svg, "□"), encoding="utf-8")
        main = folder / "report.typ"
        main.write_bytes(_LAYOUT.read_bytes())
        result = typst.compile(str(main), root=str(folder), ignore_system_fonts=True, timestamp=0)
    assert isinstance(result, bytes)
    return result


def _drawable(value: Any) -> Any:
    """The value with every character replaced that the fonts cannot draw."""
    if isinstance(value, str):
        return _characters(value)
    if isinstance(value, list | tuple):
        return [_drawable(item) for item in value]
    if isinstance(value, dict):
        return {key: _drawable(item) for key, item in value.items()}
    return value


def _characters(text: str, instead: str = "") -> str:
    """`text` with `instead`, or its code, for every character that the fonts cannot draw."""
    if text.isascii():
        return text
    known = _known()
    return "".join(
        char if ord(char) in known or char in "\n\u200b" else instead or f"‹U+{ord(char):04X}›" for char in text
    )


@cache
def _known() -> frozenset[int]:
    """The characters of DejaVu Sans Mono, which typst brings along and matplotlib has a copy of."""
    with TTFont(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono.ttf", lazy=True) as font:
        return frozenset(font.getBestCmap())
