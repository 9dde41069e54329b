"""What both ends need of the network: the options of a socket, the resolver, and errors in words. Knows no frame."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any, TypeAlias

if sys.platform == "linux":
    import fcntl
    import termios

if TYPE_CHECKING:
    from .spec.model import Transport

# Octets that the system holds and has not sent yet (tcp(7)). Without a limit it would take megabytes for each peer that
# does not read, and they are not shared as ours are.
UNSENT = 65536

# What getaddrinfo says of one address: family, kind, number of the protocol, canonical name, address.
Address: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


def prepare(sock: socket.socket, transport: Transport) -> None:
    """Sends each line at once (no Nagle, RFC 896), and finds a dead peer by keep-alive (R-TIME-4; RFC 9293, 3.8.4)."""
    idle, interval, probes = transport.keepalive
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    _set(sock, "TCP_NODELAY", 1)
    _set(sock, "TCP_NOTSENT_LOWAT", UNSENT)
    _set(sock, "TCP_KEEPIDLE", idle)
    _set(sock, "TCP_KEEPINTVL", interval)
    _set(sock, "TCP_KEEPCNT", probes)


def expect_acknowledgements(sock: socket.socket, transport: Transport) -> None:
    """Finds a dead server also while octets are under way to it, when keep-alive is silent (RFC 5482).

    Without it, retransmission goes on for a quarter of an hour. Only for clients: the system takes a window that stays
    closed for silence, so a server would lose a living peer who does not read for a while (R-MSG-5).
    """
    idle, interval, probes = transport.keepalive
    _set(sock, "TCP_USER_TIMEOUT", min(1000 * (idle + interval * probes), 2**31 - 1))  # in milliseconds


def _set(sock: socket.socket, name: str, value: float) -> None:
    if hasattr(socket, name):  # not on every system
        sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), max(1, round(value)))


def resolve(host: str, port: int, timeout: float) -> list[Address]:
    """The addresses of a host, at least one, in the order in which they are to be tried (RFC 6724).

    The system's resolver knows no deadline and no Ctrl-C, so a thread of its own asks it. It is a daemon, joined for
    `timeout` seconds: nothing can wake it, and what it learns too late is for nobody.

    Raises:
        OSError: there is no such host, or nobody said so in time (TimeoutError).
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


def unacknowledged(sock: socket.socket) -> int:
    """The octets that the system has taken and the peer has not (tcp(7), SIOCOUTQ); 0 where the system is silent."""
    if sys.platform != "linux":
        return 0
    try:
        return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:
        return 0


def close(sock: socket.socket) -> None:
    """Closes a socket. The system takes its descriptor back also when it reports an error (close(2))."""
    with contextlib.suppress(OSError):
        sock.close()


def reason(error: OSError) -> str:
    """The system's words alone; an error of the resolver has a number below zero and words of its own."""
    words = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else error.strerror or str(error)
    return words[:1].lower() + words[1:]
