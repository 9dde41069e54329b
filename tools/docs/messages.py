"""The part of the page about messages: one section for each frame that a client or a server may send."""

from __future__ import annotations

from pychat.spec.model import Form, Outcome, Push, Reply, Request

from .content import Block, Facts, Paragraph, Row, Section, Spans, Table, Wire, code, join, link, plain, text
from .material import Material
from .wording import duration, octets, type_form


def sections(of: Material) -> tuple[Section, ...]:
    """Requests, answers and items, pushes, the refusal and the goodbye."""
    spec = of.spec
    answers = [reply for reply in spec.replies.values() if reply.kind in ("answer", "item")]
    return (
        Section(
            "requests",
            text("What a client sends"),
            (_overview(of),),
            tuple(_request(of, request) for request in spec.requests.values()),
            "every request",
        ),
        Section(
            "replies",
            text("What answers a request"),
            (),
            (
                *(_answer(of, reply) for reply in answers),
                _refusal(of),
            ),
            "answers, items and refusals",
        ),
        Section(
            "pushes",
            text("What the server sends by itself"),
            (),
            (
                *(_push(of, push) for push in spec.pushes.values()),
                _goodbye(of),
            ),
            "pushes and the goodbye",
        ),
    )


def _overview(of: Material) -> Table:
    rows = []
    for request in of.spec.requests.values():
        errors = [o.error for _, o in of.spec.outcomes() if o.verb == request.verb and o.error]
        rows.append(
            Row(
                (
                    (*code(request.verb, of.names.request(request.verb)), *of.names.form(request.form)[1:]),
                    of.in_states(of.legal(request.verb)),
                    of.names.form(request.answer) if request.answer else text("none"),
                    join([code(error, of.names.error(error)) for error in dict.fromkeys(errors)]) or text("–"),
                )
            )
        )
    return Table(("request", "in", "answer", "refusals of its own"), tuple(rows))


def _fields(of: Material, form: Form) -> list[Block]:
    if not form.fields:
        return []
    rows = []
    for field in form.fields:
        kind = of.spec.types[field.type]
        rows.append(
            Row(
                (
                    code(f"<{field.name}>"),
                    code(kind.name, of.names.type(kind.name)),
                    type_form(kind),
                    text(octets(*kind.octets)),
                )
            )
        )
    return [Table(("field", "type", "form", "length"), tuple(rows))]


def _request(of: Material, request: Request) -> Section:
    facts: list[tuple[str, Spans]] = [
        ("form", of.names.form(request.form)),
        ("sent by", text("a client")),
        ("in", (*of.in_states(of.legal(request.verb)), *_elsewhere(of, request.verb))),
        ("answer", _answer_words(of, request)),
        ("longest", text(f"{of.longest(request.form)} octets with its ending")),
    ]
    blocks: list[Block] = [
        Paragraph(of.names.prose(request.doc)),
        Facts(tuple(facts)),
        *_fields(of, request.form),
        Paragraph(text("The server takes the first row that fits:")),
        _rows(of, request),
        *_variables(of, request),
        Wire("client", of.sent_example(request.verb)),
        of.rules(tuple(of.rules_about(request.verb))),
    ]
    return Section(
        of.names.request(request.verb), (*code(request.verb), *text(" from a client")), tuple(blocks), (), request.doc
    )


def _elsewhere(of: Material, verb: str) -> Spans:
    if of.legal(verb) == list(of.spec.live_states):
        return ()
    error = of.spec.fault_rule("state").error
    return (*text("; elsewhere "), *code(error, of.names.error(error)))


def _answer_words(of: Material, request: Request) -> Spans:
    if request.answer is None:
        return text("none when it succeeds")
    spans: Spans = ()
    if request.item is not None:
        spans = (*text("any number of "), *of.names.form(request.item), *text(", then "))
    return (*spans, *of.names.form(request.answer))


def _grouped(of: Material, verb: str) -> list[tuple[list[str], tuple[Outcome, ...]]]:
    """The rows of a request with all states that have the same ones."""
    groups: list[tuple[list[str], tuple[Outcome, ...]]] = []
    for state in of.legal(verb):
        rows = of.spec.states[state].recv[verb]
        for states, known in groups:
            if known == rows:
                states.append(state)
                break
        else:
            groups.append(([state], rows))
    return groups


def _rows(of: Material, request: Request) -> Table:
    groups = _grouped(of, request.verb)
    rows = []
    for states, outcomes in groups:
        for outcome in outcomes:
            only = len(outcomes) == 1
            rows.append(
                Row(
                    (
                        of.in_states(states),
                        text("always") if only else of.wording.condition(outcome.condition),
                        of.wording.answer(outcome),
                        of.wording.then(outcome),
                        (*code(outcome.name), *text(" "), *link(outcome.rule, outcome.rule)),
                    ),
                    of.names.outcome(states[0] if len(groups) > 1 else None, outcome),
                    "refusal" if outcome.error else "",
                )
            )
    return Table(("in", "when", "answer", "then", "row and rule"), tuple(rows))


