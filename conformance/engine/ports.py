"""Free ports, for programs that must be told theirs. Knows no frame."""

from __future__ import annotations

import contextlib
import errno
import random
import socket
import sys
from collections.abc import Iterator

# Below the ports that a system gives to a socket that asks for any (RFC 6335: 49152 and above; Linux: 32768 and above).
PORTS = range(10_000, 32_000)


@contextlib.contextmanager
def free_port() -> Iterator[int]:
    """A port that is free now; in the block nobody else who asks here gets it.

    So no other program listens on it before the one that it is meant for, which would be taken for that one.
    """
    while True:
        with contextlib.ExitStack() as stack:
            port = random.choice(PORTS)
            try:
                _claim(port, stack)
                with socket.socket() as probe:
                    probe.bind(("", port))  # without SO_REUSEADDR: a server that does not set it can have this port
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    continue
                raise
            yield port
            return


def _claim(port: int, stack: contextlib.ExitStack) -> None:
    """Claims a port among the programs of this machine. Raises OSError when it is claimed already.

    By a name in the abstract namespace (unix(7)), which goes with its socket; only Linux has it.
    """
    if sys.platform == "linux":
        claim = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        claim.bind(f"\0pychat-conformance/port/{port}")
