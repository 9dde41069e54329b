"""Requests that change nothing: the barrier that proves silence, and the probes that distinguish the states.

Both are found in the spec. The barrier is the request that every state answers with an echo of its field. A probe is
a request that the model answers in the connection's own state as in no other one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from pychat.spec import Spec
from pychat.spec.forms import Field, Request, Variable
from pychat.spec.model import Outcome

from .connection import ALONE, LINK_ENDS, Connection
from .frames import write_form
from .knowledge import accepts
from .model import Due, World

TOKENS = 999  # barrier requests in one play
PHANTOM = "?"  # the partner in the configurations that are only imagined


class UnjudgeableError(Exception):
    """A protocol that this suite cannot judge; says why."""


class Barrier:
    """The request whose answer proves that everything before it was handled. Raises UnjudgeableError without one.

    Its tokens are those of the odd numbers, or with `first=2` of the even ones: a script's own requests have the odd
    ones, so that none of its answers is taken for one that was asked for in a wait.
    """

    def __init__(self, spec: Spec, first: int = 1) -> None:
        self.spec = spec
        self.verb = barrier_verb(spec)
        self.form = spec.requests[self.verb].form
        row = spec.states[spec.initial].recv[self.verb][0]
        assert row.answer is not None
        self.template = row.answer
        self._numbers = itertools.count(first, 2)

    @property
    def is_echo(self) -> bool:
        """Whether each answer shows which request it is for."""
        return bool(self.form.fields)

    @property
    def field(self) -> Field:
        """The field that is echoed."""
        return self.form.fields[0]

    def token(self) -> str:
        """A value for the field that was not used before; nothing where there is no field."""
        if not self.is_echo:
            return ""
        accepts = self.spec.types[self.field.type].accepts
        return next(filter(accepts, tokens(next(self._numbers))))

    def request(self, token: str) -> bytes:
        values = {field.name: token for field in self.form.fields}
        return write_form(self.form, values).encode() + self.spec.framing.writes

    def answer(self, token: str) -> str:
        return self.template.fill({field.name: token for field in self.form.fields})


def tokens(number: int) -> tuple[str, ...]:
    """How this number may be written in the field of a barrier request."""
    return f"judge-{number}", f"j{number}", str(number), f"{number:04}", letters(number)


def letters(number: int) -> str:
    """A number in letters."""
    digits = ""
    while number:
        number, digit = divmod(number, 26)
        digits = chr(ord("a") + digit) + digits
    return digits or "a"


_barriers: dict[str, str] = {}  # by the spec's SHA-256


def barrier_verb(spec: Spec) -> str:
    """The request that every state answers alike, with its own field; if there is none, one that has no field.

    Raises UnjudgeableError if there is none either.
    """
    if spec.sha256 not in _barriers:
        _barriers[spec.sha256] = _barrier_verb(spec)
    return _barriers[spec.sha256]


def _barrier_verb(spec: Spec) -> str:
    found: list[str] = []
    for verb, request in spec.requests.items():
        rows = [spec.states[state].recv.get(verb, ()) for state in spec.live_states]
        echoes = [row[0].answer for row in rows if len(row) == 1 and _echoes(row[0], request)]
        if len(echoes) == len(rows) and len(set(echoes)) == 1:
            kinds = [spec.types[field.type] for field in request.form.fields]
            if all(any(map(kind.accepts, tokens(number))) for number in (1, TOKENS) for kind in kinds):
                found.append(verb)
    if not found:
        raise UnjudgeableError(
            f"{spec.source}: it cannot be judged: no request is answered with its own field in every state, so silence "
            f"has no proof (the field must take the numbers 1 to {TOKENS}, or as many words; or there is no field)"
        )
    return next((verb for verb in found if spec.requests[verb].form.fields), found[0])


def _echoes(row: Outcome, request: Request) -> bool:
    """Whether the row does nothing but answer, with the request's only field if it has one."""
    if row.answer is None or row.effects or row.tells or row.to is not None or row.partner is not None:
        return False
    said = {part.name for part in row.answer.parts if isinstance(part, Variable)}
    return said == {field.name for field in request.form.fields} and len(said) <= 1


def lister(spec: Spec) -> bytes | None:
    """The request that lists the users, None if the spec has none without fields."""
    rows = (row for _, row in spec.outcomes() for effect in row.effects if effect.kind == "list" and not effect.entry)
    verb = next((row.verb for row in rows), None)
    form = spec.requests[verb].form if verb is not None else None
    return write_form(form, {}).encode() + spec.framing.writes if form is not None and not form.fields else None


