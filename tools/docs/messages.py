"""The part of the page about messages: one section for each frame that a client or a server may send."""

from __future__ import annotations

from pychat.spec.forms import Form, Reply, Request
from pychat.spec.model import Outcome

from .content import (
    Block,
    Facts,
    Paragraph,
    Section,
    Spans,
    Table,
    TableRow,
    Wire,
    both,
    code,
    join,
    link,
    one_of,
    plain,
    sentence,
    text,
)
from .occasions import occasions, only_while
from .phrases import octets
from .sources import PageSources

WORDS = "Each frame that travels, by the direction in which it travels. A word in angle brackets is a field."
OF_BOTH = (
    " Both sides send {}: alone, such a name means the request of a client; what the server sends is called a push, an "
    "answer, or the server's."
)


def section(sources: PageSources) -> Section:
    """Requests, answers and items, pushes, the refusal and the goodbye."""
    spec = sources.spec
    requests = Section(
        "requests",
        text("What a client sends"),
        (_overview(sources),),
        "every request, with what comes of it",
        tuple(_request(sources, request) for request in spec.requests.values()),
    )
    replies = [reply for reply in spec.replies.values() if reply.kind not in ("push", "goodbye")]
    answers = Section(
        "replies",
        text("What answers a request"),
        (),
        "answers, items and refusals",
        tuple(_refusal(sources, reply) if reply.kind == "refusal" else _answer(sources, reply) for reply in replies),
    )
    pushed = [reply for reply in spec.replies.values() if reply not in replies]
    pushes = Section(
        "pushes",
        text("What the server sends by itself"),
        (),
        "pushes and the goodbye",
        tuple(_goodbye(sources, reply) if reply.kind == "goodbye" else _push(sources, reply) for reply in pushed),
    )
    words = (*text(WORDS), *_of_both(sources))
    return Section("messages", text("Messages"), (Paragraph(words),), "every frame", (requests, answers, pushes))


def _of_both(sources: PageSources) -> Spans:
    """What a name means that is both a request's and the server's."""
    shared = [code(verb) for verb in sources.spec.requests if verb in sources.spec.replies]
    return sentence(OF_BOTH, both(shared)) if shared else ()


def _overview(sources: PageSources) -> Table:
    rows = []
    for request in sources.spec.requests.values():
        errors = [
            error
            for _, outcome in sources.spec.outcomes()
            for error in (outcome.error, outcome.fails)
            if outcome.verb == request.verb and error
        ]
        cells = (
            (*sources.phrases.request(request.verb), *sources.anchors.form(request.form)[1:]),
            sources.in_states(sources.legal(request.verb)),
            _answer_words(sources, request) if request.answer or request.item else text("none"),
            join([sources.phrases.error(error) for error in dict.fromkeys(errors)]) or text("–"),
        )
        rows.append(TableRow(cells))
    return Table(("request", "in", "answer", "refusals of its own"), tuple(rows))


def _fields(sources: PageSources, form: Form) -> list[Block]:
    rows = []
    for field in form.fields:
        kind = sources.spec.types[field.type]
        name = code(kind.name, sources.anchors.type(kind.name))
        form_ = sources.phrases.type_form(kind)
        rows.append(TableRow((code(f"<{field.name}>"), name, form_, text(octets(*kind.octets)))))
    return [Table(("field", "type", "form", "length"), tuple(rows))] if rows else []


def _longest(sources: PageSources, form: Form) -> tuple[str, Spans]:
    return "longest", text(f"{sources.longest(form):,} octets with its ending")


# Requests


def _request(sources: PageSources, request: Request) -> Section:
    legal = sources.legal(request.verb)
    where = sources.in_states(legal)
    elsewhere = [sources.misplaced(state, request.verb) for state in sources.spec.live_states if state not in legal]
    if elsewhere:
        errors = [sources.phrases.error(error) for error in dict.fromkeys(elsewhere)]
        where = sentence("{}; elsewhere {}", where, one_of(errors))
    facts = (
        ("form", sources.anchors.form(request.form)),
        ("sent by", text("a client")),
        ("in", where),
        ("answer", _answer_words(sources, request)),
        _longest(sources, request.form),
    )
    blocks: tuple[Block, ...] = (
        Paragraph(sources.anchors.prose(request.doc)),
        Facts(facts),
        *_fields(sources, request.form),
        Paragraph(text("The server takes the first row that fits:")),
        _rows(sources, request),
        *_variables(sources, request),
        Wire("client", sources.sent_example(request.verb)),
        sources.rules(sources.rules_about(request.verb)),
    )
    title = sentence("{} from a client", code(request.verb))
    return Section(sources.anchors.request(request.verb), title, blocks, request.doc)


def _answer_words(sources: PageSources, request: Request) -> Spans:
    items = sentence("any number of {}", sources.anchors.form(request.item)) if request.item is not None else ()
    if request.answer is None:
        return sentence("{}, and no end", items) if items else text("none when it succeeds")
    answer = sources.anchors.form(request.answer)
    return sentence("{}, then {}", items, answer) if items else answer


