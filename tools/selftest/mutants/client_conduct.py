"""Client mutants that no table can hold. Each class is one overridden step of the client's engine.

The class's docstring says what is broken. Knows no verb, no state and no command by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pychat.spec.model import Reply, Spec, Template

from . import Mutant, client_frames, client_rows
from .client_engine import BrokenError, Engine, Wish

# --- probes of the server ---------------------------------------------------------------------------------------------


class ProbeUnanswered(Engine):
    """Does not answer the server's probe."""

    def reply(self, template: Template, values: Mapping[str, str]) -> None:
        pass


class ProbeAnsweredOnce(Engine):
    """Answers only the first probe."""

    answers = 1

    def reply(self, template: Template, values: Mapping[str, str]) -> None:
        if self.answers:
            super().reply(template, values)
        self.answers = 0


class ProbeAnsweredTwice(Engine):
    """Answers a probe twice."""

    def reply(self, template: Template, values: Mapping[str, str]) -> None:
        super().reply(template, values)
        super().reply(template, values)


class ProbeAnsweredWrong(Engine):
    """Answers a probe with a token of its own."""

    def reply(self, template: Template, values: Mapping[str, str]) -> None:
        super().reply(template, dict.fromkeys(values, "mine"))


class ProbeTokenFolded(Engine):
    """Answers a probe with its token in small letters."""

    def reply(self, template: Template, values: Mapping[str, str]) -> None:
        super().reply(template, {name: value.lower() for name, value in values.items()})


class ProbeTokenCut(Engine):
    """Answers a probe with the first 16 characters of its token."""

    def reply(self, template: Template, values: Mapping[str, str]) -> None:
        super().reply(template, {name: value[:16] for name, value in values.items()})


class ProbeAnsweredWithName(Engine):
    """Answers probes only when it has a name."""

    def reply(self, template: Template, values: Mapping[str, str]) -> None:
        if self.state != self.spec.initial:
            super().reply(template, values)


class ProbeAnsweredAlone(Engine):
    """Answers probes only when it has no partner."""

    def reply(self, template: Template, values: Mapping[str, str]) -> None:
        if self.partner is None:
            super().reply(template, values)


class ProbeWaits(Engine):
    """Answers a probe only when nothing is unanswered."""

    def reply(self, template: Template, values: Mapping[str, str]) -> None:
        if not self.unanswered:
            super().reply(template, values)


# --- requests that nobody has asked for -------------------------------------------------------------------------------


class _Volunteers(Engine):
    """Sends a request by itself."""

    def volunteer(self, kind: str, *fields: str) -> None:
        for word, template in self.spec.contract.commands.items():
            if self.does(template.form.verb, kind) and template.form.verb != self.spec.quit_verb:
                self.command(" ".join([word, *fields]).encode())


class AcceptsByItself(_Volunteers):
    """Accepts every call without being told to."""

    def pushed(self, reply: Reply, values: Mapping[str, str]) -> None:
        alone = self.partner is None
        super().pushed(reply, values)
        if alone and self.partner is not None:
            self.volunteer("link", self.partner)


class LeavesByItself(_Volunteers):
    """Leaves by itself when the partner is gone."""

    def pushed(self, reply: Reply, values: Mapping[str, str]) -> None:
        linked = self.partner is not None
        super().pushed(reply, values)
        if linked and self.partner is None:
            self.volunteer("unlink")


class GoneIsFree(Engine):
    """Sees itself free again when the partner is gone."""

    def pushed(self, reply: Reply, values: Mapping[str, str]) -> None:
        linked = self.partner is not None
        super().pushed(reply, values)
        if linked and self.partner is None:
            self.move(next(s.name for s in self.spec.states.values() if not (s.initial or s.final or s.linked)))


class PartnerRemembered(Engine):
    """Takes the one who has gone for the partner."""

    former = ""

    def is_partner(self, name: str) -> bool:
        self.former = self.partner or self.former
        return self.fold(name) == self.fold(self.former)

    def pushed(self, reply: Reply, values: Mapping[str, str]) -> None:
        self.former = self.partner or self.former
        super().pushed(reply, values)


class PartnerCaseMatters(Engine):
    """Compares the partner's name as it is written."""

    def is_partner(self, name: str) -> bool:
        return name == self.partner


class ResendsRefused(Engine):
    """Sends again what was refused, once."""

    sent: dict[str, str]
    again = True

    def write(self, frame: str) -> None:
        self.__dict__.setdefault("sent", {})[frame.split(" ")[0]] = frame
        super().write(frame)

    def refused(self, values: Mapping[str, str]) -> None:
        verb = values[self.spec.refusal.fields[0].name]
        wish = self.unanswered[0] if self.oldest() == verb else None
        super().refused(values)
        if self.again and verb in self.__dict__.get("sent", {}):
            self.again = False
            if wish is not None:
                self.unanswered.append(wish)
            super().write(self.sent[verb])


class ResendsRefusedLines(ResendsRefused):
    """Sends a line again that was refused, when it has a partner again."""

    waiting = ""

    def refused(self, values: Mapping[str, str]) -> None:
        Engine.refused(self, values)
        verb = values[self.spec.refusal.fields[0].name]
        if self.does(verb, "relay"):
            self.waiting = self.sent.get(verb, "")

    def understand(self, reply: Reply, values: Mapping[str, str]) -> None:
        super().understand(reply, values)
        if self.waiting and self.partner is not None and reply.kind in ("answer", "push"):
            frame, self.waiting = self.waiting, ""
            self.write(frame)


