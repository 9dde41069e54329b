"""Builds the relations of a spec, and what rows ask about them, about users and about the link: conditions and effects.

Knows no state and no row. A name that dangles, or a value that a column cannot hold, is noted with its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from .frames import VARIABLES, FrameBuilder, Values, sample_numbers
from .reading import Document, Path
from .terms import OF_A_USER, Argument, Column, Condition, ConditionKind, Effect, EffectKind, Entry, Relation

COUNTS = ("0", *sample_numbers(4))  # of users or tuples; a server with more of them needs a type for it
GIVEN = ("next", "now")  # the types of columns that the server fills itself
COLUMN_TYPES = ("user", *GIVEN, "secret")
NOW = ("2026-01-31T09:30:00Z",)  # how the time of a change is written (RFC 3339, UTC)
ENTRY = r"(?P<relation>[a-z]+)\((?P<arguments>[^()]*)\)"
OF_ENTRIES = re.compile(rf"(?P<kind>no |full |<(?P<field>[a-z]+)> does not open |add |drop |list )?{ENTRY}")
KINDS: Mapping[str, ConditionKind] = {"": "present", "no ": "absent", "full ": "full"}

Fields = Mapping[str, str]
"""The fields of a request, or the columns of a relation: by the name, the name of the type."""


class RelationBuilder(FrameBuilder):
    """Builds relations, conditions and effects."""

    def __init__(self, document: Document) -> None:
        super().__init__(document)
        self.names = ""
        self.relations: dict[str, Relation] = {}

    def _relation(self, path: Path, name: str, value: dict[str, Any]) -> Relation:
        most, keep = value.get("most", {}), value.get("keep", {})
        columns = []
        for part in ("of", "with"):
            for column, kind in value.get(part, {}).items():
                if kind not in (*self.types, *COLUMN_TYPES):
                    self._blame((*path, part, column), f"there is no type {kind}, and no column is a {kind}")
                columns.append(Column(column, kind, part == "of", most.get(column), keep.get(column)))
        for limits in ("most", "keep"):
            for column in value.get(limits, {}):
                self._known((*path, limits, column), column, [one.name for one in columns if one.key], "key", key=True)
        for column in most.keys() & keep.keys():
            self._blame((*path, "keep", column), f"{column} has a most, so nothing is forgotten", key=True)
        lives = value.get("lives", "connection")
        result = Relation(
            name=name,
            columns=tuple(columns),
            doc=value["doc"],
            durable=lives == "durable",
            lives_while=lives.removeprefix("while ") if lives.startswith("while ") else None,
            overflow=value.get("overflow"),
            rule=self._rule_of(path, value) if "rule" in value else None,
            profile=self._profile(path, value),
        )
        self._check_columns(path, result)
        return result

    def _check_columns(self, path: Path, relation: Relation) -> None:
        kinds = [column.type for column in relation.columns]
        for column in relation.columns:
            if column.name in (*VARIABLES, "cause"):
                self._blame(
                    path, f"<{column.name}> means something else in a push; the column needs another name", key=True
                )
        for column in relation.keys:
            if column.type in ("now", "secret"):
                self._blame((*path, "of", column.name), f"a {column.type} is no key")
        if kinds.count("next") > 1 or "next" in kinds[:1]:
            self._blame(path, "one column is a `next`, and it counts for each value of the first column", key=True)
        if relation.durable and "user" in kinds:
            self._blame((*path, "lives"), "a connection does not outlive the server; keep its name")
        if relation.overflow is not None and "user" not in kinds:
            self._blame((*path, "overflow"), f"no column of {relation.name} is a user, so it has no send queue")

    def _check_lives(self) -> None:
        """What lives while another relation does has the same first column, and there is no circle."""
        for relation in self.relations.values():
            path: Path = ("relations", relation.name, "lives")
            if relation.lives_while is None:
                continue
            other = self.relations.get(relation.lives_while)
            if other is None:
                self._blame(path, f"there is no relation {relation.lives_while}")
            elif other.columns[0].type != relation.columns[0].type:
                self._blame(path, f"the first columns of {relation.name} and {other.name} are of different types")
            seen = {relation.name}
            while other is not None and other.lives_while is not None and other.name not in seen:
                seen.add(other.name)
                other = self.relations.get(other.lives_while)
            if other is not None and other.name in seen:
                self._blame(path, f"a circle: {relation.name} would live while itself does")

    # What rows ask and change

    def _entry(self, path: Path, text: str, fields: Fields | None, *, given: bool = False) -> Entry | None:
        """The tuples that a text names, None where that is wrong. `given`: `*` is a value that the server fills in."""
        matched = re.fullmatch(ENTRY, text)
        assert matched is not None, "the schema checks it"
        relation = self.relations.get(matched["relation"])
        if relation is None:
            self._blame(path, f"there is no relation {matched['relation']}")
            return None
        words = [word.strip() for word in matched["arguments"].split(",")]
        if len(words) != len(relation.columns):
            columns = ", ".join(column.name for column in relation.columns)
            self._blame(path, f"{relation.name} has the columns {columns}, and not {len(words)} of them")
            return None
        for word, column in zip(words, relation.columns, strict=True):
            self._check_argument(path, word, column, fields, given=given)
        return Entry(relation.name, tuple(map(_argument, words)))

    def _check_argument(self, path: Path, word: str, column: Column, fields: Fields | None, *, given: bool) -> None:
        named = column.type in ("user", self.names)
        if word == "me":
            if not named:
                self._blame(path, f"me is a user, and {column.name} is a {column.type}")
        elif word == "*":
            if given and column.type not in GIVEN:
                self._blame(path, f"{column.name} needs a value")
        elif given and column.type in GIVEN:
            self._blame(path, f"the server gives {column.name} its value; write *")
        elif fields is None or word[1:-1] not in fields:
            self._blame(path, f"there is no field {word} here")
        elif column.type not in GIVEN:
            self._check_type_of(path, word, fields[word[1:-1]], column)

    def _check_type_of(self, path: Path, word: str, kind: str, column: Column) -> None:
        if column.type == "secret":
            fits = kind in self.types
        elif column.type == "user":
            fits = kind in ("user", self.names)
        else:
            fits = kind == column.type or (kind == "user" and column.type == self.names)
        if not fits:
            self._blame(path, f"{word} is a {kind}, and {column.name} is a {column.type}")

    def _conditions(
        self, path: Path, value: str | list[str], fields: Fields | None, about: str
    ) -> tuple[Condition, ...]:
        """All conditions of a row: one text, or a list of them."""
        if isinstance(value, str):
            return (self._condition(path, value, fields, about),)
        return tuple(self._condition((*path, index), text, fields, about) for index, text in enumerate(value))

    def _condition(self, path: Path, text: str, fields: Fields | None, about: str) -> Condition:
        matched = OF_ENTRIES.fullmatch(text)
        if matched is not None:
            return self._condition_of(path, text, matched, fields, about)
        if not text.startswith("<"):
            return Condition(cast("ConditionKind", text))
        field, _, rest = text[1:].partition("> is ")
        kind, value = rest, None
        if rest.endswith('"'):
            kind = "differs" if rest.startswith("not ") else "equals"
            value = rest.removeprefix("not ")[1:-1]
        type_name = (fields or {}).get(field)
        if type_name is None:
            self._blame(path, f"{about} has no field {field}")
        elif kind in OF_A_USER and type_name not in ("user", self.names):
            self._blame(path, f"<{field}> is no {self.names}, so it names no user")
        elif value is not None and type_name in self.types and not self.types[type_name].accepts(value):
            self._blame(path, f"{value!r} is not of the type {type_name}")
        return Condition(cast("ConditionKind", kind), field, value)

    def _condition_of(
        self, path: Path, text: str, matched: re.Match[str], fields: Fields | None, about: str
    ) -> Condition:
        prefix = matched["kind"] or ""
        entry = self._entry(path, text[len(prefix) :], fields)
        field = matched["field"]
        kind: ConditionKind = KINDS.get(prefix, "closed")
        if entry is not None and kind == "full" and self._limit_of(entry) is None:
            self._blame(path, f"{entry} fixes no column that has a most, and no other, so it is never full")
        if kind == "closed":
            if field not in (fields or {}):
                self._blame(path, f"{about} has no field {field}")
            columns = self.relations[entry.relation].columns if entry is not None else ()
            if entry is not None and not any(column.type == "secret" for column in columns):
                self._blame(path, f"no column of {entry.relation} is a secret, so nothing opens it")
        return Condition(kind, field, None, entry)

    def _limit_of(self, entry: Entry) -> Column | None:
        """The only column that an entry fixes, if it has a most."""
        columns = self.relations[entry.relation].columns
        fixed = [column for column, one in zip(columns, entry.arguments, strict=True) if one.kind != "any"]
        return fixed[0] if len(fixed) == 1 and fixed[0].most is not None else None

    def _effects(self, path: Path, texts: list[str], fields: Fields | None) -> tuple[Effect, ...]:
        return tuple(self._effect((*path, index), text, fields) for index, text in enumerate(texts))

    def _effect(self, path: Path, text: str, fields: Fields | None) -> Effect:
        kind, _, rest = text.partition(" ")
        if "(" in rest:
            return Effect(cast("EffectKind", kind), None, self._entry(path, rest, fields, given=kind == "add"))
        name = rest.strip("<>") or None
        if name is not None and (fields or {}).get(name) != self.names:
            self._blame(path, f"<{name}> is no field of the type {self.names}")
        return Effect(cast("EffectKind", kind), name)

    def _columns_as_fields(self, relation: Relation) -> dict[str, str]:
        return {column.name: column.type for column in relation.columns}

    def _columns_as_values(self, relation: Relation) -> dict[str, str | tuple[str, ...]]:
        """The columns as variables of a push: a user is told by its name."""
        values: dict[str, str | tuple[str, ...]] = {}
        for column in relation.columns:
            if column.type != "secret":
                given: Values = {"user": self.names, "next": COUNTS[1:], "now": NOW}
                values[column.name] = given.get(column.type, column.type)
        return values

    def _given_values(self, effects: tuple[Effect, ...]) -> Values:
        """The columns that the server fills in when a row adds a tuple."""
        values: dict[str, str | tuple[str, ...]] = {}
        for effect in effects:
            if effect.kind == "add" and effect.entry is not None:
                relation = self.relations[effect.entry.relation]
                columns = self._columns_as_values(relation)
                values |= {column.name: columns[column.name] for column in relation.columns if column.type in GIVEN}
        return values


def _argument(word: str) -> Argument:
    if word in ("me", "*"):
        return Argument("me" if word == "me" else "any")
    return Argument("field", word[1:-1])
