"""`python -m tools.docs`: writes the protocol's page as Markdown and as HTML, from the spec."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from conformance.engine import target
from pychat.command import Command, say
from pychat.spec import SpecError, load

from . import html, markdown
from .cases import cases
from .drawings import drawings
from .machines import GraphvizError
from .page import page
from .sources import PageSources
from .verify import SHIPPED_SERVER, ExampleError, verify_examples

ROOT = Path(__file__).resolve().parents[2]
SPEC = ROOT / "spec" / "pychat.yaml"
MARKDOWN = ROOT / "spec" / "PROTOCOL.md"
FAILED = 1


class StaleError(Exception):
    """The committed Markdown is not what the spec says."""


@click.command(cls=Command)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=ROOT / "site",
    help="Where the HTML page goes.",
    show_default="site",
)
@click.option(
    "--spec",
    "source",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=SPEC,
    help="Another protocol; its Markdown goes to --out too.",
    show_default="spec/pychat.yaml",
)
@click.option(
    "--server",
    "command",
    metavar="COMMAND",
    help="The server that plays the examples; {port} and {spec} in it are filled in.",
    show_default="the shipped one",
)
@click.option(
    "--check", is_flag=True, help="Write nothing; fail if the Markdown is not fresh or an example is not true."
)
def main(out: Path, source: Path, command: str | None, check: bool) -> None:
    """Write the protocol's page. Each example on it is played against the real server first."""
    try:
        spec = load(source)
        played = verify_examples(spec, source, target.Command(command) if command else SHIPPED_SERVER)
        sources = PageSources(spec, cases(spec), played=not played.reason)
        made = page(sources)
        words = markdown.render(made)
        file = MARKDOWN if source.resolve() == SPEC else out / "PROTOCOL.md"
        if check:
            if not file.exists() or file.read_text(encoding="utf-8") != words:
                raise StaleError(f"{file.name} is not what the spec says now; run python -m tools.docs")
            say(f"{file.name} is fresh, {played}")
            return
        pages = html.render(made, drawings(sources), sources.cases, played.examples)
        site = {out / "index.html": pages, file: words}
        if sources.cases:
            site[out / "cases.html"] = html.render_cases(made, sources.cases)
        out.mkdir(parents=True, exist_ok=True)
        for path, content in site.items():
            path.write_text(content, encoding="utf-8")
        say(f"{played}; wrote {file} and {out / 'index.html'}")
    except (SpecError, ExampleError, StaleError, GraphvizError, OSError) as error:
        say(f"docs: {error}", err=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    main(prog_name="python -m tools.docs")
