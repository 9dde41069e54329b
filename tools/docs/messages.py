"""The part of the page about messages: one section for each frame that a client or a server may send."""

from __future__ import annotations

from pychat.spec.model import Field, Form, Outcome, Push, Reply, Request, Template, Variable

from .content import Block, Facts, Paragraph, Row, Section, Spans, Table, Wire, code, join, link, plain, say, text
from .material import Material
from .wording import duration, octets, type_form, unique


def section(of: Material) -> Section:
    """Requests, answers and items, pushes, the refusal and the goodbye."""
    spec = of.spec
    requests = Section(
        "requests",
        text("What a client sends"),
        (_overview(of),),
        tuple(_request(of, request) for request in spec.requests.values()),
        "every request, with what comes of it",
    )
    answers = [_answer(of, reply) for reply in spec.replies.values() if reply.kind in ("answer", "item")]
    replies = Section(
        "replies", text("What answers a request"), (), (*answers, _refusal(of)), "answers, items and refusals"
    )
    pushed = [_push(of, push) for push in spec.pushes.values()]
    pushes = Section(
        "pushes", text("What the server sends by itself"), (), (*pushed, _goodbye(of)), "pushes and the goodbye"
    )
    words = text("Each frame that travels, by the direction in which it travels. A word in angle brackets is a field.")
    return Section("messages", text("Messages"), (Paragraph(words),), (requests, replies, pushes), "every frame")


def _overview(of: Material) -> Table:
    rows = []
    for request in of.spec.requests.values():
        errors = [outcome.error for _, outcome in of.spec.outcomes() if outcome.verb == request.verb and outcome.error]
        cells = (
            (*of.wording.request(request.verb), *of.names.form(request.form)[1:]),
            of.in_states(of.legal(request.verb)),
            of.names.form(request.answer) if request.answer else text("none"),
            join([of.wording.error(error) for error in dict.fromkeys(errors)]) or text("–"),
        )
        rows.append(Row(cells))
    return Table(("request", "in", "answer", "refusals of its own"), tuple(rows))


def _fields(of: Material, form: Form) -> list[Block]:
    rows = []
    for field in form.fields:
        kind = of.spec.types[field.type]
        name = code(kind.name, of.names.type(kind.name))
        rows.append(Row((code(f"<{field.name}>"), name, type_form(kind), text(octets(*kind.octets)))))
    return [Table(("field", "type", "form", "length"), tuple(rows))] if rows else []


def _longest(of: Material, form: Form) -> tuple[str, Spans]:
    return "longest", text(f"{of.longest(form):,} octets with its ending")


# Requests


def _request(of: Material, request: Request) -> Section:
    legal = of.legal(request.verb)
    where = of.in_states(legal)
    if legal != list(of.spec.live_states):
        where = say("{}; elsewhere {}", where, of.wording.error(of.spec.fault_rule("state").error))
    facts = (
        ("form", of.names.form(request.form)),
        ("sent by", text("a client")),
        ("in", where),
        ("answer", _answer_words(of, request)),
        _longest(of, request.form),
    )
    blocks: tuple[Block, ...] = (
        Paragraph(of.names.prose(request.doc)),
        Facts(facts),
        *_fields(of, request.form),
        Paragraph(text("The server takes the first row that fits:")),
        _rows(of, request),
        *_variables(of, request),
        Wire("client", of.sent_example(request.verb)),
        of.rules(of.rules_about(request.verb)),
    )
    title = say("{} from a client", code(request.verb))
    return Section(of.names.request(request.verb), title, blocks, (), request.doc)


def _answer_words(of: Material, request: Request) -> Spans:
    if request.answer is None:
        return text("none when it succeeds")
    answer = of.names.form(request.answer)
    if request.item is None:
        return answer
    return say("any number of {}, then {}", of.names.form(request.item), answer)


def _rows(of: Material, request: Request) -> Table:
    groups = _grouped(of, request.verb)
    rows = []
    for states, outcomes in groups:
        for outcome in outcomes:
            cells = (
                of.in_states(states),
                text("always") if len(outcomes) == 1 else of.wording.condition(outcome.condition),
                of.wording.answer(outcome),
                of.wording.then(outcome),
                say("{} {}", code(outcome.name), link(outcome.rule, outcome.rule)),
            )
            anchor = of.names.outcome(states[0] if len(groups) > 1 else None, outcome)
            rows.append(Row(cells, anchor, "refusal" if outcome.error else ""))
    return Table(("in", "when", "answer", "then", "row and rule"), tuple(rows))


