"""A reader of ABNF (RFC 5234, RFC 7405): parses a grammar, accepts octets, and makes octets up. Knows no spec.

It is the second opinion on the page's grammar: it has no part in writing it, and takes the text as it is published. A
grammar without recursion is a regular language, so accepting is a regular expression's work.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

_TOKEN = re.compile(
    r'(?P<string>%[si]"[\x20-\x21\x23-\x7e]*"|"[\x20-\x21\x23-\x7e]*")'
    r"|(?P<number>%x[0-9A-Fa-f]+(?:-[0-9A-Fa-f]+|(?:\.[0-9A-Fa-f]+)+)?)"
    r"|(?P<repeat>[0-9]*\*[0-9]*|[0-9]+)"
    r"|(?P<name>[A-Za-z][A-Za-z0-9-]*)"
    r"|(?P<mark>[()\[\]/])"
    r"|(?P<space>[ \t]+|;[^\n]*)"
)
_RULE = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9-]*)[ \t]*=(?P<more>/?)[ \t]*(?P<elements>.*)", re.DOTALL)
ENDLESS = 8  # how many of an unbounded repetition are made up at most


class NotABNF(ValueError):  # noqa: N818  # it says what the text is
    """The text is no grammar: the reason names the rule."""


@dataclass(frozen=True, slots=True)
class Octets:
    """One of several octets: ranges of them, or an exact sequence of such ranges."""

    sequence: tuple[tuple[tuple[int, int], ...], ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """A rule by its name in small letters: names of rules ignore case."""

    name: str


@dataclass(frozen=True, slots=True)
class Repeat:
    """An element from `least` to `most` times, None for any number."""

    element: Node
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Concatenation:
    """Elements one after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Alternation:
    """One of several."""

    parts: tuple[Node, ...]


Node: TypeAlias = Octets | Reference | Repeat | Concatenation | Alternation


