"""Several users against the hub, and a model of the protocol that was written by hand, without the spec's rows."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pychat.core.connection import Connection
from pychat.core.hub import Hub

from .conftest import changed

PATIENT = changed(
    "registration: {since: accept, in: [CONNECTED], after: 30 s",
    "registration: {since: accept, in: [CONNECTED], after: 150 min",
)
WHO = st.sampled_from("abcd")
NAMES = st.sampled_from(["ann", "Ann", "bob", "BOB", "cy", "dee"])


@dataclass
class User:
    """One connection, as the table says it must be."""

    state: str = "CONNECTED"
    name: str = ""
    partner: str | None = None
    answered: bool = False
    accepted: bool = False
    called: float | None = None
    missed: list[str] = field(default_factory=list)
    faults: int = 0
    due: list[str] = field(default_factory=list)


class Chat(RuleBasedStateMachine):
    """Each rule is a frame; the model says what everybody gets, and the hub must have sent just that."""

    def __init__(self) -> None:
        super().__init__()
        self.hub = Hub(PATIENT)
        self.now = 0.0
        self.users: dict[str, User] = {}
        self.connections: dict[str, Connection] = {}
        for who in "abcd":
            self._open(who)

    def _open(self, who: str) -> None:
        self.users[who] = User()
        self.connections[who] = Connection()
        self.hub.open(self.connections[who], who, self.now, loopback=True)

    def _find(self, name: str) -> str | None:
        return next((w for w, u in self.users.items() if u.name and u.name.lower() == name.lower()), None)

    def _send(self, who: str, line: str, *due: str) -> None:
        user = self.users[who]
        user.due += due
        user.faults += any("wrong-state" in answer for answer in due) and not line.startswith("MSG")
        last = user.state == "CONNECTED" and user.faults == 5
        if last:
            user.due.append("BYE too-many-errors Too many errors.")
        self.hub.receive(self.connections[who], line.encode() + b"\n", self.now)
        self._compare()
        if last:
            self._open(who)

    def _compare(self) -> None:
        for who, user in self.users.items():
            connection = self.connections[who]
            octets = b"".join(connection.outbox)
            connection.outbox.clear()
            self.hub.queues.sent(connection, len(octets), self.now)
            lines = [" ".join(x.split(" ")[:3]) if x.startswith("ERR") else x for x in octets.decode().splitlines()]
            if any(line.startswith("USER") for line in lines):
                lines.sort()
                user.due.sort()
            assert lines == user.due, f"{who}: {lines} instead of {user.due}"
            user.due.clear()

    def _part(self, who: str, reason: str) -> None:
        user = self.users[who]
        if user.partner is not None:
            other = self.users[user.partner]
            other.due.append(f"GONE {user.name} {reason}")
            other.partner, other.answered, other.accepted = None, False, False
        user.partner, user.answered, user.accepted = None, False, False

    @rule(who=WHO, name=NAMES)
    def name(self, who: str, name: str) -> None:
        user = self.users[who]
        if user.state != "CONNECTED":
            self._send(who, f"NAME {name}", "ERR NAME wrong-state")
        elif self._find(name):
            self._send(who, f"NAME {name}", "ERR NAME name-taken")
        else:
            user.state, user.name = "NAMED", name
            self._send(who, f"NAME {name}", f"OK NAME {name}")

    @rule(who=WHO, name=NAMES)
    def chat(self, who: str, name: str) -> None:
        user, found = self.users[who], self._find(name)
        line = f"CHAT {name}"
        if user.state == "CONNECTED":
            self._send(who, line, "ERR CHAT wrong-state")
        elif user.state == "PAIRED":
            if found is not None and found == user.partner:
                if not user.answered:
                    self.users[found].due.append(f"ACCEPTED {user.name}")
                user.answered = user.accepted = True
                self._send(who, line, f"OK CHAT {self.users[found].name}")
            else:
                user.accepted = False
                self._send(who, line, "ERR CHAT already-paired")
        elif found is None:
            self._send(who, line, "ERR CHAT no-such-user")
        elif found == who:
            self._send(who, line, "ERR CHAT self-chat")
        elif self.users[found].state == "PAIRED":
            if who not in self.users[found].missed:
                self.users[found].missed.append(who)
                self.users[found].due.append(f"MISSED {user.name}")
            self._send(who, line, "ERR CHAT user-busy")
        else:
            other = self.users[found]
            user.state = other.state = "PAIRED"
            user.partner, other.partner = found, who
            user.answered = user.accepted = True
            user.called, other.called = None, self.now
            other.due.append(f"CALL {user.name}")
            self._send(who, line, f"OK CHAT {other.name}")

    @rule(who=WHO, text=st.sampled_from(["hi", " x ", "é", "a\tb"]))
    def msg(self, who: str, text: str) -> None:
        user = self.users[who]
        if user.state != "PAIRED":
            self._send(who, f"MSG {text}", "ERR MSG wrong-state")
        elif user.partner is None:
            self._send(who, f"MSG {text}", "ERR MSG partner-gone")
        elif not user.accepted:
            self._send(who, f"MSG {text}", "ERR MSG not-accepted")
        else:
            self.users[user.partner].due.append(f"MSG {text}")
            self._send(who, f"MSG {text}")

    @rule(who=WHO)
    def leave(self, who: str) -> None:
        user = self.users[who]
        if user.state != "PAIRED":
            self._send(who, "LEAVE", "ERR LEAVE wrong-state")
        else:
            self._part(who, "left" if user.answered else "declined")
            user.state, user.missed = "NAMED", []
            self._send(who, "LEAVE", "OK LEAVE")

    @rule(who=WHO)
    def who(self, who: str) -> None:
        if self.users[who].state == "CONNECTED":
            self._send(who, "WHO", "ERR WHO wrong-state")
        else:
            named = [user for user in self.users.values() if user.name]
            items = [f"USER {u.name} {'busy' if u.state == 'PAIRED' else 'free'}" for u in named]
            self._send(who, "WHO", *items, f"OK WHO {len(named)}")

    @rule(who=WHO, how=st.sampled_from(["quit", "reset", "finish"]))
    def go(self, who: str, how: str) -> None:
        self._part(who, "quit" if how == "quit" else "lost")
        connection = self.connections[who]
        self.users[who].name = ""
        for each in self.users.values():
            each.missed = [caller for caller in each.missed if caller != who]
        if how == "quit":
            self._send(who, "QUIT", "OK QUIT")
        elif how == "reset":
            self.hub.lose(connection, self.now)
        else:
            self.hub.finish(connection, self.now)
        self._compare()
        self.hub.forget(connection)
        self._open(who)

    @rule(seconds=st.sampled_from([20.0, 40.0]))
    def wait(self, seconds: float) -> None:
        """Time passes, with a sign of life of each; a call that was not answered for 60 s ends at both ends."""
        self.now += seconds
        for who, user in self.users.items():
            self.hub.receive(self.connections[who], b"PONG x\n", self.now)
            if user.called is not None and user.called + 60 <= self.now:
                if user.partner is not None and not user.answered:
                    user.due.append(f"GONE {self.users[user.partner].name} unanswered")
                    self._part(who, "unanswered")
                user.called = None
            self.hub.tick(self.connections[who], self.now)
        self._compare()

    @precondition(lambda self: any(user.state == "CONNECTED" and user.due == [] for user in self.users.values()))
    @rule(who=WHO, token=st.sampled_from(["t", "~"]))
    def ping(self, who: str, token: str) -> None:
        self._send(who, f"PING {token}", f"PONG {token}")

    @invariant()
    def the_link_is_symmetric_and_names_are_unique(self) -> None:
        """What the hub believes is what the model believes."""
        by_connection = {id(connection): who for who, connection in self.connections.items()}
        for who, connection in self.connections.items():
            user = self.users[who]
            assert connection.state == user.state
            partner = by_connection[id(connection.partner)] if connection.partner is not None else None
            assert partner == user.partner
            assert (connection.answered, connection.accepted) == (user.answered, user.accepted)
        assert len(self.hub.users.by_name) == sum(bool(user.name) for user in self.users.values())


TestChat = Chat.TestCase
TestChat.settings = settings(max_examples=150, stateful_step_count=40)
