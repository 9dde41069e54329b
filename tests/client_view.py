"""What a right server may send to a client of PySocket Chat, by all that the client can know. Written from the page.

A client knows the state of its connection, its partner, which of both ends has answered, and which of its requests are
unanswered. The stream keeps the order of frames, so at each frame this is what the server knew when it sent it.
"""

from __future__ import annotations

from conformance.oracle.frames import parse_reply, parse_request
from pychat.spec import Spec

ONE_ANSWER = {"HELLO", "NAME", "CHAT", "LEAVE", "WHO", "PING", "QUIT"}


class WrongFrameError(Exception):
    """A frame that no right server can send now; says why."""


class ClientView:
    """The strictest client that the page allows."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.state = "CONNECTED"
        self.me = ""
        self.partner = ""  # "" also when it has gone
        self.answered = self.accepted = self.partner_answered = False
        self.missed: set[str] = set()
        self.unanswered: list[tuple[str, str]] = []
        self.any_lines = False  # more lines were sent than the play names
        self.listed: dict[str, str] | None = None

    def sent(self, line: bytes) -> None:
        """The client has sent a request."""
        said = parse_request(self.spec, line)
        values = getattr(said, "values", {})
        if said.verb != "PONG":
            self.unanswered.append((said.verb, next(iter(values.values()), "")))

    def take(self, line: str) -> None:
        """The client gets a frame. Raises WrongFrameError."""
        self._must(self.state != "CLOSED", "the connection is over")
        got = parse_reply(self.spec, line)
        if got is None:
            word = line.split(" ")[0]
            verbs = {reply.form.verb for reply in self.spec.replies.values()}
            self._must(word.isascii() and word.isupper() and word.isalpha() and word not in verbs, "it is no frame")
            self._must(self.listed is None, "a list stands together")
            return
        key = got.reply.key
        self._must(self.listed is None or key in ("USER", "OK WHO"), "a list stands together")
        getattr(self, "_" + key.lower().replace(" ", "_"))(*got.values.values())

    def _must(self, holds: bool, why: str) -> None:
        if not holds:
            raise WrongFrameError(why)

    def _same(self, name: str, other: str) -> bool:
        return bool(other) and name.lower() == other.lower()

    def _next(self, verb: str) -> str:
        """The request that is answered next; the lines before it were delivered."""
        waiting = [place for place, (sent, _) in enumerate(self.unanswered) if sent in ONE_ANSWER]
        self._must(bool(waiting) and self.unanswered[waiting[0]][0] == verb, f"no {verb} waits for its answer")
        del self.unanswered[: waiting[0]]
        return self.unanswered[0][1]

    def _answer(self, verb: str) -> str:
        asked = self._next(verb)
        del self.unanswered[0]
        return asked

    def _begin(self, partner: str, *, caller: bool) -> None:
        self.state, self.partner, self.missed = "PAIRED", partner, set()
        self.answered = self.accepted = caller
        self.partner_answered = not caller

    # Answers

    def _ok_hello(self, version: str, _profiles: str) -> None:
        self._must(self._answer("HELLO") == version == "1", "another version")

    def _ok_name(self, name: str) -> None:
        self._must(self._answer("NAME") == name, "another name")
        self.state, self.me = "NAMED", name

    def _user(self, name: str, availability: str) -> None:
        self._next("WHO")
        self.listed = self.listed or {}
        self._must(name.lower() not in self.listed, "a user stands twice in the list")
        if self._same(name, self.me):
            own = "busy" if self.state == "PAIRED" else "free"
            self._must((name, availability) == (self.me, own), "the client's own item is another one")
        if self._same(name, self.partner):
            self._must((name, availability) == (self.partner, "busy"), "the partner's item is another one")
        self.listed[name.lower()] = availability

    def _ok_who(self, count: str) -> None:
        self._answer("WHO")
        listed, self.listed = self.listed or {}, None
        self._must(int(count) == len(listed), "another number of users")
        self._must(self.me.lower() in listed, "the client itself is not listed")
        self._must(not self.partner or self.partner.lower() in listed, "the partner is not listed")

    def _ok_chat(self, name: str) -> None:
        asked = self._answer("CHAT")
        self._must(self._same(name, asked) and not self._same(name, self.me), "another user")
        if self.state == "PAIRED":
            self._must(name == self.partner, "the user is not the partner")
            self.answered = self.accepted = True
        else:
            self._begin(name, caller=True)

    def _ok_leave(self) -> None:
        self._answer("LEAVE")
        self._must(self.state == "PAIRED", "there is no chat")
        self.state, self.partner = "NAMED", ""

    def _ok_quit(self) -> None:
        self._answer("QUIT")
        self.state = "CLOSED"

    def _pong(self, token: str) -> None:
        self._must(self._answer("PING") == token, "another token")

    def _err(self, verb: str, code: str, _words: str) -> None:
        if verb == "MSG":
            if not self.any_lines:
                self._must([verb for verb, _ in self.unanswered[:1]] == ["MSG"], "no line was sent")
                del self.unanswered[0]
            due = "wrong-state" if self.state != "PAIRED" else "not-accepted" if self.partner else "partner-gone"
            self._must(code == due and not (self.partner and self.accepted), "the line is not refused so")
            return
        asked = self._answer(verb)
        codes = {"HELLO": {"bad-version"} if asked != "1" else set(), "NAME": {"name-taken"}}.get(verb, set())
        if verb == "CHAT" and self.state == "PAIRED":
            codes = set() if self._same(asked, self.partner) else {"already-paired"}
            self.accepted = False
        elif verb == "CHAT":
            codes = {"self-chat"} if self._same(asked, self.me) else {"no-such-user", "user-busy"}
        self._must(code in codes, f"{verb} is not refused so")

    # Pushes

    def _call(self, name: str) -> None:
        self._must(self.state == "NAMED" and not self._same(name, self.me), "this user cannot call now")
        self._begin(name, caller=False)

    def _accepted(self, name: str) -> None:
        self._must(name == self.partner and not self.partner_answered, "no partner has still to answer")
        self.partner_answered = True

    def _missed(self, name: str) -> None:
        self._must(self.state == "PAIRED", "there is no chat")
        others = not self._same(name, self.me) and not self._same(name, self.partner)
        self._must(others and name.lower() not in self.missed, "this user cannot have called in vain")
        self.missed.add(name.lower())

    def _msg(self, _text: str) -> None:
        self._must(bool(self.partner) and self.partner_answered, "no partner can say a line")

    def _gone(self, name: str, reason: str) -> None:
        self._must(name == self.partner, "it is not the partner")
        may = {
            "left": self.partner_answered,
            "declined": not self.partner_answered,
            "unanswered": not (self.answered and self.partner_answered),
        }
        self._must(may.get(reason, True), "no partner goes so")
        self.partner = ""

    def _ping(self, _token: str) -> None:
        """A probe may come at any time."""

    def _bye(self, code: str, _words: str) -> None:
        codes = {"timeout", "shutting-down"}
        if self.state == "CONNECTED" and not self.unanswered:
            codes |= {"server-full", "address-full"}
        self._must(code in codes, "this client has given no reason for it")
        self.state = "CLOSED"
