"""The whole page, from a spec: what stands on it and in which order. Knows no Markdown, no HTML and no protocol."""

from __future__ import annotations

from collections.abc import Iterator

from pychat.spec.model import Step

from . import messages, states
from .abnf import grammar
from .content import (
    Block,
    Code,
    Conversation,
    Diagram,
    Facts,
    Grammar,
    Line,
    Listing,
    Page,
    Paragraph,
    Row,
    Rules,
    RuleText,
    Section,
    Spans,
    Table,
    code,
    join,
    link,
    strong,
    text,
)
from .material import Material
from .play import Act, Play
from .wording import FAULTS, SINCE, duration, number, octets, type_form

MARKS = {"send": ">", "finish": ">|", "reset": ">!", "receive": "<", "end": "<|"}
ACTS = {"finish": "(ends its sending half)", "reset": "(breaks off with a reset)", "end": "(the end of the stream)"}
TITLES = {
    "framing": "Frames",
    "types": "Types of fields",
    "states": "States",
    "link": "The link",
    "errors": "Errors",
    "goodbyes": "Goodbyes, and how a connection ends",
    "timers": "Time",
    "limits": "Limits and slow readers",
    "client": "What a client may send",
    "examples": "Conversations",
    "contract": "The line contract of a client under test",
}  # of the parts of the spec language; a chapter may bring a title of its own


def page(of: Material) -> Page:
    """The page of a spec."""
    spec = of.spec
    facts = Facts(
        (
            ("version", link(str(spec.version), "history")),
            ("port", code(f"{spec.transport.port}/tcp")),
            ("profiles", join([code(name, f"profile-{name}") for name in spec.profiles])),
        )
    )
    return Page(spec.title, of.names.prose(spec.doc), facts, tuple(_sections(of)), spec.sha256)


def _sections(of: Material) -> Iterator[Section]:
    parts = {
        "framing": _framing,
        "states": _states,
        "errors": _errors,
        "goodbyes": _goodbyes,
        "timers": _timers,
        "limits": _limits,
        "client": _client,
    }
    yield _start(of)
    yield parts["framing"](of)
    yield _types(of)
    yield Section(
        "messages",
        text("Messages"),
        (
            Paragraph(
                text(
                    "Each frame that travels, in the direction in which it travels. A word in angle brackets is a field."
                )
            ),
        ),
        messages.sections(of),
    )
    yield parts["states"](of)
    for name in of.spec.chapters:
        if name not in parts:
            yield _chapter(of, name)
    for name in ("errors", "goodbyes", "timers", "limits", "client"):
        yield parts[name](of)
    yield _examples(of)
    yield _rules(of)
    yield _hints(of)
    yield _contract(of)
    yield Section(
        "security", text("Security considerations"), (Listing(tuple(of.names.prose(w) for w in of.spec.security)),)
    )
    yield _history(of)


def _title(of: Material, name: str) -> Spans:
    chapter = of.spec.chapters.get(name)
    return text(chapter.title if chapter is not None and chapter.title else TITLES[name])


def _chapter(of: Material, name: str) -> Section:
    return Section(name, _title(of, name), tuple(of.chapter(name)))


