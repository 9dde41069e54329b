"""Reports on a capture: `python -m tools.report CAPTURE [--out FILE.pdf] [--html FILE] [--json FILE]`."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import click

from pychat.command import Command, say
from pychat.spec import SpecError, load, shipped

from .build import analyse
from .render import plain
from .tshark import ReportError

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("capture", type=_FILE)
@click.option(
    "--out", type=_FILE, help="The PDF.  [default: analysis_report.pdf, unless only --html or --json is asked for]"
)
@click.option("--html", "html_file", type=_FILE, help="The same as one HTML file.")
@click.option("--json", "json_file", type=_FILE, help="The same as JSON, with all figures and frame numbers.")
@click.option("--spec", "spec_file", type=_FILE, help="Another protocol's spec.")
@click.option(
    "--decode-as", multiple=True, metavar="RULE", help="Passed to tshark's -d, such as tcp.port==5000,pychat."
)
@click.option("--quiet", is_flag=True, help="No progress.")
def main(
    capture: Path,
    out: Path | None,
    html_file: Path | None,
    json_file: Path | None,
    spec_file: Path | None,
    decode_as: tuple[str, ...],
    quiet: bool,
) -> None:
    """Analyses a capture of the chat from the handshake to the conversation, and writes a report."""

    begun = time.monotonic()

    def progress(words: str) -> None:
        if not quiet:
            say(f"report: {time.monotonic() - begun:5.1f} s  {words}", err=True)

    try:
        spec = load(spec_file) if spec_file else shipped()
        document = analyse(capture, spec, progress, decode_as, data=json_file is not None)
        if out is None and html_file is None and json_file is None:
            out = Path("analysis_report.pdf")
        if json_file is not None:
            json_file.write_text(json.dumps(plain(document), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
            progress(f"{json_file}")
        if html_file is not None:
            from .html import html

            html_file.write_text(html(document), encoding="utf-8")
            progress(f"{html_file}")
        if out is not None:
            from .pdf import pdf

            progress("typesetting")
            out.write_bytes(pdf(document, capture.name))
            progress(f"{out}; at most {_memory()} MiB of memory")
    except ImportError as error:
        say(f"report: {error.name} is missing: pip install 'pysocket-chat[tools]'", err=True)
        sys.exit(1)
    except (ReportError, SpecError, OSError, ValueError) as error:
        say(f"report: {error}", err=True)
        sys.exit(1)


def _memory() -> int:
    """The most memory that this process or one run of tshark has had, in MiB."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) >> 10


if __name__ == "__main__":
    main()
