"""What the cells for clients have in common: the views of a client, and what the suite does for everybody else.

The other users exist only in the model: what they would do becomes frames that the suite sends. Knows no verb.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from conformance.cases.matrix import Cells
from conformance.cases.play import CLIENT, USER, Play, Step
from conformance.oracle.connection import ALONE, Connection
from conformance.oracle.frames import ANY_WORDS, Parsed, parse_request
from conformance.oracle.lines import CAST, SUBJECT, Lines, Path
from conformance.oracle.lines import Move as Request
from conformance.oracle.model import Due, End, Items, Text, World
from pychat.spec import Spec
from pychat.spec.forms import Form
from pychat.spec.view import Move, moves

from .contract import LOST, REFUSED, Contract

ODD_WORDS = "4 words, ever so odd: wrong-state!"  # a client must not compare the words of a refusal


class ClientCells(Cells):
    """The ways into each view that a client can have, as the steps of a play."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.contract = Contract(spec)
        self.lines_of = Lines(spec)
        found = self.paths.configurations
        self.configurations = [name for name in found if self._is_open(self.paths.to_configuration(name))]
        self.views = self._find_views()
        self.moves = moves(spec)

    def _find_views(self) -> dict[str, Path]:
        """The views that a client can have of itself and its partner, each with the shortest path into it.

        They are the configurations, and besides them that of a called end which has answered, and that of an end whose
        partner has gone after both have answered.
        """
        found = {name: self.paths.to_configuration(name) for name in self.configurations}
        for state in self.spec.linked_states:
            for row in (row for rows in self.spec.states[state].recv.values() for row in rows if row.does("accept")):
                answer = self.paths.to_row(f"{state}+called", row)
                if answer is not None and self._is_open(path := (*answer[0], Request(SUBJECT, answer[1]))):
                    found.setdefault(f"{state}+called-and-answered", path)
            if state in found:
                found |= self._left_alone(state, found[state])
        return found

    def _left_alone(self, state: str, path: Path) -> dict[str, Path]:
        """The view after a partner has gone of which both ends had heard."""
        for line in self.lines_of.lines(CAST[1]):
            world, _ = self._led(path)
            if world.open(SUBJECT).partner == CAST[1]:
                world.feed(CAST[1], line)
                if world.configuration(SUBJECT) == f"{state}+{ALONE}":
                    return {f"{state}+{ALONE}-after-a-chat": (*path, Request(CAST[1], line))}
        return {}

    def _cell(
        self, configuration: str, message: str, variant: str, title: str, rules: tuple[str, ...],
        setup: list[Step], *steps: Step,
    ) -> Play:  # fmt: skip
        return self.cell(
            configuration, message, variant, title, rules, setup, steps, of="client", segments=("whole",)
        )  # fmt: skip

    # What the suite does for the server and the other users

    def _led(self, path: Path) -> tuple[World, list[Step]]:
        """The world after these requests, and the steps to it."""
        world = World(self.spec)
        return world, [done for step in path for done in self._acted(world, step.who, step.octets)]

    def _led_into(self, configuration: str) -> tuple[World, list[Step]]:
        """The world in which the client is in this configuration, and the steps that lead it there."""
        return self._led(self.paths.to_configuration(configuration))

    def _is_open(self, path: Path) -> bool:
        """Whether the contract has commands for all that the client sends on this path, and its rules allow it."""
        world = World(self.spec)
        for who, octets in path:
            if who == SUBJECT and (self.command_for(octets) is None or not self.allowed(world, octets)):
                return False
            world.feed(who, octets)
        return True

    def _acted(self, world: World, who: str, octets: bytes) -> list[Step]:
        """What a request leads to: for the client's own, the command and the request; for all, what comes to it."""
        steps: list[Step] = []
        if who == SUBJECT:
            command = self.command_for(octets)
            assert command is not None
            steps += [typed(command), sent(octets)]
        for due in world.feed(who, octets).get(SUBJECT, []):
            steps += self.given(due)
        return steps

    def given(self, due: Due) -> list[Step]:
        """A frame from the server, and the line that it is printed as."""
        if isinstance(due, End):
            return [Step(CLIENT, "end")]
        texts = [due.text] if isinstance(due, Text) else [*due.items, due.answer] if isinstance(due, Items) else []
        steps = []
        for text in texts:
            frame = text.replace(ANY_WORDS, ODD_WORDS)
            steps.append(received(frame, self.spec))
            line = self.contract.printed(frame)
            if line is not None:
                steps.append(Step(USER, "receive", line.encode(), line))
        return steps

    def command_for(self, octets: bytes) -> str | None:
        """The command that sends this line."""
        said = parse_request(self.spec, octets.removesuffix(self.spec.framing.writes))
        return self.contract.command(said.verb, dict(said.values)) if isinstance(said, Parsed) else None

    def allowed(self, world: World, octets: bytes) -> bool:
        """Whether the rules for clients allow this request, which has a place in the client's view, with its fields."""
        said = parse_request(self.spec, octets.removesuffix(self.ending))
        assert isinstance(said, Parsed)
        condition = self.spec.client.only_if.get(world.open(SUBJECT).state, {}).get(said.verb)
        return condition is None or world.holds(condition, SUBJECT, said)

    # What a server may send by itself

    def _said(self, world: World, form: Form) -> Iterator[tuple[str, dict[str, str]]]:
        """What a push can say to the client: the end of an id, and the values of its fields."""
        partner, users = world.connections.get(world.open(SUBJECT).partner or ""), form.fields_of(self.spec.names)
        plain = self._plain(form) | dict.fromkeys(users, self.paths.names[CAST[-1]])
        own = dict.fromkeys(users, partner.name or "" if partner is not None else self.paths.names[CAST[1]])
        of_partner = any(move.mirrored for move in self.moves if move.key == form.key)
        words = [(field.name, word) for field in form.fields for word in self.spec.types[field.type].one_of]
        said = [(f"-{word}", {**plain, field: word}) for field, word in words] or [("", plain)]
        yield from ((name, values | own if of_partner else values) for name, values in said)
        possible = [values for _, values in said if self._may_come(world, form, values | own)]
        if possible and not self._may_come(world, form, possible[0]):
            yield "-of-another-user", possible[0]

    def _may_come(self, world: World, form: Form, values: Mapping[str, str]) -> bool:
        """Whether a server may send this push to the client, which knows of both ends what the server knows."""
        me = world.open(SUBJECT)
        return any(
            self._fits(move, me, world.connections.get(me.partner or ""), form, values)
            for move in self.moves
            if move.key == form.key and move.state == me.state and move.by != "request"
        )

    def _fits(
        self, move: Move, me: Connection, partner: Connection | None, form: Form, values: Mapping[str, str]
    ) -> bool:
        if move.mirrored and "link" not in move.effects:
            field = form.field_of(self.spec.names)
            if partner is None or (field is not None and values[field] != partner.name):
                return False
        here = partner is not None and partner.answered
        own = {"no partner": partner is None, "not answered": not me.answered, "not accepted": not me.accepted}
        return (
            all(values[field] in words for field, words in move.words)
            and all(own[kind] == holds for kind, holds in move.known)
            and move.here in (None, here)
        )

    def _can_be(self, world: World, form: Form, values: Mapping[str, str]) -> bool:
        """Whether the users in this push are others than the client, and its partner only where that is told of it."""
        partner = world.connections.get(world.open(SUBJECT).partner or "")
        of_partner = any(move.mirrored and "link" not in move.effects for move in self.moves if move.key == form.key)
        known = [world.open(SUBJECT), *([partner] if partner is not None and not of_partner else [])]
        names = [values[field] for field in form.fields_of(self.spec.names)]
        return not any(self.spec.name_type.same(name, user.name or "") for name in names for user in known)

    def goodbyes(self, state: str) -> list[str]:
        """The codes with which a server may end a connection in this state whatever its client does."""
        stop = [goodbye.code for goodbye in self.spec.goodbyes.values() if goodbye.when == "stop"]
        late = [timer for timer in self.spec.timers.values() if timer.states is None or state in timer.states]
        return list(dict.fromkeys([*stop, *(timer.goodbye for timer in late if timer.goodbye is not None)]))

    # Frames

    def _plain(self, form: Form) -> dict[str, str]:
        """Ordinary values of a frame's fields."""
        return {field.name: self.spec.types[field.type].good[0] for field in form.fields}

    def _closing(self, line: str) -> list[Step]:
        """A frame after which the client closes; it says so, and prints nothing of it."""
        return [received(line, self.spec), *self._closed()]

    def _closed(self) -> list[Step]:
        """The client closes the connection, and says so."""
        lost = f"{LOST} {ANY_WORDS}"
        return [Step(CLIENT, "finish"), Step(USER, "receive", lost.encode(), lost)]


def typed(command: str) -> Step:
    """The user types a command."""
    return Step(USER, "send", command.encode() + b"\n", command)


def sent(octets: bytes) -> Step:
    """The client sends a request."""
    return Step(CLIENT, "send", octets, octets.decode().rstrip("\n"))


def refused(command: str) -> Step:
    """The client says that it has not sent a command."""
    line = f"{REFUSED} {command.split(' ')[0]} {ANY_WORDS}"
    return Step(USER, "receive", line.encode(), line)


def received(text: str, spec: Spec) -> Step:
    """The server sends a frame."""
    return Step(CLIENT, "receive", text.encode() + spec.framing.writes, text)