def _start(of: Material) -> Section:
    """The newcomer's way in: the first example, typed by hand, and as it flows."""
    first = next(iter(of.plays.values()))
    port = of.spec.transport.port
    blocks: list[Block] = [
        Paragraph(
            (
                *text("Nothing but a terminal is needed. With a server on your machine, "),
                *code(f"nc 127.0.0.1 {port}"),
                *text(
                    " is a client: what you type is a frame when you press Enter, and what appears is what the server says. "
                    "Open one terminal for each person, and type the lines that are marked; the others are the answers."
                ),
            )
        ),
        _conversation(of, first, hands=True),
        Paragraph(
            (
                *text("The same conversation, as it flows between the people and the server. Time runs downwards. "),
                *of.names.prose(first.example.doc),
            )
        ),
        _sequence(of, first),
        Paragraph(text("To write a client or a server, read on in this order:"), note=False),
        Listing(
            (
                (*link("frames", "framing"), *text(" – how octets become lines, and lines become requests;")),
                (*link("messages", "messages"), *text(" – each frame, with what comes of it in each state;")),
                (*link("errors", "errors"), *text(" – what is checked in which order, and what is counted;")),
                *(
                    (*link(plain_title(of, name), name), *text(";"))
                    for name in of.spec.chapters
                    if name not in TITLES or name == "link"
                ),
                (
                    *link("the end of a connection", "goodbyes"),
                    *text(", "),
                    *link("time", "timers"),
                    *text(" and "),
                    *link("limits", "limits"),
                    *text(";"),
                ),
                (
                    *link("conversations", "examples"),
                    *text(" – each was run against a real server when this page was made."),
                ),
            )
        ),
    ]
    return Section("start", text("Start here"), tuple(blocks), (), "a first conversation by hand")


def plain_title(of: Material, name: str) -> str:
    """The title of a chapter inside a sentence."""
    title = "".join(span.text for span in _title(of, name))
    return title[0].lower() + title[1:]


def _conversation(of: Material, play: Play, *, hands: bool = False) -> Conversation:
    lines = tuple(Line(play.people[act.who], MARKS[act.kind], _act_words(of, act)) for act in play.acts)
    return Conversation(play.example.id, tuple(play.people.values()), lines, hands)


def _act_words(of: Material, act: Act) -> Spans:
    if act.kind in ACTS:
        return text(ACTS[act.kind])
    return of.names.line(act.text, sent=act.kind == "send")


def _sequence(of: Material, play: Play) -> Diagram:
    del of
    return Diagram(f"sequence-{play.example.id}", play.example.title)


def _framing(of: Material) -> Section:
    framing = of.spec.framing
    ending = {b"\n": "LF (0x0A)", b"\r\n": "CR LF (0x0D 0x0A)"}
    facts = Facts(
        (
            ("encoding", text("UTF-8")),
            ("a server writes", text(ending[framing.writes])),
            ("a receiver accepts", join([text(ending[octets_]) for octets_ in framing.accepts], " and ")),
            ("longest frame", text(f"{number(framing.max_octets)} octets with its ending")),
            ("verb", code(framing.verb)),
        )
    )
    rules = tuple((rule.name, rule.about, line) for rule in grammar(of.spec) for line in [layout(str(rule))])
    abnf = Section(
        "abnf",
        text("The grammar"),
        (
            Paragraph(
                text(
                    "In ABNF, as RFC 5234 and RFC 7405 define it: the terminals are octets, and %s marks a word whose case matters. "
                    "What a comment says of octets in all is a rule too."
                )
            ),
            Grammar(rules),
        ),
        (),
        "the ABNF grammar of all frames",
    )
    return Section(
        "framing", _title(of, "framing"), (facts, *of.chapter("framing")), (abnf,), "lines, endings, lengths"
    )


def layout(rule: str, width: int = 100) -> str:
    """A rule of a grammar in lines of at most `width` characters; alternatives stand below one another."""
    name, _, body = rule.partition(" = ")
    head = f"{name:<14} = "
    lines = [head + body]
    while len(lines[-1]) > width:
        cut = lines[-1].rfind(" / ", 18, width)
        if cut < 0:
            break
        lines[-1:] = [lines[-1][:cut], " " * 15 + lines[-1][cut + 1 :]]
    return "\n".join(lines)


