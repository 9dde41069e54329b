"""Commands for a terminal: control characters of files, arguments and the network are printed as escapes.

All commands print through `say`, but the judge's, which has its own: it shares no code with what it judges.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from .visible import visible_lines


def say(text: str, *, err: bool = False) -> None:
    """Prints lines, on stderr if `err`."""
    click.echo(visible_lines(text), err=err)


class Command(click.Command):
    """A command that puts the messages of its errors through `visible`, since they quote arguments and files."""

    visible = staticmethod(visible_lines)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with self._visible_errors():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with self._visible_errors():
            return super().invoke(ctx)

    @contextmanager
    def _visible_errors(self) -> Iterator[None]:
        try:
            yield
        except click.ClickException as error:
            vars(error)["message"] = self.visible(error.message)  # click marks it as final, for type checkers
            raise


class Group(Command, click.Group):
    """The same for commands of commands."""
