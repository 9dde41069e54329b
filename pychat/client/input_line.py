"""The input line: what it is typed for, and what it means. No terminal, no socket, no thread, no clock, and no verb.

A line is used only for what it was typed for (R-CLIENT-9): its target is settled where typing begins, by what the
screen showed then. A key that was pressed before a call was shown is not for the caller. A line that was half typed for
a chat that is over stays until its user puts it away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

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
    rings = [timer.after for timer in talk.protocol.spec.timers.values() if timer.since == "call"]
    ring = [talk.phrases.help_ring.format(seconds=f"{after:g}") for after in rings]
    for row in (talk.phrases.help_before, *rows, *talk.phrases.help_after, *ring):
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
        self._is_command = False  # a command that is for no chat
        self._late: Callable[[], None] | None = None  # says why a line was not sent, when the news is shown

    @property
    def status(self) -> str:
        """The status line, for people; it says so if this line keeps its user from answering a call."""
        talk, chat = self._talk, self._talk.chat
        older = self._begun and not self._is_command and chat is not None and self._target is not chat
        return talk.status_with(old_draft=older)

    @property
    def prompt(self) -> str:
        """What stands before the line: what it is for."""
        target, phrases = self._target if self._begun else self._talk.target, self._talk.phrases
        if isinstance(target, Chat):
            phrase = phrases.prompt_chat_before if self._is_open_again(target) else phrases.prompt_chat_over
            return (phrases.prompt_chat if target is self._talk.chat else phrase).format(name=target.name)
        return {"name": phrases.prompt_name, "call": phrases.prompt_call, "nothing": phrases.prompt_nothing}[target]

    def typing(self, text: str) -> None:
        """The line has changed. Where typing begins, its target is settled."""
        if text and not self._begun:
            self._target = self._shown
        self._begun = bool(text)
        command = COMMANDS.get(_split(text)[0]) if _is_command(text) else None
        self._is_command = command is not None and not command.of_chat

    def seen(self) -> None:
        """The screen shows what stands now, and no key waits that was pressed before."""
        self._shown = self._talk.target
        if self._target == "nothing" and not isinstance(self._shown, Chat):
            self._target = self._shown  # it could not be used for anything before
        if self._late is not None and not self._talk.behind:
            late, self._late = self._late, None
            late()

    def enter(self, text: str) -> str:
        """The line is finished. Returns what stays on it, since it cannot be sent now.

        Only what was pasted has several lines, and only the first of them can be a command: the others were written for
        a reader, and were not looked at one by one.
        """
        self.typing(text or " ")
        target, lines, known = self._target, text.split("\n"), self._shown == self._talk.target
        for number, line in enumerate(lines):
            slash = number == 0 and line.startswith("/")
            if number == 0 and _is_command(line):
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
        word, rest = _split(line)
        command = COMMANDS.get(word)
        if command is None:
            talk.warn(phrases.no_such_command.format(word=word))
        elif command.takes_name != bool(rest):
            talk.warn(phrases.usage.format(usage=phrases.commands[word][0]))
        elif command.of_chat and talk.chat is not None and target is not talk.chat:
            self._keep(target)
            return False
        elif command.takes_name and self._came_too_late(rest, target):
            self._drop(rest, target)
        else:
            command.run(talk, rest)
            if command.takes_name and talk.behind:
                self._late = partial(self._drop, rest, target)
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
            return False
        if target == "name":
            talk.take_name(line.strip())
            return True
        if target == "nothing":
            talk.warn(talk.phrases.no_answer_yet if talk.online_now else talk.phrases.not_sent_offline)
            return False
        taken = talk.say(line) if isinstance(target, Chat) else self._call(line.strip())
        if not taken and talk.behind:
            self._late = partial(self._keep, target)
        return taken

    def _call(self, line: str) -> bool:
        """Calls the user of that name. Several words were meant for a chat, if no name is like that."""
        talk = self._talk
        if len(line.split()) > 1 and not talk.protocol.spec.name_type.accepts(line):
            talk.warn(talk.phrases.no_chat_for_line)
            return True
        return talk.call(line)

    def _is_open_again(self, chat: Chat) -> bool:
        """Whether there is another chat with a user of the same name."""
        now = self._talk.chat
        return now is not None and now is not chat and self._talk.protocol.same_name(now.name, chat.name)

    def _keep(self, target: Target) -> None:
        """Says why a line stays."""
        talk, phrases, now = self._talk, self._talk.phrases, self._talk.chat
        called = now is not None and now.called
        if isinstance(target, Chat) and target is not now:
            phrase = phrases.kept_chat_over if target.both else phrases.kept_call_over
            if called and self._is_open_again(target):
                phrase = phrases.kept_called_again
            talk.warn(phrase.format(name=target.name))
        elif now is not None and called and target is not now:
            talk.warn(phrases.kept_called.format(name=now.name))
        else:
            talk.warn(phrases.kept_changed)

    def _drop(self, name: str, target: Target) -> None:
        """Says why a call or an answer by name was not sent."""
        talk, phrases = self._talk, self._talk.phrases
        if isinstance(target, Chat) and self._came_too_late(name, target):
            talk.warn((phrases.dropped_chat_over if target.both else phrases.dropped_call_over).format(name=name))
        elif talk.view.partner is not None:
            talk.not_called(name)
        else:
            talk.warn(phrases.not_possible)


def _is_command(line: str) -> bool:
    """Whether a line is a command; a line that is said begins with two slashes for one."""
    return line.startswith("/") and not line.startswith("//")


def _split(line: str) -> tuple[str, str]:
    """The word of a command, and what stands behind it."""
    word, _, rest = line[1:].partition(" ")
    return word, rest.strip()
