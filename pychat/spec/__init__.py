"""The spec: one YAML file, read strictly into immutable data. Everything else in the project follows from it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path as FilePath
from typing import Any

from .build import build
from .check import check
from .model import Spec
from .placeholders import fill_texts, numbers_of
from .reading import REFUSED, Data, Document, Path, SpecError, octets_of, read

__all__ = ["Spec", "SpecError", "load", "loads", "schema", "shipped", "shipped_file"]

_FORMER: dict[Path, str] = {("link", "key"): "the type of users' names stands by itself, as `names: …`"}
_ODD = frozenset({"good", "bad", "steps"})  # where any character may stand: values of types, and what an example sends


def load(path: str | FilePath) -> Spec:
    """The spec in a file.

    Raises:
        OSError: the file cannot be read, or is a pipe, a device or a directory.
        SpecError: it is no spec; `faults` has the line, the column and the reason of each thing that is wrong.
    """
    return loads(octets_of(FilePath(path)), str(path))


def loads(octets: bytes, source: str = "spec") -> Spec:
    """The spec in `octets`; `source` names them in faults. Raises SpecError as `load` does."""
    document = read(octets, source)
    _check_shape(document)
    numbers = numbers_of(document.data)
    unfilled = fill_texts(document, numbers)
    spec = build(document, hashlib.sha256(octets).hexdigest(), numbers)
    check(spec, document)
    for path, reason in unfilled:  # last: a number that is missing may be the consequence of another fault
        document.blame(path, reason)
    document.check()
    return spec


@cache
def shipped() -> Spec:
    """The protocol of this package. Its shape is not checked again: the tests have done that."""
    octets = shipped_file().read_bytes()
    document = read(octets, "pychat.yaml")
    numbers = numbers_of(document.data)
    fill_texts(document, numbers)
    return build(document, hashlib.sha256(octets).hexdigest(), numbers)


def shipped_file() -> FilePath:
    """The file of the shipped spec."""
    return _file("pychat.yaml")


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of the language."""
    result: dict[str, Any] = json.loads(_file("language.schema.json").read_bytes())
    return result


def _file(name: str) -> FilePath:
    """A file of the spec: beside the package's code when it is installed, in `spec/` in a checkout."""
    installed = FilePath(str(resources.files("pychat"))) / "data" / name
    return installed if installed.exists() else FilePath(__file__).parents[2] / "spec" / name


def _check_shape(document: Document) -> None:
    from jsonschema import Draft202012Validator, validators  # slow to import, and the shipped spec needs no check

    checks = {"uniqueItems": _check_unique, "pattern": _check_pattern}
    validator = validators.extend(Draft202012Validator, checks)(schema())  # type: ignore[no-untyped-call]
    for error in validator.iter_errors(document.data):
        path: Path = tuple(error.absolute_path)
        if "propertyNames" in error.absolute_schema_path:
            document.blame((*path, error.instance), _of_a_key(error), key=True)
            continue
        for reason, where, at_key in _explain(error, path):
            document.blame(where, reason, key=at_key)
    for path, text in _texts(document.data, ()):
        refused = REFUSED.search(text)
        if refused is not None and not _ODD & {*path}:
            document.blame(path, f"the character U+{ord(refused[0]):04X} may stand in good, bad and steps alone")
    document.check()


def _check_unique(_validator: Any, wanted: bool, items: Any, _schema: Any) -> Iterator[Any]:
    """As the library does, but a long list of texts and numbers takes it minutes."""
    from jsonschema import ValidationError

    seen = set()
    for item in map(repr, items if wanted and isinstance(items, list) else ()):
        if item in seen:
            yield ValidationError(f"{item:.60} stands twice")
        seen.add(item)


def _check_pattern(_validator: Any, pattern: str, text: Any, _schema: Any) -> Iterator[Any]:
    """As the library does, but `$` is the end of the text, and not what is before a last line end."""
    from jsonschema import ValidationError

    if isinstance(text, str) and re.fullmatch(pattern, text) is None:
        yield ValidationError("not of the form")  # said in other words below


def _texts(data: Data, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(data, str):
        yield path, data
    elif isinstance(data, list | dict):
        for key, item in data.items() if isinstance(data, dict) else enumerate(data):
            yield from _texts(item, (*path, key))


def _of_a_key(error: Any) -> str:
    if error.validator == "enum":
        return f"unknown key {error.instance}; there are {', '.join(error.validator_value)}"
    return f"the key {error.instance!r} is not of the form {error.validator_value}"


def _explain(error: Any, path: Path) -> list[tuple[str, Path, bool]]:
    """What a validator's error says, in words for the author of a spec, and where."""
    if error.validator == "additionalProperties" and isinstance(error.schema["additionalProperties"], bool):
        known = error.schema["properties"]
        unknown = [name for name in error.instance if name not in known]
        return [
            (_FORMER.get((*path, name), f"unknown key {name}; there are {', '.join(known)}"), (*path, name), True)
            for name in unknown
        ]
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return [(f"{name} is missing", path, True) for name in missing]
    if error.validator == "pattern":
        about = f" ({error.schema['description']})" if "description" in error.schema else ""
        return [(f"{error.instance!r:.60} is not of the form {error.validator_value}{about}", path, False)]
    if error.validator == "type":
        return [(f"must be {_article(str(error.validator_value))}, not {error.instance!r:.60}", path, False)]
    if error.validator == "oneOf":
        wanted = " or ".join(str(choice["required"][0]) for choice in error.schema["oneOf"])
        return [(f"it has either {wanted}, and not both", path, False)]
    return [(str(error.message), path, False)]


def _article(kind: str) -> str:
    words = {
        "object": "a mapping",
        "array": "a list",
        "integer": "a whole number",
        "string": "a text",
        "number": "a number",
    }
    return words.get(kind, kind)
