"""Where a row stands in a spec, and the spec with other rows in its place. Knows no verb and no state by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pychat.spec.model import Outcome, Spec
from pychat.spec.terms import Argument, Entry

Rows = tuple[Outcome, ...]


@dataclass(frozen=True)
class Place:
    """A row of a request in a state, or the row of a timer. `near` is a pattern of the ids of cases that may see it.

    `before` and `after` are the rows that are tried before it and after it.
    """

    spec: Spec
    name: str  # STATE/VERB/outcome, or timer/name
    near: str
    states: tuple[str, ...]  # in which it may be done
    row: Outcome
    before: Rows = ()
    after: Rows = ()

    def with_rows(self, *new: Outcome) -> Spec:
        """The spec with these rows in the place of this one."""
        if self.row.verb:
            return with_cell(self.spec, self.states[0], self.row.verb, (*self.before, *new, *self.after))
        timers = {**self.spec.timers}
        for row in new:
            timers[row.label] = replace(timers[row.label], row=row)
        return replace(self.spec, timers=timers)

    @property
    def linked(self) -> bool:
        """Whether there may be a partner before the row is done."""
        return any(state in self.spec.link.held_in for state in self.states)

    @property
    def has_partner(self) -> bool:
        """Whether there may be a partner for the row."""
        return self.linked or self.row.does("link")

    @property
    def stays(self) -> bool:
        """Whether the connection may go on with its partner."""
        return self.linked and self.row.to is None and not self.row.does("unlink") and not self.asks("no partner")

    @property
    def accepted(self) -> bool:
        """Whether the end is accepted for sure: otherwise a row before this one is taken."""
        return any([condition.kind for condition in row.conditions] == ["not accepted"] for row in self.before)

    @property
    def fields(self) -> dict[str, str]:
        """The types of the request's fields by their names."""
        return (
            {field.name: field.type for field in self.spec.requests[self.row.verb].form.fields} if self.row.verb else {}
        )

    def asks(self, kind: str) -> bool:
        return any(condition.kind == kind for condition in self.row.conditions)


def places(spec: Spec) -> Iterator[Place]:
    """Every row of the table, then the rows of the timers that change something. Two of one name are numbered."""
    names: Counter[str] = Counter()
    for state in spec.live_states:
        for verb, rows in spec.states[state].recv.items():
            for index, row in enumerate(rows):
                name = f"{state}/{row.name}"
                names[name] += 1
                name += f"-{names[name]}" if names[name] > 1 else ""
                yield Place(spec, name, f"{state}/{verb}/*", (state,), row, rows[:index], rows[index + 1 :])
    for timer in spec.timers.values():
        if timer.row is not None and (timer.row.effects or timer.row.partner or timer.row.tells):
            states = spec.live_states if timer.states is None else tuple(sorted(timer.states))
            yield Place(spec, f"timer/{timer.name}", f"*/TIME/*{timer.name}*", states, timer.row)


def with_cell(spec: Spec, state: str, verb: str, rows: Rows) -> Spec:
    """The spec with these rows for a request in a state."""
    recv = {**spec.states[state].recv, verb: rows}
    if not rows:
        del recv[verb]
    return replace(spec, states={**spec.states, state: replace(spec.states[state], recv=recv)})


def cleared(spec: Spec) -> list[Entry]:
    """The tuples that rows drop without naming a field: `missed(me, *)`. Each entry once."""
    effects = [effect for _, row in spec.outcomes() for effect in row.effects if effect.kind == "drop"]
    found = dict.fromkeys(effect.entry for effect in effects if effect.entry is not None)
    return [entry for entry in found if all(argument.field is None for argument in entry.arguments)]


def other_entries(spec: Spec, entry: Entry | None) -> Iterator[tuple[str, Entry]]:
    """An entry with its values in the reverse order, and with any value in the place of each."""
    if entry is None:
        return
    columns, arguments = spec.relations[entry.relation].columns, entry.arguments
    types = [column.type for column in columns]
    if types == types[::-1] and arguments != arguments[::-1]:
        yield "turned", replace(entry, arguments=arguments[::-1])
    for place, column in enumerate(columns):
        if arguments[place].kind != "any":
            wide = (*arguments[:place], Argument("any"), *arguments[place + 1 :])
            yield f"any-{column.name}", replace(entry, arguments=wide)
