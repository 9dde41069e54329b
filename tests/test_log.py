"""The log: one line an event, harmless whatever is in it, and never in the way."""

from __future__ import annotations

import errno
import io
import json
import threading

from hypothesis import given
from hypothesis import strategies as st

from pychat.server.log import WAITING, EventLog


def written(form: str, *events: tuple[str, str, dict[str, object]], level: str = "debug") -> list[str]:
    stream = io.StringIO()
    log = EventLog(level, form, stream)
    log.start()
    for event, at, fields in events:
        log(event, at, **fields)
    log.stop()
    return stream.getvalue().splitlines()


def test_an_event_is_a_line_in_either_format() -> None:
    """Time, level, event, fields; what is None is left out."""
    event: tuple[str, str, dict[str, object]] = ("named", "info", {"id": 7, "name": "al ice", "peer": None})
    (text,) = written("text", event)
    assert text.split(" ", 1)[1] == 'info named id=7 name="al ice"'
    (line,) = written("json", event)
    record = json.loads(line)
    assert record.pop("time").endswith("Z")
    assert record == {"level": "info", "event": "named", "id": 7, "name": "al ice"}


def test_what_is_below_the_level_is_not_written() -> None:
    assert len(written("text", ("a", "debug", {}), ("b", "warning", {}), level="info")) == 1


@given(st.text())
def test_no_value_breaks_the_line_or_drives_a_terminal(value: str) -> None:
    """Escapes, line ends and colours stay data."""
    (line,) = written("text", ("x", "info", {"value": value}))
    assert line.isascii()
    assert line.isprintable()


class Stuck(io.StringIO):
    """A device that takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.called = threading.Event()
        self.free = threading.Event()

    def write(self, text: str) -> int:
        self.called.set()
        assert self.free.wait(10)
        return super().write(text)


def test_a_device_that_takes_nothing_holds_nobody_up() -> None:
    """Records are dropped beyond a bound, and how many is said afterwards."""
    stream = Stuck()
    log = EventLog("info", "text", stream)
    log.start()
    log("first")
    assert stream.called.wait(10)
    for _ in range(WAITING + 5):
        log("more")
    stream.free.set()
    log.stop()
    lines = stream.getvalue().splitlines()
    assert "dropped records=5" in lines[-1]


class Full(io.StringIO):
    """A disk that is full, until there is room again."""

    def __init__(self) -> None:
        super().__init__()
        self.full = True
        self.refused = threading.Event()

    def write(self, text: str) -> int:
        if self.full:
            self.refused.set()
            raise OSError(errno.ENOSPC, "no room")
        return super().write(text)


def test_a_full_disk_costs_only_what_was_said_meanwhile() -> None:
    """How much that was is said when there is room again."""
    stream = Full()
    log = EventLog("info", "text", stream)
    log.start()
    log("lost")
    assert stream.refused.wait(10)
    stream.full = False
    log("kept")
    log.stop()
    kept, dropped = stream.getvalue().splitlines()
    assert kept.endswith("info kept")
    assert dropped.endswith("dropped records=1")


def test_a_closed_stream_ends_the_writer_quietly() -> None:
    """As when stderr is a pipe whose reader is gone."""
    stream = io.StringIO()
    log = EventLog("info", "text", stream)
    stream.close()
    log.start()
    log("lost")
    log.stop()
