"""Whether what came is what was due. Knows no socket, and no verb."""

from __future__ import annotations

from conformance.oracle.frames import matches, parse_reply
from conformance.oracle.model import Due, Items, Text
from pychat.spec import Spec

from .inbox import Unit


def difference(spec: Spec, due: Due, unit: Unit) -> str | None:
    """None if the unit is what is due, else what it is."""
    if unit.flaw is not None:
        return str(unit)
    if isinstance(due, Text):
        return None if unit.items is None and matches(due.text, unit.text) else str(unit)
    assert isinstance(due, Items)
    return str(unit) if unit.items is None else _listing(spec, due, unit.text, unit.items)


def _listing(spec: Spec, due: Items, answer: str, items: tuple[str, ...]) -> str | None:
    """Users of other plays may be listed too; those of this play must be listed once each, as they are due."""
    own = {_user(spec, item) for item in due.items}
    seen = sorted(item for item in items if _user(spec, item) in own)
    others = len(items) - len(due.items)
    if seen != sorted(due.items):
        return f"{' / '.join(seen) or 'none of them'} and {len(items) - len(seen)} others"
    users = [user for item in items if (user := _user(spec, item))]
    if len(set(users)) < len(users):
        return "a user listed twice"
    got, wanted = parse_reply(spec, answer), parse_reply(spec, due.answer)
    assert got is not None
    assert wanted is not None
    counted = {
        name: str(int(value) + others) if value.isdecimal() else value for name, value in wanted.values.items()
    }  # fmt: skip
    if got.reply.key != wanted.reply.key or got.values != counted:
        return f"{len(items)} items and {answer}"
    return None


def _user(spec: Spec, item: str) -> str:
    """The user in an item of a listing, without regard to case."""
    got = parse_reply(spec, item)
    assert got is not None
    key = next((field.name for field in got.reply.form.fields if field.type == spec.link.key), "")
    return spec.types[spec.link.key].fold(got.values.get(key, ""))
