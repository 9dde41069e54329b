"""YAML, read strictly: plain data, and the place of each part of it. Knows nothing of what a spec says.

YAML 1.1 has traps for a table of words: `on` and `no` are truth values, `12:30` is a number, a key that stands twice
silently wins. Each is refused here with its place and the way to write it instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, TypeAlias

import yaml
from yaml.events import CollectionEndEvent, CollectionStartEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pychat.visible import visible

Path: TypeAlias = tuple[str | int, ...]
Data: TypeAlias = "str | int | float | bool | list[Data] | dict[str, Data] | None"

LARGEST = 1 << 20  # octets of a file; the shipped spec has 48 thousand
MOST = 20_000  # keys, values and blocks of a file; the shipped spec has 2,400
DEEPEST = 50  # blocks in one another; a table of a protocol has less than ten
LONGEST = 1000  # characters of a fault's reason that are printed
# The characters that YAML does not allow, and those that end a line for some programs and not for others.
REFUSED = re.compile(
    "\r(?!\n)|[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_HALF = re.compile("[\ud800-\udfff]")
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")  # what is longer stays a text, as a number is wanted nowhere for it
_FLOAT = re.compile(r"-?[0-9]{1,18}\.[0-9]{1,18}")
_TRAP = re.compile(
    r"(?P<truth>y|Y|n|N|[Yy]es|YES|[Nn]o|NO|[Oo]n|ON|[Oo]ff|OFF|True|TRUE|False|FALSE)"
    r"|(?P<null>~|Null|NULL|null)"
    r"|(?P<sexagesimal>[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)"
    r"|(?P<number>[-+]?(0[0-7_]+|0[xob][0-9a-fA-F_]+|[0-9]+_[0-9_]*|[0-9.]+[eE][-+]?[0-9]+|\.[0-9]+|[0-9]+\.)"
    r"|\+[0-9]+|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)|0[0-9]+)"
    r"|(?P<date>[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?)"
)
_AFTER = re.compile(r"(?P<spaces>[ \t]*)(?P<comment>#)?(?P<end>$)?", re.MULTILINE)  # a plain text
_TRAP_REASONS = {
    "truth": "some YAML readers take {0} for a truth value; write '{0}', or true or false",
    "null": "{0} means nothing at all here; leave the key out, or write '{0}'",
    "sexagesimal": "YAML 1.1 takes {0} for a number of base 60; write '{0}'",
    "number": "YAML readers differ about the number {0}; write a plain decimal number, or '{0}'",
    "date": "YAML 1.1 takes {0} for a date; write '{0}'",
}


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line and a column of a file, both counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, order=True)
class SpecFault:
    """One thing that is wrong in a file, printed as a compiler prints it; what it quotes is shown, never obeyed."""

    source: str
    place: Place
    reason: str

    def __str__(self) -> str:
        reason = self.reason if len(self.reason) <= LONGEST else f"{self.reason[:LONGEST]}…"
        return visible(f"{self.source}:{self.place.line}:{self.place.column}: {reason}")


class SpecError(Exception):
    """A file that is no spec. `faults` says each thing that is wrong with it, in the order of the file."""

    def __init__(self, faults: list[SpecFault]) -> None:
        self.faults = sorted(set(faults))
        super().__init__("\n".join(str(fault) for fault in self.faults))


@dataclass(slots=True)
class Document:
    """The data of a file, with the place of each value and of each key by its path.

    `cut` says of a text without quotes what else stands on its lines, which YAML leaves out of it.
    """

    source: str
    text: str = field(default="", repr=False)
    data: Data = None
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    cut: dict[Path, str] = field(default_factory=dict)
    faults: list[SpecFault] = field(default_factory=list)

    def blame(self, path: Path, reason: str, *, key: bool = False) -> None:
        """Notes a fault at `path`, or at the nearest place above it that the file has."""
        places: Mapping[Path, Place] = self.keys if key and path in self.keys else self.values
        while path and path not in places:
            path, places = path[:-1], self.values
        self.faults.append(SpecFault(self.source, places.get(path, Place(1, 1)), reason))

    def check(self) -> None:
        """Raises SpecError if a fault was noted."""
        if self.faults:
            raise SpecError(self.faults)


def octets_of(path: FilePath) -> bytes:
    """What is in a file, and no more than shows that it is too large.

    Raises:
        OSError: it cannot be read, or is a pipe, a device or a directory.
    """
    if path.exists() and not path.is_file():  # reading another kind of file may never end
        raise OSError(f"{path} is no regular file")
    with path.open("rb") as file:
        return file.read(LARGEST + 1)


def read(octets: bytes, source: str) -> Document:
    """The document in `octets`; `source` names them in faults.

    Raises:
        SpecError: they are too many, not UTF-8, not YAML, or YAML that readers understand differently.
    """
    document = Document(source)
    text = _text(octets, source)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _refuse_events(text, document, loader)
        document.check()
        root = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark is not None:  # the scanner runs ahead of the events, and some versions have a limit of depth too
            with suppress(yaml.YAMLError):
                _refuse_events(text[: mark.index], Document(source), loader)
        raise SpecError([SpecFault(source, _place(mark), f"not YAML: {error.problem or error.context}")]) from None
    except yaml.YAMLError as error:
        raise SpecError([SpecFault(source, Place(1, 1), f"not YAML: {error}")]) from None
    if root is None:
        raise SpecError([SpecFault(source, Place(1, 1), "the file is empty")])
    document.text = text
    document.data = _convert(root, (), document)
    document.check()
    return document


def _text(octets: bytes, source: str) -> str:
    if len(octets) > LARGEST:
        raise SpecError([SpecFault(source, Place(1, 1), f"too large: a file has at most {LARGEST} octets")])
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        before = octets[: error.start].decode("utf-8")
        raise SpecError([SpecFault(source, _end(before), "not valid UTF-8")]) from None
    refused = REFUSED.search(text, 1 if text.startswith("\ufeff") else 0)
    if refused is not None:
        reason = f"the character U+{ord(refused[0]):04X} may not stand in a file as it is"
        raise SpecError([SpecFault(source, _end(text[: refused.start()]), reason)])
    return text


def _end(text: str) -> Place:
    return Place(text.count("\n") + 1, len(text) - text.rfind("\n"))


def _refuse_events(text: str, document: Document, loader: type) -> None:
    """Refuses what must not even be composed: tags, and values without bounds by reference, by depth or by number."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=loader)):
        if number > MOST:
            raise SpecError(
                [SpecFault(document.source, _place(event.start_mark), f"too large: more than {MOST} values")]
            )
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST:
            reason = f"nested too deeply: more than {DEEPEST} blocks"
            raise SpecError([SpecFault(document.source, _place(event.start_mark), reason)])
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            reason = f"anchors and aliases are not allowed (&{anchor}): write the value out"
            document.faults.append(SpecFault(document.source, _place(event.start_mark), reason))
        tag = getattr(event, "tag", None)
        if tag is not None:
            document.faults.append(SpecFault(document.source, _place(event.start_mark), f"tags are not allowed: {tag}"))


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)


