"""Client mutants that send what they must not, misunderstand replies, or end in a wrong way.

Knows no verb, no state and no command by name.
"""

from __future__ import annotations

from collections.abc import Mapping

from pychat.spec.forms import Reply, Template
from tools.selftest.mutants.mutant import Table
from tools.selftest.mutants.reader import TooLongError

from .engine import BrokenError, Client, Wish

Values = Mapping[str, str]

table: Table[Client] = Table(Client)

# fmt: off
table.row("probe-unanswered", "Does not answer the server's probe.", Client.reply,
          lambda self, template, values: None)
table.row("probe-answered-wrong", "Answers a probe with a token of its own.", Client.reply,
          lambda self, template, values: Client.reply(self, template, dict.fromkeys(values, "mine")))
table.row("probe-token-folded", "Answers a probe with its token in small letters.", Client.reply,
          lambda self, template, values:
          Client.reply(self, template, {name: value.lower() for name, value in values.items()}))
table.row("probe-token-cut", "Answers a probe with the first 16 characters of its token.", Client.reply,
          lambda self, template, values:
          Client.reply(self, template, {name: value[:16] for name, value in values.items()}))
table.row("probe-answered-with-name", "Answers probes only when it has a name.", Client.reply,
          lambda self, template, values:
          Client.reply(self, template, values) if self.state != self.spec.initial else None)
table.row("probe-answered-alone", "Answers probes only when it has no partner.", Client.reply,
          lambda self, template, values: Client.reply(self, template, values) if self.partner is None else None)
table.row("probe-waits", "Answers a probe only when nothing is unanswered.", Client.reply,
          lambda self, template, values: None if self.unanswered else Client.reply(self, template, values))
table.row("partner-case-matters", "Compares the partner's name as it is written.", Client.is_partner,
          lambda self, name: name == self.partner)
table.row("lines-for-anybody", "Sends a line to the partner of the moment, not to the one for whom it was typed.",
          Client.is_meant, lambda self, wish: True, near="*/*/line-for*")
table.row("lines-behind-refused-calls", "Sends a line to the partner, although a call of another user stood before it.",
          Client.not_sent, lambda self, verb: None, near="*/*/line-behind*")
table.row("refusal-holds-for-ever", "Waits for an answer although there was a refusal.", Client.refused,
          lambda self, values: None)
table.row("ignores-end-of-commands", "Goes on when its stdin has ended.", Client.finish,
          lambda self: None, near="*/EOF/*")
table.row("ends-with-failure", "Ends with an exit code of failure, although the end was asked for.", Client.code,
          lambda self: 1)
# fmt: on


@table.step(Client.reply)
def probe_answered_once(self: Client, template: Template, values: Values) -> None:
    """Answers only the first probe."""
    if not self.memory.get("answered"):
        Client.reply(self, template, values)
    self.memory["answered"] = True


@table.step(Client.reply)
def probe_answered_twice(self: Client, template: Template, values: Values) -> None:
    """Answers a probe twice."""
    Client.reply(self, template, values)
    Client.reply(self, template, values)


# --- requests by itself -----------------------------------------------------------------------------------------------


def volunteer(self: Client, kind: str, *fields: str) -> None:
    """Sends the request with this effect, as if it had been typed."""
    for word, template in self.spec.contract.commands.items():
        if self.does(template.form.verb, kind) and template.form.verb != self.spec.quit_verb:
            self.command(" ".join([word, *fields]).encode())


@table.step(Client.pushed)
def accepts_by_itself(self: Client, reply: Reply, values: Values) -> None:
    """Accepts every call without being told to."""
    alone = self.partner is None
    Client.pushed(self, reply, values)
    if alone and self.partner is not None:
        volunteer(self, "link", self.partner)


@table.step(Client.pushed)
def leaves_by_itself(self: Client, reply: Reply, values: Values) -> None:
    """Leaves by itself when the partner is gone."""
    linked = self.partner is not None
    Client.pushed(self, reply, values)
    if linked and self.partner is None:
        volunteer(self, "unlink")


