"""The record of a run: lines of JSON; a header, one line for each case, a footer. Every report is made from it alone.

LF alone ends a line: a JSON text may hold each other character that some programs take for the end of one.

A record without its footer is of a run that was cut short; it is refused, so that it cannot look whole.
"""

from __future__ import annotations

import json
import platform
import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance import __version__
from conformance.cases.case import Case
from conformance.engine.verdict import Result, Verdict
from conformance.engine.wire import Entry
from conformance.oracle.frames import visible
from conformance.oracle.probe import barrier_verb
from pychat.spec import Spec

FORMAT = 2
NOT_JUDGED = {  # rules that no case can show, each with the reason
    "R-CLIENT-13": "binds clients for people, and a client is judged by the line contract, which is for programs",
}
_TEXTS, _NUMBER, _ID = [str], (int, float), re.compile("[^/]+/[^/]+(/.*)?")
_HEADER: dict[Any, Any] = {
    "type": re.compile("header"), "format": int, "suite": str, "of": re.compile("server|client"), "command": str,
    "protocol": str, "spec": str, "sha256": str, "options": {str: str}, "python": str, "started": str,
    "states": _TEXTS, "messages": _TEXTS, "planned": [_ID],
    "shows": {str: str},
    "rules": {str: {"of": str, "level": re.compile("MUST|SHOULD|MAY"), "text": str}},
}  # fmt: skip
_ENTRY = {
    "ms": _NUMBER, "who": str, "mark": re.compile("[<>][|!]?|#"), "hex?": re.compile("([0-9a-f]{2})*"), "text?": str,
}  # fmt: skip
_CASE: dict[Any, Any] = {
    "type": re.compile("case"), "id": _ID, "segment": str, "kind": str, "title": str, "rules": _TEXTS, "rule": str,
    "level": re.compile("MUST|SHOULD|MAY"), "verdict": re.compile("|".join(Verdict)), "step": str, "wanted": str,
    "got": str, "note": str, "ms": _NUMBER, "transcript": [_ENTRY], "left_out": int, "stderr": str, "replay": str,
    "cause": str,
}  # fmt: skip
_FOOTER: dict[Any, Any] = {
    "type": re.compile("footer"), "complete": bool, "cases": int, "counts": {str: int},
    "figures": {str: {"all": int, "exercised": int, "passed": int}}, "stale": _TEXTS, "seconds": _NUMBER, "exit": int,
}  # fmt: skip


class RecordError(Exception):
    """A file that is no whole record; says file, line and reason."""


@dataclass
class Record:
    """A whole run, as plain data."""

    header: dict[str, Any]
    cases: list[dict[str, Any]] = field(default_factory=list)
    footer: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The record as its file."""
        return "".join(map(written, (self.header, *self.cases, self.footer)))

    @classmethod
    def load(cls, path: Path) -> Record:
        """Raises OSError when it cannot be read, RecordError when it is not whole."""
        return cls.parse(path.read_bytes().decode("utf-8"), str(path))

    @classmethod
    def parse(cls, text: str, source: str) -> Record:
        parts = []
        for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
            try:
                part = json.loads(line)
            except (ValueError, RecursionError):
                raise RecordError(f"{source}:{number}: not JSON; the record is cut short or was changed") from None
            if not isinstance(part, dict):
                raise RecordError(f"{source}:{number}: not a line of a record")
            parts.append(part)
        if not parts or parts[0].get("type") != "header":
            raise RecordError(f"{source}:1: a record begins with its header")
        if parts[0].get("format") != FORMAT:
            raise RecordError(f"{source}:1: this suite reads format {FORMAT}")
        if parts[-1].get("type") != "footer" or parts[-1].get("complete") is not True:
            raise RecordError(f"{source}:{len(parts)}: no footer: the run was cut short, so no report is made of it")
        for number, part in enumerate(parts, 1):
            misfit = _misfit(part, {1: _HEADER, len(parts): _FOOTER}.get(number, _CASE))
            if misfit is None and number not in (1, len(parts)) and part["rule"] not in parts[0]["rules"]:
                misfit = "rule"
            if misfit is not None:
                raise RecordError(f"{source}:{number}: {visible(misfit)[:200]} is not as in a record; it was changed")
        ran = sum(part.get("kind") != "walk" for part in parts[1:-1])  # how many walks there are to be is not planned
        if parts[-1]["cases"] != len(parts) - 2 or ran != len(parts[0]["planned"]):
            raise RecordError(f"{source}: {ran} cases, but {len(parts[0]['planned'])} were planned")
        return cls(parts[0], parts[1:-1], parts[-1])


def written(part: dict[str, Any]) -> str:
    """A line of a record's file."""
    return json.dumps(part, ensure_ascii=False) + "\n"