def _convert(node: Node, path: Path, document: Document) -> Data:
    document.values[path] = _place(node.start_mark)
    if isinstance(node, MappingNode):
        return _convert_mapping(node, path, document)
    if isinstance(node, SequenceNode):
        return [_convert(child, (*path, index), document) for index, child in enumerate(node.value)]
    assert isinstance(node, ScalarNode), "anchors were refused, so nothing else is left"
    return _convert_scalar(node, path, document)


def _convert_mapping(node: MappingNode, path: Path, document: Document) -> Data:
    result: dict[str, Data] = {}
    for key_node, value_node in node.value:
        place = _place(key_node.start_mark)
        key = _convert(key_node, (*path, "?"), document) if isinstance(key_node, ScalarNode) else None
        if not isinstance(key, str | int) or isinstance(key, bool):
            document.faults.append(SpecFault(document.source, place, "a key must be a word"))
            continue
        name = str(key)
        if name in result:
            first = document.keys[(*path, name)]
            document.faults.append(
                SpecFault(document.source, place, f"the key {name} stands twice; the first is in line {first.line}")
            )
            continue
        document.keys[(*path, name)] = place
        result[name] = _convert(value_node, (*path, name), document)
        if isinstance(value_node, MappingNode | SequenceNode) and not value_node.flow_style:
            document.values[(*path, name)] = place  # a block begins in the line after its key
    return result


def _convert_scalar(node: ScalarNode, path: Path, document: Document) -> Data:
    text: str = node.value
    if _HALF.search(text):
        document.blame(path, "half of a surrogate pair is no character")
        return ""
    if node.style:  # quoted, or a block
        return text
    trap = _TRAP.fullmatch(text)
    if trap is not None and trap.lastgroup is not None:
        kind = next(name for name, value in trap.groupdict().items() if value is not None)
        document.blame(path, _TRAP_REASONS[kind].format(text))
        return text
    if text in ("true", "false"):
        return text == "true"
    if text == "":
        document.blame(path, "there is no value; leave the key out, or write ''")
        return None
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    _note_cut(node, path, document)
    return text


def _note_cut(node: ScalarNode, path: Path, document: Document) -> None:
    """Notes what YAML leaves out of a plain text. One space before a `#` looks like a part of the text, and is none."""
    after = _AFTER.match(document.text, node.end_mark.index)
    assert after is not None, "it matches nothing too"
    if after["comment"]:
        document.cut[path] = "YAML cuts it at the comment"
        if len(after["spaces"]) == 1:
            document.blame(path, "YAML takes ` #` for a comment; write the text in quotes, or two spaces before the #")
    elif after["spaces"] and after["end"] is not None:
        document.cut[path] = "YAML drops the spaces at its end"
