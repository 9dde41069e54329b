"""Where a recording takes place: namespaces joined by a router, or the loopback interface. Knows no chat.

    alice ── 10.82.1.0/24 ──┐
    bob ──── 10.82.2.0/24 ──┤ router ── 10.82.0.0/24 ── server
    …                       ┘

Every host is a network namespace of its own with one interface, `eth0`, whose other end is the router's. The MTU is
1500 and the offloads are off, so that what is recorded is what a wire would carry: segments of at most 1460 octets,
true checksums, and a TTL that has fallen by one when a packet comes out of the router.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from conformance.engine import programs

INTERFACE = "eth0"
MTU = 1500
OFFLOADS = ("tso", "gso", "gro", "tx", "rx", "sg")
_PREFIX = "pychat"
_CLONE_NEWNET = 0x40000000


class CaptureError(Exception):
    """A recording that cannot be made; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Host:
    """A place where programs run. `namespace` is None on the loopback interface."""

    name: str
    address: str
    namespace: str | None = None

    def command(self, words: Sequence[str]) -> list[str]:
        """The words that run a program on this host."""
        return ["ip", "netns", "exec", self.namespace, *words] if self.namespace else list(words)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Sockets that this thread makes meanwhile belong to this host, and stay its own afterwards."""
        if self.namespace is None:
            yield
            return
        with open("/proc/thread-self/ns/net", "rb") as home, open(f"/run/netns/{self.namespace}", "rb") as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())


@dataclass(frozen=True, slots=True)
class Network:
    """The hosts of a recording. `interface` is where the server is recorded; `description` names its limits."""

    kind: str
    description: str
    server: Host
    clients: tuple[Host, ...]
    router: Host | None = None
    interface: str = INTERFACE
    names: dict[str, str] = field(default_factory=dict)

    @property
    def routed(self) -> bool:
        """Whether there is a router, on which packets can be lost."""
        return self.router is not None


@contextmanager
def loopback(users: Sequence[str], why: str, *, ipv6: bool = False) -> Iterator[Network]:
    """All hosts on this machine's loopback interface; `why` there are no namespaces."""
    address = "::1" if ipv6 else "127.0.0.1"
    yield Network(
        kind="loopback",
        description=f"the loopback interface ({why}): no router, no true Ethernet addresses, segments of up to 64 KiB",
        server=Host("server", address),
        clients=tuple(Host(user, address) for user in users),
        interface="lo" if sys.platform == "linux" else "lo0",
    )


def namespaces_possible() -> str | None:
    """Why there can be no namespaces here; None when there can."""
    if sys.platform != "linux":
        return "network namespaces are Linux's own"
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "ethtool"):
        if shutil.which(program) is None:
            return f"{program} is missing: apt-get install iproute2 ethtool"
    probe = f"{_PREFIX}-{os.getpid()}-probe"
    with programs.undoing(_deleting(probe)):
        done = programs.run(["ip", "netns", "add", probe])
    return done.stderr.strip() if done.returncode != 0 else None


@contextmanager
def namespaces(users: Sequence[str], *, ipv6: bool = False) -> Iterator[Network]:
    """A namespace for the server, for each of the users and for the router. They are gone afterwards, whatever happens.

    Raises CaptureError when a step fails.
    """
    with ExitStack() as stack:
        router = _namespace(stack, "router", ipv6=ipv6)
        _set(router, "ipv6/conf/all/forwarding" if ipv6 else "ipv4/ip_forward", "1")
        hosts = [_join(stack, router, number, name, ipv6=ipv6) for number, name in enumerate(["server", *users])]
        names = {host.address: host.name for host in hosts}
        names |= {_address(number, 1, ipv6=ipv6): "router" for number in range(len(hosts))}
        yield Network(
            kind="namespaces",
            description="network namespaces joined by a router, one veth pair each, MTU 1500, offloads off",
            server=hosts[0],
            clients=tuple(hosts[1:]),
            router=Host("router", _address(0, 1, ipv6=ipv6), router),
            names=names,
        )


def cut(network: Network, host: Host) -> None:
    """The router drops every packet from this host from now on, as a broken cable would."""
    _on_router(network, "ip", *_family(host), "rule", "add", "from", host.address, "blackhole")


def mend(network: Network, host: Host) -> None:
    """Undoes `cut`."""
    _on_router(network, "ip", *_family(host), "rule", "del", "from", host.address, "blackhole")


