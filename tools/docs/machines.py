"""State diagrams, drawn by Graphviz from the machines themselves. Knows no spec.

Parallel edges become one edge with several lines, and events that change no state stand in the state's box: otherwise
the edges would hide each other.
"""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FONT = "DejaVu Sans"  # a wide one: a page in another font has room enough
OTHER_END = "partner"  # the last part of an event's name, if its row was at the other end
Href = Callable[[str], str | None]


class GraphvizError(Exception):
    """The program `dot` is missing, or failed."""


@dataclass(frozen=True, slots=True)
class Edge:
    """All events that move a machine from one state to another."""

    source: str
    target: str
    events: tuple[str, ...]


def changes(machine: Any) -> list[Edge]:
    """The changes of state of a `transitions` machine, parallel ones in one edge, in the order of its states."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for name, source, target in _transitions(machine):
        if target is not None and target != source:
            grouped.setdefault((source, target), []).append(name)
    order = list(machine.states)
    keys = sorted(grouped, key=lambda pair: (order.index(pair[0]), order.index(pair[1])))
    return [Edge(source, target, tuple(grouped[source, target])) for source, target in keys]


def stays(machine: Any) -> dict[str, list[str]]:
    """The events that do not change the state, for each state."""
    found: dict[str, list[str]] = {name: [] for name in machine.states}
    for name, source, target in _transitions(machine):
        if target is None or target == source:
            found[source].append(name)
    return found


def _transitions(machine: Any) -> list[tuple[str, str, str | None]]:
    return [
        (event.name, transition.source, transition.dest)
        for event in machine.events.values()
        for transitions in event.transitions.values()
        for transition in transitions
    ]


def draw(machine: Any, name: str, href: Href, state_href: Href, final: str) -> str:
    """The machine as an SVG element in the colours of the page. `href` gives the anchor of an event.

    Raises:
        GraphvizError: there is no `dot` to draw with.
    """
    lines = [
        "digraph machine {",
        "  graph [rankdir=TB, nodesep=0.9, ranksep=0.75, bgcolor=transparent, pad=0.1];",
        f'  node [shape=plain, fontname="{FONT}", fontsize=13];',
        f'  edge [fontname="{FONT}", fontsize=11.5, arrowsize=0.8];',
        '  begin [shape=circle, width=0.16, label="", style=filled, class=begin];',
    ]
    kept = stays(machine)
    for state in machine.states:
        kind = "final" if state == final else "state"
        lines.append(f"  {_id(state)} [class={kind}, label=<{_box(state, kept[state], href, state_href)}>];")
    lines.append(f"  begin -> {_id(machine.initial)};")
    for edge in changes(machine):
        weight = 1 if edge.target == final else 8  # the main path is straight; edges to the final state go around it
        lines.append(f"  {_id(edge.source)} -> {_id(edge.target)} [weight={weight}, label=<{_label(edge, href)}>];")
    return _svg("\n".join([*lines, "}"]), name)


def _id(name: str) -> str:
    return f'"{name}"'


def _box(state: str, events: list[str], href: Href, state_href: Href) -> str:
    """A state with the events that do not change it, a line for each verb."""
    title = f'<TR><TD CELLPADDING="7"{_href(state_href(state))}><B>{html.escape(state)}</B></TD></TR>'
    grouped: dict[tuple[str, str], list[str]] = {}
    for event in events:
        verb, label, end = _parts(event)
        grouped.setdefault((verb, end), []).append(label)
    lines = []
    for (verb, end), labels in sorted(grouped.items(), key=lambda item: item[0][1]):
        words = f"{verb}{end}" if end else f"{verb}  {', '.join(labels)}".rstrip()
        cell = f'<FONT POINT-SIZE="10.5">{html.escape(words)}</FONT>'
        lines.append(f'<TR><TD ALIGN="LEFT" CELLPADDING="1"{_href(href(verb))}>{cell}</TD></TR>')
    body = ""
    if lines:
        table = f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0">{"".join(lines)}</TABLE>'
        body = f'<TR><TD BORDER="1" SIDES="T" CELLPADDING="5">{table}</TD></TR>'
    return f'<TABLE BORDER="1" CELLBORDER="0" CELLSPACING="0" STYLE="ROUNDED">{title}{body}</TABLE>'


def _label(edge: Edge, href: Href) -> str:
    rows = []
    for event in edge.events:
        verb, label, end = _parts(event)
        words = "/".join(part for part in (verb, label) if part) + end
        rows.append(f'<TR><TD ALIGN="LEFT"{_href(href(verb))}>{html.escape(words)}</TD></TR>')
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{"".join(rows)}</TABLE>'


def _parts(event: str) -> tuple[str, str, str]:
    """The verb and the label of an event such as `CHAT/opened/partner`, and whether it is of the other end.

    The event of a timer has no verb: its name takes the verb's place.
    """
    words = event.removeprefix("/").split("/")
    if len(words) > 1 and words[-1] == OTHER_END:
        return words[0], "/".join(words[1:-1]), " of the partner"
    return words[0], "/".join(words[1:]), ""


def _href(target: str | None) -> str:
    return f' HREF="#{html.escape(target, quote=True)}"' if target else ""


def _svg(source: str, name: str) -> str:
    program = shutil.which("dot")
    if program is None:
        raise GraphvizError("the state diagrams need Graphviz: install the package `graphviz`")
    words = [program, "-Tsvg"]
    done = subprocess.run(words, input=source, capture_output=True, encoding="utf-8", check=False, timeout=60)
    if done.returncode:
        raise GraphvizError(f"dot failed: {done.stderr.strip()}")
    svg = done.stdout[done.stdout.index("<svg") :]
    svg = re.sub(r"<!--.*?-->\n?", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<title>.*?</title>\n?", "", svg)
    svg = re.sub(r' (?:id|xlink:title|font-family)="[^"]*"', "", svg)
    svg = re.sub(
        r'<svg width="(\d+)pt" height="\d+pt"',
        rf'<svg class="machine" role="img" aria-label="{name}" style="--width:\1pt"',
        svg,
    )
    svg = svg.replace('xmlns:xlink="http://www.w3.org/1999/xlink"', "").replace("xlink:href", "href")
    svg = svg.replace('xmlns="http://www.w3.org/2000/svg" ', "")
    return re.sub(r' (?:fill|stroke)="(?!none)[^"]*"', "", svg)
