"""Relations at run time: against a model that goes through whole tables, and in the cases that a reader asks about."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from pychat.core.connection import Connection
from pychat.core.relations import Change, Relations, Tuple, Value, utc
from pychat.spec import load
from pychat.spec.terms import Argument, Column, Entry, Relation

from .conftest import ROOT

BOARD = load(ROOT / "tests" / "board.yaml")
MEMBER = Relation("member", (Column("room", "topic", True, most=3), Column("who", "user", True)), "")
LOG = Relation(
    "log",
    (
        Column("room", "topic", True, keep=3),
        Column("seq", "next", True),
        Column("at", "now", False),
        Column("text", "text", False),
    ),
    "",
    lives_while="member",
)
FLAG = Relation("flag", (Column("room", "topic", True), Column("by", "user", False)), "", lives_while="log")
PAIR = Relation(
    "pair", (Column("one", "user", True, keep=2), Column("other", "user", True), Column("how", "text", False)), ""
)
SPEC = replace(BOARD, relations={one.name: one for one in (MEMBER, LOG, FLAG, PAIR)}, states={}, timers={})
ME, ANY = Argument("me"), Argument("any")


def field(name: str) -> Argument:
    return Argument("field", name)


def user(name: str) -> Connection:
    connection = Connection()
    connection.name = name
    return connection


@dataclass
class People:
    """Some users and the tables that they share."""

    def __init__(self) -> None:
        self.users = {name: user(name) for name in ("ann", "bob", "cy")}
        self.relations = Relations(SPEC, lambda name: self.users.get(name.lower()))

    def add(self, text: str, /, me: str = "ann", now: float = 0.0, **fields: str) -> list[Change]:
        return self.relations.add(entry(text), self.users[me], fields, now)

    def drop(self, text: str, /, me: str = "ann", **fields: str) -> list[Change]:
        return self.relations.drop(entry(text), self.users[me], fields, "why")

    def find(self, text: str, /, me: str = "ann", **fields: str) -> list[str]:
        """The tuples of an entry, as words."""
        found = entry(text)
        tuples = self.relations.find(found, self.users[me], fields)
        return [" ".join(self.relations.texts(found.relation, values).values()) for values in tuples]


def entry(text: str) -> Entry:
    """An entry as a spec writes it."""
    relation, _, rest = text.removesuffix(")").partition("(")
    words = {"me": ME, "*": ANY}
    return Entry(relation, tuple(words.get(word) or field(word.strip("<>")) for word in rest.split(", ")))


def told(changes: list[Change]) -> list[str]:
    """Changes as words."""
    return [
        f"{'+' if change.added else '-'}{change.relation} "
        + " ".join(value if isinstance(value, str) else value.name for value in change.values)
        for change in changes
    ]


def test_a_value_is_shown_as_it_was_first_written() -> None:
    """While a tuple has it; and what lives no longer than another relation shows it as that one does."""
    people = People()
    people.add("member(<room>, me)", room="Lab")
    people.add("member(<room>, me)", "bob", room="LAB")
    people.add("log(<room>, *, *, <text>)", room="lAB", text="hello")
    assert people.find("member(<room>, *)", room="laB") == ["Lab ann", "Lab bob"]
    assert people.find("log(<room>, *, *, *)", room="lab") == ["Lab 1 1970-01-01T00:00:00Z hello"]
    people.drop("member(*, me)")
    people.add("member(<room>, me)", "cy", room="lab")
    assert people.find("member(*, *)") == ["Lab bob", "Lab cy"]
    people.drop("member(<room>, *)", room="lab")
    people.add("member(<room>, me)", room="lab")
    assert people.find("member(*, *)") == ["lab ann"]


def test_what_is_there_is_not_added_again() -> None:
    """A tuple with the same key is replaced where it says something else, in its place in the order."""
    people = People()
    assert told(people.add("pair(me, <to>, <how>)", to="bob", how="well")) == ["+pair ann bob well"]
    people.add("pair(me, <to>, <how>)", to="cy", how="well")
    assert people.add("pair(me, <to>, <how>)", to="bob", how="well") == []
    changes = people.add("pair(me, <to>, <how>)", to="BOB", how="badly")
    assert told(changes) == ["+pair ann bob badly"]
    assert people.find("pair(me, *, *)") == ["ann bob badly", "ann cy well"]
    people.relations.undo(changes)
    assert people.find("pair(me, *, *)") == ["ann bob well", "ann cy well"]


def test_a_user_that_is_not_there_has_no_tuple() -> None:
    """It is in none, and none is dropped."""
    people = People()
    assert people.find("pair(*, <to>, *)", to="dan") == []
    assert people.drop("pair(*, <to>, *)", to="dan") == []
    assert not people.relations.full(entry("pair(*, <to>, *)"), people.users["ann"], {"to": "dan"})


def test_with_a_user_go_the_tuples_that_have_it_in_their_key() -> None:
    """And what lives no longer than they do, with the same cause; where it is no key, it is still shown."""
    people = People()
    for me in ("ann", "bob"):
        people.add("member(<room>, me)", me, room="lab")
    people.add("log(<room>, *, *, <text>)", room="lab", text="x")
    people.add("flag(<room>, me)", room="lab")
    people.add("pair(me, <to>, <how>)", "bob", to="ann", how="well")
    ann = people.users.pop("ann")
    assert told(people.relations.drop_user(ann, "quit")) == ["-member lab ann", "-pair bob ann well"]
    assert people.find("flag(*, *)", "bob") == ["lab ann"]
    changes = people.relations.drop_user(people.users["bob"], "lost")
    assert told(changes) == ["-member lab bob", "-log lab 1 1970-01-01T00:00:00Z x", "-flag lab ann"]
    assert {change.cause for change in changes} == {"lost"}


def test_what_was_dropped_with_a_user_who_has_gone_stays_away() -> None:
    """Though the change that dropped it is taken back."""
    people = People()
    for me in ("ann", "bob"):
        people.add("member(<room>, me)", me, room="lab")
    changes = people.drop("member(<room>, *)", room="lab")
    ann = people.users.pop("ann")
    people.relations.drop_user(ann, "quit")
    people.users["ann"] = user("ann")
    people.relations.undo(changes)
    assert people.find("member(*, *)") == ["lab bob"]


def test_the_oldest_are_forgotten() -> None:
    """And nobody is told; taken back, they are the oldest again."""
    people = People()
    people.add("member(<room>, me)", room="lab")
    for text in "abc":
        people.add("log(<room>, *, *, <text>)", room="lab", text=text)
    changes = people.add("log(<room>, *, *, <text>)", room="lab", text="d", now=1.0)
    assert told(changes) == ["+log lab 4 1970-01-01T00:00:01Z d", "-log lab 1 1970-01-01T00:00:00Z a"]
    assert [change.cause for change in changes] == ["", None]
    people.relations.undo(changes)
    assert [line.split(" ")[-1] for line in people.find("log(<room>, *, *, *)", room="lab")] == ["a", "b", "c"]
    people.add("log(<room>, *, *, <text>)", room="lab", text="e")
    assert [line.split(" ")[-1] for line in people.find("log(<room>, *, *, *)", room="lab")] == ["b", "c", "e"]


def test_a_number_is_given_once() -> None:
    """Also where its tuple was dropped or taken back, and where a room has begun anew."""
    people = People()
    people.add("member(<room>, me)", room="lab")
    people.add("log(<room>, *, *, <text>)", room="lab", text="a")
    people.drop("log(*, *, *, *)")
    people.relations.undo(people.add("log(<room>, *, *, <text>)", room="lab", text="b"))
    changes = people.add("log(<room>, *, *, <text>)", room="LAB", text="c")
    assert people.relations.given(changes) == {"seq": "3", "at": utc(0.0)}
    people.drop("member(*, me)")
    people.add("member(<room>, me)", room="lab")
    assert people.relations.given(people.add("log(<room>, *, *, <text>)", room="lab", text="d"))["seq"] == "4"


def test_full_is_what_has_as_many_as_there_may_be() -> None:
    """For one value of the column that the entry fixes."""
    people = People()
    for me in people.users:
        assert not people.relations.full(entry("member(<room>, *)"), people.users[me], {"room": "lab"})
        people.add("member(<room>, me)", me, room="lab")
    assert people.relations.full(entry("member(<room>, *)"), people.users["ann"], {"room": "LAB"})
    assert not people.relations.full(entry("member(<room>, *)"), people.users["ann"], {"room": "b"})
    assert not people.relations.full(entry("member(*, me)"), people.users["ann"], {})
    assert people.relations.overfull() == []
    people.users["dan"] = user("dan")
    people.add("member(<room>, me)", "dan", room="lab")
    assert set(people.relations.overfull()) == {"member has 4 tuples for room lab, not at most 3"}


def test_a_lookup_does_not_go_through_the_table() -> None:
    """With a fixed column, it reads as many tuples as it finds, in a table of any size."""
    people = People()
    crowd = {f"u{number}": user(f"u{number}") for number in range(2000)}
    people.users.update(crowd)
    for number, name in enumerate(crowd):
        people.add("member(<room>, me)", name, room="r" + "abcdefghij"[number % 10])
        people.add("pair(me, <to>, <how>)", name, to="ann", how="well")
    read = 0

    def fold(kind: str, value: Value) -> Value:
        nonlocal read
        read += 1
        return value.lower() if isinstance(value, str) else value

    for text, me, found in (
        ("member(*, me)", "u7", 1),
        ("pair(me, <to>, *)", "u7", 1),
        ("member(<room>, me)", "u7", 0),
    ):
        people.find(text, me, room="ra", to="ann")  # makes the index
        for table in people.relations._tables.values():
            table._fold = fold
        assert len(people.find(text, me, room="ra", to="ann")) == found
        assert read < 20


# The model


class Model:
    """The same tables as lists: every question goes through all tuples."""

    def __init__(self, people: People) -> None:
        self.people = people
        self.lists: dict[str, list[Tuple]] = {name: [] for name in SPEC.relations}
        self.numbers: dict[tuple[str, Value], int] = {}

    def same(self, kind: str, one: Value, other: Value) -> bool:
        if kind == "topic" and isinstance(one, str) and isinstance(other, str):
            return one.lower() == other.lower()
        return one is other or one == other

    def values(self, found: Entry, me: Connection, fields: dict[str, str]) -> list[Value | None] | None:
        values: list[Value | None] = []
        for column, argument in zip(SPEC.relations[found.relation].columns, found.arguments, strict=True):
            if argument.kind == "any":
                values.append(None)
            elif argument.kind == "me":
                values.append(me)
            elif column.type == "user":
                one = self.people.users.get(fields[str(argument.field)].lower())
                if one is None:
                    return None
                values.append(one)
            else:
                values.append(fields[str(argument.field)])
        return values

    def find(self, found: Entry, me: Connection, fields: dict[str, str]) -> list[Tuple]:
        pattern, columns = self.values(found, me, fields), SPEC.relations[found.relation].columns
        if pattern is None:
            return []
        return [
            values
            for values in self.lists[found.relation]
            if all(
                wanted is None or self.same(column.type, wanted, value)
                for column, wanted, value in zip(columns, pattern, values, strict=True)
            )
        ]

    def spelled(self, relation: Relation, first: Value | None) -> Value | None:
        """As it was first written, in the relation with which this one lives before all others."""
        for name in ("pair",) if relation is PAIR else ("member", "log", "flag"):
            for values in self.lists[name]:
                if first is not None and self.same(relation.columns[0].type, first, values[0]):
                    return values[0]
            if name == relation.name:
                break
        return first

    def add(self, found: Entry, me: Connection, fields: dict[str, str], now: float) -> None:
        relation = SPEC.relations[found.relation]
        wanted = self.values(found, me, fields)
        assert wanted is not None
        wanted[0] = self.spelled(relation, wanted[0])
        for place, column in enumerate(relation.columns):
            if column.type == "now":
                wanted[place] = utc(now)
            if column.type == "next":
                key = relation.name, str(wanted[0]).lower()
                self.numbers[key] = self.numbers.get(key, 0) + 1
                wanted[place] = str(self.numbers[key])
        new = tuple(value for value in wanted if value is not None)
        mine, keys = self.lists[relation.name], len(relation.keys)
        for place, values in enumerate(mine):
            kinds = [column.type for column in relation.keys]
            if all(self.same(kind, one, other) for kind, one, other in zip(kinds, new, values, strict=False)):
                mine[place] = (*values[:keys], *new[keys:])
                return
        mine.append(new)
        for place, column in enumerate(relation.columns):
            having = [values for values in mine if self.same(column.type, values[place], new[place])]
            if column.keep is not None and len(having) > column.keep:
                self.remove(relation.name, having[0])

    def remove(self, name: str, values: Tuple) -> None:
        self.lists[name] = [one for one in self.lists[name] if one is not values]
        kind = SPEC.relations[name].columns[0].type
        if any(self.same(kind, one[0], values[0]) for one in self.lists[name]):
            return
        for relation in SPEC.relations.values():
            if relation.lives_while == name:
                for one in list(self.lists[relation.name]):
                    if self.same(kind, one[0], values[0]):
                        self.remove(relation.name, one)

    def gone(self, user: Connection) -> None:
        for relation in SPEC.relations.values():
            for place, column in enumerate(relation.keys):
                if column.type == "user":
                    for values in [one for one in self.lists[relation.name] if one[place] is user]:
                        self.remove(relation.name, values)


ADDED = [
    "member(<room>, me)",
    "log(<room>, *, *, <how>)",
    "flag(<room>, <to>)",
    "pair(me, <to>, <how>)",
    "pair(<to>, me, <how>)",
]
ASKED = [
    "member(<room>, me)", "member(<room>, *)", "member(*, me)", "member(*, *)", "log(<room>, <seq>, *, *)",
    "log(<room>, *, *, *)", "log(*, *, *, <how>)", "log(<room>, *, *, <how>)", "flag(<room>, *)", "flag(*, <to>)",
    "pair(me, <to>, *)", "pair(me, *, *)", "pair(*, me, <how>)", "pair(me, <to>, <how>)", "pair(*, *, *)",
]  # fmt: skip
STEPS = st.tuples(
    st.sampled_from(["add", "add", "add", "drop", "go", "undo"]),
    st.sampled_from(ADDED),
    st.sampled_from(ASKED),
    st.sampled_from(["ann", "bob", "cy"]),
    st.fixed_dictionaries(
        {
            "room": st.sampled_from(["lab", "Lab", "LAB", "Den"]),
            "to": st.sampled_from(["ann", "BOB", "dan"]),
            "how": st.sampled_from(["well", "badly"]),
            "seq": st.sampled_from(["1", "2"]),
        }
    ),
)


@settings(max_examples=150)
@given(st.lists(STEPS, max_size=40))
def test_relations_are_what_a_search_through_lists_finds(
    steps: list[tuple[str, str, str, str, dict[str, str]]],
) -> None:
    """Whatever was added, dropped, forgotten and taken back before: the same tuples, in the same order."""
    people = People()
    model, relations = Model(people), people.relations
    for number, (step, added, asked, name, fields) in enumerate(steps):
        me, now = people.users[name], float(number)
        if step == "add" and model.values(entry(added), me, fields) is None:
            continue  # the loader wants a row before this one that refuses a user who is not there
        if step == "add":
            relations.add(entry(added), me, fields, now)
            model.add(entry(added), me, fields, now)
        elif step == "drop":
            relations.drop(entry(asked), me, fields, "why")
            for values in model.find(entry(asked), me, fields):
                if any(values is one for one in model.lists[entry(asked).relation]):
                    model.remove(entry(asked).relation, values)
        elif step == "go":
            relations.drop_user(me, "quit")
            model.gone(me)
            people.users[name] = user(name)
        else:
            before = {one: list(relations.find(entry(one), me, fields)) for one in ASKED}
            changes = relations.drop(entry(asked), me, fields, "why")
            if relations.find(entry("member(*, *)"), me, fields) and fields["to"] != "dan":
                changes += relations.add(entry("pair(me, <to>, <how>)"), me, fields, now)
            relations.undo(changes)
            after = {one: list(relations.find(entry(one), me, fields)) for one in ASKED}
            for one, found in after.items():
                fixed = any(argument.kind != "any" for argument in entry(one).arguments)
                assert found == before[one] if fixed else set(found) == set(before[one])
        me = people.users[name]
        for one in ASKED:
            got, wanted = relations.find(entry(one), me, fields), model.find(entry(one), me, fields)
            if any(argument.kind != "any" for argument in entry(one).arguments):
                assert list(got) == wanted
            else:
                assert set(got) == set(wanted)


def test_the_time_of_a_change_is_written_as_others_write_it() -> None:
    """RFC 3339, UTC; where seconds are counted from is for whoever has a clock."""
    assert utc(1769851800.9) == "2026-01-31T09:30:00Z"