def _types(of: Material) -> Section:
    rows = []
    for kind in of.spec.types.values():
        shown = [value for value in kind.good if value.isprintable()] if not kind.one_of else []
        good = join([code(value) for value in shown]) or text("–")
        bad = join([code(value) for value in kind.bad if value.isprintable()]) or text("–")
        doc = of.names.prose(kind.doc)
        rows.append(
            Row(
                (code(kind.name), type_form(kind), text(octets(*kind.octets)), good, bad, doc), of.names.type(kind.name)
            )
        )
    note = Paragraph(text("Lengths are octets of UTF-8. A form is a regular expression that the whole field matches."))
    return Section(
        "types",
        text(TITLES["types"]),
        (note, Table(("type", "form", "length", "good", "bad", "about"), tuple(rows))),
        (),
        "what fields may hold",
    )


def _states(of: Material) -> Section:
    blocks = [
        *of.chapter("states"),
        Paragraph(
            text(
                "A connection is in one state, and the server knows nothing of it but the state, its name, and its link. "
                "A request that has no place in the state is refused and changes nothing."
            )
        ),
    ]
    return Section("states", _title(of, "states"), tuple(blocks), states.sections(of), "what is legal when")


def _errors(of: Material) -> Section:
    spec = of.spec
    verb = spec.refusal.verb
    faults = tuple(
        Row(
            (
                text(f"{index}."),
                text(FAULTS[fault.fault]),
                code(fault.error, of.names.error(fault.error)),
                of.wording.fault_verb(fault.fault),
                (
                    *text("yes"),
                    *(text(", but not for ") if fault.uncounted else ()),
                    *join([code(v, of.names.request(v)) for v in sorted(fault.uncounted)]),
                ),
                link(fault.rule, fault.rule),
            )
        )
        for index, fault in enumerate(spec.faults, 1)
    )
    last = Row(
        (
            text(f"{len(faults) + 1}."),
            text("the rows of the verb's own table, from the first to the last"),
            text("the row's"),
            text("the verb"),
            text("no"),
            text(""),
        )
    )
    used: dict[str, list[Spans]] = {}
    for _, outcome in spec.outcomes():
        if outcome.error:
            known = used.setdefault(outcome.error, [])
            spans = code(outcome.verb, of.names.request(outcome.verb))
            if spans not in known:
                known.append(spans)
    rows = []
    for error in spec.errors.values():
        answers = text("any frame") if error.general else join(used.get(error.code, []))
        rows.append(
            Row((code(error.code), answers, of.names.prose(error.doc), text(error.words)), of.names.error(error.code))
        )
    budgets = Listing(tuple(of.wording.budget(budget) for budget in spec.budgets))
    blocks: list[Block] = [
        *of.chapter("errors", rules=False),
        Table(("order", "what is wrong", "code", f"{verb} names", "counted", "rule"), (*faults, last)),
        budgets,
        Paragraph(text("The words are those of the shipped server; another server may say others, but not none.")),
        Table(("code", "answers", "when", "words"), tuple(rows)),
        of.rules(spec.chapters["errors"].rules) if "errors" in spec.chapters else of.rules(()),
    ]
    return Section("errors", _title(of, "errors"), tuple(blocks), (), "what is wrong with a frame, and what is refused")


def _goodbyes(of: Material) -> Section:
    spec = of.spec
    when = {
        "too-long": f"{spec.framing.max_octets} octets have come without an LF",
        "full": "there is no room for the connection",
        "stop": "the server stops",
    }
    rows = []
    for goodbye in spec.goodbyes.values():
        calls: list[Spans] = [text(when[goodbye.when])] if goodbye.when else []
        calls += [link(budget.rule, budget.rule) for budget in spec.budgets if budget.goodbye == goodbye.code]
        calls += [
            link(f"{timer.name}, {duration(timer.after)}", of.names.timer(timer.name))
            for timer in spec.timers.values()
            if timer.goodbye == goodbye.code
        ]
        told = code(goodbye.gone) if goodbye.gone else text("nothing")
        rows.append(
            Row(
                (code(goodbye.code), join(calls, "; "), told, of.names.prose(goodbye.doc), text(goodbye.words)),
                of.names.goodbye(goodbye.code),
            )
        )
    ending = spec.ending
    told = of.names.template(ending.partner.push)
    effects = join([of.wording.effect(effect) for effect in ending.effects], "; ")
    words = (
        *text("When a connection ends without a request for it: "),
        *effects,
        *text(f"; the {spec.link.name} gets "),
        *told,
        *text(". "),
        *link(ending.rule, ending.rule),
    )
    blocks = [
        *of.chapter("goodbyes"),
        Paragraph(words),
        Table(("code", "called for by", f"{spec.link.name} is told", "when", "words"), tuple(rows)),
    ]
    return Section("goodbyes", _title(of, "goodbyes"), tuple(blocks), (), "the server's last frame, and the closing")


