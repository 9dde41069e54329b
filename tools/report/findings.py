"""Everything that the analyses find in a capture, in one place for the sections. Knows no text and no layout."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property

from pychat.spec import Spec
from tools.vocabulary import Vocabulary

from .analysis import network, segments, transport
from .analysis.calls import Call, Missed, Said, calls, missed
from .analysis.connections import Connection, connections
from .analysis.counts import Count, Counts, Lacks, counts
from .analysis.gaps import Gaps, gaps
from .analysis.losses import Loss, losses
from .analysis.proofs import Proof, matched, proofs
from .analysis.repairs import Event
from .analysis.session import Period, Requests, Violation, periods, requests, violations
from .analysis.thinking import Thought, thoughts
from .evidence import Evidence
from .packets import SYN, Line, Packet
from .reading import Capture
from .tshark import Tshark

_ATTEMPTS = ("refused", "unanswered")  # how a connection that was not established ended


@dataclass
class Findings:
    """The findings; each is computed once, when it is first asked for. `digest` is the capture's SHA-256."""

    capture: Capture
    spec: Spec
    words: Vocabulary
    digest: str

    @property
    def tshark(self) -> Tshark:
        return self.capture.tshark

    @property
    def protocol(self) -> str:
        return self.spec.protocol

    @cached_property
    def start(self) -> Decimal:
        """The time of the first packet, seconds since the epoch."""
        return self.capture.packets[0].time

    @cached_property
    def begun(self) -> datetime:
        """The same as a date; its fraction of a second is left out, since it would be rounded."""
        return datetime.fromtimestamp(int(self.start), UTC)

    @cached_property
    def duration(self) -> Decimal:
        return self.capture.packets[-1].time - self.start

    @cached_property
    def connections(self) -> list[Connection]:
        found = connections(self.capture)
        for one in found:
            named = any(line.kind == "answer" and line.request == self.words.name for line in one.lines)
            one.inferred = bool(one.user) and not named
        return found

    @cached_property
    def speaking(self) -> list[Connection]:
        """The connections on which something of the protocol was said."""
        return [connection for connection in self.connections if connection.lines]

    @cached_property
    def established(self) -> list[Connection]:
        """The connections without the attempts that were refused or not answered."""
        return [connection for connection in self.connections if connection.close.how not in _ATTEMPTS]

    @cached_property
    def unanswered(self) -> list[Connection]:
        """The attempts of which the capture has no answer."""
        return [connection for connection in self.connections if connection.close.how == "unanswered"]

    @cached_property
    def refused(self) -> list[Connection]:
        """The attempts that were refused."""
        return [connection for connection in self.connections if connection.close.how == "refused"]

    @cached_property
    def gaps(self) -> list[Gaps]:
        """What the capture lacks of each connection."""
        return [gaps(connection) for connection in self.connections]

    @cached_property
    def partial(self) -> frozenset[int]:
        """The streams of which something is missing between their beginning and their last packet."""
        return frozenset(gap.connection.stream for gap in self.established_gaps if not gap.whole) | self.lacks.said

    @cached_property
    def established_gaps(self) -> list[Gaps]:
        """The same as `gaps` without the attempts that were refused or not answered."""
        return [gap for gap in self.gaps if gap.connection.close.how not in _ATTEMPTS]

    @cached_property
    def lacks(self) -> Lacks:
        """Of which streams what is missing."""
        clients, servers = set(), set()
        for gap in self.established_gaps:
            stream = gap.connection.stream
            lost = {hole.from_client for hole in gap.holes}
            if not gap.begun or True in lost or gap.one_way == "server":
                clients.add(stream)
            if not gap.begun or False in lost or gap.one_way == "client":
                servers.add(stream)
        for loss in () if self.tshark.waits else self.losses:
            if loss.fills:  # read as if it were missing
                (clients if loss.packet.from_client else servers).add(loss.packet.stream)
        still = {gap.connection.stream for gap in self.established_gaps if not gap.ended}
        return Lacks(frozenset(clients), frozenset(servers), frozenset(still))

    def whole(self, stream: int, *, from_client: bool) -> bool:
        """Whether the capture has all octets of one direction of a connection, from its beginning on."""
        return stream not in (self.lacks.clients if from_client else self.lacks.servers)

    @cached_property
    def counts(self) -> Counts:
        """The main figures, each with whether what is missing can change it."""
        unnamed = [one.stream for one in self.established if not one.user]
        end = self.capture.packets[-1].time
        return counts(
            self.lines,
            self.calls,
            self.unplaced,
            self.requests,
            unnamed,
            self.people,
            Count(len(self.established), not self.unanswered),
            self.lacks,
            end,
        )

    @cached_property
    def proofs(self) -> list[Proof]:
        """What must have been in the holes."""
        return proofs(self.established_gaps, self.lines, self.calls, self.spec, self.words)

    @cached_property
    def losses(self) -> list[Loss]:
        """The segments that came again or late."""
        found = [loss for one in self.connections for loss in losses(one)]
        return sorted(found, key=lambda loss: loss.packet.number)

    def periods(self, connection: Connection) -> list[Period]:
        """The states of a connection over time."""
        found = next((gap.holes for gap in self.gaps if gap.connection is connection), [])
        return periods(connection, found)

    @cached_property
    def unplaced(self) -> list[Line]:
        """What was said where the capture does not show in which chat, and shows no refusal."""
        found = []
        for one in self.connections:
            if one.stream in self.partial:
                refused = matched(one.lines)
                found += [
                    line
                    for place, line in enumerate(one.lines)
                    if line.from_client and line.verb == self.words.say and line.talk is None and place not in refused
                ]
        return sorted(found, key=lambda line: line.number)

    @cached_property
    def by_stream(self) -> dict[int, Connection]:
        return {connection.stream: connection for connection in self.connections}

    @cached_property
    def packets(self) -> list[Packet]:
        """The packets of the chat's connections, in the order of the capture."""
        return sorted((packet for one in self.connections for packet in one.packets), key=lambda packet: packet.number)

    @property
    def lines(self) -> list[Line]:
        return self.capture.lines

    @cached_property
    def calls(self) -> list[Call]:
        return calls(self.lines, self.spec, self.words, self.partial)

    @cached_property
    def thoughts(self) -> list[Thought]:
        """The think times, also those during which something was sent again or may be missing."""
        return thoughts(self.calls, self.directions, self.gaps)

    @cached_property
    def chats(self) -> list[Call]:
        """The calls that were answered."""
        return [call for call in self.calls if call.answered is not None]

    @cached_property
    def said(self) -> list[Said]:
        """What was said, also to a called user that never answered."""
        return [line for call in self.calls for line in call.said]

    @cached_property
    def missed(self) -> list[Missed]:
        return missed(self.lines, self.spec, self.words)

    @cached_property
    def requests(self) -> list[Requests]:
        return requests(self.lines, self.spec, self.protocol)

    @cached_property
    def violations(self) -> list[Violation]:
        return violations(self.speaking)

    @cached_property
    def violating(self) -> Evidence:
        """The frames that break the spec."""
        return Evidence.of(f"{self.protocol}.violation", (violation.frame for violation in self.violations))

    @cached_property
    def events(self) -> list[Event]:
        """What was sent again, late or asked for again, in the order of the capture."""
        found = [event for one in self.connections for event in one.events]
        return sorted(found, key=lambda event: event.packet.number)

    @cached_property
    def marked(self) -> frozenset[int]:
        """The frames that a drawing shows as trouble: retransmissions, duplicate ACKs, zero windows."""
        repairs = {event.packet.number for event in self.events if event.kind in ("retransmission", "duplicate ACK")}
        return frozenset(repairs | {p.number for p in self.packets if "tcp.analysis.zero_window" in p.analysis})

    @cached_property
    def signs(self) -> list[transport.Sign]:
        return transport.signs(self.connections)

    @cached_property
    def directions(self) -> list[segments.Direction]:
        return [direction for connection in self.speaking for direction in segments.directions(connection)]

    @cached_property
    def senders(self) -> list[network.Sender]:
        return network.senders(self.packets)

    @cached_property
    def scope(self) -> str:
        """A filter for the packets of the chat's connections."""
        return transport.streams_filter(self.connections)

    @cached_property
    def people(self) -> list[str]:
        """The names that were taken, in the order of their connections."""
        return list(dict.fromkeys(connection.user for connection in self.connections if connection.user))

    @cached_property
    def syns(self) -> Evidence:
        return self.select("tcp.flags.syn == 1", [packet for packet in self.packets if packet.has(SYN)])

    @cached_property
    def ends(self) -> Evidence:
        """The frames with FIN or RST."""
        marks = (frame for one in self.connections for frame in one.close.evidence.frames)
        return Evidence.of(f"(tcp.flags.fin == 1 || tcp.flags.reset == 1) && {self.scope}", marks)

    def of_kind(self, kind: str) -> tuple[list[Line], Evidence]:
        """The lines of this kind, and the frames that show them."""
        found = [line for line in self.lines if line.kind == kind]
        return found, Evidence.showing(f'{self.protocol}.kind == "{kind}"', found)

    def pushed(self, key: str) -> Evidence:
        """The frames in which the server has sent this push, whether it was right or not."""
        found = [line for line in self.lines if line.verb == key and not line.from_client]
        return Evidence.showing(f'{self.protocol}.verb == "{key}" && {self.protocol}.from == "server"', found)

    def since(self, time: Decimal) -> str:
        """A time as seconds since the first packet."""
        return f"{time - self.start:.3f} s"

    def select(self, display_filter: str, packets: list[Packet]) -> Evidence:
        """Evidence within the chat's connections."""
        return Evidence.showing(f"{display_filter} && {self.scope}", packets)
