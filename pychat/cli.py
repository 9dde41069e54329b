"""The command line. What a command needs is imported when it runs, so that `pychat --help` is quick."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from . import __version__
from .command import Group, say
from .core.addresses import endpoint, parse_endpoint, parse_host
from .net import reason

if TYPE_CHECKING:
    from .spec import Spec

SPEC_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class Commands(Group):
    """Commands that print an error of the system, such as a full disk behind stdout, in one line."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno == errno.EPIPE:  # stdout's reader has gone: click ends the program
                raise
            with suppress(OSError):  # there may be no descriptor left
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the exit does not complain again
            _fail(reason(error))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", prog_name="pychat")
def main() -> None:
    """Private chat over TCP, made from one protocol spec.

    \b
    Start with:
      pychat demo                    two people talk, and each line is explained
      pychat server                  run a server
      pychat client --name alice     talk to somebody on it
    """


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Name or address to listen on; :: is every one.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 is any free one. [default: the spec's]"
)
@click.option(
    "--io-threads", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads that share the connections."
)
@click.option(
    "--max-connections",
    type=click.IntRange(1, 1_000_000),
    default=10_000,
    show_default=True,
    help="How many are admitted.",
)
@click.option(
    "--per-address",
    type=click.IntRange(1, 1_000_000),
    help="How many of them one address other than loopback may hold; an IPv6 address counts by its first 64 bits. "
    "[default: the spec's share, a tenth but at least 50]",
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--spec", "spec_file", type=SPEC_FILE, help="Serve another spec file, for example one with shorter timers."
)
def server(
    host: str,
    port: int | None,
    io_threads: int,
    max_connections: int,
    per_address: int | None,
    log_level: str,
    log_format: str,
    spec_file: Path | None,
) -> None:
    """Run a server until SIGINT or SIGTERM.

    The address is printed on stdout when connections are taken, the log goes to stderr. At the first signal everybody
    gets a last frame and the server ends within 5 s with exit code 0; at the second one it ends at once. SIGHUP ends
    it if it was started from a terminal and not with nohup.
    """
    from .server.log import EventLog
    from .server.process import raise_descriptor_limit, serve
    from .server.server import Server

    try:
        host = parse_host(host)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--host") from None
    spec = _spec(spec_file)
    room = raise_descriptor_limit(max_connections, io_threads)
    log = EventLog(log_level, log_format)
    try:
        serving = Server(
            spec, host, port, io_threads=io_threads, max_connections=room, per_address=per_address, log=log
        )
    except OSError as error:
        where = endpoint(host, spec.transport.port if port is None else port)
        _fail(f"cannot listen on {where}: {reason(error)}")
    except ValueError as error:
        _fail(f"{spec.source}: {error}")
    if room < max_connections:
        log("fewer-connections", level="warning", admitted=room, reason="the limit of open files")
    whole = serve(serving, log, say)
    log.stop()
    if not whole:
        sys.exit(1)


@main.command()
@click.argument("address", required=False, metavar="[HOST[:PORT]]")
@click.option("--name", help="The name to take; asked for without it.")
@click.option("--chat", metavar="USER", help="Call this user at once.")
@click.option(
    "--plain", is_flag=True, help="Read commands from stdin and print what happens, one line each; for programs."
)
@click.option("--spec", "spec_file", type=SPEC_FILE, help="Speak by another spec file.")
def client(address: str | None, name: str | None, chat: str | None, plain: bool, spec_file: Path | None) -> None:
    """Talk to somebody. Type a name to call that user, then what you want to say; /help explains the rest.

    Without an address it is 127.0.0.1:8255, and another spec file has its own port.
    """
    from .client.start import run_client

    spec = _spec(spec_file)
    try:
        host, port = parse_endpoint("127.0.0.1" if address is None else address, spec.transport.port)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="HOST[:PORT]") from None
    sys.exit(run_client(host, port, name, chat, plain, spec))


@main.command(short_help="Two people talk, and each line on the wire is explained.")
def demo() -> None:
    """Two people find each other and talk, over real sockets, and each line on the wire is explained."""
    from .demo import run_demo

    sys.exit(run_demo())


@main.group()
def spec() -> None:
    """Work with protocol specs."""


@spec.command(short_help="Check a spec file, and replay its examples.")
@click.argument("file", required=False, type=SPEC_FILE)
def check(file: Path | None) -> None:
    """Check a spec file (the shipped one without FILE), and replay its examples through the machines.

    Faults are printed as a compiler prints them. Exit code 0: none, 1: some, 2: misuse.
    """
    from .core.replay import replay
    from .spec import SpecError, load, loads, shipped_file

    try:
        checked = load(file) if file is not None else loads(shipped_file().read_bytes(), "pychat.yaml")
    except SpecError as error:
        for fault in error.faults:
            say(str(fault))
        say(f"{len(error.faults)} fault{'s' if len(error.faults) > 1 else ''}", err=True)
        sys.exit(1)
    except OSError as error:
        _fail(f"cannot read {file}: {reason(error)}")
    mismatches = 0
    for example in checked.examples.values():
        for mismatch in replay(checked, example):
            mismatches += 1
            place = checked.place("examples", example.id, "steps", mismatch.step)
            say(f"{place}: the example {example.id}: {mismatch}")
    if mismatches:
        sys.exit(1)
    rows = len(list(checked.outcomes()))
    say(
        f"{checked.source}: {len(checked.requests)} requests, {len(checked.states)} states, {rows} outcomes, "
        f"{len(checked.rules)} rules, {len(checked.examples)} examples: no faults"
    )


@main.command(short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell: eval "$(.venv/bin/pychat completion bash)".

    If pychat is not on the PATH, the script puts its folder at the end of this shell's PATH: a shell completes only
    commands that it finds.
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None, "click has one for each of them"
    if shutil.which("pychat") is None:
        program = Path(sys.argv[0] if Path(sys.argv[0]).name == "pychat" else sys.executable)
        folder = shlex.quote(str(program.absolute().parent))
        click.echo(f"set --append PATH {folder}" if shell == "fish" else f"PATH=$PATH:{folder}")
    click.echo(found(main, {}, "pychat", "_PYCHAT_COMPLETE").source())


def _spec(file: Path | None) -> Spec:
    from .spec import SpecError, load, shipped

    if file is None:
        return shipped()
    try:
        return load(file)
    except SpecError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"cannot read {file}: {reason(error)}")


def _fail(message: str) -> NoReturn:
    say(f"pychat: {message}", err=True)
    sys.exit(1)
