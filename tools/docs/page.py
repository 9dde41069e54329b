"""The whole page of a spec: its sections in their order. Knows no Markdown, no HTML and no protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from . import glossary, messages, minimal, reference
from .anchors import slug
from .by_hand import typed
from .content import (
    Block,
    Conversation,
    Diagram,
    Facts,
    Line,
    Listing,
    Page,
    Paragraph,
    Rules,
    RuleText,
    Section,
    Spans,
    Table,
    TableRow,
    code,
    join,
    link,
    plain,
    sentence,
    text,
)
from .interactions import Arrow, Interaction
from .ladder import ladder
from .sources import PageSources

MARKS = {"send": ">", "finish": ">|", "reset": ">!", "receive": "<", "end": "<|"}
WITHOUT_TEXT = {
    "finish": "(ends its sending half)",
    "reset": "(breaks off with a reset)",
    "end": "(the end of the stream)",
}
BY_HAND = (
    "Nothing but a terminal is needed. With a server on your machine, {} is a client: what you type is a frame when "
    "you press Enter, and what appears is what the server says. {} ends the sending half at the end of the input; some "
    "netcats do that by themselves, or have another option for it. Open one terminal for each person, and type the "
    "lines that are marked; the others are what comes."
)
FLOW = "The same conversation, as it flows between the people and the server. Time runs downwards. {}"
PLAYED = "Each of them was played against the shipped server when this page was made."
REPLAYED = "Each of them is what the shipped server's core did with these frames when this page was made."
READING = (
    "{} {} is what alice sends, {} what alice gets next. A connection without a name has a letter. Where two arrows "
    "cross in a picture, two frames were on their way at the same time; a drawing of characters has such a frame "
    "twice: dotted where it is sent, and dotted with a head where the server handles it."
)
RULES = (
    "The key words MUST, MUST NOT, SHOULD, SHOULD NOT and MAY are those of RFC 2119 and RFC 8174. The ids never "
    "change. Below a rule stands where the tables have it, and the conversations and conformance cases that show it."
)


def page(sources: PageSources) -> Page:
    """The page of a spec."""
    spec = sources.spec
    facts = (
        ("version", link(str(spec.version), f"version-{spec.version}")),
        ("port", code(f"{spec.transport.port}/tcp")),
        ("profiles", join([code(name, f"profile-{slug(name)}") for name in spec.profiles])),
    )
    return Page(
        spec.title,
        sources.anchors.prose(spec.doc),
        Facts(facts),
        tuple(_sections(sources)),
        spec.sha256,
        Path(spec.source).name,
    )


def _sections(sources: PageSources) -> Iterator[Section]:
    yield _start(sources)
    yield reference.section(sources, "framing")
    yield reference.section(sources, "types")
    yield messages.section(sources)
    yield reference.section(sources, "states")
    for name in sources.spec.chapters:
        if name not in reference.PARTS:
            yield Section(name, reference.title(sources, name), tuple(sources.chapter(name)))
    for name in ("relations", "errors", "goodbyes", "timers", "limits", "client"):
        if reference.has(sources.spec, name):
            yield reference.section(sources, name)
    yield minimal.section(sources)
    if sources.spec.examples:
        yield _examples(sources)
    yield _rules(sources)
    if sources.spec.hints:
        yield _listing(sources, "hints", "Hints for implementers", sources.spec.hints)
    if sources.spec.choices:
        yield _listing(sources, "choices", "What is up to the implementation", sources.spec.choices)
    if sources.spec.contract.commands:
        yield _contract(sources)
    if sources.spec.security:
        yield _listing(sources, "security", "Security considerations", sources.spec.security)
    yield glossary.section(sources)
    yield _history(sources)


def _listing(sources: PageSources, anchor: str, title: str, points: tuple[str, ...]) -> Section:
    return Section(anchor, text(title), (Listing(tuple(sources.anchors.prose(point) for point in points)),))


def _start(sources: PageSources) -> Section:
    """The first section: the first example of the spec, typed by hand and as a diagram."""
    first = next(iter(sources.interactions.values()), None)  # a spec may have no example
    chapters = [name for name in sources.spec.chapters if name not in reference.PARTS]
    ends = [link("the end of a connection", "goodbyes"), link("time", "timers"), link("limits", "limits")]
    counted = ", and what is counted" if sources.spec.budgets else ""
    examples = "{} – each with its drawing, the crossings among them;"
    order = (
        sentence("{} – how octets become lines, and lines become requests;", link("frames", "framing")),
        sentence("{} – each frame, with what comes of it in each state;", link("messages", "messages")),
        *(sentence("{};", link(_in_a_sentence(reference.title(sources, name)), name)) for name in chapters),
        sentence(f"{{}} – what is checked in which order{counted};", link("errors", "errors")),
        sentence("{}, {} and {};", *ends),
        *((sentence(examples, link("conversations", "examples")),) if first is not None else ()),
        sentence("{} – pseudo-code, and what to write first.", link("a minimal server", "minimal")),
    )
    conversation: tuple[Block, ...] = ()
    if first is not None:
        conversation = (
            Paragraph(sentence(BY_HAND, code(typed(sources.spec)), code("-N"))),
            _conversation(sources, first, typed=True),
            Paragraph(sentence(FLOW, sources.anchors.prose(first.example.doc))),
            _sequence(first),
        )
    words = link("glossary", "glossary")
    blocks: tuple[Block, ...] = (
        *conversation,
        Paragraph(
            sentence("What a word means stands in the {}. To write a client or a server, read on in this order:", words)
        ),
        Listing(order),
    )
    return Section("start", text("Start here"), blocks, "a first conversation by hand")


def _in_a_sentence(title: Spans) -> str:
    words = plain(title)
    return words[0].lower() + words[1:]


# Examples


def _conversation(sources: PageSources, interaction: Interaction, *, typed: bool = False) -> Conversation:
    people = interaction.people
    lines = tuple(Line(people[arrow.who], MARKS[arrow.kind], _words(sources, arrow)) for arrow in interaction.arrows)
    return Conversation(interaction.example.id, tuple(people.values()), lines, typed)


def _words(sources: PageSources, arrow: Arrow) -> Spans:
    if arrow.kind in WITHOUT_TEXT:
        return text(WITHOUT_TEXT[arrow.kind])
    return sources.anchors.line(arrow.text, sent=arrow.kind == "send")


def _sequence(interaction: Interaction) -> Diagram:
    return Diagram(f"sequence-{interaction.example.id}", interaction.example.title, text=ladder(interaction))


def _examples(sources: PageSources) -> Section:
    found = []
    for interaction in sources.interactions.values():
        example = interaction.example
        blocks: tuple[Block, ...] = (
            Paragraph(sources.anchors.prose(example.doc)),
            _sequence(interaction),
            _conversation(sources, interaction),
            Paragraph(sentence("Shows {}.", sources.rule_links(example.rules))),
        )
        found.append(Section(sources.anchors.example(example.id), text(example.title), blocks, example.doc))
    true = text(PLAYED if sources.played else REPLAYED)
    how = Paragraph(sentence(READING, true, code("alice > …"), code("alice < …")))
    return Section("examples", text("Conversations"), (how,), "every example with its drawing", tuple(found))


# Rules, the contract, versions


def _rules(sources: PageSources) -> Section:
    groups: dict[str, list[RuleText]] = {}
    for id_ in sources.spec.rules:
        groups.setdefault(id_.rpartition("-")[0], []).append(sources.rule(id_, _shown(sources, id_)))
    sections = tuple(
        Section(f"rules-{slug(group)}", text(group), (Rules(tuple(rules), home=True),))
        for group, rules in groups.items()
    )
    return Section("rules", text("Rules"), (Paragraph(text(RULES)),), "the numbered requirements", sections)


def _shown(sources: PageSources, id_: str) -> Spans:
    """Where a rule stands in the tables, and which conversations show it."""
    spec, phrases, anchors = sources.spec, sources.phrases, sources.anchors
    rows = dict.fromkeys(row for _, row in spec.outcomes() if row.rule == id_)
    places = [code(row.name, anchors.row(row)) for row in rows]
    places += [phrases.error(fault.error) for fault in spec.faults if fault.rule == id_]
    places += [code(timer.name, anchors.timer(timer.name)) for timer in spec.timers.values() if timer.rule == id_]
    places += [code(name.replace("_", " "), anchors.limit(name)) for name, of in spec.limits.rules.items() if of == id_]
    places += [sources.relation(relation.name) for relation in spec.relations.values() if relation.rule == id_]
    examples = [example for example in spec.examples.values() if id_ in example.rules]
    shown = join([link(example.title, anchors.example(example.id)) for example in examples], " · ")
    found = [sentence("In the tables: {}.", join(places))] if places else []
    found += [sentence("Shown by {}.", shown)] if shown else []
    return join(found, " ")


def _contract(sources: PageSources) -> Section:
    contract = sources.spec.contract
    commands = []
    for name, template in contract.commands.items():
        arguments = "".join(f" <{getattr(part, 'name', part)}>" for part in template.parts[1:])
        request = code(str(template), sources.anchors.request(template.form.verb))
        commands.append(TableRow((code(name + arguments), request), f"command-{slug(name)}"))
    prints = [
        TableRow((sources.frame_link(key), code(str(template))), f"print-{slug(key)}")
        for key, template in contract.prints.items()
    ]
    notices = [
        TableRow((code(name), sources.anchors.prose(doc)), f"notice-{slug(name)}")
        for name, doc in contract.notices.items()
    ]
    blocks: tuple[Block, ...] = (
        Paragraph(sources.anchors.prose(contract.doc)),
        *((Listing(tuple(map(sources.anchors.prose, contract.statements))),) if contract.statements else ()),
        Table(("command on standard input", "request"), tuple(commands)),
        Table(("frame", "line on standard output"), tuple(prints)),
        Table(("other lines", "when"), tuple(notices)),
    )
    title = text("The line contract of a client under test")
    return Section("contract", title, blocks, "how a program drives a client")


def _history(sources: PageSources) -> Section:
    versions = [
        TableRow((text(str(version)), sources.anchors.prose(doc)), f"version-{version}")
        for version, doc in sources.spec.history
    ]
    profiles = [
        TableRow((code(name), sources.anchors.prose(doc)), f"profile-{slug(name)}")
        for name, doc in sources.spec.profiles.items()
    ]
    blocks = (Table(("version", "what changed"), tuple(versions)), Table(("profile", "what it holds"), tuple(profiles)))
    return Section("history", text("Versions and profiles"), blocks, "what changed in which version")
