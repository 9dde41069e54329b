"""The same small lines, sent the same way, with and without Nagle's algorithm. Raw sockets, to set the option."""

from __future__ import annotations

from tools.capture.stage import Stage

# Requests with answers, after which the server's TCP delays its acknowledgements, since it expects data to send them
# with; Nagle's algorithm waits for these acknowledgements.
_WARM_UP = 24
_LINES = 12


def play(stage: Stage) -> None:
    """Small lines in calls of their own: many segments with TCP_NODELAY, few and late ones without."""
    stage.serve()
    answer = stage.answer(stage.words.list)
    for index, nodelay in enumerate((False, True)):
        sender = stage.raw_client(("nagle", "nodelay")[index], 2 * index, nodelay=nodelay)
        reader = stage.raw_client(("nagles-reader", "nodelays-reader")[index], 2 * index + 1)
        stage.named(sender, reader)
        chat = stage.pair(sender, reader)
        for _ in range(_WARM_UP):
            sender.ask(stage.words.list)
            sender.hear(answer)
        stage.think(0.3)
        for number in range(_LINES):
            sender.send(sender.line(stage.words.say, f"a small line {number + 1}"))
        stage.heard(chat, sender, reader, _LINES)
        stage.event("burst of calls", user=sender.name, port=sender.port, nodelay=nodelay, frames=_LINES, sends=_LINES)
        stage.mark(f'tcp.srcport == {sender.port} && tcp.payload contains "a small line 1"',
                   f"{_LINES} small sends begin here, {'with' if nodelay else 'without'} TCP_NODELAY")  # fmt: skip
        stage.part(sender, reader)
