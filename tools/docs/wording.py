"""What the words of the spec language mean, in sentences: conditions, effects, times. Knows no word of any protocol."""

from __future__ import annotations

from pychat.spec import Spec
from pychat.spec.model import ANY_VERB, Budget, Condition, Effect, Outcome, Since, Template, Timer, Type, Variable

from .content import Span, Spans, code, join, link, text
from .names import Names

SINCE: dict[Since, str] = {
    "accept": "since the connection was accepted, whatever is sent",
    "silence": "of silence: no octet has come, and none of the send queue was taken",
    "full": "in which the send queue stays above its mark",
    "goodbye": "since the last frame",
}
FAULTS = {
    "encoding": "the line is not valid UTF-8",
    "verb": "the first word has the form of a verb and is no request",
    "syntax": "the line is not of the form of its verb, or begins with no verb",
    "state": "the request has no place in the connection's state",
}
WHOM = {"server": "server", "client": "client", "both": "both"}


def duration(seconds: float) -> str:
    """`30 s`, `500 ms`: as short as it is exact."""
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"


def number(value: int) -> str:
    """Large numbers with spaces, and with their size in words."""
    grouped = f"{value:,}"
    for size, unit in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if value >= 64 * 1024 and value % size == 0:
            return f"{grouped} ({value // size} {unit})"
    return grouped


def octets(least: int, most: int) -> str:
    if least == most:
        return f"{most} octet" + ("" if most == 1 else "s")
    return f"{least} to {most:,} octets"


def type_form(kind: Type) -> Spans:
    """What a value of the type looks like."""
    if kind.one_of:
        return join([code(word) for word in kind.one_of], " or ")
    spans: list[Span] = []
    if kind.match is not None:
        spans += code(kind.match)
    if kind.forbid:
        ranges = [f"U+{low:04X}" if low == high else f"U+{low:04X} to U+{high:04X}" for low, high in kind.forbid]
        spans += text("any characters but " + ", ".join(ranges))
    if kind.rest_of_line:
        spans += text("; the rest of the line, spaces included")
    return tuple(spans)


