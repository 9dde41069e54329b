"""What a tool may have left: processes that bear its mark in their environment. Linux, by /proc."""

from __future__ import annotations

import os
import secrets
import select
import time
from pathlib import Path

MARK = "PYCHAT_TEST_MARK"


def new_mark() -> dict[str, str]:
    """An environment that nothing else has; whatever is started with it passes it on."""
    return {**os.environ, MARK: secrets.token_hex(8)}


def marked(env: dict[str, str]) -> list[int]:
    """The processes that live and have this environment's mark."""
    words = f"{MARK}={env[MARK]}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if words in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:  # it has ended, or is none of this user's
            continue
    return found


def left(env: dict[str, str], seconds: float) -> list[str]:
    """What is left of the marked processes when they have had so many seconds to end."""
    deadline = time.monotonic() + seconds
    while (pids := marked(env)) and time.monotonic() < deadline:
        wait_for_end(pids[0], deadline)
    return [Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode() for pid in pids]


def wait_for_end(pid: int, deadline: float) -> None:
    """Waits for the end of a process that is no child of this one."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
    os.close(descriptor)
