"""The spec: one YAML file, read strictly into immutable data. Everything else in the project follows from it."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib import resources
from pathlib import Path as FilePath
from typing import Any

from .build import build
from .check import check
from .model import Spec
from .reading import Document, Fault, Path, SpecError, read

__all__ = ["Fault", "Spec", "SpecError", "load", "loads", "schema", "shipped", "shipped_file"]


def load(path: str | FilePath) -> Spec:
    """The spec in a file.

    Raises:
        OSError: the file cannot be read.
        SpecError: it is no spec; `faults` has the line, the column and the reason of each thing that is wrong.
    """
    return loads(FilePath(path).read_bytes(), str(path))


def loads(octets: bytes, source: str = "spec") -> Spec:
    """The spec in `octets`; `source` names them in faults. Raises SpecError as `load` does."""
    document = read(octets, source)
    _check_shape(document)
    spec = build(document, hashlib.sha256(octets).hexdigest())
    check(spec, document)
    return spec


@cache
def shipped() -> Spec:
    """The protocol of this package. Its shape is not checked again: the tests have done that."""
    octets = shipped_file().read_bytes()
    return build(read(octets, "pychat.yaml"), hashlib.sha256(octets).hexdigest())


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
    from jsonschema import Draft202012Validator  # slow to import, and the shipped spec needs no check

    for error in Draft202012Validator(schema()).iter_errors(document.data):
        path: Path = tuple(error.absolute_path)
        if "propertyNames" in error.absolute_schema_path:
            document.blame((*path, error.instance), _of_a_key(error), key=True)
            continue
        for reason, where, at_key in _explain(error, path):
            document.blame(where, reason, key=at_key)
    document.check()


def _of_a_key(error: Any) -> str:
    if error.validator == "enum":
        return f"unknown key {error.instance}; there are {', '.join(error.validator_value)}"
    return f"the key {error.instance!r} is not of the form {error.validator_value}"


def _explain(error: Any, path: Path) -> list[tuple[str, Path, bool]]:
    """What a validator's error says, in words for the author of a spec, and where."""
    if error.validator == "additionalProperties" and isinstance(error.schema["additionalProperties"], bool):
        known = error.schema["properties"]
        unknown = [name for name in error.instance if name not in known]
        return [(f"unknown key {name}; there are {', '.join(known)}", (*path, name), True) for name in unknown]
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return [(f"{name} is missing", path, True) for name in missing]
    if error.validator == "pattern":
        about = f" ({error.schema['description']})" if "description" in error.schema else ""
        return [(f"{error.instance!r} is not of the form {error.validator_value}{about}", path, False)]
    if error.validator == "type":
        return [(f"must be {_article(str(error.validator_value))}, not {error.instance!r:.60}", path, False)]
    if error.validator == "uniqueItems":
        return [("something stands twice in this list", path, False)]
    if error.validator == "oneOf":
        return [("a row has either outcome (a success) or error (a refusal)", path, False)]
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
