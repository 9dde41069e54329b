"""The I/O threads over real sockets: that each connection is looked after in time, wherever it lives."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .conftest import Stage, changed

Start = Callable[..., Stage]


def test_each_silence_has_its_ping(start: Start) -> None:
    """R-TIME-2: the look at a connection that has answered its PING is not the one at the end of a long silence."""
    peer = start(changed("after: 120 s", "after: 100 ms")).user("alice")
    for _ in range(3):
        assert peer.line().startswith("PING ")
        peer.send("PONG here")


def test_who_was_moved_to_another_thread_is_not_forgotten(start: Start) -> None:
    """A caller is held while he moves; the clock of his silence goes on afterwards."""
    stage = start(changed("after: 120 s", "after: 100 ms"), io_threads=2)
    alice, bob = stage.user("alice"), stage.user("bob")
    alice.send("CHAT bob")
    for peer, line in ((alice, "OK CHAT bob"), (bob, "PAIRED alice")):
        while peer.line() != line:
            pass
        assert peer.line().startswith("PING ")


def test_who_was_held_back_is_not_forgotten(start: Start) -> None:
    """A sender who was looked at while his partner was slow, and who is silent afterwards."""
    stage = start(changed("after: 120 s", "after: 200 ms"))
    alice, bob = stage.user("alice"), stage.user("bob", receive_buffer=4096)
    assert alice.ask("CHAT bob") == "OK CHAT bob"
    lines = 4000
    flood = threading.Thread(target=alice.send_octets, args=((b"MSG " + b"x" * 1995 + b"\n") * lines,))
    flood.start()
    assert stage.user("carol").line().startswith("PING ")  # so alice, who came before, was looked at
    heard = 0
    while heard < lines:
        heard += bob.line().startswith("MSG ")
    flood.join()
    assert alice.line().startswith("PING ")