def _variables(of: Material, request: Request) -> list[Block]:
    found: list[Spans] = []
    for _, outcome in of.spec.outcomes():
        if outcome.verb == request.verb:
            templates = [outcome.answer, outcome.partner.push if outcome.partner else None]
            found += [of.wording.variables(template) for template in templates if template]
    unique = {plain(spans): spans for spans in found if spans}
    return [Paragraph((*text("Here "), *join(list(unique.values()), "; "), *text(".")))] if unique else []


def _answer(of: Material, reply: Reply) -> Section:
    request = of.spec.requests[reply.verb or ""]
    what = "One item of the answer to " if reply.kind == "item" else "The answer to "
    facts: list[tuple[str, Spans]] = [
        ("form", of.names.form(reply.form)),
        ("sent by", text("the server")),
        ("answers", code(request.verb, of.names.request(request.verb))),
        *_client_moves(of, reply),
        ("longest", text(f"{of.longest(reply.form)} octets with its ending")),
    ]
    words = (*text(what), *code(request.verb, of.names.request(request.verb)), *text(", when it succeeds."))
    blocks: list[Block] = [
        Paragraph(words),
        Facts(tuple(facts)),
        *_fields(of, reply.form),
        Wire("server", of.got_example(reply)),
    ]
    return Section(of.names.reply(reply), code(reply.key), tuple(blocks), (), plain(words))


def _client_moves(of: Material, reply: Reply) -> list[tuple[str, Spans]]:
    """Where a client comes to by this reply."""
    found = {(move.state, move.to) for move in of.moves if move.key == reply.key and move.to is not None}
    targets = {to for _, to in found}
    spans = []
    for target in [name for name in of.spec.states if name in targets]:
        sources = [name for name in of.spec.live_states if (name, target) in found]
        spans.append((*of.in_states(sources), *text(" → "), *code(target, of.names.state(target))))
    return [("client moves", join(spans))] if spans else []


def _push(of: Material, push: Push) -> Section:
    reply = of.spec.replies[push.form.key]
    facts: list[tuple[str, Spans]] = [
        ("form", of.names.form(push.form)),
        ("sent by", text("the server")),
        ("when", join(_occasions(of, push), "; ")),
        *_client_moves(of, reply),
    ]
    if push.reply is not None:
        facts.append(("client answers", of.names.template(push.reply)))
    facts.append(("longest", text(f"{of.longest(push.form)} octets with its ending")))
    blocks: list[Block] = [
        Paragraph(of.names.prose(push.doc)),
        Facts(tuple(facts)),
        *_fields(of, push.form),
        Wire("server", of.got_example(reply)),
    ]
    return Section(of.names.reply(reply), (*code(push.verb), *text(" from the server")), tuple(blocks), (), push.doc)


def _occasions(of: Material, push: Push) -> list[Spans]:
    """What makes the server send a push."""
    partner = of.spec.link.name
    found: dict[str, Spans] = {}
    for _, outcome in of.spec.outcomes():
        if outcome.partner is not None and outcome.partner.push.form is push.form:
            who = "somebody" if outcome.partner.to is not None else f"the {partner}"
            words = (
                *text(f"{who} has sent "),
                *code(outcome.verb, of.names.request(outcome.verb)),
                *text(" ("),
                *code(" ".join(str(outcome.partner.push).split(" "))),
                *text(")"),
            )
            found.setdefault(plain(words), words)
    if of.spec.ending.partner.push.form is push.form:
        words = (
            *text(f"the {partner}'s connection has ended without a request ("),
            *code(str(of.spec.ending.partner.push)),
            *text(")"),
        )
        found[plain(words)] = words
    for timer in of.spec.timers.values():
        if timer.push == push.verb:
            words = (
                *text(f"after {duration(timer.after)} of {timer.since}, "),
                *link(timer.name, of.names.timer(timer.name)),
            )
            found[plain(words)] = words
    return list(found.values())


def _refusal(of: Material) -> Section:
    spec = of.spec
    reply = spec.replies[spec.refusal.key]
    blocks: list[Block] = [
        Paragraph(of.names.prose(spec.refusal_doc)),
        Facts(
            (
                ("form", of.names.form(spec.refusal)),
                ("sent by", text("the server")),
                ("answers", text("any request, or a line that is none")),
                ("codes", link("the table of errors", "errors")),
                ("longest", text(f"{of.longest(spec.refusal)} octets with its ending")),
            )
        ),
        *_fields(of, spec.refusal),
        Wire("server", of.got_example(reply)),
    ]
    return Section(of.names.reply(reply), code(spec.refusal.verb), tuple(blocks), (), spec.refusal_doc)


def _goodbye(of: Material) -> Section:
    spec = of.spec
    reply = spec.replies[spec.goodbye.key]
    blocks: list[Block] = [
        Paragraph(of.names.prose(spec.goodbye_doc)),
        Facts(
            (
                ("form", of.names.form(spec.goodbye)),
                ("sent by", text("the server")),
                ("codes", link("the table of goodbyes", "goodbyes")),
                *_client_moves(of, reply),
                ("longest", text(f"{of.longest(spec.goodbye)} octets with its ending")),
            )
        ),
        *_fields(of, spec.goodbye),
        Wire("server", of.got_example(reply)),
    ]
    return Section(of.names.reply(reply), code(spec.goodbye.verb), tuple(blocks), (), spec.goodbye_doc)
