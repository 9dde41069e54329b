"""Records a real server and real clients: `python -m tools.capture [--out FILE] [--scenario NAME]`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from pychat.command import Command, say

from .network import CaptureError
from .scenarios import SCENARIOS
from .session import Request, record, record_running
from .stage import Programs

ALL = [name for name, row in SCENARIOS.items() if not row.extra]


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

    As root on Linux each person gets a network namespace behind a router; otherwise it is the loopback
    interface. What the scenario did is written beside the capture, as OUT with the ending .truth.json.
    """
    try:
        if attach is not None:
            record_running(attach, interface or ("any" if sys.platform == "linux" else "lo0"), seconds, out, say)
            return
        programs = Programs()
        if server_command:
            programs = replace(programs, server=tuple(server_command.split()), server_spec=())
        if client_command:
            programs = replace(programs, client=tuple(client_command.split()))
        scenarios = [SCENARIOS[name] for name in (ALL if scenario == "all" else [scenario])]
        record(Request(out, scenarios, programs, pace, force_loopback, ipv6, chosen=scenario != "all"), say)
    except (CaptureError, OSError) as error:
        say(f"capture: {error}", err=True)
        sys.exit(1)
