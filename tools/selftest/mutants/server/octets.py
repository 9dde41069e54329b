"""Server mutants in which a library changes octets unasked: decoders, trims, templates. Knows no verb and no state."""

from __future__ import annotations

import html
import json
import re
import unicodedata
import urllib.parse
from collections.abc import Callable, Mapping

from pychat.spec.forms import Form, Template
from pychat.spec.model import Outcome
from tools.selftest.mutants.mutant import Mutant, Table, variant
from tools.selftest.mutants.reader import Reader

from .connection import Connection
from .engine import Server

BOM = "\ufeff"

reading: Table[Reader] = Table(Reader)
table: Table[Server] = Table(Server)

# --- the stream and its lines -----------------------------------------------------------------------------------------

# fmt: off
reading.row("bom-of-line-dropped", "Drops a byte order mark at the beginning of a line.", Reader.text,
            lambda self, line: Reader.text(self, line).removeprefix(BOM))
reading.row("bom-dropped", "Drops each byte order mark.", Reader.text,
            lambda self, line: Reader.text(self, line).replace(BOM, ""))
reading.row("bom-of-text-dropped", "Drops a byte order mark at the beginning of the last field.", Reader.text,
            lambda self, line: re.sub("^([^ ]* )\ufeff", r"\1", Reader.text(self, line)))
reading.row("line-ends-at-nul", "Takes what stands before a NUL for the line.", Reader.text,
            lambda self, line: Reader.text(self, line.split(b"\0")[0]))
reading.row("nul-dropped", "Drops each NUL.", Reader.text,
            lambda self, line: Reader.text(self, line.replace(b"\0", b"")))
reading.row("carriage-returns-dropped", "Drops each CR.", Reader.strip,
            lambda self, line: line.replace(b"\r", b""))
reading.row("line-stripped", "Strips white space from both ends of a line.", Reader.text,
            lambda self, line: Reader.text(self, line).strip())
reading.row("line-trimmed", "Strips spaces and control characters from both ends of a line.", Reader.text,
            lambda self, line: Reader.text(self, line).strip("".join(map(chr, range(33)))))
reading.row("line-stripped-on-the-left", "Strips white space before the verb.", Reader.text,
            lambda self, line: Reader.text(self, line).lstrip())
reading.row("line-stripped-on-the-right", "Strips white space at the end of a line.", Reader.text,
            lambda self, line: Reader.text(self, line).rstrip())
reading.row("controls-dropped", "Drops control characters other than TAB.", Reader.text,
            lambda self, line: re.sub("[\0-\x08\x0a-\x1f\x7f-\x9f]", "", Reader.text(self, line)))
reading.row("backspace-done", "Lets a backspace take the character before it away.", Reader.text,
            lambda self, line: re.sub("[^\x08]\x08", "", Reader.text(self, line)))
reading.row("any-space-separates", "Takes any white space for the space between fields.", Reader.text,
            lambda self, line: re.sub(r"\s", " ", Reader.text(self, line), count=1))
reading.row("modified-utf8-taken", "Takes C0 80 for NUL, as a modified UTF-8 does, and drops it.", Reader.text,
            lambda self, line: Reader.text(self, line.replace(b"\xc0\x80", b"")))
reading.row("octet-of-telnet-dropped", "Drops what Telnet takes for a command: FF and two octets.", Reader.text,
            lambda self, line: Reader.text(self, re.sub(rb"\xff[\xfb-\xfe].", b"", line, flags=re.DOTALL)))
reading.row("bad-octets-dropped", "Drops octets that are not UTF-8, at the end of a line only.", Reader.text,
            lambda self, line: Reader.text(self, re.sub(rb"[\x80-\xff]{1,3}\Z", lambda end:
            end[0] if end[0].decode("utf-8", "ignore") else b"", line)))
reading.row("noncharacters-refused", "Refuses U+FFFE and U+FFFF as no UTF-8.", Reader.text,
            lambda self, line: Reader.text(self, re.sub(b"\xef\xbf[\xbe\xbf]", b"\xff", line)))
reading.row("astral-refused", "Refuses what lies above U+FFFF, as a UTF-8 of three octets does.", Reader.text,
            lambda self, line: Reader.text(self, re.sub(b"[\xf0-\xf4]", b"\xff", line)))
reading.row("verb-by-its-beginning", "Knows a verb by its beginning.", Reader.text,
            lambda self, line: re.sub("^[A-Z]+", lambda word: next(
            (verb for verb in self.spec.requests if word[0].startswith(verb)), word[0]), Reader.text(self, line)))
reading.row("verb-shortened", "Knows a verb by its first three letters.", Reader.text,
            lambda self, line: re.sub("^[A-Z]{3}[A-Z]*", lambda word: next(
            (verb for verb in self.spec.requests if verb.startswith(word[0])), word[0]), Reader.text(self, line)))
# fmt: on


