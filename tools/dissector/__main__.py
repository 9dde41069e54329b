"""`python -m tools.dissector`: writes the dissector and its profile. Knows nothing of Lua."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import click

from pychat.command import Command, say
from pychat.spec import SpecError, load, shipped

from .profile import write_profile
from .script import script


@click.command(
    cls=Command,
    help="Write a Wireshark dissector (Lua) from the spec.",
    epilog="Try it without installing: tshark -X lua_script:FILE -r CAPTURE",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The script; standard output without it.")
@click.option(
    "--profile",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write a configuration profile, too: colouring rules, columns, filter buttons.",
)
@click.option("--install", is_flag=True, help="Put both where this user's Wireshark looks for them.")
@click.option("--spec", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Another spec.")
def main(out: Path | None, directory: Path | None, path: Path | None, *, install: bool) -> None:
    """Write what was asked for; the script to standard output when nothing was."""
    try:
        spec = load(path) if path else shipped()
        if install:
            plugins, profiles = personal_folders()
            out, directory = out or plugins / f"{spec.protocol}.lua", directory or profiles / spec.title
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(script(spec), encoding="utf-8")
            say(f"{out}: the dissector", err=True)
        elif directory is None:
            click.echo(script(spec), nl=False)
        if directory is not None:
            write_profile(spec, directory)
            say(f"{directory}: a profile; choose it in Wireshark, or by tshark -C '{directory.name}'", err=True)
    except (SpecError, OSError) as error:
        raise click.ClickException(str(error)) from None


def personal_folders() -> tuple[Path, Path]:
    """Where Wireshark looks for this user's Lua plugins and profiles. Raises ClickException without tshark."""
    if shutil.which("tshark") is None:
        raise click.ClickException("--install asks tshark for its folders, and there is no tshark; use --out")
    done = subprocess.run(["tshark", "-G", "folders"], capture_output=True, check=False)
    found = dict(re.findall(r"^([^:\n]+):\s+(.+)$", os.fsdecode(done.stdout), re.MULTILINE))
    try:
        return Path(found["Personal Lua Plugins"]), Path(found["Personal configuration"]) / "profiles"
    except KeyError as missing:
        raise click.ClickException(f"`tshark -G folders` names no {missing}; use --out and --profile") from None


if __name__ == "__main__":
    main()
