"""How calls end: each way that a call can, with real clients. The time for an answer is shortened to seconds."""

from __future__ import annotations

from typing import Any

from tools.capture.people import ClientProcess, Person
from tools.capture.stage import Stage

_RING = 2.0  # seconds until a call that nobody answers is over


def play(stage: Stage) -> None:
    """Calls that are answered, declined, not answered, ended by the caller, lost and missed."""
    stage.serve(timers=dict.fromkeys(stage.ringing, _RING))
    names = ("alice", "bob", "carol", "dave", "erin")
    alice, bob, carol, dave, erin = (stage.client(name, number) for number, name in enumerate(names))
    stage.named(alice, bob, carol, dave, erin)

    chat = stage.call(alice, bob)
    stage.say(chat, alice, bob, "Are you there, Bob?")
    stage.think(0.5)
    stage.accept(chat, alice, bob)
    stage.say(chat, bob, alice, "Now I am.")
    stage.miss(carol, alice)
    stage.think(0.2)
    stage.refusal(carol, stage.words.call, alice.name)  # again, and alice is not told again
    stage.miss(dave, bob)
    stage.leave(alice, bob)
    stage.leave(bob)

    _declined(stage, carol, alice)
    _hung_up(stage, dave, bob)
    _unanswered(stage, carol, dave)
    _lost(stage, erin, alice)
    stage.quit(alice, bob, carol, dave)


def _declined(stage: Stage, caller: Person, called: Person) -> None:
    call = stage.call(caller, called)
    stage.think(0.4)
    stage.leave(called, caller)
    _over(stage, call, "declined", caller)
    stage.mark(f'tcp.payload contains "{stage.words.gone} {called.name}"', f"{called.name} has declined")


def _hung_up(stage: Stage, caller: Person, called: Person) -> None:
    call = stage.call(caller, called)
    stage.think(0.4)
    stage.leave(caller, called)
    _over(stage, call, "hung up", called)


def _unanswered(stage: Stage, caller: Person, called: Person) -> None:
    call = stage.call(caller, called)
    for person in (caller, called):
        person.hear(stage.words.gone)
    _over(stage, call, "unanswered", caller, called)
    stage.mark(
        f'tcp.payload contains "{stage.words.gone} {caller.name}"', f"{called.name} has not answered within {_RING:g} s"
    )


def _lost(stage: Stage, caller: ClientProcess, called: Person) -> None:
    call = stage.call(caller, called)
    stage.think(0.2)
    caller.kill()
    called.hear(stage.words.gone)
    stage.truth.people[caller.name]["end"] = "killed"
    _over(stage, call, "lost", called)


def _over(stage: Stage, call: dict[str, Any], outcome: str, *left: Person) -> None:
    """Notes how the call ended; those who are in it still say that they leave."""
    call["outcome"] = outcome
    for person in left:
        stage.leave(person)
