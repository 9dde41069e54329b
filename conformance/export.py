"""All cases as one JSON document, for runners in other languages. `export.schema.json` is its form and says what to do.

What is due is compiled from the spec's model, as the judge's own player gets it: a runner needs no model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from pychat.spec import Spec

from .cases.case import Case
from .cases.play import Play, Step
from .engine import actions as do
from .engine.failures import ContradictionError
from .engine.script import Compiler
from .oracle.model import Cut, Due, End, Items, Text
from .oracle.probe import Barrier

FORMAT = 1
NUMBER = 271828  # makes the names of a case unique; a runner puts another number in its place
TOKEN = "{token}"  # noqa: S105  # of the barrier, no secret
NAMES = {  # how an action is called in the document
    do.Send: "send", do.Finish: "finish", do.Reset: "reset", do.SendLate: "send-late", do.Open: "open",
    do.Pause: "pause", do.Clock: "clock", do.Await: "await-timer", do.Flood: "flood",
    do.ReadOn: "read-on", do.Refused: "refused", do.Signal: "signal", do.Exit: "exit", do.Settle: "settle",
    do.Receive: "receive", do.Quiet: "quiet", do.Race: "race",
}  # fmt: skip


def export(spec: Spec, cases: Iterable[Case]) -> dict[str, Any]:
    """The document. Each case is there once; `segments` are the ways in which its octets may be cut."""
    barrier = Barrier(spec)
    some = list(cases)
    return {
        "format": FORMAT,
        "protocol": spec.title,
        "sha256": spec.sha256,
        "of": some[0].of if some else "server",
        "unique": str(NUMBER),
        "barrier": {
            "request": _text(barrier.request(TOKEN)), "answer": barrier.answer(TOKEN), "echoes": barrier.is_echo,
        },
        "framing": {
            "writes": _text(spec.framing.writes), "accepts": [_text(ending) for ending in spec.framing.accepts],
            "max_octets": spec.framing.max_octets,
        },
        "timers": {
            timer.name: {"since": timer.since, "seconds": timer.after, "rule": timer.rule}
            for timer in spec.timers.values()
        },
        "rules": {rule.id: {"of": rule.of, "level": rule.level, "text": rule.text} for rule in spec.rules.values()},
        "cases": [_case(spec, case) for case in some],
    }  # fmt: skip


def _case(spec: Spec, case: Case) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": case.id, "of": case.of, "kind": case.kind, "level": case.level, "rules": list(case.rules),
        "title": case.title, "doc": case.doc, "profile": case.profile,
    }  # fmt: skip
    play = case.play
    if case.reason or play is None:
        return {**found, "why_not": case.reason or "it is a function of the suite, which no list of actions can tell"}
    found |= {"segments": list(play.segments), "lane": case.lane, "rounds": play.rounds, "server": dict(play.server)}
    if case.of == "client":
        return {**found, "setup": play.setup, "terminal": play.terminal, "steps": [*map(_step, play.steps)]}
    try:
        script = Compiler(spec, play, NUMBER).compile()
    except ContradictionError as problem:
        return {**found, "why_not": str(problem)}
    return {**found, "ops": _ops(script.ops)} | _needs(play)


def _needs(play: Play) -> dict[str, Any]:
    return {"alone": True} if play.exact else {}


def _step(step: Step) -> dict[str, Any]:
    """A step of a client's play: the words of `conformance/cases/play.py`."""
    found: dict[str, Any] = {"who": step.who, "do": step.kind}
    if step.octets:
        found["octets"] = _text(step.octets)
    return found | ({"text": step.text} if step.text else {}) | ({"held": True} if step.held else {})


def _ops(ops: Iterable[do.Op]) -> list[dict[str, Any]]:
    return [
        {"do": NAMES[type(op.action)], "part": op.part, "step": op.step, "rule": op.rule, **_action(op.action)}
        for op in ops
    ]


def _action(action: do.Action) -> dict[str, Any]:
    match action:
        case do.Settle():
            settled = {who: total for who, total, _ in action.totals}
            return {"units": settled, "ended": [who for who, _, ends in action.totals if ends]}
        case do.Receive():
            return {"who": action.who, **_due(action.due)}
        case do.Clock():
            due = _due(action.due) if action.due is not None else None
            fields = _fields(action)
            return {"share": fields.pop("part"), **fields, "due": due}
        case do.Race():
            branches = [
                {"due": {who: [*map(_due, dues)] for who, dues in branch.dues}, "then": _ops(branch.then)}
                for branch in action.branches
            ]
            sends = [{"do": NAMES[type(sent)], **_action(sent)} for sent in action.sends]
            return {"sends": sends, "branches": branches}
        case _:
            return _fields(action)


def _fields(action: Any) -> dict[str, Any]:
    """The fields of a plain action by their names; of a send only what a runner needs."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(action):
        value = getattr(action, field.name)
        if isinstance(value, bytes):
            found[field.name] = _text(value)
        elif isinstance(value, do.Numbered):
            found[field.name] = {"form": value.form, "width": value.width, "ending": _text(value.ending)}
        elif field.name not in ("octetwise", "linked"):
            found[field.name] = list(value) if isinstance(value, tuple) else value
    return found


def _due(due: Due) -> dict[str, Any]:
    match due:
        case Text():
            return {"frame": due.text}
        case Items():
            return {"items": list(due.items), "answer": due.answer}
        case End():
            return {"end": True}
        case Cut():
            return {"reset": True}


def _text(octets: bytes) -> str:
    """Octets as text in which each character is one octet."""
    return octets.decode("latin-1")
