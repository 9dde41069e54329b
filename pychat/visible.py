"""Text from files and from the network, made fit to be shown (R-CLIENT-8). Knows no protocol and no terminal.

The protocol keeps most control characters out, but a client trusts no server. Whatever could move the cursor, change
colours, hide itself or turn the reading order round is shown as what it is: `\\x1b`, `\\u202e`. TAB becomes spaces.
"""

from __future__ import annotations

import unicodedata

TAB_WIDTH = 4

# Cc control, Cf format (the bidirectional controls, zero-width characters and tags are here), Cs surrogate,
# Zl and Zp line and paragraph separators. Private use and unassigned characters are drawn as boxes: no harm.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Emoji are written with these: between other characters they join nothing, and they cannot reorder a line.
_HARMLESS = frozenset("\u200c\u200d")


def visible(text: str) -> str:
    """`text` with every character made visible that would not be seen, or would do something instead.

    A backslash stays one backslash: the result is for people, it cannot be turned back.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def visible_lines(text: str) -> str:
    """The same for each line of a text; its lines stay, and LF alone ends one."""
    return "\n".join(map(visible, text.split("\n")))


def visible_octets(octets: bytes) -> str:
    """Octets of the wire as text: UTF-8 where it is, `\\xff` for every other octet, control characters visible."""
    return "".join(_shown(char) if char != "\t" else "\\t" for char in octets.decode("utf-8", "backslashreplace"))


def hexdump(octets: bytes, start: int = 0) -> list[str]:
    """Lines of 16 octets as a capture shows them: offset, hexadecimal, ASCII with a dot for everything else."""
    lines = []
    for offset in range(0, len(octets), 16):
        row = octets[offset : offset + 16]
        left, right = row[:8].hex(" "), row[8:].hex(" ")
        text = "".join(chr(octet) if 32 <= octet < 127 else "." for octet in row)
        lines.append(f"{start + offset:04x}  {left:<23}  {right:<23}  {text}")
    return lines


def _shown(char: str) -> str:
    if char == "\t":
        return " " * TAB_WIDTH
    if unicodedata.category(char) not in _HIDDEN or char in _HARMLESS:
        return char
    return char.encode("unicode_escape").decode()
