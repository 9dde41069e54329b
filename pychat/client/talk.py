"""What a person's lines mean, and what he is told. No terminal, no socket, no thread, no clock, and no verb.

A line is used only for what it was typed for (R-CLIENT-9; `draft` says how that is known). Whoever is called accepts
with the first line that he begins after he was shown the call. A chat whose partner has gone is left at once, so that
its user is free for others; a line that was half typed for it stays on the input line until he puts it away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal
from typing import Protocol as TypingProtocol

from pychat.core.protocol import Encoded, Protocol
from pychat.core.session import Event, LocalProtocolError, View
from pychat.visible import hexdump, visible_octets

from .awaited import Awaited
from .client import Ended, Happening, Wire
from .draft import Chat, Draft, Target

MOST_SHOWN = 1024  # octets of one read or write that are dumped
MOST_LISTED = 10_000  # users of one list that are kept, so that a server that never ends it fills no memory

Kind = Literal["said", "heard", "info", "warning", "wire"]


@dataclass(frozen=True, slots=True)
class Line:
    """Something to be shown. `name` said it; what came from the network is not made visible yet."""

    kind: Kind
    text: str
    name: str | None = None


class Network(TypingProtocol):
    """What is needed of a `pychat.client.Client`."""

    wire: bool

    @property
    def undelivered(self) -> int: ...

    def send(self, verb: str | Encoded, *values: str, timeout: float) -> bytes: ...


class Talk:
    """A person's side of the client: what he types goes in, requests go to the network, and `lines` are to be shown.

    Everything is called from one thread. `online` gives it a connection, `happened` what comes from it, `tick` the
    time; `seen` says that the screen shows all this.
    """

    def __init__(self, protocol: Protocol, name: str | None = None, chat: str | None = None) -> None:
        self.protocol = protocol
        self.lines: list[Line] = []
        self.view = View(protocol.spec.initial)
        self.chat: Chat | None = None
        self.users: dict[str, str] = {}  # names that were seen, and what was said about each
        self.wanted_name = name
        self.trouble = ""  # why there is no connection, and what is done about it
        self.done = False  # the user wants to go
        self._last_name: str | None = None  # before the connection was lost
        self._wanted_chat = chat
        self._network: Network | None = None
        self._calling: Chat | None = None  # a call of one's own that is not answered yet
        self._awaited = Awaited()
        self._draft = Draft(self.target)
        self._leaving = False  # the end of this chat is asked for
        self._held: dict[str, tuple[str, ...]] = {}  # requests that wait for an answer before them, oldest first
        self._listed: list[Event] = []
        self._raw = False

    # What the screen says beside the lines

    @property
    def online_now(self) -> bool:
        return self._network is not None

    @property
    def in_chat(self) -> bool:
        """Whether one is in a chat, be it with somebody who has gone."""
        return self.view.state in self.protocol.spec.link.held_in

    @property
    def target(self) -> Target:
        """What a line is for that is begun now, if its user knows all that has happened."""
        if self.chat is not None:
            return self.chat
        if self.view.name is None:
            asked = self.protocol.bind in self._awaited.verbs if self.online_now else self.wanted_name is not None
            return "nothing" if asked else "name"
        return "call" if self.online_now else "nothing"

    @property
    def prompt(self) -> str:
        """What stands before the input line: what it is for."""
        target = self._draft.target if self._draft.begun else self.target
        if isinstance(target, Chat):
            return f"To {target.name}: " if target is self.chat else f"To {target.name} (gone): "
        return {"name": "Your name: ", "call": "Chat with: ", "nothing": "> "}[target]

    @property
    def status(self) -> str:
        """The state, for people: who and where one is, and what can be done."""
        parts = [self.trouble] if self.trouble else [self.view.state, self._can_do(), self._awaited.words]
        return " · ".join(part for part in [self.view.name or "no name", *parts] if part)

    def _can_do(self) -> str:
        if not self.online_now:
            return ""
        if self.view.name is None:
            return (
                f"asking for the name {self.wanted_name}" if self.target == "nothing" else "type the name that you want"
            )
        if self._leaving:
            return "leaving the chat"
        if self._calling is not None:
            return f"calling {self._calling.name} …"
        if not self.in_chat:
            return "type a name to open a chat"
        if self._must_accept():
            return f"{self.view.partner} calls: answer to accept, /leave to decline"
        return f"in a chat with {self.view.partner}"

    # What the person does

    def typing(self, text: str) -> None:
        """The input line has changed."""
        self._draft.typing(text)

    def seen(self) -> None:
        """The screen shows what stands now, and no key waits that was pressed before."""
        self._draft.show(self.target)

    def enter(self, text: str) -> str:
        """The input line is finished. Returns what stays on it, since it cannot be sent now.

        Only what was pasted has several lines, and there a command is its first one alone: what stands in it was
        written for a reader, and nobody has looked at each of its lines.
        """
        self.typing(text or " ")
        target, lines, known = self._draft.target, text.split("\n"), self._draft.shows(self.target)
        for number, line in enumerate(lines):
            if number == 0 and line.startswith("/") and not line.startswith("//"):
                taken = self._command(line, target)
            else:
                taken = not line.strip() or self._line(line[1:] if number == 0 and line[:2] == "//" else line, target)
            if not taken:
                return "\n".join(lines[number:])
        self.typing("")
        if known:  # its user knows what he has done, but not what has come meanwhile
            self.seen()
        return ""

    def tick(self, now: float) -> None:
        """The time, in seconds of a clock that never goes back; once a second is enough."""
        self._settle()
        if self._awaited.tick(now, self._network is not None and self._network.undelivered > 0):
            self._warn(
                "The server does not answer: the connection seems dead. Ctrl-C on an empty line ends the program."
            )

    def _command(self, line: str, target: Target) -> bool:
        """Carries out a command; False if it was typed for a chat that is gone."""
        word, _, rest = line[1:].partition(" ")
        command = COMMANDS.get(word)
        if command is None:
            self._warn(
                f"There is no /{word}. /help shows what there is; // at the start says a line that begins with /"
            )
        elif bool(command.argument) != bool(rest.strip()):
            self._warn(f"It is used so: /{word} {command.argument}".rstrip())
        elif command.of_chat and self.chat is not None and target is not self.chat:
            self._keep(target)
            return False
        else:
            command.run(self, rest.strip())
        return True

    def _line(self, line: str, target: Target) -> bool:
        """Uses a line for what it was typed for; False if it must stay where it is."""
        if target != self.target:
            self._keep(target)
        elif isinstance(target, Chat):
            return self._say(line)
        elif target == "name":
            self._take_name(line.strip())
            return True
        elif target == "call":
            return self._call(line.strip())
        elif self.online_now:
            self._warn("Not sent: the server has not answered yet.")
        else:
            self._warn("Not sent, because there is no connection.")
        return False

    def _keep(self, target: Target) -> None:
        """Says why a line stays."""
        if isinstance(target, Chat):
            why = f"you typed it for {target.name}, and that chat is over"
        elif self.chat is not None:
            why = f"you began it before {self.chat.name} called"
        else:
            why = "what it was for has changed"
        self._warn(f"Not sent, because {why}. Ctrl-C puts it away, and Up brings it back.")

    def _take_name(self, name: str) -> None:
        if not self._is_name(name):
            return
        self.wanted_name = name
        if self.protocol.bind is not None and self.online_now:
            self._ask(self.protocol.bind, name)

    def _is_name(self, name: str) -> bool:
        kind = self.protocol.spec.name_type
        good = kind.accepts(name)
        if not good:
            examples = f" These are names: {', '.join(kind.good)}." if kind.good else ""
            self._warn(f"{name!r:.40} is no name. {kind.doc}{examples}")
        return good

    def _call(self, name: str) -> bool:
        """Calls somebody; False if that is not possible now, since something has come that is not shown yet."""
        if not self._is_name(name) or self.protocol.link is None:
            return True
        if self._calling is not None:
            self._warn(f"{self._calling.name} has not answered yet.")
        elif self.in_chat and self.view.partner is not None and not self._leaving:
            if self.protocol.same_name(name, self.view.partner):
                self._accept()
            else:
                self._warn(f"You are in a chat with {self.view.partner}; /leave ends it.")
        else:
            return self._ask(self.protocol.link, name)
        return True

    def _say(self, text: str) -> bool:
        if self.protocol.relay is None:
            return True
        try:
            line = self.protocol.encode(self.protocol.relay, text)
        except ValueError as error:
            self._warn(f"Not sent: {error}")
            return False
        if self._must_accept() and not self._accept():
            return False
        said = self._send(line)
        if said:
            self.lines.append(Line("said", text, self.view.name))
        return said

    def _must_accept(self) -> bool:
        """Whether one was called and is not heard yet."""
        return (
            self.protocol.accept is not None
            and self._calling is None
            and self.view.partner is not None
            and not self.view.accepted
        )

    def _accept(self) -> bool:
        """Accepts the call; what is said next may follow at once (R-CLIENT-4)."""
        assert self.view.partner is not None
        if self.protocol.accept is None or self.view.accepted:
            return True
        accepted = self._send(self.protocol.accept, self.view.partner)
        if accepted:
            self._calling = self.chat
        return accepted

    def _leave(self, *, quiet: bool = False) -> None:
        if self._calling is None and not self.in_chat:
            if not quiet:
                self._warn("You are in no chat.")
        elif not self._leaving and self.protocol.unlink is not None:
            chat, self._leaving, self.chat = self.chat, True, None
            try:
                self._request(self.protocol.unlink)
            except LocalProtocolError as error:
                if error.waiting:
                    self._held[self.protocol.unlink] = ()
                else:
                    self._leaving = False
            except (ConnectionError, TimeoutError) as error:
                self._leaving, self.chat = False, chat
                if not quiet:
                    self._warn(f"Not sent: {error}")

    def _settle(self) -> None:
        """Leaves a chat whose partner has gone; what cannot be sent now is tried again at the next tick."""
        if self.in_chat and self.view.partner is None and self._calling is None:
            self._leave(quiet=True)

    # What the commands do

    def _chat_command(self, name: str) -> None:
        if self.view.name is None or not self.online_now:
            self._warn("Take a name first." if self.online_now else "There is no connection.")
        else:
            self._call(name)

    def _who_command(self, _: str) -> None:
        if self.protocol.list is not None:
            self._ask(self.protocol.list)

    def _leave_command(self, _: str) -> None:
        self._leave()

    def _raw_command(self, _: str) -> None:
        self._raw = not self._raw
        if self._network is not None:
            self._network.wire = self._raw
        words = "The octets on the wire are shown from now on: → sent, ← received. /raw stops it."
        self._info(words if self._raw else "The octets on the wire are not shown any more.")

    def _help_command(self, _: str) -> None:
        self._info("Type a name to open a chat, then what you want to say.")
        for word, command in COMMANDS.items():
            self._info(f"  {f'/{word} {command.argument}':<14}{command.words}")
        self._info("  Tab           completes commands and names;  Up and Down bring lines back")
        self._info("  Ctrl-C        puts a line away;  on an empty one it ends the program")

    def _quit_command(self, _: str) -> None:
        self.done = True

    # What comes

    def online(self, network: Network) -> None:
        """There is a connection; the name is taken again."""
        self._network, self.trouble = network, ""
        network.wire = self._raw
        self.view = View(self.protocol.spec.initial)
        if self.wanted_name is not None:
            name, self.wanted_name = self.wanted_name, None
            self._take_name(name)

    def happened(self, happening: Happening) -> None:
        """Something came from the connection."""
        self._awaited.heard()
        if isinstance(happening, Event):
            self.view = happening.view
            self._event(happening)
            self._ask_held()
            self._settle()
        elif isinstance(happening, Wire):
            self._wire(happening)
        elif isinstance(happening, Ended):
            self._offline(happening)

    def _event(self, event: Event) -> None:
        if event.kind in ("answer", "refusal"):
            self._awaited.answered(event.verb)
        if event.kind == "refusal":
            self._refused(event)
        elif event.kind == "goodbye":
            self._warn(f"The server ends the connection: {event.text}")
        elif event.kind == "item":
            if len(self._listed) < MOST_LISTED:
                self._listed.append(event)
        elif event.view.state != self.protocol.spec.final:
            meanings = _TOLD if event.mirrored else _DONE
            for effect in event.effects:
                if effect in meanings:
                    meanings[effect](self, event)

    def _named(self, event: Event) -> None:
        self._info(f"You are {event.name}{' again' if self._last_name == event.name else ''}.")
        self.wanted_name = self._last_name = event.name
        self._who_command("")
        if self._wanted_chat is not None:
            name, self._wanted_chat = self._wanted_chat, None
            self._call(name)

    def _listed_all(self, _: Event) -> None:
        users, self._listed = self._listed, []
        self.users = {event.name: _rest(event) for event in users if event.name is not None}
        others = [f"{name} ({rest})" for name, rest in sorted(self.users.items()) if name != self.view.name]
        if others:
            self._info(f"Here {'is' if len(others) == 1 else 'are'} {', '.join(others)}.")
        else:
            self._info(f"Nobody else is here yet. Others can call you: you are {self.view.name}.")

    def _called(self, event: Event) -> None:
        partner = event.view.partner or ""
        self.users.setdefault(partner, "")
        if self._calling is None or not self.protocol.same_name(self._calling.name, partner):
            self.chat, self._calling = Chat(partner), None
            self._leaving, self._held = False, {}  # what was held was for another chat
        elif self.chat is not None:
            self.chat.name = partner  # as its owner writes it
        how = "Answer to accept, /leave declines." if self.protocol.accept is not None else "/leave ends it."
        self._info(f"{partner} calls you. {how}")

    def _through(self, event: Event) -> None:
        chat, self._calling = self._calling or Chat(""), None
        chat.name = event.view.partner or ""  # as its owner writes it
        if not self._leaving:
            self.chat = chat
            self._info(f"You are in a chat with {chat.name}; /leave ends it.")

    def _accepted(self, event: Event) -> None:
        self._calling = None
        self._info(f"You and {event.view.partner} hear each other now; /leave ends it.")

    def _heard(self, event: Event) -> None:
        self.lines.append(Line("heard", event.text, self.view.partner))

    def _gone(self, event: Event) -> None:
        self._info(f"{event.name} is gone ({_rest(event)}).")
        if not self.in_chat:
            self._end_chat()

    def _left(self, _: Event) -> None:
        self._info("The chat is over.")
        self._end_chat()

    def _end_chat(self) -> None:
        self.chat, self._leaving = None, False

    def _refused(self, event: Event) -> None:
        verb, words = event.verb, event.text
        if verb == self.protocol.bind:
            self.wanted_name = self.view.name
            name = event.request.get(self._name_field(verb), "?")
            lost = " Perhaps it is your lost connection that has it still." if name == self._last_name else ""
            self._warn(f"You cannot be {name}: {words}{lost}")
        elif verb == self.protocol.relay:
            self._warn(f"A line was not delivered: {words}")
        elif verb == self.protocol.link:
            name = event.request.get(self._name_field(verb), "?")
            self._warn(f"No chat with {name}: {words}")
            if self._calling is not None:
                self.chat, self._calling = self.chat if self.in_chat else None, None
        else:
            self._leaving = self._leaving and verb != self.protocol.unlink
            self._warn(f"{verb} was refused: {words}")

    def _name_field(self, verb: str | None) -> str:
        spec = self.protocol.spec
        return spec.requests[verb or ""].form.field_of(spec.link.key) or ""

    def _wire(self, wire: Wire) -> None:
        arrow = "→" if wire.direction == "sent" else "←"
        shown = wire.octets[:MOST_SHOWN]
        self.lines.append(Line("wire", f"{arrow} {len(wire.octets)} octets  {visible_octets(shown)}"))
        self.lines += [Line("wire", f"  {row}") for row in hexdump(shown)]
        if len(shown) < len(wire.octets):
            self.lines.append(Line("wire", f"  … and {len(wire.octets) - len(shown)} more"))

    def _offline(self, ended: Ended) -> None:
        if not self.done and ended.how != "goodbye":
            self._warn(f"The connection is lost: {ended.words}")
        self._network = None
        self.view = View(self.protocol.spec.final, self.view.name)
        self._calling, self._held, self._listed = None, {}, []
        self._awaited = Awaited()
        self._end_chat()

    # Requests

    def _ask(self, verb: str, *values: str) -> bool:
        """Sends a request, or holds it while an answer is to come that may allow it. False: neither, and says why."""
        try:
            self._request(verb, *values)
            return True
        except LocalProtocolError as error:
            if error.waiting:
                self._held[verb] = values
                return True
            self._warn(f"That is not possible now: {error}")
        except (ConnectionError, TimeoutError) as error:
            self._warn(f"Not sent: {error}")
        return False

    def _ask_held(self) -> None:
        held, self._held = self._held, {}
        for verb, values in held.items():
            if verb == self.protocol.unlink:
                self._leaving = False
                self._leave(quiet=True)
            else:
                self._ask(verb, *values)

    def _send(self, verb: str | Encoded, *values: str) -> bool:
        """Sends a request now, or says why not."""
        try:
            self._request(verb, *values)
        except (LocalProtocolError, ConnectionError, TimeoutError) as error:
            self._warn(f"Not sent: {error}")
            return False
        return True

    def _request(self, request: str | Encoded, *values: str) -> None:
        if self._network is None:
            raise ConnectionError("there is no connection")
        self._network.send(request, *values, timeout=0)
        verb = request if isinstance(request, str) else request.verb
        if verb not in self.protocol.silent:
            self._awaited.verbs.append(verb)
        if verb == self.protocol.link and not self.in_chat:
            self._calling = self.chat = Chat(values[0])

    def _info(self, text: str) -> None:
        self.lines.append(Line("info", text))

    def _warn(self, text: str) -> None:
        self.lines.append(Line("warning", text))


@dataclass(frozen=True, slots=True)
class Command:
    """A line that begins with a slash: what it does, the word it needs, and words for /help.

    `of_chat`: it is for the chat that is open, as a line is.
    """

    run: Callable[[Talk, str], None]
    argument: str
    words: str
    of_chat: bool = False


COMMANDS: Mapping[str, Command] = {
    "chat": Command(Talk._chat_command, "<name>", "opens a chat with somebody, or accepts his call"),
    "leave": Command(Talk._leave_command, "", "ends the chat, or declines a call", of_chat=True),
    "who": Command(Talk._who_command, "", "shows who is here"),
    "raw": Command(Talk._raw_command, "", "shows the octets on the wire, or hides them"),
    "help": Command(Talk._help_command, "", "shows this"),
    "quit": Command(Talk._quit_command, "", "ends the program"),
}

# What an event means, by what it changed: first what the other end caused, then what one's own request did.
_TOLD = {"link": Talk._called, "relay": Talk._heard, "unlink": Talk._gone}
_DONE = {
    "bind": Talk._named,
    "list": Talk._listed_all,
    "link": Talk._through,
    "accept": Talk._accepted,
    "unlink": Talk._left,
}


def _rest(event: Event) -> str:
    """The fields that are no name: why somebody is gone, whether he is free."""
    return " ".join(value for value in event.fields.values() if value != event.name)
