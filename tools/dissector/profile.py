"""A configuration profile for Wireshark: colours, columns and filter buttons for the dissector. Knows no Lua.

A profile is a directory of small files; their formats are those of Wireshark's User's Guide, appendix B.
"""

from __future__ import annotations

from pathlib import Path

from pychat.spec import Spec
from tools.wireshark import PREFERENCES

# Colours: name, filter, background, foreground. The first filter that a packet passes decides.
_COLOURS = (
    ("breaks the spec", "{0}.violation", "fbd0d0", "8c0000"),
    ("refused", '{0}.kind == "refusal"', "ffe9c2", "5c3a00"),
    ("the server says goodbye", '{0}.kind == "goodbye"', "d9d0ea", "2e1065"),
    ("pushed by the server", '{0}.kind == "push"', "dcebfb", "0b3565"),
    ("asked by a client", '{0}.kind == "request"', "e4f6e1", "14401a"),
    ("answered by the server", "{0}", "f4fbf2", "14401a"),
    ("TCP has trouble", "tcp.analysis.flags && !tcp.analysis.window_update", "2b2b2b", "f4a8a8"),
    ("TCP ends", "tcp.flags.fin == 1 || tcp.flags.reset == 1", "c9c9c9", "3c3c3c"),
    ("TCP alone", "tcp", "f5f5f5", "6a6a6a"),
)

_BUTTONS = (
    ("Frames", "{0}", "every frame of the protocol"),
    ("Violations", "{0}.violation", "whatever breaks the spec"),
    ("Refusals", '{0}.kind in {{"refusal", "goodbye"}}', "what was refused, and connections that the server ended"),
    ("Slow", "{0}.time > 0.1 || {0}.relay_time > 0.1", "answers and lines that took more than 0.1 s"),
    ("Chats", "{0}.chat", "everything that belongs to a chat; {0}.chat == 1 is the first one, at both its ends"),
)

_COLUMNS = (
    ("No.", "%m"),
    ("Time", "%t"),
    ("Stream", "%Cus:tcp.stream:0:R"),
    ("State", "%Cus:{0}.state:0:R"),
    ("Info", "%i"),
    ("Partner", "%Cus:{0}.partner:0:R"),
    ("Chat", "%Cus:{0}.chat:0:R"),
    ("Answer time", "%Cus:{0}.time:0:R"),
    ("Violation", "%Cus:{0}.violation:0:R"),
)


def write_profile(spec: Spec, directory: Path) -> None:
    """Writes the profile's files into a directory. Raises OSError."""
    name = spec.protocol
    colours = [
        f"@{spec.title}: {words}@{text.format(name)}@{_colour(back)}{_colour(fore)}"
        for words, text, back, fore in _COLOURS
    ]
    buttons = [f'"TRUE","{label}","{_quoted(text.format(name))}","{doc.format(name)}"' for label, text, doc in _BUTTONS]
    filters = [f'"{spec.title}: {label}" {text.format(name)}' for label, text, _ in _BUTTONS]
    columns = ", ".join(f'"{title}", "{format_.format(name)}"' for title, format_ in _COLUMNS)
    preferences = [
        f"gui.column.format: {columns}",
        "nameres.network_name: FALSE",
        *(preference.replace(":", ": ", 1) for preference in PREFERENCES),
    ]
    texts = {"colorfilters": colours, "dfilter_buttons": buttons, "dfilters": filters, "preferences": preferences}
    directory.mkdir(parents=True, exist_ok=True)
    for file, lines in texts.items():
        (directory / file).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _colour(hexadecimal: str) -> str:
    """Three octets as Wireshark's 16-bit numbers."""
    return "[" + ",".join(str(octet * 257) for octet in bytes.fromhex(hexadecimal)) + "]"
