"""The command line of the dissector's generator. Knows nothing of Lua."""

from __future__ import annotations

from pathlib import Path

import click

from pychat.spec import SpecError, load, shipped

from .script import script


@click.command(help="Write a Wireshark dissector (Lua) from the spec.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The file; standard output without it.")
@click.option("--spec", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Another spec.")
def main(out: Path | None, path: Path | None) -> None:
    """Write the dissector."""
    try:
        spec = load(path) if path else shipped()
    except SpecError as error:
        raise click.ClickException(str(error)) from None
    text = script(spec)
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
        click.echo(f"wrote {out}", err=True)
