"""The main figures of a chat, each with whether what the capture lacks can change it. Knows no TCP and no text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tools.report.packets import Line

from .calls import Call, Said
from .session import Requests

_REFUSED_WITHIN = 1.0  # seconds before the capture's end in which a line may not have been answered yet


@dataclass(frozen=True, slots=True)
class Count:
    """A figure: as the capture shows it, and whether it is exact or a lower bound for the time of the capture."""

    value: int
    exact: bool = True

    def __str__(self) -> str:
        return f"{self.value:,}" if self.exact else f"≥ {self.value:,}"

    @property
    def words(self) -> str:
        """`15`, `at least 15`: within a sentence."""
        return f"{self.value:,}" if self.exact else f"at least {self.value:,}"


@dataclass(frozen=True, slots=True)
class Lacks:
    """The streams of which something is missing: of what the client says, of what the server says, or the end."""

    clients: frozenset[int]
    servers: frozenset[int]
    open: frozenset[int]

    @property
    def said(self) -> frozenset[int]:
        return self.clients | self.servers


@dataclass(frozen=True, slots=True)
class Counts:
    """All counts are of the connections that are in the capture; of others it tells nothing."""

    people: Count
    connections: Count
    calls: Count
    chats: Count
    text: Count
    lines: Count
    violations: Count
    sent: dict[str, Count]
    granted: dict[str, Count]
    refused: dict[str, Count]


def counts(
    lines: Sequence[Line],
    calls: Sequence[Call],
    unplaced: Sequence[Line],
    requests: Sequence[Requests],
    unnamed: Collection[int],
    people: Collection[str],
    connections: Count,
    lacks: Lacks,
    end: Decimal,
) -> Counts:
    """`unnamed`: the streams without a name. `people`: the names that are known. `end`: the time of the last packet."""
    every = not lacks.said and not lacks.open
    asked = not lacks.clients and not lacks.open
    said = [line for call in calls for line in call.said]
    taken = [line for line in said if not _may_be_refused(line, lacks, end)]
    both = all(len(call.streams) == 2 for call in calls)
    return Counts(
        people=Count(len(people), not (lacks.said | lacks.open) & set(unnamed)),
        connections=connections,
        calls=Count(sum(call.perhaps is None for call in calls), every),
        chats=Count(len({call.perhaps or call.number for call in calls if call.answered is not None}), every),
        text=Count(len(taken), asked and both and len(taken) == len(said) and not unplaced),
        lines=Count(sum(line.kind != "fragment" for line in lines), every),
        violations=Count(sum(bool(line.violation) for line in lines), every),
        sent={each.verb: Count(each.sent, asked) for each in requests},
        granted={each.verb: Count(each.granted, every) for each in requests},
        refused={each.verb: Count(each.refused, every) for each in requests},
    )


def spoken(call: Call, who: str, streams: Collection[int], lacks: Lacks) -> Count:
    """How many lines one end of a call has sent. `streams`: its own, or none if the capture lacks its connection."""
    lost = lacks.clients | lacks.servers | lacks.open
    return Count(
        len(call.by(who)), (bool(streams) and not lost & set(streams)) or (call.over is not None and not lacks.said)
    )


def _may_be_refused(line: Said, lacks: Lacks, end: Decimal) -> bool:
    """Whether a line has not come out at the partner, and its refusal may be in what the capture lacks."""
    late = line.stream in lacks.open and end - line.time < _REFUSED_WITHIN
    return line.delivered is None and (line.stream in lacks.servers or late)
