"""Addresses as text: how people write them, and which count as one."""

from __future__ import annotations

import pytest

from pychat.addresses import group, is_loopback, plain


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
