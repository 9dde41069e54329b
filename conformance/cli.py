"""The command line: `pychat-conformance server|client|grade|list|explain|export|replay|shrink|report`."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from pychat.command import Group
from pychat.spec import Spec, SpecError, load, shipped

from . import __version__, session
from .cases.case import Case, cases_of
from .cases.play import SEGMENTS, Play, Segment, to_yaml
from .cases.reader import PlayError, plays_of
from .engine.failures import ContradictionError
from .engine.target import Address, Command, CommandError, StartError, Target, check_command, placeholders_of
from .explain import explain as explained
from .export import export as exported
from .grade.command import grade
from .oracle.frames import visible_lines
from .oracle.judgeable import require_judgeable
from .oracle.probe import UnjudgeableError
from .results.known import Known, KnownError
from .results.record import Record, RecordError
from .results.reports import KINDS, maker, replace, wanted
from .run import Options, one_worker
from .suite import SelectionError, client_cases, nearest, select, server_cases
from .walk import shrink as shrunk

FILE = click.Path(path_type=Path)
SECONDS = click.FloatRange(0.1, 3600)
PATTERNS = "Only these: 'PAIRED/*', a rule, a state, a message, an id."
POINTS = click.option(
    "--points", type=click.IntRange(1, 10_000), default=100, show_default=True, help="In all, for gradescope=FILE."
)
MISUSE = (
    SpecError, UnjudgeableError, PlayError, ContradictionError, SelectionError, KnownError, RecordError, CommandError,
)  # fmt: skip


class MisuseError(click.ClickException):
    """The command was used wrongly; exit code 2."""

    exit_code = 2


class NoStartError(click.ClickException):
    """The implementation would not start; exit code 3."""

    exit_code = 3


class Commands(Group):
    """Commands whose errors are a sentence and an exit code."""

    visible = staticmethod(visible_lines)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MISUSE as error:
            raise MisuseError(visible_lines(str(error))) from None
        except StartError as error:
            raise NoStartError(visible_lines(str(error))) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__)
def main() -> None:
    """Judges a server or a client of the PySocket Chat protocol, in any language, by replaying octets over sockets.

    Exit codes: 0 conforms; 1 a MUST failed, a known failure passed or is stale; 2 misuse or no case selected;
    3 it would not start, or cases were blocked; 4 the suite failed or is incomplete; 128 + N signal N has ended it.
    """


main.add_command(grade)


def _echo(text: str, *, err: bool = False) -> None:
    click.echo(visible_lines(text), err=err)


@contextmanager
def _file(path: Path | None, problem: str = "{path}: {reason}") -> Iterator[None]:
    """What cannot be read or written is a misuse of the command."""
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise MisuseError(problem.format(path=path, reason=reason)) from None


def _spec(path: Path | None) -> Spec:
    """A spec by which can be judged."""
    with _file(path):
        spec = load(path) if path else shipped()
    require_judgeable(spec)
    return spec


def _segments(text: str) -> tuple[Segment, ...]:
    words = text.split(",")
    for word in words:
        if word not in SEGMENTS:
            raise MisuseError(f"there is no segment {word!r}; there are {', '.join(SEGMENTS)}")
    return tuple(segment for segment in SEGMENTS if segment in words)


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
        POINTS,
        click.option("--report", "reports", multiple=True, metavar="KIND=FILE", help=", ".join(KINDS)),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


class Judging(click.Command):
    """A command whose help ends with the placeholders that `--cmd` may hold."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        found = placeholders_of(shipped(), self.name or "")
        with formatter.section("Names in the command, filled in by the suite"):
            formatter.write_dl([(f"{{{name}}}", words) for name, words in found.items()])


@main.command(cls=Judging)
@click.option("--cmd", "command", help="A program: './srv --port {port}'; its names are below.")
@click.option("--connect", "address", metavar="HOST:PORT", help="A server that runs already.")
@judging
def server(command: str | None, address: str | None, **options: Any) -> None:
    """Judges a server."""
    spec = _spec(options["spec_file"])
    target = _target(command, address, spec)
    cases = server_cases(spec, _segments(options["segment"]))
    where = f"--cmd {shlex.quote(command)}" if command else f"--connect {address}"
    sys.exit(session.judge(target, spec, cases, _known(options["known_file"]), where, options))


@main.command(cls=Judging)
@click.option("--cmd", "command", required=True, help="A program: './cli {host} {port}'.")
@judging
def client(command: str, **options: Any) -> None:
    """Judges a client, driven by the line contract on its standard input and output."""
    if options["fuzz"]:
        raise MisuseError("--fuzz: walks with any octets are for servers; --walk draws some for clients")
    spec = _spec(options["spec_file"])
    check_command(command, spec, "client")
    cases = client_cases(spec, _segments(options["segment"]))
    where = f"--cmd {shlex.quote(command)}"
    sys.exit(session.judge(Command(command), spec, cases, _known(options["known_file"]), where, options))


