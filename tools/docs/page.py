"""The whole page, from a spec: what stands on it and in which order. Knows no Markdown, no HTML and no protocol."""

from __future__ import annotations

from collections.abc import Iterator

from . import messages, reference
from .content import (
    Block,
    Conversation,
    Diagram,
    Facts,
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
    plain,
    say,
    text,
)
from .material import Material
from .names import slug
from .play import Act, Play

MARKS = {"send": ">", "finish": ">|", "reset": ">!", "receive": "<", "end": "<|"}
ACTS = {"finish": "(ends its sending half)", "reset": "(breaks off with a reset)", "end": "(the end of the stream)"}
BY_HAND = (
    "Nothing but a terminal is needed. With a server on your machine, {} is a client: what you type is a frame when "
    "you press Enter, and what appears is what the server says. Open one terminal for each person, and type the lines "
    "that are marked; the others are the answers."
)
FLOW = "The same conversation, as it flows between the people and the server. Time runs downwards. {}"
PLAYED = (
    "Each of them was played against the shipped server when this page was made. {} is what alice sends, {} what she "
    "gets next. A connection without a name has a letter. Where two arrows cross, two frames were on their way at the "
    "same time."
)
RULES = (
    "The key words MUST, MUST NOT, SHOULD, SHOULD NOT and MAY are those of RFC 2119 and RFC 8174. The ids never "
    "change. Below a rule stand the conversations and the conformance cases that show it."
)


def page(of: Material) -> Page:
    """The page of a spec."""
    spec = of.spec
    facts = (
        ("version", link(str(spec.version), f"version-{spec.version}")),
        ("port", code(f"{spec.transport.port}/tcp")),
        ("profiles", join([code(name, f"profile-{slug(name)}") for name in spec.profiles])),
    )
    return Page(spec.title, of.names.prose(spec.doc), Facts(facts), tuple(_sections(of)), spec.sha256)


def _sections(of: Material) -> Iterator[Section]:
    yield _start(of)
    yield reference.section(of, "framing")
    yield reference.section(of, "types")
    yield messages.section(of)
    yield reference.section(of, "states")
    for name in of.spec.chapters:
        if name not in reference.PARTS:
            yield Section(name, reference.title(of, name), tuple(of.chapter(name)))
    for name in ("errors", "goodbyes", "timers", "limits", "client"):
        yield reference.section(of, name)
    yield _examples(of)
    yield _rules(of)
    if of.spec.hints:
        yield _listing(of, "hints", "Hints for implementers", of.spec.hints)
    yield _contract(of)
    if of.spec.security:
        yield _listing(of, "security", "Security considerations", of.spec.security)
    yield _history(of)


def _listing(of: Material, anchor: str, title: str, points: tuple[str, ...]) -> Section:
    return Section(anchor, text(title), (Listing(tuple(of.names.prose(point) for point in points)),))


def _start(of: Material) -> Section:
    """The newcomer's way in: the first example of the spec, typed by hand, and as it flows."""
    first = next(iter(of.plays.values()), None)  # a spec may have no example
    chapters = [name for name in of.spec.chapters if name not in reference.PARTS]
    ends = [link("the end of a connection", "goodbyes"), link("time", "timers"), link("limits", "limits")]
    order = (
        say("{} – how octets become lines, and lines become requests;", link("frames", "framing")),
        say("{} – each frame, with what comes of it in each state;", link("messages", "messages")),
        *(say("{};", link(_in_a_sentence(reference.title(of, name)), name)) for name in chapters),
        say("{} – what is checked in which order, and what is counted;", link("errors", "errors")),
        say("{}, {} and {};", *ends),
        say("{} – each with its drawing, the crossings among them.", link("conversations", "examples")),
    )
    conversation: tuple[Block, ...] = ()
    if first is not None:
        conversation = (
            Paragraph(say(BY_HAND, code(f"nc 127.0.0.1 {of.spec.transport.port}"))),
            _conversation(of, first, hands=True),
            Paragraph(say(FLOW, of.names.prose(first.example.doc))),
            _sequence(first),
        )
    blocks: tuple[Block, ...] = (
        *conversation,
        Paragraph(text("To write a client or a server, read on in this order:")),
        Listing(order),
    )
    return Section("start", text("Start here"), blocks, (), "a first conversation by hand")


