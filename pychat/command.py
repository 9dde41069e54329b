"""Commands for a terminal: what they print of files, arguments and the network is shown, never obeyed.

All commands but the judge's, which has its own way to make text visible, print through `say`.
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