class Wording:
    """Sentences about the rows of one spec."""

    def __init__(self, spec: Spec, names: Names) -> None:
        self.spec = spec
        self.names = names

    def condition(self, condition: Condition | None) -> Spans:
        """When a row is taken, as the server sees it."""
        if condition is None:
            return text("otherwise")
        field = code(f"<{condition.field}>") if condition.field else ()
        held = join([code(name, self.names.state(name)) for name in self._held()], " or ")
        link_name = self.spec.link.name
        match condition.kind:
            case "taken":
                return (*text("a connection has the name "), *field, *text(" already" + self._folded()))
            case "unknown":
                return (*text("no connection has the name "), *field)
            case "oneself":
                return (*field, *text(" is one's own"))
            case "linked":
                return (
                    *text("the user "),
                    *field,
                    *text(" is "),
                    *held,
                    *text(f" (with a {link_name} or with nobody)"),
                )
            case "the partner":
                return (*field, *text(f" is the {link_name}, who is still there"))
            case "equals":
                return (*field, *text(" is "), *code(condition.value or ""))
            case "differs":
                return (*field, *text(" is not "), *code(condition.value or ""))
            case "no partner":
                return text(f"the {link_name} has gone")
            case "not accepted":
                return text("this end has not accepted")
        return text(str(condition))

    def _held(self) -> list[str]:
        return [name for name in self.spec.states if name in self.spec.link.held_in]

    def _folded(self) -> str:
        return ", compared without regard to case" if self.spec.types[self.spec.link.key].fold_case else ""

    def effect(self, effect: Effect, outcome: Outcome | None = None) -> Spans:
        """What a row changes in what the server knows."""
        field = code(f"<{effect.field}>") if effect.field else ()
        name = self.spec.link.name
        match effect.kind:
            case "bind":
                return (*text("the connection has the name "), *field, *text(" from now on, spelled as it was sent"))
            case "link":
                return (
                    *text("this end and "),
                    *field,
                    *text(f" are each other's {name}; this end has accepted, "),
                    *field,
                    *text(" has not"),
                )
            case "accept":
                return text("this end has accepted")
            case "retract":
                return text(f"while there is a {name}, this end has no longer accepted")
            case "relay":
                return text(f"the frame goes to the {name} octet for octet")
            case "unlink":
                return text(f"the other end, if there still is one, has no {name} any more")
            case "release":
                return text("the name is free")
            case "list":
                item = self.spec.requests[outcome.verb].item if outcome else None
                assert item is not None, "the loader has checked it"
                return (*text("first one "), *self.names.form(item), *text(" for each user, oneself too"))
        return text(str(effect))

    def answer(self, outcome: Outcome) -> Spans:
        """What comes back."""
        if outcome.error is not None:
            verb = self.spec.refusal.verb
            return (*code(f"{verb} {outcome.verb} "), *code(outcome.error, self.names.error(outcome.error)))
        return text("none") if outcome.answer is None else self.names.template(outcome.answer)

    def then(self, outcome: Outcome) -> Spans:
        """What a row changes: states, knowledge, the other end."""
        parts: list[Spans] = []
        if outcome.to is not None:
            parts.append((*text("this connection is "), *code(outcome.to, self.names.state(outcome.to))))
        parts += [self.effect(effect, outcome) for effect in outcome.effects]
        if outcome.partner is not None:
            who = text(f"the {self.spec.link.name} ")
            push = self.names.template(outcome.partner.push)
            if outcome.partner.to is not None:
                parts.append(
                    (
                        *who,
                        *text("is "),
                        *code(outcome.partner.to, self.names.state(outcome.partner.to)),
                        *text(" and gets "),
                        *push,
                    )
                )
            else:
                parts.append((*who, *text("gets "), *push))
        if outcome.to == self.spec.final:
            parts.append(text("the server closes the connection"))
        return join(parts, "; ") if parts else text("nothing changes")

    def variables(self, template: Template) -> Spans:
        """What the variables of a frame stand for, where it is not plain."""
        known = {
            "me": "the name of this connection, as it was sent",
            "peer": f"the name of the {self.spec.link.name}, in his own spelling",
            "count": "the number of the items",
            "profiles": "the profiles that the server offers, " + " ".join(self.spec.profiles),
            "reason": "why the connection ended",
        }
        names = [part.name for part in template.parts if isinstance(part, Variable) and part.name in known]
        return join([(*code(f"<{name}>"), *text(f" is {known[name]}")) for name in names], "; ")

    def budget(self, budget: Budget) -> Spans:
        """How many faults a state allows."""
        states = join(
            [code(name, self.names.state(name)) for name in self.spec.states if name in budget.states], " and "
        )
        counted = "in a row" if budget.in_a_row else "in all"
        bye = code(f"{self.spec.goodbye.verb} {budget.goodbye}", self.names.goodbye(budget.goodbye))
        return (
            *text("In "),
            *states,
            *text(f": the fault number {budget.faults}, counted {counted}, gets its own "),
            *code(self.spec.refusal.verb),
            *text(", and "),
            *bye,
            *text(" after it. "),
            *link(budget.rule, budget.rule),
        )

    def timer(self, timer: Timer) -> Spans:
        """What happens when a time is over."""
        if timer.goodbye is not None:
            return (
                *text("the server says "),
                *code(f"{self.spec.goodbye.verb} {timer.goodbye}", self.names.goodbye(timer.goodbye)),
            )
        if timer.push is not None:
            return (
                *text("the server sends one "),
                *code(timer.push, self.names.frame(self.spec.pushes[timer.push].form.key)),
            )
        if timer.gone is not None:
            return (*text(f"the server closes the connection; its {self.spec.link.name} is told "), *code(timer.gone))
        return text("the server stops waiting for the end of the stream and closes the socket")

    def fault_verb(self, fault: str) -> Spans:
        """What a refusal names for a fault."""
        if fault == "syntax":
            return (*text("the verb; "), *code(ANY_VERB), *text(" if the line begins with no request's verb"))
        return text("the verb") if fault == "state" else code(ANY_VERB)
