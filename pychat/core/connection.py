"""One connection, as the hub sees it. No socket: the owner of the transport keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field

from .codec import Splitter


@dataclass(eq=False, repr=False, slots=True)
class Connection:
    """The state of one connection; times are in seconds of the caller's clock.

    The owner of the transport reads `outbox`, `queued`, `paused`, `finished` and `broken`. It takes the chunks of the
    outbox away, in their order, and calls `Queues.sent`.
    """

    id: int = 0
    address: str = ""
    state: str = ""
    name: str = ""
    partner: Connection | None = None
    answered: bool = False  # has named this partner in a request that links or accepts; it stays so
    accepted: bool = False  # is heard now
    splitter: Splitter = field(init=False)  # set when the hub takes the connection
    outbox: list[bytes] = field(default_factory=list)  # chunks of octets to be sent
    queued: int = 0  # octets that were put into the outbox and have not been sent
    paused: bool = False  # nothing is to be read from it now (R-FLOW-1, R-FLOW-2)
    finished: bool = False  # its peer has ended the stream
    broken: bool = False  # it is to be closed at once, without another octet
    held: bool = False  # no frame may be taken now: it moves to another thread
    waiting: bool = False  # no frame may be taken now: its last one waits for slow work
    turn_over: bool = False  # it is paused only so that others have their turn
    sated: bool = False  # its last turn ended by the octets that were put into its queue
    touched: bool = False  # it is in Queues.touched
    faults: int = 0
    probing: int = 0  # octets in the queue that a timer has put there
    fired: int = 0  # a bit for each timer that has fired in this silence
    opened: float = 0.0
    active: float = 0.0
    paused_since: float = 0.0
    ended: float | None = None
    full_since: float | None = None
    called: float | None = None  # when it became the called end of a link; None since it has called
