"""The network's thread of a chat at a terminal: hands over what comes, and connects again. It knows no editor."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

from .client import Client, Happening
from .connecting import ConnectError, delays
from .talk import Talk

GOODBYE = 2.0  # seconds that the end waits for its answer
STEADY = 60.0  # seconds after which a connection was good, so that the next loss is a new one


class NetworkThread:
    """A thread that waits for the network. Born in `start`, woken by `end`, `close` and `hurry`, joined in `close`."""

    def __init__(
        self, client: Client, address: tuple[str, int], talk: Talk, in_editor: Callable[[Callable[[], None]], None]
    ) -> None:
        """`in_editor` does something in the editor's thread, and returns when it is shown."""
        self.ended = threading.Event()
        self._client = client
        self._address = address
        self._talk = talk
        self._in_editor = in_editor
        self._hurry = threading.Event()  # connect again at once
        self._pauses = delays()
        self._thread = threading.Thread(target=self._run, name="pychat-network", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def hurry(self) -> None:
        """The user does not want to wait for the next attempt to connect."""
        self._hurry.set()

    def end(self) -> None:
        """From now on, nothing more is handed over."""
        self.ended.set()
        self._hurry.set()

    def close(self) -> None:
        """After `end`: says goodbye, and waits for the thread; neither for long."""
        self._client.close(timeout=GOODBYE)
        if self._thread.is_alive():
            self._thread.join(timeout=GOODBYE)  # it may be in an attempt to connect, which nothing breaks off

    def _run(self) -> None:
        """Hands over what comes, and connects again, until the end."""
        client: Client | None = self._client
        while client is not None:
            self._client, since = client, time.monotonic()
            self._in_editor(partial(self._talk.online, client))
            while come := client.take():
                self._in_editor(partial(self._hand_over, come))
            if time.monotonic() - since > STEADY:
                self._pauses = delays()
            client = self._connect_again()

    def _hand_over(self, come: list[Happening]) -> None:
        for happening in come:
            self._talk.happened(happening)

    def _connect_again(self) -> Client | None:
        """Another connection; None at the end."""
        phrases = self._talk.phrases
        why = phrases.not_connected
        while True:
            self._wait_for_attempt(why)
            if self.ended.is_set():
                return None
            self._in_editor(partial(setattr, self._talk, "trouble", phrases.connecting))
            try:
                client = Client.connect(*self._address, protocol=self._talk.protocol)
            except ConnectError as error:
                why = error.why
                continue
            self._in_editor(partial(self._talk.info, phrases.connected_again))
            return client

    def _wait_for_attempt(self, why: str) -> None:
        """Waits for the next attempt, and without a name until there is one. After Enter, waits begin anew."""
        phrases, pause = self._talk.phrases, next(self._pauses)
        trouble = phrases.type_name_to_connect
        if self._talk.wanted_name:
            trouble = phrases.next_attempt.format(why=why, seconds=f"{pause:.1f}")
        self._in_editor(partial(setattr, self._talk, "trouble", trouble))
        while not self.ended.is_set():  # it is set before _hurry is
            hurried = self._hurry.wait(pause if self._talk.wanted_name is not None else None)
            self._hurry.clear()
            if self._talk.wanted_name is not None:
                if hurried:
                    self._pauses = delays()
                return
