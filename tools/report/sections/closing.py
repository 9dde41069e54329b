"""How the connections ended: FIN or RST, by whom, with how many segments, and TCP's states meanwhile."""

from __future__ import annotations

from tools.report.analysis.connections import Connection
from tools.report.analysis.tcp_states import Closing, Step, arrivals, closing, steps
from tools.report.document import (
    Block,
    Column,
    Paragraph,
    Section,
    Table,
    first_of,
    numbers,
    plural,
    seconds,
    shortened,
)
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.packets import ACK, FIN, RST, SYN, Packet

_SHOWN = 200
_SEGMENTS = 8
_SEGMENT_COUNT = {"combined": "3", "separate": "4", "simultaneous": "4"}


def sections(findings: Findings) -> list[Section]:
    """The ends of the connections."""
    closed = {one.stream: closing(one.packets) for one in findings.connections}
    blocks: list[Block] = [
        Paragraph(
            "Each direction of a connection is closed separately: a FIN says that its sender has no more data, "
            "consumes one sequence number, and is acknowledged. The endpoint that closes first ends in TIME-WAIT: for "
            "twice the maximum segment lifetime (RFC 9293; Linux: 60 s) it keeps the connection's four values, to "
            "acknowledge a FIN that is sent again and to keep late segments out of a new connection. A RST aborts "
            "both directions at once; data on the way may be lost."
        ),
        Paragraph(
            "An ordinary close has four segments. The first FIN takes its sender from ESTABLISHED to FIN-WAIT-1. Its "
            "acknowledgement takes that end to FIN-WAIT-2, where it waits for the other end, which is in CLOSE-WAIT "
            "and may still send. The other end's FIN takes that one to LAST-ACK and the first one to TIME-WAIT; the "
            "last acknowledgement ends the connection. When the other end closes at once, the second and the third "
            "segment are one, so there are three, and FIN-WAIT-2 is passed within that segment. When both ends close "
            "before either FIN has arrived, both pass CLOSING instead."
        ),
        *_segments(findings, closed),
        _table(findings, closed),
    ]
    examples = _examples(findings, closed)
    if examples:
        blocks.append(
            Paragraph(
                f"{'An example' if len(examples) == 1 else 'An example of each way to end'}, segment by segment. The "
                "time is in seconds since the first of these segments. Client and server: TCP's state once the "
                "segment was sent and has arrived, inferred (“=” means no change). Where a later segment shows that "
                "it had not arrived yet, the receiver's change stands there:"
            )
        )
    blocks += [_detail(one, closed[one.stream]) for one in examples]
    return [Section("Closing the connections", blocks)]


def _segments(findings: Findings, closed: dict[int, Closing | None]) -> list[Block]:
    """Why a close has three segments or four, each shown on its first example."""
    blocks: list[Block] = []
    by_how: dict[str, list[tuple[Connection, Closing]]] = {}
    for one in findings.connections:
        found = closed[one.stream]
        if found is not None:
            by_how.setdefault(found.how, []).append((one, found))
    for how in ("combined", "separate", "simultaneous"):
        same = by_how.get(how)
        if same:
            one, found = same[0]
            words = f"{plural(len(same), 'connection')} closed with {_words(how, one, found)}"
            blocks.append(Paragraph(words, Evidence.frames_alone(found.frames)))
    if by_how and "separate" not in by_how:
        words = "No connection in this capture closed with four segments one after the other"
        if not any(
            "FIN-WAIT-2" in step.client + step.server for one in findings.connections for step in steps(one.packets)
        ):
            words += ", and no end is seen to wait in FIN-WAIT-2"
        blocks.append(Paragraph(f"{words}.", _closes(by_how)))
    return blocks


def _closes(by_how: dict[str, list[tuple[Connection, Closing]]]) -> Evidence:
    """The frames of all of these."""
    return Evidence.frames_alone(frame for same in by_how.values() for _, found in same for frame in found.frames)


