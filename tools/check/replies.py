"""What a reply means to its client: the request that it answers, where it has a place, and what it changes there.

Knows no verb and no state by name. A reply is known by a key of the model: the words that it begins with and those that
its row fills in, or for a refusal the verb and the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

from pychat.spec import Spec
from pychat.spec.forms import Field, Template
from pychat.spec.terms import EffectKind
from pychat.spec.view import Known, Move, moves

OWN: frozenset[EffectKind] = frozenset({"bind", "link", "accept", "retract", "unlink"})  # by an own request
MIRRORED: frozenset[EffectKind] = frozenset({"link", "accept", "unlink"})  # by a row of the partner


class Change(NamedTuple):
    """What a reply changes in its client's view; `mirrored`: a row of the other end caused it."""

    to: str | None = None
    effects: frozenset[EffectKind] = frozenset()
    mirrored: bool = False


class Place(NamedTuple):
    """What a client must see for a reply to have a place, and what the reply changes then."""

    known: Known
    here: bool | None
    change: Change

    def excludes(self, other: Place) -> bool:
        """Whether no client can see both."""
        theirs = dict(other.known)
        return any(theirs.get(kind, holds) is not holds for kind, holds in self.known) or (
            None not in (self.here, other.here) and self.here is not other.here
        )


@dataclass(frozen=True)
class Reaction:
    """The request that a reply answers, and its places in each state of its client.

    `light`: it changes nothing anywhere, and answers no request that waits for its answer.
    """

    verb: str | None
    places: Mapping[str, tuple[Place, ...]]
    light: bool


@dataclass
class Replies:
    """The reactions to the replies of a spec, by their keys here. Replies with the same reaction share one key."""

    spec: Spec
    reactions: dict[str, Reaction] = field(default_factory=dict)
    ambiguous: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._moves = moves(self.spec)
        self._keys: dict[str, str] = {}
        self._same: dict[tuple[object, object], str] = {}

    def of_template(self, template: Template, verb: str | None = None, **chosen: str) -> str:
        """The key of a frame that is written by a template, as the answer to a verb or as a push."""
        words = {
            shape.name: chosen.get(part.name, "") if not isinstance(part, str) else part
            for shape, part in zip(template.form.parts, template.parts, strict=True)
            if isinstance(shape, Field)
        }
        words = {name: word for name, word in words.items() if word}
        fitting = [move for move in self._moves if move.code is None and _fits(move, template.form.key, words)]
        return self._add(" ".join([template.form.key, *words.values()]), verb, fitting)

    def of_refusal(self, verb: str, code: str) -> str:
        """The key of the refusal of a request."""
        fitting = [move for move in self._moves if move.code == code and move.verb in (None, verb)]
        return self._add(f"{verb} {code}", verb, fitting)

    def _add(self, name: str, verb: str | None, fitting: list[Move]) -> str:
        if name in self._keys:
            return self._keys[name]
        places: dict[str, tuple[Place, ...]] = {}
        for move in fitting:
            effects = frozenset(move.effects) & (MIRRORED if move.mirrored else OWN)
            place = Place(move.known, move.here, Change(move.to, effects, move.mirrored))
            places[move.state] = tuple(dict.fromkeys((*places.get(move.state, ()), place)))
        waited = verb is not None and self.spec.requests[verb].answer is not None
        light = not waited and all(place.change[:2] == Change()[:2] for found in places.values() for place in found)
        reaction = Reaction(verb, places, light)
        self.ambiguous += [
            f"{name} in {state}"
            for state, found in places.items()
            if any(one.change != other.change and not one.excludes(other) for one, other in combinations(found, 2))
        ]
        key = self._keys[name] = self._same.setdefault((verb, frozenset(places.items())), name)
        self.reactions.setdefault(key, reaction)
        return key


def _fits(move: Move, key: str, words: Mapping[str, str]) -> bool:
    """Whether a move is about a frame with these words."""
    return move.key == key and all(words.get(name) in allowed for name, allowed in move.words)