@reading.step(Reader.text)
def pairs_of_surrogates_taken(self: Reader, line: bytes) -> str:
    """Takes two surrogates for the character of the pair, as CESU-8 does."""

    def joined(pair: re.Match[bytes]) -> bytes:
        return pair[0].decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16").encode()

    return Reader.text(self, re.sub(rb"\xed[\xa0-\xaf].\xed[\xb0-\xbf].", joined, line, flags=re.DOTALL))


@reading.step(Reader.feed)
def bom_of_stream_dropped(self: Reader, octets: bytes) -> None:
    """Drops a byte order mark at the beginning of the stream."""
    began = getattr(self, "began", False)
    setattr(self, "began", True)  # noqa: B010  # a mutant remembers more than a reader has
    Reader.feed(self, octets if began else octets.removeprefix(BOM.encode()))


def _ending_too(pattern: bytes) -> Callable[[Reader, bytes], None]:
    """Takes more than LF for the end of a line."""
    return lambda self, octets: Reader.feed(self, re.sub(pattern, b"\n", octets))


for _name, _breaks, _ends in (
    ("ends-lines-at-vt", "Takes VT and FF for the end of a line.", rb"[\x0b\x0c]"),
    ("ends-lines-at-fs", "Takes FS, GS and RS for the end of a line.", rb"[\x1c-\x1e]"),
    ("ends-lines-at-nel", "Takes U+0085 for the end of a line.", rb"\xc2\x85"),
    ("ends-lines-at-ls", "Takes U+2028 and U+2029 for the end of a line.", rb"\xe2\x80[\xa8\xa9]"),
    ("ends-lines-at-nul", "Takes NUL for the end of a line.", rb"\0"),
    ("ends-lines-at-crs", "Takes CR CR LF for the end of a line.", rb"\r+\n"),
):
    reading.row(_name, _breaks, Reader.feed, _ending_too(_ends))


@reading.step(Reader.accepts)
def limits_in_utf16(self: Reader, name: str, value: str) -> bool:
    """Counts units of UTF-16 where octets are meant."""
    kind = self.spec.types[name]
    size = len(value.encode("utf-16-le", "surrogatepass")) // 2
    return kind.octets[0] <= size <= kind.octets[1] and re.fullmatch(kind.pattern, value) is not None


def _refusing(refused: Callable[[str], bool]) -> Callable[[Reader, Form, str], dict[str, str] | None]:
    """Refuses a request for what stands in its text."""

    def values(self: Reader, form: Form, text: str) -> dict[str, str] | None:
        found = Reader.values(self, form, text)
        rest = bool(form.fields) and self.spec.types[form.fields[-1].type].rest_of_line
        return None if found is not None and rest and refused(found[form.fields[-1].name]) else found

    return values


for _name, _breaks, _refused in (
    ("blank-text-refused", "Refuses a text of white space alone.", lambda text: not text.strip()),
    ("unprintable-text-refused", "Refuses a text with a character that isprintable() denies, but TAB.",
     lambda text: not text.replace("\t", "").isprintable()),
    ("format-characters-refused", "Refuses a text with format characters, as U+200D.",
     lambda text: any(unicodedata.category(char) == "Cf" for char in text)),
    ("unassigned-text-refused", "Refuses a text with a character that is unassigned, or for private use.",
     lambda text: any(unicodedata.category(char) in ("Cn", "Co") for char in text)),
    ("separators-refused", "Refuses a text with U+2028 or U+2029.",
     lambda text: not {*text}.isdisjoint("\u2028\u2029")),
    ("tab-refused", "Refuses a text with a TAB.", lambda text: "\t" in text),
    ("nel-allowed-not-c1", "Refuses U+00A0 with the control characters before it.", lambda text: "\xa0" in text),
    ("delete-and-tilde-refused", "Refuses ~ with DEL.", lambda text: "~" in text),
):  # fmt: skip
    reading.row(_name, _breaks, Reader.values, _refusing(_refused))


# --- what becomes of a text, and of a field that is echoed ------------------------------------------------------------


def _replaced(text: str, by: Callable[[re.Match[str]], str], pattern: str) -> str:
    return re.sub(pattern, by, text)


