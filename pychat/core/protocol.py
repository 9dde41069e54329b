"""What a client must know of a spec, computed once for all connections. No verb by name, and no connection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cache

from pychat.spec import Spec, shipped
from pychat.spec.forms import Field, Reply, Template, Variable
from pychat.spec.model import Outcome
from pychat.spec.view import Move, moves

from .codec import Codec
from .machine import client_machine


@dataclass(frozen=True, slots=True)
class Encoded:
    """A request that is encoded and not sent yet: its fields are known to be right, whether it is allowed is not."""

    verb: str
    fields: Mapping[str, str]
    octets: bytes


class Protocol:
    """The client's side of a spec, computed once for all sessions. Immutable.

    `moves` says what a reply may mean in a state; `refusals` what a refusal may mean, by the state, its code and its
    verb (None: any verb); `silent` requests have no answer when they succeed. `answers_told`: a caller is told when the
    called user has answered. `missed` are the pushes that tell a user of a call which was refused, `noted` the codes of
    those refusals.

    The verbs are found by what they mean: `bind` takes a name, `list` asks for the users, `link` calls a user,
    `accept` accepts a call, `relay` says a line, `unlink` leaves, `quit` ends. None: the spec has no such request.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.codec = Codec(spec)
        self.machine = client_machine(spec)
        self.bind = spec.verb_that("bind")
        self.list = spec.verb_that("list")
        self.link = spec.verb_that("link")
        self.accept = spec.verb_that("accept")
        self.relay = spec.verb_that("relay")
        self.unlink = spec.verb_that("unlink")
        self.quit = spec.quit_verb
        self.moves: dict[tuple[str, str], tuple[Move, ...]] = {}
        self.refusals: dict[tuple[str, str, str | None], tuple[Move, ...]] = {}
        for move in moves(spec):
            if move.code is None:
                self.moves[move.state, move.key] = (*self.moves.get((move.state, move.key), ()), move)
            else:
                key = move.state, move.code, move.verb
                self.refusals[key] = (*self.refusals.get(key, ()), move)
        self.shapes = {key: Shape(spec, reply) for key, reply in spec.replies.items()}
        self.silent = frozenset(verb for verb, request in spec.requests.items() if request.answer is None)
        told = (move for each in self.moves.values() for move in each if move.mirrored)
        self.answers_told = any("accept" in move.effects for move in told)
        missed = [row for _, row in spec.outcomes() if row.verb == self.link and row.error is not None and row.tells]
        self.missed = frozenset(tell.push.form.key for row in missed for tell in row.tells if tell.kind == "user")
        self.noted = frozenset(row.error for row in missed)
        rows = [timer.row for timer in spec.timers.values() if timer.row is not None and timer.since == "call"]
        own, other = (row.answer for row in rows), (row.partner.push for row in rows if row.partner is not None)
        self._rung_out = [_literals(template) for template in (*own, *other) if template is not None]

    def same_name(self, one: str, other: str) -> bool:
        """Whether two names are those of one user, however they are written."""
        return self.spec.name_type.same(one, other)

    def rang_out(self, key: str, fields: Mapping[str, str]) -> bool:
        """Whether a push tells that a call was not answered in time."""
        return any(key == of and fields.items() >= words for of, words in self._rung_out)

    def encode(self, verb: str, *values: str, **fields: str) -> Encoded:
        """A request, from its fields in the order of the wire or by their names.

        Raises:
            ValueError: there is no such request, a field is missing or too many, or breaks its type.
        """
        request = self.spec.requests.get(verb)
        if request is None:
            raise ValueError(f"there is no request {verb}")
        names = [part.name for part in request.form.fields]
        if len(values) > len(names):
            raise ValueError(f"{verb} takes {len(names)} fields, not {len(values)}: {request.form}")
        filled = dict(zip(names, values, strict=False)) | fields
        return Encoded(verb, filled, self.codec.encode_request(verb, filled))


class Shape:
    """A reply, with the names of the fields whose meaning is known (None where it has no such field).

    `name` is the field with a user's name, `text` the rest of the line, `count` the number of the items before it. In
    a refusal and in a goodbye, `verb`, `code` and `words` are fields of these names.
    """

    __slots__ = ("code", "count", "echoed", "name", "reply", "template", "text", "verb")

    def __init__(self, spec: Spec, reply: Reply) -> None:
        fields, last = reply.form.fields, spec.last_type(reply.form)
        self.reply = reply
        self.name = reply.form.field_of(spec.names)
        self.text = fields[-1].name if last is not None and last.rest_of_line else None
        self.code = self.verb = None
        if reply.kind in ("refusal", "goodbye"):
            names = {field.name for field in fields}
            self.verb, self.code, self.text = (name if name in names else None for name in ("verb", "code", "words"))
        self.count = next((name for name in map(_count_field, _answers_with(spec, reply.key)) if name), None)
        self.echoed = _echoed(spec, reply.key)
        pushes = [push.reply for push in spec.pushes.values() if push.form.key == reply.key]
        self.template = pushes[0] if pushes else None


def _literals(template: Template) -> tuple[str, Set[tuple[str, str]]]:
    """The key of a frame, and the fields that hold words which stand in its template."""
    shapes = zip(template.form.parts, template.parts, strict=True)
    pairs = [(shape.name, part) for shape, part in shapes if isinstance(shape, Field) and isinstance(part, str)]
    return template.form.key, frozenset(pairs)


def _answers_with(spec: Spec, key: str) -> Iterator[Template]:
    return (row.answer for _, row in spec.outcomes() if row.answer is not None and row.answer.form.key == key)


def _echoed(spec: Spec, key: str) -> frozenset[str]:
    """The fields of an answer that hold what the field of the same name in the request held, or that user's name."""
    found: list[set[str]] = []
    for _, row in spec.outcomes():
        if row.answer is not None and row.answer.form.key == key:
            parts = zip(row.answer.form.parts, row.answer.parts, strict=True)
            asked = {field.name for field in spec.requests[row.verb].form.fields}
            named = [(shape.name, part) for shape, part in parts if isinstance(shape, Field) and shape.name in asked]
            found.append({name for name, part in named if part == Variable(name) or _is_peer(row, name, part)})
    return frozenset(set.intersection(*found)) if found else frozenset()


def _is_peer(row: Outcome, name: str, part: str | Variable) -> bool:
    """Whether this part of an answer is the name of the user that the field of the request names."""
    linked = row.field_for("link") == name
    partner = any(condition.kind == "the partner" and condition.field == name for condition in row.conditions)
    return part == Variable("peer") and (linked or partner)


def _count_field(answer: Template) -> str | None:
    """The field of an answer that says how many items came before it."""
    for shape, part in zip(answer.form.parts, answer.parts, strict=False):
        if part == Variable("count") and isinstance(shape, Field):
            return shape.name
    return None


@cache
def shipped_protocol() -> Protocol:
    """The protocol of this package."""
    return Protocol(shipped())
