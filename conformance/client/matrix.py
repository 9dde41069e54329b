"""Cells for clients: every command in every state, every frame of a server, every refusal; made from the spec.

The other users exist only in the model: what they would do becomes frames that the suite sends. Knows no verb.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from conformance.cases.matrix import BAD_UTF8, values_of
from conformance.cases.play import Play, Step, numbered
from conformance.oracle.frames import ANY_WORDS, Parsed, parse_request, write_form
from conformance.oracle.model import Due, End, Items, Text, World
from conformance.oracle.paths import SUBJECT, Path, label_of, paths_of
from pychat.spec import Spec
from pychat.spec.model import Request

from .contract import Contract
from .process import CLIENT, USER

ODD_WORDS = "4 words, ever so odd: wrong-state!"  # nobody may compare the words of a refusal


class ClientMatrix:
    """The cells of a spec, for clients."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.contract = Contract(spec)
        self.paths = paths_of(spec)
        found = self.paths.configurations
        self.configurations = [name for name in found if self.is_open(self.paths.to_configuration(name))]

    def plays(self) -> list[Play]:
        found = numbered(
            [
                *self._rows(),
                *self._not_allowed(),
                *self._fields(),
                *self._texts(),
                *self._pushes(),
                *self._strange(),
            ]
        )
        known = set(self.spec.rules)
        kept = [replace(play, rules=tuple(rule for rule in play.rules if rule in known)) for play in found]
        other = next(iter(self.spec.rules))  # another spec has other numbers for what every spec says
        return [play if play.rules else replace(play, rules=(other,)) for play in kept]

    def _play(self, id_: str, title: str, rules: tuple[str, ...], way: list[Step], steps: list[Step]) -> Play:
        steps = [*way, *steps]
        return Play(
            id_, title, rules, tuple(steps), of="client", segments=("whole",), setup=len(way), source="the matrix"
        )  # fmt: skip

    # What the suite does for the server and the others

    def way(self, configuration: str) -> tuple[World, list[Step]]:
        """The world in which the client is in this configuration, and the steps that lead it there."""
        return self.led(self.paths.to_configuration(configuration))

    def led(self, way: Path) -> tuple[World, list[Step]]:
        """The world after these requests, and the steps to it."""
        world = World(self.spec)
        return world, [done for step in way for done in self.acted(world, step.who, step.octets)]

    def is_open(self, way: Path) -> bool:
        """Whether the contract has commands for all that the client sends on this way."""
        return all(step.who != SUBJECT or self.command(step.octets) is not None for step in way)

    def acted(self, world: World, who: str, octets: bytes) -> list[Step]:
        """What a request leads to: for the client's own, the command and the request; for all, what comes to it."""
        steps: list[Step] = []
        if who == SUBJECT:
            command = self.command(octets)
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

    def command(self, octets: bytes) -> str | None:
        """The command that sends this line."""
        said = parse_request(self.spec, octets.removesuffix(self.spec.framing.writes))
        return self.contract.command(said.verb, dict(said.values)) if isinstance(said, Parsed) else None

    # Cells

    def _rows(self) -> Iterator[Play]:
        for configuration in self.configurations:
            name, _, tail = configuration.partition("+")
            for verb, rows in self.spec.states[name].recv.items():
                for row in rows:
                    found = self.paths.to_row(configuration, row)
                    if found is None or row.to == self.spec.final:
                        continue
                    if self.command(found[1]) is None or not self.is_open(found[0]):
                        continue
                    world, steps = self.led(found[0])
                    if not self._allowed(world, verb, found[1]):
                        continue
                    rules = ("R-ANS-5", "R-FRAME-8") if row.error else ("R-FRAME-8", "R-FRAME-1")
                    label = label_of(row, rows)
                    id_ = f"{name}/{verb}/{label}-when-{tail}" if tail else f"{name}/{verb}/{label}"
                    title = f"{self.command(found[1])} in {configuration}: {row.error or row.label}"
                    yield self._play(id_, title, rules, steps, self.acted(world, SUBJECT, found[1]))

    def _allowed(self, world: World, verb: str, octets: bytes) -> bool:
        """Whether the rules for clients allow this request in the client's own view."""
        peer = world.peers[SUBJECT] if SUBJECT in world.peers else world.open(SUBJECT)
        condition = self.spec.client.only_if.get(peer.state, {}).get(verb)
        if condition is None:
            return True
        said = parse_request(self.spec, octets.removesuffix(self.spec.framing.writes))
        assert isinstance(said, Parsed)
        return world.holds(condition, SUBJECT, said)

    def _not_allowed(self) -> Iterator[Play]:
        """Commands whose requests have no place in the client's view of its state."""
        for configuration in self.configurations:
            name, _, tail = configuration.partition("+")
            suffix = f"-when-{tail}" if tail else ""
            for verb, request in self.spec.requests.items():
                line = self._line(request)
                command = self.command(line)
                if command is None:
                    continue
                world, steps = self.way(configuration)
                has_place = verb in self.spec.states[name].recv
                if has_place and self._allowed(world, verb, line):
                    continue
                rule = self.spec.client.only_if_rule if has_place else "R-CLIENT-2"
                title = f"{command} in {configuration} is not sent"
                yield self._play(f"{name}/{verb}/not-sent{suffix}", title, (rule,), steps, [unsent(command)])

    def _line(self, request: Request) -> bytes:
        return write_form(request.form, self.paths.values(request)).encode() + self.spec.framing.writes

    def _fields(self) -> Iterator[Play]:
        """Commands with fields that are not of their types: nothing malformed is sent."""
        for configuration in self.configurations:
            name, _, tail = configuration.partition("+")
            if tail:
                continue
            for verb, request in self.spec.requests.items():
                first = next((s for s in self.spec.live_states if verb in self.spec.states[s].recv), None)
                if first != name:
                    continue
                yield from self._bad_fields(configuration, request)

    def _bad_fields(self, configuration: str, request: Request) -> Iterator[Play]:
        _, way = self.way(configuration)
        state = configuration.partition("+")[0]
        for field in request.form.fields:
            if field.type == self.spec.link.key and request.verb != self.spec.verb_that("bind"):
                continue  # names were tried where one is taken
            for name, value, accepted in values_of(self.spec.types[field.type]):
                if accepted or "\r" in value:
                    continue
                command = self.contract.command(request.verb, {**self.paths.values(request), field.name: value})
                if command is None:
                    continue
                title = f"<{field.name}> {name.replace('-', ' ')}: nothing is sent"
                id_ = f"{state}/{request.verb}/{field.name}-{name}"
                yield self._play(id_, title, ("R-CLIENT-11", "R-FRAME-8"), list(way), [unsent(command)])

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
        state = states[0]
        values = [
            (name, value)
            for name, value, accepted in values_of(self.spec.types[form.fields[-1].type])
            if accepted and name != "bidi-control"  # how that is printed has plays of its own
        ]
        _, way = self.way(state)
        for name, value in values:
            line = write_form(form, {form.fields[-1].name: value})
            command = self.contract.command(verb, {form.fields[-1].name: value})
            if command is None:
                continue
            steps = [typed(command), sent(line.encode() + self.spec.framing.writes)]
            back = self.given(Text(line))
            id_ = f"{state}/{verb}/{name}"
            yield self._play(
                id_,
                f"every octet of the text, both ways: {name}",
                ("R-FRAME-8", "R-FRAME-1", "R-FRAME-4"),
                way,
                steps + back,
            )

    def _pushes(self) -> Iterator[Play]:
        """What comes by itself, in every state in which it may."""
        for push in self.spec.pushes.values():
            if push.reply is None:
                continue
            for configuration in self.configurations:
                name, _, tail = configuration.partition("+")
                _, way = self.way(configuration)
                fields = {field.name: self.spec.types[field.type].good[0] for field in push.form.fields}
                steps = [received(write_form(push.form, fields), self.spec)]
                steps.append(sent(push.reply.fill(fields).encode() + self.spec.framing.writes))
                id_ = (
                    f"{name}/{push.verb}/from-the-server-when-{tail}" if tail else f"{name}/{push.verb}/from-the-server"
                )
                title = f"{push.verb} of the server in {configuration} is answered with {push.reply}"
                yield self._play(id_, title, ("R-CLIENT-7",), way, steps)

    def _strange(self) -> Iterator[Play]:
        """What a server may not send: the client should close, and prints nothing of it."""
        octets = {f"not-utf8-{name}": bad + b"\n" for name, bad in BAD_UTF8.items()}
        octets |= {
            "unknown": b"XYZZY\n",
            "empty": b"\n",
            "lower-case": b"ok\n",
            "too-long": b"x" * self.spec.framing.max_octets,
        }
        for reply in self.spec.replies.values():
            if reply.form.fields:
                octets[f"{reply.key.lower().replace(' ', '-')}-without-fields"] = reply.key.encode() + b"\n"
            if reply.kind in ("answer", "item"):
                fields = {f.name: self.spec.types[f.type].good[0] for f in reply.form.fields}
                frame = write_form(reply.form, fields).encode() + b"\n"
                octets[f"{reply.key.lower().replace(' ', '-')}-unasked"] = frame
        for name, line in octets.items():
            steps = [Step(CLIENT, "receive", line, line.decode("utf-8", "replace")), Step(CLIENT, "finish")]
            id_ = f"{self.spec.initial}/LINE/{name}"
            yield self._play(
                id_, f"the client closes after a frame that no server may send: {name}", ("R-CLIENT-10",), [], steps
            )


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
