"""The command line: `python -m tools.selftest mutants|foreign|variants|steady`. Each imports what it needs."""

from __future__ import annotations

import fnmatch
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pychat.command import Group, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pychat.spec import Spec

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
EXITS = "Exit code: 0 the judge is right, 1 it is wrong, 2 misuse, 128 + N it was ended by signal N."
JOBS = click.option("--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Workers.")
SPEC = click.option(
    "--spec", "spec_file", type=click.Path(path_type=Path), help="A spec file instead of the shipped one."
)


class Misuse(click.ClickException):
    """The command cannot do what it was asked for; the message says why."""

    exit_code = 2


@click.group(cls=Group, context_settings=HELP, epilog=EXITS)
def main() -> None:
    """Judges the judge: correct programs must pass, broken ones must fail, and no verdict may change.

    The judge is wrong if a correct program fails, if a mutant passes everything, or if a verdict changes.
    """


@main.command(epilog=EXITS)
@click.argument("side", type=click.Choice(["server", "client", "all"]), default="all")
@click.option("--select", "patterns", multiple=True, metavar="PATTERN", help="Only these: 'PAIRED/*', closed-at-once.")
@click.option("--list", "listed", is_flag=True, help="Print the mutants and what is broken in each, and judge none.")
@click.option("--verbose", is_flag=True, help="A line for each mutant: which case has killed it.")
@JOBS
@SPEC
def mutants(
    side: str, patterns: tuple[str, ...], listed: bool, verbose: bool, jobs: int, spec_file: Path | None
) -> None:
    """Correct programs must pass, mutants must fail.

    A mutant is a server or a client that is broken on purpose. All of them take about 15 minutes.
    """
    from conformance.engine.target import StartError

    from .report import Progress, report
    from .subjects import SIDES, nearest, selected
    from .trials import selftest

    spec = _spec(spec_file)
    chosen = {each: selected(each, spec, patterns) for each in SIDES if side in (each, "all")}
    if not any(chosen.values()):
        raise Misuse(f"no mutant is called {patterns[0]}; the nearest are {', '.join(nearest(spec, patterns[0]))}")
    if listed:
        for each_side, found in chosen.items():
            say("\n".join(f"{each_side} {mutant.name}: {mutant.breaks}" for mutant in found))
        return
    progress = Progress(sum(map(len, chosen.values())), verbose)
    good = True
    for each_side, found in chosen.items():
        if found:
            try:
                outcome = selftest(each_side, spec, spec_file, found, jobs=jobs, on_trial=progress.trial)
            except StartError as error:
                raise Misuse(str(error)) from None
            progress.clear()
            say("\n".join(report(spec, outcome)))
            good = good and outcome.good
    sys.exit(0 if good else 1)


@main.command(epilog=EXITS)
@click.argument("name", required=False)
@click.option("--select", "patterns", multiple=True, metavar="PATTERN", help="Only these mutants.")
@click.option("--list", "listed", is_flag=True, help="Print the mutants and what is broken in each, and judge none.")
@click.option("--verbose", is_flag=True, help="A line for each mutant: which case has killed it.")
@JOBS
def foreign(name: str | None, patterns: tuple[str, ...], listed: bool, verbose: bool, jobs: int) -> None:
    """Mutants by other hands must fail: programs in other languages, made by somebody who had the page alone.

    NAME is a set; all of them without one.
    """
    from conformance.engine.target import StartError

    from .foreign import SetError, sets
    from .foreign.trials import judge_set
    from .report import Progress, report

    known, good = sets(), True
    if name is not None and name not in known:
        raise Misuse(f"no set is called {name}; there are {', '.join(known)}")
    for found in (known[name],) if name is not None else known.values():
        matching = [c for c in found.changes if any(fnmatch.fnmatchcase(c.name, one) for one in patterns or ("*",))]
        seen = [change for change in matching if not change.unseen]
        if listed:
            say(
                "\n".join(
                    f"{found.name} {c.name}: {c.breaks} ({c.rule}){c.unseen and f' ({c.unseen})'}" for c in matching
                )
            )
            continue
        progress = Progress(len(seen), verbose)
        try:
            outcome = judge_set(found, seen, _spec(None), jobs=jobs, on_trial=progress.trial)
        except (SetError, StartError) as error:
            raise Misuse(str(error)) from None
        progress.clear()
        say(f"{found.name}: a {found.side} in {found.language}")
        say("\n".join(report(_spec(None), outcome)))
        say(f"{len(matching) - len(seen)} more cannot be seen from outside; the first run: {found.first_run}\n")
        good = good and outcome.good
    sys.exit(0 if good else 1)


