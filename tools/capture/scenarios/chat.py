"""Two chats side by side among five people. Real clients on five hosts."""

from __future__ import annotations

import itertools

from tools.capture.people import ClientProcess
from tools.capture.stage import Stage

_FIRST = (
    ("alice", "Hello Bob, how are you?"),
    ("bob", "Fine, thanks! Have you read the chapter on TCP?"),
    ("alice", "Yes: three segments to begin, four to end."),
    ("bob", "And in between whatever we type, in segments of at most 1460 octets."),
    ("alice", "Grüße aus Zürich, 世界 🙂"),
    ("bob", "Those are more octets than characters."),
    ("alice", "I have to go."),
)
_SECOND = (
    ("carol", "Dave, can you hear me?"),
    ("dave", "Loud and clear. Who else is here?"),
    ("carol", "Alice and Bob, but they are busy."),
    ("dave", "Then nobody hears what we say: a line goes to the partner alone."),
    ("carol", "On the wire it is in the clear, though."),
    ("dave", "Right, so no secrets."),
)


def play(stage: Stage) -> None:
    """Two private chats side by side among five people: names refused, a missed call, the list, leaving, quitting."""
    words = stage.words
    stage.serve()
    people = {name: stage.client(name, number) for number, name in enumerate(("alice", "bob", "carol", "dave", "erin"))}
    alice, bob, carol, dave, erin = people.values()
    for person in (alice, bob):
        stage.named(person)
        stage.think(0.2)
    stage.refusal(carol, words.name, bob.name.capitalize())
    for person in (carol, dave, erin):
        stage.named(person)
        stage.think(0.1)
    erin.ask(words.list)
    erin.hear(stage.answer(words.list))

    first = stage.pair(alice, bob)
    second = stage.pair(carol, dave)
    for one, other in itertools.zip_longest(_FIRST, _SECOND):
        for chat_of, line in ((first, one), (second, other)):
            if line is not None:
                stage.think(0.15 + len(line[1]) * 0.004)
                speaker = people[line[0]]
                stage.say(chat_of, speaker, _partner(chat_of, speaker, people), line[1])
    stage.miss(erin, alice)
    for name in ("nobody", erin.name):
        stage.think(0.2)
        stage.refusal(erin, words.call, name)

    stage.leave(alice, bob)
    stage.refusal(bob, words.say, "Are you still there?")
    stage.leave(bob)
    third = stage.pair(erin, bob)
    stage.say(third, erin, bob, "At last!")
    stage.think(0.4)
    stage.say(third, bob, erin, "Sorry, I was busy.")
    stage.quit(erin)
    bob.hear(words.gone)
    stage.leave(bob)
    stage.leave(carol, dave)
    stage.leave(dave)
    stage.quit(alice, bob, carol, dave)

    said = stage.spec.requests[words.say].form.verb
    stage.mark(f'tcp.payload contains "{words.name} {alice.name}"', "alice takes her name: the first request")
    stage.mark(
        f'tcp.payload contains "{stage.spec.refusal.key} {words.name}"', "refused: the name is taken, whatever its case"
    )
    stage.mark(f'tcp.payload contains "{words.call} {bob.name}"', "alice calls bob")
    stage.mark(f'tcp.payload contains "{words.called} {alice.name}"', "bob is told that alice calls")
    stage.mark(f'tcp.payload contains "{words.accepted} {bob.name}"', "alice is told that bob has answered")
    stage.mark(
        f'tcp.payload contains "{said} {_FIRST[0][1]}"', "the first line of the first chat, on its way to the server"
    )
    stage.mark(f'tcp.payload contains "{words.missed} {erin.name}"', "alice, in a chat, is told that erin has called")
    stage.mark(f'tcp.payload contains "{words.gone} {alice.name}"', "bob is told that alice has left")


def _partner(chat_of: dict[str, str], speaker: ClientProcess, people: dict[str, ClientProcess]) -> ClientProcess:
    return people[chat_of["called" if chat_of["caller"] == speaker.name else "caller"]]
