"""Values at, under and over the limits of a type, and octets that are no UTF-8. Knows no verb and no state."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pychat.spec.forms import Type

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
