"""Cases of slow readers in any spec: nobody else waits, no line is lost, and the sender is read again. Knows no verb.

They are derived from a relay: a request whose text comes to the partner and changes nothing. A spec without one has
the case of a connection that does not read its own answers alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from conformance.oracle.lines import SUBJECT, Path
from conformance.oracle.model import Due, Text, World
from conformance.oracle.probe import Barrier
from pychat.spec import Spec
from pychat.spec.forms import Type

from .draft import Draft
from .matrix import ANY_LINE, END, Cells
from .play import NUMBER, Play

OTHER = "b"
LIMITS = ("queue_mark", "queue_stop")


@dataclass(frozen=True, slots=True)
class Relay:
    """Lines of the subject that come to another connection: where they do, their form, and what each becomes."""

    spec: Spec
    path: Path
    form: str
    becomes: str

    def draft(self) -> Draft:
        """The other one reads no more, and the subject sends until no more is taken."""
        return Draft(self.spec, self.path).pause(OTHER).flood(SUBJECT, self.form)

    def refusal(self, world: World) -> str | None:
        """How such a line is answered in a world, None where that is not all that comes of it."""
        dues = world.copy().feed(SUBJECT, _octets(self.spec, self.form))
        return _only(dues, SUBJECT)


class Flow(Cells):
    """The plays of slow readers."""

    def plays(self) -> list[Play]:
        return self.numbered([*self._slow_reader(), *self._slow_partner()], self.spec.ending.rule)

    def relay(self, calm: Callable[[World], bool] = lambda _: True) -> Relay | None:
        """The nearest one, in a world that is calm: there no timer of a call runs out."""
        for world, path in self.paths.worlds:
            if world.connections[SUBJECT].partner != OTHER or not calm(world):
                continue
            for request in self.spec.requests.values():
                kind = self.spec.last_type(request.form)
                if kind is None or not kind.rest_of_line or len(request.form.fields) > 1 or not _is_padded(kind):
                    continue
                form = f"{request.verb} {NUMBER}"
                after = world.copy()
                text = _only(after.feed(SUBJECT, _octets(self.spec, form)), OTHER)
                if text is not None and after.key() == world.key() and text.split(" ")[1:] == ["1"]:
                    return Relay(self.spec, path, form, f"{text[:-1]}{NUMBER}")
        return None

    def _play(self, id_: str, title: str, draft: Draft, *rules: str, **options: Any) -> Play:
        limits = [self.spec.limits.rules[name] for name in LIMITS if name in self.spec.limits.rules]
        return Play(
            id_, title, tuple(dict.fromkeys((*rules, *limits))), tuple(draft.steps), setup=draft.setup,
            source="slow readers", segments=("whole",), **options,
        )  # fmt: skip

    def _slow_reader(self) -> Iterator[Play]:
        """A connection that asks again and again, and does not read its answers."""
        barrier, home = Barrier(self.spec), self.paths.named or self.spec.initial
        if not barrier.is_echo:
            return
        kind = self.spec.types[barrier.field.type]
        if not _is_padded(kind):
            return
        form, answer = f"{barrier.verb} {NUMBER}", barrier.answer("1")
        draft = Draft(self.spec, self.paths.to_configuration(home)).pause(SUBJECT).flood(SUBJECT, form)
        draft.lines(SUBJECT, f"{answer[:-1]}{NUMBER}").reset(SUBJECT)
        yield self._play(
            f"{home}/{ANY_LINE}/slow-reader", "a client that does not read its own answers is not read", draft,
            "R-FLOW-2", mistakes=("Answering into a list that grows: a client that asks and does not read fills it.",),
        )  # fmt: skip

    def _slow_partner(self) -> Iterator[Play]:
        relay = self.relay()
        if relay is None:
            return
        world = Draft(self.spec, relay.path).world
        state, verb = world.connections[SUBJECT].state, relay.form.partition(" ")[0]
        draft = relay.draft().lines(OTHER, relay.becomes).send(SUBJECT, _octets(self.spec, relay.form))
        yield self._play(
            f"{state}/{verb}/slow-partner", "the partner does not read: the sender waits, and no line is lost", draft,
            "R-FLOW-1", "R-FLOW-3", "R-MSG-5",
            mistakes=(
                "Sending in the thread that reads: one slow reader stops all connections.",
                "Dropping what does not fit.", "Keeping all of it in memory, and reading on.",
            ),
        )  # fmt: skip
        draft = relay.draft().reset(OTHER)
        refusal = relay.refusal(draft.world)
        if refusal is not None:
            title = "the partner vanishes while the sender waits: the sender is read again"
            draft.lines(SUBJECT, refusal)
            yield self._play(f"{state}/{verb}/slow-partner-vanishes", title, draft, "R-FLOW-3", "R-GONE-1")
        for name, line in self._leaving(world):
            yield from self._leaves(relay, state, name, line)

    def _leaving(self, world: World) -> Iterator[tuple[str, bytes | None]]:
        """What ends the link for the other one: the message of the case, and the line; None: it ends its stream."""
        seen: set[str] = set()
        for line in self.paths.lines(OTHER):
            verb, after = line.split()[0].decode(), world.copy()
            after.feed(OTHER, line)
            if verb not in seen and after.connections[OTHER].partner is None:
                seen.add(verb)
                yield verb, line
        yield END, None

    def _leaves(self, relay: Relay, state: str, name: str, line: bytes | None) -> Iterator[Play]:
        """Each line was either delivered before the end, or is refused: none is both, and none is neither."""
        draft = relay.draft()
        own = draft.unread(OTHER, line)
        refusal = relay.refusal(draft.world)
        if refusal is None:
            return
        draft.lines(SUBJECT, refusal).lines(OTHER, relay.becomes).due({OTHER: own})
        yield self._play(
            f"{state}/{name}/of-a-slow-reader", "a client that does not read is still heard", draft,
            "R-FLOW-2", "R-FLOW-3", "R-MSG-4",
            mistakes=("Not reading from a client that does not read: then it cannot leave.",),
        )  # fmt: skip


def _is_padded(kind: Type) -> bool:
    """Whether a number can be made as long as a value of this type may be."""
    return kind.accepts("1".ljust(kind.octets[1], "."))


def _octets(spec: Spec, form: str) -> bytes:
    """The first one of such lines."""
    return form.replace(NUMBER, "1").encode() + spec.framing.writes


def _only(dues: dict[str, list[Due]], who: str) -> str | None:
    """The frame that comes to `who`, if it is all that comes."""
    due = dues.get(who, [])
    return due[0].text if list(dues) == [who] and len(due) == 1 and isinstance(due[0], Text) else None
