"""One variant as a program: `python -m tools.selftest.variants.server --variant NAME --port 0`."""

from __future__ import annotations

import argparse
import contextlib
import signal
import socket
import sys
import time

from pychat.spec import SpecError, load, shipped

from .relay import Relay
from .table import find

DRAIN = 3.0  # seconds for what is still in the relay when the server has ended


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.selftest.variants.server", description="A right server.")
    parser.add_argument("--variant", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--max-connections", type=int, default=1000)
    parser.add_argument("--spec")
    options = parser.parse_args()
    variant = find(options.variant)
    if variant is None:
        sys.exit(f"there is no variant {options.variant}")
    try:
        spec = load(options.spec) if options.spec else shipped()
    except (SpecError, OSError) as error:
        sys.exit(str(error))
    time.sleep(variant.start)
    host = variant.host or options.host
    engine = variant.engine(spec, options.max_connections)
    sockets = variant.sockets(engine, host, 0 if variant.link else options.port)
    signal.signal(signal.SIGTERM, lambda *_: setattr(sockets, "stopping", True))
    with contextlib.ExitStack() as stack:
        listener = sockets.listener
        if variant.link is not None:
            port = listener.getsockname()[1]
            listener = socket.create_server((host, options.port), family=listener.family, backlog=256)
            relay = Relay(listener, port, variant.link, spec.transport.keepalive)
            stack.callback(relay.drain, DRAIN)
        shown = f"[{host}]" if ":" in host else host
        print(f"listening on {shown}:{listener.getsockname()[1]}", flush=True)
        sockets.run()


if __name__ == "__main__":
    main()
