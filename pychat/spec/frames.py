"""Builds the types and frames of a spec from its file's data. Knows no state.

The schema has checked the shape of the data; names and meanings are checked here. Each part notes its faults in the
document and goes on, so that one run shows all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, TypeAlias

from . import pattern
from .documents import Rule
from .forms import NO_FORM, Field, Form, Framing, Push, Request, Template, Type, Variable
from .reading import Document, Path

ENDINGS = {"LF": b"\n", "CRLF": b"\r\n"}
Values: TypeAlias = Mapping[str, str | tuple[str, ...]]
"""The variables of a template: the name of the type that a value has, or samples of what it may be."""

VARIABLES = ("me", "peer", "count", "profiles")  # the values of a template that are no field of the request


def sample_numbers(digits: int) -> tuple[str, ...]:
    """The shortest and the longest number of each length up to so many digits: samples of all of them."""
    return tuple(str(number) for size in range(digits) for number in (10**size, 10 ** (size + 1) - 1))


class FrameBuilder:
    """Builds types, forms and templates. Each attribute is filled before the parts that need it are built."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.data: dict[str, Any] = document.data if isinstance(document.data, dict) else {}
        self.profiles: dict[str, str] = {}
        self.rules: dict[str, Rule] = {}
        self.framing: Framing
        self.types: dict[str, Type] = {}
        self.requests: dict[str, Request] = {}
        self.pushes: dict[str, Push] = {}

    # What every part needs

    def _blame(self, path: Path, reason: str, *, key: bool = False) -> None:
        self.document.blame(path, reason, key=key)

    def _known(self, path: Path, name: str, names: Iterable[str], what: str, *, key: bool = False) -> None:
        if name not in set(names):
            self._blame(path, f"there is no {what} {name}", key=key)

    def _profile(self, path: Path, value: Mapping[str, Any], other: str = "core") -> str:
        profile: str = value.get("profile", other)
        self._known((*path, "profile"), profile, self.profiles, "profile")
        return profile

    def _rule_of(self, path: Path, value: Mapping[str, Any]) -> str:
        rule: str = value["rule"]
        self._known((*path, "rule"), rule, self.rules, "rule")
        return rule

    def _states(self, path: Path, names: list[str]) -> frozenset[str]:
        for index, name in enumerate(names):
            self._known((*path, index), name, self.data["states"], "state")
        return frozenset(names)

    def _rule(self, path: Path, name: str, value: dict[str, Any]) -> Rule:
        if value["level"] not in value["text"]:
            self._blame((*path, "text"), f"the text of a {value['level']} rule must say {value['level']}")
        return Rule(name, value["of"], value["level"], value["text"], self._profile(path, value))

    def _framing(self, value: dict[str, Any]) -> Framing:
        self._is_pattern(("framing", "verb"), value["verb"])
        for ending, why in {"LF": "a line ends there", value["writes"]: "it is written"}.items():
            if ending not in value["accepts"]:
                self._blame(("framing", "accepts"), f"{ending} must be accepted: {why}")
        accepts = tuple(ENDINGS[ending] for ending in value["accepts"])
        rules = value.get("rules", {})
        for name, rule in rules.items():
            self._known(("framing", "rules", name), rule, self.rules, "rule")
        any_case = value.get("case") == "any"
        return Framing(ENDINGS[value["writes"]], accepts, value["max_octets"], value["verb"], rules, any_case)

    # Types

    def _is_pattern(self, path: Path, expression: str) -> bool:
        try:
            pattern.check(expression)
        except ValueError as error:
            self._blame(path, str(error))
            return False
        return True

    def _type(self, path: Path, name: str, value: dict[str, Any]) -> Type:
        shapes = [key for key in ("match", "one_of", "forbid") if key in value]
        if len(shapes) > 1:
            self._blame((*path, shapes[1]), f"{shapes[0]} and {shapes[1]} exclude each other", key=True)
        match = value.get("match")
        if match is not None and not self._is_pattern((*path, "match"), match):
            return Type(name, value["doc"], (1, 1))
        result = Type(
            name=name,
            doc=value["doc"],
            octets=self._octets(path, value, match),
            match=match,
            one_of=tuple(value.get("one_of", ())),
            forbid=tuple(self._code_points((*path, "forbid", i), v) for i, v in enumerate(value.get("forbid", ()))),
            rest_of_line=value.get("rest_of_line", False),
            fold_case=value.get("fold") == "case",
            good=tuple(value.get("good", value.get("one_of", ()))),
            bad=tuple(value.get("bad", ())),
            holds=tuple(value.get("holds", {}).items()),
            profile=self._profile(path, value),
        )
        self._check_type(path, value, result)
        self._check_characters((*path, *shapes[:1]), result)
        return result

    def _check_type(self, path: Path, value: dict[str, Any], result: Type) -> None:
        for index, text in enumerate(value.get("good", ())):
            if not result.accepts(text):
                self._blame((*path, "good", index), f"{text!r} is not of the type {result.name}")
        for index, text in enumerate(value.get("bad", ())):
            if result.accepts(text):
                self._blame((*path, "bad", index), f"{text!r} is of the type {result.name}")
        for before, after in pairwise(sorted(result.forbid)):
            if after[0] <= before[1]:
                self._blame((*path, "forbid"), f"U+{after[0]:04X} is forbidden twice")
        self._check_holds((*path, "holds"), result)
        if not result.good:
            self._blame(path, f"{result.name} has no good value; the tools send one", key=True)

    def _check_holds(self, path: Path, result: Type) -> None:
        """Each word but one says when it is said of a user in a list."""
        relations = self.data.get("relations", {})
        for word, when in result.holds:
            if word not in result.one_of:
                self._blame((*path, word), f"{word} is no word of {result.name}", key=True)
            if when != "linked" and "user" not in relations.get(when, {}).get("of", {}).values():
                self._blame((*path, word), f"{when} is neither `linked` nor a relation of users")
        if result.holds and len(result.one_of) != len(result.holds) + 1:
            self._blame(path, f"one word of {result.name} is said of all other users, so it holds nothing", key=True)

    def _check_characters(self, path: Path, result: Type) -> None:
        """No value may hold a character that ends a field or a frame."""
        if not result.rest_of_line and pattern.can_hold(result.pattern, " "):
            self._blame(path, "only the rest of a line may hold a space")
        for character, ending in {"\n": "LF", "\r": "CRLF"}.items():
            if ENDINGS[ending] in self.framing.accepts and pattern.can_hold(result.pattern, character):
                self._blame(path, f"a value may hold U+{ord(character):04X}, which belongs to the ending {ending}")

    def _octets(self, path: Path, value: dict[str, Any], match: str | None) -> tuple[int, int]:
        if "octets" in value:
            low, high = (int(number) for number in value["octets"].split(".."))
            if not 0 < low <= high:
                self._blame((*path, "octets"), "the least must be at least 1, and at most the most")
            return low, high
        if "one_of" in value:
            lengths = [len(word) for word in value["one_of"]]
            return min(lengths), max(lengths)
        if match is None:
            self._blame(path, "a type without match or one_of needs octets")
            return 1, 1
        low, high = pattern.width(match)
        if low < 1 or high > self.framing.max_octets:
            self._blame((*path, "match"), "the expression sets no bounds to the length; bound it, or add octets")
        return low, high

    def _code_points(self, path: Path, text: str) -> tuple[int, int]:
        points = [int(point.removeprefix("U+"), 16) for point in text.split("..")]
        if points[-1] < points[0] or points[-1] > 0x10FFFF:
            self._blame(path, f"{text} is no range of characters")
            return 0, 0
        return points[0], points[-1]

    # Frames

    def _form(self, path: Path, wire: str) -> Form:
        parts: list[str | Field] = []
        words = wire.split(" ")
        for index, word in enumerate(words):
            matched = re.fullmatch(r"<([a-z]+):([a-z]+)>", word)
            if matched is None:
                if not re.fullmatch(r"[!-;=?-~]+", word):
                    self._blame(path, f"{word!r} is neither a word nor a field like <name:type>")
                parts.append(word)
                continue
            parts.append(Field(matched[1], matched[2]))
            if matched[2] not in self.types:
                self._blame(path, f"there is no type {matched[2]}")
            elif self.types[matched[2]].rest_of_line and index != len(words) - 1:
                self._blame(path, f"<{matched[1]}> is the rest of the line, so it must be the last field")
        if isinstance(parts[0], Field) or not re.fullmatch(self.framing.verb, parts[0]):
            self._blame(path, f"a frame begins with a verb of the form {self.framing.verb}")
            return Form(("?",))
        form = Form(tuple(parts))
        names = [field.name for field in form.fields]
        if len(set(names)) < len(names):
            self._blame(path, "two fields have the same name")
        longest = sum(len(p) if isinstance(p, str) else self._longest(p) for p in parts) + len(parts) - 1
        if longest + len(self.framing.writes) > self.framing.max_octets:
            self._blame(path, f"the longest such frame has more than {self.framing.max_octets} octets")
        return form

    def _longest(self, field: Field) -> int:
        return self.types[field.type].octets[1] if field.type in self.types else 0

    def _frame_of(self, name: str, known: tuple[str, ...], needed: tuple[str, ...]) -> Form:
        """The form of a refusal or a goodbye; its fields are named by what they hold."""
        if name not in self.data:
            return NO_FORM
        form = self._form((name, "wire"), self.data[name]["wire"])
        self._expect_fields((name, "wire"), form, known, needed)
        return form

    def _expect_fields(self, path: Path, form: Form, known: tuple[str, ...], needed: tuple[str, ...]) -> None:
        names = [field.name for field in form.fields]
        for field in names:
            if field not in known:
                self._blame(path, f"<{field}> has no meaning here; there are {', '.join(known)}")
        for field in needed:
            if field not in names:
                self._blame(
                    path, f"it needs the field <{field}:…>; fields are known by their names, not by their places"
                )

    def _request(self, path: Path, verb: str, value: dict[str, Any]) -> Request:
        form = self._form((*path, "wire"), value["wire"])
        if form.verb != verb:
            self._blame((*path, "wire"), f"the wire form of {verb} must begin with it")
        if self.framing.any_case and verb != verb.upper():
            self._blame(path, f"a verb of any case is known by its capitals, {verb.upper()}: write it so", key=True)
        for name in [field.name for field in form.fields if field.name in VARIABLES]:
            self._blame((*path, "wire"), f"<{name}> means something else in answers and pushes; it needs another name")
        answer = self._form((*path, "answer"), value["answer"]) if "answer" in value else None
        item = self._form((*path, "item"), value["item"]) if "item" in value else None
        return Request(verb, value["doc"], form, answer, item, self._profile(path, value))

    def _push(self, path: Path, value: dict[str, Any]) -> Push:
        verb = str(path[-1])
        form = self._form((*path, "wire"), value["wire"])
        if form.verb != verb:
            self._blame((*path, "wire"), f"the wire form of {verb} must begin with it")
        reply = None
        if "reply" in value:
            forms = [request.form for request in self.requests.values()]
            reply = self._template((*path, "reply"), value["reply"], forms, types_of(form))
        return Push(verb, value["doc"], form, reply, self._profile(path, value))

    def _template(self, path: Path, text: str, forms: Iterable[Form], values: Values) -> Template:
        parts: list[str | Variable] = []
        for word in text.split(" "):
            if word.startswith("<") and word.endswith(">"):
                parts.append(Variable(word[1:-1]))
                if word[1:-1] not in values:
                    self._blame(path, f"{word} has no value here; there are {', '.join(sorted(values)) or 'none'}")
            else:
                parts.append(word)
        for form in forms:
            if self._fits(parts, form):
                self._check_values(path, parts, form, values)
                return Template(tuple(parts), form)
        shape = next((form for form in forms if form.parts == (*parts, *form.fields) and form.fields), None)
        if shape is not None:
            self._blame(path, f"{text} is written with its fields: {shape}")
            return Template(tuple(parts), Form(("?",)))
        expected = " or ".join(str(form) for form in forms) or "no frame at all"
        self._blame(path, f"does not fit {expected}")
        return Template(tuple(parts), Form(("?",)))

    def _check_values(self, path: Path, parts: list[str | Variable], form: Form, values: Values) -> None:
        """Each field is filled by a value of its own type, or by one of several words that are all of its type."""
        for part, shape in zip(parts, form.parts, strict=True):
            if isinstance(part, str) or isinstance(shape, str) or part.name not in values:
                continue
            source, target = values[part.name], self.types[shape.type]
            if source == target.name:
                continue
            words = source if isinstance(source, tuple) else self.types[source].one_of
            wrong = [word for word in words if not target.accepts(word)]
            if not words:
                self._blame(path, f"<{part.name}> is of the type {source}, where {form} wants {target.name}")
            elif wrong:
                self._blame(path, f"<{part.name}> may be {wrong[0]!r}, which is not of the type {target.name}")
            elif target.name == self.data["names"]:
                self._blame(path, f"<{part.name}> is no user, where {form} names one")

    def _fits(self, parts: list[str | Variable], form: Form) -> bool:
        if len(parts) != len(form.parts):
            return False
        for part, shape in zip(parts, form.parts, strict=True):
            if isinstance(shape, str):
                if part != shape:
                    return False
            elif isinstance(part, str) and not self.types[shape.type].accepts(part):
                return False
        return True


def types_of(form: Form) -> dict[str, str]:
    """The fields of a form as values: each has its type."""
    return {field.name: field.type for field in form.fields}
