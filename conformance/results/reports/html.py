"""The HTML report: one file that opens from disk. The page is `page.html`; here only the data is put into it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from conformance.results.record import Record

SHOWN = 600  # octets of an entry; the record has the rest
PLACE = "/*RECORD*/null"
MARK = {">": 0, "<": 1, ">|": 2, "<|": 3, ">!": 4, "<!": 5, "#": 6}


def make(record: Record) -> str:
    """The report."""
    page = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    assert PLACE in page
    data = {
        "header": {**record.header, "planned": []},
        "cases": [_case(c) for c in record.cases],
        "footer": record.footer,
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    # `</script>` and the line separators of old JavaScript must not end what they stand in
    safe = (
        text.replace("</", "<\\/").replace("<!--", "<\\!--").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    )
    return page.replace(PLACE, safe)


def _case(case: dict[str, Any]) -> dict[str, Any]:
    """A case with its transcript as short rows: the file is read by a browser, not by a program."""
    short = {key: value for key, value in case.items() if key not in ("type", "transcript") and value not in ("", 0)}
    short["t"] = [_entry(entry) for entry in case["transcript"]]
    return short


def _entry(entry: dict[str, Any]) -> list[Any]:
    octets, text = entry.get("hex", ""), entry.get("text", "")
    if len(octets) > 2 * SHOWN:
        octets, text = octets[: 2 * SHOWN], f"… {len(octets) // 2 - SHOWN} octets more {text}".rstrip()
    return [entry["ms"], entry["who"], MARK[entry["mark"]], octets, text]
