"""The command line: `pychat-conformance server|client|list|explain|replay|shrink|report`."""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from pychat.spec import Spec, SpecError, load, shipped

from . import __version__
from .cases.play import SEGMENTS, Play, Segment, to_yaml
from .cases.reader import PlayError, plays_of
from .engine.needs import check_names, names
from .engine.target import Address, Command, StartError, Target
from .engine.verdict import Result, exit_code
from .oracle.frames import visible, visible_lines
from .oracle.paths import paths_of
from .oracle.probe import UnjudgeableError, barrier_verb
from .results.known import Known, KnownError
from .results.record import case_line, footer, header
from .results.reports import KINDS, Reports
from .results.terminal import Terminal, program
from .run import Options, one_worker, run_suite
from .suite import Case, SelectionError, cases_of, nearest, select
from .walk import run_walks, walks
from .walk import shrink as shrunk

FILE = click.Path(path_type=Path)
SECONDS = click.FloatRange(0.1, 3600)
PATTERNS = "Only these: 'PAIRED/*', R-CHAT-1, an id."


class MisuseError(click.ClickException):
    """The command was used wrongly; exit code 2."""

    exit_code = 2


class Commands(click.Group):
    """Commands whose errors show what they quote, and obey none of it."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _visible_errors():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _visible_errors():
            return super().invoke(ctx)


@contextmanager
def _visible_errors() -> Iterator[None]:
    try:
        yield
    except click.ClickException as error:
        vars(error)["message"] = visible_lines(error.message)  # click marks it as final, for type checkers
        raise


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__)
def main() -> None:
    """Judges a server or a client of the PySocket Chat protocol, in any language, by replaying octets over sockets.

    Exit codes: 0 conforms; 1 a MUST failed, a known failure passed or is stale; 2 misuse or no case selected;
    3 it would not start, or cases were blocked; 4 the suite failed or is incomplete; 128 + N signal N has ended it.
    """


def _echo(text: str, *, err: bool = False) -> None:
    click.echo(visible_lines(text), err=err)


def _spec(path: Path | None) -> Spec:
    try:
        return load(path) if path else shipped()
    except SpecError as error:
        raise MisuseError(str(error)) from None
    except OSError as error:
        raise MisuseError(f"{path}: {error.strerror or error}") from None


def _judgeable(path: Path | None) -> Spec:
    """The spec, for what makes no list of cases."""
    spec = _spec(path)
    try:
        barrier_verb(spec)
    except UnjudgeableError as error:
        raise MisuseError(str(error)) from None
    return spec


def _known(path: Path | None) -> Known:
    try:
        return Known.load(path) if path else Known()
    except KnownError as error:
        raise MisuseError(str(error)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise MisuseError(f"{path}: {error}") from None


def _segments(text: str) -> tuple[Segment, ...]:
    words = text.split(",")
    for word in words:
        if word not in SEGMENTS:
            raise MisuseError(f"there is no segment {word!r}; there are {', '.join(SEGMENTS)}")
    return tuple(segment for segment in SEGMENTS if segment in words)


def _cases(make: Callable[[], list[Case]]) -> list[Case]:
    try:
        return make()
    except (PlayError, UnjudgeableError) as error:
        raise MisuseError(str(error)) from None


def _select(cases: list[Case], patterns: tuple[str, ...]) -> list[Case]:
    try:
        return select(cases, patterns)
    except SelectionError as error:
        raise MisuseError(str(error)) from None


def judging(command: Callable[..., None]) -> Callable[..., None]:
    """The options that judging a server and judging a client share."""
    options: list[Callable[[Any], Any]] = [
        click.option("--spec", "spec_file", type=FILE, help="Judge by this spec; `{spec}` in the command."),
        click.option("--profile", default="core", show_default=True, help="The profiles that it claims, with commas."),
        click.option("--level", type=click.Choice(["must", "should"]), default="must", show_default=True),
        click.option("--select", "patterns", multiple=True, metavar="PATTERN", help=PATTERNS),
        click.option("--known", "known_file", type=FILE, help="The list of known failures."),
        click.option("--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Workers."),
        click.option("--segment", default=",".join(SEGMENTS), show_default=True, help="How the octets are cut."),
        click.option("--seed", type=int, default=0, show_default=True, help="Of the walks."),
        click.option("--walk", "walks", type=click.IntRange(0), default=0, show_default=True, help="Random walks."),
        click.option("--fuzz", type=click.IntRange(0), default=0, show_default=True, help="Walks with any octets."),
        click.option("--patience", type=SECONDS, default=5.0, show_default=True, help="Seconds for a sign of life."),
        click.option("--max-wait", type=SECONDS, default=10.0, show_default=True, help="Seconds for a timer."),
        click.option("--fail-fast", is_flag=True, help="Stop at the first failure."),
        click.option("--report", "reports", multiple=True, metavar="KIND=FILE", help=", ".join(KINDS)),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


class Judging(click.Command):
    """A command whose help ends with the names that `--cmd` may hold."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Names in the command, filled in by the suite"):
            formatter.write_dl([(f"{{{name}}}", words) for name, words in names(shipped(), self.name or "").items()])


