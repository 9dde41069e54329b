"""What both ends need of the network: socket options, closing, and errors in words. Knows no spec."""

from __future__ import annotations

import contextlib
import os
import socket
import sys

if sys.platform == "linux":
    import fcntl
    import termios

# Octets that the system holds and has not sent yet (tcp(7)). Without a limit it would take megabytes for each
# connection whose peer does not read.
UNSENT = 65536


def prepare(sock: socket.socket, keepalive: tuple[float, float, int], *, acknowledged: bool = False) -> None:
    """Sends each line at once (no Nagle, RFC 896), and finds a dead peer by keep-alive (R-TIME-4; RFC 9293, 3.8.4).

    `keepalive` is the idle time and the interval in seconds, and the number of probes. `acknowledged`: a peer that does
    not acknowledge what was sent is found too, when keep-alive is silent (RFC 5482); else retransmission goes on for a
    quarter of an hour. Only for clients: a window that stays closed counts as silence, so a server would lose a living
    peer that does not read for a while (R-MSG-5).
    """
    idle, interval, probes = keepalive
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    _set(sock, "TCP_NODELAY", 1)
    _set(sock, "TCP_NOTSENT_LOWAT", UNSENT)
    _set(sock, "TCP_KEEPIDLE", idle)
    _set(sock, "TCP_KEEPINTVL", interval)
    _set(sock, "TCP_KEEPCNT", probes)
    if acknowledged:
        _set(sock, "TCP_USER_TIMEOUT", min(1000 * (idle + interval * probes), 2**31 - 1))  # in milliseconds


def _set(sock: socket.socket, name: str, value: float) -> None:
    if hasattr(socket, name):  # not on every system
        sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), max(1, round(value)))


def unacknowledged(sock: socket.socket) -> int:
    """The octets that the peer has not acknowledged yet (tcp(7), SIOCOUTQ); 0 where the system does not say."""
    if sys.platform != "linux":
        return 0
    try:
        return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:
        return 0


def close(sock: socket.socket) -> None:
    """Closes a socket. The descriptor is free also when the system reports an error (close(2))."""
    with contextlib.suppress(OSError):
        sock.close()


def reason(error: OSError) -> str:
    """The system's message alone; an error of the resolver has a negative number and a message of its own."""
    words = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else error.strerror or str(error)
    return words[:1].lower() + words[1:]
