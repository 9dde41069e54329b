"""Commands for a terminal: control characters of files, arguments and the network are printed as escapes.

All commands print through `say`, but the judge's: it shares no code with the programs that it judges.
"""

from __future__ import annotations

import click

from .visible import visible_lines
from .visible_errors import VisibleErrors


def say(text: str, *, err: bool = False) -> None:
    """Prints lines, on stderr if `err`."""
    click.echo(visible_lines(text), err=err)


class Command(VisibleErrors):
    """A command whose errors show what they quote."""

    visible = staticmethod(visible_lines)


class Group(Command, click.Group):
    """The same for commands of commands."""
