"""Odd checkouts and environments: what a program needs of them is there, or it says what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import PATIENCE, ROOT

# Typed in the checkout.
SCRIPT = """
"$PYTHON" -m pychat spec check
"$PYTHON" -m pychat demo
"$PYTHON" -m conformance server --select CONNECTED/PING/answered --cmd "'$PYTHON' -m pychat server --port {port}"
"$PYTHON" -m conformance client --select CONNECTED/PING/answered --cmd \\
  "'$PYTHON' -m pychat client {host}:{port} --plain"
"""
ENVIRONMENTS: dict[str, dict[str, str | None]] = {
    "C-locale-no-home-no-terminal": {
        "LC_ALL": "C", "LANG": None, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0",
        "HOME": None, "TERM": None, "XDG_CONFIG_HOME": None, "XDG_CACHE_HOME": None,
    },
    "home-not-writable-no-asserts": {
        "HOME": "/proc/none", "XDG_CONFIG_HOME": None, "XDG_CACHE_HOME": None, "PYTHONOPTIMIZE": "1",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy that cannot be written, in a folder with spaces and with letters beyond ASCII."""
    root = tmp_path_factory.mktemp("odd") / "a b ü" / "pychat 'ß'"
    for folder in ("pychat", "conformance", "spec", "tools"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["chmod", "-R", "a-w", root], check=True)
    yield root
    subprocess.run(["chmod", "-R", "u+w", root], check=True)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_it_works(name: str, checkout: Path, tmp_path: Path) -> None:
    """The spec is checked, the demo is played, and the judge starts a server and a client and finds no fault."""
    scratch = tmp_path / "scratch ü"
    scratch.mkdir()
    wanted = {"TMPDIR": str(scratch), "PYTHON": sys.executable, "PYTHONPATH": str(checkout)} | ENVIRONMENTS[name]
    environment = {key: value for key, value in (os.environ | wanted).items() if value is not None}
    words = ["sh", "-euc", f"umask 077; {SCRIPT}"]
    done = subprocess.run(words, cwd=checkout, env=environment, capture_output=True, timeout=PATIENCE * 18, check=False)
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, said[-2000:] + done.stderr.decode(errors="replace")
    assert said.count("1 pass") == 2, said
    assert "NAME alice" in said
    assert done.stderr == b""


def test_documents_are_made_there(checkout: Path) -> None:
    """The page is fresh in a folder of any name, and in any locale."""
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = [sys.executable, "-m", "tools.docs", "--check"]
    done = subprocess.run(words, cwd=checkout, env=environment, capture_output=True, timeout=PATIENCE * 6, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_where_nothing_can_be_written_it_says_so() -> None:
    """A home that is no folder: one line, and no stack trace."""
    environment = os.environ | {"HOME": "/proc/none", "XDG_CONFIG_HOME": "/proc/none/.config"}
    words = [sys.executable, "-m", "tools.dissector", "--install"]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
