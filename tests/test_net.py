"""Sockets as both ends prepare them, and errors in words."""

from __future__ import annotations

import errno
import os
import socket
import sys

import pytest

from pychat.net import endpoint, prepare, reason
from pychat.spec import Spec


@pytest.mark.skipif(sys.platform != "linux", reason="the options have these names on Linux")
def test_a_dead_peer_is_found_whether_octets_are_unacknowledged_or_not(spec: Spec) -> None:
    """R-TIME-4: keep-alive sees a silent one, the user timeout one to whom octets are under way."""
    idle, interval, probes = spec.transport.keepalive
    with socket.socket() as sock:
        prepare(sock, spec.transport)
        found = {
            name: sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
        }
    seconds = idle + interval * probes
    assert list(found.values()) == [idle, interval, probes, 1000 * seconds]


def test_words_for_people() -> None:
    """An address with its port, and an error without its number."""
    assert [endpoint(host, 8255) for host in ("127.0.0.1", "::1")] == ["127.0.0.1:8255", "[::1]:8255"]
    assert reason(OSError(errno.ECONNREFUSED, "")) == os.strerror(errno.ECONNREFUSED).lower()
    assert reason(socket.gaierror(-2, "Name or service not known")) == "name or service not known"
    assert reason(OSError("it is no name")) == "it is no name"
