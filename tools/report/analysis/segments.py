"""Which segments make which frames of the chat: positions in the stream, from tcp.seq, tcp.len, line lengths."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tools.report.packets import Line, Packet

from .connections import Connection
from .coverage import Coverage
from .holes import holes
from .transport import data


@dataclass(slots=True)
class Placed:
    """A line with its place in one direction's stream (relative sequence numbers) and the segments that carry it."""

    line: Line
    start: int
    end: int
    frames: tuple[int, ...]


@dataclass(slots=True)
class Direction:
    """One direction of a connection. `segments` are those that brought something new, `lines` in their order."""

    connection: Connection
    from_client: bool
    segments: list[Packet]
    lines: list[Placed]
    certain: bool

    @property
    def sender(self) -> str:
        """`client` or `server`."""
        return "client" if self.from_client else "server"

    @property
    def name(self) -> str:
        """`alice → server`, `server → alice`."""
        return self.connection.direction(from_client=self.from_client)

    @property
    def spanning(self) -> list[Placed]:
        """The lines that came in more than one segment."""
        return [placed for placed in self.lines if len(placed.frames) > 1]

    def complete_in(self) -> Counter[int]:
        """How many lines are complete in each frame."""
        return Counter(placed.line.number for placed in self.lines)

    @property
    def most_in_one(self) -> int:
        """The most lines that are complete in one segment."""
        return max(self.complete_in().values(), default=0)

    @property
    def sharing(self) -> int:
        """How many lines are complete in a segment together with others."""
        return sum(count for count in self.complete_in().values() if count > 1)


def directions(connection: Connection) -> list[Direction]:
    """Both directions of a connection that carry lines."""
    found = [_direction(connection, from_client=side) for side in (True, False)]
    return [direction for direction in found if direction.lines]


def _direction(connection: Connection, *, from_client: bool) -> Direction:
    segments = _new(data(connection.packets, from_client=from_client))
    lines = [line for line in connection.lines if line.from_client == from_client]
    missing = [(hole.start, hole.start + hole.octets) for hole in holes(connection.packets, from_client=from_client)]
    placed, certain = _place(lines, segments, missing)
    return Direction(connection, from_client, segments, placed, certain)


def _new(packets: Sequence[Packet]) -> list[Packet]:
    """The packets that carry octets which no packet before them carried, by their place in the stream."""
    seen = Coverage()
    kept = [packet for packet in packets if seen.add(packet.seq, packet.seq + packet.payload)]
    return sorted(kept, key=lambda packet: (packet.seq, packet.number))


def _place(
    lines: Sequence[Line], segments: Sequence[Packet], missing: Sequence[tuple[int, int]]
) -> tuple[list[Placed], bool]:
    """Counts the lines' lengths along the stream, and looks up which segments lie there.

    Behind octets that are missing, the count begins anew.
    """
    if not segments or not lines:
        return [], False
    starts = [packet.seq for packet in segments]
    position = segments[0].seq
    placed = []
    certain = True
    last_of = {packet.number: packet.seq + packet.payload for packet in segments}
    holes_left = list(missing)
    for line in lines:
        while (
            holes_left and position + line.length > holes_left[0][0] and last_of.get(line.number, 0) > holes_left[0][1]
        ):
            position = max(position, holes_left.pop(0)[1])
        end = position + line.length
        frames = []
        index = max(0, bisect_right(starts, position) - 1)
        while index > 0 and segments[index - 1].seq + segments[index - 1].payload > position:
            index -= 1
        while index < len(segments) and segments[index].seq < end:
            if segments[index].seq + segments[index].payload > position:
                frames.append(segments[index].number)
            index += 1
        certain = certain and bool(frames) and line.number >= max(frames, default=0)
        placed.append(Placed(line, position, end, tuple(sorted(set(frames)))))
        position = end
    return placed, certain
