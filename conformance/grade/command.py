"""The options of `pychat-conformance grade`."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from conformance.cases.play import SEGMENTS
from conformance.engine import programs
from conformance.engine.shell import needs_shell
from conformance.engine.target import CommandError, check_command
from conformance.oracle.frames import visible, visible_lines
from conformance.oracle.judgeable import require_judgeable
from conformance.suite import client_cases, select, server_cases
from pychat.spec import load, shipped

from . import pages
from .course import Course, require_isolation
from .folder import submissions
from .inside import Job
from .marks import NOT_JUDGED, Mark
from .sandbox import IsolationError, Limits

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
USUAL = Limits()
STOPPED = 130  # as after SIGINT


class NoIsolationError(click.ClickException):
    """Submissions cannot be isolated here; exit code 3."""

    exit_code = 3


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--cmd", "command", required=True, help="How one is started, in its folder: './run {port}'.")
@click.option("--build", default="", metavar="CMD", help="What is run in it once before: 'make'. There is no shell.")
@click.option("--of", type=click.Choice(["server", "client"]), default="server", show_default=True)
@click.option("--to", "results", type=click.Path(file_okay=False, path_type=Path), default="grades", show_default=True,
              help="The folder of the sheet and the pages.")  # fmt: skip
@click.option("--jobs", type=click.IntRange(1, 64), default=max(1, (os.cpu_count() or 1) // 2), show_default=True,
              help="Submissions at a time.")  # fmt: skip
@click.option("--points", type=click.FloatRange(0, 1e6), default=100.0, show_default=True, help="For all cases passed.")
@click.option("--timeout", type=click.IntRange(1, 86400), default=USUAL.seconds, show_default=True,
              help="Seconds for a submission, in all.")  # fmt: skip
@click.option("--memory", type=click.IntRange(16), default=USUAL.memory, show_default=True, help="MB for one.")
@click.option(
    "--disk", type=click.IntRange(1), default=USUAL.disk, show_default=True, help="MB for one; held in memory."
)
@click.option("--processes", type=click.IntRange(8), default=USUAL.processes, show_default=True, help="And threads.")
@click.option(
    "--tools", type=FOLDER, multiple=True, metavar="DIR", help="A folder that all may read; DIR/bin on the PATH."
)
@click.option("--spec", "spec_file", type=FILE, help="Judge by this spec; `{spec}` in the command.")
@click.option("--profile", default="core", show_default=True, help="The profiles that are asked for, with commas.")
@click.option("--level", type=click.Choice(["must", "should"]), default="must", show_default=True)
@click.option("--select", "patterns", multiple=True, metavar="PATTERN", help="Only these: 'PAIRED/*', R-CHAT-1, an id.")
@click.option("--again", is_flag=True, help="Judge all again, also what has not changed.")
@click.option("--no-isolation", is_flag=True, help="Run what you have read and trust, as yourself, without a sandbox.")
def grade(folder: Path, command: str, results: Path, spec_file: Path | None, **options: Any) -> None:
    """Judges each submission of a folder: subfolders and archives (zip, tar).

    It writes grades.csv, index.html and a page for each into --to. A second run judges only what has changed, or was
    not done. Each submission runs isolated: without network, without sight of other files and processes, with limits
    of memory, time, processes, disk and descriptors. That takes Linux with bubblewrap (0.5 or later) and util-linux.

    Exit codes: 0 each was judged, whatever the verdict; 2 misuse; 3 no isolation here; 4 some could not be judged;
    130 stopped.
    """
    spec = load(spec_file) if spec_file else shipped()
    require_judgeable(spec)
    of, patterns, isolated = options["of"], options["patterns"], not options["no_isolation"]
    check_command(command, spec, of)
    problem = needs_shell(options["build"])
    if problem:
        raise CommandError(problem)
    if spec_file:
        spec = replace(spec, source=spec_file.name)  # students read it
    cases = server_cases(spec, SEGMENTS) if of == "server" else client_cases(spec, SEGMENTS)
    if not select(cases, patterns):
        raise click.UsageError("no case is selected")
    found = submissions(folder)
    if not found:
        raise click.UsageError(f"{folder} holds no submission: neither a folder nor an archive")
    if results.resolve().is_relative_to(folder.resolve()):
        raise click.UsageError(f"--to {results} lies in the folder of the submissions; name another one")
    if isolated:
        _require_isolation()
    job = Job(
        "", "", of, command, options["build"], str(spec_file.absolute()) if spec_file else "", options["profile"],
        options["level"], patterns,
        Limits(options["memory"], options["disk"], processes=options["processes"], seconds=options["timeout"]),
        isolated, tuple(str(tool.resolve()) for tool in options["tools"]),
        tuple(str(path.resolve()) for path in (folder, results, Path.home())),
    )  # fmt: skip
    course = Course(
        folder.resolve().name, results, job, spec, cases, found, options["jobs"], options["points"], options["again"],
        lambda mark, known: click.echo(_line(mark, known=known)),
    )  # fmt: skip
    click.echo(f"{pages.how_many(len(found))}, {course.jobs} at a time, at most {options['timeout']} s each")
    if not isolated:
        click.echo("no isolation: each submission runs as you, and can read and change what you can", err=True)
    try:
        with programs.first_signal(course.stop.set):
            marks = course.run()
    except OSError as error:
        raise click.UsageError(f"{error.filename or results}: {error.strerror}") from None
    if course.left:
        names = visible(", ".join(course.left))
        click.echo(f"stopped: {len(marks)} of {len(found)} are on the sheet; not judged: {names}", err=True)
        sys.exit(STOPPED)
    click.echo(visible(f"{results / 'grades.csv'}, {results / 'index.html'}"))
    sys.exit(4 if any(mark.verdict == NOT_JUDGED for mark in marks) else 0)


def _require_isolation() -> None:
    try:
        require_isolation()
    except IsolationError as error:
        how = "without it a submission runs as you: --no-isolation, for what you have read and trust"
        raise NoIsolationError(visible_lines(f"{error}; {how}")) from None


def _line(mark: Mark, *, known: bool) -> str:
    how = "as before" if known else f"{mark.seconds:g} s"
    note = f"  {visible(mark.note)[:100]}" if mark.note else ""
    return f"{visible(mark.submission):24} {mark.verdict:20} {mark.points:7g} points  {how}{note}"
