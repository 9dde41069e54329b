"""The list of all users: right at any time, and made anew only where somebody has come, gone or changed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pychat.core.connection import Connection
from pychat.core.roster import BLOCK, Roster
from pychat.spec import shipped

SPEC = shipped()
WHO = next(request for request in SPEC.requests.values() if request.item is not None)
FREE, BUSY = "NAMED", "PAIRED"


def is_so(word: str, user: Connection) -> bool:
    """What the word of an item says; here there is one that says more than the others."""
    assert word == "linked"
    return user.state == BUSY


def user(number: int) -> Connection:
    connection = Connection()
    connection.name, connection.state = f"user{number}", FREE
    return connection


@given(st.lists(st.tuples(st.sampled_from(["come", "go", "change"]), st.integers(0, 3 * BLOCK)), max_size=400))
def test_the_list_holds_all_users_and_nobody_else(steps: list[tuple[str, int]]) -> None:
    """Whatever has happened before; each as free or busy as it is now."""
    roster, users = Roster(SPEC, is_so), dict[int, Connection]()
    for number in range(2 * BLOCK):
        users[number] = user(number)
        roster.add(users[number])
    for step, number in steps:
        if step == "come" and number not in users:
            users[number] = user(number)
            roster.add(users[number])
        elif step == "go" and number in users:
            roster.remove(users.pop(number))
        elif step == "change" and number in users:
            users[number].state = BUSY if users[number].state == FREE else FREE
            roster.changed(users[number])
        items = b"".join(roster.items(WHO)).decode().splitlines()
        wanted = [f"USER {each.name} {'busy' if each.state == BUSY else 'free'}" for each in users.values()]
        assert sorted(items) == sorted(wanted)
        assert len(roster) == len(users)


def test_one_change_makes_one_block_anew() -> None:
    """So that lists which wait in queues share their octets."""
    roster, users = Roster(SPEC, is_so), [user(number) for number in range(10 * BLOCK)]
    for each in users:
        roster.add(each)
    before = roster.items(WHO)
    assert roster.items(WHO) is before
    users[5].state = BUSY
    roster.changed(users[5])
    after = roster.items(WHO)
    assert sum(new is not old for new, old in zip(after, before, strict=True)) == 1


def test_places_are_used_again() -> None:
    """Users who come and go leave no empty blocks."""
    roster = Roster(SPEC, is_so)
    for number in range(5 * BLOCK):
        one = user(number)
        roster.add(one)
        if number % 2:
            roster.remove(one)
    assert len(roster.items(WHO)) <= 3


def test_a_change_of_somebody_without_a_name_is_nothing() -> None:
    """Only users are listed."""
    roster = Roster(SPEC, is_so)
    roster.changed(user(1))
    assert b"".join(roster.items(WHO)) == b""
