"""Cells for clients: every command in every state, every field, every refusal; made from the spec. Knows no verb."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.cases.play import Play, Step
from conformance.cases.values import edges_of, turns, values_of
from conformance.oracle.frames import write_form
from conformance.oracle.lines import SUBJECT
from conformance.oracle.model import Text
from conformance.oracle.paths import label_of
from pychat.spec.forms import Form, Request

from .cells import ClientCells, refused, sent, typed
from .edges import Edges
from .replies import Replies


class ClientMatrix(ClientCells):
    """The cells of a spec, for clients."""

    def plays(self) -> list[Play]:
        found = [*self._rows(), *self._not_allowed(), *self._fields(), *self._texts()]
        found += [*Replies(self.spec).cells(), *Edges(self.spec).cells()]
        return self.numbered(found, next(iter(self.spec.rules)))

    def _rows(self) -> Iterator[Play]:
        for configuration in self.configurations:
            for verb, rows in self.spec.states[configuration.partition("+")[0]].recv.items():
                for row in rows:
                    found = self.paths.to_row(configuration, row)
                    if found is None or row.to == self.spec.final:
                        continue
                    path, line = found
                    command = self.command_for(line)
                    if command is None or not self._is_open(path):
                        continue
                    world, steps = self._led(path)
                    if not self.allowed(world, line):
                        continue
                    rules = ("R-ANS-5", "R-FRAME-8") if row.error else ("R-FRAME-8", "R-FRAME-1")
                    title = f"{command} in {configuration}: {row.error or row.label}"
                    acted = self._acted(world, SUBJECT, line)
                    yield self._cell(configuration, verb, label_of(row, rows), title, rules, steps, *acted)

    def _not_allowed(self) -> Iterator[Play]:
        """Commands whose requests have no place in the client's view of its state."""
        for configuration in self.configurations:
            for verb, request in self.spec.requests.items():
                line = self.line(request)
                command = self.command_for(line)
                if command is None:
                    continue
                world, steps = self._led_into(configuration)
                has_place = verb in self.spec.states[configuration.partition("+")[0]].recv
                if has_place and self.allowed(world, line):
                    continue
                rule = self.spec.client.only_if_rule if has_place else "R-CLIENT-2"
                title = f"{command} in {configuration} is refused"
                due = (typed(command), refused(command))
                yield self._cell(configuration, verb, "not-sent", title, (rule,), steps, *due)

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
                rules, due = ("R-CLIENT-11", "R-FRAME-8"), (typed(command), refused(command))
                yield self._cell(state, request.verb, f"{field.name}-{name}", title, rules, steps, *due)

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
        kind, rules = self.spec.types[form.fields[0].type], ("R-FRAME-8", "R-FRAME-1", "R-FRAME-4")
        for name, value, _ in values_of(kind):
            both = self._both_ways(form, value)
            if both:
                title = f"every octet of the text, both ways: {name}"
                yield self._cell(states[0], verb, name, title, rules, steps, *both)
        every = [step for value in edges_of(kind) for step in self._both_ways(form, value)]
        title = "a text is carried both ways, whatever a library reads in it"
        yield self._cell(states[0], verb, "every-text", title, rules, steps, *every)

    def _both_ways(self, form: Form, value: str) -> list[Step]:
        """A text is typed and sent, comes and is printed; nothing for one that is none, or may be shown as code."""
        field = form.fields[0]
        command = self.contract.command(form.verb, {field.name: value})
        if command is None or not self.spec.types[field.type].accepts(value) or turns(value):
            return []
        line = write_form(form, {field.name: value})
        return [typed(command), sent(line.encode() + self.ending), *self.given(Text(line))]
