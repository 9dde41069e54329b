"""Which segments make which frames of the chat: positions in the stream, from tcp.seq, tcp.len and line lengths.

Where a line ends is seen in the octets of the payload. Wireshark shows a line in the frame in which it can read it,
which is a later one when octets before the line were missing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tools.report.packets import ACK, Line, Packet

from .connections import Connection
from .coverage import Coverage
from .holes import holes
from .transport import data


@dataclass(frozen=True, slots=True)
class Piece:
    """Octets that a segment was the first to bring: relative sequence numbers from `start` up to `end`."""

    packet: Packet
    start: int
    end: int

    @property
    def octets(self) -> int:
        return self.end - self.start

    @property
    def line_ends(self) -> list[int]:
        """The sequence numbers of the line ends among them."""
        places = (self.packet.first + offset for offset in self.packet.line_ends)
        return [place for place in places if self.start <= place < self.end]


@dataclass(frozen=True, slots=True)
class Placed:
    """A line with its place in one direction's stream (relative sequence numbers) and its part of each segment.

    `certain`: its last octet is a line end, or the last one of the capture, and Wireshark does not show it earlier.
    """

    line: Line
    start: int
    end: int
    parts: tuple[Piece, ...]
    certain: bool

    @property
    def frames(self) -> tuple[int, ...]:
        """The frames of its segments, in the order of the capture."""
        return tuple(sorted({part.packet.number for part in self.parts}))

    @property
    def ends_in(self) -> int:
        """The frame with its last octet."""
        return self.parts[-1].packet.number


@dataclass(frozen=True)
class Filler:
    """A segment that filled a gap: the lines that end in it, and those in earlier frames that waited for it."""

    direction: Direction
    packet: Packet
    own: list[Placed]
    waiting: list[Placed]


@dataclass
class Direction:
    """One direction of a connection. `pieces` are in the order of the stream, `lines` in that of the capture."""

    connection: Connection
    from_client: bool
    pieces: list[Piece]
    lines: list[Placed]

    @property
    def certain(self) -> bool:
        """Whether the place of every line is."""
        return bool(self.lines) and all(placed.certain for placed in self.lines)

    @cached_property
    def segments(self) -> list[Packet]:
        """The segments that brought something new, in the order of the stream."""
        return list({piece.packet.number: piece.packet for piece in self.pieces}.values())

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
        return [placed for placed in self.lines if placed.certain and len(placed.frames) > 1]

    @cached_property
    def ends(self) -> Counter[int]:
        """How many lines end in each frame, in octets that it was the first to bring."""
        found: Counter[int] = Counter()
        for piece in self.pieces:
            found[piece.packet.number] += len(piece.line_ends)
        return found

    @property
    def most_in_one(self) -> int:
        """The most lines that end in one segment."""
        return max(self.ends.values(), default=0)

    @property
    def sharing(self) -> int:
        """How many lines end in a segment in which others end as well."""
        return sum(count for count in self.ends.values() if count > 1)

    @property
    def fillers(self) -> list[Filler]:
        """The segments that lines from earlier frames waited for, in the order of the capture."""
        ready: dict[int, list[Placed]] = {}
        for placed in self.lines:
            if placed.certain:
                ready.setdefault(placed.line.number, []).append(placed)
        first = {piece.packet.number: piece for piece in reversed(self.pieces)}
        found = []
        for number, lines in ready.items():
            waiting = [placed for placed in lines if placed.ends_in < number]
            piece = first.get(number)
            if waiting and piece is not None and piece.start < waiting[-1].start and not self._had(piece):
                own = [placed for placed in lines if placed.ends_in == number]
                found.append(Filler(self, piece.packet, own, waiting))
        return found

    def _had(self, piece: Piece) -> bool:
        """Whether the receiver had acknowledged these octets before: then they were missing in the capture alone."""
        return any(
            packet.number < piece.packet.number and packet.has(ACK) and packet.acknowledged > piece.start
            for packet in self.connection.packets
            if packet.from_client != self.from_client
        )


def directions(connection: Connection) -> list[Direction]:
    """Both directions of a connection that carry lines."""
    found = [_direction(connection, from_client=side) for side in (True, False)]
    return [direction for direction in found if direction.lines]


def _direction(connection: Connection, *, from_client: bool) -> Direction:
    pieces = _pieces(data(connection.packets, from_client=from_client))
    lines = [line for line in connection.lines if line.from_client == from_client]
    missing = [(hole.start, hole.start + hole.octets) for hole in holes(connection.packets, from_client=from_client)]
    return Direction(connection, from_client, pieces, _place(lines, pieces, missing))


def _pieces(packets: Sequence[Packet]) -> list[Piece]:
    """The octets that each packet was the first to bring, by their place in the stream."""
    seen = Coverage()
    found: list[Piece] = []
    for packet in packets:
        first, after = packet.first, packet.first + packet.payload
        new = seen.count_missing(first, after)
        if new:
            spans = [(first, after)] if new == packet.payload else seen.missing(first, after)
            found += [Piece(packet, start, end) for start, end in spans]
            seen.add(first, after)
    return sorted(found, key=lambda piece: piece.start)


def _place(lines: Sequence[Line], pieces: Sequence[Piece], missing: Sequence[tuple[int, int]]) -> list[Placed]:
    """Counts the lines' lengths along the stream, and looks up which segments lie there.

    Behind octets that are missing, the count begins anew.
    """
    if not pieces:
        return []
    starts, ends = [piece.start for piece in pieces], {end + 1 for piece in pieces for end in piece.line_ends}
    ends.add(pieces[-1].end)  # what is too long may have no ending
    last_of = {piece.packet.number: piece.end for piece in pieces}
    position = pieces[0].start
    placed = []
    holes_left = list(missing)
    for line in lines:
        while (
            holes_left and position + line.length > holes_left[0][0] and last_of.get(line.number, 0) > holes_left[0][1]
        ):
            position = max(position, holes_left.pop(0)[1])
        end = position + line.length
        inside = pieces[max(0, bisect_right(starts, position) - 1) : bisect_left(starts, end)]
        parts = tuple(
            Piece(piece.packet, max(piece.start, position), min(piece.end, end))
            for piece in inside
            if piece.end > position
        )
        shown = bool(parts) and line.number >= max(part.packet.number for part in parts)
        placed.append(Placed(line, position, end, parts, shown and end in ends))
        position = end
    return placed
