"""Cells for clients: every command in every state, every frame of a server, every refusal; made from the spec.

The other users exist only in the model: what they would do becomes frames that the suite sends. Knows no verb.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping

from conformance.cases.matrix import ANY_LINE, Cells
from conformance.cases.play import CLIENT, USER, Play, Step
from conformance.cases.values import BAD_UTF8, values_of
from conformance.oracle.connection import Connection
from conformance.oracle.frames import ANY_WORDS, Parsed, parse_request, write_form
from conformance.oracle.model import Due, End, Items, Text, World
from conformance.oracle.paths import CAST, SUBJECT, Path, label_of
from pychat.spec import Spec
from pychat.spec.forms import Form, Request
from pychat.spec.view import Move, moves

from .contract import LOST, Contract

VERBS = ("XYZZY", "xyzzy")  # words of no spec
ODD_WORDS = "4 words, ever so odd: wrong-state!"  # a client must not compare the words of a refusal


class ClientMatrix(Cells):
    """The cells of a spec, for clients."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.contract = Contract(spec)
        self.moves = moves(spec)
        found = self.paths.configurations
        self.configurations = [name for name in found if self._is_open(self.paths.to_configuration(name))]
        self.views = self._find_views()

    def plays(self) -> list[Play]:
        found = [*self._rows(), *self._not_allowed(), *self._fields(), *self._texts(), *self._probes()]
        found += [*self._pushes(), *self._goodbyes(), *self._unknown(), *self._unasked(), *self._strange()]
        return self.numbered(found, next(iter(self.spec.rules)))

    def _find_views(self) -> dict[str, Path]:
        """The views that a client can have of itself and its partner, each with the shortest path into it.

        They are the configurations; but a called end that has answered is told from a caller who was answered.
        """
        found: dict[str, Path] = {}
        for world, path in self.paths.worlds:
            name = world.configuration(SUBJECT)
            if name in self.spec.states and world.connections[SUBJECT].called:
                name += "+answering"
            if name not in found and self._is_open(path):
                found[name] = path
        return found

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
            if who == SUBJECT and (self._command(octets) is None or not self._allowed(world, octets)):
                return False
            world.feed(who, octets)
        return True

    def _acted(self, world: World, who: str, octets: bytes) -> list[Step]:
        """What a request leads to: for the client's own, the command and the request; for all, what comes to it."""
        steps: list[Step] = []
        if who == SUBJECT:
            command = self._command(octets)
            assert command is not None
            steps += [typed(command), sent(octets)]
        for due in world.feed(who, octets).get(SUBJECT, []):
            steps += self._given(due)
        return steps

    def _given(self, due: Due) -> list[Step]:
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

    def _command(self, octets: bytes) -> str | None:
        """The command that sends this line."""
        said = parse_request(self.spec, octets.removesuffix(self.spec.framing.writes))
        return self.contract.command(said.verb, dict(said.values)) if isinstance(said, Parsed) else None

    # Cells

    def _rows(self) -> Iterator[Play]:
        for configuration in self.configurations:
            for verb, rows in self.spec.states[configuration.partition("+")[0]].recv.items():
                for row in rows:
                    found = self.paths.to_row(configuration, row)
                    if found is None or row.to == self.spec.final:
                        continue
                    path, line = found
                    command = self._command(line)
                    if command is None or not self._is_open(path):
                        continue
                    world, steps = self._led(path)
                    if not self._allowed(world, line):
                        continue
                    rules = ("R-ANS-5", "R-FRAME-8") if row.error else ("R-FRAME-8", "R-FRAME-1")
                    title = f"{command} in {configuration}: {row.error or row.label}"
                    acted = self._acted(world, SUBJECT, line)
                    yield self._cell(configuration, verb, label_of(row, rows), title, rules, steps, *acted)

    def _allowed(self, world: World, octets: bytes) -> bool:
        """Whether the rules for clients allow this request, which has a place in the client's view, with its fields."""
        said = parse_request(self.spec, octets.removesuffix(self.ending))
        assert isinstance(said, Parsed)
        condition = self.spec.client.only_if.get(world.open(SUBJECT).state, {}).get(said.verb)
        return condition is None or world.holds(condition, SUBJECT, said)

    def _not_allowed(self) -> Iterator[Play]:
        """Commands whose requests have no place in the client's view of its state."""
        for configuration in self.configurations:
            for verb, request in self.spec.requests.items():
                line = self.line(request)
                command = self._command(line)
                if command is None:
                    continue
                world, steps = self._led_into(configuration)
                has_place = verb in self.spec.states[configuration.partition("+")[0]].recv
                if has_place and self._allowed(world, line):
                    continue
                rule = self.spec.client.only_if_rule if has_place else "R-CLIENT-2"
                title = f"{command} in {configuration} is not sent"
                yield self._cell(configuration, verb, "not-sent", title, (rule,), steps, unsent(command))

    def _fields(self) -> Iterator[Play]:
        """Commands with fields that are not of their types: nothing malformed is sent."""
        for verb, request in self.spec.requests.items():
            state = next((s for s in self.spec.live_states if verb in self.spec.states[s].recv), None)
            if state is not None and state in self.configurations:
                yield from self._bad_fields(state, request)

    def _bad_fields(self, state: str, request: Request) -> Iterator[Play]:
        _, steps = self._led_into(state)
        for field in request.form.fields:
            if field.type == self.spec.names and request.verb != self.spec.verb_that("bind"):
                continue  # names were tried where one is taken
            for name, value, accepted in values_of(self.spec.types[field.type]):
                if accepted or "\r" in value:
                    continue
                command = self.contract.command(request.verb, {**self.paths.values(request), field.name: value})
                if command is None:
                    continue
                title = f"<{field.name}> {name.replace('-', ' ')}: nothing is sent"
                rules = ("R-CLIENT-11", "R-FRAME-8")
                yield self._cell(state, request.verb, f"{field.name}-{name}", title, rules, steps, unsent(command))

    def _texts(self) -> Iterator[Play]:
        """Lines of text both ways, at their limits."""
        verb = self.spec.verb_that("relay")
        if verb is None or verb not in self.spec.pushes:
            return
        form = self.spec.requests[verb].form
        states = [name for name in self.spec.live_states if verb in self.spec.states[name].recv]
        states = [name for name in states if name in self.configurations]
        if not states or len(form.fields) != 1 or self.spec.pushes[verb].form != form:
            return
        _, steps = self._led_into(states[0])
        rules = ("R-FRAME-8", "R-FRAME-1", "R-FRAME-4")
        for name, value, accepted in values_of(self.spec.types[form.fields[0].type]):
            command = self.contract.command(verb, {form.fields[0].name: value})
            if not accepted or command is None or name == "bidi-control":  # how that is printed has plays of its own
                continue
            line = write_form(form, {form.fields[0].name: value})
            both = [typed(command), sent(line.encode() + self.ending), *self._given(Text(line))]
            title = f"every octet of the text, both ways: {name}"
            yield self._cell(states[0], verb, name, title, rules, steps, *both)

    def _probes(self) -> Iterator[Play]:
        """What comes by itself and wants a reply, in every configuration."""
        for push in self.spec.pushes.values():
            if push.reply is None:
                continue
            fields = self._plain(push.form)
            pushed = received(write_form(push.form, fields), self.spec)
            reply = sent(push.reply.fill(fields).encode() + self.ending)
            for configuration in self.configurations:
                _, steps = self._led_into(configuration)
                title = f"{push.verb} of the server in {configuration} is answered with {push.reply}"
                rules = ("R-CLIENT-7",)
                yield self._cell(configuration, push.verb, "from-the-server", title, rules, steps, pushed, reply)

    def _pushes(self) -> Iterator[Play]:
        """Every other push in every view, with each of its words: taken and printed where it may come.

        Where it may not, since of what both ends of the chat know or with another user's name, the client should close.
        """
        pushes = [push for push in self.spec.pushes.values() if push.reply is None]
        for (view, path), push in itertools.product(self.views.items(), pushes):
            world, steps = self._led(path)
            for name, values in self._said(world, push.form):
                line = write_form(push.form, values)
                if self._may_come(world, push.form, values):
                    title = f"{line} in {view} is taken"
                    taken = self._given(Text(line))
                    yield self._cell(view, push.verb, f"comes{name}", title, ("R-FRAME-8",), steps, *taken)
                else:
                    title = f"the client closes after {line} in {view}"
                    yield self._cell(
                        view, push.verb, f"cannot-come{name}", title, ("R-CLIENT-10",), steps, *self._closing(line)
                    )

    def _said(self, world: World, form: Form) -> Iterator[tuple[str, dict[str, str]]]:
        """What a push can say to the client: the end of an id, and the values of its fields."""
        partner, third = world.connections.get(world.open(SUBJECT).partner or ""), self.paths.names[CAST[-1]]
        present = partner.name if partner is not None and partner.name is not None else self.paths.names[CAST[1]]
        plain = self._plain(form) | dict.fromkeys(form.fields_of(self.spec.names), present)
        words = [(field.name, word) for field in form.fields for word in self.spec.types[field.type].one_of]
        for field, word in words:
            yield f"-{word}", {**plain, field: word}
        if not words:
            yield "", plain
        if partner is not None and form.field_of(self.spec.names) is not None:
            yield "-with-another", {**plain, **dict.fromkeys(form.fields_of(self.spec.names), third)}

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

    def _goodbyes(self) -> Iterator[Play]:
        """The server's last frame in every view."""
        for (view, path), code in zip(self.views.items(), itertools.cycle(self.spec.goodbyes)):
            _, steps = self._led(path)
            line = self.spec.goodbye_line(code, ODD_WORDS)
            title = f"{code} in {view} ends the connection"
            steps += [Step(CLIENT, "end")]
            frame, *printed = self._given(Text(line))
            yield self._cell(
                view, self.spec.goodbye.verb, "comes", title, ("R-ANS-5",), steps[:-1], frame, steps[-1], *printed
            )

    def _unknown(self) -> Iterator[Play]:
        """Frames of a later version, in every view: nothing follows from them."""
        verb = next(word for word in VERBS if re.fullmatch(self.spec.framing.verb, word))
        for (view, path), (name, line) in itertools.product(
            self.views.items(), (("", verb), ("-with-fields", f"{verb} of 2 words"))
        ):
            _, steps = self._led(path)
            title = f"{line} in {view} is ignored"
            frame = received(line, self.spec)
            yield self._cell(view, ANY_LINE, f"unknown-push{name}", title, ("R-CLIENT-12",), steps, frame)

    def _unasked(self) -> Iterator[Play]:
        """Answers, items and refusals of requests that the client has not sent, in every state."""
        for state in [state for state in self.spec.live_states if state in self.views]:
            lines = {
                reply.key: write_form(reply.form, self._plain(reply.form))
                for reply in self.spec.replies.values()
                if reply.kind in ("answer", "item")
            }
            rows = [row for rows in self.spec.states[state].recv.values() for row in rows if row.error is not None]
            for row in rows:
                if self.spec.requests[row.verb].answer is not None:
                    lines[self.spec.refusal.verb] = self.spec.refusal_line(row.verb, row.error or "")
            for key, line in lines.items():
                _, steps = self._led(self.views[state])
                name = f"{key.lower().replace(' ', '-')}-unasked"
                title = f"the client closes after an answer that nobody has asked for: {line}"
                yield self._cell(state, ANY_LINE, name, title, ("R-CLIENT-10",), steps, *self._closing(line))

    def _strange(self) -> Iterator[Play]:
        """What is no frame of a server: the client should close, and prints nothing of it."""
        octets = {f"not-utf8-{name}": bad + b"\n" for name, bad in BAD_UTF8.items()}
        octets |= {"empty": b"\n", "too-long": b"x" * self.spec.framing.max_octets}
        for word in VERBS:
            if not re.fullmatch(self.spec.framing.verb, word):
                octets["no-verb"] = word.encode() + b"\n"
        for reply in self.spec.replies.values():
            name = reply.key.lower().replace(" ", "-")
            if reply.form.fields:
                octets[f"{name}-without-fields"] = reply.key.encode() + b"\n"
            if reply.key != reply.form.verb:
                octets[f"{reply.form.verb.lower()}-of-nothing"] = f"{reply.form.verb} {VERBS[0]}\n".encode()
        for name, line in octets.items():
            steps = [Step(CLIENT, "receive", line, line.decode("utf-8", "replace")), Step(CLIENT, "finish")]
            title = f"the client closes after a frame that no server may send: {name}"
            yield self._cell(self.spec.initial, ANY_LINE, name, title, ("R-CLIENT-10",), [], *steps)

    def _plain(self, form: Form) -> dict[str, str]:
        """Ordinary values of a frame's fields."""
        return {field.name: self.spec.types[field.type].good[0] for field in form.fields}

    def _closing(self, line: str) -> list[Step]:
        """A frame after which the client closes; it says so, and prints nothing of it."""
        lost = f"{LOST} {ANY_WORDS}"
        return [received(line, self.spec), Step(CLIENT, "finish"), Step(USER, "receive", lost.encode(), lost)]


def typed(command: str) -> Step:
    """The user types a command."""
    return Step(USER, "send", command.encode() + b"\n", command)


def unsent(command: str) -> Step:
    """The user types a command that must not be sent now."""
    return Step(USER, "send", command.encode() + b"\n", command, held=True)


def sent(octets: bytes) -> Step:
    """The client sends a request."""
    return Step(CLIENT, "send", octets, octets.decode().rstrip("\n"))


def received(text: str, spec: Spec) -> Step:
    """The server sends a frame."""
    return Step(CLIENT, "receive", text.encode() + spec.framing.writes, text)
