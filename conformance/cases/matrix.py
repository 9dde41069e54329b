"""Cells: every state × every message × every variant, each reached by the shortest way that the model finds.

A variant is a row of the table, a fault, or a field at, under or over its limits. What is due comes from the model;
here it is only decided what to ask. Knows no socket.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from conformance.oracle.frames import write_form
from conformance.oracle.model import World
from conformance.oracle.paths import SUBJECT, Path, Sent, label_of, paths_of
from pychat.spec import Spec
from pychat.spec.model import Budget, Outcome, Request, Type

from .play import SEGMENTS, Play, Segment, Step, numbered, send

BOTH: tuple[Segment, ...] = ("whole", "coalesced")
END = "EOF"  # the message of cells about the end of a connection
ANY_LINE = "LINE"  # the message of cells about lines that are no request


@dataclass(frozen=True, slots=True)
class Variant:
    """Something to send: its name in an id, the octets, the rules that it shows."""

    name: str
    octets: bytes
    rules: tuple[str, ...]
    title: str
    segments: tuple[Segment, ...] = SEGMENTS
    exact: bool = False


class Matrix:
    """The cells of a spec."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.ending = spec.framing.writes
        self.paths = paths_of(spec)

    def plays(self) -> list[Play]:
        found = [*self._rows(), *self._wrong_states(), *self._lines(), *self._fields(), *self._order()]
        found += [*self._budgets(), *self._lengths(), *self._ends()]
        found = numbered(found)
        known = set(self.spec.rules)  # another spec may have other numbers for what every spec says
        return [replace(play, rules=tuple(r for r in play.rules if r in known) or self._fallback()) for play in found]

    def _fallback(self) -> tuple[str, ...]:
        return (self.spec.fault_rule("syntax").rule,)

    def _cell(self, way: Path, state: str, message: str, variant: Variant) -> Play:
        steps = [send(self.spec, who, octets) for who, octets in (*way, Sent(SUBJECT, variant.octets))]
        return Play(
            id=f"{state}/{message}/{variant.name}",
            title=variant.title,
            rules=variant.rules,
            steps=tuple(steps),
            setup=len(way),
            segments=variant.segments,
            exact=variant.exact,
            source="the matrix",
        )

    # Rows of the table: each in each end of its state where it can be reached

    def _rows(self) -> Iterator[Play]:
        for configuration in self.paths.configurations:
            state = self.spec.states[configuration.partition("+")[0]]
            for verb, rows in state.recv.items():
                for row in rows:
                    found = self.paths.to_row(configuration, row)
                    if found is None:
                        continue
                    way, line = found
                    tail = configuration.partition("+")[2]
                    label = label_of(row, rows)
                    name = f"{label}-when-{tail}" if tail else label
                    says = f"is refused with {row.error}" if row.error else f"is {row.label}"
                    title = f"{line.decode().strip()} in {configuration} {says}"
                    yield self._cell(way, state.name, verb, Variant(name, line, (row.rule,), title))

    def _wrong_states(self) -> Iterator[Play]:
        rule = self.spec.fault_rule("state")
        for configuration in self.paths.configurations:
            name, _, tail = configuration.partition("+")
            for verb, request in self.spec.requests.items():
                if verb in self.spec.states[name].recv:
                    continue
                variant = f"{rule.error}-when-{tail}" if tail else rule.error
                line = write_form(request.form, self.paths.values(request)).encode() + self.ending
                title = f"{verb} in {configuration} has no place"
                way = self.paths.to_configuration(configuration)
                yield self._cell(way, name, verb, Variant(variant, line, (rule.rule,), title))

    # Lines that are no request, in every state

    def _lines(self) -> Iterator[Play]:
        for configuration in self.paths.configurations:
            name, _, tail = configuration.partition("+")
            way = self.paths.to_configuration(configuration)
            for variant in self._faulty_lines():
                renamed = Variant(
                    f"{variant.name}-when-{tail}" if tail else variant.name,
                    variant.octets,
                    variant.rules,
                    variant.title,
                )
                yield self._cell(way, name, ANY_LINE, renamed)

    def _faulty_lines(self) -> Iterator[Variant]:
        encoding, verb, syntax = (self.spec.fault_rule(fault) for fault in ("encoding", "verb", "syntax"))
        any_verb = next(iter(self.spec.requests))
        for name, octets in BAD_UTF8.items():
            yield Variant(f"not-utf8-{name}", octets + self.ending, (encoding.rule,), f"not UTF-8: {name}")
        known = f"{any_verb} ".encode() + b"\xff" + self.ending
        yield Variant("not-utf8-after-a-verb", known, (encoding.rule,), "not UTF-8 after a verb that is known")
        for reply in sorted({reply.form.verb for reply in self.spec.replies.values()} - set(self.spec.requests)):
            line = reply.encode() + self.ending
            yield Variant(f"unknown-{reply.lower()}", line, (verb.rule,), f"{reply} is a word of the server's")
        for name, word in (
            ("verb", "XYZZY"),
            ("prefix", any_verb[:-1]),
            ("longer-verb", f"{any_verb}S"),
            ("http", "GET / HTTP/1.1"),
        ):
            if word.split(" ")[0] not in self.spec.requests:
                yield Variant(f"unknown-{name}", word.encode() + self.ending, (verb.rule,), f"{word} is no request")
        for name, text in (
            ("empty", ""), ("space", " "), ("lower-case", any_verb.lower()), ("mixed-case", any_verb.capitalize()),
            ("leading-space", f" {any_verb}"), ("digit", "1"), ("tab", f"{any_verb}\tx"), ("not-ascii", "ÄÖÜ"),
            ("nul", f"{any_verb}\0"), ("lone-cr", f"{any_verb}\r{any_verb}"), ("null", "\0"),
        ):  # fmt: skip
            yield Variant(
                f"no-verb-{name}",
                text.encode() + self.ending,
                (syntax.rule,),
                f"a line whose first word is no verb: {name}",
            )
        yield Variant("empty-crlf", b"\r\n", (syntax.rule, "R-FRAME-2"), "an empty line that is ended by CRLF")

    # Fields: at, under and over their limits, where the request succeeds

    def _fields(self) -> Iterator[Play]:
        for verb, request in self.spec.requests.items():
            configuration = self._home(verb)
            if configuration is None:
                continue
            way = self.paths.to_success(configuration, verb) or self.paths.to_configuration(configuration)
            for variant in self._field_variants(request, way):
                yield self._cell(way, configuration.partition("+")[0], verb, variant)

    def _home(self, verb: str) -> str | None:
        """The first configuration in which the request can succeed."""
        for configuration in self.paths.configurations:
            rows = self.spec.states[configuration.partition("+")[0]].recv.get(verb, ())
            if any(row.error is None and self.paths.to_row(configuration, row) for row in rows):
                return configuration
        return None

    def _field_variants(self, request: Request, way: Path) -> Iterator[Variant]:
        rule = self.spec.fault_rule("syntax").rule
        good = self.paths.values(request)
        plain = write_form(request.form, good)
        for name, text in self._shapes(request, plain):
            yield Variant(name, text.encode() + self.ending, (rule,), f"{name.replace('-', ' ')}: {request.form}")
        crlf = plain.encode() + b"\r\n"
        yield Variant("crlf", crlf, ("R-FRAME-2",), "the same request, ended by CRLF")
        for field in request.form.fields:
            type_ = self.spec.types[field.type]
            for name, value, accepted in values_of(type_):
                if field.type == self.spec.link.key and accepted and name.startswith("good"):
                    continue  # an ordinary name is every other cell
                text = write_form(request.form, {**good, field.name: value})
                if len(text.encode()) >= self.spec.framing.max_octets:
                    continue
                title = f"<{field.name}> {name.replace('-', ' ')}: {'taken' if accepted else 'refused'}"
                line = text.encode()
                rules = (self._rule_of_row(way, line) if accepted else rule,)
                yield Variant(f"{field.name}-{name}", line + self.ending, rules, title, exact=True)

    def _rule_of_row(self, way: Path, line: bytes) -> str:
        """The rule of the row that the subject's line takes at the end of the way."""
        world = World(self.spec)
        for step in way:
            world.feed(step.who, step.octets)
        row = world.row_for(SUBJECT, line)
        return row.rule if row is not None else self._fallback()[0]

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
        syntax, rule = self.spec.fault_rule("syntax"), "R-ERR-6"
        if rule not in self.spec.rules:
            return
        for configuration in self.paths.configurations:
            name, _, tail = configuration.partition("+")
            if tail:
                continue
            for verb, request in self.spec.requests.items():
                if verb in self.spec.states[name].recv or not request.form.fields:
                    continue
                title = f"{verb} without its field in {name}, where it has no place, is {syntax.error}"
                variant = Variant("syntax-before-state", verb.encode() + self.ending, (rule,), title)
                yield self._cell(self.paths.to_configuration(configuration), name, verb, variant)

    # How many faults are too many

    def _budgets(self) -> Iterator[Play]:
        for budget in self.spec.budgets:
            ends: dict[str, str] = {}  # of each state, the one to which the model comes first
            for configuration in self.paths.configurations:
                ends.setdefault(configuration.partition("+")[0], configuration)
            for name in [name for name in ends if name in budget.states]:
                way = self.paths.to_configuration(ends[name])
                for variant in self._budget_variants(name, budget, ends[name]):
                    yield self._cell(way, name, ANY_LINE, variant)
                yield from self._earlier_faults(way, name, budget)

    def _budget_variants(self, state: str, budget: Budget, configuration: str) -> Iterator[Variant]:
        most, goodbye = budget.faults, budget.goodbye
        faults = self._one_of_each_fault(state)
        some = [faults[number % len(faults)] for number in range(most)]
        good = next(self._calm_lines(state), None)
        rules, both = (budget.rule,), BOTH
        yield Variant(goodbye, b"".join(some), rules, f"{most} faults in {state} are too many", both)
        if most > 1:
            title = f"{most - 1} faults in {state} are not too many"
            yield Variant(f"not-yet-{goodbye}", b"".join(some[1:]), rules, title, both)
        if good is not None:
            broken = b"".join([*some[1:], good, *some[1:]])
            says = "begin a new row" if budget.in_a_row else "count on after a good line"
            yield Variant(f"{goodbye}-after-a-good-line", broken, rules, f"faults in {state} {says}", both)
        fault = self.spec.fault_rule("state")
        for line in self._uncounted_lines(state):
            word = line.split()[0].decode().lower()
            title = f"{fault.error} for {word.upper()} never counts in {state}"
            yield Variant(f"{word}-never-counts", line * (most + 1), ("R-ERR-9", budget.rule), title, both)
            if budget.in_a_row:
                title = f"{word.upper()} ends a row of faults in {state}"
                octets = b"".join([*some[1:], line, some[0]])
                yield Variant(f"{word}-ends-a-row", octets, ("R-ERR-9", budget.rule), title, both)
        for label, row, line in self._refused_lines(configuration):
            title = f"{row.error} for {row.verb} never counts in {state}"
            never = ("R-ERR-9", budget.rule)
            yield Variant(f"{row.verb.lower()}-{label}-never-counts", line * (most + 1), never, title, both)

    def _earlier_faults(self, way: Path, state: str, budget: Budget) -> Iterator[Play]:
        """The faults of the first state do not count in a state that has a budget of its own."""
        first = self.spec.budget(self.spec.initial)
        if first is None or first == budget or first.faults == 1 or budget.faults == 1:
            return
        before, faults = self._one_of_each_fault(self.spec.initial), self._one_of_each_fault(state)
        sends = [before[number % len(before)] for number in range(first.faults - 1)]
        octets = b"".join(faults[number % len(faults)] for number in range(budget.faults - 1))
        title = f"the faults of {self.spec.initial} do not count in {state}"
        variant = Variant(f"faults-of-before-{budget.goodbye}", octets, (budget.rule, first.rule), title, BOTH)
        yield self._cell((Sent(SUBJECT, b"".join(sends)), *way), state, ANY_LINE, variant)

    def _one_of_each_fault(self, state: str) -> list[bytes]:
        """A line with each fault that counts in this state."""
        absent = [r for v, r in self.spec.requests.items() if v not in self.spec.states[state].recv]
        uncounted = self.spec.fault_rule("state").uncounted
        lines = [b"\xff", b"XYZZY", b""]
        lines += [write_form(r.form, self.paths.values(r)).encode() for r in absent if r.verb not in uncounted][:1]
        return [line + self.ending for line in lines]

    def _calm_lines(self, state: str) -> Iterator[bytes]:
        """Requests that succeed in this state and change nothing."""
        for rows in self.spec.states[state].recv.values():
            if len(rows) == 1 and rows[0].error is None and rows[0].to is None and not rows[0].effects:
                form = self.spec.requests[rows[0].verb].form
                yield write_form(form, self.paths.values(self.spec.requests[rows[0].verb])).encode() + self.ending

    def _uncounted_lines(self, state: str) -> Iterator[bytes]:
        for verb in sorted(self.spec.fault_rule("state").uncounted):
            if verb not in self.spec.states[state].recv:
                request = self.spec.requests[verb]
                yield write_form(request.form, self.paths.values(request)).encode() + self.ending

    def _refused_lines(self, configuration: str) -> Iterator[tuple[str, Outcome, bytes]]:
        """Each refusal that can be had at the end of the shortest way into the configuration."""
        way = self.paths.to_configuration(configuration)
        for rows in self.spec.states[configuration.partition("+")[0]].recv.values():
            for row in rows:
                found = self.paths.to_row(configuration, row)
                if row.error is not None and found is not None and found[0] == way:
                    yield label_of(row, rows), row, found[1]

    # How long a line may be

    def _lengths(self) -> Iterator[Play]:
        most = self.spec.framing.max_octets
        code = self.spec.goodbye_when("too-long").code
        rules = tuple(rule for rule in ("R-FRAME-5", "R-FRAME-4", "R-CLOSE-3") if rule in self.spec.rules)
        variants = [
            Variant(code, b"x" * most, rules, f"{most} octets without an ending are too long"),
            Variant(f"{code}-with-ending", b"x" * most + b"\n", rules, f"{most + 1} octets with their LF are too long"),
            Variant(
                f"{code}-with-cr", b"x" * (most - 1) + b"\r\n", rules, f"{most + 1} octets with their CRLF are too long"
            ),
            Variant(f"{code}-by-far", b"x" * most * 4, rules, f"{4 * most} octets without an ending are too long"),
            Variant("longest-line", b"x" * (most - 1) + b"\n", rules, f"{most} octets with their LF are not too long"),
            Variant(
                "longest-line-crlf",
                b"x" * (most - 2) + b"\r\n",
                rules,
                f"{most} octets with their CRLF are not too long",
            ),
        ]
        for configuration in self.paths.configurations:
            name, _, tail = configuration.partition("+")
            for variant in variants:
                if variant.name != code and tail:
                    continue
                named = replace(variant, name=f"{variant.name}-when-{tail}" if tail else variant.name)
                yield self._cell(self.paths.to_configuration(configuration), name, ANY_LINE, named)

    # How a connection ends without a request

    def _ends(self) -> Iterator[Play]:
        rules = ("R-CLOSE-2", self.spec.ending.rule)
        for configuration in self.paths.configurations:
            name, _, tail = configuration.partition("+")
            way = self.paths.to_configuration(configuration)
            suffix = f"-when-{tail}" if tail else ""
            finish, calm = Step(SUBJECT, "finish"), next(self._calm_lines(name), None)
            half = send(self.spec, SUBJECT, (calm or next(self.paths.lines(SUBJECT)))[:-1])
            variants = [
                ("half-close", (finish,), "ends its sending half"),
                ("half-close-in-a-line", (half, finish), "ends its sending half in the middle of a line"),
            ]
            if calm is not None:
                line = send(self.spec, SUBJECT, calm)
                variants.append(("half-close-after-a-line", (line, finish), "sends a line and ends its sending half"))
            for variant, steps, title in variants:
                title = f"who is {configuration} {title}"
                yield self._steps(f"{name}/{END}/{variant}{suffix}", title, rules, way, steps)
            if self.spec.states[name].linked and tail != "alone":  # else nobody can see when it has taken effect
                title = f"who is {configuration} resets the connection"
                yield self._steps(f"{name}/{END}/reset{suffix}", title, rules[1:], way, (Step(SUBJECT, "reset"),))

    def _steps(self, id_: str, title: str, rules: tuple[str, ...], way: Path, steps: tuple[Step, ...]) -> Play:
        setup = [send(self.spec, who, octets) for who, octets in way]
        return Play(id_, title, rules, (*setup, *steps), setup=len(way), segments=("whole",), source="the matrix")


