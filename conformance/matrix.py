"""Cells: every state × every message × every variant, each reached by the shortest way that the model finds.

A variant is a row of the table, a fault, or a field at, under or over its limits. What is due comes from the model;
here it is only decided what to ask. Knows no socket.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pychat.spec import Spec
from pychat.spec.model import Field, Request, Type

from .frames import write_form
from .model import World
from .play import Play, Segment, Step, send
from .probe import configurations

CAST = ("a", "b", "c")
SUBJECT = CAST[0]
ANY_LINE = "LINE"  # the message of cells about lines that are no request


@dataclass(frozen=True, slots=True)
class Variant:
    """Something to send: its name in an id, the octets, the rules that it shows."""

    name: str
    octets: bytes
    rules: tuple[str, ...]
    title: str
    segments: tuple[Segment, ...] = ("whole", "octet", "coalesced")
    exact: bool = False


class Matrix:
    """The cells of a spec."""

    def __init__(self, spec: Spec, profiles: str = "core") -> None:
        self.spec = spec
        self.profiles = profiles
        self.ending = spec.framing.writes
        self.ways = Ways(spec)

    def plays(self) -> list[Play]:
        found = [*self._rows(), *self._wrong_states(), *self._lines(), *self._fields(), *self._order()]
        unique = {play.id: play for play in found}
        assert len(unique) == len(found), sorted(play.id for play in found if found.count(play) > 1)
        return found

    def _cell(self, way: tuple[Step, ...], state: str, message: str, variant: Variant) -> Play:
        steps = [*way, send(self.spec, SUBJECT, variant.octets)]
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
        for configuration in configurations(self.spec):
            state = self.spec.states[configuration.partition("+")[0]]
            for verb, rows in state.recv.items():
                for row in rows:
                    found = self.ways.to_row(configuration, row.name)
                    if found is None:
                        continue
                    way, line = found
                    tail = configuration.partition("+")[2]
                    name = f"{row.label}-when-{tail}" if tail else row.label
                    says = f"is refused with {row.error}" if row.error else f"is {row.label}"
                    title = f"{line.decode().strip()} in {configuration} {says}"
                    yield self._cell(way, state.name, verb, Variant(name, line, (row.rule,), title))

    def _wrong_states(self) -> Iterator[Play]:
        rule = self.spec.fault_rule("state")
        for configuration in configurations(self.spec):
            name, _, tail = configuration.partition("+")
            for verb, request in self.spec.requests.items():
                if verb in self.spec.states[name].recv:
                    continue
                variant = f"{rule.error}-when-{tail}" if tail else rule.error
                line = write_form(request.form, self.ways.values(request)).encode() + self.ending
                title = f"{verb} in {configuration} has no place"
                way = self.ways.to_configuration(configuration)
                yield self._cell(way, name, verb, Variant(variant, line, (rule.rule,), title))

    # Lines that are no request, in every state

    def _lines(self) -> Iterator[Play]:
        for configuration in configurations(self.spec):
            name, _, tail = configuration.partition("+")
            way = self.ways.to_configuration(configuration)
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
            way = self.ways.to_success(configuration, verb) or self.ways.to_configuration(configuration)
            for variant in self._field_variants(request, way):
                yield self._cell(way, configuration.partition("+")[0], verb, variant)

    def _home(self, verb: str) -> str | None:
        """The first configuration in which the request can succeed."""
        for configuration in configurations(self.spec):
            rows = self.spec.states[configuration.partition("+")[0]].recv.get(verb, ())
            if any(row.error is None and self.ways.to_row(configuration, row.name) for row in rows):
                return configuration
        return None

    def _field_variants(self, request: Request, way: tuple[Step, ...]) -> Iterator[Variant]:
        rule = self.spec.fault_rule("syntax").rule
        good = self.ways.values(request)
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

    def _rule_of_row(self, way: tuple[Step, ...], line: bytes) -> str:
        """The rule of the row that the subject's line takes at the end of the way."""
        world = World(self.spec)
        for step in way:
            world.feed(step.who, step.octets)
        name = world.row_for(SUBJECT, line)
        return next(row.rule for _, row in self.spec.outcomes() if row.name == name)

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
        for configuration in configurations(self.spec):
            name, _, tail = configuration.partition("+")
            if tail:
                continue
            for verb, request in self.spec.requests.items():
                if verb in self.spec.states[name].recv or not request.form.fields:
                    continue
                title = f"{verb} without its field in {name}, where it has no place, is {syntax.error}"
                variant = Variant("syntax-before-state", verb.encode() + self.ending, (rule,), title)
                yield self._cell(self.ways.to_configuration(configuration), name, verb, variant)


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
        for name, char in (("two-octet-chars", "é"), ("four-octet-chars", "🙂")):
            width = len(char.encode())
            found[f"longest-in-{name}"] = char * (high // width) + "x" * (high % width)
            found[f"too-long-in-{name}"] = char * (high // width) + "x" * (high % width + 1)
        for index, (first, last) in enumerate(type_.forbid):
            for point in sorted({first, last}):
                if chr(point) != "\n":
                    found[f"forbidden-u{point:04x}"] = f"a{chr(point)}b"
            for point in (first - 1, last + 1):
                if point > 0 and type_.accepts(f"a{chr(point)}b"):
                    found[f"allowed-u{point:04x}"] = f"a{chr(point)}b"
            found[f"forbidden-first-{index}"] = f"{chr(first)}b"
            found[f"forbidden-last-{index}"] = f"a{chr(first)}"
        found["bidi-control"] = "a\u202eb"
        found["one-space"] = " "
        found["trailing-spaces"] = "a  "
        found["like-a-frame"] = "LEAVE now"
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


def _of_length(type_: Type, alphabet: list[str], length: int) -> str:
    char = alphabet[0] if alphabet else "x"
    for first in ("", *alphabet):
        value = (first + char * length)[:length]
        if type_.accepts(value):
            return value
    return char * length


class Ways:
    """The shortest ways through the model: breadth first over the worlds of a few connections."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        names = [name for name in spec.types[spec.link.key].good if len(name) > 1] or list(
            spec.types[spec.link.key].good
        )
        self.names = dict(zip(CAST, names, strict=False))
        self._worlds = self._explore()
        self._rows = self._find_rows()

    def values(self, request: Request, name: str | None = None) -> dict[str, str]:
        """Ordinary values of its fields; `name` where a field names a user."""
        return {field.name: self._value(field, name) for field in request.form.fields}

    def _value(self, field: Field, name: str | None) -> str:
        if field.type == self.spec.link.key:
            return name or self.names[SUBJECT]
        return self.spec.types[field.type].good[0]

    def lines(self, who: str) -> Iterator[bytes]:
        """What `who` may send: each request, its users one of the cast or nobody, words as the conditions name them."""
        users = [self.names[who], *(name for id_, name in self.names.items() if id_ != who), self._nobody()]
        for request in self.spec.requests.values():
            for values in self._choices(request, users):
                yield write_form(request.form, values).encode() + self.spec.framing.writes

    def _choices(self, request: Request, users: list[str]) -> Iterator[dict[str, str]]:
        plain = self.values(request)
        keys = [field.name for field in request.form.fields if field.type == self.spec.link.key]
        if keys:
            for user in users:
                yield {**plain, keys[0]: user}
            return
        yield plain
        for field in request.form.fields:
            for sample in self.spec.types[field.type].good[1:]:
                if not self.spec.types[field.type].rest_of_line:
                    yield {**plain, field.name: sample}

    def _nobody(self) -> str:
        return next(name + "x" for name in self.names.values() if name + "x" not in self.names.values())

    def _explore(self) -> list[tuple[World, tuple[Step, ...]]]:
        start = World(self.spec)
        for who in CAST:
            start.open(who)
        found: list[tuple[World, tuple[Step, ...]]] = [(start, ())]
        seen = {start.key()}
        for world, way in found:  # grows while it is walked
            if len(way) >= DEPTH:
                continue
            for who in CAST:
                for line in self.lines(who):
                    other = world.copy()
                    other.feed(who, line)
                    if other.key() not in seen and all(peer.state != self.spec.final for peer in other.peers.values()):
                        seen.add(other.key())
                        found.append((other, (*way, send(self.spec, who, line))))
        return found

    def _find_rows(self) -> dict[tuple[str, str], tuple[tuple[Step, ...], bytes]]:
        """The first way in which the subject takes each row, by configuration and row."""
        found: dict[tuple[str, str], tuple[tuple[Step, ...], bytes]] = {}
        lines = list(self.lines(SUBJECT))
        for world, way in self._worlds:
            configuration = world.peers[SUBJECT].configuration(self.spec)
            for line in lines:
                key = configuration, world.row_for(SUBJECT, line[: -len(self.spec.framing.writes)])
                found.setdefault(key, (way, line))
        return found

    def to_row(self, configuration: str, row: str) -> tuple[tuple[Step, ...], bytes] | None:
        return self._rows.get((configuration, row))

    def to_configuration(self, configuration: str) -> tuple[Step, ...]:
        return self._first(lambda world: world.peers[SUBJECT].configuration(self.spec) == configuration)

    def to_success(self, configuration: str, verb: str) -> tuple[Step, ...] | None:
        """The way to where this request succeeds when it names the subject's ordinary values."""
        request = self.spec.requests[verb]
        line = write_form(request.form, self.values(request)).encode()
        for world, way in self._worlds:
            if world.peers[SUBJECT].configuration(self.spec) == configuration:
                row = world.row_for(SUBJECT, line)
                if any(r.name == row and r.error is None for _, r in self.spec.outcomes()):
                    return way
        return None

    def _first(self, goal: Callable[[World], bool]) -> tuple[Step, ...]:
        return next(way for world, way in self._worlds if goal(world))


DEPTH = 6  # requests; every row of the table is nearer
