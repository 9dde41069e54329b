"""The server's log: one line an event on stderr, written by a thread of its own. It knows no connection.

A full pipe must never stop the chat: what the device does not take in time is dropped, and how much is said.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
from datetime import UTC, datetime
from typing import TextIO

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")
WAITING = 10_000  # records


class EventLog:
    """Takes events from any thread without blocking. Born by `start`, woken by each record, joined by `stop`."""

    def __init__(self, level: str = "info", form: str = "text", stream: TextIO | None = None) -> None:
        self._threshold = LEVELS.index(level)
        self._json = form == "json"
        self._stream = stream or sys.stderr
        self._records: queue.Queue[str | None] = queue.Queue(WAITING)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def __call__(self, event: str, level: str = "info", **fields: object) -> None:
        """Notes an event. Fields that are None are left out."""
        if LEVELS.index(level) < self._threshold:
            return
        known = {name: value for name, value in fields.items() if value is not None}
        try:
            self._records.put_nowait(self._form(event, level, known))
        except queue.Full:
            self._dropped += 1

    def stop(self) -> None:
        """Writes what waits, for a second at most, and ends the thread."""
        try:
            self._records.put(None, timeout=1)
            self._thread.join(timeout=1)
        except queue.Full:  # the device takes nothing; the thread ends with the process
            pass

    def _form(self, event: str, level: str, fields: dict[str, object]) -> str:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._json:
            return json.dumps({"time": now, "level": level, "event": event, **fields})
        words = [f"{name}={_value(value)}" for name, value in fields.items()]
        return " ".join([now, level, event, *words])

    def _write_all(self) -> None:
        while (record := self._records.get()) is not None:
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                record = f"{self._form('dropped', 'warning', {'records': dropped})}\n{record}"
            try:
                print(record, file=self._stream, flush=True)
            except (OSError, ValueError):  # nobody reads it any more
                return


def _value(value: object) -> str:
    """A value that cannot break the line or drive a terminal."""
    text = str(value)
    return text if text.isascii() and text.isprintable() and text and not set(text) & set(' "=') else json.dumps(text)