def drop_every(network: Network, nth: int, *, above: int) -> None:
    """The router drops every `nth` forwarded TCP packet of more than `above` octets. Needs iptables."""
    table = "ip6tables" if ":" in network.server.address else "iptables"
    if shutil.which(table) is None:
        raise CaptureError(f"{table} is missing, and nothing else here loses packets: apt-get install iptables")
    rule = f"-p tcp -m length --length {above}:65535 -m statistic --mode nth --every {nth} --packet {nth - 1} -j DROP"
    _on_router(network, table, "-A", "FORWARD", *rule.split())


def slow_down(network: Network, rate: str) -> None:
    """The router's link to the server carries at most `rate` (`tc`'s notation: `4mbit`), with a queue before it."""
    words = f"qdisc add dev {_port(0)} root tbf rate {rate} burst 3028 limit 60000"
    _on_router(network, "tc", *words.split())


def forget_conditions(network: Network) -> None:
    """Undoes `drop_every` and `slow_down`."""
    assert network.router is not None
    for table in ("iptables", "ip6tables"):
        if shutil.which(table):
            _on_router(network, table, "-F", "FORWARD")
    programs.run(network.router.command(["tc", "qdisc", "del", "dev", _port(0), "root"]))


def _join(stack: ExitStack, router: str, number: int, name: str, *, ipv6: bool) -> Host:
    """A host on a subnet of its own, with the router as its default gateway."""
    namespace = _namespace(stack, name, ipv6=ipv6)
    port, bits = _port(number), "64" if ipv6 else "24"
    nodad = ["nodad"] if ipv6 else []
    _ip("-n", namespace, "link", "add", INTERFACE, "address", _mac(number, 2), "mtu", str(MTU), "type", "veth", "peer",
        "name", port, "netns", router, "address", _mac(number, 1), "mtu", str(MTU))  # fmt: skip
    for where, device, last in ((namespace, INTERFACE, 2), (router, port, 1)):
        _run(
            [
                "ip",
                "netns",
                "exec",
                where,
                "ethtool",
                "-K",
                device,
                *(word for offload in OFFLOADS for word in (offload, "off")),
            ]
        )
        _ip("-n", where, "address", "add", f"{_address(number, last, ipv6=ipv6)}/{bits}", "dev", device, *nodad)
        _ip("-n", where, "link", "set", device, "up")
    _ip("-n", namespace, "route", "add", "default", "via", _address(number, 1, ipv6=ipv6))
    return Host(name, _address(number, 2, ipv6=ipv6), namespace)


def _namespace(stack: ExitStack, name: str, *, ipv6: bool) -> str:
    namespace = f"{_PREFIX}-{os.getpid()}-{name}"
    stack.enter_context(programs.undoing(_deleting(namespace)))
    _ip("netns", "add", namespace)
    _ip("-n", namespace, "link", "set", "lo", "up")
    if not ipv6:  # its hosts would look for routers all the time
        _set(namespace, "ipv6/conf/all/disable_ipv6", "1")
        _set(namespace, "ipv6/conf/default/disable_ipv6", "1")
    # Slow start, fast retransmit and fast recovery as the textbooks draw them; the name is in every kernel.
    _set(namespace, "ipv4/tcp_congestion_control", "reno")
    return namespace


def _deleting(namespace: str) -> list[str]:
    """The words that delete a namespace, if it was made."""
    return ["sh", "-c", '[ ! -e "/run/netns/$0" ] || exec ip netns del "$0"', namespace]


def _port(number: int) -> str:
    return f"port{number}"


def _mac(number: int, last: int) -> str:
    return f"02:00:0a:52:{number:02x}:{last:02x}"


def _address(number: int, last: int, *, ipv6: bool) -> str:
    return f"fd00:82:{number}::{last}" if ipv6 else f"10.82.{number}.{last}"


def _family(host: Host) -> list[str]:
    return ["-6"] if ":" in host.address else []


def _set(namespace: str, name: str, value: str) -> None:
    """Sets a kernel parameter of a namespace; `/proc/sys/net` is that of the thread that opens it."""
    path = Path("/proc/sys/net") / name
    with Host("", "", namespace).inside():
        if path.exists():  # a kernel without IPv6 needs none switched off
            path.write_text(value, encoding="ascii")


def _on_router(network: Network, *words: str) -> None:
    assert network.router is not None
    _run(network.router.command(words))


def _ip(*words: str) -> None:
    _run(["ip", *words])


def _run(words: Sequence[str]) -> None:
    done = programs.run(words)
    if done.returncode != 0:
        raise CaptureError(f"`{' '.join(words)}` failed: {done.stderr.strip() or done.stdout.strip()}")


def _enter(descriptor: int) -> None:
    """Moves this thread to a network namespace; Python has no setns before 3.12."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise CaptureError(f"cannot enter the namespace: {os.strerror(number)}")