BAD_UTF8 = {
    "lone-continuation": b"\x80",
    "overlong-2": b"\xc0\xaf",
    "overlong-3": b"\xe0\x80\xaf",
    "overlong-4": b"\xf0\x80\x80\xaf",
    "surrogate": b"\xed\xa0\x80",
    "beyond-unicode": b"\xf4\x90\x80\x80",
    "cut-short": b"\xe2\x82",
    "latin-1": b"caf\xe9",
    "five-octets": b"\xf8\x88\x80\x80\x80",
}


def values_of(type_: Type) -> Iterator[tuple[str, str, bool]]:
    """Values at, under and over a type's limits: a name, the value, whether it is of the type."""
    found: dict[str, str] = {}
    low, high = type_.octets
    alphabet = [char for char in "abcXYZ019-_!~" if type_.accepts(char * low) or type_.accepts("a" + char * low)]
    for name, length in (("shortest", low), ("longest", high), ("too-long-by-one", high + 1)):
        found[name] = _of_length(type_, alphabet, length)
    if type_.rest_of_line:
        found |= _texts(type_)
    for kind, samples in (("good", type_.good), ("bad", type_.bad)):
        for sample in samples:
            slug = "-".join(re.findall("[a-z0-9]+", sample.lower()))
            key = f"{kind}-{slug}"
            found[key if slug and key not in found else f"{kind}-x{sample.encode().hex()}"] = sample
    seen: set[str] = set()
    for name, value in found.items():
        if value and "\n" not in value and value not in seen:
            seen.add(value)
            yield name, value, type_.accepts(value)