@table.engine("resends-refused")
class ResendsRefused(Client):
    """Sends a refused request again, once."""

    def write(self, frame: str) -> None:
        self.memory[frame.split(" ")[0]] = frame
        super().write(frame)

    def refused(self, values: Values) -> None:
        verb = self.refused_verb(values)
        wish = self.unanswered[0] if self.oldest() == verb else None
        super().refused(values)
        if verb in self.memory and "again" not in self.memory:
            self.memory["again"] = True
            if wish is not None:
                self.unanswered.append(wish)
            super().write(self.memory[verb])


@table.engine("resends-refused-lines")
class ResendsRefusedLines(Client):
    """Sends a refused line again when it has a partner again."""

    waiting = latest = ""

    def send(self, wish: Wish) -> None:
        super().send(wish)
        if self.does(wish.verb, "relay"):
            self.latest = self.frame(wish.verb, wish.values)

    def refused(self, values: Values) -> None:
        super().refused(values)
        if self.does(self.refused_verb(values), "relay"):
            self.waiting = self.latest

    def understand(self, reply: Reply, values: Values) -> None:
        super().understand(reply, values)
        if self.waiting and self.partner is not None and reply.kind in ("answer", "push"):
            frame, self.waiting = self.waiting, ""
            self.write(frame)


@table.engine("lines-wait-for-partner", near="*/{relay}/*")
class LinesWaitForPartner(Client):
    """Holds a line until there is a partner, even if that is another one."""

    def must_wait(self, wish: Wish) -> bool:
        return super().must_wait(wish) or (self.does(wish.verb, "relay") and self.partner is None)

    def is_meant(self, wish: Wish) -> bool:
        return True


# --- what it misunderstands -------------------------------------------------------------------------------------------


@table.step(Client.pushed)
def gone_is_free(self: Client, reply: Reply, values: Values) -> None:
    """Sees itself free again when the partner is gone."""
    linked = self.partner is not None
    Client.pushed(self, reply, values)
    if linked and self.partner is None:
        self.move(next(s.name for s in self.spec.states.values() if not (s.initial or s.final or s.linked)))


@table.engine("partner-remembered")
class PartnerRemembered(Client):
    """Takes a partner that has gone for the partner."""

    former = ""

    def is_partner(self, name: str) -> bool:
        self.former = self.partner or self.former
        return self.fold(name) == self.fold(self.former)

    def pushed(self, reply: Reply, values: Values) -> None:
        self.former = self.partner or self.former
        super().pushed(reply, values)


@table.engine("answers-unmatched", near="*/LINE/*unasked")
class AnswersUnmatched(Client):
    """Ignores an answer that belongs to no request."""

    def answer(self, reply: Reply, values: Values) -> None:
        if self.oldest() == reply.verb:
            super().answer(reply, values)


@table.engine("push-is-answer")
class PushIsAnswer(AnswersUnmatched):
    """Takes any push for the answer to what is unanswered."""

    def pushed(self, reply: Reply, values: Values) -> None:
        super().pushed(reply, values)
        if self.spec.pushes[reply.form.verb].reply is None:
            self.unanswered.clear()


@table.engine("refusal-is-any-answer", near="*/LINE/*unasked")
class RefusalIsAnyAnswer(AnswersUnmatched):
    """Takes a refusal of any verb for the answer to the oldest request."""

    def refused(self, values: Values) -> None:
        del self.unanswered[:1]


# --- how it ends ------------------------------------------------------------------------------------------------------


@table.step(Client.send)
def ends_without_asking(self: Client, wish: Wish) -> None:
    """Hangs up without the request that ends the connection."""
    if wish.verb == self.spec.quit_verb:
        self.quitting = self.over = self.answered_quit = True
    else:
        Client.send(self, wish)


@table.step(Client.take, near="*/BYE/*")
def goes_on_after_goodbye(self: Client, line: bytes) -> None:
    """Takes what comes after the goodbye."""
    Client.take(self, line)
    self.over = False


@table.step(Client.receive, near="*/LINE/not-*")
def goes_on_after_nonsense(self: Client, octets: bytes) -> None:
    """Skips what the server may not send, and goes on."""
    self.incoming.feed(octets)
    while not self.over:
        try:
            if (line := self.incoming.cut()) is None:
                return
            self.take(line)
        except TooLongError:
            self.incoming.octets.clear()
        except (BrokenError, UnicodeDecodeError):
            continue