def _timers(of: Material) -> Section:
    spec = of.spec
    rows = [
        Row(
            (
                code(t.name),
                text(duration(t.after)),
                text(SINCE[t.since]),
                of.in_states([n for n in spec.live_states if n in t.states])
                if t.states
                else text("–" if t.since == "goodbye" else "any state"),
                of.wording.timer(t),
                link(t.rule, t.rule),
            ),
            of.names.timer(t.name),
        )
        for t in spec.timers.values()
    ]
    idle, interval, probes = spec.transport.keepalive
    keep = (
        f"A deadline is kept within {duration(spec.limits.tolerance)}: never earlier, and at most so much later. "
        f"TCP keep-alive of a connection: idle for {duration(idle)}, then {probes} probes, {duration(interval)} apart."
    )
    blocks = [
        *of.chapter("timers"),
        Table(("timer", "after", "measured", "in", "then", "rule"), tuple(rows)),
        Paragraph(text(keep)),
    ]
    return Section("timers", _title(of, "timers"), tuple(blocks), (), "deadlines, silence, keep-alive")


def _limits(of: Material) -> Section:
    limits = of.spec.limits
    values = {
        "tolerance": duration(limits.tolerance),
        "queue_mark": f"{number(limits.queue_mark)} octets",
        "queue_stop": f"{number(limits.queue_stop)} octets",
        "address_share": f"one in {limits.address_share}",
    }
    rows = [
        Row(
            (
                code(name.replace("_", " ")),
                text(value),
                of.names.prose(limits.docs[name]),
                link(limits.rules[name], limits.rules[name]) if name in limits.rules else text(""),
            ),
            of.names.limit(name),
        )
        for name, value in values.items()
    ]
    blocks = [*of.chapter("limits"), Table(("limit", "value", "what it is", "rule"), tuple(rows))]
    return Section("limits", _title(of, "limits"), tuple(blocks), (), "send queues and shares")


def _client(of: Material) -> Section:
    spec = of.spec
    client = spec.client
    one = join([code(verb, of.names.request(verb)) for verb in spec.requests if verb in client.one_unanswered], " or ")
    items: list[Spans] = [
        text("A request only in a state that has rows for it, as the client itself sees its state."),
        (
            *text("One "),
            *one,
            *text(" unanswered at most. "),
            *link(client.one_unanswered_rule, client.one_unanswered_rule),
        ),
    ]
    for state, table in client.only_if.items():
        for verb, condition in table.items():
            items.append(
                (
                    *text("In "),
                    *code(state, of.names.state(state)),
                    *text(", "),
                    *code(verb, of.names.request(verb)),
                    *text(" only if "),
                    *of.wording.condition(condition),
                    *text(". "),
                    *link(client.only_if_rule, client.only_if_rule),
                )
            )
    for verb, after in client.may_follow.items():
        items.append(
            (
                *code(verb, of.names.request(verb)),
                *text(" may follow its "),
                *code(after, of.names.request(after)),
                *text(" at once. "),
                *link(client.may_follow_rule, client.may_follow_rule),
            )
        )
    for push in spec.pushes.values():
        if push.reply is not None:
            items.append(
                (
                    *text("The server's "),
                    *of.frame_link(push.form.key),
                    *text(" is answered with "),
                    *of.names.template(push.reply),
                    *text("."),
                )
            )
    return Section(
        "client",
        _title(of, "client"),
        (Listing(tuple(items)), *of.chapter("client")),
        (),
        "the rules for clients, and why",
    )