def _misfit(value: Any, shape: Any, place: str = "the line") -> str | None:
    """The place at which data is not of a shape: types, expressions for texts, and lists and mappings of shapes."""
    if isinstance(shape, re.Pattern):
        return None if isinstance(value, str) and shape.fullmatch(value) else place
    if isinstance(shape, type | tuple):
        fits = isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
        return None if fits and (shape is not str or _is_text(value)) else place
    if not isinstance(value, type(shape)):
        return place
    parts: list[tuple[str | int, Any, Any]]
    if isinstance(shape, list):
        parts = [(number, item, shape[0]) for number, item in enumerate(value, 1)]
    elif str in shape:
        parts = [(name, item, shape[str]) for name, item in value.items()]
    else:
        known = {name.rstrip("?"): inner for name, inner in shape.items()}
        wrong: set[str] = {name for name in known.keys() ^ value.keys() if f"{name}?" not in shape}
        if wrong:
            return min(wrong)
        parts = [(name, item, known[name]) for name, item in value.items()]
    for name, item, inner in parts:
        found = _misfit(item, inner, f"{name} of {place}" if isinstance(name, int) else name)
        if found is not None or not (isinstance(name, int) or _is_text(name)):
            return found or place
    return None


def _is_text(text: str) -> bool:
    """Whether it can be written as UTF-8: JSON can hold half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def header(spec: Spec, cases: Sequence[Case], *, of: str, command: str, options: dict[str, Any]) -> dict[str, Any]:
    """The first line: what is judged, by what, how, and what is to come."""
    return {
        "type": "header",
        "format": FORMAT,
        "suite": __version__,
        "of": of,
        "command": command,
        "protocol": spec.title,
        "spec": visible(spec.source),
        "sha256": spec.sha256,
        "options": options,
        "python": platform.python_version(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "states": [*spec.live_states, spec.final],
        "messages": messages_of(spec),
        "rules": {rule.id: {"of": rule.of, "level": rule.level, "text": rule.text} for rule in spec.rules.values()},
        "planned": [case.key for case in cases],
        "shows": {case.id: case.rules[0] for case in cases},
    }


def case_line(result: Result) -> dict[str, Any]:
    """A result as a line."""
    line = {name: getattr(result, name, None) for name in _CASE}
    transcript = [_entry(entry) for entry in result.entries]
    return line | {
        "type": "case", "rules": list(result.rules), "verdict": result.verdict.value, "transcript": transcript,
    }  # fmt: skip


def _entry(entry: Entry) -> dict[str, Any]:
    line: dict[str, Any] = {"ms": entry.ms, "who": entry.who, "mark": entry.mark}
    if entry.octets:
        line["hex"] = entry.octets.hex()
    if entry.text:
        line["text"] = entry.text
    return line


def footer(results: Sequence[Result], *, seconds: float, exit_code: int, stale: Sequence[str]) -> dict[str, Any]:
    """The last line: it says that nothing is missing."""
    return {
        "type": "footer",
        "complete": True,
        "cases": len(results),
        "counts": counts(results),
        "figures": figures(results),
        "stale": list(stale),
        "seconds": round(seconds, 2),
        "exit": exit_code,
    }


def judgement(exit_code: int) -> str:
    """What the exit code says."""
    words = {0: "conforms", 1: "does not conform", 3: "could not be judged"}
    return words.get(exit_code, "was not judged whole")


def messages_of(spec: Spec) -> list[str]:
    """The requests in the spec's order, but first the one that proves everything else."""
    barrier = barrier_verb(spec)
    return [barrier, *(verb for verb in spec.requests if verb != barrier)]


def place(id_: str, states: Sequence[str], messages: Sequence[str]) -> tuple[int, int]:
    """Where a case stands in a list: by its state, then by its message; what the spec does not name comes last."""
    state, message = id_.split("/")[:2]
    return (
        states.index(state) if state in states else len(states),
        messages.index(message) if message in messages else len(messages),
    )


def counts(results: Iterable[Result]) -> dict[str, int]:
    """How often each verdict was given, in the order of `Verdict`."""
    found = Counter(result.verdict for result in results)
    return {verdict.value: found[verdict] for verdict in Verdict if found[verdict]}


def figures(results: Sequence[Result]) -> dict[str, dict[str, int]]:
    """For each kind of case: how many there are, were exercised, and passed."""
    found: dict[str, dict[str, int]] = {}
    for kind in ("cell", "play", "scene", "walk"):
        some = [result for result in results if result.kind == kind]
        if some:
            found[kind] = {
                "all": len(some),
                "exercised": sum(result.verdict.ran for result in some),
                "passed": sum(result.verdict.good for result in some),
            }
    return found


def rules_covered(spec: Spec, results: Iterable[Result], of: str) -> tuple[list[str], list[str]]:
    """The rules that bind this side and were exercised, and those that were not, but could be."""
    seen = {rule for result in results if result.verdict.ran for rule in result.rules}
    mine = [rule.id for rule in spec.rules.values() if rule.of in (of, "both") and rule.id not in NOT_JUDGED]
    return [rule for rule in mine if rule in seen], [rule for rule in mine if rule not in seen]
