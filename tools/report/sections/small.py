"""Small segments: whether a sender waits for acknowledgements before the next one, as Nagle's algorithm does."""

from __future__ import annotations

from tools.report.analysis.segments import Direction
from tools.report.document import Block, Column, Paragraph, Section, Table
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.packets import Packet

_SHOWN = 16
_TIMESTAMPS = 12  # octets of the option in every segment, with padding


def small(findings: Findings) -> list[Section]:
    """The directions in which small segments followed each other, or lines shared a segment."""
    ways = [(one, early(one)) for one in findings.directions]
    ways = [(one, frames) for one, frames in ways if frames or max(one.complete_in().values(), default=0) > 1]
    if not ways:
        return []
    blocks: list[Block] = [
        Paragraph(
            "Nagle's algorithm (RFC 896) holds a small segment back while another one is unacknowledged, and puts "
            "what is "
            "written meanwhile into one segment. A sender that has set TCP_NODELAY sends each write at once. So a "
            "small "
            "segment that follows an unacknowledged small one tells that the algorithm is off; many lines in one "
            "segment "
            "tell that they were written at once, or that they have waited."
        ),
        _table(ways),
    ]
    return [Section("Small segments and Nagle's algorithm", blocks, 2)]


def early(direction: Direction) -> list[int]:
    """The frames of small segments that were sent while a small one before them was unacknowledged."""
    shake = direction.connection.handshake
    full = 0
    if shake is not None:
        receiver = shake.server if direction.from_client else shake.client
        full = (receiver.mss or 0) - (_TIMESTAMPS if shake.client.timestamps and shake.server.timestamps else 0)
    found = []
    before: Packet | None = None
    for packet in sorted(direction.segments, key=lambda packet: packet.number):
        waiting = packet.in_flight is not None and packet.in_flight > packet.payload
        if waiting and before is not None and before.payload < full and packet.payload < full:
            found.append(packet.number)
        before = packet
    return found


def _table(ways: list[tuple[Direction, list[int]]]) -> Table:
    shown = sorted(ways, key=lambda way: -max(len(way[1]), *way[0].complete_in().values()))[:_SHOWN]
    rows = []
    for one, frames in shown:
        number, most = one.complete_in().most_common(1)[0]
        rows.append(
            (
                str(one.connection.stream),
                f"{one.connection.who} → server" if one.from_client else f"server → {one.connection.who}",
                str(len(one.lines)),
                str(len(one.segments)),
                str(len(frames)),
                f"{most} (frame {number})",
                "off" if frames else "not to be told",
            )
        )
    more = f" (the first {len(shown)} of {len(ways)})" if len(ways) > len(shown) else ""
    return Table(
        f"Small segments{more}: those that did not wait for an acknowledgement, and the most lines in one segment. The "
        "frames are those that did not wait",
        (
            Column("Stream", "right"),
            Column("Direction"),
            Column("Lines", "right"),
            Column("Segments", "right"),
            Column("Did not wait", "right"),
            Column("Most lines in one", "right"),
            Column("Nagle's algorithm"),
        ),
        rows,
        Evidence.frames_alone(frame for _, frames in shown for frame in frames)
        if any(way[1] for way in shown)
        else None,
        small=True,
    )
