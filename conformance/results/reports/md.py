"""Markdown, as a job's summary or a comment shows it: the figures, what failed, what was not tested."""

from __future__ import annotations

from typing import Any

from conformance.engine.verdict import Verdict
from conformance.results.causes import Cause, facts_of_line, grouped
from conformance.results.record import Record, judgement, place

SHOWN = 20  # causes; of each the simplest case whole
BRIEF = 50  # lines of what was not tested, and why
ALSO = 10  # ids of its other cases
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
    causes = grouped(bad, lambda case: facts_of_line(head, case))
    if causes:
        lines += [f"## Failures: {len(causes)} cause{'s' if len(causes) > 1 else ''}", ""]
        for cause in causes[:SHOWN]:
            lines += _failure(head, cause)
        if len(causes) > SHOWN:
            lines += [f"… and {len(causes) - SHOWN} more causes.", ""]
    for verdict, title in (("blocked", "Blocked"), ("not-tested", "Not tested"), ("xfail", "Known failures")):
        some = [case for case in record.cases if case["verdict"] == verdict]
        if some:
            lines += [
                f"## {title}",
                "",
                *(f"- `{_key(case)}`: {cell(case['note'] or case['got'])}" for case in some[:BRIEF]),
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


def _failure(head: dict[str, Any], cause: Cause[dict[str, Any]]) -> list[str]:
    case = cause.example
    rule = head["rules"][case["rule"]]
    lines = [f"### `{_key(case)}`", "", f"{case['rule']} ({rule['level']}): {rule['text']}", ""]
    lines += [f"- {name}: {code(case[name])}" for name in ("step", "wanted", "got") if case[name]]
    if case["note"]:
        lines.append(f"- {case['note']}")
    if len(cause.cases) > 1:
        also = ", ".join(f"`{other['id']}`" for other in cause.cases[1:ALSO])
        lines.append(f"- same cause: {len(cause.cases)} cases, also {also}{' …' if len(cause.cases) > ALSO else ''}")
    return [*lines, f"- replay: {code(case['replay'])}", ""]


def _key(case: dict[str, Any]) -> str:
    return f"{case['id']}@{case['segment']}"


def code(text: str) -> str:
    """A text as code, whatever grave accents are in it."""
    return f"`{text}`" if "`" not in text else f"`` {text} ``"


def cell(text: str) -> str:
    """A text that breaks no table and no list."""
    return text.replace("|", "\\|").replace("\n", " ")
