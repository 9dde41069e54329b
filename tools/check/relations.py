"""The relations of a spec in the model: which columns are kept, what their conditions ask, what their effects change.

A tuple is kept with the users, names and words of its key. Numbers, times, secrets and what is not in the key are left
out, and nothing is counted: where a condition asks about these, both answers are tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from pychat.spec import Spec
from pychat.spec.terms import Argument, Condition, Effect, Entry, Relation

from .state import NOBODY, Fact, Facts, Value

Kind = Literal["user", "name", "word"]  # of a column that is kept: a connection, a name, or a word

LEFT_OUT = ("next", "now", "secret")  # types of columns


class Asker(NamedTuple):
    """For whom an entry is read: a connection, its name, the user and the name in its request, and its other words.

    In an invariant the fields are columns, and `columns` has their values.
    """

    me: int
    name: int = NOBODY
    holder: int = NOBODY
    named: int = NOBODY
    words: Mapping[str, str] = {}
    columns: Mapping[str, Value] = {}

    def value(self, argument: Argument, kind: Kind) -> Value | None:
        """The value of an argument in a column; None for any."""
        if argument.kind == "any":
            return None
        if argument.kind == "me":
            return self.me if kind == "user" else self.name
        if argument.field is not None and argument.field in self.columns:
            return self.columns[argument.field]
        if kind == "word":
            return self.words.get(str(argument.field), "")
        return self.holder if kind == "user" else self.named


class News(NamedTuple):
    """A tuple that has come or gone, and whether a relation tells the others of it."""

    fact: Fact
    added: bool


class Relations:
    """The relations of a spec. `columns` has the places of the columns that are kept of each, with their kinds."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.columns = {name: tuple(self._kept(relation)) for name, relation in spec.relations.items()}

    def _kept(self, relation: Relation) -> Iterator[tuple[int, Kind]]:
        for place, column in enumerate(relation.columns):
            if column.key and column.type not in LEFT_OUT:
                yield place, ("user" if column.type == "user" else "name" if column.type == self.spec.names else "word")

    def is_exact(self, entry: Entry) -> bool:
        """Whether the model can tell the tuples of an entry from the others of the relation."""
        kept = {place for place, _ in self.columns[entry.relation]}
        return all(argument.kind == "any" or place in kept for place, argument in enumerate(entry.arguments))

    def arguments(self, entry: Entry) -> Iterator[tuple[Argument, Kind]]:
        """The arguments in the columns that are kept."""
        for place, kind in self.columns[entry.relation]:
            yield entry.arguments[place], kind

    # What is there

    def matching(self, facts: Facts, entry: Entry, asker: Asker) -> list[Fact]:
        """The tuples that an entry is about."""
        wanted = [asker.value(argument, kind) for argument, kind in self.arguments(entry)]
        return [
            fact
            for fact in facts
            if fact.relation == entry.relation
            and all(want is None or want == value for want, value in zip(wanted, fact.values, strict=True))
        ]

    def holds(self, facts: Facts, condition: Condition, asker: Asker) -> bool | None:
        """Whether a condition about a relation holds; None where the model cannot know."""
        assert condition.entry is not None
        some = bool(self.matching(facts, condition.entry, asker))
        match condition.kind:
            case "present":
                return some if not some or self.is_exact(condition.entry) else None
            case "absent":
                return not some if not some or self.is_exact(condition.entry) else None
            case "full":
                return None if some else False
            case _:  # closed: without a tuple no secret is opened
                return None if some else True

    def users(self, facts: Iterable[Fact]) -> tuple[int, ...]:
        """The connections in these tuples."""
        found: dict[int, None] = {}
        for fact in facts:
            for (_, kind), value in zip(self.columns[fact.relation], fact.values, strict=True):
                if kind == "user" and isinstance(value, int):
                    found[value] = None
        return tuple(found)

    # What changes

    def apply(
        self, facts: Facts, effects: Sequence[Effect], asker: Asker, most: int | None = None
    ) -> tuple[Facts, tuple[News, ...], bool]:
        """The tuples after these effects, what has come and gone, and whether each added tuple is new.

        Where there are `most` tuples, a further one is forgotten. One that lacks a column here is taken to be new.
        """
        now, new = set(facts), True
        for effect in effects:
            if effect.entry is None or effect.kind == "list":
                continue
            if effect.kind == "add":
                values = tuple(asker.value(argument, kind) for argument, kind in self.arguments(effect.entry))
                fact = Fact(effect.entry.relation, tuple("" if value is None else value for value in values))
                whole = len(fact.values) == len(self.spec.relations[fact.relation].columns)
                new = new and not (whole and fact in now)
                if most is None or len(now) < most:
                    now.add(fact)
            else:
                now -= set(self.matching(tuple(now), effect.entry, asker))
        return *self._settled(facts, now), new

    def without(self, facts: Facts, user: int) -> tuple[Facts, tuple[News, ...]]:
        """The tuples after the end of a user."""
        return self._settled(facts, {fact for fact in facts if user not in self.users([fact])})

    def _settled(self, before: Facts, now: set[Fact]) -> tuple[Facts, tuple[News, ...]]:
        """Without the tuples that lived while another one did; with the news."""
        while gone := {fact for fact in now if self._outlived(fact, now)}:
            now -= gone
        news = [News(fact, False) for fact in before if fact not in now]
        news += [News(fact, True) for fact in sorted(now.difference(before))]
        return tuple(sorted(now)), tuple(news)

    def _outlived(self, fact: Fact, now: set[Fact]) -> bool:
        needed = self.spec.relations[fact.relation].lives_while
        return needed is not None and not any(
            other.relation == needed and other.values[:1] == fact.values[:1] for other in now
        )

    def readers(self, facts: Facts, fact: Fact) -> tuple[int, ...]:
        """The connections that are told when a tuple comes or goes: the others with the same first value."""
        same = [other for other in facts if other.relation == fact.relation and other.values[:1] == fact.values[:1]]
        own = self.users([fact])
        return tuple(user for user in self.users(same) if user not in own)

    def renamed(self, facts: Facts, connections: tuple[int, ...], names: tuple[int, ...]) -> Facts:
        """The tuples with other numbers for connections and names."""
        return tuple(
            sorted(
                Fact(
                    fact.relation,
                    tuple(
                        {"user": (*connections, NOBODY), "name": (*names, NOBODY)}[kind][value]
                        if kind != "word" and isinstance(value, int)
                        else value
                        for (_, kind), value in zip(self.columns[fact.relation], fact.values, strict=True)
                    ),
                )
                for fact in facts
            )
        )
