"""Records a real server and real clients: `python -m tools.capture [--out FILE] [--scenario NAME]`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pychat.command import Command, say

from .network import CaptureError
from .scenarios import ALL, SCENARIOS
from .session import Request, attach, record
from .stage import Programs


@click.command(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--out", default="traffic_capture.pcapng", show_default=True,
              type=click.Path(path_type=Path, dir_okay=False),
              help="The capture; .pcap writes the older format, without comments and names.")  # fmt: skip
@click.option("--scenario", default="all", show_default=True, type=click.Choice([*SCENARIOS, "all"]),
              help=f"What is played; all are {', '.join(ALL)}.")  # fmt: skip
@click.option(
    "--loopback", "force_loopback", is_flag=True, help="Use the loopback interface even where namespaces are possible."
)
@click.option("--ipv6", is_flag=True, help="Use IPv6.")
@click.option(
    "--pace",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, 100),
    help="How long people think; 0 is no time at all.",
)
@click.option("--server", "server_command", help="Record another server: its command, with {host} and {port}.")
@click.option("--client", "client_command", help="Record another client: its command, with {host} and {port}.")
@click.option(
    "--attach", metavar="PORT", type=click.IntRange(1, 65535), help="Record a server that runs already, until Ctrl-C."
)
@click.option(
    "--interface", default=None, help="Where to record with --attach.  [default: any on Linux, else loopback]"
)
@click.option("--seconds", type=click.FloatRange(min=0), help="End a recording with --attach after so many seconds.")
def main(
    out: Path,
    scenario: str,
    force_loopback: bool,
    ipv6: bool,
    pace: float,
    server_command: str | None,
    client_command: str | None,
    attach: int | None,
    interface: str | None,
    seconds: float | None,
) -> None:
    """Plays a scenario with a real server and real clients, and records it with dumpcap.

    As root on Linux everybody gets a network namespace of his own behind a router; otherwise it is the loopback
    interface. What the scenario did is written beside the capture, as OUT with the ending .truth.json.
    """
    try:
        if attach is not None:
            _attach(attach, interface, seconds, out)
            return
        programs = Programs()
        if server_command:
            programs = Programs(tuple(server_command.split()), (), programs.client)
        if client_command:
            programs = Programs(programs.server, programs.server_spec, tuple(client_command.split()))
        names = ALL if scenario == "all" else [scenario]
        record(Request(out, names, programs, pace, force_loopback, ipv6, chosen=scenario != "all"), say)
    except (CaptureError, OSError) as error:
        say(f"capture: {error}", err=True)
        sys.exit(1)


def _attach(port: int, interface: str | None, seconds: float | None, out: Path) -> None:
    device = interface or ("any" if sys.platform == "linux" else "lo0")
    attach(port, device, seconds, out, say)