def _words(how: str, one: Connection, found: Closing) -> str:
    first, second = (found.first.number, found.second.number)
    other = found.second.sender
    if how == "combined":
        return (
            f"three segments. In stream {one.stream}, frame {second} is the acknowledgement of the FIN in frame "
            f"{first} and the {other}'s own FIN in one: the {other}'s program had closed its socket, or ended, before "
            "TCP sent an acknowledgement alone, which it may delay (RFC 1122: by less than 500 ms)."
        )
    if how == "separate":
        return (
            f"four segments. In stream {one.stream}, frame {found.acknowledged.number} acknowledges the FIN in frame "
            f"{first}, and the {other}'s own FIN came {seconds(found.waited)} later, in frame {second}: its program "
            f"had not closed its socket yet. Meanwhile the connection was half-closed: the {other} in CLOSE-WAIT, the "
            f"{found.first.sender} in FIN-WAIT-2."
        )
    return (
        f"four segments since both ends closed at the same time. In stream {one.stream}, the FIN in frame {second} "
        f"does not acknowledge the one in frame {first}: it was sent before that one had arrived. Both ends go from "
        "FIN-WAIT-1 to CLOSING when the other's FIN arrives, and to TIME-WAIT when their own is acknowledged."
    )


def _table(findings: Findings, closed: dict[int, Closing | None]) -> Table:
    shown = findings.connections[:_SHOWN]
    rows = []
    for one in shown:
        found = closed[one.stream]
        rows.append(
            (
                str(one.stream),
                one.who,
                one.close.words,
                "–" if found is None else _SEGMENT_COUNT[found.how],
                ", ".join(f"{frame} ({side})" for frame, side in one.close.fins) or "–",
                ", ".join(f"{frame} ({side})" for frame, side in one.close.resets[:3]) or "–",
                shortened(one.lines[-1].whole, 28) if one.lines else "–",
            )
        )
    return Table(
        f"Connection termination{first_of(shown, findings.connections)}: the segments that it took, the frames with "
        "FIN and RST, and the last line of the protocol before them",
        (
            Column("Stream", "right"),
            Column("Who"),
            Column("How", share=1),
            Column("Segments", "right"),
            Column("FIN"),
            Column("RST"),
            Column("Last line", code=True, share=1.4),
        ),
        rows,
        findings.ends,
        small=True,
    )


def _examples(findings: Findings, closed: dict[int, Closing | None]) -> list[Connection]:
    """One connection for each way to end."""
    found: dict[str, Connection] = {}
    for one in findings.connections:
        shut = closed[one.stream]
        how = shut.how if shut is not None else one.close.how
        if one.close.first is not None:
            found.setdefault(how, one)
    return [found[how] for how in ("combined", "separate", "simultaneous", "reset", "refused") if how in found]


def _detail(one: Connection, found: Closing | None) -> Table:
    """The segments from the first FIN or RST on, with the states of both ends."""
    assert one.close.first is not None
    first = min(one.close.first, one.packets[0].number) if one.close.how == "refused" else one.close.first
    last = [packet for packet in one.packets if packet.number >= first]
    states: dict[int, Step] = {step.packet.number: step for step in steps(one.packets)}
    late = arrivals(one.packets)
    rows = []
    for packet in last[:_SEGMENTS]:
        step = states.get(packet.number)
        client, server = (step.client, step.server) if step is not None else ("=", "=")
        rows.append(
            (
                str(packet.number),
                f"{packet.time - last[0].time:f}",
                packet.direction,
                packet.flag_words,
                str(packet.seq),
                str(packet.ack) if packet.has(ACK) else "–",
                client,
                server,
                _meaning(packet, found)
                + (f"; frame {late[packet.number]} was sent before it arrived" if packet.number in late else ""),
            )
        )
    return Table(
        f"The end of stream {one.stream} ({one.who}): {one.close.words}",
        (
            *numbers("Frame", "Time"),
            Column("Direction"),
            Column("Flags"),
            *numbers("Seq", "Ack"),
            Column("Client"),
            Column("Server"),
            Column("Meaning", share=1),
        ),
        rows,
        Evidence.showing(f"tcp.stream == {one.stream} && frame.number >= {first}", last),
        small=True,
    )


def _meaning(packet: Packet, found: Closing | None) -> str:
    if packet.has(RST):
        return "aborts the connection"
    if packet.has(FIN):
        both = found is not None and found.how == "combined" and packet.number == found.second.number
        return "acknowledges the FIN; no more data from this sender either" if both else "no more data from this sender"
    if packet.has(SYN):
        return "asks for a connection"
    if packet.payload:
        return f"{packet.payload:,} octets of payload"
    fins = [] if found is None else [fin for fin in (found.first, found.second) if fin.sender != packet.sender]
    done = any(packet.number > fin.number and packet.ack > fin.seq + fin.payload for fin in fins)
    return "acknowledges the FIN" if done else "acknowledges what came before"
