"""Sockets as both ends prepare them, and errors in words."""

from __future__ import annotations

import errno
import os
import socket
import sys

import pytest

from pychat.net import UNSENT, prepare, reason
from pychat.spec import Spec


def options(sock: socket.socket, *names: str) -> list[int]:
    return [sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_{name}")) for name in names]


@pytest.mark.skipif(sys.platform != "linux", reason="the options have these names on Linux")
def test_a_dead_peer_is_found(spec: Spec) -> None:
    """R-TIME-4: keep-alive finds a silent one. One that does not read is not dead, so the server sets no more."""
    idle, interval, probes = spec.transport.keepalive
    with socket.socket() as sock:
        prepare(sock, spec.transport.keepalive)
        assert options(sock, "KEEPIDLE", "KEEPINTVL", "KEEPCNT", "USER_TIMEOUT") == [idle, interval, probes, 0]
        prepare(sock, spec.transport.keepalive, acknowledged=True)
        assert options(sock, "USER_TIMEOUT") == [1000 * (idle + interval * probes)]


@pytest.mark.skipif(sys.platform != "linux", reason="the option has this name on Linux")
def test_the_system_holds_little_for_a_peer_that_does_not_read(spec: Spec) -> None:
    """What is not sent waits in our queue, which is bounded and shares what it can."""
    with socket.socket() as sock:
        prepare(sock, spec.transport.keepalive)
        assert options(sock, "NOTSENT_LOWAT") == [UNSENT]


def test_words_for_people() -> None:
    """An error without its number."""
    assert reason(OSError(errno.ECONNREFUSED, "")) == os.strerror(errno.ECONNREFUSED).lower()
    assert reason(socket.gaierror(-2, "Name or service not known")) == "name or service not known"
    assert reason(OSError("it is no name")) == "it is no name"
