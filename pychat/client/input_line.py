"""The input line: what it is typed for, and what it means. No terminal, no socket, no thread, no clock, and no verb.

A line is used only for what it was typed for (R-CLIENT-9): its target is settled where typing begins, by what the
screen showed then. A key that was pressed before a call was shown is not for the caller. A line that was half typed for
a chat that is over stays until its user puts it away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .talk import Chat, Talk, Target


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """A line that begins with a slash: what it does, with the name behind it if it `takes_name`.

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


COMMANDS: Mapping[str, SlashCommand] = {
    "chat": SlashCommand(_chat, takes_name=True),
    "leave": SlashCommand(lambda talk, _: talk.leave(), of_chat=True),
    "who": SlashCommand(lambda talk, _: talk.list_users()),
    "raw": SlashCommand(lambda talk, _: talk.show_octets()),
    "help": SlashCommand(_help),
    "quit": SlashCommand(_quit),
}


class InputLine:
    """The line that is being typed to a `Talk`."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._begun = False
        self._shown = talk.target  # by what the screen shows
        self._target = talk.target  # of this line

    @property
    def prompt(self) -> str:
        """What stands before the line: what it is for."""
        target, phrases = self._target if self._begun else self._talk.target, self._talk.phrases
        if isinstance(target, Chat):
            phrase = phrases.prompt_chat if target is self._talk.chat else phrases.prompt_chat_over
            return phrase.format(name=target.name)
        return {"name": phrases.prompt_name, "call": phrases.prompt_call, "nothing": phrases.prompt_nothing}[target]

    def typing(self, text: str) -> None:
        """The line has changed. Where typing begins, its target is settled."""
        if text and not self._begun:
            self._target = self._shown
        self._begun = bool(text)

    def seen(self) -> None:
        """The screen shows what stands now, and no key waits that was pressed before."""
        self._shown = self._talk.target
        if self._target == "nothing" and not isinstance(self._shown, Chat):
            self._target = self._shown  # it could not be used for anything before

    def enter(self, text: str) -> str:
        """The line is finished. Returns what stays on it, since it cannot be sent now.

        Only what was pasted has several lines, and only the first of them can be a command: the others were written for
        a reader, and were not looked at one by one.
        """
        self.typing(text or " ")
        target, lines, known = self._target, text.split("\n"), self._shown == self._talk.target
        for number, line in enumerate(lines):
            slash = number == 0 and line.startswith("/")
            if slash and not line.startswith("//"):
                taken = self._command(line, target)
            else:
                taken = not line.strip() or self._line(line[1:] if slash else line, target)
            if not taken:
                return "\n".join(lines[number:])
        self.typing("")
        if known:  # its user knows the result, but not what has come meanwhile
            self.seen()
        return ""

    def _command(self, line: str, target: Target) -> bool:
        """Carries out a command; False if it was typed for a chat that is over."""
        talk, phrases = self._talk, self._talk.phrases
        word, _, rest = line[1:].partition(" ")
        command = COMMANDS.get(word)
        if command is None:
            talk.warn(phrases.no_such_command.format(word=word))
        elif command.takes_name != bool(rest.strip()):
            talk.warn(phrases.usage.format(usage=phrases.commands[word][0]))
        elif command.of_chat and talk.chat is not None and target is not talk.chat:
            self._keep(target)
            return False
        elif command.takes_name and self._came_too_late(rest.strip(), target):
            talk.warn(phrases.dropped_chat_over.format(name=rest.strip()))
        else:
            command.run(talk, rest.strip())
        return True

    def _came_too_late(self, name: str, target: Target) -> bool:
        """Whether a command answers a call that is over: it must not become a call (R-CLIENT-13)."""
        talk = self._talk
        return isinstance(target, Chat) and target is not talk.chat and talk.protocol.same_name(target.name, name)

    def _line(self, line: str, target: Target) -> bool:
        """Uses a line for its target; False if it must stay where it is."""
        talk = self._talk
        if target != talk.target:
            self._keep(target)
        elif isinstance(target, Chat):
            return talk.say(line)
        elif target == "name":
            talk.take_name(line.strip())
            return True
        elif target == "call":
            return talk.call(line.strip())
        else:
            talk.warn(talk.phrases.no_answer_yet if talk.online_now else talk.phrases.not_sent_offline)
        return False

    def _keep(self, target: Target) -> None:
        """Says why a line stays."""
        talk, phrases = self._talk, self._talk.phrases
        if isinstance(target, Chat):
            talk.warn(phrases.kept_chat_over.format(name=target.name))
        elif talk.chat is not None:
            talk.warn(phrases.kept_called.format(name=talk.chat.name))
        else:
            talk.warn(phrases.kept_changed)
