"""Slow work of rows, hashes and the disk, on a thread of its own: the hub goes on meanwhile. It knows no frame.

Each connection has one piece of work at most; its frames wait. What the work is, only `do` knows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from pychat.core.hub import Hub
from pychat.core.lifecycle import Log
from pychat.core.slow import Result, Work

from .loop import Channel

Do = Callable[[Work], Result]
"""Does a piece of work and gives its result. It must end: the server waits for it when it stops."""


class SlowWorker:
    """The thread that does what the hub gives out. `lock` guards the hub."""

    def __init__(self, hub: Hub, lock: threading.Lock, do: Do, log: Log) -> None:
        self._hub, self._lock, self._do, self._log = hub, lock, do, log
        self._queue: SimpleQueue[Work | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="slow-work")
        hub.on_work = self._queue.put

    def start(self) -> None:
        """Starts the thread. Raises RuntimeError where the system has no room for it."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread when all is written that was given out. The hub has been shut down: it gives out no more."""
        if self._thread.ident is not None:
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            # A hash for a connection that has ended is not worth its time; what was given to the disk is.
            wanted = work.kind == "commit" or work.connection.state != self._hub.spec.final
            result = self._result(work) if wanted else None
            with self._lock:
                self._hub.complete(work.connection, result, time.monotonic())
                touched = self._hub.queues.take_touched()
            for channel in touched:
                assert isinstance(channel, Channel)
                channel.loop.post(channel)

    def _result(self, work: Work) -> Result:
        """What `do` gives; what it cannot do has failed, and the request is refused."""
        try:
            return self._do(work)
        except Exception as error:  # whatever it was, the connection must get its answer
            self._log(
                "slow-work-failed", level="error", kind=work.kind, error=type(error).__name__
            )  # its words may hold a secret
            return "failed" if work.kind == "commit" else None
