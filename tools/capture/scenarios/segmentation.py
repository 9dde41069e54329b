"""Frames and segments are not the same thing. Two real clients, and two raw sockets that choose where to cut."""

from __future__ import annotations

from typing import Any

from tools.capture.people import RawClient
from tools.capture.stage import Stage, texts


def play(stage: Stage) -> None:
    """Long lines and bursts beyond one segment, frames that span segments, several frames in one segment."""
    words = stage.words
    stage.serve()
    alice, bob = stage.client("alice", 0), stage.client("bob", 1)
    carol, dave = stage.raw_client("carol", 2), stage.raw_client("dave", 3)
    stage.named(alice, bob, carol, dave)

    chat = stage.pair(alice, bob)
    for text in texts(3, stage.longest, "long line"):
        stage.think(0.2)
        stage.say(chat, alice, bob, text)
    burst = texts(40, 60, "burst")
    alice.say_all(words.say, burst)
    stage.heard(chat, alice, bob, len(burst))
    stage.event("burst", user=alice.name, frames=len(burst))

    other = stage.pair(carol, dave)
    many = [carol.line(words.say, text) for text in texts(20, 40, "coalesced")]
    _send(stage, carol, dave, [b"".join(many)], len(many), other)
    stage.event("coalesced", user=carol.name, frames=len(many), octets=sum(map(len, many)), sends=1)
    stage.mark(f'tcp.srcport == {carol.port} && tcp.payload contains "coalesced 1 of"', "many lines in one segment")

    spanning = [carol.line(words.say, text) for text in texts(8, stage.longest - 100, "spanning")]
    _send(stage, carol, dave, [b"".join(spanning)], len(spanning), other)
    stage.event("spanning", user=carol.name, frames=len(spanning), octets=sum(map(len, spanning)), sends=1)
    stage.mark(
        f'tcp.srcport == {carol.port} && tcp.payload contains "spanning 1 of"', "lines that span segments begin here"
    )

    crumbs = carol.line(words.say, "é, octet by octet")
    _send(stage, carol, dave, [bytes([octet]) for octet in crumbs], 1, other)
    stage.event("crumbs", user=carol.name, frames=1, octets=len(crumbs), sends=len(crumbs))
    stage.mark(
        f"tcp.srcport == {carol.port} && tcp.len == 1", "one line, a segment for each of its octets, begins here"
    )

    stage.part(alice, bob)
    stage.part(carol, dave)


def _send(
    stage: Stage, speaker: RawClient, listener: RawClient, sends: list[bytes], frames: int, chat: dict[str, Any]
) -> None:
    """Hands each of `sends` to the system in a call of its own; the listener hears so many frames."""
    stage.think(0.2)
    for octets in sends:
        speaker.send(octets)
    stage.heard(chat, speaker, listener, frames)
