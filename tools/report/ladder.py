"""A ladder diagram: both ends of a chat and the server between them, with TCP's and the chat's line of each packet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tools.vocabulary import Vocabulary

from .analysis.calls import Call
from .analysis.connections import Connection
from .document import bracketed, plural, shortened
from .drawing import ACCENT, FAINT, GREEN, INK, RED, RULE, Drawing
from .findings import Findings
from .packets import ACK, FIN, RST, SYN, Line, Packet

_WIDTH, _LEFT, _RIGHT, _FRAME, _TIME = 700, 152, 640, 36, 98
_SMALL, _TEXT = 10.2, 11  # sizes of letters; on paper, where the drawing is 166 mm wide, 6.9 and 7.4 points
_MOST = 1800  # pixels of a diagram: two to three pages
_TALL, _LOW, _LINE_STEP = 34, 24, 13
_WORDS = 34  # characters of a line that fit between two lifelines, with a margin


@dataclass(slots=True)
class DiagramRow:
    """A packet in the diagram, or `skipped` packets that are left out."""

    packet: Packet | None
    connection: Connection | None
    skipped: int = 0


def ladder(findings: Findings, chat: Call) -> list[str]:
    """The diagram of one chat in strips that stand one below the other: its head, and one for each row."""
    ends = [findings.by_stream[stream] for stream in _ends(findings, chat)]
    strips = [_head(ends)]
    for row in _rows(ends, chat, findings.words):
        sheet = _strip(_height(row.packet))
        _draw(sheet, row, ends, findings)
        strips.append(sheet.svg())
    return strips


def _strip(height: float) -> Drawing:
    """A sheet of this height, with the lifelines of the three ends behind what will be drawn."""
    sheet = Drawing(_WIDTH)
    for x in (_LEFT, _middle(), _RIGHT):
        sheet.line(x, 0, x, height, RULE, 1.2)
    return sheet


def _ends(findings: Findings, chat: Call) -> list[int]:
    """The caller's stream first."""
    return sorted(chat.streams, key=lambda stream: findings.by_stream[stream].name != chat.caller)[:2]


def _rows(ends: Sequence[Connection], chat: Call, words: Vocabulary) -> list[DiagramRow]:
    """What is shown: everything if it is little; else the beginning, the chat and the end, without bare ACKs."""
    packets = sorted(
        ((packet, connection) for connection in ends for packet in connection.packets), key=lambda pair: pair[0].number
    )
    shown = [packet for packet, _ in packets]
    if _tall(shown) > _MOST:
        opening = {packet.number for connection in ends for packet in _opening(connection)}
        shown = [packet for packet in shown if packet.number in opening or _matters(packet, chat, words)]
    if _tall(shown) > _MOST:
        shown = [*_within(_MOST * 2 / 3, shown), *_within(_MOST / 3 - _LOW, reversed(shown))]
    wanted = {packet.number for packet in shown}
    rows: list[DiagramRow] = []
    for packet, connection in packets:
        if packet.number in wanted:
            rows.append(DiagramRow(packet, connection))
        elif packet.payload and rows and rows[-1].packet is None:
            rows[-1].skipped += 1
        elif packet.payload:
            rows.append(DiagramRow(None, None, 1))
    return rows


def _opening(connection: Connection) -> list[Packet]:
    """The segments up to the third one of the handshake, or the first three."""
    last = connection.handshake.ack if connection.handshake else connection.packets[:3][-1].number
    return [packet for packet in connection.packets if packet.number <= last]


def _tall(packets: Sequence[Packet]) -> float:
    return sum(map(_height, packets))


def _within(height: float, packets: Iterable[Packet]) -> Iterator[Packet]:
    """The first packets, as many as are not higher together."""
    for packet in packets:
        height -= _height(packet)
        if height < 0:
            return
        yield packet


def _matters(packet: Packet, chat: Call, words: Vocabulary) -> bool:
    """Whether a packet belongs to the chat, or to the beginning or the end of a connection."""
    if packet.has(SYN) or packet.has(FIN) or packet.has(RST):
        return True
    return any(
        line.talk == chat.number or line.request in (words.name, words.call, words.quit) for line in packet.lines
    )


def _head(ends: Sequence[Connection]) -> str:
    sheet = Drawing(_WIDTH)
    heads = [(_LEFT, ends[0].who, bracketed(ends[0].client)), (_middle(), "server", bracketed(ends[0].server))]
    if len(ends) > 1:
        heads.append((_RIGHT, ends[1].who, bracketed(ends[1].client)))
    for x, name, address in heads:
        sheet.text(x, 14, shortened(name, _WORDS), 13, INK, "middle", bold=True)
        sheet.text(x, 28, shortened(address, _WORDS), _SMALL, FAINT, "middle")
    sheet.text(_FRAME, 41, "frame", _SMALL, FAINT, "end")
    sheet.text(_TIME, 41, "seconds", _SMALL, FAINT, "end")
    sheet.height = 46
    return sheet.svg()


def _middle() -> float:
    return (_LEFT + _RIGHT) / 2


def _height(packet: Packet | None) -> float:
    """The height of a packet's row, or of one for packets that are left out."""
    shown = len(_shown(packet.lines)) if packet is not None else 0
    return _TALL + max(0, shown - 1) * _LINE_STEP if shown else _LOW


def _shown(lines: Sequence[Line]) -> list[str]:
    """The chat's lines of a packet; of many, the first and the last."""
    words = [line.whole for line in lines]
    if len(words) > 4:
        words = [*words[:2], f"… {len(words) - 3} more …", words[-1]]
    return words


def _draw(sheet: Drawing, row: DiagramRow, ends: Sequence[Connection], findings: Findings) -> None:
    bottom = sheet.height
    if row.packet is None:
        omitted = f"{plural(row.skipped, 'segment')} with payload omitted"
        sheet.text(_middle(), 15, omitted, _SMALL, FAINT, "middle", background="#ffffff")
        sheet.height = bottom
        return
    packet, connection = row.packet, row.connection
    end = _LEFT if connection is ends[0] else _RIGHT
    start, stop = (end, _middle()) if packet.from_client else (_middle(), end)
    centre = (start + stop) / 2
    words = _shown(packet.lines)
    arrow = bottom - 15
    for index, text in enumerate(words):
        colour = ACCENT if packet.from_client else GREEN
        base = arrow - 4 - (len(words) - 1 - index) * _LINE_STEP
        sheet.text(centre, base, shortened(text, _WORDS), _TEXT, colour, "middle", True)
    colour = RED if packet.has(RST) or packet.number in findings.marked else INK if words else FAINT
    sheet.arrow(start, stop, arrow, colour)
    sheet.text(centre, arrow + 10.5, _transport(packet), _SMALL, RED if colour == RED else FAINT, "middle")
    sheet.text(_FRAME, arrow + 3.5, str(packet.number), _SMALL, INK, "end")
    sheet.text(_TIME, arrow + 3.5, f"{packet.time - findings.start:.4f}", _SMALL, FAINT, "end")
    sheet.height = bottom


def _transport(packet: Packet) -> str:
    """TCP's line: flags and numbers, relative as Wireshark shows them."""
    words = f"{packet.flag_words} seq {packet.seq}"
    if packet.has(ACK):
        words += f" ack {packet.ack}"
    return words + (f" len {packet.payload}" if packet.payload else "")
