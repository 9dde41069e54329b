"""The commands of the input line, which begin with a slash. `phrases.py` says how each is typed, and what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .talk import Talk


@dataclass(frozen=True, slots=True)
class Command:
    """What a command does, with the name behind it if it `takes_name`.

    `of_chat`: it is for the chat that was open when its typing began, as a line is.
    """

    run: Callable[[Talk, str], None]
    takes_name: bool = False
    of_chat: bool = False


def _chat(talk: Talk, name: str) -> None:
    if talk.view.name is None or not talk.online_now:
        talk.warn(talk.phrases.take_name_first if talk.online_now else talk.phrases.no_connection)
    else:
        talk.call(name)


def _help(talk: Talk, _: str) -> None:
    rows = [f"  {usage:<14}{words}" for usage, words in talk.phrases.commands.values()]
    for row in (talk.phrases.help_before, *rows, *talk.phrases.help_after):
        talk.info(row)


def _quit(talk: Talk, _: str) -> None:
    talk.done = True


COMMANDS: Mapping[str, Command] = {
    "chat": Command(_chat, takes_name=True),
    "leave": Command(lambda talk, _: talk.leave(), of_chat=True),
    "who": Command(lambda talk, _: talk.list_users()),
    "raw": Command(lambda talk, _: talk.show_octets()),
    "help": Command(_help),
    "quit": Command(_quit),
}
