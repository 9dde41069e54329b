"""What goes wrong in a network and in people's programs. Timers are shortened to seconds."""

from __future__ import annotations

import time

from tools.capture import network
from tools.capture.people import Person
from tools.capture.stage import Stage, texts

_REGISTRATION, _PROBE, _SILENCE = 2.5, 1.5, 3.5


def play(stage: Stage) -> None:
    """A killed client, a reset, a half-open connection, time-outs, zero windows, faults, a refused connection."""
    stage.serve(timers={"registration": _REGISTRATION, "probe": _PROBE, "silence": _SILENCE})
    _killed(stage)
    _reset(stage)
    if stage.network.routed:
        _half_open(stage)
    else:
        stage.event("skipped", part="half-open connection", why="a cable can be cut only between namespaces")
    _silence(stage)
    _slow_reader(stage)
    _faults(stage)
    stage.stop_server()
    stage.refused(4)
    stage.mark(f"tcp.flags.reset == 1 && tcp.seq == 1 && tcp.srcport == {stage.port} && tcp.len == 0 && tcp.ack == 1",
               "nothing listens on the port any more: the connection is refused")  # fmt: skip


def _killed(stage: Stage) -> None:
    alice = stage.client("alice", 0)
    stage.named(alice)  # at once: the time for it is short, and a client takes a while to start on a busy machine
    bob = stage.client("bob", 1)
    stage.named(bob)
    chat = stage.pair(alice, bob)
    stage.say(chat, alice, bob, "I am going to be killed")
    alice.kill()
    _lost(stage, "killed", bob, user=alice.name)
    stage.mark(f'tcp.payload contains "{stage.words.gone} {alice.name}"', "the partner of a killed client is told")


def _reset(stage: Stage) -> None:
    carol, dave = stage.raw_client("carol", 2), stage.raw_client("dave", 3)
    stage.named(carol, dave)
    chat = stage.pair(carol, dave)
    stage.say(chat, carol, dave, "The next thing from me is a RST")
    carol.reset()
    _lost(stage, "reset", dave, user=carol.name, port=carol.port)
    stage.mark(f"tcp.srcport == {carol.port} && tcp.flags.reset == 1", "the client resets the connection in mid-chat")


def _lost(stage: Stage, what: str, partner: Person, **about: str | int) -> None:
    """The partner is told that a user's connection was lost, and ends too."""
    _, reason = partner.hear(stage.words.gone)
    stage.truth.people[str(about["user"])]["end"] = what
    stage.event(what, **about, partner=partner.name, reason=reason)
    stage.leave(partner)
    stage.quit(partner)


def _half_open(stage: Stage) -> None:
    """The client has reset, and its RST was lost: the server learns it from the answer to its next segment."""
    frank, grace = stage.raw_client("frank", 4), stage.raw_client("grace", 0)
    stage.named(frank, grace)
    chat = stage.pair(frank, grace)
    network.cut(stage.network, stage.host(4))
    frank.reset()
    network.mend(stage.network, stage.host(4))
    grace.ask(stage.words.say, "Are you there?")
    chat["lines"][grace.name] += 1
    _lost(stage, "half-open", grace, user=frank.name, port=frank.port)
    stage.mark(
        f'tcp.dstport == {frank.port} && tcp.payload contains "Are you there?"',
        "the client has reset this connection, and its RST was lost on the way here",
    )
    stage.mark(
        f"tcp.srcport == {frank.port} && tcp.flags.reset == 1",
        "a RST answers: the client's system no longer has this connection",
    )


def _silence(stage: Stage) -> None:
    """One client never takes a name; another takes one and answers no probe."""
    heidi, ivan = stage.raw_client("heidi", 1), stage.raw_client("ivan", 2)
    stage.named(ivan)
    for person, timer in ((heidi, "registration"), (ivan, "silence")):
        code = stage.goodbye(person)
        stage.event("timeout", user=person.name, port=person.port, timer=timer, code=code)
    stage.mark(
        f'tcp.dstport == {ivan.port} && tcp.payload contains "{stage.words.probe} "',
        "after silence, the server's probe",
    )
    stage.mark(
        f'tcp.dstport == {ivan.port} && tcp.payload contains "{stage.spec.goodbye.key} "',
        "no answer: the server says goodbye",
    )


def _slow_reader(stage: Stage) -> None:
    """A client that does not read closes its receive window, and opens it again when it reads on."""
    judy, karl = stage.raw_client("judy", 3, receive_buffer=4096), stage.raw_client("karl", 4)
    stage.named(judy, karl)
    chat = stage.pair(karl, judy)
    lines = texts(12, 1500, "unread")
    karl.send(b"".join(karl.line(stage.words.say, text) for text in lines))
    time.sleep(0.6)  # the silence in which the window is closed and probed
    stage.heard(chat, karl, judy, len(lines))
    stage.event("zero window", user=judy.name, port=judy.port)
    stage.mark(
        f"tcp.srcport == {judy.port} && tcp.analysis.zero_window",
        "the client does not read: its window is zero",
    )
    stage.part(karl, judy)


def _faults(stage: Stage) -> None:
    """A web browser's request, which is no frame of the protocol; then a frame without an end."""
    web = stage.raw_client("browser", 0)
    web.send(b"GET / HTTP/1.1\r\nHost: chat\r\nUser-Agent: none\r\nAccept: */*\r\nConnection: close\r\n\r\n")
    stage.event("faults", user=web.name, port=web.port, code=stage.goodbye(web))
    stage.mark(f"tcp.srcport == {web.port} && tcp.len > 0", "no line of this protocol: an HTTP request")
    endless = stage.raw_client("endless", 1)
    endless.send(endless.line(stage.words.say, "too early")[:-1])
    endless.send(b"." * stage.spec.framing.max_octets)
    stage.event("faults", user=endless.name, port=endless.port, code=stage.goodbye(endless))
