"""The grammar of a spec's frames in ABNF (RFC 5234, RFC 7405), from its types and forms. Knows no verb and no state.

Its terminals are octets. ABNF cannot limit the octets of a text: the limit is a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from pychat.spec import Spec
from pychat.spec.expression import Alternatives, Characters, Node, Ranges, Repeat, Sequence, complement, parse
from pychat.spec.forms import Form, Type
from pychat.spec.pattern import width

from .anchors import Anchors, slug

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


@dataclass(frozen=True, slots=True)
class GrammarRule:
    """`name = elements ; comment`; `about` is the anchor of its subject."""

    name: str
    elements: str
    about: str = ""
    comment: str = ""

    def __str__(self) -> str:
        return f"{self.name} = {self.elements}" + (f" ; {self.comment}" if self.comment else "")


def grammar(spec: Spec) -> list[GrammarRule]:
    """All rules: frames first, the core rules that they use last."""
    return list(_Writer(spec).rules())


def type_rule(name: str) -> str:
    """The name of a type's rule; it must differ from the core rules in more than case."""
    return f"{name}-value" if name.upper() in CORE else name


class _Writer:
    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.anchors = Anchors(spec)
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
            elements = self._form(request.form, any_case=spec.framing.any_case)
            yield GrammarRule(name, elements, self.anchors.request(request.verb))
        for name, reply in replies.items():
            yield GrammarRule(name, self._form(reply.form), self.anchors.reply(reply))

    def _form(self, form: Form, *, any_case: bool = False) -> str:
        """The parts of a frame; with `any_case`, its verb may be written in any case."""
        parts = [_literal(part) if isinstance(part, str) else type_rule(part.type) for part in form.parts]
        return " SP ".join([f'"{form.verb}"', *parts[1:]] if any_case else parts)

    def _types(self) -> Iterator[GrammarRule]:
        used = {field.type for request in self.spec.requests.values() for field in request.form.fields}
        used |= {field.type for reply in self.spec.replies.values() for field in reply.form.fields}
        for kind in self.spec.types.values():
            if kind.name in used:
                yield self._type(kind)

    def _type(self, kind: Type) -> GrammarRule:
        low, high = kind.octets
        anchor = self.anchors.type(kind.name)
        comment = f"{low} to {high} octets in all"
        if kind.match is not None:
            translated = translate(kind.match)
            bounded = width(kind.match) == (low, high)
            return GrammarRule(type_rule(kind.name), translated, anchor, "" if bounded else comment)
        if kind.one_of:
            return GrammarRule(type_rule(kind.name), " / ".join(_literal(word) for word in kind.one_of), anchor)
        character = f"{kind.name}-char"
        self.extra[character] = GrammarRule(character, characters(complement([*kind.forbid, (0x0A, 0x0A)])), anchor)
        return GrammarRule(type_rule(kind.name), f"{low}*{high}{character}", anchor, comment)


def _group(names: Iterable[str]) -> str:
    found = list(names)
    return found[0] if len(found) == 1 else f"( {' / '.join(found)} )"


def _octets(octets: bytes) -> str:
    return " ".join({13: "CR", 10: "LF"}.get(octet, f"%x{octet:02X}") for octet in octets)


def _literal(word: str) -> str:
    """A word with its case: strings of ABNF ignore the case of letters, but for those with %s of RFC 7405."""
    if not all(0x20 <= ord(char) <= 0x7E and char != '"' for char in word):
        return "%x" + ".".join(f"{octet:02X}" for octet in word.encode())
    return f'%s"{word}"' if any(char.isalpha() for char in word) else f'"{word}"'


# Regular expressions


def translate(pattern: str) -> str:
    """A regular expression in ABNF. Raises ValueError for one that a spec may not have."""
    return _alternatives(parse(pattern))


def _alternatives(node: Node) -> str:
    if isinstance(node, Alternatives):
        return " / ".join(map(_alternatives, node.parts))
    return characters(node.ranges) if isinstance(node, Characters) else _concatenation(node)


def _concatenation(node: Node) -> str:
    words: list[str] = []
    for is_literal, parts in groupby(node.parts if isinstance(node, Sequence) else (node,), _is_literal):
        run = tuple(parts)
        words += [_literal("".join(part.text[-1] for part in run))] if is_literal else map(_element, run)
    return " ".join(words) or '""'


def _is_literal(node: Node) -> bool:
    """Whether this is one character, with or without a backslash."""
    return isinstance(node, Characters) and node.ranges == ((ord(node.text[-1]),) * 2,)


def _element(node: Node) -> str:
    """The node as an element, which may be repeated or have neighbours."""
    if isinstance(node, Repeat):
        part = _element(node.part)
        return _times(node.least, node.most) + (f"( {part} )" if isinstance(node.part, Repeat) else part)
    found = _alternatives(node)
    return found if isinstance(node, Characters) and " " not in found else f"( {found} )"


def _times(least: int, most: int | None) -> str:
    if least == most:
        return "" if least == 1 else str(least)
    return f"{least or ''}*{'' if most is None else most}"


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
