"""A watch on the memory of a submission: all its processes together, since a limit for each one bounds no sum.

Only for a process in a pid namespace that holds nothing but the judge and the submission. They are told apart by their
pid namespace: the submission's processes have more than one process id. Memory is what is
resident and not of files; what a tmpfs holds is bounded by its size.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
from collections.abc import Iterator

PERIOD = 0.1  # seconds
FIELDS = re.compile(r"^(NSpid|RssAnon|RssShmem):\s*(.*?)(?: kB)?$", re.MULTILINE)


class Watch:
    """Ends all of a submission's processes when they have more than so many MB. `words` then say so.

    In a block: its thread is born at the beginning and joined at the end.
    """

    def __init__(self, megabytes: int) -> None:
        self._most = megabytes * 1024
        self._over = threading.Event()
        self._times = 0
        self._thread = threading.Thread(target=self._watch, name="memory")

    @property
    def words(self) -> str:
        """What was done; nothing when there was no need."""
        often = f", {self._times} times" if self._times > 1 else ""
        return f"it took more than {self._most // 1024} MB and was ended{often}" if self._times else ""

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(PERIOD):
            found = dict(_inner())
            if sum(found.values()) > self._most:
                self._times += 1
                for pid in sorted(found):  # the first of a namespace takes the others along
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGKILL)


def _inner() -> Iterator[tuple[int, int]]:
    """The processes of inner namespaces, and the kilobytes of each."""
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/status", encoding="utf-8", errors="replace") as file:
            found = dict(FIELDS.findall(file.read()))
            if len(found.get("NSpid", "").split()) > 1:
                yield int(name), int(found.get("RssAnon", 0)) + int(found.get("RssShmem", 0))
