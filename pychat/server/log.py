"""The server's log: one line for each event on stderr, written by a thread of its own. It knows no connection.

A slow or full device must never stop the chat: an event costs its thread a small tuple, and records that the device
does not take in time are dropped and counted.
"""

from __future__ import annotations

import errno
import json
import queue
import sys
import threading
import time
from datetime import UTC, datetime
from typing import TextIO

LEVELS = ("debug", "info", "warning", "error")
WAITING = 10_000  # records
GONE = {errno.EPIPE, errno.EBADF}  # its reader has gone
PAUSE = 0.02  # seconds; a burst of events wakes the writer once

Record = tuple[float, str, str, dict[str, object]]  # time, level, event, fields


class EventLog:
    """Takes events from any thread without blocking. Born by `start`, woken by each record, joined by `stop`."""

    def __init__(self, level: str = "info", form: str = "text", stream: TextIO | None = None) -> None:
        self._threshold = LEVELS.index(level)
        self._format = _as_json if form == "json" else _as_text
        self._stream = stream or sys.stderr
        self._records: queue.SimpleQueue[Record | None] = queue.SimpleQueue()
        self._dropped = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def __call__(self, event: str, level: str = "info", **fields: object) -> None:
        """Notes an event. Fields that are None are left out."""
        if LEVELS.index(level) < self._threshold:
            return
        if self._records.qsize() < WAITING:
            self._records.put((time.time(), level, event, fields))
        else:
            self._dropped += 1

    def stop(self) -> None:
        """Writes the records that wait, for a second at most, and ends the thread."""
        self._stopping.set()
        self._records.put(None)
        self._thread.join(timeout=1)  # a stuck device must not delay the end of the process

    def _write_all(self) -> None:
        ended = False
        while not ended:
            batch = [self._records.get()]
            self._stopping.wait(PAUSE)
            while not self._records.empty():
                batch.append(self._records.get())
            ended = None in batch
            lines = [self._format(*record) for record in batch if record is not None]
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                lines.append(self._format(time.time(), "warning", "dropped", {"records": dropped}))
            try:
                print(*lines, sep="\n", end="\n" if lines else "", file=self._stream, flush=True)
            except ValueError:  # it is closed
                return
            except OSError as error:
                if error.errno in GONE:
                    return
                self._dropped += len(lines)  # such as a full disk: there may be room later


def _as_text(when: float, level: str, event: str, fields: dict[str, object]) -> str:
    words = [f"{name}={_value(value)}" for name, value in fields.items() if value is not None]
    return " ".join([_timestamp(when), level, event, *words])


def _as_json(when: float, level: str, event: str, fields: dict[str, object]) -> str:
    known = {name: value for name, value in fields.items() if value is not None}
    return json.dumps({"time": _timestamp(when), "level": level, "event": event, **known})


def _timestamp(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _value(value: object) -> str:
    """A value that cannot break the line or drive a terminal."""
    text = str(value)
    return text if text.isascii() and text.isprintable() and text and not set(text) & set(' "=') else json.dumps(text)
