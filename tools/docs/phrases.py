"""Phrases for what the spec language says: conditions, effects, times. Knows no word of any protocol."""

from __future__ import annotations

from pychat.spec import Spec
from pychat.spec.forms import ANY_VERB, FrameFault, Template, Type, Variable
from pychat.spec.model import Budget, Condition, Effect, Outcome, PartnerEffect, Share, Since, Timer

from .anchors import Anchors
from .content import Spans, code, join, link, plain, sentence, text

SINCE: dict[Since, str] = {
    "accept": "since the connection was accepted, whatever is sent",
    "silence": "of silence: no octet has come, and none of the send queue was taken",
    "full": "in which the send queue stays above its mark",
    "goodbye": "since the last frame, and since the network last took octets of what was queued",
}
FAULTS: dict[FrameFault, str] = {
    "encoding": "the line is not valid UTF-8",
    "verb": "the first word has the form of a verb and is no request",
    "syntax": "the line is not of the form of its verb, or begins with no verb",
    "state": "the request has no place in the connection's state",
}


def duration(seconds: float) -> str:
    """`30 s` or `500 ms`."""
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"


def octets(least: int, most: int | None = None) -> str:
    """A number of octets, or a range; a large round number in KiB or MiB too."""
    if most is not None and least != most:
        return f"{least} to {most:,} octets"
    for size, unit in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if least >= 64 * 1024 and least % size == 0:
            return f"{least:,} octets ({least // size} {unit})"
    return "1 octet" if least == 1 else f"{least:,} octets"


def amount(limit: float | Share) -> str:
    """A limit of the spec: a time is a float, a number of octets an int."""
    if isinstance(limit, Share):
        return f"one in {limit.one_in}, but at least {limit.at_least}"
    return octets(limit) if isinstance(limit, int) else duration(limit)


def type_form(kind: Type) -> Spans:
    """The form of a value of the type."""
    parts: list[Spans] = []
    if kind.one_of:
        parts.append(join([code(word) for word in kind.one_of], " or "))
    if kind.match is not None:
        parts.append(code(kind.match))
    if kind.forbid:
        ranges = [f"U+{low:04X}" if low == high else f"U+{low:04X} to U+{high:04X}" for low, high in kind.forbid]
        parts.append(text("any characters but " + ", ".join(ranges)))
    if kind.rest_of_line:
        parts.append(text("the rest of the line, spaces included"))
    return join(parts, "; ")