def _in_a_sentence(title: Spans) -> str:
    words = plain(title)
    return words[0].lower() + words[1:]


# Examples


def _conversation(of: Material, play: Play, *, hands: bool = False) -> Conversation:
    lines = tuple(Line(play.people[act.who], MARKS[act.kind], _act_words(of, act)) for act in play.acts)
    return Conversation(play.example.id, tuple(play.people.values()), lines, hands)


def _act_words(of: Material, act: Act) -> Spans:
    if act.kind in ACTS:
        return text(ACTS[act.kind])
    return of.names.line(act.text, sent=act.kind == "send")


def _sequence(play: Play) -> Diagram:
    return Diagram(f"sequence-{play.example.id}", play.example.title)


def _examples(of: Material) -> Section:
    found = []
    for play in of.plays.values():
        example = play.example
        blocks: tuple[Block, ...] = (
            Paragraph(of.names.prose(example.doc)),
            _sequence(play),
            _conversation(of, play),
            Paragraph(say("Shows {}.", of.rule_links(example.rules))),
        )
        found.append(Section(of.names.example(example.id), text(example.title), blocks, (), example.doc))
    how = Paragraph(say(PLAYED, code("alice > …"), code("alice < …")))
    return Section("examples", text("Conversations"), (how,), tuple(found), "every example with its drawing")


# Rules, the contract, versions


def _rules(of: Material) -> Section:
    groups: dict[str, list[RuleText]] = {}
    for id_ in of.spec.rules:
        groups.setdefault(id_.rpartition("-")[0], []).append(of.rule(id_, _shown(of, id_)))
    sections = tuple(
        Section(f"rules-{slug(group)}", text(group), (Rules(tuple(rules), home=True),))
        for group, rules in groups.items()
    )
    return Section("rules", text("Rules"), (Paragraph(text(RULES)),), sections, "the numbered requirements")


def _shown(of: Material, id_: str) -> Spans:
    examples = [example for example in of.spec.examples.values() if id_ in example.rules]
    return join([link(example.title, of.names.example(example.id)) for example in examples], " · ")


def _contract(of: Material) -> Section:
    contract = of.spec.contract
    commands = []
    for name, template in contract.commands.items():
        arguments = "".join(f" <{getattr(part, 'name', part)}>" for part in template.parts[1:])
        request = code(str(template), of.names.request(template.form.verb))
        commands.append(Row((code(name + arguments), request), f"command-{slug(name)}"))
    prints = [
        Row((of.frame_link(key), code(str(template))), f"print-{slug(key)}")
        for key, template in contract.prints.items()
    ]
    notices = [Row((code(name), of.names.prose(doc)), f"notice-{slug(name)}") for name, doc in contract.notices.items()]
    blocks: tuple[Block, ...] = (
        Paragraph(of.names.prose(contract.doc)),
        Table(("command on standard input", "request"), tuple(commands)),
        Table(("frame", "line on standard output"), tuple(prints)),
        Table(("other lines", "when"), tuple(notices)),
    )
    title = text("The line contract of a client under test")
    return Section("contract", title, blocks, (), "how a program drives a client")


def _history(of: Material) -> Section:
    versions = [
        Row((text(str(version)), of.names.prose(doc)), f"version-{version}") for version, doc in of.spec.history
    ]
    profiles = [
        Row((code(name), of.names.prose(doc)), f"profile-{slug(name)}") for name, doc in of.spec.profiles.items()
    ]
    blocks = (Table(("version", "what changed"), tuple(versions)), Table(("profile", "what it holds"), tuple(profiles)))
    return Section("history", text("Versions and profiles"), blocks, (), "what changed in which version")