@main.command(cls=Judging)
@click.option("--cmd", "command", help="A program: './srv --port {port}'; its names are below.")
@click.option("--connect", "address", metavar="HOST:PORT", help="A server that runs already.")
@judging
def server(command: str | None, address: str | None, **options: Any) -> None:
    """Judges a server."""
    from .suite import server_cases

    spec = _spec(options["spec_file"])
    target = _target(command, address, spec)
    cases = _cases(lambda: server_cases(spec, _segments(options["segment"])))
    where = f"--cmd {shlex.quote(command)}" if command else f"--connect {address}"
    sys.exit(_judge("server", spec, target, cases, where, options))


@main.command(cls=Judging)
@click.option("--cmd", "command", required=True, help="A program: './cli {host} {port}'.")
@judging
def client(command: str, **options: Any) -> None:
    """Judges a client, driven by the line contract on its standard input and output."""
    from .suite import client_cases

    if options["walks"] or options["fuzz"]:
        raise MisuseError("--walk, --fuzz: random walks are for servers")
    spec = _spec(options["spec_file"])
    target = _command(command, spec, "client")
    cases = _cases(lambda: client_cases(spec, _segments(options["segment"])))
    sys.exit(_judge("client", spec, target, cases, f"--cmd {shlex.quote(command)}", options))


def _address(text: str) -> Address:
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([^\s\[\]:]+)):([0-9]{1,5})", text, re.ASCII)
    if found is None or not 0 < int(found[3]) < 65536:
        raise MisuseError(f"{text!r} is not HOST:PORT; IPv6 is written so: [::1]:8255")
    return Address(found[1] or found[2], int(found[3]))


def _judge(of: str, spec: Spec, target: Target, cases: list[Case], where: str, options: dict[str, Any]) -> int:
    """Runs the selected cases and writes the reports; the exit code."""
    terminal = Terminal()
    chosen = _select(cases, options["patterns"])
    if not chosen:
        raise MisuseError("no case is selected")
    if of == "server":
        for state, row in paths_of(spec).missing:
            terminal.say(f"no case: {state} {row.verb}, {row.condition or row.label}: the model never comes to it\n")
    known = _known(options["known_file"])
    spec_option = f" --spec {shlex.quote(str(options['spec_file']))}" if options["spec_file"] else ""
    where += spec_option
    shown = {key: visible(str(value)) for key, value in options.items() if key != "reports" and value}
    head = header(spec, chosen, of=of, command=visible(f"{of} {where}"), options=shown)
    reports = Reports.open(options["reports"], head)
    planned = len(chosen)

    def on_result(result: Result) -> None:
        terminal.progress(result, planned)
        reports.add(case_line(result))

    run = Options(
        jobs=options["jobs"],
        patience=options["patience"],
        max_wait=options["max_wait"],
        profiles=tuple(options["profile"].split(",")),
        fail_fast=options["fail_fast"],
        known=known,
        spec_file=options["spec_file"],
        replay=visible(f"{program()} {of} {where}{_other_options(options)}"),
        on_note=lambda note: terminal.say(visible_lines(f"{note}\n")),
        on_result=on_result,
    )
    started = time.monotonic()
    try:
        results = run_suite(target, chosen, run, spec=spec)
        for noisy, number in ((False, options["walks"]), (True, options["fuzz"])):
            if number and not (run.fail_fast and any(result.verdict.bad for result in results)):
                drawn = walks(spec, number, options["seed"], noisy=noisy)
                results += _walk(target, spec, run, drawn, reports, terminal, where)
    except StartError as error:
        reports.abandon()
        raise NoStartError(str(error)) from None
    finally:
        terminal.close_progress()
    seconds = time.monotonic() - started
    stale = known.stale(case.key for case in cases)
    planned = len(results) if options["fail_fast"] else planned
    code = exit_code(results, level=options["level"], planned=planned, stale=len(stale))
    if len(results) >= len(chosen):
        reports.finish(footer(results, seconds=seconds, exit_code=code, stale=stale))
    else:
        reports.abandon()
        terminal.say(
            "stopped at the first failure: no report but the record was written, and that without its footer\n"
        )
    terminal.summary(spec, results, of=of, seconds=seconds, stale=stale, code=code, patience=run.patience)
    return code


