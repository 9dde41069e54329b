"""Phrases for what the spec language says: conditions, effects, times. Knows no word of any protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pychat.spec import Spec
from pychat.spec.forms import ANY_VERB, FrameFault, Template, Type, Variable
from pychat.spec.model import Budget, Ending, FaultRule, Outcome, PartnerEffect, Share, Since, Timer
from pychat.spec.terms import Condition, ConditionKind, Effect, Entry, Tell

from .anchors import Anchors
from .content import Spans, both, code, join, link, one_of, plain, sentence, text

SINCE: dict[Since, str] = {
    "accept": "since the connection was accepted, whatever is sent",
    "silence": "of silence: no octet has come, and none of the send queue was taken",
    "full": "in which the send queue stays above its mark",
    "call": "since the connection was called, once in a call, whatever is sent",
    "goodbye": "since the last frame, and since the network last took octets of what was queued",
}
COUNT = "count"  # a field of an item that is no column: how many tuples have the same item
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


class Phrases:
    """Phrases about the rows of one spec, with links."""

    def __init__(self, spec: Spec, anchors: Anchors) -> None:
        self.spec = spec
        self.anchors = anchors
        self.partner = spec.link.name
        self.own_ends: dict[tuple[ConditionKind, bool], str] = {
            ("no partner", True): f"the {self.partner} has gone",
            ("no partner", False): f"the {self.partner} is still there",
            ("a partner", True): f"the {self.partner} is still there",
            ("not accepted", True): "this end is not accepted",
            ("not accepted", False): "this end is accepted",
            ("not answered", True): "this end has not answered",
            ("not answered", False): "this end has answered",
        }  # a condition about one's own end, and whether it holds

    def state(self, name: str) -> Spans:
        return code(name, self.anchors.state(name))

    def request(self, verb: str) -> Spans:
        return code(verb, self.anchors.request(verb))

    def error(self, error: str) -> Spans:
        return code(error, self.anchors.error(error))

    def bye(self, goodbye: str) -> Spans:
        return code(f"{self.spec.goodbye.verb} {goodbye}", self.anchors.goodbye(goodbye))

    def type_form(self, kind: Type) -> Spans:
        """The form of a value of the type."""
        parts: list[Spans] = []
        if kind.one_of:
            parts.append(one_of([code(word) for word in kind.one_of]))
        if kind.holds:
            parts.append(self._holds(kind))
        if kind.match is not None:
            parts.append(code(kind.match))
        if kind.forbid:
            ranges = [f"U+{low:04X}" if low == high else f"U+{low:04X} to U+{high:04X}" for low, high in kind.forbid]
            parts.append(text("any characters but " + ", ".join(ranges)))
        if kind.rest_of_line:
            parts.append(text("the rest of the line, spaces included"))
        return join(parts, "; ")

    def _holds(self, kind: Type) -> Spans:
        """Which word an item of a list says of a user."""
        said = [sentence("{} for a user {}", code(word), self._of_users(what)) for word, what in kind.holds]
        other = [word for word in kind.one_of if word not in dict(kind.holds)]
        return sentence("in a list {}, {} for any other", join(said), one_of([code(word) for word in other]))

    def _of_users(self, what: str) -> Spans:
        held = [self.state(name) for name in self.spec.states if name in self.spec.link.held_in]
        if what not in self.spec.relations:
            return sentence("in {}", one_of(held))
        return sentence("with a tuple of {}", code(what, self.anchors.relation(what)))

    # What a row asks

    def conditions(self, conditions: Iterable[Condition]) -> Spans:
        """The conditions of a row, as the server checks them."""
        return both([self.condition(condition) for condition in conditions]) or text("otherwise")

    def condition(self, condition: Condition) -> Spans:
        """One condition of a row."""
        field, value = code(f"<{condition.field}>"), code(condition.value or "")
        if condition.entry is not None:
            return self._condition_of(condition, condition.entry)
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
                held = [self.state(name) for name in self.spec.states if name in self.spec.link.held_in]
                return sentence("the user {} is {}", field, one_of(held))
            case "the partner":
                return sentence(f"{{}} is the present {self.partner}", field)
            case "equals":
                return sentence("{} is {}", field, value)
            case "differs":
                return sentence("{} is not {}", field, value)
            case kind:
                return text(self.own_ends[kind, True])

    def _condition_of(self, condition: Condition, entry: Entry) -> Spans:
        """A condition about the tuples of a relation."""
        shown = self.entry(entry)
        match condition.kind:
            case "present":
                return sentence("there is {}", shown)
            case "absent":
                return sentence("there is no {}", shown)
            case "full":
                columns = self.spec.relations[entry.relation].columns
                fixed = zip(columns, entry.arguments, strict=True)
                most = next(column.most for column, one in fixed if one.kind != "any")
                return sentence(f"there are {most} of {{}} already", shown)
            case _:
                return sentence("{} does not open {}", code(f"<{condition.field}>"), shown)

    def entry(self, entry: Entry) -> Spans:
        """The tuples of a relation: `member(<room>, *)`, with a link to the relation."""
        name, _, arguments = str(entry).partition("(")
        return (*code(name, self.anchors.relation(entry.relation)), *code(f"({arguments}"))

    def asked(self) -> set[ConditionKind]:
        """Every kind of condition that a row or a timer of the spec asks for."""
        rows = [row for _, row in self.spec.outcomes()]
        rows += [timer.row for timer in self.spec.timers.values() if timer.row is not None]
        return {condition.kind for row in rows for condition in row.conditions}

    def own_end(self) -> list[str]:
        """What the server keeps of an end of the link besides its partner: what no row asks for is left out."""
        kept: dict[ConditionKind, str] = {"not answered": "has answered", "not accepted": "is accepted"}
        return [words for kind, words in kept.items() if kind in self.asked()]

    # What a row does

    def effect(self, effect: Effect, verb: str = "") -> Spans:
        """What a row changes in the server's state; `verb` is its request."""
        field = code(f"<{effect.field}>")
        if effect.entry is not None:
            return self._effect_on(effect, effect.entry, verb)
        match effect.kind:
            case "bind":
                return sentence("the connection has the name {} from now on, spelled as it was sent", field)
            case "link":
                return sentence(f"this end and {{}} are each other's {self.partner}", field)
            case "accept":
                return text("this end " + (" and ".join(self.own_end()) or "is accepted"))
            case "retract":
                return text(f"while there is a {self.partner}, this end is accepted no longer")
            case "unlink":
                return text(f"the other end, if there still is one, has no {self.partner} any more")
            case "release":
                gone = any(column.type == "user" for one in self.spec.relations.values() for column in one.keys)
                return text(
                    "the name is free" + (", and each tuple with this user in its key is dropped" if gone else "")
                )
            case _:
                return sentence("{} for each user, oneself too", self._item(verb))

    def _effect_on(self, effect: Effect, entry: Entry, verb: str) -> Spans:
        """A change to a relation."""
        if effect.kind == "list":
            return self._listed(entry, verb)
        several = any(argument.kind == "any" for argument in entry.arguments)
        words = "{} is added" if effect.kind == "add" else "every {} is dropped" if several else "{} is dropped"
        return sentence(words, self.entry(entry))

    def _listed(self, entry: Entry, verb: str) -> Spans:
        item, columns = self.spec.requests[verb].item, self.spec.relations[entry.relation].columns
        found = sentence("{} for each {}", self._item(verb), self.entry(entry))
        if item is None or item.type_of(COUNT) is None or COUNT in [column.name for column in columns]:
            return found
        return sentence("{}, equal ones once, {} being their number", found, code(f"<{COUNT}>"))

    def _item(self, verb: str) -> Spans:
        """One item of a request, and whether it comes before an answer."""
        request = self.spec.requests[verb]
        assert request.item is not None, "the loader has checked it"
        return sentence("one {}" if request.answer is None else "first one {}", self.anchors.form(request.item))

    def tell(self, tell: Tell) -> Spans:
        """A push of a row besides that of the partner."""
        push = self.anchors.template(tell.push)
        if tell.entry is None:
            return sentence("the user {} gets {}", code(f"<{tell.field}>"), push)
        if tell.kind == "each":
            return sentence("this connection gets {} for each {}", push, self.entry(tell.entry))
        return sentence("each other user in {} gets {}", self.entry(tell.entry), push)

    def answer(self, outcome: Outcome) -> Spans:
        """The answer of a row."""
        if outcome.error is None:
            return text("none") if outcome.answer is None else self.anchors.template(outcome.answer)
        return self.refusal(outcome.error, outcome.verb)

    def refusal(self, error: str, verb: str) -> Spans:
        """The refusal of a request with this verb, as far as a program looks at it."""
        own = self.spec.errors[error].form
        if own is not None:
            return code(str(own), self.anchors.reply(self.spec.replies[own.key]))
        known = {"verb": verb, "code": error}
        words = [part if isinstance(part, str) else known.get(part.name) for part in self.spec.refusal.parts]
        shown = [word for word in words if word is not None]
        if shown[-1:] != [error]:
            return code(" ".join(shown), self.anchors.error(error))
        return (*code(" ".join([*shown[:-1], ""])), *self.error(error))

    def then(self, outcome: Outcome) -> Spans:
        """What a row does besides its answer."""
        parts = self.changes(outcome)
        if outcome.fails is not None:
            failed = self.refusal(outcome.fails, outcome.verb)
            parts.append(sentence("it is answered when this is on disk, and with {} if the disk fails", failed))
        if outcome.to == self.spec.final:
            parts.append(text("the server closes the connection"))
        return join(parts, "; ") if parts else text("nothing changes")

    def changes(self, outcome: Outcome) -> list[Spans]:
        """What a row changes and tells: state, name and link, relations, the other end, other users."""
        parts = [sentence("this connection is {}", self.state(outcome.to))] if outcome.to is not None else []
        parts += self.effects(outcome)
        if outcome.partner is not None:
            who = "the other end" if outcome.does("unlink") else f"the {self.partner}"
            told = self.other_end(outcome.partner, who)
            parts.append(sentence("{}, octet for octet", told) if outcome.does("relay") else told)
        parts += [self.tell(tell) for tell in outcome.tells]
        if outcome.cause is not None:
            parts.append(sentence("the cause is {}", code(outcome.cause)))
        return parts

    def effects(self, row: Outcome | Ending) -> list[Spans]:
        """What a row, or the end of a connection, changes; nothing of a link that no state holds."""
        parts, has = [], " and ".join(self.own_end())
        for effect in row.effects:
            if effect.kind == "relay" or (effect.kind == "unlink" and not self.spec.linked_states):
                continue  # what is relayed is a push to the other end
            parts.append(self._effect_of(row, effect) if isinstance(row, Outcome) else self.effect(effect))
            if effect.kind == "link" and has:
                parts.append(sentence(f"this end {has}, {{}} not yet", code(f"<{effect.field}>")))
        return parts

    def _effect_of(self, row: Outcome, effect: Effect) -> Spans:
        """An effect, where the row says more about the link."""
        if effect.kind == "unlink" and row.to is None:
            return text(f"neither end has a {self.partner} any more")
        if effect.kind == "unlink" and any(condition.kind == "a partner" for condition in row.conditions):
            return text(f"the other end has no {self.partner} any more")
        return self.effect(effect, row.verb)

    def other_end(self, partner: PartnerEffect, who: str) -> Spans:
        """What the other end gets, and its new state."""
        push = self.anchors.template(partner.push)
        if partner.to is None:
            return sentence(f"{who} gets {{}}", push)
        return sentence(f"{who} is {{}} and gets {{}}", self.state(partner.to), push)

    def variables(self, templates: list[Template], columns: Mapping[str, Spans] | None = None) -> Spans:
        """The meaning of the variables of frames that are no fields of the request; `columns`: by their names."""
        known = {
            "me": text("this connection's own name, as it was sent"),
            "peer": text(f"the name of the {self.partner}, as that user wrote it"),
            "count": text("the number of the items"),
            "profiles": sentence("what the server offers: {}", code(" ".join(self.spec.profiles))),
            "reason": text("why the connection ended"),
            "cause": text("why it is so"),
            "number": text("1, 2, 3, …, or any other value of its type"),
        } | dict(columns or {})
        used = {part.name for template in templates for part in template.parts if isinstance(part, Variable)}
        return join([sentence("{} is {}", code(f"<{name}>"), known[name]) for name in known if name in used], "; ")

    def where(self, fault: FaultRule) -> Spans:
        """The states and the verbs of a fault's rule; nothing where it is for all."""
        states = [self.state(name) for name in self.spec.live_states if name in (fault.states or ())]
        verbs = [self.request(verb) for verb in self.spec.requests if verb in (fault.verbs or ())]
        verbs += [code(ANY_VERB)] if ANY_VERB in (fault.verbs or ()) else []
        found = [sentence("for {}", one_of(verbs))] if verbs else []
        found += [sentence("in {}", one_of(states))] if states else []
        return sentence(" ({})", join(found, " ")) if found else ()

    def budget(self, budget: Budget) -> Spans:
        """The number of faults that a state allows."""
        states = join([self.state(name) for name in self.spec.states if name in budget.states], " and ")
        counted = "in succession" if budget.in_a_row else "in all"
        refusal = code(self.spec.refusal.verb) if self.spec.refusal.parts else text("refusal")
        words = f"In {{}}: fault number {budget.faults}, counted {counted}, gets its own {{}}, and {{}} after it. {{}}"
        return sentence(words, states, refusal, self.bye(budget.goodbye), link(budget.rule, budget.rule))

    def timer(self, timer: Timer) -> Spans:
        """What happens when a timer runs out."""
        if timer.goodbye is not None:
            return sentence("the server says {}", self.bye(timer.goodbye))
        if timer.row is not None:
            return self._timer_row(timer, timer.row)
        if timer.gone is not None:
            words = f"its {self.partner} is told {{}}" if self.spec.linked_states else "the cause is {}"
            return sentence(f"the server closes the connection; {words}", code(timer.gone))
        return text("the server stops waiting for the end of the stream and closes the socket")

    def _timer_row(self, timer: Timer, row: Outcome) -> Spans:
        """What a timer does that ends no connection: what it tells its own one comes first."""
        gets = "this end gets one {}" if timer.since == "silence" else "this end gets {}"  # one in a silence
        parts = [sentence(gets, self.anchors.template(row.answer))] if row.answer is not None else []
        if row.to is not None or row.effects or row.partner is not None or row.tells:
            parts.append(self.then(row))
        found = join(parts, "; ")
        return sentence("if {}: {}", self.conditions(row.conditions), found) if row.conditions else found

    def fault_verb(self, rule: FaultRule) -> Spans:
        """The word that a refusal names for a fault."""
        own = self.spec.errors[rule.error].form
        if own is not None and own.type_of("verb") is None:
            return text("–")
        if rule.fault == "syntax" and rule.verbs is None:
            return sentence("the verb; {} if the line begins with no request's verb", code(ANY_VERB))
        return code(ANY_VERB) if rule.fault in ("encoding", "verb") else text("the verb")


def unique(parts: list[Spans]) -> list[Spans]:
    """The first of all parts with the same words, in their order."""
    found: dict[str, Spans] = {}
    for part in parts:
        found.setdefault(plain(part), part)
    return list(found.values())
