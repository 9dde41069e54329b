"""The grammar of a spec's frames in ABNF (RFC 5234, RFC 7405), from its types and forms. Knows no verb and no state.

Its terminals are octets. What ABNF cannot say, the number of octets of a text, stands in a comment. Regular
expressions are translated from what Python's own parser makes of them, so both are the same language.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from pychat.spec import Spec
from pychat.spec.model import Form, Type

from .names import Names, slug

Ranges = list[tuple[int, int]]

CORE = {
    "ALPHA": "%x41-5A / %x61-7A",
    "CR": "%x0D",
    "DIGIT": "%x30-39",
    "HTAB": "%x09",
    "LF": "%x0A",
    "SP": "%x20",
    "VCHAR": "%x21-7E",
}  # of RFC 5234, appendix B.1
_NAMED_RANGES = {(0x21, 0x7E): "VCHAR", (0x30, 0x39): "DIGIT", (0x20, 0x20): "SP", (0x09, 0x09): "HTAB"}
_MAX = 0x10FFFF


class Untranslatable(ValueError):  # noqa: N818  # it says what the expression is
    """A regular expression has a part that ABNF, or this translation of it, cannot say."""


@dataclass(frozen=True, slots=True)
class GrammarRule:
    """`name = elements ; comment`; `about` is the anchor of what the rule describes."""

    name: str
    elements: str
    about: str = ""
    comment: str = ""

    def __str__(self) -> str:
        return f"{self.name} = {self.elements}" + (f" ; {self.comment}" if self.comment else "")


def grammar(spec: Spec) -> list[GrammarRule]:
    """Every rule, the frames first, the core rules that they use last."""
    return list(_Writer(spec).rules())


def type_rule(name: str) -> str:
    """The name of a type's rule; a core rule's name is taken, in whatever case."""
    return f"{name}-value" if name.upper() in CORE else name


class _Writer:
    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.names = Names(spec)
        self.extra: dict[str, GrammarRule] = {}

    def rules(self) -> Iterator[GrammarRule]:
        rules = [*self._frames(), *self._types()]
        rules += self.extra.values()
        yield from rules
        words = {
            word for rule in rules for word in re.findall(r"[A-Z]+", re.sub(r'%s"[^"]*"|"[^"]*"', "", rule.elements))
        }
        for name, elements in CORE.items():
            if name in words:
                yield GrammarRule(name, elements, "", "RFC 5234, B.1")

    def _frames(self) -> Iterator[GrammarRule]:
        spec = self.spec
        requests = {f"c-{slug(verb)}": request for verb, request in spec.requests.items()}
        replies = {f"s-{slug(key)}": reply for key, reply in spec.replies.items()}
        yield GrammarRule("client-frame", f"{_group(requests)} eol", "framing", "what a server must understand")
        yield GrammarRule("server-frame", f"{_group(replies)} {_octets(spec.framing.writes)}", "framing")
        yield GrammarRule("eol", " / ".join(_octets(ending) for ending in spec.framing.accepts), "framing")
        for name, request in requests.items():
            yield GrammarRule(name, self._form(request.form), self.names.request(request.verb))
        for name, reply in replies.items():
            yield GrammarRule(name, self._form(reply.form), self.names.reply(reply))

    def _form(self, form: Form) -> str:
        return " SP ".join(_literal(part) if isinstance(part, str) else type_rule(part.type) for part in form.parts)

    def _types(self) -> Iterator[GrammarRule]:
        used = {field.type for request in self.spec.requests.values() for field in request.form.fields}
        used |= {field.type for reply in self.spec.replies.values() for field in reply.form.fields}
        for kind in self.spec.types.values():
            if kind.name in used:
                yield self._type(kind)

    def _type(self, kind: Type) -> GrammarRule:
        low, high = kind.octets
        anchor = self.names.type(kind.name)
        comment = f"{low} to {high} octets in all"
        if kind.match is not None:
            translated = translate(kind.match)
            bounded = _parser.parse(kind.match).getwidth() == (low, high)
            return GrammarRule(type_rule(kind.name), translated, anchor, "" if bounded else comment)
        if kind.one_of:
            return GrammarRule(type_rule(kind.name), " / ".join(_literal(word) for word in kind.one_of), anchor)
        character = f"{kind.name}-char"
        self.extra[character] = GrammarRule(character, characters(_complement([*kind.forbid, (0x0A, 0x0A)])), anchor)
        return GrammarRule(type_rule(kind.name), f"{low}*{high}{character}", anchor, comment)


def _group(names: Iterable[str]) -> str:
    found = list(names)
    return found[0] if len(found) == 1 else f"( {' / '.join(found)} )"


def _octets(octets: bytes) -> str:
    return " ".join({13: "CR", 10: "LF"}.get(octet, f"%x{octet:02X}") for octet in octets)


def _literal(word: str) -> str:
    """A word exactly as written: strings of ABNF ignore the case of letters, unless RFC 7405's %s says otherwise."""
    if not all(0x20 <= ord(char) <= 0x7E and char != '"' for char in word):
        return "%x" + ".".join(f"{octet:02X}" for octet in word.encode())
    return f'%s"{word}"' if any(char.isalpha() for char in word) else f'"{word}"'


