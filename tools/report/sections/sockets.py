"""Ports and sockets: which four numbers make each connection."""

from __future__ import annotations

from tools.report.analysis.connections import Connection
from tools.report.analysis.counts import Count
from tools.report.document import (
    Column,
    Paragraph,
    Section,
    Table,
    bracketed,
    first_of,
    listed,
    numbers,
    plural,
    quoted,
    seconds,
)
from tools.report.evidence import Evidence, among
from tools.report.findings import Findings
from tools.report.sections.notes import note

_SHOWN = 200


def sections(findings: Findings) -> list[Section]:
    """The table of connections."""
    servers = sorted({one.server for one in findings.connections})
    ports = sorted({one.client[1] for one in findings.connections})
    ends = "endpoint" if len(servers) == 1 else "endpoints"
    chosen = f"{ports[0]} here" if len(ports) == 1 else f"{ports[0]} to {ports[-1]} here"
    return [
        Section(
            "Ports and socket connections",
            [
                Paragraph(
                    "A TCP connection is identified by four values: the IP address and the port of each endpoint. All "
                    f"connections of this chat have the server's {ends}, "
                    f"{listed([quoted(bracketed(end)) for end in servers])}, on one side; the client's endpoint "
                    f"distinguishes them. The client's system chooses an ephemeral port ({chosen}), while the server's "
                    "port must be known in advance.",
                    findings.select("tcp", findings.packets),
                ),
                _table(findings),
                Paragraph(_sockets(findings), _together(findings)),
            ],
        )
    ]


def _sockets(findings: Findings) -> str:
    count, most = len(findings.established), len(_at_once(findings.established))
    words = (
        "A server has one listening socket and, for each connection, one more socket with the same local address and "
        f"port. This capture holds {plural(count, 'connection')}"
    )
    if count > 1:
        together = "only one of them was" if most == 1 else f"at most {most} of them were"
        if most == count:
            together = "both of them were" if count == 2 else "all of them were"
        words += f"; {together} open at the same time" if most > 1 else f"; {together} open at any time"
    refused = len(findings.refused)
    if refused:
        attempts = plural(refused, "connection attempt")
        words += f". A RST refused {attempts}: at that port, nothing was listening (inferred)"
    return f"{words}."


def _table(findings: Findings) -> Table:
    shown = findings.connections[:_SHOWN]
    rows = [
        (
            str(one.stream),
            (one.who if one.user else one.unreadable) or "–",
            bracketed(one.client),
            bracketed(one.server),
            findings.since(one.first),
            seconds(one.last - one.first),
            _both(findings, one, one.packets_up, one.packets_down),
            _both(findings, one, one.octets_up, one.octets_down),
            one.close.how,
        )
        for one in shown
    ]
    return Table(
        f"The connections{first_of(shown, findings.connections)}. Packets and octets of payload: from the client / "
        "from the server; retransmitted octets count once" + note(findings),
        (
            Column("Stream", "right"),
            Column("User", share=1.1),
            Column("Client's socket", share=1.6, code=True),
            Column("Server's socket", share=1.5, code=True),
            *numbers("Begins at", "Lasts", "Packets", "Octets"),
            Column("End"),
        ),
        rows,
        findings.select(
            "tcp.stream <= " + str(max(one.stream for one in shown)),
            [p for p in findings.packets if p.stream <= max(one.stream for one in shown)],
        ),
        small=True,
    )


def _both(findings: Findings, one: Connection, up: int, down: int) -> str:
    """How much of each direction is in the capture, and whether there was more."""
    counts = [Count(count, findings.whole(one.stream, from_client=side)) for count, side in ((up, True), (down, False))]
    return " / ".join(map(str, counts))


def _together(findings: Findings) -> Evidence | None:
    """The packets of the connections that were open at the same time."""
    streams = sorted(one.stream for one in _at_once(findings.established))
    if not streams:
        return None
    found = [packet for packet in findings.packets if packet.stream in streams]
    return Evidence.showing(among("tcp.stream", streams), found)


def _at_once(connections: list[Connection]) -> list[Connection]:
    """The most connections that were open at the same time: those of the first such time."""
    opened: list[Connection] = []
    most: list[Connection] = []
    for one in sorted(connections, key=lambda one: one.first):
        opened = [other for other in opened if other.last > one.first] + [one]
        if len(opened) > len(most):
            most = opened
    return most
