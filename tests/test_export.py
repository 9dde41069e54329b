"""Cases for runners in other languages: the document is of its schema, and a runner that knows only this can judge."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from conformance import cli
from conformance.engine.target import Command, command_values
from pychat.spec import shipped, shipped_file
from tools.selftest.subjects import command

from .conftest import ROOT

RUNNER = Path(__file__).with_name("export_runner.py")
SOME = ("PAIRED/LEAVE/*", "NAMED/CHAT/self-chat", "NAMED/CHAT/*against*")


def exported(*arguments: str) -> Any:
    result = CliRunner().invoke(cli.main, ["export", *arguments])
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def check(document: Any) -> None:
    jsonschema.Draft202012Validator(exported("--schema")).validate(document)


def run(document: Any, mutant: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """The runner of its own, against the mutable server with this mutant in it."""
    file = tmp_path / "cases.json"
    file.write_text(json.dumps(document))
    running = Command(command("server", mutant)).start(**command_values(shipped(), str(shipped_file())))
    try:
        host, port = running.address
        words = [sys.executable, str(RUNNER), str(file), host, str(port)]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    finally:
        running.stop()


def test_the_runner_imports_nothing_of_this_project() -> None:
    """Else the document would not be shown to be enough."""
    tree = ast.parse(RUNNER.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


def test_the_exported_cases_judge_a_server(tmp_path: Path) -> None:
    """A right one passes them all; one that answers with a wrong code in one row does not."""
    document = exported("server", *(word for pattern in SOME for word in ("--select", pattern)))
    check(document)
    done = run(document, "none", tmp_path)
    assert done.returncode == 0, done.stdout
    assert int(done.stdout.split()[0]) > 20, done.stdout
    done = run(document, "NAMED/CHAT/self-chat:wrong-code", tmp_path)
    assert done.returncode == 1, done.stdout
    assert "FAIL NAMED/CHAT/self-chat" in done.stdout


@pytest.mark.parametrize(
    "arguments", [("client", "--select", "PAIRED/*"), ("server", "--spec", f"{ROOT}/tests/board.yaml")]
)
def test_every_case_is_exported_or_says_why_not(arguments: tuple[str, ...]) -> None:
    """Whatever the side and the spec: what is left out is no play."""
    document = exported(*arguments)
    check({**document, "cases": document["cases"][::10]})
    assert {case["kind"] for case in document["cases"] if "why_not" in case} <= {"scene", "cell"}
