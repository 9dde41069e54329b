"""Small segments: whether a sender waits for acknowledgements before the next one, as Nagle's algorithm does."""

from __future__ import annotations

from tools.report.analysis.segments import Direction
from tools.report.document import Column, Paragraph, Section, Table, first_of, numbers
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.packets import Packet

_SHOWN = 16
_TIMESTAMPS = 12  # octets of the option in every segment, with padding


def sections(findings: Findings) -> list[Section]:
    """The directions in which small segments followed each other, or lines shared a segment."""
    directions = [(one, _early(one)) for one in findings.directions]
    directions = [(one, frames) for one, frames in directions if frames or one.most_in_one > 1]
    if not directions:
        return []
    return [
        Section(
            "Small segments and Nagle's algorithm",
            [
                Paragraph(
                    "Nagle's algorithm (RFC 896) delays a small segment while earlier data is unacknowledged, and "
                    "collects later writes in it. A sender with TCP_NODELAY sends each write at once. So a small "
                    "segment sent while an earlier small one is unacknowledged shows that the algorithm is off; many "
                    "lines in one segment were written together, or were delayed."
                ),
                _table(directions),
            ],
            2,
        )
    ]


def _early(direction: Direction) -> list[int]:
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


def _table(directions: list[tuple[Direction, list[int]]]) -> Table:
    shown = sorted(directions, key=lambda pair: -max(len(pair[1]), *pair[0].complete_in().values()))[:_SHOWN]
    rows = []
    for one, frames in shown:
        number, most = one.complete_in().most_common(1)[0]
        rows.append(
            (
                str(one.connection.stream),
                one.name,
                str(len(one.lines)),
                str(len(one.segments)),
                str(len(frames)),
                f"{most} (frame {number})",
                "off" if frames else "unknown",
            )
        )
    return Table(
        f"Small segments{first_of(shown, directions)}: those sent before the previous one was acknowledged, and the "
        "most lines in one segment. The frames listed are those sent before the acknowledgement",
        (
            Column("Stream", "right"),
            Column("Direction"),
            *numbers("Lines", "Segments", "Before the ACK", "Most lines in one"),
            Column("Nagle's algorithm"),
        ),
        rows,
        Evidence.frames_alone(frame for _, frames in shown for frame in frames)
        if any(pair[1] for pair in shown)
        else None,
        small=True,
    )
