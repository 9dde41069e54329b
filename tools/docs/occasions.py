"""When a push comes: what causes it, and what must be so of both ends of the link. Knows no push by name."""

from __future__ import annotations

from collections.abc import Iterator

from pychat.spec.forms import Field, Form, Reply, Template, Variable
from pychat.spec.model import Timer
from pychat.spec.view import Move

from .content import Spans, code, join, link, one_of, sentence, text
from .phrases import duration, unique
from .sources import PageSources


def occasions(sources: PageSources, form: Form) -> list[Spans]:
    """The causes of a push, each with the frame as its receiver sees it."""
    found = [*_by_rows(sources, form), *_by_the_server(sources, form)]
    return unique(found)


def _by_rows(sources: PageSources, form: Form) -> Iterator[Spans]:
    """A request of another connection, or of this one."""
    for _, row in sources.spec.outcomes():
        request = sources.phrases.request(row.verb)
        if row.partner is not None and row.partner.push.form is form:
            who = "another user" if row.does("link") else f"the {sources.spec.link.name}"
            yield sentence(f"{who} has sent {{}} ({{}})", request, _received(row.partner.push))
        for tell in row.tells:
            if tell.push.form is form:
                who = "this connection" if tell.kind == "each" else "another user"
                then = sentence(", refused as {}", sources.phrases.error(row.error)) if row.error else ()
                yield sentence(f"{who} has sent {{}}{{}} ({{}})", request, then, _received(tell.push))


def _by_the_server(sources: PageSources, form: Form) -> Iterator[Spans]:
    """The end of a connection, a timer, a change of a relation, the greeting."""
    spec, ending = sources.spec, sources.spec.ending.partner
    if ending is not None and ending.push.form is form:
        words = f"the {spec.link.name}'s connection has ended without a request ({{}})"
        yield sentence(words, _received(ending.push))
    for timer in spec.timers.values():
        for push in pushed_by(timer):
            if push.form is form:
                name = link(timer.name, sources.anchors.timer(timer.name))
                yield sentence(f"{{}}, after {duration(timer.after)} ({{}})", name, _received(push))
    for relation in spec.relations.values():
        for done, told in (("added to", relation.added), ("dropped from", relation.dropped)):
            if told is not None and told.form is form:
                name = sources.relation(relation.name)
                yield sentence(f"a tuple with another user was {done} {{}} ({{}})", name, _received(told))
    if any(template.form is form for template in spec.greeting):
        yield text("the connection was accepted")


def pushed_by(timer: Timer) -> list[Template]:
    """Every push of a timer's row."""
    if timer.row is None:
        return []
    found = [timer.row.answer, timer.row.partner.push if timer.row.partner is not None else None]
    return [template for template in found if template is not None] + [tell.push for tell in timer.row.tells]


def _received(template: Template) -> Spans:
    """A frame as its receiver sees it: with the names of its fields in the place of the sender's variables."""
    pairs = zip(template.parts, template.form.parts, strict=True)
    return code(
        " ".join(
            f"<{shape.name}>" if isinstance(shape, Field) and isinstance(part, Variable) else str(part)
            for part, shape in pairs
        )
    )


def only_while(sources: PageSources, reply: Reply) -> list[tuple[str, Spans]]:
    """What a client must know of both ends of the link for this push to be right, by the words in it."""
    found: dict[tuple[str, ...], list[Spans]] = {}
    for move in sources.moves:
        if move.key == reply.key:
            words = tuple(word for _, said in move.words for word in said)
            found.setdefault(words, []).append(_ends(sources, move))
    shown = []
    for words, ends in found.items():
        if all(ends):  # else it may come at any time
            said = [code(word) for word in words]
            ends_ = join(unique(ends), ", or ")
            shown.append(sentence("{}: {}", one_of(said), ends_) if said else ends_)
    return [("only while", join(shown, "; "))] if shown else []


def _ends(sources: PageSources, move: Move) -> Spans:
    """What a client knows of its partner and of its own end when it gets this."""
    partner = sources.spec.link.name
    words = [sources.phrases.own_ends[kind, holds] for kind, holds in move.known if kind != "no partner"]
    if move.here is not None:
        words.insert(0, f"the {partner} has answered" if move.here else f"the {partner} has not answered")
    return text(" and ".join(words)) if words else ()
