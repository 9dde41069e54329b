"""A long chat, to test reports on large captures. It shows nothing that a short one does not."""

from __future__ import annotations

from tools.capture.stage import Stage, texts

_LINES = 50_000
_KINDS = 100  # texts, over and over


def play(stage: Stage) -> None:
    """Fifty thousand lines, each typed after the one before was read: about 100,000 packets, a line in nearly each."""
    stage.serve()
    alice, bob = stage.raw_client("alice", 0), stage.raw_client("bob", 1)
    stage.named(alice, bob)
    chat = stage.pair(alice, bob)
    lines = [alice.line(stage.words.say, text) for text in texts(_KINDS, 48, "a line")]
    for number in range(_LINES):
        speaker, listener = (alice, bob) if number % 2 == 0 else (bob, alice)
        speaker.send(lines[number // 2 % _KINDS])
        stage.heard(chat, speaker, listener, 1)
    stage.part(alice, bob)
