"""A server of the notice board with a fake store: `python -m tests.board_server --port 9922`.

The store keeps nothing and commits at once, on the server's own thread for slow work; a hash is the word turned round.
"""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser
from pathlib import Path

from pychat.core.slow import Result, Work
from pychat.server.server import Server
from pychat.spec import load

BOARD = Path(__file__).parent / "board.yaml"


def do(work: Work) -> Result:
    """Hashes, compares, or commits to nowhere."""
    if work.kind == "commit":
        return "done"
    word, *hashes = map(str, work.payload)
    return word[::-1] if work.kind == "hash" else word[::-1] in hashes


def main() -> None:
    """Serves until SIGTERM."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--spec", default=str(BOARD))
    parser.add_argument("--max-connections", type=int, default=1000)
    options = parser.parse_args()
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    spec, most = load(options.spec), options.max_connections
    with Server(spec, "127.0.0.1", options.port, max_connections=most, do=do) as server:
        print(f"listening on {server.address[0]}:{server.address[1]}", flush=True)
        over.wait()


if __name__ == "__main__":
    main()
