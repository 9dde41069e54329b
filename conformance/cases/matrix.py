"""Cells: every state × every message × every variant, each reached by the shortest path that the model finds.

A variant is a row of the table, a fault, or a field at, under or over its limits. What is due comes from the model;
here it is only decided what to ask. Knows no socket.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from conformance.oracle.frames import write_form
from conformance.oracle.lines import SUBJECT, Move, Path
from conformance.oracle.model import World
from conformance.oracle.paths import label_of, paths_of
from conformance.oracle.situations import situations, told_of_an_end
from pychat.spec import Spec
from pychat.spec.forms import Request

from .play import SEGMENTS, Play, Segment, Step, numbered, send
from .values import BAD_UTF8, values_of

BOTH: tuple[Segment, ...] = ("whole", "coalesced")
END = "EOF"  # the message of cells about the end of a connection
ANY_LINE = "LINE"  # the message of cells about lines that are no request
TIME = "TIME"  # the message of cells about timers


@dataclass(frozen=True, slots=True)
class Variant:
    """Something to send: its name in an id, the octets, the rules that it shows."""

    name: str
    octets: bytes
    rules: tuple[str, ...]
    title: str
    segments: tuple[Segment, ...] = SEGMENTS
    exact: bool = False


class Cells:
    """What the cells for servers and those for clients have in common: places, lines, and the rules of the spec."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.ending = spec.framing.writes
        self.paths = paths_of(spec)

    def numbered(self, plays: Iterable[Play], otherwise: str) -> list[Play]:
        """The plays with unique ids, and only with rules that the spec has: where it has none of them, `otherwise`."""
        known = self.spec.rules  # another spec may have other numbers for what every spec says
        return [
            replace(play, rules=tuple(rule for rule in play.rules if rule in known) or (otherwise,))
            for play in numbered(plays)
        ]

    def cell(
        self, configuration: str, message: str, variant: str, title: str, rules: tuple[str, ...],
        setup: Iterable[Step], steps: Iterable[Step], **options: Any,
    ) -> Play:  # fmt: skip
        """A play whose id has the state, the message, and the variant with which of the state's ends it is about."""
        state, _, end = configuration.partition("+")
        id_ = f"{state}/{message}/{variant}-when-{end}" if end else f"{state}/{message}/{variant}"
        setup = tuple(setup)
        return Play(id_, title, rules, (*setup, *steps), setup=len(setup), source="the matrix", **options)

    def steps(self, path: Path) -> list[Step]:
        """The path as steps of a play."""
        return [send(self.spec, who, octets) for who, octets in path]

    def line(self, request: Request) -> bytes:
        """The request with ordinary values in its fields."""
        return write_form(request.form, self.paths.values(request)).encode() + self.ending

    def calm_lines(self, state: str) -> Iterator[bytes]:
        """Requests that succeed in this state and change nothing."""
        for rows in self.spec.states[state].recv.values():
            if len(rows) == 1 and rows[0].error is None and rows[0].to is None and not rows[0].effects:
                yield self.line(self.spec.requests[rows[0].verb])


