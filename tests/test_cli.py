"""The command line, as somebody types it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pychat.spec import shipped

from .conftest import PATIENCE, SPEC_FILE, pychat


@pytest.mark.parametrize("command", [[], ["server"], ["client"], ["demo"], ["spec"], ["spec", "check"], ["completion"]])
def test_help_says_what_a_command_does(command: list[str]) -> None:
    """Each command has help, with its options and what they default to."""
    result = pychat(*command, "--help")
    assert result.returncode == 0
    assert result.stdout.startswith("Usage: ")
    assert result.stderr == ""


def test_help_cuts_no_words() -> None:
    """The list of commands says each in a whole sentence."""
    for command in ([], ["spec"]):
        result = pychat(*command, "--help")
        assert not re.search(r"\w\.\.\.", result.stdout)
        assert max(map(len, result.stdout.splitlines())) <= 80


def test_help_names_the_default_address() -> None:
    """It is typed there, since the spec is not read for it; so it is compared here."""
    assert f" 127.0.0.1:{shipped().transport.port}," in pychat("client", "--help").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["server", "--port", "70000"],
        ["server", "--io-threads", "0"],
        ["server", "--log-level", "loud"],
        ["client", "host:port"],
        ["client", "[::1"],
        ["client", ""],
        ["server", "--host", "[::1"],
        ["server", "--host", "127.0.0.1:80"],
        ["client", "host:" + "1" * 5000],
        ["spec", "check", "no-such-file.yaml"],
        ["completion", "csh"],
    ],
)
def test_misuse_has_exit_code_2(arguments: list[str]) -> None:
    """And a line that says what was wrong."""
    result = pychat(*arguments)
    assert result.returncode == 2
    assert "Error: " in result.stderr
    assert "Traceback" not in result.stderr


def test_spec_check_finds_the_shipped_spec_clean() -> None:
    """With the file and without it."""
    for arguments in ([], [str(SPEC_FILE)]):
        result = pychat("spec", "check", *arguments)
        assert result.returncode == 0, result.stdout
        assert result.stdout.endswith(": no faults\n")


def test_spec_check_prints_faults_as_a_compiler_does(tmp_path: Path) -> None:
    """File, line, column, reason; exit code 1."""
    file = tmp_path / "mine.yaml"
    text = (
        SPEC_FILE.read_text().replace("error: self-chat", "error: self-chap").replace("to: NAMED, a", "to: NAMD, a", 1)
    )
    file.write_text(text)
    result = pychat("spec", "check", str(file))
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"{file}:") for line in lines)
    assert "there is no error self-chap" in result.stdout


def test_spec_check_replays_the_examples(tmp_path: Path) -> None:
    """An example that is not what the machines do is a fault at its line."""
    file = tmp_path / "mine.yaml"
    file.write_text(SPEC_FILE.read_text().replace("      - a< PONG t2\n", "      - a< PONG t3\n"))
    result = pychat("spec", "check", str(file))
    assert result.returncode == 1
    number = file.read_text().splitlines().index("      - a< PONG t3") + 1
    assert result.stdout.startswith(f"{file}:{number}:")
    assert "wanted a< PONG t3, got a< PONG t2" in result.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    """What `eval` gets is for this command."""
    result = pychat("completion", shell)
    assert result.returncode == 0
    assert "_PYCHAT_COMPLETE" in result.stdout


def test_help_imports_nothing_heavy() -> None:
    """`pychat --help` is quick because it loads neither the spec nor a terminal."""
    code = "import sys, pychat.cli; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(result.stdout.split()) & {
        "yaml",
        "jsonschema",
        "transitions",
        "prompt_toolkit",
        "pychat.spec",
        "json",
    }


@pytest.mark.parametrize("command", [["server", "--port", "0", "--log-level", "error"], ["spec", "check"], ["demo"]])
def test_a_full_disk_is_said_in_one_line(command: list[str]) -> None:
    """Where stdout is a file: exit code 1, no trace of Python, and nothing goes on running."""
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "pychat", *command], stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE
        )
    assert (result.returncode, result.stderr) == (1, "pychat: no space left on device\n")
