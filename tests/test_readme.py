"""README is true: its commands and options exist, its links lead somewhere, and what it shows is what comes out."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pexpect

from .conftest import PATIENCE, ROOT, Stage, changed, need

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PROGRAMS = {"pychat": "pychat.cli", "pychat-conformance": "conformance.cli"}  # where the commands of each are


def typed() -> Iterator[list[str]]:
    """The words of each command, in blocks and in the text, as somebody types them."""
    text = "\n".join(block for language, block in BLOCKS if language == "sh")
    text += "\n" + "\n".join(re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", README))
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|;", line.partition("   #")[0]):
            words = shlex.split(part.replace("…", ""))
            if words and words[0] == "sudo":
                del words[0]
            if words:
                yield words


def commands() -> Iterator[list[str]]:
    """The commands of this project: its program or its module, and what follows."""
    for words in typed():
        if len(words) > 2 and words[1] == "-m" and words[2].startswith("tools."):
            yield words[2:]
        elif Path(words[0]).name in PROGRAMS and len(words) > 1:
            yield [Path(words[0]).name, *words[1:]]


def test_every_command_is_where_it_is_typed() -> None:
    """Nothing of this project is on a reader's PATH, and `.ci/install` alone installs: it pins, and stays editable."""
    ours = {"python", "pip", "pytest", *PROGRAMS}
    installed = set()
    for words in typed():
        if (Path(words[0]).name in ours and len(words) > 1) or words[0].startswith(".venv/"):
            assert words[0].removeprefix(".venv/bin/") in ours - {"pip"}, words
            assert words[0].startswith(".venv/bin/"), words
        if words[0].startswith(".ci/"):
            assert (ROOT / words[0]).is_file(), words
            assert Path(words[0]).suffix or os.access(ROOT / words[0], os.X_OK), words
        if words[0] == ".ci/install":
            installed |= set(words[1:])
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert installed == {"judge", "tools", "test"} <= set(extras)


def main_of(program: str) -> click.Command:
    """The command of a console script, or of `python -m`."""
    name = PROGRAMS.get(program, program)
    found = importlib.util.find_spec(name)
    assert found is not None, name
    places = (f"{name}.cli", f"{name}.__main__") if found.submodule_search_locations else (name,)
    command = importlib.import_module(next(place for place in places if importlib.util.find_spec(place))).main
    assert isinstance(command, click.Command), program
    return command


def options_of(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def test_every_command_and_option_exists() -> None:
    """A command that is renamed takes README along."""
    seen = 0
    for words in commands():
        command = main_of(words[0])
        rest = words[1:]
        while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            assert rest[0] in command.commands, words
            command, rest = command.commands[rest[0]], rest[1:]
        for option in (word.partition("=")[0] for word in rest if word.startswith("--")):
            assert option in options_of(command) | {"--help"}, words
        seen += 1
    assert seen > 15


def test_every_link_leads_somewhere() -> None:
    """Files, and headings of the protocol's page."""
    targets = re.findall(r"\]\(([^)]+)\)", README) + re.findall(r'src="([^"]+)"', README)
    assert targets
    for target in targets:
        path, _, heading = target.partition("#")
        assert (ROOT / path).is_file(), target
        assert not heading or f'id="{heading}"' in (ROOT / path).read_text(encoding="utf-8"), target


def test_every_path_of_the_section_inside_exists() -> None:
    """The rooms, and the files where a change belongs."""
    inside = README.partition("\n## Inside\n")[2].partition("\n## ")[0]
    rooms = re.findall(r"^([a-z]+/[a-z/]*)  ", inside, re.MULTILINE)
    named = [words.split()[0] for words in re.findall(r"`([^`\n]+)`", inside) if "/" in words.split()[0]]
    assert len(rooms) > 10
    assert len(set(named)) > 20
    for path in {*rooms, *named} - {".venv/bin/python"}:
        assert (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file(), path


def test_the_shell_completes() -> None:
    """The line for bash, in a bash that does not find pychat: by its name, and by its path."""
    (line,) = re.findall(r"`(eval [^`]+)`", README)
    folder = Path(sys.executable).parent
    path = os.pathsep.join(each for each in os.environ["PATH"].split(os.pathsep) if Path(each) != folder)
    environment = os.environ | {"PATH": path, "PS1": "ready> ", "HISTFILE": "", "TERM": "dumb", "COLUMNS": "200"}
    shell = pexpect.spawn(need("bash"), ["--norc", "--noprofile"], env=environment, timeout=PATIENCE * 3)
    try:
        shell.expect_exact("ready> ")
        shell.sendline(line.replace(".venv/bin", shlex.quote(str(folder))))
        paths = [f"{folder}/pychat"] if shlex.quote(str(folder)) == str(folder) else []  # click's script splits others
        for program in ("pychat", *paths):
            shell.expect_exact("ready> ")
            shell.send(f"{program} comple\t")
            shell.expect_exact("completion")
            shell.sendcontrol("u")  # no signal, which may come while the shell still completes
            shell.sendline()
    finally:
        shell.close(force=True)


def shown_after(words: str) -> list[str]:
    """The lines of the first block without a language behind the block in which these words stand."""
    texts = [block for _, block in BLOCKS]
    begun = next(index for index, block in enumerate(texts) if words in block)
    return next(block for language, block in BLOCKS[begun + 1 :] if not language).splitlines()


def test_what_nc_is_answered(start: Callable[..., Stage]) -> None:
    """The chat by hand, beside two people who talk."""
    stage = start(changed())
    alice, bob = stage.peer(), stage.peer()
    for peer, name in ((alice, "alice"), (bob, "bob")):
        assert peer.ask(f"NAME {name}") == f"OK NAME {name}"
    assert alice.ask("CHAT bob") == "OK CHAT bob"
    host, port = stage.server.address
    (command,) = (block for language, block in BLOCKS if language == "sh" and "| nc " in block)
    command = command.replace("nc -N 127.0.0.1 8255", f"{need('nc')} -N {host} {port}")
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout.splitlines() == shown_after(command.partition("|")[0])


def test_what_the_dissector_shows(tmp_path: Path) -> None:
    """Installed as README says, for somebody whose Wireshark has never been started."""
    need("tshark")
    home = os.environ | {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / ".config")}
    install = [sys.executable, "-m", "tools.dissector", "--install"]
    subprocess.run(install, cwd=ROOT, env=home, capture_output=True, check=True)
    (command,) = re.findall(r"^tshark .*$", README, re.MULTILINE)
    done = subprocess.run(shlex.split(command), cwd=ROOT, env=home, capture_output=True, text=True, check=True)
    lines = iter(line.split() for line in done.stdout.splitlines())
    for line in shown_after(command):
        assert line.split() in lines, line  # in this order


def test_what_the_first_command_shows() -> None:
    """The picture at the top has lines of it; where two people act, their order is the run's."""
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "pychat", "demo"]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=PATIENCE * 3, check=True)
    picture = next(block for language, block in BLOCKS if not language)
    assert set(picture.splitlines()) <= set(done.stdout.decode().splitlines())
