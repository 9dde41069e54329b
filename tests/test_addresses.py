"""Addresses as text: how people write them, and which count as one."""

from __future__ import annotations

import pytest

from pychat.core.addresses import endpoint, group, is_loopback, parse_endpoint, parse_host, plain


@pytest.mark.parametrize(
    ("host", "written", "counted", "loopback"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1", False),
        ("::FFFF:C000:0201", "192.0.2.1", "192.0.2.1", False),
        ("2001:DB8::1:2:3:4", "2001:db8::1:2:3:4", "2001:db8::/64", False),
        ("2001:db8:0:0:ffff::1", "2001:db8::ffff:0:0:1", "2001:db8::/64", False),
        ("2001:db8:0:1::1", "2001:db8:0:1::1", "2001:db8:0:1::/64", False),
        ("fe80::1%eth0", "fe80::1%eth0", "fe80::/64%eth0", False),
        ("fe80::2%eth1", "fe80::2%eth1", "fe80::/64%eth1", False),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1", True),
        ("127.9.9.9", "127.9.9.9", "127.9.9.9", True),
        ("::ffff:127.0.0.1", "127.0.0.1", "127.0.0.1", True),
        ("::1", "::1", "::/64", True),
        ("::", "::", "::/64", False),
    ],
)
def test_an_address_is_written_and_counted_as_people_do(host: str, written: str, counted: str, loopback: bool) -> None:
    """One IPv6 network of 64 bits is one address (R-OPEN-2), on each link by itself."""
    assert (plain(host), group(host), is_loopback(host)) == (written, counted, loopback)


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


def test_an_ipv6_address_with_a_port_stands_in_brackets() -> None:
    """RFC 3986, 3.2.2."""
    assert [endpoint(host, 8255) for host in ("127.0.0.1", "::1")] == ["127.0.0.1:8255", "[::1]:8255"]
