"""The wheel, installed into a fresh environment outside the checkout, runs server, client and demo."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest

from .conftest import ROOT

PROJECT = "pysocket-chat"
LONG = 300.0  # seconds; it installs from a registry


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this tree."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=LONG)
    return next(out.glob("pysocket_chat-*.whl"))


def test_the_wheel_holds_two_packages_and_the_spec(wheel: Path) -> None:
    """Nothing named spec, tools or tests lands in site-packages."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"pychat", "conformance"}
    assert {"pychat/data/pychat.yaml", "pychat/data/language.schema.json", "pychat/py.typed"} <= set(names)
    assert any(name.startswith("conformance/cases/plays/") for name in names)


def test_the_wheel_works_outside_a_checkout(wheel: Path, tmp_path: Path) -> None:
    """Installed with its dependencies: demo, server and client, spec check, the judge's list."""
    home = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, timeout=LONG)
    here = tmp_path / "constraints.txt"  # the versions under test: the pinned, the lowest or the newest ones
    here.write_text("".join(f"{each.name}=={each.version}\n" for each in distributions() if each.name != PROJECT))
    install = [str(home / "bin" / "pip"), "install", "--quiet", "--constraint", str(here), str(wheel)]
    installed = subprocess.run(install, capture_output=True, text=True, timeout=LONG, check=False)
    if installed.returncode and os.environ.get("CI") != "true":
        pytest.skip("the dependencies cannot be installed here")
    assert installed.returncode == 0, installed.stderr
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}

    def run(*command: str, stdin: str = "") -> str:
        command = (str(home / "bin" / command[0]), *command[1:])
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            timeout=LONG,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "no faults" in run("pychat", "spec", "check")
    assert "PAIRED" in run("pychat", "demo")
    assert run("pychat-conformance", "list").strip()
    server = [str(home / "bin" / "pychat"), "server", "--port", "0", "--log-level", "error"]
    with subprocess.Popen(server, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment) as running:
        try:
            assert running.stdout is not None
            address = running.stdout.readline().removeprefix("listening on ").strip()
            assert "named ann" in run("pychat", "client", address, "--plain", stdin="name ann\nquit\n")
        finally:
            running.terminate()
            assert running.wait(10) == 0
