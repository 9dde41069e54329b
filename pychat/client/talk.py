"""The chat of one user: name, partner and call, and the lines to be shown of what comes.

No terminal, no socket, no thread, no clock, and no verb. The first line that is typed for a caller answers the call. A
chat whose partner has gone is left at once, answered or not, so that its user is free for others (R-CLIENT-13).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pychat.core.protocol import Encoded, Protocol
from pychat.core.session import Event, LocalProtocolError, View

from .client import Client, Ended, Happening, Wire
from .phrases import Phrases
from .texts import left, missed, octets, partner_gone, refusal, rest, unanswered, undelivered, unsayable, users_here

SLOW = 2.0  # seconds of silence after which it is shown that an answer is awaited
DEAD = 15.0  # seconds of silence after which the connection seems dead
MOST_LISTED = 10_000  # users of one list that are kept: a list that never ends must not fill the memory

Kind = Literal["said", "heard", "info", "warning", "wire"]


@dataclass(frozen=True, slots=True)
class Line:
    """A line to be shown, with a `bell`. `name` is its author; what came from the network is not made visible yet."""

    kind: Kind
    text: str
    name: str | None = None
    bell: bool = False


@dataclass(eq=False, slots=True)
class Chat:
    """One chat, or one call. Two with the same name are two: another user may have taken the name since.

    `called`: it was the other one who called. `both`: both ends have answered, so it is, or was, a chat.
    """

    name: str
    called: bool = False
    both: bool = False


# What a typed line is for: a chat, a name to take, a name to call, or nothing yet.
Target: TypeAlias = Chat | Literal["name", "call", "nothing"]


class Talk:
    """The user's side of the client: actions go in, requests go to the network, and `lines` are to be shown.

    Everything is called from one thread. `online` gives it a connection, `happened` what comes from it, `tick` the
    time.
    """

    def __init__(self, protocol: Protocol, phrases: Phrases, name: str | None = None, chat: str | None = None) -> None:
        """`name` is taken when there is a connection, and `chat` is called then."""
        self.protocol = protocol
        self.phrases = phrases
        self.lines: list[Line] = []
        self.view = View(protocol.spec.initial)
        self.chat: Chat | None = None
        self.users: dict[str, str] = {}  # names that were seen, and what was said about each
        self.wanted_name = name
        self.trouble = ""  # why there is no connection, and what is done about it
        self.done = False  # the user wants to go
        self._client: Client | None = None
        self._silent_since: float | None = None  # an answer is awaited, and nothing has come since
        self._silence = 0.0  # seconds
        self._held: dict[str, tuple[str, ...]] = {}  # requests that an answer to come may allow, oldest first
        self._last_name: str | None = None  # before the connection was lost
        self._wanted_chat = chat
        self._calling: Chat | None = None  # a call, or the answer to one, that the server has not answered yet
        self._leaving = False  # the end of this chat is asked for
        self._ended: Chat | None = None  # the last chat that was left, or whose partner has gone
        self._said: list[Chat] = []  # the chats with lines that can still be refused, oldest first
        self._undelivered: tuple[Line, str, str | None, int] | None = None  # the last of `_line_refused`
        self._missed: dict[str, None] = {}  # the users that have called in vain since this chat began
        self._listed: list[Event] = []
        self._wire = False  # octets are to be shown

    # State

    @property
    def online_now(self) -> bool:
        return self._client is not None

    @property
    def in_chat(self) -> bool:
        """Whether the user is in a chat, also if the partner has gone."""
        return self.view.state in self.protocol.spec.link.held_in

    @property
    def must_accept(self) -> bool:
        """Whether the user was called, and is not heard before accepting."""
        return (
            self.protocol.accept is not None
            and self._calling is None
            and self.view.partner is not None
            and not self.view.accepted
        )

    @property
    def awaits_answer(self) -> bool:
        """Whether the user is calling somebody who has not answered."""
        return unanswered(self.protocol, self.view) and not self.view.here

    @property
    def target(self) -> Target:
        """What a line is for that is begun now, if its user knows all that has happened."""
        if self.chat is not None:
            return self.chat
        if self.view.name is None:
            return "name" if self.wanted_name is None else "nothing"
        return "call" if self.online_now else "nothing"

    @property
    def behind(self) -> bool:
        """Whether the connection knows of a change that this user was not told yet."""
        return self._client is not None and self._client.view != self.view

    @property
    def status(self) -> str:
        """The state, for people: the user's name, the protocol's state, and what can be done."""
        return self.status_with(old_draft=False)

    def status_with(self, *, old_draft: bool) -> str:
        """The same; `old_draft`: a line is half typed that was begun before the present chat."""
        parts = [self.trouble] if self.trouble else [self.view.state, self._can_do(old_draft)]
        if self._silence >= SLOW:
            phrase = self.phrases.silent if self._silence < DEAD else self.phrases.dead
            parts.append(phrase.format(seconds=round(self._silence)))
        return " · ".join(part for part in [self.view.name or self.phrases.no_name, *parts] if part)

    def _can_do(self, old_draft: bool) -> str:
        phrases = self.phrases
        if not self.online_now:
            return ""
        if self.view.name is None:
            asking = self.target == "nothing"
            return phrases.asking_name.format(name=self.wanted_name) if asking else phrases.type_name
        if self._leaving or self._is_left_alone:
            return phrases.leaving if self._ended is not None and self._ended.both else phrases.ending_call
        if self._calling is not None:
            phrase = phrases.answering if self.in_chat else phrases.calling
            return phrase.format(name=self._calling.name)
        if not self.in_chat:
            return phrases.type_partner
        called = phrases.called_old_draft if old_draft else phrases.called
        return self._of_chat(called, phrases.waiting, phrases.in_chat)

    @property
    def _is_left_alone(self) -> bool:
        return self.in_chat and self.view.partner is None

    def _of_chat(self, called: str, waiting: str, both: str, **more: str) -> str:
        """The phrase that is true: the user was called, or waits for an answer, or both ends hear each other."""
        phrase = called if self.must_accept else waiting if self.awaits_answer else both
        return phrase.format(name=self.view.partner, **more)

    # What its user does

    def take_name(self, name: str) -> None:
        if not self._is_name(name):
            return
        self.wanted_name = name
        if self.protocol.bind is not None and self.online_now:
            self._request(self.protocol.bind, name)

    def _is_name(self, name: str) -> bool:
        kind = self.protocol.spec.name_type
        good = kind.accepts(name)
        if not good:
            phrase = self.phrases.no_such_name_examples if kind.good else self.phrases.no_such_name
            self.warn(phrase.format(name=f"{name!r:.40}", form=kind.doc, examples=", ".join(kind.good)))
        return good

    def call(self, name: str) -> bool:
        """Makes a call; False if that is not possible now, since something has come that is not shown yet."""
        if not self._is_name(name) or self.protocol.link is None:
            return True
        phrases = self.phrases
        if self._calling is not None and not self._is_left_alone:
            same = self.protocol.same_name(name, self._calling.name)
            already = phrases.answering_already if self.in_chat else phrases.calling_already
            self.warn(already.format(name=self._calling.name) if same else phrases.no_answer_yet)
        elif self.view.partner is None or self._leaving:
            return self._request(self.protocol.link, name)
        elif not self.protocol.same_name(name, self.view.partner):
            self.not_called(name)
        elif self.must_accept:
            return self._accept()
        else:
            self.warn(self._of_chat("", phrases.calling_already, phrases.in_chat_already))
        return True

    def not_called(self, other: str) -> None:
        """Says why nobody else can be called now: there is a partner."""
        phrases = self.phrases
        called, calling, both = phrases.not_called_called, phrases.not_called_calling, phrases.not_called_in_chat
        self.warn(self._of_chat(called, calling, both, other=other))

    def say(self, text: str) -> bool:
        """Says a line in the chat, and answers the call before it; False if it was not sent."""
        if self.protocol.relay is None:
            return True
        try:
            line = self.protocol.encode(self.protocol.relay, text)
        except ValueError:
            self.warn(unsayable(self.phrases, self.protocol, text))
            return False
        if self.must_accept and not self._accept():
            return False
        said = self._request(line, hold=False)
        if said:
            self.lines.append(Line("said", text, self.view.name))
            if self.chat is not None and self.chat not in self._said:
                self._said.append(self.chat)
        return said

    def _accept(self) -> bool:
        """Answers the call, now or never (R-CLIENT-13); what is said next may follow at once (R-CLIENT-4)."""
        assert self.view.partner is not None
        if self.protocol.accept is None or self.view.accepted:
            return True
        accepted = self._request(self.protocol.accept, self.view.partner, hold=False)
        if accepted:
            self._calling = self.chat
        return accepted

    def leave(self, *, quiet: bool = False) -> None:
        """Ends the chat, takes a call back, or declines one. `quiet`: tells nothing if that is not possible."""
        if self._calling is None and not self.in_chat:
            if not quiet:
                self.warn(self.phrases.in_no_chat)
        elif not self._leaving and self.protocol.unlink is not None:
            chat, self._leaving, self.chat = self.chat, True, None
            self._ended = chat or self._ended
            try:
                self._send(self.protocol.unlink)
            except LocalProtocolError as error:
                self._leaving = error.waiting
                if error.waiting:
                    self._held[self.protocol.unlink] = ()
            except (ConnectionError, TimeoutError) as error:
                self._leaving, self.chat = False, chat
                if not quiet:
                    self.warn(self.phrases.not_sent.format(error=error))

    def list_users(self) -> None:
        if self.protocol.list is not None:
            self._request(self.protocol.list)

    def show_octets(self) -> None:
        """Shows the octets on the wire from now on, or shows them no more."""
        self._wire = not self._wire
        if self._client is not None:
            self._client.wire = self._wire
        self.info(self.phrases.wire_shown if self._wire else self.phrases.wire_hidden)

    def tick(self, now: float) -> None:
        """The time, in seconds of a clock that never goes back; once a second is enough."""
        self._leave_lost_partner()
        if self._client is None or not (self._client.unanswered or self._client.undelivered):
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = now
        before, self._silence = self._silence, 0.0 if self._silent_since is None else now - self._silent_since
        if before < DEAD <= self._silence:
            self.warn(self.phrases.server_silent)

    def _leave_lost_partner(self) -> None:
        """Leaves a chat whose partner has gone; what cannot be sent now is tried again at the next tick."""
        if self._is_left_alone and self._calling is None:
            self.leave(quiet=True)

    # Requests

    def _request(self, verb: str | Encoded, *values: str, hold: bool = True) -> bool:
        """Sends a request. `hold`: it may wait for the answer that may allow it. False: neither.

        It says why, but not where this user is `behind`: then it cannot be said truly before the news.
        """
        try:
            self._send(verb, *values)
            return True
        except LocalProtocolError as error:
            if hold and error.waiting and isinstance(verb, str):
                self._held[verb] = values
                return True
            if not self.behind:
                self.warn(self._why_not(error))
        except (ConnectionError, TimeoutError) as error:
            self.warn(self.phrases.not_sent.format(error=error))
        return False

    def _why_not(self, error: LocalProtocolError) -> str:
        """In words for people; the error's own are for programs."""
        if error.waiting:
            return self.phrases.no_answer_yet
        return self.phrases.take_name_first if self.view.name is None else self.phrases.not_possible

    def _send(self, verb: str | Encoded, *values: str) -> None:
        if self._client is None:
            raise ConnectionError(self.phrases.offline)
        self._client.send(verb, *values, timeout=0)
        if verb == self.protocol.link and not self.in_chat:
            self._calling = self.chat = Chat(values[0])

    def _request_held(self) -> None:
        held, self._held = self._held, {}
        for verb, values in held.items():
            if verb == self.protocol.unlink:
                self._leaving = False
                self.leave(quiet=True)
            elif not self._request(verb, *values) and self.behind:
                self._held[verb] = values

    # What comes

    def online(self, client: Client) -> None:
        """There is a connection; the name is taken again."""
        self._client, self.trouble = client, ""
        client.wire = self._wire
        self.view = View(self.protocol.spec.initial)
        if self.wanted_name is not None:
            name, self.wanted_name = self.wanted_name, None
            self.take_name(name)

    def happened(self, happening: Happening) -> None:
        """Something came from the connection."""
        self._silent_since = None
        if isinstance(happening, Event):
            before, self.view = self.view, happening.view
            self._event(happening, before)
            self._keep_chat_true(happening)
            self._leave_lost_partner()
            self._request_held()
        elif isinstance(happening, Wire):
            self.lines += [Line("wire", row) for row in octets(self.phrases, happening)]
        elif isinstance(happening, Ended):
            self._offline(happening)

    def _keep_chat_true(self, event: Event) -> None:
        """Whether it is a chat by now, and which of the lines that were said can still be refused."""
        chat = self._ended if self._leaving else self.chat
        if chat is not None and self.view.partner is not None and not unanswered(self.protocol, self.view):
            chat.both = True
        if event.kind == "answer" and not {"link", "accept", "unlink"}.isdisjoint(event.effects):
            self._said = [said for said in self._said if said is self.chat]  # lines come before what was sent later

    def _event(self, event: Event, before: View) -> None:
        if event.kind == "refusal":
            self._refused(event)
        elif event.kind == "goodbye":
            self.warn(self.phrases.server_ends.format(words=event.text))
        elif event.kind == "item":
            if len(self._listed) < MOST_LISTED:
                self._listed.append(event)
        elif event.by == "other" and event.key in self.protocol.missed:
            self._missed_call(event)
        elif event.view.state != self.protocol.spec.final:
            meanings = CAUSED_BY_THE_OTHER if event.mirrored else CAUSED_BY_ONESELF
            for effect in event.effects:
                if effect in meanings:
                    meanings[effect](self, event, before)

    def _named(self, event: Event, _: View) -> None:
        again = self._last_name == event.name
        self.info((self.phrases.you_are_again if again else self.phrases.you_are).format(name=event.name))
        self.wanted_name = self._last_name = event.name
        self.list_users()
        if self._wanted_chat is not None:
            name, self._wanted_chat = self._wanted_chat, None
            self.call(name)

    def _users_listed(self, _: Event, __: View) -> None:
        users, self._listed = self._listed, []
        self.users = {event.name: rest(event) for event in users if event.name is not None}
        self.info(users_here(self.phrases, self.users, self.view.name))

    def _called(self, event: Event, _: View) -> None:
        partner = event.view.partner or ""
        self.users.setdefault(partner, "")
        if self._calling is not None and self.protocol.same_name(self._calling.name, partner):
            self._calling.name = partner  # as its owner writes it; one's own call is the answer
            self.info(self.phrases.calls_you_too.format(name=partner))
            return
        self.chat, self._calling, self._leaving = Chat(partner, called=True), None, False
        held, self._held = self._held, {}  # what was held was for another chat
        phrase = self.phrases.calls_you_at_once if self.protocol.accept is None else self.phrases.calls_you
        self.lines.append(Line("info", phrase.format(name=partner), bell=True))
        for other in held.get(self.protocol.link or "", ()):
            self.not_called(other)

    def _connected(self, event: Event, _: View) -> None:
        chat, self._calling = self._calling or Chat(""), None
        chat.name = event.view.partner or ""  # as its owner writes it
        if not self._leaving:
            self.chat = chat
            phrases = self.phrases
            self.info(self._of_chat(phrases.calls_you, phrases.calling_now, phrases.in_a_chat))

    def _accepted(self, event: Event, _: View) -> None:
        self._calling = None
        if not self._leaving:
            self.info(self.phrases.chat_accepted.format(name=event.view.partner))

    def _is_here(self, event: Event, _: View) -> None:
        phrase = self.phrases.partner_here_too_late if self._leaving else self.phrases.partner_here
        self.info(phrase.format(name=event.view.partner))

    def _heard(self, event: Event, _: View) -> None:
        self.lines.append(Line("heard", event.text, self.view.partner))

    def _missed_call(self, event: Event) -> None:
        name = event.name or ""
        self.users.setdefault(name, "")
        self.info(self.phrases.missed_call.format(name=name))
        if len(self._missed) < MOST_LISTED:
            self._missed[name] = None

    def _gone(self, event: Event, before: View) -> None:
        self.info(partner_gone(self.phrases, self.protocol, event, before))
        self._ended = self.chat or self._ended
        self.chat = None  # also where the end is still to be asked for
        if not self.in_chat:
            self._end_chat()

    def _left(self, _: Event, before: View) -> None:
        if before.partner is not None:  # else it was told before
            self.info(left(self.phrases, self.protocol, before))
        self._end_chat()

    def _end_chat(self) -> None:
        self.chat, self._leaving = None, False
        if self._missed:
            self.info(missed(self.phrases, list(self._missed)))
            self._missed = {}

    def _refused(self, event: Event) -> None:
        if event.verb == self.protocol.relay:
            self._line_refused(event)
            return
        answer = self._calling is not None
        self.warn(refusal(self.phrases, self.protocol, event, self._last_name, answer))
        if event.verb == self.protocol.bind:
            self.wanted_name = self.view.name
        elif event.verb == self.protocol.unlink:
            self._leaving = False
        elif event.verb == self.protocol.link and self._calling is not None:
            self.chat, self._calling = self.chat if self.in_chat else None, None

    def _line_refused(self, event: Event) -> None:
        """Several alike in a row that are not shown yet become one line."""
        name, count = self._said[0].name if self._said else self.view.partner or "", 1
        if self._undelivered is not None and self.lines:
            line, *same, before = self._undelivered
            if self.lines[-1] is line and same == [name, event.code]:
                count += before
                self.lines.pop()
        self.warn(undelivered(self.phrases, self.protocol, event, name, count))
        self._undelivered = self.lines[-1], name, event.code, count

    def _offline(self, ended: Ended) -> None:
        if not self.done and ended.how != "goodbye":
            self.warn(self.phrases.connection_lost.format(error=ended.words))
        self._client, self._silence, self._held = None, 0.0, {}
        self.view = View(self.protocol.spec.final, self.view.name)
        self._calling, self._listed, self._said = None, [], []
        self._end_chat()

    def info(self, text: str) -> None:
        self.lines.append(Line("info", text))

    def warn(self, text: str) -> None:
        self.lines.append(Line("warning", text))


# What an event means, by what it has changed.
CAUSED_BY_THE_OTHER = {"link": Talk._called, "accept": Talk._is_here, "relay": Talk._heard, "unlink": Talk._gone}
CAUSED_BY_ONESELF = {
    "bind": Talk._named,
    "list": Talk._users_listed,
    "link": Talk._connected,
    "accept": Talk._accepted,
    "unlink": Talk._left,
}
