"""The parts of the page that are tables: frames, types, errors, goodbyes, time, limits, what a client may send."""

from __future__ import annotations

from collections.abc import Callable

from pychat.spec import Spec
from pychat.spec.model import ClientRules

from . import relations, states
from .abnf import grammar
from .content import (
    Block,
    Facts,
    Grammar,
    Listing,
    Paragraph,
    Section,
    Spans,
    Table,
    TableRow,
    code,
    join,
    link,
    one_of,
    sentence,
    text,
)
from .occasions import pushed_by
from .phrases import FAULTS, SINCE, amount, duration, octets, unique
from .sources import PageSources

ENDINGS = {b"\n": "LF (0x0A)", b"\r\n": "CR LF (0x0D 0x0A)"}
ABNF = (
    "In ABNF, as RFC 5234 and RFC 7405 define it: the terminals are octets, and %s marks a word whose case matters. "
    "What a comment says of octets in all is a rule too."
)
TITLES = {
    "framing": "Frames",
    "types": "Types of fields",
    "states": "States",
    "relations": "Relations",
    "errors": "Errors",
    "goodbyes": "Goodbyes, and how a connection ends",
    "timers": "Time",
    "limits": "Limits and slow readers",
    "client": "What a client may send",
}  # of the parts of the spec language; a chapter may bring a title of its own


def title(sources: PageSources, name: str) -> Spans:
    """The title of a part or of a chapter."""
    chapter = sources.spec.chapters.get(name)
    if name == "goodbyes" and not sources.spec.goodbyes:
        return text("How a connection ends")
    return text(chapter.title if chapter is not None and chapter.title else TITLES.get(name, name))


def section(sources: PageSources, name: str) -> Section:
    """A part by its key in the spec language."""
    return PARTS[name](sources)


def _chapter(sources: PageSources, name: str, summary: str, *blocks: Block) -> Section:
    """A part with the prose of its chapter before these blocks, and the chapter's rules after them."""
    around = (*sources.chapter_prose(name), *blocks, *sources.chapter_rules(name))
    return Section(name, title(sources, name), around, summary)


def _framing(sources: PageSources) -> Section:
    framing = sources.spec.framing
    facts = Facts(
        (
            ("encoding", text("UTF-8")),
            ("a server writes", text(ENDINGS[framing.writes])),
            ("a receiver accepts", text(" and ".join(ENDINGS[ending] for ending in framing.accepts))),
            ("longest frame", text(f"{octets(framing.max_octets)} with its ending")),
            ("verb", sentence("{}, in any case", code(framing.verb)) if framing.any_case else code(framing.verb)),
        )
    )
    rules = tuple((rule.name, rule.about, layout(str(rule))) for rule in grammar(sources.spec))
    abnf = Section("abnf", text("The grammar"), (Paragraph(text(ABNF)), Grammar(rules)), "all frames in ABNF")
    blocks = (facts, *sources.chapter("framing"))
    return Section("framing", title(sources, "framing"), blocks, "lines, endings, lengths", (abnf,))


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


def _types(sources: PageSources) -> Section:
    rows = []
    for kind in sources.spec.types.values():
        good = [] if kind.one_of else [code(value) for value in kind.good if value.isprintable()]
        bad = [code(value) for value in kind.bad if value.isprintable()]
        cells = (
            code(kind.name),
            sources.anchors.prose(kind.doc),
            sources.phrases.type_form(kind),
            text(octets(*kind.octets)),
            join(good) or text("–"),
            join(bad) or text("–"),
        )
        rows.append(TableRow(cells, sources.anchors.type(kind.name)))
    note = Paragraph(text("Lengths are octets of UTF-8. A form is a regular expression that the whole field matches."))
    table = Table(("type", "about", "form", "length", "good", "bad"), tuple(rows))
    return Section("types", title(sources, "types"), (note, *sources.chapter("types"), table), "what fields may hold")


def _states(sources: PageSources) -> Section:
    return states.section(sources, title(sources, "states"))


def _relations(sources: PageSources) -> Section:
    return relations.section(sources, title(sources, "relations"))


def _faults(sources: PageSources) -> Table:
    """What is wrong with a frame, in the order in which it is checked."""
    spec, phrases = sources.spec, sources.phrases
    named, counted = spec.refusal.type_of("verb") is not None, bool(spec.budgets)
    rows = []
    for index, fault in enumerate(spec.faults, 1):
        uncounted = join([phrases.request(name) for name in spec.requests if name in fault.uncounted])
        rows.append(
            (
                text(f"{index}."),
                sentence("{}{}", text(FAULTS[fault.fault]), phrases.where(fault)),
                phrases.error(fault.error),
                *((phrases.fault_verb(fault),) if named else ()),
                *((sentence("yes, but not for {}", uncounted) if uncounted else text("yes"),) if counted else ()),
                link(fault.rule, fault.rule),
            )
        )
    last = ["the rows of the verb's own table, from the first to the last", "the row's"]
    last += (["the verb"] if named else []) + (["no"] if counted else []) + [""]
    rows.append((text(f"{len(rows) + 1}."), *(text(words) for words in last)))
    head = ["order", "what is wrong", "code"] + (["the refusal names"] if named else [])
    head += (["counted"] if counted else []) + ["rule"]
    return Table(tuple(head), tuple(TableRow(row) for row in rows))