def _rows(sources: PageSources, request: Request) -> Table:
    groups = sources.grouped(request.verb)
    rows = []
    for states, outcomes in groups:
        for outcome in outcomes:
            cells = (
                sources.in_states(states),
                text("always") if len(outcomes) == 1 else sources.phrases.conditions(outcome.conditions),
                sources.phrases.answer(outcome),
                sources.phrases.then(outcome),
                sentence("{} {}", code(outcome.name), link(outcome.rule, outcome.rule)),
            )
            anchor = sources.anchors.outcome(states[0] if len(groups) > 1 else None, outcome)
            rows.append(TableRow(cells, anchor, "refusal" if outcome.error else ""))
    return Table(("in", "when", "answer", "then", "row and rule"), tuple(rows))


def _variables(sources: PageSources, request: Request) -> list[Block]:
    rows = [outcome for _, outcome in sources.spec.outcomes() if outcome.verb == request.verb]
    templates = [row.answer for row in rows if row.answer] + [row.partner.push for row in rows if row.partner]
    templates += [tell.push for row in rows for tell in row.tells]
    words = sources.phrases.variables(templates, _columns(sources, request, rows))
    return [Paragraph(sentence("Here {}.", words))] if words else []


def _columns(sources: PageSources, request: Request, rows: list[Outcome]) -> dict[str, Spans]:
    """The variables of these rows that are columns and no fields of the request."""
    entries = [effect.entry for row in rows for effect in row.effects]
    entries += [tell.entry for row in rows for tell in row.tells]
    return {
        column.name: sentence(f"the {column.name} of the tuple in {{}}", sources.relation(entry.relation))
        for entry in entries
        if entry is not None
        for column in sources.spec.relations[entry.relation].columns
        if request.form.type_of(column.name) is None
    }


# What the server sends


def _answer(sources: PageSources, reply: Reply) -> Section:
    request = sources.phrases.request(reply.verb or "")
    what = "One item of the answer to {}." if reply.kind == "item" else "The answer to {}, when it succeeds."
    facts = (
        ("form", sources.anchors.form(reply.form)),
        ("sent by", text("the server")),
        ("answers", request),
        *_client_moves(sources, reply),
        _longest(sources, reply.form),
    )
    return _frame(sources, reply, sentence(what, request), facts, code(reply.key))


def _push(sources: PageSources, reply: Reply) -> Section:
    push = next(push for push in sources.spec.pushes.values() if push.form is reply.form)
    facts = (
        ("form", sources.anchors.form(push.form)),
        ("sent by", text("the server")),
        ("when", join(occasions(sources, push.form), "; ")),
        *_client_moves(sources, reply),
        *only_while(sources, reply),
        *((("client answers", sources.anchors.request_template(push.reply)),) if push.reply is not None else ()),
        _longest(sources, push.form),
    )
    return _frame(
        sources, reply, sources.anchors.prose(push.doc), facts, sentence("{} from the server", code(push.verb))
    )


def _refusal(sources: PageSources, reply: Reply) -> Section:
    spec = sources.spec
    doc, codes = spec.refusal_doc, link("the table of errors", "errors")
    if reply.code is not None:
        doc, codes = spec.errors[reply.code].doc, sources.phrases.error(reply.code)
    facts = (
        ("form", sources.anchors.form(reply.form)),
        ("sent by", text("the server")),
        ("answers", text("any request, or a line that is none") if reply.code is None else text("what is refused so")),
        ("codes", codes),
        _longest(sources, reply.form),
    )
    return _frame(sources, reply, sources.anchors.prose(doc), facts, code(reply.key))


def _goodbye(sources: PageSources, reply: Reply) -> Section:
    facts = (
        ("form", sources.anchors.form(reply.form)),
        ("sent by", text("the server")),
        ("codes", link("the table of goodbyes", "goodbyes")),
        *_client_moves(sources, reply),
        _longest(sources, reply.form),
    )
    return _frame(sources, reply, sources.anchors.prose(sources.spec.goodbye_doc), facts, code(reply.key))


def _frame(
    sources: PageSources, reply: Reply, doc: Spans, facts: tuple[tuple[str, Spans], ...], title: Spans
) -> Section:
    blocks = (Paragraph(doc), Facts(facts), *_fields(sources, reply.form), Wire("server", sources.got_example(reply)))
    return Section(sources.anchors.reply(reply), title, blocks, plain(doc))


def _client_moves(sources: PageSources, reply: Reply) -> list[tuple[str, Spans]]:
    """The states to which this reply moves a client."""
    found = {(move.state, move.to) for move in sources.moves if move.key == reply.key and move.to is not None}
    shown = []
    for target in sources.spec.states:
        origins = [name for name in sources.spec.live_states if (name, target) in found]
        if origins:
            shown.append(sentence("{} → {}", sources.in_states(origins), sources.phrases.state(target)))
    return [("client moves", join(shown))] if shown else []
