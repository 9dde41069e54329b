"""Names of users: different ones for a cast, and unique ones for each play of a shared server. Knows no verb."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from io import BytesIO

from pychat.spec import Spec
from pychat.spec.forms import Type

from .frames import Parsed, parse_reply, parse_request, write_form
from .probe import UnjudgeableError, letters

_numbers = itertools.count(random.SystemRandom().randrange(10_000, 90_000))
_letters = itertools.count()  # of names of one letter


def unique_number() -> int:
    """A number that no other play has, nor another run of the suite against the same server a minute ago."""
    return next(_numbers)


def share_numbers(part: int, parts: int) -> None:
    """From now on this process takes each number whose place is `part`, from 0, among `parts` of them."""
    global _numbers, _letters
    _numbers = itertools.count(next(_numbers) + part, parts)
    _letters = itertools.count(next(_letters) + part, parts)


def names_of(spec: Spec, count: int) -> list[str]:
    """So many different names of users, no two the same without regard to case; the spec's own samples first.

    Raises:
        UnjudgeableError: there are fewer, or they cannot be changed so that those of each play are its own.
    """
    kind, fixed = spec.name_type, fixed_names(spec)
    stems = [stem for sample in kind.good for stem in (sample[: kind.octets[1] - 1], sample[:1])]
    made = (f"{stem}{end}" for end in "xyz123" for stem in stems)
    found: dict[str, str] = {}
    for name in itertools.chain((name for name in kind.good if len(name) > 1), kind.good, made):
        if kind.accepts(name) and name not in fixed:
            found.setdefault(kind.fold(name), name)
    names: list[str] = []
    taken: set[str] = set()
    for name in found.values():
        unique = {kind.fold(Names(spec, number).unique(name)) for number in (10_000, 99_999)}
        if len(unique) == 2 and not unique & taken:
            names.append(name)
            taken |= unique
    if len(names) < count:
        reason = f"there are too few names of the type {kind.name}: a number is added to each, so that plays differ"
        raise UnjudgeableError(f"{spec.source}: it cannot be judged: {reason}")
    return names[:count]


class Names:
    """Makes the names of one play unique by its number. Spelling and case stay; with `exact` the lengths too.

    So is what else a relation keeps things under, such as a topic: plays share a server. Those that are `written` in
    the play stay as they are.
    """

    def __init__(self, spec: Spec, number: int, *, exact: bool = False, written: Iterable[str] = ()) -> None:
        self.spec = spec
        self.type = spec.name_type
        self.shared = shared_types(spec)
        self.number = number
        self.exact = exact
        self.fixed = fixed_names(spec) | set(written)
        self._numbers: dict[str, int] = {}  # of each name that keeps its length
        self._made: dict[str, str] = {}  # what stands for which name

    def unique(self, name: str, kind: Type | None = None) -> str:
        """A value of a type, of users' names without one, that no other play has."""
        kind = kind or self.type
        if name in self.fixed:
            return name
        if self.exact:
            return self._same_length(name, kind)
        for suffix in (f"-{self.number}", str(self.number), letters(self.number)):
            for stem in (name, name[: max(1, kind.octets[1] - len(suffix))]):
                if kind.accepts(stem + suffix):
                    return stem + suffix
        return name

    def _same_length(self, name: str, kind: Type) -> str:
        """Two names of a play stay two, also where only their last letters tell them apart."""
        key = kind.fold(name)
        if key not in self._numbers:  # of names that are one letter long there are few: they are dealt out in turn
            self._numbers[key] = self.number if len(name) > 1 else next(_letters)
        for number in range(self._numbers[key], self._numbers[key] + 26**2):
            suffix = letters(number)[-max(1, len(name) - 1) :]
            found = name[: len(name) - len(suffix)] + suffix
            if not kind.accepts(found):
                break
            if self._made.setdefault(kind.fold(found), key) == key:
                self._numbers[key] = number
                return found
        return name

    def in_request(self, octets: bytes) -> bytes:
        """Octets of a client with each name made unique; lines, which LF alone ends, stay if they are no request."""
        return b"".join(self._request_line(line) for line in BytesIO(octets))

    def _request_line(self, line: bytes) -> bytes:
        ending = next((e for e in sorted(self.spec.framing.accepts, key=len, reverse=True) if line.endswith(e)), None)
        if ending is None:
            return line
        said = parse_request(self.spec, line.removesuffix(ending))
        if not isinstance(said, Parsed):
            return line
        form = self.spec.requests[said.verb].form
        values = {f.name: self._value(f.type, said.values[f.name]) for f in form.fields}
        return write_form(form, values).encode() + ending

    def in_reply(self, text: str) -> str:
        got = parse_reply(self.spec, text)
        if got is None:
            return text
        form = got.reply.form
        return write_form(form, {f.name: self._value(f.type, got.values[f.name]) for f in form.fields})

    def _value(self, type_name: str, value: str) -> str:
        type_ = self.spec.types[type_name]
        return self.unique(value, type_) if type_name in self.shared else value


def shared_types(spec: Spec) -> set[str]:
    """The types whose values all plays of a server share: the names of users, and the keys of relations."""
    return {spec.names, *(column.type for relation in spec.relations.values() for column in relation.keys)}


def fixed_names(spec: Spec) -> frozenset[str]:
    """The names and keys that conditions of rows compare with: they have a meaning of their own, so they stay."""
    shared = shared_types(spec)
    fields = {
        verb: [field.name for field in request.form.fields if field.type in shared]
        for verb, request in spec.requests.items()
    }
    asked = [(row.verb, condition) for _, row in spec.outcomes() for condition in row.conditions]
    return frozenset(c.value for verb, c in asked if c.value is not None and c.field in fields[verb])
