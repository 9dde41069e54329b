"""Starts the client that fits: a chat for a person at a terminal that has a cursor to move, lines for all else."""

from __future__ import annotations

import sys
import threading

from pychat.core.addresses import endpoint
from pychat.core.protocol import Protocol
from pychat.spec import Spec
from pychat.visible import visible

from .client import Client
from .connecting import ConnectError
from .phrases import Phrases
from .plain import run_plain
from .talk import Talk

PATIENCE = 2.0  # seconds after which a terminal shows that the connection is still being made


def run_client(host: str, port: int, name: str | None, chat: str | None, plain: bool, spec: Spec) -> int:
    """Runs a client until its user or the server ends it. Returns its exit code, 1 when there is no server.

    `name` and `chat` are what its user would have typed first.
    """
    protocol, phrases = Protocol(spec), Phrases()  # the one place where another language can be chosen
    at_terminal = not plain and sys.stdin.isatty() and sys.stdout.isatty()
    if at_terminal:
        from prompt_toolkit.utils import is_dumb_terminal

        from .terminal import Terminal

        if is_dumb_terminal():
            print(phrases.no_cursor.format(commands=", ".join(spec.contract.commands)), file=sys.stderr)
            at_terminal = False
    words = phrases.connecting_to.format(address=endpoint(host, port))
    slow = threading.Timer(PATIENCE, print, (words,), {"file": sys.stderr})  # ended by `cancel`
    slow.daemon = True
    if at_terminal:
        slow.start()
    try:
        client = Client.connect(host, port, protocol=protocol)
    except ConnectError as error:
        print(f"pychat: {visible(str(error))}", file=sys.stderr)
        return 1
    finally:
        slow.cancel()
    if at_terminal:
        return Terminal(client, (host, port), Talk(protocol, phrases, name, chat)).run()
    return run_plain(client, name, chat, phrases)
