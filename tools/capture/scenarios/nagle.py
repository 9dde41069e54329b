"""The same small lines, sent the same way, with and without Nagle's algorithm. Raw sockets, to set the option."""

from __future__ import annotations

from tools.capture.stage import Stage

# Requests with answers, after which the server's system expects to have something to say soon, and so delays its bare
# acknowledgements; Nagle's algorithm waits for just these.
_WARM_UP = 24
_LINES = 12


def nagle(stage: Stage) -> None:
    """Small lines in calls of their own: many segments with TCP_NODELAY, few and late ones without."""
    stage.serve()
    answer = stage.answer(stage.words.list)
    for index, nodelay in enumerate((False, True)):
        sender = stage.peer(("nagle", "nodelay")[index], 2 * index, nodelay=nodelay)
        reader = stage.peer(("nagles-reader", "nodelays-reader")[index], 2 * index + 1)
        stage.named(sender)
        stage.named(reader)
        chat = stage.pair(sender, reader)
        for _ in range(_WARM_UP):
            sender.ask(stage.words.list)
            sender.hear(answer)
        stage.think(0.3)
        for number in range(_LINES):
            sender.send(sender.line(stage.words.say, f"a small line {number + 1}"))
        for _ in range(_LINES):
            reader.hear(stage.words.heard)
        chat["lines"][sender.name] += _LINES
        stage.event("burst of calls", user=sender.name, port=sender.port, nodelay=nodelay, frames=_LINES, sends=_LINES)
        stage.mark(f'tcp.srcport == {sender.port} && tcp.payload contains "a small line 1"',
                   f"{_LINES} small sends begin here, {'with' if nodelay else 'without'} TCP_NODELAY")  # fmt: skip
        stage.leave(sender, reader)
        stage.leave(reader)
        stage.quit(sender, reader)