class LinesForAnybody(Engine):
    """Sends a line to whoever is the partner when it can be sent, not to the one for whom it was typed."""

    def is_meant(self, wish: Wish) -> bool:
        return True


class LinesBehindRefusedCalls(Engine):
    """Takes a line for the partner's, although the call of somebody else stood before it."""

    def not_sent(self, verb: str) -> None:
        pass


class LinesWaitForPartner(Engine):
    """Holds a line until there is a partner, whoever that is."""

    def must_wait(self, wish: Wish) -> bool:
        return super().must_wait(wish) or (self.does(wish.verb, "relay") and self.partner is None)

    def is_meant(self, wish: Wish) -> bool:
        return True


class PushIsAnswer(Engine):
    """Takes any push for the answer to what is unanswered."""

    def pushed(self, reply: Reply, values: Mapping[str, str]) -> None:
        super().pushed(reply, values)
        if self.spec.pushes[reply.form.verb].reply is None:
            self.unanswered.clear()

    def answered(self, reply: Reply, values: Mapping[str, str]) -> None:
        if self.oldest() == reply.verb:
            super().answered(reply, values)


class RefusalIsAnyAnswer(Engine):
    """Takes a refusal of any verb for the answer to the oldest request."""

    def refused(self, values: Mapping[str, str]) -> None:
        del self.unanswered[:1]

    def answered(self, reply: Reply, values: Mapping[str, str]) -> None:
        if self.oldest() == reply.verb:
            super().answered(reply, values)


class RefusalHoldsForEver(Engine):
    """Waits for an answer although there was a refusal."""

    def refused(self, values: Mapping[str, str]) -> None:
        pass


# --- how it ends ------------------------------------------------------------------------------------------------------


class EndsWithoutAsking(Engine):
    """Hangs up without the request that ends the connection."""

    def send(self, wish: Wish) -> None:
        if wish.verb == self.spec.quit_verb:
            self.quitting = self.over = True
        else:
            super().send(wish)


class EndsWithFailure(Engine):
    """Ends with an exit code of failure, although the end was asked for."""

    @property
    def code(self) -> int:
        return 1


class IgnoresEndOfCommands(Engine):
    """Goes on when its stdin has ended."""

    def finish(self) -> None:
        pass


class GoesOnAfterGoodbye(Engine):
    """Takes what comes after the goodbye."""

    def take(self, line: bytes) -> None:
        super().take(line)
        self.over = False


class GoesOnAfterNonsense(Engine):
    """Skips what the server may not send, and goes on."""

    def receive(self, octets: bytes) -> None:
        self.inbox += octets
        while not self.over:
            try:
                if (line := self.cut()) is None:
                    return
                self.take(line)
            except BrokenError:
                continue

    def cut(self) -> bytes | None:
        if len(self.inbox) >= self.spec.framing.max_octets and b"\n" not in self.inbox:
            self.inbox.clear()
        return super().cut()


class EncodingReplaced(Engine):
    """Puts U+FFFD in the place of what is not valid UTF-8, and goes on."""

    def decode(self, line: bytes) -> str:
        return line.decode("utf-8", "replace")


class AnswersUnmatched(Engine):
    """Takes an answer that nobody has asked for."""

    def answered(self, reply: Reply, values: Mapping[str, str]) -> None:
        if self.oldest() == reply.verb:
            super().answered(reply, values)


class LongLinesTaken(Engine):
    """Knows no limit of a line."""

    def cut(self) -> bytes | None:
        end = self.inbox.find(b"\n")
        if end < 0:
            return None
        line = bytes(self.inbox[:end])
        del self.inbox[: end + 1]
        return line.removesuffix(b"\r")


NEAR: dict[type[Engine], str] = {  # patterns of the cases that may see it, where the first plays do not
    client_frames.HiddenShown: "*/*/*terminal*",
    client_frames.ControlsShown: "*/*/control-*",
    client_frames.WritesFirst: "*/*/reads-while*",
    LinesForAnybody: "*/*/line-for*",
    LinesBehindRefusedCalls: "*/*/line-behind*",
    client_frames.FieldsUnchecked: "*/*/*too-long*",
    RefusalIsAnyAnswer: "*/LINE/*unasked",
    AnswersUnmatched: "*/LINE/*unasked",
    GoesOnAfterNonsense: "*/LINE/not-*",
    LongLinesTaken: "*/LINE/too-long",
    GoesOnAfterGoodbye: "*/BYE/*",
    IgnoresEndOfCommands: "*/EOF/*",
    client_frames.CarriageReturnKept: "*/LINE/crlf*",
}
ABOUT_TEXT = {
    client_frames.ShortLines,
    client_frames.TextCut,
    client_frames.TextStripped,
    client_frames.TextSpacesCollapsed,
    client_frames.TextInAscii,
    client_frames.SaidStripped,
    client_frames.SaidCollapsed,
    client_frames.SaidInAscii,
}
ABOUT_TEXT |= {EncodingReplaced, LinesWaitForPartner}


def mutants(spec: Spec) -> Iterator[Mutant[Engine]]:
    """The derived ones, and each class of this file whose name is public."""
    yield from client_rows.mutants(spec)
    text = f"*/{spec.verb_that('relay')}/*"
    for name, engine in {**vars(client_frames), **globals()}.items():
        if isinstance(engine, type) and issubclass(engine, Engine) and engine is not Engine and name[0] != "_":
            near = text if engine in ABOUT_TEXT else NEAR.get(engine, "")
            yield Mutant(re.sub("(?<=.)(?=[A-Z])", "-", name).lower(), engine.__doc__ or "", engine=engine, near=near)
