"""Starts the client that fits: a chat for a person at a terminal that has a cursor to move, lines for all else."""

from __future__ import annotations

import sys

from pychat.core.protocol import Protocol
from pychat.spec import Spec


def run_client(host: str, port: int, name: str | None, chat: str | None, plain: bool, spec: Spec) -> int:
    """Runs a client until its user or the server ends it, and returns its exit code.

    `name` and `chat` are what its user would have typed first.
    """
    protocol = Protocol(spec)
    if not plain and sys.stdin.isatty() and sys.stdout.isatty():
        from prompt_toolkit.utils import is_dumb_terminal

        if not is_dumb_terminal():
            from .terminal import run_terminal

            return run_terminal(host, port, name, chat, protocol)
        print(f"This terminal has no cursor. Commands: {', '.join(spec.contract.commands)}", file=sys.stderr)
    from .plain import run_plain

    return run_plain(host, port, name, chat, protocol)
