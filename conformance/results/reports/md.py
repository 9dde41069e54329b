"""Markdown, as a job's summary or a comment shows it: the figures, what failed, what was not tested."""

from __future__ import annotations

from typing import Any

from conformance.engine.verdict import Verdict
from conformance.results.record import Record, judgement, place

SHOWN = 50
SIGNS = {  # the worst is last
    "pass": "✅", "pass-nonstrict": "✅", "not-applicable": "🟡", "not-tested": "🟡", "xfail": "🟡", "blocked": "⛔",
    "fail": "❌", "xpass": "❌", "error": "💥",
}  # fmt: skip


def make(record: Record) -> str:
    """The report."""
    head, foot = record.header, record.footer
    says = judgement(foot["exit"]).replace("does not", "does **not**")
    lines = [f"# Conformance: {head['protocol']}", "", f"`{head['command']}` {says}.", ""]
    lines += ["| cases | exercised | all | passed |", "|---|---|---|---|"]
    for kind, numbers in foot["figures"].items():
        lines.append(f"| {kind}s | {numbers['exercised']} | {numbers['all']} | {numbers['passed']} |")
    lines += [
        "",
        ", ".join(f"{number} {verdict}" for verdict, number in foot["counts"].items()) + f", {foot['seconds']} s",
        "",
    ]
    lines += _matrix(record)
    bad = [case for case in record.cases if Verdict(case["verdict"]).bad or case["verdict"] == Verdict.ERROR]
    bad.sort(key=lambda case: place(case["id"], head["states"], head["messages"]))
    if bad:
        lines += ["## Failures", ""]
        for case in bad[:SHOWN]:
            lines += _failure(head, case)
        if len(bad) > SHOWN:
            lines += [f"… and {len(bad) - SHOWN} more.", ""]
    for verdict, title in (("blocked", "Blocked"), ("not-tested", "Not tested"), ("xfail", "Known failures")):
        some = [case for case in record.cases if case["verdict"] == verdict]
        if some:
            lines += [
                f"## {title}",
                "",
                *(f"- `{_key(case)}`: {cell(case['note'] or case['got'])}" for case in some[:SHOWN]),
                "",
            ]
    if foot["stale"]:
        lines += ["## Stale entries of the list of known failures", "", *(f"- `{key}`" for key in foot["stale"]), ""]
    lines.append(f"Spec `{head['sha256'][:12]}`, suite {head['suite']}, {head['started']}.")
    return "\n".join(lines) + "\n"


def _matrix(record: Record) -> list[str]:
    """A state a row, a message a column: passed of all, and a sign."""
    order = sorted(record.cases, key=lambda case: place(case["id"], record.header["states"], record.header["messages"]))
    ids = [case["id"].split("/") for case in order]
    states = list(dict.fromkeys(state for state, *_ in ids))
    known = record.header["messages"]
    messages = sorted(
        {message for _, message, *_ in ids}, key=lambda message: (place(f"/{message}", (), known), message)
    )
    lines = [f"| | {' | '.join(messages)} |", "|---" * (len(messages) + 1) + "|"]
    for state in states:
        row = []
        for message in messages:
            some = [c["verdict"] for c in record.cases if c["id"].split("/")[:2] == [state, message]]
            good = sum(Verdict(verdict).good for verdict in some)
            row.append(f"{SIGNS[max(some, key=list(SIGNS).index)]} {good}/{len(some)}" if some else "")
        lines.append(f"| **{state}** | {' | '.join(row)} |")
    return [*lines, ""]


def _failure(head: dict[str, Any], case: dict[str, Any]) -> list[str]:
    rule = head["rules"][case["rule"]]
    lines = [f"### `{_key(case)}`", "", f"{case['rule']} ({rule['level']}): {rule['text']}", ""]
    lines += [f"- {name}: {code(case[name])}" for name in ("step", "wanted", "got") if case[name]]
    if case["note"]:
        lines.append(f"- {case['note']}")
    return [*lines, f"- replay: `{case['replay']}`", ""]


def _key(case: dict[str, Any]) -> str:
    return f"{case['id']}@{case['segment']}"


def code(text: str) -> str:
    """A text as code, whatever grave accents are in it."""
    return f"`{text}`" if "`" not in text else f"`` {text} ``"


def cell(text: str) -> str:
    """A text that breaks no table and no list."""
    return text.replace("|", "\\|").replace("\n", " ")
