"""The mutable client in which something that the line contract leaves open is done otherwise. Knows no verb."""

from __future__ import annotations

from collections.abc import Mapping

from pychat.spec.forms import Reply
from tools.selftest.mutants.client.engine import Client, Wish


class Refuses(Client):
    """It holds no command but a line behind an unanswered call: what is not allowed now is refused at once."""

    def must_wait(self, wish: Wish) -> bool:
        return self.does(wish.verb, "relay") and super().must_wait(wish)


class RefusesBehindQuit(Client):
    """It refuses what is typed behind the last request, where others ignore it."""

    def command(self, line: bytes) -> None:
        word = self.line(line).partition(" ")[0]
        if self.quitting and not self.over and word:
            self.refuse(word, "the conversation ends")
        super().command(line)

    def finish(self) -> None:
        if not self.quitting:
            super().finish()


class SpeaksAtOnce(Client):
    """A line follows its call, or the request to leave, at once (R-CLIENT-4); the server decides about it."""

    def is_said_early(self, wish: Wish) -> bool:
        """Whether a line may be sent although an answer is to come."""
        return self.does(wish.verb, "relay") and (
            any(self.does(other.verb, "link") for other in self.unanswered) or wish.verb in self.recv
        )

    def must_wait(self, wish: Wish) -> bool:
        return not self.is_said_early(wish) and super().must_wait(wish)

    def may_send(self, wish: Wish) -> bool:
        return (self.is_said_early(wish) and not self.call_refused) or super().may_send(wish)


class OtherWords(Client):
    """It says in many words why a command is refused, and how the connection has ended."""

    def refuse(self, word: str, why: str) -> None:
        super().refuse(word, f"{why}: das geht gerade nicht – 不行 🙂 " + "ever so long " * 40)

    def lose(self, why: str) -> None:
        super().lose(f"{why}; refused msg gone " + "ever so long " * 40)


class Probes(Client):
    """It sends a request of its own now and then, to see whether the server answers, and prints nothing of it."""

    own = 0

    def probe(self) -> None:
        """Sends one; its answer is to come in its turn."""
        spec, live = self.spec, [self.spec.states[name] for name in self.spec.live_states]
        anywhere = [verb for verb in spec.requests if all(verb in state.recv for state in live)]
        verb = next(verb for verb in anywhere if spec.requests[verb].answer is not None and verb != spec.quit_verb)
        self.own += 1
        values = {field.name: f"own{self.own}" for field in self.spec.requests[verb].form.fields}
        self.unanswered.append(Wish("", verb, values, None))
        self.write(self.frame(verb, values))

    def command(self, line: bytes) -> None:
        if not self.own and not self.over:
            self.probe()
        super().command(line)

    def print(self, reply: Reply, values: Mapping[str, str]) -> None:
        if not any(value.startswith("own") for value in values.values()):
            super().print(reply, values)
