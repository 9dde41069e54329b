"""JUnit XML, as build servers read it: one suite for each state. The `type` of a failure is its cause.

Source: junit-10.xsd of Jenkins' xUnit plugin (https://github.com/jenkinsci/xunit-plugin), the strictest reader.
"""

from __future__ import annotations

from collections import Counter
from typing import Any
from xml.etree import ElementTree  # it is written here, never read

from conformance.engine.verdict import Verdict
from conformance.results.record import Record

TAGS = {  # of the verdicts that did not pass: a case that could not be asked is an error, for a skip is not red
    Verdict.FAIL: "failure", Verdict.XPASS: "failure", Verdict.ERROR: "error", Verdict.BLOCKED: "error",
    Verdict.NOT_APPLICABLE: "skipped", Verdict.NOT_TESTED: "skipped", Verdict.XFAIL: "skipped",
}  # fmt: skip


def make(record: Record) -> str:
    """The report."""
    cases = record.cases
    root = ElementTree.Element(
        "testsuites", _numbers(cases), name=clean(f"pychat-conformance {record.header['command']}")
    )
    del root.attrib["skipped"]  # the schema has it for a suite alone
    for state in dict.fromkeys(case["id"].split("/")[0] for case in cases):
        mine = [case for case in cases if case["id"].split("/")[0] == state]
        suite = ElementTree.SubElement(
            root, "testsuite", _numbers(mine), name=state, timestamp=record.header["started"].rstrip("Z")
        )  # fmt: skip
        for case in mine:
            _case(suite, case)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _numbers(cases: list[dict[str, Any]]) -> dict[str, str]:
    tags = Counter(TAGS.get(Verdict(case["verdict"])) for case in cases)
    seconds = sum(float(case["ms"]) for case in cases) / 1000
    return {
        "tests": str(len(cases)), "failures": str(tags["failure"]), "errors": str(tags["error"]),
        "skipped": str(tags["skipped"]), "time": f"{seconds:.3f}",
    }  # fmt: skip


def _case(suite: ElementTree.Element, case: dict[str, Any]) -> None:
    element = ElementTree.SubElement(
        suite, "testcase", classname=case["id"].rpartition("/")[0].replace("/", "."),
        name=f"{case['id']}@{case['segment']}", time=f"{case['ms'] / 1000:.3f}",
    )  # fmt: skip
    message = f"wanted {case['wanted']}, got {case['got']}" if case["wanted"] else case["note"]
    tag = TAGS.get(Verdict(case["verdict"]))
    if tag is not None:
        kind = clean(case["cause"] or case["verdict"])
        child = ElementTree.SubElement(element, tag, type=kind, message=clean(f"{case['verdict']}: {message}"))
        child.text = clean(
            f"{case['rule']}\nstep: {case['step']}\n{message}\nreplay: {case['replay']}\n{case['stderr']}"
        )


def clean(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return "".join(char if char in "\t\n" or char.isprintable() else f"\\x{ord(char):02x}" for char in text)
