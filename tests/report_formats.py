"""What the readers of our reports demand, written down from their own documents, and checks by it."""

from __future__ import annotations

import json
import re
from typing import Any
from xml.etree import ElementTree

import jsonschema

_TEXT, _POINTS = {"type": "string"}, {"type": "number", "minimum": 0}
_VISIBILITY = {"enum": ["hidden", "after_due_date", "after_published", "visible"]}
_FORMAT = {"enum": ["text", "html", "simple_format", "md", "ansi"]}
_TEST = {
    "score": _POINTS, "max_score": _POINTS, "status": {"enum": ["passed", "failed"]}, "name": _TEXT,
    "name_format": _FORMAT, "number": _TEXT, "output": _TEXT, "output_format": _FORMAT, "visibility": _VISIBILITY,
    "tags": {"type": "array", "items": _TEXT}, "extra_data": {},
}  # fmt: skip
GRADESCOPE: dict[str, Any] = {  # https://gradescope-autograders.readthedocs.io/en/latest/specs/, "Output format"
    "type": "object",
    "additionalProperties": False,
    "anyOf": [
        {"required": ["score"]},
        {"properties": {"tests": {"minItems": 1, "items": {"required": ["score"]}}}, "required": ["tests"]},
    ],
    "properties": {
        "score": _POINTS, "execution_time": _POINTS, "output": _TEXT, "output_format": _FORMAT,
        "test_output_format": _FORMAT, "test_name_format": _FORMAT, "visibility": _VISIBILITY,
        "stdout_visibility": _VISIBILITY, "extra_data": {}, "leaderboard": {"type": "array"},
        "tests": {"type": "array", "items": {"type": "object", "additionalProperties": False, "properties": _TEST}},
    },
}  # fmt: skip

# junit-10.xsd of the xUnit plugin of Jenkins: of each element the needed and the possible attributes, and the children
JUNIT: dict[str, tuple[str, str, str]] = {
    "testsuites": ("", "name time tests failures errors", "testsuite"),
    "testsuite": (
        "name tests failures errors", "group time skipped timestamp hostname id package file log url",
        "testsuite properties testcase system-out system-err",
    ),
    "testcase": ("name", "time classname group", "skipped error failure system-out system-err"),
    "failure": ("", "type message", ""), "error": ("", "type message", ""), "skipped": ("", "type message", ""),
    "properties": ("", "", "property"), "property": ("name value", "", ""),
    "system-out": ("", "", ""), "system-err": ("", "", ""),
}  # fmt: skip
TIME = re.compile(r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]*)?")


def check_gradescope(text: str) -> dict[str, Any]:
    """The report, of Gradescope's form; no score is above its most, and the sum of the tests is the score."""
    report: dict[str, Any] = json.loads(text)
    jsonschema.validate(report, GRADESCOPE)
    tests = report["tests"]
    assert all(test["score"] <= test["max_score"] for test in tests)
    assert sum(round(test["score"] * 100) for test in tests) == round(report["score"] * 100)
    return report


def check_junit(text: str) -> ElementTree.Element:
    """The report, in which each element is as the schema wants it."""
    root = ElementTree.fromstring(text)
    assert root.tag == "testsuites"
    for element in root.iter():
        needed, possible, children = (set(words.split()) for words in JUNIT[element.tag])
        assert needed <= set(element.keys()) <= needed | possible, (element.tag, element.attrib)
        assert {child.tag for child in element} <= children, element.tag
        assert element.tag not in ("testsuite", "testsuites") or TIME.fullmatch(element.get("time", ""))
        assert element.tag not in ("failure", "error") or element.get("type")
    return root
