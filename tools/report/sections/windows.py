"""TCP's windows: how they are scaled, how large they were, and when one was closed."""

from __future__ import annotations

from collections.abc import Sequence

from tools.report.analysis.connections import Connection
from tools.report.analysis.handshakes import Handshake
from tools.report.analysis.windows import Closed, closed, offers, stops
from tools.report.document import Block, Paragraph, Section, listed, plural, quoted, seconds, span
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.packets import SYN, Packet

_TOLD = 4  # closed windows that are told one by one
_LISTED = 4  # frames in a sentence
_ZERO = "tcp.window_size_value == 0 && tcp.flags.syn == 0 && tcp.flags.reset == 0"


def sections(findings: Findings) -> list[Section]:
    """The windows that were closed; nothing where none was."""
    found = [one for connection in findings.connections for one in closed(connection)]
    if not found:
        return []
    zero = [packet for one in found for packet in (one.first, *one.answers)]
    blocks: list[Block] = [
        Paragraph(
            "The window is what a receiver still has room for. With a window of zero it stops the sender, which may "
            "only ask from time to time whether there is room again: a zero-window probe (RFC 9293, section 3.8.6.1). "
            f"In this capture {plural(len(zero), 'segment offers', 'segments offer')} a window of zero.",
            findings.select(_ZERO, zero),
        )
    ]
    for one in found[:_TOLD]:
        blocks += [_closing(findings, one), *_effect(one)]
    if len(found) > _TOLD:
        blocks.append(Paragraph(f"{plural(len(found) - _TOLD, 'more window was', 'more windows were')} closed."))
    return [Section("Closed windows", blocks, 2)]


def _closing(findings: Findings, one: Closed) -> Paragraph:
    """From which frame to which, how long, the probes, and the reason as far as it can be inferred."""
    who = one.connection.who if one.of_client else "The server"
    frames = [one.first, one.unmoved, *one.probes, *one.answers]
    words = f"{who} closes its window in stream {one.connection.stream}: frame {one.first.number} acknowledges all "
    words += f"octets before {one.edge:,} and offers no more. "
    if one.opened is None:
        words += "No frame of this capture opens it again. "
    else:
        frames.append(one.opened)
        words += (
            f"Frame {one.opened.number} opens it with {one.opened.window:,} octets, "
            f"{seconds(one.opened.time - one.first.time)} later"
        )
        gap = next(gap for gap in findings.gaps if gap.connection is one.connection)
        lacks = gap.may_lack(one.first.number, one.opened.number, from_client=one.of_client)
        words += ", or a packet before it that is missing. " if lacks else ". "
    for probe in one.probes[:_LISTED]:
        answer = next((packet for packet in one.answers if packet.number > probe.number), None)
        words += f"Frame {probe.number}, {seconds(probe.time - one.first.time)} after it was closed, is a probe"
        words += f"; frame {answer.number} answers that it is still closed. " if answer is not None else ". "
    if not one.probes:
        words += "The capture holds no probe of it. "
    if one.unmoved is not one.first:
        words += (
            f"From frame {one.unmoved.number} on, the right edge of the window (acknowledgement number plus window) "
            f"stays at {one.edge:,}. So the program there did not read, or too little to offer a segment's worth "
            "(inferred; RFC 9293, section 3.8.6.2.2). "
        )
    else:
        words += "Why it closed cannot be determined. "
    greatest = max(offers(one.connection, of_client=one.of_client), key=lambda packet: packet.window)
    syn = next((p for p in one.connection.packets if p.from_client == one.of_client and p.has(SYN)), None)
    if syn is not None and one.connection.handshake is not None:
        largest = max((syn, greatest), key=lambda packet: packet.window)
        frames.append(largest)
        words += (
            f"The largest window that it ever offers is {largest.window:,} octets (frame {largest.number}), so this is "
            "about what its receive buffer takes (inferred)."
        )
    return Paragraph(words.strip(), Evidence.frames_alone(packet.number for packet in frames))


def _effect(one: Closed) -> list[Paragraph]:
    """What a closed window of a client did to the lines for it."""
    if not one.of_client or one.opened is None:
        return []
    relayed = [line for line in one.connection.lines if line.relay_time is not None and not line.from_client]
    lines = [
        (line, line.relay_time)
        for line in relayed
        if line.relay_time is not None and line.time - line.relay_time <= one.opened.time <= line.time
    ]
    if not lines:
        return []
    took = [delay for _, delay in lines]
    frames = [frame for line, _ in lines for frame in (line.number, line.relayed_from) if frame is not None]
    single = len(lines) == 1
    return [
        Paragraph(
            f"The effect: {plural(len(lines), 'line')} for {one.connection.who} had reached the server before frame "
            f"{one.opened.number} and had to wait for it. {'It was' if single else 'They were'} relayed "
            f"{span(min(took), max(took))} after {'its original' if single else 'their originals'}. A closed window "
            "stops one direction of one connection: the other ones go on.",
            Evidence.frames_alone([*frames, one.opened.number]),
        )
    ]


