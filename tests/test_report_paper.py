"""The report on paper: whole filters, letters that can be read, drawings that show all, nothing that tears a table."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from typing import Any

import pytest

from tools.report.document import Column, Document, Figure, Paragraph, Section, Table
from tools.report.evidence import Evidence
from tools.report.pdf import pdf
from tools.report.plots import grouped
from tools.report.render import plain

from .test_report import CAPTURES, RECORDED, evidences, report, report_on, truth
from .test_report_contents import SAMPLE, frames_of, section, text_of

_PRINTED = 166 / 25.4 * 72  # points of the width of a drawing on paper


@cache
def words_of(name: str) -> str:
    """The text of the PDF of a capture."""
    return text_of(pdf(report_on(CAPTURES / name), name))


def squeezed(text: str) -> str:
    """Text without its spaces, so that a break of a line makes no difference."""
    return "".join(text.split())


# --- Filters --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["chat.pcapng", "trouble.pcapng", "loss.pcapng"])
def test_each_filter_on_paper_is_whole(name: str) -> None:
    """What is copied from the PDF is what the JSON has, to the last character."""
    paper = squeezed(words_of(name))
    assert [shown for _, shown, _ in evidences(report(name)) if squeezed(shown) not in paper] == []
    assert "\u200b" not in words_of(name)


def test_a_long_filter_is_whole_in_an_appendix() -> None:
    """However many frames it names; two statements with the same filter share it."""
    evidence = Evidence.frames_alone(range(1, 4000, 2))
    short = Evidence.frames_alone([1, 3])
    parts = (Paragraph("First.", evidence), Paragraph("Second.", evidence), Paragraph("Third.", short))
    text = text_of(pdf(Document("t", "s", (), (Section("s", parts),)), "short"))
    assert text.count("Filter 1 in the appendix") == 2
    assert "Appendix: long display filters" in text
    pages = re.sub(r"\n\n\d+\n\n.*?short", "", text.replace("\f", ""), flags=re.DOTALL)  # without foot and head
    assert squeezed(evidence.display_filter) in squeezed(pages)
    assert short.display_filter in text


# --- Drawings -------------------------------------------------------------------------------------------------------


def drawings(document: Document) -> list[Figure]:
    return [block for part in document.sections for block in part.blocks if isinstance(block, Figure)]


@pytest.mark.parametrize("name", ["chat.pcapng", "routed6.pcapng"])
def test_letters_in_drawings_are_large_enough(name: str) -> None:
    """At least 6.5 points on paper, in the ladder and in the path."""
    sizes = []
    for figure in drawings(report_on(CAPTURES / name)):
        for svg in figure.drawings:
            width = re.search(r'viewBox="0 0 (\d+)', svg)
            sizes += [
                float(size) * _PRINTED / int(width[1]) for size in re.findall(r'font-size="([\d.]+)"', svg) if width
            ]
    assert len(sizes) > 100
    assert min(sizes) > 6.5


def test_the_drawings_show_every_connection() -> None:
    """The sample has 33: panels of at most 8, one below the other."""
    for figure in drawings(report_on(SAMPLE)):
        assert "(the first" not in figure.caption
        assert len(figure.drawings) != 2 or "panel" not in figure.caption
    (states,) = [figure for figure in drawings(report_on(SAMPLE)) if figure.caption.startswith("The states")]
    assert len(states.drawings) == 5


def test_groups_are_even() -> None:
    assert [len(group) for group in grouped(range(32), 12)] == [11, 10, 11]
    assert [len(group) for group in grouped(range(12), 12)] == [12]
    assert grouped([], 12) == []


@pytest.mark.parametrize("name", ["trouble.pcapng", "loss.pcapng"])
def test_captions_stand_in_the_order_of_the_document(name: str) -> None:
    """So no figure is moved to another place, where it would tear a table."""
    wanted, numbers = [], {"Table": 0, "Figure": 0}
    for part in report(name)["sections"]:
        for block in part["blocks"]:
            kind = {"table": "Table", "figure": "Figure", "listing": "Figure"}.get(block["kind"])
            if kind:
                numbers[kind] += 1
                wanted.append(f"{kind} {numbers[kind]}.")
    found = re.findall(r"^((?:Table|Figure) \d+\.) ", words_of(name), re.MULTILINE)
    assert [caption for caption in found if caption in wanted] == wanted


def test_a_long_table_repeats_its_head() -> None:
    """On each of its pages."""
    rows = [(f"row {number}",) for number in range(200)]
    text = text_of(pdf(Document("t", "s", (), (Section("s", [Table("Many", (Column("Heading"),), rows)]),)), "short"))
    pages = [page for page in text.split("\f") if "row " in page]
    assert len(pages) > 3
    assert all("Heading" in page for page in pages)


# --- Figures that mean something ------------------------------------------------------------------------------------


def users(name: str) -> dict[str, Any]:
    """The table of each user's lines: its columns and its rows."""
    (table,) = [
        block for block in section(report(name), "Sizes, rates and think times")["blocks"] if block["kind"] == "table"
    ]
    return dict(table)


@pytest.mark.parametrize("name", RECORDED)
def test_a_rate_needs_several_lines(name: str) -> None:
    """No rate of fewer than five lines or of less than a second; without any rate no column."""
    if not truth(name)["calls"]:
        return
    table = users(name)
    titles = [column["title"] for column in table["columns"]]
    rates = [row[titles.index("Lines / s")] for row in table["rows"]] if "Lines / s" in titles else []
    assert not rates or any(rate != "–" for rate in rates)
    for row, rate in zip(table["rows"], rates, strict=False):
        assert rate == "–" or int(row[titles.index("Lines")]) >= 5


def test_think_times_name_their_own_frames() -> None:
    """As many frames as there are think times, each with a line of a client that follows one of its partner."""
    blocks = section(report("chat.pcapng"), "Patterns of the session")["blocks"]
    (block,) = [block for block in blocks if (block.get("text") or "").startswith("Think time")]
    frames = frames_of(block)
    assert f"{len(frames)} think times" in block["text"]
    said = [
        (line["frame"], line["speaker"], call["number"])
        for call in plain(report_on(CAPTURES / "chat.pcapng"))["data"]["calls"]
        for line in call["said"]
    ]
    after = [line[0] for before, line in pairwise(said) if before[2] == line[2] and before[1] != line[1]]
    assert frames == sorted(after)