def _known(path: Path | None) -> Known:
    with _file(path):
        return Known.load(path) if path else Known()


def _target(command: str | None, address: str | None, spec: Spec) -> Target:
    """What is judged: a command, or the address of a server."""
    if (command is None) == (address is None):
        raise MisuseError("give either --cmd or --connect")
    if address is None:
        check_command(command or "", spec, "server")
        return Command(command or "")
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([^\s\[\]:]+)):([0-9]{1,5})", address, re.ASCII)
    if found is None or not 0 < int(found[3]) < 65536:
        raise MisuseError(f"{address!r} is not HOST:PORT; IPv6 is written so: [::1]:8255")
    return Address(found[1] or found[2], int(found[3]))


@main.command(help=f"Makes reports from a run's record, which must be whole: {', '.join(KINDS)}.")
@click.argument("record", type=FILE)
@click.argument("reports", nargs=-1, required=True, metavar="KIND=FILE…")
@POINTS
@click.pass_context
def report(ctx: click.Context, record: Path, reports: tuple[str, ...], points: int) -> None:
    """Makes reports from a run's record."""
    with _file(record):
        whole = Record.load(record)
    if ctx.get_parameter_source("points") is ParameterSource.COMMANDLINE:
        whole.header["options"]["points"] = str(points)
    for kind, path in wanted(reports):
        with _file(path, "the report {path} cannot be written: {reason}"):
            replace(path, maker(kind)(whole))


@main.command("list")
@click.argument("of", type=click.Choice(["server", "client"]), default="server")
@click.option("--spec", "spec_file", type=FILE, help="The cases of this spec.")
@click.option("--select", "patterns", multiple=True, metavar="PATTERN", help=PATTERNS)
def list_(of: str, spec_file: Path | None, patterns: tuple[str, ...]) -> None:
    """Lists the cases: id, rules, title."""
    for case in select(_all(_spec(spec_file), of), patterns):
        _echo(f"{case.id:44} {','.join(case.rules):20} {case.title}")


@main.command()
@click.argument("of", type=click.Choice(["server", "client"]), default="server")
@click.option("--spec", "spec_file", type=FILE, help="The cases of this spec.")
@click.option("--select", "patterns", multiple=True, metavar="PATTERN", help=PATTERNS)
@click.option("--schema", is_flag=True, help="The form of the document, and what a runner must do, as a JSON schema.")
def export(of: str, spec_file: Path | None, patterns: tuple[str, ...], schema: bool) -> None:
    """Writes the cases as JSON, with all that is due in them, for runners in other languages."""
    if schema:
        click.echo(Path(__file__).with_name("export.schema.json").read_text(encoding="utf-8"), nl=False)
        return
    spec = _spec(spec_file)
    chosen = select(_all(spec, of), patterns)
    if not chosen:
        raise SelectionError("no case is selected")
    click.echo(json.dumps(exported(spec, chosen), ensure_ascii=True, indent=1))


def _all(spec: Spec, of: str) -> list[Case]:
    """Each case once, its octets whole."""
    return server_cases(spec, ("whole",)) if of == "server" else client_cases(spec, ("whole",))


@main.command()
@click.argument("id_", metavar="ID")
@click.option("--spec", "spec_file", type=FILE, help="The cases of this spec.")
def explain(id_: str, spec_file: Path | None) -> None:
    """Explains a case or a rule: the words of the rule, the script, what is right, and the usual mistakes."""
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
    with _file(file):
        plays = plays_of(file, spec)
    if not plays:
        raise MisuseError(f"{file}: there is no play in it")
    return plays


@main.command()
@click.argument("file", type=FILE)
@on_server
def replay(
    file: Path, command: str | None, address: str | None, spec_file: Path | None, segment: Segment, patience: float
) -> None:
    """Replays the plays in a file: a saved walk, or one's own."""
    spec = _spec(spec_file)
    plays = _plays(file, spec)
    if any(play.of == "client" for play in plays) and address:
        raise MisuseError("a client under test is a command")
    target, options = _target(command, address, spec), Options(patience=patience, spec_file=spec_file)
    code = 0
    for of in ("server", "client"):
        cases = [case for play in plays if play.of == of for case in cases_of(spec, play, "play", (segment,))]
        if cases:
            code = max(code, session.replay(target, spec, cases, options))
    sys.exit(code)


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
    spec = _spec(spec_file)
    plays = [play for play in _plays(file, spec) if play.of == "server"]
    if not plays:
        raise MisuseError(f"{file}: only plays for servers can be shrunk")
    with one_worker(_target(command, address, spec), spec, Options(patience=patience, spec_file=spec_file)) as worker:
        worker.address()
        try:
            play, result = shrunk(worker, plays[0], segment)
        except ValueError as error:
            raise MisuseError(str(error)) from None
    text = to_yaml([play])
    if output:
        with _file(output):
            output.write_text(text, encoding="utf-8")
    else:
        _echo(text)
    _echo(f"{len(play.steps)} steps: {result.words}", err=True)
    sys.exit(1)
