"""What is asked of the server over one connection: what waits, what is unanswered, how long the server is silent.

Knows no terminal, no clock and no verb.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol as TypingProtocol

SLOW = 2.0  # seconds of silence after which it is shown that an answer is awaited
DEAD = 15.0  # seconds of silence after which the connection seems dead


class Network(TypingProtocol):
    """What is needed of a `pychat.client.Client`."""

    wire: bool

    @property
    def undelivered(self) -> int: ...

    def send(self, verb: str, *values: str, timeout: float) -> bytes: ...


class Requests:
    """The requests of one connection.

    `held` waits for an answer that may allow it, by verb, oldest first; `unanswered` are verbs, oldest first; `silence`
    is how long an answer has been awaited while nothing came, in seconds.
    """

    def __init__(self, network: Network | None, silent: frozenset[str]) -> None:
        """Takes the connection, if there is one, and the verbs of the requests that have no answer."""
        self.network = network
        self.held: dict[str, tuple[str, ...]] = {}
        self.unanswered: deque[str] = deque()
        self.silence = 0.0
        self._silent = silent
        self._since: float | None = None  # since when an answer is awaited and nothing has come

    def send(self, verb: str, *values: str) -> None:
        """Sends a request now, over the connection that there is. Raises what `Client.send` raises."""
        assert self.network is not None
        self.network.send(verb, *values, timeout=0)
        if verb not in self._silent:
            self.unanswered.append(verb)

    def take_held(self) -> dict[str, tuple[str, ...]]:
        """The requests that were held, to be tried again; none is held after it."""
        held, self.held = self.held, {}
        return held

    def heard(self) -> None:
        """Something has come."""
        self._since = None

    def answered(self, verb: str | None) -> None:
        """An answer or a refusal has come. Answers come in order; a refused line is not among them."""
        if self.unanswered and verb == self.unanswered[0]:
            self.unanswered.popleft()

    def tick(self, now: float) -> bool:
        """Takes the time in seconds. Whether the connection seems dead from now on."""
        if not self.unanswered and not (self.network is not None and self.network.undelivered):
            self._since = None
        elif self._since is None:
            self._since = now
        before, self.silence = self.silence, now - self._since if self._since is not None else 0.0
        return before < DEAD <= self.silence
