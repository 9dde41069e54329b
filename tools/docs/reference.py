"""The parts of the page that are tables: frames, types, errors, goodbyes, time, limits, what a client may send."""

from __future__ import annotations

from collections.abc import Callable

from pychat.spec.model import Timer

from . import states
from .abnf import grammar
from .content import (
    Block,
    Facts,
    Grammar,
    Listing,
    Paragraph,
    Row,
    Section,
    Spans,
    Table,
    code,
    join,
    link,
    one_of,
    say,
    text,
)
from .material import Material
from .wording import FAULTS, SINCE, duration, octets, type_form, unique

ENDINGS = {b"\n": "LF (0x0A)", b"\r\n": "CR LF (0x0D 0x0A)"}
ABNF = (
    "In ABNF, as RFC 5234 and RFC 7405 define it: the terminals are octets, and %s marks a word whose case matters. "
    "What a comment says of octets in all is a rule too."
)
TITLES = {
    "framing": "Frames",
    "types": "Types of fields",
    "states": "States",
    "errors": "Errors",
    "goodbyes": "Goodbyes, and how a connection ends",
    "timers": "Time",
    "limits": "Limits and slow readers",
    "client": "What a client may send",
}  # of the parts of the spec language; a chapter may bring a title of its own


def title(of: Material, name: str) -> Spans:
    """The title of a part or of a chapter."""
    chapter = of.spec.chapters.get(name)
    return text(chapter.title if chapter is not None and chapter.title else TITLES.get(name, name))


def section(of: Material, name: str) -> Section:
    """A part by its key in the spec language."""
    return PARTS[name](of)


def _framing(of: Material) -> Section:
    framing = of.spec.framing
    facts = Facts(
        (
            ("encoding", text("UTF-8")),
            ("a server writes", text(ENDINGS[framing.writes])),
            ("a receiver accepts", text(" and ".join(ENDINGS[ending] for ending in framing.accepts))),
            ("longest frame", text(f"{octets(framing.max_octets)} with its ending")),
            ("verb", code(framing.verb)),
        )
    )
    rules = tuple((rule.name, rule.about, layout(str(rule))) for rule in grammar(of.spec))
    abnf = Section("abnf", text("The grammar"), (Paragraph(text(ABNF)), Grammar(rules)), (), "all frames in ABNF")
    blocks = (facts, *of.chapter("framing"))
    return Section("framing", title(of, "framing"), blocks, (abnf,), "lines, endings, lengths")


def layout(rule: str, width: int = 100) -> str:
    """A rule of a grammar in lines of at most `width` characters; alternatives stand below one another."""
    name, _, body = rule.partition(" = ")
    lines = [f"{name:<14} = {body}"]
    while len(lines[-1]) > width:
        cut = lines[-1].rfind(" / ", 18, width)
        if cut < 0:
            break
        lines[-1:] = [lines[-1][:cut], " " * 15 + lines[-1][cut + 1 :]]
    return "\n".join(lines)


def _types(of: Material) -> Section:
    rows = []
    for kind in of.spec.types.values():
        good = [] if kind.one_of else [code(value) for value in kind.good if value.isprintable()]
        bad = [code(value) for value in kind.bad if value.isprintable()]
        cells = (
            code(kind.name),
            of.names.prose(kind.doc),
            type_form(kind),
            text(octets(*kind.octets)),
            join(good) or text("–"),
            join(bad) or text("–"),
        )
        rows.append(Row(cells, of.names.type(kind.name)))
    note = Paragraph(text("Lengths are octets of UTF-8. A form is a regular expression that the whole field matches."))
    table = Table(("type", "about", "form", "length", "good", "bad"), tuple(rows))
    return Section("types", title(of, "types"), (note, *of.chapter("types"), table), (), "what fields may hold")


def _states(of: Material) -> Section:
    return states.section(of, title(of, "states"))


def _errors(of: Material) -> Section:
    spec, verb = of.spec, of.spec.refusal.verb
    faults = []
    for index, fault in enumerate(spec.faults, 1):
        uncounted = join([of.wording.request(name) for name in spec.requests if name in fault.uncounted])
        cells = (
            text(f"{index}."),
            text(FAULTS[fault.fault]),
            of.wording.error(fault.error),
            of.wording.fault_verb(fault.fault),
            say("yes, but not for {}", uncounted) if uncounted else text("yes"),
            link(fault.rule, fault.rule),
        )
        faults.append(Row(cells))
    last = ("the rows of the verb's own table, from the first to the last", "the row's", "the verb", "no", "")
    faults.append(Row((text(f"{len(faults) + 1}."), *(text(words) for words in last))))
    codes = []
    for error in spec.errors.values():
        verbs = dict.fromkeys(outcome.verb for _, outcome in spec.outcomes() if outcome.error == error.code)
        answers = text("any frame") if error.general else join([of.wording.request(name) for name in verbs])
        cells_ = (code(error.code), answers, of.names.prose(error.doc), text(error.words))
        codes.append(Row(cells_, of.names.error(error.code)))
    blocks: list[Block] = [
        *of.chapter("errors", rules=False),
        Table(("order", "what is wrong", "code", f"{verb} names", "counted", "rule"), tuple(faults)),
        Listing(tuple(of.wording.budget(budget) for budget in spec.budgets)),
        Paragraph(text("The words are those of the shipped server; another server may say others, but not none.")),
        Table(("code", "answers", "when", "words"), tuple(codes)),
        *of.chapter_rules("errors"),
    ]
    return Section("errors", title(of, "errors"), tuple(blocks), (), "what is wrong with a frame, and what is refused")


