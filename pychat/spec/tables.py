"""What the relations of a spec may be as a whole: each is filled, read and bounded, and its users can be told.

Knows no link and no timer but what their rows do with a relation.
"""

from __future__ import annotations

from collections.abc import Iterator

from .link import row_path
from .model import Outcome, Spec
from .reading import Document, Path
from .terms import Condition, Effect, Entry, Relation, Tell

OF_RELATIONS = ("add", "drop", "list")  # effects on relations alone


def check_relations(spec: Spec, document: Document) -> None:
    """Notes each fault of a relation, and of a row that uses one, in `document`."""
    rows = list(_rows(spec, document))
    for relation in spec.relations.values():
        path: Path = ("relations", relation.name)
        entries = [(effect.kind, effect.entry) for row, _ in rows for effect in row.effects]
        if ("add", relation.name) not in {(kind, entry.relation) for kind, entry in entries if entry is not None}:
            document.blame(path, f"no row adds to {relation.name}, so it is always empty", key=True)
        elif not _is_read(spec, relation, [row for row, _ in rows]):
            document.blame(path, f"nothing reads {relation.name}: no condition, no list, no tell", key=True)
    for row, path in rows:
        _check_row(spec, document, row, path)


def _rows(spec: Spec, document: Document) -> Iterator[tuple[Outcome, Path]]:
    """Each row with its place, that of a timer too."""
    seen: set[Path] = set()
    for state, row in spec.outcomes():
        path = row_path(spec, document, state, row)
        if path not in seen:
            seen.add(path)
            yield row, path
    for timer in spec.timers.values():
        if timer.row is not None:
            yield timer.row, ("timers", timer.name)


def _is_read(spec: Spec, relation: Relation, rows: list[Outcome]) -> bool:
    read: list[Entry | None] = []
    for row in rows:
        read += [condition.entry for condition in row.conditions]
        read += [effect.entry for effect in row.effects if effect.kind == "list"]
        read += [tell.entry for tell in row.tells]
    words = [when for kind in spec.types.values() for _, when in kind.holds]
    told = relation.added is not None or relation.dropped is not None
    return (
        told or relation.name in words or any(entry is not None and entry.relation == relation.name for entry in read)
    )


def _check_row(spec: Spec, document: Document, row: Outcome, path: Path) -> None:
    before = _before(spec, row)
    parts: list[Condition | Effect | Tell] = [*row.conditions, *row.effects, *row.tells]
    for part in parts:
        relation = spec.relations[part.entry.relation] if part.entry is not None else None
        if relation is not None and relation.profile not in ("core", row.profile):
            reason = f"{relation.name} is of the profile {relation.profile}, and this row is of {row.profile}"
            document.blame(path, reason, key=True)
    if row.slow and row.to == spec.final:
        document.blame(path, "a row that ends the connection cannot wait for a hash or a disk", key=True)
    elif row.fails is not None and (
        row.to is not None or row.partner is not None or any(effect.kind not in OF_RELATIONS for effect in row.effects)
    ):
        document.blame(
            path, "a row that waits for the disk changes relations alone, so that it can be taken back", key=True
        )
    for effect in row.effects:
        if effect.kind == "add" and effect.entry is not None:
            _check_added(spec, document, row, effect, before, path)
        drops = effect.kind == "drop" and effect.entry is not None and spec.relations[effect.entry.relation].dropped
        if (drops or (effect.kind == "release" and _tells_of_users(spec))) and row.cause is None:
            document.blame(path, "the others are told of what it drops, so it needs a cause", key=True)


def _tells_of_users(spec: Spec) -> bool:
    return any(relation.dropped and relation.user_column is not None for relation in spec.relations.values())


def _before(spec: Spec, row: Outcome) -> list[Outcome]:
    """The rows that are tried before a row, in the first state that has it."""
    for state in spec.states.values():
        rows = state.recv.get(row.verb, ())
        if row in rows:
            return list(rows[: rows.index(row)])
    return []


def _check_added(
    spec: Spec, document: Document, row: Outcome, effect: Effect, before: list[Outcome], path: Path
) -> None:
    """A user to be added is there, and a relation that is full was asked before."""
    entry = effect.entry
    assert entry is not None
    relation = spec.relations[entry.relation]
    refused = [one.conditions[0] for one in before if one.error and len(one.conditions) == 1]
    for argument, column in zip(entry.arguments, relation.columns, strict=True):
        if argument.kind == "field" and column.type == "user" and not _is_there(str(argument.field), row, refused):
            reason = f"<{argument.field}> may be nobody here; before this, a user who is unknown must be refused"
            document.blame((*path, "do"), reason)
        if column.most is not None and not any(_asks_full(one, relation, column.name) for one in refused):
            reason = f"before this, a {relation.name} that is full for its {column.name} must be refused"
            document.blame((*path, "do"), reason)


def _is_there(field: str, row: Outcome, refused: list[Condition]) -> bool:
    """Whether a field names a user for certain."""
    own = {condition.kind for condition in row.conditions if condition.field == field}
    if own & {"linked", "the partner", "taken", "oneself"}:
        return True
    return any(condition.kind == "unknown" and condition.field == field for condition in refused)


def _asks_full(condition: Condition, relation: Relation, column: str) -> bool:
    entry = condition.entry
    if condition.kind != "full" or entry is None or entry.relation != relation.name:
        return False
    return entry.arguments[relation.place(column)].kind != "any"
