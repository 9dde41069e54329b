"""What frames look like: types, forms, templates and framing, as immutable data. Knows no state and no row."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

FrameFault = Literal["encoding", "verb", "syntax", "state"]
FRAME_FAULTS: tuple[FrameFault, ...] = get_args(FrameFault)  # in the order in which they are checked
ReplyKind = Literal["answer", "item", "push", "refusal", "goodbye"]
ANY_VERB = "*"  # what a refusal names where it can name no request


@lru_cache(maxsize=256)  # a value of a field is read for every frame
def _expression(match: str | None, one_of: tuple[str, ...], forbid: tuple[tuple[int, int], ...]) -> re.Pattern[str]:
    """What a value of a type looks like."""
    if match is not None:
        return re.compile(match)
    if one_of:
        return re.compile("|".join(re.escape(word) for word in one_of))
    forbidden = "".join(f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in forbid)
    return re.compile(f"[^{forbidden}\n]+")


@dataclass(frozen=True, slots=True)
class Type:
    """What a field may hold. `octets` are the least and the most octets of its UTF-8 form.

    `holds`: a word of `one_of`, and when it is said of a user in a list: `linked`, or the name of a relation that has
    a tuple with the user. The first word that fits is said; the one word that is not here is said otherwise.
    """

    name: str
    doc: str
    octets: tuple[int, int]
    match: str | None = None
    one_of: tuple[str, ...] = ()
    forbid: tuple[tuple[int, int], ...] = ()
    rest_of_line: bool = False
    fold_case: bool = False
    good: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    holds: tuple[tuple[str, str], ...] = ()
    profile: str = "core"

    @property
    def pattern(self) -> str:
        """A regular expression for `str` that a whole value matches; it leaves `octets` to the caller."""
        return _expression(self.match, self.one_of, self.forbid).pattern

    def accepts(self, value: str) -> bool:
        """Whether `value` is of this type. Half of a surrogate pair has no UTF-8 form, so no type has it."""
        low, high = self.octets
        try:
            octets = len(value.encode())
        except UnicodeEncodeError:
            return False
        return low <= octets <= high and _expression(self.match, self.one_of, self.forbid).fullmatch(value) is not None

    def fold(self, value: str) -> str:
        """The key under which `value` is unique."""
        return value.lower() if self.fold_case else value

    def same(self, one: str, other: str) -> bool:
        """Whether two values have the same key."""
        return self.fold(one) == self.fold(other)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a frame: its name, and its type's name."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Form:
    """The shape of a frame: words that stand as they are, and fields. The first word is the verb."""

    parts: tuple[str | Field, ...]

    @property
    def verb(self) -> str:
        return str(self.parts[0]) if self.parts else ""

    @property
    def key(self) -> str:
        """The words before the first field; it tells one reply from another: `OK CHAT`, `PAIRED`."""
        words = []
        for part in self.parts:
            if isinstance(part, Field):
                break
            words.append(part)
        return " ".join(words)

    @property
    def fields(self) -> tuple[Field, ...]:
        return tuple(part for part in self.parts if isinstance(part, Field))

    def type_of(self, field_name: str) -> str | None:
        """The type's name of a field, None without such a field."""
        return next((field.type for field in self.fields if field.name == field_name), None)

    def fields_of(self, type_name: str) -> tuple[str, ...]:
        """The names of the fields of a type."""
        return tuple(field.name for field in self.fields if field.type == type_name)

    def field_of(self, type_name: str) -> str | None:
        """The name of the first field of a type, None without one."""
        return next(iter(self.fields_of(type_name)), None)

    def fill(self, *values: str) -> str:
        """A frame without its ending; the values are given in the order of the fields."""
        left = iter(values)
        return " ".join(next(left) if isinstance(part, Field) else part for part in self.parts)

    def write(self, values: Mapping[str, str]) -> str:
        """The same, with the values by the names of the fields. Raises KeyError for a field that has none."""
        return " ".join(values[part.name] if isinstance(part, Field) else part for part in self.parts)

    def __str__(self) -> str:
        return " ".join(f"<{part.name}>" if isinstance(part, Field) else part for part in self.parts)


NO_FORM = Form(())  # of a frame that a spec does not have


@dataclass(frozen=True, slots=True)
class Variable:
    """A value to be filled into a frame: a field of the request, a column, or one of these.

    `me` and `peer` (names as their owners wrote them), `count`, `profiles`, `reason`, `cause`, and in a timer `number`.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Template:
    """A frame to be written: words and variables. `form` is the shape that the reader of the frame expects."""

    parts: tuple[str | Variable, ...]
    form: Form

    def fields(self, values: Mapping[str, str]) -> dict[str, str]:
        """What each field of the frame holds. Raises KeyError for a variable that has no value."""
        return {
            shape.name: values[part.name] if isinstance(part, Variable) else part
            for shape, part in zip(self.form.parts, self.parts, strict=True)
            if isinstance(shape, Field)
        }

    def fill(self, values: Mapping[str, str]) -> str:
        """The frame without its ending. Raises KeyError for a variable that has no value."""
        return " ".join(values[part.name] if isinstance(part, Variable) else part for part in self.parts)

    def __str__(self) -> str:
        return " ".join(f"<{part.name}>" if isinstance(part, Variable) else part for part in self.parts)


@dataclass(frozen=True, slots=True)
class Request:
    """A frame that a client may send, with the shapes of its answer and of the items before that answer."""

    verb: str
    doc: str
    form: Form
    answer: Form | None
    item: Form | None
    profile: str = "core"


@dataclass(frozen=True, slots=True)
class Push:
    """A frame that the server sends by itself. `reply` is what the client must answer."""

    verb: str
    doc: str
    form: Form
    reply: Template | None
    profile: str = "core"


@dataclass(frozen=True, slots=True)
class Reply:
    """Any frame that a server may send. `verb` is the request that it answers, if it answers one.

    `code` is that of a refusal which has a frame of its own.
    """

    key: str
    kind: ReplyKind
    form: Form
    verb: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Framing:
    """How frames lie in the stream; `max_octets` counts the ending. `rules` by what breaks them.

    `any_case`: a request's verb may be written in any case; it is known by its capitals.
    """

    writes: bytes
    accepts: tuple[bytes, ...]
    max_octets: int
    verb: str
    rules: Mapping[str, str]
    any_case: bool = False