def _grouped(of: Material, verb: str) -> list[tuple[list[str], tuple[Outcome, ...]]]:
    """The rows of a request with all states that have the same ones."""
    groups: dict[tuple[Outcome, ...], list[str]] = {}
    for state in of.legal(verb):
        groups.setdefault(of.spec.states[state].recv[verb], []).append(state)
    return [(states, rows) for rows, states in groups.items()]


def _variables(of: Material, request: Request) -> list[Block]:
    rows = [outcome for _, outcome in of.spec.outcomes() if outcome.verb == request.verb]
    templates = [row.answer for row in rows if row.answer] + [row.partner.push for row in rows if row.partner]
    words = of.wording.variables(templates)
    return [Paragraph(say("Here {}.", words))] if words else []


# What the server sends


def _answer(of: Material, reply: Reply) -> Section:
    request = of.wording.request(reply.verb or "")
    what = "One item of the answer to {}." if reply.kind == "item" else "The answer to {}, when it succeeds."
    facts = (
        ("form", of.names.form(reply.form)),
        ("sent by", text("the server")),
        ("answers", request),
        *_client_moves(of, reply),
        _longest(of, reply.form),
    )
    return _frame(of, reply, say(what, request), facts, code(reply.key))


def _push(of: Material, push: Push) -> Section:
    reply = of.spec.replies[push.form.key]
    facts = (
        ("form", of.names.form(push.form)),
        ("sent by", text("the server")),
        ("when", join(_occasions(of, push), "; ")),
        *_client_moves(of, reply),
        *((("client answers", of.names.request_template(push.reply)),) if push.reply is not None else ()),
        _longest(of, push.form),
    )
    return _frame(of, reply, of.names.prose(push.doc), facts, say("{} from the server", code(push.verb)))


def _refusal(of: Material) -> Section:
    reply = of.spec.replies[of.spec.refusal.key]
    facts = (
        ("form", of.names.form(reply.form)),
        ("sent by", text("the server")),
        ("answers", text("any request, or a line that is none")),
        ("codes", link("the table of errors", "errors")),
        _longest(of, reply.form),
    )
    return _frame(of, reply, of.names.prose(of.spec.refusal_doc), facts, code(reply.key))


def _goodbye(of: Material) -> Section:
    reply = of.spec.replies[of.spec.goodbye.key]
    facts = (
        ("form", of.names.form(reply.form)),
        ("sent by", text("the server")),
        ("codes", link("the table of goodbyes", "goodbyes")),
        *_client_moves(of, reply),
        _longest(of, reply.form),
    )
    return _frame(of, reply, of.names.prose(of.spec.goodbye_doc), facts, code(reply.key))


def _frame(of: Material, reply: Reply, doc: Spans, facts: tuple[tuple[str, Spans], ...], title: Spans) -> Section:
    blocks = (Paragraph(doc), Facts(facts), *_fields(of, reply.form), Wire("server", of.got_example(reply)))
    return Section(of.names.reply(reply), title, blocks, (), plain(doc))


def _client_moves(of: Material, reply: Reply) -> list[tuple[str, Spans]]:
    """Where a client comes to by this reply."""
    found = {(move.state, move.to) for move in of.moves if move.key == reply.key and move.to is not None}
    ways = []
    for target in of.spec.states:
        sources = [name for name in of.spec.live_states if (name, target) in found]
        if sources:
            ways.append(say("{} → {}", of.in_states(sources), of.wording.state(target)))
    return [("client moves", join(ways))] if ways else []


def _occasions(of: Material, push: Push) -> list[Spans]:
    """What makes the server send a push."""
    partner = of.spec.link.name
    found: list[Spans] = []
    for _, outcome in of.spec.outcomes():
        if outcome.partner is not None and outcome.partner.push.form is push.form:
            who = "another user" if outcome.does("link") else f"the {partner}"
            frame = code(_received(outcome.partner.push))
            found.append(say(f"{who} has sent {{}} ({{}})", of.wording.request(outcome.verb), frame))
    if of.spec.ending.partner.push.form is push.form:
        frame = code(_received(of.spec.ending.partner.push))
        found.append(say(f"the {partner}'s connection has ended without a request ({{}})", frame))
    timers = [timer for timer in of.spec.timers.values() if timer.push == push.verb]
    found += [say(f"{{}}, after {duration(t.after)}", link(t.name, of.names.timer(t.name))) for t in timers]
    return unique(found)


def _received(template: Template) -> str:
    """A frame as its reader sees it: its fields by their names, and not by whose values the writer puts there."""
    pairs = zip(template.parts, template.form.parts, strict=True)
    return " ".join(
        f"<{shape.name}>" if isinstance(shape, Field) and isinstance(part, Variable) else str(part)
        for part, shape in pairs
    )
