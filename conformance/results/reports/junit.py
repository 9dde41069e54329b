"""JUnit XML, as build servers read it: a suite a state, a case a line."""

from __future__ import annotations

from xml.etree import ElementTree  # it is written here, never read

from conformance.results.record import Record

FAILED = ("fail", "xpass")
BROKEN = ("error", "blocked")
SKIPPED = ("not-applicable", "not-tested", "xfail")


def make(record: Record) -> str:
    """The report. What was not asked for a reason of the implementation's is an error: a skip is not green."""
    cases = record.cases
    root = ElementTree.Element("testsuites", _numbers(cases), name=f"pychat-conformance {record.header['command']}")
    for state in dict.fromkeys(case["id"].split("/")[0] for case in cases):
        mine = [case for case in cases if case["id"].split("/")[0] == state]
        suite = ElementTree.SubElement(
            root, "testsuite", _numbers(mine), name=state, timestamp=record.header["started"].rstrip("Z")
        )  # fmt: skip
        for case in mine:
            _case(suite, case)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _numbers(cases: list[dict[str, object]]) -> dict[str, str]:
    def count(verdicts: tuple[str, ...]) -> str:
        return str(sum(case["verdict"] in verdicts for case in cases))

    seconds = sum(float(str(case["ms"])) for case in cases) / 1000
    return {
        "tests": str(len(cases)), "failures": count(FAILED), "errors": count(BROKEN), "skipped": count(SKIPPED),
        "time": f"{seconds:.3f}",
    }  # fmt: skip


def _case(suite: ElementTree.Element, case: dict[str, object]) -> None:
    element = ElementTree.SubElement(
        suite, "testcase", classname=str(case["id"]).rpartition("/")[0].replace("/", "."),
        name=f"{case['id']}@{case['segment']}", time=f"{float(str(case['ms'])) / 1000:.3f}",
    )  # fmt: skip
    verdict = case["verdict"]
    message = f"wanted {case['wanted']}, got {case['got']}" if case["wanted"] else str(case["note"])
    tag = (
        "failure" if verdict in FAILED else "error" if verdict in BROKEN else "skipped" if verdict in SKIPPED else None
    )
    if tag is not None:
        child = ElementTree.SubElement(element, tag, message=clean(f"{verdict}: {message}"))
        child.text = clean(
            f"{case['rule']}\nstep: {case['step']}\n{message}\nreplay: {case['replay']}\n{case['stderr']}"
        )


def clean(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return "".join(char if char in "\t\n" or char.isprintable() else f"\\x{ord(char):02x}" for char in text)