def _goodbyes(of: Material) -> Section:
    spec, partner = of.spec, of.spec.link.name
    when = {
        "too-long": f"{spec.framing.max_octets} octets have come without an LF",
        "full": "there is no room for the connection",
        "share": "the address has its share of the connections",
        "stop": "the server stops",
    }
    rows = []
    for goodbye in spec.goodbyes.values():
        calls: list[Spans] = [text(when[goodbye.when])] if goodbye.when else []
        calls += [link(budget.rule, budget.rule) for budget in spec.budgets if budget.goodbye == goodbye.code]
        calls += [_timer_link(of, timer) for timer in spec.timers.values() if timer.goodbye == goodbye.code]
        told = code(goodbye.gone) if goodbye.gone else text("nothing")
        cells = (code(goodbye.code), join(calls, "; "), told, of.names.prose(goodbye.doc), text(goodbye.words))
        rows.append(Row(cells, of.names.goodbye(goodbye.code)))
    ending = spec.ending
    effects = join([of.wording.effect(effect) for effect in ending.effects], "; ")
    words = "When a connection ends without a request for it: {}; {}. {}"
    told_ = of.wording.other_end(ending.partner, "that end")
    blocks: list[Block] = [
        *of.chapter("goodbyes", rules=False),
        Paragraph(say(words, effects, told_, link(ending.rule, ending.rule))),
        Table(("code", "called for by", f"{partner} is told", "when", "words"), tuple(rows)),
        *of.chapter_rules("goodbyes"),
    ]
    return Section("goodbyes", title(of, "goodbyes"), tuple(blocks), (), "the server's last frame, and the closing")


def _timer_link(of: Material, timer: Timer) -> Spans:
    return link(f"{timer.name}, {duration(timer.after)}", of.names.timer(timer.name))


def _timers(of: Material) -> Section:
    spec = of.spec
    rows = []
    for timer in spec.timers.values():
        where = text("–") if timer.since == "goodbye" else text("any state")
        if timer.states is not None:
            where = of.in_states([name for name in spec.live_states if name in timer.states])
        cells = (
            code(timer.name),
            text(duration(timer.after)),
            text(SINCE[timer.since]),
            where,
            of.wording.timer(timer),
            link(timer.rule, timer.rule),
        )
        rows.append(Row(cells, of.names.timer(timer.name)))
    idle, interval, probes = spec.transport.keepalive
    words = (
        f"A deadline is kept within {duration(spec.limits.tolerance)}: never earlier, and at most so much later. TCP "
        f"keep-alive of a connection: idle for {duration(idle)}, then {probes} probes, {duration(interval)} apart."
    )
    blocks: list[Block] = [
        *of.chapter("timers", rules=False),
        Table(("timer", "after", "measured", "in", "then", "rule"), tuple(rows)),
        Paragraph(text(words)),
        *of.chapter_rules("timers"),
    ]
    return Section("timers", title(of, "timers"), tuple(blocks), (), "deadlines, silence, keep-alive")


def _limits(of: Material) -> Section:
    limits = of.spec.limits
    values = {
        "tolerance": duration(limits.tolerance),
        "queue_mark": octets(limits.queue_mark),
        "queue_stop": octets(limits.queue_stop),
        "address_share": f"one in {limits.address_share.one_in}, but at least {limits.address_share.at_least}",
    }
    rows = []
    for name, value in values.items():
        rule = link(limits.rules[name], limits.rules[name]) if name in limits.rules else text("")
        cells = (code(name.replace("_", " ")), text(value), of.names.prose(limits.docs[name]), rule)
        rows.append(Row(cells, of.names.limit(name)))
    blocks: list[Block] = [
        *of.chapter("limits", rules=False),
        Table(("limit", "value", "what it is", "rule"), tuple(rows)),
        *of.chapter_rules("limits"),
    ]
    return Section("limits", title(of, "limits"), tuple(blocks), (), "send queues and shares")


def _client(of: Material) -> Section:
    spec, rules = of.spec, of.spec.client
    one = one_of([of.wording.request(verb) for verb in spec.requests if verb in rules.one_unanswered])
    items = [
        text("A request only in a state that has rows for it, as the client itself sees its state."),
        say("One {} unanswered at most. {}", one, link(rules.one_unanswered_rule, rules.one_unanswered_rule)),
    ]
    for state, table in rules.only_if.items():
        for verb, condition in table.items():
            parts = (of.wording.state(state), of.wording.request(verb), of.wording.condition(condition))
            items.append(say("In {}, {} only if {}. {}", *parts, link(rules.only_if_rule, rules.only_if_rule)))
    for verb, after in rules.may_follow.items():
        rule = link(rules.may_follow_rule, rules.may_follow_rule)
        items.append(say("{} may follow its {} at once. {}", of.wording.request(verb), of.wording.request(after), rule))
    for push in spec.pushes.values():
        if push.reply is not None:
            reply = code(str(push.reply), of.names.request(push.reply.form.verb))
            items.append(say("The server's {} is answered with {}.", of.frame_link(push.form.key), reply))
    blocks = (Listing(tuple(unique(items))), *of.chapter("client"))
    return Section("client", title(of, "client"), blocks, (), "the rules for clients, and why")


PARTS: dict[str, Callable[[Material], Section]] = {
    "framing": _framing,
    "types": _types,
    "states": _states,
    "errors": _errors,
    "goodbyes": _goodbyes,
    "timers": _timers,
    "limits": _limits,
    "client": _client,
}
