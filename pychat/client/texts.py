"""The texts of what came: a list of users, an end, a refusal, octets on the wire. It keeps nothing."""

from __future__ import annotations

from collections.abc import Mapping

from pychat.core.protocol import Protocol
from pychat.core.session import OWN_END, Event, View
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


def unanswered(protocol: Protocol, view: View) -> bool:
    """Whether a call is going on that one of the ends has not answered."""
    return protocol.answers_told and view.partner is not None and not (view.answered and view.here)


def partner_gone(phrases: Phrases, protocol: Protocol, event: Event, before: View) -> str:
    """How a call or a chat has ended, by the other end or by the time. `before` is what was known before it."""
    reason = rest(event)
    if not unanswered(protocol, before):
        phrase = phrases.chat_ended.get(reason, phrases.chat_ended_otherwise)
    elif protocol.rang_out(event.key, event.fields):
        phrase = phrases.did_not_answer if before.answered else phrases.you_did_not_answer
    elif before.answered and event.cause == protocol.unlink:
        phrase = phrases.declined
    else:
        phrase = phrases.call_ended.get(reason, phrases.call_ended_otherwise)
    return phrase.format(name=event.name, reason=reason)


def left(phrases: Phrases, protocol: Protocol, before: View) -> str:
    """What has ended by one's own request."""
    phrase = phrases.chat_over
    if unanswered(protocol, before):
        phrase = phrases.you_stopped_calling if before.answered else phrases.you_declined
    return phrase.format(name=before.partner)


def missed(phrases: Phrases, names: list[str]) -> str:
    """Who has called in vain; there is one name at least."""
    *others, last = names
    return (phrases.missed_many if others else phrases.missed_one).format(names=", ".join(others), name=last)


def unsayable(phrases: Phrases, protocol: Protocol, text: str) -> str:
    """Why a line cannot be said."""
    form = protocol.spec.requests[protocol.relay or ""].form
    kind, count = protocol.spec.last_type(form), len(text.encode(errors="replace"))
    if kind is not None and count > kind.octets[1]:
        return phrases.line_too_long.format(count=count, most=kind.octets[1])
    return phrases.line_not_sayable


def undelivered(phrases: Phrases, protocol: Protocol, event: Event, name: str, count: int) -> str:
    """That a line was refused, the last of `count` that were for `name`. The server's words tell what a user cannot."""
    one, many, words = phrases.line_undelivered, phrases.lines_undelivered, ""
    if not _tells_where_it_stands(protocol, event.code):
        one, many = phrases.line_refused, phrases.lines_refused
        words = event.text or protocol.spec.errors[event.code or ""].words
    return (one if count == 1 else many).format(name=name, count=count, words=words)


def _tells_where_it_stands(protocol: Protocol, code: str | None) -> bool:
    """Whether this error says only that there is nobody now who would hear the line, which was told before."""
    spec = protocol.spec
    own = (row for _, row in spec.outcomes() if row.verb == protocol.relay and row.error == code)
    asked = {condition.kind for row in own for condition in row.conditions}
    misplaced = any(fault.fault == "state" and fault.error == code for fault in spec.faults)
    return misplaced or (bool(asked) and asked <= OWN_END.keys())


def refusal(phrases: Phrases, protocol: Protocol, event: Event, last_name: str | None, answer: bool) -> str:
    """What was refused, other than a line, and why. `last_name` is the user's before the connection was lost.

    `answer`: a call that was refused was the answer to another one.
    """
    verb, words = event.verb, event.text or protocol.spec.errors[event.code or ""].words
    if verb == protocol.bind:
        name = _asked_name(protocol, event)
        return (phrases.own_name_refused if name == last_name else phrases.name_refused).format(name=name, words=words)
    if verb == protocol.link:
        phrase = phrases.call_refused
        if event.code in protocol.noted:
            phrase = phrases.called_busy
        elif event.view.state in protocol.spec.link.held_in:
            phrase = phrases.answered_too_late if answer else phrases.called_meanwhile
        return phrase.format(name=_asked_name(protocol, event), words=words)
    return phrases.request_refused.format(words=words)


def _asked_name(protocol: Protocol, event: Event) -> str:
    """The name in the request that was refused."""
    fields = protocol.spec.requests[event.verb or ""].form.fields
    names = (part.name for part in fields if part.type == protocol.spec.names)
    return event.request.get(next(names, ""), "?")


def octets(phrases: Phrases, wire: Wire) -> list[str]:
    """Octets on the wire as text, and as a capture shows them."""
    shown, count = wire.octets[:MOST_SHOWN], len(wire.octets)
    first = phrases.wire_sent if wire.direction == "sent" else phrases.wire_received
    rows = [first.format(count=count, text=visible_octets(shown)), *(f"  {row}" for row in hexdump(shown))]
    if len(shown) < count:
        rows.append(phrases.wire_more.format(count=count - len(shown)))
    return rows