CHANGES: tuple[tuple[str, str, Callable[[str], str]], ...] = (
    ("html-escaped", "writes <, > and & as HTML does", html.escape),
    ("html-unescaped", "reads &amp; as HTML does", html.unescape),
    ("percent-decoded", "reads %41 as a URL does", urllib.parse.unquote),
    ("plus-decoded", "reads + as a form does", lambda text: text.replace("+", "%20")),
    ("backslashes-read", "reads \\\\ and \\t as a source text does",
     lambda text: text.replace("\\\\", "\\").replace("\\t", "T").replace("\\n", "N")),
    ("quoted-as-json", "writes quotes and backslashes as JSON does",
     lambda text: json.dumps(text, ensure_ascii=False)[1:-1]),
    ("dollars-replaced", "reads $$ and $& as a replacement does",
     lambda text: text.replace("$$", "$").replace("$&", "?")),
    ("percents-formatted", "reads %% and %s as printf does",
     lambda text: text.replace("%%", "%").replace("%s", "(null)")),
    ("braces-formatted", "reads {} and {{ as a format does", lambda text: text.replace("{{", "{").replace("{}", "")),
    ("quotes-stripped", "takes quotes around it off", lambda text: text.strip("\"'") or text),
    ("comment-dropped", "drops what stands behind a #", lambda text: text.split("#")[0] or text),
    ("cut-at-semicolon", "drops what stands behind a ; or a |", lambda text: re.split("[;|]", text)[0] or text),
    ("cut-at-comma", "drops what stands behind a , or a :", lambda text: re.split("[,:=]", text)[0] or text),
    ("read-as-number", "reads a number, and writes it its own way",
     lambda text: str(int(text)) if re.fullmatch("[+-]?[0-9]+", text) else text),
    ("read-as-decimal", "reads a decimal number, and writes it its own way",
     lambda text: f"{float(text):g}" if re.fullmatch(r"[+-]?[0-9]+([.e][0-9]+)?", text) else text),
    ("read-as-word", "takes true, null and the like for values",
     lambda text: {"null": "None", "true": "True", "false": "False", "undefined": ""}.get(text, text) or text),
)  # fmt: skip
TEXTS: tuple[tuple[str, str, Callable[[str], str]], ...] = (
    ("stripped-of-any-space", "strips any white space from both ends", lambda text: text.strip() or text),
    ("stripped-on-the-left", "strips spaces on the left", lambda text: text.lstrip(" ") or text),
    ("stripped-on-the-right", "strips spaces on the right", lambda text: text.rstrip(" ") or text),
    ("no-break-spaces-replaced", "makes spaces of U+00A0", lambda text: text.replace("\xa0", " ")),
    ("spaces-replaced", "makes spaces of any white space", lambda text: re.sub(r"[^\S\t]", " ", text)),
    ("tabs-replaced", "makes one space of a TAB", lambda text: text.replace("\t", " ")),
    ("decomposed", "decomposes characters (NFD)", lambda text: unicodedata.normalize("NFD", text)),
    ("compatible", "replaces characters by compatible ones (NFKC)", lambda text: unicodedata.normalize("NFKC", text)),
    ("joiners-dropped", "drops what joins emoji, and variation selectors",
     lambda text: re.sub("[\u200b-\u200d\ufe0f]", "", text)),
    ("soft-hyphens-dropped", "drops U+00AD", lambda text: text.replace("\xad", "")),
    ("bidi-dropped", "drops bidirectional controls", lambda text: re.sub("[\u202a-\u202e\u2066-\u2069]", "", text)),
    ("astral-replaced", "puts U+FFFD for what lies above U+FFFF", lambda text: re.sub("[^\0-\uffff]", "\ufffd", text)),
    ("noncharacters-replaced", "puts U+FFFD for U+FFFE and U+FFFF",
     lambda text: re.sub("[\ufffe\uffff]", "\ufffd", text)),
    ("private-use-replaced", "puts U+FFFD for private characters",
     lambda text: re.sub("[\ue000-\uf8ff]", "\ufffd", text)),
    ("latin-replaced", "puts ? for what is not Latin-1",
     lambda text: text.encode("latin-1", "replace").decode("latin-1")),
    ("replacement-dropped", "drops U+FFFD", lambda text: text.replace("\ufffd", "") or text),
    ("bom-dropped", "drops U+FEFF", lambda text: text.replace(BOM, "") or text),
    ("capital-first", "begins with a capital", lambda text: text[:1].upper() + text[1:]),
)  # fmt: skip
ECHOES: tuple[tuple[str, str, Callable[[str], str]], ...] = (
    ("in-small-letters", "makes small letters of it", str.lower),
    ("in-capitals", "makes capitals of it", str.upper),
    ("cut-at-32", "cuts it after 32 octets", lambda text: text[:32]),
)


def _changed(change: Callable[[str], str]) -> type[Server]:
    """Changes a text that is relayed."""

    def push(self: Server, other: Connection, push: Template, words: Mapping[str, str]) -> None:
        changed = {name: change(word) for name, word in words.items()} if self.relaying else words
        Server.push(self, other, push, changed)

    return variant(Server, push=push)


def _echoed(change: Callable[[str], str]) -> type[Server]:
    """Changes the field of a request that is answered with it, and does nothing else."""

    def do(self: Server, conn: Connection, outcome: Outcome, values: Mapping[str, str]) -> None:
        echo = not outcome.effects and outcome.to is None and outcome.error is None
        Server.do(self, conn, outcome, {name: change(word) for name, word in values.items()} if echo else values)

    return variant(Server, do=do)


for _name, _breaks, _change in (*CHANGES, *TEXTS):
    table.mutants.append(Mutant(f"text-{_name}", f"A text: {_breaks}.", _changed(_change), near="*/{relay}/*"))
for _name, _breaks, _change in (*CHANGES, *ECHOES):
    table.mutants.append(Mutant(f"echo-{_name}", f"An echo: {_breaks}.", _echoed(_change), near="*/PING/*"))
