"""The sections of the report, in their order. Each is a function from findings to sections."""

from __future__ import annotations

from collections.abc import Callable

from tools.report.document import Section
from tools.report.findings import Findings

from .checking import checking
from .closing import closing
from .flows import flows
from .handshake import handshake
from .network import network
from .problems import problems
from .segmentation import segmentation
from .session import session
from .small import small
from .sockets import sockets
from .summary import summary
from .transport import transport

SECTIONS: tuple[Callable[[Findings], list[Section]], ...] = (
    summary,
    checking,
    sockets,
    handshake,
    flows,
    segmentation,
    small,
    transport,
    network,
    session,
    closing,
    problems,
)