class Matrix(Cells):
    """The cells of a spec, for servers."""

    def plays(self) -> list[Play]:
        found = [
            *self._rows(),
            *self._situations(),
            *self._wrong_states(),
            *self._lines(),
            *self._fields(),
            *self._order(),
        ]
        found += [*self._lengths(), *self._ends()]
        return self.numbered(found, self.spec.fault_rule("syntax", self.spec.initial).rule)

    def _cell(self, configuration: str, message: str, variant: Variant, path: Path | None = None) -> Play:
        """The subject sends a variant in a configuration, at the end of this path; without one, of the shortest."""
        if path is None:
            path = self.paths.to_configuration(configuration)
        return self.cell(
            configuration, message, variant.name, variant.title, variant.rules, self.steps(path),
            self.steps((Move(SUBJECT, variant.octets),)), segments=variant.segments, exact=variant.exact,
        )  # fmt: skip

    # Rows of the table: each in each end of its state where it can be reached

    def _rows(self) -> Iterator[Play]:
        for configuration in self.paths.configurations:
            for verb, rows in self.spec.states[configuration.partition("+")[0]].recv.items():
                for row in rows:
                    found = self.paths.to_row(configuration, row)
                    if found is not None:
                        path, line = found
                        says = f"is refused with {row.error}" if row.error else f"is {row.label}"
                        title = f"{line.decode().strip()} in {configuration} {says}"
                        variant = Variant(label_of(row, rows), line, (row.rule,), title)
                        yield self._cell(configuration, verb, variant, path)

    def _situations(self) -> Iterator[Play]:
        """Rows again, where they show more of relations than at the end of the shortest path."""
        for path, configuration, line, row, what in situations(self.paths):
            rows = self.spec.states[configuration.partition("+")[0]].recv[row.verb]
            title = f"{line.decode().strip()} in {configuration} is {row.label}: {what.replace('-', ' ')}"
            variant = Variant(f"{label_of(row, rows)}-{what}", line, (row.rule,), title)
            yield self._cell(configuration, row.verb, variant, path)

    def _wrong_states(self) -> Iterator[Play]:
        for configuration in self.paths.configurations:
            state = configuration.partition("+")[0]
            for verb, request in self.spec.requests.items():
                rule = self.spec.first_fault(state, None, verb)
                if rule is not None:
                    title = f"{verb} in {configuration} has no place"
                    yield self._cell(configuration, verb, Variant(rule.error, self.line(request), (rule.rule,), title))

    # Lines that are no request, in every state: at one of the ends of a link, and in turn at another one

    def _lines(self) -> Iterator[Play]:
        for state in self.spec.live_states:
            ends = [name for name in self.paths.configurations if name.partition("+")[0] == state]
            whole = next((name for name in ends if name == state), None)
            turns = itertools.cycle([name for name in ends if name != whole] or ends)
            for variant in self._faulty_lines(state) if ends else ():
                for configuration in dict.fromkeys(filter(None, (whole, next(turns)))):
                    yield self._cell(configuration, ANY_LINE, variant)

    def _faulty_lines(self, state: str) -> Iterator[Variant]:
        encoding, verb, syntax = (self.spec.fault_rule(fault, state) for fault in ("encoding", "verb", "syntax"))
        any_verb = next(iter(self.spec.requests))
        for name, octets in BAD_UTF8.items():
            yield Variant(f"not-utf8-{name}", octets + self.ending, (encoding.rule,), f"not UTF-8: {name}")
        known = f"{any_verb} ".encode() + b"\xff" + self.ending
        yield Variant("not-utf8-after-a-verb", known, (encoding.rule,), "not UTF-8 after a verb that is known")
        for reply in sorted({reply.form.verb for reply in self.spec.replies.values()} - set(self.spec.requests)):
            line = reply.encode() + self.ending
            yield Variant(f"unknown-{reply.lower()}", line, (verb.rule,), f"{reply} is a word of the server's")
        for name, word in (
            ("verb", "XYZZY"), ("prefix", any_verb[:-1]), ("longer-verb", f"{any_verb}S"), ("http", "GET / HTTP/1.1"),
            ("verb-and-space", "XYZZY "), ("verb-and-tab", "XYZZY \t"),
        ):  # fmt: skip
            if word.split(" ")[0] not in self.spec.requests:
                yield Variant(f"unknown-{name}", word.encode() + self.ending, (verb.rule,), f"{word} is no request")
        for name, text in (
            ("empty", ""), ("space", " "), ("lower-case", any_verb.lower()), ("mixed-case", any_verb.capitalize()),
            ("leading-space", f" {any_verb}"), ("digit", "1"), ("tab", f"{any_verb}\tx"), ("not-ascii", "ÄÖÜ"),
            ("space-behind", f"{any_verb.lower()} "), ("nul", f"{any_verb}\0"), ("lone-cr", f"{any_verb}\r{any_verb}"),
            ("null", "\0"),
        ):  # fmt: skip
            if self.spec.framing.any_case and text.upper() == any_verb:
                continue
            title = f"a line whose first word is no verb: {name}"
            yield Variant(f"no-verb-{name}", text.encode() + self.ending, (syntax.rule,), title)
        yield Variant("empty-crlf", b"\r\n", (syntax.rule, "R-FRAME-2"), "an empty line that is ended by CRLF")

    # Fields: at, under and over their limits, where the request succeeds

    def _fields(self) -> Iterator[Play]:
        for verb, request in self.spec.requests.items():
            configuration = self._home(verb)
            if configuration is None:
                continue
            path = self.paths.to_success(configuration, verb) or self.paths.to_configuration(configuration)
            for variant in self._field_variants(request, path, configuration.partition("+")[0]):
                yield self._cell(configuration.partition("+")[0], verb, variant, path)

    def _home(self, verb: str) -> str | None:
        """The first configuration in which the request can succeed."""
        for configuration in self.paths.configurations:
            rows = self.spec.states[configuration.partition("+")[0]].recv.get(verb, ())
            if any(row.error is None and self.paths.to_row(configuration, row) for row in rows):
                return configuration
        return None

    def _field_variants(self, request: Request, path: Path, state: str) -> Iterator[Variant]:
        rule = self.spec.fault_rule("syntax", state, request.verb).rule
        good = self.paths.values(request)
        plain = write_form(request.form, good)
        for name, text in self._shapes(request, plain):
            yield Variant(name, text.encode() + self.ending, (rule,), f"{name.replace('-', ' ')}: {request.form}")
        crlf = plain.encode() + b"\r\n"
        yield Variant("crlf", crlf, ("R-FRAME-2",), "the same request, ended by CRLF")
        for field in request.form.fields:
            type_ = self.spec.types[field.type]
            for name, value, accepted in values_of(type_):
                if field.type == self.spec.names and accepted and name.startswith("good"):
                    continue  # an ordinary name is every other cell
                text = write_form(request.form, {**good, field.name: value})
                if len(text.encode()) >= self.spec.framing.max_octets:
                    continue
                title = f"<{field.name}> {name.replace('-', ' ')}: {'taken' if accepted else 'refused'}"
                line = text.encode()
                rules = (self._rule_of_row(path, line) if accepted else rule,)
                yield Variant(f"{field.name}-{name}", line + self.ending, rules, title, exact=True)

    def _rule_of_row(self, path: Path, line: bytes) -> str:
        """The rule of the row that the subject's line takes at the end of the path."""
        world = World(self.spec)
        for step in path:
            world.feed(step.who, step.octets)
        return world.rule_for(SUBJECT, line)

    def _shapes(self, request: Request, plain: str) -> Iterator[tuple[str, str]]:
        fields = request.form.fields
        rest = bool(fields) and self.spec.types[fields[-1].type].rest_of_line
        if fields:
            yield "missing-field", request.verb
            yield "empty-field", f"{request.verb} "
        if not rest:
            yield "additional-field", f"{plain} x"
            yield "trailing-space", f"{plain} "
            yield "two-spaces", plain.replace(" ", "  ", 1) if fields else f"{plain}  "
            yield "trailing-tab", f"{plain}\t"
            yield "two-crs", f"{plain}\r\r"

    # The order of the checks: a line with two faults gets the first one's answer

    def _order(self) -> Iterator[Play]:
        rule = "R-ERR-6"
        if rule not in self.spec.rules:
            return
        for configuration in self.paths.configurations:
            if configuration not in self.spec.states:
                continue  # one of the other ends of a state
            for verb, request in self.spec.requests.items():
                if verb in self.spec.states[configuration].recv or not request.form.fields:
                    continue
                first = self.spec.first_fault(configuration, "syntax", verb)
                assert first is not None
                title = f"{verb} without its field in {configuration}, where it has no place, is {first.error}"
                name = "syntax-before-state" if first.fault == "syntax" else "state-before-syntax"
                variant = Variant(name, verb.encode() + self.ending, (rule,), title)
                yield self._cell(configuration, verb, variant)

    # How long a line may be

    def _lengths(self) -> Iterator[Play]:
        most = self.spec.framing.max_octets
        goodbye = self.spec.goodbye_when("too-long")
        code = goodbye.code if goodbye is not None else "too-long"
        rules = tuple(rule for rule in ("R-FRAME-5", "R-FRAME-4", "R-CLOSE-3") if rule in self.spec.rules)
        variants = [
            Variant(f"{code}{name}", octets, rules, f"{title} are too long")
            for name, octets, title in (
                ("", b"x" * most, f"{most} octets without an ending"),
                ("-with-ending", b"x" * most + b"\n", f"{most + 1} octets with their LF"),
                ("-with-cr", b"x" * (most - 1) + b"\r\n", f"{most + 1} octets with their CRLF"),
                ("-by-far", b"x" * most * 4, f"{4 * most} octets without an ending"),
            )
        ]
        for name, ending in (("longest-line", b"\n"), ("longest-line-crlf", b"\r\n")):
            title = f"{most} octets with their {'CRLF' if len(ending) > 1 else 'LF'} are not too long"
            variants.append(Variant(name, b"x" * (most - len(ending)) + ending, rules, title))
        for configuration in self.paths.configurations:
            for variant in variants if configuration in self.spec.states else variants[:1]:
                yield self._cell(configuration, ANY_LINE, variant)

    # How a connection ends without a request

    def _ends(self) -> Iterator[Play]:
        rules = ("R-CLOSE-2", self.spec.ending.rule)
        finish = Step(SUBJECT, "finish")
        for configuration in self.paths.configurations:
            state, _, end = configuration.partition("+")
            calm = next(self.calm_lines(state), None)
            half = send(self.spec, SUBJECT, (calm or next(self.paths.lines(SUBJECT)))[:-1])
            variants: list[tuple[str, str, tuple[str, ...], list[Step]]] = [
                ("half-close", "ends its sending half", rules, [finish]),
                ("half-close-in-a-line", "ends its sending half in the middle of a line", rules, [half, finish]),
            ]
            if calm is not None:
                line = send(self.spec, SUBJECT, calm)
                title = "sends a line and ends its sending half"
                variants.append(("half-close-after-a-line", title, rules, [line, finish]))
            if self.spec.states[state].linked and end != "alone":  # else no push shows when it has taken effect
                variants.append(("reset", "resets the connection", rules[1:], [Step(SUBJECT, "reset")]))
            path = self.steps(self.paths.to_configuration(configuration))
            for name, title, shown, steps in variants:
                title = f"a client that is {configuration} {title}"
                yield self.cell(configuration, END, name, title, shown, path, steps, segments=("whole",))
        told = told_of_an_end(self.paths)
        if told is not None:
            state, title = self.paths.named or self.spec.initial, "others are told of the end of a connection"
            yield self.cell(
                state, END, "half-close-told", title, rules, self.steps(told), [finish], segments=("whole",)
            )
