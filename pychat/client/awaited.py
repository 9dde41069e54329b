"""What is awaited from the server, and for how long nothing has come. Knows no connection, no clock and no verb."""

from __future__ import annotations

from collections import deque

SLOW = 2.0  # seconds of silence after which it is shown that an answer is awaited
DEAD = 15.0  # seconds of silence after which the connection seems dead


class Awaited:
    """The unanswered requests of one connection, by their `verbs`, oldest first."""

    def __init__(self) -> None:
        self.verbs: deque[str] = deque()
        self._since: float | None = None  # something is awaited, and nothing has come
        self._silence = 0.0  # seconds

    @property
    def words(self) -> str:
        """How long the server has been silent, for people; nothing for a moment."""
        if self._silence < SLOW:
            return ""
        return f"no answer for {self._silence:.0f} s" + (": the connection seems dead" if self._silence >= DEAD else "")

    def heard(self) -> None:
        """Something has come."""
        self._since = None

    def answered(self, verb: str | None) -> None:
        """The answer to a request has come; they come in order, and requests without an answer are not kept here."""
        if self.verbs and verb == self.verbs[0]:
            self.verbs.popleft()

    def tick(self, now: float, undelivered: bool) -> bool:
        """The time in seconds, and whether octets wait for the server. Whether it seems dead from now on."""
        if not self.verbs and not undelivered:
            self._since = None
        elif self._since is None:
            self._since = now
        before, self._silence = self._silence, now - self._since if self._since is not None else 0.0
        return before < DEAD <= self._silence
