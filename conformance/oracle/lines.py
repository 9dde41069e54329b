"""What each of the cast may send: lines that are made from the spec, and paths of them. Knows no verb by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pychat.spec import Spec
from pychat.spec.forms import Field, Request

from .frames import Faulty, Parsed, parse_request, write_form
from .names import names_of

CAST = ("a", "b", "c")
SUBJECT = CAST[0]


class Move(NamedTuple):
    """A line that one of the cast sends, with its ending."""

    who: str
    octets: bytes


Path = tuple[Move, ...]


class Lines:
    """What each of the cast may send."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        *names, self.nobody = names_of(spec, len(CAST) + 1)
        self.names = dict(zip(CAST, names, strict=True))

    def values(self, request: Request, name: str | None = None) -> dict[str, str]:
        """Ordinary values of its fields; `name` where a field names a user."""
        return {field.name: self._value(field, name) for field in request.form.fields}

    def _value(self, field: Field, name: str | None) -> str:
        if field.type == self.spec.names:
            return name or self.names[SUBJECT]
        return self.spec.types[field.type].good[0]

    def read(self, line: bytes) -> Parsed | Faulty:
        """What a line says, its ending the one that is written."""
        return parse_request(self.spec, line.removesuffix(self.spec.framing.writes))

    def lines(self, who: str) -> Iterator[bytes]:
        """What `who` may send: each request, its users one of the cast or nobody, words as the conditions name them."""
        users = [self.names[who], *(name for id_, name in self.names.items() if id_ != who), self.nobody]
        for request in self.spec.requests.values():
            for values in self._choices(request, users):
                yield write_form(request.form, values).encode() + self.spec.framing.writes

    def _choices(self, request: Request, users: list[str]) -> Iterator[dict[str, str]]:
        plain, words = self.values(request), self._words(request)
        keys = request.form.fields_of(self.spec.names)
        for user in users if keys else [""]:
            yield {**plain, **dict.fromkeys(keys[:1], user)}
            for name in words:
                yield from ({**plain, **dict.fromkeys(keys[:1], user), name: word} for word in words[name])
        for field in request.form.fields if not keys else ():
            for sample in self.spec.types[field.type].good[1:]:
                if not self.spec.types[field.type].rest_of_line and sample not in words.get(field.name, ()):
                    yield {**plain, field.name: sample}

    def _words(self, request: Request) -> dict[str, list[str]]:
        """By field, the words that the conditions of the request's rows compare it with."""
        found: dict[str, list[str]] = {}
        for condition in (c for _, row in self.spec.outcomes() if row.verb == request.verb for c in row.conditions):
            if condition.field is not None and condition.value is not None:
                found.setdefault(condition.field, []).append(condition.value)
        return {name: list(dict.fromkeys(words)) for name, words in found.items()}