class ABNF:
    """A grammar that was parsed and found whole: every rule defined once, every name known, no recursion."""

    def __init__(self, text: str) -> None:
        """Raises NotABNF."""
        self.rules: dict[str, Node] = {}
        for name, more, elements in _rules(text):
            if name in self.rules and not more:
                raise NotABNF(f"{name} is defined twice")
            node = _Parser(name, elements).alternation(whole=True)
            self.rules[name] = Alternation((self.rules[name], node)) if more else node
        for name in self.rules:
            self._check(name, ())

    def _check(self, name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise NotABNF(f"{name} is made of itself")
        if name not in self.rules:
            raise NotABNF(f"{above[-1]} uses {name}, which is not defined")
        for used in _references(self.rules[name]):
            self._check(used, (*above, name))

    def accepts(self, name: str, octets: bytes) -> bool:
        """Whether the octets are of the rule."""
        return re.fullmatch(self.pattern(name), octets, re.DOTALL) is not None

    def pattern(self, name: str) -> bytes:
        """The rule as a regular expression for octets."""
        return self._pattern(self.rules[name.lower()])

    def _pattern(self, node: Node) -> bytes:
        match node:
            case Octets():
                return b"".join(_class(ranges) for ranges in node.sequence)
            case Reference():
                return self._pattern(self.rules[node.name])
            case Repeat():
                most = b"" if node.most is None else b"%d" % node.most
                return b"(?:%b){%d,%b}" % (self._pattern(node.element), node.least, most)
            case Concatenation():
                return b"".join(self._pattern(part) for part in node.parts)
            case Alternation():
                return b"(?:" + b"|".join(self._pattern(part) for part in node.parts) + b")"

    def generate(self, name: str, random: Random) -> bytes:
        """Octets of the rule, made up."""
        return self._generate(self.rules[name.lower()], random)

    def _generate(self, node: Node, random: Random) -> bytes:
        match node:
            case Octets():
                return bytes(random.randint(*random.choice(ranges)) for ranges in node.sequence)
            case Reference():
                return self._generate(self.rules[node.name], random)
            case Repeat():
                most = node.least + ENDLESS if node.most is None else node.most
                few = min(most, node.least + ENDLESS)
                count = random.choice((node.least, random.randint(node.least, few), random.randint(node.least, most)))
                return b"".join(self._generate(node.element, random) for _ in range(count))
            case Concatenation():
                return b"".join(self._generate(part, random) for part in node.parts)
            case Alternation():
                return self._generate(random.choice(node.parts), random)


def _class(ranges: tuple[tuple[int, int], ...]) -> bytes:
    return b"[" + b"".join(b"\\x%02x-\\x%02x" % pair for pair in ranges) + b"]"


def _references(node: Node) -> Iterator[str]:
    match node:
        case Reference():
            yield node.name
        case Repeat():
            yield from _references(node.element)
        case Concatenation() | Alternation():
            for part in node.parts:
                yield from _references(part)


def _rules(text: str) -> Iterator[tuple[str, bool, str]]:
    """Each rule's name in small letters, whether it adds to an earlier one, and its elements."""
    lines: list[str] = []
    for line in text.split("\n"):
        if line.startswith((" ", "\t")) and lines:
            lines[-1] += "\n" + line
        elif line.strip() and not line.startswith(";"):
            lines.append(line)
    for line in lines:
        found = _RULE.fullmatch(line)
        if found is None:
            raise NotABNF(f"no rule: {line!r}")
        yield found["name"].lower(), bool(found["more"]), found["elements"]


class _Parser:
    """The elements of one rule, by recursive descent."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.tokens: list[tuple[str, str]] = []
        at = 0
        text = text.replace("\n", "\n ") + "\n"
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if found is None:
                if text[at] == "\n":
                    at += 1
                    continue
                raise NotABNF(f"{name}: cannot read {text[at : at + 20]!r}")
            if found.lastgroup != "space":
                self.tokens.append((str(found.lastgroup), found[0]))
            at = found.end()

    def alternation(self, *, whole: bool = False) -> Node:
        parts = [self._concatenation()]
        while self._take("/"):
            parts.append(self._concatenation())
        if whole and self.tokens:
            raise NotABNF(f"{self.name}: {self.tokens[0][1]!r} has no place there")
        return parts[0] if len(parts) == 1 else Alternation(tuple(parts))

    def _concatenation(self) -> Node:
        parts = [self._repetition()]
        while self.tokens and self.tokens[0][1] not in ("/", ")", "]"):
            parts.append(self._repetition())
        return parts[0] if len(parts) == 1 else Concatenation(tuple(parts))

    def _repetition(self) -> Node:
        kind, text = self._next()
        if kind != "repeat":
            return self._element(kind, text)
        low, star, high = text.partition("*")
        least = int(low or 0)
        most = (int(high) if high else None) if star else least
        return Repeat(self._element(*self._next()), least, most)

    def _element(self, kind: str, text: str) -> Node:
        if kind == "mark" and text in "([":
            inner = self.alternation()
            if not self._take({"(": ")", "[": "]"}[text]):
                raise NotABNF(f"{self.name}: a {text} is never closed")
            return inner if text == "(" else Repeat(inner, 0, 1)
        makers: dict[str, Callable[[str], Node]] = {
            "name": lambda word: Reference(word.lower()),
            "string": _string,
            "number": _number,
        }
        if kind not in makers:
            raise NotABNF(f"{self.name}: {text!r} has no place there")
        return makers[kind](text)

    def _next(self) -> tuple[str, str]:
        if not self.tokens:
            raise NotABNF(f"{self.name}: something is missing at its end")
        return self.tokens.pop(0)

    def _take(self, mark: str) -> bool:
        if self.tokens and self.tokens[0] == ("mark", mark):
            self.tokens.pop(0)
            return True
        return False


def _string(text: str) -> Octets:
    """A string ignores the case of letters, unless it begins with %s."""
    exact = text.startswith("%s")
    chars = text[text.index('"') + 1 : -1]
    both = [{char} if exact else {char.lower(), char.upper()} for char in chars]
    return Octets(tuple(tuple((ord(char), ord(char)) for char in sorted(pair)) for pair in both))


def _number(text: str) -> Octets:
    low, dash, high = text[2:].partition("-")
    if dash:
        return Octets((((int(low, 16), int(high, 16)),),))
    values = [int(part, 16) for part in low.split(".")]
    return Octets(tuple(((value, value),) for value in values))
