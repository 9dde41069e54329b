"""The texts of what came: a list of users, a refusal, octets on the wire. It knows phrases, and no state of a chat."""

from __future__ import annotations

from collections.abc import Mapping

from pychat.core.protocol import Protocol
from pychat.core.session import Event
from pychat.visible import hexdump, visible_octets

from .client import Wire
from .phrases import Phrases

MOST_SHOWN = 1024  # octets of one read or write that are dumped


def rest(event: Event) -> str:
    """The fields that are no name: why a partner has gone, or whether a user is free."""
    return " ".join(value for value in event.fields.values() if value != event.name)


def users_here(phrases: Phrases, users: Mapping[str, str], own: str | None) -> str:
    """The other users, by name."""
    others = [phrases.user.format(name=name, state=state) for name, state in sorted(users.items()) if name != own]
    if not others:
        return phrases.nobody_here.format(name=own)
    return (phrases.one_here if len(others) == 1 else phrases.many_here).format(users=", ".join(others))


def refusal(phrases: Phrases, protocol: Protocol, event: Event, last_name: str | None) -> str:
    """What was refused, and why. `last_name` is the user's before the connection was lost."""
    verb, words = event.verb, event.text
    if verb == protocol.bind:
        name = _asked_name(protocol, event)
        return (phrases.own_name_refused if name == last_name else phrases.name_refused).format(name=name, words=words)
    if verb == protocol.relay:
        return phrases.line_refused.format(words=words)
    if verb == protocol.link:
        return phrases.call_refused.format(name=_asked_name(protocol, event), words=words)
    return phrases.request_refused.format(verb=verb, words=words)


def _asked_name(protocol: Protocol, event: Event) -> str:
    """The name in the request that was refused."""
    fields = protocol.spec.requests[event.verb or ""].form.fields
    names = (part.name for part in fields if part.type == protocol.spec.link.key)
    return event.request.get(next(names, ""), "?")


def octets(phrases: Phrases, wire: Wire) -> list[str]:
    """Octets on the wire as text, and as a capture shows them."""
    shown, count = wire.octets[:MOST_SHOWN], len(wire.octets)
    first = phrases.wire_sent if wire.direction == "sent" else phrases.wire_received
    rows = [first.format(count=count, text=visible_octets(shown)), *(f"  {row}" for row in hexdump(shown))]
    if len(shown) < count:
        rows.append(phrases.wire_more.format(count=count - len(shown)))
    return rows
