"""Where a program cannot run it says so in a sentence; where it can, it names itself as a shell finds it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import PATIENCE, ROOT

MODULES = {"pychat": "pychat", "conformance": "pychat-conformance", "tools.docs": "tools"}
PREPARED = (
    "import runpy, select, sys; {change}; sys.argv = ['x', '--help']; runpy.run_module({module!r}, run_name='__main__')"
)


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    environment = os.environ | environment
    return subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=PATIENCE * 3, check=False
    )


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("del select.poll", "on Windows under WSL"),
        ("sys.version_info = (3, 10, 2)", "needs Python 3.11 or later"),
        ("sys.modules['click'] = None", "the package click is not installed"),
    ],
    ids=["system", "python", "package"],
)
def test_where_it_cannot_run_it_says_why(module: str, change: str, said: str) -> None:
    """One line, exit code 2, no stack trace: on a system without poll, an old Python, and without a package."""
    done = run("-c", PREPARED.format(change=change, module=module))
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert re.fullmatch(f"{MODULES[module]}: .*{re.escape(said)}.*\n", done.stderr)


@pytest.mark.parametrize("module", MODULES)
def test_help_is_whole_or_its_absence_is_explained(module: str) -> None:
    """Docstrings are the help, and -OO drops them; -O drops nothing that is needed."""
    assert run("-m", module, "--help", PYTHONOPTIMIZE="1").stdout == run("-m", module, "--help").stdout != ""
    done = run("-m", module, "--help", PYTHONOPTIMIZE="2")
    assert done.returncode == 2
    assert re.fullmatch(f"{MODULES[module]}: .*PYTHONOPTIMIZE=2.*\n", done.stderr)


@pytest.mark.parametrize("how", ["path", "PATH", "module"])
def test_the_demo_ends_with_commands_that_can_be_typed(tmp_path: Path, how: str) -> None:
    """The program is named by the path that started it, by its name if the shell finds that, or as a module."""
    folder = tmp_path / "a b ü"
    folder.mkdir()
    script = folder / "pychat"
    script.write_text("#!/bin/sh\nexec \"$PYTHON\" -c 'import sys; sys.argv = sys.argv[1:]\n"
                      "from pychat.__main__ import main; main()' \"$0\" \"$@\"\n")  # fmt: skip
    script.chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}" if how == "PATH" else os.environ["PATH"]
    environment = os.environ | {"PATH": path, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    command = {"path": "'./a b ü/pychat'", "PATH": "pychat", "module": f"{shlex.quote(sys.executable)} -m pychat"}[how]

    def shell(line: str) -> str:
        words = ["sh", "-c", line]
        return subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, check=True).stdout.decode()

    told = shell(f"{command} demo").partition("Now you.")[2]
    named = re.findall(r"^ {4}(.*pychat'?) (server|client)", told, re.MULTILINE)
    assert [name for name, _ in named] == [command, command], told
    for name, action in named:
        assert "Usage:" in shell(f"{name} {action} --help")
    if how == "path":
        environment |= {"PYTHONIOENCODING": "ascii"}
        assert "./a b ?/pychat" in shell(f"{command} demo")  # it cannot be written, but nothing fails


def test_the_judge_works_without_standard_streams() -> None:
    """What it opens first does not take their place, and nothing is printed."""
    server = f"{shlex.quote(sys.executable)} -m pychat server --port {{port}}"
    words = [sys.executable, "-m", "conformance", "server", "--select", "CONNECTED/PING/answered", "--cmd", server]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&-', "sh", *words], stderr=subprocess.PIPE, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
