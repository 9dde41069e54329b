"""The HTML report: one file that opens from disk. The page is `page.html`; here only the data is put into it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from conformance.record import Record

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
    short["t"] = [[e["ms"], e["who"], MARK[e["mark"]], e.get("hex", ""), e.get("text", "")] for e in case["transcript"]]
    return short
