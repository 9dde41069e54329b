"""What a case is about, for a person: the rule, the script, what a correct implementation does, the mistakes."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from pychat.spec import Spec

from .frames import quote
from .model import Due
from .play import Play
from .player import shown
from .script import Action, Compiler, Finish, Op, Quiet, Race, Receive, Reset, Send, Taken
from .suite import Case

WIDTH = 100
NUMBER = 1  # names in an explanation end in it


def explain(spec: Spec, case: Case) -> str:
    """The explanation of a case."""
    lines = [f"{case.id}, for a {case.of}", f"  {case.title}", ""]
    for rule in case.rules:
        lines += _wrapped(f"{rule} ({spec.rules[rule].level}): {spec.rules[rule].text}", "  ")
    if case.doc:
        lines += ["", *_wrapped(case.doc, "  ")]
    if case.play is None:
        scene = case.scene or case.client_scene
        lines += [
            "",
            *_wrapped((scene.__doc__ or "").strip() or "A scene: it looks at time, amounts or processes.", "  "),
        ]
    else:
        lines += ["", "The script:", *(f"  {line}" for line in _script(case.play))]
        if case.of == "server":
            lines += ["", "What a correct implementation does:", *(f"  {line}" for line in _expected(spec, case.play))]
    mistakes = [*case.mistakes, *_usual(spec, case)]
    if mistakes:
        lines += ["", "Usual mistakes:"]
        for mistake in mistakes:
            lines += _wrapped(f"- {mistake}", "  ", "    ")
    return "\n".join(lines)


def _wrapped(text: str, indent: str, later: str | None = None) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent if later is None else later)


def _script(play: Play) -> Iterator[str]:
    for index, step in enumerate(play.steps):
        if index == play.setup and play.setup:
            yield "--- now it is judged"
        text = str(step)
        yield text if len(text) <= WIDTH else f"{text[: WIDTH - 20]} … ({len(step.octets)} octets)"


def _expected(spec: Spec, play: Play) -> Iterator[str]:
    """The whole conversation with its probes, as the model says it."""
    part = ""
    for op in Compiler(spec, play, NUMBER).compile().ops:
        if op.part != part and op.part == "probe":
            yield "--- then the probes: who is in which state, who is listed, and nothing else came"
        part = op.part
        yield from _op(op)


def _op(op: Op) -> Iterator[str]:
    yield from _action(op.action)


def _action(action: Action) -> Iterator[str]:
    if isinstance(action, Send | Taken):
        yield f"{action.who} > {quote(action.octets, 90)}"
    elif isinstance(action, Finish):
        yield f"{action.who} > (end of stream)"
    elif isinstance(action, Reset):
        yield f"{action.who} > (reset)"
    elif isinstance(action, Receive):
        yield _due(action.who, action.due)
    elif isinstance(action, Quiet):
        yield f"{', '.join(action.who)}: nothing more"
    elif isinstance(action, Race):
        yield "at the same moment:"
        for sent in action.sends:
            yield from (f"  {line}" for line in _action(sent))
        yield f"and then one of these {len(action.branches)} results:"
        for branch in action.branches:
            yield "  " + "; ".join(_due(who, due) for who, dues in branch.dues for due in dues)


def _due(who: str, due: Due) -> str:
    return shown(who, due)[: WIDTH + 20]


def _usual(spec: Spec, case: Case) -> Iterator[str]:
    """The hints of the spec that name the case's message."""
    for hint in spec.hints:
        if case.message in re.findall("[A-Z]+", hint):
            yield hint
