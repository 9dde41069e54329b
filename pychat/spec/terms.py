"""What a row asks, changes and tells, as immutable data. Knows no state, and of a relation only its name."""

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
