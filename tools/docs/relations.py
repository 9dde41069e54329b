"""The part of the page about relations: what connections and users share, what changes it, and what always holds."""

from __future__ import annotations

from pychat.spec.terms import Column, Invariant, Relation

from .content import (
    Block,
    Facts,
    Listing,
    Paragraph,
    Section,
    Spans,
    Table,
    TableRow,
    both,
    code,
    join,
    link,
    sentence,
    text,
)
from .phrases import unique
from .sources import PageSources

WORDS = (
    "A relation is a table of tuples that connections and users share. {} stands for its tuples that have these "
    "values, one for each column: {} is the connection's own user, a word in angle brackets is a field, and {} any "
    "value. Two tuples never have the same key. A tuple with a user in its key goes when that user goes."
)
INVARIANTS = "Whenever no frame is being handled, this holds of each tuple:"
TYPES = {
    "user": "a user: a connection that has a name",
    "next": "1, 2, 3, … for each value of the first column; the server gives it",
    "now": "the time of the change; the server gives it",
    "secret": "kept as a slow hash alone",
}


def section(sources: PageSources, title: Spans) -> Section:
    """Each relation, and the invariants."""
    spec = sources.spec
    name = next(iter(spec.relations))
    how = Paragraph(sentence(WORDS, code(f"{name}(a, …)"), code("me"), code("*")))
    invariants: tuple[Block, ...] = ()
    if spec.invariants:
        shown = Listing(tuple(_invariant(sources, invariant) for invariant in spec.invariants))
        invariants = (Paragraph(text(INVARIANTS)), shown)
    parts = tuple(_relation(sources, relation) for relation in spec.relations.values())
    blocks = (*sources.chapter("relations"), how, *invariants)
    return Section("relations", title, blocks, "what connections and users share", parts)


def _relation(sources: PageSources, relation: Relation) -> Section:
    rows = [TableRow(_column(sources, column)) for column in relation.columns]
    blocks: tuple[Block, ...] = (
        Paragraph(sources.anchors.prose(relation.doc)),
        Table(("column", "holds", "in the key", "tuples of one value"), tuple(rows)),
        Facts(tuple(_facts(sources, relation))),
    )
    return Section(sources.anchors.relation(relation.name), code(relation.name), blocks, relation.doc)


def _column(sources: PageSources, column: Column) -> tuple[Spans, ...]:
    holds = text(TYPES[column.type]) if column.type in TYPES else code(column.type, sources.anchors.type(column.type))
    bounds = [f"{column.most} at most"] if column.most is not None else []
    bounds += [f"the last {column.keep}; older ones are forgotten"] if column.keep is not None else []
    return code(column.name), holds, text("yes" if column.key else "no"), text("; ".join(bounds) or "–")


def _facts(sources: PageSources, relation: Relation) -> list[tuple[str, Spans]]:
    facts = [(name, rows) for name, rows in _uses(sources, relation).items() if rows]
    same = sentence("with the same {}", code(relation.columns[0].name))
    for name, push in (("when added", relation.added), ("when dropped", relation.dropped)):
        if push is not None:
            facts.append((name, sentence("each other user {} gets {}", same, sources.anchors.template(push))))
    life = _life(sources, relation)
    facts += [("lives", life)] if life else []
    if relation.overflow is not None:
        words = "a user whose send queue is above the mark is dropped before it is told anything, with the cause {}"
        facts.append(("overflow", sentence(words, code(relation.overflow))))
    return facts + ([("rule", link(relation.rule, relation.rule))] if relation.rule is not None else [])


def _life(sources: PageSources, relation: Relation) -> Spans:
    if relation.durable:
        return text("on disk, also when the server stops; a change is there before its answer")
    if relation.lives_while is not None:
        first = relation.columns[0].name
        other = sources.relation(relation.lives_while)
        return sentence("while {} has a tuple with the same {}", other, code(first))
    return () if any(column.type == "user" for column in relation.keys) else text("as long as the server runs")


def _uses(sources: PageSources, relation: Relation) -> dict[str, Spans]:
    """The rows that ask for tuples of a relation or change them."""
    found: dict[str, list[Spans]] = {"asked by": [], "added by": [], "dropped by": [], "listed by": []}
    done = {"add": "added by", "drop": "dropped by", "list": "listed by"}
    for row in sources.rows:
        target = sources.anchors.row(row) if row.verb else sources.anchors.timer(row.label)
        name = code(row.name, target) if row.error is not None else link(row.name.removeprefix("/"), target)
        if any(one.entry is not None and one.entry.relation == relation.name for one in row.conditions):
            found["asked by"].append(name)
        for effect in row.effects:
            if effect.entry is not None and effect.entry.relation == relation.name:
                found[done[effect.kind]].append(name)
    return {words: join(unique(rows)) for words, rows in found.items()}


def _invariant(sources: PageSources, invariant: Invariant) -> Spans:
    name = sources.relation(invariant.relation)
    held = both([sources.phrases.condition(condition) for condition in invariant.conditions])
    return sentence("{}: {}. {}", name, held, sources.anchors.prose(invariant.doc))