def _texts(type_: Type) -> dict[str, str]:
    """Values of a text: its length in octets and not in characters, each end of what is forbidden, and what is not."""
    found: dict[str, str] = {}
    high = type_.octets[1]
    for name, char in (("two-octet-chars", "é"), ("four-octet-chars", "🙂")):
        width = len(char.encode())
        found[f"longest-in-{name}"] = char * (high // width) + "x" * (high % width)
        found[f"too-long-in-{name}"] = char * (high // width) + "x" * (high % width + 1)
    for index, (first, last) in enumerate(type_.forbid):
        for point in filter(_is_character, sorted({first, last})):
            if chr(point) != "\n":
                found[f"forbidden-u{point:04x}"] = f"a{chr(point)}b"
        for point in filter(_is_character, (first - 1, last + 1)):
            if point > 0 and type_.accepts(f"a{chr(point)}b"):
                found[f"allowed-u{point:04x}"] = f"a{chr(point)}b"
        if _is_character(first):
            found[f"forbidden-first-{index}"] = f"{chr(first)}b"
            found[f"forbidden-last-{index}"] = f"a{chr(first)}"
    found["bidi-control"] = "a\u202eb"
    found["one-space"] = " "
    found["trailing-spaces"] = "a  "
    found["like-a-frame"] = "LEAVE now"
    return found


def _is_character(point: int) -> bool:
    """Whether a line can hold it: surrogates have no UTF-8 form (RFC 3629, 3)."""
    return 0 <= point <= 0x10FFFF and not 0xD800 <= point <= 0xDFFF


def _of_length(type_: Type, alphabet: list[str], length: int) -> str:
    char = alphabet[0] if alphabet else "x"
    for first in ("", *alphabet):
        value = (first + char * length)[:length]
        if type_.accepts(value):
            return value
    return char * length