def _examples(of: Material) -> Section:
    found = []
    for play in of.plays.values():
        example = play.example
        blocks: tuple[Block, ...] = (
            Paragraph(of.names.prose(example.doc)),
            _sequence(of, play),
            _conversation(of, play),
            Paragraph((*text("Shows "), *of.rule_links(list(example.rules)), *text("."))),
        )
        found.append(Section(of.names.example(example.id), text(example.title), blocks, (), example.doc))
    how = Paragraph(
        (
            *text("Each of them was run against the shipped server when this page was made. "),
            *code("alice > …"),
            *text(" is what alice sends, "),
            *code("alice < …"),
            *text(
                " what she gets next. A connection without a name has a letter. Where two arrows cross, two frames were on their way at the same time."
            ),
        )
    )
    return Section("examples", text(TITLES["examples"]), (how,), tuple(found), "every example with its diagram")


def _rules(of: Material) -> Section:
    groups: dict[str, list[RuleText]] = {}
    for id_ in of.spec.rules:
        rule = of.rule(id_)
        groups.setdefault(id_.rpartition("-")[0], []).append(
            RuleText(rule.id, rule.level, rule.of, rule.spans, _shown(of, id_))
        )
    sections = tuple(
        Section(f"rules-{group[2:].lower()}", text(f"{group}"), (Rules(tuple(rules), home=True),))
        for group, rules in groups.items()
    )
    words = Paragraph(
        text(
            "The key words MUST, MUST NOT, SHOULD, SHOULD NOT and MAY are those of RFC 2119 and RFC 8174. The ids never change. Below each rule "
            "stand the conversations and the conformance cases that show it."
        )
    )
    return Section("rules", text("Rules"), (words,), sections, "numbered requirements")


def _shown(of: Material, id_: str) -> Spans:
    examples = [link(e.title, of.names.example(e.id)) for e in of.spec.examples.values() if id_ in e.rules]
    cases = [code(case) for case in of.cases.get(id_, ())]
    return join([*examples, *cases], " · ")


def _hints(of: Material) -> Section:
    return Section(
        "hints", text("Hints for implementers"), (Listing(tuple(of.names.prose(words) for words in of.spec.hints)),)
    )


def _contract(of: Material) -> Section:
    contract = of.spec.contract
    commands = tuple(
        Row(((*code(name), *code(_arguments(template.parts[1:]))), of.names.template(template)), f"command-{name}")
        for name, template in contract.commands.items()
    )
    prints = tuple(
        Row((of.frame_link(key), code(str(template))), f"print-{key.lower().replace(' ', '-')}")
        for key, template in contract.prints.items()
    )
    notices = tuple(Row((code(name), of.names.prose(doc)), f"notice-{name}") for name, doc in contract.notices.items())
    blocks: list[Block] = [
        Paragraph(of.names.prose(contract.doc)),
        Table(("command on standard input", "request"), commands),
        Table(("frame", "line on standard output"), prints),
        Table(("other lines", "when"), notices),
    ]
    return Section("contract", text(TITLES["contract"]), tuple(blocks), (), "how a judge drives a client")


def _arguments(parts: tuple[object, ...]) -> str:
    return "".join(f" <{getattr(part, 'name', part)}>" for part in parts)


def _history(of: Material) -> Section:
    rows = tuple(
        Row((text(str(version)), of.names.prose(doc)), f"version-{version}") for version, doc in of.spec.history
    )
    profiles = tuple(
        Row((code(name), of.names.prose(doc)), f"profile-{name}") for name, doc in of.spec.profiles.items()
    )
    return Section(
        "history",
        text("Versions and profiles"),
        (Table(("version", "what changed"), rows), Table(("profile", "what it holds"), profiles)),
    )
