"""A talk without end. It shows nothing that a short one does not; a report has to cope with it all the same."""

from __future__ import annotations

from tools.capture.stage import Stage, texts

_LINES = 50_000
_KINDS = 100  # texts, over and over


def long(stage: Stage) -> None:
    """Fifty thousand lines, each typed after the one before was read: about 100,000 packets, a line in nearly each."""
    say, heard = stage.words.say, stage.words.heard
    stage.serve()
    alice, bob = stage.peer("alice", 0), stage.peer("bob", 1)
    stage.named(alice)
    stage.named(bob)
    chat = stage.pair(alice, bob)
    lines = [alice.line(say, text) for text in texts(_KINDS, 48, "a line")]
    for number in range(_LINES):
        speaker, listener = (alice, bob) if number % 2 == 0 else (bob, alice)
        speaker.send(lines[number // 2 % _KINDS])
        listener.hear(heard)
        chat["lines"][speaker.name] += 1
    stage.leave(alice, bob)
    stage.leave(bob)
    stage.quit(alice, bob)