@main.command(epilog=EXITS)
@click.argument("side", type=click.Choice(["server", "client", "all"]), default="all")
@click.option("--select", "patterns", multiple=True, metavar="PATTERN", help="Only these variants: 'answers-*'.")
@click.option("--cases", "selected_cases", multiple=True, metavar="PATTERN", help="Only these cases: 'PAIRED/*'.")
@click.option("--list", "listed", is_flag=True, help="Print the variants, and judge none.")
@SPEC
def variants(
    side: str, patterns: tuple[str, ...], selected_cases: tuple[str, ...], listed: bool, spec_file: Path | None
) -> None:
    """Legal variants must pass.

    A variant is a right program that does what the protocol leaves open in another way: it answers late, one octet at
    a time, with other words, and so on. Each is judged by all cases.
    """
    from conformance.suite import SelectionError, client_cases, select, server_cases

    from .variants.client.table import VARIANTS as CLIENTS
    from .variants.server.table import VARIANTS as SERVERS
    from .variants.trials import Variant, judge_all, row

    spec = _spec(spec_file)
    sides: dict[str, Sequence[Variant]] = {"server": SERVERS, "client": CLIENTS}
    good, found = True, False
    for each_side, known in sides.items():
        chosen = [each for each in known if any(fnmatch.fnmatchcase(each.name, p) for p in patterns or ("*",))]
        if side not in (each_side, "all") or not chosen:
            continue
        found = True
        if listed:
            say("\n".join(f"{each_side} {each.name}: {each.about}" for each in chosen))
            continue
        cases = server_cases(spec) if each_side == "server" else client_cases(spec)
        try:
            cases = select(cases, selected_cases)
        except SelectionError as error:
            raise Misuse(str(error)) from None
        say(f"{each_side:24} | {'wrong':>8} | seconds")
        judged = judge_all(chosen, cases, spec, spec_file, lambda one: say(row(one)))
        bad = [each for each in judged if not each.good]
        say(f"{len(bad)} of {len(judged)} {each_side} variants got a wrong verdict, by {len(cases)} cases each")
        good = good and not bad
    if not found:
        raise Misuse(f"no variant is called {patterns[0]}; --list names them all")
    sys.exit(0 if good else 1)


@main.command(epilog=EXITS)
@click.option("--cmd", "command", help="A server: './srv --port {port}'.", show_default="the shipped server")
@click.option("--runs", type=click.IntRange(2, 1000), default=20, show_default=True, help="How often all cases run.")
@click.option("--busy", type=click.IntRange(0, 64), default=2, show_default=True, help="Processes that only compute.")
@JOBS
@SPEC
def steady(command: str | None, runs: int, busy: int, jobs: int, spec_file: Path | None) -> None:
    """Verdicts must not change on a busy machine.

    All cases run again and again beside processes that only compute; each verdict must stay what it was.
    """
    from conformance.engine.target import Command, StartError
    from conformance.run import Options
    from conformance.suite import server_cases

    from .steady import Run, run_again
    from .subjects import subjects

    spec = _spec(spec_file)
    cases = server_cases(spec)

    withheld = 0

    def on_run(run: Run) -> None:
        nonlocal withheld
        withheld += run.withheld
        say(f"run {run.number:3}  {run.seconds:5.1f} s  {run.changed} verdicts changed, {run.withheld} withheld")

    target = Command(command or next(iter(subjects("server").values())))
    options = Options(jobs=jobs, spec_file=spec_file)
    try:
        changed = run_again(target, cases, spec, options, runs=runs, processes=busy, on_run=on_run)
    except StartError as error:
        raise Misuse(str(error)) from None
    for key, verdicts in changed.items():
        say(f"{key}: {' '.join(verdicts)}")
    say(
        f"{runs} runs of {len(cases)} cases beside {busy} busy processes: {len(changed)} changed verdicts, "
        f"{withheld} withheld because the machine was too busy"
    )
    sys.exit(1 if changed else 0)


def _spec(path: Path | None) -> Spec:
    """The spec of a file, the shipped one without; a file that cannot be judged by is misuse."""
    from conformance.oracle.judgeable import require_judgeable
    from conformance.oracle.probe import UnjudgeableError
    from pychat.spec import SpecError, load, shipped

    try:
        spec = load(path) if path else shipped()
        require_judgeable(spec)
    except (SpecError, UnjudgeableError) as error:
        raise Misuse(str(error)) from None
    except OSError as error:
        raise Misuse(f"{path}: {error.strerror or error}") from None
    return spec
