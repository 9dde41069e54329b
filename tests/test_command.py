"""What commands print of arguments, of file names and of files is shown, and never obeyed by a terminal."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from conformance.cli import main as judge
from pychat.cli import main as pychat
from tools.bench.cli import main as bench
from tools.capture.cli import main as capture
from tools.check.__main__ import main as check
from tools.dissector.__main__ import main as dissector
from tools.docs.__main__ import main as docs
from tools.report.__main__ import main as report

from .conftest import ROOT, SPEC_FILE

HOSTILE = "\x1b[2J\u202e\u2066\u2028\x85\x9b\r\x7f"
NAME = f"no{HOSTILE}where"


def shows(main: click.Command, *words: str) -> str:
    """What a command prints, which must hold nothing of HOSTILE that acts, and no trace."""
    result = CliRunner().invoke(main, list(words), color=True)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert not any(char in result.output for char in HOSTILE if not char.isprintable()), ascii(result.output)
    return result.output


@pytest.mark.parametrize(
    ("main", "words"),
    [
        (pychat, [NAME]),
        (pychat, [f"--{NAME}"]),
        (pychat, ["server", NAME]),
        (pychat, ["server", "--port", NAME]),
        (pychat, ["server", "--host", NAME]),
        (pychat, ["client", "--plain", NAME]),
        (pychat, ["client", f"localhost:{NAME}"]),
        (pychat, ["spec", "check", NAME]),
        (judge, [NAME]),
        (judge, ["server", NAME]),
        (judge, ["server", "--connect", NAME]),
        (judge, ["server", "--cmd", "x {port}", "--segment", NAME]),
        (judge, ["list", "--spec", NAME]),
        (judge, ["replay", NAME, "--connect", "a:1"]),
        (judge, ["report", NAME, "md=x"]),
        (report, [NAME]),
        (report, [NAME, NAME]),
        (report, ["x", "--spec", NAME]),
        (dissector, ["--spec", NAME]),
        (dissector, [NAME]),
        (capture, ["--scenario", NAME]),
        (capture, [NAME]),
        (docs, ["--spec", NAME]),
        (docs, [NAME]),
        (check, ["--spec", NAME]),
        (check, ["--queue", NAME]),
        (bench, ["--peers", NAME]),
        (bench, [NAME]),
    ],
)
def test_an_argument_is_shown(main: click.Command, words: list[str]) -> None:
    """Whatever is wrong with it: a command, an option, a number, a file, a pattern, a host."""
    assert shows(main, *words)


@pytest.mark.parametrize("main", [pychat, judge, report, dissector, docs, check])
def test_a_fault_of_a_spec_and_the_name_of_its_file_are_shown(main: click.Command, tmp_path: Path) -> None:
    """A file from a stranger is looked at with each of these."""
    file = tmp_path / f"sp{HOSTILE}ec.yaml"
    file.write_text(SPEC_FILE.read_text().replace("title: PySocket Chat", 'titl\u202e: "x"\n"\\e[2J\\u2028": x'))
    words: dict[click.Command, list[str]] = {
        pychat: ["spec", "check", str(file)], judge: ["list", "--spec", str(file)], report: ["x", "--spec"],
    }  # fmt: skip
    said = shows(main, *words.get(main, ["--spec"]), *([] if main in (pychat, judge) else [str(file)]))
    assert "unknown key" in said
    assert len([line for line in said.split("\n") if "unknown key" in line]) == 2


def test_the_words_of_a_spec_are_shown(tmp_path: Path) -> None:
    """Its title, its rules and its examples may hold characters that turn the order of a line round."""
    file = tmp_path / f"sp{HOSTILE}ec.yaml"
    text = (ROOT / "tests" / "little.yaml").read_text()
    for old, new in (
        ("title: Ring", "title: Ri\u202eng"),
        ("server MUST do", "\u202eserver MUST do"),
        ("yes iam ann", "no\u202e"),
    ):
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)
    assert "\\u202e" in shows(pychat, "spec", "check", str(file))
    assert "\\xe2\\x80\\xae" in shows(judge, "explain", "R-RING-1", "--spec", str(file))
    assert "Ri\\u202eng" in shows(check, "--clients", "1", "--queue", "1/1", "--spec", str(file))


# Where something is printed by other means than `say` of pychat/command.py, and why that is right.
PRINTS = {
    "pychat/cli.py": "the script of a shell, which is a constant",
    "pychat/client/client.py": "an example in its docstring",
    "pychat/command.py": "say",
    "pychat/demo.py": "what it writes is made visible when a row is made, or is its own",
    "pychat/server/log.py": "the log's lines, whose values are quoted",
    "pychat/client/plain.py": "the lines of the contract: a program gets them as they came, people get them visible",
    "pychat/client/start.py": "the commands of the contract, and an error, made visible",
    "pychat/startup.py": "what this system lacks",
    "conformance/cli.py": "the judge's own say",
    "conformance/engine/programs.py": "what this system lacks",
    "conformance/grade/command.py": "lines of which each value is visible",
    "conformance/grade/inside.py": "what a build has said, into the log of its submission",
    "tools/selftest/report.py": "the names of mutants, which are its own",
    "conformance/results/terminal.py": "results, which are visible",
    "tools/bench/checks.py": "figures",
    "tools/bench/threads.py": "an address",
    "tools/dissector/__main__.py": "the dissector itself",
}


PRINTING = re.compile(r"(?<![\w.])print\(|\bclick\.s?echo\(|\b(sys\.std(out|err)|self\.(out|err))\.write\(")
# Where `splitlines` is right: lists of the system's and of our own words.
CUT = {
    "conformance/grade/sandbox.py", "conformance/engine/kernel.py",
    "tools/bench/cli.py", "tools/bench/contenders.py", "tools/capture/session.py",
    "tools/selftest/variants/server/link.py",
}  # fmt: skip


def holding(wanted: str | re.Pattern[str]) -> set[str]:
    """The files of the programs that hold this."""
    files = [file for folder in ("pychat", "conformance", "tools") for file in (ROOT / folder).rglob("*.py")]
    return {str(file.relative_to(ROOT)) for file in files if re.search(wanted, file.read_text())}


def test_whatever_prints_is_known() -> None:
    """A new place where something is printed goes through `say`, or says here why it need not."""
    programs_under_test = re.compile("/(mutants|variants|foreign)/")
    assert {file for file in holding(PRINTING) if not programs_under_test.search(file)} == PRINTS.keys()


def test_no_other_character_ends_a_line() -> None:
    """`splitlines` ends a text's line at eleven characters, and one of octets at CR: not for what others wrote."""
    assert holding(r"\.splitlines\(") == CUT