def _errors(sources: PageSources) -> Section:
    spec = sources.spec
    codes = []
    for error in spec.errors.values():
        rows = (outcome for _, outcome in spec.outcomes())
        verbs = dict.fromkeys(row.verb for row in rows if error.code in (row.error, row.fails))
        answers = text("any line") if error.general else join([sources.phrases.request(name) for name in verbs])
        cells_ = (code(error.code), answers, sources.anchors.prose(error.doc), text(error.words))
        codes.append(TableRow(cells_, sources.anchors.error(error.code)))
    return _chapter(
        sources,
        "errors",
        "what is wrong with a frame, and what is refused",
        _faults(sources),
        *((Listing(tuple(sources.phrases.budget(budget) for budget in spec.budgets)),) if spec.budgets else ()),
        Paragraph(
            text("The words are those of the shipped server; another server may use others, but must send some.")
        ),
        Table(("code", "answers", "when", "words"), tuple(codes)),
    )


def _goodbyes(sources: PageSources) -> Section:
    spec, partner = sources.spec, sources.spec.link.name
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
        timers = [timer for timer in spec.timers.values() if timer.goodbye == goodbye.code]
        calls += [link(f"{t.name}, {duration(t.after)}", sources.anchors.timer(t.name)) for t in timers]
        told = [code(goodbye.gone) if goodbye.gone else text("nothing")] if spec.linked_states else []
        about = (sources.anchors.prose(goodbye.doc), text(goodbye.words))
        cells = (code(goodbye.code), join(calls, "; "), *told, *about)
        rows.append(TableRow(cells, sources.anchors.goodbye(goodbye.code)))
    ending = spec.ending
    parts = sources.phrases.effects(ending)
    parts += [sources.phrases.other_end(ending.partner, "that end")] if ending.partner is not None else []
    words = "When a connection ends without a request for it: {}. {}"
    head = ("code", "called for by", *((f"{partner} is told",) if spec.linked_states else ()), "when", "words")
    return _chapter(
        sources,
        "goodbyes",
        "the server's last frame, and the closing",
        Paragraph(sentence(words, join(parts, "; "), link(ending.rule, ending.rule))),
        *((Table(head, tuple(rows)),) if rows else ()),
    )


def _timers(sources: PageSources) -> Section:
    spec = sources.spec
    rows = []
    for timer in spec.timers.values():
        where = text("–") if timer.since == "goodbye" else text("any state")
        if timer.states is not None:
            where = sources.in_states([name for name in spec.live_states if name in timer.states])
        cells = (
            code(timer.name),
            text(duration(timer.after)),
            text(SINCE[timer.since]),
            where,
            sources.phrases.timer(timer),
            link(timer.rule, timer.rule),
        )
        rows.append(TableRow(cells, sources.anchors.timer(timer.name)))
    idle, interval, probes = spec.transport.keepalive
    words = (
        f"A deadline is kept within {duration(spec.limits.tolerance)}: never earlier, and at most so much later. TCP "
        f"keep-alive of a connection: idle for {duration(idle)}, then {probes} probes, {duration(interval)} apart."
    )
    table = Table(("timer", "after", "measured", "in", "then", "rule"), tuple(rows))
    filled = sources.phrases.variables([push for timer in spec.timers.values() for push in pushed_by(timer)])
    here = (Paragraph(sentence("Here {}.", filled)),) if filled else ()
    return _chapter(sources, "timers", "deadlines, silence, keep-alive", table, *here, Paragraph(text(words)))


def _limits(sources: PageSources) -> Section:
    limits = sources.spec.limits
    values = {name: amount(getattr(limits, name)) for name in limits.docs}
    rows = []
    for name, value in values.items():
        rule = link(limits.rules[name], limits.rules[name]) if name in limits.rules else text("")
        cells = (code(name.replace("_", " ")), text(value), sources.anchors.prose(limits.docs[name]), rule)
        rows.append(TableRow(cells, sources.anchors.limit(name)))
    table = Table(("limit", "value", "what it is", "rule"), tuple(rows))
    return _chapter(sources, "limits", "send queues and shares", table)


def _client(sources: PageSources) -> Section:
    spec, rules = sources.spec, sources.spec.client
    one = one_of([sources.phrases.request(verb) for verb in spec.requests if verb in rules.one_unanswered])
    items = [text("A request only in a state that has rows for it, as the client itself sees its state.")]
    if one:
        rule = link(rules.one_unanswered_rule, rules.one_unanswered_rule)
        items.append(sentence("One {} unanswered at most. {}", one, rule))
    for state, table in rules.only_if.items():
        for verb, condition in table.items():
            parts = (sources.phrases.state(state), sources.phrases.request(verb), sources.phrases.condition(condition))
            items.append(sentence("In {}, {} only if {}. {}", *parts, link(rules.only_if_rule, rules.only_if_rule)))
    for verb, after in rules.may_follow.items():
        rule = link(rules.may_follow_rule, rules.may_follow_rule)
        items.append(
            sentence(
                "{} may follow its {} at once. {}", sources.phrases.request(verb), sources.phrases.request(after), rule
            )
        )
    for push in spec.pushes.values():
        if push.reply is not None:
            reply = code(str(push.reply), sources.anchors.request(push.reply.form.verb))
            items.append(sentence("The server's {} is answered with {}.", sources.frame_link(push.form.key), reply))
    blocks = (Listing(tuple(unique(items))), *sources.chapter("client"))
    return Section("client", title(sources, "client"), blocks, "the rules for clients, and why")


def has(spec: Spec, name: str) -> bool:
    """Whether a spec has a part that it may lack."""
    return {"relations": bool(spec.relations), "client": spec.client != ClientRules()}.get(name, True)


PARTS: dict[str, Callable[[PageSources], Section]] = {
    "framing": _framing,
    "types": _types,
    "states": _states,
    "relations": _relations,
    "errors": _errors,
    "goodbyes": _goodbyes,
    "timers": _timers,
    "limits": _limits,
    "client": _client,
}
