"""What a row asks, changes and tells, and the relations that it is about, as immutable data. Knows no state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .forms import Template

ConditionKind = Literal[
    "taken",
    "unknown",
    "oneself",
    "linked",
    "the partner",
    "equals",
    "differs",
    "no partner",
    "a partner",
    "not accepted",
    "not answered",
    "present",
    "absent",
    "full",
    "closed",
]
EffectKind = Literal["bind", "link", "accept", "retract", "relay", "unlink", "release", "list", "add", "drop"]
ArgumentKind = Literal["me", "field", "any"]
TellKind = Literal["user", "others", "each"]

OWN_END: tuple[ConditionKind, ...] = ("no partner", "a partner", "not accepted", "not answered")
"""Conditions about one's own end of the link."""
OF_A_USER: tuple[ConditionKind, ...] = ("taken", "unknown", "oneself", "linked", "the partner")
"""Conditions about the user that a field names."""
OF_A_RELATION: tuple[ConditionKind, ...] = ("present", "absent", "full", "closed")
"""Conditions about the tuples of a relation."""

_BEFORE_ENTRY = {"present": "", "absent": "no ", "full": "full ", "add": "add ", "drop": "drop ", "list": "list "}


@dataclass(frozen=True, slots=True)
class Argument:
    """One place of an entry: `me`, the value of a field (in an invariant and in a tell: of a column), or any value."""

    kind: ArgumentKind
    field: str | None = None

    def __str__(self) -> str:
        return {"me": "me", "any": "*"}.get(self.kind, f"<{self.field}>")


@dataclass(frozen=True, slots=True)
class Entry:
    """The tuples of a relation that have these values: `member(<room>, *)`. `arguments` has one for each column.

    In `add`, `*` stands where the server gives the value: in a column of the type `next` or `now`.
    """

    relation: str
    arguments: tuple[Argument, ...]

    def __str__(self) -> str:
        return f"{self.relation}({', '.join(map(str, self.arguments))})"


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold for a row. `field` is the field that it asks about, `value` the word it is compared with.

    `entry` are the tuples of which one is present, none is (absent), as many are as there may be (full), or of which
    no secret is opened by the field (closed).
    """

    kind: ConditionKind
    field: str | None = None
    value: str | None = None
    entry: Entry | None = None

    def __str__(self) -> str:
        if self.kind == "closed":
            return f"<{self.field}> does not open {self.entry}"
        if self.entry is not None:
            return f"{_BEFORE_ENTRY[self.kind]}{self.entry}"
        if self.field is None:
            return self.kind
        if self.value is not None:
            return f'<{self.field}> is {"not " if self.kind == "differs" else ""}"{self.value}"'
        return f"<{self.field}> is {self.kind}"


@dataclass(frozen=True, slots=True)
class Effect:
    """A change to what the server knows; `field` names the user that it is about, `entry` the tuples.

    `list` has an item for each user, or with an entry one for each of its tuples.
    """

    kind: EffectKind
    field: str | None = None
    entry: Entry | None = None

    def __str__(self) -> str:
        if self.entry is not None:
            return f"{_BEFORE_ENTRY[self.kind]}{self.entry}"
        return self.kind if self.field is None else f"{self.kind} <{self.field}>"


@dataclass(frozen=True, slots=True)
class Tell:
    """A push of a row besides that of the partner.

    `user`: to the user that `field` names, if there is one. `others`: to each user in the tuples of `entry` but the
    connection's own. `each`: to the connection itself, one push for each tuple of `entry`, whose columns are variables.
    """

    kind: TellKind
    push: Template
    field: str | None = None
    entry: Entry | None = None
    profile: str = "core"

    def __str__(self) -> str:
        to = {"user": f"to <{self.field}>", "others": f"to others {self.entry}", "each": f"for each {self.entry}"}
        return f"{self.push} {to[self.kind]}"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a relation. `type` is a type of the spec, or one of these.

    `user`: a connection that has a name; `next`: 1, 2, 3, … for each value of the first column; `now`: the time of the
    change; `secret`: kept as a slow hash only. `most`: how many tuples may have one value; `keep`: the oldest tuples of
    one value beyond this number are forgotten.
    """

    name: str
    type: str
    key: bool
    most: int | None = None
    keep: int | None = None


@dataclass(frozen=True, slots=True)
class Relation:
    """A table that connections and users share. The key columns come first.

    A tuple with a user in its key goes when the user goes. `durable`: it is on disk before the answer. `lives_while`:
    it goes with the last tuple of that relation with the same value in the first column. `overflow`: the tuple of a
    user whose send queue is above the mark is dropped before that user is told anything. `added` and `dropped` tell
    each other user in the tuples with the same value in the first column; their variables are the columns and `cause`.
    """

    name: str
    columns: tuple[Column, ...]
    doc: str
    durable: bool = False
    lives_while: str | None = None
    overflow: str | None = None
    added: Template | None = None
    dropped: Template | None = None
    rule: str | None = None
    profile: str = "core"

    @property
    def keys(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.key)

    @property
    def user_column(self) -> int | None:
        """The place of the first column that holds a user, None without one."""
        return next((place for place, column in enumerate(self.columns) if column.type == "user"), None)

    def place(self, column: str) -> int:
        """The place of a column. Raises StopIteration without such a column."""
        return next(place for place, one in enumerate(self.columns) if one.name == column)


@dataclass(frozen=True, slots=True)
class Invariant:
    """What holds of each tuple of a relation whenever no frame is being handled; its columns are the fields."""

    relation: str
    conditions: tuple[Condition, ...]
    doc: str
    profile: str = "core"
