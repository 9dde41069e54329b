"""What a case is about, for a person: the rule, the script, what a correct implementation does, the mistakes."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from pychat.spec import Spec

from .cases.case import Case
from .cases.play import LEGEND, USER, Play, Step
from .engine import actions as do
from .engine.actions import shown
from .engine.script import Compiler
from .oracle.frames import quote, shortened, visible
from .oracle.model import Due

WIDTH = 100
ALIKE = 4  # steps that are alike are shown, besides the first one
NUMBER = 1  # names in an explanation end in it
SINCE = {  # when the clocks of the spec's timers begin
    "accept": "{}'s connection was accepted", "silence": "{}'s last octet", "goodbye": "the last frame to {}",
    "full": "{}'s queue was above its mark", "call": "the call of {} began",
}  # fmt: skip


def explain(spec: Spec, case: Case) -> str:
    """The explanation of a case."""
    lines = [f"{case.id}, for a {case.of}", f"  {visible(case.title)}", ""]
    for rule in case.rules:
        lines += _wrapped(f"{rule} ({spec.rules[rule].level}): {spec.rules[rule].text}", "  ")
    if case.doc:
        lines += ["", *_wrapped(case.doc, "  ")]
    if case.reason:
        lines += ["", *_wrapped(f"It cannot be asked: {case.reason}.", "  ")]
    elif case.play is None:
        assert case.scene is not None
        words = getattr(case.scene, "func", case.scene).__doc__ or "A scene: no script can tell it."
        lines += ["", *_wrapped(" ".join(words.split()), "  ")]
    else:
        lines += ["", "The script:", *(f"  {line}" for line in _script(case.play)), "", f"  {LEGEND[case.of]}"]
        if case.of == "server":
            lines += ["", "What a correct implementation does:", *(f"  {line}" for line in _expected(spec, case.play))]
    statements = list(_contract(spec, case))
    lines += ["", "The line contract says:"] if statements else []
    for statement in statements:
        lines += _wrapped(f"- {statement}", "  ", "    ")
    mistakes = [*case.mistakes, *_usual(spec, case)]
    if mistakes:
        lines += ["", "Usual mistakes:"]
        for mistake in mistakes:
            lines += _wrapped(f"- {mistake}", "  ", "    ")
    return "\n".join(lines)


def _wrapped(text: str, indent: str, later: str | None = None) -> list[str]:
    later = indent if later is None else later
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=later, break_on_hyphens=False)


def _script(play: Play) -> Iterator[str]:
    """The steps, a line for each; of many that are alike but for a number, the first and the last one."""
    lines = [_step(step) for step in play.steps]
    for begin, end in ((0, play.setup), (play.setup, len(lines))):
        if begin == play.setup and play.setup:
            yield "--- now it is judged"
        for _, alike in itertools.groupby(lines[begin:end], lambda line: re.sub("[0-9]+", "0", line)):
            first, *others = alike
            yield first
            if len(others) > ALIKE:
                yield f"… ({len(others) - 1} more like these)"
            yield from others[-1:] if len(others) > ALIKE else others


def _step(step: Step) -> str:
    text = visible(str(step))
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 20]} … ({len(step.octets)} octets)"


def _expected(spec: Spec, play: Play) -> Iterator[str]:
    """The whole conversation with its probes, as the model says it."""
    part = ""
    for op in Compiler(spec, play, NUMBER).compile().ops:
        if op.part != part and op.part == "probe":
            yield "--- then the probes: who is in which state, who is listed, and nothing else came"
        part = op.part
        yield from _action(spec, op.action)


def _action(spec: Spec, action: do.Action) -> Iterator[str]:
    if isinstance(action, do.Race):
        yield "at the same moment:"
        for sent in action.sends:
            yield from (f"  {line}" for line in _action(spec, sent))
        yield f"and then one of these {len(action.branches)} results:"
        for branch in action.branches:
            yield "  " + "; ".join(_due(who, due) for who, dues in branch.dues for due in dues)
    elif isinstance(action, do.Clock):
        yield _clock(spec, action)
    elif type(action) in SAYS:
        yield SAYS[type(action)](action)


SAYS: dict[type, Callable[[Any], str]] = {
    do.Send: lambda action: f"{action.who} > {quote(action.octets, 90)}",
    do.SendLate: lambda action: f"{action.who} > {quote(action.octets, 90)}",
    do.Finish: lambda action: f"{action.who} > (end of stream)",
    do.Reset: lambda action: f"{action.who} > (reset)",
    do.Open: lambda action: f"{action.who} opens a connection" + ("" if action.admitted else ", one too many"),
    do.Await: lambda action: f"the {action.timer} timer of {action.who} runs out",
    do.Pause: lambda action: f"{action.who} stops reading",
    do.Flood: lambda action: f"{action.who} > {action.lines.form} again and again, until the server takes no more",
    do.ReadOn: lambda action: (
        f"{action.who} reads on, and gets each {action.lines.form} that was not refused, in order"
    ),
    do.Refused: lambda action: f"{action.who} < {action.text} for each line that was not taken, and is read again",
    do.Signal: lambda action: f"the server gets SIG{action.name}",
    do.Exit: lambda action: "the server's program ends in time, although nobody closes",
    do.Receive: lambda action: _due(action.who, action.due),
    do.Quiet: lambda action: f"{', '.join(action.who)}: nothing more",
}


def _clock(spec: Spec, action: do.Clock) -> str:
    timer = spec.timers[action.timer]
    since = SINCE[timer.since].format(action.who)
    if action.part < 1:
        return f"{action.part * timer.after:g} s after {since}, and nothing has come to {action.watched}"
    if action.due is None:
        return f"{timer.after:g} s and more after {since}, and nothing has come to {action.watched}"
    return f"{timer.after:g} s after {since}, not before and not much later:"


def _due(who: str, due: Due) -> str:
    return shortened(visible(shown(who, due)), WIDTH)


def _contract(spec: Spec, case: Case) -> Iterator[str]:
    """For a client: what the line contract says about the commands that are typed."""
    steps = case.play.steps if case.of == "client" and case.play is not None else ()
    typed = {
        line.split(" ")[0]
        for step in steps
        if step.who == USER and step.kind in ("send", "flood")
        for line in (step.octets.decode(errors="replace") or step.text).split("\n")
    }
    found = [words for words in spec.contract.statements if any(f"`{command}`" in words for command in typed)]
    yield from found


def _usual(spec: Spec, case: Case) -> Iterator[str]:
    """The hints of the spec that are about the case: about its request, and the error that its id names."""
    for hint in spec.hints:
        request = next((word for word in re.findall("[A-Z]+", hint) if word in spec.requests), None)
        errors = [word for word in re.findall("`([^`]+)`", hint) if word in spec.errors]
        if request == case.message and any(error in case.id for error in errors):
            yield hint
