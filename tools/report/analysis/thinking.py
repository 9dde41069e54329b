"""Think times: how long a user takes for the next line after one of the partner.

The time begins when the partner's line passes the capture point towards the user, and ends with the first segment of
the user's own line. Where octets of that connection were sent again, came late or are missing in between, TCP may have
taken that time, so nothing is measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tools.report.packets import Packet

from .calls import Call, Said
from .gaps import Gaps
from .segments import Direction
from .transport import Spread, round_trips

_REPAIRS = ("retransmission", "out of order", "late", "gap")


@dataclass(frozen=True, slots=True)
class Thought:
    """A line that follows one of the partner, and the seconds between them.

    `frame` is the first one of the user's line, `since` that in which the partner's line was complete. `repairs`: the
    packets in between that were sent again or late. `missing`: packets in between may be missing in the capture.
    """

    line: Said
    frame: int
    since: int
    took: Decimal
    repairs: tuple[Packet, ...] = ()
    missing: bool = False

    @property
    def disturbed(self) -> bool:
        """Whether something else than the user may have taken that time."""
        return self.missing or bool(self.repairs)


def thoughts(calls: Iterable[Call], directions: Sequence[Direction], gaps: Sequence[Gaps]) -> list[Thought]:
    """All think times, in the order of the calls and of their lines."""
    begun = _beginnings(directions)
    by_stream = {gap.connection.stream: gap for gap in gaps}
    return [found for call in calls for found in _of_call(call, begun, by_stream)]


def _beginnings(directions: Sequence[Direction]) -> dict[tuple[int, int, str], Packet]:
    """The segment with the first octet of each line of a client, by stream, frame and text."""
    found: dict[tuple[int, int, str], Packet] = {}
    for direction in directions:
        if direction.from_client:
            segments = {packet.number: packet for packet in direction.segments}
            for placed in direction.lines:
                text = placed.line.whole.partition(" ")[2]
                first = segments.get(min(placed.frames, default=-1))
                if first is not None:
                    found.setdefault((placed.line.stream, placed.line.number, text), first)
    return found


def _of_call(call: Call, begun: Mapping[tuple[int, int, str], Packet], gaps: Mapping[int, Gaps]) -> Iterable[Thought]:
    """For each end of a call what it got and what it said, in the order of its connection."""
    for stream in dict.fromkeys(said.stream for said in call.said):
        events: list[tuple[Decimal, int, Said | None]] = []
        for said in call.said:
            if said.stream == stream:
                first = begun.get((stream, said.frame, said.words))
                events.append((said.time, said.frame, said) if first is None else (first.time, first.number, said))
            elif said.arrived is not None and said.delivered is not None:
                events.append((said.arrived, said.delivered, None))
        heard: tuple[Decimal, int] | None = None
        for time, frame, own in sorted(events, key=lambda event: event[:2]):
            if own is None:
                heard = (time, frame)
            elif heard is not None:
                yield _thought(own, frame, time, heard, gaps[stream])
                heard = None


def _thought(line: Said, frame: int, time: Decimal, heard: tuple[Decimal, int], gap: Gaps) -> Thought:
    since, after = heard[1], max(frame, line.frame)
    repairs = [
        event.packet
        for event in gap.connection.events
        if event.kind in _REPAIRS and since < event.packet.number <= after
    ]
    missing = any(gap.may_lack(since, after, from_client=side) for side in (True, False))
    return Thought(line, frame, since, time - heard[0], tuple(repairs), missing)


def longer_than_the_path(found: Iterable[Thought], gaps: Sequence[Gaps]) -> tuple[int, Decimal | None]:
    """How many think times exceed every acknowledgement of the same client, and the longest of these in seconds."""
    most: dict[int, Decimal] = {}
    for gap in gaps:
        spread: Spread | None = round_trips(gap.connection, by_client=True)
        if spread is not None:
            most[gap.connection.stream] = spread.most
    known = [one for one in found if one.line.stream in most]
    longest = max((most[one.line.stream] for one in known), default=None)
    return sum(one.took > most[one.line.stream] for one in known), longest
