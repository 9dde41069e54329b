"""One connection, as the hub sees it. No socket: the owner of the transport keeps it."""

from __future__ import annotations

from .codec import Splitter


class Connection:
    """The state of one connection. The owner of the transport reads these attributes:

    outbox    chunks of octets to be sent, in order; the owner takes them away and calls `Queues.sent`
    queued    octets that were put into the outbox and have not been sent
    paused    nothing is to be read from it now (R-FLOW-1, R-FLOW-2)
    finished  its peer has ended the stream
    broken    it is to be closed at once, without another octet

    Times are in seconds of the caller's clock.
    """

    __slots__ = (
        "accepted",
        "active",
        "address",
        "broken",
        "ended",
        "faults",
        "finished",
        "fired",
        "full_since",
        "held",
        "id",
        "name",
        "opened",
        "outbox",
        "partner",
        "paused",
        "paused_since",
        "probing",
        "queued",
        "sated",
        "splitter",
        "state",
        "touched",
        "turn_over",
    )

    def __init__(self) -> None:
        self.id = 0
        self.state = ""
        self.name = ""
        self.partner: Connection | None = None
        self.accepted = False
        self.address = ""
        self.outbox: list[bytes] = []
        self.queued = 0
        self.paused = False
        self.finished = False
        self.broken = False
        self.held = False  # no frame may be taken now: it moves to another thread
        self.turn_over = False  # it is paused only so that others have their turn
        self.sated = False  # its last turn ended by the octets that were put into its queue
        self.touched = False  # it is in Queues.touched
        self.faults = 0
        self.probing = 0  # octets in the queue that a timer has put there
        self.fired = 0  # a bit for each timer that has fired in this silence
        self.opened = self.active = self.paused_since = 0.0
        self.ended: float | None = None
        self.full_since: float | None = None
        self.splitter: Splitter
