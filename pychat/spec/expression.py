"""Regular expressions as trees: characters, classes, groups, alternatives and repetitions; all else is refused.

These mean the same in Python, in PCRE2 and in ABNF. Does not know what a spec may hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

Ranges: TypeAlias = tuple[tuple[int, int], ...]  # the first and the last code point of each range

DEEPEST = 20  # groups in one another
_LAST = 0x10FFFF
_COUNT = re.compile(r"(?P<mark>[*+?])|\{(?P<least>[0-9]{1,4})(?P<comma>,(?P<most>[0-9]{0,4}))?\}")
_MARKS = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_HEXADECIMAL = re.compile(r"x([0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Characters:
    """One character of these ranges. `text` is the part of the expression that a node stands for, here and below."""

    text: str
    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Sequence:
    """Parts one after the other; without parts, nothing."""

    text: str
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Alternatives:
    """One of the parts."""

    text: str
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A part from `least` to `most` times, None for any number."""

    text: str
    part: Node
    least: int
    most: int | None


Node: TypeAlias = Characters | Sequence | Alternatives | Repeat


@lru_cache
def parse(pattern: str) -> Node:
    """The tree of an expression. Raises ValueError, with the reason, for what has other parts."""
    return _Parser(pattern).whole()


class _Parser:
    """Reads an expression from left to right. Each method takes what it is called for, or raises ValueError."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._alternatives()
        if self._at < len(self._text):
            raise ValueError("not a regular expression: a ) without its (")
        return node

    def _take(self, text: str) -> bool:
        found = self._text.startswith(text, self._at)
        self._at += len(text) if found else 0
        return found

    def _alternatives(self) -> Node:
        start = self._at
        parts = [self._sequence()]
        while self._take("|"):
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else Alternatives(self._text[start : self._at], tuple(parts))

    def _sequence(self) -> Node:
        start = self._at
        parts = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            parts.append(self._repeat())
        return parts[0] if len(parts) == 1 else Sequence(self._text[start : self._at], tuple(parts))

    def _repeat(self) -> Node:
        start = self._at
        part = self._atom()
        found = _COUNT.match(self._text, self._at)
        if found is None:
            return part
        self._at = found.end()
        if found["mark"]:
            least, most = _MARKS[found["mark"]]
        else:
            least = int(found["least"])
            most = least if not found["comma"] else int(found["most"]) if found["most"] else None
        if most is not None and not least <= most > 0:
            raise ValueError(f"not a regular expression: {found[0]} repeats nothing")
        return Repeat(self._text[start : self._at], part, least, most)

    def _atom(self) -> Node:
        start, char = self._at, self._text[self._at]
        if char == "(":
            return self._group()
        if char == "[":
            return self._class()
        if char in "*+?":
            raise ValueError(f"not a regular expression: {char} has nothing of its own to repeat")
        if char == "{":
            raise ValueError("not a regular expression: a count is like {2}, {1,32} or {1,}, with at most 4 digits")
        if char in "^$":
            raise ValueError(f"{char} has no place: the expression is that of a whole value; write \\{char} for itself")
        if char in "]}":
            raise ValueError(f"not a regular expression: a {char} without its beginning; write \\{char} for itself")
        if char == ".":
            self._at += 1
            return Characters(".", complement([(ord("\n"), ord("\n"))]))
        point = self._character()
        return Characters(self._text[start : self._at], ((point, point),))

    def _group(self) -> Node:
        begin = self._text[self._at : self._at + 3]
        if begin.startswith("(?") and begin != "(?:":
            raise ValueError(f"a group begins with ( or (?: and not with {begin}")
        self._depth += 1
        if self._depth > DEEPEST:
            raise ValueError(f"groups are nested too deeply: more than {DEEPEST}")
        self._at += len(begin) if begin == "(?:" else 1
        node = self._alternatives()
        if not self._take(")"):
            raise ValueError("not a regular expression: a ( without its )")
        self._depth -= 1
        return node

    def _class(self) -> Node:
        start = self._at
        self._at += 1
        negated = self._take("^")
        first = self._at
        found: list[tuple[int, int]] = []
        while not self._take("]"):
            if self._text.startswith("-", self._at) and self._at > first and not self._text.startswith("-]", self._at):
                raise ValueError(f"{self._text[start : self._at + 1]}: a - that is no range is written \\-")
            low = high = self._member(start)
            if self._text.startswith("-", self._at) and not self._text.startswith("-]", self._at):
                self._at += 1
                high = self._member(start)
            if high < low:
                raise ValueError(f"not a regular expression: a range in {self._text[start : self._at]}] runs backwards")
            found.append((low, high))
        text = self._text[start : self._at]
        for pair in ("--", "&&", "||", "~~"):  # later versions of Python may take them for operations on sets
            if pair in text:
                raise ValueError(f"{text}: programs differ about {pair} in a class; write \\{pair[0]}")
        ranges = complement(found) if negated and found else tuple(found)
        if not ranges:
            raise ValueError(f"not a regular expression: {text} is a class without characters")
        return Characters(text, ranges)

    def _member(self, start: int) -> int:
        if self._at >= len(self._text):
            raise ValueError("not a regular expression: a [ without its ]")
        if self._text[self._at] == "[":
            raise ValueError(f"{self._text[start : self._at + 1]}: programs differ about a [ in a class; write \\[")
        return self._character()

    def _character(self) -> int:
        """The code point of a character, or of what stands for one after a backslash."""
        char = self._text[self._at]
        self._at += 1
        if char != "\\":
            return ord(char)
        char = self._text[self._at : self._at + 1]
        found = _HEXADECIMAL.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
            return int(found[1], 16)
        if not char.isascii() or (char.isalnum() and char != "t") or not char:
            raise ValueError(f"\\{char} is not the same for all programs; write the characters, \\t or \\x7f")
        self._at += 1
        return ord("\t" if char == "t" else char)


def complement(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The characters that are not in `ranges`; surrogates are none."""
    found = []
    start = 0
    for low, high in sorted([*ranges, (0xD800, 0xDFFF)]):
        if low > start:
            found.append((start, low - 1))
        start = max(start, high + 1)
    return (*found, (start, _LAST)) if start <= _LAST else tuple(found)