def _other_options(options: dict[str, Any]) -> str:
    """The options that change what a case is asked, for its replay."""
    usual = {"profile": "core", "patience": 5.0, "max_wait": 10.0}
    changed = {name: options[name] for name in usual if options[name] != usual[name]}
    return "".join(
        f" --{name.replace('_', '-')} {shlex.quote(value if isinstance(value, str) else f'{value:g}')}"
        for name, value in changed.items()
    )


@main.command(help=f"Makes reports from a run's record, which must be whole: {', '.join(KINDS)}.")
@click.argument("record", type=FILE)
@click.argument("reports", nargs=-1, required=True, metavar="KIND=FILE…")
def report(record: Path, reports: tuple[str, ...]) -> None:
    """Makes reports from a run's record."""
    from .results.record import Record, RecordError
    from .results.reports import maker, replace, wanted

    try:
        whole = Record.load(record)
    except RecordError as error:
        raise MisuseError(str(error)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise MisuseError(f"{record}: {error}") from None
    for kind, path in wanted(reports):
        try:
            replace(path, maker(kind)(whole))
        except OSError as error:
            raise MisuseError(f"the report {path} cannot be written: {error.strerror}") from None


def _walk(
    target: Target, spec: Spec, run: Options, drawn: Iterator[Case], reports: Reports, terminal: Terminal, where: str
) -> list[Result]:
    """Random walks after the cases; a failing one is saved as a play."""
    walked = run_walks(target, spec, drawn, run)
    found = walked.found
    if found is not None:
        file = Path("-".join(found.play.id.lower().split("/")[1:]) + ".yaml")
        file.write_text(to_yaml([found.play]), encoding="utf-8")
        found.result.replay = visible(f"{program()} replay {file} {where} --segment {found.result.segment}")
        terminal.say(f"a walk failed; the shortest one was written to {file}\n")
    terminal.say(walked.figures)
    for result in walked.results:
        reports.add(case_line(result))
    return walked.results


@main.command("list")
@click.argument("of", type=click.Choice(["server", "client"]), default="server")
@click.option("--spec", "spec_file", type=FILE, help="The cases of this spec.")
@click.option("--select", "patterns", multiple=True, metavar="PATTERN", help=PATTERNS)
def list_(of: str, spec_file: Path | None, patterns: tuple[str, ...]) -> None:
    """Lists the cases: id, rules, title."""
    spec = _spec(spec_file)
    for case in _select(_all(spec, of), patterns):
        _echo(f"{case.id:44} {','.join(case.rules):20} {case.title}")


def _all(spec: Spec, of: str) -> list[Case]:
    """Each case once, its octets whole."""
    from .suite import client_cases, server_cases

    return _cases(lambda: server_cases(spec, ("whole",)) if of == "server" else client_cases(spec, ("whole",)))


@main.command()
@click.argument("id_", metavar="ID")
@click.option("--spec", "spec_file", type=FILE, help="The cases of this spec.")
def explain(id_: str, spec_file: Path | None) -> None:
    """Explains a case or a rule: the words of the rule, the script, what is right, and the usual mistakes."""
    from .explain import explain as explained

    spec = _spec(spec_file)
    cases = [*_all(spec, "server"), *_all(spec, "client")]
    found = [case for case in cases if case.id == id_]
    if not found and id_ in spec.rules:
        rule = spec.rules[id_]
        _echo(f"{rule.id} ({rule.level}, {rule.of}): {rule.text}\n\nShown by:")
        for case in cases:
            if id_ in case.rules:
                _echo(f"  {case.of:6} {case.id:44} {case.title}")
        return
    if not found:
        raise MisuseError(f"there is no case {id_!r}{nearest(cases, id_)}")
    _echo("\n\n".join(explained(spec, case) for case in found))


def on_server(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which server."""
    for option in (
        click.option("--patience", type=click.FloatRange(0.1, 600), default=5.0, show_default=True),
        click.option("--segment", default="whole", show_default=True, type=click.Choice((*SEGMENTS, "random"))),
        click.option("--spec", "spec_file", type=FILE, help="Judge by this spec."),
        click.option("--connect", "address", metavar="HOST:PORT", help="A server that runs already."),
        click.option("--cmd", "command", help="A program: './srv --port {port}'."),
    ):
        command = option(command)
    return command


def _plays(file: Path, spec: Spec) -> list[Play]:
    try:
        plays = plays_of(file, spec)
    except PlayError as error:
        raise MisuseError(str(error)) from None
    except OSError as error:
        raise MisuseError(f"{file}: {error.strerror or error}") from None
    if not plays:
        raise MisuseError(f"{file}: there is no play in it")
    return plays


def _target(command: str | None, address: str | None, spec: Spec) -> Target:
    if (command is None) == (address is None):
        raise MisuseError("give either --cmd or --connect")
    return _address(address) if address is not None else _command(command or "", spec, "server")


def _command(command: str, spec: Spec, of: str) -> Command:
    try:
        check_names(command, spec, of)
    except ValueError as error:
        raise MisuseError(str(error)) from None
    return Command(command)


@main.command()
@click.argument("file", type=FILE)
@on_server
def replay(
    file: Path, command: str | None, address: str | None, spec_file: Path | None, segment: Segment, patience: float
) -> None:
    """Replays the plays in a file: a saved walk, or one's own."""
    spec = _judgeable(spec_file)
    plays = _plays(file, spec)
    if any(play.of == "client" for play in plays) and address:
        raise MisuseError("a client under test is a command")
    target = _target(command, address, spec)
    code = 0
    for of in ("server", "client"):
        cases = [case for play in plays if play.of == of for case in cases_of(spec, play, "play", (segment,))]
        if cases:
            code = max(code, _replay(spec, target, cases, Options(patience=patience, spec_file=spec_file)))
    sys.exit(code)


def _replay(spec: Spec, target: Target, cases: list[Case], options: Options) -> int:
    terminal = Terminal()
    started = time.monotonic()
    try:
        results = run_suite(target, cases, options, spec=spec)
    except StartError as error:
        raise NoStartError(str(error)) from None
    for result in results:
        if result.verdict.good:
            terminal.transcript(result)
    code = exit_code(results, level="should", planned=len(cases))
    terminal.summary(spec, results, of=cases[0].of, seconds=time.monotonic() - started, stale=(), code=code)
    return code


@main.command()
@click.argument("file", type=FILE)
@click.option("--output", type=FILE, help="Where the shortest play goes; the terminal without it.")
@on_server
def shrink(
    file: Path,
    output: Path | None,
    command: str | None,
    address: str | None,
    spec_file: Path | None,
    segment: Segment,
    patience: float,
) -> None:
    """Shrinks a failing play to the fewest steps that still fail."""
    spec = _judgeable(spec_file)
    plays = [play for play in _plays(file, spec) if play.of == "server"]
    if not plays:
        raise MisuseError(f"{file}: only plays for servers can be shrunk")
    with one_worker(_target(command, address, spec), spec, Options(patience=patience, spec_file=spec_file)) as worker:
        try:
            worker.address()
            play, result = shrunk(worker, plays[0], segment)
        except StartError as error:
            raise NoStartError(str(error)) from None
        except ValueError as error:
            raise MisuseError(str(error)) from None
    text = to_yaml([play])
    if output:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise MisuseError(f"{output}: {error.strerror}") from None
    else:
        _echo(text)
    _echo(f"{len(play.steps)} steps: {result.words}", err=True)
    sys.exit(1)


class NoStartError(click.ClickException):
    """The implementation would not start; exit code 3."""

    exit_code = 3
