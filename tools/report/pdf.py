"""The PDF: typst with named fonts, and nothing else of the machine or the day: the same report has the same octets."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import typst
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]
from matplotlib import get_data_path
from matplotlib.font_manager import findSystemFonts

from .document import Document
from .render import printed

_LAYOUT = Path(__file__).with_name("report.typ")
# What people write and typst's own fonts do not have: of each line the first file that is installed. The first ones are
# of Debian's packages fonts-wqy-microhei and fonts-symbola.
_FONTS = (
    ("wqy-microhei.ttc", "NotoSansCJK-Regular.ttc"),  # Chinese, Japanese, Korean
    ("Symbola_hint.ttf", "Symbola.ttf"),  # emoji and other symbols, in one colour
)
_INVISIBLE = frozenset("\n\u200b")


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
        fonts = folder / "fonts"
        fonts.mkdir()
        for path in installed_fonts():
            (fonts / path.name).symlink_to(path)
        result = typst.compile(
            str(main), root=str(folder), font_paths=[str(fonts)], ignore_system_fonts=True, timestamp=0
        )
    assert isinstance(result, bytes)
    return result


@cache
def installed_fonts() -> Sequence[Path]:
    """The fonts beside typst's own that this machine has."""
    found = {path.name: path for path in map(Path, findSystemFonts())}
    return [next(found[name] for name in names if name in found) for names in _FONTS if found.keys() & set(names)]


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
        char if ord(char) in known or char in _INVISIBLE else instead or f"‹U+{ord(char):04X}›" for char in text
    )


@cache
def _known() -> frozenset[int]:
    """The characters of DejaVu Sans Mono, which typst brings along and matplotlib has a copy of, and of those fonts."""
    mono = Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono.ttf"
    characters: set[int] = set()
    for path in (mono, *installed_fonts()):
        with TTFont(path, fontNumber=0, lazy=True) as font:
            characters.update(font.getBestCmap())
    return frozenset(characters)
