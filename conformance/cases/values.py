"""Values at, under and over the limits of a type, and octets that are no UTF-8. Knows no verb and no state."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from pychat.spec.forms import Type

# Characters that a library takes for others, by what it does. Where only some of ASCII may stand, each is refused.
ALIKE = {
    "lower()": "\u212a\u0130",  # the small letter of KELVIN SIGN is k, that of I WITH DOT ABOVE begins with i
    "upper()": "\u0131\u017f\ufb00",  # the capitals of DOTLESS I, LONG S and a ligature are I, S and FF
    "casefold()": "\u00df\u1e9e",  # both fold into ss
    "NFKC": "\uff41\uff21\uff11\uff3f\uff0d\u2170\u2011",  # wide a, A, 1, _ and -, small roman one, a hyphen
    "isalpha()": "\u00e9\u0430\u4e16",  # the second is a Cyrillic a
    "isdigit()": "\u0663\u00b2",  # the first is a digit to int() too
    "marks": "\u0301",  # NFC makes one character of a letter and it
    "isspace()": "\u00a0\u2003\u0085\u2028\x1f",
    "no glyph": "\ufeff\u200b\u200d\u00ad\ufe0f",  # a byte order mark, joiners, a soft hyphen, a variation selector
    "beyond": "\ufffd\uffff\U0001d41a\U0001f642",  # a replacement, a noncharacter, a mathematical a, an emoji
}
# Words that are values or keys in a language, a format or a shell, and that a program may keep for itself.
WORDS = (
    "constructor", "toString", "valueOf", "hasOwnProperty", "isPrototypeOf", "prototype", "__proto__", "length", "name",
    "null", "undefined", "None", "nil", "NaN", "Infinity", "true", "False", "yes", "no", "default", "self", "this",
    "server", "system", "admin", "root", "all", "everyone", "CON", "NUL",
)  # fmt: skip
# What a parser, a template or a printer reads in its own way.
HOSTILE = (
    *WORDS, "007", "+1", "-0", "1.0", "1.50", "1e3", "0x10", "1_000", "9007199254740993", "%s%n%d", "100%%", "%41%00",
    "a+b", "$&$1$$", "\\1\\0", "\\n\\t\\\\", "\\u0041", "{}{0}{{x}}", "${x}",
    "#{x}", "#x", "x#y", "//x", "<b>&amp;</b>", "'x'", '"x"',
    "x;y|z", "a,b:c=d", "[x", "(a+)+$", "*", ".", "..", "/who", "!x", "@x", "~", "-", "--x", "=", "AbCdE", "aBCDe",
)  # fmt: skip
BIDI = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
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
# The ends of each range of what is no UTF-8, and characters that end too early, by RFC 3629, 4.
NO_UTF8 = (
    b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf",
    b"\xed\xa0\xbd\xed\xb9\x82", b"\xf0\x80\x80\x80", b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80",
    b"\xf7\xbf\xbf\xbf", b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xfe", b"\xff", b"\xff\xfb\x01",
    b"\xc3", b"\xe2\x82", b"\xf0\x9f\x99", b"\xe2\xc3\xa9", b"\xc3\xa9\xa9",
)  # fmt: skip


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


def edges_of(type_: Type) -> list[str]:
    """Values at a type's edges, of the type and not of it, that `values_of` has not: which characters, and where.

    At the first, a middle and the last place: both ends of each range of characters that may stand there, and their
    neighbours; characters that are taken for others; then what a library reads in its own way.
    """
    if type_.rest_of_line:
        return [value for value in (*_characters(type_), *HOSTILE) if "\n" not in value]
    stem = next((good for good in type_.good if 1 < len(good) < type_.octets[1]), type_.good[0])
    found: dict[str, None] = {}
    for place in sorted({0, 1, len(stem)}):
        before, after = stem[:place], stem[place:]
        alike = [char for chars in ALIKE.values() for char in (chars if place == 1 else chars[:1])]
        taken = [type_.accepts(f"{before}{chr(point)}{after}") for point in range(128)]
        borders = [p for p in range(1, 128) if taken[p - 1] != taken[p]]
        near = [chr(point) for border in borders for point in (border - 1, border)]
        found |= dict.fromkeys(f"{before}{char}{after}" for char in (*near, *alike))
    found |= dict.fromkeys(HOSTILE if type_.accepts("%") else ())
    ending = "\r"  # belongs to the ending of the line
    return [value for value in found if "\n" not in value and not value.endswith(ending)]


def turns(value: str) -> bool:
    """Whether a character of a value changes the direction of others (Unicode Annex 9): it may be shown as code."""
    return any(unicodedata.bidirectional(char) in BIDI for char in value)


def _characters(type_: Type) -> Iterator[str]:
    """Texts, with what is forbidden in the middle of each range, with what is not, and at both ends of a text."""
    for first, last in type_.forbid:
        inside = filter(_is_character, range(first, min(last, first + 255) + 1))
        yield from (f"a{chr(point)}b" for point in inside if point < 32 or point % 4 == 1)
    for chars in ALIKE.values():
        yield from (f"a{char}b" for char in chars)
        yield from (f"{chars[0]}b", f"a{chars[0]}", chars[0])
    yield from (
        " a",
        "a ",
        "a #b",
        "\ta",
        "a\t",
        "\t",
        "\u0301",
        "e\u0301",
        "\u1100\u1161",
        "\ud7a3",
        "\u00c5\u212b",
        "\ue000",
        "\ufdd0",
        "\ufffe",
    )
    yield from (
        "\U0010ffff",
        "\U00010000",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\u2764\ufe0f",
        "\u202ea\u2066b\u2069",
    )
    yield from ("a " * 40, " " * 40, "\ta\tb", "a\u00a0", "\u3000a\u3000", "\ufeff\ufeff")


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
