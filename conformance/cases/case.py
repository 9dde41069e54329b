"""A case: one question to an implementation, with what a report says of it. Knows no list of cases, and runs none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pychat.spec import Spec

from .play import SEGMENTS, Lane, Play, Segment

Kind = Literal["cell", "play", "scene", "walk"]


@dataclass(frozen=True, slots=True)
class Case:
    """One question to an implementation: a play whose octets are cut in one way, or a scene.

    A scene is a function of a worker of the engine and the stage of the case. With a `reason` it cannot be asked from
    outside, and says why.
    """

    id: str
    title: str
    rules: tuple[str, ...]
    level: str
    kind: Kind
    play: Play | None = None
    scene: Callable[..., None] | None = None
    of: Literal["server", "client"] = "server"
    segment: Segment = "whole"
    lane: Lane = "shared"
    profile: str = "core"
    doc: str = ""
    mistakes: tuple[str, ...] = ()
    reason: str = ""

    @property
    def key(self) -> str:
        """The id, with the way in which the octets are cut."""
        return self.id if self.segment == "whole" else f"{self.id}@{self.segment}"

    @property
    def slow(self) -> bool:
        """Whether it takes seconds, where others take milliseconds."""
        return self.kind == "scene" or (self.play is not None and self.play.slow)

    def waits(self, spec: Spec) -> float:
        """The seconds of the timers that it waits for, if they are as long as the spec says."""
        return sum(step.part * spec.timers[step.timer].after for step in self.play.clocks) if self.play else 0.0

    @property
    def state(self) -> str:
        return self.id.split("/")[0]

    @property
    def message(self) -> str:
        return self.id.split("/")[1]


def cases_of(spec: Spec, play: Play, kind: Kind, segments: Sequence[Segment]) -> list[Case]:
    """A play as cases, one for each of the wanted ways to cut its octets."""
    return [
        Case(
            id=play.id,
            title=play.title,
            rules=play.rules,
            level=level_of(spec, play.rules),
            kind=kind,
            play=play,
            of=play.of,
            segment=segment,
            lane=play.lane,
            profile=play.profile,
            doc=play.doc,
            mistakes=play.mistakes,
        )
        for segment in segments
        if segment in play.segments or (segment == "random" and play.segments == SEGMENTS)
    ]


def unaskable(spec: Spec) -> Iterator[Case]:
    """What a spec says of servers and no case can bring about, each with the reason."""
    for state, row in spec.outcomes():
        if row.fails is not None:
            title = f"{row.verb} is refused with {row.fails} when its slow work fails"
            reason = "from outside nobody can make a server's slow work fail"
            yield _unaskable(spec, f"{state}/{row.verb}/{row.fails}", title, row.rule, row.profile, reason)
    for relation in spec.relations.values():
        rule = relation.rule or next((row.rule for _, row in spec.outcomes() if row.adds_to(relation.name)), None)
        if relation.overflow is not None and rule is not None:
            title = f"a user that does not read falls out of {relation.name}"
            reason = "how much the systems on both sides hold for a user that does not read is not known"
            id_ = f"{spec.initial}/OVERFLOW/{relation.name}"
            yield _unaskable(spec, id_, title, rule, relation.profile, reason)


def _unaskable(spec: Spec, id_: str, title: str, rule: str, profile: str, reason: str) -> Case:
    return Case(id_, title, (rule,), level_of(spec, (rule,)), "cell", profile=profile, reason=reason)


def level_of(spec: Spec, rules: Iterable[str]) -> str:
    """The level of a case that shows these rules: SHOULD if one of them is, since it fails for want of that one too."""
    levels = [spec.rules[rule].level for rule in rules]
    return next(level for level in ("SHOULD", "MUST", "MAY") if level in levels)
