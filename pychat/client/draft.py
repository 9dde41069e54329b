"""What the input line is for. Knows no terminal, and nothing of what is done with a line.

A line is typed for something, its target: for the chat that was open when its user began to type, or as a name that
was asked for. A chat is an object, not a name, so that another one who has taken the same name since is another one.
What counts is what the screen showed: a key that was pressed before a call was shown is not for the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(eq=False, slots=True)
class Chat:
    """One chat, or one call. Two with the same name are two."""

    name: str


# What is said in a chat, the name of its user, the name of somebody to call, or nothing yet.
Target: TypeAlias = Chat | Literal["name", "call", "nothing"]


class Draft:
    """The line that is being typed: whether it is `begun`, and its `target`."""

    def __init__(self, shown: Target) -> None:
        self.begun = False
        self.target = shown
        self._shown = shown

    def typing(self, text: str) -> None:
        """The line has changed. Where typing begins, its target is settled."""
        if text and not self.begun:
            self.target = self._shown
        self.begun = bool(text)

    def shows(self, target: Target) -> bool:
        """Whether this is what the screen shows."""
        return self._shown == target

    def show(self, target: Target) -> None:
        """The screen shows now what a line is for that is begun now."""
        self._shown = target
        if self.target == "nothing" and not isinstance(target, Chat):
            self.target = target  # it could not be used for anything before
