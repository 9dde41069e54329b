"""One variant as a program: `python -m tools.selftest.variants.client --variant NAME HOST PORT`."""

from __future__ import annotations

import argparse
import socket
import sys
import time

from pychat.spec import SpecError, load, shipped

from .table import find


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.selftest.variants.client", description="A right client.")
    parser.add_argument("--variant", required=True)
    parser.add_argument("--spec")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    options = parser.parse_args()
    variant = find(options.variant)
    if variant is None:
        sys.exit(f"there is no variant {options.variant}")
    time.sleep(variant.start)
    try:
        spec = load(options.spec) if options.spec else shipped()
        sock = socket.create_connection((options.host, options.port), timeout=10)
    except (SpecError, OSError) as error:
        sys.exit(str(error))
    with sock:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sys.exit(variant.streams(variant.engine(spec), sock).run())


if __name__ == "__main__":
    main()
