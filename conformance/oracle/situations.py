"""What the nearest path to a row does not show of relations: whom a row tells, what is forgotten, what goes along."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pychat.spec.forms import Template
from pychat.spec.model import Outcome
from pychat.spec.terms import Entry, Relation

from .filling import MANY, Filling
from .frames import Parsed
from .lines import SUBJECT, Move, Path
from .model import Due, Text, World
from .paths import Paths


class Situation(NamedTuple):
    """A path, the subject's configuration and line at its end, the row that it takes, and what is shown of it."""

    path: Path
    configuration: str
    line: bytes
    row: Outcome
    what: str


def situations(paths: Paths) -> Iterator[Situation]:
    """All of a spec: none where no relation tells, forgets or lives with another one."""
    yield from _told(paths)
    for relation in paths.spec.relations.values() if paths.named is not None else ():
        filling = Filling(paths.spec, paths.to_configuration(paths.named or ""))
        for place, column in enumerate(relation.columns):
            if column.keep is not None and column.keep <= MANY and column.type == "user":
                yield from _forgotten(filling, relation, place, column.keep)
        if relation.lives_while is not None:
            yield from _gone(filling, relation, relation.lives_while)


def told_of_an_end(paths: Paths) -> Path | None:
    """Where others are told of what the subject's end takes out of a relation."""
    if not _telling(paths, "dropped") or not any(effect.kind == "release" for effect in paths.spec.ending.effects):
        return None
    ends = ((path, world.copy().finish(SUBJECT)) for world, path in paths.worlds if world.is_open(SUBJECT))
    return next((path for path, dues in ends if _others(paths, dues)), None)


def _told(paths: Paths) -> Iterator[Situation]:
    """Rows that tell the users of a relation: others of them, the subject itself, others and not the subject."""
    wanted = {row: dict.fromkeys(_audiences(paths, row)) for _, row in paths.spec.outcomes()}
    wanted = {row: audiences for row, audiences in wanted.items() if audiences}
    lines = [(line, paths.read(line)) for line in paths.lines(SUBJECT)]
    for world, path in paths.worlds if wanted else ():
        for line, said in lines:
            row = world.row_of(SUBJECT, said)
            audiences = wanted.get(row) if row is not None else None
            if row is None or not audiences:
                continue
            dues = world.copy().feed(SUBJECT, line)
            for audience in [one for one in audiences if _hears(paths, world, said, row, one, dues)]:
                del audiences[audience]
                yield Situation(path, world.configuration(SUBJECT), line, row, audience)
        if not any(wanted.values()):
            return


def _audiences(paths: Paths, row: Outcome) -> Iterator[str]:
    for tell in row.tells:
        if tell.entry is not None:
            yield from ["told-itself"] if tell.kind == "each" else ["told-others", "told-others-not-itself"]
    for effect in row.effects:
        names = {effect.entry.relation} if effect.entry is not None else set(paths.spec.relations)
        came = effect.kind == "add" and names & _telling(paths, "added")
        if came or (effect.kind in ("drop", "release") and names & _telling(paths, "dropped")):
            yield "told-others"


def _telling(paths: Paths, what: str) -> set[str]:
    """The relations that tell others of tuples that were added, or dropped."""
    pushes: dict[str, Template | None] = {name: getattr(r, what) for name, r in paths.spec.relations.items()}
    return {name for name, push in pushes.items() if push is not None}


def _hears(paths: Paths, world: World, said: object, row: Outcome, audience: str, dues: dict[str, list[Due]]) -> bool:
    if audience == "told-itself":
        return _pushed(paths, dues.get(SUBJECT, []))
    entries = [tell.entry for tell in row.tells if tell.kind == "others" and tell.entry is not None]
    own = audience == "told-others" or any(_is_in(world, entry, said) for entry in entries)
    return own and _others(paths, dues)


def _is_in(world: World, entry: Entry, said: object) -> bool:
    assert isinstance(said, Parsed)
    found = world.tables.find(entry.relation, world.wanted(entry, world.connections[SUBJECT], said.values))
    return any(SUBJECT in one for one in found)


def _others(paths: Paths, dues: dict[str, list[Due]]) -> bool:
    return any(_pushed(paths, due) for who, due in dues.items() if who != SUBJECT)


def _pushed(paths: Paths, dues: list[Due]) -> bool:
    replies = [paths.spec.reply_of(due.text) for due in dues if isinstance(due, Text)]
    return any(reply is not None and reply.kind == "push" for reply in replies)


def _forgotten(filling: Filling, relation: Relation, place: int, keep: int) -> Iterator[Situation]:
    """A relation keeps the last tuples of the subject only: lines about the one that was forgotten, and the next."""
    ways = filling.fill(relation, place, SUBJECT, keep + 1, [SUBJECT])
    if len(ways) <= keep:
        return
    (before, _), (after, path) = ways[-2:]
    own = [SUBJECT if number == place else None for number in range(len(relation.columns))]
    oldest, other = (world.tables.find(relation.name, own)[0] for world in (before, after))
    about = (
        filling.about({column.type: value for column, value in zip(relation.keys, found, strict=False)})
        for found in (oldest, other)
    )
    for first, second in zip(*about, strict=True):
        row, kept = (world.row_of(SUBJECT, filling.read(first)) for world in (after, before))
        if row is not None and kept is not None and row != kept:
            yield Situation(path, after.configuration(SUBJECT), first, row, "forgotten")
            if after.row_of(SUBJECT, filling.read(second)) == kept:
                yield Situation(path, after.configuration(SUBJECT), second, kept, "kept")


def _gone(filling: Filling, relation: Relation, parent: str) -> Iterator[Situation]:
    """A tuple goes along with the last one of another relation: the line that shows that it is not there any more."""
    value = filling.samples(relation.columns[0].type, 1)[0]
    first = [value, *(None for _ in relation.columns[1:])]
    for world, path in filling.fill(relation, 0, value, 1, [SUBJECT]):
        (found, *_) = world.tables.find(relation.name, first)
        lines = list(filling.about({relation.columns[0].type: value}))
        for move in (Move(SUBJECT, line) for line in lines):
            after = filling.after(world, move)
            if after is None or found in after.tables.all(relation.name) or found[0] in _firsts(after, parent):
                continue
            wrong = after.copy()
            wrong.tables.put(relation.name, found)
            for more in [(), *((Move(SUBJECT, line),) for line in lines)]:
                here = filling.after(after, *more) if more else after
                there = filling.after(wrong, *more) if more else wrong
                if here is None or there is None:
                    continue
                for line in lines:
                    row, other = (one.row_of(SUBJECT, filling.read(line)) for one in (here, there))
                    if row is not None and row != other:
                        yield Situation((*path, move, *more), here.configuration(SUBJECT), line, row, "gone")
                        return


def _firsts(world: World, name: str) -> set[str]:
    return {found[0] for found in world.tables.all(name)}
