"""The requests and pushes of a chat protocol by what they mean, found in its spec. Knows no verb by name."""

from __future__ import annotations

from dataclasses import dataclass

from pychat.spec import Spec
from pychat.spec.terms import EffectKind


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The verbs of the requests by their effect, and the keys of the pushes by their meaning."""

    name: str  # requests: takes a name,
    call: str  # begins a chat,
    say: str  # sends a line to the partner,
    leave: str  # ends a chat,
    list: str  # lists the users,
    quit: str  # ends the connection
    called: str  # pushes: a user has called,
    accepted: str  # the partner has answered the call,
    missed: str  # a user has called in vain,
    heard: str  # the partner has said a line,
    gone: str  # the partner is gone,
    probe: str  # the server asks whether the client is still there
    probed: str  # the request that answers the probe

    @classmethod
    def of(cls, spec: Spec) -> Vocabulary:
        """The vocabulary of a spec. Raises ValueError for a protocol that is no chat of this kind."""
        try:
            return cls(
                name=_verb(spec, "bind"),
                call=_verb(spec, "link"),
                say=_verb(spec, "relay"),
                leave=_verb(spec, "unlink"),
                list=_verb(spec, "list"),
                quit=_found(spec.quit_verb, "ends the connection"),
                called=_push(spec, "link"),
                accepted=_push(spec, "accept"),
                missed=_found(_missed(spec), "tells a user of a call in vain"),
                heard=_push(spec, "relay"),
                gone=_found(_gone(spec), "tells the partner of an end"),
                probe=_found(next((push.form.key for push in spec.pushes.values() if push.reply), None), "probes"),
                probed=next(push.reply.form.verb for push in spec.pushes.values() if push.reply),
            )
        except LookupError as error:
            raise ValueError(f"{spec.source} is no chat protocol: {error.args[0]}") from None


def _verb(spec: Spec, kind: EffectKind) -> str:
    return _found(spec.verb_that(kind), f"does {kind}")


def _found(word: str | None, meaning: str) -> str:
    if word is None:
        raise LookupError(f"nothing in it {meaning}")
    return word


def _push(spec: Spec, kind: EffectKind) -> str:
    """The key of the push of the first row that does this and tells the partner."""
    pushes = (row.partner.push for _, row in spec.outcomes() if row.does(kind) and row.partner is not None)
    return _found(next((push.form.key for push in pushes), None), f"does {kind} and tells the partner")


def _missed(spec: Spec) -> str | None:
    """The key of the push that tells the user whom a refused call has named."""
    calls = (row for _, row in spec.outcomes() if row.verb == spec.verb_that("link") and row.error is not None)
    return next((tell.push.form.key for row in calls for tell in row.tells if tell.kind == "user"), None)


def _gone(spec: Spec) -> str | None:
    return spec.ending.partner.push.form.key if spec.ending.partner is not None else None