class Phrases:
    """Phrases about the rows of one spec, with links."""

    def __init__(self, spec: Spec, anchors: Anchors) -> None:
        self.spec = spec
        self.anchors = anchors
        self.partner = spec.link.name

    def state(self, name: str) -> Spans:
        return code(name, self.anchors.state(name))

    def request(self, verb: str) -> Spans:
        return code(verb, self.anchors.request(verb))

    def error(self, error: str) -> Spans:
        return code(error, self.anchors.error(error))

    def bye(self, goodbye: str) -> Spans:
        return code(f"{self.spec.goodbye.verb} {goodbye}", self.anchors.goodbye(goodbye))

    def condition(self, condition: Condition | None) -> Spans:
        """The condition of a row, as the server checks it."""
        if condition is None:
            return text("otherwise")
        field, value = code(f"<{condition.field}>"), code(condition.value or "")
        match condition.kind:
            case "taken":
                folded = self.spec.name_type.fold_case
                case = ", compared without regard to case" if folded else ""
                return sentence("a connection has the name {} already" + case, field)
            case "unknown":
                return sentence("no connection has the name {}", field)
            case "oneself":
                return sentence("{} is one's own", field)
            case "linked":
                held = join([self.state(name) for name in self.spec.states if name in self.spec.link.held_in], " or ")
                return sentence(f"the user {{}} is {{}} (with a {self.partner} or with nobody)", field, held)
            case "the partner":
                return sentence(f"{{}} is the {self.partner}, who is still there", field)
            case "equals":
                return sentence("{} is {}", field, value)
            case "differs":
                return sentence("{} is not {}", field, value)
            case "no partner":
                return text(f"the {self.partner} has gone")
            case "not accepted":
                return text("this end has not accepted")

    def effect(self, effect: Effect, verb: str = "") -> Spans:
        """What a row changes in the server's state; `verb` is its request."""
        field = code(f"<{effect.field}>")
        match effect.kind:
            case "bind":
                return sentence("the connection has the name {} from now on, spelled as it was sent", field)
            case "link":
                words = f"this end and {{}} are each other's {self.partner}; this end has accepted, {{}} has not"
                return sentence(words, field, field)
            case "accept":
                return text("this end has accepted")
            case "retract":
                return text(f"while there is a {self.partner}, this end has no longer accepted")
            case "relay":
                return text(f"the line goes to the {self.partner} octet for octet")
            case "unlink":
                return text(f"the other end, if there still is one, has no {self.partner} any more")
            case "release":
                return text("the name is free")
            case "list":
                item = self.spec.requests[verb].item
                assert item is not None, "the loader has checked it"
                return sentence("first one {} for each user, oneself too", self.anchors.form(item))

    def answer(self, outcome: Outcome) -> Spans:
        """The answer of a row."""
        if outcome.error is not None:
            return (*code(f"{self.spec.refusal.verb} {outcome.verb} "), *self.error(outcome.error))
        return text("none") if outcome.answer is None else self.anchors.template(outcome.answer)

    def then(self, outcome: Outcome) -> Spans:
        """What a row changes: state, name and link, the other end."""
        parts = [sentence("this connection is {}", self.state(outcome.to))] if outcome.to is not None else []
        parts += [self.effect(effect, outcome.verb) for effect in outcome.effects]
        if outcome.partner is not None:
            parts.append(
                self.other_end(outcome.partner, "that end" if outcome.does("unlink") else f"the {self.partner}")
            )
        if outcome.to == self.spec.final:
            parts.append(text("the server closes the connection"))
        return join(parts, "; ") if parts else text("nothing changes")

    def other_end(self, partner: PartnerEffect, who: str) -> Spans:
        """What the other end gets, and its new state."""
        push = self.anchors.template(partner.push)
        if partner.to is None:
            return sentence(f"{who} gets {{}}", push)
        return sentence(f"{who} is {{}} and gets {{}}", self.state(partner.to), push)

    def variables(self, templates: list[Template]) -> Spans:
        """The meaning of the variables of frames that are no fields of the request."""
        known = {
            "me": text("this connection's own name, as it was sent"),
            "peer": text(f"the name of the {self.partner}, as that user wrote it"),
            "count": text("the number of the items"),
            "profiles": sentence("what the server offers: {}", code(" ".join(self.spec.profiles))),
            "reason": text("why the connection ended"),
        }
        used = {part.name for template in templates for part in template.parts if isinstance(part, Variable)}
        return join([sentence("{} is {}", code(f"<{name}>"), known[name]) for name in known if name in used], "; ")

    def budget(self, budget: Budget) -> Spans:
        """The number of faults that a state allows."""
        states = join([self.state(name) for name in self.spec.states if name in budget.states], " and ")
        counted = "in a row" if budget.in_a_row else "in all"
        words = f"In {{}}: fault number {budget.faults}, counted {counted}, gets its own {{}}, and {{}} after it. {{}}"
        return sentence(
            words, states, code(self.spec.refusal.verb), self.bye(budget.goodbye), link(budget.rule, budget.rule)
        )

    def timer(self, timer: Timer) -> Spans:
        """What happens when a timer runs out."""
        if timer.goodbye is not None:
            return sentence("the server says {}", self.bye(timer.goodbye))
        if timer.push is not None:
            push = code(timer.push, self.anchors.frame(self.spec.pushes[timer.push].form.key))
            return sentence("the server sends one {}", push)
        if timer.gone is not None:
            return sentence(f"the server closes the connection; its {self.partner} is told {{}}", code(timer.gone))
        return text("the server stops waiting for the end of the stream and closes the socket")

    def fault_verb(self, fault: FrameFault) -> Spans:
        """The word that a refusal names for a fault."""
        if fault == "syntax":
            return sentence("the verb; {} if the line begins with no request's verb", code(ANY_VERB))
        return text("the verb") if fault == "state" else code(ANY_VERB)


def unique(parts: list[Spans]) -> list[Spans]:
    """The parts without repetitions."""
    return list({plain(part): part for part in parts}.values())
