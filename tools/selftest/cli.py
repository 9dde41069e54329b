"""The command line: `python -m tools.selftest mutants|steady`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from conformance.engine.target import Command, StartError
from conformance.oracle.probe import UnjudgeableError, barrier_verb
from conformance.run import Options
from conformance.suite import server_cases
from pychat.command import Group, say
from pychat.spec import Spec, SpecError, load, shipped

from .steady import steady as again
from .trials import run

FILE = click.Path(path_type=Path)
JOBS = click.option("--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Workers.")
SPEC = click.option("--spec", "spec_file", type=FILE, help="Another spec file.")


def _spec(path: Path | None) -> Spec:
    try:
        spec = load(path) if path else shipped()
        barrier_verb(spec)
    except (SpecError, UnjudgeableError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror or error}") from None
    return spec


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def main() -> None:
    """Judges the judge: it must pass correct implementations, find broken ones, and not change its mind."""


@main.command()
@click.argument("side", type=click.Choice(["server", "client", "all"]), default="all")
@click.option(
    "--select", "patterns", multiple=True, metavar="PATTERN", help="Only these mutants: 'PAIRED/*', closed-at-once."
)
@JOBS
@SPEC
@click.option("--verbose", is_flag=True, help="A line for each mutant: what has killed it.")
def mutants(side: str, patterns: tuple[str, ...], jobs: int, spec_file: Path | None, verbose: bool) -> None:
    """Correct implementations must pass, and each one that is broken on purpose must fail."""
    sys.exit(run(side, _spec(spec_file), spec_file, patterns=patterns, jobs=jobs, verbose=verbose))


@main.command()
@click.option("--cmd", "command", required=True, help="A program: './srv --port {port}'.")
@SPEC
@JOBS
@click.option("--runs", type=click.IntRange(2, 1000), default=20, show_default=True, help="Full runs.")
@click.option("--busy", type=click.IntRange(0, 64), default=2, show_default=True, help="Processes that only spin.")
def steady(command: str, spec_file: Path | None, jobs: int, runs: int, busy: int) -> None:
    """Runs all cases again and again while the machine is busy, and counts the verdicts that change."""
    spec = _spec(spec_file)
    cases = server_cases(spec)

    def on_run(number: int, seconds: float, changed: int) -> None:
        say(f"run {number:3}  {seconds:5.1f} s  {changed} verdicts changed")

    options = Options(jobs=jobs, spec_file=spec_file)
    try:
        changed = again(Command(command), cases, spec, options, runs=runs, processes=busy, on_run=on_run)
    except StartError as error:
        raise click.ClickException(str(error)) from None
    for key, verdicts in changed.items():
        say(f"{key}: {' '.join(verdicts)}")
    say(f"{runs} runs of {len(cases)} cases beside {busy} busy processes: {len(changed)} changed verdicts")
    sys.exit(1 if changed else 0)