def curve(one: Connection, *, from_client: bool) -> list[Paragraph]:
    """What the window's curve of one direction says; nothing where the factor of the window is unknown."""
    offered = offers(one, of_client=not from_client)
    sent = [p for p in one.packets if p.from_client == from_client and p.payload and p.in_flight is not None]
    if one.handshake is None or not offered or not sent:
        return []
    receiver = "the server" if from_client else one.who
    first, largest = offered[0], max(offered, key=lambda packet: packet.window)
    most = max(sent, key=lambda packet: packet.in_flight or 0)
    words = f"The window of {receiver} begins with {first.window:,} octets (frame {first.number})"
    words += f", at most it has {largest.window:,} (frame {largest.number})" if largest.window > first.window else ""
    words += f". At most {most.in_flight:,} octets are in flight, without those that SACK reports (frame {most.number})"
    frames = [first, largest, most]
    full = [stop.begun for stop in stops(one, from_client=from_client)]
    zero = [packet for packet in offered if not packet.window]
    if not full:
        words += ", and no segment of this capture reaches the end of the window: it never stops the sender (inferred)."
    else:
        frames += [*full, *zero]
        named = listed([*[str(packet.number) for packet in full[:_LISTED]], *_more(full)])
        words += f". The sender fills the window in frame{'s' if len(full) > 1 else ''} {named}, and then has to wait."
        words += f" The window is zero in {plural(len(zero), 'segment')}." if zero else ""
    return [Paragraph(words, Evidence.frames_alone(packet.number for packet in frames))]


def _more(found: Sequence[Packet]) -> list[str]:
    return [f"{len(found) - _LISTED:,} more"] if len(found) > _LISTED else []


def scaling(findings: Findings, whole: Sequence[tuple[Connection, Handshake]]) -> list[Block]:
    """What window scale does, on the numbers of one connection, and of one with other shifts if there is any."""
    pairs = [pair for pair in whole if None not in (pair[1].client.shift, pair[1].server.shift)]
    why = (
        "The header's window field has 16 bits, so on its own a receiver can offer at most 65,535 octets. The option "
        "window scale (RFC 7323) lets it count in larger units. "
    )
    if not pairs:
        scaled = [packet for packet in findings.packets if packet.has(SYN) and packet.shift is not None]
        return [
            Paragraph(
                f"{why}No connection of this capture has the option in both SYNs, so no window is scaled.",
                findings.select("tcp.options.wscale.shift && tcp.flags.syn == 1", scaled),
            )
        ]
    one, shake = pairs[0]
    words, frames = _scaled(one, shake)
    blocks: list[Block] = [
        Paragraph(
            f"{why}Each end announces the shift of its own windows in its SYN, and both SYNs must have the option. In "
            f"stream {one.stream} both have it. {words} The windows in the SYNs themselves are never scaled. In "
            f"Wireshark: {quoted('tcp.window_size_value')} is the field, {quoted('tcp.window_size')} the product. "
            "Without the SYNs in the capture, the factor is unknown.",
            Evidence.frames_alone(frames),
        )
    ]
    shown = {(shake.client.shift, shake.server.shift)}
    for other, shake in pairs:
        shifts = (shake.client.shift, shake.server.shift)
        if shifts not in shown and len(shown) <= _TOLD:
            shown.add(shifts)
            same = [each for each, its in pairs if (its.client.shift, its.server.shift) == shifts]
            words, frames = _scaled(other, shake)
            count = "the only connection" if len(same) == 1 else f"the first of {len(same):,} connections"
            words = f"Stream {other.stream} ({other.who}) is {count} with other shifts. {words}"
            if 0 in shifts:
                words += " A shift of 0 permits the other end to scale, while the own fields count single octets."
            if any(closed(each) for each in same) and not any(closed(each) for each, _ in pairs if each not in same):
                words += " No other connection of this capture has closed windows."
            blocks.append(Paragraph(words, Evidence.frames_alone(frames)))
    return blocks


def _scaled(one: Connection, shake: Handshake) -> tuple[str, list[int]]:
    """The factors of both ends and a window of each, and the frames that show them."""
    assert shake.client.shift is not None
    assert shake.server.shift is not None
    third = next(packet for packet in one.packets if packet.number == shake.ack)
    later = next((p for p in offers(one, of_client=False) if p.number > shake.ack), None)
    words = (
        f"The client (frame {shake.syn}) multiplies by {_factor(shake.client.shift)}, the server (frame "
        f"{shake.syn_ack}) by {_factor(shake.server.shift)}. The client's field of "
        f"{_product(third, shake.client.shift)}"
    )
    frames = [shake.syn, shake.syn_ack, shake.ack]
    if later is not None:
        words += f", the server's {_product(later, shake.server.shift)}"
        frames.append(later.number)
    return f"{words}.", frames


def _product(packet: Packet, shift: int) -> str:
    """`63 in frame 5 means 63 × 1,024 = 64,512 octets`."""
    product = f"{packet.window_raw:,} × {2**shift:,} = {packet.window:,}"
    return f"{packet.window_raw:,} in frame {packet.number} means {product} octets"


def _factor(shift: int) -> str:
    """`2¹⁰ = 1,024`."""
    return f"2{str(shift).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))} = {2**shift:,}"
