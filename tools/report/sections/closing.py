"""How the connections ended: FIN or RST, by whom, with how many segments, and TCP's states meanwhile."""

from __future__ import annotations

from tools.report.analysis.connections import Connection
from tools.report.analysis.resets import Reset, reset
from tools.report.analysis.tcp_states import Closing, arrivals, closing, states
from tools.report.document import (
    Block,
    Column,
    Paragraph,
    Section,
    Table,
    first_of,
    listed,
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
_LATE = "was sent before it arrived"
_WAYS = ("combined", "separate", "simultaneous", "abort", "gone", "unknown", "refused")
_SEGMENT_COUNT = {"combined": "3", "separate": "4", "simultaneous": "4"}


def sections(findings: Findings) -> list[Section]:
    """The ends of the connections."""
    closed = {one.stream: closing(one.packets) for one in findings.connections}
    broken = {one.stream: reset(one.packets) for one in findings.connections}
    blocks: list[Block] = [
        Paragraph(
            "Each direction of a connection is closed separately: a FIN says that its sender has no more data, "
            "consumes one sequence number, and is acknowledged. The endpoint that closes first ends in TIME-WAIT. For "
            "twice the maximum segment lifetime (4 minutes in RFC 9293; Linux waits 60 s instead) it keeps the "
            "connection's four values, to acknowledge a FIN that is sent again and to keep late segments out of a new "
            "connection."
        ),
        Paragraph(
            "An ordinary close has four segments. The first FIN takes its sender from ESTABLISHED to FIN-WAIT-1, and "
            "the other end to CLOSE-WAIT, in which that end may still send. Its acknowledgement takes the first end to "
            "FIN-WAIT-2. Then the other end sends its own FIN and is in LAST-ACK; when this FIN arrives, the first end "
            "is in TIME-WAIT. The last acknowledgement closes the connection at the other end. When that end closes "
            "at once, the second and the third segment are one, so there are three, and FIN-WAIT-2 is passed within "
            "that segment. When both ends close before either FIN has arrived, both pass CLOSING instead."
        ),
        Paragraph(
            "A RST ends a connection at once. An end that aborts its connection sends one with the connection's "
            "own numbers. It waits for no acknowledgement, neither end enters TIME-WAIT, and octets that had not "
            "arrived, or that the program had not read yet, may be lost. A host that has no connection for a segment "
            "answers it with a RST as well (RFC 9293, section 3.5.2): a SYN to a port at which nothing listens, or a "
            "segment of a connection that only the other end still has, which is half-open then. This RST takes its "
            "sequence number from the acknowledgement number of the segment, and has no ACK flag; only one that "
            "answers a SYN has it."
        ),
        *_segments(findings, closed),
        *_resets(findings, broken),
        _table(findings, closed),
    ]
    examples = [_detail(one, closed[one.stream], broken[one.stream]) for one in _examples(findings, closed)]
    if examples:
        words = (
            f"{'An example' if len(examples) == 1 else 'Examples'}, segment by segment. The time "
            "is in seconds since the first of these segments. Client and server: TCP's state once the segment was sent "
            "and has arrived, inferred."
        )
        if any(row[-1].endswith(_LATE) for table in examples for row in table.rows):
            words += (
                " Where its receiver sent another segment before it arrived, as that one shows, the receiver's state "
                "changes only in the row of that one."
            )
        blocks.append(Paragraph(words))
    blocks += examples
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
            words = _words(how, one, found, plural(len(same), "connection"))
            blocks.append(Paragraph(words, Evidence.frames_alone(found.frames)))
    if by_how and "separate" not in by_how:
        words = "No connection in this capture closed with four segments one after the other"
        passed = (" ".join(pair) for one in findings.connections for pair in states(one.packets).values())
        if not any("FIN-WAIT-2" in pair for pair in passed):
            words += ", and no end is seen to wait in FIN-WAIT-2"
        blocks.append(Paragraph(f"{words}.", _closes(by_how)))
    return blocks


def _closes(by_how: dict[str, list[tuple[Connection, Closing]]]) -> Evidence:
    """The frames of all of these."""
    return Evidence.frames_alone(frame for same in by_how.values() for _, found in same for frame in found.frames)


def _words(how: str, one: Connection, found: Closing, closed: str) -> str:
    first, second = (found.first.number, found.second.number)
    other = found.second.sender
    if how == "combined":
        return (
            f"Three segments closed {closed}. In stream {one.stream}, frame {second} is the acknowledgement of the FIN "
            f"in frame {first} and the {other}'s own FIN in one: the {other}'s program had closed its socket, or "
            "ended, before TCP sent an acknowledgement alone, which it may delay (RFC 1122: by less than 500 ms)."
        )
    if how == "separate":
        return (
            f"Four segments closed {closed}. In stream {one.stream}, frame {found.acknowledged.number} acknowledges "
            f"the FIN in frame {first}, and the {other}'s own FIN came {seconds(found.waited)} later, in frame "
            f"{second}: its program had not closed its socket yet. Meanwhile the connection was half-closed: the "
            f"{other} in CLOSE-WAIT, the {found.first.sender} in FIN-WAIT-2."
        )
    return (
        f"Four segments closed {closed} from both ends at the same time (RFC 9293, section 3.6). In stream "
        f"{one.stream}, the FIN in frame {second} does not acknowledge the one in frame {first}: it was sent before "
        f"that one had arrived. The {found.first.sender}'s FIN passed the capture point "
        f"{seconds(found.second.time - found.first.time)} before the {other}'s; which of them was sent first cannot be "
        "known. Both ends go from FIN-WAIT-1 to CLOSING when the other's FIN arrives, and to TIME-WAIT when their own "
        "is acknowledged."
    )


def _resets(findings: Findings, broken: dict[int, Reset | None]) -> list[Block]:
    """What each kind of RST means here, on its first example."""
    blocks: list[Block] = []
    for kind, told in (("abort", _abort), ("gone", _gone), ("unknown", _either)):
        reset_ones = [one for one in findings.connections if one.close.how == "reset"]
        same = [(one, found) for one in reset_ones if (found := broken[one.stream]) and found.kind == kind]
        if same:
            blocks.append(told(*same[0], plural(len(same), "connection")))
    return blocks


def _abort(one: Connection, found: Reset, count: str) -> Paragraph:
    packet = found.packet
    waiting = zip(found.open, (packet.sender, "server" if packet.from_client else "client"), strict=True)
    left = [f"{plural(octets, 'octet')} of payload of the {side}" for octets, side in waiting if octets]
    fin = f"The FIN in frame {one.close.fins[0][0]} came before it" if one.close.fins else "There is no FIN"
    words = (
        f"An abort ended {count}. In stream {one.stream}, the RST in frame {packet.number} is one, since it has "
        f"{listed(found.signs)}: its sender still had the connection. {fin}, and no end enters TIME-WAIT. "
    )
    if left:
        words += f"Not acknowledged before it, so perhaps lost: {listed(left)}. "
    else:
        words += "All payload that had passed was acknowledged; whether the programs have read it cannot be known. "
    return Paragraph(
        f"{words}Why the {packet.sender} aborted cannot be known: its program may have asked for it or have closed the "
        "socket with unread octets, or its TCP may have given up.",
        Evidence.frames_alone([packet.number, *(frame for frame, _ in one.close.fins[:1])]),
    )


def _gone(one: Connection, found: Reset, count: str) -> Paragraph:
    packet, answered = found.packet, found.answers
    assert answered is not None
    side, other = packet.sender, answered.sender
    words = (
        f"The RST of a host without the connection ended {count}. In stream {one.stream}, frame {packet.number} came "
        f"{seconds(packet.time - answered.time)} after frame {answered.number} of the {other}, and its sequence number "
        f"{packet.seq} is the acknowledgement number of that frame. It has {listed(found.signs)}, unlike the segments "
        f"of the {side} after the handshake. So the {side}'s host had no such connection any more when frame "
        f"{answered.number} arrived (inferred). "
    )
    if any(by == side for _, by in one.close.fins):
        words += f"The {side} had sent its FIN before: its program had closed the socket. "
    else:
        words += (
            f"No FIN of the {side} is in the capture: until then the connection was half-open, and the {other} could "
            f"not know it. How the {side} lost the connection cannot be known. "
        )
    if answered.payload:
        words += f"The {answered.payload:,} octets of payload of frame {answered.number} reached no program."
    return Paragraph(words.strip(), Evidence.frames_alone([answered.number, packet.number]))


def _either(one: Connection, found: Reset, count: str) -> Paragraph:
    packet = found.packet
    return Paragraph(
        f"A RST ended {count}, of which cannot be determined what it is. In stream {one.stream}, frame {packet.number} "
        f"has no ACK flag, and nothing tells an abort by the {packet.sender} from the answer of a host that has no "
        "such connection.",
        Evidence.frames_alone([packet.number]),
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
        if how == "reset":
            how = one.close.reset
        if one.close.first is not None:
            found.setdefault(how, one)
    return [found[how] for how in _WAYS if how in found]


def _detail(one: Connection, found: Closing | None, broken: Reset | None) -> Table:
    """The segments from the first FIN or RST on, or from the one that it answers, with the states of both ends."""
    assert one.close.first is not None
    first = one.close.first
    if one.close.how == "refused":
        first = min(first, one.packets[0].number)
    elif broken is not None and broken.answers is not None:
        first = min(first, broken.answers.number)
    last = [packet for packet in one.packets if packet.number >= first]
    known = states(one.packets)
    late = arrivals(one.packets)
    rows = [
        (
            str(packet.number),
            f"{packet.time - last[0].time:f}",
            packet.direction,
            packet.flag_words,
            str(packet.seq),
            str(packet.ack) if packet.has(ACK) else "–",
            *known[packet.number],
            _meaning(packet, found, broken)
            + (f"; frame {late[packet.number]} {_LATE}" if packet.number in late else ""),
        )
        for packet in last[:_SEGMENTS]
    ]
    return Table(
        f"The end of stream {one.stream} ({one.who}): {one.close.words}{first_of(rows, last)}",
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


def _meaning(packet: Packet, found: Closing | None, broken: Reset | None) -> str:
    if packet.has(RST):
        if broken is None or broken.packet is not packet or broken.kind == "unknown":
            return "ends the connection"
        if broken.kind == "gone" and broken.answers is not None:
            return f"answers frame {broken.answers.number}: its host has no such connection (inferred)"
        return (
            "aborts the connection" if broken.kind == "abort" else "answers the SYN: nothing listens there (inferred)"
        )
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
