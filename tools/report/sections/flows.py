"""The flow of messages between clients and server: ladder diagrams, requests and their answers."""

from __future__ import annotations

from tools.report.analysis.calls import Call
from tools.report.analysis.transport import Spread
from tools.report.document import Block, Column, Figure, Paragraph, Section, Table, numbers, quoted, seconds
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
            request.verb or "(no request)",
            str(request.sent),
            "–" if request.verb in (findings.words.say, findings.words.probed, "") else str(request.granted),
            str(request.refused),
            *_spread(request.delay),
        )
        for request in findings.requests
    ]
    _, evidence = findings.of_kind("request")
    say = findings.words.say
    none = "; the last row has the lines that are no request" if any(not one.verb for one in findings.requests) else ""
    table = Table(
        "Requests of the clients, their outcome, and the response time (from request to answer, at the capture "
        f"point). A {quoted(say)} that succeeds has no answer (–): it is relayed{none}",
        (
            Column("Request", code=True, share=1),
            *numbers("Sent", "Granted", "Refused", "Least", "Median", "95 %", "Most"),
        ),
        rows,
        evidence,
    )
    return [table]


def _spread(delay: Spread | None) -> tuple[str, str, str, str]:
    if delay is None:
        return ("–", "–", "–", "–")
    return seconds(delay.least), seconds(delay.median), seconds(delay.p95), seconds(delay.most)
