"""Cells for clients: the edges of each field, answers that answer something else, probes and ends at every moment.

Knows no verb and no state.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from conformance.cases.matrix import ANY_LINE
from conformance.cases.play import CLIENT, USER, Play, Step
from conformance.cases.values import edges_of, values_of
from conformance.oracle.frames import ANY_WORDS, parse_reply, parse_request, write_form
from conformance.oracle.lines import CAST, SUBJECT
from conformance.oracle.model import Due, Items, Text, World
from pychat.spec.forms import Field, Form, Push, Type
from pychat.spec.model import Outcome

from .cells import ClientCells, received, sent, typed
from .contract import LOST

EOF = "EOF"  # the message in the ids of cases about the end of a stream
VERBS = ("XYZZY", "xyzzy")  # of no spec
LATER = VERBS[0]  # a word too many, and one of no type of words
MANY = 300  # users in a long list, which is longer than the longest frame


class Edges(ClientCells):
    """The cells of a spec that lie at an edge: of a field, of an answer, of the conversation."""

    def cells(self) -> Iterator[Play]:
        yield from self._typed_fields()
        yield from self._shown_fields()
        yield from self._every_value()
        yield from self._bad_fields()
        yield from self._longest_frames()
        yield from self._words()
        yield from self._asked()
        yield from self._long_lists()
        yield from self._ends()
        yield from self._quits()

    # Fields

    def _typed_fields(self) -> Iterator[Play]:
        """Every good value of each command's fields is sent as it was typed, and what comes of it is printed."""
        for verb, request in self.spec.requests.items():
            state = next((s for s in self.spec.live_states if verb in self.spec.states[s].recv), None)
            if state not in self.configurations or verb == self.spec.verb_that("relay"):
                continue
            for field in request.form.fields:
                for name, value, good in values_of(self.spec.types[field.type]):
                    values = {**self.paths.values(request), field.name: value}
                    line = write_form(request.form, values).encode()
                    world, steps = self._led_into(state)
                    if not good or self.contract.command(verb, values) is None or not self.allowed(world, line):
                        continue
                    row = world.row_of(SUBJECT, parse_request(self.spec, line))
                    if row is None or row.to == self.spec.final:
                        continue
                    acted = self._acted(world, SUBJECT, line + self.ending)
                    title, rules = f"<{field.name}> {name.replace('-', ' ')} is sent", ("R-FRAME-8", "R-FRAME-4")
                    yield self._cell(state, verb, f"{field.name}-{name}-sent", title, rules, steps, *acted)

    def _places(self) -> Iterator[tuple[str, Push, dict[str, str]]]:
        """Each push in the first view in which it may come, with its values there."""
        for push in self.spec.pushes.values():
            for view, path in self.views.items():
                world, _ = self._led(path)
                found = (said for _, said in self._said(world, push.form))
                values = next((v for v in found if push.reply or self._may_come(world, push.form, v)), None)
                if values is not None:
                    yield view, push, values
                    break

    def _shown_fields(self) -> Iterator[Play]:
        """Every good value of each field of a push is taken and printed; of a probe, it stands in the reply."""
        for view, push, plain in self._places():
            for field in push.form.fields:
                for name, value, good in values_of(self.spec.types[field.type]):
                    world, steps = self._led(self.views[view])
                    values = {**plain, field.name: value}
                    if not good or self.spec.types[field.type].rest_of_line:
                        continue
                    frame = received(write_form(push.form, values), self.spec)
                    if push.reply is not None:
                        due = [frame, sent(push.reply.fill(values).encode() + self.ending)]
                    elif self._may_come(world, push.form, values) and self._can_be(world, push.form, values):
                        due = self.given(Text(frame.text))
                    else:
                        continue
                    title, rule = f"{push.verb} with <{field.name}> {name.replace('-', ' ')} is taken", "R-FRAME-8"
                    rules = ("R-CLIENT-7", rule) if push.reply is not None else (rule,)
                    yield self._cell(view, push.verb, f"{field.name}-{name}-comes", title, rules, steps, *due)

    def _every_value(self) -> Iterator[Play]:
        """What a library reads in its own way, in one play for each field: of a probe, and of a request that is echoed.

        The first value comes twice in succession: it is no other one.
        """
        for view, push, plain in self._places():
            for field in push.form.fields if push.reply is not None else ():
                _, steps = self._led(self.views[view])
                due: list[Step] = []
                for values in ({**plain, field.name: value} for value in self._good_edges(field)):
                    due.append(received(write_form(push.form, values), self.spec))
                    due += [sent(push.reply.fill(values).encode() + self.ending)] if push.reply is not None else []
                title, rules = f"{push.verb} with any <{field.name}> is answered", ("R-CLIENT-7", "R-FRAME-8")
                yield self._cell(view, push.verb, f"every-{field.name}-comes", title, rules, steps, *due)
        for state, row, world, steps, _, _ in self._requests():
            form = self.spec.requests[row.verb].form
            for field in form.fields if row.to is None and not row.effects else ():
                plain = self.paths.values(self.spec.requests[row.verb])
                lines = [write_form(form, {**plain, field.name: value}).encode() for value in self._good_edges(field)]
                lines = [
                    line + self.ending for line in lines if world.row_of(SUBJECT, parse_request(self.spec, line)) is row
                ]
                typable = [line for line in lines if self.command_for(line) is not None]
                due = [step for line in typable for step in self._acted(world, SUBJECT, line)]
                title, rules = f"{row.verb} with any <{field.name}> is sent", ("R-FRAME-8", "R-FRAME-4")
                yield self._cell(state, row.verb, f"every-{field.name}-sent", title, rules, steps, *due)

    def _good_edges(self, field: Field) -> list[str]:
        """Values of a field's type that a program may take for something else; the first one twice."""
        kind = self.spec.types[field.type]
        found = [value for value in (*kind.good, *edges_of(kind)) if kind.accepts(value)]
        return [*found[:1], *dict.fromkeys(found)]

    def _bad_fields(self) -> Iterator[Play]:
        """A frame that could come, but for a field that is not of its type, or a word too many."""
        for view, push, plain in self._places():
            _, steps = self._led(self.views[view])
            for name, line in self._wrong(push.form, plain):
                title = f"the client closes after {push.verb} with {name.replace('-', ' ')}"
                rules = ("R-CLIENT-10", "R-FRAME-8")
                yield self._cell(view, push.verb, name, title, rules, steps, *self._closing(line))

    def _wrong(self, form: Form, values: dict[str, str]) -> Iterator[tuple[str, str]]:
        """The frame with one thing that is wrong: the end of an id, and the frame."""
        for field in form.fields:
            for name, bad in _bad_of(self.spec.types[field.type]):
                yield f"{name}-{field.name}", write_form(form, {**values, field.name: bad})
        line = write_form(form, values)
        if not form.fields or not self.spec.types[form.fields[-1].type].rest_of_line:
            yield "word-too-many", f"{line} {LATER}"
            yield "space-too-many", f"{line} "
        if isinstance(form.parts[-1], Field):
            less = write_form(Form(form.parts[:-1]), values)
            yield from (
                (n, t) for n, t in (("last-field-missing", less), ("last-field-empty", f"{less} ")) if self._is_none(t)
            )

    def _is_none(self, line: str) -> bool:
        """Whether a line is no frame that a server may send."""
        return parse_reply(self.spec, line) is None

    def _longest_frames(self) -> Iterator[Play]:
        """Frames of a later version that are as long as a frame may be; one octet more is too long."""
        most, state = self.spec.framing.max_octets, self.spec.initial
        rules = ("R-FRAME-4", "R-CLIENT-12")
        verb = next((word for word in VERBS if re.fullmatch(self.spec.framing.verb, word)), None)
        if verb is None:
            return
        for name, ending in (("longest-frame", b"\n"), ("longest-frame-crlf", b"\r\n")):
            if ending not in self.spec.framing.accepts:
                continue
            octets = f"{verb} ".encode().ljust(most - len(ending), b"x") + ending
            title = f"a frame of {most} octets is not too long"
            yield self._cell(state, ANY_LINE, name, title, rules, [], _raw(octets))
        long = verb[0] * (most - 1)
        if re.fullmatch(self.spec.framing.verb, long):
            title, own = f"an unknown verb of {most - 1} letters is ignored", ("R-CLIENT-12",)
            yield self._cell(state, ANY_LINE, "longest-verb", title, own, [], _raw(f"{long}\n".encode()))
        octets = f"{verb} ".encode().ljust(most, b"x") + b"\n"
        title, rules = f"the client closes after a frame of {most + 1} octets", ("R-CLIENT-10", "R-FRAME-4")
        yield self._cell(state, ANY_LINE, "too-long-by-one", title, rules, [], _raw(octets), *self._closed())

    def _words(self) -> Iterator[Play]:
        """The words of a goodbye and of a refusal, which no program compares, at their edges."""
        for code in self.goodbyes(self.spec.initial)[:1] if self.spec.goodbye.fields else ():
            for name, words in self._wordings(self.spec.goodbye):
                frame, *printed = self.given(Text(self.spec.goodbye_line(code, words)))
                due = [frame, Step(CLIENT, "end"), *printed]
                title, verb = f"the goodbye has words that are {name.replace('-', ' ')}", self.spec.goodbye.verb
                yield self._cell(self.spec.initial, verb, f"words-{name}", title, ("R-ANS-5",), [], *due)
            values = {"code": code, "words": self.spec.goodbyes[code].words}
            yield from self._refused_forms(self.spec.initial, verb, self.spec.goodbye, values, [])
        for state, row in self.spec.outcomes():
            found = self.paths.to_row(state, row) if row.error is not None and state in self.configurations else None
            command = self.command_for(found[1]) if found is not None and self._is_open(found[0]) else None
            if row.error is None or found is None or command is None or not self.spec.refusal.fields:
                continue
            world, steps = self._led(found[0])
            if not self.allowed(world, found[1]):
                continue
            due = []
            for _, words in self._wordings(self.spec.refusal):
                due += [typed(command), sent(found[1])]
                due += self.given(
                    Text(self.spec.refusal_line(row.verb, row.error, world.open(SUBJECT).name or "", words))
                )
            title = f"{row.error} has any words"
            yield self._cell(state, row.verb, "any-words", title, ("R-ANS-5", "R-FRAME-8"), steps, *due)
            refusal = self.spec.refusal_line(row.verb, row.error, world.open(SUBJECT).name or "")
            got = parse_reply(self.spec, refusal)
            if got is not None:
                asked = [*steps, typed(command), sent(found[1])]
                yield from self._refused_forms(state, row.verb, got.reply.form, dict(got.values), asked)
            return

    def _refused_forms(
        self, state: str, verb: str, form: Form, values: dict[str, str], steps: list[Step]
    ) -> Iterator[Play]:
        """A goodbye or a refusal with one thing that is wrong."""
        for name, line in self._wrong(form, values):
            title = f"the client closes after {form.verb} with {name.replace('-', ' ')}"
            id_ = f"{form.verb.lower()}-{name}"
            yield self._cell(state, verb, id_, title, ("R-CLIENT-10", "R-FRAME-8"), steps, *self._closing(line))

    def _wordings(self, form: Form) -> Iterator[tuple[str, str]]:
        kind = self.spec.types[form.fields[-1].type]
        if kind.rest_of_line:
            yield from ((name, value) for name, value, good in values_of(kind) if good and name != "bidi-control")

    # Answers

    def _requests(self) -> Iterator[tuple[str, Outcome, World, list[Step], bytes, str]]:
        """The first row of each request that has an answer: its state, the way there, its line, and its command."""
        seen = set()
        for state in self.spec.live_states:
            for row in (row for rows in self.spec.states[state].recv.values() for row in rows):
                if row.verb in seen or row.answer is None or row.to == self.spec.final:
                    continue
                found = self.paths.to_row(state, row) if state in self.configurations else None
                command = self.command_for(found[1]) if found is not None and self._is_open(found[0]) else None
                if found is not None and command is not None:
                    world, steps = self._led(found[0])
                    if self.allowed(world, found[1]):
                        seen.add(row.verb)
                        yield state, row, world, steps, found[1], command

    def _asked(self) -> Iterator[Play]:
        """While a request is unanswered: a probe comes, the answer is another one, or the connection ends."""
        for state, row, world, steps, line, command in self._requests():
            asked, verb = [typed(command), sent(line)], row.verb
            due = world.feed(SUBJECT, line)[SUBJECT]
            answered = [step for each in due for step in self.given(each)]
            for push in self.spec.pushes.values():
                if push.reply is not None:
                    values = [dict.fromkeys((f.name for f in push.form.fields), word) for word in ("a1", "a2")]
                    pushed = b"".join(write_form(push.form, each).encode() + self.ending for each in values)
                    replies = [sent(push.reply.fill(each).encode() + self.ending) for each in values]
                    title = f"two {push.verb} in one segment are answered before the answer to {verb} has come"
                    both = [*asked, _raw(pushed), *replies, *answered]
                    yield self._cell(state, verb, "probed-meanwhile", title, ("R-CLIENT-7",), steps, *both)
            for name, wrong in self._wrong_items(due):
                title = f"the client closes after an item of {verb} with {name.replace('-', ' ')}"
                yield self._cell(
                    state, verb, f"item-{name}", title, ("R-CLIENT-10",), steps, *asked, *self._closing(wrong)
                )
            for name, wrong in self._other_answers(row, due):
                items = [step for step in answered if step.who == CLIENT][:-1]
                printed = [step for step in answered if step.who == USER][: len(items)]
                title = f"the client closes after an answer to {verb} with {name.replace('-', ' ')}"
                last = self._closing(wrong)
                yield self._cell(state, verb, name, title, ("R-CLIENT-10",), steps, *asked, *items, *printed, *last)
            for name, ends in self._endings(state):
                title = f"the connection ends, {name.replace('-', ' ')}, before the answer to {verb}"
                yield self._cell(state, verb, f"unanswered-{name}", title, ("R-ANS-5",), steps, *asked, *ends)
            yield from self._input_ends(state, verb, "unanswered-input-ends", [*steps, *asked], world, answered)

    def _wrong_items(self, due: list[Due]) -> Iterator[tuple[str, str]]:
        """An item of another user with one thing that is wrong: the end of an id, and the frame."""
        items = [one for each in due if isinstance(each, Items) for one in each.items]
        got = parse_reply(self.spec, items[0]) if items else None
        if got is not None:
            users = dict.fromkeys(got.reply.form.fields_of(self.spec.names), self.paths.names[CAST[-1]])
            yield from self._wrong(got.reply.form, {**got.values, **users})

    def _other_answers(self, row: Outcome, due: list[Due]) -> Iterator[tuple[str, str]]:
        """The answer with a value that is not of the request, or not of its type: the end of an id, and the frame."""
        last = due[-1]
        text = last.text if isinstance(last, Text) else last.answer if isinstance(last, Items) else ""
        got = parse_reply(self.spec, text)
        if got is None:
            return
        values, asked = dict(got.values), self.spec.requests[row.verb].form
        for field in got.reply.form.fields:
            kind = self.spec.types[field.type]
            if field.name in {own.name for own in asked.fields}:
                other = next((word for word in kind.good if not kind.same(word, values[field.name])), None)
                if other is not None:
                    yield f"another-{field.name}", write_form(got.reply.form, {**values, field.name: other})
                swapped = values[field.name].swapcase()  # the user of a name may spell it in another way
                same = swapped == values[field.name] or (
                    kind.same(swapped, values[field.name]) and not row.does("bind")
                )
                if kind.accepts(swapped) and not same:
                    yield f"{field.name}-in-another-case", write_form(got.reply.form, {**values, field.name: swapped})
        for field in got.reply.form.fields:
            padded = f"0{values[field.name]}"
            if padded.isdigit() and not self.spec.types[field.type].accepts(padded):
                yield f"zero-before-{field.name}", write_form(got.reply.form, {**values, field.name: padded})
        if row.does("list") and values.get("count", "").isdigit():
            yield "wrong-count", write_form(got.reply.form, {**values, "count": str(int(values["count"]) + 1)})
        yield from self._wrong(got.reply.form, values)

    def _long_lists(self) -> Iterator[Play]:
        """A list of many users in one segment, and the same list again: each user once, the client among them."""
        for state, row, _, _, line, command in self._requests():
            if self.spec.requests[row.verb].item is None or any(
                effect.kind == "list" and effect.entry for effect in row.effects
            ):
                continue
            world, steps = self._led_into(state)
            self._fill(world)
            given = [step for due in world.feed(SUBJECT, line)[SUBJECT] for step in self.given(due)]
            listed = _raw(b"".join(step.octets for step in given if step.who == CLIENT))
            printed = [step for step in given if step.who == USER]
            due = [*[typed(command)] * 2, *[sent(line)] * 2, *[listed] * 2, *printed * 2]
            title = f"a list of {MANY} users more is printed, and the same list again"
            yield self._cell(state, row.verb, "a-long-list", title, ("R-FRAME-6", "R-FRAME-8"), steps, *due)

    def _fill(self, world: World) -> None:
        """Many users come into the world of the client; the first half of them are linked, each with the next one."""
        kind, me = self.spec.name_type, world.open(SUBJECT)
        stem = next(good for good in kind.good if kind.accepts(f"{good}-{MANY}") or kind.accepts(f"{good}{MANY}"))
        stem += "-" if kind.accepts(f"{stem}-{MANY}") else ""
        users = [world.open(f"{CAST[-1]}{number}") for number in range(MANY)]
        for number, user in enumerate(users):
            user.state, user.name = me.state, f"{stem}{number}"
        linked = iter(users[: MANY // 2] if self.spec.linked_states else [])
        for user, other in zip(linked, linked, strict=False):
            user.tie(other.id, caller=True)
            other.tie(user.id, caller=True)
            user.state = other.state = self.spec.linked_states[0]

    # Ends

    def _endings(self, state: str) -> Iterator[tuple[str, list[Step]]]:
        """How a server ends the connection in the middle of something, in this state."""
        lost = f"{LOST} {ANY_WORDS}"
        said = Step(USER, "receive", lost.encode(), lost)
        yield "closed", [Step(CLIENT, "end"), said]
        yield "reset", [Step(CLIENT, "cut"), said]
        for code in self.goodbyes(state)[:1]:
            frame, *printed = self.given(Text(self.spec.goodbye_line(code)))
            yield "with-a-goodbye", [frame, Step(CLIENT, "end"), *printed]

    def _ends(self) -> Iterator[Play]:
        """The end of the input, and the server's, in every view."""
        for view, path in self.views.items():
            world, steps = self._led(path)
            yield from self._input_ends(view, EOF, "input-ends", steps, world, [])
            for name, ends in list(self._endings(view.partition("+")[0]))[:2]:
                title = f"the connection is {name} by the server in {view}"
                yield self._cell(view, EOF, f"server-{name}", title, ("R-ANS-5",), steps, *ends)

    def _input_ends(
        self, view: str, message: str, name: str, steps: list[Step], world: World, answered: list[Step]
    ) -> Iterator[Play]:
        """The input ends; what was asked is answered before the last request."""
        if self.spec.quit_verb is None or (SUBJECT not in world.connections and message != EOF):
            return
        line = write_form(self.spec.requests[self.spec.quit_verb].form, {}).encode() + self.ending
        last = [step for due in world.feed(SUBJECT, line).get(SUBJECT, []) for step in self.given(due)]
        due = [Step(USER, "finish"), *answered, sent(line), *last, Step(USER, "exit", text="0")]
        title = f"the end of the input in {view} is a quit"
        yield self._cell(view, message, name, title, ("R-ANS-5", "R-CLIENT-2"), steps, *due)

    def _quits(self) -> Iterator[Play]:
        """A quit that is not answered, and what still comes before its answer."""
        verb = self.spec.quit_verb
        command = self.contract.command(verb, {}) if verb is not None else None
        if verb is None or command is None:
            return
        asked = [typed(command), sent(write_form(self.spec.requests[verb].form, {}).encode() + self.ending)]
        for name, ends in self._endings(self.spec.initial):
            title = f"the connection ends, {name.replace('-', ' ')}, instead of the answer to {verb}"
            yield self._cell(self.spec.initial, verb, f"unanswered-{name}", title, ("R-ANS-5",), [], *asked, *ends)
        for view, push, values in self._places():
            if push.reply is not None:
                continue
            world, steps = self._led(self.views[view])
            given = self.given(Text(write_form(push.form, values)))
            last = [step for due in world.feed(SUBJECT, asked[1].octets)[SUBJECT] for step in self.given(due)]
            title = f"{push.verb} crosses {verb}, and is printed"
            due = [*asked, *given, *last, Step(USER, "exit", text="0")]
            yield self._cell(view, verb, f"crossing-{push.verb.lower()}", title, ("R-ANS-5",), steps, *due)


def _bad_of(kind: Type) -> Iterator[tuple[str, str]]:
    """Values that are not of a type; of one that lists its words, also what only looks like one of them."""
    found = [value for _, value, good in values_of(kind) if not good and " " not in value and value.isprintable()]
    if kind.one_of:
        word = kind.one_of[0]
        yield "bad", LATER
        yield from (
            (n, w) for n, w in (("unlisted", f"{word}{word[-1]}"), ("shouted", word.upper())) if w not in kind.one_of
        )
    elif found:
        yield "bad", found[-1]
        own = [sample for sample in kind.bad if sample in found[:-1]]
        yield from ((f"bad-{number}", sample) for number, sample in enumerate(own, 1))


def _raw(octets: bytes) -> Step:
    """The server sends these octets."""
    return Step(CLIENT, "receive", octets, octets.decode().removesuffix("\n"))
