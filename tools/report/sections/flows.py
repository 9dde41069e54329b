"""The flow of messages between clients and server: ladder diagrams, requests and their answers."""

from __future__ import annotations

from tools.report.analysis.calls import Call
from tools.report.analysis.session import ANSWERS
from tools.report.analysis.transport import Spread
from tools.report.document import Block, Column, Figure, Paragraph, Section, Table, numbers, plural, quoted, seconds
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.ladder import ladder


def sections(findings: Findings) -> list[Section]:
    """One chat step by step, then all requests in figures."""
    blocks: list[Block] = [
        Paragraph(
            f"Each client has a connection to the server only; the server relays a {quoted(findings.words.say)} to "
            "the partner's connection. So one line between two users is two messages, on two TCP connections."
        )
    ]
    sections = [Section("Client–server message flows", [*blocks, *_requests(findings)])]
    chosen = _chosen(findings)
    if chosen is not None:
        sections.append(Section("A chat step by step", _ladder(findings, chosen), 2))
    return sections


def _chosen(findings: Findings) -> Call | None:
    """The chat that shows most in few packets: lines both ways, and an end, of two connections in the capture."""
    whole = [chat for chat in findings.chats if len(chat.streams) >= 2]
    both = [chat for chat in whole if chat.by(chat.caller) and chat.by(chat.called) and len(chat.said) <= 40]
    return max(both or whole, key=lambda chat: min(len(chat.said), 12), default=None)


def _ladder(findings: Findings, chat: Call) -> list[Block]:
    head, *strips = ladder(findings, chat)
    streams = chat.streams[:2]
    evidence = Evidence.showing(
        f"tcp.stream in {{{', '.join(map(str, streams))}}}",
        [packet for packet in findings.packets if packet.stream in streams],
    )
    return [
        Figure(
            f"Chat {chat.number} between {chat.caller} and {chat.called}. Above each arrow the lines of the protocol "
            "(blue from a client, green from the server), below it TCP's flags and relative numbers. In a long chat, "
            "bare acknowledgements are left out",
            head,
            f"Ladder diagram of the packets between {chat.caller}, the server and {chat.called}",
            evidence,
            strips,
        )
    ]


def _requests(findings: Findings) -> list[Block]:
    rows = [
        (
            request.verb,
            str(request.sent),
            str(request.granted) if request.granted or request.refused else "–",
            str(request.refused),
            *_spread(request.delay),
        )
        for request in findings.requests
    ]
    _, evidence = findings.of_kind("request")
    answered = [line for line in findings.lines if line.delay is not None and line.kind in ANSWERS]
    table = Table(
        "Requests of the clients, their outcome, and the response time (from request to answer, at the capture point)",
        (
            Column("Request", code=True, share=1),
            *numbers("Sent", "Granted", "Refused", "Least", "Median", "95 %", "Most"),
        ),
        rows,
        evidence,
    )
    blocks: list[Block] = [table]
    name = findings.protocol
    spread = Spread.of([line.delay for line in answered if line.delay is not None])
    if spread is not None:
        blocks.append(
            Paragraph(
                f"{plural(spread.count, 'answer')} came {seconds(spread.least)} to {seconds(spread.most)} after the "
                f"request; the median is {seconds(spread.median)}.",
                Evidence.showing(f'{name}.time && ({name}.kind == "answer" || {name}.kind == "refusal")', answered),
            )
        )
    relayed = [line for line in findings.lines if line.relay_time is not None]
    spread = Spread.of([line.relay_time for line in relayed if line.relay_time is not None])
    if spread is not None:
        blocks.append(
            Paragraph(
                f"{plural(spread.count, 'line')} reached the partner. The relay time, from the last segment of a line "
                f"to the server to its last segment to the partner, was {seconds(spread.least)} to "
                f"{seconds(spread.most)}, median {seconds(spread.median)}. A {quoted(findings.words.say)} that "
                "succeeds has no answer.",
                Evidence.showing(f"{findings.protocol}.relay_time", relayed),
            )
        )
    return blocks


def _spread(delay: Spread | None) -> tuple[str, str, str, str]:
    if delay is None:
        return ("–", "–", "–", "–")
    return seconds(delay.least), seconds(delay.median), seconds(delay.p95), seconds(delay.most)