# Regular expressions


def translate(pattern: str) -> str:
    """A regular expression for `str` in ABNF.

    Raises:
        Untranslatable: it has a look-around, a back-reference, an anchor or a flag.
    """
    return _sequence(list(_parser.parse(pattern)), top=True)


def _sequence(items: list[tuple[Any, Any]], *, top: bool = False) -> str:
    if top and len(items) == 1 and items[0][0] is op.BRANCH:
        return " / ".join(_sequence(list(branch)) for branch in items[0][1][1])
    words: list[str] = []
    literal = ""
    for code, value in items:
        if code is op.LITERAL:
            literal += chr(value)
            continue
        if literal:
            words.append(_literal(literal))
            literal = ""
        words.append(_item(code, value, alone=top and len(items) == 1))
    if literal:
        words.append(_literal(literal))
    return " ".join(words)


def _item(code: Any, value: Any, *, alone: bool = False) -> str:
    if code in (op.IN, op.NOT_LITERAL, op.ANY):
        found = characters(_ranges(code, value))
        return found if alone or " / " not in found else f"( {found} )"
    if code in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        low, high, inner = value
        return _times(low, None if high is op.MAXREPEAT else int(high)) + _element(list(inner))
    if code is op.SUBPATTERN:
        if value[1] or value[2]:
            raise Untranslatable("a group with flags")
        return f"( {_sequence(list(value[-1]), top=True)} )"
    if code is op.BRANCH:
        return "( " + " / ".join(_sequence(list(branch)) for branch in value[1]) + " )"
    raise Untranslatable(f"ABNF has nothing for {str(code).lower()}")


def _element(items: list[tuple[Any, Any]]) -> str:
    """What a repetition is of: one element, or a group."""
    translated = _sequence(items)
    single = len(items) == 1 and items[0][0] is not op.MAX_REPEAT
    return translated if single else f"( {translated} )"


def _times(low: int, high: int | None) -> str:
    if low == high:
        return "" if low == 1 else str(low)
    return f"{low or ''}*{'' if high is None else high}"


def _ranges(code: Any, value: Any) -> Ranges:
    if code is op.NOT_LITERAL:
        return _complement([(value, value)])
    if code is op.ANY:
        return _complement([(0x0A, 0x0A)])
    found: Ranges = []
    negated = False
    for kind, inner in value:
        if kind is op.NEGATE:
            negated = True
        elif kind is op.LITERAL:
            found.append((inner, inner))
        elif kind is op.RANGE:
            found.append((int(inner[0]), int(inner[1])))
        else:
            raise Untranslatable("a class of characters by its name; write its ranges")
    return _complement(found) if negated else found


def _complement(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The characters that are not in `ranges`; surrogates are none."""
    found: Ranges = []
    start = 0
    for low, high in sorted([*ranges, (0xD800, 0xDFFF)]):
        if low > start:
            found.append((start, low - 1))
        start = max(start, high + 1)
    if start <= _MAX:
        found.append((start, _MAX))
    return found


# Characters as octets of UTF-8


def characters(ranges: Ranges) -> str:
    """One character of these ranges, as alternatives of octet sequences."""
    found: list[str] = []
    left = set(ranges)
    if {(0x41, 0x5A), (0x61, 0x7A)} <= left:
        found.append("ALPHA")
        left -= {(0x41, 0x5A), (0x61, 0x7A)}
    for low, high in ranges:
        if (low, high) not in left:
            continue
        if (low, high) in _NAMED_RANGES:
            found.append(_NAMED_RANGES[low, high])
        elif low == high and 0x21 <= low <= 0x7E:
            found.append(_literal(chr(low)))
        else:
            found += [" ".join(_octet_range(*pair) for pair in sequence) for sequence in utf8(low, high)]
    return " / ".join(found)


def _octet_range(low: int, high: int) -> str:
    return f"%x{low:02X}" if low == high else f"%x{low:02X}-{high:02X}"


def utf8(low: int, high: int) -> Iterator[list[tuple[int, int]]]:
    """The code points from `low` to `high` as sequences of octet ranges (RFC 3629), in order."""
    for last in (0x7F, 0x7FF, 0xD7FF, 0xFFFF, _MAX):
        if low <= last < high:
            yield from utf8(low, last)
            yield from utf8(0xE000 if last == 0xD7FF else last + 1, high)
            return
    first, final = chr(low).encode(), chr(high).encode()
    for place in range(1, len(first)):
        block = 1 << (6 * place)  # code points that share all octets but the last `place` ones
        if low // block == high // block:
            continue
        if low % block:
            yield from utf8(low, low // block * block + block - 1)
            yield from utf8(low // block * block + block, high)
            return
        if high % block != block - 1:
            yield from utf8(low, high // block * block - 1)
            yield from utf8(high // block * block, high)
            return
    yield list(zip(first, final, strict=True))
