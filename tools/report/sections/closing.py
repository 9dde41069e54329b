"""How the connections ended: FIN or RST, and by whom."""

from __future__ import annotations

from tools.report.analysis.connections import Connection
from tools.report.document import Block, Column, Paragraph, Section, Table, numbers
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.packets import ACK, FIN, RST, SYN

_SHOWN = 40
_SEGMENTS = 8


def sections(findings: Findings) -> list[Section]:
    """The ends of the connections."""
    shown = findings.connections[:_SHOWN]
    rows = [
        (
            str(one.stream),
            one.who,
            one.close.words,
            ", ".join(f"{frame} ({side})" for frame, side in one.close.fins) or "–",
            ", ".join(f"{frame} ({side})" for frame, side in one.close.resets[:3]) or "–",
            one.lines[-1].whole[:28] if one.lines else "–",
        )
        for one in shown
    ]
    blocks: list[Block] = [
        Paragraph(
            "Each direction of a connection is closed separately: a FIN says that its sender has no more data, "
            "consumes one sequence number, and is acknowledged. The endpoint that closes first stays in TIME-WAIT for "
            "a while, so that late segments are not taken for those of a new connection. A RST aborts both directions "
            "at once; data in flight is lost."
        ),
        Table(
            "Connection termination: frames with FIN and RST, and the last line of the chat before them",
            (
                Column("Stream", "right"),
                Column("Who"),
                Column("How", share=1.2),
                Column("FIN", share=0.8),
                Column("RST", share=0.6),
                Column("Last line", code=True, share=1.2),
            ),
            rows,
            findings.ends,
            small=True,
        ),
    ]
    for how in ("fin", "reset", "refused"):
        one = next((one for one in findings.connections if one.close.how == how), None)
        if one is not None:
            blocks.append(_detail(one))
    return [Section("Closing the connections", blocks)]


def _detail(one: Connection) -> Table:
    """The segments from the first FIN or RST on."""
    assert one.close.first is not None
    first = min(one.close.first, one.packets[0].number) if one.close.how == "refused" else one.close.first
    last = [packet for packet in one.packets if packet.number >= first]
    rows = [
        (
            str(packet.number),
            f"{packet.time - last[0].time:.6f}",
            packet.direction,
            packet.flag_words,
            str(packet.seq),
            str(packet.ack) if packet.has(ACK) else "–",
            _meaning(packet.flags, packet.payload),
        )
        for packet in last[:_SEGMENTS]
    ]
    return Table(
        f"The end of stream {one.stream} ({one.who}): {one.close.words}. Time in seconds since the first of these "
        "segments",
        (
            *numbers("Frame", "Time"),
            Column("Direction"),
            Column("Flags"),
            *numbers("Seq", "Ack"),
            Column("Meaning", share=1),
        ),
        rows,
        Evidence.showing(f"tcp.stream == {one.stream} && frame.number >= {first}", last),
    )


def _meaning(flags: int, payload: int) -> str:
    if flags & RST:
        return "aborts the connection"
    if flags & FIN:
        return "no more data from this sender"
    if flags & SYN:
        return "asks for a connection"
    return f"{payload} octets of payload" if payload else "acknowledges what came before, including a FIN"
