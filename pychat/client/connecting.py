"""Making a connection to a server: its addresses, what goes wrong, and when to try again. Knows no frame."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from pychat.core.addresses import endpoint
from pychat.net import reason

# An entry of getaddrinfo: family, kind, number of the protocol, canonical name, address.
Address: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


class ConnectError(OSError):
    """There is no connection. Its words are for people; `why` is the reason alone."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")
        self.why = why


def connect(host: str, port: int, timeout: float) -> socket.socket:
    """A connected socket: the first of the host's addresses that answers, within `timeout` seconds in all.

    Each address gets its share of what is left of them, so that one that is silent leaves time for those behind it.
    """
    deadline = time.monotonic() + timeout
    try:
        found = _resolve(host, port, timeout)
    except OSError as error:
        raise ConnectError(f"cannot find {host}", reason(error)) from None
    why = "no address"
    for tried, (family, kind, number, _, address) in enumerate(found):
        try:
            sock = socket.socket(family, kind, number)  # the system may not have this family
        except OSError as error:
            why = reason(error)
            continue
        try:
            share = (deadline - time.monotonic()) / (len(found) - tried)
            sock.settimeout(max(0.001, share))
            sock.connect(address)
        except OSError as error:
            sock.close()
            why = reason(error)
            continue
        return sock
    raise ConnectError(f"cannot connect to {endpoint(host, port)}", why)


def _resolve(host: str, port: int, timeout: float) -> list[Address]:
    """The addresses of a host, at least one, in the order in which they are to be tried (RFC 6724).

    The system's resolver knows no deadline and no Ctrl-C, so a thread of its own calls it. The thread is a daemon,
    joined for `timeout` seconds, since nothing can interrupt it; a late answer is dropped.

    Raises:
        OSError: there is no such host, or no answer in time (TimeoutError).
    """
    found: list[Address] = []
    trouble: list[OSError] = []

    def ask() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            trouble.append(error)
        except UnicodeError:  # an empty label, one that is too long, a character that no name has
            trouble.append(OSError("it is no name of a host"))

    asking = threading.Thread(target=ask, name="pychat-resolver", daemon=True)
    asking.start()
    asking.join(timeout)
    if trouble:
        raise trouble[0]
    if not found:
        raise TimeoutError("the resolver does not answer")
    return found


def delays(
    first: float = 0.5, growth: float = 2.0, most: float = 30.0, chance: Callable[[], float] = random.random
) -> Iterator[float]:
    """Seconds to wait before each attempt to connect again: growing, and each between half of its size and all of it.

    Without the jitter, all clients of a server that was restarted would come back at the same moment.
    """
    size = first
    while True:
        yield size * (0.5 + chance() / 2)
        size = min(size * growth, most)
