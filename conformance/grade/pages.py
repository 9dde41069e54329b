"""The HTML of a course: the overview, and a page for each submission, which a student may be given.

A page names no other submission. All that comes from a submission is escaped; no page runs a script.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import quote

from conformance.oracle.frames import visible, visible_lines

from .marks import Mark, in_common

SHOWN = 40  # failures of a rule on a page
NOTE = 240  # letters of a note in the overview
HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884 }}
td.n, th.n {{ text-align: right; font-variant-numeric: tabular-nums }}
pre {{ background: #8882; padding: .8rem; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere }}
code, td {{ overflow-wrap: anywhere }} td.v {{ white-space: nowrap }}
.good {{ color: light-dark(#0a6b2d, #6fd08c) }} .bad {{ color: light-dark(#a4161a, #ff8a80) }}
</style></head><body>
"""


def folder_of(name: str) -> str:
    """The folder of a submission's page, as part of an address."""
    return f"submissions/{quote(os.fsencode(name))}"


def how_many(number: int) -> str:
    """So many submissions, in words."""
    return f"{number} submission{'' if number == 1 else 's'}"


def overview(title: str, marks: Sequence[Mark], told: Sequence[str], left: Sequence[str], *, points: float) -> str:
    """The page of the course. `told` says which limits were in force, `left` what has not been judged."""
    found: dict[str, int] = {}
    for mark in marks:
        found[mark.verdict] = found.get(mark.verdict, 0) + 1
    counts = ", ".join(f"{number} × {verdict}" for verdict, number in found.items())
    parts = [HEAD.format(title=_text(title)), f"<h1>{_text(title)}</h1>"]
    parts += [f"<p>{_text(how_many(len(marks)))}: {_text(counts)}. <a href='grades.csv'>grades.csv</a></p>"]
    if left:
        parts += [f"<p class='bad'>Not judged yet: {_text(', '.join(left))}. The same command goes on with them.</p>"]
    common = in_common(marks)
    if common:
        parts += ["<h2>Failures in common</h2>", "<ul>"]
        for each in common:
            example = "".join(
                f", {word} {_code(each.example[word])}" for word in ("wanted", "got") if each.example[word]
            )
            parts += [f"<li><b>{len(each.submissions)} of {len(marks)} submissions: {_text(each.rule)}</b>"]
            parts += [f"{_text(each.text)}<br>most often {_code(each.case)}{example}"]
            parts += [f"<br>{_text(', '.join(each.submissions))}</li>"]
        parts += ["</ul>"]
    parts += [
        "<h2>Submissions</h2>", "<table><thead><tr><th>submission</th><th>verdict</th>",
        f"<th class='n'>points of {points:g}</th><th class='n'>passed</th><th class='n'>failed</th>",
        "<th class='n'>cases</th><th class='n'>seconds</th><th>note</th></tr></thead><tbody>",
    ]  # fmt: skip
    for mark in marks:
        link = f"<a href='{folder_of(mark.submission)}/index.html'>{_text(mark.submission)}</a>"
        numbers = "".join(f"<td class='n'>{number}</td>" for number in (mark.passed, mark.failed, mark.planned))
        parts += [f"<tr><td>{link}</td>{_verdict(mark, 'td')}<td class='n'>{mark.points:g}</td>{numbers}"]
        parts += [f"<td class='n'>{mark.seconds:g}</td><td>{_start(mark.note)}</td></tr>"]
    return "\n".join([*parts, "</tbody></table>", *_limits(told), "</body></html>", ""])


def page(mark: Mark, told: Sequence[str], files: Mapping[str, str], *, points: float) -> str:
    """The page of one submission. `files` are what lies beside it, with a word for each."""
    parts = [HEAD.format(title=_text(mark.submission)), f"<h1>{_text(mark.submission)}</h1>"]
    parts += [f"<p>{_verdict(mark, 'b')}: {mark.points:g} of {points:g} points, {mark.passed} of {mark.planned} cases "]
    parts += [f"passed, {mark.failed} failed, {mark.seconds:g} s.</p>"]
    if mark.note:
        parts += [f"<pre>{_lines(mark.note)}</pre>"]
    if files:
        parts += [f"<p>{' · '.join(f'<a href={quote(file)}>{_text(word)}</a>' for file, word in files.items())}</p>"]
    if mark.groups:
        parts += [
            "<h2>Rules</h2>",
            "<table><thead><tr><th>group</th><th class='n'>passed</th><th class='n'>failed</th>",
        ]
        parts += ["</tr></thead><tbody>"]
        for group, (passed, failed) in mark.groups.items():
            parts += [f"<tr><td>{_text(group)}</td><td class='n'>{passed}</td><td class='n'>{failed}</td></tr>"]
        parts += ["</tbody></table>"]
    for rule, cases in mark.failures.items():
        parts += [f"<h3>{_text(rule)}</h3>", f"<p>{_text(mark.rules[rule])}</p>", "<ul>"]
        alike = Counter((case["id"], case["wanted"], case["got"], case["note"]) for case in cases)
        for case, times in list(alike.items())[:SHOWN]:
            id_, *words, note = case
            said = "".join(
                f", {name} {_code(word)}" for name, word in zip(("wanted", "got"), words, strict=True) if word
            )
            ways = f", {times} ways to cut the octets" if times > 1 else ""
            parts += [f"<li>{_code(id_)}{said}{ways} {_text(note)}</li>"]
        more = len(alike) - SHOWN
        parts += [f"<li>… and {more} more</li>" if more > 0 else "", "</ul>"]
    if mark.build:
        parts += ["<h2>What the build printed</h2>", f"<pre>{_lines(mark.build)}</pre>"]
    return "\n".join([*parts, *_limits(told), "</body></html>", ""])


def _limits(told: Sequence[str]) -> list[str]:
    return ["<h2>Limits in force</h2>", "<ul>", *(f"<li>{_text(line)}</li>" for line in told), "</ul>"]


def _verdict(mark: Mark, tag: str) -> str:
    return f"<{tag} class='v {'good' if mark.verdict == 'conforms' else 'bad'}'>{_text(mark.verdict)}</{tag}>"


def _start(note: str) -> str:
    """A note in one line, cut: the page has it whole."""
    line = " ".join(note.split())
    return _text(line if len(line) <= NOTE else f"{line[:NOTE]}…")


def _text(text: str) -> str:
    return escape(visible(text))


def _lines(text: str) -> str:
    return escape(visible_lines(text))


def _code(text: str) -> str:
    return f"<code>{_text(text)}</code>"
