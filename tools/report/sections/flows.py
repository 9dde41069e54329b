"""The flow of messages between clients and server: ladder diagrams, requests and their answers."""

from __future__ import annotations

from collections import Counter

from tools.report.analysis.calls import Call
from tools.report.analysis.transport import Spread
from tools.report.document import Block, Column, Figure, Paragraph, Section, Table, listed, numbers, quoted, seconds
from tools.report.evidence import Evidence
from tools.report.findings import Findings
from tools.report.ladder import ladder
from tools.report.sections.notes import lacking, note


def sections(findings: Findings) -> list[Section]:
    """One chat step by step, then all requests in figures."""
    blocks: list[Block] = [
        Paragraph(
            f"A client is connected to the server only. The server relays a {quoted(findings.words.say)} to the "
            "partner on the partner's connection, so a line from one user to the other is on two TCP connections."
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
            lambda: ladder(findings, chat),
            f"Ladder diagram of the packets between {chat.caller}, the server and {chat.called}",
            evidence,
        )
    ]


def _requests(findings: Findings) -> list[Block]:
    counts, silent = findings.counts, (findings.words.say, findings.words.probed)
    unseen = {
        request.verb: request.sent - request.granted - request.refused
        for request in findings.requests
        if request.verb and request.verb not in silent
    }
    told = any(unseen.values()) and lacking(findings)
    rows = [
        (
            request.verb or "(no request)",
            str(counts.sent[request.verb]),
            "–" if request.verb in (*silent, "") else str(counts.granted[request.verb]),
            str(counts.refused[request.verb]),
            *((str(unseen.get(request.verb, "–")),) if told else ()),
            *_spread(request.delay),
        )
        for request in findings.requests
        if request.verb != findings.words.probed
    ]
    reply, name = findings.words.probed, findings.protocol
    asked = [line for line in findings.of_kind("request")[0] if line.verb != reply]
    replies = len(findings.of_kind("request")[0]) - len(asked)
    evidence = Evidence.showing(f'{name}.kind == "request" && !({name}.verb == "{reply}")', asked)
    titles = ["Sent", "Granted", "Refused", *(["No answer seen"] if told else []), "Least", "Median", "95 %", "Most"]
    none = "; the last row has the lines that are no request" if any(not one.verb for one in findings.requests) else ""
    replied = f". Not listed: {replies:,} {quoted(reply)}, since it replies to the server" if replies else ""
    table = Table(
        "Requests of the clients, their outcome, and the response time (from request to answer, at the capture point). "
        f"A {quoted(findings.words.say)} that succeeds has no answer (–): it is relayed{replied}{none}{note(findings)}",
        (Column("Request", code=True, share=1), *numbers(*titles)),
        rows,
        evidence,
    )
    return [table, *_unanswered(findings, unseen)] if told else [table]


def _unanswered(findings: Findings, unseen: dict[str, int]) -> list[Paragraph]:
    """What is known of the requests without an answer in a capture that lacks something."""
    proven = [proof for proof in findings.proofs if proof.kind == "answer"]
    if not proven:
        return []
    by_verb = Counter(proof.words for proof in proven)
    named = listed([f"{quoted(verb)} ({count} of {unseen.get(verb, count)})" for verb, count in by_verb.items()])
    return [
        Paragraph(
            f"Answered in what is missing, as inferred from later answers: {named}. Whether these were granted or "
            "refused cannot be known.",
            Evidence.frames_alone(frame for proof in proven for frame in (proof.about, proof.proven_by)),
        )
    ]


def _spread(delay: Spread | None) -> tuple[str, str, str, str]:
    if delay is None:
        return ("–", "–", "–", "–")
    return seconds(delay.least), seconds(delay.median), seconds(delay.p95), seconds(delay.most)