def configurations(spec: Spec) -> list[str]:
    """Each live state; one that holds the link stands for its ends, of which the first one has no name."""
    ends = [*LINK_ENDS, ALONE] if accepts(spec) else ["", "called", ALONE]
    return [
        f"{name}+{end}".rstrip("+") for name in spec.live_states for end in (ends if spec.states[name].linked else [""])
    ]


@dataclass(frozen=True, slots=True)
class Probe:
    """A request that is answered in one state as in no other, and changes nothing. `told`: others hear of it."""

    request: bytes
    told: bool


@dataclass(frozen=True, slots=True)
class _Choice:
    """The number of a candidate, and whether others hear of it."""

    index: int
    told: bool


_chosen: dict[tuple[str, str], _Choice | None] = {}


def probe_for(world: World, who: str) -> Probe | None:
    """The request that is answered in the state of `who` as in no other; None where no request distinguishes states."""
    spec = world.spec
    key = (spec.sha256, world.configuration(who))
    if key not in _chosen:
        _chosen[key] = _choose(world, who)
    choice = _chosen[key]
    if choice is None:
        return None
    found = itertools.islice(candidates(spec, world.connections[who].name), choice.index, None)
    return Probe(next(found), choice.told)


def candidates(spec: Spec, own: str | None) -> Iterator[bytes]:
    """One request of each verb: `own` name where a field names a user, ordinary values in the other fields."""
    for request in spec.requests.values():
        values = {}
        for field in request.form.fields:
            type_ = spec.types[field.type]
            values[field.name] = own if own is not None and field.type == spec.names else type_.good[0]
        yield write_form(request.form, values).encode() + spec.framing.writes


def _choose(world: World, who: str) -> _Choice | None:
    """The candidate that distinguishes most other configurations; of those, one that is no fault."""
    here = _with_phantom(world)
    others = list(_imagined(here, who))
    best: tuple[int, int, int, bool] | None = None
    for index, request in enumerate(candidates(world.spec, world.connections[who].name)):
        after = here.copy()
        dues = after.feed(who, request)
        seen = _visible(dues)
        alone = world.copy()  # where the phantom's name is free
        alone.feed(who, request)
        if after.key() != here.key() or alone.key() != world.key():
            continue
        same = sum(_visible(other.copy().feed(who, request)) == seen for other in others)
        faulty = after.connections[who].faults > here.connections[who].faults
        best = min(best or (len(others), 1, 0, False), (same, int(faulty), index, bool(dues.keys() - {who})))
    return _Choice(*best[2:]) if best is not None and best[0] < len(others) else None


def _visible(dues: dict[str, list[Due]]) -> object:
    return sorted((who, [str(due) for due in due_list]) for who, due_list in dues.items() if who != PHANTOM)


def _with_phantom(world: World) -> World:
    """The same world with one more user, busy and alone: the possible partner of each connection."""
    other, spec = world.copy(), world.spec
    if not spec.linked_states:
        return other
    state = spec.linked_states[0]
    other.connections[PHANTOM] = Connection(PHANTOM, state, name=_free_name(world))
    return other


def _free_name(world: World) -> str:
    """A name that nobody has, if there is one."""
    kind = world.spec.name_type
    taken = {kind.fold(connection.name) for connection in world.connections.values() if connection.name is not None}
    return next((name for name in kind.good if kind.fold(name) not in taken), kind.good[0])


def _imagined(world: World, who: str) -> Iterator[World]:
    """The same world with `who` in each other configuration."""
    spec = world.spec
    for name in configurations(spec):
        if name == world.configuration(who):
            continue
        other = world.copy()
        connection, (state, _, end) = other.connections[who], name.partition("+")
        if connection.partner is not None:
            other.connections[connection.partner].tie(None)
        connection.tie(None)
        list(other.tables.drop_user(who))  # what it was in may contradict the other state
        connection.state = state
        connection.name = connection.name if state == spec.initial else connection.name or _free_name(other)
        if spec.states[state].linked and end != ALONE:
            connection.tie(PHANTOM)
            other.connections[PHANTOM].tie(who)
            connection.answered, connection.accepted, here = LINK_ENDS[end]
            other.connections[PHANTOM].answered = here is not False
        yield other
