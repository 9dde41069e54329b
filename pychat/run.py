"""Starts the client that fits: lines for programs, or a chat for a person at a terminal."""

from __future__ import annotations

import sys

from .session import Protocol
from .spec import Spec


def run_client(host: str, port: int, name: str | None, chat: str | None, plain: bool, spec: Spec) -> int:
    """Runs a client until its user or the server ends it, and returns its exit code.

    `name` and `chat` are what its user would have typed first.
    """
    protocol = Protocol(spec)
    if plain or not (sys.stdin.isatty() and sys.stdout.isatty()):
        from .plain import run_plain

        return run_plain(host, port, name, chat, protocol)
    from .terminal import run_terminal

    return run_terminal(host, port, name, chat, protocol)
