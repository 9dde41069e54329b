"""Sockets as both ends prepare them, and errors in words."""

from __future__ import annotations

import errno
import os
import socket
import sys

import pytest

from pychat.net import UNSENT, endpoint, expect_acknowledgements, parse_endpoint, parse_host, prepare, reason
from pychat.spec import Spec


def options(sock: socket.socket, *names: str) -> list[int]:
    return [sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_{name}")) for name in names]


@pytest.mark.skipif(sys.platform != "linux", reason="the options have these names on Linux")
def test_a_dead_peer_is_found(spec: Spec) -> None:
    """R-TIME-4: keep-alive sees a silent one. One who does not read is not dead, so the server asks for no more."""
    idle, interval, probes = spec.transport.keepalive
    with socket.socket() as sock:
        prepare(sock, spec.transport)
        assert options(sock, "KEEPIDLE", "KEEPINTVL", "KEEPCNT", "USER_TIMEOUT") == [idle, interval, probes, 0]
        expect_acknowledgements(sock, spec.transport)
        assert options(sock, "USER_TIMEOUT") == [1000 * (idle + interval * probes)]


@pytest.mark.skipif(sys.platform != "linux", reason="the option has this name on Linux")
def test_the_system_holds_little_for_a_peer_that_does_not_read(spec: Spec) -> None:
    """What is not sent waits in our queue, which is bounded and shares what it can."""
    with socket.socket() as sock:
        prepare(sock, spec.transport)
        assert options(sock, "NOTSENT_LOWAT") == [UNSENT]


def test_words_for_people() -> None:
    """An address with its port, and an error without its number."""
    assert [endpoint(host, 8255) for host in ("127.0.0.1", "::1")] == ["127.0.0.1:8255", "[::1]:8255"]
    assert reason(OSError(errno.ECONNREFUSED, "")) == os.strerror(errno.ECONNREFUSED).lower()
    assert reason(socket.gaierror(-2, "Name or service not known")) == "name or service not known"
    assert reason(OSError("it is no name")) == "it is no name"


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("host", "host", 8255),
        ("host:1", "host", 1),
        ("host:65535", "host", 65535),
        ("host.example.:80", "host.example.", 80),
        ("my_host-2", "my_host-2", 8255),
        ("127.0.0.1:80", "127.0.0.1", 80),
        (":80", "127.0.0.1", 80),
        ("[::1]", "::1", 8255),
        ("[::1]:80", "::1", 80),
        ("::1", "::1", 8255),
        ("::", "::", 8255),
        ("::1:8255", "::1:8255", 8255),  # an address, too: a port is given with brackets
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1", 8255),
        ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
        ("fe80::1%2", "fe80::1%2", 8255),
        ("münchen.example:80", "münchen.example", 80),
        ("x" * 63, "x" * 63, 8255),
    ],
)
def test_an_address_is_read_as_people_write_it(text: str, host: str, port: int) -> None:
    """With and without a port; what `endpoint` writes is read back."""
    assert parse_endpoint(text, 8255) == (host, port)
    assert parse_endpoint(endpoint(host, port), 1) == (host, port)


# fmt: off
NO_ADDRESSES = [
    "[::1", "::1]", "[::1]x", "[::1]80", "[::1]:", "[::1]:x", "[::1]:0", "[::1]:80:", "[]", "[]:80", "[", "]",
    "[[::1]]", "[host]", "[host]:80", "[127.0.0.1]:80", "[fe80::1%]:80", "fe80::1%", "fe80::1%a b", "[::1]%eth0:80",
    "1:2:3", "2001:db8:0:0:0:0:0:1:80", "host:80:80", "http://host", "http://host:80", "user@host:80", "host/80",
    "%eth0", "host:", ":", "host:0", "host:65536", "host:99999", "host:-1", "host:+1", "host:1e3", "host:0x50",
    "host:1_0",
    "host:" + "1" * 5000, "host:\u0668\u0660", "host:\uff18\uff10", "host: 80", "host :80", " host", "host ",
    "", " ", "a b", "host\n", "host:80\n", "a..b", ".host", "x" * 64, "x" * 64 + ".example", "ü" * 64, "a." * 200,
    "\x1b[31m", "host\u202e", "\udcff", "*", "host\x00",
]
# fmt: on


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_what_is_no_address_is_refused_in_words(text: str) -> None:
    """One short line that shows the text, and nothing of it raw that could steer a terminal."""
    with pytest.raises(ValueError, match=" ") as error:
        parse_endpoint(text, 8255)
    words = str(error.value)
    assert words.isprintable()
    assert len(words) < 200


def test_a_host_alone_has_no_port() -> None:
    """What a server listens on; IPv6 with brackets or without."""
    assert [parse_host(host) for host in ("::", "[::1]", "127.0.0.1", "host")] == ["::", "::1", "127.0.0.1", "host"]
    for text in ("host:80", "[::1]:80", "[::1", "", "a b"):
        with pytest.raises(ValueError, match="is no "):
            parse_host(text)
