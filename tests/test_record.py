"""The record of a run is read as it was written, whatever an implementation has said, and so is every report."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from conformance.cases.case import Case
from conformance.cli import main
from conformance.engine.verdict import Result as CaseResult
from conformance.engine.verdict import Verdict
from conformance.engine.wire import Entry
from conformance.results.known import Known
from conformance.results.record import Record, RecordError, case_line, footer, header
from conformance.results.reports import KINDS, maker
from pychat.spec import shipped

from .awkward_server import AWKWARD
from .conftest import ROOT
from .report_formats import check_gradescope, check_junit

OBEYED = "\x1b\u202e\u2028\u2029\x85\v\f\x1c\r\0"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), color=True)


def a_record() -> Record:
    """A whole record of one failed case, in which every text is awkward."""
    result = CaseResult(
        "CONNECTED/PING/x", "whole", ("R-ANS-1",), "MUST", Verdict.FAIL,
        step=AWKWARD, wanted=AWKWARD, got=AWKWARD, note=AWKWARD,
        entries=[Entry(1.0, "a", "<", AWKWARD.encode(), AWKWARD)], stderr=AWKWARD, replay=AWKWARD, title=AWKWARD,
    )  # fmt: skip
    spec = replace(shipped(), source=f"{AWKWARD}\udcff.yaml")  # an octet of its name that is no UTF-8
    case = Case(result.id, result.title, result.rules, result.level, "play")
    head = header(spec, [case], of="server", command="server --cmd x", options={"cmd": AWKWARD})
    foot = footer([result], seconds=1.0, exit_code=1, stale=["x"])
    return Record(head, [case_line(result)], foot)


def written(record: Record, file: Path) -> Path:
    file.write_text(record.text, encoding="utf-8", newline="\n")
    return file


def check(kind: str, text: str) -> None:
    """Whether a report is well-formed."""
    if kind == "badge":
        ElementTree.fromstring(text)
    elif kind == "junit":
        assert list(check_junit(text).iter("testcase"))
    elif kind == "gradescope":
        assert check_gradescope(text)["tests"]
    elif kind == "json":
        first, *_, last = map(json.loads, text[:-1].split("\n"))
        assert (first["type"], last["type"]) == ("header", "footer")
    elif kind == "html":
        assert "<script>alert(1)" not in text.replace("<script>alert(1)<\\/script>", "")
        assert text.count("</script>") == text.count("<script") - text.count("<script>alert(1)<\\/script>")


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    """LF alone ends its lines, and every report is made of it."""
    record = a_record()
    loaded = Record.load(written(record, tmp_path / "record"))
    assert (loaded.header, loaded.cases, loaded.footer) == (record.header, record.cases, record.footer)
    for kind in KINDS:
        check(kind, maker(kind)(loaded))


def test_a_server_may_say_anything_and_every_report_is_whole(tmp_path: Path) -> None:
    """No octet of what it has said drives the terminal, and each report is read again as what it is."""
    server = Path(__file__).with_name("awkward_server.py")
    options = [option for kind in KINDS for option in ("--report", f"{kind}={tmp_path / kind}")]
    command = f"{sys.executable} {server} {{port}} \udcff\u2028"  # an octet that is no UTF-8, as a shell gives it
    judged = run(
        "server",
        "--cmd",
        command,
        "--select",
        "CONNECTED/PING/token-*",
        "--segment",
        "whole",
        "--patience",
        "1",
        *options,
    )
    assert judged.exit_code == 1, judged.output
    assert "\\x1b[31m" in judged.output
    assert not any(char in judged.output for char in OBEYED)
    again = [f"{kind}={tmp_path / kind}.again" for kind in KINDS]
    assert run("report", str(tmp_path / "json"), *again).exit_code == 0
    for kind in KINDS:
        text = (tmp_path / kind).read_bytes().decode()
        assert (tmp_path / f"{kind}.again").read_bytes().decode() == text
        check(kind, text)


def test_a_new_format_is_one_new_file(tmp_path: Path) -> None:
    """It is a kind of report as soon as it lies beside the others: no list names them."""
    shutil.copytree(ROOT / "conformance", tmp_path / "conformance")
    new = tmp_path / "conformance" / "results" / "reports" / "verdicts.py"
    new.write_text("def make(record):\n    return ' '.join(case['verdict'] for case in record.cases)\n")
    record = written(a_record(), tmp_path / "record")
    words = [sys.executable, "-m", "conformance", "report", str(record), f"verdicts={tmp_path / 'new'}"]
    subprocess.run(words, cwd=tmp_path, check=True)
    assert (tmp_path / "new").read_text() == "fail"


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [lines[0].replace('"planned"', '"x"'), *lines[1:]],
        lambda lines: [lines[0].replace('"rules"', '"x"'), *lines[1:]],
        lambda lines: [lines[0], lines[1].replace('"verdict"', '"x"'), lines[2]],
        lambda lines: [lines[0], lines[1].replace('"id": "', '"id": 1, "x": "'), lines[2]],
        lambda lines: [lines[0], "[]", lines[2]],
        lambda lines: [lines[0], "[" * 100_000, lines[2]],
        lambda lines: [lines[0], '{"type": 1}', lines[2]],
        lambda lines: [*lines[:2], lines[2].replace('"cases"', '"x"')],
        lambda lines: [*lines[:2], lines[2].replace('"counts"', '"x"')],
    ],
)
def test_a_record_that_was_changed_is_refused_in_a_sentence(change: Any, tmp_path: Path) -> None:
    """Exit code 2, no report that is wrong without a word, and no trace."""
    lines = change(a_record().text.removesuffix("\n").split("\n"))
    (tmp_path / "record").write_text("\n".join(lines) + "\n", encoding="utf-8")
    said = run("report", str(tmp_path / "record"), f"md={tmp_path / 'md'}", f"badge={tmp_path / 'badge'}")
    assert said.exit_code == 2, said.output
    assert isinstance(said.exception, SystemExit)


def test_the_reason_of_a_broken_record_names_its_line(tmp_path: Path) -> None:
    """Also when earlier lines hold what some programs take for the end of a line."""
    lines = a_record().text.removesuffix("\n").split("\n")
    (tmp_path / "record").write_text("\n".join([*lines[:2], lines[2][:-20]]), encoding="utf-8")
    with pytest.raises(RecordError, match=":3: not JSON"):
        Record.load(tmp_path / "record")


def test_lf_alone_ends_a_line_of_the_list_of_known_failures(tmp_path: Path) -> None:
    """And CRLF, as editors write it; its words are compared as they are shown."""
    file = tmp_path / "known.txt"
    file.write_bytes("# a\u2028b c\r\nX/Y/z wanted\u2028 this\x85 \v\x1b that\n".encode())
    assert Known.load(file).entries == {"X/Y/z": r"wanted\xe2\x80\xa8 this\xc2\x85 \x0b\x1b that"}
