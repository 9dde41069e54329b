"""A slow path on which packets are lost. Needs a router, so it is only for namespaces."""

from __future__ import annotations

from tools.capture import network
from tools.capture.network import CaptureError
from tools.capture.stage import Stage, texts

_RATE = "20mbit"
_EVERY, _ABOVE = 25, 1000
_LINES, _AHEAD = 30, 15  # lines from each, and how many of them are typed without waiting for the partner


def play(stage: Stage) -> None:
    """Packets lost on the way: duplicate acknowledgements, fast retransmissions and time-outs repair the stream."""
    if not stage.network.routed:
        raise CaptureError("the loss scenario needs a router that loses packets: run it as root on Linux")
    stage.serve()
    alice, bob = stage.client("alice", 0), stage.client("bob", 1)
    stage.named(alice, bob)
    chat = stage.pair(alice, bob)
    network.slow_down(stage.network, _RATE)
    network.drop_every(stage.network, _EVERY, above=_ABOVE)
    try:
        for speaker, listener in ((alice, bob), (bob, alice)):
            lines = texts(_LINES, stage.longest, f"{speaker.name}'s line")
            for first in range(0, len(lines), _AHEAD):
                part = lines[first : first + _AHEAD]
                speaker.say_all(stage.words.say, part)
                stage.heard(chat, speaker, listener, len(part))
    finally:
        network.forget_conditions(stage.network)
    stage.event("loss", every=_EVERY, above=_ABOVE, rate=_RATE, lines=2 * _LINES)
    stage.mark("tcp.analysis.lost_segment", "a segment before this one was lost on the way here")
    stage.mark("tcp.analysis.duplicate_ack", "the receiver repeats what it waits for")
    stage.mark("tcp.analysis.fast_retransmission", "three duplicate acknowledgements: a fast retransmission")
    stage.part(alice, bob)
