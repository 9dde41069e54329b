"""Client mutants derived from the table, the rules for clients and the line contract.

Knows no verb, no state and no command by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pychat.spec.forms import Reply, Template, Variable
from pychat.spec.model import Spec
from pychat.spec.view import Move, moves
from tools.selftest.mutants.mutant import Mutant, variant

from .engine import CONNECTED, LOST, Client, Wish

PROBE = "*/*/from-the-server*"
VIEWED = frozenset({"bind", "link", "accept", "unlink"})  # effects that change what a client knows


def mutants(spec: Spec) -> Iterator[Mutant[Client]]:
    """What it sends without its place, what it misunderstands, and what it prints wrong."""
    yield from _sends_without_place(spec)
    yield from _crowds(spec)
    yield from _misunderstands(spec)
    yield from _believes(spec)
    yield from _misprints(spec)


def _made(base: type[Client], name: str, breaks: str, near: str = "", **fields: Any) -> Mutant[Client]:
    return Mutant(name, breaks, variant(base, **fields), near=near)


# --- derived from the table and the rules for clients -----------------------------------------------------------------


class _SendsAnyway(Client):
    verb, where = "", ""

    def must_wait(self, wish: Wish) -> bool:
        return super().must_wait(wish) and not (wish.verb == self.verb and self.state == self.where)

    def may_send(self, wish: Wish) -> bool:
        return super().may_send(wish) or (wish.verb == self.verb and self.state == self.where)


def _sends_without_place(spec: Spec) -> Iterator[Mutant[Client]]:
    for state in spec.live_states:
        for verb in spec.requests:
            if verb not in spec.states[state].recv:
                breaks = f"sends {verb} while it sees itself {state}"
                yield _made(_SendsAnyway, f"{state}/{verb}:sent", breaks, f"{state}/{verb}/*", verb=verb, where=state)
    for state, conditions in spec.client.only_if.items():
        for verb in conditions:
            breaks = f"sends {verb} while it sees itself {state}, whatever its fields"
            yield _made(_SendsAnyway, f"{state}/{verb}:any", breaks, f"{state}/{verb}/not*", verb=verb, where=state)


class _Crowds(Client):
    first, second, where = "", "", ""

    def must_wait(self, wish: Wish) -> bool:
        return super().must_wait(wish) and not self.pair(wish)

    def is_crowded(self, wish: Wish) -> bool:
        return super().is_crowded(wish) and not self.pair(wish)

    def may_send(self, wish: Wish) -> bool:
        return super().may_send(wish) or self.pair(wish)

    def pair(self, wish: Wish) -> bool:
        open_too = any(other.verb == self.first for other in self.unanswered)
        return wish.verb == self.second and open_too and self.state == self.where


def _crowds(spec: Spec) -> Iterator[Mutant[Client]]:
    """Two requests unanswered, of which there may be only one, and which have their places in one state."""
    for state in spec.live_states:
        alone = [verb for verb in spec.states[state].recv if verb in spec.client.one_unanswered]
        for first in alone:
            for second in alone:
                breaks = f"sends {second} while {first} is unanswered"
                near = f"{state}/{first}/*"
                fields = {"first": first, "second": second, "where": state}
                yield _made(_Crowds, f"{state}/{first}-{second}:unanswered", breaks, near, **fields)


class _Ignores(Client):
    """Takes a reply, but its view stays what it was."""

    key = ""

    def understand(self, reply: Reply, values: Mapping[str, str]) -> None:
        before = self.state, self.partner, self.answered, self.here
        super().understand(reply, values)
        if reply.key == self.key:
            self.state, self.partner, self.answered, self.here = before


class _TakesForSuccess(Client):
    """Takes the refusal of a request for its success."""

    verb = ""

    def refused(self, values: Mapping[str, str]) -> None:
        wish = next((wish for wish in self.unanswered if wish.verb == self.verb), None)
        super().refused(values)
        if self.refused_verb(values) == self.verb and wish is not None:
            found = [move for move in self.table if move.verb == self.verb and move.state == self.state]
            for move in [move for move in found if move.by == "request" and move.code is None][-1:]:
                self.apply(move, next(iter(wish.values.values()), None))


def _misunderstands(spec: Spec) -> Iterator[Mutant[Client]]:
    changes = {move.key for move in moves(spec) if move.to is not None or not VIEWED.isdisjoint(move.effects)}
    for reply in spec.replies.values():
        if reply.key in changes and reply.kind in ("answer", "push") and reply.verb != spec.quit_verb:
            yield _made(_Ignores, f"{reply.key}:ignored", f"its view does not change with {reply.key}", key=reply.key)
    for verb in spec.requests:
        rows = [row for _, row in spec.outcomes() if row.verb == verb]
        moving = verb != spec.quit_verb and any(row.to is not None and row.error is None for row in rows)
        if moving and any(row.error is not None for row in rows):
            breaks = f"takes the refusal of {verb} for its success"
            yield _made(_TakesForSuccess, f"{verb}:refusal-ignored", breaks, verb=verb)


# --- derived from what a client knows of its partner ------------------------------------------------------------------


class _TakesAtAnyTime(Client):
    """Takes a push, or one with these words, whichever of the two ends has answered."""

    key, words = "", ()

    def is_so(self, move: Move) -> bool:
        return super().is_so(move) or (move.key == self.key and move.words == self.words)


class _TakesInAnyState(Client):
    """Takes a push in states in which it cannot come."""

    key = ""

    def is_now(self, move: Move, key: str) -> bool:
        return super().is_now(move, key) or move.key == key == self.key


class _TakesOfAnybody(Client):
    """Takes a push of the partner also with another user's name."""

    key = ""

    def is_from_partner(self, reply: Reply, values: Mapping[str, str]) -> bool:
        return super().is_from_partner(reply, values) or (reply.key == self.key and self.partner is not None)


