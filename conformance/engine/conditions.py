"""The conditions under which one implementation is judged: how fast it answers, and whether the machine keeps up.

Shared by the workers of a run. What the judge cannot know before, how long a right implementation takes, it measures
while it judges: each answer to a barrier. By how much the judge's own short waits end late is the evidence that the
machine was late, and it does not depend on the implementation. Knows no frame.
"""

from __future__ import annotations

import contextlib
import select
import threading
import time
from collections import deque
from collections.abc import Iterator
from statistics import median

HURRY = 0.25  # seconds without anything, after which a server that answers at once is asked for a barrier's answer
ENOUGH = 4  # times the slowest answer, for one that may come
LONGEST = 60.0  # seconds of a case at a server that answers at once, besides its timers
MANY = 200  # answers in one case, one after the other
REMEMBERED = 200  # answers; one that was slow by accident must not make a late timer look right for a whole run
SLICE = 0.1  # seconds of the judge's own waits
LATE = 0.1  # seconds by which such a wait ends late on a machine that is busy
EXCUSE = 0.25  # the part of a wait's time: a machine that is so late may be the reason that the time was not enough
SECOND_TRIES = 24  # in a run
HANGS = 3  # servers that answered nobody after a case, from which on patience is short: all hear of it by then
BRIEF = 0.5  # seconds of that patience
ALONE = 6  # … of which so many stop all other cases
CONFIRMED = 4  # second tries in a row that fail too, after which a failure is believed at once if the machine is calm


class Conditions:
    """One run's. `lock` guards everything here."""

    def __init__(self) -> None:
        self.slowest = self.fastest = 0.0  # seconds of the slowest answer of late, and of the fastest so far
        self.lock = threading.Condition()
        self._answers: deque[float] = deque(maxlen=REMEMBERED)
        self._untold: deque[float] = deque(maxlen=REMEMBERED)  # those of them that no other process was told
        self._running = 0  # cases
        self._alone = False
        self._tries = self._tries_alone = self._confirmed = self._hangs = 0
        self.mute: dict[tuple[str, int], str] = {}  # servers that cannot be started again: since which case

    # How fast it answers

    def saw(self, seconds: float) -> None:
        """An answer has taken so long."""
        with self.lock:
            self._answers.append(seconds)
            self._untold.append(seconds)
            self.slowest = max(self._answers)
            self.fastest = min(self.fastest or seconds, seconds)

    def news(self) -> list[float]:
        """The answers since the last call, so that another process hears of them."""
        with self.lock:
            told = list(self._untold)
            self._untold.clear()
            return told

    @property
    def slack(self) -> float:
        """Seconds by which an answer may come later than from a server that answers at once."""
        return 2 * self.slowest

    @property
    def lag(self) -> float:
        """Seconds by which what a server does when a time is over may be late, since its answers are.

        By the median: a few answers are slow where a queue is filled beside them, and these make no late timer right.
        """
        with self.lock:
            return 2 * median(self._answers) if self._answers else 0.0

    def hurry(self, patience: float) -> float:
        """Seconds without anything, after which a barrier is worth its time."""
        return min(HURRY + self.slack, max(patience / 2, HURRY))

    def patience(self, usual: float) -> float:
        """How long a sign of life may take, where it is `usual` for servers that answer at once."""
        usual = min(usual, BRIEF) if self._hangs >= HANGS else usual
        return max(usual, ENOUGH * min(self.slowest, usual))

    def hung(self) -> None:
        """A server has answered nobody after a case."""
        with self.lock:
            self._hangs += 1

    @property
    def longest(self) -> float:
        """How long a case may take, besides its timers."""
        return LONGEST + MANY * self.slowest

    # Second tries

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        """A case that runs beside others."""
        with self.lock:
            self.lock.wait_for(lambda: not self._alone)
            self._running += 1
        try:
            yield
        finally:
            with self.lock:
                self._running -= 1
                self.lock.notify_all()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """A case during which no other one runs."""
        with self.lock:
            self.lock.wait_for(lambda: not self._alone)
            self._alone = True
            self.lock.wait_for(lambda: self._running == 0)
        try:
            yield
        finally:
            with self.lock:
                self._alone = False
                self.lock.notify_all()

    def grants(self, *, alone: bool) -> bool:
        """Whether a case may be tried again; `alone`: since the machine was late, or another case may be the reason."""
        with self.lock:
            if self._tries >= SECOND_TRIES or (alone and self._tries_alone >= ALONE):
                return False
            if not alone and self._confirmed >= CONFIRMED:
                return False
            self._tries += 1
            self._tries_alone += alone
            return True

    def tried(self, *, confirmed: bool) -> None:
        """What a second try has said of the first one."""
        with self.lock:
            self._confirmed = self._confirmed + 1 if confirmed else 0


def lateness(seconds: float) -> float:
    """By how much short waits of so many seconds in all ended late, at most."""
    worst, end = 0.0, time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        time.sleep(SLICE)
        worst = max(worst, time.monotonic() - now - SLICE)
    return worst


def wait_until_calm(seconds: float) -> bool:
    """Waits for a machine that is not late, so many seconds at most; whether it is one."""
    end = time.monotonic() + seconds
    while lateness(4 * SLICE) >= LATE:
        if time.monotonic() >= end:
            return False
    return True


def ready(poll: select.poll, deadline: float) -> tuple[list[tuple[int, int]], float]:
    """What is ready before the deadline, and by how many seconds a part of the wait ended late, at most."""
    late = 0.0
    while True:
        began = time.monotonic()
        seconds = max(0.0, min(SLICE, deadline - began))
        found = poll.poll(seconds * 1000)
        now = time.monotonic()
        if found or now >= deadline:
            return found, late if found else max(late, now - began - seconds)
        late = max(late, now - began - seconds)
