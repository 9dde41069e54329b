"""Plays of many values each: at the edges of types, of names, of UTF-8. Each value is a step; all are sent at once.

What is due comes from the model; here it is only decided what to ask. Knows no socket, and no verb by name.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace

from conformance.oracle.frames import Parsed, write_form
from conformance.oracle.lines import SUBJECT, Path
from conformance.oracle.model import World
from conformance.oracle.probe import barrier_verb, letters
from pychat.spec import Spec
from pychat.spec.forms import Request

from .matrix import ANY_LINE, END, Cells
from .play import Play, Step, send
from .values import NO_UTF8, WORDS, edges_of

OTHER = "d"  # with a number: one more connection
LIKE_CAPITALS = (
    ("S", "\u017f"),
    ("I", "\u0131"),
    ("A", "\uff21"),
    ("O", "0"),
)  # upper() and NFKC make capitals of three
LIKE_SPACE = ("\t", "\xa0", "\u3000", "\x0b", "\x1f", "\x85", "  ", ",", "=", "\0")


class Edges(Cells):
    """The plays of a spec, for servers."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.syntax = spec.fault_rule("syntax", spec.initial).rule
        self.taking = next((row.verb for _, row in spec.outcomes() if row.does("bind")), None)

    def plays(self) -> list[Play]:
        found = [*self._fields(), *filter(None, (self._verbs(), self._encodings()))]
        if self.taking is not None and self.paths.named is not None:
            found += [*self._names(), *self._freed()]
        return self.numbered(found, self.syntax)

    # Fields of requests

    def _fields(self) -> Iterator[Play]:
        for verb, request in self.spec.requests.items():
            for field in request.form.fields:
                good, kind = self.paths.values(request), self.spec.types[field.type]
                values = edges_of(kind)
                refused = [value for value in values if not kind.accepts(value)]
                turns = itertools.zip_longest(refused, filter(kind.accepts, values))  # so that one answer less is seen
                values = [value for turn in turns for value in turn if value is not None]
                lines = (write_form(request.form, {**good, field.name: value}).encode() for value in values)
                title = f"<{field.name}> of {verb}: characters beside those that may stand there, and the last of these"
                written = (
                    tuple(filter(kind.accepts, values)) if field.type == self.spec.names and verb == self.taking else ()
                )
                play = self._many(verb, verb, f"{field.name}-edges", title, lines)
                if play is not None:
                    yield replace(play, written=written)

    def _verbs(self) -> Play | None:
        """What is like a request, and begins with no verb of one, or not with one space behind it."""
        title = "Words that are like verbs, what is like the space behind a verb, and frames of the server"
        return self._many(barrier_verb(self.spec), ANY_LINE, "verb-edges", title, self._like_requests())

    def _like_requests(self) -> Iterator[bytes]:
        asked = barrier_verb(self.spec), next((v for v, r in self.spec.requests.items() if not r.form.fields), "")
        for verb, request in self.spec.requests.items():
            rest = write_form(request.form, self.paths.values(request)).removeprefix(verb)
            words = [verb[:-1], f"{verb}S", *(verb.replace(*pair) for pair in LIKE_CAPITALS)]
            if verb in asked:
                words += [verb * 2, f"{verb}:", *(f"{before}{verb}" for before in ("\ufeff", "\t", "\xa0", "/", "\0"))]
            if not self.spec.framing.any_case:
                words += [verb.lower(), verb.capitalize()]
            yield from (f"{word}{rest}".encode() for word in words if word not in self.spec.requests)
            spaces = LIKE_SPACE if verb in asked else LIKE_SPACE[:2]
            yield from (f"{verb}{space}{rest[1:]}".encode() for space in spaces)
        for reply in self.spec.replies.values():
            if reply.form.verb not in self.spec.requests:
                values = {field.name: self.spec.types[field.type].good[:1] for field in reply.form.fields}
                yield write_form(reply.form, {name: good[0] if good else "x" for name, good in values.items()}).encode()

    def _encodings(self) -> Play | None:
        verb = barrier_verb(self.spec)
        lines = [b"", b"x"] if not self.spec.requests[verb].form.fields else [b"", f"{verb} x".encode()]
        many = (start + octets + end for octets in NO_UTF8 for start, end in ((lines[0], b""), (lines[1], b"y")))
        title = "What is no UTF-8, from the first to the last of each range, alone and in a request"
        return self._many(verb, ANY_LINE, "not-utf8-edges", title, many)

    def _many(self, verb: str, message: str, variant: str, title: str, lines: Iterable[bytes]) -> Play | None:
        """Lines, where most faults are allowed; on a new connection where one more would be too many."""
        place = self._place(verb)
        if place is None:
            return None
        path = self.paths.to_success(place, verb) or self.paths.to_configuration(place)
        world, who, number = World(self.spec), SUBJECT, 0
        for move in path:
            world.feed(*move)
        calm = self.line(self.spec.requests[barrier_verb(self.spec)])
        steps: list[Step] = []
        rules: dict[str, None] = {}
        for line in dict.fromkeys(lines):
            octets = line + self.ending
            if len(octets) > self.spec.framing.max_octets:
                continue
            budget = self.spec.budget(world.open(who).state)
            if budget is not None and world.open(who).faults >= budget.faults - 1:
                if not path:
                    number += 1
                    who = f"{OTHER}{number}"
                elif budget.in_a_row:
                    world.feed(who, calm)
                    steps.append(send(self.spec, who, calm))
                else:
                    break
            after = world.copy()
            after.feed(who, octets)
            changes = after.key() != world.key()
            if changes and path:
                continue
            rules[after.decisions[-1].rule] = None
            steps.append(send(self.spec, who, octets))
            world = after
            if changes:
                number += 1
                who = f"{OTHER}{number}"
        state = place.partition("+")[0]
        return self.cell(
            state, message, variant, title, tuple(rules), self.steps(path), steps, segments=("whole",), at_once=True
        )

    def _place(self, verb: str) -> str | None:
        """The configuration in which the request is sent again and again: it succeeds, and most faults are allowed."""

        def worth(configuration: str) -> tuple[bool, int]:
            budget = self.spec.budget(configuration.partition("+")[0])
            succeeds = self.paths.to_success(configuration, verb) is not None
            return succeeds, budget.faults if budget is not None else 1 << 20

        recv = {each: self.spec.states[each.partition("+")[0]].recv for each in self.paths.configurations}
        return max((each for each in recv if verb in recv[each]), key=worth, default=None)

    # Names

    def _names(self) -> Iterator[Play]:
        kind = self.spec.name_type
        longest = kind.octets[1]
        words = [word for word in (*WORDS, *self.spec.requests) if kind.accepts(word)]
        alphabet = "".join(char for char in map(chr, range(128)) if kind.accepts(f"a{char}a") and char.isalpha())
        spellings = [case(alphabet)[: longest // 2] + end for case in (str.upper, str.lower) for end in ("", "-1")]
        spellings += [case(alphabet)[-(longest // 2) :] for case in (str.upper, str.lower, str.capitalize)]
        stem = (letters(675) * longest)[: longest - 1]
        near = [stem, f"{stem}y", f"{stem}z", stem[: longest // 2], stem[:8], *_beside("near")]
        for variant, title, names in (
            ("words", "Words that mean something to a library or to a program are names like others", words),
            ("every-letter", "Each letter is the same in both cases, and only then", spellings),
            ("nearly-the-same", "Names that differ in one character are different names", near),
        ):
            found = [name for name in dict.fromkeys(names) if kind.accepts(name)]
            yield self._each_taken(variant, title, found)

    def _each_taken(self, variant: str, title: str, names: list[str]) -> Play:
        """Each name: nobody has it, then somebody takes it, then it is taken."""
        assert self.taking is not None
        asking = [verb for verb, request in self.spec.requests.items() if request.form.fields_of(self.spec.names)]
        asking = [verb for verb in asking if verb != self.taking and self._harmless(verb)]
        path, rows = self.paths.to_configuration(self.paths.named or ""), self.spec.states[self.spec.initial].recv
        steps = [send(self.spec, SUBJECT, self._about(verb, name)) for name in names for verb in asking]
        for number, name in enumerate(names, 1):
            steps += self._takes(f"{OTHER}{number}", name)
        rules = tuple(dict.fromkeys(row.rule for row in rows.get(self.taking, ())))
        return self.cell(
            self.spec.initial, self.taking, variant, title, rules, self.steps(path), steps, segments=("whole",),
            at_once=True, written=tuple(names),
        )  # fmt: skip

    def _harmless(self, verb: str) -> bool:
        """Whether the request changes nothing where nobody has the name."""
        world = World(self.spec)
        for move in self.paths.to_configuration(self.paths.named or ""):
            world.feed(*move)
        after = world.copy()
        after.feed(SUBJECT, self._about(verb, self.paths.nobody))
        return after.key() == world.key() and after.decisions[-1].row is not None

    def _about(self, verb: str, name: str) -> bytes:
        request: Request = self.spec.requests[verb]
        return write_form(request.form, self.paths.values(request, name)).encode() + self.ending

    def _takes(self, who: str, name: str) -> list[Step]:
        """`who` goes the way of the subject to where it has a name, with this one."""
        steps = []
        for move in self.paths.to_configuration(self.paths.named or ""):
            said = self.paths.read(move.octets)
            assert isinstance(said, Parsed), "a path has requests"
            steps.append(send(self.spec, who, self._about(said.verb, name)))
        return steps

    def _freed(self) -> Iterator[Play]:
        """However a connection ends, its name is free at once, also in another spelling."""
        rule = next(iter(rule for rule in ("R-NAME-3",) if rule in self.spec.rules), self.spec.ending.rule)
        for configuration in self.paths.configurations:
            path = self.paths.to_configuration(configuration)
            world = World(self.spec)
            for move in path:
                world.feed(*move)
            name = world.open(SUBJECT).name
            if name is None:
                continue
            spelled = name.swapcase() if self.spec.name_type.accepts(name.swapcase()) else name
            for how, step in self._ends(configuration, path):
                title = f"The name of a connection that ends in {configuration} by {how} is free at once"
                yield self.cell(
                    configuration, END, f"freed-by-{how}", title, (rule,), self.steps(path),
                    [step, *self._takes(f"{OTHER}1", spelled)], segments=("whole",),
                )  # fmt: skip

    def _ends(self, configuration: str, path: Path) -> Iterator[tuple[str, Step]]:
        state, _, end = configuration.partition("+")
        for verb, rows in self.spec.states[state].recv.items():
            if any(row.to == self.spec.final and not row.conditions for row in rows):
                yield verb.lower(), send(self.spec, SUBJECT, self.line(self.spec.requests[verb]))
        yield "the-end", Step(SUBJECT, "finish")
        if self.spec.states[state].linked and end != "alone":  # else no push shows when it has taken effect
            yield "reset", Step(SUBJECT, "reset")
        yield "too-long", send(self.spec, SUBJECT, b"x" * self.spec.framing.max_octets)
        budget = self.spec.budget(state)
        if budget is not None:
            yield "faults", send(self.spec, SUBJECT, self.ending * budget.faults)


def _beside(stem: str) -> list[str]:
    """Names like this one: with a sign, a number, one letter less, in two parts."""
    signs = [f"{stem}{sign}{end}" for sign in ("-", "_") for end in ("", "x")]
    numbers = [f"{stem}{number}" for number in ("0", "1", "01", "10", "-1", "-01")]
    return [stem, stem[:-1], f"{stem}{stem[-1]}", f"{stem}x", *signs, *numbers]