def _believes(spec: Spec) -> Iterator[Mutant[Client]]:
    """Pushes that are taken although they cannot come: then the two ends know different things of their chat."""
    found = [(move, spec.replies[move.key]) for move in moves(spec) if spec.replies[move.key].kind == "push"]
    for key, words in dict.fromkeys((m.key, m.words) for m, _ in found if m.here is not None or m.known):
        said = "-".join([key, *(word for _, choices in words for word in choices)])
        breaks = f"takes {said.replace('-', ' ')}, whichever end has answered"
        yield _made(_TakesAtAnyTime, f"{said}:any-time", breaks, f"*/{key}/*", key=key, words=words)
    for key in dict.fromkeys(m.key for m, _ in found if m.by == "other" or "link" in m.effects):
        if any(not any(m.key == key and m.state == state for m, _ in found) for state in spec.live_states):
            yield _made(_TakesInAnyState, f"{key}:any-state", f"takes {key} in every state", f"*/{key}/*", key=key)
    for key in dict.fromkeys(m.key for m, _ in found if m.mirrored and "link" not in m.effects):
        if spec.replies[key].form.field_of(spec.names) is not None:
            breaks = f"takes {key} also with the name of a user who is not its partner"
            yield _made(_TakesOfAnybody, f"{key}:of-anybody", breaks, f"*/{key}/*", key=key)


# --- derived from the line contract -----------------------------------------------------------------------------------


class _Prints(Client):
    """Prints another line for one reply."""

    key = ""
    times = 1
    whole = True

    def print(self, reply: Reply, values: Mapping[str, str]) -> None:
        for _ in range(self.times if reply.key == self.key else 1):
            super().print(reply, values)

    def printed(self, template: Template, values: Mapping[str, str]) -> str:
        line = super().printed(template, values)
        mine = template == self.spec.contract.prints.get(self.key)
        return line if self.whole or not mine else line.rpartition(" ")[0] or line


class _Silent(Client):
    """Keeps a notice to itself."""

    notice = ""

    def say(self, line: str) -> None:
        if line.split(" ")[0] != self.notice:
            super().say(line)


def _misprints(spec: Spec) -> Iterator[Mutant[Client]]:
    for key, template in spec.contract.prints.items():
        reply = spec.replies[key]
        near = f"*/{reply.verb or reply.form.verb}/*"
        yield _made(_Prints, f"print/{key}:never", f"prints nothing for {key}", near, key=key, times=0)
        yield _made(_Prints, f"print/{key}:twice", f"prints the line for {key} twice", near, key=key, times=2)
        if any(isinstance(part, Variable) for part in template.parts):
            yield _made(
                _Prints, f"print/{key}:short", f"the line for {key} lacks its last word", near, key=key, whole=False
            )
    for notice in (CONNECTED, LOST):
        yield _made(_Silent, f"notice/{notice}:never", f"does not print `{notice}`", notice=notice)
    probe = next((push for push in spec.pushes.values() if push.reply is not None), None)
    if probe is not None:
        prints = {**spec.contract.prints, probe.form.key: Template((probe.verb.lower(),), probe.form)}
        changed = replace(spec, contract=replace(spec.contract, prints=prints))
        breaks = f"prints {probe.verb}, which it answers by itself"
        yield Mutant(f"print/{probe.verb}:printed", breaks, spec=changed, near=PROBE)
