"""Commands whose errors show what they quote. Knows no protocol: which characters are shown how, the program says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click


class VisibleErrors(click.Command):
    """A command that puts the messages of its errors through `visible`."""

    @staticmethod
    def visible(text: str) -> str:
        """The lines of a text with all their characters visible; each program has its own way."""
        raise NotImplementedError

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
